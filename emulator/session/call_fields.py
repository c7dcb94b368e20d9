"""The fields of a call that a verification can name: those of a scenario's `when`, and the outcome.

Matching sees the real values; messages use the redacted ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_known
from emulator.findings import FINDINGS
from emulator.image import upload
from emulator.messages import CALL_VERDICTS, KINDS, OPERATIONS, VIOLATIONS
from emulator.scenario import matching
from emulator.scenario.engine import add_made_pictures, add_other_names
from emulator.scenario.matching import OUTCOME_FIELDS, OWN_FIELDS, Matcher, RequestPattern
from emulator.session.journal import STATES, JournalEntry

_CLOSED_FIELDS: Final[Mapping[str, Collection[str]]] = {
    "operation": OPERATIONS,
    "state": STATES,
    "refused": (*KINDS, *VIOLATIONS),
    "findings": tuple(FINDINGS),
    "verdict": CALL_VERDICTS,
}
"""Fields whose words are a closed list: a misspelled one must not pass for a call that never came."""


@dataclass(frozen=True)
class KnownWords:
    """The words that a server knows: the names of its `gateways`, and the `parameters` of all their models."""

    gateways: Collection[str]
    parameters: Collection[str]


def collect_fields(entry: JournalEntry) -> Mapping[str, Any]:
    """Return the fields of a call with their real values; a field without a value is left out.

    The parameters are those with defaults, or the body as it came if the call was refused. `refused` is a tuple of the
    kind and, if there is one, the breach; the names of `headers` are in lower case.
    """
    body = entry.params if entry.accepted else entry.given
    refused = None
    if entry.refused is not None:
        refused = tuple(word for word in (entry.refused["kind"], entry.refused["breach"]) if word)
    return _join_fields(
        entry,
        body=body,
        effective=entry.effective,
        given=entry.given,
        headers=entry.headers,
        model=entry.model,
        refused=refused,
    )


def collect_redacted_fields(entry: JournalEntry) -> Mapping[str, Any]:
    """Return the same fields as people may see them; `refused` is a text."""
    shown = entry.to_json()
    body = shown["params"] if entry.accepted else shown["given"]
    return _join_fields(
        entry,
        body=body,
        effective=entry.make_redactor().redact_value(entry.effective),
        given=shown["given"],
        headers=shown["headers"],
        model=shown["model"],
        refused=describe_refusal(entry),
    )


def describe_refusal(entry: JournalEntry) -> str | None:
    """Return kind and breach of a refusal, such as `invalid_request (above_maximum)`; None for an answered call."""
    if entry.refused is None:
        return None
    kind = entry.refused["kind"]
    breach = entry.refused["breach"]
    if breach:
        return f"{kind} ({breach})"
    return str(kind)


def find_unknown_fields(pattern: RequestPattern, known: KnownWords) -> tuple[str, ...]:
    """Return the fields that no known gateway has; raises ValueError, in one line, for a misspelled known field."""
    return matching.check_fields(pattern, known.parameters, OUTCOME_FIELDS)


def adapt_pattern(pattern: RequestPattern, gateways: Collection[str] | None = None) -> RequestPattern:
    """Return `pattern` made for these fields. Raises ValueError, in one line, for a word that a field can never be.

    A word for `refused` matches the kind or the breach, and true matches any refusal; a word for `findings` matches
    any of the codes. `gateways` are the names of the known gateways (None: any name is good).
    """
    closed_fields = dict(_CLOSED_FIELDS)
    if gateways is not None:
        closed_fields["gateway"] = gateways
    conditions = []
    for path, matcher in pattern.conditions:
        if path in closed_fields:
            matcher = _adapt_matcher(path, matcher, closed_fields[path])
        conditions.append((path, matcher))
    return RequestPattern(tuple(conditions))


@dataclass(frozen=True)
class AnyWord:
    """Matches a tuple of words if `matcher` matches one of them, and any other value if `matcher` matches it."""

    matcher: Matcher

    def misses(self, value: Any) -> str | None:
        """Return what was expected, unless one of the words matches."""
        if not isinstance(value, tuple):
            return self.matcher.misses(value)
        missed = [self.matcher.misses(word) for word in value]
        if None in missed:
            return None
        return missed[0]


def _adapt_matcher(path: str, matcher: Matcher, words: Collection[str]) -> Matcher:
    match matcher:
        case matching.AnyOf(parts):
            return matching.AnyOf(tuple(_adapt_matcher(path, part, words) for part in parts))
        case matching.AllOf(parts):
            return matching.AllOf(tuple(_adapt_matcher(path, part, words) for part in parts))
        case matching.Not(inner):
            return matching.Not(_adapt_matcher(path, inner, words))
        case matching.Equal(bool(is_refused)) if path == "refused":
            return matching.IsAbsent(not is_refused)
        case matching.Equal(word) if word not in words:
            raise ValueError(f"when {path}: unknown {word!r}; {describe_known(str(word), words)}")
        case matching.Contains(word) if path == "findings" and word not in words:
            raise ValueError(f"when {path}: contains: unknown {word!r}; {describe_known(str(word), words)}")
        case matching.Equal(word) if path == "findings":
            return matching.Contains(word)
        case _ if path == "refused":
            return AnyWord(matcher)
        case _:
            return matcher


def _join_fields(
    entry: JournalEntry,
    *,
    body: Any,
    effective: Mapping[str, Any] | None,
    given: Any,
    headers: Mapping[str, str],
    model: str | None,
    refused: Any,
) -> dict[str, Any]:
    """Return the fields of a call; of those that name its outcome, the ones that have a value."""
    fields: dict[str, Any] = {}
    if isinstance(body, Mapping):
        own = {*OWN_FIELDS, *OUTCOME_FIELDS}
        fields.update((name, value) for name, value in body.items() if name not in own)
        if effective is not None:
            add_other_names(fields, effective)
    if entry.accepted and entry.size is not None and any(entry.size):
        add_made_pictures(fields, entry.pictures_asked, entry.size)
    if given is not None:
        fields["given"] = given
    fields["operation"] = entry.operation
    fields["gateway"] = entry.gateway
    fields["model"] = model
    fields["headers"] = {name.lower(): value for name, value in headers.items()}
    if entry.uploads:
        fields["uploads"] = upload.describe_uploads(entry.rebuild_uploads())
    outcome = {
        "turn": entry.turn or None,
        "state": entry.state,
        "status": entry.status,
        "rule": entry.rule,
        "refused": refused,
        "findings": list(dict.fromkeys(finding["code"] for finding in entry.findings)) or None,
        "latency": entry.latency,
        "request_id": entry.request_id,
        "verdict": entry.verdict,
    }
    fields.update((name, value) for name, value in outcome.items() if value is not None)
    return fields
