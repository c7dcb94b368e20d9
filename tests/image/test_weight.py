"""Heavy pictures: to the byte, with the pixels and the label of light ones, and the same each time."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache

import pytest
from PIL import Image, ImageChops

from emulator.image.files import EditInputs
from emulator.image.inspect import examine_upload, inspect_image
from emulator.image.realistic_weight import choose_realistic_weight
from emulator.image.recipe import LARGEST_WEIGHT, Alteration, EditSource, ImageRecipe, PartialImage
from emulator.image.render import draw_image
from emulator.image.store import _draw_picture
from tests.image.test_render import FIRST, SMALL, decode

KINDS = ("png", "jpeg", "webp")


@cache
def draw(recipe: ImageRecipe) -> bytes:
    """The file of a recipe, as links and replies have it."""
    return _draw_picture(recipe, None, None).data


@pytest.mark.parametrize("background", ["opaque", "transparent"])
@pytest.mark.parametrize("weight", [50_000, 100_001, 131_072, 400_000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_weighs_what_was_asked_for(kind: str, weight: int, background: str) -> None:
    """To the byte (a WebP is always even), whole, with its label, and with the pixels of its kind."""
    recipe = replace(SMALL, format=kind, background=background, weight=weight)
    data = draw(recipe)
    even = weight - weight % 2 if kind == "webp" else weight
    seen = inspect_image(data)
    light = inspect_image(draw(replace(recipe, weight=None)))
    assert (even, True, kind, light.mode) == (len(data), seen.whole, seen.format, seen.mode)
    assert (seen.label or {})["recipe"] == recipe.digest
    assert data == draw_image(replace(recipe))


@pytest.mark.parametrize("background", ["opaque", "transparent"])
def test_grain_is_fine(background: str) -> None:
    """No channel moves by more than four bits, and what is transparent stays so."""
    recipe = replace(SMALL, background=background)
    light, heavy = (decode(draw(replace(recipe, weight=weight))) for weight in (None, 150_000))
    difference = ImageChops.difference(light, heavy)
    extrema = [max(band.tobytes()) for band in difference.split()]
    assert 0 < max(extrema[:3]) < 16
    assert [0] * len(extrema[3:]) == extrema[3:]


def test_most_of_the_weight_is_grain() -> None:
    """A heavy PNG is so by its pixels: less than a fifth of it are bytes that readers skip."""
    data = draw(replace(SMALL, weight=110_000))
    assert len(data) - data.index(b"grAn") < 22_000


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_lighter_stays_as_it_is(kind: str) -> None:
    """A picture that is heavier without any grain has none."""
    light, heavy = (decode(draw(replace(SMALL, format=kind, weight=weight))) for weight in (None, 100))
    assert light.tobytes() == heavy.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 64), (4096, 16), (65, 129)])
def test_any_size_can_be_heavy(size: tuple[int, int], kind: str) -> None:
    """What grain cannot weigh, other bytes do: many segments of a JPEG, too."""
    recipe = replace(SMALL, width=size[0], height=size[1], format=kind)
    for weight in (200_000, 196_611 + len(draw(recipe)) + 5):
        data = draw(replace(recipe, weight=weight))
        assert len(data) in (weight, weight - 1)
        assert inspect_image(data).whole


def test_a_partial_image_is_heavy_too() -> None:
    """Lines of a stream have their length from partial images; no two of them have the same grain."""
    first, second = (draw(replace(SMALL, weight=150_000, partial=PartialImage(number, 2))) for number in (1, 2))
    assert (150_000, 150_000) == (len(first), len(second))
    assert first[-60_000:-20] != second[-60_000:-20]


def test_an_edited_picture_can_be_heavy() -> None:
    """A photograph that is lighter than asked for gets grain; one that is heavier stays as it is."""
    file = io.BytesIO()
    Image.effect_noise((256, 256), 90).convert("RGB").save(file, "PNG")
    examined = examine_upload(file.getvalue())
    source = EditSource("edit", examined.sha256[:32], None, examined.palette, open=False)
    inputs = EditInputs(file.getvalue())
    light = draw_image(replace(SMALL, source=source, weight=1), inputs=inputs)  # as it is, written by zlib
    for weight in (10_000, len(light) + 7, len(light) + 3000, 300_000):
        data = draw_image(replace(SMALL, source=source, weight=weight), inputs=inputs)
        assert len(data) in ((len(light),) if weight < len(light) + 12 else (weight,))
        assert inspect_image(data).whole


@pytest.mark.parametrize(
    ("alteration", "expected"),
    [
        (Alteration(mode="cmyk"), ("jpeg", "CMYK", True, 90_000)),
        (Alteration(mode="16_bit"), ("png", "RGB", True, 90_000)),
        (Alteration(mode="exif_rotated"), ("png", "RGB", True, 90_000)),
        (Alteration(format="webp"), ("webp", "RGB", True, 90_000)),
        (Alteration(kept=50, share=True), ("png", "RGB", False, 45_000)),
    ],
    ids=lambda value: "",
)  # fmt: skip
def test_an_altered_picture_can_be_heavy(alteration: Alteration, expected: tuple[str, str, bool, int]) -> None:
    """Other formats and odd pixels weigh as much, and what is cut is cut from the heavy file."""
    data = draw(replace(SMALL, altered=alteration, weight=90_000))
    seen = inspect_image(data)
    assert expected == (seen.format, seen.mode, seen.whole, len(data))


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [
        ({}, 1_300_000, 1_600_000),
        ({"quality": "low"}, 1_000_000, 1_200_000),
        ({"quality": "high"}, 1_600_000, 2_000_000),
        ({"format": "jpeg"}, 250_000, 400_000),
        ({"format": "jpeg", "compression": 100}, 750_000, 1_000_000),
        ({"format": "webp"}, 130_000, 250_000),
        ({"width": 512, "height": 512}, 325_000, 400_000),
        ({"width": 4096, "height": 4096, "quality": "high"}, LARGEST_WEIGHT, LARGEST_WEIGHT),
        ({"width": 1, "height": 1}, 1, 2),
        ({"altered": Alteration(width=512, height=512, format="jpeg")}, 60_000, 100_000),
    ],
    ids=str,
)
def test_realistic_weights(change: dict[str, object], least: int, most: int) -> None:
    """A PNG of 1024x1024 has 1 to 2 MB; all others in proportion; pictures differ from each other."""
    weights = {choose_realistic_weight(replace(FIRST, seed=seed, **change)) for seed in range(20)}  # type: ignore[arg-type]
    assert least <= min(weights) <= max(weights) <= most
    assert (len(weights) > 1) == (least != most and most > 2)


def test_a_weight_out_of_bounds_is_no_recipe() -> None:
    """A recipe may come from a link, whose secret everybody knows."""
    for weight in (0, -1, LARGEST_WEIGHT + 1):
        with pytest.raises(ValueError, match="bytes are outside"):
            replace(SMALL, weight=weight)
