"""Several servers over one Redis: any of them answers any call, and what they count is exact together."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from emulator.core.data_folders import find_docs
from tests.conftest import Served
from tests.redis_server import RedisServer
from tests.stable_ids import stable_id

CAT = {"prompt": "A cat", "size": "256x256", "response_format": "url"}
Serve = Callable[..., Served]


@pytest.fixture
def url(redis_server: RedisServer, request: pytest.FixtureRequest) -> str:
    """What `--store` takes, with a prefix of the test's own."""
    return f"{redis_server.url}?prefix=r{stable_id(request.node.nodeid)}"


@pytest.fixture
def replicas(serve: Serve, url: str) -> list[Served]:
    """Three servers over one store."""
    return [serve(store_url=url) for _ in range(3)]


class Client:
    """One session, whose calls go to the servers by turns."""

    def __init__(self, replicas: list[Served], session: str) -> None:
        self._replicas = itertools.cycle(replicas)
        self.session = session
        self._http = httpx.Client(timeout=20)

    def call(self, body: Any = CAT) -> httpx.Response:
        """The answer to a call."""
        headers = {"authorization": "Bearer sk-test", "x-emulator-session": self.session}
        url = f"{next(self._replicas).base('ezmodel')}/images/generations"
        return self._http.post(url, json=body, headers=headers)

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer about the session."""
        url = f"{next(self._replicas).url}/_emulator/sessions/{self.session}{path}"
        response = self._http.request(method, url, json=body)
        assert response.status_code in (200, 406), response.text
        return response.json()


def test_all_servers_show_one_journal(replicas: list[Served]) -> None:
    """A call that has its answer is in the journal of every server, with the same entry."""
    client = Client(replicas, "journal")
    for number in range(1, 7):
        assert 200 == client.call().status_code
        shown = [client.admin("GET", "/calls") for _ in replicas]
        assert shown[0] == shown[1] == shown[2]
        assert [*range(1, number + 1)] == [call["number"] for call in shown[0]["calls"]]


def test_a_scenario_is_played_in_its_order(replicas: list[Served]) -> None:
    """Who plays it does not matter, nor who is called: each answer is given once, in turn."""
    client = Client(replicas, "played")
    rules = [{"answers": [{"refuse": "rate_limit"}, {"draw": {}}, {"refuse": "overloaded"}], "then": "refuse"}]
    client.admin("PUT", "/scenario", {"rules": rules})
    assert [429, 200, 503, 400, 400] == [client.call().status_code for _ in range(5)]
    client.admin("POST", "/reset")
    assert [429, 200, 503, 400] == [client.call().status_code for _ in range(4)]
    client.admin("DELETE", "/scenario")
    assert [200] * 3 == [client.call().status_code for _ in range(3)]


def test_settings_and_clocks_are_shared(replicas: list[Served]) -> None:
    """What is changed at one server counts at the next one's next call."""
    client = Client(replicas, "settings")
    client.admin("PUT", "/settings", {"report_only": True})
    assert [200] * 3 == [client.call({**CAT, "n": 99}).status_code for _ in range(3)]
    client.admin("PUT", "/settings", {"report_only": None})
    assert [400] * 3 == [client.call({**CAT, "n": 99}).status_code for _ in range(3)]
    before = client.call().json()["created"]
    moved = {"advance": "1h", "session": "settings"}
    assert 200 == httpx.post(f"{replicas[0].url}/_emulator/clock", json=moved).status_code
    assert all(client.call().json()["created"] >= before + 3600 for _ in range(3))


