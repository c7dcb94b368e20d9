"""Ends a body too early, as a proxy does that loses its upstream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emulator.faults import parameters
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import HALF, Position


@dataclass(frozen=True, slots=True)
class Truncate:
    """Ends the body at a position.

    With `content_length` the Content-Length still promises the whole, so that the connection has to be closed; without,
    it matches what is left: HTTP is whole, and the picture or the JSON in it is not. A stream promises no length: its
    last chunk is missing, or is there.
    """

    after: Position = HALF
    content_length: bool = True

    @classmethod
    def read(cls, value: Any) -> Truncate:
        """`truncate`, or {truncate: {after: 50%, content_length: false}}. Raises ValueError."""
        given = parameters.read("truncate", value, ("after", "content_length"))
        promised = given.get("content_length", True)
        if not isinstance(promised, bool):
            raise ValueError(f"truncate has content_length: {parameters.shown(promised)}; expected true or false")
        return cls(parameters.position("truncate", given, HALF), promised)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The chunks up to the position, under a Content-Length that lies or does not."""
        cut = self.after.passed(head, chunks, cut=self.content_length and head.length is None)
        if self.content_length or head.length is None:
            return head, cut
        return head.put("Content-Length", str(min(head.length, self.after.within(head.length)))), cut
