"""What travels between the rooms: a call as it came, as it was understood, and what is answered.

Everything here is frozen and knows nothing of the network; a room that wants a change makes a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from emulator.findings import Finding
    from emulator.recipe import ImageRecipe

OperationName = Literal["generate", "models"]
OPERATIONS: Final[tuple[OperationName, ...]] = get_args(OperationName)

Kind = Literal[
    "missing_key", "invalid_key", "forbidden", "unknown_model", "retired_model", "invalid_request", "moderation",
    "not_found", "wrong_method", "too_large", "rate_limit", "quota", "billing", "server_error", "upstream_error",
    "overloaded", "upstream_timeout",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Breach = Literal[
    "bad_json", "not_an_object", "content_type", "content_encoding", "slow_body", "cut_body", "bad_session",
    "missing", "unknown_parameter", "type", "enum_type", "enum", "empty_string", "too_short", "too_long",
    "below_minimum", "above_maximum", "too_few_items", "other", "stream_true", "transparent_jpeg", "compressed_png",
    "scenario_exhausted", "bad_reserved_value",
]  # fmt: skip
BREACHES: Final[tuple[Breach, ...]] = get_args(Breach)

FACTS: Final = (
    "param", "value", "supported", "expected", "actual", "limit", "length", "model", "key", "method", "path",
    "content_type", "request_id", "wait",
)  # fmt: skip
"""What a message's template may name."""

Source = Literal["documented", "observed", "assumed"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)

Delivery = Literal["url", "b64_json"]


@dataclass(frozen=True, slots=True)
class RawCall:
    """A request as it came. Reading never refuses: what is wrong with the body is said in `trouble`.

    `headers` ignores case; `json` is None where there is no readable JSON body; `duplicates` are keys that the body
    gives twice; `origin` is scheme, host and port as the client wrote them; `received` is Unix seconds.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    json: Any
    trouble: Breach | Literal["too_large"] | None
    duplicates: tuple[str, ...]
    origin: str
    received: float


@dataclass(frozen=True, slots=True)
class Call:
    """A request that keeps its gateway's contract.

    `given` is the body as it came, `params` the same with defaults filled in and aliases resolved, `heeded` those of
    them that have an effect; `count` pictures are asked for, `pixels` is the width and height in which they are drawn;
    `listing` is the body of a list of models.
    """

    operation: OperationName
    model: str | None
    given: Mapping[str, Any]
    params: Mapping[str, Any]
    heeded: Mapping[str, Any]
    count: int
    pixels: tuple[int, int]
    reply: ReplyShape
    findings: tuple[Finding, ...]
    listing: Any = None


@dataclass(frozen=True, slots=True)
class ReplyShape:
    """Which fields a model's reply has, in their order: `x-emulator-reply` of its request schema.

    `revised_prompt` says how the model treats a prompt; `delivery` is set where the client has no choice; `usage` names
    the published table, None where the reply has no usage.
    """

    fields: tuple[str, ...] = ("created", "data")
    revised_prompt: Literal["none", "echoed", "rewritten"] = "none"
    delivery: Delivery | None = None
    usage: str | None = None
    usage_fields: tuple[str, ...] = ("input_tokens", "input_tokens_details", "output_tokens", "total_tokens")


@dataclass(frozen=True)
class Draw:
    """The plan to draw what was asked for, with what a script wants otherwise: None leaves it as it would be.

    `revised_prompt` may name {prompt}, {model} and {size}; `usage` and `metadata` are members to set; `images` is how
    many pictures come of those asked for; `omit` and `changes` take members of the reply away and set them, `changes`
    by JSON pointer.
    """

    revised_prompt: str | None = None
    usage: Mapping[str, Any] | None = None
    images: int | None = None
    metadata: Mapping[str, Any] | None = None
    created: int | None = None
    omit: tuple[str, ...] = ()
    changes: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Refuse:
    """The plan to refuse in the gateway's own words for `kind`; `words` are parts of the refusal to be otherwise."""

    kind: Kind
    words: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Canned:
    """The plan to answer with just this."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True)
class Exhausted:
    """The plan to say loudly that `rule`, which has answers for `calls` calls, has none left."""

    rule: str
    calls: int


Plan = Draw | Refuse | Canned | Exhausted
"""What to do with a call."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent: status, headers and body; `body` is in pieces so that a large picture is not copied."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]
    pictures: tuple[ImageRecipe, ...] = ()


@dataclass
class Problem(Exception):
    """Why a call is refused. The dialect turns it into status and words; nothing else is raised for a bad call.

    `breach` is the finer word for an `invalid_request`, `facts` are what the message may name, `rule` and `source` say
    which line of the schema was broken and where that line comes from (for the journal, never for the client), `words`
    (status, type, code, param, message) are what a script wants to be told otherwise, `model` the one whose
    rules were broken.
    """

    kind: Kind
    param: str | None = None
    breach: Breach | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    rule: str | None = None
    source: str | None = None
    value: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    words: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None

    def __str__(self) -> str:
        return f"{self.breach or self.kind} {self.param or ''}".rstrip()
