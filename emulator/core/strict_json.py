"""Reads and writes JSON as strictly as its standard; the only error is BadJson.

The standard library accepts more (NaN, lone surrogates) and has limits of its own (digits, depth); both become BadJson.
Values, keys and levels are counted before a value is built, because each may need fifty times its bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from json.encoder import encode_basestring
from typing import Any, Final

DEEPEST: Final = 64  # levels; image requests use two, and Python's own parser fails at about a thousand
MOST_VALUES: Final = 2**17
"""Values and keys of a body: image requests have under 60, and so many need about 30 MB and a tenth of a second. Other
servers' bounds are far lower (1,000 fields of a form in PHP and Django); ours has to let any mistake of a client by."""
MOST_STORED_VALUES: Final = 500_000  # of a user's file, as in YAML, and of what is stored already
LARGE: Final = 2**20  # bytes; a body that is larger brings pictures


class BadJson(ValueError):
    """A text that is not JSON, or JSON that cannot be stored; its message gives the reason."""


def parse_json(body: bytes, most_values: int = MOST_VALUES) -> tuple[Any, tuple[str, ...]]:
    """Return the value in `body` and the keys that it gives twice (the last one counts). Raises BadJson.

    A body of more than `most_values` values and keys is refused.
    """
    return take_json([body], most_values)


def take_json(owned: list[bytes], most_values: int = MOST_VALUES) -> tuple[Any, tuple[str, ...]]:
    """Do what `parse_json` does with the one body in `owned`, which is taken out of it.

    If nothing else refers to the body, its bytes are freed before a value is built.
    """
    body = owned.pop()
    _check_shape(body, most_values)
    duplicates = _NONE
    try:
        text = body.decode("utf-8")
        has_escapes = b"\\u" in body
        is_short, colons = len(body) <= _SHORT, body.count(b":")
        del body
        value = None
        if is_short:
            value = _PLAIN_DECODER.decode(text)
        # Each key has a colon behind it, so an object with as many keys as there are colons gives none twice. For any
        # other value, each object is looked at while it is made, which takes three times as long.
        if value.__class__ is not dict or len(value) != colons:
            try:
                value = _DECODER.decode(text)
            except _DuplicateKey:
                value, duplicates = _parse_with_duplicates(text)
        if has_escapes:
            _check_surrogates(value)
    except (ValueError, RecursionError) as error:
        raise BadJson(str(error)) from None
    return value, duplicates


def format_json(value: Any) -> str:
    """Return `value` as JSON without spaces; characters outside ASCII are not escaped."""
    return _ENCODER.encode(value)


def format_text(text: str) -> str:
    """Return what `format_json` returns of a text; this is quicker."""
    return encode_basestring(text)


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


def _check_shape(body: bytes, most_values: int) -> None:
    """Raise BadJson where a body is nested too deep, has too many values, or needs many times its bytes as text.

    It counts the colons and commas outside of texts, of which there are as many as values and keys, but for one in each
    container, and the containers. The scan is linear, and needed only where so many could be there, or where the body
    is large.
    """
    brackets = body.count(b"[") + body.count(b"{")
    is_large = len(body) > LARGE
    if not is_large and brackets <= DEEPEST and brackets + body.count(b":") + body.count(b",") <= most_values:
        return
    may_be_wide = len(body) > _LARGEST_WIDE and not (body.isascii() and b"\\u" not in body)
    if may_be_wide and not body.isascii():
        raise BadJson(_TOO_WIDE)
    depth = containers = separators = 0
    for token in _iter_tokens(body, may_be_wide):
        if token in b"[{":
            depth += 1
            containers += 1
            if depth > DEEPEST:
                raise BadJson(f"nested deeper than {DEEPEST} levels")
        elif token in b"]}":
            depth -= 1
        else:
            separators += 1
        if max(containers, separators) > most_values:
            raise BadJson(f"more than {most_values} values and keys")


def _iter_tokens(body: bytes, may_be_wide: bool) -> Iterator[bytes]:
    """Yield the brackets, colons and commas outside of texts.

    With `may_be_wide` it raises BadJson where too much text has characters outside ASCII, written as escapes.
    It looks at _WINDOW bytes at a time, because a search lets no other thread run before it ends.
    """
    index, end, wide = 0, len(body), 0
    while index < end:
        match = _TOKEN.search(body, index, index + _WINDOW)
        if match is None:
            index += _WINDOW
        elif match[0] == b'"':
            start, index = match.end(), _skip_text(body, match.end())
            if may_be_wide and _WIDE.search(body, start, index):
                wide += index - start
                if wide > _LARGEST_WIDE:
                    raise BadJson(_TOO_WIDE)
        else:
            yield match[0]
            index = match.end()


def _skip_text(body: bytes, start: int) -> int:
    """Return the index behind the text that begins at `start`."""
    index = body.find(b'"', start)
    if index < 0:
        return len(body)
    if body.find(b"\\", start, index) < 0:
        return index + 1
    index = start
    while body[index : index + 1] not in (b'"', b""):
        match = _IN_TEXT.match(body, index)
        assert match is not None
        if match.end() == index:  # a backslash at the very end
            break
        index = match.end()
    return index + 1


def _check_surrogates(value: Any) -> None:
    """Raise ValueError where a text in `value` has half of a surrogate pair, which cannot be encoded."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            if not one.isascii():
                one.encode("utf-8")
        elif isinstance(one, list):
            left += one
        elif isinstance(one, dict):
            left += one
            left += one.values()


def _refuse_constant(constant: str) -> float:
    raise BadJson(f"{constant} is not JSON")


def _parse_finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise BadJson("a number is too large")
    return number


_WINDOW: Final = 2**18  # bytes
_LARGEST_WIDE: Final = 32 * 2**20  # bytes; in memory, one character outside ASCII makes a text four times as large
_TOO_WIDE: Final = f"more than {_LARGEST_WIDE} bytes of text with characters outside ASCII"
_TOKEN: Final = re.compile(rb'["\[\]{},:]')
_IN_TEXT: Final = re.compile(rb'(?:[^"\\]{1,65536}+|\\.){0,1024}+', re.DOTALL)  # possessive: nothing to go back to
_WIDE: Final = re.compile(rb"\\u(?!00[0-7])")  # .NET writes a + of Base64 as \u002B
_NONE: Final[tuple[str, ...]] = ()
_SHORT: Final = 2**14  # bytes of a body that may be parsed twice
_PLAIN_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_parse_finite)
_DECODER: Final = json.JSONDecoder(
    parse_constant=_refuse_constant, parse_float=_parse_finite, object_pairs_hook=_make_object
)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
