"""A scenario's file is read anew when it changes, while the server runs; a bad one leaves the last good one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import Served

BODY = {"prompt": "A cat"}
FIRST = "rules:\n  - answers: [{refuse: overloaded}, {refuse: quota}]\n    then: next\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(FIRST)
    return path


def _write(path: Path, text: str, age: int) -> None:
    """Write `text`; each write has its own time, however coarse the file system's clock is."""
    path.write_text(text)
    os.utime(path, ns=(age * 10**9, age * 10**9))


def test_a_change_is_played_from_its_beginning(
    serve: Callable[..., Served], file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The next call meets the new script, whatever progress the old one had."""
    served = serve(scenario=str(file))
    asked = [served.generate("ezmodel", BODY).status_code]
    _write(file, FIRST.replace("quota", "server_error"), 1)
    asked += [served.generate("ezmodel", BODY).status_code for _ in range(3)]
    assert [503, 503, 500, 200] == asked
    assert ["has changed and is played from its beginning"] == [m.partition(" ")[2] for m in caplog.messages]


def test_a_bad_file_leaves_the_old_script(
    serve: Callable[..., Served], file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty bad editions are twenty lines in the log, and the old script goes on; so it does when the file is gone."""
    served = serve(scenario=str(file))
    asked = [served.generate("ezmodel", BODY).status_code]
    for age in range(20):
        _write(file, f"rules:\n  - nonsense: {age}\n", age + 1)
        httpx.get(f"{served.url}/_emulator/sessions/default/scenario")
        httpx.get(f"{served.url}/_emulator/sessions/default/scenario")
    asked.append(served.generate("ezmodel", BODY).status_code)
    file.unlink()
    asked.append(served.generate("ezmodel", BODY).status_code)
    assert [503, 429, 200] == asked
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert 21 == len(told)
    assert "mine.yaml:2: unknown key 'nonsense'" in told[0]
    assert told[0].endswith("the last good version stays in use")


def test_a_file_that_says_the_same_goes_on(serve: Callable[..., Served], file: Path) -> None:
    """Saving a file without a change does not begin the script anew."""
    served = serve(scenario=str(file))
    asked = [served.generate("ezmodel", BODY).status_code]
    _write(file, FIRST + "# a comment\n", 1)
    asked.append(served.generate("ezmodel", BODY).status_code)
    assert [503, 429] == asked


def test_a_sessions_own_script_does_not_change(serve: Callable[..., Served], file: Path) -> None:
    """What was PUT for a session stays."""
    served = serve(scenario=str(file))
    url = f"{served.url}/_emulator/sessions/own/scenario"
    httpx.put(url, json={"scenario": "no-credit"}).raise_for_status()
    _write(file, FIRST.replace("overloaded", "server_error"), 1)
    assert 429 == served.generate("ezmodel", BODY, **{"x-emulator-session": "own"}).status_code
