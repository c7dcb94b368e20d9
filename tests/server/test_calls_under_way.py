"""Calls that have begun and not ended, and calls whose client leaves: both are in the journal, in their states."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from tests.conftest import Served

BODY = {"model": "gpt-image-2", "prompt": "A boat"}
SLOW = {"rules": [{"name": "slow", "answers": {"latency": "10m"}}]}


def begin_call(served: Served, body: Mapping[str, Any] = BODY, *, session: str = "case") -> socket.socket:
    """Send a call and wait for nothing; the call lasts as long as its client stays."""
    content = httpx.Request("POST", served.url, json=body).content
    line = socket.create_connection(("127.0.0.1", served.port), 5)
    head = f"POST /s/{session}/openai/v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    line.sendall(head.encode() + content)
    return line


def play(served: Served, scenario: Mapping[str, Any], session: str = "case") -> None:
    """Let the session play a scenario."""
    answer = httpx.put(f"{served.url}/_emulator/sessions/{session}/scenario", json=scenario)
    assert answer.status_code == 200, answer.text


def wait_for_calls(
    served: Served, state: str, count: int = 1, session: str = "case", path: str = ""
) -> list[dict[str, Any]]:
    """Ask until the session has `count` calls in the state; fails if it never has."""
    calls: list[dict[str, Any]] = []
    with httpx.Client() as client:
        for _ in range(2000):
            url = f"{served.url}/_emulator/sessions/{session}/calls?state={state}{path}"
            calls = client.get(url).json().get("calls", [])
            if len(calls) >= count:
                break
    assert len(calls) == count
    return calls


def test_a_call_under_way_is_in_the_list_of_calls(serve: Callable[..., Served]) -> None:
    """With what is known of it: who asks what, which rule answers it, and how long that takes; nothing was sent."""
    served = serve()
    play(served, SLOW)
    with begin_call(served):
        (call,) = wait_for_calls(served, "under_way", path="&rule=slow")
        assert (1, "under_way", "generate", "gpt-image-2") == (
            call["number"], call["state"], call["operation"], call["model"],
        )  # fmt: skip
        assert ("slow", 1, 600.0) == (call["rule"], call["turn"], call["latency"])
        assert (None, None, False, 0) == (call["status"], call["response"], call["sent"], call["bytes_sent"])
        assert "A boat" == call["params"]["prompt"]
        assert call == httpx.get(f"{served.url}/_emulator/sessions/case/calls/1").json() | {
            "duration": call["duration"]
        }
        session = httpx.get(f"{served.url}/_emulator/sessions/case").json()
        assert (1, 0, 1) == (session["calls"], session["kept"], session["under_way"])
        assert "emulator_calls_under_way 1\n" in httpx.get(f"{served.url}/_emulator/metrics").text


def test_an_answered_call_says_so(server: Served) -> None:
    """With the bytes of its body."""
    answer = server.generate("openai", {**BODY, "n": 0}, **{"x-emulator-session": "answered"})
    (call,) = server.calls("answered")
    assert ("answered", True, len(answer.content)) == (call["state"], call["sent"], call["bytes_sent"])


def test_a_call_from_before_a_reset_is_not_journalled_after_it(serve: Callable[..., Served]) -> None:
    """Its number may be that of a new call."""
    served = serve()
    play(served, SLOW)
    with begin_call(served):
        wait_for_calls(served, "under_way")
        httpx.post(f"{served.url}/_emulator/sessions/case/reset")
        assert [] == served.calls("case")
