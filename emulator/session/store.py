"""Everything a session remembers, behind one protocol: `Store`. Nothing is remembered anywhere else.

A store holds plain values alone (what JSON can hold, and bytes for files), so that it may live on another machine.
It is bounded in every direction: calls of a session, bytes of all calls, sessions, age, and bytes of files.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from emulator.core.bounded_cache import BoundedCache
from emulator.image.files import FileKind, FileStore
from emulator.scenario.limits import Counter

PlainValue = Any
"""What JSON can hold: a dict with text keys, a list, a text, a number, true, false or None."""


@dataclass(frozen=True)
class StoreLimits:
    """How much a store keeps.

    `calls` of one session, `bytes` of all calls, `sessions`, and `age` in seconds for which an unused session stays.
    `upload_bytes` and `picture_bytes` are the bytes of all uploads and of all testers' own pictures.
    """

    calls: int
    bytes: int
    sessions: int
    age: float
    upload_bytes: int = 32 * 2**20  # as the setting of the same name has it
    picture_bytes: int = 64 * 2**20  # three of the largest files that a scenario may name, or hundreds of usual ones


@dataclass(frozen=True)
class SessionSummary:
    """A session in a list: `began` and `used` are Unix seconds, `calls` counts also those that are no longer kept.

    `dropped` calls made room for others; a call that is neither kept nor dropped is still under way.
    """

    name: str
    calls: int
    kept: int
    began: float
    used: float
    dropped: int = 0


@dataclass(frozen=True)
class StoreSize:
    """How much a store keeps in all: sessions, finished calls, and about the bytes of the calls."""

    sessions: int
    calls: int
    bytes: int


class Store(Counter, FileStore, Protocol):
    """What every kind of store does; files belong to no session, and outlive theirs."""

    async def begin_call(self, session: str, now: float) -> int:
        """Count one more call of `session`, which begins if it is new; return the call's number, from 1."""
        ...

    async def add_call(self, session: str, call: PlainValue, weight: int) -> None:
        """Keep a finished call of about `weight` bytes; older ones make room. An unknown session keeps nothing."""
        ...

    async def list_calls(self, session: str) -> Sequence[PlainValue] | None:
        """Return the calls of `session`, the one that ended first at first; None if the session is unknown."""
        ...

    async def set_value(self, session: str, name: str, value: PlainValue, now: float) -> None:
        """Keep `value` under `name` for `session`, which begins if it is new; None removes it."""
        ...

    async def get_value(self, session: str, name: str) -> PlainValue:
        """Return the value under `name`, None where there is none."""
        ...

    async def set_task(self, session: str, task: str, value: PlainValue, weight: int, now: float) -> None:
        """Keep the task with the id `task`, of about `weight` bytes; the oldest tasks of the session make room."""
        ...

    async def get_task(self, session: str, task: str) -> PlainValue:
        """Return the task with the id `task`, None where the session has none."""
        ...

    async def move_clock(self, session: str, seconds: float) -> float:
        """Move the clock of `session` on; return by how many seconds it has been moved in all.

        The session need not have begun, and does not begin by it. "" stands for all sessions together.
        """
        ...

    async def get_clock(self, session: str) -> float:
        """Return by how many seconds the clock of `session` has been moved."""
        ...

    async def restart(self, session: str) -> None:
        """Remove the counts of `session`."""
        ...

    async def reset(self, session: str) -> None:
        """Remove the calls, tasks and counts of `session`, and begin its numbers anew; values and clock stay."""
        ...

    async def forget(self, session: str) -> None:
        """Remove everything about `session`, its clock included."""
        ...

    async def list_sessions(self) -> Sequence[SessionSummary]:
        """Return all sessions, the one that is unused for longest at first."""
        ...

    async def measure(self) -> StoreSize:
        """Return how much is kept in all."""
        ...


@dataclass
class _Session:
    """What an InMemoryStore keeps of one session; a call and a task are kept with their weight."""

    began: float
    used: float
    numbered: int = 0
    dropped: int = 0
    calls: deque[tuple[PlainValue, int]] = field(default_factory=deque)
    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, PlainValue] = field(default_factory=dict)
    tasks: dict[str, tuple[PlainValue, int]] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """About the bytes of its calls."""
        return sum(weight for _, weight in self.calls)


