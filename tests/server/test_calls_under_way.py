"""Calls that have begun and not ended, and calls whose client leaves: both are in the journal, in their states."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import openai
import pytest
from aiohttp import web

from emulator.server import listener, responses
from emulator.server.app import App
from emulator.server.connection import get_connection
from emulator.session.journal import JournalEntry
from tests.conftest import Served
from tests.sdk import ImpatientOpenAI

BODY = {"model": "gpt-image-2", "prompt": "A boat"}
SLOW = {"rules": [{"name": "slow", "answers": {"latency": "10m"}}]}


def begin_call(
    served: Served, body: Mapping[str, Any] = BODY, *, base: str = "openai/v1", left_out: int = 0
) -> socket.socket:
    """Send a call of the session `case` without its last bytes, and wait for nothing."""
    content = httpx.Request("POST", served.url, json=body).content
    line = socket.create_connection(("127.0.0.1", served.port), 5)
    head = f"POST /s/case/{base}/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    line.sendall(head.encode() + content[: len(content) - left_out])
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


def test_a_bug_leaves_no_call_under_way(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that cannot even be sent has ended."""
    served = serve()

    def fails(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(responses, "send_response", fails)
    assert 500 == httpx.post(f"{served.url}/openai/v1/images/generations", json=BODY).status_code
    assert 0 == served.app.sessions.count_under_way()


@pytest.mark.parametrize("base", ["openai/v1", "_emulator"])
def test_a_client_that_leaves_before_its_body_is_read(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, base: str
) -> None:
    """It may have left before its request was looked at: the call is journalled as any other whose client left."""
    answer, asked = App.handle, threading.Event()

    async def answer_late(app: App, http: web.BaseRequest) -> web.StreamResponse:
        if http.headers.get("Authorization") != "Bearer sk-test":
            return await answer(app, http)
        await get_connection(http).wait_until_left()
        try:
            return await answer(app, http)
        finally:
            asked.set()

    monkeypatch.setattr(App, "handle", answer_late)
    served = serve()
    begin_call(served, base=base, left_out=5).close()
    assert asked.wait(10)
    assert [] == [record.getMessage() for record in caplog.records]
    if base != "_emulator":
        (call,) = wait_for_calls(served, "client_gone")
        assert ("cut_body", None) == (call["unreadable"]["why"], call["response"])


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


STREAMED = {"stream": True, "partial_images": 3}
WAITS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a latency": ({}, SLOW),
    "a stalled body": ({}, {"rules": [{"answers": {"faults": [{"stall": {"after": 20}}]}}]}),
    "a slow body": ({}, {"rules": [{"answers": {"faults": [{"slow_body": {"chunk": 10, "every": "10m"}}]}}]}),
    "a stream": (STREAMED, {"rules": [{"answers": {"latency": "10m"}}]}),
    "a stalled stream": (STREAMED, {"rules": [{"answers": {"faults": [{"stall": {"after": "1 event"}}]}}]}),
}


@pytest.mark.parametrize("case", WAITS)
def test_a_client_that_leaves_is_journalled_at_that_moment(serve: Callable[..., Served], case: str) -> None:
    """Whatever its call waits for, and with what it had received."""
    served = serve()
    body, scenario = WAITS[case]
    play(served, scenario)
    with begin_call(served, {**BODY, **body}) as line:
        wait_for_calls(served, "under_way")
        begins_to_answer = case in ("a stalled body", "a slow body", "a stalled stream")
        if begins_to_answer:
            assert line.recv(1)
            (call,) = wait_for_calls(served, "under_way", path="&status=200")
            assert (None, True) == (call["response"]["body"], call["bytes_sent"] > 0)
    (call,) = wait_for_calls(served, "client_gone")
    assert (1, False, 1) == (call["number"], call["sent"], call["turn"])
    assert begins_to_answer == (call["status"] == 200) == (call["response"] is not None)
    assert begins_to_answer == (call["bytes_sent"] > 0)
    assert 1 == len(served.calls("case"))


