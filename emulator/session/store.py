"""What is remembered, and nothing is remembered anywhere else: each session's calls, kept by session.

Bounded in every direction: entries a session, bytes in all, sessions in all, and age.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from emulator.scenario.limits import Counter


class Weighed(Protocol):
    """Something that can be kept; `weight` is about the bytes that it holds."""

    @property
    def weight(self) -> int:
        """About the bytes that it holds."""
        ...


Kept = TypeVar("Kept", bound=Weighed)


@dataclass(frozen=True)
class Limits:
    """How much is kept: entries of one session, bytes of all entries, sessions, and seconds an unused one stays."""

    entries: int
    bytes: int
    sessions: int
    age: float


@dataclass(frozen=True)
class Summary:
    """A session in a list: `used` is Unix seconds, `calls` counts also those no longer kept.

    `dropped` are the entries that made room for others; what is neither kept nor dropped is still under way.
    """

    name: str
    calls: int
    kept: int
    began: float
    used: float
    dropped: int = 0


@dataclass(frozen=True)
class Held:
    """How much is remembered in all: sessions, entries, and about the bytes of the entries."""

    sessions: int
    entries: int
    bytes: int


class Store(Counter, Protocol[Kept]):
    """The promise that every kind of memory keeps."""

    async def begin(self, session: str, now: float) -> int:
        """Count one more call of `session`, which begins if it is new; its number, from 1."""
        ...

    async def keep(self, session: str, entry: Kept) -> None:
        """Remember `entry`; older ones make room."""
        ...

    async def entries(self, session: str) -> Sequence[Kept] | None:
        """What is remembered of `session`, the oldest first; None if it is unknown."""
        ...

    async def note(self, session: str, what: str, value: Any, now: float) -> None:
        """Remember `value` under the name `what` for `session`, which begins if it is new; None forgets it."""
        ...

    async def noted(self, session: str, what: str) -> Any:
        """What was noted last under the name `what`, or None."""
        ...

    async def restart(self, session: str) -> None:
        """Forget the counts of `session`."""
        ...

    async def reset(self, session: str) -> None:
        """Forget the entries and counts of `session`, and begin its numbers anew; notes stay."""
        ...

    async def forget(self, session: str) -> None:
        """Forget everything about `session`, as if it had never been."""
        ...

    async def sessions(self) -> Sequence[Summary]:
        """All sessions, the longest unused first."""
        ...

    async def held(self) -> Held:
        """How much is remembered in all."""
        ...


@dataclass
class _Shelf(Generic[Kept]):
    began: float
    used: float
    calls: int = 0
    dropped: int = 0
    entries: deque[Kept] = field(default_factory=deque)
    counts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class InMemoryStore(Store[Kept]):
    """Memory that lives and dies with the process."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._bytes = 0
        self._shelves: OrderedDict[str, _Shelf[Kept]] = OrderedDict()

    async def begin(self, session: str, now: float) -> int:
        """Count one more call of `session`, which begins if it is new; its number, from 1."""
        self._expire(now)
        shelf = self._shelf(session, now)
        shelf.used = now
        shelf.calls += 1
        return shelf.calls

    async def count(self, session: str, what: str, more: int = 1) -> int:
        """Count `more` of `what` in `session`; how many there are now. Two who count up never get the same."""
        shelf = self._shelves.get(session)
        if shelf is None:  # dropped while its call was under way
            return more
        shelf.counts[what] = shelf.counts.get(what, 0) + more
        return shelf.counts[what]

    async def note(self, session: str, what: str, value: Any, now: float) -> None:
        """Remember `value` under the name `what` for `session`, which begins if it is new; None forgets it."""
        self._shelf(session, now).notes[what] = value

    async def noted(self, session: str, what: str) -> Any:
        """What was noted last under the name `what`, or None."""
        shelf = self._shelves.get(session)
        return None if shelf is None else shelf.notes.get(what)

    async def restart(self, session: str) -> None:
        """Forget the counts of `session`."""
        if (shelf := self._shelves.get(session)) is not None:
            shelf.counts.clear()

    async def reset(self, session: str) -> None:
        """Forget the entries and counts of `session`, and begin its numbers anew; notes stay."""
        if (shelf := self._shelves.get(session)) is not None:
            self._bytes -= sum(entry.weight for entry in shelf.entries)
            shelf.entries.clear()
            shelf.counts.clear()
            shelf.calls = shelf.dropped = 0

    async def forget(self, session: str) -> None:
        """Forget everything about `session`, as if it had never been."""
        if (shelf := self._shelves.pop(session, None)) is not None:
            self._bytes -= sum(entry.weight for entry in shelf.entries)

    def _shelf(self, session: str, now: float) -> _Shelf[Kept]:
        """The session's own place, made where it is new."""
        shelf = self._shelves.get(session)
        if shelf is None:
            self._expire(now, self._limits.sessions - 1)
            shelf = self._shelves[session] = _Shelf(began=now, used=now)
        else:
            self._shelves.move_to_end(session)
        return shelf

    async def keep(self, session: str, entry: Kept) -> None:
        """Remember `entry`; older ones make room. A session dropped meanwhile is not begun again."""
        shelf = self._shelves.get(session)
        if shelf is None:
            return
        shelf.entries.append(entry)
        self._bytes += entry.weight
        if len(shelf.entries) > self._limits.entries:
            self._drop(shelf)
        while self._bytes > self._limits.bytes:
            # The oldest call of the longest unused session goes first.
            self._drop(next(shelf for shelf in self._shelves.values() if shelf.entries))

    def _drop(self, shelf: _Shelf[Kept]) -> None:
        """Forget the oldest entry of a session."""
        self._bytes -= shelf.entries.popleft().weight
        shelf.dropped += 1

    async def entries(self, session: str) -> Sequence[Kept] | None:
        """What is remembered of `session`, the oldest first; None if it is unknown."""
        shelf = self._shelves.get(session)
        return None if shelf is None else list(shelf.entries)

    async def sessions(self) -> Sequence[Summary]:
        """All sessions, the longest unused first."""
        return [
            Summary(name, shelf.calls, len(shelf.entries), shelf.began, shelf.used, shelf.dropped)
            for name, shelf in self._shelves.items()
        ]

    async def held(self) -> Held:
        """How much is remembered in all."""
        return Held(len(self._shelves), sum(len(shelf.entries) for shelf in self._shelves.values()), self._bytes)

    def _expire(self, now: float, most: int | None = None) -> None:
        """Drop the sessions that were unused for too long, and of the others the longest unused above `most`."""
        most = self._limits.sessions if most is None else most
        while self._shelves:
            name, shelf = next(iter(self._shelves.items()))
            if len(self._shelves) <= most and shelf.used >= now - self._limits.age:
                return
            self._bytes -= sum(entry.weight for entry in shelf.entries)
            del self._shelves[name]
