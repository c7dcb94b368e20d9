"""A recipe becomes a picture, and a picture is read back: drawing, captions, encoding, labels.

Pure: the same recipe gives the same pixels everywhere and the same bytes with the same Pillow; it runs in many threads.
The only rooms that may import PIL are this one, *landscape*, *easel*, *sketch* and *repaint*, which paint what is above
the caption, *retouch*, and *uploads*.
"""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import dataclass
from typing import Any, Final

# The three plugins by name: else Pillow loads all of its forty when it first meets a WebP.
from PIL import Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

from emulator.image import bitmap_font, edit, landscape, unfinished
from emulator.image.canvas import Place
from emulator.image.edit import EditInputs
from emulator.image.recipe import LARGEST_SIDE, ImageRecipe, Stage


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the bytes of a picture say.

    `format` is png, jpeg or webp; `width`, `height` are pixels; `mode` is Pillow's name for the kind of pixels;
    `alpha_share` is the share of fully transparent pixels (0 to 1; None where there is no transparency, or the picture
    does not decode); `whole` tells whether all of it decodes; `label` has gateway, model, prompt_hash, seed, index and
    recipe (its digest) if we drew it, and the stage (such as 1 of 3) of one in the making, else None.
    """

    __module__ = "emulator"  # where users import it from

    format: str
    width: int
    height: int
    mode: str
    alpha_share: float | None
    whole: bool
    label: dict[str, Any] | None


def draw(recipe: ImageRecipe, asked: ImageRecipe | None = None, inputs: EditInputs | None = None) -> bytes:
    """The file that `recipe` describes: a landscape, a caption, and a label for programs.

    The label names the recipe `asked` where that was asked for and another one is drawn. `inputs` are the files that
    an edited picture is made of; without them it is made of its thumbnail.
    """
    clear = recipe.background == "transparent" and recipe.format != "jpeg"
    scale, lines = _caption(recipe)
    band = _band_height(scale, len(lines))
    hidden = clear if recipe.source is None else not edit.shows_sky(recipe, inputs)
    image = landscape.paint(recipe, recipe.height - band, _RICHNESS.get(recipe.quality, 1), hidden)
    if recipe.stage is not None:
        lines = _progress(recipe.stage, lines, (recipe.width - 2 * _MARGIN * scale) // scale)
    if lines:
        _write(image, lines, scale, band)
        if recipe.stage is not None:
            unfinished.tell(image, recipe.stage, Place.INK, recipe.height - band, 2 * scale)
    if recipe.source is not None:
        image = edit.over(image, recipe, recipe.height - band, inputs)
    if recipe.stage is not None:
        unfinished.coarsen(image, recipe.height - band, recipe.stage)
    return _encode(image, recipe, clear, _label(asked or recipe))


def inspect(data: bytes) -> Inspection:
    """What is in a file; ValueError, in one line, if it is no PNG, JPEG or WebP, or has over 4096 x 4096 pixels."""
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"more than {LARGEST_SIDE}x{LARGEST_SIDE} pixels") from error
    except Exception as error:  # Pillow raises SyntaxError, struct.error and others on hostile headers
        raise ValueError("not a PNG, JPEG or WebP picture") from error
    with image:
        width, height = image.size
        if width * height > LARGEST_SIDE * LARGEST_SIDE:
            raise ValueError(f"{width}x{height} pixels are more than {LARGEST_SIDE}x{LARGEST_SIDE}")
        try:
            image.load()
            whole = True
        except Exception:  # noqa: BLE001  as above; the header was readable, so this is a picture that is cut short or damaged
            whole = False
        share = _alpha_share(image) if whole else None
        kind = _FORMATS[str(image.format)]
        return Inspection(kind, width, height, image.mode, share, whole, _read_label(image))


def _caption(recipe: ImageRecipe) -> tuple[int, list[tuple[bitmap_font.Line, int]]]:
    """How many times to enlarge the caption, and its lines with their colours."""
    width, height = recipe.width, recipe.height
    if min(width, height) < _SMALLEST_WITH_CAPTION:
        return 1, []
    scale = max(1, (min(width, height * 3 // 2) + 304) // 512)
    room = (width - 2 * _MARGIN * scale) // scale
    fitting = max(1, min(4, int(height * _LARGEST_BAND / scale - 2 * _PADDING) // _PITCH))
    text = bitmap_font.set_lines(recipe.caption, room, min(3, fitting))
    lines = [(line, Place.INK) for line in text]
    if len(lines) < fitting:
        lines = [(line, Place.QUIET) for line in _details(recipe, room)] + lines
    return scale, lines


def _progress(stage: Stage, lines: list[tuple[bitmap_font.Line, int]], room: int) -> list[tuple[bitmap_font.Line, int]]:
    """The caption of a picture in the making: `lines` without the prompt, and how far it is."""
    told = [(line, Place.INK) for line in bitmap_font.set_lines(str(stage), room, 1)]
    return [line for line in lines[: len(lines) - 1] if line[1] == Place.QUIET] + told if lines else []


def _details(recipe: ImageRecipe, room: int) -> tuple[bitmap_font.Line, ...]:
    """One line on where the picture comes from; what matters least is left out first."""
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


def _band_height(scale: int, lines: int) -> int:
    return (lines * _PITCH + 2 * _PADDING) * scale if lines else 0


def _write(image: Image.Image, lines: list[tuple[bitmap_font.Line, int]], scale: int, band: int) -> None:
    top = image.height - band
    image.paste(Place.BAND, (0, top, image.width, image.height))
    image.paste(Place.QUIET, (0, top, image.width, top + scale))
    for number, (line, colour) in enumerate(lines):
        size = (line.width * scale, bitmap_font.HEIGHT * scale)
        bits = Image.frombytes("1", (line.width, bitmap_font.HEIGHT), line.rows).resize(size, Image.Resampling.NEAREST)
        x = image.width - _MARGIN * scale - size[0] if line.leftward else _MARGIN * scale
        image.paste(colour, (x, top + (_PADDING + 1 + number * _PITCH) * scale), bits)


def _encode(image: Image.Image, recipe: ImageRecipe, clear: bool, label: str) -> bytes:
    file = io.BytesIO()
    match recipe.format:
        case "png":
            text = PngImagePlugin.PngInfo()
            text.add_text(_LABEL, label)
            options = {"transparency": Place.CLEAR} if clear and image.mode == "P" else {}
            # Flat colours are runs: the RLE strategy is the fastest of zlib's and the smallest at level 1.
            strategy = _RUNS if image.mode == "P" else _USUAL_STRATEGY
            image.save(file, "PNG", pnginfo=text, compress_level=1, compress_type=strategy, **options)
        case "jpeg":
            exif = Image.Exif()
            exif[_IMAGE_DESCRIPTION] = label
            quality = 85 if recipe.compression is None else recipe.compression
            image.convert("RGB").save(file, "JPEG", quality=quality, exif=exif)
        case "webp":
            if clear and image.mode == "P":
                image.info["transparency"] = Place.CLEAR
            quality = 80 if recipe.compression is None else recipe.compression
            xmp = _XMP.replace("LABEL", html.escape(label)).encode()
            image.convert("RGBA" if clear else "RGB").save(file, "WEBP", quality=quality, method=0, xmp=xmp)
    return file.getvalue()


def _label(recipe: ImageRecipe) -> str:
    fields: dict[str, Any] = {
        "gateway": recipe.gateway,
        "model": recipe.model,
        "prompt_hash": recipe.prompt_hash,
        "seed": recipe.seed,
        "index": recipe.index,
        "recipe": recipe.digest,
    }
    if recipe.stage is not None:
        fields["stage"] = str(recipe.stage)
    return json.dumps(fields, separators=(",", ":"))  # ASCII, as all three formats can hold it


def _read_label(image: Image.Image) -> dict[str, Any] | None:
    """Our label, if the picture has one; any other text is none, whatever is in it."""
    try:
        text = image.info.get(_LABEL)
        if image.format == "WEBP":
            found = re.search(f'<rdf:Description {_LABEL}:label="([^"]*)"', image.info["xmp"].decode())
            text = html.unescape(found[1]) if found else None
        elif image.format != "PNG":
            text = image.getexif().get(_IMAGE_DESCRIPTION)
        label = json.loads(text or "null")
    except Exception:  # noqa: BLE001  foreign metadata can be damaged in any way; it is not our label then
        return None
    if not isinstance(label, dict) or label.keys() - {"stage"} != _LABEL_FIELDS.keys():
        return None
    kinds = {"stage": str, **_LABEL_FIELDS}
    return label if all(type(value) is kinds[name] for name, value in label.items()) else None


def _alpha_share(image: Image.Image) -> float | None:
    if not image.has_transparency_data:
        return None
    alpha = image.convert("RGBA").getchannel("A")
    return alpha.histogram()[0] / (image.width * image.height)


_USUAL_STRATEGY: Final = 0  # of zlib, by its own numbers
_RUNS: Final = 3
_LABEL: Final = "image-api-emulator"
_LABEL_FIELDS: Final = {"gateway": str, "model": str, "prompt_hash": str, "seed": int, "index": int, "recipe": str}
_FORMATS: Final = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp"}  # MPO: a JPEG that holds more than one
_IMAGE_DESCRIPTION: Final = 0x010E  # EXIF
_XMP: Final = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'<rdf:Description {_LABEL}:label="LABEL" xmlns:{_LABEL}="urn:{_LABEL}"/></rdf:RDF></x:xmpmeta>'
)
_RICHNESS: Final = {"low": 0, "draft": 0, "hd": 2, "high": 2}  # any other quality: 1
_SMALLEST_WITH_CAPTION: Final = 64  # px a side; eight letters a line
_LARGEST_BAND: Final = 0.45  # of the height
_PITCH: Final = 18  # px from line to line, like the next two before enlarging
_PADDING: Final = 4
_MARGIN: Final = 6
