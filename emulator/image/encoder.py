"""Which library writes the file of a picture: the same pixels in other bytes, so that an ETag has to tell."""

from __future__ import annotations

from typing import Any, Final

from emulator.core.accelerators import find_accelerator
from emulator.image.recipe import ImageRecipe


def find_isal(recipe: ImageRecipe) -> Any:
    """Return the module isal_zlib where it deflates the rows of the picture; None where its file does not need it.

    It writes PNG files that are as small as they come to: how much grain a heavy one has depends on the file's size.
    Odd pixels are written by Pillow, and a tester's own picture is sent as it is.
    """
    width, height, kind = recipe.width, recipe.height, recipe.format
    change = recipe.altered
    if change is not None and recipe.partial is None:  # a partial image is drawn without the alteration
        if change.file is not None or change.mode is not None:
            return None
        width, height, kind = change.width or width, change.height or height, change.format or kind
    if kind != "png" or recipe.weight is not None or width * height > _MOST_AT_ONCE:
        return None
    return find_accelerator("isal.isal_zlib")


_MOST_AT_ONCE: Final = 2048 * 2048  # pixels: isal gets all rows in one piece, which are 16 MiB of RGBA here
