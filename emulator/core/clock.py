"""What time it is for the emulator: the only door to time.

Everything that asks for the time asks here, so that a frozen clock freezes all of it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final

_DAY: Final = 86_400  # seconds
_MOST_SESSIONS: Final = 100_000  # whose time was moved; the first of them loses its own time then
LATEST: Final = 32_503_680_000  # the year 3000 in Unix seconds; dates beyond it break half the world's clients


class Clock:
    """The emulator's time. It can be moved on, for all or one session; `scale` is the share of a wait that is waited.

    A wait moves the time of its session by its whole length, however little of it was waited: a frozen clock (`scale` 0
    over a base that stands still) skips it and moves on by it.
    """

    def __init__(self, base: Callable[[], float], scale: float) -> None:
        """`base` gives Unix seconds; `scale` is 1 for real waits, 0 for none."""
        self._base = base
        self._scale = scale
        self._moved = 0.0
        self._own: dict[str, float] = {}
        self._ahead = 0
        self._today = (-1, "")

    def now(self, session: str = "") -> float:
        """Seconds since 1970-01-01 UTC, as `session` has them."""
        return self._base() + self._moved + self._own.get(session, 0.0)

    def today(self, session: str = "") -> str:
        """The day (ISO, in UTC) of the calendar of models, as `session` has it."""
        number = int((self.now(session) + self._ahead) // _DAY)
        if number != self._today[0]:
            self._today = (number, iso(number * _DAY)[:10])
        return self._today[1]

    def begin(self, calendar: str) -> None:
        """Let the calendar of models begin with the day `calendar`, now."""
        self._ahead = math.ceil(day(calendar) - self.now())  # up: what is a moment before a day would be the day before

    def base(self) -> float:
        """Seconds since 1970-01-01 UTC without what was moved on: the age of what is kept goes by it."""
        return self._base()

    @property
    def scale(self) -> float:
        """The share of a wait that is waited, 0 to 1."""
        return self._scale

    async def sleep(self, seconds: float, session: str) -> None:
        """Let `seconds` pass for `session`."""
        await asyncio.sleep(seconds * self._scale)
        if self._scale != 1:
            self.advance(seconds * (1 - self._scale), session)

    def advance(self, seconds: float, session: str | None = None) -> None:
        """Move the time on, of one session or (None) of all."""
        if session is None:
            self._moved += seconds
            return
        if session not in self._own and len(self._own) >= _MOST_SESSIONS:
            del self._own[next(iter(self._own))]
        self._own[session] = self._own.get(session, 0.0) + seconds

    def forget(self, session: str) -> None:
        """Let `session` have the time that all have."""
        self._own.pop(session, None)


def parse(text: str, as_of: str | None = None) -> Clock:
    """The clock that `real`, `frozen:2026-01-01T00:00:00Z` or `scale:0.01` names; raises ValueError.

    A time without a zone is UTC; `scale:0` does not wait at all. The calendar of models begins with the day `as_of`
    (None: the clock's own), and goes on with the clock.
    """
    found = _parse(text)
    if as_of is not None:
        found.begin(as_of)
    return found


def _parse(text: str) -> Clock:
    word, _, rest = text.partition(":")
    if text == "real":
        return Clock(time.time, 1)
    if word == "scale":
        try:
            scale = float(rest)
        except ValueError:
            scale = -1
        if not 0 <= scale <= 1:
            raise ValueError(f"scale {rest!r} is not 0 to 1, as in scale:0.01")
        return Clock(time.time, scale)
    if word != "frozen":
        raise ValueError("expected real, scale:0.01 or frozen:TIME, as in frozen:2026-01-01T00:00:00Z")
    try:
        moment = datetime.fromisoformat(rest)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{rest!r} is no ISO 8601 time, as in frozen:2026-01-01T00:00:00Z") from None
    if not 0 <= seconds < LATEST:
        raise ValueError(f"{rest!r} is outside 1970 to 2999, as in frozen:2026-01-01T00:00:00Z")
    return Clock(lambda: seconds, 0)


def http_date(seconds: float) -> str:
    """`seconds` as HTTP writes a date."""
    return formatdate(int(seconds), usegmt=True)


def iso(seconds: float) -> str:
    """`seconds` as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def compact(seconds: float) -> str:
    """`seconds` as yyyymmddHHMMSS in UTC."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y%m%d%H%M%S")


def day(text: Any) -> float:
    """Unix seconds at which the day `text` (2026-01-31) begins in UTC; raises ValueError."""
    try:
        begin = datetime.fromisoformat(text)
        if begin.date().isoformat() != text:  # fromisoformat takes other spellings as well
            raise ValueError(text)
    except (ValueError, TypeError):
        raise ValueError(f"{text!r} is no day, as in 2026-01-31") from None
    return begin.replace(tzinfo=UTC).timestamp()


def wall(seconds: float) -> str:
    """`seconds` as HH:MM:SS in the local zone, for a line on the console."""
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
