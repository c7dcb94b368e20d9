"""Plays a scenario for one call: selects its answer, waits for its latency, and tries again where a gateway does.

Only a call that its gateway accepts comes here, so a scenario never hides a call that breaks a rule. Progress is
counted in the store, one step a call, so that calls at the same time never take the same answer. A gateway that offers
`retries` tries again by itself when its upstream fails; each try takes an answer from the scenario.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from emulator.core.chance import draw_chance
from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.gateway.parameter_names import PARAMETERS
from emulator.image import upload
from emulator.messages import UNCHANGED, Call, Canned, Draw, Exhausted, GatewayError, Missed, Plan, Refuse, Request
from emulator.scenario import limits, matching
from emulator.scenario.latency import REALISTIC, Latency, make_lognormal
from emulator.scenario.limits import Charge, Counter, LimitCounter
from emulator.scenario.matching import Difference, RequestPattern
from emulator.scenario.scenario import DRAWN, Answer, Rule, Scenario

MOST_NEAREST: Final = 3  # entries of a recording that are named for a call that misses all
MOST_TRIES: Final = 20  # of one call; no page names a maximum, and a scenario may fail for ever


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that did not answer a call with `fields`: for `reason`, else because the call differs from `when`."""

    rule: str
    when: RequestPattern
    fields: Mapping[str, Any]
    reason: Difference | None = None

    @property
    def why(self) -> tuple[Difference, ...]:
        """How the call differs from what the rule expects; computed when it is read, which is after the answer."""
        if self.reason is not None:
            return (self.reason,)
        return tuple(self.when.differences(self.fields))


class NearMisses(Sequence[NearMiss]):
    """The rules of a scenario that did not answer a call with `fields`, by their numbers; each is made when it is read.

    `reasons` has those that the call does not differ from, by their numbers too.
    """

    __slots__ = ("_fields", "_numbers", "_reasons", "_rules")

    def __init__(
        self, rules: Sequence[Rule], fields: Mapping[str, Any], numbers: list[int], reasons: Mapping[int, Difference]
    ) -> None:
        self._rules = rules
        self._fields = fields
        self._numbers = numbers
        self._reasons = reasons

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        """Return one, or a list of those that a slice means."""
        if isinstance(index, slice):
            return [self._make(number) for number in self._numbers[index]]
        return self._make(self._numbers[index])

    def _make(self, number: int) -> NearMiss:
        rule = self._rules[number]
        return NearMiss(rule.name, rule.when, self._fields, self._reasons.get(number))


class Selection(NamedTuple):
    """The answer to a call: from which rule (None: no rule, so drawn), at which step, and the rules that missed.

    `latency` is how long it takes, in seconds, `tries` are the failures before it that the gateway took itself, and
    `findings` are what was noticed meanwhile.
    """

    answer: Answer
    turn: int
    rule: str | None = None
    step: int | None = None
    misses: Sequence[NearMiss] = ()
    latency: float | None = None
    tries: tuple[Selection, ...] = ()
    findings: tuple[Finding, ...] = ()


