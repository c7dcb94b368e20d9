"""Draws pictures beside the event loop, looks at those that calls bring, and keeps the last of both.

A picture is drawn once even when many ask for it at the same time; what is kept is bounded in bytes, but for pictures
of the tester's own, which cannot be drawn again.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Final, TypeVar

from emulator.image.recipe import ImageRecipe
from emulator.image.upload import Upload
from emulator.image.upload_store import Sources

T = TypeVar("T")
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


class ImageStore:
    """The pictures of one server; `capacity` bytes of them are kept, and `uploads` bytes of those that calls bring."""

    def __init__(self, capacity: int, uploads: int = 0) -> None:
        self._uploads = Sources(uploads)
        self._capacity = capacity
        self._held = 0
        self._pictures: OrderedDict[ImageRecipe, Picture] = OrderedDict()
        self._drawing: dict[ImageRecipe, asyncio.Future[Picture]] = {}
        self._own: dict[str, bytes] = {}
        self._easels: ThreadPoolExecutor | None = None

    def keep_picture(self, digest: str, own: bytes) -> None:
        """Let recipes name a picture of the tester's own, from now on, by the digest of its bytes."""
        self._own[digest] = own

    def can_draw(self, recipe: ImageRecipe) -> bool:
        """Whether all that `recipe` names is here."""
        return recipe.altered is None or recipe.altered.file is None or recipe.altered.file in self._own

    async def draw(self, recipe: ImageRecipe) -> Picture:
        """The picture that `recipe` describes, drawn now or earlier; KeyError where it cannot be drawn."""
        if (known := self._pictures.get(recipe)) is not None:
            self._pictures.move_to_end(recipe)
            return known
        if (underway := self._drawing.get(recipe)) is None:
            underway = self._drawing[recipe] = asyncio.ensure_future(self._draw(recipe))
            underway.add_done_callback(lambda _: self._drawing.pop(recipe, None))
        return await asyncio.shield(underway)  # one caller who leaves does not take the picture from the others

    def keep_upload(self, upload: Upload) -> None:
        """Keep the file of `upload`, which was examined."""
        self._uploads.keep(upload)

    def find_upload(self, digest: str | None) -> bytes | None:
        """Return the uploaded file whose SHA-256 begins with `digest` (32 hex digits or more), or None."""
        return self._uploads.data(digest)

    async def run_in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function` in one of the threads that draw, so that the event loop goes on."""
        return await asyncio.get_running_loop().run_in_executor(self._threads(), function, *arguments)

    def close(self, wait: bool = False) -> None:
        """Let the drawing threads end, and with `wait` not return before they have; nothing new is drawn."""
        if self._easels is not None:
            self._easels.shutdown(wait=wait, cancel_futures=True)

    def _threads(self) -> ThreadPoolExecutor:
        if self._easels is None:
            self._easels = ThreadPoolExecutor(_WORKERS, thread_name_prefix="easel")
        return self._easels

    async def _draw(self, recipe: ImageRecipe) -> Picture:
        change, source = recipe.altered, recipe.source
        own = None if change is None or change.file is None else self._own[change.file]
        given = None if source is None else self._uploads.data(source.image)
        mask = None if source is None else self._uploads.data(source.mask)
        drawing = partial(_drawn, recipe, own, given, mask)
        picture = await asyncio.get_running_loop().run_in_executor(self._threads(), drawing)
        if source is not None and (given is None or (mask is None) != (source.mask is None)):
            return picture  # drawn from a thumbnail; it is not kept, as the real one may come again
        self._pictures[recipe] = picture
        self._held += picture.weight
        while self._held > self._capacity and len(self._pictures) > 1:
            self._held -= self._pictures.popitem(last=False)[1].weight
        return picture


def _drawn(recipe: ImageRecipe, own: bytes | None, given: bytes | None, mask: bytes | None) -> Picture:
    from emulator.image import render  # Pillow is loaded for the first picture, not at the start
    from emulator.image.edit import EditInputs

    files = None if given is None else EditInputs(given, mask)
    if recipe.altered is not None and recipe.stage is None:
        from emulator.image import alter

        return Picture(alter.file(recipe, recipe.altered, own, files))
    return Picture(render.draw(recipe) if files is None else render.draw(recipe, inputs=files))
