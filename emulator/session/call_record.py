"""A call while it is answered, and what is kept of it afterwards.

The journal's entry of a call is made when somebody reads it: most entries are dropped unread, and to make one takes as
long as to choose an answer. So a call that has ended keeps what it refers to already, but for pictures, uploads, long
bodies and the scenario.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote
from emulator.faults import name_fault
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.gateway.parameter_names import MODEL, find_texts
from emulator.image.recipe_json import recipe_to_json
from emulator.messages import Call, CallVerdict, GatewayError, PictureWeight, Request, Response
from emulator.scenario.engine import UNSCRIPTED, NearMiss, Selection, count_made_pictures
from emulator.session.journal import CallState, JournalEntry
from emulator.session.redaction import BLANK, Redactor
from emulator.session.response_record import RecordedBody, read_head, record_body, record_kept_body

if TYPE_CHECKING:
    from emulator.image.recipe import ImageRecipe
    from emulator.scenario.reserved_values import ReservedValue


class SentResponse(NamedTuple):
    """What was sent to the client: `complete` tells whether it took all of it.

    `headers` are those that were sent, or the text of the head that has them. `body` and `events` ([offset in seconds,
    text], None where the answer was no stream) are as *response_record* stores them; a short body may be its bytes.
    `bytes` are those of the body that were sent.
    """

    status: int
    headers: Mapping[str, str] | str
    body: RecordedBody | bytes
    events: list[list[Any]] | None
    complete: bool
    bytes: int


class SelectedAnswer(NamedTuple):
    """How the answer was selected: the fields of a Selection that the journal shows, without the answer itself."""

    turn: int | None = None
    rule: str | None = None
    step: int | None = None
    misses: Sequence[NearMiss] = ()
    latency: float | None = None
    tries: Sequence[Mapping[str, Any]] = ()
    faults: Sequence[str] = ()


_UNSELECTED: Final = SelectedAnswer()
_UNSCRIPTED: Final = SelectedAnswer(turn=UNSCRIPTED.turn)


@dataclass(slots=True)
class CallRecord:
    """One call; what is not known yet is None.

    `began` is Unix seconds on the session's clock, `duration` the seconds on it until the call ended. `events` counts
    the events of a stream that were made. `further_findings` are those of the server about the call as a whole.
    `forgotten` tells that the session was reset or forgotten meanwhile, so that its journal has no place for the call.
    `picture_weight` counts where the answer does not say how heavy a picture is. `is_usual` tells that nothing but the
    rules of its gateway decides whether it is accepted: no setting of its session, no reserved value, no calendar.
    `verdict` is who answers, and `cost` the dollars that a real gateway takes for it.

    `selection` and `response` are there until the call ends, the fields behind them from then on. `billed` is for how
    many pictures the call pays, `weight` about how many bytes of memory it needs with its entry.
    """

    number: int
    session: str
    request_id: str
    request: Request
    key: str | None
    began: float
    gateway: Gateway
    operation: str | None = None
    reserved_value: ReservedValue | None = None
    call: Call | None = None
    error: GatewayError | None = None
    picture_weight: PictureWeight = "small"
    verdict: CallVerdict = "drawn"
    cost: float | None = None
    events: int | None = field(default=None, init=False)
    further_findings: tuple[Finding, ...] = field(default=(), init=False)
    forgotten: bool = field(default=False, init=False)
    is_usual: bool = field(default=False, init=False)
    _describe_sent: Callable[[], SentResponse | None] | None = field(default=None, init=False)
    selection: Selection | None = None
    response: Response | None = None
    state: CallState = field(default="under_way", init=False)
    sent: SentResponse | None = field(default=None, init=False)
    duration: float = field(default=0.0, init=False)
    selected: SelectedAnswer = field(default=_UNSELECTED, init=False)
    uploads: Sequence[Mapping[str, Any]] = field(default=(), init=False)
    unreadable: Mapping[str, Any] | None = field(default=None, init=False)
    task: Mapping[str, Any] | None = field(default=None, init=False)
    pictures: tuple[ImageRecipe, ...] = field(default=(), init=False)
    altered: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = field(default=None, init=False)
    billed: int = field(default=0, init=False)
    weight: int = field(default=0, init=False)
    _findings: tuple[Finding, ...] | None = field(default=None, init=False)
    _entry: JournalEntry | None = field(default=None, init=False)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed, whether the call was accepted or refused."""
        if self._findings is not None:
            return self._findings
        found: tuple[Finding, ...] = ()
        if self.call is not None:
            found = self.call.findings
        elif self.error is not None:
            found = self.error.findings
        if self.selection is not None:
            found += self.selection.findings
        if self.response is not None:
            found += self.response.findings
        return found + self.further_findings

    @property
    def status(self) -> int | None:
        """The HTTP status of the response; None where nothing was sent."""
        if self.sent is None:
            return None
        return self.sent.status

    @property
    def model(self) -> str | None:
        """The model that answers, or whose rules refused the call, or else the one that the body names."""
        if self.call is not None:
            return self.call.model
        if self.error is not None and self.error.model:
            return self.error.model
        body = self.request.json
        if isinstance(body, dict):
            return next((name for _, name in find_texts(body, MODEL, self.gateway.own_names)), None)
        return None

    def redact(self, text: str) -> str:
        """Return a text about this call with every credential redacted."""
        redacted: str = self._make_redactor().redact_value(text)
        return redacted

    def _make_redactor(self) -> Redactor:
        request = self.request
        return Redactor(self.key, request.headers, self.gateway.credential_headers, request.json, request.query)

    @property
    def entry(self) -> JournalEntry:
        """The journal's entry of a call that has ended; it is made when it is first read."""
        if self._entry is None:
            self._entry = self._make_entry()
        return self._entry

    def to_plain(self) -> tuple[Any, ...]:
        """Return the fields of the entry as plain values, as a store on another machine holds them."""
        return self.entry.to_plain()

    def renumber(self, number: int) -> None:
        """Give the call another number, also in its entry; its request id, which its client has, stays."""
        self.number = number
        if self._entry is not None:
            self._entry = self._entry._replace(number=number)

    def note_selection(self, selection: Selection) -> None:
        """Note the answer for which the call waits."""
        self.selection = selection

    def note_sending(self, describe: Callable[[], SentResponse | None]) -> None:
        """Note the function that returns what was sent of the response so far."""
        self._describe_sent = describe

    @property
    def sent_so_far(self) -> SentResponse | None:
        """What was sent of the response so far, where it takes its time; None where nothing was."""
        if self._describe_sent is None:
            return None
        return self._describe_sent()

    def count_events(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Return the same frames, each counted when it is made; closing the result closes `frames` too."""
        self.events = 0
        return self._count(frames)

    async def _count(self, frames: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        async with aclosing(frames):
            async for frame in frames:
                self.events = (self.events or 0) + 1
                yield frame

    def end(self, state: CallState, sent: SentResponse | None, duration: float) -> None:
        """Note how the call has ended, after `duration` seconds, and drop what is not kept of it.

        `sent` is None where nothing was sent.
        """
        request, error, response = self.request, self.error, self.response
        self.state, self.sent, self.duration = state, sent, duration
        self.billed = self._count_billed_pictures()
        self._findings = self.findings
        if request.trouble is not None or request.json is None:
            self.unreadable = _describe_unreadable_body(request, error)
        if request.uploads:
            self.uploads = tuple(upload.describe() for upload in request.uploads)
        if self.selection is not None:
            self.selected = _describe_selection(self.selection)
        self.weight = _weigh_call(request, len(self.selected.misses), sent)
        if response is not None:
            self.task, self.pictures, self.altered = response.task, response.pictures, response.altered
        if error is not None:  # what its raising has tied to it would keep the call's frames
            error.__traceback__ = error.__context__ = error.__cause__ = None
        if self.call is not None and self.call.uploads:
            self.call = replace(self.call, uploads=())
        if request.uploads or len(request.body) > _LONGEST_BODY:
            self.request = request._replace(body=b"", uploads=())
        self.selection = self.response = self._describe_sent = None

    def correct(self, state: CallState, sent: SentResponse | None) -> None:
        """Note how a call has really ended that was thought to end otherwise."""
        self.state, self.sent, self._entry = state, sent, None

    def describe_under_way(self, duration: float) -> JournalEntry:
        """Return the entry of a call that has been under way for `duration` seconds, as far as it is now."""
        described = copy.copy(self)
        described.end("under_way", self.sent_so_far, duration)
        return described.entry

    def _count_billed_pictures(self) -> int:
        """Return for how many pictures the call pays: those of its response, or those that it would have got.

        A gateway that draws for a client does not stop when the client leaves. A task is paid by the call that began
        it, and not by those that ask for it.
        """
        call, response = self.call, self.response
        if call is None or call.operation == "task":
            return 0
        if response is not None and not call.deferred:
            return len(response.pictures)
        if self.selection is None or self.error is not None:
            return 0
        return count_made_pictures(self.selection.answer.plan, call)

    def _describe_reserved_value(self) -> dict[str, Any] | None:
        if self.reserved_value is None:
            return None
        return {"door": self.reserved_value.door, "value": self.reserved_value.value}

    def _make_entry(self) -> JournalEntry:
        request, call, sent, selected = self.request, self.call, self.sent, self.selected
        refused, body = None, None
        if sent is not None:
            body = record_kept_body(sent.body, self.pictures)
        if self.error is not None:
            refused, body = self._describe_refusal(self.error, body)
        return JournalEntry(
            number=self.number,
            session=self.session,
            request_id=self.request_id,
            gateway=self.gateway.name,
            behavior=self.gateway.behavior,
            operation=self.operation,
            model=self.model,
            received=request.received,
            began=self.began,
            duration=self.duration,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=dict(request.headers.items()),
            key=self.key,
            credential_headers=self.gateway.credential_headers,
            given=request.json,
            params=None if call is None else call.params,
            effective=None if call is None else call.effective,
            size=None if call is None else call.pixels,
            streams=call is not None and call.streams,
            uploads=self.uploads,
            unreadable=self.unreadable,
            refused=refused,
            reserved=self._describe_reserved_value(),
            turn=selected.turn,
            rule=selected.rule,
            step=selected.step,
            misses=_describe_misses(selected.misses),
            latency=selected.latency,
            tries=selected.tries,
            faults=selected.faults,
            findings=_describe_findings(self.findings),
            state=self.state,
            bytes_sent=0 if sent is None else sent.bytes,
            response=None if sent is None else _describe_response(sent, body),
            events=self.events,
            task=self.task,
            pictures=tuple(map(recipe_to_json, self.pictures)),
            altered=self.altered,
            billed=self.billed,
            weight=self.weight,
            verdict=self.verdict,
            cost=self.cost,
            pictures_asked=1 if call is None else call.count,
        )

    def _describe_refusal(self, error: GatewayError, body: RecordedBody) -> tuple[dict[str, Any], RecordedBody]:
        """Return why the call was refused, and the body of the response to keep.

        The message is made again from redacted facts, and so is a body that shows a credential: a key that the message
        cuts short could not be found in it.
        """
        gateway, request_id = self.gateway, self.request_id
        request = self.request
        redactor = self._make_redactor()
        value, param = redactor.redact_member(error.param, error.value), redactor.redact_value(error.param)
        path = request.path
        if "path" in error.facts:
            path = redactor.redact_value(path)
        redacted_error = error
        came = (error.value, error.param, request.path)
        shows_credential = (value, param, path) != came or "key" in error.facts
        if shows_credential:
            facts = dict(error.facts)
            if error.value is not None:
                redacted = {"value": quote(value), "path": path}
                if facts.get("model") == str(error.value)[:200]:
                    redacted["model"] = str(value)[:200]
                facts.update({name: text for name, text in redacted.items() if name in facts})
            if "key" in facts:
                facts["key"] = BLANK
            redacted_error = replace(error, param=param, facts=facts)
        language = gateway.choose_language(request.headers)
        message = gateway.error_catalog.format_message(redacted_error, language=language, request_id=request_id)
        if shows_credential and isinstance(body, str):
            rendered = gateway.render(redacted_error, language=language, request_id=request_id)
            body = record_body(b"".join(rendered.body), ())
        description = {
            "kind": error.kind,
            "breach": error.violation,
            "param": param,
            "code": gateway.error_catalog.find_code(error),
            "value": value,
            "rule": error.rule,
            "source": error.source,
            "message": message,
        }
        return description, body


def _describe_selection(selection: Selection) -> SelectedAnswer:
    if selection is UNSCRIPTED:
        return _UNSCRIPTED
    tries = [{"rule": one.rule, "step": one.step, "latency": one.latency} for one in selection.tries]
    return SelectedAnswer(
        turn=selection.turn,
        rule=selection.rule,
        step=selection.step,
        misses=selection.misses,
        latency=selection.latency,
        tries=tries,
        faults=tuple(map(name_fault, selection.answer.faults)),
    )


def _describe_unreadable_body(request: Request, error: GatewayError | None) -> dict[str, Any] | None:
    """Return why a body is no JSON, its length in bytes, and its beginning; None for one that is, or for none."""
    if request.trouble is None and (request.json is not None or not request.body):
        return None
    why = request.trouble
    if why is None and error is not None:
        why = error.violation
    length: int | None = len(request.body) or None
    declared = request.headers.get("Content-Length", "")
    if declared.isdecimal():
        # Of a broken form only the beginning is kept; of a compressed body more than was sent.
        length = max(len(request.body), int(declared))
    beginning = request.body[:_BEGINNING].decode("utf-8", "backslashreplace")
    return {"why": why, "length": length, "beginning": beginning}


def _weigh_call(request: Request, misses: int, sent: SentResponse | None) -> int:
    """Return about how many bytes of memory a call needs, its entry included."""
    weight = _OWN_WEIGHT + len(request.path) + len(request.query) + misses * _OF_MISS
    weight += _PARSED * _count_body_bytes(request)
    weight += _NAME * len(request.headers) + sum(map(len, request.headers.values()))
    if sent is None:
        return weight
    if isinstance(sent.body, str | bytes):
        weight += len(sent.body)
    if sent.events is not None:
        weight += sum(len(text) for _, text in sent.events)
    return weight


def _count_body_bytes(request: Request) -> int:
    """Return about how many bytes of the request's body are kept; of a form, its texts are."""
    if request.body or not isinstance(request.json, Mapping):
        return len(request.body)
    return sum(len(str(value)) for value in request.json.values())


def _describe_response(sent: SentResponse, body: RecordedBody) -> dict[str, Any]:
    headers = sent.headers
    if isinstance(headers, str):
        headers = read_head(headers)
    return {"status": sent.status, "headers": headers, "body": body, "events": sent.events}


def _describe_findings(findings: Sequence[Finding]) -> Sequence[dict[str, Any]]:
    if not findings:
        return ()
    return [{"code": one.code, "message": one.message, "param": one.param} for one in findings]


def _describe_misses(misses: Sequence[NearMiss]) -> Sequence[dict[str, Any]]:
    """Return the rules that did not answer, each with its differences as [field, expected, came]."""
    if not misses:
        return ()
    return [{"rule": miss.rule, "why": [[one.field, one.expected, one.came] for one in miss.why]} for miss in misses]


_OWN_WEIGHT: Final = 4000  # bytes of an entry with its parameters and recipes
_OF_MISS: Final = 1000  # bytes of a rule that did not answer, with the texts of its differences
_NAME: Final = 30  # bytes of a header's name; the longest usual ones have as many
_PARSED: Final = 7  # bytes in memory for a byte of body: itself, its text, and Python's own objects for it
_LONGEST_BODY: Final = 4096  # bytes; to keep a shorter one takes less than to copy the request without it
_BEGINNING: Final = 2000  # bytes of an unreadable body
