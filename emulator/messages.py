"""What travels between the packages: Request, Call, Plan, Response, and the GatewayError that refuses a call.

Every class here but GatewayError is frozen: who wants a change makes a copy. None of them knows the network.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

from emulator.core.light_dataclass import dataclass

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
    "moderation": ("input_image", "output_image"),
    "upstream_error": ("html", "not_json", "error", "no_channel", "no_key", "not_implemented"),
    "overloaded": ("cpu", "memory"),
}
"""The cases of a kind that a scenario can name; a gateway without a case answers it as it answers the kind."""

Violation = Literal[
    "bad_json", "not_an_object", "content_type", "content_encoding", "slow_body", "cut_body", "bad_session",
    "missing", "unknown_parameter", "type", "enum_type", "enum", "empty_string", "too_short", "too_long",
    "below_minimum", "above_maximum", "too_few_items", "other", "stream_true", "transparent_jpeg", "compressed_png",
    "scenario_exhausted", "bad_reserved_value", "key_in_parts", "multiplication_sign", "sensitive_words",
    "no_such_model", "no_such_task", "not_implemented", "unnamed_model",
    "size_shape", "size_step", "size_edge", "size_below_budget", "size_above_budget", "size_ratio", "size_unlisted",
    "bad_form", "unconvertible", "not_a_file", "repeated_field", "image_in_json", "images_in_form",
    "unsupported_parameter", "too_many_items", "picture_type", "picture_untyped", "picture_kind", "picture_bytes",
    "picture_data", "damaged_picture", "picture_not_square", "picture_mode", "mask_without_alpha", "mask_size",
    "unknown_file", "unreachable_picture",
    "upstream_key_missing", "recording_missed", "max_spend", "store_lost",
]  # fmt: skip
VIOLATIONS: Final[tuple[Violation, ...]] = get_args(Violation)

FACTS: Final = (
    "param", "value", "supported", "expected", "actual", "limit", "length", "model", "key", "method", "path",
    "content_type", "request_id", "wait", "decoded", "decoded_value", "choices",
    "unreadable", "used", "requested", "left", "need",
)  # fmt: skip
"""What a message's template may name."""

Source = Literal["documented", "observed", "assumed"]
SOURCES: Final[tuple[Source, ...]] = get_args(Source)

Behavior = Literal["documented", "observed"]
BEHAVIORS: Final[tuple[Behavior, ...]] = get_args(Behavior)
"""Documented: what a gateway's page promises. Observed: what its server does."""

Delivery = Literal["url", "b64_json"]

RecordMode = Literal["none", "once", "new_episodes", "all", "forward"]
RECORD_MODES: Final[tuple[RecordMode, ...]] = get_args(RecordMode)
"""What happens to a call that a recording has no answer to: it is refused (none), or passed on.

What is passed on is recorded: where there is no recording yet (once), beside what there is (new_episodes), in its place
(all), or not at all (forward).
"""

CallVerdict = Literal["drawn", "replayed", "recorded", "forwarded", "missed"]
CALL_VERDICTS: Final[tuple[CallVerdict, ...]] = get_args(CallVerdict)
"""Who has answered a call: the emulator itself, a recording, a real gateway (recorded, or not), or nobody."""

PictureWeight = Literal["small", "realistic"]
PICTURE_WEIGHTS: Final[tuple[PictureWeight, ...]] = get_args(PictureWeight)
"""Small: as few bytes as a picture comes to. Realistic: as many as a real one has."""

ChannelName = Literal["openai", "converted", "zhipu"]
CHANNELS: Final[tuple[ChannelName, ...]] = get_args(ChannelName)
"""The kinds of channel by which a gateway reaches an upstream."""


