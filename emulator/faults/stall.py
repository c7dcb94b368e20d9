"""Goes silent, like a gateway that has forgotten its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from emulator.core.light_dataclass import dataclass
from emulator.core.position import START, Position
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import read_after, read_parameters, send_until


@dataclass(frozen=True, slots=True)
class Stall:
    """Sends the body up to a position (at 0 not even the status line), and then nothing more.

    It does not sleep, because a frozen or scaled clock would end the wait. It waits until it is cancelled: the client
    has left, or the server stops.
    """

    after: Position = START

    @classmethod
    def parse(cls, value: Any) -> Stall:
        """Read `stall`, or {stall: {after: 50%}}. Raises ValueError."""
        parameters = read_parameters("stall", value, ("after",))
        return cls(read_after("stall", parameters, START))

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the same head, and chunks that never end."""
        return head, self._send_and_wait(head, chunks)

    async def _send_and_wait(self, head: Head, chunks: Chunks) -> AsyncIterator[bytes]:
        async for chunk in send_until(self.after, head, chunks):
            yield chunk
        await asyncio.get_running_loop().create_future()
