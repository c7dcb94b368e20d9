"""Patterns that people write are searched in bounded time."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emulator.core.bounded_schema import MOST_KEYWORDS, MOST_PARTS
from emulator.core.json_schema import ValueSchema
from emulator.core.patterns import LONGEST_PATTERN, Pattern
from emulator.scenario import matching

ENDLESS = "a" * 5000 + "b"


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^A\b.*lake$", "A cat by a lake", True),
        (r"(?i)WEAPON|knife", "a Knife", True),
        (r"\bcat(?!s)", "cats", False),
        (r"(?P<twice>.)(?P=twice)", "book", True),
        (r"[一-龥]{2}", "一只猫", True),
        (r"\d+", "٣", True),
        (r".*weapon.*", "x" * 32_000, False),
    ],
)
def test_pythons_own_language(pattern: str, text: str, found: bool) -> None:
    """Look-ahead, references, classes and flags mean what they mean to Python."""
    assert found is Pattern(pattern).finds(text)


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|aa)+$", r"(a{0,30}){0,30}$"])
def test_a_search_without_an_end_is_given_up(pattern: str) -> None:
    """It finds nothing, and the difference says why."""
    assert Pattern(pattern).finds(ENDLESS) is None
    told = matching.parse_pattern({"prompt": {"matches": pattern}}).differences({"prompt": ENDLESS})
    assert told[0].expected.endswith("which was given up as it took too long")
    assert Pattern("b$").finds(ENDLESS) is True  # the time of the others is used up, and a usual search still goes


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (3, "3 is no text"),
        ("a" * (LONGEST_PATTERN + 1), "the pattern has 1001 characters; expected at most 1000"),
        ("(" * 5000, "the pattern has too many parts inside of parts: over 100 brackets"),
        ("(", "missing ), unterminated subpattern at position 0"),
        (r"\p{L}", r"bad escape \p at position 0"),
    ],
)
def test_what_is_no_pattern(pattern: object, told: str) -> None:
    """It is refused in one line when it is read."""
    with pytest.raises(ValueError, match=r".") as caught:
        Pattern(pattern)
    assert told == str(caught.value)


DOUBLING = {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({**DOUBLING, "$ref": "#/$defs/d0"}, f"the schema applies more than {MOST_KEYWORDS} keywords to one value"),
        ({"enum": list(range(MOST_PARTS))}, f"the schema has more than {MOST_PARTS} parts"),
        ({"const": "x" * 20_001}, "the schema has more than 20000 characters"),
        (
            {"patternProperties": {"a+b+": {}}, "unevaluatedProperties": False},
            "patternProperties: 'a+b+' has one of * + ? {, and beside unevaluatedProperties none is allowed",
        ),
    ],
)
def test_a_schema_without_an_end(schema: dict[str, object], told: str) -> None:
    """A schema that doubles its work, or is too large, is refused in one line."""
    with pytest.raises(ValueError, match=r".") as caught:
        ValueSchema(schema)
    assert told == str(caught.value)


def test_a_deep_schema() -> None:
    """Levels have a bound."""
    schema: dict[str, object] = {}
    for _ in range(900):
        schema = {"not": schema}
    with pytest.raises(ValueError, match="more than 64 levels of parts inside of parts"):
        ValueSchema(schema)


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"pattern": "^(a+)+$"}, ENDLESS, 'keeps pattern: "^(a+)+$"'),
        ({"patternProperties": {"^(a+)+$": False}}, {ENDLESS: 1}, None),
        ({"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False}, {"x-a": "b"}, None),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"y": 1}, "additionalProperties: false"),
        ({"properties": {"a": {}}, "additionalProperties": {"type": "null"}}, {"b": 1}, 'keeps type: "null" at b'),
        ({"uniqueItems": True}, [*range(8000), [1]], f"its schema applies at most {MOST_KEYWORDS} keywords"),
        (
            {"properties": {"x": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}},
            {"x": {"x": {"x": {"x": {"x": {"x": {"x": {"x": {"x": {"x": {"x": {"x": {"x": {}}}}}}}}}}}}}},
            f"its schema applies at most {MOST_KEYWORDS} keywords",
        ),
    ],
)  # fmt: skip
def test_a_value_that_takes_too_long(schema: dict[str, object], value: object, told: str | None) -> None:
    """A value is judged in bounded time, whatever the schema is."""
    found = ValueSchema(schema).find_difference(value)
    if told is None:
        assert found is None
    else:
        assert told in str(found)


def test_the_engine_is_imported_with_the_first_pattern() -> None:
    """A server whose scenario has no pattern starts without it."""
    code = "import sys, emulator.scenario.matching, emulator.core.patterns; print('regex' in sys.modules)"
    assert "False" == subprocess.check_output([sys.executable, "-c", code], text=True).strip()


@pytest.mark.parametrize("text", ["(?:(?:(?:a{1000}){1000}){1000})", "(a{200}b){101}", "([()]{150,}){150}"])
def test_repetitions_inside_of_repetitions(text: str) -> None:
    """What would be compiled to too many parts is refused before it is compiled."""
    with pytest.raises(ValueError, match="the pattern has more than 20000 parts, repetitions counted"):
        Pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        r"(?:\({64}[{}]{1000}){10}",
        "a{,5}b{x}",
        "((a{1,1000}){1,1000}){1,1000}",
    ],
)
def test_usual_repetitions(text: str) -> None:
    """Identifiers, escaped brackets, and repetitions that need not come."""
    assert text == Pattern(text).text
