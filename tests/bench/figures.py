"""What is measured becomes a table: a line for each figure, ours beside the reference, the ratio, the aim.

A figure's ratio is the median of its rounds' ratios, and each round measured both; absolutes differ from run to run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
class Line:
    """What a figure is about, known before it is measured.

    `beside` says what ours is compared with. `aim` is for the plain server, `fast_aim` for the one with the extra
    [speed]. `on_page` tells that the page shows it. `server` is the other server whose figure this is, "" for ours.
    """

    title: str
    unit: str
    beside: str = "ref"
    aim: Aim | None = None
    fast_aim: Aim | None = None
    on_page: bool = False
    server: str = ""


@dataclass(frozen=True)
class Pairs:
    """A value for each round, in the unit of its line: ours, and what stands beside it."""

    ours: Sequence[float]
    beside: Sequence[float] = ()

    @property
    def ratios(self) -> list[float]:
        """Ours over the reference, round by round, where both were measured; sorted."""
        pairs = zip(self.ours, self.beside, strict=False)
        return sorted(one / other for one, other in pairs if one == one and other)

    def find_median(self, absolute: bool) -> float | None:
        """The median of ours (`absolute`) or of the ratios; None where nothing was measured."""
        values = self.ours if absolute else self.ratios
        return _number(values)

    def meets(self, aim: Aim | None) -> bool | None:
        """Whether the aim is met; None where there is none, or nothing was measured."""
        if aim is None:
            return None
        value = self.find_median(aim.absolute)
        if value is None:
            return None
        return value >= aim.value if aim.sign == "≥" else value <= aim.value


@dataclass(frozen=True)
class Figure:
    """One line as it was measured: with the plain server, and (None: not measured) with the one that has [speed]."""

    line: Line
    plain: Pairs
    fast: Pairs | None = None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """The figure as JSON; `from_json` makes it again."""
        known = {"line": asdict(self.line), "note": self.note}
        for name, pairs, aim in self._sides():
            if pairs is not None:
                known[name] = {
                    "ours": list(pairs.ours),
                    "beside": list(pairs.beside),
                    "median": _number(pairs.ours),
                    "median beside": _number(pairs.beside),
                    "ratio": _number(pairs.ratios),
                    "met": pairs.meets(aim),
                }
        return known

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Figure:
        """The figure that `to_json` told."""
        aims = {name: _read_aim(value["line"][name]) for name in ("aim", "fast_aim")}
        sides = {name: Pairs(value[name]["ours"], value[name]["beside"]) for name in ("plain", "fast") if name in value}
        return cls(line=Line(**{**value["line"], **aims}), note=value["note"], **sides)

    def _sides(self) -> tuple[tuple[str, Pairs | None, Aim | None], ...]:
        return ("plain", self.plain, self.line.aim), ("fast", self.fast, self.line.fast_aim)


def format_table(figures: Sequence[Figure]) -> str:
    """The figures for people who look at a terminal."""
    with_speed = any(figure.fast is not None for figure in figures)
    head = [*_HEAD, *_SIDE_HEAD]
    places = [*_PLACES, *_SIDE_PLACES]
    if with_speed:
        head += [f"[speed] {name}" for name in _SIDE_HEAD]
        places += _SIDE_PLACES
    rows = [[*head, ""]]
    for figure in figures:
        title = f"{figure.line.server}: {figure.line.title}" if figure.line.server else figure.line.title
        cells = [title, figure.line.unit]
        cells += _side_cells(figure.line.beside, figure.plain, figure.line.aim)
        if with_speed:
            cells += _side_cells(figure.line.beside, figure.fast, figure.line.fast_aim)
        rows.append([*cells, figure.note])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [place(cell, width) for cell, width, place in zip(row, widths, [*places, str.ljust], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def format_markdown(figures: Sequence[Figure]) -> str:
    """The figures that the page shows, as one table of ours and one that has the other servers, ratios only."""
    costs = {
        (figure.line.title, figure.line.beside): figure
        for figure in figures
        if figure.line.unit in (CPU, CPU_TIME) and not figure.line.server
    }
    rows: list[tuple[str, ...]] = [_MARKDOWN_HEAD]
    for figure in figures:
        if figure.line.on_page and not figure.line.server:
            cost = None
            if figure.line.unit != SLOWEST:
                cost = costs.get((figure.line.title, figure.line.beside))
            rows.append(_make_markdown_row(figure, cost))
    text = _join_rows(rows)
    servers = list(dict.fromkeys(figure.line.server for figure in figures if figure.line.server))
    if servers:
        text += f"\n\n{_SERVERS_TEXT}\n\n{_join_rows(_make_server_rows(figures, servers))}"
    return text


def _make_markdown_row(figure: Figure, cost: Figure | None) -> tuple[str, ...]:
    line = figure.line
    return (
        make_label(line),
        _BESIDE.get(line.beside, line.beside),
        _format_aim(line.aim, line.unit),
        _format_result(figure.plain, line.aim, line.unit),
        _format_cost(cost.plain) if cost else "",
        _format_aim(line.fast_aim, line.unit),
        _format_result(figure.fast, line.fast_aim, line.unit),
        _format_cost(cost.fast) if cost else "",
    )


def make_label(line: Line) -> str:
    """The words for a line in the page: its title, and what was measured where that is not the pace."""
    return line.title + _LABELS.get(line.unit, "")


def _make_server_rows(figures: Iterable[Figure], servers: Iterable[str]) -> list[tuple[str, ...]]:
    """A row for each server and a column for each kind of call; the ratios are those to the bare handler."""
    cells: dict[tuple[str, str], str] = {}
    kinds: list[str] = []
    for figure in figures:
        line = figure.line
        if not line.server or not line.on_page:
            continue
        kind = make_label(line)
        if kind not in kinds:
            kinds.append(kind)
        cell = _format_cost(figure.plain)
        if figure.note and not cell:
            cell = figure.note
        cells[line.server, kind] = cell
    rows = [("server", *kinds)]
    return rows + [(server, *(cells.get((server, kind), "") for kind in kinds)) for server in servers]


def _join_rows(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; every column but the first is set to the right."""
    marks = ["---", *["--:"] * (len(rows[0]) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], marks, *rows[1:]))


