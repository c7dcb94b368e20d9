"""What is no HTTP is answered in the words of whoever was meant, and a server out of descriptors says so once."""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.server import rare_warnings
from tests.conftest import Served
from tests.process import PATIENCE, Command


def send(served: Served, data: bytes) -> tuple[str, str, str]:
    """Status, Content-Type and body of the answer, behind which the connection ends."""
    with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as line:
        line.sendall(data)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    status = head.split()[1]
    content_type = head.lower().partition("content-type: ")[2].partition("\r\n")[0]
    return status, content_type, body


BAD_HEADERS = [b"X A: b", b"X-A: a\0b", b"Content-Length: -1", b"Transfer-Encoding: nonsense", b"X-A: " + b"a" * 9000]


@pytest.mark.parametrize("header", BAD_HEADERS, ids=lambda header: repr(header[:20]))
@pytest.mark.parametrize("path", ["/ezmodel/v1/images/generations", "/s/a/openai/v1/models?x=1", "/nope"])
def test_the_envelope_of_the_gateway(server: Served, path: str, header: bytes) -> None:
    """Where the path can be told, the answer is JSON as the gateway writes it, and quotes nothing of the request."""
    status, content_type, body = send(server, b"POST %b HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % (path.encode(), header))
    assert ("400", "application/json") == (status, content_type)
    error: dict[str, Any] = json.loads(body)["error"]
    assert error["message"].startswith("The request is no valid HTTP: ")
    assert not any(word in error["message"] for word in ("aaa", "X-A", "nonsense"))


def test_the_emulators_own_paths(server: Served) -> None:
    """They answer as their description says."""
    status, _, body = send(server, b"GET /_emulator/health HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n")
    assert ("400", "emulator_error") == (status, json.loads(body)["error"]["type"])


@pytest.mark.parametrize(
    "data", [b"GET\r\n\r\n", b"GET /openai/v1/models HTTP/1.1\r\nX A: b\r\n\r\n", b"FOO / HTTP/1.1\r\n\r\n"]
)
def test_the_date_is_the_servers_own(serve: Callable[..., Served], data: bytes) -> None:
    """A frozen run repeats to the byte here too, and the headers are those of every answer."""
    served = serve(clock="frozen:2026-01-01T00:00:00Z")
    answers = []
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", served.port), PATIENCE) as line:
            line.sendall(data)
            answers.append(b"".join(iter(lambda line=line: line.recv(65536), b"")))  # type: ignore[misc]
    assert answers[0] == answers[1]
    assert b"\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: image-api-emulator\r\n" in answers[0]


@pytest.mark.parametrize("data", [b"\0\1\2\r\n\r\n", b"GET\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"hello\r\n\r\n"])
def test_one_plain_line(server: Served, data: bytes) -> None:
    """Where no path can be told."""
    status, content_type, body = send(server, data)
    assert ("400", "text/plain; charset=utf-8", 1) == (status, content_type, body.count("\n"))


def test_tls_on_the_plain_port(server: Served, caplog: pytest.LogCaptureFixture) -> None:
    """The log says once what to mend, and the client's library gets bytes, not silence."""
    rare_warnings._last.clear()
    with caplog.at_level(logging.WARNING, "emulator"):
        for _ in range(3):
            with pytest.raises(httpx.ConnectError), httpx.Client(verify=ssl.create_default_context()) as client:
                client.get(f"https://127.0.0.1:{server.port}/openai/v1/models")
    assert 1 == len([record for record in caplog.records if "http://, not https://" in record.getMessage()])


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")
def test_out_of_descriptors(tmp_path: Path) -> None:
    """More connections than files may be open: one line on stderr, and whoever waited is answered later."""
    command = Command(tmp_path, "--ready-json")
    command.ready()
    try:
        assert 200 == httpx.get(f"{command.url}/_emulator/health").status_code
        used = len(os.listdir(f"/proc/{command.pid}/fd"))
        resource.prlimit(command.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
        lines = [socket.create_connection(("127.0.0.1", command.port), PATIENCE) for _ in range(60)]
        lines[0].sendall(b"GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert lines[0].recv(15) == b"HTTP/1.1 200 OK"
        for line in lines[:-1]:
            line.close()
        lines[-1].sendall(b"GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert lines[-1].recv(15) == b"HTTP/1.1 200 OK"
        lines[-1].close()
        code, _, err = command.end()
    finally:
        command.kill()
    assert (0, 1) == (code, len(err.splitlines())), err
    assert "no new connections at present: Too many open files" in err
