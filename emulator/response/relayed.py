"""Finds the pictures in what an upstream answers, and keeps them as the journal keeps all pictures: by a recipe.

The recipe of such a picture says no more than which file it is; the file is kept as a tester's own picture is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from emulator.image.files import FileStore, guess_format
from emulator.image.recipe import Alteration, ImageRecipe
from emulator.image.structure import ExcessivePicture, read_structure

B64_JSON: Final = "b64_json"


def find_base64(value: Any) -> Iterator[str]:
    """Yield the texts of the pictures in a JSON value, in their order."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name == B64_JSON and isinstance(part, str) and part:
                yield part
            else:
                yield from find_base64(part)
    elif isinstance(value, list):
        for part in value:
            yield from find_base64(part)


def find_links(value: Any, member: str = "") -> Iterator[str]:
    """Yield the links to pictures in a JSON value."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from find_links(part, str(name))
    elif isinstance(value, list):
        for part in value:
            yield from find_links(part, member)
    elif isinstance(value, str) and member in _LINKS and value.startswith(("http://", "https://")):
        yield value


def decode_picture(text: str) -> bytes:
    """Return the bytes that a `b64_json` spells, with or without a `data:` in front; empty where it spells none."""
    try:
        return base64.b64decode(text.rpartition(",")[2], validate=True)
    except (binascii.Error, ValueError):
        return b""


def encode_picture(data: bytes) -> str:
    """Return a picture's file in plain padded Base64."""
    return base64.b64encode(data).decode()


def describe_picture(data: bytes, *, gateway: str, model: str | None, index: int) -> ImageRecipe | None:
    """Return the recipe of a picture with these bytes; None where they are no PNG, JPEG or WebP that can be shown."""
    kind = guess_format(data)
    try:
        structure = read_structure(data)
        if kind is None or structure is None:
            return None
        return ImageRecipe(
            gateway=gateway,
            model=model or "",
            caption="",
            prompt_hash="",
            width=structure.width,
            height=structure.height,
            quality="",
            background="opaque",
            format=kind,
            compression=None,
            index=index,
            seed=0,
            altered=Alteration(format=kind, file=name_file(data)),
        )
    except (ExcessivePicture, ValueError, IndexError):
        return None


def name_file(data: bytes) -> str:
    """Return the name by which a FileStore keeps a picture that is not drawn."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


async def keep_picture(files: FileStore, recipe: ImageRecipe, data: bytes) -> None:
    """Keep the file of a picture, so that its recipe can be drawn."""
    if recipe.altered is not None and recipe.altered.file is not None:
        await files.keep_file("picture", recipe.altered.file, data)


_LINKS: Final = ("url", "image_url", "image_urls", "images", "urls")
"""The members of an answer that have a link to a picture, or a list of them."""
