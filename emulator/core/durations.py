"""Reads durations as people write them in scenarios and requests: 500ms, 2s, 1.5m, 24h, 7d, or a number of seconds."""

from __future__ import annotations

import re
from typing import Any, Final

from emulator.core.phrases import shorten_text

LONGEST_DURATION: Final = 86_400.0  # seconds that something takes; a day is longer than any client waits
LONGEST_SPAN: Final = 1_000 * 365 * 86_400.0  # seconds by which a clock is moved


def parse_duration(value: Any, longest: float = LONGEST_DURATION) -> float:
    """Return the seconds that `value` means, from 0 to `longest`. Raises ValueError.

    >>> parse_duration("500ms"), parse_duration("1.5m"), parse_duration(3), parse_duration("1d")
    (0.5, 90.0, 3.0, 86400.0)
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        match = _match_duration(value)
        if match is None:
            raise ValueError(f"{value!r} is no duration; expected one such as 500ms, 2s or 1m")
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    if not 0 <= seconds <= longest:
        most = f"{longest / _UNITS['d']:.0f}d"
        if longest == LONGEST_DURATION:
            most = "24h"
        raise ValueError(f"the duration {shorten_text(repr(value), _LONGEST)} is outside 0s to {most}")
    return seconds


def is_duration_text(value: Any) -> bool:
    """Return whether `value` is a text that spells a duration, of whatever length."""
    return _match_duration(value) is not None


def _match_duration(value: Any) -> re.Match[str] | None:
    if not isinstance(value, str):
        return None
    return _DURATION.fullmatch(value.strip())


_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_LONGEST: Final = 60  # characters of a value in a message
