"""The benchmark's own tests: they measure nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from emulator.core.data_folders import find_docs
from tests.bench import __main__ as bench
from tests.bench import peers, wrk
from tests.bench.figures import CPU, PACE, Aim, Figure, Line, Pairs, format_markdown, format_table
from tests.bench.machine import Busyness
from tests.bench.report import describe_noise, make_page_section, replace_page_section
from tests.bench.requests import REFUSED, UNIQUE
from tests.bench.rows import take_turns
from tests.bench.servers import CACHES, make_environ

FAST: Figure = Figure(
    Line("some calls", PACE, aim=Aim("≥", 0.5), fast_aim=Aim("≥", 0.8), on_page=True),
    plain=Pairs([60, 50, 70], [100, 100, 100]),
    fast=Pairs([70, 75, 72], [100, 100, 100]),
)
COST: Figure = Figure(Line("some calls", CPU), Pairs([80], [50]), Pairs([60], [50]))
MEMORY: Figure = Figure(Line("memory", "MiB", aim=Aim("≤", 60, absolute=True), on_page=True), Pairs([44.2], [36]))
OTHER: Figure = Figure(Line("start", "ms", on_page=True, server="Another"), Pairs([300], [100]))
DEAF: Figure = Figure(Line("refused", PACE, on_page=True, server="Another"), Pairs([], [100]), note="takes it")
ALL: tuple[Figure, ...] = (FAST, COST, MEMORY, OTHER, DEAF)


@pytest.fixture
def document() -> dict[str, Any]:
    """A run with invented figures."""
    return {
        "date": "2026-11-29",
        "machine": {"cores": 2, "system": "Linux", "architecture": "x86_64", "virtual": True},
        "versions": {"Python": "3.13.0", "wrk": "4.1.0", "uvloop": None},
        "busy": Busyness(0.1, 1.9, 0.02).to_json(),
        "scale": {"seconds": 1.0, "rounds": 5, "calls": 100_000},
        "figures": [figure.to_json() for figure in ALL],
    }


def test_a_line_shows_both_servers() -> None:
    """The table has the median ratio with its spread, the aim and the verdict: plain, and with [speed]."""
    head, _, line, *_ = format_table([FAST]).splitlines()
    assert "[speed] verdict" in head
    assert ["0.60 (0.50–0.70)", "≥ 0.5 ×", "met"] == [part for part in _split(line) if part in line][4:7]
    assert ["0.72 (0.70–0.75)", "≥ 0.8 ×", "MISSED"] == _split(line)[-3:]
    assert "[speed]" not in format_table([MEMORY])


def _split(line: str) -> list[str]:
    return [part.strip() for part in line.split("  ") if part.strip()]


def test_the_markdown_has_ratios_and_aims() -> None:
    """One table is about ours, one about other servers; what has no ratio says why."""
    lines = format_markdown(ALL).splitlines()
    assert "| some calls | bare aiohttp | ≥ 0.5 × | 0.60 × | 1.60 × | ≥ 0.8 × | 0.72 ×, missed | 1.20 × |" in lines
    assert "| memory | bare aiohttp | ≤ 60 MiB | 44.2 MiB |  |  |  |  |" in lines
    assert ["| server | start | refused |", "| --- | --: | --: |", "| Another | 3.00 × | takes it |"] == lines[-3:]


@pytest.mark.parametrize("figure", ALL, ids=lambda figure: figure.line.title)
def test_a_figure_comes_back_from_json(figure: Figure) -> None:
    """A run that was kept can be shown again."""
    assert figure == Figure.from_json(json.loads(json.dumps(figure.to_json())))


def test_an_older_run_is_shown(document: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--from` measures nothing; `--json FILE` writes beside the table, `--json` alone prints in its place."""
    source, copy = tmp_path / "run.json", tmp_path / "new" / "copy.json"
    source.write_text(json.dumps(document))
    assert 0 == bench.main(["--from", str(source), "--json", str(copy)])
    assert "some calls" in capsys.readouterr().out
    assert document == json.loads(copy.read_text("utf-8"))
    assert 0 == bench.main(["--from", str(source), "--json"])
    assert document == json.loads(capsys.readouterr().out)


