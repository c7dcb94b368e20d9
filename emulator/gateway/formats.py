"""How a gateway writes what it sends: JSON, request ids and headers, converted replies, and the bodies of tasks.

All of it is data from the gateway's file, whose keys `schemas/gateway.schema.json` has checked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace
from functools import cached_property
from typing import Any, Final, Literal, get_args

from emulator.core import clock, strict_json
from emulator.core.header_lines import format_header_lines
from emulator.core.light_dataclass import dataclass
from emulator.core.yaml_file import YamlFile, describe_value
from emulator.image.link_query import LinkQuery
from emulator.messages import CHANNELS, Kind, ResponseShape


@dataclass(frozen=True)
class JsonFormat:
    """How JSON is written, byte for byte: a client that hashes or searches a reply finds what the real server sends.

    `indent` is a number of blanks, 0 for compact text. With `escape` < > & are escaped as Go's encoder does it.
    """

    content_type: str = "application/json"
    indent: int = 0
    escape: bool = False

    @cached_property
    def _encoder(self) -> json.JSONEncoder:
        return json.JSONEncoder(ensure_ascii=False, indent=self.indent)

    @property
    def colon(self) -> bytes:
        """The bytes between a name and its value."""
        return b": " if self.indent else b":"

    def encode(self, value: Any) -> bytes:
        """Return `value` as this gateway writes it, in UTF-8."""
        encode = self._encoder.encode if self.indent else strict_json.format_json
        return self._escape(encode(value)).encode("utf-8", "replace")

    def format_text(self, text: str) -> str:
        """Return what `encode` returns of a text, before its characters become bytes."""
        return self._escape(strict_json.format_text(text))

    def _escape(self, text: str) -> str:
        if self.escape:
            for letter, escaped in _GO_ESCAPES.items():
                text = text.replace(letter, escaped)
        return text


@dataclass(frozen=True)
class IdPattern:
    """The pattern of request ids or task ids.

    It may name {date} (yyyymmddHHMMSS, UTC), {nanos} (9 digits), {letters} (8 letters or digits), {hex} (32 digits)
    and {uuid}.
    """

    pattern: str = "req_{hex}"

    def make_id(self, subject: str, now: float) -> str:
        """Return an id for `subject` at `now` (Unix seconds). It depends on these alone, so that a run repeats."""
        digest = hashlib.blake2b(subject.encode(), digest_size=16).hexdigest()
        if self.pattern == "req_{hex}":
            return f"req_{digest}"
        number = int(digest, 16)
        letters = "".join(_LETTERS[number // 62**place % 62] for place in range(8))
        parts = {"date": clock.format_digits(now), "nanos": f"{number % 10**9:09}", "letters": letters, "hex": digest}
        if "{uuid}" in self.pattern:
            import uuid  # few patterns name one

            parts["uuid"] = str(uuid.UUID(hex=digest, version=4))
        return self.pattern.format_map(parts)


@dataclass(frozen=True)
class ResponseHeaders:
    """The headers that a gateway adds to every answer: `request_id` of `x-emulator-gateway`.

    `request_id` is the name of the header that carries the request's id, `others` are sent with every answer, `account`
    only to a caller with a good key. `duration` is the header with the milliseconds that an answer took.
    """

    request_id: str = "X-Request-Id"
    ids: IdPattern = field(default_factory=IdPattern)
    others: tuple[tuple[str, str], ...] = ()
    account: tuple[tuple[str, str], ...] = ()
    duration: str | None = None

    @cached_property
    def names(self) -> frozenset[str]:
        """The names of all headers, in lower case."""
        names = [self.request_id, *dict(self.others), *dict(self.account), self.duration or self.request_id]
        return frozenset(name.lower() for name in names)

    def make_headers(self, request_id: str, seconds: float = 0, has_good_key: bool = True) -> dict[str, str]:
        """Return the headers of an answer that took `seconds`, by name.

        Of two with the same name, in whatever case, the later one counts: those that the file lists replace the id.
        """
        headers = {self.request_id: request_id}
        listed = [*self.others]
        if has_good_key:
            listed += self.account
        if self.duration is not None:
            listed.append((self.duration, str(round(seconds * 1000))))
        for name, value in listed:
            _set_header(headers, name, value)
        return headers

    def format_lines(self, request_id: str, seconds: float = 0, has_good_key: bool = True) -> str:
        """Return the headers that `make_headers` returns, as lines."""
        if self.duration is not None:
            return format_header_lines(self.make_headers(request_id, seconds, has_good_key).items())
        before, id_is_sent, behind = self._lines_with_account if has_good_key else self._lines_without_account
        if not id_is_sent:
            return behind
        return f"{before}{request_id}{behind}"

    @cached_property
    def _lines_without_account(self) -> tuple[str, bool, str]:
        return self._split_lines(has_good_key=False)

    @cached_property
    def _lines_with_account(self) -> tuple[str, bool, str]:
        return self._split_lines(has_good_key=True)

    def _split_lines(self, has_good_key: bool) -> tuple[str, bool, str]:
        """Return the lines before the request's id, whether it is sent, and those behind it."""
        lines = format_header_lines(self.make_headers(_ID_MARK, has_good_key=has_good_key).items())
        before, mark, behind = lines.partition(_ID_MARK)
        if not mark:
            return "", False, lines
        return before, True, behind


