"""Sends responses, and keeps what the journal needs of them.

Responses with faults, and streams of events, are sent by *fault_sender*, which is loaded with the first of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web

from emulator.core.header_lines import format_header_lines
from emulator.messages import Response
from emulator.server.connection import SentAtOnce, get_connection, run_until_left, split_into_pieces, write_pieces
from emulator.server.heads import find_reason, format_status_line
from emulator.server.send_limits import PIECE
from emulator.session.call_record import SentResponse
from emulator.session.response_record import EventRecorder, RecordedBody, keep_body, record_body

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emulator.faults import Fault, Sleep
    from emulator.image.recipe import ImageRecipe

Finish = Callable[[SentResponse], Awaitable[None]]
"""Is called with what will have been sent, before the client can know that it has everything."""
FinishEarly = Callable[[web.StreamResponse], Awaitable[None]]
_SLOW_TO_RECORD: Final = 2**20  # bytes; to hash or search as many takes a millisecond


class Delivery(NamedTuple):
    """A response that was sent: aiohttp's object, which its server wants back, and what the journal keeps.

    `sent` is None where the client left before anything was sent.
    """

    response: web.StreamResponse
    sent: SentResponse | None


def combine_headers(
    own: Mapping[str, str], response: Response, scripted: Sequence[tuple[str, str]] = ()
) -> dict[str, str]:
    """Return the headers to send: the server's own, those of the response, and those that a scenario sets.

    A scripted header replaces others of the same name, in whatever case they are written.
    """
    headers = {**own, **dict(response.headers)}
    if not scripted:
        return headers
    replaced = {name.lower() for name, _ in scripted}
    kept = {name: value for name, value in headers.items() if name.lower() not in replaced}
    return {**kept, **dict(scripted)}


def is_plain(http: web.BaseRequest, response: Response) -> bool:
    """Return whether `send_at_once` can send a response: a short one, with a body, and no header but its type."""
    if http.method == "HEAD" or response.status in _WITHOUT_BODY or response.bare or len(response.headers) != 1:
        return False
    if response.headers[0][0] != "Content-Type" or response.relayed:
        return False
    return sum(map(len, response.body)) <= PIECE


async def send_at_once(
    http: web.BaseRequest, response: Response, header_lines: str, *, close: bool, finish: Finish | None = None
) -> Delivery:
    """Send a plain response, head and body by one write; with `close` the connection ends behind it.

    `header_lines` are those of the server and its gateway. `finish` gets what is sent, just before it leaves.
    """
    connection = get_connection(http)
    connection.limits.release(connection)
    keep_alive = http.keep_alive and not close
    if keep_alive:
        connection.learn_head()
    body = response.body[0] if len(response.body) == 1 else b"".join(response.body)
    head = _format_head(http.version, response, header_lines, size=len(body), keep_alive=keep_alive)
    transport = connection.transport
    if transport is None or transport.is_closing():  # the client has left
        return Delivery(SentAtOnce(response.status, keep_alive), None)
    if finish is not None:
        await finish(_describe_at_once(response, head, body, len(body), complete=True))
        if transport.is_closing():
            return Delivery(SentAtOnce(response.status, keep_alive), None)
    transport.write(head.encode("utf-8", "surrogatepass") + body)
    sent_bytes = len(body)
    if connection.writing_paused:
        try:
            await connection.wait_until_taken()
        except ConnectionError:
            sent_bytes = 0
    complete = sent_bytes == len(body) and connection.transport is not None
    sent = _describe_at_once(response, head, body, sent_bytes, complete=complete)
    return Delivery(SentAtOnce(response.status, keep_alive), sent)


def _describe_at_once(response: Response, head: str, body: bytes, sent_bytes: int, *, complete: bool) -> SentResponse:
    return SentResponse(
        status=response.status,
        headers=head,
        body=keep_body(body, response.pictures),
        events=None,
        complete=complete,
        bytes=sent_bytes,
    )


def _format_head(
    version: tuple[int, int], response: Response, header_lines: str, *, size: int, keep_alive: bool
) -> str:
    """Return the head of a plain response with a body of `size` bytes."""
    status_line = format_status_line(version, response.status)
    own_lines = format_header_lines(response.headers)
    connection = ""
    if keep_alive and version == _HTTP_1_0:
        connection = "Connection: keep-alive\r\n"
    elif not keep_alive and version == _HTTP_1_1:
        connection = "Connection: close\r\n"
    return f"{status_line}{header_lines}{own_lines}Content-Length: {size}\r\n{connection}\r\n"


async def send_response(
    http: web.BaseRequest,
    response: Response,
    headers: Mapping[str, str],
    *,
    close: bool,
    finish: Finish | None = None,
) -> Delivery:
    """Send any response whose body is complete; with `close` the connection ends behind it.

    `finish` gets what is sent, just before its last bytes leave.
    """
    connection = get_connection(http)
    size = sum(map(len, response.body))
    body = None
    if http.method != "HEAD":  # recorded before it is sent: who has the whole answer finds it in the journal
        body = await _record_body(response.body, response.pictures)
    if http.transport is None:  # the client has left
        connection.limits.release(connection)
        return Delivery(web.Response(status=response.status), None)

    def describe(outgoing: web.StreamResponse, sent_bytes: int, *, complete: bool) -> SentResponse:
        return SentResponse(
            status=response.status,
            headers=dict(outgoing.headers.items()),
            body=body,
            events=None,
            complete=complete,
            bytes=sent_bytes,
        )

    async def finish_early(outgoing: web.StreamResponse) -> None:
        if finish is not None:
            await finish(describe(outgoing, 0 if http.method == "HEAD" else size, complete=True))

    if size > PIECE:
        connection.limits.hold(connection, size)
        headers = {**headers, "Content-Length": str(size)}
        outgoing, sent_bytes, complete = await _send_large_body(http, response, headers, close, finish_early)
    else:
        connection.limits.release(connection)
        outgoing, sent_bytes, complete = await _send_body(http, response, headers, close, finish_early)
    return Delivery(outgoing, describe(outgoing, sent_bytes, complete=complete))


async def _send_large_body(
    http: web.BaseRequest, response: Response, headers: Mapping[str, str], close: bool, finish: FinishEarly
) -> tuple[web.StreamResponse, int, bool]:
    """Send a response in pieces, of which only one at a time is copied into the buffer of the connection.

    Return it, how many bytes of its body were sent, and whether the client took it.
    """
    outgoing = web.StreamResponse(status=response.status, reason=find_reason(response.status), headers=headers)
    if close:
        outgoing.force_close()
    sent_bytes, size = 0, sum(map(len, response.body))
    try:
        await outgoing.prepare(http)
        if http.method == "HEAD":
            await finish(outgoing)
        else:
            for part in response.body:
                for piece in split_into_pieces(part):
                    if sent_bytes + len(piece) == size:
                        await finish(outgoing)
                    await outgoing.write(piece)
                    sent_bytes += len(piece)
        await outgoing.write_eof()
    except ConnectionError:
        return outgoing, sent_bytes, False
    return outgoing, sent_bytes, http.transport is not None


async def _send_body(
    http: web.BaseRequest, response: Response, headers: Mapping[str, str], close: bool, finish: FinishEarly
) -> tuple[web.StreamResponse, int, bool]:
    """Send a response by aiohttp's own means, as _send_large_body does, but in one piece."""
    body = response.body[0] if len(response.body) == 1 else b"".join(response.body)
    outgoing = web.Response(status=response.status, reason=find_reason(response.status), headers=headers, body=body)
    if close:
        outgoing.force_close()
    try:
        await outgoing.prepare(http)
        await finish(outgoing)
        await outgoing.write_eof()
    except ConnectionError:
        return outgoing, 0, False
    sent_bytes = 0 if http.method == "HEAD" else len(body)
    return outgoing, sent_bytes, http.transport is not None


