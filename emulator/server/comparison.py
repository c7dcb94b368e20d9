"""Compares recordings with what a server says today to the same calls; the server has no socket.

Where a recorded refusal is none that a contract can foresee, such as a rate limit, a scenario brings it about here, and
the two are compared.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from emulator.analysis.changing_members import ChangingMembers, list_changing_members
from emulator.analysis.circumstances import Circumstance, Circumstances
from emulator.analysis.comparison import (
    DIFFERENCE_KINDS,
    NO_JSON,
    AnswerDifference,
    ComparedAnswer,
    MessagePattern,
    OwnWords,
    PictureFacts,
    StreamEvent,
    find_differences,
    hide_pictures,
    list_labels,
    parse_events,
    parse_json,
)
from emulator.analysis.recorded_calls import (
    AskedAgain,
    CannotAsk,
    RecordedEntry,
    build_request,
    list_entries,
    read_answer,
)
from emulator.core.clock import format_iso
from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_known
from emulator.gateway.gateway import Gateway
from emulator.image.recipe import ImageRecipe
from emulator.messages import BEHAVIORS, Behavior
from emulator.scenario import loader
from emulator.scenario.scenario import Scenario
from emulator.server.offline import OfflineAnswer, OfflineServer
from emulator.settings import Settings

Outcome = Literal["same", "differs", "not compared"]


@dataclass(frozen=True)
class ComparedCall:
    """A recorded call beside what is said to it today.

    `recording` is its folder or file, `entry` its name there. `recorded` and `here` say in a few words what the two
    answers are. `why` is set where the call is not compared.
    """

    recording: str
    entry: str
    gateway: str | None
    operation: str | None
    model: str | None
    recorded: str
    here: str
    differences: Sequence[AnswerDifference] = ()
    why: str | None = None

    @property
    def outcome(self) -> Outcome:
        """What has come out."""
        if self.why is not None:
            return "not compared"
        return "differs" if self.differences else "same"


@dataclass(frozen=True)
class Comparison:
    """All calls of some recordings beside what is said to them today, by gateways in `behavior`."""

    behavior: Behavior
    recordings: Sequence[str]
    calls: Sequence[ComparedCall]

    def count(self, outcome: Outcome) -> int:
        """Return how many calls have come out like that."""
        return sum(call.outcome == outcome for call in self.calls)

    @property
    def kinds(self) -> Mapping[str, int]:
        """For each kind of difference in how many calls it is."""
        counts = Counter(kind for call in self.calls for kind in {one.kind for one in call.differences})
        return {kind: counts[kind] for kind in DIFFERENCE_KINDS}

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON."""
        return {
            "comparison": 1,
            "behavior": self.behavior,
            "recordings": list(self.recordings),
            "same": self.count("same"),
            "differs": self.count("differs"),
            "not_compared": self.count("not compared"),
            "kinds": self.kinds,
            "calls": [_describe_call(call) for call in self.calls],
        }


def _describe_call(call: ComparedCall) -> dict[str, Any]:
    differences = [
        {
            "kind": one.kind,
            "where": one.where,
            "recorded": one.recorded,
            "here": one.here,
            "rule": one.rule,
        }
        for one in call.differences
    ]
    return {
        "recording": call.recording,
        "entry": call.entry,
        "gateway": call.gateway,
        "operation": call.operation,
        "model": call.model,
        "outcome": call.outcome.replace(" ", "_"),
        "why": call.why,
        "recorded": call.recorded,
        "here": call.here,
        "differences": differences,
    }


async def compare_recordings(recordings: Mapping[str, Scenario], settings: Settings) -> AsyncIterator[ComparedCall]:
    """Yield each call of the recordings, which are named by their folders or files, beside what is said to it today.

    `settings` are those of the server. Raises InvalidFile where a file of a recording was changed.
    """
    server = OfflineServer(settings)
    try:
        for name, scenario in recordings.items():
            comparer = _Comparer(server, name)
            for entry in list_entries(scenario):
                yield await comparer.compare(entry)
                await asyncio.sleep(0)
    finally:
        await server.close()


