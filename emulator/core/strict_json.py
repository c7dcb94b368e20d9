"""Reads and writes JSON as strictly as its standard; the only error is BadJson.

The standard library accepts more (NaN, lone surrogates) and has limits of its own (digits, depth); both become BadJson.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any, Final

DEEPEST: Final = 64  # levels; image requests use two, and Python's own parser fails at about a thousand
_BRACKET: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)  # possessive: nothing to go back to
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class BadJson(ValueError):
    """A text that is not JSON, or JSON that cannot be stored; its message gives the reason."""


def parse_json(body: bytes) -> tuple[Any, tuple[str, ...]]:
    """Return the value in `body` and the keys that it gives twice (the last one counts). Raises BadJson."""
    if body.count(b"[") + body.count(b"{") > DEEPEST and _measure_depth(body) > DEEPEST:
        raise BadJson(f"nested deeper than {DEEPEST} levels")
    duplicates = _NONE
    try:
        text = body.decode("utf-8")
        try:
            value = _DECODER.decode(text)
        except _DuplicateKey:
            value, duplicates = _parse_with_duplicates(text)
        if _SURROGATE.search(body):
            format_json(value).encode("utf-8")  # a lone surrogate cannot be encoded
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error)) from None
    return value, duplicates


def format_json(value: Any) -> str:
    """Return `value` as JSON without spaces; characters outside ASCII are not escaped."""
    return _ENCODER.encode(value)


class _DuplicateKey(Exception):
    """An object gives a key twice."""


def _make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _DuplicateKey
    return mapping


def _parse_with_duplicates(text: str) -> tuple[Any, tuple[str, ...]]:
    """Return the value of a text that gives keys twice, and these keys."""
    duplicates: dict[str, None] = {}  # a set that keeps the order

    def make_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                duplicates[key] = None
        return dict(pairs)

    value = json.loads(text, parse_constant=_refuse_constant, parse_float=_parse_finite, object_pairs_hook=make_object)
    return value, tuple(duplicates)


def _measure_depth(body: bytes) -> int:
    """Return how deep the brackets nest. This scans the text and does not parse it."""
    depth = deepest = 0
    for match in _BRACKET.finditer(body):
        token = match[0]
        if token in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
            if depth > DEEPEST:
                break
        elif token in (b"]", b"}"):
            depth -= 1
    return deepest


def _refuse_constant(constant: str) -> float:
    raise BadJson(f"{constant} is not JSON")


def _parse_finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BadJson("a number is too large")
    return number


_NONE: Final[tuple[str, ...]] = ()
_DECODER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_parse_finite, object_pairs_hook=_make_object
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
