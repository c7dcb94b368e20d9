"""JSON as strictly as its standard says, and never an exception but BadJson.

The standard library is lenient (NaN, lone surrogates) and has limits of its own (digits, depth): all of them end here.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

DEEPEST: Final = 64  # levels; image requests use two, and Python's own parser dies at about a thousand
_BRACKET: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)  # possessive: nothing to go back to
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class BadJson(ValueError):
    """The text is not JSON, or JSON that nobody could store: the message says why."""


def parse(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """The value that `body` spells and the keys that it gives twice (the last one wins). Raises BadJson."""
    if body.count(b"[") + body.count(b"{") > DEEPEST and _depth(body) > DEEPEST:
        raise BadJson(f"nested deeper than {DEEPEST} levels")
    duplicates: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        mapping = dict(pairs)
        if len(mapping) != len(pairs):
            seen: set[str] = set()
            duplicates.extend(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return mapping

    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=collect)
        if _SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error)) from None
    return value, tuple(dict.fromkeys(duplicates))


def _depth(body: bytes) -> int:
    """How deep the brackets nest, found by one walk over the text, without parsing it."""
    depth = deepest = 0
    for token in _BRACKET.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
        elif mark in (b"]", b"}"):
            depth -= 1
    return deepest


def _refuse(constant: str) -> float:
    raise BadJson(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BadJson("a number is too large")
    return number
