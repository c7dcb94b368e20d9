"""Sends a Reply piece by piece, through its faults: it knows how to pass bytes on, wait, stop, cut off and hang up.

It knows no fault by name. A body cut short of its Content-Length closes the connection, or the client would hang; a
hang-up resets it. Streams of events are sent here too, with or without faults: each frame leaves when it is made.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Final

from aiohttp import web

from emulator.faults import Chunks, CutOff, Fault, HangUp, Head, Sleep, chain_faults
from emulator.messages import Response


async def send(
    request: web.BaseRequest,
    reply: Response,
    headers: Mapping[str, str],
    close: bool,
    faults: Sequence[Fault],
    sleep: Sleep,
) -> tuple[web.StreamResponse, bool]:
    """Send `reply`, spoiled by `faults`; the response, and whether the client took all that was meant for it.

    What waits in a fault waits through `sleep`.
    """
    head, chunks = _spoiled(reply, headers, faults, sleep)
    if reply.frames is None:
        return await _send(request, head, chunks, close)
    async with aclosing(reply.frames):
        return await _send(request, head, chunks, close)


def _spoiled(reply: Response, headers: Mapping[str, str], faults: Sequence[Fault], sleep: Sleep) -> tuple[Head, Chunks]:
    """Head and chunks of `reply`, after all `faults`."""
    head = Head(reply.status, tuple({**headers, **dict(reply.headers)}.items()))
    if reply.frames is not None:
        return chain_faults(faults)(head, reply.frames, sleep)
    if head.length is None:
        head = head.put("Content-Length", str(sum(map(len, reply.body))))
    return chain_faults(faults)(head, _each(reply.body), sleep)


async def _each(pieces: Sequence[bytes]) -> Chunks:
    for piece in pieces:
        if piece:
            yield piece


async def _send(request: web.BaseRequest, head: Head, chunks: Chunks, close: bool) -> tuple[web.StreamResponse, bool]:
    """Send `head` and `chunks` until they end or the client leaves, for a fault may wait for ever."""
    response = web.StreamResponse(status=head.status, headers=head.headers)
    if close:
        response.force_close()
    writing = asyncio.ensure_future(_write(request, response, chunks))
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait((writing, leaving), return_when=asyncio.FIRST_COMPLETED)
        return response, writing.done() and writing.result()
    finally:
        writing.cancel()
        leaving.cancel()
        await asyncio.wait((writing, leaving))  # so that nobody is left who takes frames


async def _write(request: web.BaseRequest, response: web.StreamResponse, chunks: Chunks) -> bool:
    """Send what is meant for the client; False where it does not take it."""
    try:
        await _pass_on(request, response, chunks)
    except HangUp:
        return await _hang_up(request)
    except CutOff:
        return _cut_off(request)
    except ConnectionError:
        return False
    return True


async def _pass_on(request: web.BaseRequest, response: web.StreamResponse, chunks: Chunks) -> None:
    """Send the chunks as they come; the head waits for the first, so that a hang-up before it eats the head too."""
    promised, sent = response.content_length, 0
    chunk = await anext(chunks, None)
    await response.prepare(request)
    if request.method != "HEAD":
        while chunk is not None:
            await response.write(chunk)
            sent += len(chunk)
            chunk = await anext(chunks, None)
        if promised is not None and sent < promised:
            response.force_close()  # the client would wait for the rest
    await response.write_eof()


def _cut_off(request: web.BaseRequest) -> bool:
    """Close the connection behind what has been written, as if more were to come; False where the client was faster."""
    transport = request.transport
    if transport is None or transport.is_closing():
        return False
    transport.close()
    return True


async def _hang_up(request: web.BaseRequest) -> bool:
    """Reset the connection, once what has been written is on its way; False where the client was faster."""
    transport = request.transport
    if transport is None:
        return False
    transport.set_write_buffer_limits(0)
    try:
        await request.writer.drain()
    except ConnectionError:
        return False
    line: socket.socket = transport.get_extra_info("socket")
    while not transport.is_closing() and _queued(line):  # noqa: ASYNC110 - nobody sets an event
        await asyncio.sleep(_BLINK)
    if transport.is_closing():
        return False
    # Without this the client would see an end, not a reset: as after a body that is cut.
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()
    return True


def _queued(line: socket.socket) -> int:
    """The bytes that have not reached the client yet, of which a reset would take an uncertain part.

    Only Linux is asked; elsewhere a body of more than some 100 kB may be cut earlier than it was told to be.
    """
    if sys.platform != "linux":
        return 0
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(line.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


async def _left(request: web.BaseRequest) -> None:
    """Wait until the client has left.

    aiohttp tells a handler so only by cancelling it, and then all that are ever left: so this looks from time to time.
    """
    while request.transport is not None:  # noqa: ASYNC110 - nobody sets an event
        await asyncio.sleep(_GLANCE)


_GLANCE: Final = 0.1  # seconds between two looks whether a client is still there
_BLINK: Final = 0.001  # seconds between two looks whether all has reached it
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # close at once, with a reset
