"""Draws pictures in threads beside the event loop, and keeps the drawn ones, bounded in bytes.

A picture is drawn once even when many ask for it at the same time.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, Final, TypeVar

from emulator.core.bounded_cache import BoundedCache
from emulator.core.light_dataclass import dataclass
from emulator.image.files import NO_FILES, EditInputs, FileKind, Files, FileStore, MissingFile
from emulator.image.recipe import EditSource, ImageRecipe

T = TypeVar("T")
_WORKERS: Final = min(4, os.cpu_count() or 1)  # Pillow releases the interpreter lock; more threads only cost memory


@dataclass(frozen=True)
class Picture:
    """A drawn picture: its file's bytes."""

    data: bytes

    @cached_property
    def base64(self) -> bytes:
        """The file in plain padded Base64."""
        return base64.b64encode(self.data)

    @property
    def size(self) -> int:
        """The bytes that it holds, its Base64 included."""
        return len(self.data) * 7 // 3


class ImageStore:
    """The pictures that one server has drawn.

    `capacity` is the bytes of drawn pictures that are kept; `files` has the files that recipes name.
    """

    def __init__(self, capacity: int, files: FileStore) -> None:
        self._pictures: BoundedCache[ImageRecipe, Picture] = BoundedCache(capacity)
        self._files = files
        self._drawing: dict[tuple[ImageRecipe, bool], asyncio.Future[Picture]] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def can_draw(self, recipe: ImageRecipe) -> bool:
        """Return whether the tester's own picture that `recipe` names is kept, or it names none."""
        digest = _find_own_picture(recipe)
        return digest is None or await self._files.find_file("picture", digest) is not None

    async def draw(self, recipe: ImageRecipe, files: Files = NO_FILES) -> Picture:
        """Return the picture that `recipe` describes, drawn now or earlier; `files` are those that the caller holds.

        Raises MissingFile where it names a tester's own picture that is neither held nor kept.
        """
        own = None
        digest = _find_own_picture(recipe)
        if digest is not None:
            own = await self._find_file("picture", digest, files)
            if own is None:
                raise MissingFile(digest)
        picture = self._pictures.get(recipe)
        if picture is not None:
            return picture
        inputs, is_complete = None, True
        if recipe.source is not None and own is None:
            inputs = await self._find_inputs(recipe.source, files)
            is_complete = inputs is not None and (inputs.mask is None) == (recipe.source.mask is None)
        drawing = self._drawing.get((recipe, is_complete))
        if drawing is None:
            drawing = asyncio.ensure_future(self._draw(recipe, own, inputs, is_complete))
            self._drawing[recipe, is_complete] = drawing
            drawing.add_done_callback(lambda _: self._drawing.pop((recipe, is_complete), None))
        return await asyncio.shield(drawing)  # a caller who leaves does not take the picture away from the others

    async def run_in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call `function` in one of the threads that draw, so that the event loop goes on."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_WORKERS, thread_name_prefix="image")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    def close(self, wait: bool = False) -> None:
        """Let the threads end; with `wait`, return after they have ended. Nothing is drawn any more."""
        if self._threads is not None:
            self._threads.shutdown(wait=wait, cancel_futures=True)

    async def _draw(
        self, recipe: ImageRecipe, own: bytes | None, inputs: EditInputs | None, is_complete: bool
    ) -> Picture:
        picture = await self.run_in_thread(_draw_picture, recipe, own, inputs)
        if is_complete:  # else it is drawn from a thumbnail, and the upload may come again
            self._pictures.put(recipe, picture, picture.size)
        return picture

    async def _find_inputs(self, source: EditSource, files: Files) -> EditInputs | None:
        """Return the files that an edit works on; None where the picture is not kept any more."""
        image = await self._find_file("upload", source.image, files)
        if image is None:
            return None
        mask = None
        if source.mask is not None:
            mask = await self._find_file("upload", source.mask, files)
        return EditInputs(image, mask)

    async def _find_file(self, kind: FileKind, digest: str, files: Files) -> bytes | None:
        held = files.get(digest)
        if held is not None:
            return held
        return await self._files.find_file(kind, digest)


def _find_own_picture(recipe: ImageRecipe) -> str | None:
    """Return the digest of the tester's own picture that is shown in the place of a drawn one; None: it is drawn."""
    if recipe.altered is None or recipe.partial is not None:  # a partial image is drawn without the alteration
        return None
    return recipe.altered.file


def _draw_picture(recipe: ImageRecipe, own: bytes | None, inputs: EditInputs | None) -> Picture:
    from emulator.image import render  # Pillow is loaded for the first picture, not at the start

    if recipe.altered is not None and recipe.partial is None:
        from emulator.image import alter

        return Picture(alter.draw_altered_image(recipe, recipe.altered, own, inputs))
    return Picture(render.draw_image(recipe, inputs=inputs))