class _Comparer:
    """Compares the calls of one recording, in their order: some are about the tasks that earlier ones began."""

    def __init__(self, server: OfflineServer, recording: str) -> None:
        self._server = server
        self._recording = recording
        self._session = "compare"
        self._ids: dict[str, str] = {}
        self._changing: dict[str, ChangingMembers] = {}
        self._circumstances: dict[tuple[str, str | None], Circumstances] = {}

    async def compare(self, entry: RecordedEntry) -> ComparedCall:
        """Return a call beside what is said to it today."""
        told = ComparedCall(
            recording=self._recording,
            entry=entry.name,
            gateway=_find_text(entry, "gateway"),
            operation=_find_text(entry, "operation"),
            model=_find_text(entry, "given.model") or _find_text(entry, "model"),
            recorded="",
            here="",
        )
        try:
            gateway = self._find_gateway(told.gateway)
            recorded = read_answer(entry)
            told = replace(told, recorded=recorded.describe())
            asked = build_request(entry, gateway, self._ids)
            self._begin_day(entry)
            return await self._compare_answers(told, recorded, asked, gateway)
        except CannotAsk as error:
            return replace(told, why=str(error))

    def _find_gateway(self, name: str | None) -> Gateway:
        """Return the gateway of an entry in the behavior of the server."""
        if name is None:
            raise CannotAsk("it names no gateway")
        registry = self._server.app.registry
        if name not in registry.validators:
            known = describe_known(name, registry.validators)
            raise CannotAsk(f"its gateway {name!r} is unknown; {known}")
        return registry.find_validator(name, self._server.app.settings.behavior).gateway

    def _begin_day(self, entry: RecordedEntry) -> None:
        """Let the models' calendar stand at the day of the recording: models come and go."""
        at = entry.recorded.at
        if at is not None and self._server.app.settings.as_of is None:
            self._server.app.clock.start_calendar(format_iso(at)[:10])

    async def _compare_answers(
        self, told: ComparedCall, recorded: ComparedAnswer, asked: AskedAgain, gateway: Gateway
    ) -> ComparedCall:
        operation, changing = told.operation or "generate", self._find_changing(gateway)
        answer, here, found = await self._ask_best(recorded, asked, gateway, operation)
        told = replace(told, here=here.describe())
        why = find_damage(recorded, here)
        if why is not None:
            return replace(told, why=why)
        if recorded.is_refusal and found:
            circumstance = self._find_circumstance(recorded, gateway, told.model)
            if circumstance is not None and here.is_refusal:
                if circumstance.is_exact:
                    return replace(told, why="it was refused for a reason that is not in the call")
            elif circumstance is not None:
                here = await self._refuse(circumstance, asked, gateway)
                told = replace(told, here=here.describe())
                words = circumstance.words
                found = list(find_differences(recorded, here, operation=operation, words=words, changing=changing.all))
        if answer.error is not None and answer.error.rule is not None:
            rule = f"{answer.error.rule} ({answer.error.source or 'unmarked'})"
            found = [replace(one, rule=rule) if one.kind in _JUDGED else one for one in found]
        if not found:
            self._note_ids(recorded.value, here.value, changing.ids)
        return replace(told, differences=tuple(found))

    async def _ask_best(
        self, recorded: ComparedAnswer, asked: AskedAgain, gateway: Gateway, operation: str
    ) -> tuple[OfflineAnswer, ComparedAnswer, list[AnswerDifference]]:
        """Ask until the answer is as the recorded one, in each language of the gateway; a task goes on as it is asked.

        Return the answer with the fewest differences, and these.
        """
        best: tuple[OfflineAnswer, ComparedAnswer, list[AnswerDifference]] | None = None
        changing = self._find_changing(gateway)
        languages: Sequence[str] = ("",)
        if recorded.is_refusal and len(gateway.languages) > 1:
            languages = gateway.languages
        elif operation == "task":
            languages = ("",) * _MOST_POLLS
        for language in languages:
            answer = await self._server.ask(write_request(asked, gateway, self._session, language))
            here = describe_own(answer)
            words = None
            if here.is_refusal:
                words = make_words(here, answer.request_id)
            found = list(find_differences(recorded, here, operation=operation, words=words, changing=changing.all))
            if best is None or len(found) < len(best[2]):
                best = (answer, here, found)
            if not found:
                break
        assert best is not None
        return best

    def _find_changing(self, gateway: Gateway) -> ChangingMembers:
        """Return the members of a gateway's own layouts that are others in each call."""
        if gateway.name not in self._changing:
            self._changing[gateway.name] = list_changing_members(gateway)
        return self._changing[gateway.name]

    def _find_circumstance(self, recorded: ComparedAnswer, gateway: Gateway, model: str | None) -> Circumstance | None:
        key = (gateway.name, model)
        known = self._circumstances.get(key)
        if known is None:
            registry = self._server.app.registry
            behaviors = [registry.find_validator(gateway.name, behavior).gateway for behavior in BEHAVIORS]
            others = [one.error_catalog for one in behaviors if one is not gateway]
            if len(self._circumstances) >= _MOST_KNOWN:
                self._circumstances.clear()
            known = self._circumstances[key] = Circumstances(gateway.error_catalog, model, others)
        return known.find(recorded)

    async def _refuse(self, circumstance: Circumstance, asked: AskedAgain, gateway: Gateway) -> ComparedAnswer:
        """Return the answer where a scenario brings the circumstance about."""
        kind, case = circumstance.kind, circumstance.case
        session = f"compare-{kind}-{case or ''}".rstrip("-")
        refusal = f"{{kind: {kind}, case: {case}}}" if case else kind
        scenario = loader.parse_scenario(f"rules:\n  - answers: {{refuse: {refusal}}}\n", session)
        await self._server.play(session, scenario)
        return describe_own(await self._server.ask(write_request(asked, gateway, session)))

    def _note_ids(self, recorded: Any, here: Any, names: Collection[str]) -> None:
        """Note which task here is which in the recording; `names` are a gateway's own of members with an id."""
        if isinstance(recorded, Mapping) and isinstance(here, Mapping):
            for name in recorded.keys() & here.keys():
                one, other = recorded[name], here[name]
                is_id = name == "id" or name.endswith("_id") or name in names
                if isinstance(one, str) and isinstance(other, str) and is_id:
                    self._ids[one] = other
                else:
                    self._note_ids(one, other, names)


