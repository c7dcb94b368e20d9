"""The text that `serve` prints at its start; the process itself is in tests/server/test_process.py."""

from __future__ import annotations

import re
from pathlib import Path

from emulator.core.data_folders import find_schemas
from emulator.core.version import VERSION
from tests.process import Command


def test_the_welcome_says_that_it_only_reports(tmp_path: Path) -> None:
    """`--report-only` answers what would be refused, so nobody should overlook it."""
    command = Command(tmp_path, "--report-only")
    try:
        lines = iter(command.out.readline, "")
        assert any(line.startswith("Report only: a call that its gateway would refuse is answered") for line in lines)
    finally:
        command.kill()


def test_the_welcome_says_what_runs_and_where(tmp_path: Path) -> None:
    """Version, settings and where they come from, scenario, each gateway's base URL, and the default gateway."""
    (tmp_path / "emulator.yml").write_text("scenario: flaky")
    command = Command(tmp_path, "--behavior", "observed", "--seed", "7", "--gateway", "aiai")
    try:
        lines = [command.out.readline().rstrip()]
        while lines[-1] and not lines[-1].startswith("Default gateway: "):
            lines.append(command.out.readline().rstrip())
    finally:
        command.kill()
    assert [
        f"Image API Emulator {VERSION} answers calls.",
        "Behavior: observed; seed: 7; clock: real",
        "Scenario: flaky",
        f"Settings file: {tmp_path / 'emulator.yml'}",
        "Base URLs:",
    ] == lines[:5]
    assert re.fullmatch(r"Default gateway: aiai, at http://127\.0\.0\.1:[0-9]+/v1", lines[-1])
    gateways = {path.stem for path in find_schemas().glob("*.yaml")}
    assert gateways == {line.split()[0] for line in lines[5:-1]}
    assert any(re.fullmatch(r"  aiai +http://127\.0\.0\.1:[0-9]+/aiai/v1", line) for line in lines)
