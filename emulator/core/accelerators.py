"""Finds the optional libraries of the extra `[speed]`: what is installed is used, unless the setting `speed` is off.

Answers are the same with and without them, except for the bytes of PNG files, whose pixels are the same. Each library
is imported when it is first asked for, so that a start that needs none pays for none.

The choice holds for the process, because compiled schemas and drawn pictures do. It is made before the first of them:
by the environment, or by the command or the `Emulator` that starts.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from functools import cache
from typing import Any, Final, Literal, get_args

Speed = Literal["auto", "off"]
SPEEDS: Final[tuple[Speed, ...]] = get_args(Speed)

Accelerator = Literal["uvloop", "winloop", "jsonschema_rs", "isal.isal_zlib"]
"""The modules that can be found. The name of the package that brings one is `PACKAGES[name]`."""

PACKAGES: Final[dict[Accelerator, str]] = {
    "uvloop": "uvloop",
    "winloop": "winloop",
    "jsonschema_rs": "jsonschema-rs",
    "isal.isal_zlib": "isal",
}


class _Found:
    """What this process has chosen and found."""

    def __init__(self, speed: Speed) -> None:
        self.speed = speed
        self.modules: dict[str, Any] = {}
        self.lock = threading.Lock()


def choose_speed(speed: Speed) -> None:
    """Let `find_accelerator` find what is installed (`auto`) or nothing (`off`), from now on, in the whole process."""
    _FOUND.speed = speed


def find_accelerator(name: Accelerator) -> Any:
    """Return the module `name`, imported if need be; None where it is switched off, not installed or broken.

    A module that was once not there stays so: a process does not change its ways in the middle.
    """
    if _FOUND.speed == "off":
        return None
    if name not in _FOUND.modules:
        with _FOUND.lock:
            if name not in _FOUND.modules:
                _FOUND.modules[name] = _import(name)
    return _FOUND.modules[name]


def name_accelerator(name: Accelerator) -> str | None:
    """Return the package and the version of an accelerator that is found, such as `isal 1.9.1`; None where it is not.

    It looks the version up among the installed packages the first time, which takes some 20 ms.
    """
    if find_accelerator(name) is None:
        return None
    return _add_version(PACKAGES[name])


def name_running_loop() -> str | None:
    """Return package and version of the library whose event loop runs now, such as `uvloop 0.23.0`; None: asyncio's."""
    library = get_loop_library()
    return None if library is None else name_accelerator(library)


def get_loop_library() -> Accelerator | None:
    """Return the library whose event loop runs now; None: asyncio."""
    package = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    for library in _LOOPS:
        if library == package:
            return library
    return None


@cache
def _add_version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"{package} {version(package)}"
    except (PackageNotFoundError, OSError):  # a module without its package, or no file can be opened
        return package


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):  # not installed, built for another machine, or no file can be opened
        return None


_LOOPS: Final[tuple[Accelerator, ...]] = ("uvloop", "winloop")
_FOUND: Final = _Found("off" if os.environ.get("EMULATOR_SPEED") == "off" else "auto")
