"""Validates documents by JSON Schema: scenario files, gateways' vendor keys, and values by schemas in scenarios.

A document that does not keep its schema is refused in one line: file, line, what was read, what was expected, and the
nearest known word. A schema may say what it expects in words of its own by the keyword `errorMessage`, which editors
built on VS Code's JSON service show as well: `"errorMessage": "expected WIDTHxHEIGHT, such as 512x512"`.

Importing jsonschema takes about 60 ms, so it is imported with the first document that is validated.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emulator.core import bounded_schema
from emulator.core.data_folders import find_schemas
from emulator.core.phrases import format_path, shorten_text
from emulator.core.schema_keywords import KEYWORDS, is_keyword, iter_schemas
from emulator.core.suggestions import describe_known, nearest_word
from emulator.core.yaml_file import InvalidFile, YamlFile, describe_value

if TYPE_CHECKING:
    from fractions import Fraction

    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

Pointer = list[str | int]


class DocumentSchema:
    """A JSON Schema (2020-12) for YAML and JSON documents; it is compiled once, when it is first used."""

    def __init__(self, path: Path) -> None:
        """The schema in the file at `path`, which ships with the package; nothing is read yet."""
        self.path = path

    def validate(self, source: YamlFile, pointer: Sequence[str | int] = (), definition: str | None = None) -> None:
        """Raise InvalidFile, in one line, where the document does not keep the schema.

        `pointer` leads to the part of the document that is meant, all of it without one; `definition` names the member
        of `$defs` that it has to keep, else it is the whole schema.
        """
        part = source.root
        for step in pointer:
            part = part[step]
        validator = self._validator
        if definition is not None:
            validator = validator.evolve(schema={"$ref": f"#/$defs/{definition}"})
        try:
            errors = list(islice(validator.iter_errors(part), _MOST_ERRORS))
        except RecursionError:
            raise source.error_at(pointer, f"{_name_place(pointer)} has too many parts inside of parts") from None
        if errors:
            raise _Explanation(source, list(pointer), self.root).explain(errors)

    @functools.cached_property
    def root(self) -> Mapping[str, Any]:
        """The schema itself."""
        root: Mapping[str, Any] = json.loads(self.path.read_text("utf-8"))
        return root

    @functools.cached_property
    def _validator(self) -> Validator:
        return _validator_class()(self.root)


@functools.cache
def load_schema(name: str) -> DocumentSchema:
    """Return the schema `name`, such as "scenario.schema.json", of those that ship."""
    return DocumentSchema(find_schemas() / name)


def check_json_values(source: YamlFile) -> None:
    """Raise InvalidFile where a document has what JSON has not: bytes, .nan, .inf, and keys that are no texts."""
    waiting: list[tuple[Pointer, Any]] = [([], source.root)]
    while waiting:
        pointer, value = waiting.pop()
        match value:
            case dict():
                for key, part in value.items():
                    if not isinstance(key, str):
                        line = f"the key {key!r} in {_name_place(pointer)} is no text; put it in quotes"
                        raise source.error_at([*pointer, str(key)], line)
                    waiting.append(([*pointer, key], part))
            case list():
                waiting.extend(([*pointer, index], part) for index, part in enumerate(value))
            case float() if not math.isfinite(value):
                raise source.error_at(pointer, f"{_name_place(pointer)} is {value}; JSON has no such number")
            case None | bool() | int() | float() | str():
                pass
            case _:
                line = f"{_name_place(pointer)} is {describe_value(value)}; JSON has no such value"
                raise source.error_at(pointer, line)


class ValueSchema:
    """A JSON Schema (2020-12) that a scenario or a test writes; it refers to nothing but itself."""

    def __init__(self, schema: Any) -> None:
        """Compile `schema`; raises ValueError, in one line, for what is no schema. Nothing is ever fetched."""
        from jsonschema.exceptions import SchemaError

        if not isinstance(schema, Mapping):
            raise ValueError(f"{describe_value(schema)} is no JSON Schema, which is a mapping such as {{type: string}}")
        bounded_schema.check_size(schema)
        try:
            _validator_class().check_schema(dict(schema))
        except SchemaError as error:
            place = format_path(error.absolute_path) or "the schema"
            raise ValueError(f"{place}: {shorten_text(error.message, _LONGEST)}") from None
        except RecursionError:  # of a pattern, which a schema's own rules compile
            raise ValueError("the schema has too many parts inside of parts") from None
        _check_keywords(schema)
        bounded_schema.check_patterns(schema)
        _check_references(schema)
        self._validator = _bounded_validator_class()(schema)
        try:
            for value in _SAMPLES:
                bounded_schema.list_errors(self._validator, value)
        except RecursionError:
            raise ValueError("the schema refers to itself and comes to no end") from None
        except bounded_schema.TooMuchWork:
            most = bounded_schema.MOST_KEYWORDS
            raise ValueError(f"the schema applies more than {most} keywords to one value") from None

    def find_difference(self, value: Any) -> str | None:
        """Return what was expected where `value` does not keep the schema; None where it does."""
        try:
            errors = bounded_schema.list_errors(self._validator, value)
        except RecursionError:
            return "a value that is less deep"
        except bounded_schema.TooMuchWork:
            return f"a value to which its schema applies at most {bounded_schema.MOST_KEYWORDS} keywords"
        errors.sort(key=lambda error: list(map(str, error.absolute_path)))
        missed = list(dict.fromkeys(map(_describe_missed_keyword, errors)))
        if not missed:
            return None
        return "a value that keeps " + " and ".join(missed[:_MOST_KEYWORDS])


class _Explanation:
    """Makes one line of the errors that jsonschema found in a document."""

    def __init__(self, source: YamlFile, pointer: Pointer, root: Mapping[str, Any]) -> None:
        self._source = source
        self._pointer = pointer
        self._root = root

    def explain(self, errors: Sequence[ValidationError]) -> InvalidFile:
        """Return the complaint about the error that says most of what the author meant."""
        error = _choose_error(errors)
        pointer = [*self._pointer, *error.absolute_path]
        schema: Any = error.schema
        value: Any = error.instance
        if _is_about_key(error):
            line = f"{value!r} in {_name_place(pointer)}; expected {self._describe_expected(schema)}"
            examples = {**schema, "enum": schema.get("enum", schema.get("examples", ()))}
            return self._source.error_at([*pointer, value], line + self._suggest_word(value, examples))
        match error.validator:
            case "additionalProperties" | "unevaluatedProperties":
                known = list(schema.get("properties", {}))
                key = str(_find_unknown_key(value, known, schema.get("patternProperties", ())))
                line = f"unknown key {key!r} in {_name_place(pointer)}; {describe_known(key, known)}"
                return self._source.error_at([*pointer, key], line)
            case "required":
                return self._source.error_at(pointer, self._describe_missing_key(error, pointer))
            case "not" | "anyOf" if isinstance(value, Mapping) and "errorMessage" in schema:
                line = f"{_name_place(pointer)}: {schema['errorMessage']}"
                return self._source.error_at([*pointer, *_list_excluded_keys(schema)[-1:]], line)
        line = f"{_name_value(pointer)} is {_describe_read(value)}; expected {self._describe_expected(schema)}"
        return self._source.error_at(pointer, line + self._suggest_word(value, schema))

    def _describe_missing_key(self, error: ValidationError, pointer: Pointer) -> str:
        keys: Any = error.validator_value
        value: Any = error.instance
        schema: Any = error.schema
        missing = next(key for key in keys if key not in value)
        expected = self._describe_expected(schema.get("properties", {}).get(missing, {}))
        return f"{_name_place(pointer)} has no {missing!r}; expected {missing}: {expected}"

    def _suggest_word(self, value: Any, schema: Any) -> str:
        """Return the nearest word where one of a closed list is expected and another text was read."""
        if not isinstance(value, str):
            return ""
        words = [word for word in self._list_words(schema) if isinstance(word, str)]
        nearest = nearest_word(value, words)
        if nearest is None:
            return ""
        return f"; did you mean {nearest!r}?"

    def _list_words(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the words of the closed lists in a schema."""
        schema = self._resolve(schema)
        yield from schema.get("enum", ())
        for branch in schema.get("anyOf", ()):
            yield from self._list_words(branch)

    def _describe_expected(self, schema: Any) -> str:
        """Return what `schema` expects, in words: its own `errorMessage`, else what its keywords say."""
        if not isinstance(schema, Mapping):
            return "nothing"
        schema = self._resolve(schema)
        if "errorMessage" in schema:
            return str(schema["errorMessage"]).removeprefix("expected ")
        if "const" in schema:
            return _write_word(schema["const"])
        if "enum" in schema:
            return _list_choices(schema["enum"])
        if "anyOf" in schema and "type" not in schema:
            branches = dict.fromkeys(self._describe_expected(branch) for branch in schema["anyOf"])
            return ", or ".join(branches)
        kinds = schema.get("type", "value")
        if isinstance(kinds, str):
            kinds = [kinds]
        return " or ".join(_describe_kind(kind, schema) for kind in kinds)

    def _resolve(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the schema that `schema` refers to, itself where it refers to none of this file."""
        reference = schema.get("$ref", "")
        if "errorMessage" in schema or not reference.startswith("#/"):
            return schema
        found: Any = self._root
        for step in reference[2:].split("/"):
            found = found[step]
        return self._resolve(found)


def _choose_error(errors: Iterable[ValidationError]) -> ValidationError:
    """Return the most telling of `errors`: an unknown key before a bad value before a missing key.

    An error of `anyOf` is replaced by that of the branch that the author meant, if there is one such.
    """
    error = min(errors, key=_rank)
    branch = _choose_branch(error)
    if branch:
        return _choose_error(branch)
    return error


def _rank(error: ValidationError) -> int:
    if _is_about_key(error):
        return 0
    return _RANKS.get(str(error.validator), _RANK_OF_VALUES)


def _is_about_key(error: ValidationError) -> bool:
    """Whether an error is about a key of a mapping by `propertyNames`; its path leads to the mapping."""
    return list(error.absolute_schema_path)[-2:-1] == ["propertyNames"]


def _choose_branch(error: ValidationError) -> list[ValidationError]:
    """Return the errors of the branch of an `anyOf` that comes nearest to the value; none where several do."""
    branches = _split_branches(error)
    if not branches:
        return []
    distances = [_measure_branch(branch) for branch in branches]
    least = min(distances)
    if least >= _OTHER_TYPE or distances.count(least) > 1:
        return []
    schema: Any = error.schema
    if least >= _WRONG_VALUE and "errorMessage" in schema:
        return []
    return branches[distances.index(least)]


def _split_branches(error: ValidationError) -> list[list[ValidationError]]:
    """Return the errors of each branch of an `anyOf` or `oneOf`."""
    if error.validator not in ("anyOf", "oneOf"):
        return []
    branches: dict[Any, list[ValidationError]] = {}
    for one in error.context or ():
        branches.setdefault(one.relative_schema_path[0], []).append(one)
    return list(branches.values())


def _measure_branch(branch: Sequence[ValidationError]) -> tuple[int, int]:
    """Return how far a value is from a branch: by its type, then by the number of errors."""
    return max(_measure_error(error) for error in branch), len(branch)


def _measure_error(error: ValidationError) -> int:
    """Return 0 for an error inside of the value, 1 for a wrong value of the right type, 2 for another type."""
    if error.relative_path:
        return 0
    inner = _split_branches(error)
    if inner:
        return min(_measure_branch(branch)[0] for branch in inner)
    if error.validator == "type":
        return 2
    if error.validator in ("enum", "const"):
        values: Any = error.validator_value
        if error.validator == "const":
            values = [values]
        if type(error.instance) not in {type(value) for value in values}:
            return 2
        return 1
    return int(not isinstance(error.instance, Mapping))


def _list_excluded_keys(schema: Mapping[str, Any]) -> Sequence[str]:
    """Return the keys that a schema does not take together; the line of the last one is shown."""
    keys: Sequence[str] = schema.get("not", {}).get("required", ())
    return keys


def _find_unknown_key(mapping: Mapping[Any, Any], known: Sequence[str], patterns: Sequence[str]) -> Any:
    """Return the unknown key of `mapping`, one with a near known word before another.

    A key that matches one of `patterns` is not unknown.
    """
    unknown = [key for key in mapping if key not in known and not any(re.search(one, str(key)) for one in patterns)]
    for key in unknown:
        if nearest_word(str(key), known) is not None:
            return key
    return unknown[0]


def _describe_kind(kind: str, schema: Mapping[str, Any]) -> str:
    """Return a type of JSON in words, with the bounds that `schema` sets."""
    match kind:
        case "integer":
            return "a whole number" + _describe_bounds(schema)
        case "number":
            return "a number" + _describe_bounds(schema)
        case "object" if "properties" in schema:
            return f"a mapping of {', '.join(schema['properties'])}"
        case "array" if schema.get("minItems") == schema.get("maxItems", -1):
            return f"a list of {schema['minItems']}"
        case "array" if schema.get("minItems"):
            return f"a list of at least {schema['minItems']}"
        case _:
            return _KINDS.get(kind, kind)


def _describe_bounds(schema: Mapping[str, Any]) -> str:
    parts = [f" {words} {schema[keyword]}" for keyword, words in _BOUNDS.items() if keyword in schema]
    return ",".join(parts)


def _list_choices(words: Sequence[Any]) -> str:
    texts = [_write_word(word) for word in words]
    if len(texts) == 1:
        return texts[0]
    return f"one of {', '.join(texts)}"


def _write_word(word: Any) -> str:
    if isinstance(word, str):
        return word
    return json.dumps(word)


def _describe_read(value: Any) -> str:
    if value in ([], {}) and not isinstance(value, bool):
        return f"{describe_value(value).replace('a ', 'an empty ', 1)}"
    return describe_value(value)


def _name_place(pointer: Sequence[str | int]) -> str:
    """Return how a message calls a mapping or a list: rules.0.answers, or the file."""
    return ".".join(map(str, pointer)) or "the file"


def _name_value(pointer: Sequence[str | int]) -> str:
    """Return how a message calls a value: by its key alone, in a list by its whole place."""
    if pointer and isinstance(pointer[-1], str):
        return pointer[-1]
    return _name_place(pointer)


@functools.cache
def _validator_class() -> type[Validator]:
    """Return the validator of JSON Schema 2020-12, in which 1.0 is no integer, and .inf and .nan are no numbers."""
    from jsonschema import Draft202012Validator, validators

    checker = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer).redefine("number", _is_number)
    extended: type[Validator] = validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator, validators={"multipleOf": check_multiple}, type_checker=checker
    )
    return extended


@functools.cache
def _bounded_validator_class() -> type[Validator]:
    """Return the same validator for schemas that people write."""
    return bounded_schema.bound_validator(_validator_class())


def check_multiple(_: Any, divisor: float, value: Any, __: Any) -> Iterator[ValidationError]:
    """Check the keyword `multipleOf` for jsonschema, exactly: 0.3 is a multiple of 0.1.

    jsonschema divides floats, and raises OverflowError for an integer that no float can hold.
    """
    from fractions import Fraction

    from jsonschema.exceptions import ValidationError

    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if _to_fraction(value) % _to_fraction(divisor) != Fraction():
        yield ValidationError(f"{value!r} is not a multiple of {divisor}")


def _to_fraction(number: float) -> Fraction:
    """Return the number that a person wrote, which a float holds only nearly."""
    from fractions import Fraction

    if isinstance(number, int):
        return Fraction(number)
    return Fraction(repr(number))


def _is_integer(_: Any, value: Any) -> bool:
    """1.0 is no integer, here as in the gateways' own rules."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: Any, value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def _check_keywords(schema: Any) -> None:
    """Raise ValueError for a keyword that JSON Schema does not know and that is like one it knows: `tpye`.

    It lets any other unknown keyword by, as an annotation.
    """
    unknown = [word for _, node in iter_schemas(schema) for word in node if not is_keyword(word)]
    for word in list(dict.fromkeys(unknown))[:_MOST_UNKNOWN]:
        nearest = nearest_word(str(word), KEYWORDS)
        if nearest is not None:
            raise ValueError(f"unknown keyword {shorten_text(str(word), _LONGEST)!r}; did you mean {nearest!r}?")


def _check_references(schema: Mapping[str, Any]) -> None:
    """Raise ValueError where a schema refers to anything but a part of itself."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    resolver = Registry[Any]().resolver_with_root(DRAFT202012.create_resource(schema))
    for reference in _find_references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable:
            raise ValueError(f"{reference!r} leads to nothing in the schema itself, and nothing is fetched") from None


def _find_references(node: Any) -> Iterator[str]:
    """Yield all that a schema refers to."""
    parts: Iterable[Any] = ()
    if isinstance(node, Mapping):
        yield from (node[key] for key in ("$ref", "$dynamicRef") if isinstance(node.get(key), str))
        parts = node.values()
    elif isinstance(node, list):
        parts = node
    for part in parts:
        yield from _find_references(part)


def _describe_missed_keyword(error: ValidationError) -> str:
    """Return the keyword of the schema that a value does not keep, and where in the value."""
    line = "false"
    if error.validator:
        wanted = json.dumps(error.validator_value, ensure_ascii=False, default=str)
        line = f"{error.validator}: {shorten_text(wanted, _LONGEST)}"
    place = format_path(error.absolute_path)
    if place:
        line += f" at {place}"
    return line


_RANK_OF_VALUES: Final = 1
_RANKS: Final = {"additionalProperties": 0, "unevaluatedProperties": 0, "required": 2, "not": 3}
"""Which error is explained first: the lower number. A misspelled key often is the reason why another is missing."""
_WRONG_VALUE: Final = (1, 0)  # where the value fits no branch, what all branches expect is shown
_OTHER_TYPE: Final = (2, 0)  # a branch for values of another type is not what the author meant
_KINDS: Final = {
    "string": "a text", "boolean": "true or false", "null": "nothing", "array": "a list", "object": "a mapping",
    "value": "another value",
}  # fmt: skip
_BOUNDS: Final = {
    "minimum": "from", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below",
}  # fmt: skip
_MOST_UNKNOWN: Final = 100  # keywords that are held against the known ones; each takes half a millisecond
_SAMPLES: Final[Sequence[Any]] = (None, True, 0, 1.5, "", "x", [], [0], {}, {"x": 0})
"""Values of every type, which find out whether a schema refers to itself without an end."""
_MOST_ERRORS: Final = 200  # that are looked at to choose the one that is told; each can hold the errors of its branches
_MOST_KEYWORDS: Final = 3  # of a schema in one difference; a person reads a few
_LONGEST: Final = 100  # characters of a value in a line
