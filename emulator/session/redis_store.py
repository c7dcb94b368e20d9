"""A store in Redis: any number of servers share what sessions remember, and any of them answers any call.

Each method is one function of *redis_functions.lua*, which no other server can come between. What a server knows of a
session is what Redis said when its last call began; nothing is taken from here where it could be older. While Redis is
lost, drawn answers go on: what is to be kept waits in a Backlog, and all else raises StoreLost.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from emulator.core import clock
from emulator.core.light_dataclass import dataclass
from emulator.image.files import FileKind
from emulator.scenario.limits import Excess, Share
from emulator.session import store as stores
from emulator.session.json_values import weigh_value
from emulator.session.redis_address import RedisAddress
from emulator.session.redis_backlog import Backlog, HeldCall, HeldTask
from emulator.session.redis_connection import RedisConnection
from emulator.session.redis_handshake import check_server
from emulator.session.redis_library import Library, Word
from emulator.session.redis_recovery import (
    BacklogWriter,
    describe_return,
    encode_value,
    make_finish_words,
    make_task_words,
)
from emulator.session.redis_state import make_session_words, parse_session_words
from emulator.session.store import (
    EndedCall,
    PlainValue,
    SessionState,
    SessionSummary,
    SharedText,
    Store,
    StoredCall,
    StoreLimits,
    StoreLost,
    StoreSize,
)

log = logging.getLogger("emulator")
_Name = TypeVar("_Name")
_Value = TypeVar("_Value")


@dataclass
class _Known:
    """What Redis said of a session when a call of it began here last.

    `version` counts the changes of its values, and `values` are those of `values_version`. `moved` is how far its clock
    was moved. `is_unsure` tells that its scenario, or how far it was played, is lost.
    """

    era: str
    version: int
    has_values: bool
    moved: float
    is_unsure: bool
    values: Mapping[str, PlainValue] | None = None
    values_version: int = -1


class RedisStore(Store):
    """A store in the Redis at `address`; `encoder` names what writes pictures, which is the same in all replicas."""

    is_shared = True

    def __init__(self, address: RedisAddress, limits: StoreLimits, encoder: str) -> None:
        """Prepare a store, which `open` connects; raises ValueError for an address that cannot be one."""
        self._limits = limits
        self._encoder = encoder
        # A key outlives the age of its session, also where that was used a quarter of the key's life ago.
        self._library = Library(f"{address.prefix}:", math.ceil(limits.age / 0.75) + _LONGER)
        self._connection = RedisConnection(address.url, self._library, greet=self._greet, note_loss=self._note_loss)
        self._library.identity = ("", os.urandom(8).hex(), 0)
        self._beating: asyncio.Task[None] | None = None
        self._now = 0.0
        self._moved: float | None = None
        self._known: dict[str, _Known] = {}
        self._counted: dict[str, None] = {}
        """The sessions whose calls were counted here: how far they were played would be lost with the store."""
        self._changes = -1
        self._valued: frozenset[str] = frozenset()
        """The sessions that have values, as they were when `_changes` changes had been made to values."""
        self._eras: dict[tuple[str, int], tuple[str, str]] = {}
        """Epoch and era of each call that is under way here."""
        self._token = 0
        self._unsure_numbers: dict[str, int] = {}
        """The numbers below 1 of calls that Redis may have numbered, by the token with which it was asked."""
        self._begun: dict[int, tuple[int, bytes]] = {}
        """Number and era of such calls that it has numbered."""
        self._writing: set[asyncio.Task[None]] = set()
        self._backlog = Backlog(limits)
        self._lost_at: float | None = None

    @property
    def lost(self) -> str | None:
        """Why Redis cannot be used at present; None: it can."""
        return self._connection.lost

    async def open(self) -> None:
        """Connect; raises StoreLost where Redis cannot be used."""
        await self._connection.open()
        self._beating = asyncio.create_task(self._beat(), name="redis beat")

    async def close(self) -> None:
        """Let everything be written, and disconnect."""
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        if self._writing:
            await asyncio.wait(self._writing)
        self._send("leave")
        await self._connection.close()
        waiting = len(self._backlog.calls) + len(self._backlog.missing)
        if waiting:
            log.warning("the server stops while the store is lost: calls that no journal has: %d", waiting)

    # --- calls

    async def begin_call(self, session: str, now: float) -> int:
        """Count one more call of `session`, which begins if it is new; return its number; below 0: Redis is lost."""
        self._now = now
        self._token += 1
        token = str(self._token)
        try:
            answer = await self._call("begin", session, repr(now), self._limits.sessions, self._limits.age, 1, token)
        except StoreLost:
            number = self._backlog.number_call()
            _remember(self._unsure_numbers, token, number)
            return int(number)
        number, encoded_era, version, values, moved, own_moved, is_unsure, changes = answer
        era = encoded_era.decode()
        known = self._known.pop(session, None)
        if known is None or known.era != era:
            known = _Known(era, version, bool(values), float(own_moved), bool(is_unsure))
        known.version, known.has_values = version, bool(values)
        known.moved, known.is_unsure = float(own_moved), bool(is_unsure)
        _remember(self._known, session, known)
        self._moved = float(moved)
        self._learn_changes(changes)
        epoch, _, _ = self._library.identity
        _remember(self._eras, (session, number), (epoch, era))
        return int(number)

    async def note_operation(self, session: str) -> None:
        """Note that a call of `session` has reached an operation of its gateway; nobody waits for it."""
        self._send("note", session)

    async def find_latest(self) -> str | None:
        """Return the session in which a call has reached an operation last, else the one used last."""
        session = await self._call("latest")
        return None if session is None else str(session.decode())

    async def add_call(self, session: str, call: StoredCall, weight: int) -> None:
        """Keep a finished call of about `weight` bytes; while Redis is lost it waits."""
        held = HeldCall(session, call, weight, era="")
        began = self._eras.pop((session, call.number), None)
        if began is not None:
            epoch, held.era = began
            if epoch != self._library.identity[0]:  # the store came back empty meanwhile
                held.era = None
        elif call.number < 1:
            held.era = None
        if self.lost is not None:
            self._backlog.add_call(held)
            return
        writing = asyncio.create_task(self._write_or_hold(held))  # goes on where our caller is cancelled
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)
        await asyncio.shield(writing)

    async def _write_or_hold(self, held: HeldCall) -> None:
        try:
            await self._write_call(held)
        except StoreLost:
            self._backlog.add_call(held)

    async def _write_call(self, held: HeldCall) -> None:
        if held.era is None and held.call.number in self._begun:
            held.take_number(*self._begun.pop(held.call.number))
        if held.era is None:
            words = (held.session, repr(self._now), self._limits.sessions, self._limits.age, 1)
            number, era, *_ = await self._call("begin", *words)
            held.take_number(number, era)
        await self._call("finish", *make_finish_words(held, self._limits))

    async def list_calls(self, session: str) -> Sequence[PlainValue] | None:
        """Return the calls of `session`, the one that ended first at first; None if the session is unknown."""
        entries = await self._call("calls", session)
        if entries is None:
            return None
        if sum(map(len, entries)) > _SLOW_TO_READ:
            return await asyncio.to_thread(lambda: [json.loads(entry) for entry in entries])
        return [json.loads(entry) for entry in entries]

    async def get_call(self, session: str, number: int) -> PlainValue | None:
        """Return one call of `session` that has ended; None where it is not kept."""
        entry = await self._call("call", session, number)
        return None if entry is None else json.loads(entry)

    async def list_ended(self, after: str) -> Sequence[EndedCall]:
        """Return what has ended in any session, at whichever server, behind the place `after`; "" is before all."""
        ended = []
        for place, words in await self._call("events", after):
            told = dict(zip(words[::2], words[1::2], strict=True))
            if b"reset" in told:
                ended.append(EndedCall(place.decode(), told[b"reset"].decode(), None))
            else:
                ended.append(EndedCall(place.decode(), told[b"session"].decode(), int(told[b"number"])))
        return ended

    # --- what servers tell each other

    async def share_text(self, text: str) -> None:
        """Keep a text of this server for the others, in the place of an earlier one; it outlives the server."""
        await self._call("share", text)

    async def list_shared(self) -> Sequence[SharedText]:
        """Return the texts of the other servers."""
        return [SharedText(text.decode(), bool(is_there)) for text, is_there in await self._call("shared")]

    # --- counts

    async def count(self, session: str, what: str, more: int = 1) -> int:
        """Count `more` of `what` in `session`; return how many there are. No two callers get the same number."""
        if more:
            _remember(self._counted, session, None)
        return int(await self._call("turn", session, what, more))

    async def spend(self, session: str, shares: Sequence[Share]) -> Excess | None:
        """Count all of `shares`; None. Where one is too much, return which, and count none but those that stay."""
        _remember(self._counted, session, None)
        words: list[Word] = [session]
        for share in shares:
            words += [share.what, share.amount, share.most, int(share.stays)]
        excess = await self._call("spend", *words)
        if not excess:
            return None
        place, used = excess
        return Excess(place, used)

    # --- values

    async def set_value(self, session: str, name: str, value: PlainValue, now: float, *, restart: bool = False) -> None:
        """Keep `value` under `name` for `session`, which begins if it is new; None removes it."""
        encoded, weight = b"", 0
        if value is not None:
            encoded, weight = encode_value(value), weigh_value(value)
        limits = self._limits
        await self._call(
            "set_value", session, name, encoded, weight, repr(now), limits.sessions, limits.age, limits.bytes,
            int(restart),
        )  # fmt: skip
        self._forget_known(session)

    async def get_values(self, session: str) -> Mapping[str, PlainValue]:
        """Return all values of `session` by their names; none where the session is unknown."""
        version, pairs = await self._call("get_values", session)
        names, encoded = pairs[::2], pairs[1::2]
        values = {name.decode(): json.loads(value) for name, value in zip(names, encoded, strict=True)}
        known = self._known.get(session)
        if known is not None:
            known.values, known.values_version = values, version
        return values

    def known_values(self, session: str) -> Mapping[str, PlainValue] | None:
        """Return all values of `session`, as they were when its last call began; None where one has to wait.

        Raises StoreLost where `session` has values, or counts, that are lost.
        """
        known = self._known.get(session)
        if known is not None and known.is_unsure:
            raise StoreLost(_UNSURE)
        if self.lost is None:
            if known is None:
                return None
            if not known.has_values:
                return _NO_VALUES
            if known.values_version != known.version:
                return None
            return known.values
        if known is not None and known.values is not None:
            return known.values
        if session in self._valued or (known is not None and known.has_values):
            raise StoreLost(self.lost)
        return _NO_VALUES

    # --- tasks

    async def set_task(self, session: str, task: str, value: PlainValue, weight: int, now: float) -> None:
        """Keep the task with the id `task`, of about `weight` bytes; while Redis is lost it waits."""
        held = HeldTask(encode_value(value), weight, now)
        try:
            await self._call("set_task", *make_task_words(session, task, held, self._limits))
        except StoreLost:
            self._backlog.add_task(session, task, held)

    async def get_task(self, session: str, task: str) -> PlainValue:
        """Return the task with the id `task`, None where the session has none."""
        held = self._backlog.tasks.get((session, task))
        encoded = held.value if held is not None else await self._call("get_task", session, task)
        return None if encoded is None else json.loads(encoded)

    # --- clocks

    async def move_clock(self, session: str, seconds: float) -> float:
        """Move the clock of `session` on; return by how many seconds it has been moved in all."""
        return float(await self._call("move_clock", session, repr(seconds), stores.MOST_CLOCKS))

    async def get_clock(self, session: str) -> float:
        """Return by how many seconds the clock of `session` has been moved."""
        return float(await self._call("get_clock", session))

    def known_clock(self, session: str) -> float | None:
        """Return by how many seconds the clock of `session` had been moved when its last call began."""
        if not session:
            return self._moved if self.lost is None else (self._moved or 0.0)
        known = self._known.get(session)
        if known is not None:
            return known.moved
        if self.lost is not None:
            return 0.0
        return None

    # --- files

    async def keep_file(self, kind: FileKind, digest: str, data: bytes) -> None:
        """Keep a file, or count a kept one as used; while Redis is lost it waits."""
        capacity = self._get_capacity(kind)
        if len(data) > capacity:
            return
        try:
            if not await self._call("touch_file", kind, digest):
                await self._call("keep_file", kind, digest, capacity, data)
        except StoreLost:
            self._backlog.add_file(kind, digest, data)

    async def find_file(self, kind: FileKind, digest: str) -> bytes | None:
        """Return the file and count it as used; None where it is not kept, or not any more."""
        data = self._backlog.find_file(kind, digest)
        if data is not None:
            return data
        found: bytes | None = await self._call("find_file", kind, digest)
        return found

    def _get_capacity(self, kind: FileKind) -> int:
        return self._limits.upload_bytes if kind == "upload" else self._limits.picture_bytes

    # --- sessions

    async def restart(self, session: str) -> None:
        """Remove the counts of `session`."""
        await self._call("restart", session)

    async def reset(self, session: str) -> None:
        """Remove the calls, tasks and counts of `session`, and begin its numbers anew; values and clock stay."""
        await self._call("reset", session)
        self._forget_known(session)

    async def forget(self, session: str) -> None:
        """Remove everything about `session`, its clock included."""
        await self._call("forget", session)
        self._forget_known(session)

    async def read_session(self, session: str) -> SessionState | None:
        """Return all that is kept of `session`; None if the session is unknown."""
        found = await self._call("read_session", session)
        return None if found is None else parse_session_words(found)

    async def write_session(self, session: str, state: SessionState, now: float) -> None:
        """Keep `state` in the place of what is kept of `session`; older calls make room, as for `add_call`."""
        await self._call("write_session", *make_session_words(session, state, now, self._limits))
        self._forget_known(session)

    async def list_sessions(self) -> Sequence[SessionSummary]:
        """Return all sessions, the one that is unused for longest at first."""
        return [
            SessionSummary(name.decode(), calls=calls, kept=kept, began=float(began), used=float(used), dropped=dropped)
            for name, calls, kept, began, used, dropped in await self._call("sessions")
        ]

    async def measure(self) -> StoreSize:
        """Return how much is kept in all."""
        sessions, calls, size = await self._call("measure")
        return StoreSize(sessions=sessions, calls=calls, bytes=size)

    # --- the connection

    async def _call(self, function: str, *words: Word) -> Any:
        return await self._connection.call(function, *words)

    def _send(self, function: str, *words: Word) -> asyncio.Future[Any] | None:
        """Call a function for whose answer nobody has to wait; None where Redis is lost."""
        if self.lost is not None:
            return None
        return self._connection.call(function, *words)

    def _forget_known(self, session: str) -> None:
        """Forget what was known of a session that has been changed from here."""
        self._known.pop(session, None)
        self._counted.pop(session, None)
        self._backlog.forget_session(session)

    def _learn_changes(self, changes: int) -> None:
        """Ask which sessions have values, where that has changed: it counts when Redis is lost."""
        if changes == self._changes:
            return
        self._changes = changes
        asked = self._send("valued")
        if asked is not None:
            asked.add_done_callback(self._learn_valued)

    def _learn_valued(self, asked: asyncio.Future[Any]) -> None:
        if asked.cancelled() or asked.exception() is not None:
            self._changes = -1
        else:
            self._valued = frozenset(name.decode() for name in asked.result())

    async def _beat(self) -> None:
        """Say now and then that this replica is there; so a loss is noticed where there are no calls, too."""
        while True:
            with suppress(StoreLost):
                self._learn_changes(await self._call("beat", REPLICA_GONE))
            await asyncio.sleep(_BEAT)

    async def _find_begun(self) -> None:
        """Ask which of the calls whose numbers never came were numbered all the same."""
        if not self._unsure_numbers:
            return
        for line in await self._connection.call_alone("begun"):
            token, number, era = line.split(b" ")
            unsure = self._unsure_numbers.get(token.decode())
            if unsure is not None:
                self._begun[unsure] = (int(number), era)
        self._unsure_numbers.clear()

    def _note_loss(self, reason: str) -> None:
        """Say once that Redis is lost."""
        if self._lost_at is None:
            self._lost_at = clock.count_seconds()
            log.warning("the store is lost: %s; calls that a scenario answers are refused until it is back", reason)

    async def _greet(self) -> None:
        """Join the other replicas, and write what has waited; raises StoreLost."""
        await check_server(self._connection.ask_alone)
        epoch, replica, _ = self._library.identity
        unsure = {*self._counted, *self._valued, *(name for name, known in self._known.items() if known.has_values)}
        words: tuple[Word, ...] = (self._encoder, REPLICA_GONE, os.urandom(8).hex(), epoch, *unsure)
        found, generation, other = await self._connection.call_alone("join", *words)
        if other:
            raise StoreLost(
                f"another server that uses it writes pictures by {other.decode()}, and this one by {self._encoder}; "
                f"equal calls would get different bytes (a server counts as gone after {REPLICA_GONE} seconds)"
            )
        self._library.identity = (found.decode(), replica, generation)
        is_empty = epoch not in ("", found.decode())
        if is_empty:
            self._known.clear()
            self._counted.clear()
            self._begun.clear()
            self._valued, self._changes, self._moved = frozenset(), -1, None
        await self._find_begun()
        writer = BacklogWriter(self._backlog, self._connection, self._limits, self._begun)
        written, missing = await writer.write(self._now)
        if self._lost_at is not None:
            seconds = clock.count_seconds() - self._lost_at
            self._lost_at = None
            log.warning("%s", describe_return(seconds, written, missing, is_empty=is_empty))


def _remember(known: dict[_Name, _Value], name: _Name, value: _Value) -> None:
    """Put a value behind all others; the one that was put first makes room."""
    known.pop(name, None)
    known[name] = value
    if len(known) > _MOST_KNOWN:
        del known[next(iter(known))]


REPLICA_GONE: Final = 30  # seconds without a word from a server until it does not count any more
_BEAT: Final = 1.0  # seconds
_LONGER: Final = 60  # seconds that a key outlives its session
_MOST_KNOWN: Final = 20_000  # sessions, and calls that are under way
_SLOW_TO_READ: Final = 2**20  # bytes of JSON; to read as many takes some ten milliseconds
_NO_VALUES: Final[Mapping[str, PlainValue]] = {}
_UNSURE: Final = "it came back empty, and nobody has played or reset the session since"
