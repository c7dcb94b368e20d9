"""What every kind of store does: sessions apart, the oldest removed first, bounded in every direction, plain values."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest

from emulator.image.files import FileKind
from emulator.session import store as stores
from emulator.session.store import InMemoryStore, Store, StoreLimits, StoreSize
from tests.session.redis_stores import open_redis_store
from tests.session.serialising_store import SerialisingStore
from tests.stable_ids import stable_id

Make = Callable[..., Awaitable[Store]]


@pytest.fixture(params=["memory", "serialising", "redis"])
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """Makes a store of each kind there is."""
    stack = AsyncExitStack()
    redis_url = None
    if request.param == "redis":
        redis_url = request.getfixturevalue("redis_server").url

    async def with_limits(
        calls: int = 10, in_bytes: int = 1000, sessions: int = 10, age: float = 60, file_bytes: int = 1000
    ) -> Store:
        limits = StoreLimits(
            calls=calls,
            bytes=in_bytes,
            sessions=sessions,
            age=age,
            upload_bytes=file_bytes,
            picture_bytes=file_bytes,
        )
        if redis_url is not None:
            prefix = f"t{stable_id(request.node.nodeid)}"
            return await stack.enter_async_context(open_redis_store(f"{redis_url}?prefix={prefix}", limits))
        if request.param == "memory":
            return InMemoryStore(limits)
        return SerialisingStore(limits)

    async with stack:
        yield with_limits


@dataclass(frozen=True)
class _Call:
    """A finished call of which nothing but a text is kept."""

    text: str
    number: int = field(default_factory=itertools.count(1).__next__)

    def to_plain(self) -> dict[str, str]:
        return {"text": self.text}


async def _add(store: Store, session: str, text: str, weight: int = 1) -> None:
    await store.add_call(session, _Call(text), weight)


async def _texts(store: Store, session: str) -> list[str] | None:
    calls = await store.list_calls(session)
    if calls is None:
        return None
    return [call["text"] for call in calls]


async def test_sessions_are_apart(make: Make) -> None:
    """Each session counts and keeps its own calls; an unknown one is neither empty nor begun."""
    store = await make()
    assert [1, 2, 1] == [await store.begin_call(name, 0) for name in ("a", "a", "b")]
    await _add(store, "a", "one")
    assert (["one"], [], None) == (await _texts(store, "a"), await _texts(store, "b"), await _texts(store, "c"))


async def test_calls_are_bounded(make: Make) -> None:
    """The oldest call of a session makes room; the numbers go on."""
    store = await make(calls=2)
    for text in "abc":
        await store.begin_call("s", 0)
        await _add(store, "s", text)
    assert ["b", "c"] == await _texts(store, "s")
    assert [(3, 2)] == [(one.calls, one.kept) for one in await store.list_sessions()]


async def test_bytes_are_bounded_over_all_sessions(make: Make) -> None:
    """The oldest call of the longest unused session goes first; what is alone too heavy is not kept."""
    store = await make(in_bytes=10)
    for name, text, weight in (("a", "a1", 4), ("b", "b1", 4), ("b", "b2", 4)):
        await store.begin_call(name, 0)
        await _add(store, name, text, weight)
    assert ([], ["b1", "b2"]) == (await _texts(store, "a"), await _texts(store, "b"))
    await _add(store, "b", "heavy", 11)
    assert [] == await _texts(store, "b")


async def test_sessions_are_bounded_by_count_and_age(make: Make) -> None:
    """A new session pushes out the longest unused one, and all that are too old."""
    store = await make(sessions=2, age=60)
    for name, now in (("a", 0), ("b", 1), ("a", 2), ("c", 3)):
        await store.begin_call(name, now)
    assert ["a", "c"] == [one.name for one in await store.list_sessions()]
    await store.begin_call("d", 100)
    assert ["d"] == [one.name for one in await store.list_sessions()]


async def test_a_session_that_was_too_long_unused_begins_anew(make: Make) -> None:
    """Its own next call finds it removed, with all that it kept."""
    store = await make(age=60)
    assert [1, 2, 1] == [await store.begin_call("a", now) for now in (0, 60, 121)]


async def test_counts_values_and_reset(make: Make) -> None:
    """Counting is by session and name; a restart removes counts, a reset calls and numbers too, values stay."""
    store = await make()
    await store.begin_call("a", 0)
    await _add(store, "a", "one")
    assert [1, 2, 1] == [await store.count("a", what) for what in ("x", "x", "y")]
    await store.set_value("a", "scenario", {"source": "rules: []"}, 0)
    await store.restart("a")
    assert (1, ["one"], {"source": "rules: []"}) == (
        await store.count("a", "x"),
        await _texts(store, "a"),
        (await store.get_values("a")).get("scenario"),
    )
    await store.reset("a")
    assert ([], 1, {"source": "rules: []"}) == (
        await _texts(store, "a"),
        await store.begin_call("a", 0),
        (await store.get_values("a")).get("scenario"),
    )
    assert (await store.get_values("b")).get("scenario") is None


async def test_a_value_begins_its_session_and_none_removes_it(make: Make) -> None:
    """A session that was only given a value is listed, without calls."""
    store = await make()
    await store.set_value("a", "settings", {"report_only": True}, 5)
    assert [("a", 0, 5)] == [(one.name, one.calls, one.began) for one in await store.list_sessions()]
    await store.set_value("a", "settings", None, 6)
    assert (await store.get_values("a")).get("settings") is None


async def test_tasks_are_kept_by_their_id(make: Make) -> None:
    """Each session has its own tasks; the oldest make room, above the number of calls; a reset removes all."""
    store = await make(calls=3)
    for number in range(4):
        await store.set_task("a", f"t{number}", {"polls": 0}, weight=1, now=0)
    await store.set_task("a", "t2", {"polls": 1}, weight=1, now=0)
    kept = [await store.get_task("a", f"t{number}") for number in range(4)]
    assert [None, {"polls": 0}, {"polls": 1}, {"polls": 0}] == kept
    assert await store.get_task("b", "t2") is None
    await store.reset("a")
    assert await store.get_task("a", "t3") is None


async def test_tasks_count_towards_the_bytes_of_the_journal(make: Make) -> None:
    """Calls and tasks of all sessions have one bound; the longest unused session loses its own first."""
    store = await make(in_bytes=100)
    await store.begin_call("a", 0)
    await store.add_call("a", _Call("one"), 40)
    await store.set_task("a", "t1", {"polls": 0}, weight=40, now=0)
    assert 80 == (await store.measure()).bytes
    await store.set_task("b", "t2", {"polls": 0}, weight=50, now=0)
    assert ([], {"polls": 0}, 90) == (
        await _texts(store, "a"),
        await store.get_task("a", "t1"),
        (await store.measure()).bytes,
    )
    await store.set_task("b", "t2", {"polls": 1}, weight=60, now=0)
    assert 100 == (await store.measure()).bytes
    await store.set_task("b", "t3", {"polls": 0}, weight=40, now=0)
    assert await store.get_task("a", "t1") is None
    assert 100 == (await store.measure()).bytes
    await store.reset("b")
    assert 0 == (await store.measure()).bytes


async def test_scenarios_are_bounded_in_bytes(make: Make) -> None:
    """They are not dropped alone, for a session would play another one then: its session is forgotten whole."""
    store = await make(in_bytes=10_000)
    for name in ("a", "b", "c"):
        await store.begin_call(name, 0)
        await store.set_value(name, "scenario", {"source": "x" * 4000}, 0)
        await store.set_value(name, "scenario", {"source": "y" * 4000}, 0)
    assert ["b", "c"] == [one.name for one in await store.list_sessions()]
    await store.set_value("c", "scenario", {"source": "x" * 40_000}, 0)
    assert ["c"] == [one.name for one in await store.list_sessions()]


async def test_the_latest_session_is_that_of_the_last_operation(make: Make) -> None:
    """A session whose calls reached no operation, or that was only changed, does not hide it."""
    store = await make()
    assert await store.find_latest() is None
    await store.begin_call("stray", 0)
    assert "stray" == await store.find_latest()
    for name in ("a", "b", "a"):
        await store.begin_call(name, 0)
        await store.note_operation(name)
    await store.begin_call("stray", 0)
    await store.set_value("b", "settings", {"report_only": True}, 0)
    assert "a" == await store.find_latest()
    await store.forget("a")
    assert "b" == await store.find_latest()


async def test_a_session_begins_in_its_own_time(make: Make) -> None:
    """The times of a session that began after a clock was moved are those of the clock; its age is not."""
    store = await make(age=50)
    await store.move_clock("", 3600)
    await store.begin_call("a", 100)
    await store.move_clock("b", 60)
    await store.begin_call("b", 100)
    assert [("a", 3700, 3700), ("b", 3760, 3760)] == [
        (one.name, one.began, one.used) for one in await store.list_sessions()
    ]
    await store.begin_call("b", 149)
    assert ["a", "b"] == [one.name for one in await store.list_sessions()]


async def test_clocks_are_moved_apart(make: Make) -> None:
    """Each session's clock is its own, and so is that of all; moving begins no session, forgetting moves back."""
    store = await make()
    assert [2.5, 5.0, 1.0] == [await store.move_clock(name, more) for name, more in (("a", 2.5), ("a", 2.5), ("", 1))]
    assert [5.0, 0.0, 1.0] == [await store.get_clock(name) for name in ("a", "b", "")]
    assert [] == list(await store.list_sessions())
    await store.forget("a")
    assert [0.0, 1.0] == [await store.get_clock(name) for name in ("a", "")]


