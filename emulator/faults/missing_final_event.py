"""Ends a stream before its last event, as a gateway does whose upstream went away: HTTP is whole, the rest is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from emulator.faults import events, parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class MissingFinalEvent:
    """Leaves out the last event and what stands behind it; a body that is no stream stays as it is."""

    @classmethod
    def read(cls, value: Any) -> MissingFinalEvent:
        """`missing_final_event`. Raises ValueError."""
        parameters.read("missing_final_event", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The chunks up to the last event."""
        return (head, self._chunks(chunks)) if events.streamed(head) else (head, chunks)

    async def _chunks(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async for block, last in events.ranked(chunks):
            if last:
                return
            yield block
