"""Plays a scenario for one call: chooses its answer, lets its time pass, and tries again where a gateway would.

A gateway that offers `retries` tries again by itself when its upstream fails; each try takes an answer from the script.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from emulator.clock import Clock
from emulator.dialect import Dialect
from emulator.exchange import Call, Canned, Plan, RawCall, Refuse
from emulator.limits import spend
from emulator.memory import Counter
from emulator.scenario import UNSCRIPTED, Choice, Scenario, choose, fields

MOST_TRIES: Final = 20  # of one call; no page names a maximum, and a script may fail for ever


@dataclass(frozen=True)
class Player:
    """Plays scenarios on one server; `counter` counts each session's progress, `seed` decides what chance decides."""

    counter: Counter
    clock: Clock
    seed: int

    async def play(self, scenario: Scenario, call: Call, raw: RawCall, dialect: Dialect, session: str) -> Choice:
        """The answer to `call`, its latency passed; raises Problem where it spends more than the limits."""
        if scenario.limits.any:
            await spend(scenario.limits, call, self.counter, session, self.clock.now(session))
        if not scenario.rules:
            return UNSCRIPTED
        named = fields(call, raw, dialect.name)
        wanted = call.heeded.get("retries", 0)
        left = min(wanted, MOST_TRIES) if isinstance(wanted, int) else 0
        tries: list[Choice] = []
        while True:
            choice = await choose(scenario, named, self.counter, session, self.seed)
            choice = replace(choice, latency=await self._wait(choice, session), tries=tuple(tries))
            if left <= 0 or not _fails(choice.answer.plan, dialect):
                return choice
            left -= 1
            tries.append(choice)

    async def _wait(self, choice: Choice, session: str) -> float | None:
        """Let the answer's latency pass, and say how long it is; None where it has none."""
        if choice.answer.latency is None:
            return None
        seconds = choice.answer.latency.draw(self.seed, session, choice.rule or "", choice.turn)
        await self.clock.sleep(seconds, session)
        return seconds


def _fails(plan: Plan, dialect: Dialect) -> bool:
    """Whether `plan` is a failure of the upstream: a status of 500 or more."""
    match plan:
        case Canned():
            return plan.status >= 500
        case Refuse():
            return int(plan.words.get("status", dialect.wording.kinds[plan.kind].status)) >= 500
        case _:
            return False
