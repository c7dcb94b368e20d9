"""What a call says of itself to a verification: the fields that `when` can name, and the lines that people read.

Matching sees the true values, people never do: every line is blanked by its own call, as the journal blanks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emulator.findings import FINDINGS
from emulator.image import upload
from emulator.messages import KINDS, OPERATIONS, VIOLATIONS
from emulator.scenario import matching
from emulator.scenario.matching import ABSENT, Difference, Matcher, RequestPattern
from emulator.session.journal import JournalEntry
from emulator.session.redaction import BLANK, CREDENTIAL_HEADERS, LIKE_A_KEY, redact_keys


def fields(entry: JournalEntry) -> Mapping[str, Any]:
    """What `when` can name of a call: as in a scenario, and what came of it.

    Of a refused call the body as given counts. `refused` is a tuple of the kind and, if there is one, the breach;
    a field that has nothing to say is left out.
    """
    headers = {name.lower(): value for name, value in entry.headers.items()}
    body = entry.params if entry.accepted else entry.given
    refused = None
    if entry.refused is not None:
        refused = tuple(word for word in (entry.refused["kind"], entry.refused["breach"]) if word)
    return {**_named(entry, body, headers, entry.model), **_outcome(entry, refused)}


def suited(when: RequestPattern) -> RequestPattern:
    """`when` as these fields want it; raises ValueError for a word that none of them can be.

    A word for `refused` fits the kind or the breach, and true any of them; one for `findings` fits any of the codes.
    """
    return RequestPattern(tuple((path, _suited(path, matcher)) for path, matcher in when.conditions))


def _suited(path: str, matcher: Matcher) -> Matcher:
    match matcher:
        case _ if path not in _WORDS:
            return matcher
        case matching.AnyOf(parts):
            return matching.AnyOf(tuple(_suited(path, part) for part in parts))
        case matching.AllOf(parts):
            return matching.AllOf(tuple(_suited(path, part) for part in parts))
        case matching.Not(inner):
            return matching.Not(_suited(path, inner))
        case matching.Equal(bool(whether)) if path == "refused":
            return matching.IsAbsent(not whether)
        case matching.Equal(word) if word not in _WORDS[path]:
            raise ValueError(f"when {path}: unknown {word!r}; known are {', '.join(_WORDS[path])}")
        case matching.Contains(word) if path == "findings" and word not in _WORDS[path]:
            raise ValueError(f"when {path}: contains: unknown {word!r}; known are {', '.join(_WORDS[path])}")
        case matching.Equal(word) if path == "findings":
            return matching.Contains(word)
        case _:
            return AnyWord(matcher) if path == "refused" else matcher


@dataclass(frozen=True)
class AnyWord:
    """Takes a tuple of words one of which `matcher` takes, or any other value that it takes."""

    matcher: Matcher

    def misses(self, value: Any) -> str | None:
        """What was expected, unless one of the words is it."""
        missed = [self.matcher.misses(word) for word in (value if isinstance(value, tuple) else (value,))]
        return None if None in missed else missed[0]


def _shown(entry: JournalEntry) -> Mapping[str, Any]:
    """The same fields as people may see them."""
    shown = entry.to_json()
    headers = {name.lower(): value for name, value in shown["headers"].items()}
    said = _named(entry, shown["params"] if entry.accepted else shown["given"], headers, shown["model"])
    return {**said, **_outcome(entry, _refusal(entry))}


def _named(entry: JournalEntry, body: Any, headers: Mapping[str, str], model: str | None) -> dict[str, Any]:
    named = {"operation": entry.operation, "gateway": entry.gateway, "model": model, "headers": headers}
    if entry.uploads:
        named["uploads"] = upload.describe_uploads(entry.rebuild_uploads())
    return {**(body if isinstance(body, Mapping) else {}), **named}


def _outcome(entry: JournalEntry, refused: Any) -> dict[str, Any]:
    outcome = {
        "turn": entry.turn or None,
        "status": entry.status,
        "rule": entry.rule,
        "refused": refused,
        "findings": list(dict.fromkeys(finding["code"] for finding in entry.findings)) or None,
        "latency": entry.latency,
        "request_id": entry.request_id,
    }
    return {name: value for name, value in outcome.items() if value is not None}


def _refusal(entry: JournalEntry) -> str | None:
    if entry.refused is None:
        return None
    kind, violation = entry.refused["kind"], entry.refused["breach"]
    return f"{kind} ({violation})" if violation else str(kind)


def line(entry: JournalEntry) -> str:
    """One call in one line: number, operation, gateway, model, status, rule, refusal."""
    operation = entry.operation or f"{entry.method} {entry.path}"
    words = (operation, entry.gateway, entry.model or "", str(entry.status))
    told = [f"call {entry.number}", " ".join(filter(None, (_plain(entry.redact(word)) for word in words)))]
    if entry.rule is not None:
        told.append(f"rule {entry.rule}")
    if entry.refused is not None:
        told.append(f"refused as {_refusal(entry)}")
    return ", ".join(told)


def lines(entries: Sequence[JournalEntry], beside: Sequence[str] = ()) -> Iterator[str]:
    """A line for each call, with what stands `beside` it."""
    for place, entry in enumerate(entries[:_MOST]):
        yield line(entry) + (f": {beside[place]}" if beside else "")
    if len(entries) > _MOST:
        yield f"and {len(entries) - _MOST} more"


def nearest(when: RequestPattern, entries: Sequence[JournalEntry], others: bool) -> Iterator[str]:
    """Which of `entries`, none of which is as `when` wants it, comes nearest, how it differs, and where to read on."""
    found = [(entry, when.differences(fields(entry))) for entry in entries]
    if not found:
        yield "no other call came" if others else "the session has no finished call"
        return
    entry, differences = min(found, key=lambda one: (len(one[1]), -one[0].number))
    yield from _differing("nearest of the others" if others else "nearest", entry, differences)
    refused = entry.to_json()["refused"]
    if refused is not None:
        rule = "; ".join(filter(None, (refused["rule"], refused["source"])))
        yield f"call {entry.number} was refused: {refused['message']}" + (f" ({rule})" if rule else "")
    yield from _explained([entry])


def nearest_to_rule(rule: str, entries: Sequence[JournalEntry]) -> Iterator[str]:
    """Which call comes nearest to a rule of the script that did not answer it, and how it differs."""
    found = [
        (entry, [Difference(*words) for words in miss["why"]])
        for entry in entries
        for miss in entry.misses
        if miss["rule"] == rule
    ]
    if found:
        entry, differences = min(found, key=lambda one: (len(one[1]), -one[0].number))
        yield from _differing(f"nearest to rule {rule}", entry, differences)


def remarks(entries: Sequence[JournalEntry]) -> Iterator[str]:
    """What was noticed about each call, and where to read on."""
    told = [
        f"{line(entry)}: {finding['code']}: {entry.redact(finding['message'])}"
        for entry in entries
        for finding in entry.findings
    ]
    yield from told[:_MOST]
    if len(told) > _MOST:
        yield f"and {len(told) - _MOST} more"
    yield from _explained(entries)


def numbers(entries: Sequence[JournalEntry]) -> str:
    """`call 3`, `calls 1, 2 and 5`."""
    *first, last = [str(entry.number) for entry in entries]
    if len(first) >= _MOST:
        return f"calls {', '.join(first[:_MOST])} and {len(entries) - _MOST} more"
    return f"calls {', '.join(first)} and {last}" if first else f"call {last}"


def counted(entries: Sequence[JournalEntry]) -> str:
    """`none`, `1 (call 3)`, `3 (calls 1, 2 and 5)`."""
    return f"{len(entries)} ({numbers(entries)})" if entries else "none"


def described(when: RequestPattern, entries: Sequence[JournalEntry]) -> str:
    """` with model "dall-e-3" and prompt containing "cat"`; nothing where every call is meant."""
    secret = {f"headers.{name}" for name in CREDENTIAL_HEADERS}
    secret |= {f"headers.{name}" for entry in entries for name in entry.credential_headers}
    told = [f"{path} {BLANK if path in secret else expected(matcher)}" for path, matcher in when.conditions]
    return " with " + " and ".join(told) if told else ""


def expected(matcher: Matcher) -> str:
    """What a matcher takes, behind the name of a field."""
    told = _TAKEN.get(type(matcher))
    return told(matcher) if told else matcher.misses(ABSENT) or "anything"


def blanked(text: str, entries: Sequence[JournalEntry]) -> str:
    """`text` without the keys of any of `entries`, and without whatever else looks like a key."""
    for entry in {entry.key: entry for entry in entries}.values():
        text = entry.redact(text)
    return redact_keys(text)


def _differing(head: str, entry: JournalEntry, differences: Sequence[Difference]) -> Iterator[str]:
    """How a call differs, field by field.

    What came is spelled anew from blanked values: a key that was cut short could not be told any more.
    """
    shown = _shown(entry)
    told = []
    for one in differences:
        again = RequestPattern(((one.field, _Miss(one.expected)),)).differences(shown)[0]
        if again.came == f'"{BLANK}"':
            again = Difference(one.field, BLANK, BLANK)
        told.append(entry.redact(str(one if again.came == repr(ABSENT) else again)))
    if len(told) == 1:
        yield f"{head}: {line(entry)}: {told[0]}"
    else:
        yield f"{head}: {line(entry)}"
        yield from (f"  {text}" for text in told)


@dataclass(frozen=True)
class _Miss:
    """Misses whatever comes: `said` was expected."""

    said: str

    def misses(self, value: Any) -> str | None:
        """What was expected."""
        return self.said


def _explained(entries: Sequence[JournalEntry]) -> Iterator[str]:
    """The commands that explain what was noticed."""
    for code in dict.fromkeys(finding["code"] for entry in entries for finding in entry.findings):
        yield f"read more: image-api-emulator explain {code}"


def _spelled(value: Any) -> str:
    text = re.sub(LIKE_A_KEY, BLANK, json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _plain(text: str) -> str:
    """A client's word, short and without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_LONGEST])


