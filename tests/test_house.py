"""Keeps the house rules: rows import upwards only, no rings, each library has one door, no Python names a gateway."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

import emulator
from emulator import files

HOUSE: Final = Path(emulator.__file__).parent
ROOMS: Final = {path.stem: path for path in sorted(HOUSE.glob("*.py"))}

ROWS: Final[list[set[str]]] = [
    {"exchange", "recipe", "settings", "files", "findings", "clock", "dice", "jsontext", "naming", "enclosure"},
    {
        "translation",
        "openapi",
        "wording",
        "spelling",
        "telling",
        "masking",
        "identity",
        "decoding",
        "channel",
        "ticket",
        "models",
        "pictured",
        "operation",
        "dialect",
        "glyphs",
        "landscape",
        "easel",
        "picture",
        "retouch",
        "sketch",
        "repaint",
        "uploads",
        "multipart",
        "memory",
        "matching",
        "fitting",
        "catalogue",
    },
    {
        "usage",
        "almanac",
        "size",
        "anatomy",
        "verdict",
        "contract",
        "comparison",
        "meaning",
        "rulebook",
        "differences",
        "directory",
        "body",
        "forms",
        "inputs",
        "sources",
        "gallery",
        "reply",
        "stream",
        "tasks",
        "amendment",
        "revision",
        "limits",
        "scenario",
        "script",
        "answers",
        "alteration",
        "reading",
    }
    | {"reserved", "player", "journal", "session", "metrics", "counts", "evidence", "verification", "portability"},
    {
        "wire",
        "spoil",
        "storage",
        "guard",
        "events",
        "manual",
        "admin",
        "admin_request",
        "admin_server",
        "admin_sessions",
    },
    {"server", "listening"},
    {"cli", "serving", "tools", "porting", "headstart", "console", "__init__", "__main__"}
    | {"client", "connection", "calls", "seen", "tables", "embedded", "pytest_plugin"},
]
"""Each row may import its own row and those above it."""

DOORS: Final[dict[str, set[str]]] = {
    "PIL": {"picture", "landscape", "easel", "retouch", "sketch", "repaint", "uploads"},
    "jsonschema": {"anatomy", "verdict", "fitting"},
    "referencing": {"verdict", "fitting"},
    "yaml": {"files"},
    "time": {"clock"},
    "datetime": {"clock"},
    "random": {"dice"},
    "aiohttp": {"wire", "spoil", "server", "listening"},
    "argparse": {"settings", "cli", "tools"},
    "pytest": {"pytest_plugin"},
}
"""The only rooms that may import a library."""


def _imports(room: str) -> set[str]:
    """All that a room imports, as dotted names, wherever in the file the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(ROOMS[room].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{room} imports relatively"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _neighbours(room: str) -> set[str]:
    """The other rooms that a room imports."""
    parts = (name.split(".") for name in _imports(room) if name.startswith("emulator."))
    return {part[1] for part in parts if part[1] in ROOMS} - {room}


def test_every_room_stands_in_one_row() -> None:
    """The plan names every file, and no file that is not there."""
    assert sorted(ROOMS) == sorted(room for row in ROWS for room in row)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_up(room: str) -> None:
    """A room imports its own row and the rows above, never below."""
    row = next(index for index, names in enumerate(ROWS) if room in names)
    below = {name for names in ROWS[row + 1 :] for name in names}
    assert set() == _neighbours(room) & below


@pytest.mark.parametrize("room", ROOMS)
def test_no_rings(room: str) -> None:
    """No way of imports leads from a room back to itself."""
    reached: set[str] = set()
    waiting = _neighbours(room)
    while waiting:
        reached |= waiting
        waiting = {further for name in waiting for further in _neighbours(name)} - reached
    assert room not in reached


@pytest.mark.parametrize("room", ROOMS)
def test_libraries_have_doors(room: str) -> None:
    """A library is imported where its door is, and nowhere else."""
    libraries = {name.split(".")[0] for name in _imports(room)}
    assert set() == {library for library in libraries if room not in DOORS.get(library, {room})}


@pytest.mark.parametrize("room", ROOMS)
def test_no_python_names_a_gateway(room: str) -> None:
    """A gateway is a file in schemas/; code branches on operations and values. The one default is the exception."""
    names = {path.stem for path in files.schemas().glob("*.yaml")}
    named = {
        node.value
        for node in ast.walk(ast.parse(ROOMS[room].read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }
    # What a channel is like has the name of the API that it speaks, which is the name of a gateway too.
    assert named <= {"settings": {"openai"}, "exchange": {"openai"}}.get(room, set())


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_stay_small(room: str) -> None:
    """No file over 300 lines, and each says at its top what happens in it."""
    text = ROOMS[room].read_text("utf-8")
    assert len(text.splitlines()) <= 300
    assert ast.get_docstring(ast.parse(text))