def _find_text(entry: RecordedEntry, path: str) -> str | None:
    try:
        return entry.find_text(path)
    except CannotAsk:
        return None


def find_damage(recorded: ComparedAnswer, here: ComparedAnswer) -> str | None:
    """Return why a recorded answer cannot be compared: something on its way has damaged it; None where it can be."""
    labels, own = list_labels(recorded.events), list_labels(here.events)
    if labels and labels != own and labels == own[: len(labels)]:
        return "its stream was cut"
    if "," in recorded.content_type:
        return "its Content-Type came twice"
    if any(event.name is not None and isinstance(event.value, str) for event in recorded.events):
        return "an event of its stream is no JSON"
    has_json = recorded.value is not NO_JSON or bool(recorded.events)
    is_page = not has_json and (recorded.status < _FIRST_REDIRECT or recorded.status >= _FIRST_FAILURE)
    if is_page and (here.value is not NO_JSON or here.events):
        return "its answer is no JSON: what has damaged or replaced it is not the gateway's contract"
    return None


def make_words(here: ComparedAnswer, request_id: str) -> OwnWords:
    """Return the words of our own refusal, in whose message any request id may stand."""
    words = here.words
    texts = [str(words.get("message", ""))]
    if request_id:
        texts = texts[0].split(request_id)
    return OwnWords(here.status, words.get("type"), words.get("code"), (MessagePattern(tuple(texts)),))


def write_request(asked: AskedAgain, gateway: Gateway, session: str, language: str = "") -> bytes:
    """Return the whole request that a server is sent."""
    headers = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(asked.body))}
    for credential in gateway.credentials[:1]:
        headers[credential.header] = _KEY if credential.scheme is None else f"Bearer {_KEY}"
    if asked.content_type is not None:
        headers["Content-Type"] = asked.content_type
    if language:
        headers["Accept-Language"] = language
    lines = [f"{asked.method} /s/{session}/{gateway.name}{asked.path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + asked.body


def describe_own(answer: OfflineAnswer) -> ComparedAnswer:
    """Return an answer of our own in the form in which answers are compared."""
    content_type = answer.headers.get("content-type", "")
    value, events = NO_JSON, list[StreamEvent]()
    if content_type.startswith("text/event-stream"):
        events = [StreamEvent(event.name, hide_pictures(event.value)) for event in parse_events(answer.body)]
    elif "json" in content_type:
        value = hide_pictures(parse_json(answer.body))
    return ComparedAnswer(
        status=answer.status,
        content_type=content_type,
        headers=answer.headers,
        value=value,
        events=events,
        pictures=tuple(map(_describe_recipe, answer.pictures)),
        is_empty=not answer.body.strip(),
    )


def _describe_recipe(recipe: ImageRecipe) -> PictureFacts:
    has_alpha = recipe.background == "transparent" and recipe.format != "jpeg"
    return PictureFacts(f"{recipe.width}x{recipe.height}", recipe.format, has_alpha)


_KEY: Final = "sk-compare"
_MOST_POLLS: Final = 4  # a task has ended by then
_FIRST_REDIRECT: Final = 300
_MOST_KNOWN: Final = 100  # models whose refusals are kept, each with some hundred texts
_FIRST_FAILURE: Final = 500
_JUDGED: Final = ("too_strict", "other_words")
