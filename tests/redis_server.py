"""A Redis of the tests' own: on a Unix socket, without a port, in a folder of its own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class RedisServer:
    """A running redis-server; `url` is what `--store` takes. `stop` ends it."""

    def __init__(self, *options: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="iae-redis-"))  # the path of a socket has 100 characters at most
        self.socket = self.folder / "s"
        self.url = f"unix://{self.socket}"
        self._options = options
        self.start()

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        command = [
            "redis-server", "--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no",
            "--dir", str(self.folder), "--loglevel", "warning", *self._options,
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while True:
            try:
                assert b"+PONG" == self.ask("PING")
                return
            except OSError:
                assert time.monotonic() < deadline, "redis-server does not answer"
                assert self.process.poll() is None, "redis-server has ended"
                time.sleep(0.005)

    def ask(self, *words: str) -> bytes:
        """The beginning of the answer to a command, as Redis sends it, without its last line end."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self.socket))
            line.sendall(b"*%d\r\n" % len(words))
            for word in words:
                line.sendall(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()))
            return line.recv(65536).removesuffix(b"\r\n")

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(10)

    def pause(self) -> None:
        """Let it answer nothing, while its socket takes everything."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it, and remove its folder."""
        if self.process.poll() is None:
            self.resume()
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def need_redis() -> None:
    """Skip the test where there is no Redis; with CI=true it fails."""
    missing = ""
    if shutil.which("redis-server") is None:
        missing = "needs redis-server on the PATH"
    elif importlib.util.find_spec("redis") is None:
        missing = "needs the package redis: pip install -e '.[redis]'"
    if missing:
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
