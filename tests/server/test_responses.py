"""Sending responses: what the journal hears of one that its client did not take."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from aiohttp import web

from emulator.core.data_folders import find_schemas
from emulator.core.header_lines import format_header_lines
from emulator.core.names import name_for_key
from emulator.messages import Response
from emulator.server import responses
from tests.conftest import Served
from tests.yaml_texts import dump_yaml, load_yaml


@pytest.mark.parametrize(
    ("method", "error", "sent_bytes"),
    [("POST", None, 3), ("HEAD", None, 0), ("POST", ConnectionResetError(), 0)],
    ids=["written before the client left", "no body", "not written"],
)
async def test_bytes_of_a_small_answer_whose_client_left(
    monkeypatch: pytest.MonkeyPatch, method: str, error: Exception | None, sent_bytes: int
) -> None:
    """Those that were written before count, as they do for a large answer."""

    class Outgoing:
        def __init__(self, **_: Any) -> None: ...

        async def prepare(self, http: Any) -> None: ...

        async def write_eof(self) -> None:
            if error is not None:
                raise error

    monkeypatch.setattr(web, "Response", Outgoing)
    http: Any = SimpleNamespace(method=method, transport=None)

    async def finish(_: Any) -> None: ...

    _, count, complete = await responses._send_body(http, Response(200, (), (b"abc",)), {}, False, finish)
    assert (sent_bytes, False) == (count, complete)


@pytest.mark.parametrize(
    ("version", "wish", "said", "stays"),
    [
        ("1.1", "", None, True),
        ("1.1", "Connection: close\r\n", "close", False),
        ("1.0", "", None, False),
        ("1.0", "Connection: keep-alive\r\n", "keep-alive", True),
    ],
)
def test_the_head_of_an_answer_sent_at_once(
    server: Served, version: str, wish: str, said: str | None, stays: bool
) -> None:
    """The head says what the client's version does not say by itself; the journal has the head that was sent."""
    key = f"sk-at-once-{version}-{len(wish)}"
    head = f"POST /ezmodel/v1/images/generations HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{wish}"
    request = (
        f"{head}Content-Type: application/json\r\nContent-Length: 33\r\n\r\n".encode()
        + b'{"model":"dall-e-2","prompt":"x"}'
    )
    with socket.create_connection(("127.0.0.1", server.port), 5) as line, line.makefile("rb") as received:
        line.sendall(request)
        lines = []
        while (text := received.readline().decode().strip()) != "":
            lines.append(text)
        pairs = dict(text.split(": ", 1) for text in lines[1:])
        assert f"HTTP/{version} 200 OK" == lines[0]
        assert said == pairs.get("Connection")
        body = received.read(int(pairs["Content-Length"]))
        assert body.endswith(b"}")
        if not stays:
            assert b"" == received.read(1)
    (call,) = server.calls(name_for_key(key))
    assert pairs == call["response"]["headers"]
    assert len(body) == call["bytes_sent"]


@pytest.mark.parametrize("broken", ["a\r\nb: c", "a\nb", "a\rb"])
def test_a_header_with_a_line_break_is_never_sent(broken: str) -> None:
    """It would be a header, or an answer, of its own."""
    with pytest.raises(ValueError, match="line break"):
        format_header_lines([("Content-Type", broken)])


def test_header_lines_of_every_gateway(server: Served) -> None:
    """The lines have the same headers in the same order as the mapping, with a good key and without."""
    for validator in server.app.registry.validators.values():
        headers = validator.gateway.response_headers
        for has_good_key in (True, False):
            lines = headers.format_lines("req-1", 0.25, has_good_key)
            assert format_header_lines(headers.make_headers("req-1", 0.25, has_good_key).items()) == lines


@pytest.mark.parametrize("prompt", ["x", 5])
def test_a_header_of_the_gateways_own_is_sent_once(
    serve: Callable[..., Served], tmp_path: Path, prompt: object
) -> None:
    """A gateway's file may say what its `Server` is, and whose pages may read its answers; ours are not sent then."""
    schema = load_yaml((find_schemas() / "ezmodel.yaml").read_text("utf-8"))
    own = {"Server": "nginx", "Access-Control-Allow-Origin": "https://a.test"}
    schema["x-emulator-gateway"] = {"request_id": {"headers": own}}
    (tmp_path / "own.yaml").write_text(dump_yaml(schema), "utf-8")
    served = serve(schema=(str(tmp_path / "own.yaml"),))
    headers = served.generate("own", {"prompt": prompt}).headers
    assert own == {name: headers[name] for name in own}  # a header that came twice has both values


def test_a_refusal_of_an_unknown_status_has_no_reason(server: Served) -> None:
    """A script may answer with any status; the line still has its three parts."""
    answers = "rules: [{answers: [{canned: {status: 599, content_type: text/plain, text: a}}]}]"
    as_yaml = {"content-type": "application/yaml"}
    httpx.put(f"{server.url}/_emulator/sessions/at-once/scenario", content=answers, headers=as_yaml).raise_for_status()
    answer = httpx.post(
        f"{server.url}/s/at-once/ezmodel/v1/images/generations",
        json={"model": "dall-e-2", "prompt": "x"},
        headers={"authorization": "Bearer k"},
    )
    assert (599, "") == (answer.status_code, answer.reason_phrase)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(413, "Request Entity Too Large"), (422, "Unprocessable Entity"), (503, "Service Unavailable"), (599, "")],
)
@pytest.mark.parametrize("beside", [{}, {"headers": {"X-Own": "a"}}, {"faults": ["malformed_json"]}], ids=str)
def test_the_words_of_a_status(server: Served, status: int, reason: str, beside: dict[str, Any]) -> None:
    """They are the same with every version of Python, however the answer is sent."""
    key = f"sk-words-{status}-{len(str(beside))}"
    scenario = {"rules": [{"answers": {"canned": {"status": status, "json": {"a": 1}}, **beside}}]}
    played = httpx.put(f"{server.url}/_emulator/sessions/{name_for_key(key)}/scenario", json=scenario)
    assert played.status_code == 200, played.text
    answer = server.generate("ezmodel", {"prompt": "x"}, key)
    assert (status, reason) == (answer.status_code, answer.reason_phrase)
