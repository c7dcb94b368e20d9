"""Sends a body in small pieces with pauses, like a gateway behind a slow line."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from emulator.core.durations import parse_duration
from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import quote_value, read_parameters
from emulator.faults.stream_events import is_stream


@dataclass(frozen=True, slots=True)
class SlowBody:
    """Sends pieces of `chunk` bytes with `every` seconds between one and the next; the last piece may be smaller.

    In a stream, an event is not held back until the next one comes: the last piece of each event may be smaller.
    """

    chunk: int = 1000
    every: float = 0.1

    @classmethod
    def parse(cls, value: Any) -> SlowBody:
        """Read `slow_body`, or {slow_body: {chunk: 1000, every: 100ms}}. Raises ValueError."""
        parameters = read_parameters("slow_body", value, ("chunk", "every"))
        size = parameters.get("chunk", cls().chunk)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _LARGEST:
            raise ValueError(f"slow_body has chunk: {quote_value(size)}; expected bytes, from 1 to {_LARGEST}")
        try:
            pause = parse_duration(parameters.get("every", cls().every))
        except ValueError as error:
            raise ValueError(f"slow_body has every: {error}") from None
        return cls(size, pause)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the same head and the same bytes, in other pieces."""
        pieces = self._split(chunks, by_event=is_stream(head))
        return head, self._send_slowly(pieces, sleep)

    async def _send_slowly(self, pieces: Chunks, sleep: Sleep) -> AsyncIterator[bytes]:
        is_first = True
        async for piece in pieces:
            if not is_first:
                await sleep(self.every)
            is_first = False
            yield piece

    async def _split(self, chunks: Chunks, by_event: bool) -> AsyncIterator[bytes]:
        rest = b""
        async for chunk in chunks:
            rest += chunk
            end = len(rest)
            if not by_event:
                end -= len(rest) % self.chunk
            for start in range(0, end, self.chunk):
                yield rest[start : start + self.chunk]
            rest = rest[end:]
        if rest:
            yield rest


_LARGEST: Final = 1_000_000_000  # bytes; no body is as long
