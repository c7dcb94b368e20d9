"""Times the drawing of pictures, in a process of its own; one line of JSON for each round.

Every picture is a new one. Beside ours stands what no picture can do without: Pillow's own level-1 encoding of the same
palette pixels. Both are timed in turns.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from typing import Any, Final

from PIL import Image

from emulator.core.chance import make_seed
from emulator.image import render
from emulator.image.recipe import ImageRecipe


def one_thread(recipes: Iterator[ImageRecipe], pictures: int) -> dict[str, float]:
    """Milliseconds of this thread for a picture: `ours` drawn, labelled and encoded; `beside` encoded alone; bytes."""
    ours = beside = 0.0
    size = 0
    for _ in range(pictures):
        one = next(recipes)
        began = time.thread_time()
        file = render.draw_image(one)
        ours += time.thread_time() - began
        image = _pixels(file)
        began = time.thread_time()
        _encode(image)
        beside += time.thread_time() - began
        size += len(file)
    return {"ours": 1000 * ours / pictures, "beside": 1000 * beside / pictures, "bytes": size / pictures}


def two_threads(work: Callable[[Any], object], ours: Sequence[Any], beside: Sequence[Any]) -> dict[str, float]:
    """Pieces of `work` a second: `ours` done by two threads, `beside` by one."""
    return {"ours": _pace(work, ours, 2), "beside": _pace(work, beside, 1)}


def _pace(work: Callable[[Any], object], pieces: Sequence[Any], threads: int) -> float:
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(time.sleep, [0.01] * threads))  # the threads exist before the clock starts
        began = time.perf_counter()
        list(pool.map(work, pieces))
        return len(pieces) / (time.perf_counter() - began)


def _recipes() -> Iterator[ImageRecipe]:
    """Recipes of 1024 x 1024 that differ in everything that can be seen."""
    for number in count():
        caption = f"a siamese cat on a windowsill in the morning light, number {number}"
        yield ImageRecipe(
            gateway="ezmodel", model="dall-e-3", caption=caption, prompt_hash=f"{number:016x}", width=1024, height=1024,
            quality="standard", background="opaque", format="png", compression=None, index=0,
            seed=make_seed("bench", number),
        )  # fmt: skip


def _pixels(file: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(file))
    image.load()
    return image


def _encode(image: Image.Image) -> None:
    image.save(io.BytesIO(), "PNG", compress_level=1)


def main(rounds: int, pictures: int) -> None:
    """Print one line for each of `rounds`, each of `pictures` for each way."""
    recipes = _recipes()
    take = partial(lambda number: [next(recipes) for _ in range(number)], pictures)
    images = [_pixels(render.draw_image(one)) for one in take()]  # warms up, too
    for _ in range(rounds):
        found = {
            "alone": one_thread(recipes, pictures),
            "pair": two_threads(render.draw_image, take(), take()),
            "ceiling": two_threads(_encode, images * _LONGER, images * _LONGER),
        }
        print(json.dumps(found), flush=True)


_LONGER: Final = 2  # encoding alone takes about half as long

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
