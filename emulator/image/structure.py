"""Walks the parts of a picture's file before it is decoded: its size, whether all of it is there, and its bounds.

A walk is linear in the file's bytes and builds nothing. What a decoder would need minutes or gigabytes for is over a
bound, and is not decoded at all.
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from emulator.core.light_dataclass import dataclass
from emulator.image.files import guess_format

MOST_PARTS: Final = 16_384  # chunks of a PNG or a WebP; libpng's chunks of 8 KiB make 6,400 of 50 MB, OpenAI's maximum
MOST_SEGMENTS: Final = 4096  # of a JPEG, beside its scans; a profile, the largest thing in them, has at most 255
MOST_SCANS: Final = 100  # of a JPEG; libjpeg's own script has 10
MOST_SCANNED: Final = 16 * 4096 * 4096  # pixels of all scans together, each of which costs time for every pixel
LONGEST_SIDE: Final = 65_535  # pixels; JPEG's own bound, and a row or a column costs memory however short it is


class ExcessivePicture(ValueError):
    """A file over a bound, which is not decoded; the text says which, in a few words."""


@dataclass(frozen=True, slots=True)
class Structure:
    """What a file's parts say: `width` and `height` in pixels, and whether it `is_complete`, down to its last byte.

    A PNG that is not `is_sound` has a wrong checksum, which not all decoders mind. `is_animated` and `has_alpha` are a
    WebP's.
    """

    width: int
    height: int
    is_complete: bool
    is_sound: bool = True
    is_animated: bool = False
    has_alpha: bool = False


def read_structure(data: bytes) -> Structure | None:
    """Return the structure of a PNG, JPEG or WebP; None for any other file. Raises ExcessivePicture."""
    kind = guess_format(data)
    if kind is None:
        return None
    structure = _READERS[kind](data)
    if max(structure.width, structure.height) > LONGEST_SIDE:
        raise ExcessivePicture(f"a side of more than {LONGEST_SIDE} pixels")
    return structure


def _read_png(data: bytes) -> Structure:
    """Walk the chunks; Pillow does not check their checksums, nor that the last one is there."""
    width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    view, start, is_sound = memoryview(data), 8, True
    for _ in range(MOST_PARTS):
        end = start + 8 + int.from_bytes(view[start : start + 4], "big")
        if end + 4 > len(data):
            return Structure(width, height, is_complete=False, is_sound=is_sound)
        if zlib.crc32(view[start + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            is_sound = False
        if data[start + 4 : start + 8] == b"IEND":
            return Structure(width, height, is_complete=True, is_sound=is_sound)
        start = end + 4
    raise ExcessivePicture(f"more than {MOST_PARTS} chunks")


def _read_jpeg(data: bytes) -> Structure:
    """Walk the markers, through the data of the scans too."""
    width = height = scans = segments = 0
    index = 2
    while True:
        index = _find_marker(data, index)
        if index < 0:
            return Structure(width, height, is_complete=False)
        marker = data[index + 1]
        if marker == _END_OF_IMAGE:
            return Structure(width, height, is_complete=True)
        if marker == _START_OF_SCAN:
            scans += 1
        segments += 1
        if marker in _FRAMES:
            height = int.from_bytes(data[index + 5 : index + 7], "big")
            width = int.from_bytes(data[index + 7 : index + 9], "big")
        if scans > MOST_SCANS or scans * width * height > MOST_SCANNED:
            raise ExcessivePicture("too many scans")
        if segments - scans > MOST_SEGMENTS:
            raise ExcessivePicture(f"more than {MOST_SEGMENTS} segments")
        index += 2
        if marker != _START_OF_IMAGE:
            index += max(2, int.from_bytes(data[index : index + 2], "big"))


def _find_marker(data: bytes, index: int) -> int:
    """Return the index of the next marker, -1 where there is none.

    It looks at _WINDOW bytes at a time, because a search lets no other thread run before it ends.
    """
    while index < len(data):
        match = _MARKER.search(data, index, index + _WINDOW + 1)
        if match is not None:
            return match.start()
        index += _WINDOW
    return -1


def _read_webp(data: bytes) -> Structure:
    """Walk the chunks; the file's length stands in its head."""
    width, height, flags = _read_webp_head(data)
    end = 8 + int.from_bytes(data[4:8], "little")
    is_complete, start = end <= len(data), 12
    for _ in range(MOST_PARTS):
        if start + 8 > min(end, len(data)):
            break
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        start += 8 + size + size % 2
    else:
        raise ExcessivePicture(f"more than {MOST_PARTS} chunks")
    return Structure(
        width,
        height,
        is_complete=is_complete and start <= len(data) + 1,
        is_animated=bool(flags & _ANIMATION),
        has_alpha=bool(flags & _ALPHA),
    )


def _read_webp_head(data: bytes) -> tuple[int, int, int]:
    """Return width, height and flags of a WebP of any of the three kinds; zeros for another."""
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
        return width + 1, height + 1, int.from_bytes(data[20:21], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, _ALPHA * (bits >> 28 & 1)
    if kind == b"VP8 ":
        size = int.from_bytes(data[26:30], "little")
        return size & 0x3FFF, size >> 16 & 0x3FFF, 0
    return 0, 0, 0


_READERS: Final = {"png": _read_png, "jpeg": _read_jpeg, "webp": _read_webp}
_WINDOW: Final = 2**20  # bytes
_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")  # with a segment; not a stuffed byte, filler or restart
_START_OF_IMAGE: Final = 0xD8
_END_OF_IMAGE: Final = 0xD9
_START_OF_SCAN: Final = 0xDA
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ANIMATION: Final = 0x02
_ALPHA: Final = 0x10
