"""What commands print on stdout: tables and texts as wide as the terminal, and JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from emulator.core.tables import format_rows, replace_unprintable, wrap_text
from emulator.core.terminal import Style, find_width, has_color, paint


def choose_width(options: argparse.Namespace) -> int | None:
    """Return the columns that tables and texts may have; None with --wide."""
    if options.wide:
        return None
    return find_width()


def print_table(rows: Iterable[Sequence[str]], width: int | None) -> None:
    """Print a table, whose first row is its head, in `width` columns (None: one line a row)."""
    for place, lines in enumerate(format_rows(rows, width)):
        for line in lines:
            print(emphasize(line, "bold") if place == 0 else line)


def print_text(text: str, width: int | None, indent: str = "  ") -> None:
    """Print one text, with further lines indented; line breaks and control characters become question marks."""
    for line in wrap_text(replace_unprintable(text), width, indent):
        print(line)


def print_heading(text: str, width: int | None) -> None:
    """Print the line above a table."""
    for line in wrap_text(replace_unprintable(text), width):
        print(emphasize(line, "bold"))


def print_json(value: Any) -> None:
    """Print `value` as one line of JSON."""
    print(json.dumps(value, ensure_ascii=False))


def emphasize(text: str, style: Style) -> str:
    """Return `text` in `style` where stdout shows colours."""
    if has_color(sys.stdout):
        return paint(text, style)
    return text
