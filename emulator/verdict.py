"""Holds a body against one model's request schema, and names each line of it that the body breaks.

This is jsonschema's door. A verdict that was reached once is kept: most bodies differ only in texts of which the schema
judges nothing but the length, and those share one verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import jsonschema
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from emulator.exchange import Breach
from emulator.openapi import Document
from emulator.wording import kind_of, listed, quoted

KEPT: Final = 4096  # verdicts for each model; a key is a few hundred bytes, so about 2 MB at the most
_LONGEST_KEPT: Final = 128  # characters; bodies with longer names or values are judged afresh rather than kept
_MOST_KEPT: Final = 32  # parameters; no gateway knows as many
_MOST_TOLD: Final = 20  # broken lines; a client is told one, a person reads a few


@dataclass(frozen=True, slots=True)
class Broken:
    """A line of a schema that a body breaks: `facts` are for the message, `rule` and `source` for the journal."""

    breach: Breach
    param: str
    facts: Mapping[str, str]
    rule: str
    source: str | None
    value: Any


class BadSchema(ValueError):
    """A schema that does not compile; its text says why."""


class Judge:
    """A request schema, compiled."""

    def __init__(self, document: Document, ref: str) -> None:
        """Compile what `ref` (`#/…`) leads to in `document`; raises BadSchema."""
        resource = DRAFT202012.create_resource(document.root)
        registry: Registry[Any] = Registry().with_resource(_URI, resource)
        self._validator = _Validator({"$ref": _URI + ref}, registry=registry)
        try:
            parts = _reachable(document, ref)
            for place, part in parts.items():
                _compile(place, part)
            list(self._validator.iter_errors({}))
            self._order = {name: index for index, name in enumerate(document.parameters(parts[ref]))}
        except (Unresolvable, RecursionError, TypeError, AttributeError) as error:
            raise BadSchema(f"{ref}: {type(error).__name__}: {error}") from None
        self._measured = _measured_by_length(parts)
        self._kept: dict[Any, tuple[Broken, ...]] = {}

    def verdict(self, body: Mapping[str, Any]) -> tuple[Broken, ...]:
        """The lines that `body` breaks, the one to tell the client first; none: the body keeps the schema."""
        key = self._key(body)
        if key is not None and (known := self._kept.get(key)) is not None:
            return known
        errors = sorted(self._validator.iter_errors(body), key=self._rank)
        broken = tuple(islice((found for error in errors for found in self._broken(error)), _MOST_TOLD))
        if key is not None and not any(found.param in self._measured and found.value is not None for found in broken):
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = broken
        return broken

    def _key(self, body: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What the verdict depends on, or None where that is too much to keep."""
        if len(body) > _MOST_KEPT:
            return None
        parts: list[Any] = []
        for name, value in body.items():
            if len(name) > _LONGEST_KEPT:
                return None
            if value.__class__ is str:
                if name in self._measured:
                    parts.append((name, len(value)))
                    continue
                if len(value) > _LONGEST_KEPT:
                    return None
            elif value.__class__ not in _PLAIN:
                return None
            parts.append((name, value, value.__class__))  # the class keeps 1, 1.0 and true apart
        return tuple(parts)

    def _rank(self, error: ValidationError) -> tuple[int, int, int]:
        """OpenAI's order: unknown parameters, then one parameter after the other; its type before its value."""
        if error.validator in ("unevaluatedProperties", "additionalProperties"):
            return (0, 0, 0)
        name = _missing(error) if error.validator == "required" else next(iter(error.absolute_path), "")
        return (1, self._order.get(str(name), len(self._order)), 0 if error.validator == "type" else 1)

    def _broken(self, error: ValidationError) -> Iterator[Broken]:
        """jsonschema's error in our words: mostly one, none where it only repeats another, one an unknown parameter."""
        keyword = str(error.validator)
        schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
        source = schema.get("x-emulator-source")
        if isinstance(source, Mapping):
            source = source.get(keyword)
        renamed: Mapping[str, Breach] = schema.get("x-emulator-breach", {})
        rule = f"{keyword}: {quoted(error.validator_value)}"
        if keyword in _CLOSING:
            # A property that fails its own schema counts as unevaluated too: name only what is truly unknown.
            known = schema.get("properties", {}) if error.absolute_path else self._order
            instance: Any = error.instance
            for name in instance:
                if name not in known:
                    param = _path([*error.absolute_path, name])
                    yield Broken("unknown_parameter", param, {"param": param}, rule, source, instance[name])
            return
        if keyword == "required":
            param = _path([*error.absolute_path, _missing(error)])
            yield Broken("missing", param, {"param": param}, rule, source, None)
            return
        param = _path(list(error.absolute_path))
        facts = {"param": param, "value": quoted(error.instance)}
        breach = _breach(keyword, error, facts)
        yield Broken(renamed.get(keyword, breach), param, facts, rule, source, error.instance)


