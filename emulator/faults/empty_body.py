"""Sends no body, like a gateway that has lost the answer on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import read_parameters


@dataclass(frozen=True, slots=True)
class EmptyBody:
    """Sends status and headers as they are, with Content-Length: 0."""

    @classmethod
    def parse(cls, value: Any) -> EmptyBody:
        """Read `empty_body`, which takes no parameters. Raises ValueError."""
        read_parameters("empty_body", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the head without a body; no chunk is asked for."""
        return head.put("Content-Length", "0"), self._send_nothing()

    async def _send_nothing(self) -> AsyncIterator[bytes]:
        nothing: tuple[bytes, ...] = ()
        for chunk in nothing:
            yield chunk
