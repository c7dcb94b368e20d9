"""What hostile and clumsy clients send, through a real server: bodies, heads, names, tokens, pages, and their keys.

Whatever comes, the answer is no 5xx, it wears the gateway's envelope, nothing hangs, no traceback shows, and the next
caller is served as ever. The one exception: what the HTTP parser itself refuses is a plain 400.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import socket
import ssl
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from aiohttp.http_exceptions import HttpProcessingError

import emulator
from emulator.gateway.gateway import GENERATE_LIMIT
from emulator.image.link import PictureLink, format_token, parse_token, seal_text
from emulator.image.recipe import ImageRecipe
from tests.conftest import CA, OVER_TLS, Served
from tests.json_suite import read_suite
from tests.paths import TESTS

DATA: Final = TESTS / "data"
NAUGHTY: Final[list[str]] = json.loads((DATA / "blns.json").read_text("utf-8"))
PATH: Final = "/ezmodel/v1/images/generations"
PATIENCE: Final = 5.0  # seconds; whatever takes longer hangs
GOOD: Final = b'{"prompt":"x"}'
Serve = Callable[..., Served]


@dataclass(frozen=True)
class Answer:
    """One HTTP response as it came: header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The envelope's inside; fails unless the body is an envelope and nothing else."""
        assert "application/json" == self.headers["content-type"]
        whole = json.loads(self.body)
        assert ["error"] == list(whole)
        assert ["message", "type", "param", "code"] == list(whole["error"])
        assert isinstance(whole["error"]["message"], str)
        assert isinstance(whole["error"]["type"], str)
        error: dict[str, Any] = whole["error"]
        return error


class Line:
    """A connection on which any bytes can be sent; one that waits longer than PATIENCE fails the test."""

    def __init__(self, served: Served) -> None:
        self._socket = socket.create_connection(("127.0.0.1", served.port), PATIENCE)
        if OVER_TLS:
            self._socket = ssl.create_default_context(cafile=CA).wrap_socket(self._socket, server_hostname="localhost")
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def finish(self) -> None:
        """Say that nothing more will be sent, and keep listening."""
        with socket.socket(fileno=os.dup(self._socket.fileno())) as plain, contextlib.suppress(OSError):
            plain.shutdown(socket.SHUT_WR)  # the server may have closed already; TLS would end for reading too

    def reset(self) -> None:
        """Break the connection off with a RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.__exit__()

    def interim(self) -> None:
        """Read the one line and the empty one of `100 Continue`."""
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == self._file.readline() + self._file.readline()

    def closed(self) -> bool:
        """Whether the server closes the connection without another byte."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def answer(self, method: str = "POST") -> Answer:
        """The next response; interim ones (1xx) are passed over."""
        while True:
            status = int(self._file.readline().split()[1])
            headers = {}
            while line := self._file.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            if status >= 200:
                break
        bare = method == "HEAD" or status in (204, 304)
        return Answer(status, headers, b"" if bare else self._file.read(int(headers["content-length"])))


def head(
    *extra: bytes, start: bytes = b"POST " + PATH.encode() + b" HTTP/1.1", key: bytes = b"sk-hostile-tests"
) -> bytes:
    """A request's head: `extra` lines stand beside the usual ones and replace those of the same name."""
    lines = [b"Host: localhost", b"Authorization: Bearer " + key, b"Content-Type: application/json", *extra]
    named = {line.partition(b":")[0].lower(): line for line in lines}
    return b"\r\n".join([start, *named.values(), b"", b""])


def post(body: bytes = GOOD, *extra: bytes, **options: bytes) -> bytes:
    """A whole request."""
    return head(b"Content-Length: %d" % len(body), *extra, **options) + body


def tell(served: Served, *pieces: bytes, method: str = "POST") -> Answer:
    """The answer to a request on a connection of its own."""
    with Line(served) as line:
        for piece in pieces:
            line.send(piece)
        return line.answer(method)


def get(path: bytes, *extra: bytes, method: bytes = b"GET") -> bytes:
    return head(*extra, start=method + b" " + path + b" HTTP/1.1")


def refused(answer: Answer, status: int = 400) -> dict[str, Any]:
    """The error of a refusal; fails if `answer` is none, or has no request id."""
    assert (status, True) == (answer.status, answer.headers.get("x-request-id", "").startswith("req_"))
    return answer.error


def key_bytes(key: str) -> dict[str, bytes]:
    return {"key": key.encode()}


