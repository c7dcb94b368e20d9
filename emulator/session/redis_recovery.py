"""Gives a Redis that is back what has waited for it."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from emulator.session.redis_backlog import Backlog, HeldCall, HeldTask
from emulator.session.redis_connection import RedisConnection
from emulator.session.redis_library import Word
from emulator.session.store import StoreLimits, StoreLost

log = logging.getLogger("emulator")


def encode_value(value: Any) -> bytes:
    """Return a plain value as JSON, in ASCII: half of a surrogate pair has no UTF-8."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")


def make_finish_words(held: HeldCall, limits: StoreLimits) -> tuple[Word, ...]:
    """Return the arguments of the function `finish`."""
    entry = encode_value(held.call.to_plain())
    return held.session, held.call.number, held.era or "", held.weight, entry, limits.calls, limits.bytes


def make_task_words(session: str, task: str, held: HeldTask, limits: StoreLimits) -> tuple[Word, ...]:
    """Return the arguments of the function `set_task`."""
    age = (repr(held.now), limits.sessions, limits.age)
    return session, task, held.value, held.weight, *age, limits.calls, limits.bytes


class BacklogWriter:
    """Writes a backlog over a new connection; `write` may be called again where that is lost again."""

    def __init__(
        self,
        backlog: Backlog,
        connection: RedisConnection,
        limits: StoreLimits,
        begun: dict[int, tuple[int, bytes]],
    ) -> None:
        """`begun` has number and era of calls that were numbered, by the numbers below 1 that they have here."""
        self._begun = begun
        self._backlog = backlog
        self._connection = connection
        self._limits = limits

    async def write(self, now: float) -> tuple[int, int]:
        """Write everything; return how many calls were written, and how many are only counted as missing.

        Nothing waits any more when this returns, also of what has come meanwhile. Raises StoreLost.
        """
        backlog = self._backlog
        written = missing = 0
        while backlog.calls or backlog.tasks or backlog.digests or backlog.missing:
            missing += await self._count_missing(now)
            written += await self._write_calls(now)
            await self._write_tasks()
            await self._write_files()
        return written, missing

    async def _count_missing(self, now: float) -> int:
        """Count the calls that did not fit, so that the journal says how many it lacks."""
        taken, self._backlog.missing = self._backlog.missing, []
        try:
            await self._number_calls([held for held in taken if held.era is None], now)
            by_session = Counter(held.session for held in taken)
            await self._connection.call_together([("miss", one) for one in by_session.items()])
        except StoreLost:
            self._backlog.missing[:0] = taken
            raise
        return len(taken)

    async def _write_calls(self, now: float) -> int:
        """Write the calls that have waited longest, as many as are sent together."""
        backlog = self._backlog
        taken = [backlog.take_call() for _ in range(min(len(backlog.calls), _TOGETHER))]
        try:
            await self._number_calls([held for held in taken if held.era is None], now)
            commands = [("finish", words) for held in taken for words in self._make_words(held)]
            await self._connection.call_together(commands)
        except StoreLost:
            for held in reversed(taken):
                if held not in backlog.missing:
                    backlog.put_back(held)
            raise
        return len(commands)

    def _make_words(self, held: HeldCall) -> Iterator[tuple[Word, ...]]:
        """Yield the arguments of the function that writes a call; one that is no plain value is counted as missing."""
        try:
            yield make_finish_words(held, self._limits)
        except (TypeError, ValueError):  # a bug of ours, for which the other calls are not given up
            log.exception("call %d of session %s cannot be written", held.call.number, held.session)
            self._backlog.missing.append(held)

    async def _number_calls(self, calls: Sequence[HeldCall], now: float) -> None:
        """Give numbers of the store to calls that began while it was lost, in their order."""
        for held in calls:
            begun = self._begun.pop(held.call.number, None)
            if begun is not None:
                held.take_number(*begun)
        calls = [held for held in calls if held.era is None]
        by_session: dict[str, list[HeldCall]] = {}
        for held in calls:
            by_session.setdefault(held.session, []).append(held)
        commands = [("begin", self._make_begin_words(name, now, len(some))) for name, some in by_session.items()]
        answers = await self._connection.call_together(commands)
        for some, (last, era, *_) in zip(by_session.values(), answers, strict=True):
            for number, held in enumerate(some, last - len(some) + 1):
                held.take_number(number, era)

    async def _write_tasks(self) -> None:
        tasks = self._backlog.tasks
        for (session, task), held in list(tasks.items()):
            await self._connection.call_alone("set_task", *make_task_words(session, task, held, self._limits))
            if tasks.get((session, task)) is held:  # and has not changed meanwhile
                del tasks[session, task]

    async def _write_files(self) -> None:
        backlog = self._backlog
        for kind, digest in list(backlog.digests):
            data = backlog.find_file(kind, digest)
            if data is not None:
                capacity = self._limits.upload_bytes if kind == "upload" else self._limits.picture_bytes
                await self._connection.call_alone("keep_file", kind, digest, capacity, data)
            backlog.digests.pop((kind, digest), None)
        if not backlog.digests:
            backlog.drop_files()

    def _make_begin_words(self, session: str, now: float, count: int) -> tuple[Word, ...]:
        return session, repr(now), self._limits.sessions, self._limits.age, count


def describe_return(seconds: float, written: int, missing: int, *, is_empty: bool) -> str:
    """Return the line about a store that is back."""
    text = f"the store is back after {seconds:.1f} s; calls that were written now: {written}"
    if missing:
        text += f"; calls that no journal has: {missing}"
    if is_empty:
        text += "; it came back empty: sessions with a scenario are refused until they are played again or reset"
    return text


_TOGETHER: Final = 200  # calls that are written together
