"""A document that does not keep its schema is refused in one line, which says what its author may have meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from emulator.core import json_schema, yaml_file
from emulator.core.json_schema import DocumentSchema, ValueSchema

SCHEMA: Final = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "kind": {"enum": ["missing_key", "rate_limit", "quota"]},
        "count": {"type": "integer", "minimum": 1},
        "share": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "wait": {"$ref": "#/$defs/wait"},
        "plan": {"$ref": "#/$defs/plan"},
        "plans": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/plan"}},
        "headers": {
            "type": "object",
            "propertyNames": {"pattern": "^[a-z-]+$", "errorMessage": "expected a header's name"},
            "additionalProperties": {"type": ["string", "number"]},
        },
        "one": {
            "type": "object",
            "allOf": [{"not": {"required": ["a", "b"]}, "errorMessage": "a and b exclude each other"}],
        },
        "fits": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "pair": {"type": "array", "minItems": 2, "maxItems": 2},
    },
    "$defs": {
        "wait": {
            "errorMessage": "expected a duration, such as 2s",
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^[0-9]+s$"}],
        },
        "plan": {
            "anyOf": [
                {"enum": ["draw", "canned"]},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"draw": {"type": "object"}, "refuse": {"$ref": "#/properties/kind"}},
                },
            ]
        },
    },
}

BAD: Final = [
    ("- x", 1, "the file is a list; expected a mapping of name, kind, count, share"),
    ("", 1, "the file is empty; expected a mapping of name"),
    ("name: x\nkinds: quota", 2, "unknown key 'kinds' in the file; known are name, kind, count,"),
    ("name: x\nkinds: quota", 2, "; did you mean 'kind'?"),
    ("zzz: 1\nnmae: x", 2, "unknown key 'nmae' in the file; known are"),
    ("kind: quota", 1, "the file has no 'name'; expected name: a text"),
    ("name: 3", 1, "name is 3; expected a text"),
    (
        "name: x\nkind: ratelimit",
        2,
        "kind is 'ratelimit'; expected one of missing_key, rate_limit, quota; did you mean 'rate_limit'?",
    ),
    ("name: x\nkind: boredom", 2, "kind is 'boredom'; expected one of missing_key, rate_limit, quota"),
    ("name: x\ncount: 0", 2, "count is 0; expected a whole number from 1"),
    ("name: x\ncount: 1.0", 2, "count is 1.0; expected a whole number from 1"),
    ("name: x\ncount: true", 2, "count is True; expected a whole number from 1"),
    ("name: x\nshare: .nan", 2, "share is nan; expected a number above 0, at most 1"),
    ("name: x\nshare: .inf", 2, "share is inf; expected a number above 0, at most 1"),
    ("name: x\nwait: soon", 2, "wait is 'soon'; expected a duration, such as 2s"),
    ("name: x\nwait: -1", 2, "wait is -1; expected a duration, such as 2s"),
    ("name: x\nwait: []", 2, "wait is an empty list; expected a duration, such as 2s"),
    ("name: x\nplan: drow", 2, "plan is 'drow'; expected one of draw, canned; did you mean 'draw'?"),
    ("name: x\nplan:\n  refuse: ratelimit", 3, "refuse is 'ratelimit'; expected one of missing_key, rate_limit"),
    (
        "name: x\nplan:\n  refus: quota",
        3,
        "unknown key 'refus' in plan; known are draw, refuse; did you mean 'refuse'?",
    ),
    ("name: x\nplan: 3", 2, "plan is 3; expected one of draw, canned, or a mapping of draw, refuse"),
    ("name: x\nplans:\n- draw\n- {refuse: x}", 4, "refuse is 'x'; expected one of missing_key, rate_limit, quota"),
    ("name: x\nplans:\n- draw\n- 7", 4, "plans.1 is 7; expected one of draw, canned, or a mapping of draw, refuse"),
    ("name: x\nplans: []", 2, "plans is an empty list; expected a list of at least 1"),
    ("name: x\nheaders:\n  'a b': c", 3, "'a b' in headers; expected a header's name"),
    ("name: x\nheaders:\n  a: []", 3, "a is an empty list; expected a text or a number"),
    ("name: x\none:\n  a: 1\n  b: 2", 4, "one: a and b exclude each other"),
    ("name: x\nfits: maybe", 2, "fits is 'maybe'; expected true or false, or nothing"),
    ("name: x\npair: [1]", 2, "pair is a list; expected a list of 2"),
]


@pytest.fixture
def schema(tmp_path: Path) -> DocumentSchema:
    path = tmp_path / "own.schema.json"
    path.write_text(json.dumps(SCHEMA), "utf-8")
    return DocumentSchema(path)


@pytest.mark.parametrize(("text", "line", "message"), BAD)
def test_a_bad_document_is_refused_in_one_line(schema: DocumentSchema, text: str, line: int, message: str) -> None:
    """The line says file and line, what was read, what was expected, and the nearest known word."""
    with pytest.raises(yaml_file.InvalidFile) as caught:
        schema.validate(yaml_file.parse_yaml(text, Path("own.yaml")))
    assert f"own.yaml:{line}" == str(caught.value).split(": ")[0]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_word_far_from_all_known_ones_has_no_suggestion(schema: DocumentSchema) -> None:
    """A suggestion is made where a known word is near, and nowhere else."""
    with pytest.raises(yaml_file.InvalidFile, match=r"expected one of missing_key, rate_limit, quota$"):
        schema.validate(yaml_file.parse_yaml("name: x\nkind: boredom", Path("own.yaml")))


def test_a_good_document_passes(schema: DocumentSchema) -> None:
    """A document that keeps its schema is not refused."""
    text = "{name: x, count: 1, wait: 2s, plan: draw, plans: [{refuse: quota}], headers: {a: 1}, one: {a: 1}, fits: }"
    schema.validate(yaml_file.parse_yaml(text, Path("own.yaml")))


def test_a_part_of_a_document_keeps_a_part_of_the_schema(schema: DocumentSchema) -> None:
    """A part is validated against a definition, and the complaint has the part's line in the whole file."""
    source = yaml_file.parse_yaml("paths:\n  x:\n    good: draw\n    bad: {refuse: x}", Path("own.yaml"))
    schema.validate(source, ["paths", "x", "good"], "plan")
    with pytest.raises(yaml_file.InvalidFile, match=r"^own\.yaml:4: refuse is 'x'; expected one of missing_key"):
        schema.validate(source, ["paths", "x", "bad"], "plan")


