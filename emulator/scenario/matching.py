"""Says how a call differs from what a rule, or a test, expects: no difference is a match.

One small class for each matcher, and the same list of differences serves the choice of a rule and the nearest miss.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from emulator.core.json_schema import ValueSchema


class _Absent:
    """What a field is that a call does not have; None is a value."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a call differs: `expected` and `came` are ready for people to read."""

    field: str
    expected: str
    came: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, came {self.came}"


class Matcher(Protocol):
    """Judges one value."""

    def misses(self, value: Any) -> str | None:
        """What was expected where `value` is not it; None where it is."""
        ...


@dataclass(frozen=True)
class Equal:
    """The very value; 1, 1.0 and true are three."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and self.misses(other.value) is None

    def __hash__(self) -> int:
        return hash(repr(self.value))

    def misses(self, value: Any) -> str | None:
        """The expected value, unless it came."""
        same = value.__class__ is self.value.__class__ and value == self.value
        return None if same else self._wanted

    @cached_property
    def _wanted(self) -> str:
        return _spelled(self.value)


@dataclass(frozen=True)
class AnyOf:
    """One of several."""

    matchers: tuple[Matcher, ...]

    def misses(self, value: Any) -> str | None:
        """All that would have done, unless one did."""
        missed = [matcher.misses(value) for matcher in self.matchers]
        return None if None in missed else "any of " + ", ".join(str(one) for one in missed)


@dataclass(frozen=True)
class AllOf:
    """Several at once."""

    matchers: tuple[Matcher, ...]

    def misses(self, value: Any) -> str | None:
        """What is missed of them."""
        missed = [one for matcher in self.matchers if (one := matcher.misses(value)) is not None]
        return " and ".join(missed) or None


@dataclass(frozen=True)
class Contains:
    """A text that has `part` in it, or a list that has it as a member."""

    part: Any

    def misses(self, value: Any) -> str | None:
        """The part, unless it is there."""
        there = str(self.part) in value if isinstance(value, str) else isinstance(value, list) and self.part in value
        return None if there else self._wanted

    @cached_property
    def _wanted(self) -> str:
        return f"something that contains {_spelled(self.part)}"


@dataclass(frozen=True)
class Matches:
    """A text in which a regular expression finds something."""

    pattern: re.Pattern[str]

    def misses(self, value: Any) -> str | None:
        """The pattern, unless it finds something."""
        found = isinstance(value, str) and self.pattern.search(value)
        return None if found else f"a text that matches {_spelled(self.pattern.pattern)}"


@dataclass(frozen=True)
class AtLeast:
    """A number not below `bound`."""

    bound: float

    def misses(self, value: Any) -> str | None:
        """The bound, unless it is kept."""
        return None if _is_number(value) and value >= self.bound else f"at least {self.bound}"


@dataclass(frozen=True)
class AtMost:
    """A number not above `bound`."""

    bound: float

    def misses(self, value: Any) -> str | None:
        """The bound, unless it is kept."""
        return None if _is_number(value) and value <= self.bound else f"at most {self.bound}"


@dataclass(frozen=True)
class Not:
    """Anything but what `matcher` takes."""

    matcher: Matcher

    def misses(self, value: Any) -> str | None:
        """What should not have come, if it came."""
        return "anything else" if self.matcher.misses(value) is None else None


@dataclass(frozen=True)
class IsAbsent:
    """A field that is not there (`absent` true), or is, whatever its value (false)."""

    absent: bool

    def misses(self, value: Any) -> str | None:
        """Whether it should have been there."""
        return None if (value is ABSENT) == self.absent else "nothing" if self.absent else "anything"


@dataclass(frozen=True)
class Fits:
    """A value that keeps a JSON Schema; two are equal where their schemas are `spelled` alike."""

    spelled: str
    schema: ValueSchema = field(compare=False, repr=False)

    def misses(self, value: Any) -> str | None:
        """The lines of the schema that are missed."""
        return "a value that keeps its schema" if value is ABSENT else self.schema.find_difference(value)


@dataclass(frozen=True)
class RequestPattern:
    """What a call must be like: conditions on its fields, each by its dotted path. Without any, every call matches."""

    conditions: tuple[tuple[str, Matcher], ...] = ()

    def takes(self, fields: Mapping[str, Any]) -> bool:
        """Whether a call with `fields` does not differ; quicker than to say how."""
        return all(matcher.misses(_at(fields, path)) is None for path, matcher in self.conditions)

    def differences(self, fields: Mapping[str, Any]) -> list[Difference]:
        """How a call with `fields` differs; none is a match."""
        found = []
        for path, matcher in self.conditions:
            value = _at(fields, path)
            if (expected := matcher.misses(value)) is not None:
                found.append(Difference(path, expected, _spelled(value)))
        return found


def read(value: Any) -> RequestPattern:
    """What a scenario writes behind `when`. Raises ValueError, in one line, for what cannot be meant."""
    if not isinstance(value, Mapping):
        raise ValueError(f"when is {value!r}; expected a mapping of fields")
    return RequestPattern(tuple(_conditions(value, "")))


def _conditions(value: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, Matcher]]:
    for key, expected in value.items():
        path = f"{prefix}{key}"
        plain = prefix == "" and key in _PLAIN
        if path == "headers" or (isinstance(expected, Mapping) and not plain and not set(expected) & set(MATCHERS)):
            if not isinstance(expected, Mapping) or not expected:
                raise ValueError(f"when {path} is {expected!r}; expected a mapping of names to values")
            yield from _conditions(
                {str(k).lower() if path == "headers" else k: v for k, v in expected.items()}, f"{path}."
            )
        else:
            yield path, _matcher(expected, path)


def _matcher(value: Any, path: str) -> Matcher:
    """One value means equal, a list means any of, a mapping holds matchers."""
    if isinstance(value, list):
        if not value:
            raise ValueError(f"when {path}: an empty list matches nothing")
        return AnyOf(tuple(_matcher(one, path) for one in value))
    if not isinstance(value, Mapping):
        return Equal(value)
    if not value:
        raise ValueError(f"when {path} is {{}}; expected a mapping of matchers: {', '.join(MATCHERS)}")
    for word in value:
        if word not in MATCHERS:
            raise ValueError(f"when {path}: unknown matcher {word!r}; known are {', '.join(MATCHERS)}")
    matchers = tuple(_made(word, given, path) for word, given in value.items())
    return matchers[0] if len(matchers) == 1 else AllOf(matchers)


def _made(word: str, given: Any, path: str) -> Matcher:
    try:
        if word in ("at_least", "at_most") and not _is_number(given):
            raise ValueError(f"{given!r} is no number")
        if word == "absent" and not isinstance(given, bool):
            raise ValueError(f"{given!r} is neither true nor false")
        matcher: Matcher = MATCHERS[word](given, path)
    except (ValueError, TypeError, OverflowError, re.error) as error:
        raise ValueError(f"when {path}: {word}: {error}") from None
    return matcher


def _fits(schema: Any) -> Matcher:
    from emulator.core.json_schema import ValueSchema  # few scenarios have a schema

    return Fits(json.dumps(schema, sort_keys=True, default=str), ValueSchema(schema))


def _at(fields: Mapping[str, Any], path: str) -> Any:
    """The value at a dotted path; a field whose own name has dots is found first."""
    if (found := fields.get(path, ABSENT)) is not ABSENT:
        return found
    head, dot, rest = path.partition(".")
    inner = fields.get(head, ABSENT)
    if not dot:
        return inner
    return _at(inner, rest) if isinstance(inner, Mapping) else ABSENT


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _spelled(value: Any) -> str:
    if value is ABSENT:
        return repr(value)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 100 else text[:97] + "..."


_PLAIN: Final = ("operation", "gateway", "model", "prompt", "n", "size", "turn")  # fields that have no fields inside
MATCHERS: Final[Mapping[str, Any]] = {
    "contains": lambda given, path: Contains(given),
    "matches": lambda given, path: Matches(re.compile(given)),
    "at_least": lambda given, path: AtLeast(given),
    "at_most": lambda given, path: AtMost(given),
    "not": lambda given, path: Not(_matcher(given, path)),
    "absent": lambda given, path: IsAbsent(given),
    "schema": lambda given, path: _fits(given),
}
