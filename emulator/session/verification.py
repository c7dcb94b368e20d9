"""Holds a session's calls against what a test expects of them, and says what came instead.

`read` understands the words, `Verification.judge` decides; both are pure, and whatever cannot be meant is refused when
it is read. What people are told of a call comes from *evidence*, where every key is blanked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from emulator.core import yaml_file
from emulator.gateway import pricing
from emulator.scenario import matching
from emulator.scenario.limits import Counter
from emulator.scenario.matching import RequestPattern
from emulator.scenario.scenario import Rule, Scenario
from emulator.session import call_fields, counts
from emulator.session.counts import COUNTS, Count, calls
from emulator.session.journal import JournalEntry

Cost = Callable[[JournalEntry], float | None]
"""What a call that got pictures costs in dollars; None where no price is known."""


@dataclass(frozen=True)
class Unused:
    """A rule of a script, and how many of its answers no call has taken."""

    rule: str
    left: int


@dataclass(frozen=True)
class Verdict:
    """Whether all holds; `message` says what came, in lines, and `matched` are the numbers of the calls meant.

    `notes` say in a word what is left open: `cost_unknown` (no price is known of some call), `calls_unseen` (the
    session's first calls are not in the journal).
    """

    ok: bool
    message: str
    matched: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What a test expects: every part that is given has to hold.

    `when` says of which calls `count`, `no_findings` and `max_cost` (dollars) speak; `in_order` are calls that have to
    come one after the other, with any others between them.
    """

    when: RequestPattern = field(default_factory=RequestPattern)
    count: Count | None = None
    in_order: tuple[RequestPattern, ...] = ()
    no_findings: bool = False
    no_unused_answers: bool = False
    max_cost: float | None = None

    def schema_validator(
        self,
        entries: Sequence[JournalEntry],
        unused: Sequence[Unused] = (),
        cost: Cost | None = None,
        forgotten: int = 0,
    ) -> Verdict:
        """The verdict on `entries`, the finished calls of a session in any order.

        `unused` is what the function `unused` gave for the session, `cost` prices a call that got pictures (None: by
        published prices), and `forgotten` is how many calls the journal is known to have dropped: with any of these,
        what needs to see all calls fails.
        """
        entries = sorted(entries, key=lambda entry: entry.number)
        told = _Told([], [], {})
        matched = self._in_order(entries, told) if self.in_order else self._matching(entries, told)
        if self.no_findings:
            _unremarkable(matched, told)
        if self.no_unused_answers:
            _used(unused, entries, told)
        if self.max_cost is not None:
            _paid(self.max_cost, matched, cost or _price, told)
        if forgotten and self._needs_all:
            told.failures.append(f"cannot be told, because {calls(forgotten)} came before those in the journal")
        if forgotten or (entries and entries[0].number > 1):
            first = entries[0].number if entries else forgotten + 1
            told.notes["calls_unseen"] = f"calls before call {first} are not in the journal"
        notes = [f"{word}: {text}" for word, text in told.notes.items()]
        message = call_fields.blanked("\n".join([*(told.failures or told.held), *notes]), entries)
        return Verdict(not told.failures, message, tuple(entry.number for entry in matched), tuple(told.notes))

    @property
    def _needs_all(self) -> bool:
        """Whether one call more could make it fail."""
        return self.no_findings or self.max_cost is not None or (self.count is not None and self.count.most is not None)

    def _matching(self, entries: Sequence[JournalEntry], told: _Told) -> Sequence[JournalEntry]:
        """The calls that are as `when` wants them, and whether there are as many as expected."""
        matched: list[JournalEntry] = []
        others: list[JournalEntry] = []
        for entry in entries:
            (others if self.when.differences(call_fields.fields(entry)) else matched).append(entry)
        if self.count is None:
            return matched
        which, came = call_fields.described(self.when, entries), call_fields.counted(matched)
        if self.count.holds(len(matched)):
            told.held.append(f"expected {self.count}{which}, and came {came}")
            return matched
        told.failures.append(f"expected {self.count}{which}, came {came}")
        told.failures.extend(call_fields.lines(matched))
        if len(matched) < self.count.least:
            told.failures.extend(call_fields.nearest(self.when, others, bool(matched)))
        return matched

    def _in_order(self, entries: Sequence[JournalEntry], told: _Told) -> Sequence[JournalEntry]:
        """The calls that came in order, each the first that fits behind the one before."""
        fields = [call_fields.fields(entry) for entry in entries]
        found: list[int] = []
        for when in self.in_order:
            start = found[-1] + 1 if found else 0
            place = next((at for at in range(start, len(entries)) if not when.differences(fields[at])), None)
            if place is None:
                break
            found.append(place)
        matched = [entries[place] for place in found]
        expected = f"expected {calls(len(self.in_order))} in order"
        if len(found) == len(self.in_order):
            told.held.append(f"{expected}, and came {call_fields.counted(matched)}")
            return matched
        steps = [call_fields.described(when, entries).removeprefix(" with ") or "any" for when in self.in_order]
        told.failures.append(f"{expected}: {', then '.join(steps)}; came {call_fields.counted(matched)}")
        told.failures.extend(call_fields.lines(matched))
        self._broken_off(self.in_order[len(found)], entries, found, told)
        return matched

    def _broken_off(
        self, when: RequestPattern, entries: Sequence[JournalEntry], found: Sequence[int], told: _Told
    ) -> None:
        """Say which call did not come behind those that were found, and what came instead."""
        start = found[-1] + 1 if found else 0
        after = f" after call {entries[start - 1].number}" if found else ""
        told.failures.append(f"no call{call_fields.described(when, entries)} came{after}")
        before = [entries[place] for place in range(start) if place not in found]
        if early := [entry for entry in before if not when.differences(call_fields.fields(entry))]:
            told.failures.append(f"{call_fields.numbers(early)} came too early for that")
        if start < len(entries):
            told.failures.extend(call_fields.nearest(when, entries[start:], bool(found)))


@dataclass(frozen=True)
class _Told:
    """What a verdict has to say while it is reached: lines about what failed and what held, notes by their word."""

    failures: list[str]
    held: list[str]
    notes: dict[str, str]


def _unremarkable(matched: Sequence[JournalEntry], told: _Told) -> None:
    """Whether nothing was noticed about the calls."""
    noticed = [entry for entry in matched if entry.findings]
    if not noticed:
        told.held.append("expected no findings, and came none")
        return
    count = sum(len(entry.findings) for entry in noticed)
    told.failures.append(f"expected no findings, came {count} on {call_fields.numbers(noticed)}")
    told.failures.extend(call_fields.remarks(noticed))


def _used(unused: Sequence[Unused], entries: Sequence[JournalEntry], told: _Told) -> None:
    """Whether calls have taken all answers of the session's script."""
    if not unused:
        told.held.append("expected no unused answers, and came none")
        return
    told.failures.append(f"expected no unused answers, came {sum(one.left for one in unused)}")
    for one in unused:
        told.failures.append(f"rule {one.rule} has {one.left} {'answer' if one.left == 1 else 'answers'} left")
        told.failures.extend(call_fields.nearest_to_rule(one.rule, entries))


def _paid(most: float, matched: Sequence[JournalEntry], cost: Cost, told: _Told) -> None:
    """Whether the calls that got pictures cost no more than `most` dollars, as far as their prices are known."""
    prices = [(entry, cost(entry)) for entry in matched if entry.pictures]
    total = math.fsum(price for _, price in prices if price is not None)
    expected = f"expected a cost of at most {_dollars(most)}"
    if total <= most + _ROUNDING:
        told.held.append(f"{expected}, and came {_dollars(total)}")
    else:
        paid = [(entry, price) for entry, price in prices if price]
        told.failures.append(f"{expected}, came {_dollars(total)}")
        told.failures.extend(call_fields.lines([entry for entry, _ in paid], [_dollars(price) for _, price in paid]))
    if unknown := [entry for entry, price in prices if price is None]:
        told.notes["cost_unknown"] = f"no price is known of {call_fields.numbers(unknown)}, which counts as nothing"


def _price(entry: JournalEntry) -> float | None:
    """Dollars for the pictures that a call got, by published prices."""
    return pricing.cost(entry.rebuild_call(), len(entry.pictures))


async def unused(scenario: Scenario, counter: Counter, session: str) -> tuple[Unused, ...]:
    """The answers of `scenario` that no call of `session` has taken, by rule; a rule without any is left out.

    A last answer that repeats is used once it was taken once.
    """
    found = []
    for number, rule in enumerate(scenario.rules):
        taken = await counter.count(session, scenario.counter(number), 0)
        if (left := _needed(rule) - taken) > 0:
            found.append(Unused(rule.name, left))
    return tuple(found)


def _needed(rule: Rule) -> int:
    """How many calls take every answer of `rule`."""
    return rule.length - (rule.answers[-1].times - 1 if rule.then == "repeat" else 0)


def read(said: Any) -> Verification:
    """What `said`, a mapping of WORDS, expects; raises ValueError, in one line, for what cannot be meant.

    Nothing at all, or `when` without a count, expects at least one call.
    """
    if not isinstance(said, Mapping):
        raise ValueError(f"a verification is {yaml_file.describe(said)}; expected a mapping of {', '.join(WORDS)}")
    for key in said:
        if key not in WORDS:
            raise ValueError(f"unknown key {key!r}; known are {', '.join(WORDS)}, and inside of when a call's fields")
    if "in_order" in said:
        if others := [key for key in said if key != "in_order"]:
            raise ValueError(f"in_order stands alone; here is {' and '.join(others)} beside it")
        return Verification(in_order=tuple(_steps(said["in_order"])))
    for word in _SWITCHES:
        if said.get(word, True) is not True:
            raise ValueError(f"{word} is {yaml_file.describe(said[word])}; expected true, or to be left out")
    count = counts.read(said)
    return Verification(
        when=_when(said["when"]) if "when" in said else RequestPattern(),
        count=counts.SOME if count is None and ("when" in said or not said) else count,
        no_findings="no_findings" in said,
        no_unused_answers="no_unused_answers" in said,
        max_cost=_ceiling(said["max_cost"]) if "max_cost" in said else None,
    )


def _when(value: Any) -> RequestPattern:
    try:
        return call_fields.suited(matching.parse_pattern(value))
    except RecursionError as error:
        raise ValueError(f"when is too much to match: {error}") from None


def _steps(value: Any) -> Iterator[RequestPattern]:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"in_order is {yaml_file.describe(value)}; expected a list of mappings of fields")
    for place, one in enumerate(value, 1):
        if isinstance(one, Mapping) and "when" in one:
            raise ValueError(f"in_order {place} has a when; expected the fields themselves")
        try:
            yield _when(one)
        except ValueError as error:
            raise ValueError(f"in_order {place}: {error}") from None


def _ceiling(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"max_cost is {yaml_file.describe(value)}; expected dollars, from 0")
    return float(value)


def _dollars(amount: float) -> str:
    return f"${amount:.2f}" if round(amount, 2) == round(amount, 4) else f"${amount:.4f}"


_ROUNDING: Final = 1e-9  # dollars; prices are decimal fractions, which floats only come near to
_SWITCHES: Final = ("no_findings", "no_unused_answers")
WORDS: Final = ("when", *COUNTS, "in_order", "no_findings", "no_unused_answers", "max_cost")
"""What a verification can say, in YAML's, JSON's and Python's words."""
