"""The loop of `serve`, and how it takes connections where asyncio does not."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket

import pytest
from aiohttp import web

from emulator.core.accelerators import choose_speed
from emulator.server import event_loop, rare_warnings
from emulator.server.event_loop import AcceptingSite, _connect, make_site, new_event_loop
from tests.conftest import SPEED


@pytest.mark.parametrize(("speed", "library"), [("auto", "uvloop"), ("off", "asyncio")])
def test_the_loop_is_the_one_that_the_setting_says(speed: str, library: str) -> None:
    choose_speed("auto" if speed == "auto" else "off")
    try:
        loop = new_event_loop()
    finally:
        choose_speed(SPEED)
    loop.close()
    assert library == type(loop).__module__.partition(".")[0]


async def answer(request: web.BaseRequest) -> web.Response:
    return web.Response(text="here")


async def ask(port: int) -> bytes:
    """The first bytes of the answer to a request on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    try:
        return await reader.read(12)
    finally:
        writer.close()


class Listening:
    """A socket that listens, and fails as often as it is told before it accepts."""

    def __init__(self, listening: socket.socket, number: int, failures: int) -> None:
        self._listening, self._number, self._failures = listening, number, failures

    def accept(self) -> tuple[socket.socket, object]:
        if self._failures:
            self._failures -= 1
            raise OSError(self._number, os.strerror(self._number))
        return self._listening.accept()

    def fileno(self) -> int:
        return self._listening.fileno()

    def close(self) -> None:
        self._listening.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOBUFS])
async def test_connections_wait_where_no_file_can_be_opened(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """They are taken later, in their order, and the log has one line."""
    monkeypatch.setattr(event_loop, "_RETRY_DELAY", 0.0)
    rare_warnings._last.clear()
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    site = AcceptingSite(runner, "127.0.0.1", 0)
    await site.start()
    loop = asyncio.get_running_loop()
    (listening,) = site._listening
    loop.remove_reader(listening)
    site._watch(Listening(listening, number, failures=2))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING, "emulator"):
        answers = await asyncio.gather(*(ask(runner.addresses[0][1]) for _ in range(3)))
    assert [b"HTTP/1.1 200"] * 3 == answers
    assert 1 == len(caplog.records)
    loop.remove_reader(listening)
    await runner.cleanup()


async def test_a_port_that_is_taken_is_an_error() -> None:
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await AcceptingSite(runner, "127.0.0.1", 0).start()
    with pytest.raises(OSError, match="address already in use"):
        await AcceptingSite(runner, "127.0.0.1", runner.addresses[0][1]).start()
    assert type(make_site(runner, "127.0.0.1", 0)) is web.TCPSite  # asyncio's own loop needs no other way
    await runner.cleanup()


class FailingLoop:
    """A loop on which no connection can be made."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def connect_accepted_socket(self, make_connection: object, line: socket.socket) -> None:
        raise self._error


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.EINVAL, errno.EMFILE])
async def test_a_connection_that_cannot_be_made_is_closed(number: int, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is told of a client that has left; a lack of files is one line."""
    rare_warnings._last.clear()
    line, other = socket.socketpair()
    with other, caplog.at_level(logging.WARNING, "emulator"):
        await _connect(FailingLoop(OSError(number, os.strerror(number))), web.Server(answer), line)  # type: ignore[arg-type]
        assert -1 == line.fileno()
    assert (number == errno.EMFILE) == bool(caplog.records)


async def test_a_bug_on_the_way_to_a_connection_is_raised() -> None:
    line, other = socket.socketpair()
    with other, pytest.raises(RuntimeError, match="bug"):
        await _connect(FailingLoop(RuntimeError("a bug")), web.Server(answer), line)  # type: ignore[arg-type]
    assert -1 == line.fileno()
