"""What clients do not take is bounded, in bytes over all connections and in time, whatever kind of answer it is."""

from __future__ import annotations

import asyncio
import io
import json
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx
import pytest
from PIL import Image

from emulator.server import send_limits
from emulator.server.send_limits import LARGE, NoRoom, SendLimits
from tests.conftest import Served

HEAD: Final = "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-deaf\r\n"
GENERATE: Final = {"prompt": "x", "n": 10, "size": "1024x1024"}


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A scenario whose pictures weigh as much as real ones, 1.9 MB; ten of them do not fit into a socket's buffers."""
    folder = tmp_path_factory.mktemp("heavy")
    noise = Image.frombytes("RGB", (800, 800), random.Random(7).randbytes(800 * 800 * 3))
    encoded = io.BytesIO()
    noise.save(encoded, "PNG", compress_level=0)
    (folder / "heavy.png").write_bytes(encoded.getvalue())
    (folder / "heavy.yaml").write_text(
        "rules:\n"
        "  - when: {prompt: broken}\n"
        "    answers: {draw: {picture: {file: heavy.png}}, faults: [{truncate: {after: 99%}}]}\n"
        "  - answers: {draw: {picture: {file: heavy.png}}}\n"
    )
    return str(folder / "heavy.yaml")


def post(path: str, body: dict[str, Any]) -> bytes:
    """A request in one piece."""
    text = json.dumps(body)
    head = HEAD.format(method="POST", path=path)
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


def get(path: str) -> bytes:
    """The same without a body."""
    return f"{HEAD.format(method='GET', path=path)}\r\n".encode()


@contextmanager
def deaf(served: Served, request: bytes) -> Iterator[socket.socket]:
    """A client that sends `request`, reads the first byte of the answer, and then nothing more."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", served.port))
        line.sendall(request)
        assert line.recv(1)
        yield line


def wait_until_cut_off(served: Served) -> None:
    """Return when the server has no connection but the one that asks."""
    while len(served._running.runner.server.connections) > 1:  # type: ignore[union-attr]
        httpx.get(f"{served.url}/_emulator/health")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/geeknow/v1/images/generations", {**GENERATE, "model": "m", "response_format": "b64_json"}),
        (
            "/geeknow/v1/images/generations",
            {**GENERATE, "model": "m", "response_format": "b64_json", "prompt": "broken"},
        ),
        ("/openai/v1/images/generations", {**GENERATE, "model": "gpt-image-1", "stream": True}),
    ],
    ids=["plain", "with a fault", "stream"],
)
def test_a_client_that_takes_nothing_is_cut_off(
    serve: Callable[..., Served], heavy: str, path: str, body: dict[str, Any]
) -> None:
    """After `send_timeout` seconds its connection ends, and the journal says that it did not take the answer."""
    served = serve(send_timeout=1, scenario=heavy, legacy=True)
    with deaf(served, post(path, body)):
        calls: list[dict[str, Any]] = []
        while not calls or calls[0]["status"] is None:
            calls = served.calls()
    assert [(200, False)] == [(call["status"], call["sent"]) for call in calls]
    while served.app.send_limits.total:  # given back when the journal has the call
        served.calls()


def test_whatever_it_asked_for(serve: Callable[..., Served], heavy: str) -> None:
    """The same for pictures from the image host, answers to the emulator's own paths, and its stream of events."""
    served = serve(send_timeout=1, scenario=heavy, legacy=True)
    link = served.generate("ezmodel", {"prompt": "x"}).json()["data"][0]["url"]
    with (
        deaf(served, get(httpx.URL(link).path) * 5),
        deaf(served, get("/_emulator/openapi.json") * 400),
        deaf(served, get("/_emulator/events")),
    ):
        for _ in range(100):
            served.generate("geeknow", {"model": "m", "prompt": "x", "user": "y" * 100_000})
        wait_until_cut_off(served)


def test_a_client_that_reads_slowly_gets_all(serve: Callable[..., Served], heavy: str) -> None:
    """Whoever takes bytes, however few at a time, keeps the connection."""
    served = serve(send_timeout=1, scenario=heavy, legacy=True)
    body = {**GENERATE, "model": "m", "response_format": "b64_json"}
    with deaf(served, post("/geeknow/v1/images/generations", body)) as line:
        received = b""
        line.settimeout(10)
        while b"\r\n\r\n" not in received:
            received += line.recv(100)
        length = int(received.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        missing = length - len(received.partition(b"\r\n\r\n")[2])
        while missing:
            missing -= len(line.recv(50_000))
    while served.calls()[0]["sent"] is not True:
        pass


# --- the bound over all connections ---


class Line:
    """A connection and its transport, as far as the limits look at them."""

    def __init__(self, queued: int = 0) -> None:
        self.queued = queued
        self.aborted = False

    def get_write_buffer_size(self) -> int:
        return self.queued

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients that take nothing may be cut off at once."""
    monkeypatch.setattr(send_limits, "_GRACE", 0.0)


def blocked(limits: Any, size: int) -> Line:
    """A connection that holds `size` bytes and whose client takes nothing."""
    line = Line(1)
    limits.hold(line, size)
    limits.block(line, line)
    return line


@pytest.mark.usefixtures("impatient")
async def test_room_is_made_by_the_client_that_took_nothing_for_longest() -> None:
    """A large answer that does not fit waits until enough of them are gone, and not one more is cut off."""
    limits: Any = SendLimits(4 * LARGE, 30)
    first, second = blocked(limits, 2 * LARGE), blocked(limits, 2 * LARGE)
    waiting = asyncio.ensure_future(limits.reserve(Line(), 2 * LARGE))
    await asyncio.sleep(0)
    assert [True, False, False] == [first.aborted, second.aborted, waiting.done()]
    limits.release(first)
    await waiting
    assert (4 * LARGE, False) == (limits.total, second.aborted)


async def test_small_answers_do_not_wait() -> None:
    """Whatever the others hold."""
    limits: Any = SendLimits(LARGE, 30)
    limits.hold(Line(), 2 * LARGE)
    await limits.reserve(Line(), LARGE)


async def test_calls_wait_in_their_order() -> None:
    """The one that came first goes on first, though a later one would fit sooner."""
    limits: Any = SendLimits(4 * LARGE, 30)
    lines = [Line() for _ in range(3)]
    limits.hold(lines[0], 3 * LARGE)
    large = asyncio.ensure_future(limits.reserve(lines[1], 4 * LARGE))
    await asyncio.sleep(0)
    later = asyncio.ensure_future(limits.reserve(lines[2], LARGE + 1))
    await asyncio.sleep(0)
    limits.release(lines[0])
    await large
    assert not later.done()
    limits.release(lines[1])
    await later


async def test_waiting_for_room_ends() -> None:
    """Where answers are held on purpose, as a scripted stall does, the call is refused after the time-out."""
    limits: Any = SendLimits(4 * LARGE, 0.01)
    limits.hold(Line(), 4 * LARGE)
    with pytest.raises(NoRoom):
        await limits.reserve(Line(), 2 * LARGE)


async def test_the_whole_bound_is_room_for_one() -> None:
    """An answer that is larger than all that may be held is sent alone."""
    limits: Any = SendLimits(4 * LARGE, 30)
    await limits.reserve(Line(), 100 * LARGE)
    assert 4 * LARGE == limits.total
