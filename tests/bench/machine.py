"""Describes the machine, its software and how busy it was, so that a noisy run can be recognised."""

from __future__ import annotations

import datetime
import os
import platform
import resource
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from tests.bench import wrk


def describe_machine() -> dict[str, Any]:
    """The machine in a few words, as JSON."""
    return {
        "cores": os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "virtual": is_virtual(),
    }


def is_virtual() -> bool:
    """Whether this is a virtual machine, as far as Linux on x86 tells it."""
    try:
        return " hypervisor" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def list_versions() -> dict[str, str | None]:
    """The versions of what the figures depend on; None where it is not installed."""
    found: dict[str, str | None] = {"Python": platform.python_version(), "wrk": wrk.find_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


@dataclass(frozen=True)
class Busyness:
    """How busy the machine was: processes that waited for a core at start and end, and cores that others used."""

    at_start: float
    at_end: float
    others: float | None

    @property
    def noisy(self) -> bool:
        """Whether others used so much that the pace of calls says little."""
        return self.at_start > _BUSY_START or (self.others or 0) > _BUSY_OTHERS

    def to_json(self) -> dict[str, Any]:
        """The values, as JSON."""
        return {
            "load average at start": self.at_start,
            "load average at end": self.at_end,
            "cores used by others": self.others,
            "noisy": self.noisy,
        }


class Watch:
    """Looks at the machine from its making until `read`."""

    def __init__(self) -> None:
        self._at_start = os.getloadavg()[0]
        self._began = time.perf_counter()
        self._all, self._own = _read_used(), _read_own()

    def read(self) -> Busyness:
        """How busy the machine was until now; all servers have ended by then."""
        others = None
        if self._all is not None:
            used = (_read_used() or 0) - self._all - (_read_own() - self._own)
            others = max(0.0, used / (time.perf_counter() - self._began))
        return Busyness(self._at_start, os.getloadavg()[0], others)


def _read_used() -> float | None:
    """Seconds of CPU that all processes and the host's other guests have used; None where /proc does not tell."""
    try:
        fields = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    except OSError:
        return None
    times = [int(field) for field in fields[:8]]
    idle = times[3] + times[4]
    return (sum(times) - idle) / os.sysconf("SC_CLK_TCK")


def _read_own() -> float:
    """Seconds of CPU of this process and of those that it has started and that have ended."""
    used = 0.0
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        usage = resource.getrusage(who)
        used += usage.ru_utime + usage.ru_stime
    return used


def find_date() -> str:
    """Today, as 2026-11-29."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


_PACKAGES: Final = (
    "aiohttp", "Pillow", "jsonschema", "uvloop", "jsonschema-rs", "isal", "pytest-httpserver",
)  # fmt: skip
_BUSY_START: Final = 0.7  # a quiet machine has less; one that has just become quiet takes a minute to get there
_BUSY_OTHERS: Final = 0.15  # cores; kernel threads that work for our own processes take some hundredths
