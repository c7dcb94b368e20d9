"""Breaks the JSON of a body and nothing else: its last brace is missing, and HTTP is intact."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import read_parameters
from emulator.faults.stream_events import is_stream, mark_last_event


@dataclass(frozen=True, slots=True)
class MalformedJson:
    """Leaves out the last byte that is not white space. In a JSON text that byte is the last brace.

    A picture loses its last byte. In a stream, the last event loses it.
    """

    @classmethod
    def parse(cls, value: Any) -> MalformedJson:
        """Read `malformed_json`, which takes no parameters. Raises ValueError."""
        read_parameters("malformed_json", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the chunks without that byte, under a Content-Length that matches."""
        if head.length is not None:
            head = head.put("Content-Length", str(max(0, head.length - 1)))
        if is_stream(head):
            return head, self._break_last_event(chunks)
        return head, self._break_body(chunks)

    async def _break_last_event(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async for block, is_last in mark_last_event(chunks):
            if is_last:
                text = block.rstrip()
                yield text[:-1] + block[len(text) :]
            else:
                yield block

    async def _break_body(self, chunks: Chunks) -> AsyncIterator[bytes]:
        held = b""  # begins with the last byte so far that is not white space
        async for chunk in chunks:
            held += chunk
            last = max(0, len(held.rstrip(b" \t\r\n")) - 1)
            if last:
                yield held[:last]
            held = held[last:]
        if len(held) > 1:
            yield held[1:]
