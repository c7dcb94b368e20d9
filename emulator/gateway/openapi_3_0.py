"""Puts OpenAPI 3.0's dialect of JSON Schema into 2020-12's words, so that one validator serves every version.

Only schemas are touched: those under `components`, and those of request bodies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def modernised(root: Mapping[str, Any], methods: Sequence[str]) -> tuple[Mapping[str, Any], list[str]]:
    """`root`, a document of 3.0, with its schemas in 2020-12's words, and where it used keywords of another version."""
    odd: list[str] = []
    components = dict(root.get("components") or {})
    components["schemas"] = {
        name: _modern(schema, f"components.schemas.{name}", odd)
        for name, schema in (components.get("schemas") or {}).items()
    }
    paths = {path: _modern_path(item, path, methods, odd) for path, item in (root.get("paths") or {}).items()}
    if isinstance(bodies := components.get("requestBodies"), Mapping):
        components["requestBodies"] = {name: _modern_body(body, name, odd) for name, body in bodies.items()}
    return {**root, "components": components, "paths": paths}, odd


def _modern_path(item: Any, path: str, methods: Sequence[str], odd: list[str]) -> Any:
    """A path item with the schemas of its request bodies modernised."""
    if not isinstance(item, Mapping):
        return item
    modern = dict(item)
    for method in methods:
        body = modern[method].get("requestBody") if isinstance(modern.get(method), Mapping) else None
        if body is not None:
            modern[method] = {**modern[method], "requestBody": _modern_body(body, f"{method} {path}", odd)}
    return modern


def _modern_body(body: Any, where: str, odd: list[str]) -> Any:
    """A request body with its schemas modernised."""
    if not isinstance(body, Mapping) or not isinstance(body.get("content"), Mapping):
        return body
    content = {
        kind: {**media, "schema": _modern(media.get("schema", {}), where, odd)}
        for kind, media in body["content"].items()
    }
    return {**body, "content": content}


def _modern(schema: Any, where: str, odd: list[str]) -> Any:
    """One schema of 3.0, and all below it, in 2020-12's words."""
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}  # 3.0: what stands beside a $ref is ignored
    modern = {key: value for key, value in schema.items() if key not in ("nullable", "example", "examples")}
    if "examples" in schema:
        odd.append(where)
    if isinstance(modern.get("properties"), Mapping):
        modern["properties"] = {n: _modern(part, f"{where}.{n}", odd) for n, part in modern["properties"].items()}
    for key in ("items", "additionalProperties", "not"):
        modern.update({key: _modern(modern[key], where, odd)} if key in modern else {})
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(modern.get(key), list):
            modern[key] = [_modern(part, where, odd) for part in modern[key]]
    _bound(modern)
    return _nullable(modern) if schema.get("nullable") is True else modern


def _bound(schema: dict[str, Any]) -> None:
    """Put 3.0's boolean exclusiveMinimum and exclusiveMaximum into numbers."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)


def _nullable(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]}
    allowed = {"enum": [*schema["enum"], None]} if "enum" in schema and None not in schema["enum"] else {}
    return {**schema, "type": [schema["type"], "null"], **allowed}
