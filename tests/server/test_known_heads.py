"""A request whose head came before is answered while it is received, with the same bytes and the same journal."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, RawRequestMessage
from hypothesis import given
from hypothesis import strategies as st

from emulator.server import listener
from emulator.server.app import App
from emulator.server.connection import HttpConnection, HttpServer
from emulator.server.known_heads import KnownHead, learn_head
from emulator.server.send_limits import SendLimits
from emulator.session.store import InMemoryStore, StoreLimits
from emulator.settings import Settings
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.server.test_calls_under_way import play, wait_for_calls
from tests.session.serialising_store import SerialisingStore

HEAD = (
    "POST /{}/images/generations HTTP/1.1",
    "Host: 127.0.0.1",
    "Authorization: Bearer sk-test",
    "Content-Type: application/json",
)
URL = {"model": "dall-e-3", "prompt": "A cat", "size": "1024x1024"}
STREAM = {"model": "gpt-image-2", "prompt": "A cat", "stream": True, "partial_images": 1}
FROZEN = "frozen:2026-01-01T00:00:00Z"
Serve = Callable[..., Served]


def build_request(body: Any = URL, *lines: str, base: str = "ezmodel/v1", name: str = "Content-Length") -> bytes:
    """Return a request with a JSON body."""
    data = json.dumps(body).encode()
    head = "\r\n".join([*HEAD, *lines, f"{name}: {len(data)}", "Accept: */*", "", ""])
    return head.replace("{}", base).encode() + data


def parse_head(data: bytes) -> RawRequestMessage:
    """Return what a parser says of the head of a request."""
    loop = asyncio.new_event_loop()
    parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16)
    messages, _, _ = parser.feed_data(data[: data.find(b"\r\n\r\n") + 4])
    loop.close()
    message: RawRequestMessage = messages[0][0]
    return message


class Connection:
    """A connection on which requests are sent one after the other."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._socket = socket.create_connection(("127.0.0.1", served.port), 10)
        self._rest = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, *pieces: bytes) -> bytes:
        """Send the pieces, each by itself; return the answer as it came, when the server is ready for the next one."""
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            self._socket.sendall(piece)
        answer = self.read_answer()
        self._served.run_ready_tasks()
        return answer

    def read_answer(self) -> bytes:
        """Return one answer as it came."""
        while b"\r\n\r\n" not in self._rest:
            self._rest += self._receive()
        head, _, body = self._rest.partition(b"\r\n\r\n")
        self._rest = b""
        if b"transfer-encoding: chunked" in head.lower():
            while not body.endswith(b"0\r\n\r\n"):
                body += self._receive()
            return head + body
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._receive()
        self._rest = body[length:]
        return head + body[:length]

    def _receive(self) -> bytes:
        data = self._socket.recv(2**20)
        assert data
        return data


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bodies that were answered while they were received."""
    bodies: list[bytes] = []
    answer = HttpConnection._answer_at_once

    def count(self: HttpConnection, message: RawRequestMessage, data: bytes) -> None:
        bodies.append(data)
        answer(self, message, data)

    monkeypatch.setattr(HttpConnection, "_answer_at_once", count)
    return bodies


REQUESTS = {
    "the same again": [build_request()] * 6,
    "two by turns": [build_request(), build_request({**URL, "prompt": "A dog"})] * 5,
    "prompts of all lengths": [build_request({**URL, "prompt": "x" * length}) for length in (1, 2, 30, 99, 3000)],
    "refused": [build_request({**URL, "size": "17x17"})] * 6,
    "refused at a gateway whose messages have the id": [build_request({**URL, "n": 3}, base="geeknow/v1")] * 6,
    "more than are remembered": [build_request({**URL, "prompt": f"Cat {number}"}) for number in range(20)] * 3,
    "with a finding": [build_request({**URL, "user": 1, "promt": "x"}, base="aiai/v1")] * 6,
    "reserved": [build_request({**URL, "prompt": "A cat [[rate-limit]]"})] * 6,
    "refused with the prompt in the message": [build_request({**URL, "prompt": 5 * length}) for length in (1, 2, 3)],
    "Base64": [build_request({**URL, "response_format": "b64_json", "model": "dall-e-2", "size": "256x256"})] * 3,
    "all of them": [
        build_request(),
        build_request({**URL, "size": "17x17"}),
        build_request({"model": "gpt-image-1", "prompt": "A boat", "size": "1024x1024"}),
        build_request({"model": "gpt-image-1", "prompt": "A boat", "stream": True}),
        build_request(),
        build_request({**URL, "prompt": "again [[rate-limit]]"}),
        build_request([1]),
        build_request({**URL, "prompt": "x" * 70_000}),
        build_request({**URL, "n": 1}),
    ],
    "names of other spelling": [build_request(name="content-length")] * 3,
    "another head between": [build_request(), build_request(URL, "X-Case: 1"), build_request(), build_request()],
    "a header twice": [build_request(URL, "X-Case: 1", "x-case: 2")] * 3,
    "streams": [build_request({**STREAM, "prompt": text}, base="openai/v1") for text in ("A", "A", "B")],
    "another base": [build_request(base="ezmodel/v1"), build_request(base="geeknow/v1")] * 2,
    "no JSON": [build_request()[:-1] + b"{"] * 3,
    "an unknown path": [build_request(base="openai/v9")] * 3,
}  # fmt: skip


def ask_all(served: Served, requests: list[bytes]) -> tuple[list[bytes], list[dict[str, Any]]]:
    """Send requests on one connection; return the answers and the journal."""
    with Connection(served) as connection:
        answers = [connection.ask(request) for request in requests]
    return answers, served.calls()


@pytest.mark.parametrize("behavior", ["documented", "observed"])
@pytest.mark.parametrize("requests", REQUESTS.values(), ids=REQUESTS)
def test_both_ways_answer_the_same(
    behavior: str, requests: list[bytes], serve: Serve, monkeypatch: pytest.MonkeyPatch, counted: list[bytes]
) -> None:
    """To the byte, and in the journal, but for the times of the real clock."""
    usual = serve(clock=FROZEN, behavior=behavior)
    with monkeypatch.context() as patch:
        patch.setattr(HttpConnection, "learns_heads", False)
        expected, expected_calls = ask_all(usual, requests)
        assert not counted
    at_once = serve(clock=FROZEN, behavior=behavior)
    answers, calls = ask_all(at_once, requests)
    assert expected == answers
    assert json.dumps(expected_calls) == json.dumps(calls)


SCENARIOS: dict[str, Any] = {
    "turns": {"rules": [{"when": {"turn": {"at_least": 3, "at_most": 5}}, "answers": {"refuse": "overloaded"}}]},
    "chance": {"rules": [{"chance": 0.5, "answers": {"refuse": "server_error"}}]},
    "a sequence": {
        "rules": [
            {"when": {"prompt": {"contains": "dog"}}, "answers": {"refuse": "moderation"}},
            {
                "when": {"size": "1024x1024"},
                "answers": [{"refuse": "rate_limit", "times": 3}, {"draw": {}, "times": 2}, {"draw": {"created": 7}}],
                "then": "cycle",
            },
        ]
    },
    "an end": {"rules": [{"answers": [{"draw": {}, "times": 4}], "then": "refuse"}]},
    "the next rule": {
        "rules": [{"answers": [{"draw": {}, "times": 4}], "then": "next"}, {"answers": {"refuse": "quota"}}]
    },
    "latency": {"rules": [{"answers": {"latency": "2s", "headers": {"x-case": "slow"}}}]},
    "realistic latency": {"rules": [{"answers": {"latency": "realistic"}}]},
    "headers": {"rules": [{"when": {"headers": {"accept": "*/*"}}, "answers": {"headers": {"x-case": "1"}}}]},
    "faults": {"rules": [{"answers": [{"draw": {}, "times": 4}, {"faults": ["malformed_json"]}]}]},
    "canned": {"rules": [{"answers": {"canned": {"status": 504, "text": "Late", "content_type": "text/plain"}}}]},
    "limits": {"limits": {"requests_per_minute": 4}, "rules": []},
    "images": {"limits": {"images": 3}, "rules": []},
    "money": {"limits": {"cost": 0.2}, "rules": []},
    "channels": {"channels": ["other"], "rules": [{"answers": {"headers": {"x-case": "1"}}}]},
}


@pytest.mark.parametrize("body", [URL, {**URL, "size": "17x17"}], ids=["accepted", "refused"])
@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_both_ways_play_the_same(
    scenario: Any, body: Any, serve: Serve, monkeypatch: pytest.MonkeyPatch, counted: list[bytes]
) -> None:
    """A scenario sees a call that comes again as it sees any other."""
    requests = [build_request(body, base="s/case/ezmodel/v1")] * 9
    found = []
    for learns in (False, True):
        monkeypatch.setattr(HttpConnection, "learns_heads", learns)
        served = serve(clock=FROZEN)
        play(served, scenario)
        answers, _ = ask_all(served, requests)
        journal = json.dumps(served.calls("case"))
        found.append((answers, journal))
    assert found[0] == found[1]
    assert counted or "x-case" in journal  # an answer with headers of its own is sent in the usual way


@pytest.mark.parametrize(("case", "count"), [
    ("the same again", 5),
    ("prompts of all lengths", 4),
    ("refused", 5),
    ("names of other spelling", 2),
    ("no JSON", 2),
    ("another head between", 1),
    ("another base", 0),
    ("Base64", 2),
])  # fmt: skip
def test_requests_with_a_known_head_are_answered_at_once(
    case: str, count: int, serve: Serve, counted: list[bytes]
) -> None:
    ask_all(serve(), REQUESTS[case])
    assert len(counted) == count


class Wire(asyncio.Transport):
    """Takes what a connection writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        """Do nothing: there is no socket."""


