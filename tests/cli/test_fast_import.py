"""The command's head start: aiohttp's client half stays out until somebody asks for it, and then it is there."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, sys
from emulator.cli.fast_import import headstart
with headstart():
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


def test_the_client_half_comes_when_asked_for() -> None:
    """A server starts without it; a program part that wants it later finds all of aiohttp as ever."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", SCRIPT], capture_output=True, text=True, timeout=30)
    assert ("well\n", "") == (done.stdout, done.stderr)
