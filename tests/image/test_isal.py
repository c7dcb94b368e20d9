"""Pictures with isal: the pixels, labels and weights that they have without it, in other bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest
from PIL import Image

from emulator.core.accelerators import choose_speed
from emulator.image.encoder import find_isal
from emulator.image.files import EditInputs
from emulator.image.inspect import examine_upload, inspect_image
from emulator.image.recipe import Alteration, EditSource, ImageRecipe, PartialImage
from emulator.image.store import _draw_picture
from tests.conftest import SPEED
from tests.image.test_render import FIRST, SMALL, decode

CLEAR: Final = replace(SMALL, background="transparent")


def make_upload() -> bytes:
    file = io.BytesIO()
    Image.effect_noise((300, 200), 60).convert("RGB").save(file, "PNG")
    return file.getvalue()


UPLOAD: Final = make_upload()
EDIT: Final = EditSource("edit", "0" * 32, None, examine_upload(UPLOAD).palette, open=False)


def altered(**change: object) -> ImageRecipe:
    return replace(SMALL, altered=Alteration(**change))  # type: ignore[arg-type]


def draw(recipe: ImageRecipe, speed: str) -> bytes:
    choose_speed("auto" if speed == "auto" else "off")
    inputs = EditInputs(UPLOAD) if recipe.source is not None else None
    return _draw_picture(recipe, None, inputs).data


@pytest.fixture(autouse=True)
def speed() -> Iterator[None]:
    """What a test chooses ends with it."""
    yield
    choose_speed(SPEED)


@pytest.mark.parametrize(
    "recipe",
    [
        FIRST, CLEAR, replace(SMALL, partial=PartialImage(1, 3)), replace(SMALL, width=4096, height=65),
        replace(SMALL, width=1, height=1), replace(SMALL, source=EDIT), replace(CLEAR, source=EDIT),
        altered(mode="16_bit"), altered(mode="exif_rotated"), altered(width=70, height=50),
    ],
    ids=["opaque", "transparent", "partial", "wide", "one pixel", "edit", "transparent edit", "16 bits", "turned",
         "another size"],
)  # fmt: skip
def test_a_png_has_the_same_pixels(recipe: ImageRecipe) -> None:
    """And the same kind of pixels, and the same label."""
    plain, fast = draw(recipe, "off"), draw(recipe, "auto")
    assert (decode(plain).mode, decode(plain).tobytes()) == (decode(fast).mode, decode(fast).tobytes())
    assert inspect_image(plain).label == inspect_image(fast).label
    assert inspect_image(fast).whole
    is_written_by_pillow = recipe.altered is not None and recipe.altered.mode is not None
    assert (plain == fast) == is_written_by_pillow


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_other_formats_have_the_same_bytes(kind: str) -> None:
    recipe = replace(SMALL, format=kind)
    assert draw(recipe, "off") == draw(recipe, "auto")


@pytest.mark.parametrize(
    "recipe",
    [
        SMALL, replace(SMALL, width=4096, height=1024), replace(SMALL, width=4096, height=1025),
        replace(SMALL, width=4096, height=1025, source=EDIT), replace(SMALL, format="webp"),
        replace(SMALL, weight=9999), altered(mode="16_bit"), altered(mode="exif_rotated"),
        altered(format="jpeg"), altered(width=70, height=50), altered(width=4096, height=1025),
        altered(kept=50.0, share=True),
    ],
    ids=["small", "4 MiB pixels", "more", "more, edited", "webp", "heavy", "16 bits", "turned", "jpeg", "another size",
         "large in its place", "cut"],
)  # fmt: skip
def test_isal_is_named_where_it_makes_other_bytes(recipe: ImageRecipe) -> None:
    """The ETag of a picture depends on it."""
    is_other = draw(recipe, "off") != draw(recipe, "auto")
    assert is_other == (find_isal(recipe) is not None)  # the speed is still auto


@pytest.mark.parametrize("weight", [100, 90_001, 150_000])
@pytest.mark.parametrize("source", [None, EDIT], ids=["drawn", "edited"])
def test_heavy_pictures_have_the_same_bytes(source: EditSource | None, weight: int) -> None:
    """How much grain there is depends on the size of the file, so that zlib writes it in any case."""
    recipe = replace(SMALL, weight=weight, source=source)
    assert draw(recipe, "off") == draw(recipe, "auto")


def test_a_file_ends_too_early_at_the_same_share() -> None:
    """A half is the half of the file that was made."""
    whole, half = draw(SMALL, "auto"), draw(altered(kept=50, share=True), "auto")
    assert (len(whole) // 2, False) == (len(half), inspect_image(half).whole)
