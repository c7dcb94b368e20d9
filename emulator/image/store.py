"""Draws pictures in threads beside the event loop, and keeps the bytes of three kinds of files.

These are drawn pictures, testers' own pictures, and uploads. Each kind is bounded in bytes; the files that were not
used for the longest time are dropped first. A picture is drawn once even when many ask for it at the same time.
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
from typing import Any, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from emulator.image.recipe import DIGEST, ImageRecipe
from emulator.image.upload import Upload

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")
_WORKERS: Final = min(4, os.cpu_count() or 1)  # Pillow releases the interpreter lock; more threads only cost memory
OWN_PICTURE_BYTES: Final = 64 * 2**20  # three of the largest files that a scenario may name, or hundreds of usual ones


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


class _BoundedCache(Generic[K, V]):
    """Values by key, bounded in bytes: the values that were not used for the longest time are dropped first.

    The newest value stays, whatever its size.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """Return the value and count it as used; None where there is none."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep `value`, which has `size` bytes, in the place of an older value for `key`."""
        if key in self._values:
            self._size -= self._values.pop(key)[1]
        self._values[key] = (value, size)
        self._size += size
        while self._size > self._capacity and len(self._values) > 1:
            self._size -= self._values.popitem(last=False)[1][1]


class _UploadCache:
    """The bytes of uploads, by the beginning of their digest.

    An upload that a call still holds is always here. Of the others, `capacity` bytes are kept.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._kept: _BoundedCache[str, bytes] = _BoundedCache(capacity)
        self._held: WeakValueDictionary[str, Upload] = WeakValueDictionary()

    def keep(self, upload: Upload) -> None:
        """Keep the file of `upload`, which was examined; one that is larger than the capacity only while it is held."""
        if upload.look is None or not upload.data:
            return
        digest = upload.look.sha256[:DIGEST]
        self._held[digest] = upload
        if digest not in self._kept and len(upload.data) <= self._capacity:
            self._kept.put(digest, upload.data, len(upload.data))

    def find(self, digest: str | None) -> bytes | None:
        """Return the file whose digest begins with `digest`; None where it is gone."""
        if digest is None:
            return None
        data = self._kept.get(digest[:DIGEST])
        if data is not None:
            return data
        upload = self._held.get(digest[:DIGEST])
        if upload is None:
            return None
        return upload.data


class ImageStore:
    """The pictures and uploads of one server.

    `capacity`, `upload_capacity` and `own_capacity` are the bytes that are kept of drawn pictures, of uploads that no
    call holds, and of testers' own pictures.
    """

    def __init__(self, capacity: int, upload_capacity: int = 0, own_capacity: int = OWN_PICTURE_BYTES) -> None:
        self._pictures: _BoundedCache[ImageRecipe, Picture] = _BoundedCache(capacity)
        self._own: _BoundedCache[str, bytes] = _BoundedCache(own_capacity)
        self._uploads = _UploadCache(upload_capacity)
        self._drawing: dict[ImageRecipe, asyncio.Future[Picture]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def keep_picture(self, digest: str, data: bytes) -> None:
        """Keep a tester's own picture, so that recipes can name it by `digest`."""
        self._own.put(digest, data, len(data))

    def keep_upload(self, upload: Upload) -> None:
        """Keep the file of `upload`, which was examined."""
        self._uploads.keep(upload)

    def find_upload(self, digest: str | None) -> bytes | None:
        """Return the upload whose SHA-256 begins with `digest` (32 hex digits or more); None where it is gone."""
        return self._uploads.find(digest)

    def can_draw(self, recipe: ImageRecipe) -> bool:
        """Return whether the tester's own picture that `recipe` names is here, or it names none."""
        if recipe.altered is None or recipe.altered.file is None:
            return True
        return recipe.altered.file in self._own

    async def draw(self, recipe: ImageRecipe) -> Picture:
        """Return the picture that `recipe` describes, drawn now or earlier.

        Raises KeyError where it names a tester's own picture that is not here (`can_draw` is false).
        """
        picture = self._pictures.get(recipe)
        if picture is not None:
            return picture
        drawing = self._drawing.get(recipe)
        if drawing is None:
            drawing = self._drawing[recipe] = asyncio.ensure_future(self._draw(recipe))
            drawing.add_done_callback(lambda _: self._drawing.pop(recipe, None))
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

    async def _draw(self, recipe: ImageRecipe) -> Picture:
        own = image = mask = None
        if recipe.altered is not None and recipe.altered.file is not None:
            own = self._own.get(recipe.altered.file)
            if own is None:
                raise KeyError(recipe.altered.file)
        if recipe.source is not None:
            image = self.find_upload(recipe.source.image)
            mask = self.find_upload(recipe.source.mask)
        picture = await self.run_in_thread(partial(_draw_picture, recipe, own=own, image=image, mask=mask))
        if recipe.source is not None and (image is None or (mask is None) != (recipe.source.mask is None)):
            return picture  # drawn from a thumbnail; it is not kept, because the input may come again
        self._pictures.put(recipe, picture, picture.size)
        return picture


def _draw_picture(recipe: ImageRecipe, own: bytes | None, image: bytes | None, mask: bytes | None) -> Picture:
    from emulator.image import render  # Pillow is loaded for the first picture, not at the start
    from emulator.image.edit import EditInputs

    inputs = None
    if image is not None:
        inputs = EditInputs(image, mask)
    if recipe.altered is not None and recipe.partial is None:
        from emulator.image import alter

        return Picture(alter.draw_altered_image(recipe, recipe.altered, own, inputs))
    return Picture(render.draw_image(recipe, inputs=inputs))
