"""Head and chunks of an answer: what a fault is given, and what it gives back.

A fault may change the head; over the chunks it may pass bytes on, wait, stop, or raise HangUp or CutOff. There is no
sixth act.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

Chunks = AsyncIterator[bytes]
Sleep = Callable[[float], Awaitable[None]]
"""Waits so many seconds of the emulator's time."""


class HangUp(Exception):
    """Raised between chunks: the connection is reset, and what has not been sent by then is lost."""


class CutOff(Exception):
    """Raised between chunks of a body whose length nobody promised: the connection is closed as if it went on."""


@dataclass(frozen=True, slots=True)
class Head:
    """The status and the headers, in their order; a name may come twice."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The first header called `name`, in whatever case."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def put(self, name: str, value: str) -> Head:
        """The same with `name: value` in the place of every header of that name."""
        others = [header for header in self.headers if header[0].lower() != name.lower()]
        return replace(self, headers=(*others, (name, value)))

    @property
    def length(self) -> int | None:
        """The bytes that the Content-Length promises; None where it says nothing."""
        promised = self.get("Content-Length")
        return int(promised) if promised is not None and promised.isdecimal() else None


class Fault(Protocol):
    """What goes wrong with the bytes of an answer; `sleep` is how it waits."""

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The head and the chunks that are sent in the place of those given."""
        ...
