"""Sends noise for a body, as a broken cache or a wrong key of encryption does."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from emulator.faults import parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class Garbage:
    """Puts another byte in the place of each: no JSON, no text, no picture, of the same length and always the same."""

    @classmethod
    def read(cls, value: Any) -> Garbage:
        """`garbage`. Raises ValueError."""
        parameters.read("garbage", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The same head, and chunks of the same sizes."""
        return head, self._chunks(chunks)

    async def _chunks(self, chunks: Chunks) -> AsyncIterator[bytes]:
        place = 0
        async for chunk in chunks:
            start = place % len(_NOISE)
            yield (_NOISE * ((start + len(chunk)) // len(_NOISE) + 1))[start : start + len(chunk)]
            place += len(chunk)


# Bytes from 0x80 to 0xBF only: in UTF-8 they go on with a character that nothing has begun, so not even one of them is
# text, and no picture begins with two of them.
_NOISE: Final = bytes(0x80 | byte & 0x3F for byte in hashlib.shake_128(b"noise").digest(4096))
