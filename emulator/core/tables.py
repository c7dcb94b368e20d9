"""The one table printer: rows of texts become lines whose columns stand below each other.

The command line, the journal of a failed test and portability use it. tabulate and rich do more than is needed, and
importing them costs more than a whole command does (measured, CPU: tabulate 56 ms, rich.table 45 ms, this module 1 ms).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_GAP: Final = "  "  # between two columns; one space would look like a space inside a cell


def format_table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return one line for each row, without trailing spaces; every row has as many cells as the first.

    >>> format_table([("NAME", "MODELS"), ("aiai", "dall-e-2")])
    ['NAME  MODELS', 'aiai  dall-e-2']
    """
    cleaned = [[replace_unprintable(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*cleaned, strict=True)]
    return [_format_row(row, widths) for row in cleaned]


def replace_unprintable(text: str) -> str:
    """Return `text` with a question mark for each line break and control character, so that it stays on one line.

    >>> replace_unprintable("two\nlines")
    'two?lines'
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def display_width(text: str) -> int:
    """Return how many columns of a terminal `text` takes: two for each Chinese or Japanese letter, none for an accent.

    >>> display_width("cat"), display_width("猫")
    (3, 2)
    """
    if text.isascii():
        return len(text)
    import unicodedata  # few tables need it

    width = 0
    for letter in text:
        if unicodedata.combining(letter):
            continue
        width += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
    return width


def _format_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell + " " * (width - display_width(cell)) for cell, width in zip(cells, widths, strict=True)]
    return _GAP.join(padded).rstrip()
