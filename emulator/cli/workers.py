"""Several processes that answer at one port: starts them, starts those again that die, and stops all of them.

Each worker is a process of its own, spawned and not forked, with a socket of its own at the same port, so that the
system spreads the connections over all of them. What sessions remember is in one store; without the setting `store`
that is a private Redis, which this process starts and stops.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any, Final

from emulator.admin.auth import AdminAuth
from emulator.cli.main import NAME
from emulator.core.clock import count_seconds
from emulator.core.light_dataclass import dataclass
from emulator.settings import LOCAL_STORE, Settings, SettingsFile, UsageError


def run_workers(chosen: Settings, file: SettingsFile) -> int:
    """Serve with several processes until SIGINT or SIGTERM; return the exit code. Raises UsageError."""
    _refuse_what_one_process_does(chosen)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        redis = None
        if chosen.store in (None, LOCAL_STORE):
            redis = stack.enter_context(run_private_redis())
            chosen = replace(chosen, store=redis.url)
        held = stack.enter_context(_reserve_port(chosen))
        port = held.getsockname()[1]
        auth = AdminAuth(chosen)
        is_generated = auth.generated
        if is_generated:
            chosen = replace(chosen, admin_token=auth.token)
        team = _Team(replace(chosen, port=port), file, is_generated=is_generated, redis=redis)
        try:
            return team.run(stop)
        finally:
            team.stop()


def _refuse_what_one_process_does(chosen: Settings) -> None:
    """Raise UsageError where the settings cannot be those of several processes."""
    flag = f"--workers {chosen.workers}"
    if sys.platform == "win32" or not hasattr(socket, "SO_REUSEPORT"):
        raise UsageError(f"{flag}: processes cannot share a port on this system; start one")
    alone = {
        "--record": chosen.record is not None,
        f"--record-mode {chosen.record_mode}": chosen.record_mode != "none",
        "--coverage": chosen.coverage is not None,
        "--max-spend": chosen.max_spend is not None,
        "--import": chosen.import_ is not None,
        "--export-on-exit": chosen.export_on_exit is not None,
        "--tls-port 0": chosen.tls_port == 0,
    }
    for name, is_given in alone.items():
        if is_given:
            raise UsageError(f"{flag}: {name} is for one process; leave one of the two out")


class PrivateRedis:
    """A Redis on a Unix socket in a folder of its own; it is empty at each start, and nobody else can reach it."""

    def __init__(self, program: str, folder: str) -> None:
        self._command = (
            program, "--port", "0", "--unixsocket", f"{folder}/redis.sock", "--unixsocketperm", "700", "--save", "",
            "--appendonly", "no", "--dir", folder, "--loglevel", "warning",
        )  # fmt: skip
        self.url = f"unix://{folder}/redis.sock"
        self.socket = Path(folder) / "redis.sock"
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        # In a group of its own: Ctrl-C on the console ends the workers first.
        return subprocess.Popen(  # noqa: S603 - found on the PATH, with arguments of ours
            self._command, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def wait(self) -> None:
        """Wait until it listens; raises UsageError where it does not."""
        deadline = count_seconds() + _STARTS_WITHIN
        while True:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
                line.connect(str(self.socket))
                return
            if self._process.poll() is not None or count_seconds() > deadline:
                raise UsageError(f"--store {LOCAL_STORE}: {self._command[0]} does not start")
            threading.Event().wait(_LOOK)

    def keep_running(self) -> None:
        """Start it again where it has died."""
        if self._process.poll() is not None:
            print(f"{NAME}: the private Redis has ended, and is started again, empty", file=sys.stderr)
            self._process = self._start()

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(_STARTS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def run_private_redis() -> Iterator[PrivateRedis]:
    """Run a Redis for the workers alone; raises UsageError where none is installed."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise UsageError(
            f"--store {LOCAL_STORE}: neither redis-server nor valkey-server is installed; install one, "
            "or give the --store that the workers share"
        )
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST_FOLDER:  # the path of a socket has some 100 bytes at most
        parent = "/tmp"  # noqa: S108 - the folder in it has a name of its own, and is closed to others
    with tempfile.TemporaryDirectory(prefix="image-api-emulator-", dir=parent) as folder:
        redis = PrivateRedis(program, folder)
        try:
            redis.wait()
            yield redis
        finally:
            redis.stop()


