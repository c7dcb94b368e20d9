"""What travels between the rooms: a call as it came, as it was understood, and what is answered.

Everything here is frozen and knows nothing of the network; a room that wants a change makes a new one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

if TYPE_CHECKING:
    from emulator.core.base64_spelling import Base64Spelling
    from emulator.findings import Finding
    from emulator.image.link import HostBehavior
    from emulator.image.recipe import Alteration, ImageRecipe
    from emulator.image.upload import Upload

OperationName = Literal["generate", "edit", "vary", "models", "model", "task"]
OPERATIONS: Final[tuple[OperationName, ...]] = get_args(OperationName)

Kind = Literal[
    "missing_key", "invalid_key", "forbidden", "unknown_model", "retired_model", "invalid_request", "moderation",
    "not_found", "wrong_method", "too_large", "rate_limit", "quota", "billing", "server_error", "upstream_error",
    "overloaded", "upstream_timeout",
]  # fmt: skip
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

CASES: Final[Mapping[Kind, tuple[str, ...]]] = {
    "invalid_key": ("exhausted", "expired", "disabled"),
    "forbidden": ("ip", "banned", "group", "model"),
    "rate_limit": ("total", "in_memory"),
    "quota": ("key", "estimate"),
    "billing": ("price",),
    "upstream_error": ("html", "not_json", "error", "no_channel", "no_key", "not_implemented"),
    "overloaded": ("cpu", "memory"),
}
"""What a script can have of a kind more finely; a gateway that does not tell a case apart has the kind's own words."""

Violation = Literal[
    "bad_json", "not_an_object", "content_type", "content_encoding", "slow_body", "cut_body", "bad_session",
    "missing", "unknown_parameter", "type", "enum_type", "enum", "empty_string", "too_short", "too_long",
    "below_minimum", "above_maximum", "too_few_items", "other", "stream_true", "transparent_jpeg", "compressed_png",
    "scenario_exhausted", "bad_reserved_value", "key_in_parts", "multiplication_sign", "sensitive_words",
    "no_such_model", "no_such_task", "not_implemented", "unnamed_model",
    "size_shape", "size_step", "size_edge", "size_below_budget", "size_above_budget", "size_ratio", "size_unlisted",
    "bad_form", "unconvertible", "not_a_file", "image_in_json", "images_in_form", "unsupported_parameter",
    "too_many_items", "picture_type", "picture_kind", "picture_bytes", "picture_data", "damaged_picture",
    "picture_not_square", "picture_mode", "mask_without_alpha", "mask_size", "unknown_file", "unreachable_picture",
]  # fmt: skip
VIOLATIONS: Final[tuple[Violation, ...]] = get_args(Violation)

FACTS: Final = (
    "param", "value", "supported", "expected", "actual", "limit", "length", "model", "key", "method", "path",
    "content_type", "request_id", "wait", "decoded", "decoded_value", "choices",
    "unreadable",
)  # fmt: skip
"""What a message's template may name."""

Source = Literal["documented", "observed", "assumed"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)

Behavior = Literal["documented", "observed"]
BEHAVIORS: Final[tuple[Behavior, ...]] = get_args(Behavior)
"""What a gateway's page promises, and what the server behind it does."""

Delivery = Literal["url", "b64_json"]

ChannelName = Literal["openai", "converted", "zhipu"]
CHANNELS: Final[tuple[ChannelName, ...]] = get_args(ChannelName)
"""The kinds of channel by which a gateway reaches an upstream."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came. Reading never refuses: what is wrong with the body is said in `trouble`.

    `headers` ignores case; `json` is None where there is no readable JSON body, and has the texts of a form; its files
    are the `uploads`. `duplicates` are keys that the body gives twice, `why` tells more of the trouble with a form;
    `origin` is scheme, host and port as the client wrote them; `received` is Unix seconds.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    json: Any
    trouble: Violation | Literal["too_large"] | None
    duplicates: tuple[str, ...]
    origin: str
    received: float
    uploads: tuple[Upload, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A request that keeps its gateway's contract.

    `given` is the body as it came, `params` the same with defaults filled in and aliases resolved, `heeded` those of
    them that have an effect; `count` pictures are asked for, `pixels` is the width and height in which they are drawn;
    `listing` is the body of a list of models, `uploads` are the pictures that are edited, and the mask. A `deferred`
    call gets a task, which tells later what became of it.
    """

    operation: OperationName
    model: str | None
    given: Mapping[str, Any]
    params: Mapping[str, Any]
    effective: Mapping[str, Any]
    count: int
    pixels: tuple[int, int]
    response: ResponseShape
    findings: tuple[Finding, ...]
    listing: Any = None
    uploads: tuple[Upload, ...] = ()
    deferred: bool = False

    @property
    def streams(self) -> bool:
        """Whether the answer is to come as a stream of events."""
        shape = self.response.stream
        return shape is not None and self.operation in shape.names and self.effective.get("stream") is True


