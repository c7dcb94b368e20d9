"""The folders of data that ship: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from pathlib import Path


def find_schemas() -> Path:
    """Return the folder of the gateways' OpenAPI files."""
    return _find_folder("schemas")


def find_scenarios() -> Path:
    """Return the folder of the ready-made scenarios."""
    return _find_folder("scenarios")


def find_docs() -> Path:
    """Return the folder of the pages that users read."""
    return Path(__file__).parents[1] / "docs"


def list_ready_made() -> list[str]:
    """Return the names of the ready-made scenarios, sorted."""
    return sorted(path.stem for path in find_scenarios().glob("*.yaml"))


def _find_folder(name: str) -> Path:
    package = Path(__file__).parents[1]
    inside = package / name
    if inside.is_dir():
        return inside
    return package.parent / name


def is_shipped_schema(path: Path) -> bool:
    """Return whether `path` is in the folder of gateways that ships, whose files the tests have checked."""
    return path.resolve().is_relative_to(find_schemas().resolve())
