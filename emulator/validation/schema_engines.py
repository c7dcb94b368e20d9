"""The two engines that hold a body against a request schema: jsonschema, which has the say, and jsonschema-rs.

jsonschema finds each rule that a body breaks. jsonschema-rs, of the extra `[speed]`, only says whether there is one, in
a hundredth of the time: a body that it takes needs no jsonschema, which then is imported with the first body that is
found wanting. It is asked only where the two cannot differ. Both are imported when a body first needs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from emulator.core.accelerators import find_accelerator
from emulator.core.bounded_schema import bound_validator, check_patterns
from emulator.core.json_schema import check_multiple
from emulator.core.phrases import format_path
from emulator.gateway.openapi import Document
from emulator.validation import size_rules

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator


class InvalidSchema(ValueError):
    """A schema that does not compile; its text says why."""


def build_validator(document: Document, ref: str, is_bounded: bool) -> Validator:
    """Return jsonschema's validator for what `ref` leads to; its work `is_bounded` for a file of the user's own."""
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    registry: Registry[Any] = Registry().with_resource(_URI, DRAFT202012.create_resource(document.root))
    validator_class = _find_validator_class()
    if is_bounded:
        validator_class = _find_bounded_class()
    return validator_class({"$ref": _URI + ref}, registry=registry)


class QuickCheck:
    """jsonschema-rs for one schema of a file that ships: it knows of most good bodies that they are good."""

    def __init__(self, rs: Any, document: Document, ref: str) -> None:
        """Compile what `ref` leads to with the module `rs`."""
        top = ref.split("/")[1]
        schema = {"$ref": ref, top: document.root[top]}
        keywords = {"x-emulator-size": _SizeKeyword}
        self._validator = rs.Draft202012Validator(schema, validate_formats=False, keywords=keywords)

    def accepts(self, body: Mapping[str, Any]) -> bool:
        """Whether `body` surely keeps the schema; False: jsonschema has to judge it."""
        if not _is_plain(body):
            return False
        try:
            accepts: bool = self._validator.is_valid(body)
        except Exception:  # noqa: BLE001 - whatever it stumbles over, such as half a surrogate pair, jsonschema judges
            return False
        return accepts


def find_quick_check(document: Document, ref: str, parts: Mapping[str, Any]) -> QuickCheck | None:
    """Return the quick check for a schema of a file that ships; None without jsonschema-rs, or where it could differ.

    `parts` are all that the schema consists of.
    """
    if not all(map(means_the_same, parts.values())):
        return None
    rs = find_accelerator("jsonschema_rs")
    if rs is None:
        return None
    try:
        return QuickCheck(rs, document, ref)
    except Exception:  # noqa: BLE001 - a version that takes no keywords of ours, or a schema that it does not take
        return None


def means_the_same(schema: Any) -> bool:
    """Whether both engines read each pattern in `schema` alike; in those of this subset they do.

    `$` means the end of the text alone in one, the classes such as `\\d` have more letters in the other, and so on.
    """
    if isinstance(schema, list):
        return all(map(means_the_same, schema))
    if not isinstance(schema, Mapping):
        return True
    pattern = schema.get("pattern", "")
    if isinstance(pattern, str) and not _COMMON_PATTERN.fullmatch(pattern):
        return False
    return "patternProperties" not in schema and all(map(means_the_same, schema.values()))


def _is_plain(value: Any) -> bool:
    """Whether `value` has the types of JSON alone, and no numbers of which the engines could think differently.

    A float may be an integer to the one, and an integer above 2**53 has no float that is its equal.
    """
    kind = value.__class__
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_LARGEST_EXACT < value < _LARGEST_EXACT)
    if kind is dict:
        return all(key.__class__ is str for key in value) and all(map(_is_plain, value.values()))
    return kind is list and all(map(_is_plain, value))


class _SizeKeyword:
    """The keyword `x-emulator-size` for jsonschema-rs."""

    def __init__(self, parent: Any, rule: Mapping[str, Any], path: Any) -> None:
        self._rule = rule

    def validate(self, value: Any) -> None:
        """Raise ValueError for a size that breaks the rule."""
        if isinstance(value, str) and any(size_rules.find_violations(self._rule, value)):
            raise ValueError(value)


def check_schema(name: str, schema: Any) -> None:
    """Raise InvalidSchema unless `schema`, of a user's own file, is a valid one, its patterns included."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
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


@cache
def _find_validator_class() -> type[Validator]:
    """Return jsonschema's validator of 2020-12, in which 1.0 is no integer; importing it takes 30 to 60 ms."""
    from jsonschema import Draft202012Validator, validators

    extended: type[Validator] = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        validators={"x-emulator-size": _check_size, "multipleOf": check_multiple},
        type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
    )
    return extended


@cache
def _find_bounded_class() -> type[Validator]:
    """Return the validator for files of the user's own."""
    return bound_validator(_find_validator_class())


def _check_size(_: Any, rule: Mapping[str, Any], value: Any, __: Any) -> Iterator[ValidationError]:
    """Check the keyword `x-emulator-size` for jsonschema; an error's message is its violation."""
    from jsonschema.exceptions import ValidationError

    if isinstance(value, str):
        for violation, part, limit in size_rules.find_violations(rule, value):
            yield ValidationError(violation, validator_value={part: limit})


def _is_integer(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_URI: Final = "urn:emulator:schema"
_ABOUT_KEYWORDS: Final = ("x-emulator-source", "x-emulator-breach")
"""Vendor keys whose members are called like keywords of a schema and are none."""
_LARGEST_EXACT: Final = 2**53  # all integers below it have a float that is their equal
_COMMON_PATTERN: Final = re.compile(r"(?:[^\\$.(&~]|\((?!\?)|\(\?!\[\\s\\S\]\))*+")
"""Patterns that both engines read alike: without escapes, flags, `.`, and `$`, whose place `(?![\\s\\S])` takes."""
