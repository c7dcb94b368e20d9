"""Image API Emulator: a local stand-in for OpenAI-compatible image-generation gateways.

`Emulator` runs one in this process, `ImageApi` is a session on one that runs elsewhere, `inspect` reads back what a
picture says of itself, and what goes wrong is an `EmulatorError`. Nothing heavy is loaded by importing this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.client.api import ImageApi
    from emulator.client.connection import EmulatorError
    from emulator.client.embedded import Emulator
    from emulator.image.render import Inspection

__all__ = ["Emulator", "EmulatorError", "ImageApi", "inspect"]


def inspect(data: bytes) -> Inspection:
    """What the picture file `data` is, and what its label says; raises ValueError where it is no picture.

    >>> inspect(b"not a picture")
    Traceback (most recent call last):
    ...
    ValueError: not a PNG, JPEG or WebP picture
    """
    from emulator.image import render

    return render.inspect(data)


if not TYPE_CHECKING:  # who checks types knows the names from above, and so finds a slip in one

    def __getattr__(name: str) -> Any:
        """The classes named above, each loaded when it is first asked for."""
        if name == "Emulator":
            from emulator.client import embedded

            return embedded.Emulator
        if name == "EmulatorError":
            from emulator.client import connection

            return connection.EmulatorError
        if name == "ImageApi":
            from emulator.client import api

            return api.ImageApi
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