def test_rows_are_chosen() -> None:
    """Other servers are measured only when they are asked for."""
    parser = bench.make_parser()
    every = bench.choose_rows(parser.parse_args([]))
    assert [name for name in bench.ROWS if name != "peers"] == [row.name for row in every]
    assert [*every, peers.ROW] == bench.choose_rows(parser.parse_args(["--peers"]))
    assert ["url", "cold"] == [
        row.name for row in bench.choose_rows(parser.parse_args(["--only", "url", "--only", "cold"]))
    ]
    assert all(f"  {name} " in parser.format_help() for name in bench.ROWS)


def test_a_noisy_run_is_told(document: dict[str, Any]) -> None:
    """A warning stands below the table where others have used the machine."""
    assert not describe_noise(document)
    document["busy"] = Busyness(0.1, 2.5, 0.9).to_json()
    assert "others used 0.90 cores" in describe_noise(document)
    assert "rough" in make_page_section(document)
    assert Busyness(3.0, 2.0, None).noisy


def test_what_wrk_tells_is_read() -> None:
    """Calls, statuses, times and the generator's share of a core; broken calls are an error."""
    text = "found calls = 30\nfound seconds = 2.0\nfound bytes = 3000\nfound middle = 0.001\nfound slowest = 0.01\n"
    result = wrk.read_report(
        f"Requests/sec: 15\n{text}found broken = 0\nfound status 200 = 29\nfound status 400 = 1\n", 0.5
    )
    assert {"200": 29, "400": 1} == result.statuses
    assert (30, 100, 0.25) == (result.calls, result.size, result.busy)
    with pytest.raises(OSError, match="2 calls were broken off"):
        wrk.read_report(f"{text}found broken = 2\n", 0.5)


def test_turns_are_fair() -> None:
    """Each party comes first in turn."""
    assert ["abc", "bca", "cab", "abc"] == ["".join(take_turns("abc", number)) for number in range(4)]


def test_the_contract_of_the_others_judges() -> None:
    """The wrong size that ours refuses is none of the contract's, and the right one is."""
    rules = json.loads(peers._CONTRACT.read_text())["components"]["schemas"]["DallE3"]["properties"]
    for name, value in (UNIQUE.body or {}).items():
        assert "enum" not in rules[name] or value in rules[name]["enum"]
    assert (REFUSED.body or {})["size"] not in rules["size"]["enum"]


def test_the_page_has_every_row(document: dict[str, Any]) -> None:
    """The page's tables have the rows and columns that `--markdown` prints now, whatever the figures are."""
    lines = [line for row in bench.ROWS.values() for line in row.lines]
    document["figures"] = [Figure(line, Pairs([1], [1]), Pairs([1], [1])).to_json() for line in lines]
    assert _list_labels(make_page_section(document)) == _list_labels((find_docs() / "speed.md").read_text("utf-8"))


def test_the_pages_section_is_replaced(document: dict[str, Any]) -> None:
    """What stands before and after the marks stays."""
    section = make_page_section(document)
    assert f"a\n{section}\nb" == replace_page_section("a\n<!-- speed -->\nold\n<!-- end of speed -->\nb", section)


def test_what_is_measured_has_no_settings_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ours nor pytest's; and it keeps nothing among what the user's own servers keep."""
    for name in ("EMULATOR_SEED", "EMULATOR_CACHE_DIR", "PYTEST_ADDOPTS"):
        monkeypatch.setenv(name, "x")
    environ = make_environ()
    assert {"EMULATOR_CACHE_DIR": str(CACHES)} == {
        name: value for name, value in environ.items() if name.startswith(("EMULATOR_", "PYTEST_"))
    }


def _list_labels(text: str) -> list[tuple[str, ...]]:
    """What no measurement changes in the tables of the section on speed: heads, names, what stands beside, and aims."""
    found = []
    for line in text.partition("<!-- speed -->")[2].partition("<!-- end of speed -->")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| server |"):
            found.append(tuple(cells))
        elif line.startswith("|"):
            kept = (0, 1, 2, 5) if len(cells) == OWN_COLUMNS else (0,)
            found.append(tuple(cells[index] for index in kept))
    return found


OWN_COLUMNS: Final = 8