async def test_moved_clocks_are_bounded(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The session whose clock was moved first loses its own time, and never all sessions together."""
    monkeypatch.setattr(stores, "MOST_CLOCKS", 3)
    store = await make()
    for name in ("", "a", "b", "c"):
        await store.move_clock(name, 1)
    assert [1.0, 0.0, 1.0, 1.0] == [await store.get_clock(name) for name in ("", "a", "b", "c")]


async def test_a_forgotten_session_was_never_there(make: Make) -> None:
    """Calls, counts, values, tasks and numbers go, and so does their weight; others stay, a late call is not kept."""
    store = await make(in_bytes=200)
    for name in ("a", "b"):
        await store.begin_call(name, 0)
        await _add(store, name, name, 4)
        await store.count(name, "x")
        await store.set_value(name, "scenario", "happy", 0)
        await store.set_task(name, "t", {}, weight=1, now=0)
    await store.forget("a")
    await store.forget("nobody")
    await _add(store, "a", "late")
    assert (None, None, None, ["b"], 5) == (
        await store.list_calls("a"), (await store.get_values("a")).get("scenario"), await store.get_task("a", "t"),
        await _texts(store, "b"), (await store.measure()).bytes,
    )  # fmt: skip
    assert (1, 1, 2) == (await store.begin_call("a", 0), await store.count("a", "x"), await store.count("b", "x"))


async def test_what_is_kept_and_what_was_dropped(make: Make) -> None:
    """Sessions, calls and bytes in all; of each session how many calls made room, until it is reset."""
    store = await make(calls=2, in_bytes=10)
    for name, weight in (("a", 1), ("a", 1), ("a", 1), ("b", 3), ("b", 6)):
        await store.begin_call(name, 0)
        await _add(store, name, "", weight)
    await store.begin_call("b", 0)
    assert StoreSize(sessions=2, calls=3, bytes=10) == await store.measure()
    assert [("a", 3, 1, 2), ("b", 3, 2, 0)] == [
        (one.name, one.calls, one.kept, one.dropped) for one in await store.list_sessions()
    ]
    await store.reset("a")
    assert StoreSize(sessions=2, calls=2, bytes=9) == await store.measure()
    assert [0, 0] == [one.dropped for one in await store.list_sessions()]


async def test_a_dropped_session_is_not_begun_by_a_late_call(make: Make) -> None:
    """A call that ends after its session was removed is forgotten with it."""
    store = await make(sessions=1)
    await store.begin_call("a", 0)
    await store.begin_call("b", 0)
    await _add(store, "a", "late")
    assert await store.list_calls("a") is None


async def test_files_are_kept_by_digest(make: Make) -> None:
    """A file belongs to no session, so that a link can be drawn again by anybody; the two kinds are apart."""
    store = await make()
    await store.keep_file("upload", "a", b"upload")
    await store.begin_call("s", 0)
    await store.forget("s")
    assert (b"upload", None) == (await store.find_file("upload", "a"), await store.find_file("picture", "a"))


@pytest.mark.parametrize("kind", ["upload", "picture"])
async def test_files_are_bounded_in_bytes(make: Make, kind: FileKind) -> None:
    """The longest unused file makes room; one that is too large is not kept and drops no other."""
    store = await make(file_bytes=250)
    for digest in ("a", "b"):
        await store.keep_file(kind, digest, digest.encode() * 100)
    assert b"a" * 100 == await store.find_file(kind, "a")  # used again, so b is the longest unused
    await store.keep_file(kind, "c", bytes(100))
    await store.keep_file(kind, "large", bytes(300))
    assert await _kept(store, kind, "a", "b", "c", "large") == [True, False, True, False]
    await store.keep_file(kind, "a", b"a" * 100)  # kept again: it counts as used, and its bytes count once
    await store.keep_file(kind, "d", bytes(100))
    assert await _kept(store, kind, "a", "c", "d") == [True, False, True]


async def _kept(store: Store, kind: FileKind, *digests: str) -> list[bool]:
    return [await store.find_file(kind, digest) is not None for digest in digests]


async def test_a_session_is_read_and_written_as_a_whole(make: Make) -> None:
    """What was there goes, everything that was read is there again, and the bounds hold."""
    store = await make(in_bytes=100_000)
    for number in (1, 2, 3):
        assert number == await store.begin_call("a", 5)
    await _add(store, "a", "one", 7)
    await _add(store, "a", "two", 8)
    await store.count("a", "turn", 4)
    await store.set_value("a", "scenario", {"source": "x"}, 5)
    await store.set_task("a", "t1", {"polls": 1}, 9, 5)
    await store.note_operation("a")
    state = await store.read_session("a")
    assert state is not None
    assert (3, 0, 5.0, True, [7, 8]) == (
        state.calls, state.dropped, state.began, state.reached, [weight for *_, weight in state.journal],
    )  # fmt: skip
    assert ({"turn": 4}, {"scenario": {"source": "x"}}) == (state.counts, state.values)
    assert {"t1": ({"polls": 1}, 9)} == state.tasks
    await store.begin_call("b", 6)
    await _add(store, "b", "gone")
    await store.count("b", "gone")
    await store.set_value("b", "gone", 1, 6)
    before = await store.measure()
    await store.write_session("b", state, 6)
    assert ["one", "two"] == await _texts(store, "b")
    assert state == await store.read_session("b")
    after = await store.measure()
    assert (before.calls + 1, before.bytes + 23) == (after.calls, after.bytes)
    assert (4, 5) == (await store.begin_call("b", 7), await store.count("b", "turn"))
    assert await store.get_task("b", "t1") == {"polls": 1}
    assert "b" == await store.find_latest()
    assert await store.read_session("none") is None


async def test_a_written_session_keeps_as_many_calls_as_any(make: Make) -> None:
    wide, narrow = await make(), await make(calls=2)
    for text in ("one", "two", "three"):
        await wide.begin_call("a", 0)
        await _add(wide, "a", text)
    state = await wide.read_session("a")
    assert state is not None
    await narrow.write_session("c", state, 0)
    assert ["two", "three"] == await _texts(narrow, "c")
    (summary,) = [one for one in await narrow.list_sessions() if one.name == "c"]
    assert (3, 2, 1) == (summary.calls, summary.kept, summary.dropped)