@pytest.fixture(autouse=True)
def unharmed(server: Served, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """After every test: the server answers a good call, and no log shows a traceback or a forgotten task."""
    yield
    assert 200 == tell(server, post(key=b"sk-a-good-neighbour")).status
    for record in caplog.get_records("call"):
        if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
            continue  # test_what_the_parser_refuses_is_one_line is about these
        text = record.getMessage()
        told = [word for word in ("Traceback", "never retrieved", "Unclosed") if word in text]
        assert (False, []) == (bool(record.exc_info), told), text


@pytest.fixture
def client(server: Served, key: str) -> Iterator[httpx.Client]:
    """A client of the default gateway whose connection is kept."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=PATIENCE) as client:
        yield client


def seen(response: httpx.Response) -> Answer:
    return Answer(response.status_code, dict(response.headers), response.content)


# --- JSON ---


def test_the_suite_raw(server: Served, client: httpx.Client, key: str) -> None:
    """What is no JSON is a 400 that says so; what is JSON is judged by the contract."""
    for name, body in read_suite("").items():
        error = refused(seen(client.post(PATH, content=body)))
        unparsed = error["message"].startswith("We could not parse the JSON body")
        if name.startswith(("n_", "y_")):
            assert (name, name.startswith("n_")) == (name, unparsed)
    violations = {call["refused"]["breach"] for call in server.calls() if call["session"].startswith("key-")}
    assert {"bad_json", "missing", "not_an_object"} >= violations


def test_the_suite_spliced(client: httpx.Client) -> None:
    """The same files as the value of one more parameter of a good request."""
    for name, body in read_suite("").items():
        answer = seen(client.post(PATH, content=b'{"prompt":"x","extra":' + body + b"}"))
        if name.startswith("y_") or (name[:2] != "n_" and answer.status == 200):
            assert (name, 200, "unknown_parameter" in answer.headers["x-emulator-finding"]) == (
                name,
                answer.status,
                True,
            )
        else:
            assert (name, None, True) == (name, refused(answer)["code"], "parse" in answer.error["message"])


@pytest.mark.parametrize("gateway", ["aiai", "geekai", "geeknow"])
def test_every_gateway_has_the_same_door(server: Served, gateway: str) -> None:
    """A body that is no JSON is refused in the envelope wherever it is sent."""
    url = f"{server.base(gateway)}/images/generations"
    for body in (b"", b"{", b"[1,]", b'{"model":NaN}', b"\xff", b"[" * 5000, b"9" * 5000, rb'{"prompt":"\ud800"}'):
        refused(
            seen(
                httpx.post(
                    url, content=body, headers={"authorization": "Bearer k1", "content-type": "application/json"}
                )
            )
        )


# --- prompts ---


def like_a_key(text: str) -> bool:
    return any(
        word in text.lower() for word in ("sk-", "key-", "bearer ", "password=", "secret=", "token=", "api_key=")
    )


def test_naughty_strings_as_prompts(serve: Serve) -> None:
    """All are answered with a picture and journalled unchanged; the empty one is refused in words."""
    served = serve()
    assert 515 == len(NAUGHTY)
    size = "256x256"
    with httpx.Client(
        base_url=served.url, headers={"authorization": "Bearer a-key-of-mine"}, timeout=PATIENCE
    ) as client:
        for number, prompt in enumerate(NAUGHTY):
            body = {"model": "m", "prompt": prompt, "size": size, "response_format": "b64_json"}
            answer = seen(client.post(f"{PATH.replace('ezmodel', 'geeknow')}", json=body))
            if not prompt:
                assert "empty_string" == refused(answer)["code"]
                continue
            assert (number, 200) == (number, answer.status), prompt
            if number % 25 == 0:
                picture = emulator.inspect(base64.b64decode(json.loads(answer.body)["data"][0]["b64_json"]))
                assert ("png", 256, 256, True) == (picture.format, picture.width, picture.height, picture.whole)
    kept = [call["given"]["prompt"] for call in served.calls()]
    assert 515 == len(kept)
    changed = [(sent, told) for sent, told in zip(NAUGHTY, kept, strict=True) if sent != told and not like_a_key(sent)]
    assert [] == changed
    assert [p for p in NAUGHTY if p] == [c["params"]["prompt"] for c in served.calls() if c["params"]]


@pytest.mark.parametrize(
    "prompt", ["\0", "\x1b[2J\x07", "\r\nX-Evil: 1", "\u202e\u2066 abc", "a" * 1000, "\U0010ffff" * 1000, "\ufeff", " "]
)
def test_prompts_of_odd_characters(server: Served, key: str, prompt: str) -> None:
    """They come back in the journal, and make a picture whose link works."""
    reply = server.generate("ezmodel", {"prompt": prompt, "size": "256x256"}, key)
    assert 200 == reply.status_code
    assert 200 == httpx.get(reply.json()["data"][0]["url"]).status_code
    session = reply.json() and server.calls()[-1]
    assert prompt == session["params"]["prompt"]


# --- the body and its wrapping ---


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json; charset=klingon", b"application/json; charset=hex", b"application/json;charset=utf-16",
        b"application/json; charset=", b"text/plain", b"application/x-www-form-urlencoded", b"", b"json",
        b"application/jsonp",
        b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/form-data; boundary=x; charset=hex",
        b"application/json\xff", b";;;", b"application/json, text/html", b"A" * 5000,
    ],
)  # fmt: skip
def test_content_types_that_are_no_json(server: Served, kind: bytes) -> None:
    """Each is refused by name, whatever the body is."""
    assert "unsupported_content_type" == refused(tell(server, post(GOOD, b"Content-Type: " + kind)))["code"]


@pytest.mark.parametrize(
    "kind",
    [
        b"application/json", b"application/json; charset=utf-8", b'application/json; charset="UTF-8"',
        b"Application/JSON",
        b"APPLICATION/JSON; CHARSET=UTF8", b"application/json ; charset=utf-8", b"application/json;",
    ],
)  # fmt: skip
def test_content_types_that_are_json(server: Served, kind: bytes) -> None:
    """A media type has no case, and UTF-8 may be named."""
    assert 200 == tell(server, post(GOOD, b"Content-Type: " + kind)).status


def test_compressed_bodies(server: Served) -> None:
    """gzip and deflate are inflated, as are their old names."""
    for encoding, body in (
        (b"gzip", gzip.compress(GOOD, mtime=0)),
        (b"GZIP", gzip.compress(GOOD, mtime=0)),
        (b"x-gzip", gzip.compress(GOOD, mtime=0)),
        (b"deflate", zlib.compress(GOOD)),
        (b"identity", GOOD),
    ):
        assert (encoding, 200) == (encoding, tell(server, post(body, b"Content-Encoding: " + encoding)).status)


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        (b"gzip", gzip.compress(GOOD, mtime=0)[:-1], 400),
        (b"gzip", gzip.compress(GOOD, mtime=0)[:12], 400),
        (b"gzip", gzip.compress(GOOD, mtime=0) + b"more", 400),
        (b"gzip", gzip.compress(GOOD, mtime=0)[:-8] + b"\0" * 8, 400),
        (b"gzip", GOOD, 400),
        (b"gzip", b"", 400),
        (b"gzip", gzip.compress(b"{", mtime=0), 400),
        (b"gzip", gzip.compress(gzip.compress(GOOD, mtime=0), mtime=0), 400),
        (b"deflate", gzip.compress(GOOD, mtime=0), 400),
        (b"br", b"\x0b\x06\x80{}\x03", 400),
        (b"zstd", GOOD, 400),
        (b"gzip, gzip", gzip.compress(gzip.compress(GOOD, mtime=0), mtime=0), 400),
        (b"nonsense", GOOD, 400),
        (b"\xff", GOOD, 400),
        (b"gzip", gzip.compress(GOOD + b" " * (GENERATE_LIMIT - len(GOOD)), mtime=0), 200),
        (b"gzip", gzip.compress(GOOD + b" " * (GENERATE_LIMIT - len(GOOD) + 1), mtime=0), 413),
        (b"deflate", zlib.compress(GOOD + b" " * GENERATE_LIMIT), 413),
    ],
)
def test_badly_compressed_bodies(server: Served, encoding: bytes, body: bytes, status: int) -> None:
    """Cut, false, nested, unknown or too large when inflated: refused, and only what fits is read."""
    answer = tell(server, post(body, b"Content-Encoding: " + encoding))
    if status == 200:
        assert 200 == answer.status
    else:
        refused(answer, status)


def bomb() -> bytes:
    """Just under 1 MiB of gzip that inflates to 1 GB: one block of zeros, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"\0" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + block * 999


def test_a_bomb_is_defused(server: Served) -> None:
    """1 MB that would inflate to 1 GB is a 413, at once (the time-out of the connection is the bound)."""
    body = bomb()
    assert len(body) < GENERATE_LIMIT + 10_000
    body = body[:GENERATE_LIMIT]
    for _ in range(5):
        assert "too_large" != refused(tell(server, post(body, b"Content-Encoding: gzip")), 413)["code"]


@pytest.mark.parametrize("framing", ["length", "chunked", "one chunk"])
@pytest.mark.parametrize(("surplus", "status"), [(0, 200), (1, 413), (1_000_000, 413)])
def test_the_limit_is_exact(server: Served, framing: str, surplus: int, status: int) -> None:
    """A body of exactly the limit is read, one byte more is too large, however it is framed."""
    body = GOOD + b" " * (GENERATE_LIMIT - len(GOOD) + surplus)
    if framing == "length":
        pieces = [post(body)]
    else:
        step = len(body) if framing == "one chunk" else 50_000
        chunks = [body[at : at + step] for at in range(0, len(body), step)]
        framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        pieces = [head(b"Transfer-Encoding: chunked"), framed, b"0\r\n\r\n"]
    answer = tell(server, *pieces)
    assert status == answer.status
    if status == 413:
        assert str(GENERATE_LIMIT) in refused(answer, 413)["message"]


def test_a_length_that_is_too_large_is_refused_unread(server: Served) -> None:
    """The declared length is enough: the answer comes before the body, and the connection is closed."""
    for length in (GENERATE_LIMIT + 1, 10**10):
        with Line(server) as line:
            line.send(head(b"Content-Length: %d" % length))
            assert str(length) in refused(line.answer(), 413)["message"]
            line.finish()
            assert line.closed()


def test_a_hundred_megabytes_get_a_status_line(server: Served) -> None:
    """A client that sends on regardless can still read its 413."""
    response = httpx.post(
        f"{server.url}{PATH}", content=b" " * 100_000_000,
        headers={"authorization": "Bearer sk-hostile-tests", "content-type": "application/json"},
    )  # fmt: skip
    assert 413 == response.status_code


def test_chunked_bodies(server: Served) -> None:
    """Chunks of any size, extensions and trailers are put together."""
    chunked = head(b"Transfer-Encoding: chunked")
    byte_by_byte = b"".join(b"1\r\n%c\r\n" % byte for byte in GOOD) + b"0\r\n\r\n"
    assert 200 == tell(server, chunked, byte_by_byte).status
    assert 200 == tell(server, chunked, b'e;a="b"\r\n' + GOOD + b"\r\n0\r\nX-Trailer: 1\r\n\r\n").status
    assert 200 == tell(server, chunked, b"00E\r\n" + GOOD[:7], GOOD[7:] + b"\r\n0\r\n\r\n").status
    refused(tell(server, chunked, b"0\r\n\r\n"))


@pytest.mark.parametrize(
    "chunks",
    [b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"\r\n\r\n",
     b"3 \r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n", b"3\nabc\n0\n\n"],
)  # fmt: skip
def test_bad_chunks(server: Served, chunks: bytes) -> None:
    """What is no chunk is a 400, and the connection is not used again."""
    with Line(server) as line:
        line.send(head(b"Transfer-Encoding: chunked") + chunks)
        assert 400 == line.answer().status
        line.finish()
        assert line.closed()


def test_a_bad_chunk_later_on(serve: Serve) -> None:
    """aiohttp's parser does not tell us of it, so it is refused when the time for the body is over, and no later."""
    served = serve(body_timeout=1)
    with Line(served) as line:
        line.send(head(b"Transfer-Encoding: chunked", b"Expect: 100-continue"))
        line.interim()
        line.send(b"1\r\n{\r\n")
        line.send(b"zz\r\n")
        assert line.answer().status in (400, 408)


@pytest.mark.parametrize("leave", ["finish", "reset"])
@pytest.mark.parametrize("framing", [b"Content-Length: 100", b"Transfer-Encoding: chunked"])
def test_a_body_cut_off_is_journalled(serve: Serve, leave: str, framing: bytes) -> None:
    """A client that leaves in mid-body leaves an entry that says so; it has got no answer."""
    served = serve()
    with Line(served) as line:
        line.send(head(b"Expect: 100-continue", framing))
        line.interim()  # so that the call is under way for certain
        line.send(b'e\r\n{"prompt"')
        getattr(line, leave)()
        if leave == "finish":
            assert line.closed()
    calls: list[dict[str, Any]] = []
    for _ in range(500):  # each turn is a request, so the server gets its turn too
        calls = [call for one in _sessions(served) for call in served.calls(one)]
        if calls and calls[0]["state"] != "under_way":
            break
    came = [(call["state"], call["unreadable"]["why"], call["status"]) for call in calls]
    assert [("client_gone", "cut_body", None)] == came


def _sessions(served: Served) -> list[str]:
    sessions = json.loads(tell(served, get(b"/_emulator/sessions")).body)["sessions"]
    return [one["name"] for one in sessions]


def test_a_slow_body_is_given_up(serve: Serve) -> None:
    """After `body_timeout` the answer is 408, in words that are whole, the connection closed, the call journalled."""
    served = serve(body_timeout=1)
    with Line(served) as line, Line(served) as neighbour:
        line.send(head(b"Content-Length: 100") + b"{")
        neighbour.send(post())
        assert 200 == neighbour.answer().status
        error = refused(line.answer(), 408)
        assert (True, False) == (error["message"].startswith("Timed out"), "  " in error["message"])
        line.finish()
        assert line.closed()
    assert "slow_body" in {call["unreadable"]["why"] for call in served.calls() if call["unreadable"]}


# --- HTTP ---


def test_old_clients(server: Served) -> None:
    """HTTP/1.0 with and without keep-alive, without a Host; the connection is closed unless asked otherwise."""
    start = b"POST " + PATH.encode() + b" HTTP/1.0"
    with Line(server) as line:
        line.send(post(start=start))
        assert (200, True) == (line.answer().status, line.closed())
    with Line(server) as line:
        for _ in range(2):
            line.send(post(GOOD, b"Connection: keep-alive", start=start))
            assert 200 == line.answer().status
    no_host = b"GET /v1/models HTTP/1.0\r\nAuthorization: Bearer k1\r\n\r\n"
    assert 200 == tell(server, no_host).status


def test_a_connection_is_kept_or_closed_as_asked(server: Served) -> None:
    """`Connection: close` closes, nothing keeps, also after a refusal that read its body."""
    with Line(server) as line:
        line.send(post(b"{}"))
        assert 400 == line.answer().status
        line.send(post(b"{"))
        assert 400 == line.answer().status
        line.send(post(GOOD, b"Connection: close"))
        assert (200, True) == (line.answer().status, line.closed())


def test_pipelined_requests_are_answered_in_order(server: Served) -> None:
    """Many requests in one packet: many answers, each to its own."""
    prompts = [f"picture {number}" for number in range(50)]
    with Line(server) as line:
        line.send(
            b"".join(
                post(json.dumps({"prompt": p, "n": 99 if not number % 7 else 1}).encode())
                for number, p in enumerate(prompts)
            )
        )
        answers = [line.answer() for _ in prompts]
    assert [400 if not number % 7 else 200 for number in range(50)] == [answer.status for answer in answers]
    assert 50 == len({answer.headers["x-request-id"] for answer in answers})


@pytest.mark.parametrize(
    "target",
    [b"http://localhost/v1/models", b"http://other.test:81/v1/models?a=b", b"HTTP://LOCALHOST/ezmodel/v1/models"],
)
def test_absolute_targets(server: Served, target: bytes) -> None:
    """What a proxy sends means the same as the path alone."""
    assert 200 == tell(server, get(target)).status


ODD_TARGETS: Final = [
    b"GET *", b"OPTIONS *", b"GET http://localhost", b"GET http://localhost?x", b"GET http://[::1/",
    b"GET http://x:99999/v1/models",
    b"GET ftp://x/y", b"GET v1/models", b"GET ?x", b"CONNECT localhost:80", b"CONNECT /v1/models", b"CONNECT x",
    b"FOO /v1/models", b"TRACE /v1/models", b"PRI * ", b"PRI /v1/models", b"post /v1/models", b"PUT /v1/models",
    b"DELETE /",
    b"PROPFIND /v1/models", b"PATCH " + PATH.encode(), b"HEAD /v1/models", b"GET " + PATH.encode(), b"GET //",
    b"GET //v1/models",
    b"GET //evil.test/v1/models", b"GET //[x", b"GET /..", b"GET /../../etc/passwd", b"GET /v1/../v1/models",
    b"GET /%2e%2e/%00",
    b"GET /v1/models\0", b"GET /\0", b"GET /\xff\xfe", "GET /v1/画".encode(), b"GET /%zz%f%", b"GET /%ff%c0%af",
    b"GET /a b",
    b"GET /" + b"a" * 8000, b"GET /" + b"a" * 9000, b"GET /" + b"/" * 5000, b"GET /v1/models#fragment",
    b"GET /v1/models/", b"GET /",
    b"GET /s", b"GET /s/", b"GET /s/abc", b"GET /s//", b"GET /s/abc/", b"GET /s/abc//", b"GET /s/abc?x", b"POST /s/abc",
    b"GET /s/a/s/b/v1/models",
    b"GET /s/" + b"a" * 65 + b"/v1/models", b"GET /s/a%2fb/v1/models", b"GET /s/a%0d%0ab/v1/models",
    b"GET /s/latest/v1/models",
    b"GET /s//v1/models", b"GET /s/\xff/v1/models", b"GET /s/a:b/v1/models", b"GET /%0a",
    b"POST /v1/images%0Agenerations", b"GET /{}", b"GET /{0.__class__}", b"GET /%s%n",
    b"GET /pictures", b"POST /pictures/x.png", b"GET /_emulatorx", b"GET /ezmodel", b"GET /ezmodel/",
    b"GET /ezmodel/v1", b"GET /nowhere/v1/models",
]  # fmt: skip


@pytest.mark.parametrize("target", ODD_TARGETS, ids=lambda target: repr(target[:40]))
def test_odd_methods_and_targets(server: Served, target: bytes) -> None:
    """Each gets a refusal in an envelope, the empty 404 of the default gateway, or the parser's plain 400.

    There is no 5xx, and no page of the framework's own. The path / alone says where the emulator's page is.
    """
    method = target.partition(b" ")[0].decode()
    with Line(server) as line:
        line.send(head(b"Connection: close", start=target + b" HTTP/1.1"))
        answer = line.answer(method)
    assert answer.status < 500
    assert b"404: Not Found" not in answer.body
    plain = answer.headers.get("content-type", "").startswith("text/plain")
    is_root = answer.status == 200 and answer.body.endswith(b"/_emulator/\n")
    assert not plain or answer.status == 400 or is_root
    if answer.status == 404 and not answer.body:
        assert "nosniff" == answer.headers["x-content-type-options"]
    elif answer.status >= 400 and not plain and "xml" not in answer.headers["content-type"] and method != "HEAD":
        assert answer.error["message"]


@pytest.mark.parametrize(
    "lines",
    [
        [b"Host: a\r\nHost: b"], [b"X-A: " + b"a" * 8000], [b"X-A: " + b"a" * 9000], [b"X-A: " + b"a" * 1_000_000],
        [b"X-" + b"A" * 9000 + b": 1"],
        [b"X-A%d: a" % number for number in range(100)], [b"X-A%d: a" % number for number in range(500)],
        [b"X-A: a\0b"], [b"X-A: \xff\xe9"],
        [b"X A: b"], [b": b"], [b"X-A"], [b"X-A: b\r\n c"], [b"X-A: b\nX-B: c"],
        [b"Content-Length: 14\r\nContent-Length: 14"], [b"Content-Length: -1"],
        [b"Content-Length: +14"], [b"Content-Length: 1e1"], [b"Content-Length: " + b"9" * 30],
        [b"Content-Length: 14, 14"],
        [b"Transfer-Encoding: chunked\r\nContent-Length: 14"], [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, chunked"], [b"Transfer-Encoding: nonsense"],
        [b"Upgrade: websocket\r\nConnection: upgrade"],
        [b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk"],
        [b"Upgrade: tcp\r\nConnection: upgrade"],
        [b"Expect: tea"], [b"Expect: 100-CONTINUE"], [b"Expect: 100-continue, tea"], [b"Expect:"], [b"Host: "],
        [b"Host: \xff"], [b"Host: a b"],
        [b"Host: [::1"], [b"Host: evil.test:99999"], [b"Host: <script>"], [b"Host: a@b"], [b"Host: " + b"a" * 5000],
        [b"X-Forwarded-Host: \"><script>"],
        [b"X-Forwarded-Proto: javascript"], [b"X-Emulator-Session: a/b"], [b"Cookie: " + b"a=b;" * 1000],
        [b"Origin: null"],
    ],
    ids=lambda lines: repr(lines[0][:40]),
)  # fmt: skip
def test_odd_heads(server: Served, lines: list[bytes]) -> None:
    """Each is answered like a good call, refused in the envelope, or a plain 400 by the parser, which then closes."""
    with Line(server) as line:
        try:
            line.send(post(GOOD, *lines))
            answer = line.answer()
        except (ConnectionError, IndexError):  # closed before all of a huge head was sent
            assert len(lines[0]) > 500_000
            return
        if answer.headers["content-type"].startswith("text/plain"):
            assert 400 == answer.status
            line.finish()
            assert line.closed()
        elif answer.status == 200:
            assert json.loads(answer.body)["data"][0]["url"].startswith("https://" if OVER_TLS else "http://")
            assert b"<" not in answer.body
        else:
            refused(answer)


def test_no_host_at_all(server: Served) -> None:
    """HTTP/1.1 without a Host is refused or served, but not waited for; the picture's link leads to this server."""
    answer = tell(server, post().replace(b"Host: localhost\r\n", b""))
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert json.loads(answer.body)["data"][0]["url"].startswith(f"{server.url}/pictures/")


def test_expectations(server: Served) -> None:
    """A client that waits for 100 Continue gets it, once, and then its answer."""
    with Line(server) as line:
        line.send(head(b"Expect: 100-continue", b"Content-Length: %d" % len(GOOD)))
        line.interim()
        line.send(GOOD)
        assert 200 == line.answer().status


# --- sessions and keys ---


BAD_SESSIONS: Final = [
    "",
    "a" * 65,
    "a/b",
    "a b",
    "latest",
    "ä",
    "a%0d%0ab",
    "a%2Fb",
    "..%2f",
    "*",
    "{0}",
    "<b>",
    "a:b",
    "\\",
    "%00",
]


@pytest.mark.parametrize("name", [name for name in BAD_SESSIONS if name.isascii() and not set("/ ") & set(name)])
def test_names_that_no_session_can_have_by_prefix(server: Served, name: str) -> None:
    """The path's own name is refused with a code of its own, and no session begins."""
    answer = tell(server, post(start=f"POST /s/{name}{PATH} HTTP/1.1".encode()))
    assert ("emulator_error", "bad_session") == (refused(answer)["type"], answer.error["code"])
    assert not name or name not in _sessions(server)


@pytest.mark.parametrize("name", BAD_SESSIONS)
def test_names_that_no_session_can_have_by_header(server: Served, name: str) -> None:
    """The same for the header."""
    answer = tell(server, post(GOOD, b"X-Emulator-Session: " + name.encode()))
    assert ("emulator_error", "bad_session") == (refused(answer)["type"], answer.error["code"])
    assert not name or name not in _sessions(server)


@pytest.mark.parametrize("name", ["a", "A" * 64, "a.b-c_d", "0", "latest2", "..", "key-00000000"])
def test_names_that_a_session_can_have(server: Served, name: str) -> None:
    """Letters, digits, dots, dashes and underscores, up to 64: by prefix and by header it is the same session."""
    assert 200 == tell(server, post(start=f"POST /s/{name}{PATH} HTTP/1.1".encode())).status
    assert 200 == tell(server, post(GOOD, b"X-Emulator-Session: " + name.encode())).status
    assert name == _sessions(server)[0]


@pytest.mark.parametrize(
    "key",
    [
        b"two words",
        b"k",
        b"sk-" + b"k" * 8000,
        "sk-ключ".encode(),
        b"sk-\xff\xfe",
        b"***",
        b"%s{0}",
        b"key=1",
        b'"quoted"',
        b"a\tb",
    ],
)
def test_odd_keys_are_keys(server: Served, key: bytes) -> None:
    """Any key but an empty one is good, and names a session of its own that does not show it."""
    assert 200 == tell(server, post(key=key)).status
    assert _sessions(server)[0].startswith("key-")
    assert len("key-12345678") == len(_sessions(server)[0])


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization:",
        b"Authorization: Bearer",
        b"Authorization: Bearer   ",
        b"Authorization: Basic eDp5",
        b"X-Nothing: 1",
    ],
)
def test_no_key_is_no_key(server: Served, line: bytes) -> None:
    """An empty one, or one of another scheme, is 401."""
    request = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + line + b"\r\n\r\n"
    assert "Missing" in refused(tell(server, request), 401)["message"]


def test_a_key_that_does_not_fit_is_not_shown(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """A key of 10 kB, or in a head that does not parse, is refused by the parser, and no log shows any of it."""
    key = b"sk-" + b"canary" * 1700
    assert 400 == tell(server, post(key=key)).status
    assert 400 == tell(server, post(key=b"sk-canarycanarycanary").replace(b"\r\n", b"\n")).status
    assert 400 == tell(server, post(key=b"sk-canary\0canarycanary")).status
    assert "canary" not in caplog.text


# --- parameters ---


def test_long_model_names(server: Served) -> None:
    """100 kB of name is answered where any model goes, refused where not; the message stays short."""
    name = "m" * 100_000
    assert 200 == server.generate("geeknow", {"prompt": "x", "model": name}).status_code
    for gateway in ("ezmodel", "geekai", "aiai"):
        answer = seen(server.generate(gateway, {"prompt": "x", "model": name}))
        assert len(refused(answer)["message"]) < 1000


@pytest.mark.parametrize(("gateway", "status"), [("ezmodel", 200), ("geeknow", 200), ("geekai", 200), ("aiai", 400)])
def test_ten_thousand_parameters(server: Served, gateway: str, status: int) -> None:
    """They are let by or refused as one would be, and the journal tells of ten."""
    body = {"prompt": "x", "model": "dall-e-3"} | {f"p{number}": number for number in range(10_000)}
    answer = seen(server.generate(gateway, body, key="sk-ten-thousand-parameters"))
    assert status == answer.status
    if status == 400:
        assert "unknown_parameter" == refused(answer)["code"]
    else:
        assert 10 == len(server.calls()[-1]["findings"])


VALUES: Final[list[Any]] = [
    10**30, -(10**30), int("9" * 4000), -1, 11, True, False, "2", "", [], {}, [[]], {"a": {}}, 1.0, 1.5, 1e308, -0.0,
    None, "\0", "x" * 50_000, [1] * 1000,
]  # fmt: skip
BASES: Final = {
    "geekai": {"model": "dall-e-3", "prompt": "x"},
    "ezmodel": {"prompt": "x"},
    "geeknow": {"model": "gpt-image-1", "prompt": "x"},
    "aiai": {"model": "gpt-image-1", "prompt": "x"},
}
NAMES: Final = (
    "model", "prompt", "n", "size", "quality", "style", "response_format", "user", "retries", "watermark", "background",
    "moderation",
    "output_format", "output_compression", "stream", "partial_images", "extra",
)  # fmt: skip


@pytest.mark.parametrize("gateway", list(BASES))
@pytest.mark.parametrize("name", NAMES)
def test_wrong_values(server: Served, gateway: str, name: str) -> None:
    """Every parameter with every kind of value: an answer or a refusal in the envelope, twice the same."""
    headers = {"authorization": "Bearer sk-wrong-values", "content-type": "application/json"}
    slash = "/" if gateway == "aiai" else ""
    with httpx.Client(base_url=server.base(gateway), headers=headers, timeout=PATIENCE) as client:
        for value in VALUES:
            body = {**BASES[gateway], "response_format": "url", name: value}
            if gateway == "aiai" and name != "response_format":
                del body["response_format"]
                body["size"] = "1024x1024" if name != "size" else value
            if gateway == "aiai" and name in ("user", "extra", "stream", "n", "quality") and not isinstance(value, str):
                body |= {"model": "dall-e-2"}  # gpt-image-1 always draws; that is tested elsewhere
            first = seen(client.post(f"images/generations{slash}", json=body))
            assert first.status in (200, 400), (value, first)
            if first.status == 400:
                second = seen(client.post(f"images/generations{slash}", json=body))
                assert refused(first) == refused(second)
                assert len(first.body) < 2000


@pytest.mark.parametrize("n", [10**30, -1, 0, 11, True, "2", [], {}, 1.0, 1.5, -(10**30)])
def test_counts_that_are_none(server: Served, n: Any) -> None:
    """`n` is a whole number within its bounds, and nothing that only looks like one."""
    assert "n" == refused(seen(server.generate("ezmodel", {"prompt": "x", "n": n})))["param"]


@pytest.mark.parametrize(
    "size",
    [
        "1024x1024\n",
        "\n1024x1024",
        "١٠٢٤x١٠٢٤",
        "１０２４x１０２４",
        "1024×1024",
        "1024X1024",
        " 1024x1024",
        "1024x1024x1",
        "01024x1024",
        "1024x",
        "",
        "-1x-1",
    ],
)
def test_sizes_that_are_none(server: Served, size: str) -> None:
    """Nothing that only looks like a size is one; where anything goes, it is a finding and 1024 × 1024 is drawn."""
    for gateway, model in (
        ("ezmodel", "dall-e-3"),
        ("geekai", "dall-e-3"),
        ("aiai", "dall-e-2"),
        ("geeknow", "dall-e-3"),
    ):
        answer = seen(server.generate(gateway, {"prompt": "x", "model": model, "size": size}))
        assert (gateway, "size") == (gateway, refused(answer)["param"])
    answer = seen(
        server.generate("geeknow", {"prompt": "x", "model": "any", "size": size}, key="sk-sizes-that-are-none")
    )
    if answer.status == 200 and "size_not_drawn" in answer.headers.get("x-emulator-finding", ""):
        assert (1024, 1024) == (server.calls()[-1]["pictures"][0]["width"], server.calls()[-1]["pictures"][0]["height"])
    else:
        assert size in ("", "01024x1024")


@pytest.mark.parametrize(
    "size",
    ["1x1", "1x4096", "4096x1", "15x15", "16x4096", "0x0", "4097x4096", "99999x99999", "00001x00001", "31x32", "32x31"],
)
def test_extreme_sizes_are_drawn(server: Served, size: str) -> None:
    """From one pixel to 4096 a side; beyond that a finding."""
    answer = server.generate("geeknow", {"prompt": "画 x", "model": "any", "size": size, "response_format": "b64_json"})
    assert 200 == answer.status_code
    assert emulator.inspect(base64.b64decode(answer.json()["data"][0]["b64_json"])).whole


def test_a_body_full_of_parameters_holds_nobody_up(serve: Serve) -> None:
    """Half a megabyte of names is judged as fast as it is read, whether the gateway lets them by or not."""
    served = serve()
    body = {"prompt": "x", "model": "dall-e-3"} | {f"p{number}": 1 for number in range(40_000)}
    assert [200, 200, 200, 400] == [
        served.generate(gateway, body).status_code for gateway in ("ezmodel", "geekai", "geeknow", "aiai")
    ]


def test_the_journal_weighs_what_it_keeps(serve: Serve) -> None:
    """Long heads and large answers count against the journal's bytes, or are not kept."""
    served = serve(journal_bytes=300_000, picture_cache=1)
    lines = [b"X-Long-%d: %b" % (number, b"h" * 8000) for number in range(60)]
    body = {"prompt": "x", "model": "m", "n": 10, "size": "512x512", "response_format": "b64_json"}
    for number in range(10):
        assert 200 == tell(served, post(GOOD, *lines, key=b"sk-long-heads")).status
        assert 200 == served.generate("geeknow", body | {"prompt": f"x {number}"}, key="sk-large-answers").status_code
    held = 0
    for name in _sessions(served):
        for entry in served.run(served.app.sessions.list_calls(name)) or ():
            held += sum(len(name) + len(value) for name, value in entry.headers.items())
            held += len(json.dumps(entry.response))
    assert held <= 2 * 300_000


# --- pictures ---


FAR: Final = 4_102_444_800  # the year 2100, in Unix seconds
DRAWN: Final = ImageRecipe("ezmodel", "m", "x", "0" * 16, 64, 64, "standard", "opaque", "png", None, 0, 0)


@pytest.fixture(scope="module")
def link(server: Served) -> str:
    """The path of a good picture."""
    url: str = server.generate("ezmodel", {"prompt": "a lighthouse", "size": "256x256"}).json()["data"][0]["url"]
    return url.removeprefix(server.url)


def lost(answer: Answer) -> None:
    """Fails unless `answer` is the storage's 404."""
    assert (404, "application/xml") == (answer.status, answer.headers["content-type"])
    assert b"<Code>ResourceNotFound</Code>" in answer.body


def test_every_letter_of_a_token_counts(server: Served) -> None:
    """One bit turned over, at any place, and the token is forged: there is one spelling of a link, and no other."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    tokens = [format_token(PictureLink(DRAWN, "s" * n, FAR), server.app.storage.secret) for n in range(12)]
    by_rest = {len(token) % 4: token for token in tokens}  # the last letter of some lengths has bits to spare
    assert {0, 2, 3} == set(by_rest)
    taken = []
    with httpx.Client(base_url=server.url) as client:
        for rest, token in by_rest.items():
            for place, letter in enumerate(token):
                for bit in (1, 32) if place < len(token) - 1 else (1, 2, 4, 8, 16, 32):
                    other = alphabet[alphabet.index(letter) ^ bit]
                    answer = client.get(f"/pictures/{token[:place]}{other}{token[place + 1 :]}.png")
                    if answer.status_code != 404:
                        taken.append((rest, place - len(token), letter, other, answer.status_code))
    assert [] == taken


def test_damaged_tokens(server: Served, link: str) -> None:
    """Cut, grown, of a wrong ending, oversized, odd: 404 in the storage's XML."""
    token = link.removeprefix("/pictures/").removesuffix(".png")
    paths = [
        "", ".png", "x", "x.png", "A" * 16 + ".png", token, token + ".", token + ".jpg", token + ".webp",
        token + ".PNG", token + ".png.png", token + ".png/",
        token[1:] + ".png", token[:-1] + ".png", token[:-2] + ".png", token[:20] + ".png", token + "A.png",
        token + "AAAA.png",
        token + "=.png",
        token + "==.png", "/" + token + ".png", "./" + token + ".png", "../pictures/" + token + ".png",
        token + "/../x.png",
        "A" * 2048 + ".png",
        "A" * 2049 + ".png", "A" * 7000 + ".png", token + "%00.png", token + " .png".replace(" ", "%20"),
        "%2e%2e%2f.png", "+" + token[1:] + ".png",
    ]  # fmt: skip
    for path in paths:
        lost(tell(server, get(b"/pictures/" + path.encode("utf-8"))))


def test_a_token_of_another_server_is_forged(server: Served, serve: Serve, link: str) -> None:
    """The seed is the secret: a server with another one does not know the link."""
    lost(tell(serve(seed=1), get(link.encode())))
    assert 200 == tell(serve(seed=0), get(link.encode())).status


def signed(served: Served, fields: bytes) -> bytes:
    """The path of a picture whose token is signed as it should be, whatever JSON it holds."""
    return f"/pictures/{seal_text(fields, served.app.storage.secret)}.png".encode()


def token_json(more: bytes = b"", own: bytes = b"", **changes: bytes) -> bytes:
    """The JSON of a good token, with some values spelled otherwise, and more behind those of the recipe, or of all."""
    values = {
        "gateway": b'"g"', "model": b'"m"', "width": b"64", "height": b"64", "quality": b'"q"',
        "background": b'"opaque"', "format": b'"png"', "compression": b"null", "caption": b'"c"',
        "prompt_hash": b'"h"', "index": b"0", "seed": b"0", "session": b'"s"', "expires": b"32000000000", **changes,
    }  # fmt: skip
    *recipe, session, expires = values.values()
    return b"[[" + b",".join(recipe) + more + b"]," + session + b"," + expires + own + b"]"


@pytest.mark.parametrize(
    "fields",
    [
        b"", b"{}", b"null", b"[]", b"[1,2]", b"[" * 8000, b"NaN", b"\xff", b'{"a":' * 1500,
        token_json(expires=b"9e99"), token_json(expires=b'"soon"'), token_json(expires=b"null"),
        token_json(expires=b"1" + b"0" * 400), token_json(expires=b"-99999999999999"), token_json(expires=b"-1"),
        token_json(width=b"1.5"), token_json(width=b"true"), token_json(width=b"[64]"), token_json(width=b"NaN"),
        token_json(caption=b"5"), token_json(caption=b'["c"]'), token_json(gateway=b"null"),
        token_json(quality=b"[]"), token_json(quality=b"{}"), token_json(compression=b"1.5"),
        token_json(index=b'"x"'), token_json(seed=b'"x"'), token_json(seed=b"-1"),
        token_json(seed=b"1" + b"0" * 4000), token_json(format=b'["png"]'),
        token_json(caption=b'"' + b"c" * 7000 + b'"'), token_json(caption=b'"' + b"c" * 9000 + b'"'),
        token_json(b",[]"), token_json(b",{}"), token_json(b",null,{}"), token_json(b",null,[1]"),
        token_json(b',null,{"act":"edit","image":"x","mask":null,"palette":"x","open":true}'),
        token_json(b",null,null,0"), token_json(b",null,null,null,1"), token_json(own=b",[]"), token_json(own=b",8"),
        token_json(own=b",null,1"), token_json(own=b",null,null,null"),
    ],
    ids=lambda fields: repr(fields[:70])[:75],
)  # fmt: skip
def test_signed_nonsense(server: Served, fields: bytes) -> None:
    """The default seed is known to all, so a signature proves little: what says no picture is 404, never a 5xx."""
    answer = tell(server, get(signed(server, fields)))
    assert answer.status in (200, 403, 404)


@pytest.mark.parametrize("caption", [b'"c"', rb'"\ud800"'])
def test_signed_captions(server: Served, caption: bytes) -> None:
    """The JSON of the cases above is that of a good token: unchanged, and with half a character, it is drawn."""
    assert 200 == tell(server, get(signed(server, token_json(caption=caption)))).status


def test_a_link_expires(serve: Serve) -> None:
    """At the second that it names, by the emulator's clock, it is over: 403 in XML, for GET, HEAD and Range alike."""
    served = serve(clock="frozen:2026-01-01T00:00:00Z")
    now = int(served.app.clock.now())
    for expires, status in ((now - 1, 403), (now, 403), (now + 1, 200), (0, 403)):
        path = f"/pictures/{format_token(PictureLink(DRAWN, 's', expires), served.app.storage.secret)}.png".encode()
        for method, extra in (
            (b"GET", b"X-A: 1"),
            (b"HEAD", b"X-A: 1"),
            (b"GET", b"Range: bytes=0-0"),
            (b"GET", b"If-None-Match: *"),
        ):
            answer = tell(served, get(path, extra, method=method), method=method.decode())
            expected = {b"Range: bytes=0-0": 206, b"If-None-Match: *": 304}.get(extra, 200) if status == 200 else status
            assert (expires, expected) == (expires, answer.status)
            if status == 403 and method == b"GET":
                assert b"<Code>AuthenticationFailed</Code>" in answer.body


@pytest.mark.parametrize(
    ("wanted", "status", "start", "stop"),
    [
        ("bytes=0-0", 206, 0, 1), ("bytes=0-", 206, 0, None), ("bytes=5-", 206, 5, None), ("bytes=-5", 206, -5, None),
        ("bytes=0-9", 206, 0, 10),
        ("bytes=0-99999999", 206, 0, None), ("bytes=-99999999", 206, 0, None), ("bytes=9999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=999999999999999999-", 416, 0, 0),
    ],
)  # fmt: skip
def test_ranges(server: Served, link: str, wanted: str, status: int, start: int, stop: int | None) -> None:
    """A part of a picture is that part of the whole."""
    whole = tell(server, get(link.encode())).body
    answer = tell(server, get(link.encode(), f"Range: {wanted}".encode()))
    assert status == answer.status
    if status == 206:
        first = start if start >= 0 else len(whole) + start
        assert whole[start:stop] == answer.body
        assert f"bytes {first}-{first + len(answer.body) - 1}/{len(whole)}" == answer.headers["content-range"]
    else:
        assert (b"", f"bytes */{len(whole)}") == (answer.body, answer.headers["content-range"])


@pytest.mark.parametrize(
    "wanted",
    [b"bytes=5-3", b"bytes=0-0,5-9", b"bytes=", b"bytes=-", b"bytes=a-b", b"bytes=0-0x", b"lines=0-1", b"bytes 0-1",
     b"bytes=--1", b"bytes=" + b"9" * 4000 + b"-",
               b"bytes=0-" + b"9" * 4000, b"", b"\xff", "bytes=٣-٤".encode(), b"bytes=1-1,", b"bytes=0-1;q=1"]
)  # fmt: skip
def test_ranges_that_are_none(server: Served, link: str, wanted: bytes) -> None:
    """What is no single range is passed over or refused, but never breaks anything."""
    whole = tell(server, get(link.encode())).body
    answer = tell(server, get(link.encode(), b"Range: " + wanted))
    assert (answer.status, answer.body) in ((200, whole), (416, b""))


def test_head_and_conditions(server: Served, link: str) -> None:
    """HEAD has GET's headers and no body, whatever range it asks for; a client that has the picture gets 304."""
    path = link.encode()
    whole = tell(server, get(path))
    with Line(server) as line:
        for _ in range(2):
            line.send(get(path, method=b"HEAD"))
            only_head = line.answer("HEAD")
            assert (200, str(len(whole.body))) == (only_head.status, only_head.headers["content-length"])
    tag = whole.headers["etag"]
    for names in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        assert (names, 304) == (names, tell(server, get(path, b"If-None-Match: " + names.encode())).status)
    for names in ("", "x", '"x"', tag.strip('"'), "\xff"):
        assert (names, 200) == (names, tell(server, get(path, b"If-None-Match: " + names.encode("latin-1"))).status)
    assert 206 == tell(server, get(path, b"Range: bytes=0-0", b"If-Range: " + tag.encode())).status
    assert 200 == tell(server, get(path, b"Range: bytes=0-0", b'If-Range: "x"')).status
    assert 200 == tell(server, get(path, b"Range: bytes=0-0", method=b"HEAD"), method="HEAD").status
    for method in (b"POST", b"PUT", b"DELETE", b"PATCH"):
        assert (method, 405) == (method, tell(server, get(path, method=method)).status)


# --- the emulator's own paths ---


STRANGERS: Final = [
    [b"Host: evil.test"], [b"Host: evil.test:4010"], [b"Host: localhost.evil.test"], [b"Host: 127.0.0.1.evil.test"],
    [b"Host: 10.0.0.1"], [b"Host: "],
    [b"Host: 0.0.0.0"], [b"Host: [::2]"], [b"Host: evil.test#@localhost"], [b"Host: \xff"], [b"Host: localhost."],
    [b"Origin: https://evil.test"], [b"Origin: null"], [b"Origin: "], [b"Origin: http://localhost:1"],
    [b"Origin: localhost"], [b"Origin: http://[::1"],
    [b"Origin: http://localhost.evil.test"], [b"Origin: http://evil.test/localhost"], [b"Sec-Fetch-Site: cross-site"],
    [b"Sec-Fetch-Site: same-site"],
    [b"Sec-Fetch-Site: "], [b"Sec-Fetch-Site: nonsense"],
    [b"Origin: http://evil.test", b"Host: evil.test", b"Sec-Fetch-Site: same-origin"],
    [b"X-Forwarded-Host: localhost", b"Host: evil.test"],
]  # fmt: skip


@pytest.mark.parametrize("lines", STRANGERS, ids=lambda lines: repr(lines[0]))
@pytest.mark.parametrize(
    "path",
    [
        b"/_emulator/settings",
        b"/_emulator/sessions",
        b"/_emulator/sessions/latest/calls",
        b"/s/x/_emulator/sessions",
        b"/_emulator/",
    ],
)
def test_strangers_learn_nothing(server: Served, lines: list[bytes], path: bytes) -> None:
    """A page of another origin, or one that rebinds a name to this address, reads nothing; no CORS invites it."""
    for method in (b"GET", b"HEAD", b"POST", b"OPTIONS", b"DELETE"):
        answer = tell(server, get(path, *lines, b"Content-Length: 0", method=method), method=method.decode())
        assert (method, 403) == (method, answer.status)
        assert "access-control-allow-origin" not in answer.headers
        if method != b"HEAD":
            assert "emulator_error" == answer.error["type"]


def test_the_house_itself_may_ask(server: Served) -> None:
    """Loopback by any of its names, from no page or our own; nothing changes, nothing is kept by a cache."""
    for lines in ([b"Host: localhost:1"], [b"Host: 127.0.0.1"], [b"Host: [::1]:80"], [b"Host: LOCALHOST"],
                  [b"Host: localhost", b"Origin: http://localhost"],
                  [b"Sec-Fetch-Site: same-origin"], [b"Sec-Fetch-Site: none"]):  # fmt: skip
        answer = tell(server, get(b"/_emulator/settings", *lines))
        assert (lines, 200, "no-store") == (lines, answer.status, answer.headers["cache-control"])
    for method in (b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"):
        answer = tell(server, get(b"/_emulator/sessions", b"Content-Length: 2", method=method) + b"{}")
        assert (method, 405, "emulator_error") == (method, answer.status, answer.error["type"])


@pytest.mark.parametrize("path", [b"", b"/", b"/nothing", b"/sessions/", b"/sessions/nobody/calls",
                                  b"/sessions/%2e%2e/calls", b"/sessions//calls", b"/sessions/a/calls/b",
                                  b"/sessions/" + b"a" * 7000 + b"/calls", b"//health", b"/../v1/models",
                                  b"/nothing?x=y"])  # fmt: skip
def test_odd_paths_of_our_own(server: Served, path: bytes) -> None:
    """They are there or they are 404 in JSON; without its slash, the page leads to itself."""
    answer = tell(server, get(b"/_emulator" + path))
    assert answer.status in (200, 404) or (path, answer.status) == (b"", 308)
    if answer.status == 404:
        assert ("emulator_error", True) == (answer.error["type"], len(answer.body) < 1000)


# --- keys ---


def told(served: Served) -> str:
    """Everything that the emulator's own paths tell."""
    paths = ["", *(f"/{name}/calls{end}" for name in _sessions(served) for end in ("", "/latest"))]
    return "\n".join(tell(served, get(f"/_emulator/sessions{path}".encode())).body.decode() for path in paths)


CANARY: Final = "hunter2canary"  # looks like no key, so only knowing where keys stand keeps it in
SHORT: Final = "canary1234"  # 10 characters: shown whole to its owner when it is wrong
LONG: Final = "sk-canary" + "0123456789" * 3


KEY_LINES: Final = (
    "Authorization: Bearer {}", "Authorization: {}", "Authorization: bearer  {}", "Authorization: Basic {}",
    "Authorization: Token {}",
    "authorization:Bearer\t{}", "x-api-key: {}", "Api-Key: {}", "X-Goog-Api-Key: {}", "Cookie: key={}",
    "Proxy-Authorization: Bearer {}",
    "X-Auth-Token: {}", "Ocp-Apim-Subscription-Key: {}",
)  # fmt: skip


def leaks(served: Served, prompt: str, gateway: str) -> list[str]:
    """The lines of KEY_LINES whose key the emulator's own paths tell, each sent with every kind of key."""
    sent = []
    for number, line in enumerate(KEY_LINES):
        for canary in (f"{CANARY}{number}x", f"{SHORT[:-2]}{number:02}", f"{LONG}{number}x"):
            start = f"POST {served.base(gateway).removeprefix(served.url)}/images/generations HTTP/1.1".encode()
            body = json.dumps({"size": "1024x1024", "model": "dall-e-3", "prompt": prompt.format(canary)}).encode()
            tail = [b"Content-Type: application/json", b"Content-Length: %d" % len(body), b"", body]
            answer = tell(served, b"\r\n".join([start, b"Host: localhost", line.format(canary).encode(), *tail]))
            assert answer.status in (200, 401)
            assert answer.status == 401 or canary.encode() not in answer.body.partition(b'"revised_prompt"')[0]
            sent.append((line, canary))
    text = told(served)
    return [f"{line}: {canary}" for line, canary in sent if canary in text]


@pytest.mark.parametrize("gateway", list(BASES))
def test_keys_in_heads_stay_in(serve: Serve, gateway: str) -> None:
    """A key in any header that carries keys is in no reply of the emulator's own paths, and in no link."""
    assert [] == leaks(serve(), "a boat", gateway)


@pytest.mark.parametrize("gateway", list(BASES))
def test_keys_that_a_prompt_repeats_stay_in(serve: Serve, gateway: str) -> None:
    """Nor is it when the prompt repeats the header, whether or not this gateway finds its key there."""
    assert [] == leaks(serve(), "my key is {}, draw it", gateway)


def test_keys_elsewhere_stay_in(serve: Serve) -> None:
    """A key in the query or the body, under a name that keys have, is in no reply of the emulator's own paths."""
    served = serve()
    for number, (target, kind, body) in enumerate(KEYS_ELSEWHERE):
        canary = f"{CANARY}{number}x"
        start = f"POST {target.replace('{}', canary)} HTTP/1.1".encode()
        tell(served, post(body.replace("{}", canary).encode(), b"Content-Type: " + kind.encode(), start=start))
    text = told(served)
    assert [] == [row for number, row in enumerate(KEYS_ELSEWHERE) if f"{CANARY}{number}x" in text]


JSON: Final = "application/json"
KEYS_ELSEWHERE: Final = [
    (PATH + "?api_key={}", JSON, '{"prompt":"x"}'),
    (PATH + "?a=b&API-KEY={}&c=d", JSON, '{"prompt":"x"}'),
    (PATH + "?key={}", JSON, '{"prompt":"x"}'),
    (PATH + "?access_token={}", JSON, '{"prompt":"x"}'),
    (PATH + "?token={}", JSON, '{"prompt":"x"}'),
    (PATH, JSON, '{"prompt":"x","api_key":"{}"}'),
    (PATH, JSON, '{"prompt":"x","Api_Key":"{}"}'),
    (PATH, JSON, '{"prompt":"x","a":[{"apiKey":"{}"}]}'),
    (PATH, JSON, '{"prompt":"x","authorization":"Bearer {}"}'),
    (PATH, JSON, '{"prompt":"x","api_key":{"value":["{}"]}}'),
    (PATH, JSON, '{"prompt":"","api_key":"{}"}'),
    (PATH, JSON, '{"prompt":"x","api_key":"{}"'),
    (PATH, JSON, '{"api_key" : "{}", "prompt":NaN}'),
    (PATH, "text/plain", '{"prompt":"x","api_key":"{}"}'),
    (PATH, "application/x-www-form-urlencoded", "prompt=x&api_key={}"),
    (
        PATH,
        "multipart/form-data; boundary=b",
        '--b\r\nContent-Disposition: form-data; name="api_key"\r\n\r\n{}\r\n--b--',
    ),
    ("/v1/nothing?api_key={}", JSON, ""),
]


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "x", CANARY: 1}, {"prompt": "x", "size": CANARY}, {"prompt": "x", "model": CANARY},
        {"prompt": "x", "n": [CANARY]}, {"prompt": "x", "user": CANARY},
        {"prompt": "x", "quality": "x" * 190 + CANARY}, {"prompt": "x", "x" * 95 + CANARY: 1},
        {"prompt": "x", "model": "x" * 195 + CANARY}, [CANARY], CANARY,
    ],
    ids=lambda body: repr(body)[:50],
)  # fmt: skip
def test_the_callers_own_key_stays_in_wherever_it_stands(serve: Serve, body: Any) -> None:
    """A client that puts its key where a value belongs finds it nowhere, not even cut short."""
    served = serve()
    served.generate("ezmodel", body, key=CANARY)
    assert CANARY[:5] not in told(served)