async def _record_body(pieces: Sequence[bytes], pictures: Sequence[ImageRecipe]) -> RecordedBody:
    """Return what the journal keeps of a body; a large one is looked through in a thread, so that no call waits."""
    if sum(map(len, pieces)) > _SLOW_TO_RECORD:
        return await asyncio.to_thread(lambda: record_body(b"".join(pieces), pictures))
    return record_body(pieces[0] if len(pieces) == 1 else b"".join(pieces), pictures)


async def send_with_faults(
    http: web.BaseRequest,
    response: Response,
    headers: Mapping[str, str],
    *,
    close: bool,
    faults: Sequence[Fault],
    sleep: Sleep,
    elapsed: Callable[[], float],
    note: Callable[[Callable[[], SentResponse | None]], None],
    finish: Finish | None = None,
) -> Delivery:
    """Send a stream of events, or a response changed by `faults`; `elapsed` gives the seconds since the call began.

    `note` gets the function that says what was sent so far, and `finish` what is sent, just before the client can know
    that it has everything.
    """
    from emulator.server import fault_sender  # few responses need it

    if response.frames is None:
        connection = get_connection(http)
        connection.limits.hold(connection, sum(map(len, response.body)))
    record = _SendingRecord(response, elapsed)
    note(record.describe)

    async def describe(outgoing: web.StreamResponse, *, complete: bool) -> SentResponse:
        return SentResponse(
            status=outgoing.status,
            headers=join_headers(outgoing.headers.items()),
            body=await _record_body(record.chunks, response.pictures),
            events=record.events,
            complete=complete,
            bytes=record.bytes,
        )

    async def finish_early() -> None:
        nonlocal finish
        if finish is not None and record.outgoing is not None and record.outgoing.prepared:
            first_finish, finish = finish, None
            await first_finish(await describe(record.outgoing, complete=True))

    outgoing, complete = await fault_sender.send(
        http, response, headers, close=close, faults=faults, sleep=sleep, keep=record.keep, begin=record.begin,
        finish=None if finish is None else finish_early,
    )  # fmt: skip
    if not complete and not outgoing.prepared:  # the client left before the head
        return Delivery(outgoing, None)
    return Delivery(outgoing, await describe(outgoing, complete=complete))


