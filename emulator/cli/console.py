"""One line on stdout for each call, written by a thread of its own.

Nobody may have to read the lines: a pipe that is full, or closed, stops no call. Lines that do not fit into the queue
are dropped, and their number is printed when there is room again.

Why not logging's QueueHandler and QueueListener, which were tried: a line through them costs a call 25 µs instead of 2
(a call costs 110 in all), `QueueListener.stop` waits without an end for a pipe that nobody reads, and at a closed pipe
its handler prints a traceback for each line.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from typing import Final

from emulator.core import clock
from emulator.core.tables import replace_unprintable
from emulator.session.call_record import CallRecord

_MOST_LINES: Final = 10_000  # a burst fits; a pipe that nobody reads does not fill the memory
_MOST_AT_ONCE: Final = 200  # lines in one write: one write for each takes 10 µs
_LONGEST_NAME: Final = 40  # characters of a name that a client chose
_LONGEST_PATH: Final = 120  # characters; a session's prefix and the longest path of a gateway fit
_LONGEST_MISTAKE: Final = 600  # characters; a path of 200, a base URL, and the paths of a gateway fit
_LAST_LINES: Final = 1.0  # seconds for the lines that still wait when the server stops


class Console:
    """Writes lines to stdout until `close`: texts for people, or with `as_json` one object for each call."""

    def __init__(self, as_json: bool = False) -> None:
        self._as_json = as_json
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write_lines, name="console", daemon=True)
        self._thread.start()

    def write_call(self, record: CallRecord) -> None:
        """Queue the line about a call that has ended, or drop it where the queue is full."""
        if self._lines.qsize() >= _MOST_LINES:
            self._dropped += 1
            return
        self._lines.put(format_call_as_json(record) if self._as_json else format_call(record))

    def close(self) -> None:
        """Write the lines that wait; give up after a second."""
        self._lines.put(None)
        self._thread.join(_LAST_LINES)

    def _write_lines(self) -> None:
        is_open = True
        while is_open:
            lines = [self._lines.get()]
            while len(lines) < _MOST_AT_ONCE and not self._lines.empty():  # this thread alone takes lines out
                lines.append(self._lines.get())
            texts = [line for line in lines if line is not None]
            is_open = len(texts) == len(lines)
            if self._dropped and self._lines.empty():
                texts.append(self._format_dropped())
                self._dropped = 0
            if texts and not print_line("\n".join(texts)):
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


def format_call(record: CallRecord) -> str:
    """Return time, session, gateway, model, status or state, what decided (rule, refusal, operation), and findings.

    Where a call's address means no operation, its method and path are there too, and what to mend about them.
    """
    model = _shorten(_redact_name(record, record.model)) or "-"
    reasons = [record.selected.rule]
    if record.error is not None:
        reasons.append(record.error.violation or record.error.kind)
        reasons.append(_shorten(_redact_name(record, record.error.param)))
    mistake = _find_mistake(record)
    if record.operation is None and not mistake:
        reasons.append(_shorten(record.request.method))
        reasons.append(replace_unprintable(record.redact(record.request.path)[:_LONGEST_PATH]))
    why = " ".join(filter(None, reasons)) or record.operation or "-"
    codes = " ".join(dict.fromkeys(finding.code for finding in record.findings))
    time = _format_second(int(record.request.received))
    outcome = str(record.status or "")
    if record.state != "answered":
        outcome = f"{outcome} {record.state}".lstrip()
    if record.verdict != "drawn":
        outcome = f"{outcome} {format_verdict(record)}".lstrip()
    return f"{time} {record.session} {record.gateway.name} {model} {outcome} {why} {codes} {mistake}".rstrip()


def format_verdict(record: CallRecord) -> str:
    """Return who has answered a call, and what that cost, such as `recorded ($0.0420)`."""
    if record.cost is None:
        return record.verdict
    return f"{record.verdict} (${record.cost:.4f})"


def _find_mistake(record: CallRecord) -> str:
    """Return what is wrong with the method and path of a call that means no operation; they begin the text."""
    for finding in record.findings:
        if finding.code == "unknown_path":
            return replace_unprintable(record.redact(finding.message)[:_LONGEST_MISTAKE])
    return ""


def format_call_as_json(record: CallRecord) -> str:
    """Return the same as one line of JSON in ASCII; the admin API has the rest of the call under session and number."""
    refused = None
    if record.error is not None:
        code = record.gateway.error_catalog.find_code(record.error)
        refused = {
            "kind": record.error.kind,
            "breach": record.error.violation,
            "param": _redact_name(record, record.error.param),
            "code": _redact_name(record, code) if isinstance(code, str) else code,
        }
    model = _redact_name(record, record.model)
    return json.dumps({
        "time": clock.format_iso(record.request.received),
        "session": record.session,
        "number": record.number,
        "gateway": record.gateway.name,
        "operation": record.operation,
        "model": None if model is None else model[:_LONGEST_PATH],
        "method": record.request.method,
        "path": record.redact(record.request.path)[:_LONGEST_PATH],
        "status": record.status,
        "state": record.state,
        "rule": record.selected.rule,
        "refused": refused,
        "findings": list(dict.fromkeys(finding.code for finding in record.findings)),
        "duration": round(record.duration, 6),
        "verdict": record.verdict,
        "cost": record.cost,
    })  # fmt: skip


def _redact_name(record: CallRecord, name: str | None) -> str | None:
    """Return a model's or a parameter's name redacted; those in the gateway's own file are no credentials."""
    if name is None or name in record.gateway.known_names:
        return name
    return record.redact(name)


@lru_cache(maxsize=16)  # calls of one second have one time
def _format_second(second: int) -> str:
    return clock.format_local_time(second)


def _shorten(name: str | None) -> str:
    """Return a name that a client chose, short and without control characters."""
    return replace_unprintable((name or "")[:_LONGEST_NAME])
