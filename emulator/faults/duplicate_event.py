"""Sends one event of a stream twice, like a proxy that resumes a broken connection at the wrong place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import quote_value, read_parameters
from emulator.faults.stream_events import is_event, is_stream, mark_last_event, split_events


@dataclass(frozen=True, slots=True)
class DuplicateEvent:
    """Sends the event number `event` twice (from 1; None: the last). A body that is not a stream does not change."""

    event: int | None = None

    @classmethod
    def parse(cls, value: Any) -> DuplicateEvent:
        """Read `duplicate_event`, or {duplicate_event: {event: 1}}; the number may be `last`. Raises ValueError."""
        parameters = read_parameters("duplicate_event", value, ("event",))
        number = parameters.get("event", "last")
        if number == "last":
            return cls()
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= _LARGEST:
            raise ValueError(
                f"duplicate_event has event: {quote_value(number)}; expected a number from 1 to {_LARGEST}, or last"
            )
        return cls(number)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the chunks with one event more."""
        if not is_stream(head):
            return head, chunks
        if self.event is None:
            return head, self._send_last_twice(chunks)
        return head, self._send_twice(chunks, self.event)

    async def _send_last_twice(self, chunks: Chunks) -> AsyncIterator[bytes]:
        async for block, is_last in mark_last_event(chunks):
            yield block
            if is_last:
                yield block

    async def _send_twice(self, chunks: Chunks, wanted: int) -> AsyncIterator[bytes]:
        number = 0
        async for block in split_events(chunks):
            yield block
            if is_event(block):
                number += 1
                if number == wanted:
                    yield block


_LARGEST: Final = 1000  # events; no stream of pictures has as many
