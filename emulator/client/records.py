"""What a server tells of a call, as a test sees it: small objects that cannot be changed.

What is told beside the members that are named here is an attribute too, so a newer server does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class RecordedValue:
    """Something that a server told: its members are attributes, and it cannot be changed.

    >>> seen = RecordedValue({"kind": "quota", "code": "insufficient_quota"})
    >>> seen.code
    'insufficient_quota'
    >>> seen
    <seen kind='quota' code='insufficient_quota'>
    """

    __slots__ = ("_told",)

    def __init__(self, told: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_told", dict(told))

    def as_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it.

        >>> RecordedValue({"kind": "quota"}).as_dict()
        {'kind': 'quota'}
        """
        return dict(self._told)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._told[name]
        except KeyError:
            raise AttributeError(f"no {name!r} here; there are {', '.join(self._told)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name!r} cannot be set: this is what a server told")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._told})

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._told == other.as_dict()

    def __hash__(self) -> int:
        return hash(repr(sorted(self._told.items(), key=repr)))

    def __repr__(self) -> str:
        return f"<seen {' '.join(f'{name}={value!r}' for name, value in self._told.items())}>"


class RecordedFinding(RecordedValue):
    """What was noticed of a call: `code` is one that `image-api-emulator explain` explains.

    >>> image_api.calls[0].findings[0].code
    'unknown_parameter'
    """

    __slots__ = ()
    code: str
    message: str
    param: str | None


class RecordedRefusal(RecordedValue):
    """Why a call was refused: the `kind`, the finer `breach` of an invalid request, the `rule` of the gateway's file.

    `message` is what the client was told; `source` says where the rule comes from.

    >>> refused = image_api.calls[1].refused
    >>> refused.breach, refused.param, refused.value, refused.rule
    ('above_maximum', 'n', 2, 'maximum: 1')
    """

    __slots__ = ()
    kind: str
    breach: str | None
    param: str | None
    code: str | None
    value: Any
    rule: str | None
    source: str | None
    message: str


class RecordedPicture(RecordedValue):
    """A picture of an answer: `index` counts them from 0, `recipe` is the digest in the file's label.

    >>> picture = image_api.calls[0].pictures[0]
    >>> picture.index, picture.size, picture.format
    (0, '1024x1024', 'png')
    """

    __slots__ = ()
    index: int
    width: int
    height: int
    format: str
    recipe: str
    prompt_hash: str

    @property
    def size(self) -> str:
        """Width and height in pixels, as in 1024x1024."""
        return f"{self.width}x{self.height}"


class RecordedUpload(RecordedValue):
    """A file that a call brought: `name` is its parameter as it was sent, `format` is None for what is no picture.

    `alpha_share` is the share of its pixels that are fully transparent, None where it has no transparency.

    >>> upload = RecordedUpload({"name": "image[]", "format": "png", "width": 640, "height": 480, "alpha_share": None})
    >>> upload.name, upload.format, upload.size
    ('image[]', 'png', '640x480')
    """

    __slots__ = ()
    name: str
    filename: str | None
    sha256: str
    format: str | None
    width: int | None
    height: int | None
    alpha_share: float | None
    bytes: int

    @property
    def size(self) -> str:
        """Width and height in pixels, as in 1024x1024."""
        return f"{self.width}x{self.height}"


