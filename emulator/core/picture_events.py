"""Tells which events of a stream have a finished picture, whichever gateway the stream comes from.

The names of events differ from gateway to gateway, and a recording is read without one. An event with a picture, or
with a link to one, is that of a finished picture, unless it says `partial_image`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final


def has_finished_picture(event: bytes) -> bool:
    """Return whether the text of an event, or what stands in it before its picture, has a finished picture."""
    if not any(member in event for member in _PICTURE_MEMBERS):
        return False
    line = event[: event.find(b"\n")]
    return _UNFINISHED not in line and not any(mark in event for mark in _MARKS)


def is_finished_picture(name: str | None, data: Any) -> bool:
    """Return whether an event with this name and JSON value has a finished picture."""
    if not isinstance(data, Mapping) or not any(data.get(member) for member in ("b64_json", "url")):
        return False
    return "partial_image" not in f"{name} {data.get('type')}" and "partial_image_index" not in data


_UNFINISHED: Final = b"partial_image"
_PICTURE_MEMBERS: Final = (b'"b64_json"', b'"url"')
_MARKS: Final = (b'.partial_image"', b'"partial_image_index"')
"""What an event of an unfinished picture has in its data, where it has no name; a prompt cannot have it unescaped."""
