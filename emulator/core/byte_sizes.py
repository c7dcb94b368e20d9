"""A number of bytes as a person writes it: 1.8MB, 800kB, 20MiB."""

from __future__ import annotations

import re
from typing import Any, Final


def parse_byte_size(value: Any, at_most: int) -> int:
    """Return the bytes that a file spells as a number (1800000, "1800000") or with a unit ("1.8MB", "800 kB").

    Raises ValueError, with what was expected, where `value` is neither, or outside 1 to `at_most`.
    """
    size = None
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is not None:
            size = round(float(match[1]) * _UNITS[match[2].lower()])
    if size is None or not 1 <= size <= at_most:
        raise ValueError(f"expected bytes such as 1800000, 800kB or 1.8MB, {format_byte_size(at_most)} at most")
    return size


def format_byte_size(size: int) -> str:
    """Return `size` with the largest unit that leaves it a whole number: 20MiB, 800kB, 7."""
    for unit in ("MiB", "MB", "KiB", "kB"):
        factor = _UNITS[unit.lower()]
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


_UNITS: Final = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}
_SIZE: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?(|b|kb|mb|kib|mib)", re.IGNORECASE)