class _SendingRecord:
    """What was sent so far of a response that takes its time; `elapsed` gives the seconds since the call began."""

    def __init__(self, response: Response, elapsed: Callable[[], float]) -> None:
        self.outgoing: web.StreamResponse | None = None
        self.chunks: list[bytes] = []
        self.bytes = 0
        self._recorder = None
        if response.frames is not None:
            self._recorder = EventRecorder(response.pictures, elapsed)

    @property
    def events(self) -> list[list[Any]] | None:
        """The events of a stream; None for any other response."""
        return None if self._recorder is None else self._recorder.events

    def begin(self, outgoing: web.StreamResponse) -> None:
        """Note the response that is sent."""
        self.outgoing = outgoing

    def keep(self, chunk: bytes) -> None:
        """Note bytes that were sent."""
        self.bytes += len(chunk)
        if self._recorder is None:
            self.chunks.append(chunk)
        else:
            self._recorder.add(chunk)

    def describe(self) -> SentResponse | None:
        """Return what was sent so far, without the body that is not whole yet; None where nothing was sent."""
        outgoing = self.outgoing
        if outgoing is None or not outgoing.prepared:
            return None
        return SentResponse(
            status=outgoing.status,
            headers=join_headers(outgoing.headers.items()),
            body=None,
            events=self.events,
            complete=False,
            bytes=self.bytes,
        )


async def send_stream(
    http: web.BaseRequest, headers: Mapping[str, str], pieces: AsyncGenerator[bytes]
) -> web.StreamResponse:
    """Send `pieces` as they come, until they end or the client leaves."""
    response = web.StreamResponse(headers=headers)
    async with aclosing(pieces):
        try:
            ended = await run_until_left(http, _send_pieces(http, response, pieces))
        except ConnectionError:
            ended = None
    if ended is None:
        response.force_close()
        if http.transport is not None:
            http.transport.abort()
    return response


async def _send_pieces(http: web.BaseRequest, response: web.StreamResponse, pieces: AsyncGenerator[bytes]) -> bool:
    """Send `pieces` as they come; True when they have ended."""
    piece: bytes | None = await anext(pieces, None)
    await response.prepare(http)
    while piece is not None:
        await write_pieces(response, piece)
        piece = await anext(pieces, None)
    await response.write_eof()
    return True


def join_headers(pairs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return headers as a mapping; one that was sent twice has both values, with a comma between them."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else str(value)
    return headers


_HTTP_1_0: Final = (1, 0)
_HTTP_1_1: Final = (1, 1)
_WITHOUT_BODY: Final = (204, 304)
"""The statuses of responses that have no body, whatever their Content-Type is."""
