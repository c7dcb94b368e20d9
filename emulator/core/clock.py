"""The emulator's clock, and how points in time are read and written. This is the only module that uses `time`.

Everything that needs the time asks a Clock, so that a frozen clock freezes everything.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final, Protocol

_DAY: Final = 86_400  # seconds
_MOST_SESSIONS: Final = 100_000  # whose time was moved; the oldest of them loses its own time then
LATEST: Final = 32_503_680_000  # the year 3000 in Unix seconds; dates beyond it break half the world's clients


class ClockStore(Protocol):
    """Remembers by how many seconds the time of each session was moved on; "" stands for all sessions together.

    Where `is_shared`, other processes move it on as well.
    """

    is_shared: bool

    async def move_clock(self, session: str, seconds: float) -> float:
        """Add `seconds` for `session`; return the sum."""
        ...

    async def get_clock(self, session: str) -> float:
        """Return the sum for `session`."""
        ...

    def known_clock(self, session: str) -> float | None:
        """Return the sum for `session` as it was when its last call began; None where one has to wait for it."""
        ...


class Clock:
    """The emulator's time, in Unix seconds. It can be advanced, for all sessions or for one.

    `scale` is the share of a wait that is really waited. A wait always advances the session's time by its whole length:
    a frozen clock (`scale` 0 over a base that stands still) skips the wait and advances by it.
    """

    def __init__(self, base: Callable[[], float], scale: float) -> None:
        """`base` returns Unix seconds; `scale` is 1 for real waits and 0 for none."""
        self._base = base
        self._scale = scale
        self._store: ClockStore | None = None
        self._advanced = 0.0
        self._advanced_by_session: dict[str, float] = {}
        self._calendar_offset = 0
        self._day_number = -1
        self._day_text = ""

    def now(self, session: str = "") -> float:
        """Return the seconds since 1970-01-01 UTC, in the time of `session`."""
        return self._base() + self._advanced + self._advanced_by_session.get(session, 0.0)

    def today(self, session: str = "") -> str:
        """Return the day of the model calendar (ISO, in UTC), in the time of `session`."""
        number = int((self.now(session) + self._calendar_offset) // _DAY)
        if number != self._day_number:
            self._day_number = number
            self._day_text = format_iso(number * _DAY)[:10]
        return self._day_text

    def start_calendar(self, day: str) -> None:
        """Let today be `day` (2026-01-31) in the model calendar; the calendar goes on with the clock."""
        # Rounded up: the moment before a day begins belongs to the day before.
        self._calendar_offset = math.ceil(parse_day(day) - self.now())

    def base(self) -> float:
        """Return the seconds since 1970-01-01 UTC without what was advanced; the age of stored things goes by it."""
        return self._base()

    @property
    def scale(self) -> float:
        """The share of a wait that is really waited, 0 to 1."""
        return self._scale

    def use_store(self, store: ClockStore) -> None:
        """Let `store` remember how far the time is moved on; here is only a copy of it."""
        self._store = store

    async def refresh(self, session: str) -> None:
        """Take over from the store how far the time of `session`, and of all ("" alone), has been moved on."""
        if self._store is None or not self._store.is_shared:
            return
        self._advanced = await self._store.get_clock("")
        if session:
            self._remember(session, await self._store.get_clock(session))

    async def refresh_for_call(self, session: str) -> None:
        """Take over how far the time of `session`, and of all, has been moved on, as a call of it found it just now."""
        if self._store is None or not self._store.is_shared:
            return
        all_moved, own_moved = self._store.known_clock(""), self._store.known_clock(session)
        if all_moved is None or own_moved is None:
            await self.refresh(session)
            return
        self._advanced = all_moved
        self._remember(session, own_moved)

    async def sleep(self, seconds: float, session: str) -> None:
        """Let `seconds` pass for `session`."""
        await asyncio.sleep(seconds * self._scale)
        if self._scale != 1:
            await self.advance(seconds * (1 - self._scale), session)

    async def advance(self, seconds: float, session: str | None = None) -> None:
        """Move the time on, of one session or (None) of all."""
        if self._store is not None:
            moved = await self._store.move_clock(session or "", seconds)
        elif session is None:
            moved = self._advanced + seconds
        else:
            moved = self._advanced_by_session.get(session, 0.0) + seconds
        if session is None:
            self._advanced = moved
        else:
            self._remember(session, moved)

    def find_furthest(self) -> float:
        """Return the time of the session that is ahead of all others."""
        return self.now() + max(0.0, *self._advanced_by_session.values(), 0.0)

    def forget(self, session: str) -> None:
        """Drop what `session` was advanced by itself."""
        self._advanced_by_session.pop(session, None)

    def _remember(self, session: str, moved: float) -> None:
        offsets = self._advanced_by_session
        if not moved:
            offsets.pop(session, None)
            return
        offsets[session] = moved
        if len(offsets) > _MOST_SESSIONS:
            del offsets[next(iter(offsets))]


def count_seconds() -> float:
    """Return the seconds of a clock that only goes on, to measure how long something takes."""
    return time.monotonic()


def parse_clock(text: str, as_of: str | None = None) -> Clock:
    """Return the clock that `real`, `frozen:2026-01-01T00:00:00Z` or `scale:0.01` names. Raises ValueError.

    A time without a zone is UTC; `scale:0` does not wait at all. The model calendar begins with the day `as_of`; with
    None it begins with the clock's own day.
    """
    clock = _parse_clock(text)
    if as_of is not None:
        clock.start_calendar(as_of)
    return clock


def _parse_clock(text: str) -> Clock:
    word, _, rest = text.partition(":")
    if text == "real":
        return Clock(time.time, 1)
    if word == "scale":
        return Clock(time.time, _parse_scale(rest))
    if word == "frozen":
        moment = parse_moment(rest)
        return Clock(lambda: moment, 0)
    raise ValueError("expected real, scale:0.01 or frozen:TIME, as in frozen:2026-01-01T00:00:00Z")


def _parse_scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = -1
    if not 0 <= scale <= 1:
        raise ValueError(f"scale {text!r} is not 0 to 1, as in scale:0.01")
    return scale


def parse_moment(text: str) -> float:
    """Return the Unix seconds of an ISO 8601 time."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = moment.timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no ISO 8601 time, as in frozen:2026-01-01T00:00:00Z") from None
    if not 0 <= seconds < LATEST:
        raise ValueError(f"{text!r} is outside 1970 to 2999, as in frozen:2026-01-01T00:00:00Z")
    return seconds


