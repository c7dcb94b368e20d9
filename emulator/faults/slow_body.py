"""Sends a body in drops, as a gateway behind a bad line does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from emulator.core import chance
from emulator.faults import events, parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class SlowBody:
    """Sends pieces of `chunk` bytes (the last may be smaller) with `every` seconds between one and the next.

    An event of a stream does not wait for the next one: its own last piece may be smaller.
    """

    chunk: int = 1000
    every: float = 0.1

    @classmethod
    def read(cls, value: Any) -> SlowBody:
        """`slow_body`, or {slow_body: {chunk: 1000, every: 100ms}}. Raises ValueError."""
        given = parameters.read("slow_body", value, ("chunk", "every"))
        size = given.get("chunk", cls().chunk)
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _LARGEST:
            raise ValueError(f"slow_body has chunk: {parameters.shown(size)}; expected bytes, from 1 to {_LARGEST}")
        try:
            return cls(size, chance.seconds(given.get("every", cls().every)))
        except ValueError as error:
            raise ValueError(f"slow_body has every: {error}") from None

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The same head and bytes, in other pieces."""
        return head, self._chunks(self._pieces(chunks, events.streamed(head)), sleep)

    async def _chunks(self, pieces: Chunks, sleep: Sleep) -> AsyncIterator[bytes]:
        first = True
        async for piece in pieces:
            if not first:
                await sleep(self.every)
            first = False
            yield piece

    async def _pieces(self, chunks: Chunks, at_once: bool) -> AsyncIterator[bytes]:
        left = b""
        async for chunk in chunks:
            left += chunk
            whole = len(left) if at_once else len(left) - len(left) % self.chunk
            for start in range(0, whole, self.chunk):
                yield left[start : start + self.chunk]
            left = left[whole:]
        if left:
            yield left


_LARGEST: Final = 1_000_000_000  # bytes; no body is as long
