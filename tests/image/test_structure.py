"""What a file's parts say before it is decoded: whether all of it is there, and whether it is over a bound."""

from __future__ import annotations

import io
import struct
import threading
import zlib
from typing import Any, Final

import pytest
from PIL import Image

import emulator
from emulator.image.decode import PixelBudget
from emulator.image.inspect import examine_upload
from emulator.image.structure import (
    LONGEST_SIDE,
    MOST_PARTS,
    MOST_SCANS,
    MOST_SEGMENTS,
    ExcessivePicture,
    Structure,
    read_structure,
)
from tests.uploads import SUITE, draw_file


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def repeat_scan(data: bytes, times: int) -> bytes:
    """A progressive JPEG whose last scan comes several times."""
    start = data.rindex(b"\xff\xda")
    return data[:start] + data[start:-2] * times + data[-2:]


def tall_png(height: int) -> bytes:
    """A PNG of one pixel's width."""
    rows = zlib.compress(bytes(2 * height))
    header = struct.pack(">IIBBBBB", 1, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND")


PLAIN: Final = draw_file()
PROGRESSIVE: Final = draw_file("JPEG", progressive=True)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("options", [{}, {"mode": "RGBA"}, {"lossless": True}, {"progressive": True}])
def test_size_and_end(kind: str, options: dict[str, Any]) -> None:
    """Width and height come from the head, and a file is complete down to its last byte."""
    if kind == "JPEG" and "mode" in options:
        options = {}
    data = draw_file(kind, **options)
    structure = read_structure(data)
    assert structure
    assert (64, 48, True) == (structure.width, structure.height, structure.is_complete)
    assert structure.has_alpha == (kind == "WEBP" and "mode" in options)
    assert emulator.inspect(data).whole


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("missing", range(1, 22))
def test_a_picture_without_its_end_is_not_whole(kind: str, missing: int) -> None:
    """Each byte that is missing at the end is noticed, also where a decoder does not need it."""
    found = emulator.inspect(draw_file(kind)[:-missing])
    assert (kind.lower(), 64, 48, False) == (found.format, found.width, found.height, found.whole)


def test_what_is_not_the_end_does_not_count() -> None:
    """A wrong checksum is decoded all the same, though an upload has to be sound; bytes behind the end mean nothing."""
    broken = PLAIN[:-1] + bytes([PLAIN[-1] ^ 1])
    assert (True, "damaged") == (emulator.inspect(broken).whole, examine_upload(broken).flaw)
    for kind in ("PNG", "JPEG", "WEBP"):
        assert emulator.inspect(draw_file(kind) + b"more").whole


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (PLAIN[:33] + chunk(b"tEXt") * MOST_PARTS + PLAIN[33:], "chunks"),
        (PLAIN[:33] + chunk(b"IDAT") * MOST_PARTS + PLAIN[33:], "chunks"),
        (tall_png(LONGEST_SIDE + 1), "a side of more than 65535 pixels"),
        (repeat_scan(PROGRESSIVE, MOST_SCANS), "too many scans"),
        (PROGRESSIVE[:2] + b"\xff\xe1\0\2" * (MOST_SEGMENTS + 1) + PROGRESSIVE[2:], "segments"),
        (PROGRESSIVE[:2] + b"\xff\xd8" * (MOST_SEGMENTS + 1) + PROGRESSIVE[2:], "segments"),
        (b"RIFF" + struct.pack("<I", 8 * MOST_PARTS + 12) + b"WEBP" + b"JUNK\0\0\0\0" * (MOST_PARTS + 1), "chunks"),
    ],
    ids=["PNG's texts", "PNG's pixels", "a side", "scans", "segments", "beginnings", "WebP's chunks"],
)
def test_what_is_over_a_bound_is_not_decoded(data: bytes, why: str) -> None:
    """An upload is damaged, and `inspect` says in one line which bound it is."""
    with pytest.raises(ExcessivePicture, match=why):
        read_structure(data)
    assert "damaged" == examine_upload(data).flaw
    with pytest.raises(ValueError, match=why):
        emulator.inspect(data)


def test_many_scans_of_a_large_picture_are_too_many() -> None:
    """Each scan costs time for every pixel, so that a large picture may have fewer."""
    data = io.BytesIO()
    Image.new("L", (4096, 4096)).save(data, "JPEG", progressive=True)
    assert read_structure(repeat_scan(data.getvalue(), 8))
    with pytest.raises(ExcessivePicture):
        read_structure(repeat_scan(data.getvalue(), 20))


@pytest.mark.parametrize(
    "data",
    [PLAIN[33:], b"", b"GIF89a", b"\xff\xd8", b"RIFF1234WEB"],
)
def test_other_files_have_no_structure(data: bytes) -> None:
    """Only the three formats are walked through."""
    assert read_structure(data) is None


@pytest.mark.parametrize("data", [PLAIN, PROGRESSIVE, draw_file("WEBP"), *(path.read_bytes() for path in SUITE[:20])])
def test_every_beginning_ends_well(data: bytes) -> None:
    """A file that is cut anywhere is not complete, and nothing is raised."""
    for length in range(12, len(data) - 1, 7):
        structure = read_structure(data[:length])
        assert structure is None or not structure.is_complete


def test_an_animation_shows_its_first_picture() -> None:
    """A WebP of several pictures is read as its first one."""
    data = io.BytesIO()
    first, second = Image.new("RGB", (64, 48), (250, 0, 0)), Image.new("RGB", (64, 48), (0, 0, 250))
    first.save(data, "WEBP", save_all=True, append_images=[second], lossless=True)
    assert read_structure(data.getvalue()) == Structure(64, 48, is_complete=True, is_animated=True)
    seen = examine_upload(data.getvalue())
    assert (None, "fa0000") == (seen.flaw, seen.palette[:6])


def test_only_so_many_pixels_at_a_time() -> None:
    """A large picture waits for the one before it; a small one goes by."""
    budget, order = PixelBudget(100), list[str]()
    inside, leave = threading.Event(), threading.Event()

    def decode(name: str, size: int) -> None:
        with budget.hold(size):
            order.append(name)

    def decode_slowly() -> None:
        with budget.hold(90):
            inside.set()
            leave.wait(10)
            order.append("first")

    threads = [threading.Thread(target=decode_slowly), threading.Thread(target=decode, args=("large", 1000))]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    decode("small", 10)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert ["small", "first", "large"] == order
