"""The small rooms that everything else speaks with: clock, recipe, files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emulator.core import chance, clock, yaml_file
from emulator.image import recipe
from emulator.image.recipe import Alteration, BadToken, HostBehavior, ImageRecipe, PictureLink

RECIPE = ImageRecipe("geekai", "cogview-4", "猫", "0" * 16, 1024, 768, "hd", "opaque", "png", None, 0, 2**64 - 1)
LINK = PictureLink(RECIPE, "key-3f9a2c10", 1_800_000_000)
ALTERED = Alteration(4095, 4096, "jpeg", "exif_rotated", kept=12.345, share=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("frozen:1970-01-01T00:00:10Z", 10),
        ("frozen:1970-01-01T00:00:10", 10),
        ("frozen:1970-01-02", 86400),
        ("frozen:1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_a_frozen_clock_stands_still(text: str, seconds: float) -> None:
    """It says the same instant each time; a time without a zone is UTC."""
    frozen = clock.parse(text)
    assert [seconds, seconds] == [frozen.now(), frozen.now()]


@pytest.mark.parametrize("text", ["", "frozen", "frozen:", "frozen:noon", "sundial", "real:5", "frozen:2026-13-01"])
def test_a_clock_that_is_none(text: str) -> None:
    """What names no clock is refused with an example."""
    with pytest.raises(ValueError, match="frozen:2026-01-01T00:00:00Z"):
        clock.parse(text)


def test_a_day_begins_in_utc() -> None:
    """A day in a table is the second at which it begins, wherever the server stands."""
    assert (0, 86_400, 1_796_083_200) == tuple(map(clock.day, ("1970-01-01", "1970-01-02", "2026-12-01")))


@pytest.mark.parametrize("text", ["", "2026-02-30", "20260101", "2026-W01-1", "2026-01-01T00", "2026-1-1", None, 2026])
def test_a_day_that_is_none(text: object) -> None:
    """There is one spelling of a day, and what is none is told with an example."""
    with pytest.raises(ValueError, match="is no day, as in 2026-01-31"):
        clock.day(text)


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


def test_every_field_counts_in_the_digest_and_every_part_in_the_seed() -> None:
    """Two recipes that differ anywhere have different digests."""
    changes = {
        "gateway": "x", "model": "x", "caption": "x", "prompt_hash": "x", "width": 1, "height": 1, "quality": "x",
        "background": "transparent", "format": "webp", "compression": 5, "index": 1, "seed": 1,
        "altered": ALTERED,
    }  # fmt: skip
    digests = {replace(RECIPE, **{name: value}).digest for name, value in changes.items()}  # type: ignore[arg-type]
    assert len(changes) == len(digests - {RECIPE.digest})
    assert chance.seed_of("a", "bc") != chance.seed_of("ab", "c")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("true", True), ("017", 17), ("0x1F", 31), ("2026-01-01", "2026-01-01"), ("1e3", 1000.0),
        ("~", None), ("", None), ("12:30:45", "12:30:45"), ("n", "n"),
    ],
)  # fmt: skip
def test_yaml_means_what_it_looks_like(text: str, value: object) -> None:
    """YAML 1.2's core: no booleans but true and false, no dates, no octal or sexagesimal numbers."""
    assert {"x": value} == yaml_file.parse(f"x: {text}", Path("f.yaml")).root


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3: the key 'a' is given twice"),
        ("a: &x [1]\nb: *x", "an alias (*name) is not supported"),
        ("a: &x\n  b: *x", "an alias (*name) is not supported"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: !!timestamp soon", "cannot be read as YAML"),
        ("a: [1", "f.yaml:1"),
        ("\0", "unacceptable character"),
    ],
)
def test_yaml_traps_are_refused(text: str, complaint: str) -> None:
    """Each trap is one line with the file and, where there is one, the line."""
    with pytest.raises(yaml_file.InvalidFile) as caught:
        yaml_file.parse(text, Path("f.yaml"))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that is absent, a folder, or no text is one line too."""
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    for path in (tmp_path / "absent.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(yaml_file.InvalidFile, match=str(path)):
            yaml_file.read(path)
