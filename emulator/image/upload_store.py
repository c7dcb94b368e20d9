"""Keeps the bytes of uploads by their digest: for pictures that are drawn again, and for people who want to see them.

A file that some call still holds is always there; of the others the longest unused go first, above a number of bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from weakref import WeakValueDictionary

from emulator.image.recipe import DIGEST
from emulator.image.upload import Upload


class Sources:
    """The files of one server; `capacity` bytes of those are kept that no call holds any more."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lent: WeakValueDictionary[str, Upload] = WeakValueDictionary()

    def keep(self, upload: Upload) -> None:
        """Keep the file of `upload`, which somebody has looked at."""
        if upload.look is None or not upload.data:
            return
        name = _short(upload.look.sha256)
        self._lent[name] = upload
        if name in self._kept or len(upload.data) > self._capacity:
            return
        self._kept[name] = upload.data
        self._held += len(upload.data)
        while self._held > self._capacity:
            self._held -= len(self._kept.popitem(last=False)[1])

    def data(self, digest: str | None) -> bytes | None:
        """The file whose SHA-256 begins with the 32 digits, or more, of `digest`; None where it is gone."""
        if digest is None:
            return None
        name = _short(digest)
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        lent = self._lent.get(name)
        return None if lent is None else lent.data


def _short(digest: str) -> str:
    return digest[:DIGEST]
