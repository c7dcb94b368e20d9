"""`serve --workers N`: processes that answer at one port for the same sessions; one that dies is started again."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from emulator.cli.main import main
from emulator.core.data_folders import find_docs
from tests.process import Command, refused
from tests.redis_server import need_redis

BODY: Final = {"prompt": "A cat", "size": "256x256"}
BOUND: Final = 30.0  # seconds
WORKER: Final = "emulator.cli.worker"
"""What the command of a worker has in it."""


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path is short enough for a socket in it."""
    with tempfile.TemporaryDirectory(prefix="w-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def command(short_path: Path) -> Iterator[Command]:
    """A server with two workers and a Redis of its own."""
    need_redis()
    running = Command(short_path, "--workers", "2", "--ready-json", TMPDIR=str(short_path))
    try:
        running.ready()
        wait_for(lambda: count_listening(running.port) == 2)
        yield running
    finally:
        if is_alive(running.pid):
            running.end()
        running.kill()


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds; fails after BOUND seconds."""
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def find_children(pid: int, word: str) -> list[int]:
    """The processes that `pid` has started with `word` in their command."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


def count_listening(port: int) -> int:
    """How many sockets listen at the port."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(fields[1].endswith(f":{port:04X}") and fields[3] == "0A" for fields in map(str.split, lines))


def list_numbers(command: Command) -> list[int]:
    """The numbers of the calls in the journal of the process tests."""
    shown = httpx.get(f"{command.url}/_emulator/sessions/latest/calls?limit=1000&view=summary").json()
    return [call["number"] for call in shown["calls"]]


def count_calls(command: Command) -> int:
    """How many calls the metrics of a worker count, whichever it is."""
    text = httpx.get(f"{command.url}/_emulator/metrics").text
    return sum(int(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith("emulator_calls_total{"))


def test_all_workers_answer_for_the_same_sessions(command: Command, short_path: Path) -> None:
    """Each connection may get another one; journals are one, metrics are added up, and nothing stays at the end."""
    page = (find_docs() / "server.md").read_text("utf-8")
    assert "<!-- several workers -->\n```sh\nimage-api-emulator serve --workers 2\n```" in page
    for number in range(1, 31):
        assert 200 == command.generate(BODY).status_code
        assert [*range(1, number + 1)] == list_numbers(command)
    for _ in range(4):
        wait_for(lambda: count_calls(command) == 30)
    children = [*find_children(command.pid, WORKER), *find_children(command.pid, "redis-server")]
    assert 3 == len(children)
    code, _, err = command.end()
    assert (0, "") == (code, err)
    assert [] == [child for child in children if Path(f"/proc/{child}").exists()]
    assert [] == list(short_path.glob("image-api-emulator-*"))
    with socket.socket() as line:
        assert 0 != line.connect_ex(("127.0.0.1", command.port))


def test_a_worker_that_is_killed(command: Command) -> None:
    """Under load, only calls that it had fail; another one takes its place, and all that was answered is journalled."""
    answered: list[int] = []
    failed: list[Exception] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                answered.append(command.generate(BODY).status_code)
            except httpx.HTTPError as error:
                failed.append(error)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    wait_for(lambda: len(answered) > 10)
    killed = find_children(command.pid, WORKER)[0]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: len(set(find_children(command.pid, WORKER)) - {killed}) == 2)
    wait_for(lambda: count_listening(command.port) == 2)
    before = len(answered)
    wait_for(lambda: len(answered) > before + 10)
    stop.set()
    for caller in callers:
        caller.join(BOUND)
    assert {200} == set(answered)
    # The call that the worker had, and the next one, where the kernel gave it to the worker before that was gone.
    assert len(failed) <= 2 * len(callers)
    numbers = list_numbers(command)
    assert len(numbers) == len(set(numbers))
    assert len(answered) <= len(numbers) <= len(answered) + len(failed)


def test_workers_do_not_outlive_who_started_them(short_path: Path) -> None:
    """Neither they nor their Redis stay where that process is killed."""
    need_redis()
    running = Command(short_path, "--workers", "2", "--ready-json", TMPDIR=str(short_path))
    try:
        running.ready()
        wait_for(lambda: count_listening(running.port) == 2)
        children = [*find_children(running.pid, WORKER), *find_children(running.pid, "redis-server")]
        os.kill(running.pid, signal.SIGKILL)
        wait_for(lambda: not [child for child in children if is_alive(child)])
        wait_for(lambda: not list(short_path.glob("image-api-emulator-*")))
    finally:
        running.kill()


def is_alive(pid: int) -> bool:
    """Whether a process is there, and no zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers", "0"], "expected 1 to 64"),
        (["--workers", "many"], "expected a whole number"),
        (["--workers", "2", "--record", "x", "--record-mode", "once"], "--workers 2: --record is for one process"),
        (["--workers", "2", "--coverage", "on"], "--workers 2: --coverage is for one process"),
        (["--workers", "2", "--max-spend", "1"], "--workers 2: --max-spend is for one process"),
        (["--workers", "2", "--import", "x"], "--workers 2: --import is for one process"),
        (["--workers", "2", "--export-on-exit", "x"], "--workers 2: --export-on-exit is for one process"),
    ],
)
def test_what_workers_cannot_be(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line says what is not possible."""
    monkeypatch.chdir(tmp_path)
    assert 2 == main(["serve", "--port", "0", *flags])
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_where_ports_cannot_be_shared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On Windows there is one process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")
    assert 2 == main(["serve", "--port", "0", "--workers", "2", "--no-fast-import"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "--workers 2: processes cannot share a port on this system; start one" in line


def test_without_redis_or_port(tmp_path: Path) -> None:
    """Nothing half started is left where something is missing."""
    said = ["neither redis-server nor valkey-server is installed"]
    refused(tmp_path, ["--port", "0", "--workers", "2"], said, PATH=str(tmp_path))
    need_redis()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        refused(tmp_path, ["--port", port, "--workers", "2"], [f"--port {port}", "in use"])
    refused(tmp_path, ["--port", "0", "--workers", "2", "--gateway", "opennai"], ["opennai"])
