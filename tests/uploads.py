"""Pictures to upload."""

from __future__ import annotations

import base64
import io
from typing import Any, Final

from PIL import Image

from emulator.image.files import guess_format
from tests.paths import TESTS

SUITE: Final = sorted((TESTS / "data" / "pngsuite").glob("*.png"))


def draw_file(kind: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """A picture's file."""
    data = io.BytesIO()
    image = Image.linear_gradient("L").resize(size)
    image = image.convert("I").point(lambda grey: grey * 257) if mode == "I;16" else image
    image = image.convert(mode)
    if mode == "RGBA":
        image.putalpha(254)
    image.save(data, kind, **options)
    return data.getvalue()


def name_file(data: bytes) -> tuple[str, bytes, str]:
    """A part's file name, bytes and media type, as a client sends a picture whose type it knows, or any other file."""
    kind = guess_format(data)
    if kind is None:
        return "upload", data, "application/octet-stream"
    return f"image.{kind}", data, f"image/{kind}"


def data_url(data: bytes, kind: str = "image/png") -> str:
    """A data: URL."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
