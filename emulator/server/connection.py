"""The connections of a server: aiohttp's own, which also know who has left and who takes nothing.

A request that comes whole, with a head that its connection knows, is answered while it is received: aiohttp's parser,
and its tasks that hand a request over, are left out. Where such an answer has to wait for something, aiohttp's task
for the connection goes on with it.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from aiohttp import web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from emulator.server.known_heads import KnownHead, WholeBody, learn_head
from emulator.server.repeated_calls import CallMemory
from emulator.server.send_limits import PIECE, count_waiting_bytes

if TYPE_CHECKING:
    from emulator.server.send_limits import SendLimits

T = TypeVar("T")
AnswerUnparsed = Callable[[bytes, str], web.Response]
Handler = Callable[[web.BaseRequest], Coroutine[Any, Any, web.StreamResponse]]


class SentAtOnce(web.StreamResponse):
    """A response of which head and body have been written together, in one call of the connection's transport.

    aiohttp's own way makes an object for the head, one for the body and one that writes, which takes 15 microseconds;
    most answers are small and complete, and need none of them. aiohttp asks this one only whether the connection lives
    on.
    """

    def __init__(self, status: int, keep_alive: bool) -> None:
        """Sent with `status`; nothing of what aiohttp's class prepares is needed."""
        self._status = status
        self._keep_alive = keep_alive
        self._eof_sent = True

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: the head has been sent; aiohttp calls this."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body has been sent; aiohttp calls this."""


class _Begun(NamedTuple):
    """An answer to `request` that has begun: `work` waits for `waited`, or has ended with `response`."""

    request: web.BaseRequest
    work: Coroutine[Any, Any, web.StreamResponse]
    waited: Any
    response: web.StreamResponse | None


