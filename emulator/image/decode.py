"""Decodes pictures: only after a walk over their parts, and only so many pixels at a time."""

from __future__ import annotations

import ctypes
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

# The plugins by name: else Pillow loads all of its forty when it first meets a WebP.
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, _webp  # noqa: F401

from emulator.image.structure import Structure

READABLE: Final = ("PNG", "JPEG", "WEBP")
"""The formats, as Pillow names them, that are read; all other decoders stay closed to strangers' bytes."""
_CAPACITY: Final = 80 * 2**20  # bytes of pixels: one of the largest pictures, and smaller ones beside it
_MOST_ANIMATED: Final = 2048 * 2048  # pixels of an animation, of which Pillow's decoder holds four copies


class PixelBudget:
    """Bounds the pixels that all threads decode at a time; a picture for which there is no room waits."""

    def __init__(self, capacity: int) -> None:
        self._capacity = self._free = capacity
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Hold the room of `size` bytes of pixels, or all room for a picture that has more."""
        size = min(size, self._capacity)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


PIXEL_BUDGET: Final = PixelBudget(_CAPACITY)
"""One for the process, as memory is."""


def open_image(data: bytes) -> Image.Image:
    """Open a picture without decoding it; raises whatever Pillow raises on hostile bytes."""
    return Image.open(io.BytesIO(data), formats=READABLE)


def load_pixels(image: Image.Image, data: bytes, structure: Structure | None) -> Image.Image:
    """Return `image`, which was opened from `data`, with its pixels; raises what Pillow raises, or ValueError.

    Pillow's decoder of WebP holds every pixel four times. A still picture is therefore decoded by the library below
    it, where that can be reached, in the memory of a PNG.
    """
    decoder = _find_webp_decoder(image.mode) if image.format == "WEBP" else None
    if decoder is None or structure is None or structure.is_animated:
        if image.format == "WEBP" and structure is not None and structure.is_animated:
            _check_animation(image)
        image.load()
        return image
    channels = len(image.mode)
    pixels = bytearray(image.width * image.height * channels)
    target = (ctypes.c_char * len(pixels)).from_buffer(pixels)
    if not decoder(data, len(data), target, len(pixels), image.width * channels):
        raise ValueError("the WebP does not decode")
    return Image.frombuffer(image.mode, image.size, pixels, "raw", image.mode, 0, 1)


def _check_animation(image: Image.Image) -> None:
    if image.width * image.height > _MOST_ANIMATED:
        raise ValueError("too large for an animation")


@cache
def _find_webp_decoder(mode: str) -> Any:
    """Return libwebp's function that decodes into a buffer, by way of Pillow's own module; None where there is none."""
    try:
        library = ctypes.CDLL(_webp.__file__)
        decoder = library.WebPDecodeRGBAInto if mode == "RGBA" else library.WebPDecodeRGBInto
    except (OSError, AttributeError):
        return None
    decoder.restype = ctypes.c_void_p
    decoder.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return decoder
