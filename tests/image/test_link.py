"""A picture's link is its recipe, sealed in a token of the URL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from emulator.image import recipe
from emulator.image.recipe import Alteration, BadToken, HostBehavior, ImageRecipe, PictureLink

RECIPE = ImageRecipe("geekai", "cogview-4", "猫", "0" * 16, 1024, 768, "hd", "opaque", "png", None, 0, 2**64 - 1)
LINK = PictureLink(RECIPE, "key-3f9a2c10", 1_800_000_000)
ALTERED = Alteration(4095, 4096, "jpeg", "exif_rotated", kept=12.345, share=True)


def test_a_token_spells_a_link() -> None:
    """What is spelled is read back whole, and stays short."""
    token = recipe.spell(LINK, b"secret")
    assert LINK == recipe.read(token, b"secret")
    assert len(token) < 250
    longest = replace(RECIPE, caption="👩‍🚀" * 53, model="模" * 48, quality="质" * 48)
    for altered in (None, ALTERED, Alteration(format="webp", file="0123456789abcdef", kept=10**12)):
        link = replace(LINK, recipe=replace(longest, altered=altered), session="s" * 64)
        for host in (None, HostBehavior.BROWSERS_ONLY, HostBehavior.BROWSERS_ONLY | HostBehavior.NO_CORS):
            token = recipe.spell(replace(link, host=host), b"secret")
            assert len(token) <= recipe.TOKEN_LENGTH
            assert replace(link, host=host) == recipe.read(token, b"secret")


def test_the_parts_of_a_token_are_told_apart_by_their_number() -> None:
    """Each choice of what may stand behind a recipe has a number of fields of its own, or one is read as another."""
    assert 2 ** len(recipe._PART_KINDS) - 1 == len(recipe._PARTS)


def test_no_character_of_a_token_can_change() -> None:
    """Every change of one character, at every place, is noticed; so is another secret."""
    token = recipe.spell(LINK, b"secret")
    for place, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        with pytest.raises(BadToken):
            recipe.read(token[:place] + other + token[place + 1 :], b"secret")
    with pytest.raises(BadToken):
        recipe.read(token, b"another")
