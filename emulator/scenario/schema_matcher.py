"""Holds a value against a JSON Schema that a scenario or a test writes, and says which of its lines the value misses.

A schema is judged when it is given, not when it bites, and it refers to nothing but itself: nothing is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jsonschema
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012


class Fitting:
    """A JSON Schema (2020-12), compiled."""

    def __init__(self, schema: Any) -> None:
        """Compile `schema`; raises ValueError, in one line, for what is none."""
        if not isinstance(schema, Mapping):
            raise ValueError(f"{schema!r} is no JSON Schema, which is a mapping such as {{type: string}}")
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"{_place(error.absolute_path) or 'the schema'}: {_short(error.message)}") from None
        resolver = Registry[Any]().resolver_with_root(DRAFT202012.create_resource(schema))
        for ref in _references(schema):
            try:
                resolver.lookup(ref)
            except Unresolvable:
                raise ValueError(f"{ref!r} leads to nothing in the schema itself, and nothing is fetched") from None
        self._validator = _Validator(schema, registry=Registry[Any]())
        try:
            for value in _SAMPLES:
                list(self._validator.iter_errors(value))
        except RecursionError:
            raise ValueError("the schema refers to itself and comes to no end") from None

    def misses(self, value: Any) -> str | None:
        """What was expected where `value` is not it; None where it is."""
        try:
            errors = sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
        except RecursionError:
            return "a value that is less deep"
        told = dict.fromkeys(map(_told, errors))
        return "a value that keeps " + " and ".join(list(told)[:_MOST_TOLD]) if told else None


def _told(error: ValidationError) -> str:
    """The line of the schema that was missed, and where in the value."""
    line = f"{error.validator}: {_short(_spelled(error.validator_value))}" if error.validator else "false"
    place = _place(error.absolute_path)
    return f"{line} at {place}" if place else line


def _references(node: Any) -> Iterator[str]:
    """All that a schema refers to."""
    if isinstance(node, Mapping):
        yield from (node[key] for key in ("$ref", "$dynamicRef") if isinstance(node.get(key), str))
    for part in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _references(part)


def _place(steps: Sequence[str | int]) -> str:
    """A place inside of a value, as people write it: tags[0].name."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _spelled(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "..."


def _is_integer(_: Any, value: Any) -> bool:
    """1.0 is none, here as in the gateways' own rules."""
    return isinstance(value, int) and not isinstance(value, bool)


_Validator: Final[type[Validator]] = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
)
_SAMPLES: Final[Sequence[Any]] = (None, True, 0, 1.5, "", "x", [], [0], {}, {"x": 0})
_MOST_TOLD: Final = 3  # lines; a person reads a few
