"""Small pictures of large ones: of any picture that decodes, and of nothing else."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from emulator.image.inspect import inspect_image
from emulator.image.png import RGB, SIGNATURE, format_chunk
from emulator.image.thumbnail import make_thumbnail
from tests.paths import TESTS


def encode(image: Image.Image, kind: str) -> bytes:
    """The file of a picture."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "fitted"), [((1024, 1024), (96, 96)), ((1536, 512), (96, 32)), ((10, 2000), (1, 96)), ((20, 10), (20, 10))]
)
def test_it_fits_into_a_square(kind: str, size: tuple[int, int], fitted: tuple[int, int]) -> None:
    """A picture keeps its shape and its colours; a small one keeps its size."""
    made = make_thumbnail(encode(Image.new("RGB", size, (200, 30, 60)), kind), 96)
    assert made is not None
    shown = inspect_image(made)
    assert ("png", fitted, True) == (shown.format, (shown.width, shown.height), shown.whole)
    red, green, blue = Image.open(io.BytesIO(made)).convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    assert (red > 180, green < 50, blue < 80) == (True, True, True)


def test_what_is_transparent_stays_so() -> None:
    """Also in a palette, and where the picture has sixteen bits."""
    data = (TESTS / "pictures" / "transparent.png").read_bytes()
    made = make_thumbnail(data, 96)
    assert made is not None
    before, after = inspect_image(data).alpha_share, inspect_image(made).alpha_share
    assert before is not None
    assert after is not None
    assert abs(before - after) < 0.05
    grey = Image.new("I;16", (64, 64), 40_000)
    assert make_thumbnail(encode(grey, "PNG"), 32) is not None


def test_a_real_one_is_small() -> None:
    """A drawn picture of 1024 x 1024 pixels comes to about two kilobytes."""
    made = make_thumbnail((TESTS / "pictures" / "first.png").read_bytes(), 96)
    assert made is not None
    assert len(made) < 4000


@pytest.mark.parametrize(
    "data",
    [
        b"", b"GIF89a", b"<svg onload=alert(1)>", SIGNATURE, b"RIFF\0\0\0\0WEBPVP8 ", b"\xff\xd8\xff\xe0",
        SIGNATURE + format_chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, RGB, 0, 0, 0)),
        (TESTS / "pictures" / "first.png").read_bytes()[:3000],
    ],
    ids=["nothing", "gif", "svg", "head", "webp", "jpeg", "huge", "cut"],
)  # fmt: skip
def test_what_does_not_decode(data: bytes) -> None:
    """Any bytes are safe."""
    assert make_thumbnail(data, 96) is None
