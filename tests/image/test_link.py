"""A picture's link is its recipe, sealed in a token of the URL."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import pytest

from emulator.image.link import (
    LONGEST_TOKEN,
    BadToken,
    HostBehavior,
    PictureLink,
    format_token,
    parse_token,
    seal_recipe,
    seal_text,
    write_common_values,
)
from emulator.image.recipe import Alteration, EditSource, ImageRecipe
from tests.picture_tokens import SMALL, write_token_list

RECIPE = ImageRecipe("geekai", "cogview-4", "猫", "0" * 16, 1024, 768, "hd", "opaque", "png", None, 0, 2**64 - 1)
LINK = PictureLink(RECIPE, "key-3f9a2c10", 1_800_000_000)
ALTERED = Alteration(4095, 4096, "jpeg", "exif_rotated", kept=12.345, share=True)


def test_a_token_spells_a_link() -> None:
    """What is spelled is read back whole, and stays short."""
    token = format_token(LINK, b"secret")
    assert LINK == parse_token(token, b"secret")
    assert len(token) < 250
    longest = replace(RECIPE, caption="👩‍🚀" * 53, model="模" * 48, quality="质" * 48)
    for altered in (None, ALTERED, Alteration(format="webp", file="0123456789abcdef", kept=10**12)):
        link = replace(LINK, recipe=replace(longest, altered=altered), session="s" * 64)
        link = replace(link, signed=True)
        for host in (None, HostBehavior.BROWSERS_ONLY, HostBehavior.BROWSERS_ONLY | HostBehavior.NO_CORS):
            token = format_token(replace(link, host=host), b"secret")
            assert len(token) <= LONGEST_TOKEN
            assert replace(link, host=host) == parse_token(token, b"secret")


SOURCE = EditSource("edit", "0f" * 16, None, "a9" * 36, True)


@pytest.mark.parametrize("host", [None, HostBehavior.NO_CORS])
@pytest.mark.parametrize("source", [None, SOURCE, SOURCE._replace(mask="b8" * 16)])
@pytest.mark.parametrize("altered", [None, ALTERED, Alteration(kept=10**12)])
def test_each_choice_of_parts_is_read_back(
    altered: Alteration | None, source: EditSource | None, host: HostBehavior | None
) -> None:
    """A link may have an alteration, a source and a difficult host in any choice: each comes back as it was."""
    link = replace(LINK, recipe=replace(RECIPE, altered=altered, source=source), host=host)
    assert link == parse_token(format_token(link, b"secret"), b"secret")


def test_a_token_of_another_version_is_damaged() -> None:
    """The first byte names the layout: a token of another layout is refused, whatever is in it."""
    sealed = base64.urlsafe_b64decode(format_token(LINK, b"secret") + "==")
    other = base64.urlsafe_b64encode(b"\x01" + sealed[1:]).rstrip(b"=").decode()
    with pytest.raises(BadToken):
        parse_token(other, b"secret")


@pytest.mark.parametrize("caption", ["", "\x00" * 160, '"' * 160, "\\" * 160, "\ud800" * 160, "👩" * 160, "a\nb\tc"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("host", [None, HostBehavior.BROWSERS_ONLY])
def test_no_caption_makes_a_token_too_long(caption: str, signed: bool, host: HostBehavior | None) -> None:
    """Whatever the longest texts are made of, and with everything else that a recipe can have, the token is read."""
    recipe = replace(RECIPE, caption=caption, model="模" * 48, quality="\x01" * 48, altered=ALTERED, source=SOURCE)
    link = PictureLink(replace(recipe, weight=123_456), 's"' * 32, 1, host=host, signed=signed)
    token = format_token(link, b"secret")
    assert len(token) <= LONGEST_TOKEN
    assert re.fullmatch("[A-Za-z0-9_-]+", token)
    assert link == parse_token(token, b"secret")


@pytest.mark.parametrize("length", range(7))
def test_links_of_one_recipe_begin_alike(length: int) -> None:
    """Only behind the recipe do they differ, in session, end and MAC; each is the one that is made alone."""
    recipe = replace(RECIPE, caption="x" * length)
    sealed = seal_recipe(recipe, b"secret", write_common_values(replace(recipe, caption="", index=3)))
    links = [PictureLink(recipe, session, expires) for session in ("", "s", "key-1234") for expires in (0, 99)]
    tokens = [sealed.format_token(link.session, link.expires) for link in links]
    assert tokens == [format_token(link, b"secret") for link in links]
    assert links == [parse_token(token, b"secret") for token in tokens]
    assert len(tokens) == len(set(tokens))
    assert 1 == len({token[:140] for token in tokens})


@pytest.mark.parametrize(
    ("change", "own"),
    [
        ({"more": None, "and": None, "still": None, "other": 1}, ("s", 1)),
        ({"seed": 1.0}, ("s", 1)),
        ({"width": True}, ("s", 1)),
        ({"width": 0}, ("s", 1)),
        ({}, (None, 1)),
        ({}, ("s", True)),
        ({}, ("s", -1)),
        ({}, ("s",)),
        ({}, ("s", 1, None, 1)),
        ({}, ("s", 1, None, None, None)),
    ],
)
def test_values_that_no_link_has(change: dict[str, object], own: tuple[object, ...]) -> None:
    """A value too many or too few, and one of another type, is damaged, although the signature is good."""
    assert 64 == parse_token(seal_text(write_token_list(SMALL, ("s", 1)), b"secret"), b"secret").recipe.width
    with pytest.raises(BadToken):
        parse_token(seal_text(write_token_list({**SMALL, **change}, own), b"secret"), b"secret")


def test_no_character_of_a_token_can_change() -> None:
    """Every change of one character, at every place, is noticed; so is another secret."""
    token = format_token(LINK, b"secret")
    for place, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        with pytest.raises(BadToken):
            parse_token(token[:place] + other + token[place + 1 :], b"secret")
    with pytest.raises(BadToken):
        parse_token(token, b"another")
