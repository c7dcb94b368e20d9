"""One of several processes of a server; `serve --workers N` starts it, and tells it on standard input what to do."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulator.cli.main import format_name
from emulator.core.yaml_file import InvalidFile
from emulator.settings import Settings, SettingsFile, UsageError

if TYPE_CHECKING:
    from emulator.server.listener import Running


def main() -> None:
    """Serve until SIGINT or SIGTERM, or until the process that has started this one is gone."""
    told = json.loads(sys.stdin.readline())
    values: dict[str, Any] = told["settings"]
    values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    path = told["file"]
    file = SettingsFile(None if path is None else Path(path), {})
    try:
        code = _serve(Settings(**values), file, told)
    except (UsageError, InvalidFile) as error:
        print(f"{format_name()}: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    raise SystemExit(code)


class _Parent:
    """The process that has started this one; `is_gone` once standard input has ended."""

    def __init__(self) -> None:
        self.is_gone = False

    def look(self) -> None:
        """End as at SIGTERM once standard input ends, which is when the other process has."""
        if not sys.stdin.read(1):
            self.is_gone = True
            asyncio.get_running_loop().remove_reader(sys.stdin)
            os.kill(os.getpid(), signal.SIGTERM)


def _end_private_redis(path: str) -> None:
    """End the Redis that the other process would have ended, and remove its folder; other workers may do the same."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        line.sendall(b"SHUTDOWN NOSAVE\r\n")
        line.recv(1)
    shutil.rmtree(Path(path).parent, ignore_errors=True)


def _serve(chosen: Settings, file: SettingsFile, told: dict[str, Any]) -> int:
    from emulator.cli import serve
    from emulator.server import event_loop

    event_loop.share_ports()

    def announce(running: Running, file: SettingsFile) -> None:
        running.app.admin_auth.generated = told["is_generated"]
        if told["announces"]:
            serve.announce(running, file, told["pid"])
        with suppress(BrokenPipeError):  # where nobody waits for it any more
            os.write(told["ready"], b"1")
        os.close(told["ready"])
        asyncio.get_running_loop().add_reader(sys.stdin, parent.look)

    parent = _Parent()
    code = serve.serve_in_this_process(chosen, file, announce)
    if parent.is_gone and told["private_redis"] is not None:
        _end_private_redis(told["private_redis"])
    return code
