"""Breaks a body's JSON and nothing else: its last brace is missing, and HTTP is whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from emulator.faults import events, parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class MalformedJson:
    """Leaves out the last byte that is no white space, which closes a JSON text; a picture loses its last byte.

    Of a stream it is the JSON of the last event.
    """

    @classmethod
    def read(cls, value: Any) -> MalformedJson:
        """`malformed_json`. Raises ValueError."""
        parameters.read("malformed_json", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The chunks without that byte, under a Content-Length that matches."""
        if head.length is not None:
            head = head.put("Content-Length", str(max(0, head.length - 1)))
        return head, self._in_stream(chunks) if events.streamed(head) else self._chunks(chunks)

    async def _in_stream(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async for block, last in events.ranked(chunks):
            if last:
                telling = block.rstrip()
                yield telling[:-1] + block[len(telling) :]
            else:
                yield block

    async def _chunks(self, chunks: Chunks) -> AsyncIterator[bytes]:
        held = b""  # begins with the last byte so far that is no white space
        async for chunk in chunks:
            held += chunk
            last = max(0, len(held.rstrip(b" \t\r\n")) - 1)
            if last:
                yield held[:last]
            held = held[last:]
        if len(held) > 1:
            yield held[1:]
