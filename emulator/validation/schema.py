"""Validates a body against one model's request schema, and names each rule that the body breaks.

This is the only module here that uses jsonschema. The result for a body is kept: most bodies differ only in texts of
which the schema checks nothing but the length, and those bodies share one result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import Any, Final

import jsonschema
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from emulator.core.bounded_schema import MOST_KEYWORDS, TooMuchWork, bound_validator, check_patterns, list_errors
from emulator.core.data_folders import is_shipped_schema
from emulator.core.json_schema import check_multiple
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import format_path, join_bare, join_quoted, name_go_kind, name_kind, quote
from emulator.gateway.openapi import Document
from emulator.messages import GatewayError, Violation
from emulator.validation import size_rules

MOST_KEPT: Final = 4096  # results for each model; a key is a few hundred bytes, so about 2 MB at the most
_LONGEST_KEPT: Final = 128  # characters; a body with longer names or values is checked afresh rather than kept
_MOST_VIOLATIONS: Final = 20  # a client is shown one, a person reads a few


class InvalidSchema(ValueError):
    """A schema that does not compile; its text says why."""


@dataclass(frozen=True, slots=True)
class SchemaViolation:
    """A rule of a schema that a body breaks: `facts` are for the message, `rule` and `source` for the journal."""

    violation: Violation
    param: str
    facts: Mapping[str, str]
    rule: str
    source: str | None
    value: Any

    @property
    def keyword(self) -> str:
        """The keyword of the schema that is broken."""
        return self.rule.partition(":")[0]

    def build_error(self, model: str | None, by_upstream: bool = False) -> GatewayError:
        """Build the error that refuses a call of `model` for this violation."""
        facts, value = self.facts, self.value
        if self.violation == "unsupported_parameter":  # its message names the model, and no value
            facts, value = {**facts, "model": model or ""}, None
        return GatewayError(
            kind="invalid_request",
            param=self.param,
            violation=self.violation,
            facts=facts,
            rule=self.rule,
            source=self.source,
            value=value,
            model=model,
            upstream=by_upstream,
        )


class SchemaValidator:
    """A request schema, compiled."""

    def __init__(self, document: Document, ref: str, types_first: bool = False) -> None:
        """Compile what `ref` (`#/…`) leads to in `document`; raises InvalidSchema.

        With `types_first` the types of all parameters are checked before any value.
        """
        self._types_first = types_first
        resource = DRAFT202012.create_resource(document.root)
        registry: Registry[Any] = Registry().with_resource(_URI, resource)
        is_trusted = is_shipped_schema(document.file.path)
        validator_class = _Validator
        if not is_trusted:
            validator_class = _bounded_validator_class()
        self._validator = validator_class({"$ref": _URI + ref}, registry=registry)
        try:
            parts = _collect_parts(document, ref)
            for name, part in parts.items():
                _check_part(name, part, is_trusted)
            list_errors(self._validator, {})
            self._order = {name: index for index, name in enumerate(document.read_parameters(parts[ref]))}
            self._checks_known_names_only = _checks_known_names_only(document, ref)
        except (Unresolvable, RecursionError, TypeError, AttributeError) as error:
            raise InvalidSchema(f"{ref}: {type(error).__name__}: {error}") from None
        except TooMuchWork:
            raise InvalidSchema(f"{ref}: it applies more than {MOST_KEYWORDS} keywords to an empty body") from None
        self._closing = _find_closing(parts[ref])
        self._measured: frozenset[str] = frozenset()
        if self._checks_known_names_only:
            self._measured = _find_measured_parameters(parts)
        self._kept: dict[tuple[Any, ...], tuple[SchemaViolation, ...]] = {}

    def find_violations(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """Return the rules that `body` breaks, first the one that the client is told; none where it keeps them all."""
        if not self._checks_known_names_only:
            return self._check(body)
        order = self._order
        if body.keys() <= order.keys():
            return self._check_known(body)
        # jsonschema takes a time that grows with the square of unknown names, and here they are already found.
        violations = self._check_known({name: value for name, value in body.items() if name in order})
        if self._closing is None:
            return violations
        return self._refuse_unknown([name for name in body if name not in order], body) + violations

    def _check_known(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """Return the violations of a body of known parameters, found now or earlier."""
        key = self._build_key(body)
        if key is None:
            return self._check(body)
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        violations = self._check(body)
        # The key of a measured text holds its length alone, and a violation holds the text.
        if not any(violation.param in self._measured and violation.value is not None for violation in violations):
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = violations
        return violations

    def _check(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        order = self._order
        if self._types_first:
            # A decoder stops at the first parameter, as the client wrote them, that has a wrong type.
            order = {name: index for index, name in enumerate(body)}
        try:
            errors = list_errors(self._validator, body)
        except TooMuchWork:  # of a schema of the user's own: what cannot be judged is not passed on
            return (_describe_endless(body),)
        errors.sort(key=lambda error: self._rank(error, order))
        found = (violation for error in errors for violation in self._translate(error))
        return tuple(islice(found, _MOST_VIOLATIONS))

    def _refuse_unknown(self, names: Sequence[str], body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """Return the violations of a schema that is closed to parameters that it does not know."""
        assert self._closing is not None
        keyword, source = self._closing
        return tuple(
            _unknown_parameter(name, body[name], f"{keyword}: false", source) for name in names[:_MOST_VIOLATIONS]
        )

    def _build_key(self, body: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return what the violations depend on, or None where that is too much to keep."""
        key: list[Any] = []
        measured = self._measured
        for name, value in body.items():
            kind = value.__class__  # it keeps 1, 1.0 and true apart
            if kind is str:
                if name in measured:
                    value = len(value)
                elif len(value) > _LONGEST_KEPT:
                    return None
            elif kind not in _SCALARS:
                return None
            key += (name, value, kind)
        return tuple(key)

    def _rank(self, error: ValidationError, order: Mapping[str, int]) -> tuple[int, int, int]:
        """OpenAI's order: unknown parameters, then one parameter after the other; its type before its value."""
        if error.validator in _CLOSING:
            return (0, 0, 0)
        name = str(next(iter(error.absolute_path), ""))
        if error.validator == "required":
            name = _find_missing(error)
        is_type = error.validator == "type" or _find_own_words(error).get(str(error.validator)) == "type"
        if self._types_first and is_type:
            return (0, order.get(name, len(order)), 0)
        return (1, self._order.get(name, len(self._order)), int(not is_type))

    def _translate(self, error: ValidationError) -> Iterator[SchemaViolation]:
        """Yield jsonschema's error as our violations.

        Mostly that is one; it is none where the error only repeats another, and one for each unknown parameter.
        """
        keyword = str(error.validator)
        schema = _schema_of(error)
        source = schema.get("x-emulator-source")
        if isinstance(source, Mapping):
            source = source.get(keyword)
        rule = f"{keyword}: {quote(error.validator_value)}"
        if keyword in _CLOSING:
            # A property that fails its own schema counts as unevaluated too: name only what is truly unknown.
            known = self._order
            if error.absolute_path:
                known = schema.get("properties", {})
            instance: Any = error.instance
            for name in instance:
                if name not in known:
                    yield _unknown_parameter(format_path([*error.absolute_path, name]), instance[name], rule, source)
            return
        value: Any = error.instance
        param = format_path(list(error.absolute_path))
        violation: Violation
        if keyword == "required":
            param = format_path([*error.absolute_path, _find_missing(error)])
            violation, facts, value = "missing", {"param": param}, None
        else:
            violation, own_facts = _describe(keyword, error)
            facts = {"param": param, "value": quote(value), **own_facts}
            violation = _find_own_words(error).get(keyword, violation)
            if violation == "type":
                facts["decoded"], facts["decoded_value"] = name_go_kind(value)
        yield SchemaViolation(violation=violation, param=param, facts=facts, rule=rule, source=source, value=value)