class Request(NamedTuple):
    """A request as it came. It is a NamedTuple, because every call makes one: a frozen dataclass takes 2 µs longer.

    Reading never refuses: `trouble` names what is wrong with the body.

    `headers` ignores the case of names. `json` is the JSON body, or the texts of a form by their names; None where the
    body is neither. `uploads` are the files of a form. `duplicates` are keys that the body gives twice. `why` describes
    the trouble with a form. `origin` is scheme, host and port as the client wrote them. `received` is Unix seconds.
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


@dataclass(frozen=True)  # without slots: validation/known_calls.py sets all fields at once
class Call:
    """A request that its gateway accepts.

    `given` is the body as it came; `params` is the same with defaults filled in and aliases resolved; `effective` are
    the params that have an effect. `count` is the number of pictures, `pixels` their width and height. `response` is
    the shape of the reply. `listing` is the body of a list of models. `uploads` are the pictures to edit, and the mask.
    A `deferred` call gets a task, and its client asks for the task later. `own_names` are the gateway's own names of
    parameters, by OpenAI's names; `effective` has those parameters under both.
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
    own_names: Mapping[str, str] = field(default_factory=dict)

    def name_parameter(self, name: str) -> str:
        """Return the gateway's own name for what OpenAI calls `name`."""
        return self.own_names.get(name, name)

    @property
    def gets_files(self) -> bool:
        """Whether the body of the answer is the picture itself, and no JSON."""
        files = self.response.files
        return files is not None and any(self.effective.get(name) == value for name, value in files.items())

    @property
    def streams(self) -> bool:
        """Whether the client gets a stream of events."""
        shape = self.response.stream
        return shape is not None and self.operation in shape.names and self.effective.get("stream") is True


@dataclass(frozen=True, slots=True)
class EventShape:
    """The shape of one kind of event of a stream.

    `name` is its name, in which {start} is the beginning of all names. `data` is a template: a member that is one
    {name} takes its value, and is left out where there is none.
    """

    name: str
    data: Mapping[str, Any]

    def format_name(self, start: str) -> str:
        """Return the name of the event where all names begin with `start`."""
        return self.name.replace("{start}", start)


PARTIAL_EVENT: Final = EventShape(
    name="{start}.partial_image",
    data={
        "type": "{event}",
        "partial_image_index": "{partial_index}",
        "b64_json": "{b64_json}",
        "created_at": "{created}",
        "size": "{size}",
        "quality": "{quality}",
        "background": "{background}",
        "output_format": "{output_format}",
    },
)
FINISHED_EVENT: Final = EventShape(
    name="{start}.completed",
    data={
        "type": "{event}",
        "b64_json": "{b64_json}",
        "created_at": "{created}",
        "usage": "{usage}",
        "size": "{size}",
        "quality": "{quality}",
        "background": "{background}",
        "output_format": "{output_format}",
        "url": "{url}",
        "revised_prompt": "{revised_prompt}",
    },
)
ERROR_EVENT: Final = EventShape("error", {"type": "{event}", "error": "{error}"})
"""The events of OpenAI's streams. An error is nested, under a name of its own: some clients look at either."""


@dataclass(frozen=True, slots=True)
class StreamShape:
    """The shape of the events of a model's stream: `stream` of `x-emulator-reply`.

    `names` has the beginning of the events' names by operation. With `done`, `data: [DONE]` ends the stream. Without
    `partials` the stream is a whole answer cut up: one event for each picture, each with the usage of all of them.
    `partial` is the event of an unfinished picture, `finished` that of a finished one, `error` that of an error which
    breaks the stream off. `failed`, that of a picture which fails while others come, and `last`, which comes behind all
    pictures, are None where there are none.
    """

    names: Mapping[str, str]
    done: bool = False
    partials: bool = True
    partial: EventShape = PARTIAL_EVENT
    finished: EventShape = FINISHED_EVENT
    failed: EventShape | None = None
    last: EventShape | None = None
    error: EventShape = ERROR_EVENT


Steps = tuple[str, ...]
"""The way to a value in JSON: names of members, and places in lists as text, as a JSON pointer has them."""


@dataclass(frozen=True, slots=True)
class BodyPlaces:
    """Where the list of `pictures` and the `usage` stand in a body; None where it has none."""

    pictures: Steps | None = ("data",)
    usage: Steps | None = ("usage",)