class RecordedCall(RecordedValue):
    """A call that was answered or refused.

    `given` is the body as it came and `params` the same as it was understood (None where the call was refused); `rule`
    is the scenario's that answered, `step` which of its answers, `misses` why rules above it did not.

    >>> call = image_api.calls.latest
    >>> call
    <call 2: ezmodel generate dall-e-3 400 refused: above_maximum n>
    >>> call.number, call.given["n"], call.params, call.status
    (2, 2, None, 400)
    """

    __slots__ = ()
    number: int
    time: str
    session: str
    request_id: str
    gateway: str
    operation: str | None
    model: str | None
    method: str
    path: str
    query: str
    headers: dict[str, str]
    given: Any
    params: dict[str, Any] | None
    reserved: dict[str, str] | None
    turn: int | None
    rule: str | None
    step: int | None
    misses: list[dict[str, Any]]
    latency: float | None
    status: int | None
    sent: bool
    events: int | None
    task: dict[str, Any] | None
    duration: float | None

    @property
    def refused(self) -> RecordedRefusal | None:
        """Why it was refused, by the contract or by the script; None where it was answered."""
        told = self._told.get("refused")
        return None if told is None else RecordedRefusal(told)

    @property
    def findings(self) -> tuple[RecordedFinding, ...]:
        """What was noticed."""
        return tuple(RecordedFinding(one) for one in self._told.get("findings", ()))

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the findings, each once."""
        return tuple(dict.fromkeys(finding.code for finding in self.findings))

    @property
    def uploads(self) -> tuple[RecordedUpload, ...]:
        """The files that came with it."""
        return tuple(RecordedUpload(one) for one in self._told.get("uploads", ()))

    @property
    def pictures(self) -> tuple[RecordedPicture, ...]:
        """The pictures of the answer."""
        return tuple(RecordedPicture(one) for one in self._told.get("pictures", ()))

    @property
    def unexpected(self) -> bool:
        """Whether it was refused although no script and no limit wanted it: the contract was broken."""
        refused = self.refused
        if refused is None or (refused.rule or "").startswith("limits:"):
            return False
        return self._told.get("turn") is None or refused.breach == "scenario_exhausted"

    @property
    def why(self) -> str:
        """What decided: a refusal, or the rule of the scenario that answered."""
        refused, rule = self.refused, self._told.get("rule")
        refusal = f"refused: {refused.breach or refused.kind} {refused.param or ''}".rstrip() if refused else None
        return ", ".join(filter(None, (rule and f"rule {rule}", refusal)))

    def __repr__(self) -> str:
        words = (self.gateway, self.operation, self.model, self.status, self.why, " ".join(self.codes))
        return f"<call {self.number}: {' '.join(str(word) for word in words if word)}>"


@dataclass(frozen=True)
class PictureOrigin:
    """Where a picture's bytes come from: the `calls` that got it, of the session that was asked, and what they show.

    Several calls got it where the same was asked several times. `label` is what the emulator wrote into the file; it is
    None, and so is all that comes from it, where the emulator did not draw it. `whole` tells whether all of the file
    decodes; `width` and `height` are pixels, `format` is png, jpeg or webp.

    >>> origin = image_api.picture_of(image_api.picture(1))
    >>> origin.call.number, origin.index, origin.model, origin.size, origin.whole
    (1, 0, 'dall-e-3', '1024x1024', True)
    """

    calls: tuple[RecordedCall, ...]
    width: int
    height: int
    format: str
    whole: bool
    label: Mapping[str, Any] | None

    @property
    def call(self) -> RecordedCall | None:
        """The latest of the calls that got it; None where none of the session did."""
        return self.calls[-1] if self.calls else None

    @property
    def index(self) -> int | None:
        """Which of the answer's pictures it is, from 0."""
        told: int | None = (self.label or {}).get("index")
        return told

    @property
    def prompt_hash(self) -> str | None:
        """The first 16 hex digits of the prompt's SHA-256."""
        told: str | None = (self.label or {}).get("prompt_hash")
        return told

    @property
    def gateway(self) -> str | None:
        """The gateway that was asked for it."""
        told: str | None = (self.label or {}).get("gateway")
        return told

    @property
    def model(self) -> str | None:
        """The model that was asked for it."""
        told: str | None = (self.label or {}).get("model")
        return told

    @property
    def size(self) -> str:
        """Width and height in pixels, as in 1024x1024."""
        return f"{self.width}x{self.height}"
