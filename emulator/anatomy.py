"""Takes a request schema apart: what it consists of, whether it compiles, and what it judges parameters by.

Nothing is judged here; *verdict* does, with what it learns here. Both are jsonschema's doors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from emulator.openapi import Document
from emulator.wording import path


class BadSchema(ValueError):
    """A schema that does not compile; its text says why."""


def live_rules(document: Document, ref: str) -> int:
    """How many lines of the schema at `ref` can refuse a body; 0 means that nothing is checked."""
    schema = document.at(ref)
    rules = sum(1 for parameter in document.parameters(schema).values() for key in parameter if key in _CONSTRAINTS)
    return rules + len(document.required(schema)) + (closing(schema) is not None)


def reachable(document: Document, ref: str) -> dict[str, Any]:
    """What `ref` leads to, and all that is referred to from there, by reference."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [{"$ref": ref}]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if isinstance(target := node.get("$ref"), str) and target not in found:
                found[target] = document.at(target)
                waiting.append(found[target])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found


def compile_part(place: str, schema: Any) -> None:
    """Raise BadSchema unless `schema` is a valid one, its patterns included."""
    try:
        Draft202012Validator.check_schema(schema)
        waiting = [schema]
        while waiting:
            node = waiting.pop()
            if isinstance(node, Mapping) and isinstance(pattern := node.get("pattern"), str):
                re.compile(pattern)
            waiting.extend(node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ())
    except SchemaError as error:
        raise BadSchema(f"{path([place, *error.absolute_path])}: {error.message}") from None
    except re.error as error:
        raise BadSchema(f"{place}: the pattern {node['pattern']!r} does not compile: {error}") from None


def closing(schema: Any) -> tuple[str, str | None] | None:
    """The keyword that closes `schema` to unknown parameters, and its source; None where it is open."""
    for keyword in CLOSING:
        if isinstance(schema, Mapping) and schema.get(keyword) is False:
            source = schema.get("x-emulator-source")
            return keyword, source.get(keyword) if isinstance(source, Mapping) else source
    return None


def judges_names(part: Any) -> bool:
    """Whether a part of a schema may judge parameters otherwise than one by one, by their names."""
    if not isinstance(part, Mapping):
        return False
    wholes = [*part.get("enum", ()), part.get("const")]  # of objects: they judge every parameter at once
    return (
        not _FAR_REACHING.isdisjoint(part)
        or any(isinstance(whole, Mapping) for whole in wholes)
        or any(isinstance(part.get(keyword), Mapping) for keyword in CLOSING)
        or any(judges_names(inner) for key in ("allOf", "anyOf", "oneOf") for inner in part.get(key, ()))
        or any(judges_names(part.get(key)) for key in ("if", "then", "else", "not"))
    )


def measured_by_length(parts: Mapping[str, Any]) -> frozenset[str]:
    """The parameters of which every mention in `parts` judges only type and length."""
    judged: dict[str, set[str]] = {}
    waiting = list(parts.values())
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping):
            continue
        waiting.extend(part[key] for key in ("if", "then", "else", "not") if key in part)
        for key in ("allOf", "anyOf", "oneOf"):
            waiting.extend(part.get(key, ()))
        for name, body in part.get("properties", {}).items():
            pieces = [body, parts.get(body["$ref"])] if "$ref" in body else [body]
            judged.setdefault(name, set()).update(key for piece in pieces for key in piece or ("unknown",))
    return frozenset(name for name, keywords in judged.items() if keywords <= _ABOUT_LENGTH)


_ABOUT_LENGTH: Final = frozenset({
    "type", "minLength", "maxLength", "$ref", "description", "title", "default", "deprecated", "examples",
    "x-emulator-source", "x-emulator-breach", "x-emulator-ignored", "x-emulator-means",
})  # fmt: skip
_FAR_REACHING: Final = frozenset({
    "patternProperties", "propertyNames", "dependentSchemas", "$dynamicRef", "minProperties", "maxProperties",
})  # fmt: skip
_CONSTRAINTS: Final = frozenset({
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "items", "minItems", "maxItems", "uniqueItems", "required", "properties", "anyOf", "oneOf",
    "not", "if", "$ref",
})  # fmt: skip
CLOSING: Final = ("unevaluatedProperties", "additionalProperties")
