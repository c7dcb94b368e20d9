"""One line on the console for each call, written by a thread of its own.

A reader that sleeps, or has gone, stops no call: what does not fit is dropped, and how much is said when there is room.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Final

from emulator.core import clock
from emulator.session.journal import Entry

_WAITING: Final = 10_000  # lines; a burst fits, a pipe that nobody reads does not grow


class Console:
    """Writes lines to stdout until `close`."""

    def __init__(self) -> None:
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="console", daemon=True)
        self._thread.start()

    def tell(self, entry: Entry) -> None:
        """Write the line of `entry` when there is room for it."""
        try:
            self._lines.put_nowait(line(entry))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what is waiting, as far as somebody reads it within a second."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(1)

    def _write(self) -> None:
        while (text := self._lines.get()) is not None:
            if self._dropped and self._lines.empty():
                text += f"\n({self._dropped} lines were dropped: nobody read them)"
                self._dropped = 0
            if not say(text):
                return


def say(text: str) -> bool:
    """Print `text` at once, and tell whether anybody could read it; a server goes on when nobody can."""
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # what is left in the buffer must not fail once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def line(entry: Entry) -> str:
    """Time, session, gateway, model, status, rule, and the codes of what was noticed."""
    model = _printable(entry.blanked(entry.model) or "-")
    error, rule = entry.error, entry.choice.rule if entry.choice else None
    param = _printable(entry.blanked(error.param) or "") if error else ""
    refusal = f"{error.violation or error.kind} {param}".rstrip() if error else None
    why = " ".join(filter(None, (rule, refusal))) or entry.operation or "-"
    codes = " ".join(dict.fromkeys(finding.code for finding in entry.findings))
    status = entry.response.status if entry.response else "-"
    time = clock.wall(entry.request.received)
    return f"{time} {entry.session} {entry.gateway.name} {model} {status} {why} {codes}".rstrip()


def _printable(text: str) -> str:
    """A client's text, short and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:40])