def _set_header(headers: dict[str, str], name: str, value: str) -> None:
    """Put a header into `headers`, in the place of one of the same name in another case."""
    for present in headers:
        if present != name and present.lower() == name.lower():
            del headers[present]
            break
    headers[name] = value


@dataclass(frozen=True)
class Channel:
    """How a gateway passes on the replies of one kind of upstream: one kind in `x-emulator-channels`.

    `shape` is the shape of the converted replies; None where the reply of the upstream is passed on as it is. With
    `by_maker` the upstream is the model's own maker. `refusal` is the kind and the case of the refusal where the
    gateway cannot make pictures by this kind of channel.
    """

    shape: ResponseShape | None
    json_format: JsonFormat
    by_maker: bool = False
    refusal: tuple[Kind, str | None] | None = None

    def convert_shape(self, shape: ResponseShape) -> ResponseShape:
        """Return the shape of a converted reply of `shape`: revised prompts and streams stay as the model has them."""
        if self.shape is None:
            return shape
        return replace(self.shape, revised_prompt=shape.revised_prompt, stream=shape.stream)


TaskState = Literal["waiting", "running", "done", "failed"]
TASK_STATES: Final[tuple[TaskState, ...]] = get_args(TaskState)


@dataclass(frozen=True)
class TaskFormat:
    """How a gateway answers calls that do not wait for their pictures: `x-emulator-tasks`.

    A call that begins a task is answered with `status` and the template `submitted`. A request for the task is answered
    with the template of its state in `states`. `beside` are members of the reply to a call that waits for its pictures,
    which is a task that has ended; None where the gateway adds none. `source` is where all of this comes from.
    """

    ids: IdPattern
    status: int
    submitted: Mapping[str, Any]
    states: Mapping[TaskState, Mapping[str, Any]]
    beside: Mapping[str, Any] | None
    source: str | None


def read_json_format(keys: Mapping[str, Any]) -> JsonFormat:
    """Return the format under a `spelling` key of a gateway's file or of an error catalog."""
    return JsonFormat(**keys)


def read_response_headers(keys: Mapping[str, Any]) -> ResponseHeaders:
    """Return the headers under `request_id` of `x-emulator-gateway`."""
    return ResponseHeaders(
        request_id=keys.get("header", DEFAULT_HEADERS.request_id),
        ids=IdPattern(keys.get("pattern", DEFAULT_HEADERS.ids.pattern)),
        others=tuple(keys.get("headers", {}).items()),
        account=tuple(keys.get("account", {}).items()),
        duration=keys.get("duration"),
    )


def read_channels(file: YamlFile, keys: Mapping[str, Any]) -> Mapping[str, Channel]:
    """Return the channels under `x-emulator-channels` by kind, the usual one also as ""; empty where the file has none.

    Raises InvalidFile where `usual` names a kind that the file does not describe.
    """
    if not keys:
        return {}
    channels: dict[str, Channel] = {name: _read_channel(keys[name]) for name in CHANNELS if name in keys}
    usual = keys.get("usual")
    if usual not in channels:
        known = ", ".join(channels) or "none"
        pointer = ["x-emulator-channels", "usual"]
        raise file.error_at(pointer, f"usual is {describe_value(usual)}; described are {known}")
    channels[""] = channels[usual]
    return channels


def _read_channel(keys: Mapping[str, Any]) -> Channel:
    parts = freeze_lists(keys)
    json_format = read_json_format(parts.pop("spelling", {}))
    by_maker = parts.pop("upstream", None) == "maker"
    refuse, refusal = parts.pop("refuse", None), None
    if refuse is not None:
        refusal = (refuse["kind"], refuse.get("case"))
    shape = None
    if parts:
        shape = ResponseShape(**parts)
    return Channel(shape, json_format, by_maker=by_maker, refusal=refusal)


def freeze_lists(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return `keys` with tuples in the place of lists."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in keys.items()}


def read_task_format(keys: Mapping[str, Any] | None) -> TaskFormat | None:
    """Return the format of tasks under `x-emulator-tasks`; None where the file has none."""
    if keys is None:
        return None
    return TaskFormat(
        ids=IdPattern(keys["id"]),
        status=keys.get("status", 200),
        submitted=keys["submitted"],
        states={state: keys[state] for state in TASK_STATES},
        beside=keys.get("beside"),
        source=keys.get("source"),
    )


def read_link_query(keys: Mapping[str, Any] | None) -> LinkQuery | None:
    """Return the query of links to pictures under `links` of `x-emulator-gateway`; None where links have no query."""
    if keys is None:
        return None
    return LinkQuery(tuple(keys["query"].items()))


DEFAULT_HEADERS: Final = ResponseHeaders()
"""The headers of OpenAI's API, for gateways whose file describes none."""
_ID_MARK: Final = "\0"  # in the place of an id: no header has it
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GO_ESCAPES: Final[Mapping[str, str]] = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
