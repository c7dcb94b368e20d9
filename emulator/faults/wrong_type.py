"""Calls a body something that it is not, as a proxy does that labels everything as a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from emulator.faults import parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class WrongType:
    """Sends the body as it is, under another Content-Type."""

    content_type: str = "text/html"

    @classmethod
    def read(cls, value: Any) -> WrongType:
        """`wrong_type`, or {wrong_type: {content_type: text/plain}}. Raises ValueError."""
        given = parameters.read("wrong_type", value, ("content_type",))
        name = given.get("content_type", cls().content_type)
        if not isinstance(name, str) or not _TYPE.fullmatch(name):
            shown = parameters.shown(name)
            raise ValueError(f"wrong_type has content_type: {shown}; expected a media type, such as text/html")
        return cls(name)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The same chunks under the other type."""
        return head.put("Content-Type", self.content_type), chunks


_TYPE: Final = re.compile(r"[A-Za-z0-9.+_-]{1,60}/[A-Za-z0-9.+_-]{1,60}(; ?[\x20-\x7e]{1,60})?")
