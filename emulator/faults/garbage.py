"""Sends noise as the body, like a broken cache or a wrong encryption key."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import read_parameters


@dataclass(frozen=True, slots=True)
class Garbage:
    """Replaces each byte: the body is no JSON, no text and no picture. The length stays, and the noise repeats."""

    @classmethod
    def parse(cls, value: Any) -> Garbage:
        """Read `garbage`, which takes no parameters. Raises ValueError."""
        read_parameters("garbage", value, ())
        return cls()

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the same head, and chunks of the same sizes."""
        return head, self._send_noise(chunks)

    async def _send_noise(self, chunks: Chunks) -> AsyncIterator[bytes]:
        place = 0
        async for chunk in chunks:
            start = place % len(_NOISE)
            repeats = (start + len(chunk)) // len(_NOISE) + 1
            yield (_NOISE * repeats)[start : start + len(chunk)]
            place += len(chunk)


# Only bytes from 0x80 to 0xBF: in UTF-8 these continue a character that nothing has begun, so not even one of them is
# a text. No picture begins with two of them.
_NOISE: Final = bytes(0x80 | byte & 0x3F for byte in hashlib.shake_128(b"noise").digest(4096))
