"""No table of the program is wider than the terminal, at 80 and at 120 columns."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from emulator.cli.main import COMMANDS, main
from emulator.core.data_folders import find_schemas
from emulator.core.tables import display_width
from emulator.explanations import EXPLANATIONS
from tests.cli.test_compare import LAX
from tests.paths import TESTS

GATEWAYS = sorted(path.stem for path in find_schemas().glob("*.yaml"))
OBSERVED = sorted(path.stem for path in (find_schemas() / "observed").glob("*.yaml"))
ARGUMENTS = (
    ["gateways"],
    *(["rules", name] for name in GATEWAYS),
    *(["rules", name, "--behavior", "observed"] for name in OBSERVED),
    *(["rules", name, "--differences"] for name in OBSERVED),
    ["scenarios"],
    *(["explain", word] for word in EXPLANATIONS),
    ["explain", "flaky"],
    ["check", "bad.yaml", "odd-gateway.yaml", "good.yaml"],
    ["portability", "calls.json"],
    ["compare", "recording.yaml"],
    ["doctor", "--port", "0"],
)
"""What prints tables and texts, of each command with the flag --wide."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files of ARGUMENTS."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text("rules: []")
    (tmp_path / "bad.yaml").write_text("rules:\n  - answers:\n      - refuse: boredom\n")
    (tmp_path / "odd-gateway.yaml").write_text((TESTS / "data" / "odd-gateway.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "recording.yaml").write_text(LAX)
    calls = [{"model": "dall-e-3", "prompt": "猫" * 50, "size": "1x1"}, {"prompt": "A cat", "style": "vivid", "n": 99}]
    (tmp_path / "calls.json").write_text(json.dumps(calls))
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("arguments", ARGUMENTS, ids=" ".join)
def test_no_table_is_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], columns: int
) -> None:
    """With --wide each row has one line; nothing that stands there is missing without it, though a word may be cut."""
    monkeypatch.setenv("COLUMNS", str(columns))
    main(arguments)
    narrow = capsys.readouterr().out
    assert columns >= max(map(display_width, narrow.splitlines()))
    main([*arguments, "--wide"])
    wide = capsys.readouterr().out
    assert len(wide.splitlines()) <= len(narrow.splitlines())
    if "…" not in narrow:
        assert sorted("".join(wide.split())) == sorted("".join(narrow.split()))


def test_every_command_that_prints_tables_is_tested() -> None:
    """A command with --wide is among those above, and has --json too."""
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        command.add_flags(parser)
        if "--wide" in parser._option_string_actions:
            assert command.name in [arguments[0] for arguments in ARGUMENTS]
            assert "--json" in parser._option_string_actions


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", ARGUMENTS[:12], ids=" ".join)
def test_tables_for_programs(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """--json prints one line of JSON, with what the table has."""
    assert 0 == main([*arguments, "--json"])
    out, err = capsys.readouterr()
    assert ("", 1, dict) == (err, len(out.splitlines()), type(json.loads(out)))


def test_heads_are_bold_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """FORCE_COLOR stands for a terminal; a pipe has no codes."""
    assert 0 == main(["gateways"])
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "300")
    assert 0 == main(["gateways"])
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert ("\x1b[1mGATEWAY", "aiai") == (first.split()[0], second.split()[0])
