"""What a server reports about a call, as read-only objects with typed attributes.

Every class here is public: `emulator` exports it. That is also the module that the classes name as theirs, so that
error messages and help show the name that users import.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

from emulator.core.light_dataclass import dataclass

_Record = TypeVar("_Record", bound="RecordedValue")


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False)
class RecordedValue:
    """A part of a server's report, with the attributes that its class declares. It cannot be changed.

    Two parts of one type are equal if the server reported the same. This is no dataclass, because to make a dataclass
    of each class here takes 10 ms at import (measured), which each start of the fixture would pay. Type checkers treat
    it as one.

    >>> refused = image_api.calls[1].refused
    >>> refused == image_api.calls[1].refused
    True
    >>> refused.kind = "quota"
    Traceback (most recent call last):
    ...
    AttributeError: cannot assign to 'kind': what a server reported cannot be changed
    """

    __module__ = "emulator"

    _attributes: ClassVar[tuple[str, ...]] = ()
    _report: Mapping[str, Any]

    def __init_subclass__(cls) -> None:
        cls._attributes = tuple(cls.__annotations__)

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members, _report=members)

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> Self:
        """The object for a JSON object of the admin API; an attribute that the server does not report is None.

        >>> from emulator import RecordedFinding
        >>> RecordedFinding.from_json({"code": "duplicate_key", "message": "'n' is given twice"}).code
        'duplicate_key'
        """
        members = {name: report.get(name) for name in cls._attributes}
        record = cls(**cls._convert_members(members))
        record.__dict__["_report"] = report
        return record

    @classmethod
    def _convert_members(cls, members: dict[str, Any]) -> dict[str, Any]:
        """`members` with each inner JSON object as a record; a class that has inner records overrides this."""
        return members

    def as_dict(self) -> dict[str, Any]:
        """All that the server reported, also what has no attribute here, as JSON has it.

        >>> image_api.calls[1].refused.as_dict()["breach"]
        'above_maximum'
        """
        return dict(self._report)

    if not TYPE_CHECKING:  # a type checker finds a misspelled attribute, and an assignment, itself

        def __getattr__(self, name: str) -> Any:
            """Say which attributes there are; Python calls this only for an unknown one."""
            from emulator.core.suggestions import describe_unknown

            if name.startswith("_"):
                raise AttributeError(name)
            others = [one for one in dir(type(self)) if not one.startswith("_") and one not in self._attributes]
            known = [*self._attributes, *others]
            raise AttributeError(describe_unknown(f"attribute of {type(self).__name__}", name, known))

        def __setattr__(self, name: str, value: Any) -> None:
            raise AttributeError(f"cannot assign to {name!r}: what a server reported cannot be changed")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RecordedValue) and type(other) is type(self) and self._report == other._report

    def __hash__(self) -> int:
        return hash(repr(sorted(self._report.items(), key=repr)))

    def __repr__(self) -> str:
        members = " ".join(f"{name}={getattr(self, name)!r}" for name in self._attributes)
        return f"<{type(self).__name__} {members}>"


class RecordedFinding(RecordedValue):
    """Something that the emulator noticed about a call: `image-api-emulator explain CODE` explains its `code`.

    `param` is the parameter that it is about, None where it is about none.

    >>> image_api.calls[0].findings[0].code
    'unknown_parameter'
    """

    __module__ = "emulator"

    code: str
    message: str
    param: str | None


class RecordedRefusal(RecordedValue):
    """Why a gateway refuses a call: the `kind` of refusal, and for an invalid request the finer `breach`.

    `message` and `code` are what the client gets; `value` is the value of the parameter `param`. `rule` is the line of
    the gateway's file that the call breaks, and `source` is documented, observed or assumed: where that line comes
    from. All but `kind` and `message` can be None.

    >>> refused = image_api.calls[1].refused
    >>> refused.breach, refused.param, refused.value, refused.rule
    ('above_maximum', 'n', 2, 'maximum: 1')
    """

    __module__ = "emulator"

    kind: str
    breach: str | None
    param: str | None
    code: str | None
    value: Any
    rule: str | None
    source: str | None
    message: str


class RecordedPicture(RecordedValue):
    """A picture of an answer: `index` counts from 0, `width` and `height` are pixels, `format` is png, jpeg or webp.

    `recipe` is the digest in the file's label, `file` the file's name in the picture's URL, `prompt_hash` the first 16
    hex digits of the prompt's SHA-256. `altered` is what the scenario changes about the pictures, in its own words.

    >>> picture = image_api.calls[0].pictures[0]
    >>> picture.index, picture.size, picture.format
    (0, '1024x1024', 'png')
    """

    __module__ = "emulator"

    index: int
    width: int
    height: int
    format: str
    recipe: str
    file: str
    prompt_hash: str
    altered: dict[str, Any] | None

    @property
    def size(self) -> str:
        """Width and height in pixels, such as 1024x1024."""
        return f"{self.width}x{self.height}"


class RecordedUpload(RecordedValue):
    """A file that came with a call: `name` is the parameter as the client wrote it, `bytes` the length of the file.

    `filename` and `media_type` (in lower case) are what the client calls the file, None where it does not.
    `format`, `width` and `height` (pixels) are None for a file that is no picture. `alpha_share` is the share of fully
    transparent pixels, 0 to 1, and None for a picture without transparency.

    >>> from emulator import RecordedUpload
    >>> upload = RecordedUpload.from_json({"name": "image[]", "format": "png", "width": 640, "height": 480})
    >>> upload.name, upload.format, upload.size
    ('image[]', 'png', '640x480')
    """

    __module__ = "emulator"

    name: str
    filename: str | None
    media_type: str | None
    sha256: str
    format: str | None
    width: int | None
    height: int | None
    alpha_share: float | None
    bytes: int

    @property
    def size(self) -> str | None:
        """Width and height in pixels, such as 1024x1024; None for a file that is no picture."""
        if self.width is None or self.height is None:
            return None
        return f"{self.width}x{self.height}"


class RecordedMiss(RecordedValue):
    """A rule of the scenario that did not answer a call; `why` has a line for each difference.

    >>> from emulator import RecordedMiss
    >>> RecordedMiss.from_json({"rule": "cats", "why": ['prompt: expected "A cat", came "A dog"']}).rule
    'cats'
    """

    __module__ = "emulator"

    rule: str
    why: list[str]


class RecordedTry(RecordedValue):
    """An answer of the scenario that the gateway took itself and tried again; `latency` is seconds.

    >>> from emulator import RecordedTry
    >>> RecordedTry.from_json({"rule": "flaky", "step": 1, "latency": 0.5}).step
    1
    """

    __module__ = "emulator"

    rule: str | None
    step: int | None
    latency: float | None


class RecordedEvent(RecordedValue):
    """An event of a streamed answer: `offset` is seconds since the call began, `event` its name, `data` its JSON.

    >>> from emulator import RecordedEvent
    >>> RecordedEvent.from_json({"offset": 0.5, "event": "image_generation.completed", "data": {}}).offset
    0.5
    """

    __module__ = "emulator"

    offset: float
    event: str | None
    data: Any


class RecordedResponse(RecordedValue):
    """What the client got. In the place of a picture's Base64 are its digest, format, size and length.

    `body` is JSON, or a text that is no JSON, and None for a stream, whose `events` these are.

    >>> response = image_api.calls[1].response
    >>> response.status, response.body["error"]["code"], response.events
    (400, 'integer_above_max_value', None)
    """

    __module__ = "emulator"

    status: int
    headers: dict[str, str]
    body: Any
    events: tuple[RecordedEvent, ...] | None

    @classmethod
    def _convert_members(cls, members: dict[str, Any]) -> dict[str, Any]:
        if members["events"] is None:
            return members
        return {**members, "events": _convert_list(RecordedEvent, members["events"])}


class RecordedCall(RecordedValue):
    """A call as the journal has it. Keys are replaced by `***` wherever they stand.

    - `number` counts the session's calls from 1, `time` is ISO 8601 in UTC, `duration` and `latency` are seconds.
    - `given` is the body as it came, and `params` the parameters with defaults and aliases resolved, None for a call
      that was refused. `unreadable` says what is known of a body that is no JSON.
    - `reserved` is the reserved value of the call, `turn` the call's number for the scenario, `rule` the rule that
      answered, `step` which of its answers, `misses` why the rules above it did not answer, `tries` the answers that
      the gateway took itself, `faults` the words of the answer's faults.
    - `behavior` is the one of the gateway that judged the call, documented or observed.
    - `state` is under_way, answered or client_gone: the client left before it had the whole answer. `status` and
      `response`, what the client got, are None where nothing was sent; `bytes_sent` counts the bytes of the body.
      `sent` tells whether the whole answer was sent, `events` is how many events of a stream were sent, `task` what the
      answer says about a task.
    - `verdict` is who has answered: the emulator itself (drawn), a recording (replayed), or a real gateway, whose
      answer was recorded or only passed back (forwarded); a call that the recording does not have is missed. `cost` is
      the dollars that a real gateway took.
    - `refused` is why the call was refused, by the gateway's rules or by the scenario, None for one that was answered.

    >>> call = image_api.calls.latest
    >>> call
    <call 2: ezmodel generate dall-e-3 400 refused: above_maximum n>
    >>> call.number, call.given["n"], call.params, call.status
    (2, 2, None, 400)
    """

    __module__ = "emulator"

    number: int
    time: str
    session: str
    request_id: str
    gateway: str
    behavior: str
    operation: str | None
    model: str | None
    method: str
    path: str
    query: str
    headers: dict[str, str]
    given: Any
    params: dict[str, Any] | None
    uploads: tuple[RecordedUpload, ...]
    unreadable: dict[str, Any] | None
    refused: RecordedRefusal | None
    reserved: dict[str, str] | None
    turn: int | None
    rule: str | None
    step: int | None
    misses: tuple[RecordedMiss, ...]
    latency: float | None
    tries: tuple[RecordedTry, ...]
    faults: list[str]
    state: Literal["under_way", "answered", "client_gone"]
    status: int | None
    sent: bool
    bytes_sent: int
    events: int | None
    task: dict[str, Any] | None
    duration: float | None
    verdict: Literal["drawn", "replayed", "recorded", "forwarded", "missed"]
    cost: float | None
    pictures: tuple[RecordedPicture, ...]
    findings: tuple[RecordedFinding, ...]
    response: RecordedResponse | None

    @classmethod
    def _convert_members(cls, members: dict[str, Any]) -> dict[str, Any]:
        refused = members["refused"]
        if refused is not None:
            refused = RecordedRefusal.from_json(refused)
        response = members["response"]
        if response is not None:
            response = RecordedResponse.from_json(response)
        return {
            **members,
            "uploads": _convert_list(RecordedUpload, members["uploads"]),
            "refused": refused,
            "misses": _convert_list(RecordedMiss, members["misses"]),
            "tries": _convert_list(RecordedTry, members["tries"]),
            "pictures": _convert_list(RecordedPicture, members["pictures"]),
            "findings": _convert_list(RecordedFinding, members["findings"]),
            "response": response,
        }

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings, each once."""
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    @property
    def unexpected(self) -> bool:
        """Whether the call was refused although neither the scenario nor a limit of it asked for that."""
        if self.refused is None:
            return False
        rule = self.refused.rule or ""
        if rule.startswith("limits:"):
            return False
        return self.turn is None or self.refused.breach == "scenario_exhausted"

    @property
    def why(self) -> str:
        """The rule of the scenario that answered, and the refusal; an empty text where there is neither."""
        reasons = []
        if self.rule:
            reasons.append(f"rule {self.rule}")
        if self.refused is not None:
            word = self.refused.breach or self.refused.kind
            reasons.append(f"refused: {word} {self.refused.param or ''}".rstrip())
        return ", ".join(reasons)

    def __repr__(self) -> str:
        state = None if self.state == "answered" else self.state
        verdict = None if self.verdict == "drawn" else self.verdict
        words = (self.gateway, self.operation, self.model, self.status, state, verdict, self.why, " ".join(self.codes))
        return f"<call {self.number}: {' '.join(str(word) for word in words if word)}>"


