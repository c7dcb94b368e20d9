"""Which parameters of an edit are pictures, and what these have to be: `x-emulator-picture`, or a plain file's schema.

Pictures are judged in *inputs*; here is only read what the gateway's file says of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from emulator.core import yaml_file
from emulator.core.yaml_file import Pointer
from emulator.gateway.openapi import Document, Keyword
from emulator.image.upload import PictureRule


def read(document: Document, pointer: Pointer, schema: Any) -> Mapping[str, PictureRule]:
    """The rules of the parameters of `schema` that are pictures; raises InvalidFile."""
    found = {}
    for name, line in document.parameters(schema).items():
        node = {key: keyword.value for key, keyword in line.items()}
        if _KEY in line:
            found[name] = _rule(document.source, [*pointer, name, _KEY], line[_KEY], _is_list(document, node))
        elif _is_file(document, node):
            found[name] = PictureRule(many=_is_list(document, node))
    return found


def _rule(source: yaml_file.Source, pointer: Pointer, keyword: Keyword, many: bool | None) -> PictureRule:
    said = source.known_keys(pointer, keyword.value, _WORDS)
    for word, value in said.items():
        if not _WORDS[word](value):
            raise source.fault([*pointer, word], f"{word} is {value!r:.60}; expected {_EXPECTED[word]}")
    words: dict[str, Any] = {word: tuple(one) if isinstance(one, list) else one for word, one in said.items()}
    return PictureRule(many=many, source=keyword.source, **words)


def _is_file(document: Document, node: Any) -> bool:
    """Whether a schema means a file, or a list of files, as OpenAPI 3.0 or 3.1 says it."""
    node = document.resolve(node)
    if not isinstance(node, Mapping):
        return False
    if node.get("format") == "binary" or str(node.get("contentMediaType", "")).startswith(_MEDIA_TYPES):
        return "contentEncoding" not in node
    parts = [node["items"]] if "items" in node else []
    return any(_is_file(document, part) for part in (*parts, *node.get("anyOf", ()), *node.get("oneOf", ())))


def _is_list(document: Document, node: Any) -> bool | None:
    """Whether a schema means a list; None where it means a list or a single one."""
    node = document.resolve(node)
    kinds = {_is_list(document, part) for part in (*node.get("anyOf", ()), *node.get("oneOf", ()))}
    if kinds:
        return kinds.pop() if len(kinds) == 1 else None
    return bool(node.get("type") in ("array", ["array"]))


def _is_among(known: Sequence[str]) -> Any:
    return lambda value: isinstance(value, list) and bool(value) and all(one in known for one in value)


_KEY: Final = "x-emulator-picture"
_MEDIA_TYPES: Final = ("image/", "application/octet-stream")
_FORMATS: Final = ("png", "jpeg", "webp")
_MODES: Final = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16")
_WORDS: Final[Mapping[str, Any]] = {
    "formats": _is_among(_FORMATS),
    "bytes": lambda value: value.__class__ is int and value > 0,
    "types": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "square": lambda value: isinstance(value, bool),
    "modes": _is_among(_MODES),
    "alpha": lambda value: isinstance(value, bool),
    "fits": lambda value: isinstance(value, bool),
}
_EXPECTED: Final = {
    "formats": f"a list of {', '.join(_FORMATS)}",
    "bytes": "a whole number from 1",
    "types": "a list of media types",
    "square": "true or false",
    "modes": f"a list of {', '.join(_MODES)}",
    "alpha": "true or false",
    "fits": "true or false",
}
