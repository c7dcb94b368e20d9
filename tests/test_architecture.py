"""Holds the package to its architecture: no Python names a gateway, and each module says what it holds.

Import directions are in pyproject.toml for import-linter, the doors of libraries there for ruff (TID251).
"""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import emulator
from emulator.core.data_folders import find_schemas
from tests.paths import ROOT

PACKAGE: Final = Path(emulator.__file__).parent
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
EXCEPTIONS: Final = {
    "settings.py": {"openai"},  # the default gateway
    "gateway/gateway.py": {"openai"},  # the default error catalog has the name of the API whose words it has
    "messages.py": {"openai"},  # and so has the channel that speaks it
    "session/call_code.py": {"openai"},  # the name of the client's package
    "session/redaction.py": {"xai"},  # how keys of that name begin
}
"""Modules that may name a gateway."""
ENGLISH: Final = {"together"}
"""Gateways that are called as a word of messages is; a text that is the word alone names the gateway all the same."""


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@functools.cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def _list_strings(tree: ast.Module) -> Iterator[str]:
    """Every string of a module that is no docstring, the parts of f-strings included."""
    statements = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in statements:
            yield node.value


def test_no_python_names_a_gateway() -> None:
    """A gateway is a file in schemas/; code branches on operations and values. The one default is the exception."""
    gateways = {file.stem for file in find_schemas().glob("*.yaml")}
    found = {}
    for path in MODULES:
        words = {
            word
            for text in _list_strings(_parse(path))
            for word in re.findall("[A-Za-z0-9_]+", text)
            if word not in ENGLISH or text == word
        }
        found[_name(path)] = words & gateways - EXCEPTIONS.get(_name(path), set())
    assert {} == {name: words for name, words in found.items() if words}


def test_a_class_name_means_one_class() -> None:
    """No two classes of the package have the same name."""
    names = [node.name for path in MODULES for node in ast.walk(_parse(path)) if isinstance(node, ast.ClassDef)]
    assert [] == sorted(name for name in set(names) if names.count(name) > 1)


def test_functions_fit_on_a_screen() -> None:
    """No function has more than 60 lines."""
    functions = [
        (_name(path), node)
        for path in MODULES
        for node in ast.walk(_parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [] == [(name, one.name) for name, one in functions if (one.end_lineno or one.lineno) - one.lineno >= 60]


def test_modules_say_what_they_hold() -> None:
    """Each module begins with a docstring."""
    assert [] == [_name(path) for path in MODULES if not ast.get_docstring(_parse(path))]


def test_imports_keep_their_direction() -> None:
    """The layers of pyproject.toml hold; a wheel that is tested alone has no such file beside it."""
    if not (ROOT / "emulator").is_dir():
        pytest.skip("import-linter reads the checkout's package")
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr
