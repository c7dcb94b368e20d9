"""Runs scripts for Node that use clients from npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from typing import Any, Final

import pytest

from tests.paths import ROOT, TESTS

FOLDER: Final = ROOT / ".cache" / "npm"
PACKAGES: Final = tuple((TESTS / "npm-packages.txt").read_text("utf-8").split())
"""What the tests use from npm, each with its major version; .ci/run installs these."""
INSTALL: Final = "npm install --prefix .cache/npm $(cat tests/npm-packages.txt)"


def need_packages(*names: str) -> None:
    """Skip the test where Node or one of these packages is missing; with CI=true it fails."""
    lacking = [name for name in names if not (FOLDER / "node_modules" / name / "package.json").is_file()]
    if shutil.which("node") is None:
        lacking.append("node")
    if lacking:
        missing = f"needs {', '.join(lacking)}: {INSTALL}"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)


def run_script(script: str, *arguments: str, packages: tuple[str, ...] = ("openai",), **environ: str) -> Any:
    """What a script prints that uses `packages` from npm; `environ` is added to the environment."""
    need_packages(*packages)
    file = FOLDER / f"client-{zlib.crc32(script.encode())}.mjs"  # tests run side by side
    file.write_text(script)
    done = subprocess.run(
        ["node", str(file), *arguments], capture_output=True, text=True, timeout=60, cwd=FOLDER,
        env={**os.environ, **environ},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)
