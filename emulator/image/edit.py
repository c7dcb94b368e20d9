"""A landscape and an input picture become an edited one: what a mask leaves open is repainted, else all of it changes.

Shares the PIL door with *picture*. Whatever an input is (grey, sixteen bits, any size), it is scaled to cover the
picture that was asked for; where its bytes are gone, the thumbnail in the recipe stands in for it, blurred.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageOps

from emulator.image import examine
from emulator.image.canvas import Place
from emulator.image.recipe import ImageRecipe, Source


@dataclass(frozen=True)
class EditInputs:
    """The files that an edit works on: a picture, and a mask whose see-through parts are to be repainted."""

    image: bytes
    mask: bytes | None = None


def over(scene: Image.Image, recipe: ImageRecipe, floor: int, inputs: EditInputs | None) -> Image.Image:
    """The input as `recipe` wants it changed, as RGB or RGBA; `scene` is a palette picture of the same size.

    Its landscape fills the upper `floor` pixels, with the sky left at the palette's place `CLEAR` unless `shows_sky`
    says otherwise; below stands the caption, which stays as it is.
    """
    assert recipe.source is not None
    source, size = recipe.source, (recipe.width, recipe.height)
    given = _thumbnail(source) if inputs is None else _opened(inputs.image, size)
    image = ImageOps.fit(given, size, Image.Resampling.BICUBIC)
    painted = scene.convert("RGB")
    if shows_sky(recipe, inputs):
        result = Image.composite(image.convert("RGB"), painted, _kept(image, inputs, size))
    else:
        result = _tinted(image, scene, _VARIED if source.act == "vary" else _EDITED)
        if source.act == "edit":
            land = scene.crop((0, 0, size[0], floor))
            there = land.point([0 if place == Place.CLEAR else 255 for place in range(256)], "1")
            result.paste(land.convert("RGB"), (0, floor // _LOWERED), there)
    if _is_clear(recipe):
        result.putalpha(_shape(image, source))
    result.paste(painted.crop((0, floor, *size)), (0, floor))
    return result


def shows_sky(recipe: ImageRecipe, inputs: EditInputs | None) -> bool:
    """Whether the landscape is seen through holes, so that it needs its sky; else it stands before the input."""
    source = recipe.source
    if source is None or inputs is None or source.act != "edit" or not source.open:
        return False
    return source.mask is not None or not _is_clear(recipe)  # what an input alone leaves open is to stay so then


def _is_clear(recipe: ImageRecipe) -> bool:
    return recipe.background == "transparent" and recipe.format != "jpeg"


def _kept(image: Image.Image, inputs: EditInputs | None, size: tuple[int, int]) -> Image.Image:
    """How much of each pixel of the input stays: what neither it nor its mask leaves see-through."""
    whole = Image.new("L", size, 255)
    kept = image.getchannel("A") if image.mode == "RGBA" else whole
    if inputs is None or inputs.mask is None:
        return kept
    mask = ImageOps.fit(_opened(inputs.mask, size), size, Image.Resampling.BICUBIC)
    return ImageChops.darker(kept, mask.getchannel("A") if mask.mode == "RGBA" else whole)


def _shape(image: Image.Image, source: Source) -> Image.Image:
    """What of the result is to be seen on a transparent background: what was to be seen of the input, else an oval."""
    if image.mode == "RGBA" and source.mask is None:
        return image.getchannel("A")
    oval = Image.new("L", image.size, 0)
    ImageDraw.Draw(oval).ellipse((0, 0, image.width - 1, image.height - 1), 255)
    return oval


def _tinted(image: Image.Image, scene: Image.Image, share: float) -> Image.Image:
    """`image` leaning towards the landscape's colours, and on one of them where it is see-through."""
    colours = scene.getpalette("RGB") or []
    dark, middle, light = ((*colours[3 * place : 3 * place + 3],) for place in _TONES)
    plain = Image.new("RGB", image.size, middle)
    plain.paste(image, (0, 0), image if image.mode == "RGBA" else None)
    tone = ImageOps.colorize(plain.convert("L"), dark, light, middle)
    return Image.blend(plain, tone, share)


def _opened(data: bytes, size: tuple[int, int]) -> Image.Image:
    """The picture in `data`, which is known to decode, as RGB or RGBA."""
    with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as image:
        image.draft("RGB", size)  # a JPEG that is much too large is read smaller
        return examine.flat(image)


def _thumbnail(source: Source) -> Image.Image:
    return Image.frombytes("RGB", examine.THUMBNAIL, bytes.fromhex(source.palette))


_TONES: Final = (Place.BAND, Place.SKY + 3, Place.LIGHT)
_EDITED: Final = 0.4  # of the landscape's colours; enough to see, and the input can still be told
_VARIED: Final = 0.75
_LOWERED: Final = 4  # of its height a landscape stands lower, so that it hides less of what is behind it