def test_a_wrong_key_stays_in(serve: Serve, tmp_path: Path) -> None:
    """A key that is not in the list is told to nobody but its owner."""
    (tmp_path / "keys.txt").write_text("# good ones\nsk-good\n")
    served = serve(keys=str(tmp_path / "keys.txt"))
    for canary in (SHORT, CANARY, LONG, "sk-invalid-" + CANARY):
        answer = seen(served.generate("ezmodel", {"prompt": "x"}, key=canary))
        assert "invalid_api_key" == refused(answer, 401)["code"]
        assert canary not in told(served)
    assert 200 == served.generate("ezmodel", {"prompt": "x"}, key="sk-good").status_code


def test_no_link_carries_the_callers_key(serve: Serve) -> None:
    """A picture's link does not show the key that a prompt repeats, nor do the token's bytes."""
    served = serve()
    url = served.generate("ezmodel", {"prompt": f"my key is {LONG}"}, key=LONG).json()["data"][0]["url"]
    token = url.rpartition("/")[2].rpartition(".")[0]
    assert LONG not in url
    assert LONG.encode() not in base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))


# --- many at once ---


def test_clients_that_break_off_harm_nobody(server: Served) -> None:
    """Connections reset at every stage, beside a client that is served as ever."""
    whole = post()
    with ThreadPoolExecutor(8) as pool, Line(server) as neighbour:

        def leave(stop: int) -> None:
            line = Line(server)
            line.send(whole[:stop])
            line.reset()

        list(pool.map(leave, range(1, len(whole) + 1)))
        for _ in range(20):
            neighbour.send(whole)
            assert 200 == neighbour.answer().status


def test_what_the_parser_refuses_is_one_line(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """Noise on the port (another protocol, a wrong method, two hosts) fills no log."""
    for noise in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100 + b"\r\n\r\n",
    b"FOO / HTTP/1.1\r\n\r\n",
                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                  b"GET / HTTP/3.0\r\n\r\n", b"\0\0\0\0\r\n\r\n", head(b"X-A: 1\r\nHost: b")):  # fmt: skip
        assert 400 == tell(server, noise).status
    assert "Traceback" not in caplog.text


def test_recipes_of_links_are_checked(server: Served) -> None:
    """The recipe inside a good link is what was asked for; one with other numbers is another link."""
    secret = server.app.storage.secret
    token = format_token(PictureLink(DRAWN, "s", FAR), secret)
    assert DRAWN == parse_token(token, secret).recipe
    assert token != format_token(PictureLink(replace(DRAWN, index=1), "s", FAR), secret)
