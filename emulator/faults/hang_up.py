"""Hangs up in the middle of an answer, like a gateway whose process dies: the client sees a connection reset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from emulator.core.light_dataclass import dataclass
from emulator.core.position import START, Position
from emulator.faults.head import Chunks, HangUp, Head, Sleep
from emulator.faults.parameters import read_after, read_parameters, send_until


@dataclass(frozen=True, slots=True)
class HangUpFault:
    """Resets the connection at a position of the body; at byte 0 not even the status line is sent."""

    after: Position = START

    @classmethod
    def parse(cls, value: Any) -> HangUpFault:
        """Read `hang_up`, or {hang_up: {after: 50%}}. Raises ValueError."""
        parameters = read_parameters("hang_up", value, ("after",))
        return cls(read_after("hang_up", parameters, START))

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the same head, and the chunks up to the position."""
        return head, self._send_and_hang_up(head, chunks)

    async def _send_and_hang_up(self, head: Head, chunks: Chunks) -> AsyncIterator[bytes]:
        async for chunk in send_until(self.after, head, chunks):
            yield chunk
        raise HangUp
