"""Holds a body against one model's request schema, and names each line of it that the body breaks.

This is jsonschema's door. A verdict that was reached once is kept: most bodies differ only in texts of which the schema
judges nothing but the length, and those share one verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import jsonschema
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from emulator.core.phrases import format_path, join_bare, join_quoted, name_go_kind, name_kind, quote
from emulator.gateway.openapi import Document
from emulator.messages import Violation
from emulator.validation import schema_parts, size_rules
from emulator.validation.schema_parts import CLOSING, BadSchema

KEPT: Final = 4096  # verdicts for each model; a key is a few hundred bytes, so about 2 MB at the most
_LONGEST_KEPT: Final = 128  # characters; bodies with longer names or values are judged afresh rather than kept
_MOST_TOLD: Final = 20  # broken lines; a client is told one, a person reads a few


@dataclass(frozen=True, slots=True)
class SchemaViolation:
    """A line of a schema that a body breaks: `facts` are for the message, `rule` and `source` for the journal."""

    violation: Violation
    param: str
    facts: Mapping[str, str]
    rule: str
    source: str | None
    value: Any


class SchemaValidator:
    """A request schema, compiled."""

    def __init__(self, document: Document, ref: str, types_first: bool = False) -> None:
        """Compile what `ref` (`#/…`) leads to in `document`; raises BadSchema.

        With `types_first` the types of all parameters are judged before any value.
        """
        self._types_first = types_first
        resource = DRAFT202012.create_resource(document.root)
        registry: Registry[Any] = Registry().with_resource(_URI, resource)
        self._validator = _Validator({"$ref": _URI + ref}, registry=registry)
        try:
            parts = schema_parts.reachable(document, ref)
            for place, part in parts.items():
                schema_parts.compile_part(place, part)
            list(self._validator.iter_errors({}))
            self._order = {name: index for index, name in enumerate(document.parameters(parts[ref]))}
            self._by_name = schema_parts.by_name(document, ref)
        except (Unresolvable, RecursionError, TypeError, AttributeError) as error:
            raise BadSchema(f"{ref}: {type(error).__name__}: {error}") from None
        self._closed = schema_parts.closing(parts[ref])
        self._measured = schema_parts.measured_by_length(parts) if self._by_name else frozenset()
        self._kept: dict[Any, tuple[SchemaViolation, ...]] = {}

    def verdict(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """The lines that `body` breaks, the one to tell the client first; none: the body keeps the schema."""
        if not self._by_name:
            return self._judged(body)
        unknown = [name for name in body if name not in self._order]
        if not unknown:
            return self._remembered(body)
        # jsonschema takes a time that grows with the square of unknown names; we have just found them.
        broken = self._remembered({name: value for name, value in body.items() if name in self._order})
        return self._strangers(unknown, body) + broken if self._closed else broken

    def _remembered(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """The verdict on a body of known parameters, reached now or earlier."""
        key = self._key(body)
        if key is not None and (known := self._kept.get(key)) is not None:
            return known
        broken = self._judged(body)
        if key is not None and not any(found.param in self._measured and found.value is not None for found in broken):
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = broken
        return broken

    def _judged(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        # A decoder stops at the first parameter, as the client wrote them, that has a wrong type.
        order = {name: index for index, name in enumerate(body)} if self._types_first else self._order
        errors = sorted(self._validator.iter_errors(body), key=lambda error: self._rank(error, order))
        return tuple(islice((found for error in errors for found in self._broken(error)), _MOST_TOLD))

    def _strangers(self, names: Sequence[str], body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """The breaches of a schema that is closed to parameters it does not know."""
        assert self._closed is not None
        keyword, source = self._closed
        return tuple(
            SchemaViolation("unknown_parameter", name, {"param": name}, f"{keyword}: false", source, body[name])
            for name in names[:_MOST_TOLD]
        )

    def _key(self, body: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What the verdict depends on, or None where that is too much to keep."""
        parts: list[Any] = []
        for name, value in body.items():
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

    def _rank(self, error: ValidationError, order: Mapping[str, int]) -> tuple[int, int, int]:
        """OpenAI's order: unknown parameters, then one parameter after the other; its type before its value."""
        if error.validator in CLOSING:
            return (0, 0, 0)
        name = str(_missing(error) if error.validator == "required" else next(iter(error.absolute_path), ""))
        of_type = error.validator == "type" or _renamed(error).get(str(error.validator)) == "type"
        if self._types_first and of_type:
            return (0, order.get(name, len(order)), 0)
        return (1, self._order.get(name, len(self._order)), 0 if of_type else 1)

    def _broken(self, error: ValidationError) -> Iterator[SchemaViolation]:
        """jsonschema's error in our words: mostly one, none where it only repeats another, one an unknown parameter."""
        keyword = str(error.validator)
        schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
        source = schema.get("x-emulator-source")
        if isinstance(source, Mapping):
            source = source.get(keyword)
        rule = f"{keyword}: {quote(error.validator_value)}"
        if keyword in CLOSING:
            # A property that fails its own schema counts as unevaluated too: name only what is truly unknown.
            known = schema.get("properties", {}) if error.absolute_path else self._order
            instance: Any = error.instance
            for name in instance:
                if name not in known:
                    param = format_path([*error.absolute_path, name])
                    yield SchemaViolation("unknown_parameter", param, {"param": param}, rule, source, instance[name])
            return
        if keyword == "required":
            param = format_path([*error.absolute_path, _missing(error)])
            yield SchemaViolation("missing", param, {"param": param}, rule, source, None)
            return
        param = format_path(list(error.absolute_path))
        facts = {"param": param, "value": quote(error.instance)}
        violation = _violation(keyword, error, facts)
        violation = _renamed(error).get(keyword, violation)
        if violation == "type":
            facts["decoded"], facts["decoded_value"] = name_go_kind(error.instance)
        yield SchemaViolation(violation, param, facts, rule, source, error.instance)


