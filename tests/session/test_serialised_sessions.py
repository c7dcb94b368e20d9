"""A whole server over a store that holds bytes alone: nothing that a session remembers depends on this process.

The same holds for a store in Redis.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import emulator
from emulator.session.store import InMemoryStore, StoreLimits
from tests.conftest import Served
from tests.session.serialising_store import SerialisingStore
from tests.uploads import draw_file

FROZEN = "frozen:2026-01-01T00:00:00Z"
COGVIEW = {"model": "cogview-4", "prompt": "A cat"}
EDITED = {"model": "dall-e-2", "prompt": "A cat", "size": "256x256"}
CAT = {"prompt": "A cat", "size": "256x256"}


LIMITS = StoreLimits(calls=100, bytes=10**8, sessions=100, age=10**6)
OWN_PICTURE = "rules:\n- answers:\n  - draw: {picture: {file: own.png}}\n"


@pytest.fixture(scope="module", params=["serialising", "redis"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server whose clock stands still."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        running = Served(store_url=f"{url}?prefix=sessions", clock=FROZEN)
    else:
        running = Served(store=SerialisingStore(LIMITS), clock=FROZEN)
    yield running
    running.stop()


@pytest.fixture
def own_picture(tmp_path: Path) -> bytes:
    """A picture that the scenario beside it shows in the place of drawn ones."""
    data = draw_file(size=(64, 64))
    (tmp_path / "own.png").write_bytes(data)
    (tmp_path / "own.yaml").write_text(OWN_PICTURE, "utf-8")
    return data


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
        assert response.status_code in (200, 406), response.text
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
    served.app.sessions._parsed._values.clear()  # as in another process
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


def test_an_edit_is_drawn_of_its_upload(served: Served) -> None:
    """The upload is in the store: the admin API has its bytes, and the link shows what the call itself showed."""
    account = Account(served, "edit")
    upload = draw_file(mode="RGBA", size=(256, 256))
    answers = [_edit(account, upload, delivery) for delivery in ("b64_json", "url")]
    drawn = base64.b64decode(answers[0]["b64_json"])
    assert drawn == httpx.get(answers[1]["url"]).content
    (described,) = account.admin("GET", "/calls/1")["uploads"]
    path = f"{served.url}/_emulator/sessions/edit/uploads/{described['sha256']}"
    assert upload == httpx.get(path).content


@pytest.mark.parametrize("way", ["b64_json", "url"])
def test_a_testers_own_picture_is_shown(
    serve: Callable[..., Served], tmp_path: Path, own_picture: bytes, way: str
) -> None:
    """It is in the response or behind its link, and the admin API shows it again."""
    served = serve(store=SerialisingStore(LIMITS), scenario=str(tmp_path / "own.yaml"))
    answer = served.generate("ezmodel", {**EDITED, "response_format": way}).json()["data"][0]
    assert own_picture == _fetch(answer)
    assert own_picture == httpx.get(f"{served.url}/_emulator/sessions/latest/calls/latest/pictures/0").content


@pytest.mark.parametrize("store", [InMemoryStore, SerialisingStore])
def test_a_dropped_picture_is_missing_and_breaks_nothing(
    serve: Callable[..., Served], tmp_path: Path, own_picture: bytes, store: type[InMemoryStore]
) -> None:
    """A call shows the bytes that it holds; afterwards its link, its task and its journal have no picture, never a 500.

    The store has no room for a single picture.
    """
    limits = replace(LIMITS, picture_bytes=10)
    served = serve(store=store(limits), scenario=str(tmp_path / "own.yaml"), behavior="observed")
    inline, linked = (
        served.generate("geekai", {**COGVIEW, "response_format": way}).json()["data"][0] for way in ("b64_json", "url")
    )
    assert own_picture == _fetch(inline)
    refused = httpx.get(linked["url"])
    assert (404, "ResourceNotFound") == (refused.status_code, refused.headers["x-ms-error-code"])
    assert 404 == httpx.get(f"{served.url}/_emulator/sessions/latest/calls/1/pictures/0").status_code
    for way, expected in (("b64_json", "failed"), ("url", "succeed")):
        task = served.generate("geekai", {**COGVIEW, "async": True, "response_format": way}).json()["task_id"]
        url, headers = f"{served.base('geekai')}/images/{task}", {"authorization": "Bearer sk-test"}
        polls = [httpx.get(url, headers=headers) for _ in range(2)]
        assert [200, 200] == [poll.status_code for poll in polls]
        assert expected == polls[1].json()["task_status"]
    assert 404 == httpx.get(polls[1].json()["data"][0]["url"]).status_code


def _edit(account: Account, upload: bytes, delivery: str) -> Any:
    response = httpx.post(
        f"{account.served.base('ezmodel')}/images/edits",
        data={**EDITED, "response_format": delivery},
        files={"image": upload},
        headers={"authorization": "Bearer sk-test", "x-emulator-session": account.session},
    )
    assert 200 == response.status_code, response.text
    return response.json()["data"][0]


def _fetch(answer: Mapping[str, str]) -> bytes:
    if "url" in answer:
        return httpx.get(answer["url"]).content
    return base64.b64decode(answer["b64_json"])
