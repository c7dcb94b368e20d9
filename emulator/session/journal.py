"""The journal: one frozen entry of plain values for each call, whether it was answered or its client left before.

What `GET …/calls/{n}` shows is what is stored, with every credential redacted. Nothing here refers to a live object of
the server, so that a store on another machine can hold the entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

from emulator.core import clock
from emulator.image.recipe import FORMATS, ImageRecipe
from emulator.image.recipe_json import recipe_from_json
from emulator.image.upload import Examination, Upload
from emulator.messages import Behavior, Call, CallVerdict, ResponseShape, StreamShape
from emulator.session import response_record
from emulator.session.redaction import Redactor

CallState = Literal["under_way", "answered", "client_gone"]
STATES: Final[tuple[CallState, ...]] = ("under_way", "answered", "client_gone")
"""How far a call is: not answered yet, sent as a whole, or its client left before it had the whole answer."""


class JournalEntry(NamedTuple):
    """One call as plain values: texts, numbers, lists, mappings, None.

    It is a NamedTuple and no frozen dataclass, because every call makes one, and a dataclass of so many fields takes
    four times as long to make.

    Seconds: `received` is Unix time of the real clock of the server, `began` and `duration` are on the emulator's
    clock. `key` is the API key, `credential_headers` the names of the headers in which the gateway expects one.
    `behavior` is the gateway's behavior that judged the call, and `faults` are the words of the faults of its answer.
    `params`, `effective`, `size` ([width, height] in pixels) and `streams` describe the accepted call, and are None
    (`streams`: False) for a refused one. `events` is how many events of a stream were made, None where the answer was
    no stream. `pictures` are the fields of recipes, `altered` what a script changed about all of them,
    or a list with that for each.
    `state` is one of STATES, and `bytes_sent` the bytes of the response's body that were sent. `response` has `status`,
    `headers`, `body` and `events` as *response_record* stores them, and is None where nothing was sent. `billed` is for
    how many pictures the call pays, whether its client was there to take them or not. `weight` is about the bytes that
    the entry needs in memory. `verdict` is who has answered, `cost` the dollars that a real gateway took for it.
    `pictures_asked` is how many pictures the accepted call asks for.
    """

    number: int
    session: str
    request_id: str
    gateway: str
    behavior: Behavior
    operation: str | None
    model: str | None
    received: float
    began: float
    duration: float
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    key: str | None
    credential_headers: Sequence[str]
    given: Any
    params: Mapping[str, Any] | None
    effective: Mapping[str, Any] | None
    size: Sequence[int] | None
    streams: bool
    uploads: Sequence[Mapping[str, Any]]
    unreadable: Mapping[str, Any] | None
    refused: Mapping[str, Any] | None
    reserved: Mapping[str, Any] | None
    turn: int | None
    rule: str | None
    step: int | None
    misses: Sequence[Mapping[str, Any]]
    latency: float | None
    tries: Sequence[Mapping[str, Any]]
    faults: Sequence[str]
    findings: Sequence[Mapping[str, Any]]
    state: CallState
    bytes_sent: int
    response: Mapping[str, Any] | None
    events: int | None
    task: Mapping[str, Any] | None
    pictures: Sequence[Mapping[str, Any]]
    altered: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
    billed: int
    weight: int
    verdict: CallVerdict = "drawn"
    cost: float | None = None
    pictures_asked: int = 1

    @property
    def status(self) -> int | None:
        """The HTTP status of the response; None where nothing was sent."""
        if self.response is None:
            return None
        status: int = self.response["status"]
        return status

    @property
    def sent(self) -> bool:
        """Whether the whole answer was sent."""
        return self.state == "answered"

    @property
    def accepted(self) -> bool:
        """Whether the call kept the rules of its gateway."""
        return self.params is not None

    @property
    def recipes(self) -> list[ImageRecipe]:
        """The recipes of the pictures in the response, in their order."""
        return [recipe_from_json(values) for values in self.pictures]

    def rebuild_uploads(self) -> tuple[Upload, ...]:
        """Return the files of the call without their bytes."""
        return tuple(_rebuild_upload(stored) for stored in self.uploads)

    def rebuild_call(self) -> Call:
        """Return the accepted call as far as prices depend on it; ValueError for a refused one."""
        if self.params is None or self.effective is None or self.size is None:
            raise ValueError(f"call {self.number} was refused")
        width, height = self.size
        stream = None
        if self.streams:
            stream = StreamShape({str(self.operation): ""})
        return Call(
            operation=self.operation,  # type: ignore[arg-type]  # an accepted call has one of the known names
            model=self.model,
            given={},
            params=self.params,
            effective=self.effective,
            count=self.billed,
            pixels=(width, height),
            response=ResponseShape(stream=stream),
            findings=(),
            uploads=self.rebuild_uploads(),
        )

    def make_redactor(self) -> Redactor:
        """Return what redacts the texts of this call."""
        return Redactor(self.key, self.headers, self.credential_headers, self.given, self.query)

    def redact(self, text: str) -> str:
        """Return a text about this call redacted, for a line on the console."""
        redacted: str = self.make_redactor().redact_value(text)
        return redacted

    def find_own_prompt(self) -> Any:
        """Return the prompt, redacted, of an accepted call whose gateway has another name for it; None of others."""
        if self.effective is None or self.params is None or "prompt" in self.params:
            return None
        return self.make_redactor().redact_value(self.effective.get("prompt"))

    def to_plain(self) -> tuple[Any, ...]:
        """Return the fields in their order, as a store holds them; their names would double what a store needs."""
        return tuple(self)

    def to_json(self) -> dict[str, Any]:
        """Return the entry as the admin API shows it, every credential redacted."""
        redactor = self.make_redactor()
        redact = redactor.redact_value
        unreadable = self.unreadable
        if unreadable is not None:
            unreadable = {**unreadable, "beginning": redactor.redact_text(unreadable["beginning"])}
        return {
            "number": self.number,
            "time": clock.format_iso(self.began),
            "session": self.session,
            "request_id": self.request_id,
            "gateway": self.gateway,
            "behavior": self.behavior,
            "operation": self.operation,
            "model": redact(self.model),
            "method": self.method,
            "path": redactor.redact_text(self.path),
            "query": redactor.redact_text(self.query),
            "headers": redactor.redact_headers(self.headers),
            "given": redact(self.given),
            "params": redact(self.params),
            "uploads": [{name: redact(value) for name, value in upload.items()} for upload in self.uploads],
            "unreadable": unreadable,
            "refused": redact(self.refused),
            "reserved": redact(self.reserved),
            "turn": self.turn,
            "rule": self.rule,
            "step": self.step,
            "misses": [_render_miss(redactor, miss) for miss in self.misses],
            "latency": self.latency,
            "tries": list(self.tries),
            "faults": list(self.faults),
            "state": self.state,
            "status": self.status,
            "sent": self.sent,
            "bytes_sent": self.bytes_sent,
            "events": self.events,
            "task": self.task,
            "duration": round(self.duration, 6),
            "verdict": self.verdict,
            "cost": self.cost,
            "pictures": [_render_picture(recipe, self.altered) for recipe in self.recipes],
            "findings": [{name: redact(value) for name, value in finding.items()} for finding in self.findings],
            "response": self._render_response(redactor),
        }

    def _render_response(self, redactor: Redactor) -> dict[str, Any] | None:
        if self.response is None:
            return None
        headers = dict(self.response["headers"])
        events = self.response["events"]
        if events is not None:
            events = redactor.redact_answer(response_record.read_events(events))
        content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
        body = response_record.read_body(self.response["body"], content_type)
        return {
            "status": self.status,
            "headers": redactor.redact_headers(headers),
            "body": redactor.redact_answer(body),
            "events": events,
        }


def entry_from_plain(values: Iterable[Any]) -> JournalEntry:
    """Return the entry that `to_plain` made these values of."""
    return JournalEntry._make(values)


def _rebuild_upload(stored: Mapping[str, Any]) -> Upload:
    examination = Examination(
        sha256=stored["sha256"],
        bytes=stored["bytes"],
        format=stored["format"],
        width=stored["width"],
        height=stored["height"],
        alpha_share=stored["alpha_share"],
    )
    return Upload(
        name=stored["name"],
        filename=stored["filename"],
        media_type=stored["media_type"] or "",
        data=b"",
        examination=examination,
    )


def _render_miss(redactor: Redactor, miss: Mapping[str, Any]) -> dict[str, Any]:
    why, differences = [], []
    for field, expected, came in miss["why"]:
        shown = redactor.redact_member(field.rpartition(".")[2], came)
        why.append(redactor.redact_value(f"{field}: expected {expected}, came {shown}"))
        differences.append(redactor.redact_value({"field": field, "expected": str(expected), "came": str(shown)}))
    return {"rule": miss["rule"], "why": why, "differences": differences}


def _render_picture(
    recipe: ImageRecipe, altered: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None
) -> dict[str, Any]:
    if isinstance(altered, Sequence):
        altered = altered[recipe.index]
    return {
        "recipe": recipe.digest,
        "width": recipe.width,
        "height": recipe.height,
        "format": recipe.format,
        "file": f"{recipe.digest}.{FORMATS[recipe.served_as]}",
        "index": recipe.index,
        "prompt_hash": recipe.prompt_hash,
        "altered": altered,
    }
