"""Pictures are drawn once, beside the event loop, and kept within bounds."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from emulator.image import render, store
from emulator.image.files import MissingFile
from emulator.image.recipe import Alteration, EditSource, ImageRecipe, PartialImage
from emulator.image.store import ImageStore
from emulator.session.store import InMemoryStore, StoreLimits

RECIPE = ImageRecipe("ezmodel", "dall-e-2", "x", "0" * 16, 64, 64, "standard", "opaque", "png", None, 0, 1)


def make_store(capacity: int, picture_bytes: int = 0) -> ImageStore:
    """An image store beside a store that keeps no files, or few."""
    limits = StoreLimits(calls=1, bytes=1, sessions=1, age=1, upload_bytes=0, picture_bytes=picture_bytes)
    return ImageStore(capacity, InMemoryStore(limits))


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
    image_store = make_store(10_000)
    pictures = await asyncio.gather(*(image_store.draw(RECIPE) for _ in range(100)))
    assert pictures[0] is await image_store.draw(RECIPE)
    assert 1 == len({id(one) for one in pictures}) == len(drawn)
    image_store.close()


async def test_the_longest_unused_makes_room(drawn: list[ImageRecipe]) -> None:
    """What is kept is bounded in bytes, Base64 included; a used picture stays."""
    image_store = make_store(1500)  # two pictures of 700
    first, second, third = (replace(RECIPE, seed=seed) for seed in (1, 2, 3))
    for recipe in (first, second, first, third, first, second):
        await image_store.draw(recipe)
    assert [first, second, third, second] == drawn
    assert len(image_store._pictures._values) == 2
    image_store.close()


async def test_one_who_leaves_takes_nothing_along(drawn: list[ImageRecipe]) -> None:
    """A caller that is cancelled does not cancel the drawing for the others."""
    image_store = make_store(10_000)
    leaving, staying = (asyncio.ensure_future(image_store.draw(RECIPE)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert 300 == len((await staying).data)
    assert 1 == len(drawn)
    image_store.close()


async def test_a_failed_drawing_is_not_kept(drawn: list[ImageRecipe]) -> None:
    """A bug while drawing reaches every asker, and the next one tries again."""
    image_store = make_store(10_000)
    fails = replace(RECIPE, caption="fails")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no paint"):
            await image_store.draw(fails)
    assert [fails, fails] == drawn
    image_store.close()
    assert store._WORKERS >= 1


async def test_a_caller_that_holds_its_own_picture_gets_it() -> None:
    """A call is answered with the bytes that it holds, whatever the store dropped; without them nothing is drawn."""
    image_store = make_store(10_000, picture_bytes=10)
    recipe = replace(RECIPE, altered=Alteration(format="png", file="a" * 16))
    with pytest.raises(MissingFile):
        await image_store.draw(recipe)
    assert not await image_store.can_draw(recipe)
    assert b"held" == (await image_store.draw(recipe, {"a" * 16: b"held"})).data
    with pytest.raises(MissingFile):  # drawn once is not kept: the file may come again, its picture does not stay alone
        await image_store.draw(recipe)
    image_store.close()


async def test_an_own_picture_that_is_served_counts_as_used() -> None:
    """A picture that is still asked for stays; one that was dropped cannot be drawn."""
    files = InMemoryStore(StoreLimits(calls=1, bytes=1, sessions=1, age=1, picture_bytes=250))
    image_store = ImageStore(0, files)
    first, second = (replace(RECIPE, altered=Alteration(format="png", file=letter * 16)) for letter in "ab")
    for letter in "ab":
        await files.keep_file("picture", letter * 16, letter.encode() * 100)
    assert b"a" * 100 == (await image_store.draw(first)).data
    await files.keep_file("picture", "c" * 16, bytes(100))
    assert (True, False) == (await image_store.can_draw(first), await image_store.can_draw(second))
    with pytest.raises(MissingFile):
        await image_store.draw(second)
    image_store.close()


async def test_a_partial_image_needs_no_own_picture(drawn: list[ImageRecipe]) -> None:
    """It is drawn without the alteration, so that a stream goes on where the tester's picture is gone."""
    image_store = make_store(10_000)
    partial = replace(RECIPE, altered=Alteration(format="png", file="a" * 16), partial=PartialImage(1, 1))
    await image_store.draw(partial)
    assert [partial] == drawn
    image_store.close()


async def test_an_edit_uses_the_upload_that_its_caller_holds(drawn: list[ImageRecipe]) -> None:
    """Who holds the upload never gets the picture of a thumbnail, though another caller waits for that one."""
    image_store = make_store(10_000)
    source = EditSource("edit", "0f" * 16, None, "00" * 36, False)
    recipe = replace(RECIPE, source=source)
    await asyncio.gather(image_store.draw(recipe), image_store.draw(recipe, {"0f" * 16: b"held"}))
    assert [recipe, recipe] == drawn
    await image_store.draw(recipe)  # the one that was drawn of the upload is kept
    assert 2 == len(drawn)
    image_store.close()