def _renamed(error: ValidationError) -> Mapping[str, Violation]:
    """The words for breaches of a schema's keywords, where they are not the usual ones."""
    renamed: Mapping[str, Violation] = (
        error.schema.get("x-emulator-breach", {}) if isinstance(error.schema, Mapping) else {}
    )
    return renamed


def _violation(keyword: str, error: ValidationError, facts: dict[str, str]) -> Violation:
    """The breach's usual word; puts what its message names into `facts`."""
    limit: Any = error.validator_value
    instance = error.instance
    schema: Mapping[str, Any] = error.schema if isinstance(error.schema, Mapping) else {}
    if keyword == "x-emulator-size":
        facts["limit"] = str(next(iter(limit.values())))
        return error.message  # type: ignore[return-value]  # `_sized` put it there
    if keyword in ("enum", "const"):
        told = _named(limit if keyword == "enum" else [limit])
        facts["supported"], facts["choices"] = join_quoted(told, "and"), join_bare(told, "and")
        return "enum"
    if keyword == "type":
        # A null that is allowed counts as not given: nobody is told to send one.
        kinds = [limit] if isinstance(limit, str) else [kind for kind in limit if kind != "null"] or list(limit)
        facts["actual"] = name_kind(instance)
        facts["expected"] = _KINDS[kinds[0]] if len(kinds) == 1 else "one of " + " or ".join(_KINDS[k] for k in kinds)
        facts["supported"] = join_quoted(_named(schema.get("enum", ())), "or")
        return "enum_type" if "enum" in schema else "type"
    if keyword in _BOUNDS:
        facts["limit"] = str(limit)
        if isinstance(instance, str | list):
            facts["length"] = str(len(instance))
        return "empty_string" if keyword == "minLength" and not instance else _BOUNDS[keyword]
    return "other"


def _named(values: Sequence[Any]) -> Sequence[Any]:
    """The values of a list that a client is told; null counts as not given."""
    return [value for value in values if value is not None] or values


def _sized(_: Any, rule: Mapping[str, Any], value: Any, __: Any) -> Iterator[ValidationError]:
    """The keyword `x-emulator-size`, for jsonschema: an error's message is its breach."""
    if isinstance(value, str):
        for violation, part, limit in size_rules.misses(rule, value):
            yield ValidationError(violation, validator_value={part: limit})


def _missing(error: ValidationError) -> str:
    """The parameter that a `required` error is about; jsonschema says it in the message alone."""
    names: Any = error.validator_value
    return next((str(name) for name in names if error.message.startswith(f"{name!r} is ")), "")


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_URI: Final = "urn:emulator:schema"
_Validator: Final[type[Validator]] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"x-emulator-size": _sized},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
_PLAIN: Final = (int, float, bool, type(None))
_BOUNDS: Final[Mapping[str, Violation]] = {
    "minLength": "too_short",
    "maxLength": "too_long",
    "minimum": "below_minimum",
    "exclusiveMinimum": "below_minimum",
    "maximum": "above_maximum",
    "exclusiveMaximum": "above_maximum",
    "minItems": "too_few_items",
    "maxItems": "too_many_items",
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
