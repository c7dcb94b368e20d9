"""Makes small pictures of large ones, for lists: PNG files of a few hundred colours, about a kilobyte each."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image

from emulator.image.decode import PIXEL_BUDGET, load_pixels, open_image
from emulator.image.inspect import count_pixel_bytes, flatten, is_huge
from emulator.image.structure import read_structure

WIDEST: Final = 1024  # pixels


def make_thumbnail(data: bytes, width: int) -> bytes | None:
    """Return the picture in `data` as a PNG that fits into a square of `width` pixels; a small one keeps its size.

    None where `data` is no PNG, JPEG or WebP that decodes. Any bytes are safe.
    """
    try:
        structure = read_structure(data)
        image = open_image(data)
    except Exception:  # noqa: BLE001  Pillow raises SyntaxError, struct.error and others on hostile headers
        return None
    with image:
        if is_huge(image):
            return None
        with PIXEL_BUDGET.hold(count_pixel_bytes(image)):
            try:
                pixels = load_pixels(image, data, structure)
                pixels.thumbnail((width, width), Image.Resampling.BOX)
                small = flatten(pixels)
            except Exception:  # noqa: BLE001  as above: the head was readable, the rest is not
                return None
    if small.mode == "RGB":
        small = small.quantize(_COLOURS, dither=Image.Dither.NONE)
    file = io.BytesIO()
    small.save(file, "PNG", optimize=True)
    return file.getvalue()


_COLOURS: Final = 64  # enough for a picture of this size, and half as many bytes as 256
