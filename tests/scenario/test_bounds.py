"""A scenario has bounds, each told in one line that names the bound; loading takes a bounded time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.cli.main import main
from emulator.core.yaml_file import InvalidFile
from emulator.scenario import loader, matching, rule_index
from emulator.scenario.rule_index import RuleIndex
from emulator.scenario.scenario import Answer, Rule
from tests.conftest import Served
from tests.process import refused_here


def _answer(text: str) -> str:
    return f"rules: [{{answers: {{{text}}}}}]"


def _when(text: str) -> str:
    return f"rules: [{{answers: draw, when: {{{text}}}}}]"


HOSTILE: Final = {
    "rules": ("rules:\n" + "- {answers: draw}\n" * 3001, "rules is a list of 3001; expected at most 3000 rules"),
    "many rules": ("rules:\n" + "- {answers: draw}\n" * 60_000, "more than 50000 values"),
    "many rules in JSON": ('{"rules":[' + '{"answers":"draw"},' * 60_000 + "{}]}", "more than 50000 values"),
    "a mistake behind many rules": (
        "rules:\n" + "- {when: {prompt: a}, answers: draw}\n" * 20_000 + "- {anwsers: draw}\n",
        "more than 50000 values",
    ),
    "mistakes": ("rules:\n" + "- {anwsers: draw}\n" * 3000, "unknown key 'anwsers' in rules.0"),
    "answers": (f"rules: [{{answers: [{'draw,' * 60_000}]}}]", "more than 50000 values"),
    "fields": (_when(",".join(f"f{n}: 1" for n in range(60_000))), "more than 50000 values"),
    "characters": ("rules: []\n#" + "x" * 8_000_000, "8000011 characters; expected at most 8000000"),
    "lists in lists": (f"rules: {'[' * 900}{']' * 900}", "levels of parts inside of parts"),
    "open lists": (f"rules: {'[' * 100_000}", "nesting depth|inside of parts"),
    "lists in a block": (f"rules:\n {'- ' * 5000}x", "nesting depth|inside of parts"),
    "not": (_when(f"n: {'{not: ' * 800}1{'}' * 800}"), "when.n… has more than 64 levels of parts inside of parts"),
    "fields in fields": (_when(f"user: {'{a: ' * 800}1{'}' * 800}"), "has more than 64 levels of parts inside"),
    "faults": (_answer(f"draw: {{}}, faults: [{'truncate,' * 5000}]"), "expected a list of at most 20 faults"),
    "brackets": (_when(f"prompt: {{matches: '{'(' * 5000}'}}"), "too many parts inside of parts: over 100 brackets"),
    "a pattern": (_when(f"prompt: {{matches: '{'a' * 1001}'}}"), "has 1001 characters; expected at most 1000"),
    "headers": (
        _answer(f"draw: {{}}, headers: {{{','.join(f'x{n}: a' for n in range(101))}}}"),
        "headers has 101 headers; expected at most 100",
    ),
    "a header": (
        _answer(f"draw: {{}}, headers: {{x: {'y' * 8188}}}"),
        "a header of 8191 bytes; expected at most 8190 for name and text",
    ),
    "a content type": (
        _answer(f"canned: {{content_type: {'y' * 9000}}}"),
        "a header of 9014 bytes; expected at most 8190 for name and text",
    ),
    "a schema": (_when(f"n: {{schema: {{enum: [{'1,' * 2000}]}}}}"), "the schema has more than 2000 parts"),
    "a long schema": (_when(f"n: {{schema: {{const: {'x' * 20_001}}}}}"), "the schema has more than 20000 characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bound_is_told_in_one_line(name: str) -> None:
    """No text ends in anything but this one error."""
    text, told = HOSTILE[name]
    with pytest.raises(InvalidFile) as caught:
        loader.parse_scenario(text, "script.yaml")
    assert re.search(told, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith("script.yaml:")
    assert "\n" not in str(caught.value)


def test_what_is_within_the_bounds() -> None:
    """Many rules, 100 headers, and a header as long as HTTP libraries take."""
    rules = [{"when": {"prompt": f"p{n}"}, "answers": "draw"} for n in range(300)]
    headers = {f"x{n}": "a" for n in range(99)} | {"y": "z" * 8187}
    rules.append({"answers": {"draw": {}, "headers": headers}})
    assert 301 == len(loader.parse_scenario(json.dumps({"rules": rules}), "s").rules)


@pytest.mark.parametrize("name", ["rules", "many rules", "not", "a header", "brackets", "lists in lists"])
def test_over_http(server: Served, name: str) -> None:
    """It is a 400 with the same line."""
    text, told = HOSTILE[name]
    url = f"{server.url}/_emulator/sessions/bounds/scenario"
    refused = httpx.put(url, content=text, headers={"content-type": "application/yaml"}, timeout=60)
    assert 400 == refused.status_code
    assert re.search(told, refused.json()["error"]["message"])


@pytest.mark.parametrize("name", ["rules", "not", "brackets"])
def test_at_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    """`serve` ends with one line and exit code 2, `check` with one finding and exit code 1."""
    text, told = HOSTILE[name]
    path = tmp_path / "hostile.yaml"
    path.write_text(text, "utf-8")
    monkeypatch.setenv("COLUMNS", "1000")
    line = refused_here(monkeypatch, capsys, tmp_path, ["--port", "0", "--scenario", str(path)], [str(path)])
    assert re.search(told, line), line
    assert 1 == main(["check", str(path)])
    captured = capsys.readouterr()
    lines = (captured.err + captured.out).splitlines()
    assert any(re.search(told, line) for line in lines), lines


def _count_comparisons(monkeypatch: pytest.MonkeyPatch, rules: list[Any]) -> int:
    """How many rules are compared while a scenario is loaded."""
    compared = []
    covers = matching.covers_pattern

    def count(wide: Any, narrow: Any) -> bool:
        compared.append(1)
        return covers(wide, narrow)

    monkeypatch.setattr(matching, "covers_pattern", count)
    index = RuleIndex()
    for number, when in enumerate(rules):
        rule = Rule(str(number), matching.parse_pattern(when), (Answer(),))
        assert index.find_covering(rule) is None
        index.add(rule)
    return len(compared)


@pytest.mark.parametrize(
    "make_when",
    [
        lambda number: {"prompt": f"p{number}"},
        lambda number: {"model": "dall-e-3", "prompt": f"p{number}"},
        lambda number: {"prompt": {"contains": f"-{number}-"}},
        lambda number: {"model": ["dall-e-3", "dall-e-2"], "headers": {"x-case": str(number)}},
    ],
)
def test_rules_that_differ_in_a_value_are_not_compared(
    monkeypatch: pytest.MonkeyPatch, make_when: Callable[[int], Any]
) -> None:
    """A thousand rules take few comparisons, not half a million."""
    assert _count_comparisons(monkeypatch, [make_when(number) for number in range(1000)]) <= 2000


@pytest.mark.parametrize("make_part", [lambda number: f"p{number}", lambda number: {"contains": f"-{number}-"}])
def test_long_lists_of_two_rules_are_not_compared_by_pairs(
    monkeypatch: pytest.MonkeyPatch, make_part: Callable[[int], Any]
) -> None:
    """A list of values is found in another at once; lists of conditions too long to be compared are not compared."""
    compared = []
    covers = matching.covers

    def count(wide: Any, narrow: Any, path: str) -> bool:
        compared.append(1)
        return covers(wide, narrow, path)

    monkeypatch.setattr(matching, "covers", count)
    index = RuleIndex()
    for length in (1000, 1001):
        when = matching.parse_pattern({"prompt": [make_part(number) for number in range(length)]})
        rule = Rule(str(length), when, (Answer(),))
        assert index.find_covering(rule) is None
        index.add(rule)
    assert len(compared) <= 2


def test_a_condition_of_two_long_lists_is_not_compared_by_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two lists for one field contradict each other, or are too long for that to be found out."""
    monkeypatch.setattr(matching, "excludes", lambda *_: pytest.fail("compared"))
    parts = [{"contains": f"-{number}-"} for number in range(400)]
    assert matching.find_contradiction(matching.parse_pattern({"style.left": parts, "style": {"left": parts}})) is None


