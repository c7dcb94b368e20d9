"""Takes credentials out of a journal's entry that leaves the server as a whole, and comes back as one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from emulator.core import strict_json
from emulator.session.journal import JournalEntry
from emulator.session.redaction import Redactor


def redact_entry(entry: JournalEntry) -> JournalEntry:
    """Return the entry with every credential redacted. What people see of the two is the same."""
    redactor = entry.make_redactor()
    redact = redactor.redact_value
    unreadable = entry.unreadable
    if unreadable is not None:
        unreadable = {**unreadable, "beginning": redactor.redact_text(unreadable["beginning"])}
    misses = [
        {"rule": miss["rule"], "why": [[*redact([name, expected]), _redact_came(redactor, name, came)]
                                       for name, expected, came in miss["why"]]}
        for miss in entry.misses
    ]  # fmt: skip
    return entry._replace(
        key=None,
        model=redact(entry.model),
        path=redactor.redact_text(entry.path),
        query=redactor.redact_text(entry.query),
        headers=redactor.redact_headers(entry.headers),
        given=redact(entry.given),
        params=redact(entry.params),
        effective=redact(entry.effective),
        uploads=[{name: redact(value) for name, value in upload.items()} for upload in entry.uploads],
        unreadable=unreadable,
        refused=redact(entry.refused),
        reserved=redact(entry.reserved),
        misses=misses,
        findings=[redact(finding) for finding in entry.findings],
        response=_redact_response(redactor, entry.response),
        pictures=[redact(picture) for picture in entry.pictures],
    )


def _redact_came(redactor: Redactor, name: str, came: Any) -> Any:
    return redactor.redact_member(name.rpartition(".")[2], came)


def _redact_response(redactor: Redactor, response: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if response is None:
        return None
    body, events = response["body"], response["events"]
    if isinstance(body, str):
        body = _redact_text(redactor, body)
    if events is not None:
        events = [[offset, _redact_event(redactor, text)] for offset, text in events]
    headers = redactor.redact_headers(dict(response["headers"]))
    return {"status": response["status"], "headers": headers, "body": body, "events": events}


def _redact_event(redactor: Redactor, text: str) -> str:
    lines = []
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if name == "data":
            value = " " + _redact_text(redactor, value.removeprefix(" "))
        lines.append(f"{name}{colon}{value}")
    return "\n".join(lines)


def _redact_text(redactor: Redactor, text: str) -> str:
    """Return a text redacted; the names in JSON count, and its spelling stays if nothing is to be hidden."""
    try:
        value = strict_json.parse_json(text.encode("utf-8", "surrogatepass"), strict_json.MOST_STORED_VALUES)[0]
    except strict_json.BadJson:
        return str(redactor.redact_answer(text))
    redacted = redactor.redact_answer(value)
    if redacted == value:
        return text
    return json.dumps(redacted, ensure_ascii=False)
