"""YAML that is written is read back as the same values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.core.yaml_file import parse_yaml
from emulator.core.yaml_writer import write_yaml

TEXTS = (
    "plain", "two words", "", " blank before", "true", "null", "~", "no", "1", "1.5", "1e3", "0x1f", "-", "- item",
    "a: b", "a #b", "#", "'", '"', "\\", "line\nbreak", "tab\t", "\x07", "\x7f", "\x85", "\u2028", "\ufeff", "Kätzchen",
    "猫", "😀", "*alias", "&anchor", "!tag", "%directive", "@at", "`tick`", "{a}", "[b]", "2026-01-01", "=", "<<",
    "x" * 500,
)  # fmt: skip
VALUES: tuple[Any, ...] = (0, -1, 10**20, 1.5, 1e-07, 1e22, True, False, None, [], {}, [[]], {"a": {}})


@pytest.mark.parametrize("value", [*TEXTS, *VALUES], ids=repr)
def test_a_value_comes_back(value: Any) -> None:
    """Wherever it stands: as a value, as a member of a list, and as a key if it is a text."""
    root = {"alone": value, "list": [value, {"inner": value}], "deep": {"a": {"b": [value] * 30}}}
    if isinstance(value, str):
        root[value] = 1
    assert root == parse_yaml(write_yaml(root), Path("written.yaml")).root


def test_lines_are_short_where_they_can_be() -> None:
    """A long mapping is a block, a short one a line."""
    text = write_yaml({"short": {"a": 1}, "long": {f"name{number}": "some words" for number in range(20)}})
    assert "short: {a: 1}\n" in text
    assert max(map(len, text.splitlines())) < 120
