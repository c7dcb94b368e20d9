"""Sends no body, as a gateway does that has lost the answer on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from emulator.faults import parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class EmptyBody:
    """Sends status and headers as they are, with Content-Length: 0."""

    @classmethod
    def read(cls, value: Any) -> EmptyBody:
        """`empty_body`. Raises ValueError."""
        parameters.read("empty_body", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The head without a body; what is left of the chunks stays unread."""
        return head.put("Content-Length", "0"), self._none()

    async def _none(self) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for chunk in nothing:
            yield chunk
