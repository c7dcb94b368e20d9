"""What is kept of a call that has ended: what it refers to already, and nothing that has to be made.

The journal's entry is made of it when somebody reads it: most entries are dropped unread, and to make one takes as long
as to choose an answer. Pictures, uploads and long bodies are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.image.recipe_json import recipe_to_json
from emulator.messages import Call, GatewayError, Request
from emulator.session.journal import CallState, JournalEntry
from emulator.session.redaction import BLANK, Redactor
from emulator.session.response_record import RecordedBody, read_head, record_body, record_kept_body

if TYPE_CHECKING:
    from emulator.image.recipe import ImageRecipe
    from emulator.scenario.engine import NearMiss


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


@dataclass(slots=True)
class EndedCall:
    """One call that has ended, or a picture of one that is under way.

    Its fields are those of JournalEntry, or what they are made of. It is written once, and not changed afterwards; it
    is not frozen, because every call makes one, and to make a frozen one takes four times as long.
    """

    number: int
    session: str
    request_id: str
    gateway: Gateway
    operation: str | None
    key: str | None
    began: float
    duration: float
    request: Request
    call: Call | None
    error: GatewayError | None
    state: CallState
    sent: SentResponse | None
    selected: SelectedAnswer
    findings: Sequence[Finding]
    reserved: Mapping[str, Any] | None
    uploads: Sequence[Mapping[str, Any]]
    unreadable: Mapping[str, Any] | None
    events: int | None
    task: Mapping[str, Any] | None
    pictures: Sequence[ImageRecipe]
    altered: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
    billed: int
    weight: int
    _entry: JournalEntry | None = field(default=None, init=False)

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
        if isinstance(body, dict) and isinstance(body.get("model"), str):
            return str(body["model"])
        return None

    @property
    def entry(self) -> JournalEntry:
        """The journal's entry of the call; it is made when it is first read."""
        if self._entry is None:
            self._entry = self._make_entry()
        return self._entry

    def to_plain(self) -> tuple[Any, ...]:
        """Return the fields of the entry as plain values, as a store on another machine holds them."""
        return self.entry.to_plain()

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
            reserved=self.reserved,
            turn=selected.turn,
            rule=selected.rule,
            step=selected.step,
            misses=_describe_misses(selected.misses),
            latency=selected.latency,
            tries=selected.tries,
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
        )

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


def describe_unreadable_body(request: Request, error: GatewayError | None) -> dict[str, Any] | None:
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


def drop_large_parts(request: Request) -> Request:
    """Return `request` without its uploads, and without a body that would take more room than all the rest."""
    if not request.uploads and len(request.body) <= _LONGEST_BODY:
        return request
    return request._replace(body=b"", uploads=())


def weigh_call(request: Request, misses: int, sent: SentResponse | None) -> int:
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
