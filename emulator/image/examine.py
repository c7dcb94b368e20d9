"""Looks at files that a call carries: which picture it is, whether all of it decodes, and what is see-through.

One of the doors to PIL. Pure, and safe with whatever anybody sends: nothing is decoded before its size is known, nor
twice, and what cannot be decoded is a flaw, never an exception.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from typing import Final

# The plugins by name: else Pillow loads all of its forty when it first meets a WebP.
from PIL import Image, ImageChops, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

from emulator.image.recipe import LARGEST_SIDE
from emulator.image.upload import Look

THUMBNAIL: Final = (4, 3)  # pixels; enough to tell one picture from another


def look(data: bytes) -> Look:
    """What the file `data` is."""
    digest, size = hashlib.sha256(data).hexdigest(), len(data)
    strange = Look(digest, size, flaw="strange")
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Look(digest, size, flaw="huge")
    except Exception:  # noqa: BLE001  Pillow raises SyntaxError, struct.error and others on hostile headers
        return strange if kind_of(data) is None else Look(digest, size, kind_of(data), flaw="damaged")
    with image:
        kind, (width, height), mode = FORMATS[str(image.format)], image.size, image.mode
        if width * height > LARGEST_SIDE * LARGEST_SIDE:
            return Look(digest, size, kind, width, height, mode, flaw="huge")
        try:
            if kind == "png":
                _examine_chunks(data)
            image.load()
            share, palette = _alpha_share(image), _palette(image)
        except Exception:  # noqa: BLE001  as above: the head was readable, the rest is not
            return Look(digest, size, kind, width, height, mode, flaw="damaged")
    return Look(digest, size, kind, width, height, mode, share, palette)


def kind_of(data: bytes) -> str | None:
    """The format that the first bytes of `data` promise; None where they promise none of ours."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def flat(image: Image.Image) -> Image.Image:
    """`image` with eight bits a channel, as RGBA where anything in it may be see-through, else as RGB."""
    if not image.mode.startswith("I"):
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    # Sixteen bits of grey, whose transparency Pillow does not understand.
    low, high = (Image.frombytes("L", image.size, image.tobytes("raw", "I;16")[part::2]) for part in (0, 1))
    if (clear := image.info.get("transparency")) is None:
        return high.convert("RGB")
    same = (
        band.point([0 if value == byte else 255 for value in range(256)])
        for band, byte in ((low, clear & 255), (high, clear >> 8))
    )
    return Image.merge("RGBA", (high, high, high, ImageChops.lighter(*same)))


def _examine_chunks(data: bytes) -> None:
    """Raise ValueError where a PNG's chunks do not add up: Pillow skips the checksums of pixels."""
    view, place, kind = memoryview(data), 8, b""
    while kind != b"IEND":
        end = place + 8 + int.from_bytes(view[place : place + 4], "big")
        kind = bytes(view[place + 4 : place + 8])
        if zlib.crc32(view[place + 4 : end]) != int.from_bytes(view[end : end + 4], "big") or end + 4 > len(data):
            raise ValueError(f"the chunk {kind!r} is damaged")
        place = end + 4


def _alpha_share(image: Image.Image) -> float | None:
    if not image.has_transparency_data:
        return None
    alpha = (image if image.mode in ("RGBA", "LA") else flat(image)).getchannel("A")  # a copy may have 64 MiB
    return round(alpha.histogram()[0] / (image.width * image.height), 4)


def _palette(image: Image.Image) -> str:
    """The colours of a thumbnail; what is see-through counts with the colour that is below it."""
    small = image.resize(_ENOUGH, Image.Resampling.NEAREST)  # of any mode, and quickly
    small.info = image.info
    return flat(small).convert("RGB").resize(THUMBNAIL, Image.Resampling.BOX).tobytes().hex()


FORMATS: Final = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp"}  # MPO: a JPEG that holds more than one
_ENOUGH: Final = (64, 48)
