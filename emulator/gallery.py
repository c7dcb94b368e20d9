"""Draws pictures beside the event loop, and keeps the last ones drawn.

A picture is drawn once even when many ask for it at the same time; what is kept is bounded in bytes.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from emulator.recipe import ImageRecipe

_WORKERS: Final = min(4, os.cpu_count() or 1)  # Pillow lets go of the interpreter lock; more only costs memory


@dataclass(frozen=True)
class Picture:
    """A drawn picture: its file's bytes."""

    data: bytes

    @cached_property
    def base64(self) -> bytes:
        """The file in plain padded Base64."""
        return base64.b64encode(self.data)

    @property
    def weight(self) -> int:
        """Bytes held, its Base64 included."""
        return len(self.data) * 7 // 3


class Gallery:
    """The pictures of one server; `capacity` bytes of them are kept."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._pictures: OrderedDict[ImageRecipe, Picture] = OrderedDict()
        self._drawing: dict[ImageRecipe, asyncio.Future[Picture]] = {}
        self._easels: ThreadPoolExecutor | None = None

    async def picture(self, recipe: ImageRecipe) -> Picture:
        """The picture that `recipe` describes, drawn now or earlier."""
        if (known := self._pictures.get(recipe)) is not None:
            self._pictures.move_to_end(recipe)
            return known
        if (underway := self._drawing.get(recipe)) is None:
            underway = self._drawing[recipe] = asyncio.ensure_future(self._draw(recipe))
            underway.add_done_callback(lambda _: self._drawing.pop(recipe, None))
        return await asyncio.shield(underway)  # one caller who leaves does not take the picture from the others

    def close(self) -> None:
        """Let the drawing threads end; nothing new is drawn."""
        if self._easels is not None:
            self._easels.shutdown(wait=False, cancel_futures=True)

    async def _draw(self, recipe: ImageRecipe) -> Picture:
        if self._easels is None:
            self._easels = ThreadPoolExecutor(_WORKERS, thread_name_prefix="easel")
        picture = await asyncio.get_running_loop().run_in_executor(self._easels, _drawn, recipe)
        self._pictures[recipe] = picture
        self._held += picture.weight
        while self._held > self._capacity and len(self._pictures) > 1:
            self._held -= self._pictures.popitem(last=False)[1].weight
        return picture


def _drawn(recipe: ImageRecipe) -> Picture:
    from emulator import picture  # Pillow is loaded for the first picture, not at the start

    return Picture(picture.draw(recipe))