class KnownFields:
    """The fields of a call that comes again, as `collect_call_fields` returns them."""

    __slots__ = ("_matches", "_scenario", "values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self._scenario: Scenario | None = None
        self._matches: Sequence[bool | None] = ()

    def find_matches(self, scenario: Scenario) -> Sequence[bool | None]:
        """Return for each rule whether the call matches it; None where that depends on the call's turn."""
        if scenario is not self._scenario:
            self._scenario = scenario
            self._matches = [
                None if rule.when.names_turn else rule.when.matches(self.values) for rule in scenario.rules
            ]
        return self._matches


UNSCRIPTED: Final = Selection(DRAWN, 0)
"""The answer to a call where no rule is tried."""


@dataclass(frozen=True)
class ScenarioEngine:
    """Plays scenarios on one server; `counter` counts each session's progress, chance depends on `seed`."""

    counter: LimitCounter
    clock: Clock
    seed: int

    async def select(
        self,
        call: Call,
        scenario: Scenario,
        *,
        request: Request,
        gateway: Gateway,
        session: str,
        note: Callable[[Selection], None] = lambda _: None,
        charge: Charge | None = None,
        refused: bool = False,
        known_fields: KnownFields | None = None,
    ) -> Selection:
        """Return the answer to `call`, after its latency; raises GatewayError where the call is beyond the limits.

        The latency of a stream passes while it is sent, that of a task while its client asks for it. A call that asks
        for a task is answered by rules that name that operation. `note` is called with each selection before its wait.
        `charge` is what has been counted for the call before; None: nothing. A call that its gateway has `refused` gets
        one of the answers for which somebody else judges, or the scenario's last resort. `known_fields` are those of a
        call that comes again. Where a scenario `is_plain`, every call has the answer UNSCRIPTED, and the engine need
        not be asked.
        """
        if scenario.is_plain and charge is None:
            return UNSCRIPTED
        if charge is None and scenario.limits.any:
            model, now = call.model or gateway.usual_model, self.clock.now(session)
            charge = await limits.spend(scenario.limits, call, self.counter, session=session, now=now, model=model)
        charge = charge or limits.FREE
        is_drawn = scenario.otherwise is UNCHANGED
        if is_drawn and (not scenario.rules or (call.operation == "task" and not scenario.about_tasks)):
            return _add_findings(UNSCRIPTED, charge.findings)
        matches: Sequence[bool | None] = ()
        if known_fields is None:
            fields = collect_call_fields(call, request, gateway.name)
        else:
            fields, matches = known_fields.values, known_fields.find_matches(scenario)
        tries_left = _count_retries(call)
        tries: list[Selection] = []
        while True:
            selection = await select_answer(
                scenario, fields, self.counter, session, self.seed, refused=refused, matches=matches
            )
            selection = _refuse_instead_of_breaking_off(selection, call)
            if selection.answer.latency is not None or tries:
                seconds = self._draw_latency(selection, call, session)
                selection = selection._replace(latency=seconds, tries=tuple(tries))
                note(selection)
                try:
                    await self._wait(selection, call, session)
                except asyncio.CancelledError:  # the client has left; what was selected for it is used and billed
                    await self._settle(charge, selection, call, session)
                    raise
            if tries_left <= 0 or not _fails(selection.answer, gateway):
                await self._settle(charge, selection, call, session)
                return _add_findings(selection, charge.findings)
            tries_left -= 1
            tries.append(selection)

    async def _settle(self, charge: Charge, selection: Selection, call: Call, session: str) -> None:
        """Give back what the call was charged for the pictures that are not made."""
        if not charge.amount:  # most scenarios limit no money
            return
        made = count_made_pictures(selection.answer.plan, call)
        await limits.settle(charge, call, made, self.counter, session)

    async def count_request(self, scenario: Scenario, gateway: Gateway, session: str) -> None:
        """Count a request before its body is read; raises GatewayError (rate_limit) where it is one too many."""
        now = self.clock.now(session)
        await limits.spend_request(scenario.limits, self.counter, session=session, now=now, model=gateway.usual_model)

    async def count_call(self, call: Call, scenario: Scenario, gateway: Gateway, session: str) -> Charge:
        """Count the pictures and the money of `call`; raises GatewayError where it is beyond the limits."""
        model, now = call.model or gateway.usual_model, self.clock.now(session)
        return await limits.spend_rest(scenario.limits, call, self.counter, session=session, now=now, model=model)

    async def give_back(self, charge: Charge, call: Call, scenario: Scenario, session: str) -> None:
        """Give back what `count_call` has counted: the upstream has refused the call, and is not paid."""
        now = self.clock.now(session)
        await limits.give_back(scenario.limits, charge, call, self.counter, session=session, now=now)

    def _draw_latency(self, selection: Selection, call: Call, session: str) -> float | None:
        """Return how many seconds the answer takes; None where it has no latency."""
        latency = selection.answer.latency
        if latency is None:
            return None
        if latency == REALISTIC:
            latency = _make_realistic(call)
        return latency.draw(self.seed, session, selection.rule or "", selection.turn)

    async def _wait(self, selection: Selection, call: Call, session: str) -> None:
        """Wait for the answer's latency, but for a stream's and a task's."""
        plan = selection.answer.plan
        streamed = call.streams and isinstance(plan, Draw)
        if selection.latency is not None and not streamed and not is_postponed(call, plan):
            await self.clock.sleep(selection.latency, session)


async def select_answer(
    scenario: Scenario,
    fields: Mapping[str, Any],
    counter: Counter,
    session: str,
    seed: int,
    *,
    refused: bool = False,
    matches: Sequence[bool | None] = (),
) -> Selection:
    """Return the answer that `scenario` has for a call with `fields`: of the first rule that has one.

    A call that its gateway has `refused` is answered only by rules for which somebody else judges. `matches` tells for
    each rule whether the call matches it, where that is known; None: it is not.
    """
    turn = await counter.count(session, "turn")
    fields = {**fields, "turn": turn}
    asks_for_task = fields.get("operation") == "task"
    missed: list[int] = []
    reasons: dict[int, Difference] = {}
    for number, rule in enumerate(scenario.rules):
        # A rule about calls for pictures is not tried for their tasks, which are asked for as often as a client likes.
        if (asks_for_task and not rule.about_tasks) or (refused and not rule.is_judged_elsewhere):
            continue
        is_match = matches[number] if matches else None
        if is_match is None:
            is_match = rule.when.matches(fields)
        if not is_match:
            missed.append(number)
            continue
        if rule.chance < 1 and not draw_chance(rule.chance, seed, session, number, turn):
            reasons[number] = Difference("chance", f"{rule.chance} of all calls", "sat out")
            missed.append(number)
            continue
        step = await counter.count(session, scenario.name_counter(number))
        answer = rule.choose_answer(step)
        if answer is None and rule.then == "refuse":
            answer = Answer(Exhausted(rule.name, rule.length))
        if answer is not None:
            misses = _note_misses(scenario, fields, missed, reasons)
            return Selection(answer, turn, rule=rule.name, step=step, misses=misses)
        reasons[number] = Difference("answers", f"at most {rule.length}", f"call {step}")
        missed.append(number)
    misses = _note_misses(scenario, fields, missed, reasons)
    if isinstance(scenario.otherwise, Missed):
        misses = find_nearest(scenario.rules, fields, missed)
    return Selection(scenario.last_resort, turn, misses=misses)


def _note_misses(
    scenario: Scenario, fields: Mapping[str, Any], missed: list[int], reasons: Mapping[int, Difference]
) -> Sequence[NearMiss]:
    if not missed or scenario.is_recording:  # a recording has thousands of entries, and each call misses nearly all
        return ()
    return NearMisses(scenario.rules, fields, missed, reasons)


def find_nearest(rules: Sequence[Rule], fields: Mapping[str, Any], missed: Sequence[int]) -> Sequence[NearMiss]:
    """Return the entries of a recording that a call with `fields` differs from in the fewest fields, the nearest first.

    A recording may have thousands of entries, and a call that misses all of them is rare.
    """
    misses = [NearMiss(rules[number].name, rules[number].when, fields) for number in missed]
    return sorted(misses, key=lambda miss: len(miss.why))[:MOST_NEAREST]


def collect_call_fields(call: Call, request: Request, gateway: str) -> Mapping[str, Any]:
    """Return what `when` can name of a call: its parameters, and operation, gateway, model, headers, uploads.

    A parameter that the gateway calls otherwise than OpenAI has both names. `given` is the body as it was sent. The
    number and the size of the pictures are there wherever some are made.
    """
    fields: dict[str, Any] = dict(call.params)
    if call.own_names:
        add_other_names(fields, call.effective)
    if not matching.OWN_FIELDS.isdisjoint(fields):
        fields = {name: value for name, value in fields.items() if name not in matching.OWN_FIELDS}
    fields |= {
        "operation": call.operation, "gateway": gateway, "model": call.model, "headers": request.headers,
        "given": call.given,
    }  # fmt: skip
    if call.count:
        add_made_pictures(fields, call.count, call.pixels)
    if request.uploads:
        fields["uploads"] = upload.describe_uploads(request.uploads)
    return fields


def add_other_names(fields: dict[str, Any], effective: Mapping[str, Any]) -> None:
    """Add OpenAI's names of parameters that a gateway calls otherwise: `effective` has them under both names."""
    for name in PARAMETERS & effective.keys():
        fields[name] = effective[name]


def add_made_pictures(fields: dict[str, Any], count: int, pixels: Sequence[int]) -> None:
    """Add the number and the size of the pictures of a call to its fields, where no `n` and no `size` gives them."""
    if fields.get("n") is None:
        fields["n"] = count
    if fields.get("size") is None:
        fields["size"] = f"{pixels[0]}x{pixels[1]}"


def is_postponed(call: Call, plan: Plan) -> bool:
    """Return whether the effect of `plan` shows later, in the task of `call`: pictures, and failures of drawing them.

    A gateway refuses at once, task or no task, for what it knows before the work begins, such as a bad key.
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


def _add_findings(selection: Selection, findings: tuple[Finding, ...]) -> Selection:
    if not findings:
        return selection
    return selection._replace(findings=findings)


def _count_retries(call: Call) -> int:
    """Return how often the gateway tries again by itself."""
    retries = call.effective.get("retries", 0)
    if not isinstance(retries, int):
        return 0
    return min(retries, MOST_TRIES)


def _refuse_instead_of_breaking_off(selection: Selection, call: Call) -> Selection:
    """Return a refusal where `selection` breaks off a stream and `call` asks for none."""
    plan = selection.answer.plan
    if call.streams or not isinstance(plan, Draw) or plan.error is None:
        return selection
    return selection._replace(answer=replace(selection.answer, plan=plan.error))


def _make_realistic(call: Call) -> Latency:
    """Return how long the real model of `call` takes; a call that asks for no picture takes no time."""
    if not call.count:
        return Latency("fixed", (0.0,))
    from emulator.gateway import model_catalog  # few scenarios ask for it

    return make_lognormal(*model_catalog.estimate_seconds(call.model, str(call.effective.get("quality")), call.pixels))


def count_made_pictures(plan: Plan, call: Call) -> int:
    """Return how many pictures are made, and billed: those that are sent, and all behind a canned answer."""
    match plan:
        case Draw(error=Refuse()):
            return 0
        case Draw():
            places = call.count
            if plan.images is not None:
                places = min(plan.images, places)
            if plan.picture is None or call.response.failed_item is None:
                return places
            return sum(1 for index in range(places) if plan.find_failure(index) is None)
        case Canned():
            return call.count
        case _:
            return 0


def _fails(answer: Answer, gateway: Gateway) -> bool:
    """Return whether an answer is a failure of the upstream: a status of 500 or more; a recorded one is the last."""
    plan = answer.plan
    if answer.recorded is not None:
        return False
    match plan:
        case Canned():
            return plan.status >= 500
        case Refuse():
            error = GatewayError(plan.kind, words=plan.words)
            return gateway.error_catalog.choose_template(error).status >= 500
        case _:
            return False


_FAILURES: Final = ("moderation", "server_error", "upstream_error", "overloaded", "upstream_timeout")
"""The refusals of a gateway whose work on the pictures failed."""