async def feed_pieces(app: App, pieces: list[bytes]) -> bytes:
    """Let a connection receive pieces, each by itself; return its answers."""
    server = HttpServer(app.handle, app.send_limits, access_log=None)
    connection, wire = server(), Wire()
    connection.connection_made(wire)
    for piece in (*pieces, None):
        for _ in range(20):  # until the connection waits for the next bytes
            await asyncio.sleep(0)
        if piece is not None:
            connection.data_received(piece)
    connection.connection_lost(None)
    await server.shutdown(0)
    return wire.written


REFUSES = {"rules": [{"answers": {"refuse": "rate_limit"}}]}


def test_what_a_session_begins_to_play_counts_from_the_next_call_on(serve: Serve) -> None:
    """Also for a call that came so often that its answer is known; and so does everything else that may change."""
    served = serve(clock=FROZEN)
    with Connection(served) as connection:

        def ask() -> int:
            return int(connection.ask(FAST).split()[1])

        assert [ask() for _ in range(5)] == [200] * 5
        play(served, REFUSES)
        assert [ask() for _ in range(3)] == [429] * 3
        httpx.delete(f"{served.url}/_emulator/sessions/case/scenario").raise_for_status()
        assert [ask() for _ in range(3)] == [200] * 3
        httpx.post(f"{served.url}/_emulator/sessions/case/reset", json={}).raise_for_status()
        assert [ask() for _ in range(3)] == [200] * 3
        assert [call["number"] for call in served.calls("case")] == [1, 2, 3]
        httpx.post(f"{served.url}/_emulator/clock", json={"advance": "1h"}).raise_for_status()
        assert b"Thu, 01 Jan 2026 01:00:0" in connection.ask(FAST)


