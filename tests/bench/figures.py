"""What is measured becomes a table: a line for each figure, ours beside the reference, the ratio, the aim.

A figure's ratio is the median of its rounds' ratios, and each round measured both; absolutes differ from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, Literal


@dataclass(frozen=True)
class Aim:
    """What a figure should come to: a ratio, or (`absolute`) ours itself."""

    sign: Literal["≥", "≤"]
    value: float
    absolute: bool = False

    def __str__(self) -> str:
        return f"{self.sign} {self.value:g}{'' if self.absolute else ' ×'}"


@dataclass(frozen=True)
class Figure:
    """One line: `ours` and `beside` have a value for each round, in `unit`; `name` says what `beside` is."""

    row: str
    unit: str
    ours: Sequence[float]
    beside: Sequence[float]
    name: str = "ref"
    aim: Aim | None = None
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours over the reference, round by round, where both were measured."""
        pairs = zip(self.ours, self.beside, strict=False)
        return sorted(one / other for one, other in pairs if one == one and other)

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none, or nothing was measured."""
        values = self.ours if self.aim is not None and self.aim.absolute else self.ratios
        if self.aim is None or not values or math.isnan(median(values)):
            return None
        return median(values) >= self.aim.value if self.aim.sign == "≥" else median(values) <= self.aim.value

    def plain(self) -> dict[str, Any]:
        """The figure as JSON."""
        return {
            "row": self.row,
            "unit": self.unit,
            "ours": _number(self.ours),
            "beside": {self.name: _number(self.beside)},
            "ratio": _number(self.ratios),
            "ratios": self.ratios,
            "aim": str(self.aim) if self.aim else None,
            "met": self.met,
            "note": self.note,
        }

    def cells(self) -> tuple[str, ...]:
        """The figure as a line of the table."""
        ratios = self.ratios
        spread = f"{_short(median(ratios))} ({_short(ratios[0])}–{_short(ratios[-1])})" if ratios else "–"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        beside = f"{_short(_number(self.beside))} {self.name}" if self.beside else "–"
        aim = str(self.aim) if self.aim else ""
        return self.row, self.unit, _short(_number(self.ours)), beside, spread, aim, verdict, self.note


def table(figures: Iterable[Figure]) -> str:
    """The figures for people."""
    rows = [_HEAD, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = []
    for row in rows:
        cells = [place(cell, width) for cell, width, place in zip(row, widths, _PLACES, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _number(values: Sequence[float]) -> float | None:
    """The median of what was measured, None where nothing was."""
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else None


def _short(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


_PLACES: Final[Sequence[Callable[[str, int], str]]] = (
    str.ljust, str.ljust, str.rjust, str.rjust, str.rjust, str.ljust, str.ljust, str.ljust,
)  # fmt: skip
_HEAD: Final = ("row", "unit", "ours", "beside", "ratio (min–max)", "aim", "verdict", "")
