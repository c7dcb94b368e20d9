"""Tables for people: a session's journal, and which gateways its calls would fit.

Only texts are made here, of what was read already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from emulator.client.records import RecordedCall, RecordedRefusal, RecordedValue


class Fit(RecordedValue):
    """How a call fits a gateway in some behavior: `outcome` is accepted, ignores or refused.

    `ignored` are the parameters that have no effect there; `number` is the call's.

    >>> Fit({"number": 1, "gateway": "aiai", "outcome": "accepted"}).outcome
    'accepted'
    """

    __slots__ = ()
    number: int | None
    gateway: str
    behavior: str
    outcome: str
    ignored: list[str]

    @property
    def refused(self) -> RecordedRefusal | None:
        """Why it would be refused."""
        told = self._told.get("refused")
        return None if told is None else RecordedRefusal(told)


class Portability(Sequence[Fit]):
    """Each call of a session at each gateway; as a text it is a table, and `gateways` counts the outcomes at each.

    >>> table = image_api.portability()
    >>> str(table).split()[:5]
    ['CALL', 'GATEWAY', 'BEHAVIOR', 'OUTCOME', 'WHY']
    >>> {fit.number for fit in table}
    {1, 2}
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self._fits = tuple(Fit({"number": call.get("number"), **fit}) for call in told["calls"] for fit in call["fits"])
        self.gateways = tuple(RecordedValue(one) for one in told["gateways"])

    def __getitem__(self, index: Any) -> Any:
        return self._fits[index]

    def __len__(self) -> int:
        return len(self._fits)

    def __str__(self) -> str:
        rows = [("CALL", "GATEWAY", "BEHAVIOR", "OUTCOME", "WHY")]
        rows += [(str(fit.number or "-"), fit.gateway, fit.behavior, fit.outcome, _reason(fit)) for fit in self]
        rows += [("all", one.gateway, one.behavior, _shares(one), "") for one in self.gateways]
        return "\n".join(aligned(rows))


def heading(session: str, server: str, calls: int) -> str:
    """What stands above a journal.

    >>> heading("case-7", "http://127.0.0.1:4010", 1)
    'Session case-7 of http://127.0.0.1:4010: 1 call'
    """
    return f"Session {session} of {server}: {calls} call{'' if calls == 1 else 's'}"


def journal(calls: Sequence[RecordedCall], files: Mapping[tuple[int, int], str] | None = None) -> Iterator[str]:
    """The lines of a journal; `files` says where pictures are, by the call's number and the picture's index.

    >>> next(journal(image_api.calls)).split()[:2]
    ['CALL', 'GATEWAY']
    """
    rows = [["CALL", "GATEWAY", "OPERATION", "MODEL", "STATUS", "ANSWERED BY", "FINDINGS"]]
    for call in calls:
        words = (call.number, call.gateway, call.operation, call.model, call.status, call.why, ", ".join(call.codes))
        rows.append(["-" if word in (None, "") else str(word) for word in words])
    if not calls:
        return
    lines = aligned(rows)
    yield lines[0]
    for call, line in zip(calls, lines[1:], strict=True):
        yield line
        for detail in _details(call, files or {}):
            yield f"      {detail}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines whose columns stand below each other.

    >>> aligned([("a", "b"), ("long", "c")])
    ['a     b', 'long  c']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _details(call: RecordedCall, files: Mapping[tuple[int, int], str]) -> Iterator[str]:
    """What a line has no room for."""
    if (refused := call.refused) is not None:
        source = f" ({refused.rule}; {refused.source})" if refused.source else ""
        yield f"{refused.message}{source}"
    for miss in call.as_dict().get("misses", ()):
        yield f"rule {miss['rule']} did not answer: {'; '.join(miss['why'])}"
    for finding in call.findings:
        yield f"{finding.code}: {finding.message}"
    for picture in call.pictures:
        where = files.get((call.number, picture.index))
        if where is not None:
            yield f"picture {picture.index}, {picture.size} {picture.format}: {where}"


def _reason(fit: Fit) -> str:
    if (refused := fit.refused) is not None:
        return refused.message
    return f"no effect there: {', '.join(fit.ignored)}" if fit.ignored else ""


def _shares(one: RecordedValue) -> str:
    return f"{one.accepted} accepted, {one.ignores} ignore, {one.refused} refused"