def test_a_scenario_of_the_server_that_changes_counts_from_the_next_call_on(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "usual.yaml"
    file.write_text("scenario: usual\nrules: []\n")
    served = serve(scenario=str(file))
    with Connection(served) as connection:
        assert {connection.ask(FAST)[9:12] for _ in range(6)} == {b"200"}
        file.write_text("scenario: usual\nrules: [{answers: {refuse: rate_limit}}]\n")
        os.utime(file, (1, 1))
        while connection.ask(FAST)[9:12] != b"429":
            pass


@pytest.mark.parametrize(("cut", "at_once"), [(1, 0), (40, 0), (-62, 0), (-61, 1), (-20, 1), (-1, 1)])
async def test_a_request_in_pieces_takes_the_usual_way(cut: int, at_once: int, counted: list[bytes]) -> None:
    """Wherever it is cut; the next whole one is answered at once if the pieces were cut in the body."""
    app, request = App(Settings(clock=FROZEN, port=0)), build_request()
    written = await feed_pieces(app, [request, request[:cut], request[cut:], request[:cut], request[cut:], request])
    assert written.count(b"HTTP/1.1 200 OK") == 4
    assert len(counted) == at_once


def test_pipelined_requests_are_answered_in_their_order(serve: Serve) -> None:
    requests = [build_request({**URL, "prompt": f"Cat {number}"}) for number in range(3)]
    served = serve()
    with Connection(served) as connection:
        connection.ask(build_request())
        connection.ask(build_request())
        connection.ask(b"".join(requests))
        connection.read_answer()
        connection.read_answer()
        connection.ask(build_request({**URL, "prompt": "The last"}))
    prompts = [call["given"]["prompt"] for call in served.calls()]
    assert prompts == ["A cat", "A cat", "Cat 0", "Cat 1", "Cat 2", "The last"]


def play_with_latency(served: Served) -> None:
    play(served, {"rules": [{"when": {"prompt": "slow"}, "answers": {"latency": "10m"}}]})


SLOW = build_request({**URL, "prompt": "slow"}, base="s/case/ezmodel/v1")
FAST = build_request(base="s/case/ezmodel/v1")


def test_an_answer_that_waits_is_completed(serve: Serve, counted: list[bytes]) -> None:
    """The connection goes on afterwards; the clock is moved meanwhile."""
    served = serve(clock="scale:0.0001")
    play_with_latency(served)
    with Connection(served) as connection:
        for request in (FAST, FAST, SLOW, FAST, SLOW):
            assert connection.ask(request).startswith(b"HTTP/1.1 200 ")
    assert len(counted) == 4
    assert [call["latency"] for call in served.calls("case")] == [None, None, 600, None, 600]


@pytest.mark.parametrize("behind", [b"", FAST, FAST[:50]], ids=["nothing", "a request", "a part of one"])
def test_a_client_that_leaves_before_its_answer_is_noticed(behind: bytes, serve: Serve, counted: list[bytes]) -> None:
    served = serve()
    play_with_latency(served)
    with Connection(served) as connection:
        connection.ask(FAST)
        connection._socket.sendall(SLOW)
        wait_for_calls(served, "under_way")
        connection._socket.sendall(behind)
    (call,) = wait_for_calls(served, "client_gone")
    assert (call["given"]["prompt"], call["status"]) == ("slow", None)
    assert len(counted) == 1


def test_a_stopping_server_breaks_off_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "_SHUTDOWN", 0.01)
    served = Served()
    play_with_latency(served)
    with Connection(served) as connection:
        connection.ask(FAST)
        connection._socket.sendall(SLOW)
        wait_for_calls(served, "under_way")
        served.stop()
    assert served.app.unanswered == 1


