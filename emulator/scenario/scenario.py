"""Decides which answer a call gets: rules tried top down, each with its sequence of answers.

A script never hides a breach of the contract: only a call that keeps it comes here. Progress is counted in Memory, one
step a call, so that calls at the same time never take the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from emulator.core.chance import draw_chance
from emulator.core.names import KEY_PREFIX, MARKED_HEADER, MARKED_KEY
from emulator.findings import Finding
from emulator.image import upload
from emulator.messages import Call, Draw, Exhausted, Plan, Request
from emulator.scenario.latency import Latency
from emulator.scenario.limits import Counter, Limits
from emulator.scenario.matching import Difference, RequestPattern

if TYPE_CHECKING:
    from emulator.faults import Fault

Then = Literal["repeat", "cycle", "next", "refuse"]
THENS: Final[tuple[Then, ...]] = get_args(Then)


@dataclass(frozen=True)
class Answer:
    """What a call gets: a plan, and beside it how long it takes, what goes wrong, which headers, and how often."""

    plan: Plan = field(default_factory=Draw)
    latency: Latency | None = None
    faults: tuple[Fault, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    times: int = 1


@dataclass(frozen=True)
class Rule:
    """Calls of one kind and their answers; `chance` is the share of calls (0 to 1) that it does not sit out."""

    name: str
    when: RequestPattern
    answers: tuple[Answer, ...]
    then: Then = "repeat"
    chance: float = 1.0

    @cached_property
    def about_tasks(self) -> bool:
        """Whether it says that it is about calls that ask for a task, maybe among others."""
        return any(path == "operation" and takes.misses("task") is None for path, takes in self.when.conditions)

    def answer(self, step: int) -> Answer | None:
        """The answer to the call that is number `step`, from 1, of this rule; None when there is none left."""
        if step > self.length:
            if self.then == "repeat":
                return self.answers[-1]
            if self.then != "cycle":
                return None
            step = (step - 1) % self.length + 1
        for answer in self.answers:
            step -= answer.times
            if step <= 0:
                return answer
        raise AssertionError("a step within the length has its answer")

    @cached_property
    def length(self) -> int:
        """How many calls the answers are enough for."""
        return sum(answer.times for answer in self.answers)


@dataclass(frozen=True)
class Scenario:
    """A script: rules in their order, and what a session may spend.

    `channels` are models that gateways in observed behavior have a channel for, beside their own. `version` counts how
    often its file was loaded again after a change: each version is played from its beginning. `source` is the text
    that the scenario was made of, `file` what messages call that text, `folder` where its pictures are:
    `parse_scenario(source, file, folder)` makes an equal scenario. Two scenarios are equal where they do the same.
    """

    name: str
    about: str = ""
    rules: tuple[Rule, ...] = ()
    limits: Limits = field(default_factory=Limits)
    channels: frozenset[str] = frozenset()
    version: int = 0
    source: str = field(default="", compare=False, repr=False)
    file: str = field(default="", compare=False)
    folder: Path | None = field(default=None, compare=False)

    @cached_property
    def about_tasks(self) -> bool:
        """Whether a rule is about calls that ask for a task."""
        return any(rule.about_tasks for rule in self.rules)

    def counter(self, number: int) -> str:
        """The name under which a session's progress through the rule `number`, from 0, is counted."""
        return f"{self.name} {self.version} {number}"


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not answer a call with `fields`: for `reason`, else because of how the call differs."""

    rule: str
    when: RequestPattern
    fields: Mapping[str, Any]
    reason: Difference | None = None

    @property
    def why(self) -> tuple[Difference, ...]:
        """How the call differs from what the rule expects; worked out for who asks, which is after the answer."""
        return tuple(self.when.differences(self.fields)) if self.reason is None else (self.reason,)


@dataclass(frozen=True)
class Selection:
    """The answer to a call: from which rule (None: no rule, so drawn), at which step, and the rules that missed.

    `latency` is how long it took, in seconds, `tries` are the failures before it that the gateway took itself, and
    `findings` are what was noticed while it was played.
    """

    answer: Answer
    turn: int
    rule: str | None = None
    step: int | None = None
    misses: tuple[NearMiss, ...] = ()
    latency: float | None = None
    tries: tuple[Selection, ...] = ()
    findings: tuple[Finding, ...] = ()


async def choose(scenario: Scenario, fields: Mapping[str, Any], counter: Counter, session: str, seed: int) -> Selection:
    """The answer that `scenario` has for a call with `fields`."""
    turn = await counter.count(session, "turn")
    fields = {**fields, "turn": turn}
    misses = []
    for number, rule in enumerate(scenario.rules):
        if fields.get("operation") == "task" and not rule.about_tasks:
            continue  # it is about calls for pictures, whose tasks are asked for as often as a client likes
        if not rule.when.matches(fields):
            misses.append(NearMiss(rule.name, rule.when, fields))
            continue
        if rule.chance < 1 and not draw_chance(rule.chance, seed, session, number, turn):
            reason = Difference("chance", f"{rule.chance} of all calls", "sat out")
            misses.append(NearMiss(rule.name, rule.when, fields, reason))
            continue
        step = await counter.count(session, scenario.counter(number))
        if (answer := rule.answer(step)) is not None:
            return Selection(answer, turn, rule.name, step, tuple(misses))
        if rule.then == "refuse":
            return Selection(Answer(Exhausted(rule.name, rule.length)), turn, rule.name, step, tuple(misses))
        reason = Difference("answers", f"at most {rule.length}", f"call {step}")
        misses.append(NearMiss(rule.name, rule.when, fields, reason))
    return Selection(DRAWN, turn, misses=tuple(misses))


def fields(call: Call, request: Request, gateway: str) -> Mapping[str, Any]:
    """What `when` can name of a call: its parameters, and operation, gateway, model, headers, uploads."""
    named = {"operation": call.operation, "gateway": gateway, "model": call.model, "headers": request.headers}
    if request.uploads:
        return {**call.params, **named, "uploads": upload.describe_uploads(request.uploads)}
    return {**call.params, **named}


def may_be_marked(request: Request, key: str | None) -> bool:
    """Whether a call may carry a reserved value; cheap, for most do not."""
    body = request.json if isinstance(request.json, Mapping) else {}
    prompt, model = body.get("prompt"), body.get("model")
    return (
        MARKED_HEADER in request.headers
        or (isinstance(prompt, str) and "[[" in prompt)
        or (isinstance(model, str) and ":" in model)
        or (key is not None and key.startswith(MARKED_KEY) and not key.startswith(KEY_PREFIX))
    )


DRAWN: Final = Answer()
UNSCRIPTED: Final = Selection(DRAWN, 0)
HAPPY: Final = Scenario("happy", "Every call is answered.")
"""What is played where nothing else is asked for."""