def test_a_document_that_is_too_deep(schema: DocumentSchema, tmp_path: Path) -> None:
    """Where Python gives up, that is said in the same way."""
    path = tmp_path / "deep.schema.json"
    path.write_text(json.dumps({"additionalProperties": {"$ref": "#"}, "type": "object"}), "utf-8")
    root: dict[str, Any] = {}
    for _ in range(3000):
        root = {"a": root}
    source = yaml_file.YamlFile(Path("deep.yaml"), "a:", root)
    with pytest.raises(yaml_file.InvalidFile, match=r"deep\.yaml:1: the file has too many parts inside of parts"):
        DocumentSchema(path).validate(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  b: [1, .inf]", "own.yaml:2: a.b.1 is inf; JSON has no such number"),
        ("a:\n  b: .nan", "own.yaml:2: a.b is nan; JSON has no such number"),
        ("a: !!binary aGk=", "own.yaml:1: a is b'hi'; JSON has no such value"),
        ("a:\n  - 1: x", "own.yaml:2: the key 1 in a.0 is no text; put it in quotes"),
    ],
)
def test_what_json_has_not_is_refused(text: str, message: str) -> None:
    """A document that is sent as JSON later is refused where JSON cannot say it."""
    with pytest.raises(yaml_file.InvalidFile) as caught:
        json_schema.check_json_values(yaml_file.parse_yaml(text, Path("own.yaml")))
    assert message == str(caught.value)


def test_what_json_has_passes() -> None:
    """Every kind of JSON value passes."""
    json_schema.check_json_values(yaml_file.parse_yaml("{a: [1, 1.5, x, true, null, {}]}", Path("own.yaml")))


def test_an_integer_that_no_float_can_hold(tmp_path: Path) -> None:
    """JSON has integers of any length; each is a number, and some are multiples of others."""
    huge = 10**400
    path = tmp_path / "schema.json"
    path.write_text(json.dumps({"type": "number"}), "utf-8")
    DocumentSchema(path).validate(yaml_file.parse_yaml(str(huge), Path("own.yaml")))
    assert ValueSchema({"multipleOf": 0.5}).find_difference(huge) is None
    assert ValueSchema({"multipleOf": 0.3}).find_difference(huge) == "a value that keeps multipleOf: 0.3"


@pytest.mark.parametrize(
    ("schema", "unknown", "nearest"),
    [
        ({"tpye": "string"}, "tpye", "type"),
        ({"properties": {"a": {"maxLenght": 3}}}, "maxLenght", "maxLength"),
        ({"anyOf": [{"requried": ["a"]}]}, "requried", "required"),
        ({"items": {"not": {"minium": 1}}}, "minium", "minimum"),
    ],
)
def test_a_misspelled_keyword_is_refused(schema: object, unknown: str, nearest: str) -> None:
    """JSON Schema lets unknown keywords by, so that a slip would check nothing."""
    with pytest.raises(ValueError, match=f"unknown keyword '{unknown}'; did you mean '{nearest}'"):
        ValueSchema(schema)


@pytest.mark.parametrize(
    "schema",
    [{"properties": {"tpye": {}}}, {"enum": [{"tpye": 1}]}, {"x-type": 1}, {"wildly": 1}, {"examples": [{"typ": 1}]}],
)
def test_what_is_no_misspelled_keyword_passes(schema: object) -> None:
    """Names of properties, data and annotations are no keywords."""
    ValueSchema(schema)


def test_multiples_are_exact() -> None:
    """0.3 is a multiple of 0.1, as a person reads it."""
    schema = ValueSchema({"multipleOf": 0.1})
    assert [schema.find_difference(value) for value in (0.3, 7, -0.2, "x", True)] == [None] * 5
    assert schema.find_difference(0.35) == "a value that keeps multipleOf: 0.1"
