"""The shortcut of `serve`: aiohttp's client is not imported until something asks for it, and then it is there."""

from __future__ import annotations

import subprocess
import sys

SHORTCUT = """
import gc, sys
from emulator.cli.fast_import import defer_aiohttp_client, without_garbage_collection
with without_garbage_collection():
    defer_aiohttp_client()
    from emulator import server
assert gc.isenabled()
assert "aiohttp.client" not in sys.modules and "aiohttp.connector" not in sys.modules
import aiohttp
from aiohttp import web, hdrs
assert aiohttp.__version__.count(".") == 2
assert "aiohttp.client" not in sys.modules
assert not hasattr(aiohttp, "__wrapped__")
session = aiohttp.ClientSession
assert session.__name__ == "ClientSession" and "aiohttp.client" in sys.modules
from aiohttp import ClientTimeout, web as again
assert again is web
try:
    aiohttp.nonsense
except AttributeError:
    print("well")
"""
SWITCH = """
import sys
from emulator.cli import fast_import, main, serve
import asyncio
asyncio.Runner.run = lambda runner, coroutine: coroutine.close() or ("aiohttp.client" in sys.modules)
print(main.main(["serve", *sys.argv[1:]]))
"""


def _run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "error", "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "" == done.stderr
    return done.stdout


def test_the_client_comes_when_asked_for() -> None:
    """A server starts without it; a part of the program that needs it later finds all of aiohttp as always."""
    assert "well\n" == _run(SHORTCUT)


def test_it_has_a_switch() -> None:
    """`serve` takes the shortcut, unless `--no-fast-import` is given."""
    assert ["False\n", "True\n"] == [_run(SWITCH), _run(SWITCH, "--no-fast-import")]


def test_a_start_compiles_no_pattern() -> None:
    """The package for patterns takes 14 ms to import; the patterns of the files that ship wait for their first call."""
    script = "import sys\nfrom emulator.server.app import App\nfrom emulator.settings import Settings\n"
    script += 'App(Settings())\nassert "regex" not in sys.modules'
    subprocess.run([sys.executable, "-c", script], check=True)
