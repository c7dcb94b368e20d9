"""Loads a server with `wrk`, where it is installed: it takes half the CPU that our generator in Python takes.

At the end of a round wrk breaks off the calls that are under way; our generator waits for them.
"""

from __future__ import annotations

import math
import re
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from tests.bench.load import Job, Result


def find_wrk() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("wrk")


def find_version() -> str | None:
    """The version of wrk, as it tells it."""
    program = find_wrk()
    if program is None:
        return None
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+(\.\d+)+", told)
    return found[0] if found else "of an unknown version"


def run(job: Job) -> Result:
    """Carry out `job` for its seconds, rounded up: wrk takes whole ones. Raises OSError with what went wrong."""
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.NamedTemporaryFile() as file:
        file.write(job.request.encode())
        file.flush()
        command = ["wrk", "-t1", f"-c{job.connections}", f"-d{math.ceil(job.seconds)}s", f"-s{_SCRIPT}"]
        command += [f"--timeout={_PATIENCE}s"]
        command += [f"http://127.0.0.1:{job.port}", "--", file.name, str(job.first)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=job.seconds + _PATIENCE)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise OSError(f"wrk: {done.stderr or done.stdout}")
    used = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    return read_report(done.stdout, used)


def read_report(text: str, used: float) -> Result:
    """The result in what wrk.lua prints; `used` are the generator's seconds of CPU."""
    found = {name: float(value) for name, value in _FOUND.findall(text)}
    if found["broken"]:
        raise OSError(f"wrk: {found['broken']:.0f} calls were broken off or not answered")
    statuses = {name.removeprefix("status "): int(count) for name, count in found.items() if name.startswith("status ")}
    calls = sum(statuses.values())
    return Result(
        calls=calls,
        seconds=found["seconds"],
        statuses=statuses,
        middle=found["middle"],
        slowest=found["slowest"],
        size=int(found["bytes"]) // max(calls, 1),
        busy=used / found["seconds"],
        first=0.0,
    )


_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_FOUND: Final = re.compile(r"^found (\S+(?: \d+)?) = (\S+)$", re.MULTILINE)
_PATIENCE: Final = 20  # seconds