def count_live_rules(document: Document, ref: str) -> int:
    """Count the rules of the schema at `ref`, and of all it includes, that can refuse a body; 0: nothing is checked."""
    return sum(_count_constraints(part) for part in _collect_parts(document, ref).values())


def _count_constraints(part: Any) -> int:
    """Count the constraining keywords in a part of a schema and in the schemas inside it."""
    if not isinstance(part, Mapping):
        return int(part is False)
    count = sum(1 for key in part if key in _CONSTRAINTS) + len(part.get("required", ()))
    if _find_closing(part) is not None:
        count += 1
    if part.get("type", "object") != "object":
        count += 1
    inner = [part[key] for key in (*_CONDITIONS, "items") if key in part]
    for key in _COMBINATIONS:
        inner.extend(part.get(key, ()))
    inner.extend(part.get("properties", {}).values())
    return count + sum(map(_count_constraints, inner))


def _collect_parts(document: Document, ref: str) -> dict[str, Any]:
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


def _check_part(name: str, schema: Any, is_trusted: bool) -> None:
    """Raise InvalidSchema unless `schema` is a valid one, its patterns included."""
    try:
        if not is_trusted:
            check_patterns(schema)
        Draft202012Validator.check_schema(schema)
        waiting = [schema]
        while waiting:
            node = waiting.pop()
            if isinstance(node, list):
                waiting.extend(node)
            elif isinstance(node, Mapping):
                _check_keywords(name, node)
                waiting.extend(value for key, value in node.items() if key not in _ABOUT_KEYWORDS)
    except SchemaError as error:
        raise InvalidSchema(f"{format_path([name, *error.absolute_path])}: {error.message}") from None
    except ValueError as error:
        raise InvalidSchema(f"{name}: {error}") from None


