"""The report about a session: its journal as a table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from emulator.client.records import RecordedCall
from emulator.core.tables import format_rows, replace_unprintable, wrap_text
from emulator.core.terminal import find_width

_HEAD: Final = ("CALL", "GATEWAY", "OPERATION", "MODEL", "SIZE", "STATUS", "ANSWERED BY")
_INDENT: Final = "      "  # before the lines below a call's row
_LONGEST_PROMPT: Final = 60  # characters; they fit a line
_LONGEST_BODY: Final = 400  # characters; a refusal fits
_USUAL_HEADERS: Final = ("date", "server", "content-length")
"""Headers that say nothing about a call; those that allow web pages of other origins begin with access-control-."""


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
    width = find_width()
    head, *rows = format_rows([_HEAD, *map(_make_row, calls)], width)
    yield from head
    for call, lines in zip(calls, rows, strict=True):
        yield from lines
        for detail in _describe_details(call):
            for line in wrap_text(detail, width - len(_INDENT)):
                yield _INDENT + line
        for picture in call.pictures:
            path = (files or {}).get((call.number, picture.index))
            if path is not None:  # on one line, so that a program finds the path
                yield f"{_INDENT}picture {picture.index}, {picture.size} {picture.format}: {path}"


def _make_row(call: RecordedCall) -> list[str]:
    """The cells of a call, in the order of _HEAD."""
    outcome = str(call.status or "")
    if call.state != "answered":
        outcome = f"{outcome} {call.state}".lstrip()
    if call.verdict != "drawn":
        outcome = f"{outcome} {call.verdict}".lstrip()
    size = _find_parameter(call, "size")
    values = (call.number, call.gateway, call.operation, call.model, size, outcome, call.why)
    return ["-" if value in (None, "") else str(value) for value in values]


def _find_parameter(call: RecordedCall, name: str) -> str:
    """A parameter as the gateway understands it, or as it came where the call was refused."""
    parameters = call.given if call.params is None else call.params
    if not isinstance(parameters, Mapping) or parameters.get(name) is None:
        return ""
    return str(parameters[name])


def _cut(text: str, longest: int) -> str:
    """The beginning of a text, with a mark where there is more of it."""
    if len(text) <= longest:
        return text
    return text[:longest] + "…"


def _describe_details(call: RecordedCall) -> Iterator[str]:
    """What stands below a call's row: its prompt, its refusal, the rules that it missed, findings and its response."""
    prompt = _find_parameter(call, "prompt")
    if prompt:
        yield replace_unprintable(f"prompt: {_cut(prompt, _LONGEST_PROMPT)}")
    refused = call.refused
    if refused is not None:
        source = f" ({refused.rule}; {refused.source})" if refused.source else ""
        yield f"{refused.message}{source}"
    for miss in call.misses:
        yield f"rule {miss.rule} did not answer: {'; '.join(miss.why)}"
    for finding in call.findings:
        yield f"{finding.code}: {finding.message}"
    yield from _describe_response(call)


def _describe_response(call: RecordedCall) -> Iterator[str]:
    """Status and headers of what was sent, and the beginning of its body, with references in the place of pictures."""
    if call.state == "client_gone":
        yield f"the client left when {call.bytes_sent} bytes of the body were sent"
    response = call.response
    if response is None:
        return
    headers = [
        f"{name}: {value}"
        for name, value in response.headers.items()
        if name.lower() not in _USUAL_HEADERS and not name.lower().startswith("access-control-")
    ]
    yield replace_unprintable(f"response {response.status}, {'; '.join(headers)}")
    if response.events is not None:
        names = [event.event or "data" for event in response.events]
        yield replace_unprintable(_cut(f"events: {', '.join(names) or 'none'}", _LONGEST_BODY))
    elif response.body is not None:
        yield replace_unprintable(_cut(f"body: {_format_body(response.body)}", _LONGEST_BODY))


def _format_body(body: Any) -> str:
    """A body as text; JSON on one line."""
    if isinstance(body, str):
        return body
    return json.dumps(body, ensure_ascii=False)
