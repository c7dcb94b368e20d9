"""Draws pictures beside the event loop, looks at those that calls bring, and keeps the last of both.

A picture is drawn once even when many ask for it at the same time; what is kept is bounded in bytes, but for pictures
of the tester's own, which cannot be drawn again.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final

from emulator.image import recipe as recipes
from emulator.image.recipe import BadToken, ImageRecipe
from emulator.image.upload_store import Sources
from emulator.messages import Request
from emulator.validation import uploads as inputs

_WORKERS: Final = min(4, os.cpu_count() or 1)  # Pillow lets go of the interpreter lock; more only costs memory


_LOOKING: Final = 2  # at a time; each may hold 4096 x 4096 pixels of four bytes


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
    """The pictures of one server; `capacity` bytes of them are kept, and `uploads` bytes of those that calls bring.

    Links to pictures of our own are signed with `secret`.
    """

    def __init__(self, capacity: int, uploads: int = 0, secret: bytes = b"") -> None:
        self.sources = Sources(uploads)
        self._secret = secret
        self._capacity = capacity
        self._looking = asyncio.Semaphore(_LOOKING)
        self._held = 0
        self._pictures: OrderedDict[ImageRecipe, Picture] = OrderedDict()
        self._drawing: dict[ImageRecipe, asyncio.Future[Picture]] = {}
        self._own: dict[str, bytes] = {}
        self._easels: ThreadPoolExecutor | None = None

    def hang(self, digest: str, own: bytes) -> None:
        """Let recipes name a picture of the tester's own, from now on, by the digest of its bytes."""
        self._own[digest] = own

    def can_draw(self, recipe: ImageRecipe) -> bool:
        """Whether all that `recipe` names is here."""
        return recipe.altered is None or recipe.altered.file is None or recipe.altered.file in self._own

    async def picture(self, recipe: ImageRecipe) -> Picture:
        """The picture that `recipe` describes, drawn now or earlier; KeyError where it cannot be drawn."""
        if (known := self._pictures.get(recipe)) is not None:
            self._pictures.move_to_end(recipe)
            return known
        if (underway := self._drawing.get(recipe)) is None:
            underway = self._drawing[recipe] = asyncio.ensure_future(self._draw(recipe))
            underway.add_done_callback(lambda _: self._drawing.pop(recipe, None))
        return await asyncio.shield(underway)  # one caller who leaves does not take the picture from the others

    async def received(self, request: Request, wanted: bool) -> Request:
        """`raw` with its pictures as uploads that were looked at, and are kept; texts are pictures where `wanted`."""
        if not wanted and not request.uploads:
            return request
        known = {link: await self._behind(link) for link in inputs.links(request)}
        there = {link: data for link, data in known.items() if data is not None}
        async with self._looking:
            request = await asyncio.get_running_loop().run_in_executor(self._threads(), inputs.received, request, there)
        for upload in request.uploads:
            self.sources.keep(upload)
        return request

    async def _behind(self, link: str) -> bytes | None:
        """The file behind a link of our own, whatever the host in it; None behind any other."""
        _, ours, name = link.partition("/pictures/")
        try:
            recipe = recipes.read(name.partition("?")[0].rpartition(".")[0], self._secret).recipe if ours else None
        except BadToken:
            return None
        return None if recipe is None or not self.can_draw(recipe) else (await self.picture(recipe)).data

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
        given = None if source is None else self.sources.data(source.image)
        mask = None if source is None else self.sources.data(source.mask)
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
