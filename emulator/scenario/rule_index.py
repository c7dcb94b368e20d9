"""Finds, among the rules of a scenario, an earlier one that leaves nothing for a later one, without comparing all.

Most rules differ in a value, such as the model, so a rule is found by one of its values. The others are compared one by
one, up to as many comparisons as take a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.scenario import matching
from emulator.scenario.matching import AllOf, AnyOf, Contains, Equal, Matcher
from emulator.scenario.scenario import Rule

Place = tuple[str, str, str]
"""A field, and one value of it with its type."""


@dataclass(frozen=True)
class _Indexed:
    """A rule and its number. `needles` are the texts that it looks for, by field: what it covers names them too."""

    number: int
    rule: Rule
    needles: tuple[tuple[str, str], ...]


class RuleIndex:
    """The rules so far that never come to their end."""

    def __init__(self) -> None:
        self._by_place: dict[Place, list[_Indexed]] = {}
        self._others: list[_Indexed] = []
        self._count = 0
        self._work_left = MOST_WORK

    def add(self, rule: Rule) -> None:
        """Add the next rule; one that ends, or sits out, leaves calls for others."""
        if rule.then == "next" or rule.chance != 1:
            return
        self._count += 1
        needles = tuple(
            (path, matcher.part)
            for path, matcher in rule.when.conditions
            if isinstance(matcher, Contains) and isinstance(matcher.part, str)
        )
        indexed = _Indexed(self._count, rule, needles)
        places = self._choose_places(rule)
        if not places:
            self._others.append(indexed)
        for place in places:
            self._by_place.setdefault(place, []).append(indexed)

    def find_covering(self, rule: Rule) -> Rule | None:
        """Return the first rule that takes every call that `rule` takes; None where there is none, or not certainly.

        Above MOST_WORK nothing is found any more: a scenario of thousands of rules still loads in seconds.
        """
        if self._work_left < 0:
            return None
        found = list(self._others)
        for place in dict.fromkeys(_list_places(rule)):
            found.extend(self._by_place.get(place, ()))
        texts = {path: "\n".join(_list_texts(matcher)) for path, matcher in rule.when.conditions}
        self._work_left -= len(found)
        for _, indexed in sorted({indexed.number: indexed for indexed in found}.items()):
            if any(part not in texts.get(path, "") for path, part in indexed.needles):
                continue
            earlier = indexed.rule
            if rule.about_tasks and not earlier.about_tasks:
                continue  # a call that asks for a task comes to rules that say so, and to no other
            self._work_left -= COMPARISON + _count_pairs(earlier, rule)
            if self._work_left < 0:
                return None
            if matching.covers_pattern(earlier.when, rule.when):
                return earlier
        return None

    def _choose_places(self, rule: Rule) -> list[Place]:
        """Return the values of one field, all that it may have; of several such fields the one with the rarest."""
        choices = []
        for path, matcher in rule.when.conditions:
            values = _list_all_values(matcher)
            if values:
                places = [_name_place(path, value) for value in values]
                crowd = sum(len(self._by_place.get(place, ())) for place in places)
                choices.append((crowd, places))
        if not choices:
            return []
        return min(choices, key=lambda choice: choice[0])[1]


def _count_pairs(earlier: Rule, rule: Rule) -> int:
    """Return how many parts of conditions are compared with each other, where the two rules have lists of them."""
    wide, narrow = (sum(matching.count_parts(one) for _, one in each.when.conditions) for each in (earlier, rule))
    return wide * narrow


def _list_all_values(matcher: Matcher) -> list[Any]:
    """Return the values that a matcher takes; none where they cannot be listed."""
    match matcher:
        case Equal(value):
            return [value]
        case AnyOf(parts) if all(isinstance(part, Equal) for part in parts):
            return [part.value for part in parts if isinstance(part, Equal)]
        case _:
            return []


def _list_places(rule: Rule) -> Iterator[Place]:
    """Yield each value that the conditions of a rule name, alone or among others."""
    for path, matcher in rule.when.conditions:
        for value in _list_named_values(matcher):
            yield _name_place(path, value)


def _list_named_values(matcher: Matcher) -> Iterator[Any]:
    match matcher:
        case Equal(value):
            yield value
        case AnyOf(parts) | AllOf(parts):
            for part in parts:
                yield from _list_named_values(part)


def _list_texts(matcher: Matcher) -> Iterator[str]:
    """Yield the texts that a value is compared with or looked through for."""
    match matcher:
        case Equal(str(text)) | Contains(str(text)):
            yield text
        case AnyOf(parts) | AllOf(parts):
            for part in parts:
                yield from _list_texts(part)


def _name_place(path: str, value: Any) -> Place:
    return path, type(value).__name__, repr(value)


MOST_WORK: Final = 600_000
"""Rules that are looked at while one scenario is loaded, in about a second: 1,000 rules are half a million pairs."""
COMPARISON: Final = 10  # as many rules are looked at in the time in which two are compared
