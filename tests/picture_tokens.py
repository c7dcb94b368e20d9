"""Tokens of pictures' links with any content, for tests that sign what the emulator never would."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

SMALL: Final = {
    "gateway": "g", "model": "m", "width": 64, "height": 64, "quality": "q", "background": "opaque", "format": "png",
    "compression": None, "caption": "c", "prompt_hash": "h", "index": 0, "seed": 0,
}  # fmt: skip
"""The values of a good recipe, in the order in which a token holds them."""


def write_token_list(recipe: Mapping[str, Any], own: Sequence[Any], *more: Any) -> bytes:
    """The JSON that a token holds: the values of a recipe with `more` behind them, and those of the link itself."""
    return json.dumps([[*recipe.values(), *more], *own]).encode()
