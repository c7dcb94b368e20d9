"""Sends responses, and keeps what the journal needs of them.

Responses with faults, and streams of events, are sent by *fault_sender*, which is loaded with the first of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiohttp import web

from emulator.messages import Response
from emulator.session.pending_call import SentResponse
from emulator.session.response_record import EventRecorder, record_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from emulator.faults import Fault, Sleep

PATIENCE: Final = 30.0  # seconds


class Delivery(NamedTuple):
    """A response that was sent: aiohttp's object, which its server wants back, and what the journal keeps."""

    response: web.StreamResponse
    sent: SentResponse


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


async def send_response(
    http: web.BaseRequest, response: Response, headers: Mapping[str, str], *, close: bool
) -> Delivery:
    """Send a response whose body is complete; with `close` the connection ends behind it."""
    body = response.body[0] if len(response.body) == 1 else b"".join(response.body)
    outgoing = web.Response(status=response.status, headers=headers, body=body)
    if close:
        outgoing.force_close()
    try:
        await outgoing.prepare(http)
        await outgoing.write_eof()
        complete = True
    except ConnectionError:
        complete = False
    if http.method == "HEAD":
        body = b""
    sent = SentResponse(
        status=response.status,
        headers=dict(outgoing.headers.items()),
        body=record_body(body, response.pictures),
        events=None,
        complete=complete,
    )
    return Delivery(outgoing, sent)


async def send_with_faults(
    http: web.BaseRequest,
    response: Response,
    headers: Mapping[str, str],
    *,
    close: bool,
    faults: Sequence[Fault],
    sleep: Sleep,
    elapsed: Callable[[], float],
) -> Delivery:
    """Send a stream of events, or a response changed by `faults`; `elapsed` gives the seconds since the call began."""
    from emulator.server import fault_sender  # few responses need it

    chunks: list[bytes] = []
    recorder = None
    if response.frames is None:
        keep = chunks.append
    else:
        recorder = EventRecorder(response.pictures, elapsed)
        keep = recorder.add
    outgoing, complete = await fault_sender.send(
        http, response, headers, close=close, faults=faults, sleep=sleep, keep=keep
    )
    sent = SentResponse(
        status=outgoing.status,
        headers=join_headers(outgoing.headers.items()),
        body=record_body(b"".join(chunks), response.pictures),
        events=None if recorder is None else recorder.events,
        complete=complete,
    )
    return Delivery(outgoing, sent)


async def send_stream(
    http: web.BaseRequest, headers: Mapping[str, str], pieces: AsyncGenerator[bytes]
) -> web.StreamResponse:
    """Send `pieces` as they come, until they end or the client leaves.

    An empty piece only looks whether the client is still there. A client that takes nothing for PATIENCE seconds counts
    as one that has left.
    """
    response = web.StreamResponse(headers=headers)
    async with aclosing(pieces):
        try:
            piece: bytes | None = await anext(pieces, None)
            await response.prepare(http)
            while piece is not None and http.transport is not None:
                if piece:
                    async with asyncio.timeout(PATIENCE):
                        await response.write(piece)
                piece = await anext(pieces, None)
            await response.write_eof()
        except (ConnectionError, TimeoutError):
            response.force_close()
            if http.transport is not None:
                http.transport.abort()
    return response


def join_headers(pairs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Return headers as a mapping; one that was sent twice has both values, with a comma between them."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        headers[name] = f"{headers[name]}, {value}" if name in headers else str(value)
    return headers
