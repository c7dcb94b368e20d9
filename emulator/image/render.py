"""Draws the picture that a recipe describes: a landscape, a caption, and a label for programs.

The same recipe gives the same pixels everywhere, and the same bytes with the same Pillow and zlib. With isal a PNG
has other bytes. Nothing is stored, so that many threads can draw at the same time.
"""

from __future__ import annotations

import html
import io
import json
from typing import Any, Final

# The three plugins by name: else Pillow loads all of its forty when it first meets a WebP.
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

from emulator.image import bitmap_font, edit, png
from emulator.image.canvas import Palette
from emulator.image.encoder import find_isal
from emulator.image.files import EditInputs
from emulator.image.inspect import IMAGE_DESCRIPTION, LABEL_NAME
from emulator.image.landscape import paint_landscape
from emulator.image.recipe import ImageRecipe, PartialImage

CaptionLines = list[tuple[bitmap_font.Line, int]]
"""The lines of a caption with their colours."""


def draw_image(recipe: ImageRecipe, labelled: ImageRecipe | None = None, inputs: EditInputs | None = None) -> bytes:
    """Return the file that `recipe` describes.

    The label names the recipe `labelled` where another one is drawn than was asked for. `inputs` are the files that an
    edited picture is made of; without them it is made of its thumbnail.
    """
    image, label = paint_image(recipe, inputs), _format_label(labelled or recipe)
    if recipe.weight is None:
        return _encode(image, recipe, label)
    return _encode_heavy(image, recipe, label)