def test_a_bug_is_answered_and_the_connection_lives_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, counted: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()
    with Connection(served) as connection:
        connection.ask(build_request())
        with monkeypatch.context() as patch:
            patch.setattr(served.app._addresses, "find", None)
            assert connection.ask(build_request()).startswith(b"HTTP/1.1 500 ")
        assert connection.ask(build_request()).startswith(b"HTTP/1.1 200 ")
    assert counted
    assert "failed" in caplog.text


@pytest.mark.parametrize(
    ("error", "status"), [(OSError(errno.EMFILE, "no files"), b"503"), (ZeroDivisionError("a bug"), b"500")]
)
def test_what_the_gateway_has_not_said_is_not_remembered(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, error: Exception, status: bytes
) -> None:
    """A lack of files passes, and a bug of ours may: the same call is judged again the next time."""
    served = serve()

    def fail(*_: object) -> None:
        raise error

    with Connection(served) as connection:
        connection.ask(build_request({**URL, "prompt": "Another"}))
        with monkeypatch.context() as patch:
            patch.setattr(RequestValidator, "validate", fail)
            for _ in range(3):
                assert connection.ask(build_request()).startswith(b"HTTP/1.1 " + status)
        assert connection.ask(build_request()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("request_bytes", [
    build_request(URL, "Expect: 100-continue"),
    build_request(URL, "Connection: close"),
    build_request(URL, "Connection: Upgrade", "Upgrade: websocket"),
    build_request(URL, "Content-Encoding: gzip"),
    build_request(URL, "X-Long: " + "x" * 5000),
    build_request().replace(b"POST", b"PUT"),
    build_request().replace(b"HTTP/1.1", b"HTTP/1.0"),
    build_request(URL, "Transfer-Encoding: chunked").replace(b"Content-Length", b"X-Length"),
])  # fmt: skip
def test_other_requests_are_not_learnt(request_bytes: bytes) -> None:
    assert learn_head(request_bytes, parse_head(request_bytes)) is None


def learn(data: bytes) -> KnownHead:
    known = learn_head(data, parse_head(data))
    assert known is not None
    return known


@pytest.mark.parametrize(("old", "new"), [
    (b"Content-Length: 61", b"Content-Length: 061"),
    (b"Content-Length: 61", b"Content-Length: +61"),
    (b"Content-Length: 61", b"Content-Length: 6 1"),
    (b"Content-Length: 61", b"Content-Length: 61 "),
    (b"Content-Length: 61", b"Content-Length: "),
    (b"Content-Length: 61", b"Content-Length: 60"),
    (b"Content-Length: 61", b"Content-Length: 62"),
    (b"Content-Length: 61", b"Content-Length: 1e9"),
    (b"Content-Length: 61", b"Content-Length: 61\r\nX: y"),
    (b"Content-Length: 61", b"Content-Length:61"),
    (b"Content-Length", b"content-Length"),
    (b"sk-test", b"sk-tesT"),
    (b"Accept: */*\r\n\r\n", b"Accept: */*\r\n"),
    (b"\r\nAccept", b"\nAccept"),
    (b"}", b"} "),
    (b"}", b""),
])  # fmt: skip
def test_any_other_head_is_parsed(old: bytes, new: bytes) -> None:
    request = build_request()
    assert b"Content-Length: 61" in request
    known = learn(request)
    assert known.match(request) is not None
    assert known.match(request.replace(old, new)) is None
    assert known.match(request) is not None


@given(body=st.binary(min_size=1, max_size=2000), name=st.sampled_from(["Content-Length", "content-length"]))
def test_what_is_matched_is_what_a_parser_reads(body: bytes, name: str) -> None:
    """The head with another length, and the body, in whatever it consists."""
    known = learn(build_request(name=name))
    head = build_request(name=name).partition(b"\r\n\r\n")[0].replace(b": 61", b": %d" % len(body))
    found = known.match(head + b"\r\n\r\n" + body)
    assert found is not None
    message, data = found
    expected = parse_head(head + b"\r\n\r\n")
    assert data == body
    assert list(message.headers.items()) == list(expected.headers.items())
    assert message.raw_headers == expected.raw_headers
    assert (message.path, message.version, message.method) == (expected.path, expected.version, expected.method)


def test_lengths_of_varied_bodies_are_in_the_journal(serve: Serve) -> None:
    served = serve()
    requests = REQUESTS["prompts of all lengths"]
    _, calls = ask_all(served, requests)
    lengths = [str(len(request.partition(b"\r\n\r\n")[2])) for request in requests]
    assert [call["headers"]["Content-Length"] for call in calls] == lengths


LIMITS = StoreLimits(calls=100, bytes=10**8, sessions=100, age=10**6)
ADMIN = (
    b"POST /_emulator/sessions/other/reset HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
)


def test_no_head_of_an_earlier_request_is_learnt(serve: Serve, counted: list[bytes]) -> None:
    """The earlier one was answered in another way."""
    with Connection(serve()) as connection:
        for request in (FAST, ADMIN, FAST, FAST, ADMIN, FAST, ADMIN):
            assert connection.ask(request).startswith(b"HTTP/1.1 2")
    assert counted
    assert b"{}" not in counted


class SlowStore(InMemoryStore):
    """A store that begins a call after some turns of the event loop."""

    async def begin_call(self, session: str, now: float) -> int:
        for _ in range(10):
            await asyncio.sleep(0)
        return await super().begin_call(session, now)


async def test_no_head_of_a_later_request_is_learnt(counted: list[bytes]) -> None:
    """The later one comes while a call waits for its answer."""
    server = HttpServer(App(Settings(port=0), store=SlowStore(LIMITS)).handle, SendLimits(10**6, 60), access_log=None)
    connection, wire = server(), Wire()
    connection.connection_made(wire)
    for piece, turns in ((b"", 5), (FAST, 5), (ADMIN, 50), (ADMIN, 50)):
        if piece:
            connection.data_received(piece)
        for _ in range(turns):
            await asyncio.sleep(0)
    connection.connection_lost(None)
    await server.shutdown(0)
    assert wire.written.count(b"HTTP/1.1 20") == 3
    assert not counted


async def test_no_head_of_a_request_just_answered_is_learnt(counted: list[bytes]) -> None:
    """The next one comes before the connection's task has noticed that the earlier one is answered."""
    app = App(Settings(port=0))
    server, wire = HttpServer(app.handle, app.send_limits, access_log=None), Wire()
    connection = server()
    connection.connection_made(wire)
    for piece in (ADMIN, FAST, ADMIN, ADMIN):
        written = wire.written
        connection.data_received(piece)
        for _ in range(50):
            if wire.written != written:
                break
            await asyncio.sleep(0)
    assert wire.written.count(b"HTTP/1.1 20") == 4
    connection.connection_lost(None)
    await server.shutdown(0)
    assert not counted


async def test_empty_lines_before_a_request_hide_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that ends behind them is not taken for the beginning of the next head."""
    request = build_request({**URL, "prompt": "x" * 600})
    length = request.find(b"\r\n\r\n") + 4
    head, body = request[:length], request[length:]
    begin, end = body[:-length], body[-length:]
    pieces = [b"\r\n\r\n" + head, begin, end + FAST, end + FAST, FAST]
    written = []
    for learns in (False, True):
        monkeypatch.setattr(HttpConnection, "learns_heads", learns)
        written.append(await feed_pieces(App(Settings(clock=FROZEN, port=0)), pieces))
    assert written[0] == written[1]
    assert written[0].count(b"HTTP/1.1 200 OK") == 2
    assert written[0].count(b" 400 Bad Request") == 1


def find_verdicts(served: Served, session: str) -> list[tuple[int, str, bool]]:
    """Return status and verdict of a session's calls, and whether they had a price."""
    return [(call["status"], call["verdict"], call["cost"] is not None) for call in served.calls(session)]


def test_a_call_that_came_before_is_passed_on_when_its_session_forwards(serve: Serve, counted: list[bytes]) -> None:
    upstream = serve()
    served = serve(upstream=(f"ezmodel={upstream.base('ezmodel')}",))
    with Connection(served) as connection:
        for _ in range(3):
            connection.ask(FAST)
        play(served, {"rules": [{"answers": "forward"}]})
        assert {connection.ask(FAST)[9:12] for _ in range(2)} == {b"200"}
    assert len(counted) >= 3
    assert find_verdicts(served, "case") == [(200, "drawn", False)] * 3 + [(200, "forwarded", True)] * 2
    assert len(upstream.calls()) == 2


def test_a_call_with_a_known_head_is_recorded_and_replayed(serve: Serve, tmp_path: Path, counted: list[bytes]) -> None:
    """Where a whole server records, a head is known from what no upstream is asked about."""
    upstream = serve()
    address = (f"ezmodel={upstream.base('ezmodel')}",)
    folder, broken = tmp_path / "calls", FAST[:-1] + b"{"
    served = serve(upstream=address, record=str(folder), record_mode="new_episodes", max_spend=0.06)
    with Connection(served) as connection:
        answers = [connection.ask(request)[9:12] for request in (broken, FAST, broken, FAST)]
    assert answers == [b"400", b"200", b"400", b"400"]
    assert counted == [FAST[-61:], broken[-61:], FAST[-61:]]
    assert find_verdicts(served, "case")[1] == (200, "recorded", True)
    assert served.calls("case")[3]["refused"]["breach"] == "max_spend"
    served = serve(record=str(folder), record_mode="none")
    with Connection(served) as connection:
        assert [connection.ask(request)[9:12] for request in (broken, FAST)] == [b"400", b"200"]
    assert len(counted) == 4
    assert find_verdicts(served, "case")[1] == (200, "replayed", False)


class FarStore(SerialisingStore):
    """A store that is asked with a time limit, as clients of stores on another machine do."""

    async def begin_call(self, session: str, now: float) -> int:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        return await super().begin_call(session, now)


def test_a_shared_store_may_have_time_limits(counted: list[bytes]) -> None:
    served = Served(store=FarStore(LIMITS))
    answers, calls = ask_all(served, [build_request()] * 5)
    served.stop()
    assert counted
    assert [answer[9:12] for answer in answers] == [b"200"] * 5
    assert [call["number"] for call in calls] == [1, 2, 3, 4, 5]


def test_no_session_has_the_name_of_what_has_become_a_key(serve: Serve) -> None:
    served = serve()
    named = build_request(base="s/case-1234567/ezmodel/v1")
    with Connection(served) as connection:
        assert {connection.ask(named)[9:12] for _ in range(4)} == {b"200"}
        served.generate("ezmodel", URL, "case-1234567")
        assert {connection.ask(named)[9:12] for _ in range(3)} == {b"400"}
    assert [call["session"] for call in served.calls("default")] == ["default"] * 3
