"""What pytest tells of a whole run: the coverage of the contracts, whether it is enough, and a report of the calls."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from emulator.analysis.contract_items import Item
from emulator.analysis.coverage import Coverage, coverage_from_json
from emulator.cli.main import main
from tests.conftest import Served
from tests.test_pytest_plugin import QUIET, here, lines, loaded, run

__all__ = ["here", "loaded", "run"]
pytest_plugins = ["pytester"]
Run = Callable[..., pytest.RunResult]
OF_XDIST: Final = (*QUIET, "-p", "xdist", "-n", "2")

TESTS: Final = """
import urllib.error, urllib.request

@pytest.mark.parametrize("number", range(9))
def test_sizes(image_api, number):
    draw(image_api, size=["256x256", "512x512", "1024x1024"][number % 3], n=number)
    assert number != 4

def test_patience(image_api):
    image_api.play("rate-limited-then-ok")
    assert [429, 429, 200] == [draw(image_api) for _ in range(3)]
    answer = ask(image_api.url("ezmodel"), image_api.key, prompt="A <b>cat</b>", mood="calm")[1]
    url = answer["data"][0]["url"]
    urllib.request.urlopen(url).close()
    image_api.clock.advance("2h")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(url)

def test_another_account(image_api):
    other = image_api.account("someone-else")
    assert 400 == ask(other.url("ezmodel"), other.key, prompt="A cat", model="dall-e-2", n=11)[0]

def test_without_a_call():
    pass
