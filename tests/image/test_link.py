"""A picture's link is its recipe, sealed in a token of the URL."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from emulator.image.link import (
    LONGEST_TOKEN,
    BadToken,
    HostBehavior,
    PictureLink,
    format_token,
    parse_token,
    seal_fields,
)
from emulator.image.recipe import Alteration, EditSource, ImageRecipe

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
    other = base64.urlsafe_b64encode(b"\x02" + sealed[1:]).rstrip(b"=").decode()
    with pytest.raises(BadToken):
        parse_token(other, b"secret")


@pytest.mark.parametrize(
    "change", [{"colour": 1}, {"partial": None}, {"session": None}, {"seed": 1.0}, {"width": True}]
)
def test_fields_that_no_link_has(change: dict[str, object]) -> None:
    """An unknown field, and one of another type, is damaged, although the signature is good."""
    fields = {
        "session": "s", "expires": 1, "gateway": "g", "model": "m", "caption": "c", "prompt_hash": "h", "width": 64,
        "height": 64, "quality": "q", "background": "opaque", "format": "png", "index": 0, "seed": 0,
    }  # fmt: skip
    assert 64 == parse_token(seal_fields(fields, b"secret"), b"secret").recipe.width
    with pytest.raises(BadToken):
        parse_token(seal_fields({**fields, **change}, b"secret"), b"secret")


def test_no_character_of_a_token_can_change() -> None:
    """Every change of one character, at every place, is noticed; so is another secret."""
    token = format_token(LINK, b"secret")
    for place, letter in enumerate(token):
        other = "A" if letter != "A" else "B"
        with pytest.raises(BadToken):
            parse_token(token[:place] + other + token[place + 1 :], b"secret")
    with pytest.raises(BadToken):
        parse_token(token, b"another")
