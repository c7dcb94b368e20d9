"""A Redis that is lost, in each way: drawn answers go on, no turn is wrong, and all is exact again at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpx
import pytest

from tests.conftest import Served
from tests.redis_server import RedisServer
from tests.server.test_replicas import CAT, Client

BOUND: Final = 5.0  # seconds until everything is exact again
Serve = Callable[..., Served]
Step = Callable[[RedisServer], Any]

WAYS: Final[dict[str, tuple[Step, Step]]] = {
    "stopped": (RedisServer.pause, RedisServer.resume),
    "full": (
        lambda redis: redis.ask("CONFIG", "SET", "maxmemory", "1"),
        lambda redis: redis.ask("CONFIG", "SET", "maxmemory", "0"),
    ),
    "read-only": (
        lambda redis: redis.ask("REPLICAOF", "127.0.0.1", "1"),
        lambda redis: redis.ask("REPLICAOF", "NO", "ONE"),
    ),
    "without functions": (lambda redis: redis.ask("FUNCTION", "FLUSH"), lambda _: None),
}
"""How a Redis is lost that keeps its data, and how it is there again."""


@pytest.fixture
def replicas(redis: RedisServer, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> list[Served]:
    """Two servers over it, which give up soon where it does not answer."""
    from emulator.session import redis_connection

    monkeypatch.setattr(redis_connection, "ANSWER_WITHIN", 1.0)
    return [serve(store_url=redis.url) for _ in range(2)]


def wait_for_health(replicas: list[Served], status: int) -> None:
    """Wait until every server has this status; fails after BOUND seconds."""
    deadline = time.monotonic() + BOUND
    while {httpx.get(f"{one.url}/_emulator/health").status_code for one in replicas} != {status}:
        assert time.monotonic() < deadline, f"health is not {status} after {BOUND} seconds"
        time.sleep(0.01)


def play(client: Client, answers: int = 50) -> None:
    """Let the session play a sequence, each of whose answers tells its place."""
    answers_in_turn = [{"draw": {"created": place + 1}} for place in range(answers)]
    client.admin("PUT", "/scenario", {"rules": [{"answers": answers_in_turn}]})


def list_numbers(replicas: list[Served], session: str) -> list[int]:
    """The numbers in the journal of the session, which every server shows."""
    shown = [one.calls(session) for one in replicas]
    assert all(journal == shown[0] for journal in shown)
    return [call["number"] for call in shown[0]]


@pytest.mark.parametrize("way", WAYS)
def test_lost_and_there_again(replicas: list[Served], redis: RedisServer, way: str) -> None:
    """Drawn calls are answered and journalled with numbers of their own; the scenario goes on where it was."""
    drawn, played = Client(replicas, "drawn"), Client(replicas, "played")
    play(played)
    assert [1, 2, 3] == [played.call().json()["created"] for _ in range(3)]
    assert [200, 200] == [drawn.call().status_code for _ in replicas]
    lose, find_again = WAYS[way]
    lose(redis)
    if way == "without functions":
        assert {200} == {drawn.call().status_code for _ in range(4)}
    else:
        assert {200} == {drawn.call().status_code for _ in range(4)}
        wait_for_health(replicas, 503)
        refused = [played.call() for _ in replicas]
        assert [(503, "store_lost")] * 2 == [(one.status_code, one.json()["error"]["code"]) for one in refused]
        shown = httpx.get(f"{replicas[0].url}/_emulator/sessions/drawn/calls")
        assert (503, "store_lost") == (shown.status_code, shown.json()["error"]["code"])
        assert 200 == httpx.get(f"{replicas[0].url}/_emulator/metrics").status_code
    find_again(redis)
    wait_for_health(replicas, 200)
    told = [played.call().json()["created"] for _ in range(4)]
    assert told == sorted(set(told))
    assert 4 <= told[0] <= 6  # a turn whose answer was lost on its way is not taken again
    assert [200, 200] == [drawn.call().status_code for _ in replicas]
    numbers = list_numbers(replicas, "drawn")
    assert (8, 8) == (len(numbers), len(set(numbers)))


def test_it_came_back_empty(replicas: list[Served], redis: RedisServer) -> None:
    """What was played is refused until it is played again or reset; what was drawn begins anew."""
    drawn, played, again = (Client(replicas, name) for name in ("drawn", "played", "again"))
    for client in (played, again):
        play(client)
        assert [1, 2] == [client.call().json()["created"] for _ in range(2)]
    assert 200 == drawn.call().status_code
    redis.kill()
    wait_for_health(replicas, 503)
    assert [200, 200] == [drawn.call().status_code for _ in replicas]
    redis.start()
    wait_for_health(replicas, 200)
    assert [1, 2] == sorted(list_numbers(replicas, "drawn"))
    for client in (played, again):
        assert [503, 503] == [client.call().status_code for _ in replicas]
    play(played)
    assert [1, 2, 3] == [played.call().json()["created"] for _ in range(3)]
    again.admin("POST", "/reset")
    assert [200, 200] == [again.call().status_code for _ in replicas]
    assert 200 == drawn.call().status_code


def test_emptied_while_it_runs(replicas: list[Served], redis: RedisServer) -> None:
    """The same where no connection is lost."""
    drawn, played = Client(replicas, "drawn"), Client(replicas, "played")
    play(played)
    assert [1, 2] == [played.call().json()["created"] for _ in range(2)]
    redis.ask("FLUSHALL")
    assert {200} == {drawn.call().status_code for _ in range(4)}
    wait_for_health(replicas, 200)
    assert {503} == {played.call().status_code for _ in range(4)}
    assert [1, 2, 3, 4] == sorted(list_numbers(replicas, "drawn"))


def test_a_slow_redis_is_no_lost_one(replicas: list[Served], redis: RedisServer) -> None:
    """Calls take their time, and turns are exact."""
    played = Client(replicas, "played")
    play(played)
    redis.ask("CLIENT", "PAUSE", "200", "ALL")
    assert [1, 2, 3, 4] == [played.call().json()["created"] for _ in range(4)]
    assert 200 == httpx.get(f"{replicas[0].url}/_emulator/health").status_code


def test_a_client_that_leaves_in_the_middle(replicas: list[Served], redis: RedisServer) -> None:
    """Its call is journalled once, and the next client gets its own answer."""
    body = b'{"prompt": "A cat"}'
    head = (
        b"POST /s/left/ezmodel/v1/images/generations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-test\r\n"
    )
    head += b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    redis.pause()
    with socket.create_connection(("127.0.0.1", replicas[0].port)) as leaving:
        leaving.sendall(head + body)
        replicas[0].run_ready_tasks()
    redis.resume()
    client = Client(replicas, "left")
    assert [200, 200] == [client.call().status_code for _ in replicas]
    deadline = time.monotonic() + BOUND
    while 3 > len(replicas[0].calls("left")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [1, 2, 3] == sorted(list_numbers(replicas, "left"))


def test_under_load_nothing_is_served_twice(replicas: list[Served], redis: RedisServer) -> None:
    """While it is killed, stopped and full in turn, no answer of a sequence comes twice; drawn calls all succeed."""
    boss = Client(replicas, "played")
    play(boss, answers=1000)
    told: list[int] = []
    drawn: list[int] = []

    def call(place: int) -> None:
        session = "played" if place % 2 else "drawn"
        client = Client(replicas[place % 4 // 2 :], session)
        for _ in range(20):
            response = client.call(CAT)
            if session == "drawn":
                drawn.append(response.status_code)
            elif response.status_code == 200:
                told.append(response.json()["created"])
            else:
                assert (503, "store_lost") == (response.status_code, response.json()["error"]["code"])

    with ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(call, place) for place in range(12)]
        for way in ("stopped", "full", "read-only"):
            lose, find_again = WAYS[way]
            lose(redis)
            wait_for_health(replicas, 503)
            find_again(redis)
            wait_for_health(replicas, 200)
        for one in calls:
            one.result(30)
    assert len(told) == len(set(told))
    assert [200] * 120 == drawn
    numbers = list_numbers(replicas, "drawn")
    assert (120, 120) == (len(numbers), len(set(numbers)))
    last = boss.call().json()["created"]
    assert last > max(told, default=0)
