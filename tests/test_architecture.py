"""Holds the package to its architecture: no Python names a gateway, and each module says what it holds.

Import directions are in pyproject.toml for import-linter, the doors of libraries there for ruff (TID251).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

import emulator
from emulator.core.data_folders import find_schemas
from tests.paths import ROOT

PACKAGE: Final = Path(emulator.__file__).parent
MODULES: Final = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_python_names_a_gateway(path: Path) -> None:
    """A gateway is a file in schemas/; code branches on operations and values. The one default is the exception."""
    names = {file.stem for file in find_schemas().glob("*.yaml")}
    named = {
        node.value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }
    # A channel is called by the API that it speaks, which is the name of a gateway too.
    assert named <= {"settings.py": {"openai"}, "messages.py": {"openai"}}.get(_name(path), set())


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_modules_say_what_they_hold(path: Path) -> None:
    """Each module begins with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_imports_keep_their_direction() -> None:
    """The layers of pyproject.toml hold; a wheel that is tested alone has no such file beside it."""
    if not (ROOT / "emulator").is_dir():
        pytest.skip("import-linter reads the checkout's package")
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
