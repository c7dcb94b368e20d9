"""Coverage as text for a console: shares in a table, the worst first, and what was never met with the lines to add."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from emulator.analysis.contract_items import ITEM_KINDS, SITUATIONS, Item
from emulator.analysis.coverage import ContractCoverage, Coverage, CoveredItem, measure_share
from emulator.core.phrases import join_bare
from emulator.core.tables import format_table, replace_unprintable
from emulator.core.terminal import find_width


class KindShare(NamedTuple):
    """How much of one kind of items of a contract was met; `share` is in per cent."""

    kind: str
    met: int
    items: int
    share: float


class Unmet(NamedTuple):
    """What of one thing of a contract was never met, and the lines that tests need to meet it."""

    contract: str
    kind: str
    what: str
    adds: tuple[str, ...]


def format_coverage(coverage: Coverage, longest: int | None = None) -> list[str]:
    """Return the lines of a console; of what was never met at most `longest` (None: all)."""
    if not coverage.contracts:
        return ["No call reached an operation of a gateway.", *list_notes(coverage)]
    counts = [one.count for contract in coverage.contracts for one in contract.items]
    met = sum(1 for count in counts if count)
    lines = [*_format_shares(coverage), "", f"{coverage.share} % of the contract met: {met} of {len(counts)}"]
    sentence = describe_gaps(coverage)
    if sentence:
        lines.append(sentence)
    return [*lines, *_format_unmet(list_unmet(coverage), longest), *list_notes(coverage)]


def list_kinds(contract: ContractCoverage) -> list[KindShare]:
    """Return the kinds of items of a contract, the one of which least was met first."""
    found = []
    for kind in ITEM_KINDS:
        items = contract.select(kind)
        if items:
            met = sum(1 for one in items if one.count)
            found.append(KindShare(kind, met, len(items), measure_share(items)))
    return sorted(found, key=lambda one: (one.share, _RANKS.index(one.kind)))


def list_unmet(coverage: Coverage) -> list[Unmet]:
    """Return what was never met, of the kinds of which least was met first; values of one parameter are together."""
    ranked = [
        (kind.share, _RANKS.index(kind.kind), contract.name, contract, kind.kind)
        for contract in coverage.contracts
        for kind in list_kinds(contract)
    ]
    found: list[Unmet] = []
    for _, _, name, contract, kind in sorted(ranked, key=lambda one: one[:3]):
        found += _group_unmet(name, kind, (one for one in contract.select(kind) if not one.count))
    return found


def describe_gaps(coverage: Coverage) -> str:
    """Return a sentence about the best known things that no call met; "" where all of them were met."""
    counts: dict[str, int] = {}
    for contract in coverage.contracts:
        for one in contract.items:
            if one.item.kind in ("refusal", "situation"):
                counts[one.item.name] = counts.get(one.item.name, 0) + one.count
    gaps = [text for name, text in _WELL_KNOWN.items() if counts.get(name) == 0]
    if not gaps:
        return ""
    return f"No call met {join_bare(gaps[:_MOST_GAPS], 'or')}."


def list_notes(coverage: Coverage) -> Iterator[str]:
    """Yield what was not counted."""
    if coverage.uncounted:
        calls = "1 call was" if coverage.uncounted == 1 else f"{coverage.uncounted} calls were"
        yield f"{calls} dropped from the journal before they could be counted: start the server with --coverage"
    if not coverage.links:
        yield "Requests for pictures were not counted: start the server with --coverage"


def describe_item(item: Item) -> str:
    """Return an item for people, a situation in a sentence's words."""
    if item.kind == "situation":
        situation = SITUATIONS.get(item.name)
        if situation is not None:
            return situation.about
    return str(item)


def _format_shares(coverage: Coverage) -> list[str]:
    """Return a table with a line for each kind of items of each contract, the worst contract and kind first."""
    rows = [("GATEWAY", "KIND", "MET", "OF", "SHARE")]
    for contract in sorted(coverage.contracts, key=lambda one: measure_share(one.items)):
        name = replace_unprintable(contract.name)
        rows += [(name, kind.kind, str(kind.met), str(kind.items), f"{kind.share} %") for kind in list_kinds(contract)]
        met = sum(1 for one in contract.items if one.count)
        rows.append((name, "all", str(met), str(len(contract.items)), f"{measure_share(contract.items)} %"))
    return format_table(rows, find_width())


def _format_unmet(unmet: Sequence[Unmet], longest: int | None) -> Iterator[str]:
    """Yield what was never met, with a heading for each kind of each contract."""
    shown = unmet[:longest]
    for (contract, kind), group in groupby(shown, key=lambda one: (one.contract, one.kind)):
        yield ""
        yield replace_unprintable(f"Never met at {contract}: {kind}, and what to add")
        for line in format_table([(one.what, "; ".join(one.adds)) for one in group], find_width() - len("  ")):
            yield f"  {line}"
    if len(shown) < len(unmet):
        yield ""
        yield f"… and {len(unmet) - len(shown)} more"


def _group_unmet(contract: str, kind: str, unmet: Iterable[CoveredItem]) -> Iterator[Unmet]:
    """Yield a line for each parameter whose values or bounds were not met, and for each other item."""
    groups: dict[tuple[str, str], list[CoveredItem]] = {}
    for one in unmet:
        groups.setdefault((one.item.operation, one.item.name), []).append(one)
    for (operation, name), items in groups.items():
        if kind in ("value", "bound"):
            yield Unmet(contract, kind, f"{operation} {name}", tuple(one.add for one in items))
            continue
        for one in items:
            yield Unmet(contract, kind, describe_item(one.item), (one.add,))


_RANKS: Final = ("refusal", "situation", "operation", "event", "fault", "model", "parameter", "value", "bound")
"""Of kinds with the same share, the one of which production shows most comes first."""
_WELL_KNOWN: Final = {
    "rate_limit": "a 429",
    "moderation": "a moderation refusal",
    "expired_link": "an expired link",
    "upstream_timeout": "a gateway's time-out",
    "partial_picture": "an unfinished picture",
    "client_gone": "a client that leaves",
    "retry_after_429": "a retry after a 429",
}
"""What every client meets one day, by the names of refusals and situations."""
_MOST_GAPS: Final = 3
