"""Gives the parts of a schema the source of the whole, where they have none of their own: `x-emulator-source`.

The files that ship say it at each parameter. People who write one for themselves say it once, at the schema.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

from emulator.core.schema_keywords import iter_subschemas

KEY: Final = "x-emulator-source"


def spread_sources(root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an OpenAPI document in which each part of a schema has the source of the nearest schema around it.

    A schema that refers to another and has none itself has the other's, but never gives it one: others may refer to it
    too. A mapping of keywords to sources is about its schema alone. `root` stays as it is.
    """
    spread = copy.deepcopy(root)  # what an alias shares stays shared
    waiting: list[tuple[Any, str | None]] = [(schema, None) for schema in _iter_root_schemas(spread)]
    seen: set[int] = set()
    while waiting:
        schema, source = waiting.pop()
        if not isinstance(schema, dict) or id(schema) in seen:
            continue
        seen.add(id(schema))
        own = schema.get(KEY)
        if isinstance(own, str):
            source = own
        elif isinstance(own, Mapping):
            source = None
        elif schema.keys() != _REFERENCE:
            source = source or _find_referred(spread, schema)
            if source is not None:
                schema[KEY] = source
        waiting.extend((part, source) for _, part in iter_subschemas(schema))
    return spread


def _find_referred(root: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Return the source of the schema that `schema` refers to, or of the one that that refers to; None without one."""
    followed: set[str] = set()
    node: Any = schema
    while isinstance(node, Mapping):
        source, ref = node.get(KEY), node.get("$ref")
        if source is not None:
            return source if isinstance(source, str) else None
        if not isinstance(ref, str) or ref in followed:
            return None
        followed.add(ref)
        node = root
        for step in ref.removeprefix("#/").split("/"):
            node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    return None


def _iter_root_schemas(root: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the named schemas, and those of the bodies of requests."""
    components = root.get("components") or {}
    yield from (components.get("schemas") or {}).values()
    bodies = [*(components.get("requestBodies") or {}).values()]
    for item in (root.get("paths") or {}).values():
        if isinstance(item, Mapping):
            bodies += [node.get("requestBody") for node in item.values() if isinstance(node, Mapping)]
    for body in bodies:
        if isinstance(body, Mapping):
            yield from (media.get("schema") for media in (body.get("content") or {}).values())


_REFERENCE: Final = {"$ref"}
