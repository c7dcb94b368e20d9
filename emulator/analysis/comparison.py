"""Holds an answer that a real gateway has given against what the emulator says to the same call.

Both answers are of one form here, without the bytes of their pictures. What changes from call to call is no difference:
ids, moments, links, rewritten prompts, and what is on a picture.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Literal, get_args

from emulator.core import strict_json
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import shorten_text
from emulator.core.picture_events import is_finished_picture
from emulator.response.relayed import B64_JSON
from emulator.session.recording_entry import is_kept_header

DifferenceKind = Literal[
    "too_lax", "too_strict", "other_words", "other_fields", "other_picture", "other_usage", "other_headers"
]
DIFFERENCE_KINDS: Final[tuple[DifferenceKind, ...]] = get_args(DifferenceKind)
"""The kinds of differences, the worst first: what is answered here and refused there lets a bad test pass."""


@dataclass(frozen=True)
class AnswerDifference:
    """One difference: `where` names the part of the answer, `recorded` and `here` say what stands there.

    `rule` is the rule of the gateway's file that refuses a call here, with its source.
    """

    kind: DifferenceKind
    where: str
    recorded: str
    here: str
    rule: str | None = None


@dataclass(frozen=True)
class PictureFacts:
    """What a picture's file is: its size such as 1024x1024, its format, and whether it has an alpha channel."""

    size: str
    format: str
    has_alpha: bool


@dataclass(frozen=True)
class StreamEvent:
    """An event of a stream: its name, and its data as a JSON value, or as the text that is no JSON."""

    name: str | None
    value: Any

    @property
    def label(self) -> str:
        """What the event is called, or its text, such as [DONE]."""
        if self.name is None and isinstance(self.value, str):
            return shorten_text(self.value, _LONGEST_SHOWN)
        return self.name or "(no name)"

    @property
    def is_finished(self) -> bool:
        """Whether it has a finished picture."""
        return is_finished_picture(self.name, self.value)


@dataclass(frozen=True)
class ComparedAnswer:
    """An answer, recorded or of our own: `headers` by their names in lower case.

    `value` is the body's JSON value without its pictures, NO_JSON where it is something else; a stream has `events`.
    `pictures` are the finished ones in their order, None for a file that cannot be read. `is_empty` tells of a body
    without a byte.
    """

    status: int
    content_type: str
    headers: Mapping[str, str]
    value: Any
    events: Sequence[StreamEvent] = ()
    pictures: Sequence[PictureFacts | None] = ()
    is_empty: bool = False

    @property
    def is_refusal(self) -> bool:
        """Whether the call got no pictures, and no task or list either; some gateways refuse with the status 200."""
        if self.status >= _FIRST_REDIRECT:
            return True
        return isinstance(self.value, Mapping) and bool(self.value.get("error")) and "data" not in self.value

    @property
    def words(self) -> Mapping[str, Any]:
        """The type, code, param and message of a refusal, as far as it has them."""
        error = self.value
        if isinstance(error, Mapping) and error.get("error"):
            error = error["error"]
        if isinstance(error, str):
            return {"message": error}
        if not isinstance(error, Mapping):
            return {}
        return {name: error[name] for name in WORDS if name in error}

    def describe(self) -> str:
        """Return in a few words what the answer is."""
        if not self.is_refusal:
            if self.events:
                return f"{self.status}, a stream"
            return f"{self.status}, answered"
        words = self.words
        code = words.get("code") or words.get("type") or ""
        text = f"{self.status} {code}".rstrip()
        if self.is_empty:
            return f"{text}, empty"
        message = words.get("message")
        if isinstance(message, str):
            return f"{text}: {_ABOUT_ID.sub('', message)}"
        return text


@dataclass(frozen=True)
class MessagePattern:
    """The messages that consist of some texts in their order; anything may stand between two of them."""

    texts: tuple[str, ...]

    def fits(self, message: str) -> bool:
        """Return whether `message` is one of them."""
        first, *rest = self.texts
        if not rest:
            return message == first
        last = rest.pop()
        if not message.startswith(first) or not message.endswith(last):
            return False
        place, end = len(first), len(message) - len(last)
        for text in rest:
            found = message.find(text, place, end)
            if found < 0:
                return False
            place = found + len(text)
        return place <= end


@dataclass(frozen=True)
class OwnWords:
    """The words with which a refusal is compared: `messages` are patterns that its message may fit."""

    status: int
    type: str | None
    code: str | None
    messages: Sequence[MessagePattern]


