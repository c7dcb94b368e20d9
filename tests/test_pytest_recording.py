"""The pytest plugin with recordings: a file for each test, modes, and a summary of what was live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import Served
from tests.test_pytest_plugin import QUIET, here, loaded

__all__ = ["here", "loaded"]
pytest_plugins = ["pytester"]

DAY: Final = "2026-11-20"
TESTS: Final = """
import http.client, json, pytest
from urllib.parse import urlsplit

def draw(image_api, prompt):
    where = urlsplit(image_api.url("openai"))
    connection = http.client.HTTPConnection(where.hostname, where.port)
    try:
        headers = {"Authorization": f"Bearer {image_api.key}", "Content-Type": "application/json"}
        body = json.dumps({"model": "gpt-image-2", "prompt": prompt})
        connection.request("POST", where.path + "/images/generations", body, headers)
        with connection.getresponse() as response:
            return response.status, response.read()
    finally:
        connection.close()

@pytest.mark.image_api(recording="recordings")
@pytest.mark.parametrize("prompt", ["A boat", "A cat"])
def test_drawn(image_api, prompt):
    assert draw(image_api, prompt)[0] == 200

class TestMore:
    @pytest.mark.image_api(recording="recordings", strict="unused_answers")
    def test_drawn(self, image_api):
        assert draw(image_api, "A dog")[0] == 200
"""
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, here: Run, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., Served]) -> Run:
    """Runs the tests above in this process; their real gateway is the emulator."""
    upstream = serve(as_of=DAY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("EMULATOR_AS_OF", DAY)
    monkeypatch.setenv("EMULATOR_UPSTREAM", f"openai={upstream.base('openai')}")
    monkeypatch.setenv("EMULATOR_UPSTREAM_KEY_OPENAI", "sk-upstream-Zx81kQm3Wq0Ra7")
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(test_inner=TESTS)
    return here


def test_tests_are_recorded_and_replayed(run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a file; a replay needs no gateway, and the summary says what was live and what it cost."""
    result = run("--image-api-record", "once")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*image_api recordings*", "0 replayed, 3 recorded, 3 live ($0.6323)"])
    result.stdout.fnmatch_lines(["NOTHING WAS REPLAYED in 3 tests with a recording"])
    folder = pytester.path / "recordings"
    names = sorted(path.name for path in folder.glob("*.yaml"))
    assert ["test_inner.TestMore.test_drawn.yaml"] == names[:1]
    assert 3 == len(names)
    assert 3 == len(list((folder / "pictures").iterdir()))
    assert [] == list(folder.rglob(".*"))
    monkeypatch.setenv("EMULATOR_UPSTREAM", "openai=http://127.0.0.1:9/v1")
    result = run()
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["3 replayed, 0 live"])
    result.stdout.no_fnmatch_line("*NOTHING WAS REPLAYED*")
    monkeypatch.setenv("CI", "true")
    run().assert_outcomes(passed=3)


@pytest.mark.usefixtures("run")
def test_processes_do_not_meet(pytester: pytest.Pytester) -> None:
    """Under pytest-xdist each test writes its own file, and the summary counts all of them."""
    result = pytester.runpytest_subprocess(*QUIET, "-p", "xdist", "-n", "2", "--image-api-record", "all")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["0 replayed, 3 recorded, 3 live ($0.6323)"])
    assert 3 == len(list((pytester.path / "recordings").glob("*.yaml")))


def test_what_was_not_recorded_is_missed(run: Run, pytester: pytest.Pytester) -> None:
    """Without a mode nothing is live: a test without its file fails in one line, one whose call differs is refused."""
    run().assert_outcomes(errors=3)
    run("--image-api-record", "once").assert_outcomes(passed=3)
    path = Path(pytester.path / "test_inner.py")
    path.write_text(path.read_text().replace('"A dog"', '"A bird"'))
    result = run()
    result.assert_outcomes(passed=2, failed=1, errors=0)
    result.stdout.fnmatch_lines(["*recording_missed*", "2 replayed, 1 missed, 0 live"])
    bad = run("--image-api-record", "onse")
    assert 4 == bad.ret