class HttpConnection(web.RequestHandler):
    """One connection; `limits` bounds what waits on it to be taken by the client."""

    __slots__ = (
        "_answer_unparsed", "_answering", "_attempts", "_begun", "_candidate", "_is_handling", "_is_watched",
        "_known_head", "_left", "_missing", "_unparsed", "client_left", "limits", "memory",
    )  # fmt: skip
    learns_heads = True
    """Whether a request with a head that came before is answered while it is received; tests compare both ways."""

    def __init__(self, manager: HttpServer, **options: Any) -> None:
        super().__init__(manager, **options)
        self.limits = manager.limits
        self._answer_unparsed = manager.answer_unparsed
        self._unparsed = b""
        self._left: asyncio.Event | None = None
        self._is_watched = False
        self._answering: asyncio.Task[Any] | None = None
        self.client_left = False
        """Whether the client left while a task was working for it."""
        self._is_handling = False
        """Whether a request is being answered, until its answer has been sent in a simple way."""
        self._known_head: KnownHead | None = None
        self._candidate: tuple[bytes, RawRequestMessage] | None = None
        """The request that is being answered, if it came whole and in the usual way: its bytes and its parsed head."""
        self._attempts = _MOST_ATTEMPTS
        self._missing: int | None = 0
        """How many bytes come before the next request begins; None: that is not followed any more."""
        self._begun: _Begun | None = None
        self.memory = CallMemory()
        """What is known of the calls that came with the known head, and of the one that is being received."""

    def watch_client(self) -> None:
        """Cancel the current task, which works for the client, when the client leaves, or has left."""
        self._is_watched = True
        self._answering = asyncio.current_task()  # None: nothing has been waited for yet, so nobody can have left
        if self._answering is not None and self.transport is None:
            self.client_left = True
            self._answering.cancel()

    def unwatch_client(self) -> None:
        """Let the current task go on when the client leaves."""
        self._is_watched = False
        self._answering = None

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
        if transport is not None and transport.is_closing():
            self.transport = None  # asyncio's TLS would forget what it still has to send
        super().force_close()
        self._watch_last_bytes(transport)

    def data_received(self, data: bytes) -> None:
        """Take what the client has sent; asyncio calls this."""
        is_idle = self._is_idle()
        if data:  # aiohttp calls this with nothing to go on with what has come
            self._candidate = None  # also where the earlier request has not quite ended: only the newest may be learnt
        if is_idle and self._known_head is not None:
            found = self._known_head.match(data)
            if found is not None:
                self._answer_at_once(*found)
                return
        super().data_received(data)
        messages = self._messages
        if messages and not isinstance(messages[-1][0], RawRequestMessage):  # the parser has given up
            self._unparsed = data if len(messages) == 1 else b""
        if data and self._missing is not None:
            self._missing = self._count_missing(data, self._missing)
            if is_idle and self._missing == 0 and self.learns_heads:  # one whole request, which is answered next
                message, _ = messages[0]
                assert isinstance(message, RawRequestMessage)
                self._candidate = data, message

    def _is_idle(self) -> bool:
        """Whether the next byte begins a request, and nothing else is to be answered."""
        if self._missing != 0 or self._messages or self._close or self._force_close:
            return False
        if not self._is_handling and not self._request_in_progress:  # aiohttp's task is about to wait
            return True
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    def _count_missing(self, data: bytes, missing: int) -> int | None:
        """Return how many bytes are missing now to the next request; before `data` came, `missing` were."""
        if missing:
            return missing - len(data) if missing >= len(data) else None
        length = data.find(b"\r\n\r\n") + 4
        if length < 4 or len(self._messages) != 1 or data.startswith((b"\r", b"\n")):  # a parser skips empty lines
            return None
        message, _ = self._messages[0]
        if not isinstance(message, RawRequestMessage) or message.chunked or message.upgrade:
            return None
        missing = length + int(message.headers.get("Content-Length", 0)) - len(data)
        return missing if missing >= 0 else None

    def learn_head(self) -> None:
        """Know the head of the request that is being answered, simply, and so that the connection goes on."""
        self._is_handling = False
        if self._candidate is not None and self._attempts:
            self._attempts -= 1  # so that a client whose heads all differ does not pay for each of them
            self._known_head = learn_head(*self._candidate)
            self.memory.clear()
        self._candidate = None

    def _answer_at_once(self, message: RawRequestMessage, data: bytes) -> None:
        """Answer a whole request, as far as nothing has to be waited for."""
        assert self._request_factory is not None
        assert self._request_handler is not None
        self._attempts = _MOST_ATTEMPTS
        body: Any = WholeBody(data)
        loop, task = self._loop, self._task_handler
        request = self._request_factory(message, body, self, StreamWriter(self, loop), task)  # type: ignore[arg-type]
        work: Any = self._request_handler(request)
        response: Any = None
        waited = None
        self.memory.begin(data, message.headers)
        try:
            waited = work.send(None)
        except StopIteration as ended:
            response = ended.value
        finally:
            self.memory.end()
        if response.__class__ is SentAtOnce and response.keep_alive:
            self._next_keepalive_close_time = loop.time() + self._keepalive_timeout
            return
        self._begun = _Begun(request, work, waited, response)
        self._messages.append((message, body))
        self._request_count += 1
        if self._waiter is not None:
            self._waiter.set_result(None)

    def _handle_request(
        self, request: web.BaseRequest, start_time: float | None, request_handler: Any
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Answer a request; aiohttp calls this, also where the answer has begun already."""
        self._is_handling = True
        if self._begun is not None:
            request, request_handler = self._begun.request, self._go_on
        return super()._handle_request(request, start_time, request_handler)

    async def _go_on(self, request: web.BaseRequest) -> web.StreamResponse:
        """Complete the answer that has begun."""
        begun = self._begun
        assert begun is not None
        self._begun = None
        if begun.response is not None:
            return begun.response
        if self._is_watched:
            self.watch_client()
        response: web.StreamResponse = await _resume_work(begun.work, begun.waited)
        return response

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
        if transport is not None and count_waiting_bytes(transport):
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
        handler = self._task_handler
        super().connection_lost(exc)
        self.limits.unblock(self)
        self.memory.clear()
        self._known_head = self._candidate = None
        if self._answering is not None:
            self.client_left = True
            self._answering.cancel()
        if self._begun is not None and handler is not None:  # aiohttp's task cannot go on with it any more
            handler.cancel()
            self._answering = self._loop.create_task(self._go_on(self._begun.request))
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


async def enter_task() -> None:
    """Let a request that is being received go on in aiohttp's task: only a task can wait with a time limit."""
    if asyncio.current_task() is None:
        await asyncio.sleep(0)


@types.coroutine
def _resume_work(work: Coroutine[Any, Any, T], waited: Any) -> Generator[Any, Any, T]:
    """Complete `work`, which waits for `waited`, in the task that awaits this; return what it returns."""
    while True:
        error: BaseException | None = None
        try:
            sent = yield waited
        except BaseException as raised:  # noqa: BLE001 - a cancellation, for instance; `work` decides what it means
            error = raised
        try:
            waited = work.send(sent) if error is None else work.throw(error)
        except StopIteration as ended:
            result: T = ended.value
            return result


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


_MOST_ATTEMPTS: Final = 8  # heads that a connection learns in a row without meeting one of them again
