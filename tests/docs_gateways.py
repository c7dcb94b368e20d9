"""The gateways that the page on own gateways has as examples, so that tests need no copy of them."""

from __future__ import annotations

from pathlib import Path

from emulator.core.data_folders import find_docs


def write_example(name: str, folder: Path) -> Path:
    """Write the example that is called `name` into a file of that name in `folder`; return its path."""
    page = (find_docs() / "own-gateways.md").read_text("utf-8")
    begin = f"# {name}\n"
    assert 1 == page.count(begin), f"the page has no example {name}, or several"
    path = folder / name
    path.write_text(page.partition(begin)[2].partition("```")[0], "utf-8")
    return path
