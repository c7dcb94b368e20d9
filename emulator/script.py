"""Reads a scenario file, and refuses what contradicts itself when it is given, not when it bites.

Every complaint is one line with file and line, what was read, and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from emulator import answers, files, matching
from emulator.answers import Pointer, Reader
from emulator.files import Source
from emulator.limits import Limits
from emulator.matching import When
from emulator.scenario import THENS, Rule, Scenario


def read(path: Path) -> Scenario:
    """The scenario in the file at `path`; raises BadFile."""
    return _scenario(files.read(path))


def parse(text: str, path: Path) -> Scenario:
    """The scenario that `text` spells, as if it stood in the file at `path`; raises BadFile."""
    return _scenario(files.parse(text, path))


def named(name: str) -> Scenario:
    """The ready-made scenario `name`, else the one in the file of that name; raises BadFile."""
    shipped = files.scenarios() / f"{name}.yaml"
    if re.fullmatch(r"[a-z0-9-]+", name) and shipped.is_file():
        return read(shipped)
    if not Path(name).exists() and not name.endswith((".yaml", ".yml")):
        raise files.BadFile(f"{name!r} is neither a file nor a ready-made scenario; those are {', '.join(shelf())}")
    return read(Path(name))


def shelf() -> list[str]:
    """The names of the ready-made scenarios."""
    return sorted(path.stem for path in files.scenarios().glob("*.yaml"))


def _scenario(source: Source) -> Scenario:
    root = source.known_keys([], source.root, ("scenario", "about", "limits", "rules"))
    name, about = root.get("scenario", source.path.stem), root.get("about", "")
    for key, value in (("scenario", name), ("about", about)):
        if not isinstance(value, str):
            raise source.fault([key], f"{key} is {files.describe(value)}; expected a text")
    rules = root.get("rules", [])
    if not isinstance(rules, list):
        raise source.fault(["rules"], f"rules is {files.describe(rules)}; expected a list of rules")
    found: list[Rule] = []
    for index, value in enumerate(rules):
        pointer: Pointer = ["rules", index]
        rule = _rule(Reader(source), pointer, value, f"rule-{index + 1}")
        _reachable(source, pointer, rule, found)
        found.append(rule)
    return Scenario(name, about, tuple(found), _limits(source, root.get("limits", {})))


def _limits(source: Source, value: Any) -> Limits:
    known = tuple(one.name for one in fields(Limits))
    for key, most in source.known_keys(["limits"], value, known).items():
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise source.fault(["limits", key], f"{key} is {files.describe(most)}; expected a whole number from 0")
    return Limits(**value)


def _reachable(source: Source, pointer: Pointer, rule: Rule, before: list[Rule]) -> None:
    """Refuse a rule that could never answer, and a name given twice."""
    for earlier in before:
        if earlier.name == rule.name:
            raise source.fault(pointer, f"two rules are named {rule.name!r}")
        endless = earlier.then != "next" and earlier.chance == 1
        if endless and all(condition in rule.when.conditions for condition in earlier.when.conditions):
            why = "takes the same calls" if earlier.when.conditions else "takes every call"
            raise source.fault(pointer, f"rule {rule.name!r} is unreachable: {earlier.name!r} {why} and never ends")


def _rule(reader: Reader, pointer: Pointer, value: Any, usual: str) -> Rule:
    source = reader.source
    value = source.known_keys(pointer, value, ("name", "when", "answers", "then", "chance"))
    name = value.get("name", usual)
    if not isinstance(name, str):
        raise source.fault([*pointer, "name"], f"name is {files.describe(name)}; expected a text")
    when = reader.told([*pointer, "when"], matching.read, value["when"]) if "when" in value else When()
    given = value.get("answers")
    single = isinstance(given, Mapping | str)
    if single:
        given = [given]
    if not isinstance(given, list) or not given:
        raise source.fault([*pointer, "answers"], f"answers is {files.describe(given)}; expected an answer or a list")
    places: list[Pointer] = [[*pointer, "answers", *(() if single else (index,))] for index in range(len(given))]
    read = tuple(answers.read(reader, place, one) for place, one in zip(places, given, strict=True))
    then = value.get("then", "repeat")
    if then not in THENS:
        raise source.fault([*pointer, "then"], f"then is {files.describe(then)}; expected {', '.join(THENS)}")
    if then == "cycle" and len(read) == 1:
        raise source.fault([*pointer, "then"], "then: cycle over a single answer is repeat; give more, or leave it out")
    chance = value.get("chance", 1)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        raise source.fault([*pointer, "chance"], f"chance is {files.describe(chance)}; expected 0 to 1")
    return Rule(name, when, read, then, float(chance))
