"""How positions in a body are read, and how many bytes stand before one."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.core.position import Position, parse_position


@pytest.mark.parametrize(
    ("value", "position"),
    [
        (0, Position(0)),
        ("100", Position(100)),
        ("50%", Position(50, share=True)),
        ("12.5%", Position(12.5, share=True)),
        ("100%", Position(100, share=True)),
        ("1 event", Position(1, events=True)),
        ("12 events", Position(12, events=True)),
    ],
)
def test_positions(value: Any, position: Position) -> None:
    """Bytes, a share of the body, or events of a stream."""
    assert position == parse_position(value)


@pytest.mark.parametrize("value", [-1, True, None, 1.5, "", "1.5", "101%", "50 %", "event", "-1", 10**13, [], "1 x"])
def test_no_positions(value: Any) -> None:
    """Anything else is no position."""
    assert parse_position(value) is None


def test_bytes_before_a_position() -> None:
    """A share is rounded down; bytes are what they are, even beyond the end."""
    assert [5, 50, 4] == [
        Position(5).count_before(10), Position(50).count_before(10), Position(45, share=True).count_before(9)
    ]  # fmt: skip
