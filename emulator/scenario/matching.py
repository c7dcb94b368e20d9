"""Says how a call differs from what a rule, or a test, expects: no difference is a match.

Each matcher is one small class. The same list of differences serves the choice of a rule, near misses and verification.
The second half of the module checks patterns themselves: misspelled fields, contradictions, and patterns that cover
each other.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, Protocol

from emulator.core.light_dataclass import dataclass
from emulator.core.patterns import Pattern
from emulator.core.phrases import shorten_text
from emulator.core.suggestions import describe_unknown, nearest_word

if TYPE_CHECKING:
    from emulator.core.json_schema import ValueSchema


class _Absent:
    """The value of a field that a call does not have; None is a value of its own."""

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
    """Checks one value."""

    def misses(self, value: Any) -> str | None:
        """Return what was expected where `value` does not match; None where it matches."""
        ...


_SIMPLE: Final = (str, int, float, NoneType)  # of which a long list is a set


@dataclass(frozen=True)
class Equal:
    """Takes one value; 1, 1.0 and true are three values."""

    value: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal) and self.misses(other.value) is None

    def __hash__(self) -> int:
        return hash(repr(self.value))

    def misses(self, value: Any) -> str | None:
        """Return the expected value, unless it came."""
        if value.__class__ is self.value.__class__ and value == self.value:
            return None
        return self._expected

    @cached_property
    def _expected(self) -> str:
        return _write_value(self.value)


@dataclass(frozen=True)
class AnyOf:
    """Takes what one of several matchers takes."""

    matchers: tuple[Matcher, ...]

    def misses(self, value: Any) -> str | None:
        """Return everything that matches, unless the value does."""
        if self.values is not None:
            if isinstance(value, _SIMPLE) and (value.__class__, value) in self.values:
                return None
            return self._expected
        missed = [matcher.misses(value) for matcher in self.matchers]
        if None in missed:
            return None
        return "any of " + ", ".join(str(one) for one in missed)

    @cached_property
    def values(self) -> frozenset[tuple[type, Any]] | None:
        """The values that match, each with its type; None where they cannot be listed."""
        values = [matcher.value for matcher in self.matchers if isinstance(matcher, Equal)]
        if len(values) < len(self.matchers) or not all(isinstance(value, _SIMPLE) for value in values):
            return None
        return frozenset((value.__class__, value) for value in values)

    @cached_property
    def _expected(self) -> str:
        return "any of " + ", ".join(str(matcher.misses(ABSENT)) for matcher in self.matchers)


@dataclass(frozen=True)
class AllOf:
    """Takes what all of several matchers take."""

    matchers: tuple[Matcher, ...]

    def misses(self, value: Any) -> str | None:
        """Return what the matchers that do not match expected."""
        missed = [matcher.misses(value) for matcher in self.matchers]
        return " and ".join(one for one in missed if one is not None) or None


@dataclass(frozen=True)
class Contains:
    """Takes a text with `part` in it, or a list with `part` as a member."""

    part: Any

    def misses(self, value: Any) -> str | None:
        """Return the part, unless the value has it."""
        if isinstance(value, str) and str(self.part) in value:
            return None
        if isinstance(value, list) and self.part in value:
            return None
        return self._expected

    @cached_property
    def _expected(self) -> str:
        return f"something that contains {_write_value(self.part)}"


@dataclass(frozen=True)
class Matches:
    """Takes a text in which a regular expression finds something."""

    pattern: Pattern

    def misses(self, value: Any) -> str | None:
        """Return the pattern, unless it finds something; a search that takes too long finds nothing, and is told."""
        found = isinstance(value, str) and self.pattern.finds(value)
        if found:
            return None
        expected = f"a text that matches {_write_value(self.pattern.text)}"
        if found is None:
            expected += ", which was given up as it took too long"
        return expected


@dataclass(frozen=True)
class AtLeast:
    """Takes a number that is not below `bound`."""

    bound: float

    def misses(self, value: Any) -> str | None:
        """Return the bound, unless the value keeps it."""
        if _is_number(value) and value >= self.bound:
            return None
        return f"at least {self.bound}"


@dataclass(frozen=True)
class AtMost:
    """Takes a number that is not above `bound`."""

    bound: float

    def misses(self, value: Any) -> str | None:
        """Return the bound, unless the value keeps it."""
        if _is_number(value) and value <= self.bound:
            return None
        return f"at most {self.bound}"


@dataclass(frozen=True)
class Not:
    """Takes everything that `matcher` does not take, an absent field too."""

    matcher: Matcher

    def misses(self, value: Any) -> str | None:
        """Return `anything else` where the inner matcher takes the value."""
        if self.matcher.misses(value) is None:
            return "anything else"
        return None


@dataclass(frozen=True)
class IsAbsent:
    """Takes a field that is not there (`absent` true), or one that is, whatever its value (false)."""

    absent: bool

    def misses(self, value: Any) -> str | None:
        """Return `nothing` or `anything`, whichever was expected."""
        if (value is ABSENT) == self.absent:
            return None
        if self.absent:
            return "nothing"
        return "anything"


@dataclass(frozen=True)
class Fits:
    """Takes a value that keeps a JSON Schema; two are equal where the texts of their schemas are."""

    text: str
    schema: ValueSchema = field(compare=False, repr=False)

    def misses(self, value: Any) -> str | None:
        """Return the keywords of the schema that the value does not keep."""
        if value is ABSENT:
            return "a value that keeps its schema"
        return self.schema.find_difference(value)


Condition = tuple[str, Matcher]
"""The dotted path of a field, and what it has to be."""
Check = Callable[[Mapping[str, Any]], bool]
"""Tells whether the fields of a call keep a condition."""


@dataclass(frozen=True)
class RequestPattern:
    """What a call must be like: conditions on its fields, by dotted path. Without any, every call matches.

    A condition on a parameter takes what was sent or what counts: `size: auto` and `size: 1024x1024` both take a call
    that sent `auto`, which means 1024x1024 to its model.
    """

    conditions: tuple[Condition, ...] = ()

    def matches(self, fields: Mapping[str, Any]) -> bool:
        """Return whether a call with `fields` does not differ; this takes a tenth of the time that it takes to say how.

        It is asked for each rule above the one that answers, of each call.
        """
        for check in self._checks:  # noqa: SIM110 - all() with a generator takes twice the time
            if not check(fields):
                return False
        return True

    @cached_property
    def names_turn(self) -> bool:
        """Whether a condition is about the turn of a call, which is another each time."""
        return any(path.partition(".")[0] == "turn" for path, _ in self.conditions)

    @cached_property
    def _checks(self) -> tuple[Check, ...]:
        return tuple(_compile_condition(path, matcher) for path, matcher in self.conditions)

    def differences(self, fields: Mapping[str, Any]) -> list[Difference]:
        """Return how a call with `fields` differs; no difference is a match."""
        found = []
        for path, matcher in self.conditions:
            expected = _find_miss(matcher, fields, path)
            if expected is not None:
                found.append(Difference(path, expected, _describe_came(fields, path)))
        return found


def parse_pattern(value: Any) -> RequestPattern:
    """Make a pattern of what a scenario writes behind `when`; raises ValueError, in one line."""
    if not isinstance(value, Mapping):
        raise ValueError(f"when is {value!r}; expected a mapping of fields")
    return RequestPattern(tuple(_parse_conditions(value, "")))


def check_fields(pattern: RequestPattern, parameters: Collection[str], fields: Collection[str] = ()) -> tuple[str, ...]:
    """Refuse misspelled fields of `pattern`, and return the unknown ones that are like no known word.

    `parameters` are those of the known gateways, `fields` those that a call has beside CALL_FIELDS. Raises ValueError,
    in one line with the nearest known word.

    >>> check_fields(parse_pattern({"promt": "A cat"}), ["prompt"])
    Traceback (most recent call last):
    ValueError: unknown field 'promt'; did you mean 'prompt'?
    >>> check_fields(parse_pattern({"sharpness": 3}), ["prompt"])
    ('sharpness',)
    """
    known = [*CALL_FIELDS, *fields, *parameters]
    unknown = list_unknown_fields(pattern, known)
    for name in unknown:
        _refuse_near_word("field", name, known)
    for path, _ in pattern.conditions:
        name, *inner = path.removeprefix(_SENT).split(".")
        if name == "uploads":
            _check_upload_field(inner)
        elif name != "headers" and path.removeprefix(_SENT) not in known:
            for step in inner:  # `{user: {containz: x}}` reads like a field inside of another
                _refuse_near_word("matcher", step, MATCHERS)
    return unknown


def list_unknown_fields(pattern: RequestPattern, known: Collection[str]) -> tuple[str, ...]:
    """Return the fields of `pattern` that are not `known`, each once; of a dotted path the first name counts."""
    paths = (path.removeprefix(_SENT) for path, _ in pattern.conditions)
    names = (path.partition(".")[0] for path in paths if path not in known)
    return tuple(name for name in dict.fromkeys(names) if name not in known)


def check_choices(pattern: RequestPattern, choices: Mapping[str, Collection[str]]) -> None:
    """Raise ValueError where a field of `choices` is compared with a word that it never has."""
    for path, matcher in pattern.conditions:
        if path in choices:
            _check_words(path, matcher, choices[path])


def find_contradiction(pattern: RequestPattern) -> str | None:
    """Return, in words, why no call can match; None where nothing is found that rules it out.

    >>> find_contradiction(parse_pattern({"n": {"at_least": 5, "at_most": 3}}))
    'n cannot be at least 5 and at most 3'
    """
    by_path: dict[str, list[Matcher]] = {}
    for path, matcher in pattern.conditions:
        by_path.setdefault(path, []).extend(_split_matcher(matcher))
    for path, matchers in by_path.items():
        for place, matcher in enumerate(matchers):
            for other in matchers[:place]:
                if count_parts(other) * count_parts(matcher) > _MOST_PAIRS:
                    continue  # as said above: nothing is found
                if excludes(other, matcher, path):
                    return f"{path} cannot be {describe_matcher(other)} and {describe_matcher(matcher)}"
    return None


def covers_pattern(wide: RequestPattern, narrow: RequestPattern) -> bool:
    """Return whether every call that `narrow` takes is one that `wide` takes; False where that is not certain."""
    return all(
        any(path == other and covers(matcher, narrower, path) for other, narrower in narrow.conditions)
        for path, matcher in wide.conditions
    )


def covers(wide: Matcher, narrow: Matcher, path: str) -> bool:
    """Return whether `wide` takes every value of the field `path` that `narrow` takes; False where not certain."""
    if wide == narrow:
        return True
    if isinstance(wide, Not) and not isinstance(narrow, Not) and path in _RESOLVED_FIELDS:
        return False  # what was sent may be what `wide` excludes, and what counts be what `narrow` takes
    match narrow:
        case Equal(value):
            return wide.misses(value) is None
        case AnyOf() if isinstance(wide, AnyOf) and wide.values is not None and narrow.values is not None:
            return narrow.values <= wide.values
        case AnyOf(parts):
            return all(covers(wide, part, path) for part in parts)
        case AllOf(parts) if any(covers(wide, part, path) for part in parts):
            return True
    match wide:
        case AnyOf(parts):
            return any(covers(part, narrow, path) for part in parts)
        case AllOf(parts):
            return all(covers(part, narrow, path) for part in parts)
    return _covers_simple(wide, narrow, path)


def _covers_simple(wide: Matcher, narrow: Matcher, path: str) -> bool:
    """Compare two matchers neither of which is made of parts that can be compared one by one."""
    match wide, narrow:
        case Not(inner), Not(other):
            return covers(other, inner, path)
        case Not(inner), _:
            return excludes(inner, narrow, path)
        case AtLeast(bound), AtLeast(other_bound):
            return other_bound >= bound
        case AtMost(bound), AtMost(other_bound):
            return other_bound <= bound
        case Contains(str(part)), Contains(str(longer)):
            return path in _TEXT_FIELDS and part in longer
        case IsAbsent(False), _:
            return narrow.misses(ABSENT) is not None
    return False


def count_parts(matcher: Matcher) -> int:
    """Return how many parts of a matcher are compared one by one; values in a list are found at once."""
    match matcher:
        case AnyOf(parts) if matcher.values is None:
            return sum(map(count_parts, parts))
        case AllOf(parts):
            return sum(map(count_parts, parts))
    return 1


def excludes(one: Matcher, other: Matcher, path: str) -> bool:
    """Return whether no value of the field `path` is taken by both; False where that is not certain."""
    match one, other:
        case (Equal(value), matcher) | (matcher, Equal(value)):
            return matcher.misses(value) is not None
        case (AnyOf(parts), matcher) | (matcher, AnyOf(parts)):
            return all(excludes(part, matcher, path) for part in parts)
        case (AllOf(parts), matcher) | (matcher, AllOf(parts)):
            return any(excludes(part, matcher, path) for part in parts)
        case (AtLeast(least), AtMost(most)) | (AtMost(most), AtLeast(least)):
            return least > most
        case (IsAbsent(True), matcher) | (matcher, IsAbsent(True)):
            return matcher.misses(ABSENT) is not None
        case (Not(inner), matcher) | (matcher, Not(inner)):
            return covers(inner, matcher, path)
    return False


def describe_matcher(matcher: Matcher) -> str:
    """Return what a matcher takes, in a few words.

    >>> describe_matcher(Not(Equal("dall-e-3")))
    'anything but "dall-e-3"'
    """
    match matcher:
        case Not(inner):
            return f"anything but {describe_matcher(inner)}"
        case AnyOf(parts):
            return "any of " + ", ".join(map(describe_matcher, parts))
        case AllOf(parts):
            return " and ".join(map(describe_matcher, parts))
        case IsAbsent(True):
            return "absent"
        case IsAbsent(False):
            return "there"
    return str(matcher.misses(ABSENT))


def _check_upload_field(steps: Sequence[str]) -> None:
    """Refuse what no upload is called, and what no upload has."""
    if steps and not re.fullmatch(_UPLOAD, steps[0]):
        line = (
            f"unknown upload {steps[0][:100]!r}; known are image, image[0], image[1] and so on, mask, markup, and count"
        )
        nearest = nearest_word(steps[0].partition("[")[0], _UPLOADS)
        if nearest is not None:
            line += f"; did you mean {nearest!r}?"
        raise ValueError(line)
    if len(steps) > 1 and steps[1] not in UPLOAD_FIELDS:
        nearest = nearest_word(steps[1], UPLOAD_FIELDS)
        line = f"unknown field {steps[1]!r} of an upload; known are {', '.join(UPLOAD_FIELDS)}"
        if nearest is not None:
            line += f"; did you mean {nearest!r}?"
        raise ValueError(line)


def _refuse_near_word(what: str, word: str, known: Collection[str]) -> None:
    """Raise ValueError where `word`, which is not known, is so near to a known word that it must be a slip."""
    nearest = nearest_word(word, known)
    if nearest is None or nearest == word:
        return
    import difflib  # 4 ms, and needed only for a slip

    likeness = difflib.SequenceMatcher(None, word.lower(), nearest.lower()).ratio()
    if likeness >= _SLIP:
        raise ValueError(f"unknown {what} {word[:100]!r}; did you mean {nearest!r}?")


def _check_words(path: str, matcher: Matcher, words: Collection[str]) -> None:
    match matcher:
        case Equal(word) if word not in words:
            line = f"{path} is {_write_value(word)}; expected one of {', '.join(words)}"
            nearest = nearest_word(str(word), words)
            if nearest is not None:
                line += f"; did you mean {nearest!r}?"
            raise ValueError(line)
        case AnyOf(parts) | AllOf(parts):
            for part in parts:
                _check_words(path, part, words)
        case Not(inner):
            _check_words(path, inner, words)


def _split_matcher(matcher: Matcher) -> Iterator[Matcher]:
    """Yield the matchers that have to hold together."""
    if isinstance(matcher, AllOf):
        for part in matcher.matchers:
            yield from _split_matcher(part)
    else:
        yield matcher


def _parse_conditions(value: Mapping[Any, Any], prefix: str) -> Iterator[Condition]:
    for key, expected in value.items():
        path = f"{prefix}{key}"
        if path == "headers":
            if not isinstance(expected, Mapping) or not expected:
                raise ValueError(f"when {path} is {expected!r}; expected a mapping of names to values")
            yield from _parse_conditions({str(name).lower(): one for name, one in expected.items()}, "headers.")
        elif isinstance(expected, Mapping) and _holds_fields(path, expected):
            if not expected:
                raise ValueError(f"when {path} is {expected!r}; expected a mapping of names to values")
            yield from _parse_conditions(expected, f"{path}.")
        else:
            yield path, parse_matcher(expected, path)


def _holds_fields(path: str, mapping: Mapping[Any, Any]) -> bool:
    """Return whether a mapping behind `path` holds fields inside of that field; else it holds matchers."""
    return path not in _PLAIN_FIELDS and not any(key in MATCHERS for key in mapping)


def parse_matcher(value: Any, path: str) -> Matcher:
    """Make a matcher: one value means equal, a list means any of its members, a mapping holds matchers."""
    if isinstance(value, list):
        if not value:
            raise ValueError(f"when {path}: an empty list matches nothing")
        return AnyOf(tuple(parse_matcher(one, path) for one in value))
    if not isinstance(value, Mapping):
        return Equal(value)
    if not value:
        raise ValueError(f"when {path} is {{}}; expected a mapping of matchers: {', '.join(MATCHERS)}")
    for word in value:
        if word not in MATCHERS:
            raise ValueError(f"when {path}: {describe_unknown('matcher', str(word), MATCHERS)}")
    matchers = tuple(_make_matcher(word, operand, path) for word, operand in value.items())
    if len(matchers) == 1:
        return matchers[0]
    return AllOf(matchers)


def _make_matcher(word: str, operand: Any, path: str) -> Matcher:
    """Make the matcher `word` with what stands behind it; raises ValueError where it cannot take that."""
    try:
        match word:
            case "contains":
                return Contains(operand)
            case "matches":
                return Matches(Pattern(operand))
            case "at_least":
                return AtLeast(_check_number(operand))
            case "at_most":
                return AtMost(_check_number(operand))
            case "not":
                return Not(parse_matcher(operand, path))
            case "absent":
                return IsAbsent(_check_boolean(operand))
            case _:
                return _make_schema_matcher(operand)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"when {path}: {word}: {error}") from None


def _check_number(operand: Any) -> Any:
    if not _is_number(operand):
        raise ValueError(f"{operand!r} is no number")
    return operand


def _check_boolean(operand: Any) -> bool:
    if not isinstance(operand, bool):
        raise ValueError(f"{operand!r} is neither true nor false")
    return operand


def _make_schema_matcher(schema: Any) -> Matcher:
    from emulator.core.json_schema import ValueSchema  # few scenarios have a schema

    return Fits(json.dumps(schema, sort_keys=True, default=str), ValueSchema(schema))


def _find_value(fields: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; a field whose own name has dots is found first."""
    found = fields.get(path, ABSENT)
    if found is not ABSENT:
        return found
    name, dot, rest = path.partition(".")
    if not dot:
        return ABSENT
    return _find_inner(fields.get(name, ABSENT), rest)


