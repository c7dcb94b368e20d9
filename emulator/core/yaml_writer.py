"""Writes values as YAML that `yaml_file` reads back as the same values: short ones in one line, others as blocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final


def write_yaml(value: Any, indent: int = 0) -> str:
    """Return a mapping or a list of JSON's values as YAML, each line `indent` blanks to the right.

    >>> print(write_yaml({"a": [1, "two words", "yes"], "b": {}}), end="")
    a: [1, two words, "yes"]
    b: {}
    """
    return "".join(f"{line}\n" for line in _write_block(value, indent))


def write_flow(value: Any) -> str:
    """Return any of JSON's values as YAML in one line."""
    match value:
        case str():
            return _write_text(value)
        case Mapping():
            return "{" + ", ".join(f"{_write_text(str(key))}: {write_flow(part)}" for key, part in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(write_flow, value)) + "]"
        case _:
            return json.dumps(value)


def _write_block(value: Any, indent: int) -> Iterator[str]:
    pad = " " * indent
    if isinstance(value, Mapping):
        for key, part in value.items():
            name = f"{pad}{_write_text(str(key))}:"
            if _is_short(part, indent + len(name)):
                yield f"{name} {write_flow(part)}"
            else:
                yield name
                yield from _write_block(part, indent + 2)
    else:
        for part in value:
            if _is_short(part, indent + 2):
                yield f"{pad}- {write_flow(part)}"
                continue
            first, *rest = _write_block(part, indent + 2)
            yield f"{pad}- {first[indent + 2 :]}"
            yield from rest


def _is_short(value: Any, taken: int) -> bool:
    """Return whether a value is written in one line: a scalar, an empty collection, or one that fits."""
    if not isinstance(value, Mapping | list | tuple) or not value:
        return True
    return taken + len(write_flow(value)) <= _LINE


def _write_text(text: str) -> str:
    """Return a text as it is where nobody can take it for something else, else in double quotes as JSON has them."""
    if len(text) <= _LINE and re.fullmatch(_PLAIN, text) and text.lower() not in _WORDS:
        return text
    return re.sub(_ESCAPED, lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


_LINE: Final = 110  # characters
_PLAIN: Final = r"[A-Za-z_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*"
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_ESCAPED: Final = "[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]"  # YAML has them as escapes only