def _reserve_port(chosen: Settings) -> socket.socket:
    """Return a socket that holds the port of the settings, without listening at it; raises UsageError."""
    try:
        family, _, _, _, address = socket.getaddrinfo(chosen.host, chosen.port, type=socket.SOCK_STREAM)[0]
        with socket.create_server((chosen.host, chosen.port), family=family):
            pass  # nobody else listens there, also nobody who would share it
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
        return held
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on --host {chosen.host!r} --port {chosen.port}: {reason}") from None


@dataclass
class _Worker:
    """One worker: its process, None while it waits to be started, at `starts_at` seconds of the monotonic clock."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    starts_at: float = 0.0
    delay: float = field(default=0.0)


class _Team:
    """All workers of one server."""

    def __init__(self, chosen: Settings, file: SettingsFile, *, is_generated: bool, redis: PrivateRedis | None) -> None:
        self._redis = redis
        self._told: dict[str, Any] = {
            "settings": asdict(chosen),
            "file": None if file.path is None else str(file.path),
            "pid": os.getpid(),
            "is_generated": is_generated,
            "private_redis": None if redis is None else str(redis.socket),
        }
        self._workers = [_Worker(number) for number in range(chosen.workers)]

    def run(self, stop: threading.Event) -> int:
        """Start all workers, and those again that die, until `stop` is set; return the exit code."""
        first, *others = self._workers
        self._start(first, announces=True)
        code = self._wait_until_ready(first, stop)
        if code is not None:
            return code
        for worker in others:
            self._start(worker)
        while not stop.wait(_LOOK):
            if self._redis is not None:
                self._redis.keep_running()
            for worker in self._workers:
                self._keep_running(worker)
        return 0

    def _start(self, worker: _Worker, *, announces: bool = False) -> None:
        """Start the process of a worker; it reads on its standard input what it has to do, and ends when that ends."""
        code = f"import sys; sys.path[:] = {sys.path!r}; from emulator.cli.worker import main; main()"
        ready, announced = os.pipe()
        try:
            worker.process = subprocess.Popen(  # noqa: S603 - this Python, with code of ours
                [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, pass_fds=(announced,)
            )
        finally:
            os.close(announced)
        assert worker.process.stdin is not None
        with suppress(BrokenPipeError):
            told = {**self._told, "ready": announced, "announces": announces}
            worker.process.stdin.write(json.dumps(told).encode() + b"\n")
            worker.process.stdin.flush()
        worker.started = count_seconds()
        if announces:
            self._ready = ready
        else:
            os.close(ready)

    def _wait_until_ready(self, first: _Worker, stop: threading.Event) -> int | None:
        """Wait until the first worker answers, so that what is wrong is said once; return its code where it ends."""
        try:
            if os.read(self._ready, 1):
                return None
        finally:
            os.close(self._ready)
        assert first.process is not None
        code = first.process.wait()
        return 0 if stop.is_set() else code

    def _keep_running(self, worker: _Worker) -> None:
        """Start a worker again that has died, later each time where it dies soon."""
        now = count_seconds()
        if worker.process is not None:
            code = worker.process.poll()
            if code is None:
                return
            assert worker.process.stdin is not None
            worker.process.stdin.close()
            worker.process = None
            if now - worker.started > _LIVES_LONG:
                worker.delay = 0.0
            worker.starts_at = now + worker.delay
            worker.delay = min(max(worker.delay * 2, _FIRST_DELAY), _LONGEST_DELAY)
            print(f"{NAME}: worker {worker.number + 1} has ended ({code}), and is started again", file=sys.stderr)
        if now >= worker.starts_at:
            self._start(worker)

    def stop(self) -> None:
        """Let all workers finish the calls under way, and end."""
        running = [worker.process for worker in self._workers if worker.process is not None]
        for process in running:
            process.terminate()
        deadline = count_seconds() + _STOPS_WITHIN
        for process in running:
            try:
                process.wait(max(deadline - count_seconds(), 0.0))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            assert process.stdin is not None
            with suppress(BrokenPipeError):
                process.stdin.close()


_LOOK: Final = 0.05  # seconds between two looks whether all are there
_LONGEST_FOLDER: Final = 60  # characters
_STARTS_WITHIN: Final = 10.0  # seconds, for a Redis
_STOPS_WITHIN: Final = 9.0  # seconds; a worker gives calls 7, and Docker kills after 10
_LIVES_LONG: Final = 10.0  # seconds after which the death of a worker is no sign that the next one dies too
_FIRST_DELAY: Final = 0.2  # seconds until a worker is started that died at once; it doubles each time
_LONGEST_DELAY: Final = 5.0
