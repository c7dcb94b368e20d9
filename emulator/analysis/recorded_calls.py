"""Makes requests of the entries of a recording again, and reads the answers that were recorded.

What an entry does not say, because it has matchers in the place of values or because its file is gone, cannot be asked
again: CannotAsk says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from emulator.analysis.comparison import (
    NO_JSON,
    PICTURE,
    UNKNOWN,
    ComparedAnswer,
    PictureFacts,
    StreamEvent,
    parse_events,
    parse_json,
)
from emulator.core.light_dataclass import dataclass
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import Gateway, Operation
from emulator.image.files import guess_format, guess_media_type
from emulator.image.recipe import FORMATS
from emulator.image.structure import read_structure
from emulator.image.upload import find_role
from emulator.messages import BodyPart, Canned, Recorded, StoredEvent, StoredPicture
from emulator.response.relayed import B64_JSON, decode_picture
from emulator.scenario import matching
from emulator.scenario.matching import Matcher
from emulator.scenario.recordings import SameValue, StoredFiles
from emulator.scenario.scenario import Answer, Rule, Scenario
from emulator.session import replay
from emulator.validation.uploads import find_picture_texts


class CannotAsk(Exception):
    """An entry that cannot be compared; the text says why, in a few words."""


@dataclass(frozen=True)
class RecordedEntry:
    """One answer of an entry: `name` is the entry's, with the place of the answer where there are several of them.

    `fields` are the conditions of the entry by their paths, and `folder` is where its files are.
    """

    name: str
    fields: Mapping[str, Matcher]
    answer: Answer
    folder: Path

    @property
    def recorded(self) -> Recorded:
        """When and how the answer was recorded."""
        return self.answer.recorded or Recorded()

    def find_text(self, path: str) -> str | None:
        """Return the text of a field, such as `operation` or `given.model`; None where the entry has none."""
        matcher = self.fields.get(path)
        value = None
        if matcher is not None:
            value = find_example(matcher)
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class AskedAgain:
    """A request that asks again for what an entry has: `path` is the gateway's own, with values in its variables."""

    method: str
    path: str
    content_type: str | None
    body: bytes


def list_entries(scenario: Scenario) -> Iterator[RecordedEntry]:
    """Yield all answers of a recording in their order."""
    assert scenario.folder is not None
    for rule in scenario.rules:
        for place, answer in enumerate(rule.answers, 1):
            name = rule.name
            if len(rule.answers) > 1:
                name = f"{rule.name}:{place}"
            yield RecordedEntry(name, _collect_fields(rule), answer, scenario.folder)


def _collect_fields(rule: Rule) -> Mapping[str, Matcher]:
    return dict(rule.when.conditions)


def find_example(matcher: Matcher) -> Any:
    """Return a value that `matcher` takes; raises CannotAsk where none is known."""
    match matcher:
        case SameValue(value) | matching.Equal(value) | matching.Contains(value):
            return value
        case matching.AtLeast(bound) | matching.AtMost(bound):
            return bound
        case matching.AnyOf(matchers):
            return find_example(matchers[0])
        case matching.Fits(text):
            schema = json.loads(text)
            if isinstance(schema, Mapping) and "const" in schema:
                return schema["const"]
    raise CannotAsk("it names no value")


def build_request(entry: RecordedEntry, gateway: Gateway, ids: Mapping[str, str]) -> AskedAgain:
    """Return the request that asks for an entry again at `gateway`.

    `ids` are the ids of tasks here by those in the recording. Raises CannotAsk, and InvalidFile for a file of the
    recording that was changed.
    """
    name = entry.find_text("operation") or "generate"
    operation = _find_operation(entry, gateway, name)
    method, path = operation.method, operation.path
    if entry.recorded.asked is not None:
        method, _, path = entry.recorded.asked.partition(" ")
    given = _collect_given(entry, path)
    path = re.sub(r"\{([^}]*)\}", lambda found: _fill_variable(entry, found[1], ids), path)
    if not operation.bodies and operation.models is None:
        return AskedAgain(method, path, None, b"")
    uploads, files = _collect_uploads(entry)
    places = [(place, text) for place, text in find_picture_texts(given, operation) if _PLACEHOLDER.fullmatch(text)]
    try:
        if _is_form(operation, given, uploads, has_places=bool(places)):
            described = [_describe_part(role, digest, files, uploads) for role, digest in uploads]
            return AskedAgain(method, path, replay.FORM_TYPE, replay.build_form(given, described, files))
        described = list(_place_uploads(places, uploads, files))
        return AskedAgain(method, path, "application/json", replay.build_json(given, described, files))
    except (TypeError, ValueError):  # a picture in the place of a parameter, for instance
        raise CannotAsk("a parameter of it is no JSON") from None


