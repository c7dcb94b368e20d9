"""Makes a picture's file differ from what was asked for, as a scenario wants it.

It can have another size or format, odd pixels, or an early end. It carries our label in any case, as far as an early
end leaves the label in the file. The module is loaded when the first such picture is wanted.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from PIL import ExifTags, Image, PngImagePlugin

from emulator.core.position import Position
from emulator.image import png
from emulator.image.files import EditInputs
from emulator.image.recipe import MODES, Alteration, ImageRecipe
from emulator.image.render import draw_image
from emulator.image.weight import fill_file


def draw_altered_image(
    recipe: ImageRecipe, change: Alteration, own: bytes | None, inputs: EditInputs | None = None
) -> bytes:
    """Return the file of `recipe`, altered by `change`.

    `own` is the tester's own picture, where that takes the place of a drawn one. `inputs` are the files that an edited
    picture is made of.
    """
    data = own
    if data is None:
        data = draw_image(_alter_recipe(recipe, change), labelled=recipe, inputs=inputs)
    if change.mode is not None:
        data = _CHANGE_PIXELS[change.mode](data)
        if recipe.weight is not None:
            data = fill_file(data, recipe)
    if change.kept is not None:
        data = data[: Position(change.kept, share=change.share).count_before(len(data))]
    return data


def _alter_recipe(recipe: ImageRecipe, change: Alteration) -> ImageRecipe:
    """Return the recipe that is drawn in the place of `recipe`."""
    kind = change.format or recipe.format
    if change.mode is not None and change.format is None:
        kind = MODES[change.mode] or recipe.format
    return replace(
        recipe,
        width=change.width or recipe.width,
        height=change.height or recipe.height,
        format=kind,
        altered=None,
        weight=recipe.weight if change.mode is None else None,  # odd pixels are written once more, without grain
    )


def _rotate_by_exif(data: bytes) -> bytes:
    """Turn the picture on its side, and add the EXIF tag that makes a viewer turn it back."""
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        exif[ExifTags.Base.Orientation] = _QUARTER_TURN_RIGHT
        turned = image.transpose(Image.Transpose.ROTATE_90)  # to the left
        return _save(turned, str(image.format), exif=exif, **_list_options(image))


def _convert_to_cmyk(data: bytes) -> bytes:
    """Make a JPEG in the colours of print, as agencies' picture libraries hold them."""
    with Image.open(io.BytesIO(data)) as image:
        return _save(image.convert("RGB").convert("CMYK"), "JPEG", exif=image.getexif(), quality=_FINE)


def _convert_to_16_bit(data: bytes) -> bytes:
    """Make a PNG of two bytes for each channel of a pixel, which Pillow can read but not write in colour."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        mode, colour_type = "RGB", png.RGB
        if image.has_transparency_data:
            mode, colour_type = "RGBA", png.RGBA
        return png.join_png(image.size, (16, colour_type), _list_texts(image), _pack_pixels(image, mode))


def _pack_pixels(image: Image.Image, mode: str) -> bytes:
    packer, packed = zlib.compressobj(1), []
    for top in range(0, image.height, _BAND):
        band = image.crop((0, top, image.width, min(top + _BAND, image.height))).convert(mode)
        packed.append(packer.compress(_widen_rows(band)))
    return b"".join([*packed, packer.flush()])


def _widen_rows(band: Image.Image) -> bytes:
    """Return the rows of `band` as a PNG of 16 bits has them, unfiltered.

    0 to 255 becomes 0 to 65535, which is each byte twice.
    """
    narrow = band.tobytes()
    wide = bytearray(2 * len(narrow))
    wide[::2] = wide[1::2] = narrow
    length = len(wide) // band.height
    return b"".join(b"\0" + wide[start : start + length] for start in range(0, len(wide), length))


def _list_options(image: Image.Image) -> Mapping[str, Any]:
    """Return the options that keep the label and the quality when `image` is saved again."""
    match image.format:
        case "PNG":
            texts = PngImagePlugin.PngInfo()
            for key, text in _list_texts(image).items():
                texts.add_text(key, text)
            return {"pnginfo": texts}
        case "WEBP":
            return {"xmp": image.info["xmp"], "quality": _FINE}
        case _:
            return {"quality": _FINE}


def _list_texts(image: Image.Image) -> Mapping[str, str]:
    """Return the texts in a PNG; our label is one of them."""
    return {str(key): text for key, text in image.info.items() if isinstance(text, str)}


def _save(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


_QUARTER_TURN_RIGHT: Final = 6  # EXIF: the 0th row is the right-hand side, the 0th column the top
_FINE: Final = 92  # quality of a second encoding, which should not show
_BAND: Final = 64  # rows at a time; 4096 x 4096 pixels of 16 bits are 100 MB in one piece
_CHANGE_PIXELS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "exif_rotated": _rotate_by_exif,
    "cmyk": _convert_to_cmyk,
    "16_bit": _convert_to_16_bit,
}