_MOST: Final = 10  # calls that are told one by one; a person reads no more
_LONGEST: Final = 100  # characters of a value in a line
_TAKEN: Final[Mapping[type, Callable[[Any], str]]] = {
    matching.AnyOf: lambda one: " or ".join(map(expected, one.matchers)),
    matching.AllOf: lambda one: " and ".join(map(expected, one.matchers)),
    matching.Not: lambda one: f"not {expected(one.matcher)}",
    matching.Equal: lambda one: _spelled(one.value),
    matching.Contains: lambda one: f"containing {_spelled(one.part)}",
    matching.Matches: lambda one: f"matching {_spelled(one.pattern.pattern)}",
    matching.AtLeast: lambda one: f"at least {one.bound}",
    matching.AtMost: lambda one: f"at most {one.bound}",
    matching.IsAbsent: lambda one: "absent" if one.absent else "present",
    matching.Fits: lambda one: "that keeps its schema",
    AnyWord: lambda one: expected(one.matcher),
}
"""How each matcher reads behind the name of its field; a new one says itself what it expected of nothing."""

_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "operation": OPERATIONS,
    "refused": (*KINDS, *VIOLATIONS),
    "findings": tuple(FINDINGS),
}
"""Fields whose words are a closed list, so that a slip does not pass for a call that never came."""
