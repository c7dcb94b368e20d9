"""The keywords of JSON Schema, and where in a schema there are schemas; nothing here needs jsonschema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Pointer = tuple[str | int, ...]


def iter_schemas(schema: Any, pointer: Pointer = ()) -> Iterator[tuple[Pointer, Mapping[Any, Any]]]:
    """Yield `schema`, which stands at `pointer`, and each schema inside it, with its place. No `$ref` is followed."""
    waiting: list[tuple[Pointer, Any]] = [(pointer, schema)]
    while waiting:
        place, node = waiting.pop()
        if not isinstance(node, Mapping):
            continue
        yield place, node
        waiting.extend(reversed(list(iter_subschemas(node, place))))


def iter_subschemas(schema: Mapping[Any, Any], pointer: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """Yield each schema that stands in `schema` without another between, with its place; it may be no mapping."""
    for keyword, value in schema.items():
        if keyword in _NAMED_SCHEMAS and isinstance(value, Mapping):
            yield from (((*pointer, keyword, name), part) for name, part in value.items())
        elif keyword in _LISTED_SCHEMAS and isinstance(value, list):
            yield from (((*pointer, keyword, index), part) for index, part in enumerate(value))
        elif keyword in _SINGLE_SCHEMAS:
            yield (*pointer, keyword), value


def is_keyword(word: Any) -> bool:
    """Return whether JSON Schema, in any of its versions, or OpenAPI's schemas have the keyword; `x-…` is anybody's."""
    return word in KEYWORDS or str(word).startswith("x-")


_SINGLE_SCHEMAS: Final = frozenset({
    "items", "additionalItems", "unevaluatedItems", "contains", "additionalProperties", "unevaluatedProperties",
    "propertyNames", "not", "if", "then", "else", "contentSchema",
})  # fmt: skip
_NAMED_SCHEMAS: Final = frozenset({
    "properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions",
})  # fmt: skip
_LISTED_SCHEMAS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems", "items"})
KEYWORDS: Final = _SINGLE_SCHEMAS | _NAMED_SCHEMAS | _LISTED_SCHEMAS | frozenset({
    "type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength",
    "minLength", "pattern", "format", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains",
    "maxProperties", "minProperties", "required", "dependentRequired",
    "$schema", "$id", "$anchor", "$ref", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor",
    "$vocabulary", "$comment", "id",
    "title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples", "contentEncoding",
    "contentMediaType",
    "discriminator", "xml", "externalDocs", "example", "nullable",  # of OpenAPI
    "errorMessage",  # of editors' JSON services, and of our own schemas
})  # fmt: skip
"""The keywords of JSON Schema from draft 4 to 2020-12, and those that OpenAPI adds."""
