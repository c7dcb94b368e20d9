"""Tells whoever listens of each call as it ends, as server-sent events.

Telling never waits: each listener has a bounded queue, and what does not fit is dropped, counted and said. When nobody
listens, telling costs nothing; keys are blanked as everywhere, for an entry leaves only as its view.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final

from emulator.core import strict_json
from emulator.session.journal import Entry

CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"
MOST: Final = 32  # listeners; each may hold HEAVIEST bytes that it is slow to take
LONGEST: Final = 1000  # entries that wait for a listener
HEAVIEST: Final = 4 * 2**20  # bytes that they weigh together; a single one may weigh more


class TooMany(Exception):
    """There are MOST listeners already."""


class Events:
    """All listeners of one server."""

    def __init__(self, glance: float = 1.0, keepalive: float = 15.0) -> None:
        """Each `glance` seconds it is seen who is still there, after `keepalive` silent ones a comment is sent."""
        self._listeners: set[_Listener] = set()
        self._glance = glance
        self._keepalive = keepalive
        self._closed = False

    def tell(self, entry: Entry) -> None:
        """Tell everybody who listens that the call of `entry` has ended."""
        for listener in self._listeners:
            listener.offer(entry)

    def listen(self, session: str | None) -> AsyncGenerator[bytes]:
        """What a new listener is sent, piece by piece, of all calls or of one session's; raises TooMany.

        It begins to listen with the first piece. An empty piece is nothing to send, only time to see who is there.
        """
        if len(self._listeners) >= MOST:
            raise TooMany
        return self._pieces(_Listener(session))

    def close(self) -> None:
        """Let every listener have what waits for it, and end; who does not take it within a second goes without."""
        self._closed = True
        for listener in self._listeners:
            listener.news.set()
            if listener.sender is not None:
                asyncio.get_running_loop().call_later(_LAST_WAIT, listener.sender.cancel)

    async def _pieces(self, listener: _Listener) -> AsyncGenerator[bytes]:
        self._listeners.add(listener)
        listener.sender = asyncio.current_task()
        silent = 0.0
        try:
            yield b": each call as it ends\n\n"
            while True:
                while listener.waiting:
                    if listener.dropped:
                        dropped, listener.dropped = listener.dropped, 0
                        yield b'event: dropped\ndata: {"dropped":%d}\n\n' % dropped
                    yield await _event(listener.take())
                    silent = 0.0
                if self._closed:
                    return
                if await listener.anything(self._glance):
                    continue
                silent += self._glance
                if silent >= self._keepalive:
                    silent = 0.0
                    yield b": keepalive\n\n"
                else:
                    yield b""
        finally:
            self._listeners.discard(listener)


class _Listener:
    """What waits for one listener; `dropped` entries did not fit, and it has not been told so yet.

    `sender` is the task that sends it what waits.
    """

    def __init__(self, session: str | None) -> None:
        self.session = session
        self.waiting: deque[Entry] = deque()
        self.dropped = 0
        self.news = asyncio.Event()
        self.sender: asyncio.Task[Any] | None = None
        self._weight = 0

    def offer(self, entry: Entry) -> None:
        """Let `entry` wait, if it is of the right session and there is room."""
        if self.session is not None and entry.session != self.session:
            return
        if self.waiting and (len(self.waiting) >= LONGEST or self._weight + entry.weight > HEAVIEST):
            self.dropped += 1
        else:
            self.waiting.append(entry)
            self._weight += entry.weight
        self.news.set()

    def take(self) -> Entry:
        """The entry that has waited longest."""
        entry = self.waiting.popleft()
        self._weight -= entry.weight
        return entry

    async def anything(self, seconds: float) -> bool:
        """Wait for something to tell, `seconds` at most."""
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            return False
        self.news.clear()
        return True


async def _event(entry: Entry) -> bytes:
    """An entry as an event; what weighs much is spelled beside the loop, so that no call waits for it."""
    return await asyncio.to_thread(_spelled, entry) if entry.weight > _HEAVY else _spelled(entry)


def _spelled(entry: Entry) -> bytes:
    text = f"event: call\nid: {entry.session}/{entry.number}\ndata: {strict_json.format_json(entry.view())}\n\n"
    return text.encode("utf-8", "backslashreplace")


_LAST_WAIT: Final = 1.0  # seconds
_HEAVY: Final = 2**16  # bytes; below it a view takes a fraction of a millisecond
