"""Makes an entry of a recording: what a call sent, what it was answered, and the files that both name by SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from emulator.core import clock, strict_json
from emulator.core.light_dataclass import dataclass
from emulator.core.yaml_writer import write_flow
from emulator.image.files import guess_format
from emulator.image.recipe import FORMATS
from emulator.messages import Kind
from emulator.response.relayed import B64_JSON, decode_picture, encode_picture
from emulator.scenario import matching
from emulator.scenario.recordings import PREFIX, STORED


@dataclass(frozen=True)
class AskedCall:
    """What a call asked for. `given` are its parameters as they were sent, `variables` those of its path.

    `uploads` are the fields of its files as *upload* describes them, by name; `files` are their bytes by SHA-256.
    """

    operation: str
    gateway: str
    given: Mapping[str, Any]
    variables: Mapping[str, Any] = field(default_factory=dict)
    uploads: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class GivenAnswer:
    """What a real gateway answered: the `body`, or of a stream the `events`, each with its offset in seconds.

    `at` is Unix seconds, `took` seconds, `cost` dollars. `verdict` is what the gateway's rules said of the call.
    `linked` are the pictures behind the links in the body. With a `refusal` there was no answer, and the gateway's own
    words for that are given again. `asked` is the method and the path of the call, where they are not the usual ones of
    its operation.
    """

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes
    events: Sequence[tuple[float, bytes]] = ()
    at: float = 0.0
    took: float = 0.0
    cost: float | None = None
    verdict: str = "accepted"
    linked: Mapping[str, bytes] = field(default_factory=dict)
    refusal: Kind | None = None
    asked: str | None = None


@dataclass(frozen=True)
class RecordingEntry:
    """An entry as YAML has it: `when` and one `answer`; `files` are those that they name, by their paths."""

    when: dict[str, Any]
    answer: dict[str, Any]
    files: dict[str, bytes]

    @property
    def key(self) -> str:
        """What equal calls have in common."""
        return json.dumps(self.when, sort_keys=True)


def make_entry(asked: AskedCall, given: GivenAnswer, ignored: frozenset[str]) -> RecordingEntry:
    """Return the entry of a call and its answer, each in at most about a kilobyte of YAML.

    Raises ValueError where the call cannot be written.
    """
    files: dict[str, bytes] = {}
    for digest, data in asked.files.items():
        files[f"pictures/{digest}.{_choose_ending(data)}"] = data
    when: dict[str, Any] = {"operation": asked.operation, "gateway": asked.gateway, **asked.variables}
    parameters = {name: _escape(value) for name, value in asked.given.items() if name not in ignored}
    if parameters:
        when["given"] = _shorten_texts(parameters, files, _LONGEST_WHEN)
    if asked.uploads:
        when["uploads"] = asked.uploads
    recorded = _describe_recording(given)
    if given.refusal is not None:
        return RecordingEntry(when, {"refuse": given.refusal, "recorded": recorded}, files)
    if not 200 <= given.status <= 599:
        raise ValueError(f"status {given.status} is none that can be replayed")
    headers = {name.lower(): value for name, value in given.headers}
    if headers.get("content-encoding", "identity") != "identity":
        raise ValueError("the answer is compressed in a way that nobody here can look into")
    canned: dict[str, Any] = {"status": given.status}
    content_type = headers.get("content-type", "")
    if content_type:
        canned["content_type"] = content_type
    canned.update(_describe_body(given, content_type, files))
    answer: dict[str, Any] = {"canned": canned}
    kept = {name: value for name, value in headers.items() if is_kept_header(name)}
    if kept:
        answer["headers"] = kept
    answer["recorded"] = recorded
    return RecordingEntry(when, answer, files)


def _describe_recording(given: GivenAnswer) -> dict[str, Any]:
    """Return what stands under `recorded`."""
    recorded: dict[str, Any] = {"at": clock.format_iso(given.at), "took": f"{max(0.0, given.took):.3f}s"}
    if given.cost is not None:
        recorded["cost"] = round(given.cost, 6)
    recorded["verdict"] = given.verdict
    if given.asked is not None:
        recorded["asked"] = given.asked
    return recorded


def is_kept_header(header: str) -> bool:
    """Return whether a header of an answer, in lower case, is written."""
    return header in _HEADERS or header.startswith(_HEADER_PREFIXES) or header.endswith(_HEADER_ENDINGS)


def _describe_body(given: GivenAnswer, content_type: str, files: dict[str, bytes]) -> dict[str, Any]:
    """Return the member of `canned` that has the body, whose large parts go into `files`."""
    if given.events:
        events = [_describe_event(at, frame, given.linked, files) for at, frame in given.events]
        events = [event for event in events if event is not None]
        if len(write_flow(events)) > _LONGEST_ANSWER:
            return {"events": _store_json(events, files)}
        return {"events": events}
    if not given.body:
        return {"text": ""}
    if "json" in content_type.lower():
        value = _parse(given.body)
        if value is not _NO_JSON and not _has_name(value, STORED):
            value = _take_pictures(value, "", given.linked, files)
            value = _shorten_texts(value, files, _LONGEST_ANSWER)
            if len(write_flow(value)) > _LONGEST_ANSWER:
                value = _store_json(value, files)
            return {"json": value}
    try:
        text = given.body.decode()
    except UnicodeDecodeError:
        return {"file": _store(given.body, _choose_ending(given.body), files)}
    if len(text) <= _LONGEST_ANSWER:
        return {"text": text}
    return {"file": _store(given.body, "txt", files)}


def _describe_event(
    at: float, frame: bytes, linked: Mapping[str, bytes], files: dict[str, bytes]
) -> dict[str, Any] | None:
    """Return an event of a stream; None for a comment, which keeps a connection alive and says nothing."""
    name, lines = None, []
    for line in frame.decode("utf-8", "replace").splitlines():
        field_name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field_name == "event":
            name = value
        elif field_name == "data":
            lines.append(value)
    if name is None and not lines:
        return None
    data: Any = "\n".join(lines)
    value = _parse(data.encode())
    if isinstance(value, dict | list) and not _has_name(value, STORED):
        data = _take_pictures(value, "", linked, files)
    event: dict[str, Any] = {"at": round(at, 3)}
    if name is not None:
        event["event"] = name
    return {**event, "data": data}


def _take_pictures(value: Any, member: str, linked: Mapping[str, bytes], files: dict[str, bytes]) -> Any:
    """Return a JSON value with the names of files in the places of its pictures, which go into `files`."""
    match value:
        case dict():
            return {name: _take_pictures(part, name, linked, files) for name, part in value.items()}
        case list():
            return [_take_pictures(part, member, linked, files) for part in value]
        case str() if value in linked:
            return {STORED: _store_picture(linked[value], files)}
        case str() if member == B64_JSON or value.startswith("data:"):
            return _take_base64(value, member, files)
        case _:
            return value


def _take_base64(text: str, member: str, files: dict[str, bytes]) -> Any:
    """Return the name of a file in the place of a picture in Base64; the text, where it is spelled in another way."""
    head, comma, _ = text.partition(",")
    prefix = ""
    if comma:
        prefix = f"{head},"
    data = decode_picture(text)
    if not data or text != prefix + encode_picture(data):
        return text
    reference = {STORED: _store_picture(data, files)}
    if prefix or member != B64_JSON:
        reference[PREFIX] = prefix
    return reference


def _shorten_texts(value: Any, files: dict[str, bytes], most: int) -> Any:
    """Return a value whose longest texts are in files, as many as it takes to be at most `most` long, if it can be."""
    while len(write_flow(value)) > most:
        longest = max(_list_texts(value), key=len, default="")
        if len(longest) < _SHORTEST_STORED:
            return value
        data = longest.encode("utf-8", "surrogatepass")
        value = _replace_text(value, longest, {STORED: _store(data, "txt", files)})
    return value


def _list_texts(value: Any) -> list[str]:
    match value:
        case str():
            return [value]
        case dict() if STORED in value:
            return []
        case dict():
            return [text for part in value.values() for text in _list_texts(part)]
        case list():
            return [text for part in value for text in _list_texts(part)]
        case _:
            return []


def _replace_text(value: Any, text: str, reference: dict[str, str]) -> Any:
    match value:
        case str():
            return reference if value == text else value
        case dict():
            return {name: _replace_text(part, text, reference) for name, part in value.items()}
        case list():
            return [_replace_text(part, text, reference) for part in value]
        case _:
            return value


def _escape(value: Any) -> Any:
    """Return a parameter that nobody takes for matchers. Raises ValueError for one that reads as the name of a file."""
    if _has_name(value, STORED):
        raise ValueError(f"a parameter has a member called {STORED}")
    if isinstance(value, dict) and value and all(name in matching.MATCHERS for name in value):
        return {"schema": {"const": value}}
    return value


def _has_name(value: Any, name: str) -> bool:
    match value:
        case dict():
            return name in value or any(_has_name(part, name) for part in value.values())
        case list():
            return any(_has_name(part, name) for part in value)
        case _:
            return False


def _store_picture(data: bytes, files: dict[str, bytes]) -> str:
    name = f"pictures/{hashlib.sha256(data).hexdigest()}.{_choose_ending(data)}"
    files[name] = data
    return name


def _store(data: bytes, ending: str, files: dict[str, bytes]) -> str:
    name = f"bodies/{hashlib.sha256(data).hexdigest()}.{ending}"
    files[name] = data
    return name


def _store_json(value: Any, files: dict[str, bytes]) -> dict[str, str]:
    data = json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    return {STORED: _store(data, "json", files)}


def _choose_ending(data: bytes) -> str:
    return FORMATS.get(guess_format(data) or "", "bin")


_NO_JSON: Final = object()


def _parse(body: bytes) -> Any:
    try:
        return strict_json.parse_json(body, strict_json.MOST_STORED_VALUES)[0]
    except strict_json.BadJson:
        return _NO_JSON


_LONGEST_WHEN: Final = 900  # characters of YAML of what was sent; with the answer an entry has two kilobytes at most
_LONGEST_ANSWER: Final = 800
_SHORTEST_STORED: Final = 150  # characters; the name of a file has about a hundred
_HEADERS: Final = frozenset({
    "retry-after", "retry-after-ms", "x-should-retry", "x-request-id",
})  # fmt: skip
"""The headers of an answer that are recorded, beside Content-Type; of a call none is."""
_HEADER_PREFIXES: Final = ("x-ratelimit-",)
_HEADER_ENDINGS: Final = ("-processing-ms", "-version", "-request-id")  # behind the name of a gateway
