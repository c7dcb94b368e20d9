"""Sends each call to listeners, when its gateway has accepted it and when it has ended, as server-sent events.

Publishing never waits: each listener has a bounded queue; what does not fit is dropped and counted, and the listener
gets the number. Without listeners, publishing costs nothing. Credentials are redacted as everywhere.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, Final, Literal

from emulator.core import strict_json
from emulator.session.journal import JournalEntry

EventName = Literal["began", "call"]
CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"
MOST_LISTENERS: Final = 32  # each may hold MOST_WAITING_BYTES
MOST_WAITING: Final = 1000  # entries that wait for a listener
MOST_WAITING_BYTES: Final = 4 * 2**20  # that they weigh together; a single entry may weigh more


class TooManyListeners(Exception):
    """There are MOST_LISTENERS already."""


class Events:
    """All listeners of one server."""

    def __init__(self, keepalive: float = 15.0) -> None:
        """After `keepalive` silent seconds a comment is sent."""
        self._listeners: set[_Listener] = set()
        self._keepalive = keepalive
        self._closed = False

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def publish_beginning(self, entry: JournalEntry) -> None:
        """Send the entry of a call that is under way to all listeners, as the event `began`."""
        for listener in self._listeners:
            listener.offer("began", entry)

    def publish(self, entry: JournalEntry) -> None:
        """Send the entry of a call that has ended to all listeners, as the event `call`."""
        for listener in self._listeners:
            listener.offer("call", entry)

    def listen(self, session: str | None) -> AsyncGenerator[bytes]:
        """Return what a new listener is sent, of all calls or of one session's; raises TooManyListeners.

        Listening begins with the first piece, and ends when the generator is closed.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooManyListeners
        return self._send_pieces(_Listener(session))

    def close(self) -> None:
        """Send every listener what waits for it, and end; after a second it is cut off."""
        self._closed = True
        for listener in self._listeners:
            listener.changed.set()
            if listener.sender is not None:
                asyncio.get_running_loop().call_later(_LAST_WAIT, listener.sender.cancel)

    async def _send_pieces(self, listener: _Listener) -> AsyncGenerator[bytes]:
        self._listeners.add(listener)
        listener.sender = asyncio.current_task()
        try:
            yield b": each call as it ends\n\n"
            while True:
                while listener.waiting:
                    if listener.dropped:
                        dropped, listener.dropped = listener.dropped, 0
                        yield b'event: dropped\ndata: {"dropped":%d}\n\n' % dropped
                    yield await _format_event(*listener.take())
                if self._closed:
                    return
                if not await listener.wait(self._keepalive):
                    yield b": keepalive\n\n"
        finally:
            self._listeners.discard(listener)


class _Listener:
    """One listener: `waiting` are the entries to send, `dropped` counts those that did not fit since it was sent last.

    `changed` is set when there is something to send, `sender` is the task that sends it.
    """

    def __init__(self, session: str | None) -> None:
        self.session = session
        self.waiting: deque[tuple[EventName, JournalEntry]] = deque()
        self.dropped = 0
        self.changed = asyncio.Event()
        self.sender: asyncio.Task[Any] | None = None
        self._weight = 0

    def offer(self, name: EventName, entry: JournalEntry) -> None:
        """Let `entry` wait, if it is of the listener's session and there is room."""
        if self.session is not None and entry.session != self.session:
            return
        if self.waiting and (len(self.waiting) >= MOST_WAITING or self._weight + entry.weight > MOST_WAITING_BYTES):
            self.dropped += 1
        else:
            self.waiting.append((name, entry))
            self._weight += entry.weight
        self.changed.set()

    def take(self) -> tuple[EventName, JournalEntry]:
        """Return the name and the entry that have waited longest."""
        name, entry = self.waiting.popleft()
        self._weight -= entry.weight
        return name, entry

    async def wait(self, seconds: float) -> bool:
        """Wait for something to send, `seconds` at most; return whether there is."""
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            return False
        self.changed.clear()
        return True


async def _format_event(name: EventName, entry: JournalEntry) -> bytes:
    """Return an entry as an event; a heavy one is formatted in a thread, so that no call waits for it."""
    if entry.weight > _HEAVY:
        return await asyncio.to_thread(_format_call, name, entry)
    return _format_call(name, entry)


def _format_call(name: EventName, entry: JournalEntry) -> bytes:
    text = f"event: {name}\nid: {entry.session}/{entry.number}\ndata: {strict_json.format_json(entry.to_json())}\n\n"
    return text.encode("utf-8", "backslashreplace")


_LAST_WAIT: Final = 1.0  # seconds
_HEAVY: Final = 2**16  # bytes; below it the formatting takes a fraction of a millisecond
