"""Coverage as a page: the share of each gateway and kind, what was never met with the lines to add, and all items."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.analysis.coverage import ContractCoverage, Coverage, measure_share
from emulator.analysis.coverage_text import (
    Unmet,
    describe_gaps,
    describe_item,
    list_kinds,
    list_notes,
    list_unmet,
)
from emulator.analysis.page import escape_text, format_bar, format_document, format_figure


def format_page(coverage: Coverage) -> str:
    """Return the page as one file of HTML."""
    heading = '<h1>Coverage of the contract</h1><p class="soft">What calls have met of the rules of their gateways</p>'
    return format_document("Coverage of the contract", heading, format_section(coverage))


def format_section(coverage: Coverage) -> str:
    """Return what a page shows of the coverage, as HTML."""
    if not coverage.contracts:
        return '<p class="lead">No call reached an operation of a gateway.</p>'
    return "\n".join([_format_summary(coverage), *_format_cards(coverage)])


def _format_summary(coverage: Coverage) -> str:
    counts = [one.count for contract in coverage.contracts for one in contract.items]
    met = sum(1 for count in counts if count)
    figures = [
        format_figure(f"{coverage.share} %", "met"),
        format_figure(f"{met} of {len(counts)}", "things of the rules"),
        format_figure(str(sum(contract.calls for contract in coverage.contracts)), "calls"),
    ]
    gaps = describe_gaps(coverage)
    lead = f'<p class="lead">{escape_text(gaps)}</p>' if gaps else ""
    notes = "".join(f'<p class="soft">{escape_text(note)}</p>' for note in list_notes(coverage))
    return f'<div class="figures">{"".join(figures)}</div>{lead}{notes}'


def _format_cards(coverage: Coverage) -> Iterator[str]:
    """Yield a card for each contract, the one of which least was met first."""
    for contract in sorted(coverage.contracts, key=lambda one: measure_share(one.items)):
        share = measure_share(contract.items)
        calls = "1 call" if contract.calls == 1 else f"{contract.calls} calls"
        unmet = list_unmet(Coverage((contract,)))
        yield (
            f'<section class="card"><div class="top"><h2>{escape_text(contract.name)}</h2>'
            f'<span class="soft">{calls}</span><span>{format_bar(share)} {share} %</span></div>'
            f"{_format_kinds(contract)}{_format_unmet(unmet, contract.name)}{_format_items(contract)}</section>"
        )


def _format_kinds(contract: ContractCoverage) -> str:
    rows = [
        f'<tr><td>{kind.kind}</td><td class="n">{kind.met}</td><td class="n">{kind.items}</td>'
        f'<td class="n">{kind.share} %</td><td>{format_bar(kind.share)}</td></tr>'
        for kind in list_kinds(contract)
    ]
    head = '<tr><th>Kind</th><th class="n">Met</th><th class="n">Of</th><th class="n">Share</th><th></th></tr>'
    return f"<table>{head}{''.join(rows)}</table>"


def _format_unmet(unmet: list[Unmet], name: str) -> str:
    if not unmet:
        return '<h3>Never met</h3><p class="ok">Everything was met.</p>'
    rows = []
    for one in unmet:
        adds = " ".join(f"<code>{escape_text(add)}</code>" for add in one.adds)
        rows.append(f"<tr><td>{one.kind}</td><td>{escape_text(one.what)}</td><td>{adds}</td></tr>")
    table = f"<table><tr><th>Kind</th><th>What</th><th>Add</th></tr>{''.join(rows)}</table>"
    about = f"Never met at {escape_text(name)}, and what to add to a test"
    return f'<details open><summary class="soft">{about}</summary>{table}</details>'


def _format_items(contract: ContractCoverage) -> str:
    """Return all items by their kinds, each with the number of calls that met it."""
    parts = []
    for kind in list_kinds(contract):
        chips = []
        for one in contract.select(kind.kind):
            text = escape_text(describe_item(one.item))
            if one.count:
                chips.append(f'<span class="chip">{text}<small>{one.count}</small></span>')
            else:
                chips.append(f'<span class="chip unmet" title="{escape_text(one.add)}">{text}</span>')
        parts.append(f'<h3>{kind.kind}</h3><div class="chips">{"".join(chips)}</div>')
    return f'<details><summary class="soft">Everything, with the calls that met it</summary>{"".join(parts)}</details>'