class Fit(RecordedValue):
    """How a call fits a gateway with one of its behaviors, documented or observed.

    `number` is the call's, `ignored` are the parameters that have no effect there, `assumed` say what the gateway lets
    by though the model's own maker refuses it, and `refused` is why it would be refused, None where it would be
    answered.

    >>> fit = image_api.portability()[0]
    >>> fit.number, fit.outcome in ("accepted", "accepted (assumed)", "ignores", "refused")
    (1, True)
    """

    __module__ = "emulator"

    number: int | None
    gateway: str
    behavior: str
    outcome: Literal["accepted", "accepted (assumed)", "ignores", "refused"]
    ignored: list[str]
    assumed: list[str]
    refused: RecordedRefusal | None

    @classmethod
    def _convert_members(cls, members: dict[str, Any]) -> dict[str, Any]:
        if members["refused"] is None:
            return members
        return {**members, "refused": RecordedRefusal.from_json(members["refused"])}


class GatewayOutcomes(RecordedValue):
    """How many of the calls a gateway with one of its behaviors accepts, accepts in part (`ignores`), and refuses.

    `assumed` are those that it accepts though the model's own maker refuses them.

    >>> outcomes = image_api.portability().gateways[0]
    >>> outcomes.accepted + outcomes.assumed + outcomes.ignores + outcomes.refused
    2
    """

    __module__ = "emulator"

    gateway: str
    behavior: str
    accepted: int
    assumed: int
    ignores: int
    refused: int


