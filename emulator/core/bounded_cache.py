"""A cache that is bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BoundedCache(Generic[K, V]):
    """Values by key, bounded in bytes: the values that were not used for the longest time are dropped first.

    A value that is larger than `capacity` is not kept, so that it drops no other.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()

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
        if size > self._capacity:
            return
        self._values[key] = (value, size)
        self._size += size
        while self._size > self._capacity:
            self._size -= self._values.popitem(last=False)[1][1]
