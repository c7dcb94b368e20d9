"""Sizes in bytes as people write them."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.core.byte_sizes import format_byte_size, parse_byte_size

LARGEST = 20 * 2**20


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (1, 1), ("1800000", 1_800_000), ("1.8MB", 1_800_000), ("1.8 mb", 1_800_000), ("800kB", 800_000),
        ("800KB", 800_000), ("1MiB", 2**20), ("20MiB", LARGEST), ("0.5KiB", 512), ("7B", 7), (" 7 ", 7),
    ],
)  # fmt: skip
def test_sizes(text: Any, size: int) -> None:
    """A number, or a number with a unit in any case; kB are thousands, KiB are 1,024."""
    assert size == parse_byte_size(text, LARGEST)


@pytest.mark.parametrize(
    "text", ["", "MB", "1.8GB", "-1", "1e6", "1,8MB", "1.8MBs", 0, "0", -5, 1.5, True, None, [], LARGEST + 1, "21MiB"]
)
def test_what_is_no_size(text: Any) -> None:
    """Anything else, and what is out of bounds, is refused in one line that says what can be had."""
    with pytest.raises(ValueError, match=r"\Aexpected bytes such as 1800000, 800kB or 1.8MB, 20MiB at most\Z"):
        parse_byte_size(text, LARGEST)


@pytest.mark.parametrize(("size", "text"), [(LARGEST, "20MiB"), (800_000, "800kB"), (2048, "2KiB"), (7, "7"), (0, "0")])
def test_sizes_are_shown(size: int, text: str) -> None:
    """With the largest unit that leaves a whole number."""
    assert text == format_byte_size(size)
