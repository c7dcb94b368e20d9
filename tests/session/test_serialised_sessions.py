"""A whole server over a store that holds bytes alone: nothing that a session remembers depends on this process."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import pytest

import emulator
from emulator.session.store import StoreLimits
from tests.conftest import Served
from tests.session.serialising_store import SerialisingStore

FROZEN = "frozen:2026-01-01T00:00:00Z"
CAT = {"prompt": "A cat", "size": "256x256"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server whose clock stands still."""
    store = SerialisingStore(StoreLimits(calls=100, bytes=10**8, sessions=100, age=10**6))
    running = Served(store=store, clock=FROZEN)
    yield running
    running.stop()


class Account:
    """One session on the server."""

    def __init__(self, served: Served, session: str) -> None:
        self.served, self.session = served, session

    def generate(self, gateway: str, body: Any) -> httpx.Response:
        """The answer to a call."""
        return self.served.generate(gateway, body, **{"x-emulator-session": self.session})

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer of the admin API about the session."""
        response = httpx.request(method, f"{self.served.url}/_emulator/sessions/{self.session}{path}", json=body)
        assert 200 == response.status_code, response.text
        return response.json()

    def verify(self, **expected: Any) -> Mapping[str, Any]:
        """The verdict on the session."""
        verdict: Mapping[str, Any] = self.admin("POST", "/verify", expected)
        return verdict


def test_a_scenario_is_played(served: Served) -> None:
    """Rules, sequences, misses and limits are those of the source text that the store holds."""
    account = Account(served, "scenario")
    rules = [
        {"name": "dogs", "when": {"prompt": {"contains": "dog"}}, "answers": [{"refuse": "overloaded"}]},
        {"name": "rest", "answers": [{"refuse": "rate_limit"}, {"draw": {"images": 1}}]},
    ]
    account.admin("PUT", "/scenario", {"scenario": "mine", "rules": rules, "limits": {"images": 2}})
    served.app.sessions._parsed.clear()  # as in another process
    status = [account.generate("ezmodel", CAT).status_code for _ in range(3)]
    assert (429, 200) == (status[0], status[1])
    shown = account.admin("GET", "/scenario")
    assert ("mine", [{"rule": "dogs", "left": 1}]) == (shown["scenario"], shown["unused"])
    call = account.admin("GET", "/calls/2")
    assert ("rest", 2, "dogs") == (call["rule"], call["step"], call["misses"][0]["rule"])
    assert 'prompt: expected something that contains "dog", came "A cat"' == call["misses"][0]["why"][0]


def test_settings_and_reset(served: Served) -> None:
    """A session's own settings count until they are taken back; a reset leaves them and takes the calls away."""
    account = Account(served, "settings")
    account.admin("PUT", "/settings", {"behavior": "documented", "report_only": True})
    assert 200 == account.generate("ezmodel", {**CAT, "n": 99}).status_code
    account.admin("POST", "/reset")
    assert [] == account.admin("GET", "/calls")["calls"]
    assert (True, "documented") == tuple(
        account.admin("GET", "/settings")[name] for name in ("report_only", "behavior")
    )


@pytest.mark.parametrize("async_latency", [None, "20s"])
def test_a_task_goes_its_way(served: Served, async_latency: str | None) -> None:
    """A task is pending, running and done, and its pictures are those that were asked for."""
    account = Account(served, f"task-{async_latency}")
    account.admin("PUT", "/settings", {"behavior": "observed"})
    if async_latency is not None:
        account.admin("PUT", "/scenario", {"rules": [{"answers": [{"latency": async_latency}]}]})
    body = {"model": "cogview-4", "prompt": "A cat", "async": True, "n": 2, "response_format": "b64_json"}
    task = account.generate("geekai", body).json()["task_id"]
    url, headers = f"{served.base('geekai')}/images/{task}", {"authorization": "Bearer sk-test"}
    polls = [httpx.get(url, headers={**headers, "x-emulator-session": account.session}).json() for _ in range(2)]
    assert ["running", "succeed"] == [poll["task_status"] for poll in polls]
    labels = [emulator.inspect(base64.b64decode(item["b64_json"])).label for item in polls[1]["data"]]
    assert [0, 1] == [label["index"] for label in labels if label]
    assert {"id": task, "call": 1, "state": "done"} == account.admin("GET", "/calls/latest")["task"]


def test_calls_are_verified(served: Served) -> None:
    """Counts, fields, findings and costs are those of calls that were stored as bytes."""
    account = Account(served, "verify")
    account.generate("ezmodel", {**CAT, "model": "dall-e-3", "size": "1024x1024"})
    account.generate("ezmodel", {**CAT, "model": "dall-e-3"})
    assert account.verify(when={"model": "dall-e-3"}, times=2)["ok"]
    assert account.verify(when={"refused": True}, once=True)["ok"]
    assert account.verify(when={"headers": {"authorization": "Bearer sk-test"}}, times=2)["ok"]
    assert account.verify(max_cost=0.04)["ok"]
    assert not account.verify(max_cost=0.01)["ok"]
    assert "nearest" in account.verify(when={"prompt": "A dog"})["message"]


def test_the_clock_is_moved(served: Served) -> None:
    """A session's time goes on by what it was moved, and so does that of all sessions."""
    account = Account(served, "clock")
    first = account.generate("ezmodel", CAT).json()["created"]
    for body in ({"advance": "1h", "session": "clock"}, {"advance": "1m"}):
        assert 200 == httpx.post(f"{served.url}/_emulator/clock", json=body).status_code
    served.app.clock._advanced_by_session.clear()  # as in another process
    assert first + 3660 == account.generate("ezmodel", CAT).json()["created"]
