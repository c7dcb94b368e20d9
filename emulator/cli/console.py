"""One line on stdout for each call, written by a thread of its own.

Nobody may have to read the lines: a pipe that is full, or closed, stops no call. Lines that do not fit into the queue
are dropped, and their number is printed when there is room again.

Why not logging's QueueHandler and QueueListener, which were tried: a line through them costs a call 25 µs instead of 2
(a call costs 320 in all), `QueueListener.stop` waits without an end for a pipe that nobody reads, and at a closed pipe
its handler prints a traceback for each line.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from typing import Final

from emulator.core import clock
from emulator.core.tables import replace_unprintable
from emulator.session.journal import JournalEntry

_MOST_LINES: Final = 10_000  # a burst fits; a pipe that nobody reads does not fill the memory
_LONGEST_NAME: Final = 40  # characters of a name that a client chose
_LONGEST_PATH: Final = 120  # characters; a session's prefix and the longest path of a gateway fit
_LONGEST_MISTAKE: Final = 600  # characters; a path of 200, a base URL, and the paths of a gateway fit
_LAST_LINES: Final = 1.0  # seconds for the lines that still wait when the server stops


class Console:
    """Writes lines to stdout until `close`: texts for people, or with `as_json` one object for each call."""

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json
        self._lines: queue.Queue[str | None] = queue.Queue(_MOST_LINES)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="console", daemon=True)
        self._thread.start()

    def write_call(self, entry: JournalEntry) -> None:
        """Queue the line about `entry`, or drop it where the queue is full."""
        try:
            self._lines.put_nowait(format_call_as_json(entry) if self._as_json else format_call(entry))
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write the lines that wait; give up after a second."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(_LAST_LINES)

    def _write_lines(self) -> None:
        while True:
            line = self._lines.get()
            if line is None:
                return
            if self._dropped and self._lines.empty():
                line += "\n" + self._format_dropped()
                self._dropped = 0
            if not print_line(line):
                return

    def _format_dropped(self) -> str:
        if self._as_json:
            return json.dumps({"dropped": self._dropped})
        return f"({self._dropped} lines were dropped: nobody read them)"


def print_line(line: str) -> bool:
    """Print `line` at once. False where stdout is closed; the server goes on without it."""
    try:
        print(line, flush=True)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # Python flushes stdout once more when the process ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def format_call(entry: JournalEntry) -> str:
    """Return time, session, gateway, model, status or state, what decided (rule, refusal, operation), and findings.

    Where a call's address means no operation, its method and path are there too, and what to mend about them.
    """
    model = _shorten(entry.redact(entry.model or "")) or "-"
    reasons = [entry.rule]
    if entry.refused is not None:
        reasons.append(entry.refused["breach"] or entry.refused["kind"])
        reasons.append(_shorten(entry.redact(entry.refused["param"] or "")))
    mistake = _find_mistake(entry)
    if entry.operation is None and not mistake:
        reasons.append(_shorten(entry.method))
        reasons.append(replace_unprintable(entry.redact(entry.path)[:_LONGEST_PATH]))
    why = " ".join(filter(None, reasons)) or entry.operation or "-"
    codes = " ".join(dict.fromkeys(finding["code"] for finding in entry.findings))
    time = clock.format_local_time(entry.received)
    outcome = str(entry.status or "")
    if entry.state != "answered":
        outcome = f"{outcome} {entry.state}".lstrip()
    return f"{time} {entry.session} {entry.gateway} {model} {outcome} {why} {codes} {mistake}".rstrip()


def _find_mistake(entry: JournalEntry) -> str:
    """Return what is wrong with the method and path of a call that means no operation; they begin the text."""
    for finding in entry.findings:
        if finding["code"] == "unknown_path":
            return replace_unprintable(entry.redact(finding["message"])[:_LONGEST_MISTAKE])
    return ""


def format_call_as_json(entry: JournalEntry) -> str:
    """Return the same as one line of JSON in ASCII; the admin API has the rest of the call under session and number."""
    refused = None
    if entry.refused is not None:
        words = {name: entry.refused[name] for name in ("kind", "breach", "param", "code")}
        refused = {name: entry.redact(value) if isinstance(value, str) else value for name, value in words.items()}
    return json.dumps({
        "time": clock.format_iso(entry.received),
        "session": entry.session,
        "number": entry.number,
        "gateway": entry.gateway,
        "operation": entry.operation,
        "model": None if entry.model is None else entry.redact(entry.model)[:_LONGEST_PATH],
        "method": entry.method,
        "path": entry.redact(entry.path)[:_LONGEST_PATH],
        "status": entry.status,
        "state": entry.state,
        "rule": entry.rule,
        "refused": refused,
        "findings": list(dict.fromkeys(finding["code"] for finding in entry.findings)),
        "duration": round(entry.duration, 6),
    })  # fmt: skip


def _shorten(name: str | None) -> str:
    """Return a name that a client chose, short and without control characters."""
    return replace_unprintable((name or "")[:_LONGEST_NAME])
