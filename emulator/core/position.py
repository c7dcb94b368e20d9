"""A position in a body or a file: where a fault acts, or where a picture's file ends."""

from __future__ import annotations

import re
from typing import Any, Final

from emulator.core.light_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a body: `amount` bytes from its start.

    With `share`, `amount` is per cent of the body. With `events`, it counts the events of a stream; a body that is not
    a stream counts as one event.
    """

    amount: float
    share: bool = False
    events: bool = False

    def count_before(self, length: int) -> int:
        """Return how many bytes (or events) stand before this position in a body of `length` bytes."""
        if self.share:
            return int(length * self.amount / 100)
        return int(self.amount)


def parse_position(value: Any) -> Position | None:
    """Return the position that a file spells as bytes (100, "100"), a share ("50%") or events ("1 event").

    Return None where `value` is not a position.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Position(value) if 0 <= value <= _LARGEST else None
    if not isinstance(value, str):
        return None
    match = _EVENTS.fullmatch(value)
    if match is not None:
        return Position(int(match[1]), events=True)
    match = _BYTES_OR_SHARE.fullmatch(value)
    if match is None:
        return None
    amount, share = float(match[1]), bool(match[2])
    largest = 100 if share else _LARGEST
    if amount > largest:
        return None
    return Position(amount, share=share)


START: Final = Position(0)
HALF: Final = Position(50, share=True)
POSITION_FORMS: Final = "bytes, such as 100, a share, such as 50%, or events, such as 1 event"
"""The forms that `parse_position` reads, as an error message names them."""
_BYTES_OR_SHARE: Final = re.compile(r"([0-9]{1,12}|[0-9]{1,3}\.[0-9]{1,3}(?=%))(%)?")
_EVENTS: Final = re.compile(r"([0-9]{1,3}) events?")
_LARGEST: Final = 10**12  # bytes; no body is as long
