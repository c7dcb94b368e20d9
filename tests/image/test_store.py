"""Pictures are drawn once, beside the event loop, and kept within bounds."""

from __future__ import annotations

import asyncio
import gc
import threading
from dataclasses import replace

import pytest

from emulator.image import render, store
from emulator.image.recipe import Alteration, ImageRecipe
from emulator.image.store import ImageStore
from emulator.image.upload import Look, Upload

RECIPE = ImageRecipe("ezmodel", "dall-e-2", "x", "0" * 16, 64, 64, "standard", "opaque", "png", None, 0, 1)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[ImageRecipe]:
    """Every recipe that is drawn, in order; what is drawn is 300 bytes."""
    seen: list[ImageRecipe] = []

    def draw(recipe: ImageRecipe, inputs: object = None) -> bytes:
        assert threading.current_thread() is not threading.main_thread()
        seen.append(recipe)
        if recipe.caption == "fails":
            raise RuntimeError("no paint")
        return bytes(300)

    monkeypatch.setattr(render, "draw_image", draw)
    return seen


async def test_many_askers_one_drawing(drawn: list[ImageRecipe]) -> None:
    """A hundred callers at once, and one later, get the same picture, drawn once."""
    image_store = ImageStore(10_000)
    pictures = await asyncio.gather(*(image_store.draw(RECIPE) for _ in range(100)))
    assert pictures[0] is await image_store.draw(RECIPE)
    assert 1 == len({id(one) for one in pictures}) == len(drawn)
    image_store.close()


async def test_the_longest_unused_makes_room(drawn: list[ImageRecipe]) -> None:
    """What is kept is bounded in bytes, Base64 included; a used picture stays."""
    image_store = ImageStore(1500)  # two pictures of 700
    first, second, third = (replace(RECIPE, seed=seed) for seed in (1, 2, 3))
    for recipe in (first, second, first, third, first, second):
        await image_store.draw(recipe)
    assert [first, second, third, second] == drawn
    assert len(image_store._pictures._values) == 2
    image_store.close()


async def test_one_who_leaves_takes_nothing_along(drawn: list[ImageRecipe]) -> None:
    """A caller that is cancelled does not cancel the drawing for the others."""
    image_store = ImageStore(10_000)
    leaving, staying = (asyncio.ensure_future(image_store.draw(RECIPE)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert 300 == len((await staying).data)
    assert 1 == len(drawn)
    image_store.close()


async def test_a_failed_drawing_is_not_kept(drawn: list[ImageRecipe]) -> None:
    """A bug while drawing reaches every asker, and the next one tries again."""
    image_store = ImageStore(10_000)
    fails = replace(RECIPE, caption="fails")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no paint"):
            await image_store.draw(fails)
    assert [fails, fails] == drawn
    image_store.close()
    assert store._WORKERS >= 1


def test_uploads_are_bounded() -> None:
    """Above its bytes a store lets go of the longest unused, and of nothing that somebody still holds."""
    image_store = ImageStore(0, upload_capacity=250)
    kept = [Upload("image", None, "", bytes([place]) * 100, Look(f"{place}" * 64, 100)) for place in range(4)]
    for one in kept[:2]:
        image_store.keep_upload(one)
    digests = [one.look.sha256 for one in kept if one.look]
    assert kept[0].data == image_store.find_upload(digests[0])  # used again, so the second is the oldest
    image_store.keep_upload(kept[2])
    large = Upload("image", None, "", b"x" * 300, Look("f" * 64, 300))
    image_store.keep_upload(large)
    assert large.data == image_store.find_upload("f" * 64)
    assert kept[1].data == image_store.find_upload(digests[1])  # it is held here
    del large, one
    kept[1] = kept[3]
    gc.collect()
    assert [True, False, True, False] == [image_store.find_upload(digest) is not None for digest in digests]
    assert image_store.find_upload("f" * 64) is None
    assert kept[2].data == image_store.find_upload(digests[2][:32])
    assert image_store.find_upload(None) is None


def test_own_pictures_are_bounded() -> None:
    """Above its bytes a store drops the tester's own picture that was not used for the longest time."""
    image_store = ImageStore(0, own_capacity=250)
    digests = ["a" * 16, "b" * 16, "c" * 16]
    recipes = {digest: replace(RECIPE, altered=Alteration(format="png", file=digest)) for digest in digests}
    for digest in recipes:
        image_store.keep_picture(digest, bytes(100))
    assert [False, True, True] == [image_store.can_draw(recipe) for recipe in recipes.values()]
    image_store.keep_picture("b" * 16, bytes(100))  # used again, so the third is the oldest
    image_store.keep_picture("a" * 16, bytes(100))
    assert [True, True, False] == [image_store.can_draw(recipe) for recipe in recipes.values()]
    image_store.keep_picture("c" * 16, bytes(1000))  # the newest stays, whatever its size
    assert [False, False, True] == [image_store.can_draw(recipe) for recipe in recipes.values()]


async def test_an_own_picture_that_is_served_counts_as_used() -> None:
    """A picture that is still asked for stays; one that was dropped cannot be drawn."""
    image_store = ImageStore(0, own_capacity=250)
    first, second = (replace(RECIPE, altered=Alteration(format="png", file=letter * 16)) for letter in "ab")
    for letter in "ab":
        image_store.keep_picture(letter * 16, letter.encode() * 100)
    assert b"a" * 100 == (await image_store.draw(first)).data
    image_store.keep_picture("c" * 16, bytes(100))
    assert (True, False) == (image_store.can_draw(first), image_store.can_draw(second))
    with pytest.raises(KeyError):
        await image_store.draw(second)
    image_store.close()
