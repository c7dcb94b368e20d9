"""Times the drawing of pictures, in a process of its own; one line of JSON for each round.

Every picture is a new one. Beside ours stand, timed in turns: the same picture drawn and written with its palette,
which is the fastest way but not what real APIs send; and the drawing and one level-1 deflate of the RGB rows, which no
RGB picture can do without.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from statistics import median
from typing import Any, Final

from PIL import Image

from emulator.core.chance import make_seed
from emulator.image import render
from emulator.image.recipe import ImageRecipe


def one_thread(recipes: Iterator[ImageRecipe], pictures: int) -> dict[str, float]:
    """Milliseconds of this thread for a picture: `ours`, `palette`, `deflate`; and the `bytes` of ours."""
    found: dict[str, list[float]] = {"ours": [], "palette": [], "deflate": [], "bytes": []}
    for _ in range(pictures):
        one = next(recipes)
        began = time.thread_time()
        file = render.draw_image(one)
        found["ours"].append(1000 * (time.thread_time() - began))
        began = time.thread_time()
        image = render.paint_image(one)
        drawn = 1000 * (time.thread_time() - began)
        found["palette"].append(drawn + _time(_write_palette, image))
        found["deflate"].append(drawn + _time(_deflate, image.convert("RGB").tobytes()))
        found["bytes"].append(len(file))
    return {name: median(values) for name, values in found.items()}


def _time(work: Callable[[Any], object], piece: Any) -> float:
    began = time.thread_time()
    work(piece)
    return 1000 * (time.thread_time() - began)


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


def _write_palette(image: Image.Image) -> None:
    image.save(io.BytesIO(), "PNG", compress_level=1, compress_type=_RLE_STRATEGY)


def _deflate(rows: bytes) -> None:
    zlib.compress(rows, 1)


def main(rounds: int, pictures: int) -> None:
    """Print one line for each of `rounds`, each of `pictures` for each way."""
    recipes = _recipes()
    take = partial(lambda number: [next(recipes) for _ in range(number)], pictures)
    rows = [render.paint_image(one).convert("RGB").tobytes() for one in take()]  # warms up, too
    for _ in range(rounds):
        found = {
            "alone": one_thread(recipes, pictures),
            "pair": two_threads(render.draw_image, take(), take()),
            "ceiling": two_threads(_deflate, rows * _LONGER, rows * _LONGER),
        }
        print(json.dumps(found), flush=True)


_LONGER: Final = 2  # deflating alone takes about half as long
_RLE_STRATEGY: Final = 3  # zlib's number for it: the fastest of its strategies for a palette

if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