def test_comparisons_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that cannot be told apart by a value are compared for about a second, and not for ever."""
    rules = [{"prompt": {"matches": f"a{number}"}} for number in range(600)]
    assert rule_index.MOST_WORK // rule_index.COMPARISON >= _count_comparisons(monkeypatch, rules)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"model": ["dall-e-3", "dall-e-2"]}, {"model": "dall-e-3"}),
        ({"model": ["dall-e-3", "dall-e-2"]}, {"model": ["dall-e-2", "dall-e-3"], "n": 1}),
        ({"prompt": {"contains": "cat"}}, {"prompt": ["a cat", "two cats"]}),
        ({"prompt": {"contains": "cat"}}, {"prompt": {"contains": "cats", "matches": "^a"}}),
        ({"prompt": {"not": {"contains": "cat"}}}, {"prompt": {"not": {"contains": "cat"}}, "n": 2}),
        ({"n": {"at_least": 2}}, {"n": {"at_least": 3}}),
        ({}, {"prompt": "x"}),
    ],
)
def test_what_is_covered_is_still_found(earlier: Any, later: Any) -> None:
    """An earlier rule is found among a hundred others."""
    index = RuleIndex()
    rules = [{"prompt": f"p{number}"} for number in range(50)]
    for number, when in enumerate([*rules, earlier, *({"user": f"u{number}"} for number in range(50))]):
        index.add(Rule(str(number), matching.parse_pattern(when), (Answer(),)))
    found = index.find_covering(Rule("later", matching.parse_pattern(later), (Answer(),)))
    assert found is not None
    assert "50" == found.name
