"""Takes a request schema apart: what it consists of, whether it compiles, and what it judges parameters by.

Nothing is judged here; *verdict* does, with what it learns here. Both are jsonschema's doors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from emulator.core.phrases import format_path
from emulator.gateway.openapi import Document
from emulator.validation import size_rules


class BadSchema(ValueError):
    """A schema that does not compile; its text says why."""


def live_rules(document: Document, ref: str) -> int:
    """How many lines of the schema at `ref`, and of all it includes, can refuse a body; 0: nothing is checked."""
    parts = reachable(document, ref)
    return sum(_constraints(part) for part in parts.values())


def _constraints(part: Any) -> int:
    """The constraining keywords in a part of a schema and in the schemas inside it."""
    if not isinstance(part, Mapping):
        return 1 if part is False else 0
    own = sum(1 for key in part if key in _CONSTRAINTS) + (closing(part) is not None) + len(part.get("required", ()))
    own += 0 if part.get("type", "object") == "object" else 1
    inner = [part[key] for key in ("not", "if", "then", "else", "items") if key in part]
    inner += [one for key in ("allOf", "anyOf", "oneOf") for one in part.get(key, ())]
    return int(own) + sum(map(_constraints, [*inner, *part.get("properties", {}).values()]))


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
            if isinstance(node, list):
                waiting.extend(node)
            elif isinstance(node, Mapping):
                if isinstance(pattern := node.get("pattern"), str):
                    re.compile(pattern)
                if "x-emulator-size" in node and (flaw := size_rules.flaw(node["x-emulator-size"])):
                    raise BadSchema(f"{place}: {flaw}")
                waiting.extend(value for key, value in node.items() if key not in _ABOUT_KEYWORDS)
    except SchemaError as error:
        raise BadSchema(f"{format_path([place, *error.absolute_path])}: {error.message}") from None
    except re.error as error:
        raise BadSchema(f"{place}: the pattern {node['pattern']!r} does not compile: {error}") from None


def closing(schema: Any) -> tuple[str, str | None] | None:
    """The keyword that closes `schema` to unknown parameters, and its source; None where it is open."""
    for keyword in CLOSING:
        if isinstance(schema, Mapping) and schema.get(keyword) is False:
            source = schema.get("x-emulator-source")
            return keyword, source.get(keyword) if isinstance(source, Mapping) else source
    return None


def by_name(document: Document, ref: str) -> bool:
    """Whether the schema at `ref` judges parameters only by the names that it knows at its top.

    Then unknown ones can be taken apart before it is asked; if a part far down may judge other names, they cannot.
    """
    parts = reachable(document, ref)
    top = parts[ref]
    known = set(document.parameters(top))
    return all(_about(part, known, part is top) for part in parts.values())


def _about(part: Any, known: set[str], at_top: bool) -> bool:
    if not isinstance(part, Mapping) or part.get("type", "object") not in ("object", ["object"]):
        return True
    wholes = [*part.get("enum", ()), part.get("const")]  # of objects: they judge every parameter at once
    closed = any(part.get(key) is False for key in CLOSING)
    inner = [part[key] for key in ("if", "then", "else", "not") if key in part]
    inner += [one for key in ("allOf", "anyOf", "oneOf") for one in part.get(key, ())]
    return (
        _FAR_REACHING.isdisjoint(part)
        and not any(isinstance(whole, Mapping) for whole in wholes)
        and not any(isinstance(part.get(key), Mapping) for key in CLOSING)
        and (at_top or not closed)
        and {*part.get("properties", {}), *part.get("required", ())} <= known
        and all(_about(one, known, False) for one in inner)
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


_ABOUT_KEYWORDS: Final = ("x-emulator-source", "x-emulator-breach")
"""What says something of keywords by their names, and has none itself."""
_ABOUT_LENGTH: Final = frozenset({
    "type", "minLength", "maxLength", "$ref", "description", "title", "default", "deprecated", "examples",
    "x-emulator-source", "x-emulator-breach", "x-emulator-ignored", "x-emulator-means",
})  # fmt: skip
_FAR_REACHING: Final = frozenset({
    "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames", "minProperties", "maxProperties",
    "$dynamicRef",
})  # fmt: skip
_CONSTRAINTS: Final = frozenset({
    "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "dependentRequired", "minProperties",
    "maxProperties", "propertyNames", "contains", "x-emulator-size",
})  # fmt: skip
CLOSING: Final = ("unevaluatedProperties", "additionalProperties")
