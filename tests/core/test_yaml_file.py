"""What YAML files may contain, and how a mistake in one is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.core import yaml_file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("true", True), ("017", 17), ("0x1F", 31), ("2026-01-01", "2026-01-01"), ("1e3", 1000.0),
        ("0o17", 15), ("~", None), ("", None), ("12:30:45", "12:30:45"), ("n", "n"),
    ],
)  # fmt: skip
def test_yaml_means_what_it_looks_like(text: str, value: object) -> None:
    """YAML 1.2's core: no booleans but true and false, no dates, no octal or sexagesimal numbers."""
    assert {"x": value} == yaml_file.parse_yaml(f"x: {text}", Path("f.yaml")).root


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3: the key 'a' is given twice"),
        ("a: &x [1]\nb: *x", "an alias (*name) is not supported"),
        ("a: &x\n  b: *x", "an alias (*name) is not supported"),
        ("a: &x b\nc: *x", "f.yaml:1: an alias (*name) is not supported"),
        ("a: &x {b: 1}\nc: {!!merge <<: *x}", "could not determine a constructor"),
        ("1: a\n0x1: b", "f.yaml:1: two keys are equal"),
        ("a: " + 1001 * "9", "f.yaml:1: a number of more than 1000 digits"),
        ("a: 0x" + 1000 * "f", "f.yaml:1: a number of more than 1000 digits"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
        ("a: !!timestamp soon", "cannot be read as YAML"),
        ("a: [1", "f.yaml:1"),
        ("\0", "unacceptable character"),
    ],
)
def test_yaml_traps_are_refused(text: str, complaint: str) -> None:
    """Each trap is one line with the file and, where there is one, the line."""
    with pytest.raises(yaml_file.InvalidFile) as caught:
        yaml_file.parse_yaml(text, Path("f.yaml"))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"b": 1, "c": 3}),
        ("a: &x {b: 1}\nd:\n  c: 3\n  <<: *x", {"b": 1, "c": 3}),
        ("a: &x {b: 1}\ne: &y {<<: *x, b: 2, c: 2}\nd: {<<: [*x, *y]}", {"b": 1, "c": 2}),
        ("a: &x {b: 1}\nd: {'<<': *x}", {"<<": {"b": 1}}),
        ("d: &x {<<: *x, b: 1}", {"b": 1}),
    ],
)
def test_merges_stand_for_members(text: str, value: object) -> None:
    """Where aliases are taken: a mapping's own members count, then those of the first merge; `'<<'` is a key."""
    assert value == yaml_file.parse_yaml(text, Path("f.yaml"), aliases=True).root["d"]


def test_a_merge_of_something_else_is_refused() -> None:
    """In one line with its place; a key that is given twice stays refused."""
    with pytest.raises(yaml_file.InvalidFile, match=r"f\.yaml:2: << merges a mapping, or a list of mappings"):
        yaml_file.parse_yaml("a: &x [1]\nd: {<<: *x}", Path("f.yaml"), aliases=True)
    with pytest.raises(yaml_file.InvalidFile, match="the key 'b' is given twice"):
        yaml_file.parse_yaml("a: &x {b: 1}\nd: {<<: *x, b: 1, b: 2}", Path("f.yaml"), aliases=True)


def test_unreadable_files(tmp_path: Path) -> None:
    """A file that is absent, a folder, or no text is one line too."""
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    for path in (tmp_path / "absent.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(yaml_file.InvalidFile, match=str(path)):
            yaml_file.load_yaml(path)
