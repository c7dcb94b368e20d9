"""Rows on what is waited for before the first call: the start of a server and of an Emulator, and the fixture."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.figures import CPU_TIME, Aim, Figure, Line, Pairs
from tests.bench.requests import GENERATE, HEALTH
from tests.bench.rows import Row, Scale, take_turns
from tests.bench.servers import CHECKOUT, SPEEDS, Failed, ask_process, first_answer, make_environ

GOOD_POST: Final = Line("start to the first good POST", "ms", aim=Aim("≤", 1.25), fast_aim=Aim("≤", 1.15), on_page=True)
GOOD_POST_CPU: Final = Line("start to the first good POST", CPU_TIME)
GOOD_HEALTH: Final = Line("start to GET /_emulator/health", "ms", beside="ref's POST")
EMBEDDED: Final = Line(
    "`Emulator()` after its import, five gateways", "ms", beside="importing",
    aim=Aim("≤", 25, absolute=True), fast_aim=Aim("≤", 25, absolute=True), on_page=True,
)  # fmt: skip
FIXTURE: Final = Line(
    "fixture, unused, for each test, over no fixture", "ms", beside="pytest-httpserver", aim=Aim("≤", 1), on_page=True
)
FIXTURE_CALL: Final = Line(
    "fixture and one call, for each test, over no fixture", "ms", beside="pytest-httpserver", aim=Aim("≤", 1),
    on_page=True,
)  # fmt: skip


def measure_cold(scale: Scale) -> list[Figure]:
    """From the start of a process to its first good answer; the bytecode is compiled before."""
    parties = ("ref", *scale.whos)
    times: dict[str, list[float]] = {party: [] for party in parties}
    costs: dict[str, list[float]] = {party: [] for party in parties}
    health = []
    for number in range(-1, max(scale.rounds, _LEAST_STARTS)):
        for party in take_turns(parties, number):
            seconds, cpu = first_answer(party, GENERATE)
            if number >= 0:
                times[party].append(1000 * seconds)
                costs[party].append(1000 * cpu)
        if number >= 0:
            health.append(1000 * first_answer("ours", HEALTH)[0])
    note = f"{len(health)} starts"
    return [
        _make_start_figure(GOOD_POST, times, note),
        _make_start_figure(GOOD_POST_CPU, costs),
        Figure(GOOD_HEALTH, Pairs(health, times["ref"])),
    ]


def _make_start_figure(line: Line, found: Mapping[str, Sequence[float]], note: str = "") -> Figure:
    sides = {who: Pairs(values, found["ref"]) for who, values in found.items()}
    return Figure(line, sides["ours"], sides.get("fast"), note)


def measure_embedded(scale: Scale) -> list[Figure]:
    """From the name `Emulator`, imported, to its being ready, each in a new process."""
    found: dict[str, list[dict[str, float]]] = {who: [] for who in scale.whos}
    for number in range(-1, max(scale.rounds, _LEAST_STARTS)):
        for who in take_turns(scale.whos, number):
            one = json.loads(ask_process(("-c", _EMBEDDED), speed=SPEEDS[who]))
            if number >= 0:
                found[who].append(one)
    sides = {
        who: Pairs([one["start"] for one in times], [one["import"] for one in times]) for who, times in found.items()
    }
    return [Figure(EMBEDDED, sides["ours"], sides.get("fast"))]


def measure_fixture(scale: Scale) -> list[Figure]:
    """What each test of one run of pytest takes: one without a fixture, and one with each of the two fixtures."""
    if importlib.util.find_spec("pytest_httpserver") is None:
        raise Failed("the row fixture needs pytest-httpserver, which is not installed: pip install pytest-httpserver")
    rounds = [_time_tests() for _ in range(scale.rounds)]

    def list_over_empty(name: str) -> list[float]:
        return [one[name] - one["empty"] for one in rounds]

    pairs = ((FIXTURE, "image_api", "httpserver"), (FIXTURE_CALL, "image_api_call", "httpserver_call"))
    return [
        Figure(line, Pairs(list_over_empty(ours), list_over_empty(other)), note=f"medians of {_TESTS} tests")
        for line, ours, other in pairs
    ]


def _time_tests() -> dict[str, float]:
    """For each kind of test, the median of its milliseconds; the first of each kind starts a server and is left out."""
    environ = make_environ()
    environ |= {"PYTHONPATH": str(CHECKOUT), "EMULATOR_SPEED": "off", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    for plugin in ("emulator.plugin.image_api_emulator_pytest", "pytest_httpserver.pytest_plugin"):
        command += ["-p", plugin]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "conftest.py").write_text(_CONFTEST)
        (Path(folder) / "test_each.py").write_text(_EACH_TEST)
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"the tests of the row fixture failed: {done.stdout[-500:]}{done.stderr[-500:]}")
        times: dict[str, list[float]] = json.loads((Path(folder) / "times.json").read_text())
    return {kind: 1000 * median(values[1:]) for kind, values in times.items()}


_LEAST_STARTS: Final = 10
_TESTS: Final = 200
_EMBEDDED: Final = """\
import json, time
began = time.perf_counter()
from emulator import Emulator
imported = time.perf_counter()
with Emulator():
    ready = time.perf_counter()
print(json.dumps({"import": 1000 * (imported - began), "start": 1000 * (ready - imported)}))
"""
_CONFTEST: Final = """\
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

times = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    began = time.perf_counter()
    done = yield
    times.setdefault(item.originalname.removeprefix("test_"), []).append(time.perf_counter() - began)
    return done


def pytest_collection_modifyitems(items):
    # The kinds take turns, those without a call first: what a call leaves to be done would fall to the next test.
    items.sort(key=lambda item: ("call" in item.originalname, item.callspec.params["number"]))


def pytest_sessionfinish():
    Path(__file__).with_name("times.json").write_text(json.dumps(times))
"""
_EACH_TEST: Final = f"""\
import json
import urllib.request

import pytest

pytestmark = pytest.mark.parametrize("number", range({_TESTS}))


def post(url, key):
    body = json.dumps({{"prompt": "A cat", "size": "256x256"}}).encode()
    headers = {{"Authorization": f"Bearer {{key}}", "Content-Type": "application/json"}}
    request = urllib.request.Request(url + "/images/generations", body, headers)
    assert urllib.request.urlopen(request, timeout=20).status == 200


def test_empty(number):
    pass


def test_image_api(number, image_api):
    pass


def test_httpserver(number, httpserver):
    pass


def test_image_api_call(number, image_api):
    post(image_api.url("ezmodel"), image_api.key)


def test_httpserver_call(number, httpserver):
    httpserver.expect_request("/images/generations", method="POST").respond_with_json({{"created": 1, "data": []}})
    post(httpserver.url_for(""), "sk-bench")
"""
ROWS: Final = (
    Row(
        "cold", "from the start of a process to its first good answer", (GOOD_POST, GOOD_POST_CPU, GOOD_HEALTH),
        measure_cold,
    ),
    Row("embedded", "`with Emulator():` in a new process, after its import", (EMBEDDED,), measure_embedded),
    Row(
        "fixture", "the fixture image_api beside pytest-httpserver's, in one run", (FIXTURE, FIXTURE_CALL),
        measure_fixture,
    ),
)  # fmt: skip
