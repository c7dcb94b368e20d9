"""Compares the speed of this checkout with that of another one, in pairs of measurements that take turns.

The other checkout is run by its command line and by its pytest plugin, so its modules may have other names.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Final

from tests.bench.figures import CPU, CPU_TIME, PACE, Aim, Figure, Line, Pairs
from tests.bench.requests import FIVE_RULES, GENERATE, REFUSED, SCRIPTED, SESSION, UNIQUE
from tests.bench.rows import Scale
from tests.bench.servers import (
    CHECKOUT,
    CONNECTIONS,
    Failed,
    Server,
    Shot,
    first_answer,
    load,
    make_environ,
    play,
    serving,
)

Measurement = Callable[[Path], tuple[float, float]]
"""Measures the code of one checkout: two values, in the units of its row."""


def compare_checkouts(other: Path, scale: Scale) -> Iterator[list[Figure]]:
    """Yield the figures of each row, with at least five pairs: ours, and beside it the other checkout's.

    With [speed] in `scale`, both checkouts use it.
    """
    if not (other / "emulator").is_dir():
        raise Failed(f"{other} is no checkout: it has no folder `emulator`")
    pairs = max(scale.rounds, LEAST_PAIRS)
    who = scale.whos[-1]
    with serving(who) as ours, serving(who, other) as theirs:
        servers = {CHECKOUT: ours, other: theirs}
        for server in servers.values():
            play(server, SESSION, FIVE_RULES)
        for title, shot, connections in CALLS:
            found = measure_pairs(measure_calls(servers, shot, connections, scale.seconds), other, pairs)
            yield make_figures(title, (PACE, FASTER), (CPU, CHEAPER), found)
    found = measure_pairs(lambda checkout: measure_start(who, checkout), other, pairs)
    yield make_figures("start to the first good POST", ("ms", CHEAPER), (CPU_TIME, CHEAPER), found)
    found = measure_pairs(measure_fixture, other, pairs)
    yield make_figures("pytest run of one test with image_api", ("ms", CHEAPER), (CPU_TIME, CHEAPER), found)


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


def measure_calls(servers: dict[Path, Server], shot: Shot, connections: int, seconds: float) -> Measurement:
    """Return what measures calls a second, and microseconds of the server's CPU a call."""
    numbers = count(step=1_000_000)

    def measure(checkout: Path) -> tuple[float, float]:
        result, cpu = load(servers[checkout], shot, connections=connections, seconds=seconds, first=next(numbers))
        return result.calls / result.seconds, cpu

    return measure


def measure_start(who: str, checkout: Path) -> tuple[float, float]:
    """Milliseconds from the start of a server to its first good answer, and of its CPU."""
    seconds, cpu = first_answer(who, GENERATE, checkout)
    return 1000 * seconds, 1000 * cpu


def measure_fixture(checkout: Path) -> tuple[float, float]:
    """Milliseconds of a run of pytest with one test that makes one call, and of its CPU."""
    environ = make_environ()
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
        line = Line(title, unit, beside="other", aim=aim)
        figures.append(Figure(line, Pairs(ours, theirs), note=f"{len(pairs)} pairs"))
    return figures


CALLS: Final = (
    ("url-mode calls, 32 connections", GENERATE, CONNECTIONS),
    ("url-mode calls, varying prompts", UNIQUE, CONNECTIONS),
    ("url-mode calls, one connection", GENERATE, 1),
    ("refused calls, with reasons", REFUSED, CONNECTIONS),
    ("calls under a five-rule scenario", SCRIPTED, CONNECTIONS),
)
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
