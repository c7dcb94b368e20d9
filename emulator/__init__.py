"""Image API Emulator: a local stand-in for OpenAI-compatible image-generation gateways.

`inspect(data)` reads back what a picture of the emulator says of itself. Nothing heavy is loaded by importing this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulator.picture import Inspection

__all__ = ["inspect"]


def inspect(data: bytes) -> Inspection:
    """What the picture file `data` is, and what its label says; raises ValueError where it is no picture.

    >>> inspect(b"not a picture")
    Traceback (most recent call last):
    ...
    ValueError: not a PNG, JPEG or WebP picture
    """
    from emulator import picture

    return picture.inspect(data)
