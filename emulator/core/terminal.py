"""What is known of the terminal: how wide it is, and whether it shows colours."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final, Literal, TextIO

Style = Literal["bold", "red", "green", "yellow"]

_USUAL_WIDTH: Final = 80  # columns where nothing says how many there are, as for a pipe in CI
_CODES: Final[Mapping[Style, str]] = {"bold": "1", "red": "31", "green": "32", "yellow": "33"}


def find_width(environ: Mapping[str, str] = os.environ) -> int:
    """Return the columns of the terminal: COLUMNS, else those of the terminal that a standard stream is, else 80.

    Output that goes into a pager is as wide as the terminal on which the pager shows it.
    """
    text = environ.get("COLUMNS", "")
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        try:
            if stream is not None:
                return os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDTH
        except (OSError, ValueError):  # no terminal; a stream that is closed
            continue
    return _USUAL_WIDTH


def has_color(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether `stream` shows colours: not with NO_COLOR, always with FORCE_COLOR, else as a terminal."""
    if environ.get("NO_COLOR"):
        return False
    if environ.get("FORCE_COLOR"):
        return True
    return environ.get("TERM") != "dumb" and is_terminal(stream)


def is_terminal(stream: TextIO) -> bool:
    """Return whether somebody reads `stream` on a terminal; not where it is closed."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def paint(text: str, style: Style) -> str:
    """Return `text` with the codes by which a terminal shows it in `style`.

    >>> paint("good", "green")
    '\\x1b[32mgood\\x1b[0m'
    """
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"