def test_a_client_that_leaves_while_its_gateway_tries_again(serve: Callable[..., Served]) -> None:
    """The tries that were made are journalled, and no further one is."""
    served = serve()
    play(served, {"rules": [{"answers": [{"refuse": "server_error"}, {"refuse": "server_error", "latency": "10m"}]}]})
    body = {"model": "cogview-4", "prompt": "A boat", "retries": 3}
    with begin_call(served, body, base="geekai/api/v1"):
        wait_for_calls(served, "under_way")
    (call,) = wait_for_calls(served, "client_gone")
    assert (1, 2, 600.0) == (len(call["tries"]), call["step"], call["latency"])


def test_a_client_that_leaves_with_half_its_body_sent(serve: Callable[..., Served]) -> None:
    """Its call is under way until then, and nothing is known of what it asks for; the scenario has not answered it."""
    served = serve()
    play(served, SLOW)
    with begin_call(served, BODY, left_out=10):
        (call,) = wait_for_calls(served, "under_way")
        assert (None, None) == (call["given"], call["turn"])
    (call,) = wait_for_calls(served, "client_gone")
    assert ("generate", None, "cut_body") == (call["operation"], call["turn"], call["unreadable"]["why"])


def test_a_call_whose_body_never_came_is_not_held_against_gateways(serve: Callable[..., Served]) -> None:
    """Nobody knows what it asks for."""
    served = serve()
    with begin_call(served, BODY, left_out=10):
        wait_for_calls(served, "under_way")
        held = httpx.post(f"{served.url}/_emulator/portability", json={"session": "case"}).json()
    assert [] == held.get("calls", [])


def test_a_time_out_of_the_client_is_shorter_than_the_gateway(serve: Callable[..., Served]) -> None:
    """Each attempt of the SDK is journalled when its time-out ends it (LibreChat#7133, dify#19165), and is billed."""
    served = serve()
    play(served, SLOW)
    url = f"{served.url}/s/case/openai/v1"
    sdk = ImpatientOpenAI(base_url=url, api_key="sk-test", timeout=0.3, max_retries=1)
    with sdk, pytest.raises(openai.APITimeoutError):
        sdk.images.generate(model="gpt-image-2", prompt="A boat")
    gone = wait_for_calls(served, "client_gone", 2)
    assert [("slow", 1), ("slow", 2)] == [(call["rule"], call["turn"]) for call in gone]
    verify = f"{served.url}/_emulator/sessions/case/verify"
    assert 200 == httpx.post(verify, json={"when": {"model": "gpt-image-2"}, "times": 2}).status_code
    assert 406 == httpx.post(verify, json={"max_cost": 0.001}).status_code


def test_a_verdict_counts_a_call_under_way_and_says_so(serve: Callable[..., Served]) -> None:
    """The call has come; how it ends is open."""
    served = serve()
    play(served, SLOW)
    with begin_call(served):
        wait_for_calls(served, "under_way")
        verdict = httpx.post(f"{served.url}/_emulator/sessions/case/verify", json={"once": True}).json()
        assert (True, [1], ["calls_under_way"]) == (verdict["ok"], verdict["matched"], verdict["notes"])
        assert verdict["message"].endswith("calls_under_way: call 1: its outcome is not known yet")


def test_the_answer_of_a_client_that_left_stays_taken(serve: Callable[..., Served]) -> None:
    """As at the real gateway, where the call began: the next call gets the next answer, and the limits count both."""
    served = serve()
    answers = [{"latency": "10m"}, {"headers": {"x-second": "yes"}}]
    rule = {"name": "two", "answers": answers, "then": "next"}
    play(served, {"rules": [rule, {"answers": {"refuse": "server_error"}}], "limits": {"images": 2}})
    with begin_call(served):
        wait_for_calls(served, "under_way")
    wait_for_calls(served, "client_gone")
    asked = {"x-emulator-session": "case"}
    assert "yes" == served.generate("openai", BODY, **asked).headers["x-second"]
    third = served.generate("openai", BODY, **asked)
    assert (429, "insufficient_quota") == (third.status_code, third.json()["error"]["code"])