def find_differences(
    recorded: ComparedAnswer,
    here: ComparedAnswer,
    *,
    operation: str,
    words: OwnWords | None = None,
    changing: Collection[str] = (),
) -> Iterator[AnswerDifference]:
    """Yield how a recorded answer differs from ours to the same call.

    `words` are those that a recorded refusal is compared with; None: those of our refusal. `changing` are a gateway's
    own names of members whose values are others in each call.
    """
    if recorded.is_refusal != here.is_refusal:
        kind: DifferenceKind = "too_lax" if recorded.is_refusal else "too_strict"
        yield AnswerDifference(kind, "the answer", _show_text(recorded.describe()), _show_text(here.describe()))
        return
    if recorded.is_refusal:
        yield from _compare_words(recorded, here, words)
    elif recorded.status != here.status:
        yield AnswerDifference("other_words", "status", str(recorded.status), str(here.status))
    if bool(recorded.events) != bool(here.events):
        yield AnswerDifference("other_fields", "the answer", _name_shape(recorded), _name_shape(here))
    elif recorded.events:
        yield from _compare_events(recorded.events, here.events, changing)
    else:
        yield from _compare_bodies(recorded, here, is_list=operation in _LISTS, changing=changing)
    has_pictures = recorded.value is not NO_JSON or recorded.events or recorded.pictures
    if has_pictures and not recorded.is_refusal and operation not in _LISTS:
        yield from _compare_pictures(recorded.pictures, here.pictures)
    yield from _compare_headers(recorded, here)


def _compare_words(
    recorded: ComparedAnswer, here: ComparedAnswer, words: OwnWords | None
) -> Iterator[AnswerDifference]:
    """Yield how the words of two refusals differ."""
    own: dict[str, Any] = {"status": here.status, **here.words}
    if words is not None:
        own |= {"status": words.status, "type": words.type, "code": words.code}
    theirs: dict[str, Any] = {"status": recorded.status, **recorded.words}
    for name in ("status", *WORDS):
        if name not in own or name not in theirs or own[name] == theirs[name]:
            continue
        if name == "param" and words is not None:  # what a script refuses is about no parameter of the call
            continue
        if name == "message" and words is not None and _fits(theirs[name], words.messages):
            continue
        one, other = _show(theirs[name]), _show(own[name])
        yield AnswerDifference("other_words", name, _ABOUT_ID.sub("", one), _ABOUT_ID.sub("", other))


def _fits(message: Any, patterns: Sequence[MessagePattern]) -> bool:
    return isinstance(message, str) and any(pattern.fits(message) for pattern in patterns)


def _compare_bodies(
    recorded: ComparedAnswer, here: ComparedAnswer, *, is_list: bool, changing: Collection[str]
) -> Iterator[AnswerDifference]:
    if recorded.value is NO_JSON or here.value is NO_JSON:
        if recorded.value is not here.value or recorded.is_empty != here.is_empty:
            yield AnswerDifference("other_fields", "the body", _name_shape(recorded), _name_shape(here))
        return
    walk = _Walk(compares_values=not recorded.is_refusal and not is_list, is_list=is_list, changing=changing)
    walk.compare(recorded.value, here.value, "")
    yield from walk.found.values()


def _compare_events(
    recorded: Sequence[StreamEvent], here: Sequence[StreamEvent], changing: Collection[str]
) -> Iterator[AnswerDifference]:
    """Yield how two streams differ: the order of their events, and the members of those that both have.

    Several events of a name behind each other are as good as one: a gateway sends as many unfinished pictures as it
    has time for.
    """
    one, other = list_labels(recorded), list_labels(here)
    if one != other:
        yield AnswerDifference("other_fields", "the events", _show_text(", ".join(one)), _show_text(", ".join(other)))
    own: dict[str, list[StreamEvent]] = {}
    for event in here:
        own.setdefault(event.label, []).append(event)
    walk = _Walk(compares_values=True, is_list=False, changing=changing)
    counts: Counter[str] = Counter()
    for event in recorded:
        like = own.get(event.label, [])
        if event.name is not None and counts[event.label] < len(like):
            walk.compare(event.value, like[counts[event.label]].value, f"{event.name} ")
        counts[event.label] += 1
    yield from walk.found.values()


