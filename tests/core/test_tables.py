"""The table printer: columns stand below each other, and a row is one line, whatever its cells contain."""

from __future__ import annotations

import pytest

from emulator.core.tables import display_width, format_rows, format_table, replace_unprintable, wrap_text


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


TABLE = [("NAME", "RULE", "SOURCE"), ("size", "one of 256x256, 512x512; default auto", "page"), ("n", "", "assumed")]


def test_a_wide_cell_goes_on_in_the_next_line() -> None:
    """The widest column gives way; the others keep their width, and words stay whole."""
    expected = [
        "NAME  RULE                      SOURCE",
        "size  one of 256x256, 512x512;  page",
        "      default auto",
        "n                               assumed",
    ]
    assert expected == format_table(TABLE, 39)
    assert [1, 2, 1] == [len(lines) for lines in format_rows(TABLE, 39)]


def test_a_word_is_cut_where_no_column_has_room_for_it() -> None:
    """Columns stay columns as long as eight letters fit into each."""
    rows = [("NAME", "MODEL"), ("cat", "gpt-image-2.5-flare-2026-09-08")]
    assert ["NAME  MODEL", "cat   gpt-image-2.5-", "      flare-2026-09-", "      08"] == format_table(rows, 20)


def test_a_narrow_terminal_has_a_list() -> None:
    """Where no columns fit, each cell has its own line, and rows are apart."""
    expected = ["NAME: size", "RULE: one of", "  256x256,", "  512x512;", "  default auto", "SOURCE: page"]
    assert [*expected, "", "NAME: n", "SOURCE:", "  assumed"] == format_table(TABLE, 14)


@pytest.mark.parametrize("width", range(1, 60))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Whatever the cells hold, and however narrow it is, but for a letter that is itself wider."""
    rows = [*TABLE, ("猫" * 9, "é" * 20, "a-very-long-word"), ("one two", "three  four", "猫 five")]
    widest = max(map(display_width, format_table(rows, width)))
    assert widest <= max(width, len("  ") + display_width("猫"))
    letters = "".join(format_table(rows)).replace(" ", "")
    assert len(letters) - len("NAMERULESOURCE") <= len("".join(format_table(rows, width)).replace(" ", ""))


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (None, ["a path /long/and/whole is here"]),
        (30, ["a path /long/and/whole is here"]),
        (12, ["a path", "  /long/and/whole", "  is here"]),
    ],
)
def test_a_text_is_wrapped_between_words(width: int | None, lines: list[str]) -> None:
    """A word that is wider stays whole: a path can be copied."""
    assert lines == wrap_text("a path /long/and/whole is here", width)
    assert [""] == wrap_text("", width)
