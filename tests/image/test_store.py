"""Pictures are drawn once, beside the event loop, and kept within bounds."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from emulator.image import render, store
from emulator.image.recipe import ImageRecipe
from emulator.image.store import ImageStore

RECIPE = ImageRecipe("ezmodel", "dall-e-2", "x", "0" * 16, 64, 64, "standard", "opaque", "png", None, 0, 1)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[ImageRecipe]:
    """Every recipe that is drawn, in order; what is drawn is 300 bytes."""
    seen: list[ImageRecipe] = []

    def draw(recipe: ImageRecipe) -> bytes:
        assert threading.current_thread() is not threading.main_thread()
        seen.append(recipe)
        if recipe.caption == "fails":
            raise RuntimeError("no paint")
        return bytes(300)

    monkeypatch.setattr(render, "draw", draw)
    return seen


async def test_many_askers_one_drawing(drawn: list[ImageRecipe]) -> None:
    """A hundred callers at once, and one later, get the same picture, drawn once."""
    room = ImageStore(10_000)
    pictures = await asyncio.gather(*(room.draw(RECIPE) for _ in range(100)))
    assert pictures[0] is await room.draw(RECIPE)
    assert 1 == len({id(one) for one in pictures}) == len(drawn)
    room.close()


async def test_the_longest_unused_makes_room(drawn: list[ImageRecipe]) -> None:
    """What is kept is bounded in bytes, Base64 included; a used picture stays."""
    room = ImageStore(1500)  # two pictures of 700
    first, second, third = (replace(RECIPE, seed=seed) for seed in (1, 2, 3))
    for recipe in (first, second, first, third, first, second):
        await room.draw(recipe)
    assert [first, second, third, second] == drawn
    assert len(room._pictures) == 2
    room.close()


async def test_one_who_leaves_takes_nothing_along(drawn: list[ImageRecipe]) -> None:
    """A caller that is cancelled does not cancel the drawing for the others."""
    room = ImageStore(10_000)
    leaving, staying = (asyncio.ensure_future(room.draw(RECIPE)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    assert 300 == len((await staying).data)
    assert 1 == len(drawn)
    room.close()


async def test_a_failed_drawing_is_not_kept(drawn: list[ImageRecipe]) -> None:
    """A bug while drawing reaches every asker, and the next one tries again."""
    room = ImageStore(10_000)
    fails = replace(RECIPE, caption="fails")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no paint"):
            await room.draw(fails)
    assert [fails, fails] == drawn
    room.close()
    assert store._WORKERS >= 1