def list_labels(events: Sequence[StreamEvent]) -> list[str]:
    """Return what the events of a stream are called, each once where several of a name follow each other."""
    return [label for label, _ in groupby(event.label for event in events)]


class _Walk:
    """Compares JSON values member by member; `found` has each difference once, by its place."""

    def __init__(self, *, compares_values: bool, is_list: bool, changing: Collection[str]) -> None:
        self.found: dict[tuple[str, str], AnswerDifference] = {}
        self._changing = changing
        self._compares_values = compares_values
        self._is_list = is_list

    def compare(self, recorded: Any, here: Any, path: str) -> None:
        """Note how two values at `path` differ."""
        if isinstance(recorded, Mapping) and isinstance(here, Mapping):
            self._compare_members(recorded, here, path)
        elif isinstance(recorded, list) and isinstance(here, list):
            self._compare_items(recorded, here, path)
        elif _name_type(recorded) != _name_type(here):
            if path.rpartition(".")[2] not in WORDS or self._compares_values:  # those of a refusal are its words
                self._note(path, "type", _describe_type(recorded), _describe_type(here))
        elif self._compares_values and recorded != here and not self._changes(path):
            self._note(path, "value", _show(recorded), _show(here))

    def _compare_members(self, recorded: Mapping[str, Any], here: Mapping[str, Any], path: str) -> None:
        inner = path if not path or path.endswith(" ") else f"{path}."
        for name in recorded:
            if name not in here:
                self._note(f"{inner}{name}", "name", _describe_type(recorded[name]), _ABSENT)
        for name in here:
            if name not in recorded:
                self._note(f"{inner}{name}", "name", _ABSENT, _describe_type(here[name]))
        common = [name for name in recorded if name in here]
        own_order = [name for name in here if name in recorded]
        if common != own_order:
            where = path.strip() or "the body"
            self._note(where, "order", ", ".join(common), ", ".join(own_order))
        for name in common:
            self.compare(recorded[name], here[name], f"{inner}{name}")

    def _compare_items(self, recorded: Sequence[Any], here: Sequence[Any], path: str) -> None:
        """Compare the items of two lists; a list of models has others at each gateway, of the same shape."""
        if not here:
            return
        for place, item in enumerate(recorded):
            if place < len(here) or self._is_list:
                self.compare(item, here[min(place, len(here) - 1)], f"{path}[]")

    def _changes(self, path: str) -> bool:
        """Return whether the value at `path` changes from call to call."""
        name = path.rpartition(".")[2].rpartition(" ")[2].removesuffix("[]")
        return name in _CHANGING or name in self._changing or name.endswith(("_id", "_at", "_time"))

    def _note(self, path: str, what: str, recorded: str, here: str) -> None:
        kind: DifferenceKind = "other_fields"
        if _USAGE.search(path):
            kind = "other_usage"
        where = path
        if what == "order":
            where = f"order of {path}"
        self.found.setdefault((path, what), AnswerDifference(kind, where, _show_text(recorded), _show_text(here)))


def _compare_pictures(
    recorded: Sequence[PictureFacts | None], here: Sequence[PictureFacts | None]
) -> Iterator[AnswerDifference]:
    if len(recorded) != len(here):
        yield AnswerDifference("other_picture", "number", str(len(recorded)), str(len(here)))
    told: set[str] = set()
    for theirs, own in zip(recorded, here, strict=False):
        if theirs is UNKNOWN:
            continue
        if theirs is None or own is None:
            if theirs is not own and "file" not in told:
                told.add("file")
                yield AnswerDifference("other_picture", "file", _name_file(theirs), _name_file(own))
            continue
        for name in ("size", "format", "has_alpha"):
            one, other = getattr(theirs, name), getattr(own, name)
            if one != other and name not in told:
                told.add(name)
                yield AnswerDifference("other_picture", _PICTURE_WORDS[name], _show_fact(one), _show_fact(other))


