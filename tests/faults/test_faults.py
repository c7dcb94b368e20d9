"""The faults' promise: each spoils an answer the same way every time, seen by a raw socket, and nobody else's."""

from __future__ import annotations

import asyncio
import io
import json
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from PIL import Image, UnidentifiedImageError

from emulator import faults
from emulator.faults import FAULTS, Chunks, CutOff, Head
from emulator.messages import Response
from emulator.server import fault_sender
from emulator.server.connection import HttpServer
from emulator.server.send_limits import SendLimits


def _png() -> bytes:
    file = io.BytesIO()
    Image.effect_mandelbrot((64, 48), (-2, -1.5, 1, 1.5), 50).save(file, "PNG")
    return file.getvalue()


EVENTS: Final = (
    b'event: p.partial_image\ndata: {"b64_json":"AAAA"}\n\n',
    b'event: p.partial_image\ndata: {"b64_json":"BBBB"}\n\n',
    b'event: p.completed\ndata: {"b64_json":"CCCC"}\n\ndata: [DONE]\n\n',
)
BODIES: Final = {
    "stream": ("text/event-stream", b"".join(EVENTS)),
    "json": ("application/json", b'{"created":1,"data":[{"url":"http://127.0.0.1/pictures/x.png"}]}'),
    "png": ("image/png", _png()),
    "large": ("image/png", _png() * 3000),
}
USUAL: Final = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT", "Server": "us", "Access-Control-Allow-Origin": "*"}


@dataclass(frozen=True)
class RecordedValue:
    """What a raw socket saw of an answer; `end` is open (the next request is answered), closed or reset."""

    status: int | None = None
    types: tuple[str, ...] = ()
    promised: int | None = None
    body: bytes = b""
    end: str = "open"
    others: tuple[str, ...] = ()


