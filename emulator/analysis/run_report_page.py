"""The report of a test run as a page: figures, findings, coverage, and the calls of each test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from emulator.analysis.coverage_page import format_section
from emulator.analysis.page import escape_text, format_document, format_figure
from emulator.analysis.run_report import COPIES, Row, RunReport, find_money, format_dollars
from emulator.findings import FINDINGS


def format_page(report: RunReport) -> str:
    """Return the page as one file of HTML."""
    parts = [_format_figures(report), *_format_findings(report), *_format_tests(report)]
    if report.coverage is not None:
        parts += ["<h2>Coverage of the contract</h2>", format_section(report.coverage)]
    heading = '<h1>Report of a test run</h1><p class="soft">What tests have asked of the Image API Emulator</p>'
    return format_document("Report of a test run", heading, "\n".join(parts))


def _format_figures(report: RunReport) -> str:
    failed = sum(1 for outcome in report.outcomes.values() if outcome == "failed")
    figures = [
        (str(len(report.calls) + report.left_out), "calls"),
        (str(report.pictures), "pictures"),
        (f"{len(report.outcomes) - failed} of {len(report.outcomes)}", "tests passed"),
        *((str(count), verdict) for verdict, count in report.verdicts.items()),
        (format_dollars(report.spent), "spent"),
        (format_dollars(report.saved), "saved"),
    ]
    if report.coverage is not None and report.coverage.contracts:
        figures.append((f"{report.coverage.share} %", "of the contract met"))
    return f'<div class="figures">{"".join(format_figure(value, label) for value, label in figures)}</div>'


def _format_findings(report: RunReport) -> Iterator[str]:
    if not report.findings:
        return
    rows = [
        f'<tr><td><code>{escape_text(code)}</code></td><td class="n">{count}</td>'
        f"<td>{escape_text(FINDINGS.get(code, ''))}</td></tr>"
        for code, count in report.findings.items()
    ]
    head = '<tr><th>Finding</th><th class="n">Calls</th><th>What it means</th></tr>'
    yield f'<section class="card"><h2>Findings</h2><table>{head}{"".join(rows)}</table></section>'


def _format_tests(report: RunReport) -> Iterator[str]:
    """Yield the calls of each test, those of failed tests first and open."""
    if not report.calls:
        yield '<p class="lead">No call came.</p>'
        return
    ordered = sorted(report.calls, key=lambda row: (report.outcomes.get(row["test"]) != "failed", row["test"]))
    yield '<section class="card"><h2>Calls</h2>'
    for test, rows in groupby(ordered, key=lambda row: str(row["test"])):
        outcome = report.outcomes.get(test, "")
        mark = f'<span class="{"bad" if outcome == "failed" else "ok"}">{escape_text(outcome)}</span>'
        state = " open" if outcome == "failed" else ""
        calls = list(rows)
        count = "1 call" if len(calls) == 1 else f"{len(calls)} calls"
        name = escape_text(test or "outside of a test")
        yield f'<details{state}><summary>{name} <span class="soft">{count}</span> {mark}</summary>'
        yield f"{_format_calls(calls)}</details>"
    if report.left_out:
        yield f'<p class="soft">… and {report.left_out} more calls.</p>'
    yield "</section>"


def _format_calls(rows: Sequence[Row]) -> str:
    head = (
        '<tr><th class="n">Call</th><th>Asked</th><th>Prompt</th><th class="n">Status</th><th>Why</th>'
        '<th class="n">Pictures</th><th class="n">Price</th></tr>'
    )
    return f"<table>{head}{''.join(map(_format_call, rows))}</table>"


def _format_call(row: Row) -> str:
    asked = " ".join(str(row[name]) for name in ("gateway", "operation", "model", "size") if row[name])
    why = []
    if row["state"] != "answered":
        why.append(row["state"])
    if row["rule"]:
        why.append(f"rule {row['rule']}")
    if row["refused"]:
        why.append(f"refused: {row['refused']}")
    if row["verdict"] != "drawn":
        why.append(row["verdict"])
    why += row["findings"]
    money = find_money(row)
    price = "" if money is None else format_dollars(money)
    status = "" if row["status"] is None else str(row["status"])
    level = "bad" if row["status"] is None or row["status"] >= 400 else "ok"
    copies = "".join(
        f'<img class="thumb" alt="a picture of call {row["number"]}" src="data:image/png;base64,{copy}">'
        for copy in row.get(COPIES, ())
    )
    return (
        f'<tr><td class="n">{row["number"]}</td><td>{escape_text(asked)}</td><td>{escape_text(row["prompt"])}</td>'
        f'<td class="n {level}">{status}</td><td>{escape_text(", ".join(why))}</td>'
        f'<td class="n">{row["pictures"]}<div class="thumbs">{copies}</div></td><td class="n">{price}</td></tr>'
    )
