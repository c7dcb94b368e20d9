"""A call while it is answered: what the server knows of it so far, live and mutable.

When the response has been sent, or the client has left, `make_entry` makes the frozen JournalEntry of it; nothing else
of the call remains. Before that it makes the entry of a call that is under way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.image.recipe_json import recipe_to_json
from emulator.messages import Call, GatewayError, PictureWeight, Request, Response
from emulator.scenario.engine import Selection, count_made_pictures
from emulator.session.journal import CallState, JournalEntry
from emulator.session.redaction import BLANK, Redactor
from emulator.session.response_record import RecordedBody, record_body

if TYPE_CHECKING:
    from emulator.scenario.reserved_values import ReservedValue


class SentResponse(NamedTuple):
    """What was sent to the client: `complete` tells whether it took all of it.

    `body` and `events` ([offset in seconds, text], None where the answer was no stream) are as *response_record* stores
    them. `bytes` are those of the body that were sent.
    """

    status: int
    headers: Mapping[str, str]
    body: RecordedBody
    events: list[list[Any]] | None
    complete: bool
    bytes: int


@dataclass(slots=True)
class PendingCall:
    """One call under way; what is not known yet is None.

    `began` is Unix seconds on the session's clock. `events` counts the events of a stream that were made.
    `further_findings` are those of the server about the call as a whole. `forgotten`
    tells that the session was reset or forgotten meanwhile, so that its journal has no place for the call.
    `picture_weight` counts where the answer does not say how heavy a picture is.
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
    selection: Selection | None = None
    error: GatewayError | None = None
    response: Response | None = None
    picture_weight: PictureWeight = "small"
    events: int | None = field(default=None, init=False)
    further_findings: tuple[Finding, ...] = field(default=(), init=False)
    forgotten: bool = field(default=False, init=False)
    _describe_sent: Callable[[], SentResponse | None] | None = field(default=None, init=False)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was noticed, whether the call was accepted or refused."""
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
    def model(self) -> str | None:
        """The model that answers, or whose rules refused the call, or else the one that the body names."""
        if self.call is not None:
            return self.call.model
        if self.error is not None and self.error.model:
            return self.error.model
        body = self.request.json
        if isinstance(body, dict) and isinstance(body.get("model"), str):
            return str(body["model"])
        return None

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

    def make_entry(self, state: CallState, sent: SentResponse | None, duration: float) -> JournalEntry:
        """Return the journal's entry of the call, which has taken `duration` seconds on the session's clock.

        `sent` is None where nothing was sent.
        """
        request, call, selection, response = self.request, self.call, self.selection, self.response
        headers = dict(request.headers.items())
        refused, body = None, None
        if sent is not None:
            body = sent.body
        if self.error is not None:
            refused, body = self._describe_refusal(self.error, body)
        misses = () if selection is None else _describe_misses(selection)
        return JournalEntry(
            number=self.number,
            session=self.session,
            request_id=self.request_id,
            gateway=self.gateway.name,
            operation=self.operation,
            model=self.model,
            received=request.received,
            began=self.began,
            duration=duration,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=headers,
            key=self.key,
            credential_headers=self.gateway.credential_headers,
            given=request.json,
            params=None if call is None else call.params,
            effective=None if call is None else call.effective,
            size=None if call is None else call.pixels,
            streams=call is not None and call.streams,
            uploads=tuple(upload.describe() for upload in request.uploads) if request.uploads else (),
            unreadable=self._describe_unreadable_body(),
            refused=refused,
            reserved=self._describe_reserved_value(),
            turn=None if selection is None else selection.turn,
            rule=None if selection is None else selection.rule,
            step=None if selection is None else selection.step,
            misses=misses,
            latency=None if selection is None else selection.latency,
            tries=() if selection is None else _describe_tries(selection),
            findings=_describe_findings(self.findings),
            state=state,
            bytes_sent=0 if sent is None else sent.bytes,
            response=None if sent is None else _describe_response(sent, body),
            events=self.events,
            task=None if response is None else response.task,
            pictures=() if response is None else tuple(map(recipe_to_json, response.pictures)),
            altered=None if response is None else response.altered,
            billed=self._count_billed_pictures(),
            weight=_weigh(request, headers, misses, sent),
        )

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

    def _describe_unreadable_body(self) -> dict[str, Any] | None:
        """Return why a body is no JSON, its length in bytes, and its beginning; None for one that is, or for none."""
        request = self.request
        if request.trouble is None and (request.json is not None or not request.body):
            return None
        why = request.trouble
        if why is None and self.error is not None:
            why = self.error.violation
        length: int | None = len(request.body) or None
        declared = request.headers.get("Content-Length", "")
        if declared.isdecimal():
            # Of a broken form only the beginning is kept; of a compressed body more than was sent.
            length = max(len(request.body), int(declared))
        beginning = request.body[:_BEGINNING].decode("utf-8", "backslashreplace")
        return {"why": why, "length": length, "beginning": beginning}

    def _describe_refusal(self, error: GatewayError, body: RecordedBody) -> tuple[dict[str, Any], RecordedBody]:
        """Return why the call was refused, and the body of the response to keep.

        The message is made again from redacted facts, and so is a body that shows a credential: a key that the message
        cuts short could not be found in it.
        """
        gateway, request_id = self.gateway, self.request_id
        request = self.request
        redactor = Redactor(self.key, request.headers, gateway.credential_headers, request.json, request.query)
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

    def _describe_reserved_value(self) -> dict[str, Any] | None:
        if self.reserved_value is None:
            return None
        return {"door": self.reserved_value.door, "value": self.reserved_value.value}


def _describe_response(sent: SentResponse, body: RecordedBody) -> dict[str, Any]:
    return {"status": sent.status, "headers": sent.headers, "body": body, "events": sent.events}


def _describe_findings(findings: Sequence[Finding]) -> Sequence[dict[str, Any]]:
    if not findings:
        return ()
    return [{"code": one.code, "message": one.message, "param": one.param} for one in findings]


def _describe_misses(selection: Selection) -> Sequence[dict[str, Any]]:
    """Return the rules that did not answer, each with its differences as [field, expected, came]."""
    if not selection.misses:
        return ()
    return [
        {"rule": miss.rule, "why": [[one.field, one.expected, one.came] for one in miss.why]}
        for miss in selection.misses
    ]


def _describe_tries(selection: Selection) -> Sequence[dict[str, Any]]:
    if not selection.tries:
        return ()
    return [{"rule": one.rule, "step": one.step, "latency": one.latency} for one in selection.tries]


def _weigh(
    request: Request, headers: Mapping[str, str], misses: Sequence[Mapping[str, Any]], sent: SentResponse | None
) -> int:
    """Return about how many bytes of memory the entry needs."""
    weight = _OWN_WEIGHT + len(request.path) + len(request.query) + _PARSED * _count_body_bytes(request)
    weight += sum(map(len, headers)) + sum(map(len, headers.values()))
    for miss in misses:
        weight += _OF_MISS + sum(len(text) for difference in miss["why"] for text in difference)
    if sent is None:
        return weight
    if isinstance(sent.body, str):
        weight += len(sent.body)
    for _, text in sent.events or ():
        weight += len(text)
    return weight


def _count_body_bytes(request: Request) -> int:
    """Return about how many bytes of the request's body are kept; of a form, its texts are."""
    if request.body or not isinstance(request.json, Mapping):
        return len(request.body)
    return sum(len(str(value)) for value in request.json.values())


_OWN_WEIGHT: Final = 4000  # bytes of an entry with its parameters and recipes
_OF_MISS: Final = 500  # bytes of a rule that did not answer, beside the texts of its differences
_PARSED: Final = 6  # bytes in memory for a byte of body: the text itself, and Python's own objects for it
_BEGINNING: Final = 2000  # bytes of an unreadable body
