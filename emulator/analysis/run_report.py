"""The report of a test run: its calls, pictures, findings, verdicts and money, and what of the contracts it has met.

`describe_call` makes a row of a call, in the process that has the call; rows are plain, so that they travel between
processes. `build_report` adds them up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from emulator.analysis.coverage import Coverage
from emulator.analysis.coverage_text import describe_gaps, list_kinds
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import shorten_text
from emulator.findings import FINDINGS
from emulator.gateway import pricing
from emulator.session.journal import JournalEntry

Row = Mapping[str, Any]
"""A call: test, session, number, gateway, operation, model, prompt, size, status, state, verdict, refused, rule,
findings, pictures, price (dollars that it would have cost), cost (dollars that it did cost), and perhaps COPIES."""
COPIES: Final = "copies"
"""The name in a row of small copies of its pictures: PNG files in Base64."""


@dataclass(frozen=True)
class RunReport:
    """What a run has asked: `calls` are the rows of the first calls, `left_out` how many more there were.

    `outcomes` are those of the tests that have calls, by their names. `coverage` is None where nobody counted.
    """

    calls: Sequence[Row]
    left_out: int
    outcomes: Mapping[str, str]
    coverage: Coverage | None

    @property
    def pictures(self) -> int:
        """How many pictures the calls got."""
        return sum(row["pictures"] for row in self.calls)

    @property
    def findings(self) -> Mapping[str, int]:
        """How many calls have each code of a finding, the most frequent first."""
        return _count(code for row in self.calls for code in row["findings"])

    @property
    def verdicts(self) -> Mapping[str, int]:
        """How many calls have each verdict: who answered them."""
        return _count(row["verdict"] for row in self.calls)

    @property
    def refusals(self) -> Mapping[str, int]:
        """How many calls were refused for each reason."""
        return _count(row["refused"] for row in self.calls if row["refused"])

    @property
    def spent(self) -> float:
        """The dollars that real gateways took: what they told, else what published prices say."""
        return _add(find_money(row) for row in self.calls if row["verdict"] in _LIVE)

    @property
    def saved(self) -> float:
        """The dollars that the other calls would have cost at the real gateways, by published prices."""
        return _add(row["price"] for row in self.calls if row["verdict"] not in _LIVE)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        coverage = None
        if self.coverage is not None:
            coverage = self.coverage.to_json()
        return {
            "report": VERSION,
            "summary": {
                "calls": len(self.calls) + self.left_out,
                "pictures": self.pictures,
                "findings": dict(self.findings),
                "refusals": dict(self.refusals),
                "verdicts": dict(self.verdicts),
                "dollars_spent": self.spent,
                "dollars_saved": self.saved,
                "tests": dict(_count(self.outcomes.values())),
            },
            "left_out": self.left_out,
            "tests": dict(self.outcomes),
            "calls": [{name: value for name, value in row.items() if name != COPIES} for row in self.calls],
            "coverage": coverage,
        }


def find_money(row: Row) -> float | None:
    """Return the dollars of a call: those that it did cost, else those that it would have; None where nobody knows."""
    money: float | None = row["cost"]
    if money is None:
        money = row["price"]
    return money


def describe_call(call: Mapping[str, Any], test: str, price: float | None) -> dict[str, Any]:
    """Return the row of a call of `test`; `call` is as the admin API shows it, so without any key."""
    body = call["params"] or call["given"]
    if not isinstance(body, Mapping):
        body = {}
    refused = call["refused"]
    return {
        "test": test,
        "session": call["session"],
        "number": call["number"],
        "gateway": call["gateway"],
        "operation": call["operation"],
        "model": call["model"],
        "prompt": shorten_text(str(body.get("prompt") or ""), _LONGEST_PROMPT),
        "size": shorten_text(str(body.get("size") or ""), _LONGEST_SIZE),
        "status": call["status"],
        "state": call["state"],
        "verdict": call.get("verdict") or "drawn",
        "refused": None if refused is None else refused["breach"] or refused["kind"],
        "rule": call["rule"],
        "findings": list(dict.fromkeys(finding["code"] for finding in call["findings"])),
        "pictures": len(call["pictures"]),
        "price": price,
        "cost": call.get("cost"),
    }


def price_entry(entry: JournalEntry) -> float | None:
    """Return the dollars that a call would have cost by published prices; None where none is known, or nothing paid."""
    if not entry.billed or not entry.accepted:
        return None
    return pricing.price_call(entry.rebuild_call(), entry.billed)


def format_dollars(amount: float) -> str:
    """Return dollars with two decimals, or with four where the amount is below a cent."""
    if 0 < amount < 0.01:
        return f"${amount:.4f}"
    return f"${amount:.2f}"


def format_markdown(report: RunReport) -> str:
    """Return a summary in Markdown, for the page of a run of GitHub Actions."""
    lines = ["## Image API Emulator", "", " · ".join(list_figures(report)), ""]
    if report.findings:
        lines += ["| finding | calls | |", "|---|---:|---|"]
        lines += [f"| `{code}` | {count} | {FINDINGS.get(code, '')} |" for code, count in report.findings.items()]
        lines.append("")
    if report.coverage is not None and report.coverage.contracts:
        lines += [f"**{report.coverage.share} % of the contract met.** {describe_gaps(report.coverage)}", ""]
        lines += ["| gateway | kind | met | of | share |", "|---|---|---:|---:|---:|"]
        for contract in report.coverage.contracts:
            for kind in list_kinds(contract):
                name = contract.name.replace("|", "\\|")
                lines.append(f"| {name} | {kind.kind} | {kind.met} | {kind.items} | {kind.share} % |")
        lines.append("")
    return "\n".join(lines)


def list_figures(report: RunReport) -> Iterator[str]:
    """Yield the figures of a summary: calls, pictures, tests, verdicts and money."""
    yield _format_count(len(report.calls) + report.left_out, "call")
    yield _format_count(report.pictures, "picture")
    failed = sum(1 for outcome in report.outcomes.values() if outcome == "failed")
    if report.outcomes:
        yield f"{_format_count(len(report.outcomes), 'test')}, {failed} failed"
    yield ", ".join(f"{count} {verdict}" for verdict, count in report.verdicts.items()) or "nothing answered"
    yield f"{format_dollars(report.spent)} spent, {format_dollars(report.saved)} saved"


def _format_count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _count(words: Any) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _add(amounts: Iterator[float | None]) -> float:
    return round(math.fsum(amount for amount in amounts if amount is not None), 6)


VERSION: Final = 1
"""Of the JSON."""
_LIVE: Final = ("recorded", "forwarded")
"""The verdicts of calls that went to a real gateway."""
_LONGEST_PROMPT: Final = 80  # characters
_LONGEST_SIZE: Final = 20
