"""Everything a session remembers, behind one protocol: `Store`. Nothing is remembered anywhere else.

A store holds plain values alone (what JSON can hold, and bytes for files), so that it may live on another machine.
It is bounded in every direction: calls and tasks of a session, bytes of all calls and tasks, bytes of all values,
sessions, age, and bytes of files.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable

from emulator.core.bounded_cache import BoundedCache
from emulator.core.light_dataclass import dataclass
from emulator.image.files import FileKind, FileStore
from emulator.scenario.limits import Excess, LimitCounter, Share
from emulator.session.json_values import weigh_value

PlainValue = Any
"""What JSON can hold: a dict with text keys, a list, a text, a number, true, false or None."""


@dataclass(frozen=True)
class StoreLimits:
    """How much a store keeps.

    `calls` of one session, and as many of its tasks; `bytes` of all calls and tasks, and as many of all values, which
    are mostly scenarios; `sessions`, and `age` in seconds for which an unused session stays. `upload_bytes` and
    `picture_bytes` are the bytes of all uploads and of all testers' own pictures.
    """

    calls: int
    bytes: int
    sessions: int
    age: float
    upload_bytes: int = 32 * 2**20  # as the setting of the same name has it
    picture_bytes: int = 64 * 2**20  # three of the largest files that a scenario may name, or hundreds of usual ones


@dataclass(frozen=True)
class SessionSummary:
    """A session in a list; `calls` counts also those that are no longer kept.

    `began` and `used`, its first and its last use, are Unix seconds on the session's clock of that moment. `dropped`
    calls made room for others; a call that is neither kept nor dropped is still under way.
    """

    name: str
    calls: int
    kept: int
    began: float
    used: float
    dropped: int = 0


class EndedCall(NamedTuple):
    """What has ended in a shared store: a call, or with no number all calls of a session, which was reset.

    `id` tells its place among all: two numbers with a `-` between them.
    """

    id: str
    session: str
    number: int | None


class SharedText(NamedTuple):
    """A text that another server has shared, and whether that server is still there."""

    text: str
    is_there: bool


@runtime_checkable
class SharedStore(Protocol):
    """What a store does beside that several servers use."""

    async def list_ended(self, after: str) -> Sequence[EndedCall]:
        """Return what has ended in any session, at whichever server, behind the place `after`; "" is before all."""
        ...

    async def share_text(self, text: str) -> None:
        """Keep a text of this server for the others, in the place of an earlier one; it outlives the server."""
        ...

    async def list_shared(self) -> Sequence[SharedText]:
        """Return the texts of the other servers."""
        ...


@dataclass(frozen=True)
class StoreSize:
    """How much a store keeps in all: sessions, finished calls, and about the bytes of the calls and tasks."""

    sessions: int
    calls: int
    bytes: int


class StoreLost(Exception):
    """What was asked of a store on another machine cannot be done at present; the text is the reason."""


@dataclass(frozen=True)
class SessionState:
    """All that a store keeps of a session, but for its clock. `journal` has number, entry and about the bytes of calls.

    `calls` have begun, of which `dropped` made room for others. `began` and `used` are as in a SessionSummary.
    `reached` tells whether a call has reached an operation of its gateway.
    """

    calls: int
    dropped: int
    began: float
    used: float
    reached: bool
    journal: Sequence[tuple[int, PlainValue, int]]
    counts: Mapping[str, int]
    values: Mapping[str, PlainValue]
    tasks: Mapping[str, tuple[PlainValue, int]]


class StoredCall(Protocol):
    """A finished call; its plain values are made when somebody reads it, or a store on another machine wants them."""

    @property
    def number(self) -> int:
        """Its number in its session."""
        ...

    def to_plain(self) -> PlainValue:
        """Return the values of its journal entry."""
        ...


@runtime_checkable
class ProvisionalCall(StoredCall, Protocol):
    """A finished call whose number may be below 1: it has begun while the store was lost."""

    def renumber(self, number: int) -> None:
        """Give it a number of the store."""
        ...


class Store(LimitCounter, FileStore, Protocol):
    """What every kind of store does; files belong to no session, and outlive theirs.

    Where `is_shared`, other processes change what is kept; else this process knows of every change. A store on another
    machine may be `lost`, which has the reason then. Meanwhile every method raises StoreLost, but for those that drawn
    answers need: `begin_call` and `add_call` keep what they have to for later, `set_task`, `keep_file` and
    `note_operation` do so too, and `known_values` and `known_clock` tell what was known last.
    """

    is_shared: bool

    @property
    def lost(self) -> str | None:
        """Why nothing can be kept at present; None: it can."""
        ...

    async def open(self) -> None:
        """Connect to where things are kept; raises StoreLost where that is not possible."""
        ...

    async def close(self) -> None:
        """Let everything be written, and disconnect."""
        ...

    async def begin_call(self, session: str, now: float) -> int:
        """Count one more call of `session`, which begins if it is new; return the call's number, from 1.

        The number is below 0 where the store is lost; `add_call` gives the call another one later.
        """
        ...

    async def note_operation(self, session: str) -> None:
        """Note that a call of `session` has reached an operation of its gateway."""
        ...

    async def find_latest(self) -> str | None:
        """Return the session in which a call has reached an operation last.

        Where none has, it is the session used last; None while there is no session.
        """
        ...

    async def add_call(self, session: str, call: StoredCall, weight: int) -> None:
        """Keep a finished call of about `weight` bytes; older ones make room. An unknown session keeps nothing."""
        ...

    async def list_calls(self, session: str) -> Sequence[PlainValue] | None:
        """Return the calls of `session`, the one that ended first at first; None if the session is unknown."""
        ...

    async def get_call(self, session: str, number: int) -> PlainValue | None:
        """Return one call of `session` that has ended; None where it is not kept."""
        ...

    async def set_value(self, session: str, name: str, value: PlainValue, now: float, *, restart: bool = False) -> None:
        """Keep `value` under `name` for `session`, which begins if it is new; None removes it.

        With `restart` its counts are removed in the same step, so that no call comes between.
        """
        ...

    async def get_values(self, session: str) -> Mapping[str, PlainValue]:
        """Return all values of `session` by their names; none where the session is unknown."""
        ...

    def known_values(self, session: str) -> Mapping[str, PlainValue] | None:
        """Return what `get_values` does, as it was when a call of `session` began last; None where one has to wait.

        Raises StoreLost where `session` has values, or counts, that are lost.
        """
        ...

    def known_clock(self, session: str) -> float | None:
        """Return what `get_clock` does, as it was when a call of `session` began last; None where one has to wait."""
        ...

    async def set_task(self, session: str, task: str, value: PlainValue, weight: int, now: float) -> None:
        """Keep the task with the id `task`, of about `weight` bytes; older tasks and calls make room."""
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

    async def read_session(self, session: str) -> SessionState | None:
        """Return all that is kept of `session`, as it was at one moment; None if the session is unknown."""
        ...

    async def write_session(self, session: str, state: SessionState, now: float) -> None:
        """Keep `state` in the place of what is kept of `session`; older calls make room, as for `add_call`.

        What was kept is removed, the clock excepted. Nobody sees a part of it.
        """
        ...

    async def list_sessions(self) -> Sequence[SessionSummary]:
        """Return all sessions, the one that is unused for longest at first."""
        ...

    async def measure(self) -> StoreSize:
        """Return how much is kept in all."""
        ...


@dataclass
class _Session:
    """What an InMemoryStore keeps of one session; a call, a task and a value are kept with their weight.

    `used` goes by the clock that nobody moves, `began` and `used_at` by the session's. `operations` is the place, among
    those of all sessions, of the last call that reached an operation; 0: none has.
    """

    used: float
    began: float
    used_at: float
    numbered: int = 0
    dropped: int = 0
    operations: int = 0
    calls: deque[tuple[StoredCall, int]] = field(default_factory=deque)
    counts: dict[str, int] = field(default_factory=dict)
    values: dict[str, tuple[PlainValue, int]] = field(default_factory=dict)
    tasks: dict[str, tuple[PlainValue, int]] = field(default_factory=dict)

    @property
    def weight(self) -> int:
        """About the bytes of its calls and tasks."""
        return sum(weight for _, weight in self.calls) + sum(weight for _, weight in self.tasks.values())

    @property
    def value_weight(self) -> int:
        """About the bytes of its values."""
        return sum(weight for _, weight in self.values.values())


@dataclass(frozen=True)
class _PlainCall:
    """A finished call of which there is nothing but its plain values."""

    number: int
    values: PlainValue

    def to_plain(self) -> PlainValue:
        """Return the values."""
        return self.values


class InMemoryStore(Store):
    """A store in the memory of this process."""

    is_shared = False
    lost: str | None = None

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._bytes = 0
        self._value_bytes = 0
        self._operations = 0
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._clocks: dict[str, float] = {}
        self._files: dict[FileKind, BoundedCache[str, bytes]] = {
            "upload": BoundedCache(limits.upload_bytes),
            "picture": BoundedCache(limits.picture_bytes),
        }

    async def open(self) -> None:
        """Do nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Do nothing: what is kept ends with the process."""

    async def begin_call(self, session: str, now: float) -> int:
        """Count one more call of `session`, which begins if it is new; return the call's number, from 1."""
        self._expire_sessions(now, self._limits.sessions)
        found = self._open_session(session, now)
        found.used = found.used_at = now
        if self._clocks:
            found.used_at += self._get_moved(session)
        found.numbered += 1
        return found.numbered

    async def note_operation(self, session: str) -> None:
        """Note that a call of `session` has reached an operation of its gateway."""
        found = self._sessions.get(session)
        if found is not None:
            self._operations += 1
            found.operations = self._operations

    async def find_latest(self) -> str | None:
        """Return the session in which a call has reached an operation last, else the one used last."""
        if not self._sessions:
            return None
        name, latest = max(self._sessions.items(), key=lambda item: item[1].operations)
        if latest.operations:
            return name
        return next(reversed(self._sessions))

    async def add_call(self, session: str, call: StoredCall, weight: int) -> None:
        """Keep a finished call of about `weight` bytes; older ones make room. An unknown session keeps nothing."""
        found = self._sessions.get(session)
        if found is None:
            return
        found.calls.append((call, weight))
        self._bytes += weight
        if len(found.calls) > self._limits.calls:
            self._drop_oldest_call(found)
        self._make_room()

    async def list_calls(self, session: str) -> Sequence[PlainValue] | None:
        """Return the calls of `session`, the one that ended first at first; None if the session is unknown."""
        found = self._sessions.get(session)
        if found is None:
            return None
        return [call.to_plain() for call, _ in found.calls]

    async def get_call(self, session: str, number: int) -> PlainValue | None:
        """Return one call of `session` that has ended; None where it is not kept."""
        found = self._sessions.get(session)
        if found is not None:
            for call, _ in reversed(found.calls):
                if call.number == number:
                    return call.to_plain()
        return None

    async def count(self, session: str, what: str, more: int = 1) -> int:
        """Count `more` of `what` in `session`; return how many there are. No two callers get the same number."""
        found = self._sessions.get(session)
        if found is None:  # dropped while its call was under way
            return more
        found.counts[what] = found.counts.get(what, 0) + more
        return found.counts[what]

    async def spend(self, session: str, shares: Sequence[Share]) -> Excess | None:
        """Count all of `shares`; None. Where one is too much, return which, and count none but those that stay."""
        counts: dict[str, int] = {}  # of a session that was dropped while its call was under way
        if session in self._sessions:
            counts = self._sessions[session].counts
        for place, share in enumerate(shares):
            used = counts.get(share.what, 0)
            if used + share.amount > share.most:
                for earlier in shares[:place]:
                    if not earlier.stays:
                        counts[earlier.what] -= earlier.amount
                return Excess(place, used)
            counts[share.what] = used + share.amount
        return None

    async def set_value(self, session: str, name: str, value: PlainValue, now: float, *, restart: bool = False) -> None:
        """Keep `value` under `name` for `session`, which begins if it is new; None removes it."""
        found = self._open_session(session, now)
        if restart:
            found.counts.clear()
        _, weight = found.values.pop(name, (None, 0))
        self._value_bytes -= weight
        if value is None:
            return
        weight = weigh_value(value)
        found.values[name] = value, weight
        self._value_bytes += weight
        while self._value_bytes > self._limits.bytes:
            oldest = next((one for one, kept in self._sessions.items() if kept.values and kept is not found), None)
            if oldest is None:
                return
            self._drop_session(oldest)

    async def get_values(self, session: str) -> Mapping[str, PlainValue]:
        """Return all values of `session` by their names; none where the session is unknown."""
        return self.known_values(session)

    def known_values(self, session: str) -> Mapping[str, PlainValue]:
        """Return all values of `session` by their names; none where the session is unknown."""
        found = self._sessions.get(session)
        if found is None or not found.values:
            return _NO_VALUES
        return {name: value for name, (value, _) in found.values.items()}

    async def set_task(self, session: str, task: str, value: PlainValue, weight: int, now: float) -> None:
        """Keep the task with the id `task`, of about `weight` bytes; older tasks and calls make room."""
        found = self._open_session(session, now)
        if task in found.tasks:
            self._bytes -= found.tasks[task][1]
        found.tasks[task] = value, weight  # in its old place, if it was kept already
        self._bytes += weight
        if len(found.tasks) > self._limits.calls:
            self._drop_oldest_task(found)
        self._make_room()

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

    def known_clock(self, session: str) -> float:
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
            self._drop_session(session)

    async def read_session(self, session: str) -> SessionState | None:
        """Return all that is kept of `session`; None if the session is unknown."""
        found = self._sessions.get(session)
        if found is None:
            return None
        tasks = {task: (await self.get_task(session, task), weight) for task, (_, weight) in found.tasks.items()}
        return SessionState(
            calls=found.numbered,
            dropped=found.dropped,
            began=found.began,
            used=found.used_at,
            reached=found.operations > 0,
            journal=[(call.number, call.to_plain(), weight) for call, weight in found.calls],
            counts=dict(found.counts),
            values=dict(await self.get_values(session)),
            tasks=tasks,
        )

    async def write_session(self, session: str, state: SessionState, now: float) -> None:
        """Keep `state` in the place of what is kept of `session`; older calls make room, as for `add_call`."""
        if session in self._sessions:
            self._drop_session(session)
        found = self._open_session(session, now)
        found.numbered, found.dropped = state.calls, state.dropped
        found.began, found.used_at = state.began, state.used
        found.counts.update(state.counts)
        if state.reached:
            await self.note_operation(session)
        for name, value in state.values.items():
            await self.set_value(session, name, value, now)
        for task, (value, weight) in state.tasks.items():
            await self.set_task(session, task, value, weight, now)
        for number, value, weight in state.journal:
            await self.add_call(session, _PlainCall(number, value), weight)

    async def list_sessions(self) -> Sequence[SessionSummary]:
        """Return all sessions, the one that is unused for longest at first."""
        return [
            SessionSummary(
                name=name,
                calls=one.numbered,
                kept=len(one.calls),
                began=one.began,
                used=one.used_at,
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
        began = now + self._get_moved(session)
        found = self._sessions[session] = _Session(used=now, began=began, used_at=began)
        return found

    def _get_moved(self, session: str) -> float:
        """Return by how many seconds the time of `session` is before the clock that nobody moves."""
        return self._clocks.get("", 0.0) + self._clocks.get(session, 0.0)

    def _make_room(self) -> None:
        """Drop calls and tasks until there are not too many bytes: the oldest of the longest unused session first."""
        while self._bytes > self._limits.bytes:
            found = next(one for one in self._sessions.values() if one.calls or one.tasks)
            if found.calls:
                self._drop_oldest_call(found)
            else:
                self._drop_oldest_task(found)

    def _drop_oldest_task(self, session: _Session) -> None:
        _, weight = session.tasks.pop(next(iter(session.tasks)))
        self._bytes -= weight

    def _drop_session(self, name: str) -> None:
        dropped = self._sessions.pop(name)
        self._bytes -= dropped.weight
        self._value_bytes -= dropped.value_weight

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
            self._drop_session(name)


_NO_VALUES: Final[Mapping[str, PlainValue]] = {}
MOST_CLOCKS: Final = 100_000  # sessions whose clock was moved; the one that was moved first loses its own time then
