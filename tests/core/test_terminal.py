"""How wide the terminal is and whether it shows colours, by the environment and by real terminals."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from emulator.core.terminal import find_width, has_color, is_terminal

ASK = "from emulator.core import terminal; import sys; print(terminal.find_width(), terminal.has_color(sys.stdout))"


def _run_in_terminal(columns: int, environ: Mapping[str, str], ending: str = "") -> list[str]:
    """What ASK prints in a shell whose standard streams are a terminal of `columns`; `ending` follows the command."""
    pty = pytest.importorskip("pty")
    termios = pytest.importorskip("termios")
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    try:
        command = f"{sys.executable} -c '{ASK}'{ending}"
        subprocess.run(
            ["sh", "-c", command], stdin=slave, stdout=slave, stderr=slave, check=True,
            env={**kept, "TERM": "xterm", **environ},
        )  # fmt: skip
        return os.read(master, 1000).decode().split()
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(
    ("environ", "ending", "told"),
    [
        ({}, "", ["93", "True"]),
        ({"COLUMNS": "71"}, "", ["71", "True"]),
        ({"COLUMNS": "many"}, "", ["93", "True"]),
        ({"NO_COLOR": "1"}, "", ["93", "False"]),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, "", ["93", "False"]),
        ({"NO_COLOR": ""}, "", ["93", "True"]),
        ({"TERM": "dumb"}, "", ["93", "False"]),
        ({}, " | cat", ["93", "False"]),
        ({"FORCE_COLOR": "1"}, " | cat", ["93", "True"]),
    ],
    ids=str,
)
def test_a_real_terminal(environ: dict[str, str], ending: str, told: list[str]) -> None:
    """Its width counts also for what is piped, as into a pager; its colours do not."""
    assert told == _run_in_terminal(93, environ, ending)


def test_without_a_terminal() -> None:
    """80 columns, as everywhere; a stream that is closed is no terminal and has no colours."""
    asked = subprocess.run(
        [sys.executable, "-c", ASK], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
        env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")},
    )  # fmt: skip
    assert ["80", "False"] == asked.stdout.split()
    closed = io.StringIO()
    closed.close()
    assert (False, False) == (is_terminal(closed), has_color(closed, {}))


@pytest.mark.parametrize(("text", "width"), [("120", 120), ("1", 1), ("99999", 99999)])
def test_columns_says_how_wide(text: str, width: int) -> None:
    """COLUMNS comes first."""
    assert width == find_width({"COLUMNS": text})
