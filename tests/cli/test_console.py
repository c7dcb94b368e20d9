"""The lines of the console: what a line says, and that nobody has to read it."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable

import pytest

from emulator.cli import console
from emulator.cli.console import Console, format_call, format_call_as_json, print_line
from tests.conftest import Served


def test_a_line_says_what_decided(serve: Callable[..., Served]) -> None:
    """Session, gateway, model, status, then the operation, or the refusal with its parameter, and the findings."""
    served = serve()
    lines: list[str] = []
    served.app.observers.append(lambda record: lines.append(format_call(record).partition(" ")[2]))
    session = {"x-emulator-session": "my-test"}
    served.generate("ezmodel", {"prompt": "x", "model": "dall-e-3", "mood": 1}, **session)
    served.generate("ezmodel", {"prompt": "x", "model": "dall-e-3", "n": 2}, **session)
    served.generate("ezmodel", {"prompt": "x", "model": "a\nb" + "c" * 100, "n": 2}, **session)
    assert 3 == len(served.calls("my-test"))  # asked over HTTP, so that the last call has been written down
    assert lines[0].startswith("my-test ezmodel dall-e-3 200 generate unknown_parameter")
    assert lines[1].startswith("my-test ezmodel dall-e-3 400 above_maximum n")
    assert lines[2].startswith("my-test ezmodel a?b" + "c" * 37 + " 400 ")


def test_a_line_of_json(serve: Callable[..., Served]) -> None:
    """One object for each call, in one line of ASCII, with what finds the call again, and without any key."""
    served = serve()
    lines: list[str] = []
    served.app.observers.append(lambda record: lines.append(format_call_as_json(record)))
    session = {"x-emulator-session": "my-test"}
    served.generate("ezmodel", {"prompt": "猫", "model": "dall-e-3"}, **session)
    served.generate("ezmodel", {"prompt": "x", "model": "dall-e-3", "n": 2}, **session)
    served.generate("ezmodel", {"prompt": "x", "model": "sk-0123456789abcdefgh"}, **session)
    while len(lines) < 3:  # a line is written when the answer has been sent
        served.calls()
    assert all(line.isascii() and line.isprintable() for line in lines)
    first, second, third = map(json.loads, lines)
    assert ("my-test", 1, "ezmodel", "generate", "dall-e-3", 200, "answered", None) == tuple(
        first[name] for name in ("session", "number", "gateway", "operation", "model", "status", "state", "refused")
    )
    assert {"kind": "invalid_request", "breach": "above_maximum", "param": "n", "code": "integer_above_max_value"} == (
        second["refused"]
    )
    assert "***" == third["model"]


def test_lines_that_do_not_fit_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody reads and the queue is full, a line is dropped; when there is room, their number is printed."""
    monkeypatch.setattr(console, "_MOST_LINES", 2)
    monkeypatch.setattr(console, "format_call", lambda entry: f"line {entry}")
    printed: list[str] = []
    reading, finished = threading.Event(), threading.Event()

    def print_slowly(line: str) -> bool:
        reading.wait()
        printed.extend(line.split("\n"))
        if "dropped" in line:
            finished.set()
        return True

    monkeypatch.setattr(console, "print_line", print_slowly)
    lines = Console()
    for number in range(10):
        lines.write_call(number)  # type: ignore[arg-type]
    reading.set()
    assert finished.wait(10)
    count = re.search(r"\(([0-9]+) lines were dropped: nobody read them\)", printed[-1])
    assert count is not None
    assert 10 == len(printed) - 1 + int(count[1])
    lines.close()


def test_a_closed_stdout_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be printed is given up, and the caller is told so."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    assert not print_line("x")
