"""Makes validators of JSON Schema that come to an end, for schemas that people write and values from the network.

A schema of 2 kB can double its work at each level by `$ref`, and a pattern can take for ever. So each validation may
apply so many keywords, and patterns are searched in bounded time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from emulator.core.patterns import compile_pattern, has_free_repetition

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Keyword = Callable[[Any, Any, Any, Any], Iterator["ValidationError"] | None]
MOST_KEYWORDS: Final = 20_000  # that one validation applies: about 100 ms; a gateway's own schema applies under 200
MOST_PARTS: Final = 2_000  # of a schema in a scenario
MOST_LETTERS: Final = 20_000  # characters of a schema in a scenario
DEEPEST: Final = 64  # levels of a schema in a scenario; bodies have at most so many too


class TooMuchWork(Exception):
    """A validation has applied MOST_KEYWORDS keywords and has not come to its end."""


class _Effort(threading.local):
    """How many keywords the validation that runs in this thread may still apply."""

    left = MOST_KEYWORDS


_EFFORT: Final = _Effort()


def bound_validator(base: type[Validator]) -> type[Validator]:
    """Return the validator class `base`, whose validations raise TooMuchWork where they take too long."""
    from jsonschema import validators

    own: dict[str, Keyword] = {
        "pattern": _check_pattern,
        "patternProperties": _check_pattern_properties,
        "additionalProperties": _check_additional_properties,
    }
    keywords: Mapping[str, Any] = {**base.VALIDATORS, **own}
    counted = {name: _count(name, check) for name, check in keywords.items()}
    bounded: type[Validator] = validators.extend(base, validators=counted)  # type: ignore[no-untyped-call]
    return bounded


def list_errors(validator: Validator, value: Any) -> list[ValidationError]:
    """Return what a bounded validator finds wrong with `value`; raises TooMuchWork."""
    _EFFORT.left = MOST_KEYWORDS
    return list(validator.iter_errors(value))


def check_size(schema: Any) -> None:
    """Raise ValueError, in one line, for a schema with too many parts, levels or characters."""
    waiting = [(schema, 1)]
    parts = letters = 0
    while waiting:
        node, depth = waiting.pop()
        parts += 1
        if parts > MOST_PARTS:
            raise ValueError(f"the schema has more than {MOST_PARTS} parts")
        if depth > DEEPEST:
            raise ValueError(f"the schema has more than {DEEPEST} levels of parts inside of parts")
        if isinstance(node, Mapping):
            waiting.extend((part, depth + 1) for part in node.values())
            letters += sum(len(str(name)) for name in node)
        elif isinstance(node, list):
            waiting.extend((part, depth + 1) for part in node)
        elif isinstance(node, str):
            letters += len(node)
        if letters > MOST_LETTERS:
            raise ValueError(f"the schema has more than {MOST_LETTERS} characters")


def check_patterns(schema: Any) -> None:
    """Raise ValueError, in one line, for a pattern that does not compile, or whose time cannot be bounded."""
    key_patterns: list[str] = []
    has_unevaluated = False  # by which jsonschema searches with the patterns itself, in unbounded time
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if isinstance(node.get("pattern"), str):
                compile_pattern(node["pattern"])
            if isinstance(node.get("patternProperties"), Mapping):
                key_patterns.extend(node["patternProperties"])
            if "unevaluatedProperties" in node:
                has_unevaluated = True
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    for text in key_patterns:
        compile_pattern(text)
        if has_unevaluated and has_free_repetition(text):
            raise ValueError(
                f"patternProperties: {text!r} has one of * + ? {{, and beside unevaluatedProperties none is allowed"
            )


def _count(name: str, check: Keyword) -> Keyword:
    """Return the function of the keyword `name`, which counts how often it is called."""

    def check_and_count(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        _EFFORT.left -= 1
        if name == "uniqueItems" and isinstance(value, list):
            _EFFORT.left -= len(value) ** 2 // 1000  # it compares each item with each
        if _EFFORT.left < 0:
            raise TooMuchWork
        return check(validator, wanted, value, schema) or iter(())

    return check_and_count


def _check_pattern(validator: Any, pattern: str, value: Any, _: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if validator.is_type(value, "string") and not compile_pattern(pattern).finds(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _check_pattern_properties(
    validator: Any, patterns: Mapping[str, Any], value: Any, _: Any
) -> Iterator[ValidationError]:
    if not validator.is_type(value, "object"):
        return
    for pattern, schema in patterns.items():
        for name, part in value.items():
            if compile_pattern(pattern).finds(name):
                yield from validator.descend(part, schema, path=name, schema_path=pattern)


def _check_additional_properties(
    validator: Any, wanted: Any, value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError

    if not validator.is_type(value, "object"):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    others = [
        name
        for name in value
        if name not in known and not any(compile_pattern(pattern).finds(name) for pattern in patterns)
    ]
    if validator.is_type(wanted, "object"):
        for name in others:
            yield from validator.descend(value[name], wanted, path=name)
    elif not wanted and others:
        yield ValidationError(f"Additional properties are not allowed ({', '.join(map(repr, sorted(others)))})")