class Stage:
    """A small server: /fine/… is healthy, any other path meets `spoiling`; the last step of a path names the body."""

    def __init__(self) -> None:
        self.spoiling: Sequence[Any] = ()
        self.sleeps: list[float] = []
        self.sleep: Callable[[float], Any] = self._note
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self.ended: asyncio.Queue[bool | BaseException] = asyncio.Queue()
        self.closed: list[int] = []
        self.left_open = 0
        self.runner = web.ServerRunner(
            HttpServer(self._handle, SendLimits(2**27, 30), access_log=None), shutdown_timeout=0.02
        )
        self.port = 0

    async def start(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.port = self.runner.addresses[0][1]

    async def _note(self, seconds: float) -> None:
        self.sleeps.append(seconds)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        chain = [] if request.path.startswith("/fine/") else [faults.parse_fault(one) for one in self.spoiling]
        kind, body = BODIES[request.path.rpartition("/")[2]]
        middle = len(body) // 3
        reply = Response(200, (("Content-Type", kind),), (body[:middle], body[middle:]))
        if kind == "text/event-stream":
            reply = replace(reply, body=(), frames=_frames(self.closed))
        self.begun.put_nowait(None)
        headers = {**USUAL, **dict(reply.headers)}
        try:
            response, took = await fault_sender.send(
                request, reply, headers, close=False, faults=chain, sleep=self.sleep, keep=len
            )
        except BaseException as error:
            self.ended.put_nowait(error)
            raise
        self.left_open += self.closed.count(0)
        self.ended.put_nowait(took)
        return response

    async def connect(self) -> Line:
        line = socket.socket()
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", self.port))
        return Line(line)


async def _frames(closed: list[int]) -> AsyncGenerator[bytes]:
    """The events; it notes in `closed` that it has begun (0), and in its place that it has ended (1)."""
    closed.append(0)
    place = len(closed) - 1
    try:
        for event in EVENTS:
            yield event
    finally:
        closed[place] = 1


class Line:
    """A client's connection, without any HTTP library between."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()

    async def ask(self, path: str, method: str = "GET") -> None:
        await self._loop.sock_sendall(self._line, f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())

    async def get(self, path: str, method: str = "GET") -> RecordedValue:
        """Ask, take the answer, and then see whether the connection still carries another one."""
        seen = await self.once(path, method)
        if seen.end == "open":
            try:
                after = await self.once("/fine/json")
            except ConnectionError:
                return replace(seen, end="reset")
            if after.status is None:
                return replace(seen, end=after.end)
            assert BODIES["json"][1] == after.body
        return seen

    async def once(self, path: str, method: str = "GET") -> RecordedValue:
        await self.ask(path, method)
        return await self.answer(method)

    async def answer(self, method: str = "GET") -> RecordedValue:
        """Read until the answer is whole or the connection ends."""
        data, end = b"", "open"
        while end == "open" and not _whole(data, method):
            try:
                piece = await asyncio.wait_for(self._loop.sock_recv(self._line, 65536), 10)
                end = end if piece else "closed"
                data += piece
            except ConnectionResetError:
                end = "reset"
        return _seen(data, end)

    async def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await asyncio.wait_for(self._loop.sock_recv(self._line, size - len(data)), 10)
        return data

    def leave(self) -> None:
        self._line.close()


def _split(data: bytes) -> tuple[list[tuple[str, str]], bytes]:
    head, _, body = data.partition(b"\r\n\r\n")
    lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
    return [(name.lower(), value) for name, _, value in lines], body


def _whole(data: bytes, method: str) -> bool:
    headers, body = _split(data)
    if b"\r\n\r\n" not in data or method == "HEAD":
        return b"\r\n\r\n" in data
    length = dict(headers).get("content-length")
    return len(body) >= int(length) if length else body.endswith(b"\r\n0\r\n\r\n") or body == b"0\r\n\r\n"


def _dechunked(body: bytes) -> bytes:
    """What has arrived of a chunked body."""
    got = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        got, body = got + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return got


def _seen(data: bytes, end: str) -> RecordedValue:
    if not data:
        return RecordedValue(end=end)
    headers, body = _split(data)
    length = dict(headers).get("content-length")
    framing = ("content-type", "content-length", "transfer-encoding")
    return RecordedValue(
        status=int(data[9:12]),
        types=tuple(value for name, value in headers if name == "content-type"),
        promised=int(length) if length else None,
        body=body if length else _dechunked(body),
        end=end,
        others=tuple(sorted(f"{n}: {v}" for n, v in headers if n not in framing)),
    )


def _healthy(name: str) -> RecordedValue:
    kind, body = BODIES[name]
    others = tuple(sorted(f"{header.lower()}: {value}" for header, value in USUAL.items()))
    return RecordedValue(200, (kind,), None if name == "stream" else len(body), body, "open", others)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """A running server, ended with the test."""
    stage = Stage()
    await stage.start()
    yield stage
    await stage.runner.cleanup()


def _cut(end: str, share: float = 0.5, size: int | None = None) -> Callable[[RecordedValue], RecordedValue]:
    """The body cut at a share or a size, under the Content-Length of the whole."""
    return lambda it: replace(it, body=it.body[: int(len(it.body) * share) if size is None else size], end=end)


def _fitting(cut: Callable[[bytes], bytes]) -> Callable[[RecordedValue], RecordedValue]:
    """Another body under a Content-Length that matches."""
    return lambda it: replace(it, body=cut(it.body), promised=len(cut(it.body)))


def _under(*types: str) -> Callable[[RecordedValue], RecordedValue]:
    return lambda it: replace(it, types=types)


def _half_of_the_rest(body: bytes) -> bytes:
    """What a cut in the middle leaves of a body that had lost its last byte before."""
    return body[: (len(body) - 1) // 2]


CASES: Final[list[tuple[Any, Callable[[RecordedValue], RecordedValue]]]] = [
    ("hang_up", lambda it: RecordedValue(end="reset")),
    ({"hang_up": {"after": 0}}, lambda it: RecordedValue(end="reset")),
    ({"hang_up": {"after": 10}}, _cut("reset", size=10)),
    ({"hang_up": {"after": "50%"}}, _cut("reset")),
    ({"hang_up": {"after": "100%"}}, _cut("reset", 1)),
    ("truncate", _cut("closed")),
    ({"truncate": {"after": "12.5%"}}, _cut("closed", 0.125)),
    ({"truncate": {"after": "10", "content_length": True}}, _cut("closed", size=10)),
    ({"truncate": {"after": 0}}, _cut("closed", 0)),
    ({"truncate": {"after": 10**9}}, lambda it: it),
    ({"truncate": {"content_length": False}}, _fitting(lambda body: body[: len(body) // 2])),
    ({"truncate": {"after": 10, "content_length": False}}, _fitting(lambda body: body[:10])),
    ({"truncate": {"after": 10**9, "content_length": False}}, lambda it: it),
    ("slow_body", lambda it: it),
    ({"slow_body": {"chunk": 7, "every": "2s"}}, lambda it: it),
    ("malformed_json", _fitting(lambda body: body[:-1])),
    ("empty_body", _fitting(lambda body: b"")),
    ("wrong_type", _under("text/html")),
    ({"wrong_type": {"content_type": "text/plain; charset=utf-8"}}, _under("text/plain; charset=utf-8")),
    ("duplicate_header", lambda it: replace(it, types=(*it.types, "text/plain"))),
    ({"duplicate_header": {"value": "image/gif"}}, lambda it: replace(it, types=(*it.types, "image/gif"))),
    (
        {"duplicate_header": {"name": "ETag"}},
        lambda it: replace(it, others=tuple(sorted([*it.others, "etag: first", "etag: second"]))),
    ),
    (
        {"duplicate_header": {"name": "server", "value": "us"}},
        lambda it: replace(it, others=tuple(sorted([*it.others, "server: us-2"]))),
    ),
]


@pytest.mark.parametrize("body", ["json", "png"])
@pytest.mark.parametrize(("entry", "change"), CASES, ids=[str(entry) for entry, _ in CASES])
async def test_a_fault_is_the_same_each_time(
    stage: Stage, entry: Any, change: Callable[[RecordedValue], RecordedValue], body: str
) -> None:
    """50 of 50 times the same bytes and the same end; a neighbour with a connection of its own notices nothing."""
    stage.spoiling = [entry]
    neighbour = await stage.connect()
    expected = change(_healthy(body))
    for _ in range(50):
        line = await stage.connect()
        assert expected == await line.get(f"/{body}")
        line.leave()
        assert _healthy("json") == await neighbour.once("/fine/json")
    neighbour.leave()
    assert True is stage.ended.get_nowait()


def _left(*places: int, end: str = "open") -> Callable[[RecordedValue], RecordedValue]:
    """Some of the events, each as it was."""
    return lambda it: replace(it, body=b"".join(EVENTS[place] for place in places), end=end)


def _told(change: Callable[[bytes], bytes]) -> Callable[[RecordedValue], RecordedValue]:
    return lambda it: replace(it, body=change(it.body))


DONE: Final = b"data: [DONE]\n\n"
IN_STREAMS: Final[list[tuple[Any, Callable[[RecordedValue], RecordedValue]]]] = [
    ("hang_up", lambda it: RecordedValue(end="reset")),
    ({"hang_up": {"after": 10}}, _cut("reset", size=10)),
    ({"hang_up": {"after": "50%"}}, _cut("reset")),
    ({"hang_up": {"after": "1 event"}}, _left(0, end="reset")),
    ("truncate", _cut("closed")),
    ({"truncate": {"after": "2 events"}}, _left(0, 1, end="closed")),
    ({"truncate": {"after": "9 events"}}, lambda it: it),
    ({"truncate": {"after": 10**9}}, lambda it: it),
    ({"truncate": {"after": 10, "content_length": False}}, _cut("open", size=10)),
    ({"truncate": {"after": "1 event", "content_length": False}}, _left(0)),
    ("slow_body", lambda it: it),
    ({"slow_body": {"chunk": 7, "every": "2s"}}, lambda it: it),
    ("malformed_json", _told(lambda body: body.replace(b'CCCC"}', b'CCCC"'))),
    ("empty_body", lambda it: replace(it, body=b"", promised=0)),
    ("wrong_type", _under("text/html")),
    ("duplicate_header", lambda it: replace(it, types=(*it.types, "text/plain"))),
    ("duplicate_event", _told(lambda body: body.replace(DONE, EVENTS[2]))),
    ({"duplicate_event": {"event": 1}}, _left(0, 0, 1, 2)),
    ({"duplicate_event": {"event": 3}}, _told(lambda body: body.replace(DONE, EVENTS[2]))),
    ({"duplicate_event": {"event": 4}}, lambda it: it),
    ("missing_final_event", _left(0, 1)),
]


@pytest.mark.parametrize(("entry", "change"), IN_STREAMS, ids=[str(entry) for entry, _ in IN_STREAMS])
async def test_a_fault_in_a_stream_is_the_same_each_time(
    stage: Stage, entry: Any, change: Callable[[RecordedValue], RecordedValue]
) -> None:
    """50 of 50 times the same bytes and the same end, of a chunked body that nobody knows the length of.

    When it has ended, nothing more is being made.
    """
    stage.spoiling = [entry]
    expected = change(_healthy("stream"))
    for _ in range(50):
        line = await stage.connect()
        assert expected == await line.get("/stream")
        line.leave()
    assert True is stage.ended.get_nowait()
    assert (0, entry not in ("empty_body", "hang_up")) == (stage.left_open, 1 in stage.closed)


@pytest.mark.parametrize(
    "entry", ["duplicate_event", {"duplicate_event": {"event": 1}}, "missing_final_event"], ids=str
)
@pytest.mark.parametrize("body", ["json", "png"])
async def test_what_is_no_stream_has_no_events(stage: Stage, entry: Any, body: str) -> None:
    """Faults of events leave any other body as it is, blank lines in it or not."""
    stage.spoiling = [entry]
    line = await stage.connect()
    assert _healthy(body) == await line.get(f"/{body}")
    line.leave()


async def test_any_other_body_is_one_event(stage: Stage) -> None:
    """A position in events means the whole of a body that is no stream, or nothing of it."""
    for events, end, size in (("0 events", "reset", None), ("1 event", "reset", 1.0)):
        stage.spoiling = [{"hang_up": {"after": events}}]
        line = await stage.connect()
        expected = RecordedValue(end=end) if size is None else _cut(end, size)(_healthy("png"))
        assert expected == await line.get("/png")
        line.leave()


@pytest.mark.parametrize(
    "entry",
    [
        "malformed_json", "missing_final_event", "duplicate_event", {"truncate": {"after": "2 events"}},
        {"slow_body": {"chunk": 40}}, {"duplicate_event": {"event": 1}},
    ],
    ids=str,
)  # fmt: skip
async def test_an_event_does_not_wait_for_the_next(entry: Any) -> None:
    """What cannot be the last event passes before the next one is made, whatever the fault is looking for."""
    made: list[int] = []

    async def making() -> AsyncIterator[bytes]:
        for number, event in enumerate(EVENTS):
            made.append(number)
            yield event

    async def sleep(seconds: float) -> None:
        pass

    _, chunks = faults.parse_fault(entry)(Head(200, (("content-type", "Text/Event-Stream"),)), making(), sleep)
    got = b""
    while len(got) < len(EVENTS[0]):
        got += await anext(chunks)
    assert (EVENTS[0], [0]) == (got, made)


@pytest.mark.parametrize("pieces", [1, 3, 1000])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
async def test_events_are_told_by_blank_lines(pieces: int, newline: bytes) -> None:
    """However a stream is cut in pieces, whichever line ends it has, and whatever comments stand between."""
    stream = b": hello\n\nevent: a\ndata: 1\n\n: ping\n\nevent: b\ndata: 2\n\n: bye\n\n".replace(b"\n", newline)
    cut = [stream[start : start + pieces] for start in range(0, len(stream), pieces)]
    head = Head(200, (("Content-Type", "text/event-stream; charset=utf-8"),))
    _, chunks = faults.parse_fault("missing_final_event")(head, _each(cut), _never)
    assert stream.partition(b"event: b")[0] == await _all(chunks)
    _, chunks = faults.parse_fault({"duplicate_event": {"event": 1}})(head, _each(cut), _never)
    once = b"event: a\ndata: 1\n\n".replace(b"\n", newline)
    assert stream.replace(once, once * 2) == await _all(chunks)


@pytest.mark.parametrize("body", ["json", "png", "stream"])
async def test_garbage_is_the_same_each_time(stage: Stage, body: str) -> None:
    """50 of 50 times the same bytes, as many as the answer had, and neither JSON nor a picture."""
    stage.spoiling = ["garbage"]
    line = await stage.connect()
    seen = [await line.get(f"/{body}") for _ in range(50)]
    line.leave()
    assert {replace(_healthy(body), body=seen[0].body)} == set(seen)
    assert len(BODIES[body][1]) == len(seen[0].body)
    with pytest.raises(ValueError, match="decode"):
        json.loads(seen[0].body)
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(seen[0].body))


@pytest.mark.parametrize("after", ["0%", 10, "50%"])
@pytest.mark.parametrize("body", ["json", "png", "stream"])
async def test_stall_ends_when_the_server_stops(stage: Stage, body: str, after: int | str) -> None:
    """50 of 50 clients get the bytes up to the position (at 0 no status line), then silence until the server stops."""
    stage.spoiling = [{"stall": {"after": after}}]
    size = after if isinstance(after, int) else len(BODIES[body][1]) * int(after[:-1]) // 100
    expected = (
        replace(_healthy(body), body=BODIES[body][1][:size], end="closed") if size else RecordedValue(end="closed")
    )
    lines = [await stage.connect() for _ in range(50)]
    for line in lines:
        await line.ask(f"/{body}")
    for _ in lines:
        await stage.begun.get()
    neighbour = await stage.connect()
    assert _healthy("json") == await neighbour.get("/fine/json")
    answers = asyncio.gather(*(line.answer() for line in lines))
    await stage.runner.cleanup()
    assert {expected} == set(await answers)
    for line in [*lines, neighbour]:
        line.leave()


async def _never(seconds: float) -> None:
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("entry", ["stall", {"stall": {"after": "50%"}}, {"slow_body": {"chunk": 1}}], ids=str)
async def test_a_client_may_leave(stage: Stage, entry: Any) -> None:
    """A client that leaves while a fault waits ends the waiting; nothing is raised, and the journal can say so."""
    stage.spoiling, stage.sleep = [entry], _never
    line = await stage.connect()
    await line.ask("/json")
    await stage.begun.get()
    line.leave()
    assert False is await asyncio.wait_for(stage.ended.get(), 10)


async def test_a_stalled_body_is_silent(stage: Stage) -> None:
    """What comes before the position of a stall arrives, and the client's own time-out is what ends the call."""
    stage.spoiling = [{"stall": {"after": 20}}]
    line = await stage.connect()
    await line.ask("/json")
    got = b""
    while len(_split(got)[1]) < 20:
        got += await line.exactly(1)
    assert BODIES["json"][1][:20] == _split(got)[1]
    assert stage.ended.empty()
    line.leave()


@pytest.mark.parametrize("body", ["json", "png"])
@pytest.mark.parametrize(
    ("entries", "change"),
    [
        (["malformed_json", {"truncate": {"content_length": False}}], _fitting(_half_of_the_rest)),
        (["malformed_json", "malformed_json"], _fitting(lambda body: body[:-2])),
        ([{"slow_body": {"chunk": 8}}, "wrong_type", {"hang_up": {"after": 20}}],
         lambda it: _under("text/html")(_cut("reset", size=20)(it))),
        (["truncate", "empty_body"], _fitting(lambda body: b"")),
        (["duplicate_header", "truncate"], lambda it: replace(_cut("closed")(it), types=(*it.types, "text/plain"))),
        (["hang_up", "stall"], None),
        (["stall", "hang_up"], lambda it: RecordedValue(end="reset")),
    ],
    ids=lambda one: str(one) if isinstance(one, list) else "as told",
)  # fmt: skip
async def test_faults_are_chained(
    stage: Stage, entries: list[Any], change: Callable[[RecordedValue], RecordedValue] | None, body: str
) -> None:
    """Each fault meets what those before it have left; the last is the one that the client meets first."""
    stage.spoiling = entries
    line = await stage.connect()
    if change is None:
        await line.ask(f"/{body}")
        await stage.runner.cleanup()
        assert await line.answer() in (
            RecordedValue(end="closed"),
            RecordedValue(end="reset"),
        )  # as Python's version ends connections
    else:
        assert change(_healthy(body)) == await line.get(f"/{body}")
    line.leave()


@pytest.mark.parametrize(("entry", "end"), [({"hang_up": {"after": "50%"}}, "reset"), ("truncate", "closed")])
async def test_large_bodies_are_cut_where_they_should(stage: Stage, entry: Any, end: str) -> None:
    """Of a body that fits in no buffer all bytes before the position arrive, whatever then happens."""
    stage.spoiling = [entry]
    expected = _cut(end)(_healthy("large"))
    assert len(expected.body) > 500_000
    for _ in range(10):
        line = await stage.connect()
        assert expected == await line.get("/large")
        line.leave()


@pytest.mark.parametrize("entry", [*(one for one in FAULTS if one != "stall"), {"stall": {"after": "50%"}}], ids=str)
async def test_head_requests_raise_nothing(stage: Stage, entry: Any) -> None:
    """HEAD has no body to spoil: it gets the head that GET would get, and only a hang-up at 0 ends the connection."""
    stage.spoiling = [entry]
    line = await stage.connect()
    seen = await line.get("/json", "HEAD")
    line.leave()
    assert ("reset" if entry == "hang_up" else "open") == seen.end
    assert b"" == seen.body
    assert True is await stage.ended.get()


async def _each(pieces: Sequence[bytes]) -> Chunks:
    for piece in pieces:
        yield piece


async def _all(chunks: Chunks) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_slow_body_waits_as_told() -> None:
    """Pieces of `chunk` bytes whatever came in, `every` between one and the next, and none before or after."""
    diary: list[float | bytes] = []

    async def sleep(seconds: float) -> None:
        diary.append(seconds)

    slow = faults.parse_fault({"slow_body": {"chunk": 4, "every": "1.5s"}})
    head = Head(200, (("Content-Length", "11"),))
    spoiled, chunks = slow(head, _each([b"a", b"bcdefghi", b"jk"]), sleep)
    async for chunk in chunks:
        diary.append(chunk)  # noqa: PERF401 - both write in it
    assert (head, [b"abcd", 1.5, b"efgh", 1.5, b"ijk"]) == (spoiled, diary)


@pytest.mark.parametrize(
    "pieces", [[b"0123456789"], [b"0123", b"", b"456789"], [bytes([byte]) for byte in b"0123456789"]]
)
@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"truncate": {"after": "50%"}}, b"01234"),
        ({"truncate": {"after": 3}}, b"012"),
        ("malformed_json", b"012345678"),
        ("slow_body", b"0123456789"),
        ("empty_body", b""),
        ("wrong_type", b"0123456789"),
    ],
    ids=str,
)
@pytest.mark.parametrize("length", [(("Content-Length", "10"),), ()], ids=["promised", "unknown"])
async def test_pieces_make_no_difference(
    pieces: list[bytes], entry: Any, expected: bytes, length: tuple[tuple[str, str], ...]
) -> None:
    """A fault does the same however the body is cut in pieces, and where no Content-Length says how long it is.

    Such a body is not only cut short but cut off, as its end could not be told from a whole one's otherwise.
    """
    _, chunks = faults.parse_fault(entry)(Head(200, length), _each(pieces), _never)
    cut = "truncate" in entry and not length
    got: list[bytes] = []
    with pytest.raises(CutOff) if cut else nullcontext():
        async for chunk in chunks:
            got.append(chunk)  # noqa: PERF401 - what came before is what counts
    assert expected == b"".join(got)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b'{"a":[1]}', b'{"a":[1]'), (b'{"a":1} \r\n', b'{"a":1 \r\n'), (b"[]\n", b"[\n"), (b"", b""), (b" ", b"")],
)
async def test_malformed_json_lacks_its_last_brace(body: bytes, expected: bytes) -> None:
    """The closing byte goes, white space behind it stays, and the Content-Length matches."""
    head, chunks = faults.parse_fault("malformed_json")(
        Head(200, (("content-length", str(len(body))),)), _each([body]), _never
    )
    assert (expected, len(expected)) == (await _all(chunks), head.length)