def paint_image(recipe: ImageRecipe, inputs: EditInputs | None = None) -> Image.Image:
    """Return the picture of `recipe`: in a palette, or as RGB or RGBA where an input picture is edited."""
    scale, lines = _set_caption(recipe)
    band = _measure_band(scale, len(lines))
    floor = recipe.height - band
    hides_sky = _is_clear(recipe)
    if recipe.source is not None:
        hides_sky = edit.shows_landscape_alone(recipe, inputs)
    image = paint_landscape(recipe, floor, _DETAIL.get(recipe.quality, 1), hides_sky)
    if recipe.partial is not None:
        lines = _set_partial_caption(recipe.partial, lines, (recipe.width - 2 * _MARGIN * scale) // scale)
    if lines:
        _draw_caption(image, lines, scale, band)
        if recipe.partial is not None:
            _draw_progress(image, recipe.partial, floor, 2 * scale)
    if recipe.source is not None:
        image = edit.draw_edit(image, recipe, floor, inputs)
    if recipe.partial is not None:
        _coarsen(image, floor, recipe.partial)
    return image


def _is_clear(recipe: ImageRecipe) -> bool:
    return recipe.background == "transparent" and recipe.format != "jpeg"


def _set_caption(recipe: ImageRecipe) -> tuple[int, CaptionLines]:
    """Return how many times the caption is enlarged, and its lines."""
    width, height = recipe.width, recipe.height
    if min(width, height) < _SMALLEST_WITH_CAPTION:
        return 1, []
    scale = max(1, (min(width, height * 3 // 2) + 304) // 512)
    room = (width - 2 * _MARGIN * scale) // scale
    fitting = max(1, min(4, int(height * _LARGEST_BAND / scale - 2 * _PADDING) // _PITCH))
    text = bitmap_font.set_lines(recipe.caption, room, min(3, fitting))
    lines = [(line, Palette.INK) for line in text]
    if len(lines) < fitting:
        lines = [(line, Palette.QUIET) for line in _set_details(recipe, room)] + lines
    return scale, lines


def _set_partial_caption(partial: PartialImage, lines: CaptionLines, room: int) -> CaptionLines:
    """Return the caption of a partial image: the line of details, and the number of the partial image."""
    if not lines:
        return []
    details = [line for line in lines[:-1] if line[1] == Palette.QUIET]
    return details + [(line, Palette.INK) for line in bitmap_font.set_lines(str(partial), room, 1)]


def _set_details(recipe: ImageRecipe, room: int) -> tuple[bitmap_font.Line, ...]:
    """Return one line on where the picture comes from; the least important parts are left out first."""
    size, number = f"{recipe.width}x{recipe.height}", f"#{recipe.index + 1}"
    for parts in (
        (recipe.gateway, recipe.model, size, recipe.quality, number),
        (recipe.model, size, recipe.quality, number),
        (recipe.model, size, number),
        (size, number),
        (size,),
    ):
        text = " · ".join(filter(None, parts))
        if len(text) * 8 <= room:
            return bitmap_font.set_lines(text, room, 1)
    return ()


def _measure_band(scale: int, lines: int) -> int:
    """Return the height of the band behind the caption, in pixels."""
    if lines == 0:
        return 0
    return (lines * _PITCH + 2 * _PADDING) * scale


def _draw_caption(image: Image.Image, lines: CaptionLines, scale: int, band: int) -> None:
    top = image.height - band
    image.paste(Palette.BAND, (0, top, image.width, image.height))
    image.paste(Palette.QUIET, (0, top, image.width, top + scale))
    for number, (line, colour) in enumerate(lines):
        size = (line.width * scale, bitmap_font.HEIGHT * scale)
        bits = Image.frombytes("1", (line.width, bitmap_font.HEIGHT), line.rows).resize(size, Image.Resampling.NEAREST)
        x = _MARGIN * scale
        if line.right_to_left:
            x = image.width - _MARGIN * scale - size[0]
        image.paste(colour, (x, top + (_PADDING + 1 + number * _PITCH) * scale), bits)


def _draw_progress(image: Image.Image, partial: PartialImage, top: int, thickness: int) -> None:
    """Draw a bar at the height `top`; its length is the part of the picture that is finished."""
    length = image.width * partial.number // (partial.of + 1)
    image.paste(Palette.INK, (0, top, length, top + thickness))


def _coarsen(image: Image.Image, floor: int, partial: PartialImage) -> None:
    """Turn the upper `floor` pixels into blocks; they are half as wide in each further partial image.

    A palette picture stays one until it is encoded, so that a partial image is drawn as fast as the finished one.
    """
    width = image.width
    if floor < 1:
        return
    block = max(_SMALLEST_BLOCK, width // (_BLOCKS << (partial.number - 1)))
    part = image.crop((0, 0, width, floor))
    # Nearest, not the mean: a palette has no colours in between, and the same pixels come out on every machine.
    small = part.resize((-(-width // block), -(-floor // block)), Image.Resampling.NEAREST)
    image.paste(small.resize((width, floor), Image.Resampling.NEAREST), (0, 0))


def _encode_heavy(image: Image.Image, recipe: ImageRecipe, label: str) -> bytes:
    """Return the file with grain, and filled up to the recipe's weight; one that is heavier anyway has no grain."""
    from emulator.image import weight  # few pictures are heavy

    for grained in weight.list_grained(image.convert(_choose_mode(image, recipe)), recipe):
        data = _encode(grained, recipe, label, has_grain=True)
        if weight.can_fill(data, recipe):
            return weight.fill_file(data, recipe)
    return weight.fill_file(_encode(image, recipe, label), recipe)


def _encode(image: Image.Image, recipe: ImageRecipe, label: str, *, has_grain: bool = False) -> bytes:
    mode, file = _choose_mode(image, recipe), io.BytesIO()
    isal = find_isal(recipe)
    match recipe.format:
        case "png" if image.mode == "P" or has_grain or isal is not None:
            return png.encode_png(image, mode, {LABEL_NAME: label}, isal)
        case "png":
            text = PngImagePlugin.PngInfo()
            text.add_text(LABEL_NAME, label)
            image.save(file, "PNG", pnginfo=text, compress_level=1, compress_type=_DEFAULT_STRATEGY)
        case "jpeg":
            exif = Image.Exif()
            exif[IMAGE_DESCRIPTION] = label
            quality = 85 if recipe.compression is None else recipe.compression
            image.convert("RGB").save(file, "JPEG", quality=quality, exif=exif)
        case "webp":
            quality = 80 if recipe.compression is None else recipe.compression
            xmp = _XMP.replace("LABEL", html.escape(label)).encode()
            image.convert(mode).save(file, "WEBP", quality=quality, method=0, xmp=xmp)
    return file.getvalue()


def _choose_mode(image: Image.Image, recipe: ImageRecipe) -> str:
    """Return Pillow's word for the pixels of the file; a palette picture learns which of its colours is transparent."""
    if not _is_clear(recipe):
        return "RGB"
    if image.mode == "P":
        image.info["transparency"] = Palette.CLEAR
    return "RGBA"


def _format_label(recipe: ImageRecipe) -> str:
    fields: dict[str, Any] = {
        "gateway": recipe.gateway,
        "model": recipe.model,
        "prompt_hash": recipe.prompt_hash,
        "seed": recipe.seed,
        "index": recipe.index,
        "recipe": recipe.digest,
    }
    if recipe.partial is not None:
        fields["stage"] = str(recipe.partial)
    return json.dumps(fields, separators=(",", ":"))  # ASCII, as all three formats can hold it


_DEFAULT_STRATEGY: Final = 0  # zlib's number for it
_XMP: Final = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description {LABEL_NAME}:label="LABEL" xmlns:{LABEL_NAME}="urn:{LABEL_NAME}"/></rdf:RDF></x:xmpmeta>'
)
_DETAIL: Final = {"low": 0, "draft": 0, "hd": 2, "high": 2}  # any other quality: 1
_SMALLEST_WITH_CAPTION: Final = 64  # px a side; eight letters a line
_LARGEST_BAND: Final = 0.45  # of the height
_PITCH: Final = 18  # px from line to line, like the next two before enlarging
_PADDING: Final = 4
_MARGIN: Final = 6
_BLOCKS: Final = 12  # across the first partial image: sky, land and light can be told apart, and nothing else
_SMALLEST_BLOCK: Final = 2  # px; one would be the finished picture
