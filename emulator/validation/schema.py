"""Validates a body against one model's request schema, and names each rule that the body breaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from emulator.core.bounded_schema import MOST_KEYWORDS, TooMuchWork, list_errors
from emulator.core.data_folders import is_shipped_schema
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import format_path, join_bare, join_quoted, name_go_kind, name_kind, quote
from emulator.gateway.openapi import Document
from emulator.messages import GatewayError, Violation
from emulator.validation.schema_engines import (
    InvalidSchema,
    QuickCheck,
    build_validator,
    check_schema,
    find_quick_check,
)
from emulator.validation.schema_parts import (
    CLOSING,
    TextRule,
    checks_known_names_only,
    collect_parts,
    find_closing,
    find_text_rules,
)

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_MOST_VIOLATIONS: Final = 20  # a client is shown one, a person reads a few


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
    """A request schema.

    Those of a user's file are checked and compiled at once. The tests check those that ship; they are compiled when a
    body first needs it.
    """

    def __init__(self, document: Document, ref: str, types_first: bool = False) -> None:
        """Take what `ref` (`#/…`) leads to in `document`; raises InvalidSchema.

        With `types_first` the types of all parameters are checked before any value.
        """
        self._types_first = types_first
        self._document, self._ref = document, ref
        self._is_trusted = is_shipped_schema(document.file.path)
        try:
            self._parts = collect_parts(document, ref)
            if not self._is_trusted:
                self._check_schema()
            self._order = {name: index for index, name in enumerate(document.read_parameters(self._parts[ref]))}
            self._checks_known_names_only = checks_known_names_only(self._parts, ref, self._order.keys())
        except (RecursionError, TypeError, AttributeError) as error:
            raise InvalidSchema(f"{ref}: {type(error).__name__}: {error}") from None
        self._closing = find_closing(self._parts[ref])

    @cached_property
    def text_rules(self) -> Mapping[str, TextRule | None] | None:
        """What the schema checks of each parameter as a text: None for one of which it is more than a TextRule.

        A parameter that the schema does not mention is not in it. None in place of the mapping means that the schema
        looks at parameters in other ways, so that nothing is known of any.
        """
        if not self._checks_known_names_only:
            return None
        rules = find_text_rules(self._parts)
        if self._is_trusted:
            return rules
        # The time that a pattern of somebody's own takes is bounded only inside of the validator.
        return {name: None if rule is None or rule.banned else rule for name, rule in rules.items()}

    def compile(self) -> None:
        """Do now what the first bad body would have to wait for.

        The quick check of good bodies is made when a body needs it: those of all models would take 12 MiB.
        """
        list_errors(self._validator, {})

    def find_violations(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        """Return the rules that `body` breaks, first the one that the client is told; none where it keeps them all."""
        order = self._order
        if not self._checks_known_names_only or body.keys() <= order.keys():
            return self._check(body)
        # jsonschema takes a time that grows with the square of unknown names, and here they are already found.
        violations = self._check({name: value for name, value in body.items() if name in order})
        if self._closing is None:
            return violations
        return self._refuse_unknown([name for name in body if name not in order], body) + violations

    @cached_property
    def _validator(self) -> Validator:
        return build_validator(self._document, self._ref, is_bounded=not self._is_trusted)

    @cached_property
    def _quick_check(self) -> QuickCheck | None:
        if not self._is_trusted:  # nothing bounds its work
            return None
        return find_quick_check(self._document, self._ref, self._parts)

    def _check_schema(self) -> None:
        """Raise InvalidSchema where a schema of a user's file is none, or cannot be compiled."""
        from referencing.exceptions import Unresolvable

        for name, part in self._parts.items():
            check_schema(name, part)
        try:
            list_errors(self._validator, {})
        except Unresolvable as error:
            raise InvalidSchema(f"{self._ref}: {type(error).__name__}: {error}") from None
        except TooMuchWork:
            message = f"{self._ref}: it applies more than {MOST_KEYWORDS} keywords to an empty body"
            raise InvalidSchema(message) from None

    def _check(self, body: Mapping[str, Any]) -> tuple[SchemaViolation, ...]:
        if self._quick_check is not None and self._quick_check.accepts(body):
            return ()
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

    def _rank(self, error: ValidationError, order: Mapping[str, int]) -> tuple[int, int, int]:
        """OpenAI's order: unknown parameters, then one parameter after the other; its type before its value."""
        if error.validator in CLOSING:
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
        if keyword in CLOSING:
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
            violation = _find_own_words(error).get(keyword, "missing")
            facts, value = {"param": param}, None
        else:
            violation, own_facts = _describe(keyword, error)
            facts = {"param": param, "value": quote(value), **own_facts}
            violation = _find_own_words(error).get(keyword, violation)
            if violation == "type":
                facts["decoded"], facts["decoded_value"] = name_go_kind(value)
        yield SchemaViolation(violation=violation, param=param, facts=facts, rule=rule, source=source, value=value)


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


def _find_missing(error: ValidationError) -> str:
    """Return the parameter that a `required` error is about; jsonschema names it in the message alone."""
    names: Any = error.validator_value
    return next((str(name) for name in names if error.message.startswith(f"{name!r} is ")), "")


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