def parse_day(text: Any) -> float:
    """Return the Unix seconds at which the day `text` (2026-01-31) begins in UTC. Raises ValueError."""
    try:
        start = datetime.fromisoformat(text)
        if start.date().isoformat() != text:  # fromisoformat reads other spellings of a day too
            raise ValueError(text)
    except (ValueError, TypeError):
        raise ValueError(f"{text!r} is no day, as in 2026-01-31") from None
    return start.replace(tzinfo=UTC).timestamp()


def format_http_date(seconds: float) -> str:
    """Return the Unix time `seconds` as HTTP writes a date: Thu, 01 Jan 1970 00:00:00 GMT."""
    return formatdate(int(seconds), usegmt=True)


def parse_http_date(text: str) -> float | None:
    """Return the Unix seconds of a date as HTTP headers write it; None for any other text."""
    from email.utils import parsedate_to_datetime  # few scenarios have such a date

    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None


def format_iso(seconds: float) -> str:
    """Return the Unix time `seconds` as ISO 8601 in UTC: 1970-01-01T00:00:00Z."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_digits(seconds: float) -> str:
    """Return the Unix time `seconds` as fourteen digits in UTC: 19700101000000."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y%m%d%H%M%S")


def format_local_time(seconds: float) -> str:
    """Return the Unix time `seconds` as HH:MM:SS in the local zone, for a line on the console."""
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
