"""Reads a picture back: its format, size, transparency, and our label if we drew it.

Both readers are safe with any bytes: a picture's size is known before it is decoded, and nothing is decoded twice.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from dataclasses import replace
from typing import Any, Final

from PIL import Image, ImageChops

from emulator.core.light_dataclass import dataclass
from emulator.image.decode import PIXEL_BUDGET, load_pixels, open_image
from emulator.image.files import guess_format
from emulator.image.recipe import LARGEST_SIDE, MOST_PIXELS
from emulator.image.structure import Structure, read_structure
from emulator.image.upload import Examination

LABEL_NAME: Final = "image-api-emulator"  # of a PNG's text chunk, and of the XML namespace in a WebP
IMAGE_DESCRIPTION: Final = 0x010E  # the EXIF tag that holds the label of a JPEG
THUMBNAIL: Final = (4, 3)  # pixels; enough to tell one picture from another


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the bytes of a picture say.

    `format` is png, jpeg or webp; `width`, `height` are pixels; `mode` is Pillow's name for the kind of pixels;
    `alpha_share` is the share of fully transparent pixels (0 to 1; None where there is no transparency, or the picture
    does not decode); `whole` tells whether all of it decodes; `label` has gateway, model, prompt_hash, seed, index and
    recipe (its digest) if we drew it, and the stage (such as 1 of 3) of an unfinished picture, else None.
    """

    __module__ = "emulator"  # where users import it from

    format: str
    width: int
    height: int
    mode: str
    alpha_share: float | None
    whole: bool
    label: dict[str, Any] | None


