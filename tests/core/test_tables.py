"""The table printer: columns stand below each other, and a row is one line, whatever its cells contain."""

from __future__ import annotations

import pytest

from emulator.core.tables import display_width, format_table, replace_unprintable


def test_columns_stand_below_each_other() -> None:
    """Each column is as wide as its widest cell; no line ends in spaces."""
    rows = [("NAME", "N", "TITLE"), ("a", "10", ""), ("longer", "1", "x")]
    assert ["NAME    N   TITLE", "a       10", "longer  1   x"] == format_table(rows)


def test_no_rows_are_no_lines() -> None:
    """A table without rows is empty."""
    assert [] == format_table([])


def test_a_row_is_one_line() -> None:
    """Line breaks and control characters in a cell make no lines and no colours of their own."""
    assert ["a?b?[31m  c"] == format_table([("a\nb\x1b[31m", "c")])


def test_chinese_letters_take_two_columns() -> None:
    """A terminal shows a Chinese letter as wide as two Latin ones, and a combining accent has no width."""
    assert ["猫  x", "ab  y", "e\u0301   z"] == format_table([("猫", "x"), ("ab", "y"), ("e\u0301", "z")])


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("é", 1), ("猫cat", 5), ("ＡＢ", 4)])
def test_display_width(text: str, width: int) -> None:
    """The columns that a terminal needs."""
    assert width == display_width(text)


@pytest.mark.parametrize(("text", "shown"), [("plain", "plain"), ("two\nlines", "two?lines"), ("\x1b[0m", "?[0m")])
def test_unprintable(text: str, shown: str) -> None:
    """Each control character becomes a question mark."""
    assert shown == replace_unprintable(text)