def _find_operation(entry: RecordedEntry, gateway: Gateway, name: str) -> Operation:
    asked = entry.recorded.asked
    if asked is not None:
        method, _, path = asked.partition(" ")
        operations, _ = gateway.find_operations(path.partition("?")[0])
        if method in operations:
            return operations[method]
    usual = gateway.find_usual_operation(name)
    if usual is None:
        raise CannotAsk(f"{gateway.name} has no operation {name!r} now")
    return usual


def _collect_given(entry: RecordedEntry, path: str) -> dict[str, Any]:
    """Return the parameters that the call sent, as far as the entry has them."""
    given: dict[str, Any] = {}
    for field, matcher in entry.fields.items():
        name = field.removeprefix("given.")
        first = field.partition(".")[0]
        if field == name and (first in _NO_PARAMETERS or "." in field or f"{{{field}}}" in path):
            continue
        if isinstance(matcher, matching.IsAbsent) and matcher.absent:
            continue
        try:
            given.setdefault(name, find_example(matcher))
        except CannotAsk:
            raise CannotAsk(f"its {name} is loosened by a matcher") from None
    return given


def _fill_variable(entry: RecordedEntry, name: str, ids: Mapping[str, str]) -> str:
    text = entry.find_text(name)
    if text is None:
        raise CannotAsk(f"it does not say which {name}")
    if (entry.find_text("operation") or "generate") == "task":
        if text not in ids:
            raise CannotAsk("its task was not begun in this recording")
        text = ids[text]
    return quote(text, safe="")


def _is_form(
    operation: Operation, given: Mapping[str, Any], uploads: Sequence[tuple[str, str]], *, has_places: bool
) -> bool:
    """Return whether a call was a form. Where it could be either, files tell, else texts in the place of all values."""
    if operation.form is None:
        return False
    if operation.models is None:
        return True
    if uploads:
        return not has_places
    return all(isinstance(value, str) for value in given.values())


def _collect_uploads(entry: RecordedEntry) -> tuple[list[tuple[str, str]], dict[str, bytes]]:
    """Return role and digest of each upload in their order, and the files by digest."""
    uploads: list[tuple[str, str]] = []
    for field in entry.fields:
        found = _UPLOAD.fullmatch(field)
        digest = entry.find_text(field) if found else None
        if found and digest:
            uploads.append((found[1], digest))
    stored = StoredFiles(entry.folder)
    files: dict[str, bytes] = {}
    for _, digest in uploads:
        name = next((f"pictures/{digest}.{end}" for end in _ENDINGS if _has_file(entry.folder, digest, end)), None)
        if name is None:
            raise CannotAsk("a file that it sent is not in pictures/")
        try:
            files[digest] = stored.check(name).read_bytes()
        except (ValueError, OSError) as error:
            raise InvalidFile(f"{entry.folder}: {error}") from None
    return uploads, files


def _has_file(folder: Path, digest: str, ending: str) -> bool:
    if not _DIGEST.fullmatch(digest):
        return False
    return (folder / "pictures" / f"{digest}.{ending}").exists()


def _describe_part(
    role: str, digest: str, files: Mapping[str, bytes], uploads: Sequence[tuple[str, str]]
) -> Mapping[str, Any]:
    """Return an upload as a part of a form, under the name that most clients give it."""
    name = role
    if sum(other == role for other, _ in uploads) > 1:
        name = f"{role}[]"
    ending = FORMATS.get(guess_format(files[digest]) or "", "bin")
    return {
        "name": name,
        "filename": f"{role}.{ending}",
        "media_type": guess_media_type(files[digest]),
        "sha256": digest,
    }


def _place_uploads(
    places: Sequence[tuple[str, str]], uploads: Sequence[tuple[str, str]], files: Mapping[str, bytes]
) -> Iterator[Mapping[str, Any]]:
    """Yield the uploads of a JSON body with the places where they stood."""
    waiting = list(uploads)
    for place, _ in places:
        role = find_role(re.split(r"[\[.]", place)[0])
        found = next((one for one in waiting if one[0] == role), None)
        if found is None:
            raise CannotAsk("a file that it sent is not named")
        waiting.remove(found)
        yield {"name": place, "sha256": found[1], "media_type": guess_media_type(files[found[1]])}


