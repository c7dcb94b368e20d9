"""The report about a session: its journal as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from emulator.client.records import RecordedCall
from emulator.core.tables import format_table

_HEAD: Final = ("CALL", "GATEWAY", "OPERATION", "MODEL", "STATUS", "ANSWERED BY", "FINDINGS")


def format_heading(session: str, server: str, calls: int) -> str:
    """The line above a journal.

    >>> from emulator.client.journal_table import format_heading
    >>> format_heading("case-7", "http://127.0.0.1:4010", 1)
    'Session case-7 of http://127.0.0.1:4010: 1 call'
    """
    plural = "" if calls == 1 else "s"
    return f"Session {session} of {server}: {calls} call{plural}"


def format_journal(calls: Sequence[RecordedCall], files: Mapping[tuple[int, int], str] | None = None) -> Iterator[str]:
    """The lines of a journal; `files` has the paths of pictures, by the call's number and the picture's index.

    >>> from emulator.client.journal_table import format_journal
    >>> next(format_journal(image_api.calls)).split()[:2]
    ['CALL', 'GATEWAY']
    """
    if not calls:
        return
    head, *lines = format_table([_HEAD, *map(_make_row, calls)])
    yield head
    for call, line in zip(calls, lines, strict=True):
        yield line
        for detail in _describe_details(call, files or {}):
            yield f"      {detail}"


def _make_row(call: RecordedCall) -> list[str]:
    """The cells of a call, in the order of _HEAD."""
    outcome = str(call.status or "")
    if call.state != "answered":
        outcome = f"{outcome} {call.state}".lstrip()
    values = (call.number, call.gateway, call.operation, call.model, outcome, call.why, ", ".join(call.codes))
    return ["-" if value in (None, "") else str(value) for value in values]


def _describe_details(call: RecordedCall, files: Mapping[tuple[int, int], str]) -> Iterator[str]:
    """The lines below a call's row: its refusal, the rules that it missed, its findings and its pictures."""
    refused = call.refused
    if refused is not None:
        source = f" ({refused.rule}; {refused.source})" if refused.source else ""
        yield f"{refused.message}{source}"
    for miss in call.misses:
        yield f"rule {miss.rule} did not answer: {'; '.join(miss.why)}"
    for finding in call.findings:
        yield f"{finding.code}: {finding.message}"
    for picture in call.pictures:
        path = files.get((call.number, picture.index))
        if path is not None:
            yield f"picture {picture.index}, {picture.size} {picture.format}: {path}"
