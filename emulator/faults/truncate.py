"""Ends a body too early, like a proxy that loses its upstream."""

from __future__ import annotations

from typing import Any

from emulator.core.light_dataclass import dataclass
from emulator.core.position import HALF, Position
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import quote_value, read_after, read_parameters, send_until


@dataclass(frozen=True, slots=True)
class Truncate:
    """Ends the body at a position.

    With `content_length`, the Content-Length still promises the whole body, so the connection is closed at the
    position. Without it, the Content-Length matches what is sent: HTTP is intact, the picture or the JSON is not.
    A stream has no Content-Length; its end is an empty chunk, which is missing with `content_length` and sent without.
    """

    after: Position = HALF
    content_length: bool = True

    @classmethod
    def parse(cls, value: Any) -> Truncate:
        """Read `truncate`, or {truncate: {after: 50%, content_length: false}}. Raises ValueError."""
        parameters = read_parameters("truncate", value, ("after", "content_length"))
        content_length = parameters.get("content_length", True)
        if not isinstance(content_length, bool):
            raise ValueError(f"truncate has content_length: {quote_value(content_length)}; expected true or false")
        return cls(read_after("truncate", parameters, HALF), content_length)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the chunks up to the position, and the head with the old or the matching Content-Length."""
        cut_off = self.content_length and head.length is None
        kept = send_until(self.after, head, chunks, cut_off=cut_off)
        if self.content_length or head.length is None:
            return head, kept
        length = min(head.length, self.after.count_before(head.length))
        return head.put("Content-Length", str(length)), kept
