"""A recipe describes one picture that can be drawn, and its digest names it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emulator.image.recipe import Alteration, ImageRecipe

RECIPE = ImageRecipe("geekai", "cogview-4", "猫", "0" * 16, 1024, 768, "hd", "opaque", "png", None, 0, 2**64 - 1)
ALTERED = Alteration(4095, 4096, "jpeg", "exif_rotated", kept=12.345, share=True)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0}, {"height": 4097}, {"format": "gif"}, {"background": "auto"}, {"compression": 101},
    ],
)  # fmt: skip
def test_a_recipe_is_one_that_can_be_drawn(change: dict[str, object]) -> None:
    """Whatever could not be drawn is no recipe, wherever it comes from."""
    with pytest.raises(ValueError, match=r"\d|format|background"):
        replace(RECIPE, **change)  # type: ignore[arg-type]


def test_every_field_counts_in_the_digest() -> None:
    """Two recipes that differ anywhere have different digests."""
    changes = {
        "gateway": "x", "model": "x", "caption": "x", "prompt_hash": "x", "width": 1, "height": 1, "quality": "x",
        "background": "transparent", "format": "webp", "compression": 5, "index": 1, "seed": 1,
        "altered": ALTERED,
    }  # fmt: skip
    digests = {replace(RECIPE, **{name: value}).digest for name, value in changes.items()}  # type: ignore[arg-type]
    assert len(changes) == len(digests - {RECIPE.digest})
