"""Which libraries write the files of pictures: others write the same pixels in other bytes, so ETag and health tell."""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any, Final

from emulator.core.accelerators import find_accelerator, name_accelerator
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


def name_encoder() -> str | None:
    """Return the libraries with their versions; None where Pillow cannot be loaded at present.

    `Pillow 13.0.0, libjpeg-turbo 3.2.0, webp 1.6.0, zlib 1.3.1`, and `isal 1.9.1` behind them where that is used too.
    Servers that have the same ones write equal bytes.
    """
    try:
        names = [*_name_libraries()]
    except (ImportError, OSError):  # as where no file can be opened any more
        return None
    isal = name_accelerator("isal.isal_zlib")
    if isal is not None:
        names.append(isal)
    return ", ".join(names)


@cache
def _name_libraries() -> tuple[str, ...]:
    from PIL import __version__, features  # no start needs it

    names = [f"Pillow {__version__}"]
    for name, feature in (("libjpeg-turbo", "libjpeg_turbo"), ("webp", "webp")):
        version = features.version(feature)
        if version is not None:
            names.append(f"{name} {version}")
    return (*names, f"zlib {zlib.ZLIB_RUNTIME_VERSION}")


_MOST_AT_ONCE: Final = 2048 * 2048  # pixels: isal gets all rows in one piece, which are 16 MiB of RGBA here
