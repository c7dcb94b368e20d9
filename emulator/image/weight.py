"""Makes the file of a picture as heavy as a real one: with fine grain, and with bytes that no reader looks at.

A picture of flat colours is a fiftieth of what an image API sends, so that limits on bodies, lines and messages are
never met. Grain is random low bits of each channel, as in a photograph, which no encoder can make small. What is then
missing to the exact number of bytes is filled up in a part of the file that every reader skips.

All of it depends on the recipe alone. Measured at 1024 x 1024 (milliseconds, bytes): grain 9; PNG with one random bit
for each channel 32 and 0.89 MB, with three 36 and 1.76 MB.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from typing import Final

from PIL import Image, ImageChops

from emulator.image import png
from emulator.image.recipe import ImageRecipe


def list_grained(image: Image.Image, recipe: ImageRecipe) -> Iterator[Image.Image]:
    """Yield `image`, which is RGB or RGBA, with less and less grain; it starts where the weight may just be kept."""
    tile = _make_random_bytes(recipe)
    for strength in _list_strengths(recipe):
        yield _add_grain(image, tile, strength)


def can_fill(data: bytes, recipe: ImageRecipe) -> bool:
    """Return whether `fill_file` brings the file `data` to the recipe's weight, to the byte."""
    assert recipe.weight is not None
    missing = recipe.weight - len(data)
    return missing == 0 or missing >= _SHORTEST_FILLING


def fill_file(data: bytes, recipe: ImageRecipe) -> bytes:
    """Return the file `data` with as many bytes that no reader looks at as it lacks to the recipe's weight."""
    assert recipe.weight is not None
    missing = recipe.weight - len(data)
    if missing < _SHORTEST_FILLING:
        return data
    tile = _make_random_bytes(recipe)
    if data.startswith(png.SIGNATURE):
        end = len(data) - _PNG_END
        return data[:end] + png.format_chunk(b"grAn", _repeat(tile, missing - _PNG_OVERHEAD)) + data[end:]
    if data.startswith(b"RIFF"):
        return _fill_webp(data, tile, missing)
    place = _find_end_of_labels(data)
    return data[:place] + b"".join(_make_segments(tile, missing)) + data[place:]


def _fill_webp(data: bytes, tile: bytes, missing: int) -> bytes:
    """Return a WebP with one chunk more at its end; a RIFF file has an even length."""
    missing -= missing % 2
    filling = _repeat(tile, missing - 8)
    length = len(data) + missing - 8
    return b"RIFF" + struct.pack("<I", length) + data[8:] + b"GRAN" + struct.pack("<I", len(filling)) + filling


def _find_end_of_labels(data: bytes) -> int:
    """Return where the application segments at the start of a JPEG end: JFIF's and EXIF's are to stay the first."""
    place = 2
    while data[place] == 0xFF and 0xE0 <= data[place + 1] <= 0xEF:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place


def _make_segments(tile: bytes, missing: int) -> Iterator[bytes]:
    """Yield segments of a JPEG for an application that nobody is, `missing` bytes together."""
    while missing:
        length = min(missing, _LONGEST_SEGMENT)
        if 0 < missing - length < _SHORTEST_FILLING:
            length -= _SHORTEST_FILLING  # else there would be no room for the last segment
        yield b"\xff\xef" + struct.pack(">H", length - 2) + _repeat(tile, length - 4)
        missing -= length


def _list_strengths(recipe: ImageRecipe) -> Sequence[int]:
    """Return the strengths of grain to try, the strongest first: random bits of a pixel, over all channels."""
    assert recipe.weight is not None
    if recipe.format != "png":
        return _LOSSY_STRENGTHS
    bits = 8 * recipe.weight / (recipe.width * recipe.height)
    strongest = min(_STRONGEST, int((bits - _BITS_WITH_ONE_EACH) / _BITS_FOR_A_BIT) + 3)
    return range(strongest, max(0, strongest - _TRIES), -1)


def _add_grain(image: Image.Image, tile: bytes, strength: int) -> Image.Image:
    """Return `image`, which is RGB or RGBA, with random low bits in its colours."""
    tables = [[byte >> (8 - (strength + turn) // 3) for byte in range(256)] for turn in (1, 2, 0)]
    grained = image.copy()
    for top in range(0, image.height, _BAND):
        band = image.crop((0, top, image.width, min(top + _BAND, image.height)))
        start = top * _STEP % len(tile)
        noise = Image.frombytes("RGB", band.size, _repeat(tile[start:] + tile[:start], 3 * band.width * band.height))
        noise = noise.point([value for table in tables for value in table])
        if image.mode == "RGBA":
            noise.putalpha(0)
        grained.paste(ImageChops.add(band, noise), (0, top))
    return grained


def _make_random_bytes(recipe: ImageRecipe) -> bytes:
    """Return the random bytes of a recipe; they are used again and again, farther apart than an encoder looks back."""
    seed = f"grain {recipe.digest} {recipe.partial}"
    return hashlib.shake_128(seed.encode()).digest(_TILE)


def _repeat(tile: bytes, length: int) -> bytes:
    return (tile * (length // len(tile) + 1))[:length]


_STRONGEST: Final = 12  # four random bits a channel: more is no fine grain
_BITS_WITH_ONE_EACH: Final = 6.9  # of a PNG for a pixel, measured; and how many more for each further random bit
_BITS_FOR_A_BIT: Final = 1.17
_TRIES: Final = 4  # the measure is good for our landscapes; another picture may need a try or two
_LOSSY_STRENGTHS: Final = (12, 9, 6)  # with less grain, a JPEG or WebP weighs nearly what it does without
_SHORTEST_FILLING: Final = 12  # bytes: a PNG's chunk without any content
_PNG_OVERHEAD: Final = 12
_PNG_END: Final = 12  # bytes of the chunk IEND
_LONGEST_SEGMENT: Final = 65_537  # bytes of a JPEG's segment with its marker
_TILE: Final = 2**18 - 5  # bytes; zlib looks back over 2**15, and no row is a divisor of it
_BAND: Final = 64  # rows at a time
_STEP: Final = 7919  # bytes from band to band in the tile, for each row
