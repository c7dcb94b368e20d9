"""Makes a picture's file what a script wants otherwise than asked: size, format, odd pixels, an early end, odd Base64.

Pure, like *picture*, and loaded when the first such picture is wanted. What is made here carries our label all the
same, as far as an early end leaves it.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin

from emulator.core.position import Position
from emulator.image import render
from emulator.image.edit import EditInputs
from emulator.image.recipe import MODES, Alteration, ImageRecipe


def file(recipe: ImageRecipe, change: Alteration, own: bytes | None, inputs: EditInputs | None = None) -> bytes:
    """The file of an altered `recipe`; `own` are the bytes of the tester's picture, if it is to come in its place.

    `inputs` are the files that an edited picture is made of.
    """
    data = _drawn(recipe, change, inputs) if own is None else own
    if change.mode is not None:
        data = _ODD[change.mode](data)
    return data if change.kept is None else data[: Position(change.kept, share=change.share).count_before(len(data))]


def _drawn(recipe: ImageRecipe, change: Alteration, inputs: EditInputs | None) -> bytes:
    """What is drawn in place of what was asked for, under the label of that."""
    drawn = replace(
        recipe,
        width=change.width or recipe.width,
        height=change.height or recipe.height,
        format=change.format or (change.mode and MODES[change.mode]) or recipe.format,
        altered=None,
    )
    return render.draw(drawn, recipe, inputs)


def _exif_rotated(data: bytes) -> bytes:
    """The same picture lying on its side, with the EXIF tag that tells a viewer to set it up again."""
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        exif[ExifTags.Base.Orientation] = _QUARTER_TURN_RIGHT
        turned = image.transpose(Image.Transpose.ROTATE_90)  # to the left
        options = _as_it_was(image)
    return _saved(turned, str(image.format), exif=exif, **options)


def _cmyk(data: bytes) -> bytes:
    """A JPEG in the colours of print, as picture libraries of agencies hold them."""
    with Image.open(io.BytesIO(data)) as image:
        return _saved(image.convert("RGB").convert("CMYK"), "JPEG", exif=image.getexif(), quality=_FINE)


def _16_bit(data: bytes) -> bytes:
    """A PNG of two bytes for each channel of a pixel, which Pillow can read but not write in colour."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        mode, kind = ("RGBA", 6) if image.has_transparency_data else ("RGB", 2)
        chunks = [_chunk(b"IHDR", struct.pack(">IIBBBBB", *image.size, 16, kind, 0, 0, 0))]
        chunks += [_chunk(b"tEXt", f"{key}\0{text}".encode("latin-1")) for key, text in _texts(image).items()]
        packer, packed = zlib.compressobj(1), []
        for top in range(0, image.height, _BAND):
            band = image.crop((0, top, image.width, min(top + _BAND, image.height))).convert(mode)
            packed.append(packer.compress(_rows_of_16_bit(band)))
        chunks += [_chunk(b"IDAT", b"".join([*packed, packer.flush()])), _chunk(b"IEND", b"")]
    return _PNG + b"".join(chunks)


def _rows_of_16_bit(band: Image.Image) -> bytes:
    """The rows of `band` as a PNG has them, unfiltered: 0 to 255 becomes 0 to 65535, which is each byte twice."""
    narrow = band.tobytes()
    wide = bytearray(2 * len(narrow))
    wide[::2] = wide[1::2] = narrow
    length = len(wide) // band.height
    return b"".join(b"\0" + wide[start : start + length] for start in range(0, len(wide), length))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _as_it_was(image: Image.Image) -> Mapping[str, Any]:
    """What has to be said when `image` is saved again, so that it is what it was, its label included."""
    match image.format:
        case "PNG":
            said = PngImagePlugin.PngInfo()
            for key, text in _texts(image).items():
                said.add_text(key, text)
            return {"pnginfo": said}
        case "WEBP":
            return {"xmp": image.info["xmp"], "quality": _FINE}
        case _:
            return {"quality": _FINE}


def _texts(image: Image.Image) -> Mapping[str, str]:
    """The texts in a PNG, our label among them."""
    return {str(key): text for key, text in image.info.items() if isinstance(text, str)}


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


_PNG: Final = b"\x89PNG\r\n\x1a\n"
_QUARTER_TURN_RIGHT: Final = 6  # EXIF: the 0th row is the right-hand side, the 0th column the top
_FINE: Final = 92  # quality of a second encoding, which should not show
_BAND: Final = 64  # rows at a time; 4096 x 4096 pixels of 16 bits are 100 MB in one piece
_ODD: Final[Mapping[str, Callable[[bytes], bytes]]] = {"exif_rotated": _exif_rotated, "cmyk": _cmyk, "16_bit": _16_bit}
