"""Looks at a request schema without a body: its parts, how many rules it has, and what it checks of which parameter.

Nothing here needs jsonschema, which takes long to import.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Set
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.gateway.openapi import Document


@dataclass(frozen=True, slots=True)
class TextRule:
    """All that schemas check of a parameter that is a text: its fewest and most characters, and what it may not hold.

    `banned` are the regular expressions that may not be found in it. A text that keeps a TextRule keeps everything that
    the schemas say of it; of one that breaks it, only they themselves know what they say.
    """

    shortest: int = 0
    longest: float = math.inf
    banned: tuple[str, ...] = ()

    def join(self, other: TextRule) -> TextRule:
        """Return the rule that a text keeps if it keeps both."""
        banned = tuple(dict.fromkeys(self.banned + other.banned))
        return TextRule(max(self.shortest, other.shortest), min(self.longest, other.longest), banned)


def count_live_rules(document: Document, ref: str) -> int:
    """Count the rules of the schema at `ref`, and of all it includes, that can refuse a body; 0: nothing is checked."""
    return sum(_count_constraints(part) for part in collect_parts(document, ref).values())


def _count_constraints(part: Any) -> int:
    """Count the constraining keywords in a part of a schema and in the schemas inside it."""
    if not isinstance(part, Mapping):
        return int(part is False)
    count = sum(1 for key in part if key in _CONSTRAINTS) + len(part.get("required", ()))
    if find_closing(part) is not None:
        count += 1
    if part.get("type", "object") != "object":
        count += 1
    inner = [part[key] for key in (*_CONDITIONS, "items") if key in part]
    for key in _COMBINATIONS:
        inner.extend(part.get(key, ()))
    inner.extend(part.get("properties", {}).values())
    return count + sum(map(_count_constraints, inner))


def collect_parts(document: Document, ref: str) -> dict[str, Any]:
    """Collect what `ref` leads to, and all that is referred to from there, by reference."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [{"$ref": ref}]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            target = node.get("$ref")
            if isinstance(target, str) and target not in found:
                found[target] = document.look_up(target)
                waiting.append(found[target])
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found


def find_closing(schema: Any) -> tuple[str, str | None] | None:
    """Return the keyword that closes `schema` to unknown parameters, and its source; None where it is open."""
    if not isinstance(schema, Mapping):
        return None
    for keyword in CLOSING:
        if schema.get(keyword) is False:
            source = schema.get("x-emulator-source")
            if isinstance(source, Mapping):
                source = source.get(keyword)
            return keyword, source
    return None


def checks_known_names_only(parts: Mapping[str, Any], ref: str, known: Set[str]) -> bool:
    """Whether the schema at `ref`, with its `parts`, checks only parameters that it names at its top: the `known` ones.

    Then unknown parameters can be taken out before it is asked; they cannot where a part far down checks other names.
    """
    top = parts[ref]
    return all(_names_only(part, known, part is top) for part in parts.values())


def _names_only(part: Any, known: Set[str], at_top: bool) -> bool:
    """Whether a part of a schema checks no parameters but the `known` ones."""
    if not isinstance(part, Mapping) or part.get("type", "object") not in ("object", ["object"]):
        return True
    wholes = [*part.get("enum", ()), part.get("const")]  # a whole object as a value checks every parameter at once
    closed = any(part.get(key) is False for key in CLOSING)
    inner = [part[key] for key in _CONDITIONS if key in part]
    for key in _COMBINATIONS:
        inner.extend(part.get(key, ()))
    return (
        _FAR_REACHING.isdisjoint(part)
        and not any(isinstance(whole, Mapping) for whole in wholes)
        and not any(isinstance(part.get(key), Mapping) for key in CLOSING)
        and (at_top or not closed)
        and {*part.get("properties", {}), *part.get("required", ())} <= known
        and all(_names_only(one, known, at_top=False) for one in inner)
    )


def find_text_rules(parts: Mapping[str, Any]) -> Mapping[str, TextRule | None]:
    """Return what the schemas in `parts` check of each parameter as a text; None where that is more than a TextRule.

    A parameter that none of them mentions is not in the result. Wherever a schema mentions it, in a condition or in an
    alternative as well, a text that keeps the rule has the same answer as any other.
    """
    rules: dict[str, TextRule | None] = {}
    for name, schema in _iter_mentions(parts):
        rule, found = rules.get(name, TextRule()), _read_text_rule(schema, parts, depth=0)
        rules[name] = None
        if rule is not None and found is not None:
            rules[name] = rule.join(found)
    return rules


def _iter_mentions(parts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each parameter that `parts` mention, with the schema that it has there."""
    waiting = list(parts.values())
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            waiting.extend(part[key] for key in _CONDITIONS if key in part)
            for key in _COMBINATIONS:
                waiting.extend(part.get(key, ()))
            yield from part.get("properties", {}).items()


def _read_text_rule(schema: Any, parts: Mapping[str, Any], depth: int) -> TextRule | None:
    """Return what `schema` checks of a text; None where it is more than a TextRule, or where no text is right."""
    if not isinstance(schema, Mapping) or not schema.keys() <= _ABOUT_TEXT or depth > _DEEPEST:
        return None
    if "string" not in schema.get("type", ("string",)):
        return None
    rule = TextRule(schema.get("minLength", 0), schema.get("maxLength", math.inf))
    if "not" in schema:
        banned = schema["not"]
        if not isinstance(banned, Mapping) or banned.keys() - {"type"} != {"pattern"}:
            return None
        if banned.get("type", "string") != "string":
            return None
        rule = rule.join(TextRule(banned=(banned["pattern"],)))
    if "$ref" in schema:
        referred = _read_text_rule(parts.get(schema["$ref"]), parts, depth + 1)
        if referred is None:
            return None
        rule = rule.join(referred)
    return rule


CLOSING: Final = ("unevaluatedProperties", "additionalProperties")
"""The keywords that can close a schema to parameters that it does not know."""
_CONDITIONS: Final = ("if", "then", "else", "not")
_COMBINATIONS: Final = ("allOf", "anyOf", "oneOf")
_ABOUT_TEXT: Final = frozenset({
    "type", "minLength", "maxLength", "not", "$ref", "description", "title", "default", "deprecated", "examples",
    "x-emulator-source", "x-emulator-breach", "x-emulator-parameter", "x-emulator-ignored", "x-emulator-means",
    "x-emulator-absent",
})  # fmt: skip
"""The keywords that check no more of a text than a TextRule has, if `not` has a pattern alone."""
_DEEPEST: Final = 20  # references of a parameter to another; more are surely a ring
_FAR_REACHING: Final = frozenset({
    "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames", "minProperties", "maxProperties",
    "$dynamicRef",
})  # fmt: skip
"""The keywords that check parameters which `properties` does not name."""
_CONSTRAINTS: Final = frozenset({
    "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "dependentRequired", "minProperties",
    "maxProperties", "propertyNames", "contains", "x-emulator-size",
})  # fmt: skip
