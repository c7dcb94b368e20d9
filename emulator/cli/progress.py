"""How far a command has come, on stderr, where that is a terminal and the command takes more than a second."""

from __future__ import annotations

import sys

from emulator.core.clock import count_seconds
from emulator.core.tables import display_width, replace_unprintable
from emulator.core.terminal import find_width, is_terminal

_QUICK = 1.0  # seconds within which nobody wonders whether a command does anything
_ERASE = "\r\x1b[K"


class Progress:
    """One line about the `total` things that a command works on; `clear` erases it before anything else is printed."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._start = count_seconds()
        self._is_shown = False

    def begin(self, name: str) -> None:
        """Show that the thing called `name` comes next, if the command has taken a second so far."""
        place = self._done
        self._done += 1
        if count_seconds() - self._start < _QUICK or not is_terminal(sys.stderr):
            return
        text = replace_unprintable(f"{place} of {self._total} done; {name}")
        while display_width(text) >= find_width():
            text = text[:-1]
        sys.stderr.write(_ERASE + text)
        sys.stderr.flush()
        self._is_shown = True

    def clear(self) -> None:
        """Erase the line, if it is there."""
        if self._is_shown:
            sys.stderr.write(_ERASE)
            sys.stderr.flush()
            self._is_shown = False
