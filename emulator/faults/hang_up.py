"""Hangs up in the middle of an answer, as a gateway does whose process dies: the client sees a connection reset."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from emulator.faults import parameters
from emulator.faults.head import Chunks, HangUp, Head, Sleep
from emulator.faults.parameters import START, Position


@dataclass(frozen=True, slots=True)
class HangUpFault:
    """Resets the connection after a position of the body; at byte 0 not even the status line is sent."""

    after: Position = START

    @classmethod
    def read(cls, value: Any) -> HangUpFault:
        """`hang_up`, or {hang_up: {after: 50%}}. Raises ValueError."""
        given = parameters.read("hang_up", value, ("after",))
        return cls(parameters.position("hang_up", given, START))

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The same head, and the chunks up to the position."""
        return head, self._chunks(head, chunks)

    async def _chunks(self, head: Head, chunks: Chunks) -> AsyncIterator[bytes]:
        async for chunk in self.after.passed(head, chunks):
            yield chunk
        raise HangUp
