"""Describes calls in the lines of a verdict: which calls came, which is nearest to the expected one, how it differs.

Every text from a call is redacted as the journal redacts it, so that no line shows a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import shorten_text
from emulator.core.tables import replace_unprintable
from emulator.scenario import matching
from emulator.scenario.matching import ABSENT, Difference, Matcher, RequestPattern
from emulator.session.call_fields import AnyWord, collect_fields, collect_redacted_fields, describe_refusal
from emulator.session.journal import JournalEntry
from emulator.session.redaction import BLANK, names_a_key, redact_keys

_MOST_CALLS: Final = 10  # described one by one; a person reads no more
_LONGEST: Final = 100  # characters of a value in a line


def describe_call(entry: JournalEntry) -> str:
    """Return one call in one line: number, operation, gateway, model, status or state, rule, refusal."""
    operation = entry.operation or f"{entry.method} {entry.path}"
    outcome = None if entry.status is None else str(entry.status)
    state = None if entry.state == "answered" else entry.state
    words = filter(None, (operation, entry.gateway, entry.model, outcome, state))
    shown = [replace_unprintable(entry.redact(word)[:_LONGEST]) for word in words]
    parts = [f"call {entry.number}", " ".join(shown)]
    if entry.rule is not None:
        parts.append(f"rule {entry.rule}")
    if entry.refused is not None:
        parts.append(f"refused as {describe_refusal(entry)}")
    return ", ".join(parts)


def list_calls(entries: Sequence[JournalEntry], remarks: Mapping[int, str] | None = None) -> Iterator[str]:
    """Yield a line for each call, with the remark for its number."""
    for entry in entries[:_MOST_CALLS]:
        line = describe_call(entry)
        if remarks is not None:
            line += f": {remarks[entry.number]}"
        yield line
    if len(entries) > _MOST_CALLS:
        yield f"and {len(entries) - _MOST_CALLS} more"


def list_findings(entries: Sequence[JournalEntry]) -> Iterator[str]:
    """Yield a line for each finding of the calls, and the commands that explain the findings."""
    lines = [
        f"{describe_call(entry)}: {finding['code']}: {entry.redact(finding['message'])}"
        for entry in entries
        for finding in entry.findings
    ]
    yield from lines[:_MOST_CALLS]
    if len(lines) > _MOST_CALLS:
        yield f"and {len(lines) - _MOST_CALLS} more"
    yield from _list_explain_commands(entries)


def explain_nearest(pattern: RequestPattern, entries: Sequence[JournalEntry], *, others_matched: bool) -> Iterator[str]:
    """Yield which of `entries`, none of which matches, is nearest to `pattern`, and how it differs."""
    if not entries:
        yield "no other call came" if others_matched else "the session has no call"
        return
    misses = [_Miss(entry, pattern.differences(collect_fields(entry))) for entry in entries]
    nearest = min(misses, key=_sort_key)
    head = "nearest"
    if others_matched:
        head += " of the others"
    yield from _describe_differences(head, nearest)
    entry = nearest.entry
    refused = entry.to_json()["refused"]
    if refused is not None:
        line = f"call {entry.number} was refused: {refused['message']}"
        rule = "; ".join(filter(None, (refused["rule"], refused["source"])))
        if rule:
            line += f" ({rule})"
        yield line
    yield from _list_explain_commands([entry])


def explain_nearest_to_rule(rule: str, entries: Sequence[JournalEntry]) -> Iterator[str]:
    """Yield which call is nearest to a rule of the scenario that did not answer it, and how it differs."""
    misses = [
        _Miss(entry, [Difference(path, expected, came) for path, expected, came in miss["why"]])
        for entry in entries
        for miss in entry.misses
        if miss["rule"] == rule
    ]
    if misses:
        yield from _describe_differences(f"nearest to rule {rule}", min(misses, key=_sort_key))


def join_numbers(entries: Sequence[JournalEntry]) -> str:
    """Return the numbers of calls: `call 3`, `calls 1, 2 and 5`."""
    *first, last = [str(entry.number) for entry in entries]
    if not first:
        return f"call {last}"
    if len(first) >= _MOST_CALLS:
        return f"calls {', '.join(first[:_MOST_CALLS])} and {len(entries) - _MOST_CALLS} more"
    return f"calls {', '.join(first)} and {last}"


def count_matched(entries: Sequence[JournalEntry]) -> str:
    """Return how many calls matched, and which: `none`, `1 (call 3)`, `3 (calls 1, 2 and 5)`."""
    if not entries:
        return "none"
    return f"{len(entries)} ({join_numbers(entries)})"


def describe_pattern(pattern: RequestPattern, entries: Sequence[JournalEntry]) -> str:
    """Return the conditions: `model "dall-e-3" and prompt containing "cat"`; "" where every call matches."""
    credential_headers = {name for entry in entries for name in entry.credential_headers}
    parts = []
    for path, matcher in pattern.conditions:
        name = path.rpartition(".")[2]
        if names_a_key(name) or (path.startswith("headers.") and name in credential_headers):
            parts.append(f"{path} {BLANK}")
        else:
            parts.append(f"{path} {_describe_expected(matcher)}")
    return " and ".join(parts)


def redact_text(text: str, entries: Sequence[JournalEntry]) -> str:
    """Return `text` without the keys of `entries`, and without all else that looks like a key."""
    by_key = {entry.key: entry for entry in entries}
    for entry in by_key.values():
        text = entry.redact(text)
    return redact_keys(text)


@dataclass(frozen=True)
class _Miss:
    """A call that does not match, and how it differs."""

    entry: JournalEntry
    differences: Sequence[Difference]


def _sort_key(miss: _Miss) -> tuple[int, int]:
    """Return the key to sort by: fewer differences are nearer; of equally near calls the latest comes first."""
    return len(miss.differences), -miss.entry.number


@dataclass(frozen=True)
class _NeverMatches:
    """A matcher that matches nothing: `expected` is what it says it expects."""

    expected: str

    def misses(self, value: Any) -> str | None:
        """Return what was expected."""
        return self.expected


def _describe_differences(head: str, miss: _Miss) -> Iterator[str]:
    """Yield how a call differs: on one line, or on one line for each field.

    The value that came is read again from the redacted fields and shortened after that: the beginning of a key, cut off
    before it is redacted, would look like any other text.
    """
    entry = miss.entry
    fields = collect_redacted_fields(entry)
    texts = []
    for difference in miss.differences:
        pattern = RequestPattern(((difference.field, _NeverMatches(difference.expected)),))
        redacted = pattern.differences(fields)[0]
        if redacted.came == repr(ABSENT):
            redacted = difference
        elif redacted.came == f'"{BLANK}"':
            redacted = Difference(difference.field, expected=BLANK, came=BLANK)
        texts.append(entry.redact(str(redacted)))
    if len(texts) == 1:
        yield f"{head}: {describe_call(entry)}: {texts[0]}"
        return
    yield f"{head}: {describe_call(entry)}"
    for text in texts:
        yield f"  {text}"


def _list_explain_commands(entries: Sequence[JournalEntry]) -> Iterator[str]:
    codes = [finding["code"] for entry in entries for finding in entry.findings]
    for code in dict.fromkeys(codes):
        yield f"read more: image-api-emulator explain {code}"


def _describe_expected(matcher: Matcher) -> str:  # noqa: C901 - a flat list, one case for each matcher
    """Return what a matcher matches, as it reads behind the name of a field."""
    match matcher:
        case matching.AnyOf(parts):
            return " or ".join(map(_describe_expected, parts))
        case matching.AllOf(parts):
            return " and ".join(map(_describe_expected, parts))
        case matching.Not(inner):
            return f"not {_describe_expected(inner)}"
        case matching.Equal(value):
            return _write_value(value)
        case matching.Contains(part):
            return f"containing {_write_value(part)}"
        case matching.Matches(pattern):
            return f"matching {_write_value(pattern.text)}"
        case matching.AtLeast(bound):
            return f"at least {bound}"
        case matching.AtMost(bound):
            return f"at most {bound}"
        case matching.IsAbsent(True):
            return "absent"
        case matching.IsAbsent(False):
            return "present"
        case matching.Fits():
            return "that keeps its schema"
        case AnyWord(inner):
            return _describe_expected(inner)
        case _:
            return matcher.misses(ABSENT) or "anything"


def _write_value(value: Any) -> str:
    """Return a value as JSON, redacted and then shortened."""
    return shorten_text(redact_keys(json.dumps(value, ensure_ascii=False, default=str)), _LONGEST)