def live_rules(document: Document, ref: str) -> int:
    """How many lines of the schema at `ref` can refuse a body; 0 means that nothing is checked."""
    schema = document.at(ref)
    rules = sum(1 for parameter in document.parameters(schema).values() for key in parameter if key in _CONSTRAINTS)
    closed = isinstance(schema, Mapping) and any(schema.get(key) is False for key in _CLOSING)
    return rules + len(document.required(schema)) + closed


def _breach(keyword: str, error: ValidationError, facts: dict[str, str]) -> Breach:
    """The breach's usual word; puts what its message names into `facts`."""
    limit: Any = error.validator_value
    instance = error.instance
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    if keyword in ("enum", "const"):
        facts["supported"] = listed(limit if keyword == "enum" else [limit], "and")
        return "enum"
    if keyword == "type":
        kinds = [limit] if isinstance(limit, str) else list(limit)
        facts["actual"] = kind_of(instance)
        facts["expected"] = _KINDS[kinds[0]] if len(kinds) == 1 else "one of " + " or ".join(_KINDS[k] for k in kinds)
        facts["supported"] = listed(schema.get("enum", ()), "or")
        return "enum_type" if "enum" in schema else "type"
    if keyword in _BOUNDS:
        facts["limit"] = str(limit)
        if isinstance(instance, str | list):
            facts["length"] = str(len(instance))
        return "empty_string" if keyword == "minLength" and not instance else _BOUNDS[keyword]
    return "other"


def _missing(error: ValidationError) -> str:
    """The parameter that a `required` error is about; jsonschema says it in the message alone."""
    names: Any = error.validator_value
    return next((str(name) for name in names if error.message.startswith(f"{name!r} is ")), "")


def _path(steps: Sequence[str | int]) -> str:
    """`images[0].image_url`, as OpenAI writes it."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def _reachable(document: Document, ref: str) -> dict[str, Any]:
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


def _compile(place: str, schema: Any) -> None:
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
        raise BadSchema(f"{_path([place, *error.absolute_path])}: {error.message}") from None
    except re.error as error:
        raise BadSchema(f"{place}: the pattern {node['pattern']!r} does not compile: {error}") from None


def _measured_by_length(parts: Mapping[str, Any]) -> frozenset[str]:
    """The parameters of which every mention in `parts` judges only type and length; none if a part judges from afar."""
    judged: dict[str, set[str]] = {}
    waiting = list(parts.values())
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping):
            continue
        wholes = [*part.get("enum", ()), part.get("const")]  # of objects: they judge every parameter at once
        if _FAR_REACHING & part.keys() or any(isinstance(whole, Mapping) for whole in wholes):
            return frozenset()
        waiting.extend(part[key] for key in ("if", "then", "else", "not") if key in part)
        for key in ("allOf", "anyOf", "oneOf"):
            waiting.extend(part.get(key, ()))
        for name, body in part.get("properties", {}).items():
            pieces = [body, parts.get(body["$ref"])] if "$ref" in body else [body]
            judged.setdefault(name, set()).update(key for piece in pieces for key in piece or ("unknown",))
    return frozenset(name for name, keywords in judged.items() if keywords <= _ABOUT_LENGTH)


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_URI: Final = "urn:emulator:schema"
_Validator: Final[type[Validator]] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)
_PLAIN: Final = (int, float, bool, type(None))
_CLOSING: Final = ("unevaluatedProperties", "additionalProperties")
_ABOUT_LENGTH: Final = frozenset({
    "type", "minLength", "maxLength", "$ref", "description", "title", "default", "deprecated", "examples",
    "x-emulator-source", "x-emulator-breach", "x-emulator-ignored", "x-emulator-means",
})  # fmt: skip
_FAR_REACHING: Final = frozenset({"patternProperties", "propertyNames", "dependentSchemas", "$dynamicRef"})
_CONSTRAINTS: Final = frozenset({
    "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "pattern", "items", "minItems", "maxItems", "uniqueItems", "required", "properties", "anyOf", "oneOf",
    "not", "if", "$ref",
})  # fmt: skip
_BOUNDS: Final[Mapping[str, Breach]] = {
    "minLength": "too_short",
    "maxLength": "too_long",
    "minimum": "below_minimum",
    "exclusiveMinimum": "below_minimum",
    "maximum": "above_maximum",
    "exclusiveMaximum": "above_maximum",
    "minItems": "too_few_items",
}
_KINDS: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