def _check_keywords(name: str, node: Mapping[str, Any]) -> None:
    pattern = node.get("pattern")
    if isinstance(pattern, str):
        try:
            re.compile(pattern)
        except re.error as error:
            raise InvalidSchema(f"{name}: the pattern {pattern!r} does not compile: {error}") from None


def _describe_endless(body: Mapping[str, Any]) -> SchemaViolation:
    """Return the violation of a body to which a schema applies more keywords than a validation may."""
    name = str(next(iter(body), "model"))
    return SchemaViolation(
        violation="other",
        param=name,
        facts={"param": name, "value": quote(body.get(name))},
        rule=f"its schema applies more than {MOST_KEYWORDS} keywords",
        source="assumed",
        value=None,
    )


@cache
def _bounded_validator_class() -> type[Validator]:
    """Return the validator for files of the user's own."""
    return bound_validator(_Validator)


def _find_closing(schema: Any) -> tuple[str, str | None] | None:
    """Return the keyword that closes `schema` to unknown parameters, and its source; None where it is open."""
    if not isinstance(schema, Mapping):
        return None
    for keyword in _CLOSING:
        if schema.get(keyword) is False:
            source = schema.get("x-emulator-source")
            if isinstance(source, Mapping):
                source = source.get(keyword)
            return keyword, source
    return None


def _checks_known_names_only(document: Document, ref: str) -> bool:
    """Whether the schema at `ref` checks only parameters that it names at its top.

    Then unknown parameters can be taken out before it is asked; they cannot where a part far down checks other names.
    """
    parts = _collect_parts(document, ref)
    top = parts[ref]
    known = set(document.read_parameters(top))
    return all(_names_only(part, known, part is top) for part in parts.values())


def _names_only(part: Any, known: set[str], at_top: bool) -> bool:
    """Whether a part of a schema checks no parameters but the `known` ones."""
    if not isinstance(part, Mapping) or part.get("type", "object") not in ("object", ["object"]):
        return True
    wholes = [*part.get("enum", ()), part.get("const")]  # a whole object as a value checks every parameter at once
    closed = any(part.get(key) is False for key in _CLOSING)
    inner = [part[key] for key in _CONDITIONS if key in part]
    for key in _COMBINATIONS:
        inner.extend(part.get(key, ()))
    return (
        _FAR_REACHING.isdisjoint(part)
        and not any(isinstance(whole, Mapping) for whole in wholes)
        and not any(isinstance(part.get(key), Mapping) for key in _CLOSING)
        and (at_top or not closed)
        and {*part.get("properties", {}), *part.get("required", ())} <= known
        and all(_names_only(one, known, at_top=False) for one in inner)
    )


def _find_measured_parameters(parts: Mapping[str, Any]) -> frozenset[str]:
    """Return the parameters of which every mention in `parts` checks only type and length."""
    keywords: dict[str, set[str]] = {}
    waiting = list(parts.values())
    while waiting:
        part = waiting.pop()
        if not isinstance(part, Mapping):
            continue
        waiting.extend(part[key] for key in _CONDITIONS if key in part)
        for key in _COMBINATIONS:
            waiting.extend(part.get(key, ()))
        for name, body in part.get("properties", {}).items():
            pieces = [body]
            if "$ref" in body:
                pieces.append(parts.get(body["$ref"]))
            for piece in pieces:
                keywords.setdefault(name, set()).update(piece or ("unknown",))
    return frozenset(name for name, used in keywords.items() if used <= _ABOUT_LENGTH)


