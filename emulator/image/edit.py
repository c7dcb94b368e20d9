"""Draws an edited picture: an input picture, changed by a landscape.

Where a mask (or the input itself) leaves a part open, that part is repainted; else all of the input changes. The input
may have any size and any kind of pixels: it is scaled to cover the picture that was asked for. Where its bytes are
gone, the thumbnail in the recipe takes its place, blurred.
"""

from __future__ import annotations

from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageOps

from emulator.image.canvas import Palette
from emulator.image.decode import PIXEL_BUDGET, load_pixels, open_image
from emulator.image.files import EditInputs
from emulator.image.inspect import THUMBNAIL, flatten
from emulator.image.recipe import EditSource, ImageRecipe
from emulator.image.structure import read_structure


def draw_edit(scene: Image.Image, recipe: ImageRecipe, floor: int, inputs: EditInputs | None) -> Image.Image:
    """Return the input as `recipe` wants it changed, as RGB or RGBA.

    `scene` is a palette picture of the same size. Its upper `floor` pixels are a landscape, whose sky is CLEAR where
    `shows_landscape_alone` returned true; below is the caption, which stays as it is.
    """
    assert recipe.source is not None
    source, size = recipe.source, (recipe.width, recipe.height)
    image = _fit_input(source, inputs, size)
    painted = scene.convert("RGB")
    if inputs is not None and _has_open_part(recipe, source):
        result = Image.composite(image.convert("RGB"), painted, _make_kept_mask(image, inputs, size))
    else:
        result = _tint(image, scene, _VARIED if source.act == "vary" else _EDITED)
        if source.act == "edit":
            _paste_land(result, scene, floor)
    if _is_clear(recipe):
        result.putalpha(_make_alpha(image, source))
    result.paste(painted.crop((0, floor, *size)), (0, floor))
    return result


def shows_landscape_alone(recipe: ImageRecipe, inputs: EditInputs | None) -> bool:
    """Return whether the landscape is painted without its sky, because it stands in front of the input.

    It needs its sky where it is seen through open parts of the input.
    """
    if recipe.source is None:
        return False
    return inputs is None or not _has_open_part(recipe, recipe.source)


def _has_open_part(recipe: ImageRecipe, source: EditSource) -> bool:
    """Return whether the landscape is seen through open parts of the input."""
    if source.act != "edit" or not source.open:
        return False
    return source.mask is not None or not _is_clear(recipe)  # without a mask, the transparent parts are to stay so


def _is_clear(recipe: ImageRecipe) -> bool:
    return recipe.background == "transparent" and recipe.format != "jpeg"


def _paste_land(result: Image.Image, scene: Image.Image, floor: int) -> None:
    """Paste the landscape without its sky onto `result`, a little lower than it stands in `scene`."""
    land = scene.crop((0, 0, result.width, floor))
    is_painted = [255] * 256
    is_painted[Palette.CLEAR] = 0
    result.paste(land.convert("RGB"), (0, floor // _LOWERED), land.point(is_painted, "1"))


def _make_kept_mask(image: Image.Image, inputs: EditInputs, size: tuple[int, int]) -> Image.Image:
    """Return how much of each pixel of the input stays: the parts that neither it nor its mask leaves transparent."""
    whole = Image.new("L", size, 255)
    kept = _get_alpha(image, whole)
    if inputs.mask is None:
        return kept
    mask = _fit_image(inputs.mask, size)
    return ImageChops.darker(kept, _get_alpha(mask, whole))


def _get_alpha(image: Image.Image, default: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return default
    return image.getchannel("A")


def _make_alpha(image: Image.Image, source: EditSource) -> Image.Image:
    """Return the visible part of a result with a transparent background: that of the input, else an oval."""
    if image.mode == "RGBA" and source.mask is None:
        return image.getchannel("A")
    oval = Image.new("L", image.size, 0)
    ImageDraw.Draw(oval).ellipse((0, 0, image.width - 1, image.height - 1), 255)
    return oval


def _tint(image: Image.Image, scene: Image.Image, share: float) -> Image.Image:
    """Return `image` mixed with the landscape's colours; its transparent parts become one of them."""
    colours = scene.getpalette("RGB") or []
    dark, middle, light = ((*colours[3 * index : 3 * index + 3],) for index in _TONES)
    plain = Image.new("RGB", image.size, middle)
    plain.paste(image, (0, 0), image if image.mode == "RGBA" else None)
    tone = ImageOps.colorize(plain.convert("L"), dark, light, middle)
    return Image.blend(plain, tone, share)


def _fit_image(data: bytes, size: tuple[int, int]) -> Image.Image:
    """Return the picture in `data`, which is known to decode, as RGB or RGBA, cut and scaled to `size`."""
    with open_image(data) as image:
        image.draft("RGB", size)  # a JPEG that is much too large is read smaller
        with PIXEL_BUDGET.hold(4 * image.width * image.height):
            whole = flatten(load_pixels(image, data, read_structure(data)))
            return ImageOps.fit(whole, size, Image.Resampling.BICUBIC)


def _fit_input(source: EditSource, inputs: EditInputs | None, size: tuple[int, int]) -> Image.Image:
    """Return the input picture in `size`, or the recipe's thumbnail of it where its bytes are gone."""
    if inputs is None:
        thumbnail = Image.frombytes("RGB", THUMBNAIL, bytes.fromhex(source.palette))
        return ImageOps.fit(thumbnail, size, Image.Resampling.BICUBIC)
    return _fit_image(inputs.image, size)


_TONES: Final = (Palette.BAND, Palette.SKY + 3, Palette.LIGHT)
_EDITED: Final = 0.4  # of the landscape's colours; enough to see, and the input can still be recognised
_VARIED: Final = 0.75
_LOWERED: Final = 4  # a quarter of its height lower, a landscape hides less of what is behind it
