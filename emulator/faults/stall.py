"""Goes silent, as a gateway does that has forgotten its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from emulator.faults import parameters
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import START, Position


@dataclass(frozen=True, slots=True)
class Stall:
    """Sends the body up to a position (at 0 not even the status line), and then nothing more.

    It does not sleep: a frozen or scaled clock would let it go on. It waits until it is cancelled, because the client
    has left or the server stops.
    """

    after: Position = START

    @classmethod
    def read(cls, value: Any) -> Stall:
        """`stall`, or {stall: {after: 50%}}. Raises ValueError."""
        given = parameters.read("stall", value, ("after",))
        return cls(parameters.position("stall", given, START))

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The same head, and chunks that never end."""
        return head, self._chunks(head, chunks)

    async def _chunks(self, head: Head, chunks: Chunks) -> AsyncIterator[bytes]:
        async for chunk in self.after.passed(head, chunks):
            yield chunk
        await asyncio.get_running_loop().create_future()
