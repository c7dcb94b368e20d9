"""Plays a scenario for one call: chooses its answer, lets its time pass, and tries again where a gateway would.

A gateway that offers `retries` tries again by itself when its upstream fails; each try takes an answer from the script.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from emulator.core.clock import Clock
from emulator.gateway.gateway import Gateway
from emulator.messages import Call, Canned, Draw, GatewayError, Plan, Refuse, Request
from emulator.scenario import limits
from emulator.scenario.latency import REALISTIC, Latency, make_lognormal
from emulator.scenario.limits import Counter
from emulator.scenario.scenario import UNSCRIPTED, Scenario, Selection, choose, fields

MOST_TRIES: Final = 20  # of one call; no page names a maximum, and a script may fail for ever


@dataclass(frozen=True)
class ScenarioEngine:
    """Plays scenarios on one server; `counter` counts each session's progress, `seed` decides what chance decides."""

    counter: Counter
    clock: Clock
    seed: int

    async def play(self, scenario: Scenario, call: Call, request: Request, gateway: Gateway, session: str) -> Selection:
        """The answer to `call`, its latency passed; raises GatewayError where it spends more than the limits.

        The latency of a stream passes while it is sent, and that of a task while its client asks for it. Who asks is
        answered by rules that are about that alone.
        """
        charge = limits.FREE
        if scenario.limits.any:
            charge = await limits.spend(scenario.limits, call, self.counter, session, self.clock.now(session))
        if not scenario.rules or (call.operation == "task" and not scenario.about_tasks):
            return replace(UNSCRIPTED, findings=charge.findings) if charge.findings else UNSCRIPTED
        named = fields(call, request, gateway.name)
        wanted = call.effective.get("retries", 0)
        left = min(wanted, MOST_TRIES) if isinstance(wanted, int) else 0
        tries: list[Selection] = []
        while True:
            choice = _meant(await choose(scenario, named, self.counter, session, self.seed), call)
            if choice.answer.latency is not None or tries:
                choice = replace(choice, latency=await self._wait(choice, call, session), tries=tuple(tries))
            if left <= 0 or not _fails(choice.answer.plan, gateway):
                await limits.settle(charge, call, _made(choice.answer.plan, call), self.counter, session)
                return replace(choice, findings=charge.findings) if charge.findings else choice
            left -= 1
            tries.append(choice)

    async def _wait(self, choice: Selection, call: Call, session: str) -> float | None:
        """Let the answer's latency pass, unless it is a stream's, and say how long it is; None where it has none."""
        latency = choice.answer.latency
        if latency is None:
            return None
        if latency == REALISTIC:
            latency = _realistic(call)
        seconds = latency.draw(self.seed, session, choice.rule or "", choice.turn)
        plan = choice.answer.plan
        if not (call.streams and isinstance(plan, Draw)) and not postponed(call, plan):
            await self.clock.sleep(seconds, session)
        return seconds


def postponed(call: Call, plan: Plan) -> bool:
    """Whether what `plan` makes of `call` shows later, in its task: pictures, and how the work on them fails.

    What a gateway knows before it begins with the work, such as a bad key, it says at once, task or no task.
    """
    match plan:
        case Draw():
            return call.deferred
        case Refuse():
            return call.deferred and plan.kind in _FAILURES
        case Canned():
            return call.deferred and plan.status >= 500
        case _:
            return False


def _meant(choice: Selection, call: Call) -> Selection:
    """`choice`, where what would break off a stream refuses a call that asks for none."""
    plan = choice.answer.plan
    if call.streams or not isinstance(plan, Draw) or plan.error is None:
        return choice
    return replace(choice, answer=replace(choice.answer, plan=plan.error))


def _realistic(call: Call) -> Latency:
    """How long the model of `call` takes in life; a call that asks for no picture takes no time."""
    if not call.count:
        return Latency("fixed", (0.0,))
    from emulator.gateway import catalog  # few scripts are about models as they are

    return make_lognormal(*catalog.estimate_seconds(call.model, str(call.effective.get("quality")), call.pixels))


def _made(plan: Plan, call: Call) -> int:
    """How many pictures are made, and billed: those that are sent, and those that a canned answer keeps back."""
    match plan:
        case Draw(error=Refuse()):
            return 0
        case Draw(images=None) | Canned():
            return call.count
        case Draw():
            return min(plan.images or 0, call.count)
        case _:
            return 0


def _fails(plan: Plan, gateway: Gateway) -> bool:
    """Whether `plan` is a failure of the upstream: a status of 500 or more."""
    match plan:
        case Canned():
            return plan.status >= 500
        case Refuse():
            error = GatewayError(plan.kind, words=plan.words)
            return gateway.error_catalog.choose_template(error).status >= 500
        case _:
            return False


_FAILURES: Final = ("moderation", "server_error", "upstream_error", "overloaded", "upstream_timeout")
"""The refusals that come of work on pictures, or in the place of it."""
