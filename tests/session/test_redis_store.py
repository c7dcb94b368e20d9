"""The store in Redis by itself: its one connection, what waits while it is lost, and two stores over one Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from emulator.session.store import StoreLimits, StoreLost
from tests.redis_server import RedisServer, need_redis
from tests.session.redis_stores import open_redis_store

if TYPE_CHECKING:
    from emulator.session.redis_store import RedisStore

LIMITS = StoreLimits(calls=100, bytes=1000, sessions=100, age=1000)


@dataclass
class _NumberedCall:
    """A finished call of which nothing but its number is kept."""

    number: int

    def renumber(self, number: int) -> None:
        self.number = number

    def to_plain(self) -> Any:
        return [self.number]


@pytest.fixture
async def stores(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[RedisStore, RedisStore]]:
    """Two stores over one Redis, which give it up soon."""
    from emulator.session import redis_connection

    monkeypatch.setattr(redis_connection, "ANSWER_WITHIN", 0.3)
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(open_redis_store(redis.url, LIMITS)) for _ in range(2)]
        yield first, second


async def _wait_until_back(store: RedisStore) -> None:
    async with asyncio.timeout(5):
        while store.lost is not None:  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


async def test_a_caller_that_leaves_takes_no_answer_of_another(
    redis: RedisServer, stores: tuple[RedisStore, RedisStore]
) -> None:
    """Half of the commands are given up while they are under way; each other one gets its own answer."""
    store, _ = stores
    await store.begin_call("s", 0)
    redis.pause()
    counting = [asyncio.create_task(store.count(f"s{number}", "x", number)) for number in range(1, 41)]
    for _ in range(3):
        await asyncio.sleep(0)
    for one in counting[::2]:
        one.cancel()
    redis.resume()
    told = await asyncio.gather(*counting, return_exceptions=True)
    assert [*range(2, 41, 2)] == [answer for answer in told if isinstance(answer, int)]
    assert 2 == await store.begin_call("s", 0)


async def test_calls_that_do_not_fit_are_counted(redis: RedisServer, stores: tuple[RedisStore, RedisStore]) -> None:
    """While Redis is lost, as much waits as the journals hold; the journal says how many calls it lacks."""
    store, other = stores
    numbered = _NumberedCall(await store.begin_call("s", 0))
    redis.pause()
    provisional = [_NumberedCall(await store.begin_call("s", 0)) for _ in range(5)]
    assert all(call.number < 0 for call in provisional)
    for call in (numbered, *provisional):
        await store.add_call("s", call, 300)
    redis.resume()
    await _wait_until_back(store)
    assert [[4], [5], [6]] == sorted(await other.list_calls("s") or ())
    (session,) = await other.list_sessions()
    assert ("s", 6, 3, 3) == (session.name, session.calls, session.kept, session.dropped)


async def test_a_call_that_cannot_be_written_is_no_end(
    redis: RedisServer, stores: tuple[RedisStore, RedisStore], caplog: pytest.LogCaptureFixture
) -> None:
    """A bug is logged, its call is counted as missing, and the others are written."""
    store, _ = stores
    calls = [_NumberedCall(await store.begin_call("s", 0)) for _ in range(2)]
    calls[0].to_plain = object  # type: ignore[method-assign]  # as a bug would
    redis.pause()
    assert await store.begin_call("s", 0) < 0
    for call in calls:
        await store.add_call("s", call, 1)
    redis.resume()
    await _wait_until_back(store)
    assert "call 1 of session s cannot be written" in caplog.text
    assert [[2]] == await store.list_calls("s")
    (session,) = await store.list_sessions()
    assert (1, 1) == (session.kept, session.dropped)


async def test_what_waits_is_found_and_written(redis: RedisServer, stores: tuple[RedisStore, RedisStore]) -> None:
    """Tasks and files are there for the server that has them, and afterwards for all."""
    store, other = stores
    await store.begin_call("s", 0)
    redis.pause()
    await store.set_task("s", "t", {"polls": 1}, weight=1, now=0)
    await store.keep_file("upload", "d", b"file")
    assert ({"polls": 1}, b"file") == (await store.get_task("s", "t"), await store.find_file("upload", "d"))
    for impossible in (store.count("s", "x"), store.reset("s"), store.list_calls("s"), store.move_clock("s", 1)):
        with pytest.raises(StoreLost):
            await impossible
    redis.resume()
    await _wait_until_back(store)
    await _wait_until_back(other)
    assert ({"polls": 1}, b"file") == (await other.get_task("s", "t"), await other.find_file("upload", "d"))


async def test_a_call_that_began_before_a_reset_is_forgotten(stores: tuple[RedisStore, RedisStore]) -> None:
    """Also where another server resets the session: its number belongs to a new call."""
    store, other = stores
    earlier = _NumberedCall(await store.begin_call("s", 0))
    await other.reset("s")
    later = _NumberedCall(await other.begin_call("s", 0))
    assert 1 == earlier.number == later.number
    await store.add_call("s", earlier, 1)
    assert [] == await store.list_calls("s")
    await other.add_call("s", later, 1)
    assert [[1]] == await store.list_calls("s")


async def test_a_call_is_kept_once(stores: tuple[RedisStore, RedisStore]) -> None:
    """Who is not sure that it was written writes it again."""
    store, _ = stores
    call = _NumberedCall(await store.begin_call("s", 0))
    for weight in (100, 200):
        await store.add_call("s", call, weight)
    assert [[1]] == await store.list_calls("s")
    assert (1, 200) == ((await store.measure()).calls, (await store.measure()).bytes)


async def test_a_command_of_an_earlier_connection_is_refused(stores: tuple[RedisStore, RedisStore]) -> None:
    """A Redis that was stopped finds it in its buffer when it goes on: the turn would be taken unseen."""
    store, other = stores
    await other.begin_call("s", 0)
    epoch, replica, generation = store._library.identity
    store._library.identity = epoch, replica, generation - 1
    with pytest.raises(StoreLost, match="did not hear"):
        await store.count("s", "x")
    await _wait_until_back(store)
    assert 1 == await store.count("s", "x")


async def test_values_are_asked_for_once(stores: tuple[RedisStore, RedisStore]) -> None:
    """A call knows from its beginning whether they have changed."""
    store, other = stores
    await store.begin_call("s", 0)
    assert {} == store.known_values("s")
    await other.set_value("s", "scenario", {"source": "rules: []"}, 0)
    await store.begin_call("s", 0)
    assert store.known_values("s") is None
    assert {"scenario": {"source": "rules: []"}} == await store.get_values("s") == store.known_values("s")
    await store.begin_call("s", 0)
    assert {"scenario": {"source": "rules: []"}} == store.known_values("s")
    await other.move_clock("s", 2.5)
    await store.begin_call("s", 0)
    assert 2.5 == store.known_clock("s")


async def test_where_functions_are_forbidden() -> None:
    """As at some providers: a script does the same."""
    need_redis()
    running = RedisServer("--rename-command", "FUNCTION", "", "--rename-command", "FCALL", "")
    try:
        async with open_redis_store(running.url, LIMITS) as store:
            assert [1, 2] == [await store.begin_call("s", 0) for _ in range(2)]
            assert 3 == await store.count("s", "x", 3)
            running.ask("SCRIPT", "FLUSH")
            with pytest.raises(StoreLost):
                await store.count("s", "x")
            await _wait_until_back(store)
            assert 4 == await store.count("s", "x")
    finally:
        running.stop()


async def test_every_key_has_an_end(redis: RedisServer, stores: tuple[RedisStore, RedisStore]) -> None:
    """Nothing stays for ever where all servers are gone."""
    store, _ = stores
    call = _NumberedCall(await store.begin_call("s", 0))
    await store.note_operation("s")
    await store.add_call("s", call, 1)
    await store.count("s", "x")
    await store.set_value("s", "scenario", "x", 0)
    await store.set_task("s", "t", {}, weight=1, now=0)
    await store.move_clock("s", 1)
    await store.keep_file("picture", "d", b"file")
    await store.reset("other")
    keys = [line.decode() for line in redis.ask("KEYS", "*").split(b"\r\n") if line.startswith(b"iae:")]
    assert len(keys) > 20
    assert [] == [name for name in keys if redis.ask("TTL", name) == b":-1"]
