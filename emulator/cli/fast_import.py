"""Lets `serve` answer sooner: a process that only serves need not load what it never uses.

The command alone does this, never a program that embeds the emulator. What is left out loads by itself when it is asked
for, and where aiohttp is not laid out as expected nothing is left out.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any


@contextmanager
def headstart() -> Iterator[None]:
    """Load what is imported inside without aiohttp's client half (50 ms), and without collecting garbage (10 ms)."""
    with lasting():
        _spare_the_client()
        yield


@contextmanager
def lasting() -> Iterator[None]:
    """Make inside what stays to the end: no garbage is collected meanwhile, and none of it is ever looked at."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _spare_the_client() -> None:
    """Put aiohttp into `sys.modules` with its submodules at hand and its own body, which imports the client, unread."""
    spec = importlib.util.find_spec("aiohttp")
    if "aiohttp" in sys.modules or spec is None or spec.origin is None:
        return
    version = re.match(r'__version__ = "([^"]+)"', Path(spec.origin).read_text("utf-8"))
    if version is None:
        return
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _Lazy
    package.__version__ = version[1]  # type: ignore[attr-defined]
    sys.modules["aiohttp"] = package


class _Lazy(ModuleType):
    """A package whose submodules load as ever, and whose own body runs when something else of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(name)
        if importlib.util.find_spec(f"{spec.name}.{name}") is not None:
            return importlib.import_module(f"{spec.name}.{name}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)
