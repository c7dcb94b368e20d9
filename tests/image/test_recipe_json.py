"""A recipe as JSON: the same for links and for the journal."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import pytest

from emulator.image.recipe import Alteration, EditSource, ImageRecipe
from emulator.image.recipe_json import recipe_from_json, recipe_to_json

RECIPE = ImageRecipe("ezmodel", "dall-e-2", "x", "0" * 16, 64, 64, "standard", "opaque", "jpeg", 7, 0, 1)
SOURCE = EditSource("edit", "0f" * 16, "a9" * 16, "00" * 36, True)


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        replace(RECIPE, format="png", compression=None),
        replace(RECIPE, source=SOURCE),
        replace(RECIPE, altered=Alteration(format="png", file="f" * 16, kept=0.5, share=True)),
    ],
)
def test_a_recipe_comes_back(recipe: ImageRecipe) -> None:
    """JSON holds each field; a partial image alone has none."""
    described = recipe_to_json(recipe)
    assert recipe == recipe_from_json(json.loads(json.dumps(described)))
    assert recipe == recipe_from_json(described)


def test_each_field_is_written() -> None:
    """A field that is added to a recipe is not forgotten in its JSON."""
    described = recipe_to_json(replace(RECIPE, source=SOURCE, altered=Alteration(width=1, height=1), weight=9))
    assert [one.name for one in fields(ImageRecipe) if one.name != "partial"] == list(described)
    assert [one.name for one in fields(Alteration)] == list(described["altered"])


@pytest.mark.parametrize(
    "change",
    [
        {"width": True},
        {"width": "64"},
        {"more": 1},
        {"source": []},
        {"altered": {"x": 1}},
        {"compression": 1.5},
        {"weight": "1MB"},
        {"weight": 0},
    ],
)
def test_other_fields_are_refused(change: dict[str, object]) -> None:
    """It may come from a URL: other fields and other types are a ValueError."""
    with pytest.raises(ValueError, match=r" (is|has|are) "):
        recipe_from_json({**recipe_to_json(RECIPE), **change})
