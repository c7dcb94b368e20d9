"""Progress on stderr: after a second, on a terminal, one line that is erased."""

from __future__ import annotations

import io

import pytest

from emulator.cli import progress
from emulator.cli.main import main
from emulator.cli.progress import Progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _follow(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, seconds: list[float]) -> str:
    """What is written about two files whose work begins at `seconds`."""
    times = iter([0.0, *seconds])
    monkeypatch.setattr(progress, "count_seconds", lambda: next(times))
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "24")
    shown = Progress(2)
    for name in ("first.yaml", "a-long-name.yaml"):
        shown.begin(name)
        shown.clear()
    return stream.getvalue()


def test_what_takes_over_a_second_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line has how much is done and what comes next, fits the terminal, and is erased."""
    erase = "\r\x1b[K"
    assert f"{erase}1 of 2 done; a-long-nam{erase}" == _follow(monkeypatch, _Terminal(), [0.9, 1.1])


@pytest.mark.parametrize(("stream", "seconds"), [(_Terminal(), [0.1, 0.9]), (io.StringIO(), [2.0, 3.0])])
def test_nothing_is_written_where_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, seconds: list[float]
) -> None:
    """Not within the first second, and not into a pipe."""
    assert "" == _follow(monkeypatch, stream, seconds)


def test_check_shows_its_progress(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The line is gone before a file's result is printed."""
    monkeypatch.setattr(progress, "_QUICK", 0.0)
    monkeypatch.setattr(progress, "is_terminal", lambda stream: True)
    assert 2 == main(["check", "absent.yaml", "missing.yaml"])
    err = capsys.readouterr().err
    assert "1 of 2 done; missing.yaml\r\x1b[Kimage-api-emulator: " in err
