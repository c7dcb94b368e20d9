"""The hall: what goes to which room, and what every answer has, whatever it is."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from emulator import settings
from emulator.core.names import name_for_key
from emulator.gateway import errors
from emulator.response.prepared import PreparedReplies
from tests.conftest import Served

BODY = {"prompt": "A cat"}


def test_three_ways_lead_to_a_gateway(server: Served) -> None:
    """The path's first part, a real host name in any case and with a port, or being the default."""
    key = {"authorization": "Bearer sk-ways"}
    for url, host in (
        (f"{server.url}/aiai/v1/models", "127.0.0.1"),
        (f"{server.url}/v1/models", "API.AIAI.com:443"),
        (f"{server.url}/v1/models", "localhost"),
        (f"{server.url}/api/v1/models", "geekai.dev"),
    ):
        assert 200 == httpx.get(url, headers={**key, "host": host}).status_code
    assert ["aiai", "aiai", "openai", "geekai"] == [call["gateway"] for call in server.calls(name_for_key("sk-ways"))]


def test_the_default_gateway_answers_under_v1_whatever_its_base(serve: Callable[..., Served]) -> None:
    """GeekAI's own base is /api/v1; as the default it answers under /v1 too."""
    served = serve(gateway="geekai")
    for path in ("/v1/models", "/api/v1/models"):
        assert 200 == httpx.get(served.url + path, headers={"authorization": "sk-x"}).status_code


def test_a_body_that_is_too_large_ends_the_connection(server: Served) -> None:
    """Its rest is not read, so the connection cannot be used again."""
    with socket.create_connection(("127.0.0.1", server.port), 5) as line:
        head = "POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        line.sendall(f"{head}Content-Length: 9999999\r\n\r\n".encode())
        heard = b""
        while piece := line.recv(65536):
            heard += piece
    assert heard.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in heard


def test_a_client_that_leaves_is_journalled_so(serve: Callable[..., Served]) -> None:
    """`sent` tells whether the client took all of the answer."""
    served = serve()
    body = b'{"model":"m","prompt":"x","n":10,"size":"2048x2048","response_format":"b64_json"}'
    head = "POST /geeknow/v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-leaves\r\n"
    line = socket.create_connection(("127.0.0.1", served.port), 5)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.sendall(head.encode() + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    line.close()
    served.generate("ezmodel", BODY, key="sk-leaves")
    deadline = 200
    while len(calls := served.calls(name_for_key("sk-leaves"))) < 2 and deadline:
        deadline -= 1
    assert {True, False} == {call["sent"] for call in calls}


def test_a_bug_wears_the_envelope_and_leaves_its_trace(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug of ours is a 500 in the gateway's words, journalled, with its traceback in the log."""
    served = serve()

    def fails(*_: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(PreparedReplies, "find", fails)
    with caplog.at_level(logging.ERROR, "emulator"):
        answer = served.generate("ezmodel", BODY)
    assert (500, "server_error") == (answer.status_code, answer.json()["error"]["type"])
    assert answer.headers["x-request-id"] in answer.json()["error"]["message"]
    assert "server_error" == served.calls()[-1]["refused"]["kind"]
    assert "ZeroDivisionError: a bug" in caplog.text


def test_a_bug_in_the_wording_too(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where not even the gateway's words can be had, an envelope of our own is sent."""
    served = serve()
    monkeypatch.setattr(errors.ErrorCatalog, "render", lambda *_, **__: 1 / 0)
    with caplog.at_level(logging.ERROR, "emulator"):
        answer = served.generate("ezmodel", {})
    assert (500, "server_error") == (answer.status_code, answer.json()["error"]["type"])
    assert "ZeroDivisionError" in caplog.text


def test_several_values_in_one_variable() -> None:
    """A setting that may be repeated as a flag is split like PATH in the environment."""
    chosen = settings.load_settings({}, {"EMULATOR_ALLOW_HOST": "one:two"})
    assert ("one", "two") == chosen.allow_host


def test_allowed_hosts_and_the_emulators_own_paths(serve: Callable[..., Served]) -> None:
    """--allow-host opens /_emulator/ under a container's name, to no other."""
    served = serve(allow_host=("emulator",))
    status = {
        host: httpx.get(f"{served.url}/_emulator/settings", headers={"host": host}).status_code
        for host in ("emulator:4010", "localhost", "evil.test")
    }
    assert {"emulator:4010": 200, "localhost": 200, "evil.test": 403} == status
    assert 404 == httpx.get(f"{served.url}/_emulatorhealth").status_code


def test_pipelined_requests_take_turns(server: Served) -> None:
    """A client that sends a thousand requests at once does not keep another from its answer."""
    request = b"GET /openai/v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-many\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 10) as greedy:
        greedy.sendall(request * 1000)
        assert greedy.recv(1)
        assert 200 == httpx.get(f"{server.url}/_emulator/health").status_code
        assert len(server.calls(name_for_key("sk-many"))) < 1000
