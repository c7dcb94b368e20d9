"""How messages spell values, lists, paths and the kinds of JSON."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.core.phrases import format_path, join_bare, join_quoted, name_go_kind, name_kind, quote


@pytest.mark.parametrize(
    ("steps", "text"),
    [(("image",), "image"), (("images", 0, "image_url"), "images[0].image_url"), ((0,), "[0]"), ((), "")],
)
def test_a_path_is_written_as_in_openais_messages(steps: tuple[str | int, ...], text: str) -> None:
    """Names are joined by dots, places in lists stand in brackets."""
    assert text == format_path(steps)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("cat", "'cat'"),
        ("", "''"),
        (True, "true"),
        (None, "null"),
        ({"a": "ü"}, '{"a": "ü"}'),
        ("x" * 200, "'" + "x" * 200 + "'"),
        ("x" * 201, "'" + "x" * 197 + "...'"),
        (["x" * 200], '["' + "x" * 195 + "..."),
    ],
)
def test_quotes(value: Any, text: str) -> None:
    """A string is quoted, anything else is JSON, and long text is cut to 200 characters."""
    assert text == quote(value)


def test_lists_in_a_sentence() -> None:
    """Two values have a word between them; three or more have commas too."""
    assert ["", "'a'", "'a' or 'b'", "'a', 'b', or 'c'"] == [join_quoted("abc"[:count], "or") for count in range(4)]
    assert ["", "a", "a or b", "a, b, or c"] == [join_bare("abc"[:count], "or") for count in range(4)]
    assert "a, 3, and true" == join_bare(["a", 3, True], "and")


@pytest.mark.parametrize(
    ("value", "kind", "in_go"),
    [
        (None, "null", ("null", "null")),
        (True, "a boolean", ("bool", "bool")),
        (7, "an integer", ("number", "number 7")),
        (1.5, "a decimal number", ("number", "number 1.5")),
        ("7", "a string", ("string", "string")),
        ([], "an array", ("array", "array")),
        ({}, "an object", ("object", "object")),
    ],
)
def test_kinds_of_json(value: Any, kind: str, in_go: tuple[str, str]) -> None:
    """Each kind has a name with its article, and the name that Go's decoder has."""
    assert (kind, in_go) == (name_kind(value), name_go_kind(value))
