"""Compares the speed of this checkout with that of another one, in pairs of measurements that take turns.

The other checkout is run by its command line and by its pytest plugin, so its modules may have other names.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.bench.figures import Aim, Figure
from tests.bench.requests import GENERATE, REFUSED
from tests.bench.servers import Failed, Server, Shot, first_answer, load, serving

Measurement = Callable[[Path], tuple[float, float]]
"""Measures the code of one checkout: two values, in the units of its row."""


def compare_checkouts(other: Path, seconds: float, rounds: int) -> Iterator[list[Figure]]:
    """Yield the figures of each row, with at least five pairs: ours, and beside it the other checkout's."""
    if not (other / "emulator").is_dir():
        raise Failed(f"{other} is no checkout: it has no folder `emulator`")
    pairs = max(rounds, LEAST_PAIRS)
    with serving("ours") as ours, serving("ours", other) as theirs:
        servers = {CHECKOUT: ours, other: theirs}
        for title, shot in (("url-mode call, same prompt", GENERATE), ("refused call, with reasons", REFUSED)):
            found = measure_pairs(measure_calls(servers, shot, seconds), other, pairs)
            yield make_figures(title, ("calls/s", FASTER), ("CPU µs a call", CHEAPER), found)
    found = measure_pairs(measure_start, other, pairs)
    yield make_figures("cold start to a good POST", ("ms", CHEAPER), ("CPU ms", CHEAPER), found)
    found = measure_pairs(measure_fixture, other, pairs)
    yield make_figures("pytest run of one test with image_api", ("ms", CHEAPER), ("CPU ms", CHEAPER), found)


Pair = tuple[tuple[float, float], tuple[float, float]]


def measure_pairs(measure: Measurement, other: Path, pairs: int) -> list[Pair]:
    """Measure both checkouts `pairs` times; the one that goes first changes, so that a trend favours neither."""
    for checkout in (CHECKOUT, other):
        measure(checkout)  # fills caches and compiles modules
    found = []
    for number in range(pairs):
        if number % 2 == 0:
            ours = measure(CHECKOUT)
            theirs = measure(other)
        else:
            theirs = measure(other)
            ours = measure(CHECKOUT)
        found.append((ours, theirs))
    return found


def measure_calls(servers: dict[Path, Server], shot: Shot, seconds: float) -> Measurement:
    """Return what measures calls a second, and microseconds of the server's CPU a call."""

    def measure(checkout: Path) -> tuple[float, float]:
        result, cpu = load(servers[checkout], shot, seconds=seconds)
        return result.calls / result.seconds, cpu

    return measure


def measure_start(checkout: Path) -> tuple[float, float]:
    """Milliseconds from the start of a server to its first good answer, and of its CPU."""
    seconds, cpu = first_answer("ours", GENERATE, checkout)
    return 1000 * seconds, 1000 * cpu


def measure_fixture(checkout: Path) -> tuple[float, float]:
    """Milliseconds of a run of pytest with one test that makes one call, and of its CPU."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("EMULATOR_", "PYTEST_"))}
    environ |= {"PYTHONPATH": str(checkout), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugin = "emulator.plugin.image_api_emulator_pytest"
    if (checkout / "emulator" / "pytest_plugin.py").is_file():  # where the plugin was before it had a folder of its own
        plugin = "emulator.pytest_plugin"
    command = [sys.executable, "-m", "pytest", "-q", "-p", plugin, "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "test_one.py").write_text(ONE_TEST)
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise Failed(f"the test with image_api failed in {checkout}: {done.stdout[-500:]}{done.stderr[-500:]}")
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return 1000 * seconds, 1000 * cpu


def make_figures(title: str, first: tuple[str, Aim], second: tuple[str, Aim], pairs: list[Pair]) -> list[Figure]:
    """Return a figure for each of the two values of a row."""
    figures = []
    for index, (unit, aim) in enumerate((first, second)):
        ours = [pair[0][index] for pair in pairs]
        theirs = [pair[1][index] for pair in pairs]
        figures.append(Figure(title, unit, ours, theirs, name="other", aim=aim, note=f"{len(pairs)} pairs"))
    return figures


CHECKOUT: Final = Path(__file__).parents[2]
LEAST_PAIRS: Final = 5
FASTER: Final = Aim("≥", 0.95)
CHEAPER: Final = Aim("≤", 1.05)
"""What counts as the same speed: 5 %, about what two runs of the same code differ by on a quiet machine."""
ONE_TEST: Final = """
import json
import urllib.request


def test_one(image_api):
    body = json.dumps({"prompt": "A cat", "size": "256x256"}).encode()
    headers = {"Authorization": f"Bearer {image_api.key}", "Content-Type": "application/json"}
    request = urllib.request.Request(image_api.url("ezmodel") + "/images/generations", body, headers)
    assert urllib.request.urlopen(request, timeout=20).status == 200
"""
