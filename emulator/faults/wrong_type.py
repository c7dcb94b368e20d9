"""Sends a wrong Content-Type, like a proxy that labels everything as a page."""

from __future__ import annotations

import re
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import quote_value, read_parameters


@dataclass(frozen=True, slots=True)
class WrongType:
    """Sends the body as it is, under another Content-Type."""

    content_type: str = "text/html"

    @classmethod
    def parse(cls, value: Any) -> WrongType:
        """Read `wrong_type`, or {wrong_type: {content_type: text/plain}}. Raises ValueError."""
        parameters = read_parameters("wrong_type", value, ("content_type",))
        content_type = parameters.get("content_type", cls().content_type)
        if not isinstance(content_type, str) or not _MEDIA_TYPE.fullmatch(content_type):
            shown = quote_value(content_type)
            raise ValueError(f"wrong_type has content_type: {shown}; expected a media type, such as text/html")
        return cls(content_type)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the same chunks under the other type."""
        return head.put("Content-Type", self.content_type), chunks


_MEDIA_TYPE: Final = re.compile(r"[A-Za-z0-9.+_-]{1,60}/[A-Za-z0-9.+_-]{1,60}(; ?[\x20-\x7e]{1,60})?")
