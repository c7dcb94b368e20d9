"""The one table printer: rows of texts become lines whose columns stand below each other, in a given width or without.

The command line, the journal of a failed test and portability use it. tabulate and rich do more than is needed, and
importing them costs more than a whole command does (measured, CPU: tabulate 56 ms, rich.table 45 ms, this module 1 ms).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_GAP: Final = "  "  # between two columns; one space would look like a space inside a cell
_NARROWEST: Final = 8  # columns of a terminal: a cell of fewer is not read; below it, each cell has its own line
_INDENT: Final = "  "  # before what goes on from the line above


def format_table(rows: Iterable[Sequence[str]], width: int | None = None) -> list[str]:
    """Return the lines of a table, without trailing spaces; the first row is its head, and all have as many cells.

    With `width` (columns of a terminal) no line is longer: the longest cells go on in further lines. Where even that
    would leave columns of a few letters, each cell has a line of its own, behind its head.

    >>> format_table([("NAME", "MODELS"), ("aiai", "dall-e-2")])
    ['NAME  MODELS', 'aiai  dall-e-2']
    >>> format_table([("NAME", "MODELS"), ("aiai", "dall-e-2, dall-e-3")], width=16)
    ['NAME  MODELS', 'aiai  dall-e-2,', '      dall-e-3']
    """
    return [line for lines in format_rows(rows, width) for line in lines]


def format_rows(rows: Iterable[Sequence[str]], width: int | None = None) -> list[list[str]]:
    """Return the lines of each row of a table, as `format_table` does; its head has none where cells have own lines."""
    cleaned = [[replace_unprintable(cell) for cell in row] for row in rows]
    if not cleaned:
        return []
    natural = [max(map(display_width, column)) for column in zip(*cleaned, strict=True)]
    if width is None:
        return [_format_row(row, natural) for row in cleaned]
    room = width - len(_GAP) * (len(natural) - 1)
    if sum(natural) <= room:
        return [_format_row(row, natural) for row in cleaned]
    words = [max(map(_longest_word, column)) for column in zip(*cleaned, strict=True)]
    if sum(words) <= room:
        return [_format_row(row, _share_room(room, words, natural)) for row in cleaned]
    least = [min(word, _NARROWEST) for word in words]
    if sum(least) <= room:
        return [_format_row(row, _share_room(room, least, words)) for row in cleaned]
    return _format_as_lists(cleaned, width)


def wrap_text(text: str, width: int | None, indent: str = _INDENT) -> list[str]:
    """Return `text` in lines of at most `width` columns of a terminal (None: one line); further ones are indented.

    A word that is wider, such as a path, stays whole, so that it can be copied.

    >>> wrap_text("three short words", 12)
    ['three short', '  words']
    """
    if width is None:
        return [text]
    return _wrap(text, width, indent, cut_words=False)


def replace_unprintable(text: str) -> str:
    """Return `text` with a question mark for each line break and control character, so that it stays on one line.

    >>> replace_unprintable("two\\nlines")
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


def _format_row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Return the lines of a row; a cell that is wider than its column goes on in the next one."""
    columns = [_wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for place in range(max(map(len, columns), default=0) or 1):
        parts = []
        for pieces, width in zip(columns, widths, strict=True):
            piece = pieces[place] if place < len(pieces) else ""
            parts.append(piece + " " * (width - display_width(piece)))
        lines.append(_GAP.join(parts).rstrip())
    return lines


def _format_as_lists(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """Return the rows as `HEAD: cell`, one below the other, with an empty line between two rows."""
    head, *others = rows
    formatted: list[list[str]] = [[]]
    for row in others:
        lines = [""] if len(formatted) > 1 else []
        for name, cell in zip(head, row, strict=True):
            if cell:
                lines += _wrap(f"{name}: {cell}", width, _INDENT)
        formatted.append(lines)
    return formatted


def _share_room(room: int, least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Return the width of each column, from `least` to `most`, so that they fill `room`: the widest give way first."""
    widths = list(least)
    left = room - sum(widths)
    while left > 0:
        growing = [place for place, width in enumerate(widths) if width < most[place]]
        narrowest = min(widths[place] for place in growing)
        for place in growing:
            if widths[place] == narrowest and left > 0:
                widths[place] += 1
                left -= 1
    return widths


def _longest_word(cell: str) -> int:
    return max(map(display_width, cell.split()), default=0)


def _wrap(text: str, width: int, indent: str = "", cut_words: bool = True) -> list[str]:
    """Return `text` in lines of at most `width` columns, broken between words, and inside words that are wider."""
    if display_width(text) <= width:
        return [text]
    if width <= 2 * len(indent):  # no room for it
        indent = ""
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line.strip() else line + word
        if display_width(longer) <= width:
            line = longer
            continue
        if line.strip():
            lines.append(line)
            line = indent
        line += word
        while cut_words and display_width(line) > width:
            beginning = _cut_text(line, width)
            lines.append(beginning)
            line = indent + line[len(beginning) :]
    lines.append(line)
    return lines


def _cut_text(text: str, width: int) -> str:
    """Return the beginning of `text` that fits into `width` columns; one letter at least."""
    end = 1
    while end < len(text) and display_width(text[: end + 1]) <= width:
        end += 1
    return text[:end]
