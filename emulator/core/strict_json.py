"""JSON as strictly as its standard says, and never an exception but BadJson.

The standard library is lenient (NaN, lone surrogates) and has limits of its own (digits, depth): all of them end here.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
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
    try:
        text = body.decode("utf-8")
        try:
            value, twice = _ONCE.decode(text), _NONE
        except _GivenTwice:
            value, twice = _lenient(text)
        if _SURROGATE.search(body):
            compact(value).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error)) from None
    return value, twice


def compact(value: Any) -> str:
    """`value` as JSON without a needless space, its letters as they are."""
    return _ENCODER.encode(value)


class _GivenTwice(Exception):
    """An object gives a key twice."""


def _strict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _GivenTwice
    return mapping


def _lenient(text: str) -> tuple[Any, tuple[str, ...]]:
    """The value of a text that gives keys twice, and these keys."""
    twice: dict[str, None] = {}

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        counted = Counter(key for key, _ in pairs)
        twice.update({key: None for key, count in counted.items() if count > 1})
        return dict(pairs)

    value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=collect)
    return value, tuple(twice)


def _depth(body: bytes) -> int:
    """How deep the brackets nest, found by one walk over the text, without parsing it."""
    depth = deepest = 0
    for token in _BRACKET.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            depth += 1
            deepest = max(deepest, depth)
            if depth > DEEPEST:
                break
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


_NONE: Final[tuple[str, ...]] = ()
_ONCE: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_strict)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
