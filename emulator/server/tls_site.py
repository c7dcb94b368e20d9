"""A port that answers HTTPS: it looks at the first byte of each connection, and lets TLS begin.

A client that speaks plain HTTP is told so in plain HTTP; asyncio's own way would close its connection without a word.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from typing import Final

from aiohttp import web

from emulator.server.event_loop import AcceptingSite
from emulator.server.rare_warnings import is_out_of_files, warn_rarely


def make_tls_site(runner: web.ServerRunner, host: str, port: int, context: ssl.SSLContext) -> web.BaseSite:
    """Return what will answer HTTPS at `host` and `port` on the event loop that runs now."""
    if isinstance(asyncio.get_running_loop(), getattr(asyncio, "ProactorEventLoop", ())):
        return web.TCPSite(runner, host, port, ssl_context=context)  # Windows: it cannot look without taking
    return TlsSite(runner, host, port, context)


class TlsSite(AcceptingSite):
    """Listens at `host` and `port`. A client has HANDSHAKE_TIMEOUT for its first byte, and for its handshake."""

    __slots__ = ("_context",)

    def __init__(self, runner: web.ServerRunner, host: str, port: int, context: ssl.SSLContext) -> None:
        super().__init__(runner, host, port)
        self._context = context

    async def stop(self) -> None:
        """Take no more connections, and wait for no handshake."""
        for task in self._connecting:
            task.cancel()
        await super().stop()

    async def connect(self, line: socket.socket) -> None:
        """Let a new connection handle `line`, once TLS has begun on it."""
        try:
            first = await _look_at_first_byte(line)
            if first.isalpha():  # of a method; a handshake begins with 0x16
                await _refuse_plain(line)
            elif first:
                await self._begin_tls(line)
                return
        except (OSError, TimeoutError) as error:
            is_out_of_files(error)
        except BaseException:
            line.close()
            raise
        line.close()

    async def _begin_tls(self, line: socket.socket) -> None:
        """Let a new connection handle `line` when the handshake is done; raises OSError where that fails."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._get_protocol_factory(),
                line,
                ssl=self._context,
                ssl_handshake_timeout=HANDSHAKE_TIMEOUT,
                ssl_shutdown_timeout=_SHUTDOWN_TIMEOUT,
            )
        except ssl.SSLError as error:
            if "UNKNOWN_CA" in error.reason or "CERTIFICATE" in error.reason:
                warn_rarely(
                    "a client does not trust the certificate: it needs the authority's file, such as in SSL_CERT_FILE "
                    f"or NODE_EXTRA_CA_CERTS, and a name that the certificate has ({error.reason})"
                )
            raise


async def _look_at_first_byte(line: socket.socket) -> bytes:
    """Return the first byte that comes, which stays on `line`; none where the client leaves. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(line, _wake, ready)
    try:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT):
            await ready
        return line.recv(1, socket.MSG_PEEK)
    finally:
        loop.remove_reader(line)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


async def _refuse_plain(line: socket.socket) -> None:
    """Answer a client that speaks plain HTTP, and take what it still sends: else it may lose the answer."""
    warn_rarely("a client speaks plain HTTP on the TLS port: its base URL has to begin with https://, not http://")
    loop = asyncio.get_running_loop()
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER):
            await loop.sock_sendall(line, _REFUSAL)
            line.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(line, _PIECE):
                pass


HANDSHAKE_TIMEOUT: Final = 10.0  # seconds; asyncio waits 60, for which a client that says nothing would hold a file
_SHUTDOWN_TIMEOUT: Final = 30.0  # seconds, asyncio's own: a client takes the last bytes, and says its last word
_LINGER: Final = 1.0  # seconds, as for every other answer that closes
_PIECE: Final = 2**16
_TEXT: Final = b"The plain HTTP request was sent to an HTTPS port: use https:// in place of http://.\n"
_REFUSAL: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"Connection: close\r\n\r\n%s" % (len(_TEXT), _TEXT)
)
