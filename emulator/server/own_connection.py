"""A connection to a server in memory: how a call is sent again, and how a server without a socket is asked.

The call takes the way of every other one, from the parser of HTTP to the journal, and needs no address, port or
certificate for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from emulator.server.connection import HttpConnection

MOST_AT_A_TIME: Final = 32  # calls; each may wait as long as its scenario says


class TooManyCalls(Exception):
    """MOST_AT_A_TIME calls that the server has sent to itself are under way; the text is one line."""


class OwnConnections:
    """The connections from one server to itself; `make_connection` makes what handles one, as for the socket's.

    With `is_https` the links in answers are as for a client that speaks HTTPS.
    """

    def __init__(self, make_connection: Callable[[], HttpConnection], is_https: bool = False) -> None:
        self._make_connection = make_connection
        self._is_https = is_https
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, request: bytes) -> None:
        """Send a whole request with the header `Connection: close`; its answer is thrown away.

        Returns before the answer is there. Raises TooManyCalls.
        """
        if len(self._sending) >= MOST_AT_A_TIME:
            raise TooManyCalls(f"{MOST_AT_A_TIME} calls are sent again already, and have not ended")
        sending = asyncio.get_running_loop().create_task(
            _send(self._make_connection(), request, is_https=self._is_https)
        )
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)


async def ask(connection: HttpConnection, request: bytes) -> bytes:
    """Send a whole request with the header `Connection: close`; return all that is answered, as it would be sent."""
    answer = bytearray()
    await _send(connection, request, answer)
    return bytes(answer)


async def _send(
    connection: HttpConnection, request: bytes, answer: bytearray | None = None, *, is_https: bool = False
) -> None:
    """Hand `request` over to `connection`, a piece at a time, and wait for the end; `answer` gets what comes back."""
    transport = _MemoryTransport(connection, answer, is_https)
    connection.connection_made(transport)
    for begin in range(0, len(request), _PIECE):
        await transport.may_send.wait()
        if transport.is_closing():
            break
        connection.data_received(request[begin : begin + _PIECE])
    await transport.ended.wait()


class _MemoryTransport(asyncio.Transport):
    """The other end of a connection in memory, which takes everything; it puts it into `answer`, or forgets it."""

    def __init__(self, connection: HttpConnection, answer: bytearray | None, is_https: bool) -> None:
        super().__init__({"sslcontext": True} if is_https else None)  # aiohttp asks only whether there is one
        self._connection = connection
        self._answer = answer
        self._is_closing = False
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.ended = asyncio.Event()

    def write(self, data: Any) -> None:
        """Take `data`."""
        if self._answer is not None:
            self._answer += data

    def writelines(self, list_of_data: Any) -> None:
        """Take the data, one after the other."""
        if self._answer is not None:
            for data in list_of_data:
                self._answer += data

    def can_write_eof(self) -> bool:
        """Return that the writing side cannot be closed alone."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return that nothing waits to be taken."""
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: nothing is buffered."""

    def pause_reading(self) -> None:
        """Send no more of the request for now."""
        self.may_send.clear()

    def resume_reading(self) -> None:
        """Send on."""
        self.may_send.set()

    def is_closing(self) -> bool:
        """Return whether the connection is closed, or about to be."""
        return self._is_closing

    def close(self) -> None:
        """Close the connection."""
        if self._is_closing:
            return
        self._is_closing = True
        self.may_send.set()
        asyncio.get_running_loop().call_soon(self._end)

    def abort(self) -> None:
        """Close the connection."""
        self.close()

    def _end(self) -> None:
        self._connection.connection_lost(None)
        self.ended.set()


_PIECE: Final = 2**16  # bytes
