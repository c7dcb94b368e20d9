"""Applies the recipes of emulator/README.md ("How to add something") to a copy of the code, and runs their checks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.paths import ROOT

PAGE: Final = ROOT / "emulator" / "README.md"
TITLES: Final = (
    "A gateway", "A parameter", "A fault", "A matcher", "An answer word", "A CLI command", "An admin path",
)  # fmt: skip
PREPARATION: Final = '''
import subprocess, sys
import httpx
from emulator import Emulator

def ask(image_api, gateway, body):
    """POST `body` to the path for pictures of `gateway`."""
    headers = {"Authorization": f"Bearer {image_api.key}"}
    return httpx.post(image_api.url(gateway) + "/images/generations", json=body, headers=headers)

def run_command(*arguments):
    """Return what the command prints."""
    return subprocess.run([sys.executable, "-m", "emulator", *arguments], capture_output=True, text=True).stdout
'''
"""What the page leaves out of each check."""


def read_recipes() -> dict[str, tuple[str, str]]:
    """Return the diff and the check of each recipe, by its title; none where the page is not there."""
    if not PAGE.is_file():  # a wheel is tested without the checkout, and the diffs are against the checkout
        return {}
    section = PAGE.read_text("utf-8").partition("## How to add something\n")[2]
    recipes = {}
    for text in section.split("\n### ")[1:]:
        title, _, rest = text.partition("\n")
        (diff,) = re.findall(r"```diff\n(.*?)```", rest, re.DOTALL)
        (check,) = re.findall(r"```python\n(.*?)```", rest, re.DOTALL)
        recipes[title] = diff, check
    return recipes


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the code and the data."""
    if not PAGE.is_file():
        pytest.skip("the recipes are diffs against a checkout, and there is none")
    for folder in ("emulator", "schemas", "scenarios"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for file in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


@pytest.mark.parametrize("title", TITLES)
def test_a_recipe_works(checkout: Path, title: str) -> None:
    """The diff applies to the code as it is, the result is clean for ruff, and the check passes only with the diff."""
    diff, check = read_recipes()[title]
    assert 0 != run_check(checkout, check).returncode, "the check passes without the change"
    done = subprocess.run(
        ["git", "apply", "-"], cwd=checkout, input=diff, capture_output=True, text=True, check=False,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(checkout.parent)},
    )  # fmt: skip
    assert (0, "") == (done.returncode, done.stderr)
    checked = run_check(checkout, check)
    assert 0 == checked.returncode, checked.stderr[-3000:]
    for command in (["check"], ["format", "--check"]):
        linted = run_ruff(checkout, command)
        assert 0 == linted.returncode, linted.stdout[-3000:] + linted.stderr[-3000:]


def run_ruff(checkout: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run one command of ruff over the code in `checkout`."""
    ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "emulator"]
    return subprocess.run(ruff, cwd=checkout, capture_output=True, text=True, check=False, timeout=60)


def run_check(checkout: Path, check: str) -> subprocess.CompletedProcess[str]:
    """Run the check of a recipe against the code in `checkout`."""
    environ = {**os.environ, "PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", PREPARATION + check]
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_no_recipe_is_missing() -> None:
    """The page has the seven recipes, in this order, and no other."""
    if PAGE.is_file():
        assert list(TITLES) == list(read_recipes())
