"""How a message spells values: quotes, lists, the path to a value, and the names of JSON's kinds.

This is OpenAI's way, which the gateways share, and the names that Go's JSON decoder uses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

_LONGEST: Final = 200  # characters of a value that a message shows


def format_path(steps: Sequence[str | int]) -> str:
    """Return the path to a value inside a body, as OpenAI writes it: `images[0].image_url`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        elif text:
            text += f".{step}"
        else:
            text = step
    return text


def shorten_text(text: str, longest: int) -> str:
    """Return `text`, or its beginning and "..." where it has more than `longest` characters.

    >>> shorten_text("A cute cat", 6)
    'A c...'
    """
    if len(text) <= longest:
        return text
    return text[: longest - 3] + "..."


def quote(value: Any) -> str:
    """Return a value as OpenAI's messages show it: a string in single quotes, anything else as JSON; long text is cut.

    >>> quote("cat"), quote(True)
    ("'cat'", 'true')
    """
    if isinstance(value, str):
        return f"'{shorten_text(value, _LONGEST)}'"
    return shorten_text(_spell(value), _LONGEST)


def join_quoted(values: Sequence[Any], word: str) -> str:
    """Return the quoted values as a list in a sentence.

    >>> join_quoted(["a"], "and"), join_quoted(["a", "b"], "and"), join_quoted(["a", "b", "c"], "and")
    ("'a'", "'a' and 'b'", "'a', 'b', and 'c'")
    """
    return _join([quote(value) for value in values], word)


def join_bare(values: Sequence[Any], word: str) -> str:
    """Return the values without quotes as a list in a sentence.

    >>> join_bare(["a", "b", 3], "or")
    'a, b, or 3'
    """
    return _join([_spell(value) for value in values], word)


def name_kind(value: Any) -> str:
    """Return the name of a JSON value's kind, with its article: `a string`."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


def name_go_kind(value: Any) -> tuple[str, str]:
    """Return how Go's decoder names a JSON value that does not fit into a field.

    The first text is the value's kind; the second is the kind too, followed by the number where it is a number.
    """
    match value:
        case bool():
            return "bool", "bool"
        case int() | float():
            return "number", f"number {json.dumps(value)}"
        case _:
            kind = name_kind(value).split()[-1]
            return kind, kind


def _spell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _join(texts: Sequence[str], word: str) -> str:
    if len(texts) < 3:
        return f" {word} ".join(texts)
    return ", ".join(texts[:-1]) + f", {word} {texts[-1]}"
