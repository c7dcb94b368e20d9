"""What the journal keeps of a response: its text, in which a reference stands for each picture in Base64.

A call may answer with megabytes of pictures. Each picture can be drawn again from its recipe, so the recipe's digest is
enough; what is left of a body is short, and bounded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

from emulator.core import strict_json
from emulator.core.picture_events import has_finished_picture
from emulator.image.recipe import ImageRecipe

RecordedBody = str | dict[str, Any] | None
"""A body as it is stored: its text, or `digest` and `length` where it is no text or too long, or None for no body."""


def record_body(body: bytes, pictures: Sequence[ImageRecipe]) -> RecordedBody:
    """Return what the journal keeps of a body that shows `pictures` in this order, if it shows them in Base64."""
    if not body:
        return None
    shortened = body
    if pictures and len(body) > _SHORTEST_PICTURE:
        shortened = _replace_pictures(body, pictures)
    if len(shortened) <= LONGEST_BODY:
        try:
            return shortened.decode()
        except UnicodeDecodeError:
            pass
    return {"digest": hashlib.sha256(body).hexdigest(), "length": len(body)}


def keep_body(body: bytes, pictures: Sequence[ImageRecipe]) -> RecordedBody | bytes:
    """Return what is kept of a body: a short one itself, of any other what `record_body` returns."""
    if len(body) <= _SHORT:
        return body
    return record_body(body, pictures)


def record_kept_body(body: RecordedBody | bytes, pictures: Sequence[ImageRecipe]) -> RecordedBody:
    """Return what `record_body` makes of a body that was kept, which only those entries need that somebody reads."""
    if isinstance(body, bytes):
        return record_body(body, pictures)
    return body


def read_head(head: str) -> dict[str, str]:
    """Return the headers in the text of a response's head, as `join_headers` in *responses* returns them."""
    headers: dict[str, str] = {}
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        if name:
            headers[name] = value
    return headers


class EventRecorder:
    """Records the events of a stream while it is sent: each with its offset, pictures replaced by references.

    `pictures` are the finished pictures of the stream, and `now` gives the seconds since the call began.
    """

    def __init__(self, pictures: Sequence[ImageRecipe], now: Callable[[], float]) -> None:
        self.events: list[list[Any]] = []
        """[offset in seconds, text of the event] for each event that was sent, the first LONGEST_BODY bytes of them."""
        self._pictures = pictures
        self._now = now
        self._finished = 0
        self._pending = b""
        self._length = 0

    def add(self, chunk: bytes) -> None:
        """Record bytes that were sent; an event is recorded when its last byte has been sent."""
        if not self._pending and chunk.endswith(b"\n\n"):  # the usual chunk: one whole event
            self._record(chunk)
            return
        *whole, self._pending = (self._pending + chunk).split(b"\n\n")
        for text in whole:
            self._record(text)

    def _record(self, frame: bytes) -> None:
        text = _replace_pictures(frame, self._pictures[self._finished :]).strip()
        self._length += len(text)
        if self._length <= LONGEST_BODY:
            self.events.append([round(self._now(), 6), text.decode("utf-8", "backslashreplace")])
        if has_finished_picture(text):
            self._finished += 1


def read_body(body: RecordedBody, content_type: str) -> Any:
    """Return a stored body as a person reads it: JSON as its value, anything else as it is stored."""
    if isinstance(body, str) and "json" in content_type.lower():
        try:
            return strict_json.parse_json(body.encode("utf-8", "surrogatepass"), strict_json.MOST_STORED_VALUES)[0]
        except strict_json.BadJson:
            return body
    return body


def read_events(recorded: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Return stored events as `offset` (seconds), `event` (its name or None) and `data` (its JSON value, or text)."""
    events = []
    for offset, text in recorded:
        for frame in text.split("\n\n"):
            name, data = None, []
            for line in frame.splitlines():
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
            events.append({"offset": offset, "event": name, "data": read_body("\n".join(data), "json")})
    return events


def _replace_pictures(text: bytes, pictures: Sequence[ImageRecipe]) -> bytes:
    """Return the JSON text with each long Base64 string replaced by a reference to the picture of the same place."""
    pieces, copied, number = [], 0, 0
    member = text.find(_MEMBER)
    while member >= 0:
        begin = text.find(b'"', member + len(_MEMBER)) + 1
        end = text.find(b'"', begin)
        if begin == 0 or end < 0:  # the body is cut here
            begin, end = begin or len(text), len(text)
        if end - begin >= _SHORTEST_PICTURE:
            recipe = pictures[number] if number < len(pictures) else None
            pieces += [text[copied : begin - 1], _describe_picture(recipe, end - begin)]
            copied = end + 1
            number += 1
        member = text.find(_MEMBER, end)  # the megabytes of a picture are not searched
    return b"".join([*pieces, text[copied:]])


def _describe_picture(recipe: ImageRecipe | None, length: int) -> bytes:
    reference: dict[str, Any] = {"digest": None, "format": None, "size": None}
    if recipe is not None:
        reference = {"digest": recipe.digest, "format": recipe.served_as, "size": f"{recipe.width}x{recipe.height}"}
    return json.dumps({**reference, "length": length}).encode()


LONGEST_BODY: Final = 2**16  # bytes of a body, and of a stream's events, that a journal keeps; lists of models fit
_SHORT: Final = 4096  # bytes of a body that is kept as it is
_SHORTEST_PICTURE: Final = 100  # characters of Base64; the smallest PNG of one pixel has about that many
_MEMBER: Final = b'"b64_json"'
