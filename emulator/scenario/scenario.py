"""The parts of a scenario: rules, each with its sequence of answers, and limits on what a session may spend.

The loader makes scenarios of YAML, and the engine plays them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from emulator.core.light_dataclass import dataclass
from emulator.core.names import KEY_PREFIX, RESERVED_HEADER, RESERVED_KEY
from emulator.gateway.parameter_names import find_texts
from emulator.messages import UNCHANGED, Draw, Forward, Missed, Plan, Recorded, Request
from emulator.scenario.latency import Latency
from emulator.scenario.limits import Limits
from emulator.scenario.matching import RequestPattern

if TYPE_CHECKING:
    from emulator.faults import Fault

Then = Literal["repeat", "cycle", "next", "refuse"]
THENS: Final[tuple[Then, ...]] = get_args(Then)


@dataclass(frozen=True)
class Answer:
    """The answer to a call: a plan, its latency, its faults, its headers, and how often it is given.

    `headers` take the place of the response's own ones; `times` is how often the answer is given in a row. `recorded`
    is set where a real gateway has given the answer.
    """

    plan: Plan = UNCHANGED
    latency: Latency | None = None
    faults: tuple[Fault, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    times: int = 1
    recorded: Recorded | None = None

    @property
    def is_judged_elsewhere(self) -> bool:
        """Whether it is not the gateway's rules that decide which calls may have it."""
        return self.recorded is not None or isinstance(self.plan, Forward | Missed)


@dataclass(frozen=True)
class Rule:
    """The calls that a rule is about, and their answers; `chance` is the share (0 to 1) of them that it answers."""

    name: str
    when: RequestPattern
    answers: tuple[Answer, ...]
    then: Then = "repeat"
    chance: float = 1.0

    @cached_property
    def about_tasks(self) -> bool:
        """Whether it names the operation `task`, maybe among others, or leaves all that it answers to others."""
        return self.is_judged_elsewhere or any(
            path == "operation" and matcher.misses("task") is None for path, matcher in self.when.conditions
        )

    @cached_property
    def is_judged_elsewhere(self) -> bool:
        """Whether it also answers calls that break the rules of their gateway."""
        return all(answer.is_judged_elsewhere for answer in self.answers)

    def choose_answer(self, step: int) -> Answer | None:
        """Return the answer to the call that is number `step`, from 1, of this rule; None when none is left."""
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
        """For how many calls the answers are enough."""
        return sum(answer.times for answer in self.answers)


@dataclass(frozen=True)
class Scenario:
    """Rules in their order, and what a session may spend.

    `channels` are models that gateways in observed behavior have a channel for, beside their own. `version` counts how
    often its file was loaded again after a change: each version is played from its beginning. `otherwise` is the plan
    for calls that no rule answers. `source` is the text that the scenario was made of, `file` what messages call that
    text, `folder` where its pictures are: `parse_scenario(source, file, folder)` makes an equal scenario. Two scenarios
    are equal where they do the same.
    """

    name: str
    about: str = ""
    rules: tuple[Rule, ...] = ()
    limits: Limits = field(default_factory=Limits)
    channels: frozenset[str] = frozenset()
    version: int = 0
    otherwise: Plan = UNCHANGED
    is_recording: bool = False
    source: str = field(default="", compare=False, repr=False)
    file: str = field(default="", compare=False)
    folder: Path | None = field(default=None, compare=False)

    @cached_property
    def is_plain(self) -> bool:
        """Whether it neither has a rule nor counts anything, so that every call is answered as if there were none."""
        return not self.rules and not self.limits.any and self.otherwise is UNCHANGED

    @cached_property
    def last_resort(self) -> Answer:
        """The answer to calls that no rule answers."""
        if self.otherwise is UNCHANGED:
            return DRAWN
        return Answer(self.otherwise)

    @cached_property
    def judges_elsewhere(self) -> bool:
        """Whether some calls are answered though they break the rules of their gateway."""
        return isinstance(self.otherwise, Forward | Missed) or any(rule.is_judged_elsewhere for rule in self.rules)

    @cached_property
    def about_tasks(self) -> bool:
        """Whether a rule names the operation `task`."""
        return any(rule.about_tasks for rule in self.rules)

    @cached_property
    def names_channels(self) -> bool:
        """Whether an answer says by which kind of channel it comes."""
        plans = (answer.plan for rule in self.rules for answer in rule.answers)
        return any(isinstance(plan, Draw) and plan.channel is not None for plan in plans)

    def name_counter(self, number: int) -> str:
        """Return the name under which a session's progress through the rule `number`, from 0, is counted."""
        return f"{self.name} {self.version} {number}"


def may_have_reserved_value(
    request: Request, key: str | None, own_names: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> bool:
    """Return whether a call may have a reserved value. It is quick, as most calls have none.

    `own_names` are the gateway's own names of prompt and model, where it has any.
    """
    body: Mapping[str, Any] = {}
    if isinstance(request.json, dict):
        body = request.json
    prompt, model = body.get("prompt"), body.get("model")
    if own_names:
        prompt = "".join(text for _, text in find_texts(body, "prompt", own_names))
        model = "".join(text for _, text in find_texts(body, "model", own_names))
    return (
        RESERVED_HEADER in request.headers
        or (isinstance(prompt, str) and "[[" in prompt)
        or (isinstance(model, str) and ":" in model)
        or (key is not None and key.startswith(_NEARLY_RESERVED) and not key.startswith(KEY_PREFIX))
    )


_NEARLY_RESERVED: Final = RESERVED_KEY[:7]  # a slip in the rest of it is worth a finding
DRAWN: Final = Answer()
FORWARDED: Final = Answer(Forward())
HAPPY: Final = Scenario("happy", "Every call is answered.")
"""The scenario of a server that starts without one."""
FORWARDING: Final = Scenario("forward", "Every call is passed on.", otherwise=FORWARDED.plan)
