"""Memory's promise: sessions apart, the oldest forgotten first, bounded in entries, bytes, sessions and age."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from emulator.session.store import Held, InMemoryStore, Limits, Store


@dataclass(frozen=True)
class Note:
    """Something to remember."""

    text: str
    weight: int = 1


Make = Callable[..., Store[Note]]


@pytest.fixture(params=[InMemoryStore])
def make(request: pytest.FixtureRequest) -> Make:
    """Makes a memory of each kind there is."""

    def with_limits(entries: int = 10, in_bytes: int = 1000, sessions: int = 10, age: float = 60) -> Store[Note]:
        memory: Store[Note] = request.param(Limits(entries, in_bytes, sessions, age))
        return memory

    return with_limits


async def _texts(memory: Store[Note], session: str) -> list[str] | None:
    entries = await memory.entries(session)
    return None if entries is None else [entry.text for entry in entries]


async def test_sessions_are_apart(make: Make) -> None:
    """Each session counts and remembers its own calls; an unknown one is neither empty nor begun."""
    memory = make()
    assert [1, 2, 1] == [await memory.begin(name, 0) for name in ("a", "a", "b")]
    await memory.keep("a", Note("one"))
    assert (["one"], [], None) == (await _texts(memory, "a"), await _texts(memory, "b"), await _texts(memory, "c"))


async def test_entries_are_bounded(make: Make) -> None:
    """The oldest entry of a session makes room; the count of calls goes on."""
    memory = make(entries=2)
    for text in "abc":
        await memory.begin("s", 0)
        await memory.keep("s", Note(text))
    assert ["b", "c"] == await _texts(memory, "s")
    assert [(3, 2)] == [(one.calls, one.kept) for one in await memory.sessions()]


async def test_bytes_are_bounded_over_all_sessions(make: Make) -> None:
    """The oldest entry of the longest unused session goes first; what is alone too heavy is not kept."""
    memory = make(in_bytes=10)
    for name, text, weight in (("a", "a1", 4), ("b", "b1", 4), ("b", "b2", 4)):
        await memory.begin(name, 0)
        await memory.keep(name, Note(text, weight))
    assert ([], ["b1", "b2"]) == (await _texts(memory, "a"), await _texts(memory, "b"))
    await memory.keep("b", Note("heavy", 11))
    assert [] == await _texts(memory, "b")


async def test_sessions_are_bounded_by_count_and_age(make: Make) -> None:
    """A new session pushes out the longest unused one, and all that are too old."""
    memory = make(sessions=2, age=60)
    for name, now in (("a", 0), ("b", 1), ("a", 2), ("c", 3)):
        await memory.begin(name, now)
    assert ["a", "c"] == [one.name for one in await memory.sessions()]
    await memory.begin("d", 100)
    assert ["d"] == [one.name for one in await memory.sessions()]


async def test_a_session_that_was_too_long_unused_begins_anew(make: Make) -> None:
    """Its own next call finds it dropped, with all that it remembered."""
    memory = make(age=60)
    assert [1, 2, 1] == [await memory.begin("a", now) for now in (0, 60, 121)]


async def test_counts_notes_and_reset(make: Make) -> None:
    """Counting is by session and name; a restart forgets counts, a reset entries and numbers too, notes stay."""
    memory = make()
    await memory.begin("a", 0)
    await memory.keep("a", Note("one"))
    assert [1, 2, 1] == [await memory.count("a", what) for what in ("x", "x", "y")]
    await memory.note("a", "scenario", "happy", 0)
    await memory.restart("a")
    assert (1, ["one"], "happy") == (
        await memory.count("a", "x"),
        await _texts(memory, "a"),
        await memory.noted("a", "scenario"),
    )
    await memory.reset("a")
    assert ([], 1, "happy") == (
        await _texts(memory, "a"),
        await memory.begin("a", 0),
        await memory.noted("a", "scenario"),
    )
    assert await memory.noted("b", "scenario") is None


async def test_a_forgotten_session_was_never_there(make: Make) -> None:
    """Entries, counts, notes and numbers go, and so does their weight; others stay, a late entry is not kept."""
    memory = make(in_bytes=10)
    for name in ("a", "b"):
        await memory.begin(name, 0)
        await memory.keep(name, Note(name, 4))
        await memory.count(name, "x")
        await memory.note(name, "scenario", "happy", 0)
    await memory.forget("a")
    await memory.forget("nobody")
    await memory.keep("a", Note("late"))
    assert (None, None, ["b"], 4) == (
        await memory.entries("a"), await memory.noted("a", "scenario"), await _texts(memory, "b"),
        (await memory.held()).bytes,
    )  # fmt: skip
    assert (1, 1, 2) == (await memory.begin("a", 0), await memory.count("a", "x"), await memory.count("b", "x"))


async def test_what_is_held_and_what_was_dropped(make: Make) -> None:
    """Sessions, entries and bytes in all; of each session how many entries made room, until it is reset."""
    memory = make(entries=2, in_bytes=10)
    for name, weight in (("a", 1), ("a", 1), ("a", 1), ("b", 3), ("b", 6)):
        await memory.begin(name, 0)
        await memory.keep(name, Note("", weight))
    await memory.begin("b", 0)
    assert Held(sessions=2, entries=3, bytes=10) == await memory.held()
    assert [("a", 3, 1, 2), ("b", 3, 2, 0)] == [
        (one.name, one.calls, one.kept, one.dropped) for one in await memory.sessions()
    ]
    await memory.reset("a")
    assert Held(sessions=2, entries=2, bytes=9) == await memory.held()
    assert [0, 0] == [one.dropped for one in await memory.sessions()]


async def test_a_dropped_session_is_not_begun_by_a_late_entry(make: Make) -> None:
    """A call that ends after its session was dropped is forgotten with it."""
    memory = make(sessions=1)
    await memory.begin("a", 0)
    await memory.begin("b", 0)
    await memory.keep("a", Note("late"))
    assert await memory.entries("a") is None