@dataclass(frozen=True, slots=True)
class StreamShape:
    """What the events of a model's stream are like: `stream` of its reply's shape.

    `names` is how the events' names begin, by operation; `done` tells whether `data: [DONE]` stands at the end. Without
    `partials` the stream is made of a whole answer: one event for each picture, each with the usage of all of them.
    `completed` are the fields of a finished picture's event, in their order.
    """

    names: Mapping[str, str]
    done: bool = False
    partials: bool = True
    completed: tuple[str, ...] = (
        "type", "b64_json", "created_at", "usage", "size", "quality", "background", "output_format",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResponseShape:
    """Which fields a model's reply has, in their order: `x-emulator-reply` of its request schema.

    `revised_prompt` says how the model treats a prompt; `delivery` is set where the client has no choice; `usage` names
    the published table, None where the reply has no usage, `usage_fields` and `usage_details` are the order in it.
    `data_fields` is the order of each picture's fields, empty for the usual one; with `newline` the body ends with one,
    with `blank` each picture has all of its `data_fields`, those without a value as an empty text.
    `stream` is None where the model does not stream.
    """

    fields: tuple[str, ...] = ("created", "data")
    revised_prompt: Literal["none", "echoed", "rewritten"] = "none"
    delivery: Delivery | None = None
    usage: str | None = None
    usage_fields: tuple[str, ...] = ("input_tokens", "input_tokens_details", "output_tokens", "total_tokens")
    usage_details: tuple[str, ...] = ("text_tokens", "image_tokens")
    data_fields: tuple[str, ...] = ()
    newline: bool = False
    blank: bool = False
    stream: StreamShape | None = None


@dataclass(frozen=True)
class PictureOverride:
    """What a script wants otherwise about each picture: None leaves it as it would be.

    `alteration` is about the picture's file, `own` are the bytes of the tester's picture that it names, `base64` is how
    Base64 is spelled (null: not at all, beside a link), and `said` is all of it in the script's own words.
    """

    alteration: Alteration | None = None
    own: bytes | None = field(default=None, repr=False)
    base64: Base64Spelling | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draw:
    """The plan to draw what was asked for, with what a script wants otherwise: None leaves it as it would be.

    `revised_prompt` may name {prompt}, {model} and {size}; `usage` and `metadata` are members to set; `images` is how
    many pictures come of those asked for, `picture` what they are like, `expires_in` for how many seconds links to them
    are good, and `host` what the host that these lead to does not do; `omit` and `changes` take members of the reply
    away and set them, `changes` by JSON pointer. `partials` is how many unfinished pictures a stream shows of those
    asked for; `error` is what it breaks off with then, in the place of the finished ones. `channel` is the kind of
    channel that the reply comes by, where a gateway has several.
    """

    revised_prompt: str | None = None
    usage: Mapping[str, Any] | None = None
    images: int | None = None
    metadata: Mapping[str, Any] | None = None
    created: int | None = None
    omit: tuple[str, ...] = ()
    changes: tuple[tuple[str, Any], ...] = ()
    picture: PictureOverride | None = None
    expires_in: int | None = None
    host: HostBehavior | None = None
    partials: int | None = None
    error: Refuse | None = None
    channel: ChannelName | None = None


@dataclass(frozen=True)
class Refuse:
    """The plan to refuse in the gateway's own words for `kind`; `words` are parts of the refusal to be otherwise.

    `wait` is how long the message may tell the client to wait, as in 12s.
    """

    kind: Kind
    words: Mapping[str, Any] = field(default_factory=dict)
    wait: str = "12s"


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
class Response:
    """What is sent: status, headers and body; `body` is in pieces so that a large picture is not copied.

    `altered` is what a script had otherwise about all of `pictures`, in its own words. A `bare` one goes without the
    headers that mark its gateway's answers. Where there are `frames`, they are sent in the place of `body`, each as
    soon as it is made; whoever takes them closes them. `task` is what a journal says of the task that it tells of.
    `findings` are about what a scenario changes in it.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]
    pictures: tuple[ImageRecipe, ...] = ()
    altered: Mapping[str, Any] | None = None
    bare: bool = False
    frames: AsyncGenerator[bytes] | None = None
    task: Mapping[str, Any] | None = None
    findings: tuple[Finding, ...] = ()


@dataclass
class GatewayError(Exception):
    """Why a call is refused. The dialect turns it into status and words; nothing else is raised for a bad call.

    `breach` is the finer word for an `invalid_request`, `facts` are what the message may name, `rule` and `source` say
    which line of the schema was broken and where that line comes from (for the journal, never for the client), `words`
    (status, type, code, param, message) are what a script wants to be told otherwise, `model` the one whose
    rules were broken; `upstream` says that it is not the gateway itself that refuses.
    """

    kind: Kind
    param: str | None = None
    violation: Violation | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    rule: str | None = None
    source: str | None = None
    value: Any = None
    headers: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()
    words: Mapping[str, Any] = field(default_factory=dict)
    model: str | None = None
    upstream: bool = False

    def __str__(self) -> str:
        return f"{self.violation or self.kind} {self.param or ''}".rstrip()
