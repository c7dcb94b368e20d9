"""Bounds what answers hold in memory while their clients take them: in bytes over all connections, and in time.

A client may ask for megabytes and never read them. A client that takes nothing for `timeout` seconds is cut off. When
the answers of all connections together hold more than `capacity` bytes, clients that have taken nothing for a second
are cut off at once, first the one that has taken nothing for longest; a call with a large answer waits until there is
room. Small answers never wait.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

from emulator.core.light_dataclass import dataclass

if TYPE_CHECKING:
    from emulator.server.connection import HttpConnection

PIECE: Final = 2**18  # bytes that are handed to a connection at a time; a smaller body is not counted
LARGE: Final = 8 * 2**20  # bytes; a call whose answer may be larger waits for room: two pictures of 1024x1024 do not


class NoRoom(Exception):
    """There was no room for a large answer within the time-out."""


class SendLimits:
    """The answers under way on the connections of one server."""

    def __init__(self, capacity: int, timeout: float) -> None:
        self._capacity = capacity
        self._timeout = timeout
        self._held: dict[HttpConnection, int] = {}
        self._total = 0
        self._blocked: dict[HttpConnection, _Blockage] = {}
        self._cut: set[HttpConnection] = set()
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._freed = 0

    @property
    def total(self) -> int:
        """How many bytes the answers of all connections hold."""
        return self._total

    async def reserve(self, connection: HttpConnection, expected: int) -> None:
        """Make room for an answer of about `expected` bytes; a large one waits for it. Raises NoRoom."""
        wanted = min(expected, self._capacity)
        if wanted <= LARGE or (not self._waiting and self._make_room(wanted)):
            self.hold(connection, wanted)
            return
        waiting = _Waiting(connection, wanted, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._watch()
        try:
            async with asyncio.timeout(self._timeout):
                await waiting.admitted
        except TimeoutError:
            raise NoRoom from None
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def hold(self, connection: HttpConnection, size: int) -> None:
        """Note that the answer on `connection` holds `size` bytes now."""
        self._total += size - self._held.get(connection, 0)
        self._held[connection] = size
        if self._total > self._capacity:
            self._make_room(0)

    def release(self, connection: HttpConnection) -> None:
        """Note that the answer on `connection` is over."""
        size = self._held.pop(connection, None)
        if size is None:
            return
        self._cut.discard(connection)
        self._total -= size
        self._freed += size
        self._admit()
        if self._freed > _WORTH_TRIMMING and self._total < LARGE:
            self._freed = 0
            _give_memory_back()

    def block(self, connection: HttpConnection, transport: asyncio.WriteTransport) -> None:
        """Note that the client of `connection` takes no more at present of what was written to `transport`."""
        now = asyncio.get_running_loop().time()
        self._blocked[connection] = _Blockage(transport, count_waiting_bytes(transport), now)
        self._watch()

    def unblock(self, connection: HttpConnection) -> None:
        """Note that the client of `connection` has taken what was written, or has left."""
        self._blocked.pop(connection, None)

    def _watch(self) -> None:
        if self._timer is None:
            interval = min(_LOOK_INTERVAL, self._timeout / 4)
            self._timer = asyncio.get_running_loop().call_later(interval, self._look)

    def _look(self) -> None:
        """Cut off whoever took nothing for too long, and let calls go on for which there is room now."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        for connection, blockage in list(self._blocked.items()):
            queued = count_waiting_bytes(blockage.transport)
            if queued < blockage.queued:
                blockage.queued, blockage.since = queued, now
            elif now - blockage.since >= self._timeout:
                self._cut_off(connection)
        self._admit()
        if self._blocked or self._waiting:
            self._watch()

    def _admit(self) -> None:
        """Let the calls that wait go on, in their order, as long as there is room."""
        while self._waiting and self._make_room(self._waiting[0].wanted):
            waiting = self._waiting.popleft()
            if not waiting.admitted.done():
                self.hold(waiting.connection, waiting.wanted)
                waiting.admitted.set_result(None)

    def _make_room(self, wanted: int) -> bool:
        """Whether there is room for `wanted` bytes; if there is none, clients that take nothing are cut off."""
        excess = self._total + wanted - self._capacity
        if excess <= 0:
            return True
        excess -= sum(self._held.get(connection, 0) for connection in self._cut)
        now = asyncio.get_running_loop().time()
        by_age = sorted(self._blocked.items(), key=lambda item: item[1].since)
        for connection, blockage in by_age:
            if excess <= 0 or now - blockage.since < _GRACE:
                break
            if connection in self._held:
                excess -= self._held[connection]
                self._cut_off(connection)
        return False

    def _cut_off(self, connection: HttpConnection) -> None:
        blockage = self._blocked.pop(connection)
        if connection in self._held:
            self._cut.add(connection)
        blockage.transport.abort()


@dataclass(slots=True)
class _Blockage:
    """A client that takes nothing: `queued` bytes are written and not taken, the same number since `since`."""

    transport: asyncio.WriteTransport
    queued: int
    since: float


@dataclass(eq=False, slots=True)
class _Waiting:
    """A call that waits for room for `wanted` bytes."""

    connection: HttpConnection
    wanted: int
    admitted: asyncio.Future[None]


def count_waiting_bytes(transport: asyncio.WriteTransport) -> int:
    """Return how many bytes wait on `transport` to be taken; 0 where it has ended."""
    try:
        return transport.get_write_buffer_size()
    except AttributeError:  # asyncio's TLS forgets its connection where that is closed again, as aiohttp closes it
        return 0


def _give_memory_back() -> None:
    """Let the C library give freed memory back to the system; glibc alone keeps what once were large blocks."""
    if sys.platform != "linux":
        return
    import ctypes  # few servers need it

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps nothing
    if trim is not None:
        trim(0)


_GRACE: Final = 1.0  # seconds; a client that only pauses reads on sooner
_LOOK_INTERVAL: Final = 0.25  # seconds between two looks, while a client takes nothing
_WORTH_TRIMMING: Final = 64 * 2**20  # bytes; giving memory back takes milliseconds