def inspect_image(data: bytes) -> Inspection:
    """Return what is in a picture's file.

    Raises ValueError, in one line, if it is no PNG, JPEG or WebP, or has over 4096 x 4096 pixels, or more parts than
    any encoder writes; TypeError for a text, such as Base64.
    """
    if isinstance(data, str):
        raise TypeError("the file of a picture is bytes, and not a text; decode Base64 before")
    structure = read_structure(data)
    try:
        image = open_image(data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(f"more than {LARGEST_SIDE}x{LARGEST_SIDE} pixels") from error
    except Exception as error:  # Pillow raises SyntaxError, struct.error and others on hostile headers
        if structure is not None and guess_format(data) == "webp" and structure.width and not structure.is_complete:
            return _describe_cut_webp(structure)
        raise ValueError("not a PNG, JPEG or WebP picture") from error
    with image:
        width, height = image.size
        if is_huge(image):
            raise ValueError(f"{width}x{height} pixels are more than {LARGEST_SIDE}x{LARGEST_SIDE}")
        whole, share = False, None
        with PIXEL_BUDGET.hold(count_pixel_bytes(image)):
            try:
                pixels = load_pixels(image, data, structure)
                whole = structure is not None and structure.is_complete
                share = _measure_alpha(pixels) if whole else None
            except Exception:  # noqa: BLE001  as above; the header was readable, so the picture is cut or damaged
                whole = False
        return Inspection(
            format=_FORMATS[str(image.format)],
            width=width,
            height=height,
            mode=image.mode,
            alpha_share=share,
            whole=whole,
            label=_read_label(image),
        )


def _describe_cut_webp(structure: Structure) -> Inspection:
    """Return what the head of a WebP says whose end is missing; its decoder does not even open it."""
    return Inspection(
        format="webp",
        width=structure.width,
        height=structure.height,
        mode="RGBA" if structure.has_alpha else "RGB",
        alpha_share=None,
        whole=False,
        label=None,
    )


def examine_upload(data: bytes) -> Examination:
    """Return what is in an uploaded file; where it cannot be used, the result has a flaw. Never raises."""
    digest, size = hashlib.sha256(data).hexdigest(), len(data)
    kind = guess_format(data)
    try:
        structure = read_structure(data)
        image = open_image(data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return Examination(digest, size, flaw="huge")
    except Exception:  # noqa: BLE001  Pillow raises SyntaxError, struct.error and others on hostile headers
        return Examination(digest, size, format=kind, flaw="strange" if kind is None else "damaged")
    with image:
        kind, (width, height) = _FORMATS[str(image.format)], image.size
        examination = Examination(digest, size, format=kind, width=width, height=height, mode=image.mode)
        if is_huge(image):
            return replace(examination, flaw="huge")
        if kind == "png" and (structure is None or not structure.is_complete or not structure.is_sound):
            return replace(examination, flaw="damaged")
        with PIXEL_BUDGET.hold(count_pixel_bytes(image)):
            try:
                pixels = load_pixels(image, data, structure)
                share = _measure_alpha(pixels)
                return replace(
                    examination, alpha_share=None if share is None else round(share, 4), palette=_make_palette(pixels)
                )
            except Exception:  # noqa: BLE001  as above: the head was readable, the rest is not
                return replace(examination, flaw="damaged")


def flatten(image: Image.Image) -> Image.Image:
    """Return `image` with eight bits a channel, as RGBA where a part of it may be transparent, else as RGB."""
    if not image.mode.startswith("I"):
        mode = "RGB"
        if image.has_transparency_data:
            mode = "RGBA"
        if image.mode == mode:  # a copy may have 64 MiB
            return image
        return image.convert(mode)
    # Sixteen bits of grey, whose transparency Pillow does not understand.
    pixels = image.tobytes("raw", "I;16")
    low = Image.frombytes("L", image.size, pixels[0::2])
    high = Image.frombytes("L", image.size, pixels[1::2])
    clear = image.info.get("transparency")
    if clear is None:
        return high.convert("RGB")
    alpha = ImageChops.lighter(_differ_from(low, clear & 255), _differ_from(high, clear >> 8))
    return Image.merge("RGBA", (high, high, high, alpha))


def _differ_from(band: Image.Image, byte: int) -> Image.Image:
    """Return a band that is 0 where `band` is `byte`, else 255."""
    table = [255] * 256
    table[byte] = 0
    return band.point(table)


def is_huge(image: Image.Image) -> bool:
    """Return whether a picture has more pixels than are read."""
    return image.width * image.height > MOST_PIXELS


def count_pixel_bytes(image: Image.Image) -> int:
    """Return how many bytes the pixels need; Pillow has four for each that is not grey."""
    return image.width * image.height * 4


def _measure_alpha(image: Image.Image) -> float | None:
    """Return the share of fully transparent pixels; None where the picture has no transparency."""
    if not image.has_transparency_data:
        return None
    if image.mode not in ("RGBA", "LA"):  # a copy may have 64 MiB
        image = flatten(image)
    return image.getchannel("A").histogram()[0] / (image.width * image.height)


def _make_palette(image: Image.Image) -> str:
    """Return the colours of a thumbnail as hex digits; a transparent pixel counts with the colour that is below it."""
    small = image.resize(_SMALL, Image.Resampling.NEAREST)  # possible in any mode, and fast
    small.info = image.info
    return flatten(small).convert("RGB").resize(THUMBNAIL, Image.Resampling.BOX).tobytes().hex()


def _read_label(image: Image.Image) -> dict[str, Any] | None:
    """Return our label, if the picture has one; any other text is no label."""
    try:
        label = json.loads(_read_label_text(image) or "null")
    except Exception:  # noqa: BLE001  foreign metadata can be damaged in any way; it is not our label then
        return None
    if not isinstance(label, dict) or label.keys() - {"stage"} != _LABEL_FIELDS.keys():
        return None
    for name, value in label.items():
        if type(value) is not _LABEL_FIELDS.get(name, str):
            return None
    return label


def _read_label_text(image: Image.Image) -> Any:
    if image.format == "PNG":
        return image.info.get(LABEL_NAME)
    if image.format == "WEBP":
        found = re.search(f'<rdf:Description {LABEL_NAME}:label="([^"]*)"', image.info["xmp"].decode())
        return html.unescape(found[1]) if found else None
    return image.getexif().get(IMAGE_DESCRIPTION)


_LABEL_FIELDS: Final = {"gateway": str, "model": str, "prompt_hash": str, "seed": int, "index": int, "recipe": str}
_FORMATS: Final = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp"}  # MPO: a JPEG that holds more than one
_SMALL: Final = (64, 48)
