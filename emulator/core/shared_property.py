"""Values that are computed once, also where several threads ask for them at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class shared_property(Generic[T]):  # noqa: N801 - it is used like `cached_property`
    """A `cached_property` for objects that several servers of one process share.

    From Python 3.12 on, two threads that ask the standard one at a time may each get an object of their own.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        """`compute` is the method that returns the value; it may read other shared properties."""
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember under which name the value is kept; Python calls this."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> shared_property[T]: ...

    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the value; the next time Python finds it in the object itself, and does not ask here."""
        if instance is None:  # asked of the class
            return self
        with _LOCK:
            values = instance.__dict__
            if self._name not in values:
                values[self._name] = self._compute(instance)
            return values[self._name]


_LOCK = threading.RLock()
"""One for all properties: a value is computed seldom, and while it is, it may ask for others."""
