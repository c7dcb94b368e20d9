"""A recipe describes one picture that can be drawn, and its digest names it."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict, replace

import pytest

from emulator.image.recipe import Alteration, ImageRecipe, PartialImage

RECIPE = ImageRecipe("geekai", "cogview-4", "猫", "0" * 16, 1024, 768, "hd", "opaque", "png", None, 0, 2**64 - 1)
ALTERED = Alteration(4095, 4096, "jpeg", "exif_rotated", kept=12.345, share=True)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0}, {"height": 16_384}, {"width": 4097, "height": 4096},
        {"format": "gif"}, {"background": "auto"}, {"compression": 101},
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


def test_a_recipe_that_is_made_quickly_is_an_equal_one() -> None:
    """The quick ways skip the checks, and nothing else: equal fields, hash and digest, and a copy can be changed."""
    fields = asdict(RECIPE)
    own = {name: fields.pop(name) for name in ("caption", "prompt_hash", "index", "seed")}
    made = ImageRecipe.make_unchecked(fields, **own)
    assert (RECIPE, hash(RECIPE), RECIPE.digest, repr(RECIPE)) == (made, hash(made), made.digest, repr(made))
    assert replace(RECIPE, seed=5) == replace(made, seed=5)
    partial = made.make_partial(PartialImage(1, 2))
    assert (partial, partial.digest) == (replace(RECIPE, partial=PartialImage(1, 2)), RECIPE.digest)
    with pytest.raises(FrozenInstanceError):
        made.seed = 7  # type: ignore[misc]