def test_calls_at_once_are_counted_exactly(replicas: list[Served]) -> None:
    """Some hundreds of calls of many clients: journalled once each, numbers unique, sequences and limits exact."""
    calls, answers = 240, 200
    boss = Client(replicas, "crowd")
    rules = [{"answers": [{"draw": {"created": number + 1}} for number in range(answers)], "then": "refuse"}]
    boss.admin("PUT", "/scenario", {"rules": rules, "limits": {"images": 150}})
    clients = [Client(replicas[place % 3 :] + replicas[: place % 3], "crowd") for place in range(16)]
    with ThreadPoolExecutor(len(clients)) as pool:
        told = list(pool.map(lambda one: [one.call() for _ in range(calls // len(clients))], clients))
    responses = [response for some in told for response in some]
    status = Counter(response.status_code for response in responses)
    assert {200: 150, 429: 90} == dict(status)
    created = sorted(response.json()["created"] for response in responses if response.status_code == 200)
    assert [*range(1, 151)] == created
    journals = [boss.admin("GET", "/calls?limit=1000") for _ in replicas]
    assert journals[0] == journals[1] == journals[2]
    assert [*range(1, calls + 1)] == [call["number"] for call in journals[0]["calls"]]
    for _ in replicas:
        assert boss.admin("POST", "/verify", {"when": {"refused": True}, "times": 90})["ok"]
        assert [{"limit": "images", "most": 150, "used": 150}] == boss.admin("GET", "/scenario")["limits"]


def test_the_commands_of_the_page(serve: Serve, url: str) -> None:
    """What emulator/docs/server.md says about several servers, but for the ports and the place of the Redis."""
    page = (find_docs() / "server.md").read_text("utf-8")
    block = re.search(r"<!-- several servers -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert block
    text = block[1].replace("\\\n", " ")
    stores = re.findall(r"image-api-emulator serve --store (\S+) --port (\d+) &", text)
    assert ["redis://127.0.0.1:6379"] * 2 == [store for store, _ in stores]
    servers = {port: serve(store_url=url) for _, port in stores}
    asked = re.findall(r"curl -s http://127\.0\.0\.1:(\d+)(\S+)(?:.* -d '(.*)')?", text)
    assert 2 == len(asked)
    for port, path, body in asked:
        headers = {"authorization": "Bearer sk-test", "content-type": "application/json"}
        method = "POST" if body else "GET"
        answer = httpx.request(method, servers[port].url + path, headers=headers, content=body or None)
        assert 200 == answer.status_code
    assert [1] == [call["number"] for call in answer.json()["calls"]]


def read_events(response: httpx.Response, count: int) -> list[tuple[str, str]]:
    """The name and the id of the next `count` events of a stream that are no comments."""
    found: list[tuple[str, str]] = []
    name = event_id = ""
    for line in response.iter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "id":
            event_id = value
        elif not line and name:
            found.append((name, event_id))
            name = event_id = ""
            if len(found) == count:
                return found
    raise AssertionError(found)


def test_events_of_all_servers(replicas: list[Served]) -> None:
    """A listener at one server hears of the calls of all, once each, and goes on behind them at another server."""
    first, second, third = replicas
    at_second = Client([second], "heard")
    path = "/_emulator/events?session=heard&view=summary"
    assert 200 == at_second.call().status_code
    with httpx.stream("GET", f"{first.url}{path}&recent=5", timeout=10) as response:
        assert [("call", "heard/1"), ("live", "")] == read_events(response, 2)
    with httpx.stream("GET", first.url + path, timeout=10) as response:
        lines = response.iter_lines()
        assert ": each call as it ends" == next(lines)
        for client in (at_second, Client([third], "heard")):
            assert 200 == client.call().status_code
        ids = [line.removeprefix("id: ") for line in itertools.islice(lines, 9) if line.startswith("id: ")]
        assert ["heard/2", "heard/3"] == ids
    headers = {"Last-Event-ID": "heard/2"}
    with httpx.stream("GET", third.url + path, headers=headers, timeout=10) as response:
        assert [("call", "heard/3"), ("live", "")] == read_events(response, 2)
    at_second.admin("POST", "/reset")
    assert 200 == at_second.call().status_code
    with httpx.stream("GET", f"{third.url}{path}&recent=5", timeout=10) as response:
        assert [("call", "heard/1"), ("live", "")] == read_events(response, 2)
