"""The command `serve` as a process: starts it, asks it, ends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Final

import httpx
import pytest

import emulator
from emulator.cli.main import main
from emulator.core import parse_cache

PATIENCE: Final = 8.0  # seconds: what a container's runtime would allow, and never needed when all is well
_KEPT: Final = ("EMULATOR_SPEED", "EMULATOR_CACHE_DIR", "EMULATOR_TLS_DIR")
COMMAND: Final = (sys.executable, "-m", "emulator", "serve")


def environment(**more: str) -> dict[str, str]:
    """The tests' own, and the package where it runs elsewhere; of the emulator's settings only _KEPT.

    Without the folders for caches and for the authority, the tests would write into the user's own.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMULATOR_") or name in _KEPT}
    return {**kept, "PYTHONPATH": str(Path(emulator.__file__).parent.parent), **more}


class Command:
    """A running `serve`; `port` is known once its ready line came."""

    def __init__(self, folder: Path, *flags: str, **more: str) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, "--port", "0", *flags], cwd=folder, env=environment(**more), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.out: IO[str] = self._process.stdout
        self.first, self.port, self.url = "", 0, ""

    def ready(self) -> None:
        """Wait for the line that says where it answers."""
        self.first = self.out.readline()
        if self.first.startswith("{"):
            ready = json.loads(self.first)
            self.port, self.url = ready["port"], ready["url"]
        else:
            while (found := re.match(r"Default gateway: .*, at (http.*:([0-9]+))/v1$", self.out.readline())) is None:
                assert self._process.poll() is None
            self.port, self.url = int(found[2]), found[1]

    @property
    def pid(self) -> int:
        return self._process.pid

    def generate(self, body: dict[str, Any], gateway: str = "ezmodel", key: str = "sk-process-tests") -> httpx.Response:
        url = f"{self.url}/{gateway}/v1/images/generations"
        return httpx.post(url, json=body, headers={"authorization": f"Bearer {key}"}, timeout=PATIENCE, verify=False)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Signal it, and wait: exit code, the rest of stdout, stderr."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str, str]:
        """Exit code, the rest of stdout, stderr, once it has ended by itself."""
        stderr: IO[str] = self._process.stderr  # type: ignore[assignment]
        if self.out.closed:
            self._process.wait(PATIENCE)
            return self._process.returncode, "", stderr.read()
        out, err = self._process.communicate(timeout=PATIENCE)
        return self._process.returncode, out, err

    def kill(self) -> None:
        """Whatever happened, nothing stays behind."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        self.out.close()
        self._process.stderr.close()  # type: ignore[union-attr]


def refused(folder: Path, flags: list[str], said: list[str], **more: str) -> None:
    """Fails unless `serve` with `flags` ends at once in one line that has every word of `said`."""
    ended = subprocess.run(
        [*COMMAND, *flags], cwd=folder, env=environment(**more), capture_output=True, text=True, timeout=60
    )
    _check_refusal((ended.returncode, ended.stdout, ended.stderr), said)


def refused_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, flags: list[str], said: list[str]
) -> str:
    """As `refused`, in this process, where Python need not start for each of many flags. Returns the line."""
    monkeypatch.chdir(folder)
    for name in set(os.environ) - set(environment()):
        monkeypatch.delenv(name)
    monkeypatch.setattr(parse_cache._CACHE, "folder", None)  # `serve` chooses one for the whole process
    code = main(["serve", *flags])
    captured = capsys.readouterr()
    _check_refusal((code, captured.out, captured.err), said)
    return captured.err


def _check_refusal(ended: tuple[int, str, str], said: list[str]) -> None:
    code, out, err = ended
    assert (2, "") == (code, out)
    assert 1 == len(err.splitlines()), err
    assert [] == [word for word in said if word not in err], err