@dataclass(frozen=True, kw_only=True)
class PictureOrigin:
    """Where the bytes of a picture come from: the `calls` of the session that got it, the oldest first.

    Several calls got it if the same was asked several times; none did if it comes from another session or program.
    `width` and `height` are pixels, `format` is png, jpeg or webp, `whole` tells whether all of the file decodes.
    `label` is what the emulator wrote into the file, None for a picture that the emulator did not draw.

    >>> origin = image_api.picture_of(image_api.picture(1))
    >>> origin.call.number, origin.index, origin.model, origin.size, origin.whole
    (1, 0, 'dall-e-3', '1024x1024', True)
    """

    __module__ = "emulator"

    calls: tuple[RecordedCall, ...]
    width: int
    height: int
    format: str
    whole: bool
    label: Mapping[str, Any] | None

    @property
    def call(self) -> RecordedCall | None:
        """The latest of the calls that got it; None if no call of the session did."""
        if not self.calls:
            return None
        return self.calls[-1]

    @property
    def index(self) -> int | None:
        """The index of the picture in the answer, from 0."""
        index: int | None = self._read_label("index")
        return index

    @property
    def prompt_hash(self) -> str | None:
        """The first 16 hex digits of the prompt's SHA-256."""
        prompt_hash: str | None = self._read_label("prompt_hash")
        return prompt_hash

    @property
    def gateway(self) -> str | None:
        """The gateway that answered."""
        gateway: str | None = self._read_label("gateway")
        return gateway

    @property
    def model(self) -> str | None:
        """The model that answered."""
        model: str | None = self._read_label("model")
        return model

    @property
    def size(self) -> str:
        """Width and height in pixels, such as 1024x1024."""
        return f"{self.width}x{self.height}"

    def _read_label(self, member: str) -> Any:
        """A member of the label; None for a picture without a label."""
        if self.label is None:
            return None
        return self.label.get(member)


def _convert_list(record_type: type[_Record], reports: Iterable[Mapping[str, Any]] | None) -> tuple[_Record, ...]:
    """A record for each of `reports`; none where the server does not report such a list."""
    return tuple(record_type.from_json(report) for report in reports or ())