def _find_inner(value: Any, path: str) -> Any:
    """Return what is at `path` inside of a value; a list has numbers for names."""
    if isinstance(value, Mapping):
        return _find_value(value, path)
    index, dot, rest = path.partition(".")
    if not isinstance(value, list) or not re.fullmatch(_INDEX, index) or int(index) >= len(value):
        return ABSENT
    item = value[int(index)]
    if not dot:
        return item
    return _find_inner(item, rest)


def _find_sent(fields: Mapping[str, Any], path: str) -> Any:
    """Return what the client sent as the parameter at `path`; ABSENT where it sent none, or `path` is no parameter."""
    given = fields.get("given")
    if not isinstance(given, Mapping) or path.partition(".")[0] in _UNSENT:
        return ABSENT
    return _find_value(given, path)


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one type: 1 and true are two."""
    return one.__class__ is other.__class__ and bool(one == other)


def _find_miss(matcher: Matcher, fields: Mapping[str, Any], path: str) -> str | None:
    """Return what was expected at `path` where neither what counts nor what was sent matches; None for a match."""
    value = _find_value(fields, path)
    missed = matcher.misses(value)
    if missed is None and not isinstance(matcher, Not | AllOf):
        return None
    sent = _find_sent(fields, path)
    if sent is ABSENT or _is_same(sent, value):
        return missed
    return _find_miss_of_both(matcher, value, sent)


def _find_miss_of_both(matcher: Matcher, value: Any, sent: Any) -> str | None:
    """Return what was expected where neither of two values of a parameter matches; `not` rules out both."""
    match matcher:
        case Not():
            return matcher.misses(value) or matcher.misses(sent)
        case AllOf(parts):
            missed = [_find_miss_of_both(part, value, sent) for part in parts]
            return " and ".join(one for one in missed if one is not None) or None
    missed_value = matcher.misses(value)
    if missed_value is None or matcher.misses(sent) is None:
        return None
    return missed_value


def _compile_condition(path: str, matcher: Matcher) -> Check:
    """Return the check of a condition: whether `_find_miss` finds nothing.

    A field without others inside of it, which most conditions are about, is looked up at once.
    """
    takes = _compile_matcher(matcher)
    name, dot, _ = path.partition(".")
    if dot and name in _UNSENT:
        return lambda fields: takes(_find_value(fields, path))
    if dot:
        return lambda fields: _find_miss(matcher, fields, path) is None
    if path in _UNSENT:
        return lambda fields: takes(fields.get(path, ABSENT))
    takes_both = isinstance(matcher, Not | AllOf)

    def check(fields: Mapping[str, Any]) -> bool:
        value = fields.get(path, ABSENT)
        is_taken = takes(value)
        if is_taken and not takes_both:
            return True
        given = fields.get("given")
        if given.__class__ is not dict:
            return _find_miss(matcher, fields, path) is None
        sent = given.get(path, ABSENT)
        if sent is ABSENT or sent is value or _is_same(sent, value):
            return is_taken
        return _find_miss_of_both(matcher, value, sent) is None

    return check


def _compile_matcher(matcher: Matcher) -> Callable[[Any], bool]:
    """Return the function that tells whether a matcher takes a value: whether it misses nothing."""
    match matcher:
        case Equal(expected):
            type_expected = expected.__class__
            return lambda value: value.__class__ is type_expected and bool(value == expected)
        case AnyOf() if matcher.values is not None:
            values = matcher.values
            return lambda value: isinstance(value, _SIMPLE) and (value.__class__, value) in values
        case Contains(str(part)):
            return lambda value: isinstance(value, str | list) and part in value
        case _:
            return lambda value: matcher.misses(value) is None


def _describe_came(fields: Mapping[str, Any], path: str) -> str:
    """Return the value at `path`, and what was sent where that is another."""
    value, sent = _find_value(fields, path), _find_sent(fields, path)
    if sent is ABSENT or _is_same(sent, value):
        return _write_value(value)
    return f"{_write_value(value)} (sent: {_write_value(sent)})"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _write_value(value: Any) -> str:
    if value is ABSENT:
        return repr(value)
    return shorten_text(json.dumps(value, ensure_ascii=False, default=str), _LONGEST)


MATCHERS: Final = ("contains", "matches", "at_least", "at_most", "not", "absent", "schema")
"""The words of a mapping of matchers."""
_MOST_PAIRS: Final = 100_000  # of parts of two conditions that are compared: half a second
_PLAIN_FIELDS: Final = ("operation", "gateway", "model", "prompt", "n", "size", "turn")  # with no fields inside of them
_TEXT_FIELDS: Final = ("operation", "gateway", "model", "prompt", "size")
_RESOLVED_FIELDS: Final = ("size", "quality", "background", "response_format")
"""Parameters of which another value may count than the one that was sent, such as `auto`."""
_SENT: Final = "given."  # before the path of a parameter: what the client sent, or nothing
_INDEX: Final = r"0|[1-9][0-9]{0,5}"  # a step of a path into a list
CALL_FIELDS: Final = (*_PLAIN_FIELDS, "headers", "uploads", "task_id", "given")
"""What a call has to be matched by, beside its parameters."""
OUTCOME_FIELDS: Final = ("state", "status", "rule", "refused", "findings", "latency", "request_id", "verdict")
"""What a call in the journal has beside them."""
OWN_FIELDS: Final = frozenset(CALL_FIELDS) - {"model", "prompt", "n", "size", "task_id"}
"""Those that are no parameters: a parameter of the same name does not count."""
_UNSENT: Final = OWN_FIELDS | {*OUTCOME_FIELDS}
UPLOAD_FIELDS: Final = ("name", "filename", "media_type", "sha256", "format", "width", "height", "alpha_share", "bytes")
"""What an upload has to be matched by."""
_UPLOADS: Final = ("image", "mask", "markup", "count")
_UPLOAD: Final = r"(image|mask|markup)(\[[0-9]+\])?|count"
_SLIP: Final = 0.75
"""How like a known word an unknown one is (difflib's ratio) to be a slip: `promt`, `widht` and `szie` are, `user_id`
(0.73 like `user`) may be a parameter of a gateway that nobody knows here."""
_LONGEST: Final = 100  # characters of a value in a line
