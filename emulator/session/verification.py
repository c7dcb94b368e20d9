"""Compares a session's calls with what a test expects, and describes what came instead.

`parse_verification` understands the words, `Verification.check` gives the verdict; both are pure functions of their
arguments. What can never be true is refused when the words are parsed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_unknown
from emulator.core.yaml_file import describe_value
from emulator.gateway import pricing
from emulator.scenario import matching
from emulator.scenario.limits import Counter
from emulator.scenario.matching import RequestPattern
from emulator.scenario.scenario import Rule, Scenario
from emulator.session.call_fields import KnownWords, adapt_pattern, collect_fields, find_unknown_fields
from emulator.session.call_phrases import (
    count_matched,
    describe_pattern,
    explain_nearest,
    explain_nearest_to_rule,
    join_numbers,
    list_calls,
    list_findings,
    redact_text,
)
from emulator.session.counts import AT_LEAST_ONE, COUNT_WORDS, ExpectedCount, count_calls, parse_count, require_true
from emulator.session.journal import JournalEntry

WORDS: Final = (
    "when",
    *COUNT_WORDS,
    "in_order",
    "no_findings",
    "no_unused_answers",
    "max_cost",
    "unknown_cost",
    "live",
)
"""The words of a verification, in YAML, JSON and Python alike."""

LIVE: Final = ("recorded", "forwarded")
"""The verdicts of calls that a real gateway has answered."""
_ROUNDING: Final = 1e-9  # dollars; prices are decimal fractions, which floats represent only nearly

PriceCall = Callable[[JournalEntry], float | None]
"""Gives the price in dollars of a call that got pictures; None if no price is known."""


@dataclass(frozen=True)
class UnusedAnswers:
    """A rule of a scenario, and how many of its answers no call has taken."""

    rule: str
    left: int


@dataclass(frozen=True)
class Verdict:
    """Whether everything is as expected: `message` has lines for people, `matched` the numbers of the calls meant.

    `notes` are codes for what remains open: `cost_unknown` (no price is known for some call), `calls_unseen` (the
    session's first calls are not in the journal), `calls_under_way` (the outcome of some call is not known yet) and
    `unknown_field` (no call has a field of that name, and no known gateway has such a parameter).
    """

    ok: bool
    message: str
    matched: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a test expects of a session; every part that is set has to hold.

    Calls count from their beginning: those that were answered, those whose client has left, and those under way, whose
    fields are what is known of them so far. `when` selects the calls that `count`, `no_findings` and `max_cost`
    (dollars) are about. A call without a known price breaks `max_cost`, but with `ignores_unknown_cost`. `live` is how
    many of them a real gateway has answered. `in_order` are calls that come one after the other; other calls may come
    between them. `unknown_fields` are names of fields that no known gateway has, though a client may send them.
    """

    when: RequestPattern = field(default_factory=RequestPattern)
    count: ExpectedCount | None = None
    in_order: tuple[RequestPattern, ...] = ()
    no_findings: bool = False
    no_unused_answers: bool = False
    max_cost: float | None = None
    ignores_unknown_cost: bool = False
    live: int | None = None
    unknown_fields: tuple[str, ...] = ()

    def check(
        self,
        entries: Collection[JournalEntry],
        *,
        unused: Sequence[UnusedAnswers] = (),
        price_call: PriceCall | None = None,
        forgotten: int = 0,
    ) -> Verdict:
        """Return the verdict on `entries`, the calls of a session in any order.

        `unused` comes from `find_unused_answers`, `price_call` is by default that of published prices. `forgotten` is
        how many calls the journal has dropped: with any, a part that one more call could break does not hold.
        """
        ordered = sorted(entries, key=lambda entry: entry.number)
        lines = _VerdictLines()
        check_calls = self._check_order if self.in_order else self._check_count
        matched = check_calls(ordered, lines)
        if self.no_findings:
            _check_findings(matched, lines)
        if self.no_unused_answers:
            _check_unused_answers(unused, ordered, lines)
        if self.max_cost is not None:
            self._check_cost(self.max_cost, matched, price_call or _price_by_table, lines)
        if self.live is not None:
            _check_live(self.live, matched, lines)
        if forgotten and self._needs_all_calls:
            lines.failed.append(f"cannot be decided, because {count_calls(forgotten)} came before those in the journal")
        first_number = forgotten + 1
        if ordered:
            first_number = ordered[0].number
        if first_number > 1:
            lines.notes["calls_unseen"] = f"calls before call {first_number} are not in the journal"
        under_way = [entry for entry in ordered if entry.state == "under_way"]
        if under_way:
            noun = "its outcome is" if len(under_way) == 1 else "their outcomes are"
            lines.notes["calls_under_way"] = f"{join_numbers(under_way)}: {noun} not known yet"
        self._note_unknown_fields(ordered, lines)
        return Verdict(
            ok=not lines.failed,
            message=redact_text(lines.join(), ordered),
            matched=tuple(entry.number for entry in matched),
            notes=tuple(lines.notes),
        )

    @property
    def _needs_all_calls(self) -> bool:
        """Whether one more call could break it."""
        if self.no_findings or self.max_cost is not None or self.live is not None:
            return True
        return self.count is not None and self.count.most is not None

    def _note_unknown_fields(self, entries: Sequence[JournalEntry], lines: _VerdictLines) -> None:
        """Note the fields that neither a known gateway nor any call has."""
        if not self.unknown_fields:
            return
        sent: set[str] = set()
        for entry in entries:
            sent.update(collect_fields(entry))
        unknown = [name for name in self.unknown_fields if name not in sent]
        if unknown:
            names = ", ".join(map(repr, unknown))
            lines.notes["unknown_field"] = f"no call has a field {names}, and no known gateway has such a parameter"

    def _check_count(self, entries: Sequence[JournalEntry], lines: _VerdictLines) -> Sequence[JournalEntry]:
        """Return the calls that match `when`; check whether they are as many as expected."""
        matched: list[JournalEntry] = []
        others: list[JournalEntry] = []
        for entry in entries:
            if self.when.matches(collect_fields(entry)):
                matched.append(entry)
            else:
                others.append(entry)
        if self.count is None:
            return matched
        expected = f"expected {self.count}"
        if self.when.conditions:
            expected += f" with {describe_pattern(self.when, entries)}"
        if self.count.accepts(len(matched)):
            lines.held.append(f"{expected}, and came {count_matched(matched)}")
            return matched
        lines.failed.append(f"{expected}, came {count_matched(matched)}")
        lines.failed.extend(list_calls(matched))
        if len(matched) < self.count.least:
            lines.failed.extend(explain_nearest(self.when, others, others_matched=bool(matched)))
        return matched

    def _check_order(self, entries: Sequence[JournalEntry], lines: _VerdictLines) -> Sequence[JournalEntry]:
        """Return the calls that match the steps of `in_order`, each the first match behind the one before."""
        fields = [collect_fields(entry) for entry in entries]
        found: list[int] = []
        for step in self.in_order:
            index = _find_index(step, fields, start=_next_index(found))
            if index is None:
                break
            found.append(index)
        matched = [entries[index] for index in found]
        expected = f"expected {count_calls(len(self.in_order))} in order"
        if len(found) == len(self.in_order):
            lines.held.append(f"{expected}, and came {count_matched(matched)}")
            return matched
        steps = [describe_pattern(step, entries) or "any" for step in self.in_order]
        lines.failed.append(f"{expected}: {', then '.join(steps)}; came {count_matched(matched)}")
        lines.failed.extend(list_calls(matched))
        _explain_missing_step(self.in_order[len(found)], entries, found, lines)
        return matched

    def _check_cost(
        self, most: float, matched: Sequence[JournalEntry], price_call: PriceCall, lines: _VerdictLines
    ) -> None:
        """Check whether the calls that pay for pictures cost no more than `most` dollars."""
        prices: dict[int, float] = {}
        unknown = []
        for entry in matched:
            if not entry.billed and entry.cost is None:
                continue
            price = price_call(entry)
            if price is None:
                unknown.append(entry)
            else:
                prices[entry.number] = price
        total = math.fsum(prices.values())
        expected = f"expected a cost of at most {_format_dollars(most)}"
        if total > most + _ROUNDING:
            lines.failed.append(f"{expected}, came {_format_dollars(total)}")
            paid = [entry for entry in matched if prices.get(entry.number)]
            remarks = {number: _format_dollars(price) for number, price in prices.items()}
            lines.failed.extend(list_calls(paid, remarks))
        elif not unknown or self.ignores_unknown_cost:
            lines.held.append(f"{expected}, and came {_format_dollars(total)}")
        if not unknown:
            return
        if self.ignores_unknown_cost:
            lines.notes["cost_unknown"] = f"no price is known of {join_numbers(unknown)}, which counts as nothing"
            return
        lines.failed.append(f"{expected}, which cannot be decided: no price is known of {join_numbers(unknown)}")
        lines.failed.extend(list_calls(unknown))
        lines.failed.append('with unknown_cost: "ignore" such calls count as nothing')


class _VerdictLines:
    """The lines of a verdict while it is reached: what failed, what held, and the notes by their codes."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.held: list[str] = []
        self.notes: dict[str, str] = {}

    def join(self) -> str:
        """Return the message: what failed, or else what held, and the notes."""
        notes = [f"{code}: {text}" for code, text in self.notes.items()]
        return "\n".join([*(self.failed or self.held), *notes])


def _next_index(found: Sequence[int]) -> int:
    """Return the index behind the last one found."""
    if not found:
        return 0
    return found[-1] + 1


def _find_index(pattern: RequestPattern, calls: Sequence[Mapping[str, Any]], *, start: int) -> int | None:
    """Return the index, from `start` on, of the first call with fields that match."""
    for index in range(start, len(calls)):
        if pattern.matches(calls[index]):
            return index
    return None


def _explain_missing_step(
    step: RequestPattern, entries: Sequence[JournalEntry], found: Sequence[int], lines: _VerdictLines
) -> None:
    """Say which call did not come behind those that were found, and what came instead."""
    start = _next_index(found)
    missing = "no call"
    if step.conditions:
        missing += f" with {describe_pattern(step, entries)}"
    missing += " came"
    if found:
        missing += f" after call {entries[start - 1].number}"
    lines.failed.append(missing)
    skipped = [entry for index, entry in enumerate(entries[:start]) if index not in found]
    early = [entry for entry in skipped if step.matches(collect_fields(entry))]
    if early:
        lines.failed.append(f"{join_numbers(early)} came too early for that")
    if start < len(entries):
        lines.failed.extend(explain_nearest(step, entries[start:], others_matched=bool(found)))


def _check_findings(matched: Sequence[JournalEntry], lines: _VerdictLines) -> None:
    """Whether the calls have no findings."""
    with_findings = [entry for entry in matched if entry.findings]
    if not with_findings:
        lines.held.append("expected no findings, and came none")
        return
    count = sum(len(entry.findings) for entry in with_findings)
    lines.failed.append(f"expected no findings, came {count} on {join_numbers(with_findings)}")
    lines.failed.extend(list_findings(with_findings))


def _check_live(expected: int, matched: Sequence[JournalEntry], lines: _VerdictLines) -> None:
    """Whether a real gateway has answered as many of the calls as expected."""
    live = [entry for entry in matched if entry.verdict in LIVE]
    if len(live) == expected:
        lines.held.append(f"expected {expected} live, and came {len(live)}")
        return
    lines.failed.append(f"expected {expected} live, came {count_matched(live)}")
    lines.failed.extend(list_calls(live, {entry.number: entry.verdict for entry in live}))


def _check_unused_answers(
    unused: Sequence[UnusedAnswers], entries: Sequence[JournalEntry], lines: _VerdictLines
) -> None:
    """Whether calls have taken all answers of the session's scenario."""
    if not unused:
        lines.held.append("expected no unused answers, and came none")
        return
    lines.failed.append(f"expected no unused answers, came {sum(one.left for one in unused)}")
    for one in unused:
        noun = "answer" if one.left == 1 else "answers"
        lines.failed.append(f"rule {one.rule} has {one.left} {noun} left")
        lines.failed.extend(explain_nearest_to_rule(one.rule, entries))


def _price_by_table(entry: JournalEntry) -> float | None:
    """Return the dollars for the pictures that a call got, by published prices, or those that a real gateway took."""
    if entry.cost is not None:
        return entry.cost
    return pricing.price_call(entry.rebuild_call(), entry.billed)


def _format_dollars(amount: float) -> str:
    """Return an amount with two decimals, or with four if it has a part of a cent."""
    if round(amount, 2) == round(amount, 4):
        return f"${amount:.2f}"
    return f"${amount:.4f}"


async def find_unused_answers(scenario: Scenario, counter: Counter, session: str) -> tuple[UnusedAnswers, ...]:
    """Return the answers of `scenario` that no call of `session` has taken, by rule; a rule without any is left out.

    A last answer that repeats is used once it was taken once.
    """
    unused = []
    for number, rule in enumerate(scenario.rules):
        taken = await counter.count(session, scenario.name_counter(number), 0)
        left = _count_needed_calls(rule) - taken
        if left > 0:
            unused.append(UnusedAnswers(rule.name, left))
    return tuple(unused)


def _count_needed_calls(rule: Rule) -> int:
    """Return how many calls take every answer of `rule`."""
    if rule.then == "repeat":
        return rule.length - (rule.answers[-1].times - 1)
    return rule.length


def parse_verification(words: Any, known: KnownWords | None = None) -> Verification:
    """Return what `words`, a mapping with keys of WORDS, expects; raises ValueError, in one line, for a mistake.

    No words at all, or `when` without a count, expect at least one call. With `known`, a field that no gateway knows is
    refused if it is nearly a known one.
    """
    if not isinstance(words, Mapping):
        raise ValueError(f"a verification is {describe_value(words)}; expected a mapping of {', '.join(WORDS)}")
    for word in words:
        if word not in WORDS:
            raise ValueError(f"{describe_unknown('key', str(word), WORDS)} (a call's fields stand inside of when)")
    if "in_order" in words:
        others = [word for word in words if word != "in_order"]
        if others:
            raise ValueError(f"in_order stands alone; here is {' and '.join(others)} beside it")
        steps, unknown_fields = _parse_steps(words["in_order"], known)
        return Verification(in_order=steps, unknown_fields=unknown_fields)
    for word in ("no_findings", "no_unused_answers"):
        if word in words:
            require_true(word, words[word])
    count = parse_count(words)
    if count is None and ("when" in words or not words):
        count = AT_LEAST_ONE
    when, unknown_fields = _parse_when(words.get("when", {}), known)
    return Verification(
        when=when,
        count=count,
        no_findings="no_findings" in words,
        no_unused_answers="no_unused_answers" in words,
        max_cost=_parse_max_cost(words),
        ignores_unknown_cost=_parse_unknown_cost(words),
        live=_parse_live(words),
        unknown_fields=unknown_fields,
    )


def _parse_when(value: Any, known: KnownWords | None) -> tuple[RequestPattern, tuple[str, ...]]:
    """Return the pattern of a mapping of fields, and the fields that no known gateway has."""
    try:
        pattern = matching.parse_pattern(value)
        if known is None:
            return adapt_pattern(pattern), ()
        return adapt_pattern(pattern, known.gateways), find_unknown_fields(pattern, known)
    except RecursionError as error:
        raise ValueError(f"when is too much to match: {error}") from None


def _parse_steps(value: Any, known: KnownWords | None) -> tuple[tuple[RequestPattern, ...], tuple[str, ...]]:
    """Return the pattern of each step of `in_order`, and the fields that no known gateway has."""
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"in_order is {describe_value(value)}; expected a list of mappings of fields")
    steps = []
    all_unknown: dict[str, None] = {}
    for number, fields in enumerate(value, 1):
        if isinstance(fields, Mapping) and "when" in fields:
            raise ValueError(f"in_order {number} has a when; expected the fields themselves")
        try:
            step, unknown = _parse_when(fields, known)
        except ValueError as error:
            raise ValueError(f"in_order {number}: {error}") from None
        steps.append(step)
        all_unknown.update(dict.fromkeys(unknown))
    return tuple(steps), tuple(all_unknown)


def _parse_max_cost(words: Mapping[str, Any]) -> float | None:
    if "max_cost" not in words:
        return None
    value = words["max_cost"]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"max_cost is {describe_value(value)}; expected dollars, from 0")
    return float(value)


def _parse_live(words: Mapping[str, Any]) -> int | None:
    if "live" not in words:
        return None
    value = words["live"]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"live is {describe_value(value)}; expected a whole number, from 0")
    return value


def _parse_unknown_cost(words: Mapping[str, Any]) -> bool:
    if "unknown_cost" not in words:
        return False
    value = words["unknown_cost"]
    if value != "ignore":
        raise ValueError(f"unknown_cost is {describe_value(value)}; expected ignore, or to be left out")
    if "max_cost" not in words:
        raise ValueError("unknown_cost says how max_cost counts, which is not there")
    return True
