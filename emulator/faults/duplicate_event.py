"""Sends an event of a stream twice, as a proxy does that takes up a broken connection where it thinks it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from emulator.faults import events, parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class DuplicateEvent:
    """Sends the event number `event` (from 1; None: the last) a second time; what is no stream stays as it is."""

    event: int | None = None

    @classmethod
    def read(cls, value: Any) -> DuplicateEvent:
        """`duplicate_event`, or {duplicate_event: {event: 1}}, where `last` is a number too. Raises ValueError."""
        number = parameters.read("duplicate_event", value, ("event",)).get("event", "last")
        if number == "last":
            return cls()
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= _LARGEST:
            shown = parameters.shown(number)
            raise ValueError(f"duplicate_event has event: {shown}; expected a number from 1 to {_LARGEST}, or last")
        return cls(number)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The chunks with one event more."""
        return (head, self._chunks(chunks)) if events.streamed(head) else (head, chunks)

    async def _chunks(self, chunks: Chunks) -> AsyncIterator[bytes]:
        if self.event is None:
            async for block, last in events.ranked(chunks):
                yield block
                if last:
                    yield block
            return
        number = 0
        async for block in events.split(chunks):
            yield block
            number += events.is_event(block)
            if number == self.event and events.is_event(block):
                yield block


_LARGEST: Final = 1000  # events; no stream of pictures has as many