@dataclass(frozen=True, slots=True)
class ResponseShape:
    """The shape of a model's reply: `x-emulator-reply` of its request schema.

    `fields` are the members of the reply in their order. `revised_prompt` says how the model treats a prompt.
    `delivery` is set where the client has no choice. `usage` names the published table; None where the reply has no
    usage. `usage_fields` and `usage_details` are the members of the usage in their order. `data_fields` are the members
    of each picture in their order; empty: the usual order. With `blank` each picture has all of its `data_fields`, an
    empty text where it has no value. With `newline` the body ends with a line break. `stream` is None where the model
    does not stream.

    `body`, `item` and `usage_body` are templates of the reply, of each picture and of the usage, where a gateway has
    others than OpenAI; a member that is one {name} takes its value. What becomes of a member of a picture that has no
    value, `absent` says. `places` says where the pictures and the usage stand, `id` is the pattern of ids; with
    `echoes` a template names parameters. `picture_format` is that of pictures where no parameter says it. `files`
    has the values of parameters with which the body is the file of the picture itself, of several a ZIP. With
    `relative` links have no scheme and host. `failed_item` is the template of a picture that has failed, beside
    others that have not; None where either all pictures come or none.
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
    body: Mapping[str, Any] | None = None
    item: Mapping[str, Any] | None = None
    usage_body: Mapping[str, Any] | None = None
    absent: Literal["omitted", "null", "empty"] = "omitted"
    places: BodyPlaces = BodyPlaces()
    echoes: bool = False
    id: str = "{uuid}"
    picture_format: str = ""
    files: Mapping[str, Any] | None = None
    relative: bool = False
    failed_item: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class PictureOverride:
    """What a scenario changes about each picture; a field that is None changes nothing.

    `alteration` changes the picture's file. `own` are the bytes of the tester's picture that `alteration` names.
    `base64` is the spelling of Base64 (null: there is none, and a link beside it). `words` has all of it as the
    scenario writes it. `weight` is how heavy the picture is, in a word or in bytes. With `vary` each call gets another
    picture, whether it is equal to an earlier one or not. With `error` the picture fails, and the others come.
    """

    alteration: Alteration | None = None
    own: bytes | None = field(default=None, repr=False)
    base64: Base64Spelling | None = None
    words: Mapping[str, Any] = field(default_factory=dict)
    weight: PictureWeight | int | None = None
    vary: bool = False
    error: Refuse | None = None


@dataclass(frozen=True)
class Draw:
    """The plan to draw what the call asks for, and what a scenario changes; a field that is None changes nothing.

    `revised_prompt` may name {prompt}, {model} and {size}. `usage`, `metadata` and `created` are members to set; `omit`
    are members to leave out; `changes` are members to set, by JSON pointer. `images` is the most pictures that come,
    `picture` changes each of them, or where it is a tuple those at the same place. `expires_in` is how many seconds
    links to them are good; `host` is how their host behaves. `partials` is the most unfinished pictures that a stream
    shows; `error` ends the stream after them, in the place of the finished pictures. `channel` is the kind of channel
    by which the reply comes, where a gateway has several.
    """

    revised_prompt: str | None = None
    usage: Mapping[str, Any] | None = None
    images: int | None = None
    metadata: Mapping[str, Any] | None = None
    created: int | None = None
    omit: tuple[str, ...] = ()
    changes: tuple[tuple[str, Any], ...] = ()
    picture: PictureOverride | tuple[PictureOverride | None, ...] | None = None
    expires_in: int | None = None
    host: HostBehavior | None = None
    partials: int | None = None
    error: Refuse | None = None
    channel: ChannelName | None = None

    def find_override(self, index: int) -> PictureOverride | None:
        """Return what changes about the picture `index`, counted from 0; None: nothing."""
        if not isinstance(self.picture, tuple):
            return self.picture
        if index >= len(self.picture):
            return None
        return self.picture[index]

    def find_failure(self, index: int) -> Refuse | None:
        """Return the error with which the picture `index` fails, where a gateway has such errors; None: it comes."""
        override = self.find_override(index)
        if override is None:
            return None
        return override.error


UNCHANGED: Final = Draw()
"""The plan of every call that no scenario changes."""


@dataclass(frozen=True)
class Refuse:
    """The plan to refuse as the gateway refuses `kind`; `words` are the parts of the refusal that a scenario sets.

    `wait` is how long the message tells the client to wait, such as 12s; `until`, in Unix seconds, is set where the
    scenario gives a date in its place. With `sends_wait` the headers tell it too; a scenario may have its own there.
    """

    kind: Kind
    words: Mapping[str, Any] = field(default_factory=dict)
    wait: str = "12s"
    until: float | None = None
    sends_wait: bool = True


@dataclass(frozen=True)
class StoredPicture:
    """A picture in a recorded body: the `path` and the SHA-256 of its file.

    As `b64_json` its Base64 stands there behind `prefix`, as `url` a link to it.
    """

    path: str
    sha256: str
    delivery: Delivery
    prefix: str = ""


BodyPart = bytes | StoredPicture


@dataclass(frozen=True)
class StoredEvent:
    """An event of a recorded stream, `at` so many seconds after the call."""

    at: float
    parts: tuple[BodyPart, ...]


@dataclass(frozen=True)
class Canned:
    """The plan to answer with this status, Content-Type and body, on every gateway.

    A recorded body with pictures is in `parts`, and `body` is empty; a recorded stream is in `events`.
    """

    status: int
    content_type: str
    body: bytes
    parts: tuple[BodyPart, ...] = ()
    events: tuple[StoredEvent, ...] = ()


@dataclass(frozen=True)
class Recorded:
    """When and how an answer was recorded: `at` in Unix seconds, `took` seconds, `cost` in dollars, None: unknown.

    `verdict` is what the gateway's rules said of the call: accepted, or the breach or kind of a refusal. `asked` is the
    method and the path of the call, perhaps with a query, such as `POST /v1/images/generations/`; None: the usual ones.
    """

    at: float | None = None
    took: float | None = None
    cost: float | None = None
    verdict: str = "accepted"
    asked: str | None = None


@dataclass(frozen=True)
class Exhausted:
    """The plan to refuse a call because `rule`, which has answers for `calls` calls, has none left."""

    rule: str
    calls: int


@dataclass(frozen=True)
class Forward:
    """The plan to pass a call on to the upstream of its gateway, and to answer what that answers."""


@dataclass(frozen=True)
class Missed:
    """The plan to refuse a call to which the recording of this name has no answer."""

    recording: str


LocalPlan = Draw | Refuse | Canned | Exhausted
"""How the emulator answers a call by itself."""

Plan = LocalPlan | Forward | Missed
"""How to answer a call."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is sent to the client: status, headers and body.

    `body` is in pieces, so that a large picture is not copied. `pictures` are the recipes of the pictures in it.
    `altered` is what a scenario changes about all of them, or about each of them, in the scenario's words. A `bare`
    response goes without the headers of its gateway. So does a `relayed` one, which an upstream has given, but with
    those that let pages of other origins read it. `frames`, where there are some, are sent in the place of `body`,
    each as soon as it is made; the sender closes them. `task` is what the journal shows of the task that the response
    is about. `findings` are about what a scenario changes in the response.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: tuple[bytes, ...]
    pictures: tuple[ImageRecipe, ...] = ()
    altered: Mapping[str, Any] | list[Mapping[str, Any] | None] | None = None
    bare: bool = False
    relayed: bool = False
    frames: AsyncGenerator[bytes] | None = None
    task: Mapping[str, Any] | None = None
    findings: tuple[Finding, ...] = ()


@dataclass
class GatewayError(Exception):
    """Why a call is refused; nothing else is raised for a refused call. The error catalog has the answer to it.

    `violation` is the finer word for an `invalid_request`. `param` and `value` are the parameter that is wrong, and its
    value. `facts` are what the message may name. `rule` and `source` are the rule that the call breaks and where the
    rule comes from: the journal shows both, the client neither. `headers` are sent with the answer. `findings` were
    noticed before the call was refused. `words` (status, type, code, param, message) are the parts of the answer that a
    scenario sets. `model` is the one whose rules the call breaks. With `upstream` the gateway's upstream refuses.
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
