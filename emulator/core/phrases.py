"""How values are spelled inside a message: quotes, lists, and the names of JSON's kinds.

It is OpenAI's way, which the gateways share, beside what Go's decoder calls a value. Nothing here knows a gateway.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def path(steps: Sequence[str | int]) -> str:
    """The way to a value inside a body, as OpenAI writes it: `images[0].image_url`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def quoted(value: Any) -> str:
    """A value as OpenAI's messages show it: text in single quotes, long text cut."""
    if isinstance(value, str):
        return f"'{value if len(value) <= 200 else value[:197] + '...'}'"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."


def listed(values: Sequence[Any], word: str) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`."""
    texts = [quoted(value) for value in values]
    if len(texts) < 3:
        return f" {word} ".join(texts)
    return ", ".join(texts[:-1]) + f", {word} {texts[-1]}"


def bare(values: Sequence[Any], word: str) -> str:
    """`a`, `a and b`, `a, b, and c`: as `listed`, without quotes."""
    texts = [value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values]
    return f" {word} ".join(texts) if len(texts) < 3 else ", ".join(texts[:-1]) + f", {word} {texts[-1]}"


def kind_of(value: Any) -> str:
    """What a JSON value is, with its article."""
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


def decoded(value: Any) -> tuple[str, str]:
    """What Go calls a JSON value that does not fit into a field: its kind, and for a number the number too."""
    kind = kind_of(value).split()[-1]
    match value:
        case bool():
            return "bool", "bool"
        case int() | float():
            return "number", f"number {json.dumps(value)}"
        case _:
            return kind, kind