"""


def read(path: Path) -> Coverage:
    """The coverage in a file."""
    return coverage_from_json(json.loads(path.read_text("utf-8")))


def counts(coverage: Coverage) -> dict[str, int]:
    """How many calls met each thing, of those that some call met."""
    items = (one for contract in coverage.contracts for one in contract.items if one.count)
    return {f"{one.item.kind} {one.item}": one.count for one in items}


def test_the_console_and_the_files(run: Run, pytester: pytest.Pytester) -> None:
    """The table is always printed, with the share; a file is written beside it where one is named."""
    result = run(TESTS, "--image-api-coverage")
    result.assert_outcomes(passed=11, failed=1)
    told = lines(result)
    assert "image_api coverage" in told
    assert re.search(r"^\d+\.\d % of the contract met: \d+ of \d+$", told, re.MULTILINE)
    assert "No call met a moderation refusal, a gateway's time-out, or a client that leaves." in told
    assert "written:" not in told
    assert [] == list(pytester.path.glob("image-api-coverage.*"))
    assert "% of the contract met" in lines(run(TESTS, "--image-api-coverage=html"))
    page = (pytester.path / "image-api-coverage.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    run(TESTS, "--image-api-coverage=mine.json")
    found = counts(read(pytester.path / "mine.json"))
    expected = {
        "value generate size=256x256": 5, "value generate size=512x512": 3, "refusal rate_limit": 2,
        "situation retry_after_429": 1, "situation link_followed": 1, "situation expired_link": 1,
        "bound generate n maximum: 10 passed": 1, "bound generate n minimum: 1 passed": 1,
    }  # fmt: skip
    assert expected.items() <= found.items()


def test_workers_count_what_one_process_counts(run: Run, pytester: pytest.Pytester) -> None:
    """Under pytest-xdist the coverage is the same, count by count; the command adds runs up."""
    run(TESTS, "--image-api-coverage=json")
    alone = read(pytester.path / "image-api-coverage.json")
    result = pytester.runpytest_subprocess(*OF_XDIST, "--image-api-coverage=two.json", "--image-api-report=two.html")
    result.assert_outcomes(passed=11, failed=1)
    assert alone == read(pytester.path / "two.json")
    files = [str(pytester.path / name) for name in ("image-api-coverage.json", "two.json")]
    assert 0 == main(["coverage", *files, "--json"])
    page = (pytester.path / "two.html").read_text("utf-8")
    assert "test_sizes[4]" in page
    assert "A &lt;b&gt;cat&lt;/b&gt;" in page
    assert [] == re.findall(r"https?:|<script|\bsrc=(?!\"data:image/png;base64,)|@import|url\(", page)
    copies = [base64.b64decode(copy) for copy in re.findall(r"data:image/png;base64,([^\"]+)", page)]
    assert {(96, 96)} == {Image.open(io.BytesIO(copy)).size for copy in copies}
    assert len(copies) > 20  # of 38 pictures, several of which are the same


def test_too_little_fails_the_run(run: Run) -> None:
    """`--image-api-fail-under` fails a run whose tests pass, and needs no other option."""
    passing = "def test_x(image_api):\n    assert 200 == draw(image_api)\n"
    result = run(passing, "--image-api-fail-under", "60")
    result.assert_outcomes(passed=1)
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    assert re.search(
        r"^FAILED: [0-9.]+ % of the contract met, and --image-api-fail-under 60$", lines(result), re.MULTILINE
    )
    enough = run(passing, "--image-api-fail-under", "1")
    assert pytest.ExitCode.OK == enough.ret
    assert "% of the contract met" in lines(enough)
    assert pytest.ExitCode.OK == run(passing, "--image-api-fail-under", "60", "--collect-only").ret
    nothing = run("def test_x(): ...", "--image-api-fail-under", "1")
    assert pytest.ExitCode.TESTS_FAILED == nothing.ret
    assert "No call reached an operation of a gateway." in lines(nothing)


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--image-api-coverage=tests", "--image-api-coverage 'tests': expected html, json, or a file that ends in"),
        ("--image-api-coverage=no/x.json", "--image-api-coverage 'no/x.json': there is no folder"),
        ("--image-api-report=x.txt", "--image-api-report 'x.txt': expected a file that ends in .html or .json"),
        ("--image-api-fail-under=101", "--image-api-fail-under 101: expected 0 to 100"),
    ],
)
def test_options_that_cannot_be(run: Run, option: str, complaint: str) -> None:
    """One line, before any test."""
    result = run(TESTS, option)
    assert pytest.ExitCode.USAGE_ERROR == result.ret
    assert complaint in "\n".join(result.errlines)


def test_the_report(run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls, pictures, findings, verdicts, money and coverage; and a summary where GitHub Actions asks for one."""
    summary = pytester.path / "summary.md"
    summary.write_text("# Before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = run(TESTS, "--image-api-report=report.json")
    assert "% of the contract met" not in lines(result)
    report: Any = json.loads((pytester.path / "report.json").read_text("utf-8"))
    told = report["summary"]
    assert (14, {"drawn": 14}, {"unknown_parameter": 1}) == (told["calls"], told["verdicts"], told["findings"])
    assert {"below_minimum": 1, "rate_limit": 2, "above_maximum": 1} == told["refusals"]
    assert {"passed": 10, "failed": 1} == told["tests"]
    assert told["pictures"] == sum(range(1, 9)) + 2 == sum(call["pictures"] for call in report["calls"])
    assert (0, True) == (told["dollars_spent"], told["dollars_saved"] > 0)
    (failed,) = (test for test, outcome in report["tests"].items() if outcome == "failed")
    assert failed.endswith("test_sizes[4]")
    (other,) = (call for call in report["calls"] if call["session"] == "someone-else")
    assert other["test"].endswith("test_another_account")
    assert 1 == report["coverage"]["coverage"]
    text = summary.read_text("utf-8")
    assert text.startswith("# Before\n## Image API Emulator\n\n14 calls · 38 pictures · 11 tests, 1 failed · 14 drawn")
    assert "| `unknown_parameter` | 1 |" in text
    assert "% of the contract met.** No call met a moderation refusal" in text


@pytest.mark.parametrize("counting", [True, False])
def test_a_server_elsewhere(run: Run, pytester: pytest.Pytester, serve: Callable[..., Served], counting: bool) -> None:
    """The sessions of the tests count, whoever else uses the server; without its --coverage no request for a link."""
    server = serve(coverage="on") if counting else serve()
    server.generate("geekai", {"model": "cogview-4", "prompt": "Somebody else"})
    result = run(TESTS, "--image-api-url", server.url, "--image-api-coverage=json", "--image-api-report=report.json")
    result.assert_outcomes(passed=11, failed=1)
    coverage = read(pytester.path / "image-api-coverage.json")
    assert ["ezmodel"] == [contract.name for contract in coverage.contracts]
    found = counts(coverage)
    assert (5, 1) == (found["value generate size=256x256"], found["situation retry_after_429"])
    assert counting == ("situation expired_link" in found) == coverage.links
    assert counting != ("Requests for pictures were not counted" in lines(result))
    report: Any = json.loads((pytester.path / "report.json").read_text("utf-8"))
    assert 13 == report["summary"]["calls"]  # the further account is not asked for


def test_a_worker_that_crashes(pytester: pytest.Pytester) -> None:
    """What it had met is lost, and the summary says so."""
    pytester.makepyfile("import os\ndef test_x(image_api): os._exit(1)")
    result = pytester.runpytest_subprocess(
        *QUIET, "-p", "xdist", "-n", "1", "--max-worker-restart=0", "--image-api-coverage"
    )
    result.stdout.fnmatch_lines(["1 worker crashed: what its tests have met is not counted"])


def test_nobody_else_pays(pytester: pytest.Pytester) -> None:
    """A run without these options loads nothing for them and counts nothing."""
    pytester.makepyfile(
        """
        import sys
        def test_x(image_api):
            assert image_api.calls is not None
            loaded = [name for name in sys.modules if "coverage" in name and name.startswith("emulator")]
            assert [] == loaded
            assert "emulator.client.run_log" not in sys.modules
        """
    )
    pytester.runpytest_subprocess(*QUIET).assert_outcomes(passed=1)


def test_items_are_named_for_people() -> None:
    """Each kind of item reads as a person would write it."""
    assert "generate quality=low" == str(Item("value", "generate", "quality", "low"))
    assert "generate n maximum: 10 passed" == str(Item("bound", "generate", "n", "maximum: 10, passed"))
    assert "edit in a form" == str(Item("operation", "edit", "", "in a form"))
    assert "rate_limit" == str(Item("refusal", name="rate_limit"))
