"""The connections of a server: aiohttp's own, which also know who has left and who takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from emulator.server.send_limits import PIECE

if TYPE_CHECKING:
    from emulator.server.send_limits import SendLimits

T = TypeVar("T")
AnswerUnparsed = Callable[[bytes, str], web.Response]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HttpConnection(web.RequestHandler):
    """One connection; `limits` bounds what waits on it to be taken by the client."""

    __slots__ = ("_answer_unparsed", "_answering", "_left", "_unparsed", "client_left", "limits")

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self.limits = manager.limits
        self._answer_unparsed = manager.answer_unparsed
        self._unparsed = b""
        self._left: asyncio.Event | None = None
        self._answering: asyncio.Task[Any] | None = None
        self.client_left = False
        """Whether the client left while a task was working for it."""

    def cancel_when_left(self, task: asyncio.Task[Any] | None) -> None:
        """Cancel `task`, which works for the client, when the client leaves, or has left; None: nothing any more."""
        self._answering = task
        if task is not None and self.transport is None:
            self.client_left = True
            task.cancel()

    @property
    def is_pipelined(self) -> bool:
        """Whether the client has sent further requests behind the one that is answered."""
        return bool(self._messages)

    async def wait_until_taken(self) -> None:
        """Wait until the client takes what was written; raises ConnectionError where it leaves."""
        await self._drain_helper()

    async def wait_until_left(self) -> None:
        """Wait until the connection is closed, by whichever side."""
        if self.transport is None:
            return
        if self._left is None:
            self._left = asyncio.Event()
        await self._left.wait()

    async def start(self) -> None:
        """Answer the requests of the connection until it ends; aiohttp calls this."""
        await super().start()
        self._watch_last_bytes(self.transport)

    def force_close(self) -> None:
        """Close the connection; aiohttp calls this for one that is idle, or that its client has closed."""
        transport = self.transport
        super().force_close()
        self._watch_last_bytes(transport)

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent; asyncio calls this."""
        super().data_received(data)
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):  # the parser has given up
            self._unparsed = data if len(self._messages) == 1 else b""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what is no HTTP, or to a request that our handler failed to answer."""
        if self._answer_unparsed is None or not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        return self._answer_unparsed(self._unparsed, exc.message)

    def _watch_last_bytes(self, transport: asyncio.Transport | None) -> None:
        """Cut the connection off if its client does not take the last bytes: asyncio would wait for that for ever."""
        if transport is not None and transport.get_write_buffer_size():
            self.limits.block(self, transport)

    def pause_writing(self) -> None:
        """The client takes nothing at present; asyncio calls this."""
        super().pause_writing()
        if self.transport is not None:
            self.limits.block(self, self.transport)

    def resume_writing(self) -> None:
        """The client has taken what was written; asyncio calls this."""
        super().resume_writing()
        self.limits.unblock(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is closed; asyncio calls this."""
        super().connection_lost(exc)
        self.limits.unblock(self)
        if self._answering is not None:
            self.client_left = True
            self._answering.cancel()
        if self._left is not None:
            self._left.set()


class HttpServer(web.Server):
    """Makes a HttpConnection for each client; `limits` is for all of them together.

    `answer_unparsed` answers what is no HTTP, from its first bytes and the parser's reason; None: aiohttp does.
    """

    def __init__(
        self, handler: Handler, limits: SendLimits, answer_unparsed: AnswerUnparsed | None = None, **options: Any
    ) -> None:
        super().__init__(handler, **options)
        self.limits = limits
        self.answer_unparsed = answer_unparsed

    def __call__(self) -> HttpConnection:
        """Return what handles a new connection."""
        return HttpConnection(self, loop=self._loop, **self._kwargs)


def get_connection(http: web.BaseRequest) -> HttpConnection:
    """Return the connection on which a request came."""
    connection = http.protocol
    assert isinstance(connection, HttpConnection)
    return connection


async def run_until_left(http: web.BaseRequest, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what `work` returns; it is cancelled, and the result is None, when the client leaves before its end."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(get_connection(http).wait_until_left())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done() and not working.cancelled():
            return working.result()
        return None
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))  # so that nothing goes on after the client has left


async def write_pieces(response: web.StreamResponse, data: bytes) -> None:
    """Write `data` to the client, so that only a piece of it is copied and waits at a time."""
    for piece in split_into_pieces(data):
        await response.write(piece)


def split_into_pieces(data: bytes) -> Iterator[bytes | memoryview]:
    """Yield the pieces in which `data` is written, none of which is a copy."""
    if len(data) <= PIECE:
        yield data
        return
    view = memoryview(data)
    for begin in range(0, len(data), PIECE):
        yield view[begin : begin + PIECE]
