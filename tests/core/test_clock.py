"""How clocks and days are read."""

from __future__ import annotations

import pytest

from emulator.core import clock


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("frozen:1970-01-01T00:00:10Z", 10),
        ("frozen:1970-01-01T00:00:10", 10),
        ("frozen:1970-01-02", 86400),
        ("frozen:1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_a_frozen_clock_stands_still(text: str, seconds: float) -> None:
    """It says the same instant each time; a time without a zone is UTC."""
    frozen = clock.parse_clock(text)
    assert [seconds, seconds] == [frozen.now(), frozen.now()]


@pytest.mark.parametrize("text", ["", "frozen", "frozen:", "frozen:noon", "sundial", "real:5", "frozen:2026-13-01"])
def test_a_clock_that_is_none(text: str) -> None:
    """What names no clock is refused with an example."""
    with pytest.raises(ValueError, match="frozen:2026-01-01T00:00:00Z"):
        clock.parse_clock(text)


def test_a_day_begins_in_utc() -> None:
    """A day in a table is the second at which it begins, wherever the server stands."""
    assert (0, 86_400, 1_796_083_200) == tuple(map(clock.parse_day, ("1970-01-01", "1970-01-02", "2026-12-01")))


@pytest.mark.parametrize("text", ["", "2026-02-30", "20260101", "2026-W01-1", "2026-01-01T00", "2026-1-1", None, 2026])
def test_a_day_that_is_none(text: object) -> None:
    """There is one spelling of a day, and what is none is told with an example."""
    with pytest.raises(ValueError, match="is no day, as in 2026-01-31"):
        clock.parse_day(text)