async def test_garbage_does_not_depend_on_pieces() -> None:
    """The noise at a place is always the same, beyond its period too."""
    spoil = faults.parse_fault("garbage")
    whole = await _all(spoil(Head(200, ()), _each([bytes(10_000)]), _never)[1])
    pieces = await _all(spoil(Head(200, ()), _each([bytes(1), bytes(4095), bytes(5904)]), _never)[1])
    assert (10_000, whole) == (len(whole), pieces)


TAKES_AFTER: Final = "expected bytes, such as 100, a share, such as 50%, or events, such as 1 event"
KNOWN: Final = ", ".join(FAULTS)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("hangup", f"unknown fault 'hangup'; known are {KNOWN}; did you mean 'hang_up'?"),
        ({"hang-up": None}, f"unknown fault 'hang-up'; known are {KNOWN}; did you mean 'hang_up'?"),
        ({1: None}, f"unknown fault 1; known are {KNOWN}"),
        (None, f"a fault is None; expected one word of {KNOWN}"),
        (["hang_up"], f"a fault is ['hang_up']; expected one word of {KNOWN}"),
        ({}, f"a fault is {{}}; expected one word of {KNOWN}"),
        ({"stall": None, "hang_up": None},
         f"a fault is {{'stall': None, 'hang_up': None}}; expected one word of {KNOWN}"),
        ({"hang_up": "50%"}, "hang_up is '50%'; expected a mapping of after"),
        ({"hang_up": {"at": 5}}, "hang_up has an unknown parameter 'at'; expected a mapping of after"),
        ({"hang_up": {"after": -1}}, f"hang_up has after: -1; {TAKES_AFTER}"),
        ({"hang_up": {"after": True}}, f"hang_up has after: True; {TAKES_AFTER}"),
        ({"hang_up": {"after": None}}, f"hang_up has after: None; {TAKES_AFTER}"),
        ({"stall": {"after": 0.5}}, f"stall has after: 0.5; {TAKES_AFTER}"),
        ({"stall": {"after": "50 %"}}, f"stall has after: '50 %'; {TAKES_AFTER}"),
        ({"stall": {"after": "50%\n"}}, f"stall has after: '50%\\n'; {TAKES_AFTER}"),
        ({"stall": {"after": "٥%"}}, f"stall has after: '٥%'; {TAKES_AFTER}"),
        ({"truncate": {"after": "101%"}}, f"truncate has after: '101%'; {TAKES_AFTER}"),
        ({"truncate": {"after": "1.5"}}, f"truncate has after: '1.5'; {TAKES_AFTER}"),
        ({"truncate": {"after": 10**400}}, f"truncate has after: {str(10**400)[:60]}; {TAKES_AFTER}"),
        ({"truncate": {"content_length": "no"}}, "truncate has content_length: 'no'; expected true or false"),
        ({"truncate": [50]}, "truncate is [50]; expected a mapping of after, content_length"),
        ({"slow_body": {"chunk": 0}}, "slow_body has chunk: 0; expected bytes, from 1 to 1000000000"),
        ({"slow_body": {"chunk": "1k"}}, "slow_body has chunk: '1k'; expected bytes, from 1 to 1000000000"),
        ({"slow_body": {"every": "soon"}},
         "slow_body has every: 'soon' is no duration; expected one such as 500ms, 2s or 1m"),
        ({"slow_body": {"every": "-1s"}},
         "slow_body has every: '-1s' is no duration; expected one such as 500ms, 2s or 1m"),
        ({"malformed_json": 1}, "malformed_json is 1; it takes no parameters"),
        ({"garbage": {"after": 1}}, "garbage has an unknown parameter 'after'; it takes no parameters"),
        ({"empty_body": {"length": 0}}, "empty_body has an unknown parameter 'length'; it takes no parameters"),
        ({"wrong_type": {"content_type": "html"}},
         "wrong_type has content_type: 'html'; expected a media type, such as text/html"),
        ({"wrong_type": {"content_type": "a/b\r\nX: y"}},
         "wrong_type has content_type: 'a/b\\r\\nX: y'; expected a media type, such as text/html"),
        ({"duplicate_header": {"name": "a b"}},
         "duplicate_header has name: 'a b'; expected a header's name, such as Content-Type"),
        ({"duplicate_header": {"name": "content-length"}},
         "duplicate_header has name: 'content-length'; expected one that does not say where the body ends"),
        ({"duplicate_header": {"value": "a\nb"}}, "duplicate_header has value: 'a\\nb'; expected a text of one line"),
        ({"duplicate_header": {"value": 5}}, "duplicate_header has value: 5; expected a text of one line"),
        ({"stall": {"after": "1 picture"}}, f"stall has after: '1 picture'; {TAKES_AFTER}"),
        ({"stall": {"after": "-1 events"}}, f"stall has after: '-1 events'; {TAKES_AFTER}"),
        ({"duplicate_event": {"event": 0}},
         "duplicate_event has event: 0; expected a number from 1 to 1000, or last"),
        ({"duplicate_event": {"event": "first"}},
         "duplicate_event has event: 'first'; expected a number from 1 to 1000, or last"),
        ({"duplicate_event": {"event": True}},
         "duplicate_event has event: True; expected a number from 1 to 1000, or last"),
        ({"missing_final_event": {"event": 1}},
         "missing_final_event has an unknown parameter 'event'; it takes no parameters"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(entry: Any, line: str) -> None:
    """One line says what was read, what was expected and the known words."""
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        faults.parse_fault(entry)


@pytest.mark.parametrize("word", FAULTS)
def test_a_bare_word_is_enough(word: str) -> None:
    """A word alone, a word with nothing behind it, and one with an empty mapping mean the same."""
    assert faults.parse_fault(word) == faults.parse_fault({word: None}) == faults.parse_fault({word: {}})


def test_each_fault_has_its_file() -> None:
    """The folder and the table say the same."""
    files = {path.stem for path in Path(faults.__file__).parent.glob("*.py")}
    files -= {"__init__", "head", "stream_events", "parameters"}
    assert files == set(FAULTS)
