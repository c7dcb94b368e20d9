"""Sends responses piece by piece, through their faults: passes bytes on, waits, stops, cuts off and hangs up.

It knows no fault by name. A body that is shorter than its Content-Length closes the connection, or the client would
wait; a hang-up resets it. Streams of events are sent here too, with or without faults: each leaves when it is made.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

from aiohttp import web

from emulator.faults import Chunks, CutOff, Fault, HangUp, Head, Sleep, chain_faults
from emulator.messages import Response
from emulator.server.connection import run_until_left, split_into_pieces, write_pieces
from emulator.server.heads import find_reason

Begin = Callable[[web.StreamResponse], Any]
"""Called with the response before anything of it is sent."""

Keep = Callable[[bytes], Any]
"""Called with each chunk that was sent."""

Finish = Callable[[], Awaitable[None]]
"""Called, once or more often, before the client can know that it has everything."""


async def send(
    http: web.BaseRequest,
    response: Response,
    headers: Mapping[str, str],
    *,
    close: bool,
    faults: Sequence[Fault],
    sleep: Sleep,
    keep: Keep,
    begin: Begin = lambda _: None,
    finish: Finish | None = None,
) -> tuple[web.StreamResponse, bool]:
    """Send `response` with `headers`, changed by `faults`; return it, and whether the client took all of it.

    A fault that waits does so through `sleep`. `finish` is awaited before the client can know that it has everything.
    """
    head, chunks = _apply_faults(response, headers, faults, sleep)
    outgoing = web.StreamResponse(status=head.status, reason=find_reason(head.status), headers=head.headers)
    if close:
        outgoing.force_close()
    begin(outgoing)
    if response.frames is None:
        return outgoing, await _send_chunks(http, outgoing, chunks, keep, finish)
    async with aclosing(response.frames):
        return outgoing, await _send_chunks(http, outgoing, chunks, keep, finish)


def _apply_faults(
    response: Response, headers: Mapping[str, str], faults: Sequence[Fault], sleep: Sleep
) -> tuple[Head, Chunks]:
    """Return head and chunks of the response, changed by all `faults`."""
    head = Head(response.status, tuple(headers.items()))
    if response.frames is not None:
        return chain_faults(faults)(head, response.frames, sleep)
    if head.length is None:
        head = head.put("Content-Length", str(sum(map(len, response.body))))
    return chain_faults(faults)(head, _yield_pieces(response.body), sleep)


async def _yield_pieces(pieces: Sequence[bytes]) -> Chunks:
    for piece in pieces:
        if piece:
            yield piece


async def _send_chunks(
    http: web.BaseRequest, response: web.StreamResponse, chunks: Chunks, keep: Keep, finish: Finish | None
) -> bool:
    """Send `response` with `chunks` until they end or the client leaves, because a fault may wait for ever."""
    taken = await run_until_left(http, _write(http, response, chunks, keep, finish))
    return bool(taken)


async def _write(
    http: web.BaseRequest, response: web.StreamResponse, chunks: Chunks, keep: Keep, finish: Finish | None
) -> bool:
    """Send what is meant for the client; return False where it does not take it."""
    try:
        await _pass_on(http, response, chunks, keep, finish)
    except HangUp:
        if finish is not None:
            await finish()
        return await _hang_up(http)
    except CutOff:
        if finish is not None:
            await finish()
        return _cut_off(http)
    except ConnectionError:
        return False
    return True


async def _pass_on(
    http: web.BaseRequest, response: web.StreamResponse, chunks: Chunks, keep: Keep, finish: Finish | None
) -> None:
    """Send the chunks as they come; the head waits for the first, so that a hang-up before it stops the head too."""
    promised, sent = response.content_length, 0
    chunk = await anext(chunks, None)
    await response.prepare(http)
    if http.method != "HEAD":
        while chunk is not None:
            sent += len(chunk)
            if finish is not None and sent == promised:  # the client knows then that it has everything
                keep(chunk)
                await finish()
                await write_pieces(response, chunk)
            else:
                for piece in split_into_pieces(chunk):
                    await response.write(piece)
                    keep(bytes(piece))
            chunk = await anext(chunks, None)
        if promised is not None and sent < promised:
            response.force_close()  # the client would wait for the rest
    if finish is not None:
        await finish()
    await response.write_eof()


def _cut_off(http: web.BaseRequest) -> bool:
    """Close the connection behind what was written, as if more were to come; False where the client was faster."""
    transport = http.transport
    if transport is None or transport.is_closing():
        return False
    transport.close()
    return True


async def _hang_up(http: web.BaseRequest) -> bool:
    """Reset the connection when what was written is on its way; return False where the client was faster."""
    transport = http.transport
    if transport is None:
        return False
    is_tls = transport.get_extra_info("sslcontext") is not None
    transport.set_write_buffer_limits(int(is_tls), 0)  # at a limit of 0, asyncio's TLS would let nobody go on
    try:
        await http.writer.drain()
    except ConnectionError:
        return False
    line: socket.socket = transport.get_extra_info("socket")
    looks = 1 + is_tls  # between the layers of TLS may be bytes that no layer counts, until the loop has gone round
    while looks and not transport.is_closing():
        if _count_queued_bytes(line):
            looks = 1 + is_tls
        else:
            looks -= 1
        if looks:
            await asyncio.sleep(_DRAIN_INTERVAL)
    if transport.is_closing():
        return False
    # Without this the client would see the end of the connection, as after a body that is cut, and no reset.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
    return True


def _count_queued_bytes(line: socket.socket) -> int:
    """Return the bytes that have not reached the client yet, of which a reset would take an uncertain part.

    Only Linux is asked; elsewhere a body of more than some 100 kB may be cut too early.
    """
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


_DRAIN_INTERVAL: Final = 0.001  # seconds between two looks whether all has reached it
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # close at once, with a reset