def _format_aim(aim: Aim | None, unit: str) -> str:
    if aim is None:
        return ""
    return f"{aim} {unit}" if aim.absolute else str(aim)


def _format_result(pairs: Pairs | None, aim: Aim | None, unit: str) -> str:
    if pairs is None:
        return ""
    absolute = aim is not None and aim.absolute
    value = pairs.find_median(absolute)
    if value is None:
        return ""
    text = f"{_short(value)} {unit if absolute else '×'}"
    return f"{text}, missed" if pairs.meets(aim) is False else text


def _format_cost(pairs: Pairs | None) -> str:
    value = pairs.find_median(absolute=False) if pairs else None
    return "" if value is None else f"{_short(value)} ×"


def _side_cells(name: str, pairs: Pairs | None, aim: Aim | None) -> list[str]:
    """What one server came to: ours, beside, the ratio with its spread, the aim and the verdict."""
    if pairs is None:
        return [""] * len(_SIDE_HEAD)
    ratios = pairs.ratios
    spread = f"{_short(median(ratios))} ({_short(ratios[0])}–{_short(ratios[-1])})" if ratios else "–"
    beside = f"{_short(_number(pairs.beside))} {name}" if pairs.beside else "–"
    verdict = {True: "met", False: "MISSED", None: ""}[pairs.meets(aim)]
    return [_short(_number(pairs.ours)), beside, spread, str(aim) if aim else "", verdict]


def _read_aim(value: Mapping[str, Any] | None) -> Aim | None:
    return None if value is None else Aim(**value)


def _number(values: Sequence[float]) -> float | None:
    """The median of what was measured, None where nothing was."""
    known = [value for value in values if not math.isnan(value)]
    return median(known) if known else None


def _short(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


PACE: Final = "calls/s"
SLOWEST: Final = "p99 ms"
CPU: Final = "CPU µs a call"
CPU_TIME: Final = "CPU ms"
_HEAD: Final = ("row", "unit")
_PLACES: Final[Sequence[Callable[[str, int], str]]] = (str.ljust, str.ljust)
_SIDE_HEAD: Final = ("ours", "beside", "ratio (min–max)", "aim", "verdict")
_SIDE_PLACES: Final[Sequence[Callable[[str, int], str]]] = (str.rjust, str.rjust, str.rjust, str.ljust, str.ljust)
_MARKDOWN_HEAD: Final = (
    "what", "beside", "aim", "measured", "CPU", "aim with `[speed]`", "measured with `[speed]`", "CPU with `[speed]`",
)  # fmt: skip
_LABELS: Final = {SLOWEST: ": the slowest hundredth", CPU: ": CPU"}
_BESIDE: Final = {"ref": "bare aiohttp", "idle": "the idle server"}
_SERVERS_TEXT: Final = "The same calls to other servers, as ratios to bare aiohttp:"
