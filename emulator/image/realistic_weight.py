"""How many bytes a picture of a real API has: by format, size, quality and compression.

A PNG of 1024 x 1024 was seen with 1.1 MB at low quality and with 1.8 MB at high (OpenAI, 2026); the other formats are
assumed to weigh what photographs do. The weight grows with the number of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from emulator.core.chance import make_seed
from emulator.image.recipe import LARGEST_WEIGHT, ImageRecipe


def choose_realistic_weight(recipe: ImageRecipe) -> int:
    """Return the bytes that a real picture like that of `recipe` has; pictures differ a little, as real ones do."""
    width, height, kind = recipe.width, recipe.height, recipe.format
    altered = recipe.altered
    if altered is not None:
        width, height, kind = altered.width or width, altered.height or height, altered.format or kind
    match kind:
        case "png":
            bits = _PNG_BITS.get(recipe.quality, _USUAL_PNG_BITS)
        case "jpeg":
            bits = _interpolate(_JPEG_BITS, 85 if recipe.compression is None else recipe.compression)
        case _:
            bits = _interpolate(_WEBP_BITS, 80 if recipe.compression is None else recipe.compression)
    share = 1 + (make_seed("weight", recipe.seed) % 2001 - 1000) / 1000 * _SPREAD
    return max(1, min(LARGEST_WEIGHT, round(width * height * bits * share / 8)))


def _interpolate(points: Sequence[tuple[int, float]], at: int) -> float:
    """Return the value at `at` on the straight lines between `points`, which reach from 0 to 100."""
    for (left, low), (right, high) in pairwise(points):
        if at <= right:
            return low + (high - low) * (at - left) / (right - left)
    return points[-1][1]


_PNG_BITS: Final = {"low": 8.4, "draft": 8.4, "hd": 13.6, "high": 13.6, "xhigh": 13.6, "max": 13.6}
"""Bits of a pixel by quality; any other quality has the usual ones."""
_USUAL_PNG_BITS: Final = 11.0
_JPEG_BITS: Final = ((0, 0.3), (50, 0.9), (85, 2.4), (95, 4.4), (100, 6.8))
_WEBP_BITS: Final = ((0, 0.2), (50, 0.6), (80, 1.4), (95, 3.0), (100, 5.2))
"""Bits of a pixel by the encoder's quality."""
_SPREAD: Final = 0.06  # of the weight, to either side