def _unknown_parameter(param: str, value: Any, rule: str, source: str | None) -> SchemaViolation:
    return SchemaViolation(
        violation="unknown_parameter", param=param, facts={"param": param}, rule=rule, source=source, value=value
    )


def _schema_of(error: ValidationError) -> Mapping[str, Any]:
    if isinstance(error.schema, Mapping):
        return error.schema
    return {}


def _find_own_words(error: ValidationError) -> Mapping[str, Violation]:
    """Return the violations that a schema gives for its keywords, where they are not the usual ones."""
    words: Mapping[str, Violation] = _schema_of(error).get("x-emulator-breach", {})
    return words


def _describe(keyword: str, error: ValidationError) -> tuple[Violation, dict[str, str]]:
    """Return the usual violation of `keyword`, and the facts that its message names."""
    limit: Any = error.validator_value
    if keyword == "x-emulator-size":
        violation: Violation = error.message  # type: ignore[assignment]  # `_check_size` put it there
        return violation, {"limit": str(next(iter(limit.values())))}
    if keyword == "const":
        return _describe_enum([limit])
    if keyword == "enum":
        return _describe_enum(limit)
    if keyword == "type":
        return _describe_type(error)
    if keyword not in _BOUNDS:
        return "other", {}
    facts = {"limit": str(limit)}
    if isinstance(error.instance, str | list):
        facts["length"] = str(len(error.instance))
    if keyword == "minLength" and not error.instance:
        return "empty_string", facts
    return _BOUNDS[keyword], facts


def _describe_enum(values: Sequence[Any]) -> tuple[Violation, dict[str, str]]:
    shown = _drop_null(values)
    return "enum", {"supported": join_quoted(shown, "and"), "choices": join_bare(shown, "and")}


def _describe_type(error: ValidationError) -> tuple[Violation, dict[str, str]]:
    wanted: Any = error.validator_value
    types = _drop_null([wanted] if isinstance(wanted, str) else wanted, null="null")
    schema = _schema_of(error)
    expected = " or ".join(_TYPE_NAMES[name] for name in types)
    if len(types) > 1:
        expected = f"one of {expected}"
    facts = {
        "actual": name_kind(error.instance),
        "expected": expected,
        "supported": join_quoted(_drop_null(schema.get("enum", ())), "or"),
    }
    if "enum" in schema:
        return "enum_type", facts
    return "type", facts


def _drop_null(values: Sequence[Any], null: Any = None) -> Sequence[Any]:
    """Return the values that a message shows: a null that is allowed counts as not given, so no message asks for it."""
    return [value for value in values if value != null] or values


def _check_size(_: Any, rule: Mapping[str, Any], value: Any, __: Any) -> Iterator[ValidationError]:
    """Check the keyword `x-emulator-size` for jsonschema; an error's message is its violation."""
    if isinstance(value, str):
        for violation, part, limit in size_rules.find_violations(rule, value):
            yield ValidationError(violation, validator_value={part: limit})


def _find_missing(error: ValidationError) -> str:
    """Return the parameter that a `required` error is about; jsonschema names it in the message alone."""
    names: Any = error.validator_value
    return next((str(name) for name in names if error.message.startswith(f"{name!r} is ")), "")


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_CLOSING: Final = ("unevaluatedProperties", "additionalProperties")
_CONDITIONS: Final = ("if", "then", "else", "not")
_COMBINATIONS: Final = ("allOf", "anyOf", "oneOf")
_ABOUT_KEYWORDS: Final = ("x-emulator-source", "x-emulator-breach")
"""Vendor keys whose members are called like keywords of a schema and are none."""
_ABOUT_LENGTH: Final = frozenset({
    "type", "minLength", "maxLength", "$ref", "description", "title", "default", "deprecated", "examples",
    "x-emulator-source", "x-emulator-breach", "x-emulator-ignored", "x-emulator-means",
})  # fmt: skip
"""The keywords that check no more of a text than its length."""
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
_URI: Final = "urn:emulator:schema"
_Validator: Final[type[Validator]] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    validators={"x-emulator-size": _check_size, "multipleOf": check_multiple},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)
_SCALARS: Final = (int, float, bool, type(None))
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
_TYPE_NAMES: Final = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