def read_answer(entry: RecordedEntry) -> ComparedAnswer:
    """Return the answer of an entry; raises CannotAsk where there was none, or where somebody has written a script."""
    plan = entry.answer.plan
    if not isinstance(plan, Canned):
        if entry.answer.recorded is not None:
            raise CannotAsk("the gateway did not answer in time")
        raise CannotAsk("its answer is a script, not what a gateway has said")
    headers = {name.lower(): value for name, value in entry.answer.headers}
    pictures: list[PictureFacts | None] = []
    if plan.events:
        once = [
            one for one, before in zip(plan.events, (None, *plan.events), strict=False) if not _is_twice(one, before)
        ]
        events = [event for stored in once for event in _read_event(stored, pictures)]
        return _make_answer(plan, headers, None, events, pictures)
    body = plan.body
    if plan.parts:
        body = _mark_pictures(plan.parts, pictures)
    value = NO_JSON
    if "json" in plan.content_type.lower():
        value = _replace_pictures(parse_json(body), pictures)
    elif guess_format(body) is not None:  # the reply is the picture's file
        pictures.append(_measure_picture(body))
    return _make_answer(plan, headers, value, (), pictures, is_empty=not body.strip())


def _make_answer(
    plan: Canned,
    headers: Mapping[str, str],
    value: Any,
    events: Sequence[StreamEvent],
    pictures: list[PictureFacts | None],
    *,
    is_empty: bool = False,
) -> ComparedAnswer:
    return ComparedAnswer(
        status=plan.status,
        content_type=plan.content_type,
        headers=headers,
        value=value,
        events=tuple(events),
        pictures=tuple(pictures),
        is_empty=is_empty,
    )


def _mark_pictures(parts: Sequence[BodyPart], pictures: list[PictureFacts | None]) -> bytes:
    """Return a body with a mark in the place of each stored picture; `pictures` gets what each of them is."""
    pieces = []
    for part in parts:
        if isinstance(part, StoredPicture):
            pieces.append(f"{_MARK}{len(pictures)}".encode())
            pictures.append(_read_picture(Path(part.path)))
        else:
            pieces.append(part)
    return b"".join(pieces)


def _is_twice(event: StoredEvent, before: StoredEvent | None) -> bool:
    """Return whether an event is the one before it again, as a proxy may send it."""
    return before is not None and event.parts == before.parts


def _read_event(stored: StoredEvent, pictures: list[PictureFacts | None]) -> Iterator[StreamEvent]:
    """Yield an event without its picture; `pictures` gets those that are finished."""
    own: list[PictureFacts | None] = []
    for event in parse_events(_mark_pictures(stored.parts, own)):
        yield StreamEvent(event.name, _replace_pictures(event.value, own))
        if event.is_finished:
            pictures += own


def _replace_pictures(value: Any, pictures: list[PictureFacts | None], member: str = "") -> Any:
    """Return a JSON value with one text in the place of all pictures; those that are written out join `pictures`."""
    match value:
        case dict():
            return {name: _replace_pictures(part, pictures, name) for name, part in value.items()}
        case list():
            return [_replace_pictures(part, pictures, member) for part in value]
        case str() if value.startswith(_MARK):
            return PICTURE
        case str() if member == B64_JSON and value:
            pictures.append(_measure_picture(decode_picture(value)))
            return PICTURE
        case str() if member == _LINK and value:
            pictures.append(UNKNOWN)
            return PICTURE
        case _:
            return value


def _read_picture(path: Path) -> PictureFacts | None:
    try:
        with path.open("rb") as file:
            facts = _measure_picture(file.read(_HEAD))
            if facts is not None and not facts.size.startswith("0x"):
                return facts
            file.seek(0)
            return _measure_picture(file.read())
    except OSError as error:
        raise InvalidFile(f"{path}: {error.strerror or 'cannot be read'}") from None


def _measure_picture(data: bytes) -> PictureFacts | None:
    """Return what a picture's file is; None for one that is no PNG, JPEG or WebP, or that has too many parts."""
    kind = guess_format(data)
    try:
        structure = read_structure(data)
    except (ValueError, IndexError):
        return None
    if kind is None or structure is None:
        return None
    has_alpha = structure.has_alpha
    if kind == "png":
        has_alpha = data[_PNG_COLORS : _PNG_COLORS + 1] in _PNG_ALPHA or b"tRNS" in data[: data.find(b"IDAT")]
    return PictureFacts(f"{structure.width}x{structure.height}", kind, has_alpha)


_MARK: Final = "\ue001picture "  # a private letter, as in scenario/recordings.py
_LINK: Final = "url"
_PLACEHOLDER: Final = re.compile(r"\(a picture of [0-9]+ bytes\)")  # as validation/uploads.py writes it
_UPLOAD: Final = re.compile(r"uploads\.([a-z_]+)(?:\[[0-9]+\])?\.sha256")
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_ENDINGS: Final = (*FORMATS.values(), "bin")
_NO_PARAMETERS: Final = ("operation", "gateway", "uploads", "headers", "turn", "session")
_HEAD: Final = 2**17  # bytes of a file that tell its size, unless a JPEG has much in front of it
_PNG_COLORS: Final = 25  # the byte of a PNG that tells its kind of pixels
_PNG_ALPHA: Final = (b"\x04", b"\x06")
