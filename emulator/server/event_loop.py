"""The event loop that the command `serve` runs on, and how connections are taken on it.

It is uvloop's (on Windows winloop's) where that is installed and not switched off, else asyncio's own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import Any, Final

from aiohttp import web

from emulator.core.accelerators import find_accelerator, get_loop_library
from emulator.server.rare_warnings import is_out_of_files


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop, the fastest that is installed and not switched off.

    Only `serve` and the tests call this. An `Emulator` runs in somebody else's program: its loop is asyncio's.
    """
    library = find_accelerator("winloop" if sys.platform == "win32" else "uvloop")
    if library is None:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = library.new_event_loop()
    return loop


def share_ports() -> None:
    """Let all servers of this process, from now on, listen at ports at which other processes listen too."""
    _SHARING.append(True)


def make_site(runner: web.ServerRunner, host: str, port: int) -> web.TCPSite:
    """Return what will listen at `host` and `port` on the event loop that runs now."""
    if get_loop_library() == "uvloop":
        return AcceptingSite(runner, host, port)
    return web.TCPSite(runner, host, port, reuse_port=bool(_SHARING))


class AcceptingSite(web.TCPSite):
    """Takes connections as asyncio does, on uvloop, which does it otherwise.

    Where no more files can be opened, uvloop closes the connections that wait, without a word; where the system has no
    memory for one, it closes the listening socket for ever. Here they wait, the log says so, and a second later they
    are taken.
    """

    __slots__ = ("_connecting", "_listening", "_retries")

    def __init__(self, runner: web.ServerRunner, host: str, port: int) -> None:
        super().__init__(runner, host, port)
        self._listening: list[socket.socket] = []
        self._retries: dict[socket.socket, asyncio.TimerHandle] = {}
        self._connecting: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listen; raises OSError where that is not possible."""
        await web.BaseSite.start(self)
        loop = asyncio.get_running_loop()
        # This finds the addresses and binds them. It does not listen, so that uvloop takes no connections.
        self._server = await loop.create_server(
            self._get_protocol_factory(), self._host, self._port, start_serving=False, reuse_port=bool(_SHARING)
        )
        for bound in self._server.sockets:
            listening = socket.socket(fileno=os.dup(bound.fileno()))
            self._listening.append(listening)
            listening.setblocking(False)
            listening.listen(self._backlog)
            self._watch(listening)

    async def stop(self) -> None:
        """Take no more connections."""
        for retry in self._retries.values():
            retry.cancel()
        for listening in self._listening:
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        self._listening.clear()
        if self._connecting:
            await asyncio.wait(self._connecting)
        await super().stop()

    def _get_protocol_factory(self) -> web.Server:
        server = self._runner.server
        assert server is not None
        return server

    def _watch(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Take the connections that wait."""
        loop = asyncio.get_running_loop()
        for _ in range(self._backlog):
            try:
                line, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # no more wait
            except OSError as error:
                if not is_out_of_files(error):
                    raise
                loop.remove_reader(listening)
                self._retries[listening] = loop.call_later(_RETRY_DELAY, self._watch, listening)
                return
            line.setblocking(False)
            task = loop.create_task(self.connect(line))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def connect(self, line: socket.socket) -> None:
        """Let a new connection handle `line`."""
        await _connect(asyncio.get_running_loop(), self._get_protocol_factory(), line)


async def _connect(loop: asyncio.AbstractEventLoop, make_connection: web.Server, line: socket.socket) -> None:
    """Let a new connection handle `line`; one that cannot be made is closed, as asyncio does it."""
    try:
        await loop.connect_accepted_socket(make_connection, line)
    except OSError as error:  # the client has left already, or there are no more files
        line.close()
        is_out_of_files(error)
    except BaseException:
        line.close()
        raise


_SHARING: Final[list[bool]] = []
"""Not empty where the ports are shared."""
_RETRY_DELAY: Final = 1.0  # seconds; asyncio waits as long
