"""What a rule expects of a call, and how a call is said to differ: no difference is a match."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Any, Final

import pytest

from emulator.scenario import matching

CALL: Final[dict[str, Any]] = {
    "operation": "generate", "model": "dall-e-3", "prompt": "A cat by a lake", "n": 2, "quality": None, "seed": 1.0,
    "stream": False, "tags": ["red", 3], "options": {"size": {"width": 640}, "a.b": "deep"}, "x.y": "dotted",
    "headers": {"x-team": "blue"},
}  # fmt: skip

MATCHES: Final = [
    # equal
    ({}, None),
    ({"model": "dall-e-3"}, None),
    ({"model": "dall-e-2"}, 'model: expected "dall-e-2", came "dall-e-3"'),
    ({"n": 2, "model": "dall-e-3"}, None),
    ({"n": 2.0}, "n: expected 2.0, came 2"),
    ({"n": "2"}, 'n: expected "2", came 2'),
    ({"seed": 1.0}, None),
    ({"seed": 1}, "seed: expected 1, came 1.0"),
    ({"seed": True}, "seed: expected true, came 1.0"),
    ({"stream": False}, None),
    ({"stream": 0}, "stream: expected 0, came false"),
    ({"quality": None}, None),
    ({"user": None}, "user: expected null, came nothing"),
    ({"quality": "hd"}, 'quality: expected "hd", came null'),
    # any of
    ({"n": [1, 2]}, None),
    ({"n": [3, {"at_least": 9}]}, "n: expected any of 3, at least 9, came 2"),
    ({"user": ["x", {"absent": True}]}, None),
    # contains
    ({"prompt": {"contains": "cat"}}, None),
    ({"prompt": {"contains": "Cat"}}, 'prompt: expected something that contains "Cat", came "A cat by a lake"'),
    ({"tags": {"contains": 3}}, None),
    ({"tags": {"contains": "re"}}, 'tags: expected something that contains "re", came ["red", 3]'),
    ({"n": {"contains": 2}}, "n: expected something that contains 2, came 2"),
    # matches
    ({"prompt": {"matches": "^A c.t"}}, None),
    ({"prompt": {"matches": "(?i)LAKE$"}}, None),
    ({"prompt": {"matches": "^cat"}}, 'prompt: expected a text that matches "^cat", came "A cat by a lake"'),
    ({"n": {"matches": "2"}}, 'n: expected a text that matches "2", came 2'),
    # bounds
    ({"n": {"at_least": 2, "at_most": 2}}, None),
    ({"n": {"at_least": 2.5}}, "n: expected at least 2.5, came 2"),
    ({"n": {"at_least": 3, "at_most": 1}}, "n: expected at least 3 and at most 1, came 2"),
    ({"seed": {"at_most": 1}}, None),
    ({"stream": {"at_least": 0}}, "stream: expected at least 0, came false"),
    ({"prompt": {"at_least": 0}}, 'prompt: expected at least 0, came "A cat by a lake"'),
    ({"user": {"at_most": 9}}, "user: expected at most 9, came nothing"),
    # not
    ({"model": {"not": "dall-e-2"}}, None),
    ({"model": {"not": ["dall-e-2", "dall-e-3"]}}, 'model: expected anything else, came "dall-e-3"'),
    ({"prompt": {"contains": "cat", "not": {"contains": "dog"}}}, None),
    ({"prompt": {"not": {"contains": "lake"}}}, 'prompt: expected anything else, came "A cat by a lake"'),
    ({"user": {"not": "x"}}, None),
    # absent
    ({"user": {"absent": True}}, None),
    ({"user": {"absent": False}}, "user: expected anything, came nothing"),
    ({"quality": {"absent": False}}, None),
    ({"quality": {"absent": True}}, "quality: expected nothing, came null"),
    # schema
    ({"prompt": {"schema": {"type": "string", "maxLength": 15}}}, None),
    (
        {"prompt": {"schema": {"type": "string", "maxLength": 14}}},
        'prompt: expected a value that keeps maxLength: 14, came "A cat by a lake"',
    ),
    ({"n": {"schema": {"type": "integer"}}}, None),
    ({"seed": {"schema": {"type": "integer"}}}, 'seed: expected a value that keeps type: "integer", came 1.0'),
    ({"seed": {"schema": {"type": "number"}}}, None),
    ({"stream": {"schema": {"type": "number"}}}, 'stream: expected a value that keeps type: "number", came false'),
    ({"quality": {"schema": {"type": "null"}}}, None),
    ({"user": {"schema": {}}}, "user: expected a value that keeps its schema, came nothing"),
    ({"user": [{"schema": {"type": "string"}}, {"absent": True}]}, None),
    (
        {
            "tags": {
                "schema": {
                    "prefixItems": [{"const": "red"}, {"$ref": "#/$defs/n"}],
                    "$defs": {"n": {"type": "integer"}},
                }
            }
        },
        None,
    ),
    (
        {"tags": {"schema": {"items": {"type": "string", "maxLength": 2}, "maxItems": 1}}},
        'tags: expected a value that keeps maxItems: 1 and maxLength: 2 at [0] and type: "string" at [1], '
        'came ["red", 3]',
    ),
    (
        {
            "options.size": {
                "schema": {"required": ["height"], "properties": {"width": {"multipleOf": 64, "maximum": 512}}}
            }
        },
        'options.size: expected a value that keeps required: ["height"] and maximum: 512 at width, came {"width": 640}',
    ),
    ({"headers": {"X-Team": {"schema": {"enum": ["blue", "red"]}}}}, None),
    (
        {"prompt": {"schema": {"type": "string"}, "contains": "dog"}},
        'prompt: expected something that contains "dog", came "A cat by a lake"',
    ),
    # inside of others
    ({"options.size.width": 640}, None),
    ({"options": {"size": {"width": {"at_least": 641}}}}, "options.size.width: expected at least 641, came 640"),
    ({"options": {"a.b": "deep"}}, None),
    ({"options": {"size": {"height": 1}}}, "options.size.height: expected 1, came nothing"),
    ({"x.y": "dotted"}, None),
    ({"n.m": 1}, "n.m: expected 1, came nothing"),
    ({"tags.0": "red"}, None),
    ({"tags": {0: "red", 1: {"at_least": 3}}}, None),
    ({"tags.2": 1}, "tags.2: expected 1, came nothing"),
    ({"tags.-1": 3}, "tags.-1: expected 3, came nothing"),
    # headers
    ({"headers": {"X-Team": "blue"}}, None),
    (
        {"headers": {"X-TEAM": {"contains": "red"}}},
        'headers.x-team: expected something that contains "red", came "blue"',
    ),
    ({"headers": {"not": "x"}}, 'headers.not: expected "x", came nothing'),
]


@pytest.mark.parametrize(("when", "difference"), MATCHES)
def test_how_a_call_differs(when: Any, difference: str | None) -> None:
    """A condition is met, or the difference says field, what was expected and what came."""
    assert ([] if difference is None else [difference]) == [
        str(one) for one in matching.parse_pattern(when).differences(CALL)
    ]  # fmt: skip


SENT: dict[str, Any] = {
    "n": 1, "size": "1024x1024", "quality": "high", "prompt": "x", "stream": False,
    "gateway": "geeknow",
    "given": {
        "size": "auto", "quality": "auto", "prompt": "x", "style": {"list": ["fine", "coarse"]}, "gateway": "openai",
        "status": 200,
    },
}  # fmt: skip
"""A call that sent `auto`, and no n."""


@pytest.mark.parametrize(
    ("when", "difference"),
    [
        ({"size": "auto"}, None),
        ({"size": "1024x1024"}, None),
        ({"size": ["auto", "512x512"]}, None),
        ({"size": "512x512"}, 'size: expected "512x512", came "1024x1024" (sent: "auto")'),
        ({"size": {"not": "auto"}}, 'size: expected anything else, came "1024x1024" (sent: "auto")'),
        ({"size": {"not": "1024x1024"}}, 'size: expected anything else, came "1024x1024" (sent: "auto")'),
        ({"size": {"matches": "^a", "not": "512x512"}}, None),
        ({"quality": "auto"}, None),
        ({"n": 1}, None),
        ({"given.n": {"absent": True}}, None),
        ({"given": {"n": 1}}, "given.n: expected 1, came nothing"),
        ({"given.size": "auto"}, None),
        ({"given": {"size": "1024x1024"}}, 'given.size: expected "1024x1024", came "auto"'),
        ({"given.style.list.0": "fine"}, None),
        ({"given": {"style": {"list": {"1": {"contains": "oar"}}}}}, None),
        ({"given.style.list.2": {"absent": True}}, None),
        ({"style.list.01": {"absent": True}}, None),
        ({"stream": 0}, "stream: expected 0, came false"),
        ({"gateway": "openai"}, 'gateway: expected "openai", came "geeknow"'),
        ({"status": 200}, "status: expected 200, came nothing"),
        ({"given.gateway": "openai"}, None),
    ],
)
def test_what_was_sent_and_what_counts(when: Any, difference: str | None) -> None:
    """A parameter matches by either; `given` is what was sent alone, and `not` rules out both."""
    found = matching.parse_pattern(when).differences(SENT)
    assert ([] if difference is None else [difference]) == [str(one) for one in found]
    assert matching.parse_pattern(when).matches(SENT) == (difference is None)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({"given.promt": "x"}, "unknown field 'promt'; did you mean 'prompt'?"),
        ({"given": {"prompt": {"containz": "x"}}}, "unknown matcher 'containz'; did you mean 'contains'?"),
    ],
)
def test_a_slip_in_what_was_sent(when: Any, told: str) -> None:
    """Behind `given` stand the same parameters."""
    with pytest.raises(ValueError, match=re.escape(told)):
        matching.check_fields(matching.parse_pattern(when), ["prompt", "size"])
    assert ("sharpness",) == matching.check_fields(matching.parse_pattern({"given.sharpness": 3}), ["prompt"])


def test_what_was_sent_is_not_what_is_excluded() -> None:
    """A rule for any other size than auto does not cover one for the size that auto means."""
    wide, narrow = ({"size": {"not": "auto"}}, {"size": "1024x1024"})
    assert not matching.covers_pattern(matching.parse_pattern(wide), matching.parse_pattern(narrow))


def test_every_difference_is_told() -> None:
    """All conditions are judged, in their order, and a long value is cut."""
    told = matching.parse_pattern({"n": 1, "model": "dall-e-3", "prompt": "x", "z": {"absent": False}}).differences(
        {**CALL, "prompt": "é" * 200}
    )
    assert ["n", "prompt", "z"] == [one.field for one in told]
    assert '"' + "é" * 96 + "..." == told[1].came


@pytest.mark.parametrize("value", [None, "cat", [], 3])
def test_no_mapping(value: Any) -> None:
    """What stands behind `when` is a mapping of fields."""
    with pytest.raises(ValueError, match="expected a mapping of fields"):
        matching.parse_pattern(value)


def test_a_schema_meets_a_value_that_is_too_deep() -> None:
    """One that refers to itself follows the value as deep as it is; where Python gives up, that is a difference."""
    when = matching.parse_pattern({"a": {"schema": {"properties": {"a": {"$ref": "#"}}}}})
    value: dict[str, Any] = {}
    for _ in range(20):
        value = {"a": value}
    assert [] == when.differences(value)
    for _ in range(5000):
        value = {"a": value}
    (told,) = (matcher.misses(value) for _, matcher in when.conditions)
    assert "a value that is less deep" == told


def test_equal_conditions_are_equal() -> None:
    """Two readings of the same are the same, which is how an unreachable rule is found."""
    when = {"prompt": {"matches": "a+", "not": ["b"]}, "n": [1, {"at_least": 3}]}
    assert matching.parse_pattern(when) == matching.parse_pattern(when)
    assert matching.parse_pattern(when) != matching.parse_pattern({**when, "n": 1})


COVERED: Final = [
    # earlier, later, whether the later rule is never reached
    ({}, {"model": "x"}, True),
    ({"model": "x"}, {}, False),
    ({"model": ["dall-e-3", "dall-e-2"]}, {"model": "dall-e-3"}, True),
    ({"model": ["dall-e-3", "dall-e-2"]}, {"model": ["dall-e-2", "dall-e-3"]}, True),
    ({"model": ["dall-e-3", "dall-e-2"]}, {"model": ["dall-e-2", "gpt-image-1"]}, False),
    ({"model": "dall-e-3"}, {"model": ["dall-e-3", "dall-e-2"]}, False),
    ({"model": "dall-e-3"}, {"model": "dall-e-3", "n": 2}, True),
    ({"model": "dall-e-3", "n": 2}, {"model": "dall-e-3"}, False),
    ({"n": {"at_least": 2}}, {"n": {"at_least": 3}}, True),
    ({"n": {"at_least": 3}}, {"n": {"at_least": 2}}, False),
    ({"n": {"at_most": 3}}, {"n": {"at_most": 2}}, True),
    ({"n": {"at_most": 2}}, {"n": {"at_most": 3}}, False),
    ({"n": {"at_least": 2}}, {"n": [2, 3]}, True),
    ({"n": {"at_least": 2}}, {"n": [1, 3]}, False),
    ({"n": {"at_least": 1, "at_most": 4}}, {"n": {"at_least": 2, "at_most": 3}}, True),
    ({"n": {"at_least": 1, "at_most": 4}}, {"n": {"at_least": 2}}, False),
    ({"n": {"at_least": 1}}, {"n": {"at_most": 4}}, False),
    ({"prompt": {"contains": "weapon"}}, {"prompt": {"contains": "weapons"}}, True),
    ({"prompt": {"contains": "weapons"}}, {"prompt": {"contains": "weapon"}}, False),
    ({"prompt": {"contains": "weapon"}}, {"prompt": "A weapon"}, True),
    ({"prompt": {"contains": "weapon"}}, {"prompt": {"contains": "weapon", "not": {"contains": "toy"}}}, True),
    ({"tags": {"contains": "weapon"}}, {"tags": {"contains": "weapons"}}, False),  # a list with that member
    ({"prompt": {"matches": "^A"}}, {"prompt": ["A cat", "A dog"]}, True),
    ({"prompt": {"matches": "^A"}}, {"prompt": {"matches": "^A "}}, False),
    ({"model": {"not": "dall-e-2"}}, {"model": "dall-e-3"}, True),
    ({"model": {"not": "dall-e-2"}}, {"model": ["dall-e-3", "dall-e-2"]}, False),
    ({"model": {"not": "dall-e-2"}}, {"model": {"not": ["dall-e-2", "x"]}}, True),
    ({"model": {"not": ["dall-e-2", "x"]}}, {"model": {"not": "x"}}, False),
    ({"n": {"not": {"at_least": 5}}}, {"n": {"at_most": 4}}, True),
    ({"user": {"absent": False}}, {"user": "x"}, True),
    ({"user": {"absent": False}}, {"user": {"absent": True}}, False),
    ({"user": {"absent": False}}, {"user": {"not": "x"}}, False),  # a call without a user is not x either
    ({"user": {"absent": True}}, {"user": {"absent": True}, "n": 1}, True),
    ({"headers": {"X-A": "b"}}, {"headers": {"x-a": "b", "x-c": "d"}}, True),
    ({"n": {"schema": {"minimum": 2}}}, {"n": 3}, True),
    ({"n": {"schema": {"minimum": 2}}}, {"n": 1}, False),
]


@pytest.mark.parametrize(("earlier", "later", "covered"), COVERED)
def test_what_an_earlier_rule_covers(earlier: Any, later: Any, covered: bool) -> None:
    """A pattern covers another where each call that the other takes is one that it takes, and certainly so."""
    assert covered == matching.covers_pattern(matching.parse_pattern(earlier), matching.parse_pattern(later))


CONTRADICTIONS: Final = [
    ({"n": {"at_least": 5, "at_most": 3}}, "n cannot be at least 5 and at most 3"),
    ({"n": {"at_least": 3, "at_most": 3}}, None),
    ({"a.b": 7, "a": {"b": {"at_most": 3}}}, "a.b cannot be 7 and at most 3"),
    ({"a.b": [7, 8], "a": {"b": {"at_most": 3}}}, "a.b cannot be any of 7, 8 and at most 3"),
    ({"a.b": [7, 2], "a": {"b": {"at_most": 3}}}, None),
    ({"a.b": 2, "a": {"b": {"at_most": 3}}}, None),
    ({"user": {"absent": True, "contains": "x"}}, 'user cannot be absent and something that contains "x"'),
    ({"user": {"absent": True, "not": "x"}}, None),
    ({"user": {"absent": False, "not": "x"}}, None),
    ({"prompt": {"contains": "x", "not": {"contains": "x"}}},
     'prompt cannot be something that contains "x" and anything but something that contains "x"'),
    ({"prompt": {"contains": "cats", "not": {"contains": "dogs"}}}, None),
    ({"n": {"at_least": 3, "not": {"at_least": 2}}}, "n cannot be at least 3 and anything but at least 2"),
]  # fmt: skip


@pytest.mark.parametrize(("when", "contradiction"), CONTRADICTIONS)
def test_what_contradicts_itself(when: Any, contradiction: str | None) -> None:
    """Conditions that no call can meet together are found, and described."""
    assert contradiction == matching.find_contradiction(matching.parse_pattern(when))


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"promt": "x"}, "unknown field 'promt'; did you mean 'prompt'?"),
        ({"N": 1}, "unknown field 'N'; did you mean 'n'?"),
        ({"qualitty": "hd"}, "unknown field 'qualitty'; did you mean 'quality'?"),
        ({"header": {"x-a": 1}}, "unknown field 'header'; did you mean 'headers'?"),
        ({"upload.image.width": 3}, "unknown field 'upload'; did you mean 'uploads'?"),
        ({"uploads": {"image": {"widht": 3}}}, "unknown field 'widht' of an upload; known are name, filename,"),
        ({"uploads.image[1].widht": 3}, "; did you mean 'width'?"),
        ({"uploads": {"picture": {"width": 3}}}, "unknown upload 'picture'; known are image, image[0]"),
        ({"user": {"containz": "x"}}, "unknown matcher 'containz'; did you mean 'contains'?"),
        ({"statuss": 200}, "unknown field 'statuss'; did you mean 'status'?"),
    ],
)
def test_a_misspelled_field_is_refused(when: Any, message: str) -> None:
    """A field that is nearly a known one is a slip."""
    with pytest.raises(ValueError, match="unknown") as caught:
        matching.check_fields(matching.parse_pattern(when), ["quality", "user"], ["status"])
    assert message in str(caught.value)


def test_an_unknown_field_that_is_like_no_other_is_returned() -> None:
    """It may be a parameter of a gateway that nobody knows here; each is named once."""
    when = {
        "operation": "edit", "user.name": 1, "sharpness": 1, "lights.left": 1, "lights.right": 1, "headers": {"x": 1},
        "uploads.mask.width": 1, "uploads.image[3].format": "png", "uploads.count": 2, "user_id": 3,
        "uploads.image": {"absent": True},
    }  # fmt: skip
    assert ("sharpness", "lights", "user_id") == matching.check_fields(matching.parse_pattern(when), ["user"])


@pytest.mark.parametrize("expected", ["generat", ["edit", "generat"], {"not": "generat"}, {"not": {"not": "generat"}}])
def test_a_word_that_a_field_never_has(expected: Any) -> None:
    """A closed field is compared with its own words alone, wherever the word stands."""
    with pytest.raises(
        ValueError, match=r"^operation is \"generat\"; expected one of generate, edit; did you mean 'gen"
    ):
        matching.check_choices(matching.parse_pattern({"operation": expected}), {"operation": ["generate", "edit"]})


OPERANDS: Final = (
    None, True, 1, 1.0, "1", "cat", "", [1, "cat"], ["cat", {"at_least": 1}], [None, {"absent": True}],
    {"contains": "cat"}, {"contains": 1}, {"contains": True}, {"matches": "^c"}, {"at_least": 1}, {"at_most": 1},
    {"not": "cat"}, {"not": {"contains": "a"}}, {"not": [1, None]}, {"absent": True}, {"absent": False},
    {"contains": "c", "not": "cat"}, {"at_least": 1, "at_most": 5}, {"not": {"not": "cat"}},
    {"schema": {"type": "string"}},
)  # fmt: skip
CAME: Final[tuple[Any, ...]] = (
    matching.ABSENT,
    None,
    True,
    1,
    1.0,
    3,
    "1",
    "cat",
    "a cat",
    "",
    [1, "cat"],
    [],
    {"name": "cat"},
)
GIVENS: Final[tuple[Any, ...]] = (matching.ABSENT, "no mapping", MappingProxyType({"prompt": "cat"}), {})


@pytest.mark.parametrize(
    "path", ["prompt", "operation", "turn", "headers.name", "prompt.name", "uploads", "given.prompt"]
)
@pytest.mark.parametrize("operand", OPERANDS, ids=repr)
def test_a_match_is_no_difference(path: str, operand: Any) -> None:
    """The quick way to tell whether a call matches agrees with the list of differences, whatever came and was sent."""
    pattern = matching.RequestPattern((*matching.parse_pattern({"n": 1}).conditions, (path, _parse_operand(operand))))
    name = path.removeprefix("given.").partition(".")[0]
    for came in CAME:
        for given in (*GIVENS, *({"prompt": sent} for sent in CAME if sent is not matching.ABSENT)):
            for n in (1, 2):
                fields = {name: came, "n": n, "given": given}
                fields = {key: value for key, value in fields.items() if value is not matching.ABSENT}
                assert pattern.matches(fields) == (not pattern.differences(fields)), fields


def _parse_operand(operand: Any) -> matching.Matcher:
    ((_, matcher),) = matching.parse_pattern({"prompt": operand}).conditions
    return matcher