class InMemoryStore(Store):
    """A store in the memory of this process."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._bytes = 0
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._clocks: dict[str, float] = {}
        self._files: dict[FileKind, BoundedCache[str, bytes]] = {
            "upload": BoundedCache(limits.upload_bytes),
            "picture": BoundedCache(limits.picture_bytes),
        }

    async def begin_call(self, session: str, now: float) -> int:
        """Count one more call of `session`, which begins if it is new; return the call's number, from 1."""
        self._expire_sessions(now, self._limits.sessions)
        found = self._open_session(session, now)
        found.used = now
        found.numbered += 1
        return found.numbered

    async def add_call(self, session: str, call: PlainValue, weight: int) -> None:
        """Keep a finished call of about `weight` bytes; older ones make room. An unknown session keeps nothing."""
        found = self._sessions.get(session)
        if found is None:
            return
        found.calls.append((call, weight))
        self._bytes += weight
        if len(found.calls) > self._limits.calls:
            self._drop_oldest_call(found)
        while self._bytes > self._limits.bytes:
            # The oldest call of the longest unused session goes first.
            self._drop_oldest_call(next(one for one in self._sessions.values() if one.calls))

    async def list_calls(self, session: str) -> Sequence[PlainValue] | None:
        """Return the calls of `session`, the one that ended first at first; None if the session is unknown."""
        found = self._sessions.get(session)
        if found is None:
            return None
        return [call for call, _ in found.calls]

    async def count(self, session: str, what: str, more: int = 1) -> int:
        """Count `more` of `what` in `session`; return how many there are. No two callers get the same number."""
        found = self._sessions.get(session)
        if found is None:  # dropped while its call was under way
            return more
        found.counts[what] = found.counts.get(what, 0) + more
        return found.counts[what]

    async def set_value(self, session: str, name: str, value: PlainValue, now: float) -> None:
        """Keep `value` under `name` for `session`, which begins if it is new; None removes it."""
        found = self._open_session(session, now)
        if value is None:
            found.values.pop(name, None)
        else:
            found.values[name] = value

    async def get_value(self, session: str, name: str) -> PlainValue:
        """Return the value under `name`, None where there is none."""
        found = self._sessions.get(session)
        if found is None:
            return None
        return found.values.get(name)

    async def set_task(self, session: str, task: str, value: PlainValue, weight: int, now: float) -> None:
        """Keep the task with the id `task`, of about `weight` bytes; the oldest tasks of the session make room."""
        tasks = self._open_session(session, now).tasks
        tasks[task] = (value, weight)
        total = sum(weight for _, weight in tasks.values())
        while len(tasks) > MOST_TASKS or (total > MOST_TASK_BYTES and len(tasks) > 1):
            _, dropped = tasks.pop(next(iter(tasks)))
            total -= dropped

    async def get_task(self, session: str, task: str) -> PlainValue:
        """Return the task with the id `task`, None where the session has none."""
        found = self._sessions.get(session)
        if found is None or task not in found.tasks:
            return None
        value, _ = found.tasks[task]
        return value

    async def move_clock(self, session: str, seconds: float) -> float:
        """Move the clock of `session` on; return by how many seconds it has been moved in all."""
        self._clocks[session] = self._clocks.get(session, 0.0) + seconds
        if len(self._clocks) > MOST_CLOCKS:
            del self._clocks[next(name for name in self._clocks if name)]
        return self._clocks[session]

    async def get_clock(self, session: str) -> float:
        """Return by how many seconds the clock of `session` has been moved."""
        return self._clocks.get(session, 0.0)

    async def keep_file(self, kind: FileKind, digest: str, data: bytes) -> None:
        """Keep a file, or count a kept one as used; the longest unused ones of its kind make room."""
        self._files[kind].put(digest, data, len(data))

    async def find_file(self, kind: FileKind, digest: str) -> bytes | None:
        """Return the file and count it as used; None where it is not kept, or not any more."""
        return self._files[kind].get(digest)

    async def restart(self, session: str) -> None:
        """Remove the counts of `session`."""
        if session in self._sessions:
            self._sessions[session].counts.clear()

    async def reset(self, session: str) -> None:
        """Remove the calls, tasks and counts of `session`, and begin its numbers anew; values and clock stay."""
        found = self._sessions.get(session)
        if found is None:
            return
        self._bytes -= found.weight
        found.calls.clear()
        found.tasks.clear()
        found.counts.clear()
        found.numbered = found.dropped = 0

    async def forget(self, session: str) -> None:
        """Remove everything about `session`, its clock included."""
        self._clocks.pop(session, None)
        if session in self._sessions:
            self._bytes -= self._sessions.pop(session).weight

    async def list_sessions(self) -> Sequence[SessionSummary]:
        """Return all sessions, the one that is unused for longest at first."""
        return [
            SessionSummary(
                name=name,
                calls=one.numbered,
                kept=len(one.calls),
                began=one.began,
                used=one.used,
                dropped=one.dropped,
            )
            for name, one in self._sessions.items()
        ]

    async def measure(self) -> StoreSize:
        """Return how much is kept in all."""
        calls = sum(len(one.calls) for one in self._sessions.values())
        return StoreSize(sessions=len(self._sessions), calls=calls, bytes=self._bytes)

    def _open_session(self, session: str, now: float) -> _Session:
        """Return what is kept of `session`, which begins if it is new."""
        found = self._sessions.get(session)
        if found is not None:
            self._sessions.move_to_end(session)
            return found
        self._expire_sessions(now, self._limits.sessions - 1)
        found = self._sessions[session] = _Session(began=now, used=now)
        return found

    def _drop_oldest_call(self, session: _Session) -> None:
        _, weight = session.calls.popleft()
        self._bytes -= weight
        session.dropped += 1

    def _expire_sessions(self, now: float, most: int) -> None:
        """Remove the sessions that are unused for too long, and of the others the longest unused ones above `most`."""
        while self._sessions:
            name, oldest = next(iter(self._sessions.items()))
            if len(self._sessions) <= most and oldest.used >= now - self._limits.age:
                return
            self._bytes -= oldest.weight
            del self._sessions[name]


MOST_TASKS: Final = 1000  # that a session remembers; as many as it remembers calls
MOST_TASK_BYTES: Final = 2 * 2**20  # of their calls' bodies, for prompts and pictures can be long
MOST_CLOCKS: Final = 100_000  # sessions whose clock was moved; the one that was moved first loses its own time then
