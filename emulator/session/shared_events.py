"""The events of several servers over one store: each server's listeners hear of the calls of all.

Which calls have ended is in the store, in their order. Who listens at a server hears of them from there, also of those
that this server has answered, so that a listener may go on at any server behind the last event that it had. That a call
has begun is heard at the server that answers it alone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final
from weakref import WeakKeyDictionary

from emulator.session.events import MOST_REMEMBERED, Events, Journals, Listener
from emulator.session.journal import JournalEntry
from emulator.session.store import EndedCall, SharedStore, StoreLost


class SharedEvents(Events):
    """All listeners of one server whose `store` is shared."""

    def __init__(self, store: SharedStore, journals: Journals, keepalive: float = 15.0) -> None:
        super().__init__(keepalive, journals)
        self._store = store
        self._position = ""
        self._positions: WeakKeyDictionary[Listener, tuple[int, ...]] = WeakKeyDictionary()
        """The last event before each listener came; it has that, and those before it, in another way."""
        self._has_news = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def publish(self, entry: JournalEntry) -> None:
        """Look for what has ended: the store has this call."""
        self._has_news.set()

    def note_end(self, session: str, number: int) -> None:
        """Do nothing: the store has noted it."""

    def publish_reset(self, session: str) -> None:
        """Look for what was reset: the store has this session."""
        self._has_news.set()

    def close(self) -> None:
        """Send every listener what waits for it, and end."""
        super().close()
        self._has_news.set()

    async def _load_ended(self, listener: Listener) -> None:
        """Learn which calls have ended before now, at whichever server, and follow those that end from now on."""
        ended: deque[tuple[str, int]] = deque(maxlen=MOST_REMEMBERED)
        position = self._position
        with suppress(StoreLost):
            for one in await self._store.list_ended(""):
                position = one.id
                if one.number is None:
                    ended = deque((other for other in ended if other[0] != one.session), maxlen=MOST_REMEMBERED)
                else:
                    ended.append((one.session, one.number))
        self._ended = ended
        self._positions[listener] = _read_position(position)
        if self._following is None or self._following.done():
            self._position = position
            self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        """Tell the listeners what ends at any server, as long as there are some."""
        while self._listeners and not self._closed:
            with suppress(StoreLost):
                for one in await self._store.list_ended(self._position):
                    self._position = one.id
                    await self._tell(one)
            with suppress(TimeoutError):
                async with asyncio.timeout(_BETWEEN):
                    await self._has_news.wait()
            self._has_news.clear()

    async def _tell(self, one: EndedCall) -> None:
        """Tell the listeners of a call that has ended, or a session that was reset."""
        entry = None
        if one.number is not None:
            assert self._journals is not None
            entry = await self._journals.find_call(one.session, one.number)
            if entry is None:  # dropped already
                return
        position = _read_position(one.id)
        for listener in self._listeners:
            if position <= self._positions.get(listener, position):
                continue
            if entry is None:
                listener.offer_reset(one.session)
            else:
                listener.offer("call", entry)


def _read_position(text: str) -> tuple[int, ...]:
    """Return the place of an event among all as numbers that can be compared; () is before all."""
    return tuple(int(part) for part in text.split("-") if part)


_BETWEEN: Final = 0.2  # seconds between two looks for what has ended at other servers
