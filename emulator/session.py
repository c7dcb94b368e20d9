"""Whose call is this: each session is a fresh, separate world, named by path, header or API key.

A key never names a session by itself: only its digest does, so that a session's name can be shown to anybody.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from emulator.clock import Clock
from emulator.exchange import Problem, RawCall
from emulator.journal import LIKE_A_KEY, Entry, Journal
from emulator.memory import Memory

HEADER: Final = "X-Emulator-Session"
LATEST: Final = "latest"
NOBODYS: Final = "default"


@dataclass(frozen=True)
class Session:
    """One world: `number` is that of the call which opened it just now."""

    name: str
    number: int
    journal: Journal


class Sessions:
    """All sessions of one server."""

    def __init__(self, memory: Memory[Entry], clock: Clock) -> None:
        self._memory = memory
        self._clock = clock

    async def open(self, name: str) -> Session:
        """The session `name` for one more call; it begins with its first."""
        number = await self._memory.begin(name, self._clock.now())
        return Session(name, number, Journal(self._memory, name))

    async def latest(self) -> str | None:
        """The name of the session used last."""
        known = await self._memory.sessions()
        return known[-1].name if known else None


def split(path: str) -> tuple[str | None, str]:
    """The session that a path's prefix `/s/{id}` names, and the path without it."""
    if not path.startswith("/s/"):
        return None, path
    name, _, rest = path[3:].partition("/")
    return name, "/" + rest


def name_of(raw: RawCall, prefix: str | None, key: str | None) -> str:
    """The name of the session that a call belongs to; raises Problem where the caller's own name cannot be one."""
    name = prefix if prefix is not None else raw.headers.get(HEADER)
    if name is None:
        return NOBODYS if key is None else digest(key)
    if not _NAME.fullmatch(name) or name == LATEST or re.fullmatch(LIKE_A_KEY, name):
        raise Problem("invalid_request", None, "bad_session", {"value": repr(name[:80])})
    return name


def digest(key: str) -> str:
    """The name of the session that belongs to an API key, such as key-3f9a2c10."""
    return "key-" + hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
