"""Runs scripts for Node that use the openai client from npm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from typing import Any, Final

import pytest

from tests.paths import ROOT

FOLDER: Final = ROOT / ".cache" / "npm"


def run_script(script: str, *arguments: str, **environ: str) -> Any:
    """What a script prints that uses the npm client; `environ` is added to the environment."""
    if not (FOLDER / "node_modules" / "openai").is_dir() or shutil.which("node") is None:
        missing = f"needs node, and: npm install --prefix {FOLDER.parent.name}/npm openai@7"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    file = FOLDER / f"client-{zlib.crc32(script.encode())}.mjs"  # tests run side by side
    file.write_text(script)
    done = subprocess.run(
        ["node", str(file), *arguments], capture_output=True, text=True, timeout=60, cwd=FOLDER,
        env={**os.environ, **environ},
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)