def _compare_headers(recorded: ComparedAnswer, here: ComparedAnswer) -> Iterator[AnswerDifference]:
    """Yield how the headers differ that a recording keeps; one that was written by hand may have none of them."""
    has_body = not (recorded.is_empty and here.is_empty)
    if has_body and _normalize(recorded.content_type) != _normalize(here.content_type):
        yield AnswerDifference("other_headers", "content-type", recorded.content_type, here.content_type)
    theirs = {name for name in recorded.headers if is_kept_header(name)}
    own = {name for name in here.headers if is_kept_header(name)}
    has_usual = any(not name.startswith(_RETRY) for name in theirs)
    for name in sorted(theirs - own):
        yield AnswerDifference("other_headers", name, _PRESENT, _ABSENT)
    for name in sorted(own - theirs):
        if has_usual or name.startswith(_RETRY):
            yield AnswerDifference("other_headers", name, _ABSENT, _PRESENT)
    for name in sorted(theirs & own):
        if name.endswith(_VERSION) and recorded.headers[name] != here.headers[name]:
            one, other = _show_text(recorded.headers[name]), _show_text(here.headers[name])
            yield AnswerDifference("other_headers", name, one, other)


def parse_json(body: bytes) -> Any:
    """Return the JSON value of a body; NO_JSON where it has none."""
    try:
        return strict_json.parse_json(body, strict_json.MOST_STORED_VALUES)[0]
    except strict_json.BadJson:
        return NO_JSON


def parse_events(stream: bytes) -> Iterator[StreamEvent]:
    """Yield the events of a stream; a comment is none."""
    for frame in re.split(r"\r?\n\r?\n", stream.decode("utf-8", "replace")):
        name, lines = None, []
        for line in frame.splitlines():
            field, _, text = line.partition(":")
            if field == "event":
                name = text.strip()
            elif field == "data":
                lines.append(text.removeprefix(" "))
        if name is None and not lines:
            continue
        text = "\n".join(lines)
        value = parse_json(text.encode())
        yield StreamEvent(name, text if value is NO_JSON else value)


def hide_pictures(value: Any, member: str = "") -> Any:
    """Return a JSON value with one text in the place of all pictures."""
    match value:
        case dict():
            return {name: hide_pictures(part, name) for name, part in value.items()}
        case list():
            return [hide_pictures(part, member) for part in value]
        case str() if member == B64_JSON and value:
            return PICTURE
        case _:
            return value


def _name_type(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    for types, name in _TYPES:
        if isinstance(value, types):
            return name
    return "null"


def _describe_type(value: Any) -> str:
    return _name_type(value)


def _name_shape(answer: ComparedAnswer) -> str:
    if answer.events:
        return "a stream"
    if answer.value is not NO_JSON:
        return "JSON"
    if answer.is_empty:
        return "empty"
    return f"no JSON, {answer.content_type}"


def _name_file(facts: PictureFacts | None) -> str:
    if facts is None:
        return "no PNG, JPEG or WebP"
    return facts.format


def _show_fact(value: Any) -> str:
    if value is True:
        return "yes"
    if value is False:
        return "no"
    return str(value)


def _show(value: Any) -> str:
    """Return a value as JSON writes it, and a text without quotes."""
    if isinstance(value, str):
        return _show_text(value)
    return _show_text(strict_json.format_json(value))


def _show_text(text: str) -> str:
    return shorten_text(text, _LONGEST_SHOWN)


def _normalize(content_type: str) -> str:
    return content_type.replace(" ", "").lower()


WORDS: Final = ("type", "code", "param", "message")
"""The members of a refusal that are its words."""
PICTURE: Final = "(a picture)"
NO_JSON: Final = object()
UNKNOWN: Final = PictureFacts("", "", has_alpha=False)
"""A picture of which nobody has kept the file."""
_LISTS: Final = ("models", "model")
_FIRST_REDIRECT: Final = 300
_ABSENT: Final = "absent"
_PRESENT: Final = "present"
_ABOUT_ID: Final = re.compile(r" ?\(request id: [^()]*\)")
"""The part of a message that has the request's id alone, which is another in each."""
_LONGEST_SHOWN: Final = 300  # characters of what stands in one place
_RETRY: Final = ("retry-after", "x-should-retry")
_VERSION: Final = "-version"
_USAGE: Final = re.compile(r"(^|[ .])usage[.\[]")  # inside of the usage
_PICTURE_WORDS: Final = {"size": "size", "format": "format", "has_alpha": "alpha"}
_TYPES: Final[tuple[tuple[Any, str], ...]] = (
    (int | float, "a number"),
    (str, "a text"),
    (list, "a list"),
    (Mapping, "an object"),
)
_CHANGING: Final = frozenset({
    "created", "id", "url", "image_url", "image_urls", "b64_json", "revised_prompt", "date", "time", "timestamp",
    "seed", "cost", "progress", "duration", "message",
})  # fmt: skip
"""The names of members whose values are others in each call."""
