"""Reads a scenario file, and refuses what contradicts itself when it is given, not when it bites.

Every complaint is one line with file and line, what was read, and what was expected.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from emulator.core import yaml_file
from emulator.core.yaml_file import Source
from emulator.messages import OPERATIONS
from emulator.scenario import answer_loader, matching
from emulator.scenario.limits import MOST_DOLLARS, Limits
from emulator.scenario.matching import RequestPattern
from emulator.scenario.reader import Pointer, Reader
from emulator.scenario.scenario import THENS, Rule, Scenario

log = logging.getLogger("emulator")


def load_scenario(path: Path) -> Scenario:
    """Load the scenario in the file at `path`; raises InvalidFile."""
    return _build_scenario(yaml_file.read(path), path.parent)


def parse_scenario(text: str, name: str, folder: Path | None = None) -> Scenario:
    """Make a scenario of its source `text`, YAML or JSON; raises InvalidFile.

    `name` is what error messages call the source; its stem is the name of a scenario that gives itself none. `folder`
    is where the pictures are that it names; without one, it can name none.
    """
    return _build_scenario(yaml_file.parse(text, Path(name)), folder)


def find_scenario(name: str) -> Scenario:
    """Load the ready-made scenario `name`, else the one in the file of that name; raises InvalidFile."""
    ready_made = _ready_made_file(name)
    if ready_made is not None:
        return load_scenario(ready_made)
    if not Path(name).exists() and not name.endswith((".yaml", ".yml")):
        known = ", ".join(list_ready_made())
        raise yaml_file.InvalidFile(f"{name!r} is neither a file nor a ready-made scenario; those are {known}")
    return load_scenario(Path(name))


class WatchedScenario:
    """A scenario that is loaded again when its file changes; a file that became bad leaves the last good one."""

    def __init__(self, name: str) -> None:
        """Load the scenario `name` as `find_scenario` does; raises InvalidFile."""
        self._scenario = find_scenario(name)
        self._path: Path | None = None
        if _ready_made_file(name) is None:
            self._path = Path(name)
        self._stamp = self._read_stamp()

    def current(self) -> Scenario:
        """Return the scenario as its file has it now; a bad file is logged once."""
        stamp = self._read_stamp()
        if self._path is None or stamp == self._stamp:
            return self._scenario
        self._stamp = stamp
        try:
            found = replace(load_scenario(self._path), version=self._scenario.version)
        except yaml_file.InvalidFile as error:
            log.warning("%s; the last good version stays in use", error)
            return self._scenario
        if found != self._scenario:
            self._scenario = replace(found, version=found.version + 1)
            log.warning("%s has changed and is played from its beginning", self._path)
        return self._scenario

    def _read_stamp(self) -> tuple[int, ...]:
        """Return what changes with the file; a ready-made scenario does not change."""
        if self._path is None:
            return ()
        try:
            found = self._path.stat()
        except OSError:
            return (0,)
        return found.st_mtime_ns, found.st_size, found.st_ino


def list_ready_made() -> list[str]:
    """Return the names of the ready-made scenarios, sorted."""
    return sorted(path.stem for path in yaml_file.scenarios().glob("*.yaml"))


def _ready_made_file(name: str) -> Path | None:
    """Return the file of the ready-made scenario `name`, None where there is none."""
    path = yaml_file.scenarios() / f"{name}.yaml"
    if re.fullmatch(r"[a-z0-9-]+", name) and path.is_file():
        return path
    return None


def _build_scenario(source: Source, folder: Path | None) -> Scenario:
    root = source.known_keys([], source.root, ("scenario", "about", "limits", "channels", "rules"))
    name, about = root.get("scenario", source.path.stem), root.get("about", "")
    for key, value in (("scenario", name), ("about", about)):
        if not isinstance(value, str):
            raise source.fault([key], f"{key} is {yaml_file.describe(value)}; expected a text")
    rules = root.get("rules", [])
    if not isinstance(rules, list):
        raise source.fault(["rules"], f"rules is {yaml_file.describe(rules)}; expected a list of rules")
    channels = root.get("channels", [])
    if not isinstance(channels, list) or not all(isinstance(model, str) and model for model in channels):
        raise source.fault(
            ["channels"], f"channels is {yaml_file.describe(channels)}; expected a list of models' names"
        )
    found: list[Rule] = []
    for index, value in enumerate(rules):
        pointer: Pointer = ["rules", index]
        rule = _rule(Reader(source, folder), pointer, value, f"rule-{index + 1}")
        _reachable(source, pointer, rule, found)
        found.append(rule)
    return Scenario(
        name=name,
        about=about,
        rules=tuple(found),
        limits=_limits(source, root.get("limits", {})),
        channels=frozenset(channels),
        source=source.text,
        file=str(source.path),
        folder=folder,
    )


def _limits(source: Source, value: Any) -> Limits:
    known = tuple(one.name for one in fields(Limits))
    for key, most in source.known_keys(["limits"], value, known).items():
        expected = "a whole number from 0"
        if key == "cost":
            expected = f"dollars from 0 to {MOST_DOLLARS}"
            good = isinstance(most, int | float) and 0 <= most <= MOST_DOLLARS
        else:
            good = isinstance(most, int) and most >= 0
        if isinstance(most, bool) or not good:
            raise source.fault(["limits", key], f"{key} is {yaml_file.describe(most)}; expected {expected}")
    return Limits(**value)


def _reachable(source: Source, pointer: Pointer, rule: Rule, before: list[Rule]) -> None:
    """Refuse a rule that could never answer, and a name given twice."""
    for earlier in before:
        if earlier.name == rule.name:
            raise source.fault(pointer, f"two rules are named {rule.name!r}")
        if rule.about_tasks and not earlier.about_tasks:
            continue  # who asks for a task comes to rules that say so, and to no other
        endless = earlier.then != "next" and earlier.chance == 1
        if endless and all(condition in rule.when.conditions for condition in earlier.when.conditions):
            why = "takes the same calls" if earlier.when.conditions else "takes every call"
            raise source.fault(pointer, f"rule {rule.name!r} is unreachable: {earlier.name!r} {why} and never ends")


def _known_operation(source: Source, pointer: Pointer, expected: Any) -> None:
    """Refuse an operation that there is not, wherever it stands in what a rule expects."""
    for one in expected if isinstance(expected, list) else [expected]:
        if isinstance(one, Mapping):
            _known_operation(source, pointer, one.get("not", OPERATIONS[0]))
        elif isinstance(one, list):
            _known_operation(source, pointer, one)
        elif one not in OPERATIONS:
            said = f"operation is {yaml_file.describe(one)}; expected one of {', '.join(OPERATIONS)}"
            raise source.fault(pointer, said)


def _rule(reader: Reader, pointer: Pointer, value: Any, usual: str) -> Rule:
    source = reader.source
    value = source.known_keys(pointer, value, ("name", "when", "answers", "then", "chance"))
    name = value.get("name", usual)
    if not isinstance(name, str):
        raise source.fault([*pointer, "name"], f"name is {yaml_file.describe(name)}; expected a text")
    when = (
        reader.told([*pointer, "when"], matching.parse_pattern, value["when"]) if "when" in value else RequestPattern()
    )
    _known_operation(source, [*pointer, "when", "operation"], value.get("when", {}).get("operation", OPERATIONS[0]))
    given = value.get("answers")
    single = isinstance(given, Mapping | str)
    if single:
        given = [given]
    if not isinstance(given, list) or not given:
        raise source.fault(
            [*pointer, "answers"], f"answers is {yaml_file.describe(given)}; expected an answer or a list"
        )
    places: list[Pointer] = [[*pointer, "answers", *(() if single else (index,))] for index in range(len(given))]
    read = tuple(answer_loader.read(reader, place, one) for place, one in zip(places, given, strict=True))
    then = value.get("then", "repeat")
    if then not in THENS:
        raise source.fault([*pointer, "then"], f"then is {yaml_file.describe(then)}; expected {', '.join(THENS)}")
    if then == "cycle" and len(read) == 1:
        raise source.fault([*pointer, "then"], "then: cycle over a single answer is repeat; give more, or leave it out")
    chance = value.get("chance", 1)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 < chance <= 1:
        raise source.fault([*pointer, "chance"], f"chance is {yaml_file.describe(chance)}; expected above 0, at most 1")
    return Rule(name, when, read, then, float(chance))
