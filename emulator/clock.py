"""What time it is for the emulator: the only door to time.

Everything that asks for the time asks here, so that a frozen clock freezes all of it.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Final, Protocol

LATEST: Final = 32_503_680_000  # the year 3000 in Unix seconds; dates beyond it break half the world's clients


class Clock(Protocol):
    """A source of Unix seconds."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...


class RealClock:
    """The machine's own clock."""

    def now(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()


class FrozenClock:
    """A clock that stands still, so that a run repeats to the byte."""

    def __init__(self, instant: float) -> None:
        self._instant = instant

    def now(self) -> float:
        """Always the same instant."""
        return self._instant


def parse(text: str) -> Clock:
    """The clock that `real` or `frozen:2026-01-01T00:00:00Z` names; a time without a zone is UTC. Raises ValueError."""
    if text == "real":
        return RealClock()
    word, _, instant = text.partition(":")
    if word != "frozen":
        raise ValueError("expected real or frozen:TIME, as in frozen:2026-01-01T00:00:00Z")
    try:
        moment = datetime.fromisoformat(instant)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"{instant!r} is no ISO 8601 time, as in frozen:2026-01-01T00:00:00Z") from None
    if not 0 <= seconds < LATEST:
        raise ValueError(f"{instant!r} is outside 1970 to 2999, as in frozen:2026-01-01T00:00:00Z")
    return FrozenClock(seconds)


def stopwatch() -> float:
    """Seconds on a clock that only runs forward, real even when the emulator's clock is frozen."""
    return time.perf_counter()


def http_date(seconds: float) -> str:
    """`seconds` as HTTP writes a date."""
    return formatdate(int(seconds), usegmt=True)


def iso(seconds: float) -> str:
    """`seconds` as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def wall(seconds: float) -> str:
    """`seconds` as HH:MM:SS in the local zone, for a line on the console."""
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")
