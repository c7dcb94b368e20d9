"""How durations are read."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.core import durations
from emulator.core.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5), ("2s", 2), ("2", 2), ("1.5m", 90), ("24h", 86_400), ("0s", 0), (" 3 s ", 3), (3, 3),
        (0.25, 0.25), ("1d", 86_400),
    ],
)  # fmt: skip
def test_durations(text: Any, seconds: float) -> None:
    """A number with a unit, or a number of seconds."""
    assert seconds == pytest.approx(parse_duration(text))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no duration"), ("soon", "no duration"), ("1w", "no duration"), ("-1s", "no duration"),
        ("1e3s", "no duration"), (".5s", "no duration"), ("１s", "no duration"), (None, "no duration"),
        (True, "no duration"), ([], "no duration"), (-1, "-1 is outside 0s to 24h"), ("25h", "outside 0s to 24h"),
        (float("nan"), "outside 0s to 24h"), (float("inf"), "outside 0s to 24h"),
    ],
)  # fmt: skip
def test_no_durations(text: Any, complaint: str) -> None:
    """What is none is refused with what was read."""
    with pytest.raises(ValueError, match=complaint):
        parse_duration(text)


@pytest.mark.parametrize(("value", "seconds"), [("25h", 90_000), ("400d", 34_560_000), (90_000, 90_000)])
def test_a_span_is_longer_than_a_day(value: Any, seconds: float) -> None:
    """What moves time may be of any length up to a thousand years; what takes time may not."""
    assert seconds == durations.parse_duration(value, durations.LONGEST_SPAN)
    with pytest.raises(ValueError, match="outside 0s to 24h"):
        durations.parse_duration(value)
    with pytest.raises(ValueError, match="outside 0s to 365000d"):
        durations.parse_duration("9" * 400 + "d", durations.LONGEST_SPAN)