def test_a_failure_that_nobody_waited_for_is_not_billed(serve: Callable[..., Served]) -> None:
    """As for a client that waits: what was charged for it is given back."""
    served = serve()
    refused = {"answers": [{"refuse": "server_error", "latency": "10m"}], "then": "next"}
    play(served, {"rules": [refused], "limits": {"cost": 0.3}})
    body = {**BODY, "quality": "high"}
    with begin_call(served, body):
        wait_for_calls(served, "under_way")
    wait_for_calls(served, "client_gone")
    assert 200 == served.generate("openai", body, **{"x-emulator-session": "case"}).status_code


def test_the_other_calls_of_a_connection_and_of_others_go_on(serve: Callable[..., Served]) -> None:
    """Many clients leave at once; each call is journalled once, and none is lost."""
    served = serve()
    play(served, SLOW)
    lines = [begin_call(served) for _ in range(20)]
    wait_for_calls(served, "under_way", 20)
    for line in lines[:10]:
        line.close()
    gone = wait_for_calls(served, "client_gone", 10)
    assert 10 == len({call["number"] for call in gone})
    assert 10 == len(wait_for_calls(served, "under_way", 10))
    for line in lines[10:]:
        line.close()
    assert list(range(1, 21)) == [call["number"] for call in wait_for_calls(served, "client_gone", 20)]


def test_clients_that_leave_at_once(serve: Callable[..., Served]) -> None:
    """Some leave before their call begins, and some of those with a second request behind the first."""
    served = serve()
    play(served, SLOW)
    for number in range(40):
        line = begin_call(served)
        if number % 2:
            line.sendall(b"GET /s/case/openai/v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test\r\n\r\n")
        if number % 4 > 1:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # reset, with no goodbye
        line.close()
    with httpx.Client(base_url=served.url) as client:
        for _ in range(2000):
            calls = client.get("/_emulator/sessions/case/calls").json().get("calls", [])
            states = {call["state"] for call in calls}
            if len(calls) >= 20 and states == {"client_gone"}:  # some of the reset ones are never seen
                break
    assert (True, {"client_gone"}) == (len(calls) >= 20, states)


def test_a_server_that_stops_journals_what_it_breaks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a call was never answered, and its client did not leave."""
    monkeypatch.setattr(listener, "_SHUTDOWN", 0.01)
    served = Served()
    play(served, SLOW)
    ended: list[JournalEntry] = []
    served.app.observers.append(lambda record: ended.append(record.entry))
    with begin_call(served):
        wait_for_calls(served, "under_way")
        served.stop()
    (entry,) = ended
    assert ("under_way", None, ["server_stopped"]) == (
        entry.state, entry.status, [finding["code"] for finding in entry.findings],
    )  # fmt: skip


def test_listeners_hear_of_a_call_before_it_ends(serve: Callable[..., Served]) -> None:
    """As the event `began` when the gateway has accepted it, and as `call` when it has ended."""
    served = serve()
    play(served, SLOW)
    with httpx.stream("GET", f"{served.url}/_emulator/events?session=case") as stream:
        lines = stream.iter_lines()
        assert ": each call as it ends" == next(lines)
        with begin_call(served):
            assert "event: began" == next(line for line in lines if line.startswith("event"))
            assert "under_way" == json.loads(next(lines).removeprefix("data: "))["state"]
        assert "event: call" == next(line for line in lines if line.startswith("event"))
        next(lines)
        assert "client_gone" == json.loads(next(lines).removeprefix("data: "))["state"]


def test_who_listens_later_hears_of_a_call_under_way(serve: Callable[..., Served]) -> None:
    """A listener that wants what was before gets a call that has begun and not ended, and then its end."""
    served = serve()
    play(served, SLOW)
    with begin_call(served):
        wait_for_calls(served, "under_way")
        with httpx.stream("GET", f"{served.url}/_emulator/events?recent=1&view=summary") as stream:
            lines = (line for line in stream.iter_lines() if line.startswith(("event", "data")))
            assert ["event: began", "under_way"] == [next(lines), json.loads(next(lines)[6:])["state"]]
