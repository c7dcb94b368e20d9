"""The head and the chunks of an answer: what a fault takes, and what it returns.

A fault may change the head. Over the chunks it may do five things: pass bytes on, wait, stop, raise HangUp, or raise
CutOff.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from emulator.core.light_dataclass import dataclass

Chunks = AsyncIterator[bytes]
Sleep = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds of the emulator's time."""


class HangUp(Exception):
    """Raised between chunks: the connection is reset, and bytes that are not sent by then are lost."""


class CutOff(Exception):
    """Raised between chunks of a body without a Content-Length: the connection is closed before the body ends."""


@dataclass(frozen=True, slots=True)
class Head:
    """The status and the headers of an answer, in their order; a name may come twice."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """Return the value of the first header called `name`, in upper or lower case; None where there is none."""
        lowered = name.lower()
        for other, value in self.headers:
            if other.lower() == lowered:
                return value
        return None

    def put(self, name: str, value: str) -> Head:
        """Return the same head with one header `name: value` in the place of all headers of that name."""
        others = [header for header in self.headers if header[0].lower() != name.lower()]
        return replace(self, headers=(*others, (name, value)))

    @property
    def length(self) -> int | None:
        """The number of bytes in the Content-Length; None where there is no such number."""
        promised = self.get("Content-Length")
        if promised is None or not promised.isdecimal():
            return None
        return int(promised)


class Fault(Protocol):
    """A function that spoils the bytes of an answer; `sleep` is how it waits."""

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the head and the chunks that are sent instead."""
        ...
