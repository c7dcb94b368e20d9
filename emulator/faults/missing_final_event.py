"""Ends a stream before its last event, like a gateway that has lost its upstream: HTTP is intact, the stream is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import read_parameters
from emulator.faults.stream_events import is_stream, mark_last_event


@dataclass(frozen=True, slots=True)
class MissingFinalEvent:
    """Leaves out the last event and everything behind it. A body that is not a stream does not change."""

    @classmethod
    def parse(cls, value: Any) -> MissingFinalEvent:
        """Read `missing_final_event`, which takes no parameters. Raises ValueError."""
        read_parameters("missing_final_event", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the chunks up to the last event."""
        if not is_stream(head):
            return head, chunks
        return head, self._stop_at_last_event(chunks)

    async def _stop_at_last_event(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async for block, is_last in mark_last_event(chunks):
            if is_last:
                return
            yield block
