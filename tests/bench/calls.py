"""Rows of calls: each sends one request again and again, beside the bare handler or beside another call of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Final

from tests.bench.figures import CPU, PACE, SLOWEST, Aim, Figure, Line, Pairs
from tests.bench.load import Result
from tests.bench.requests import (
    B64,
    EDIT,
    FIVE_RULES,
    GENERATE,
    OWN,
    PATH,
    REFUSED,
    SCRIPTED,
    SESSION,
    SMALL,
    UNIQUE,
)  # fmt: skip
from tests.bench.rows import Row, Scale, take_turns
from tests.bench.servers import CONNECTIONS, Shot, load, play, serving


@dataclass(frozen=True)
class Calls:
    """A row of calls: the ratio is to the bare handler, or to our own answers to `beside`.

    Aims come in pairs: for the plain server, and for the one with [speed]. `script` is what the session of `shot`
    plays. `on_page` tells which of the lines on pace and on the slowest hundredth the page shows.
    """

    title: str
    about: str
    shot: Shot
    beside: Shot | None = None
    beside_name: str = "ref"
    connections: int = CONNECTIONS
    pace: tuple[Aim, Aim] | None = None
    slowest: tuple[Aim, Aim] | None = None
    script: str | None = None
    on_page: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """Three lines: calls a second, the slowest hundredth, and the server's CPU."""
        found = []
        for unit, aims in ((PACE, self.pace), (SLOWEST, self.slowest), (CPU, None)):
            plain, fast = aims or (None, None)
            on_page = unit in self.on_page
            found.append(Line(self.title, unit, beside=self.beside_name, aim=plain, fast_aim=fast, on_page=on_page))
        return tuple(found)


Measured = tuple[Result, float]
"""A round: what the generator found, and the server's microseconds of CPU a call."""


def measure_calls(row: Calls, scale: Scale) -> list[Figure]:
    """The figures of a row of calls."""
    with ExitStack() as stack:
        servers = {who: stack.enter_context(serving(who)) for who in (*scale.whos, "ref")}
        for who in scale.whos:
            if row.script is not None:
                play(servers[who], SESSION, row.script)
        shots = _list_shots(row, scale)
        measured: dict[str, list[Measured]] = {name: [] for name in shots}
        numbers = count(step=_ROUND)
        for server, shot in shots.values():
            load(servers[server], shot, connections=row.connections, seconds=_WARM_UP, first=next(numbers))
        for number in range(scale.rounds):
            for name in take_turns(list(shots), number):
                server, shot = shots[name]
                how = {"connections": row.connections, "seconds": scale.seconds, "first": next(numbers)}
                measured[name].append(load(servers[server], shot, **how))
    return _make_figures(row, scale, measured)


def _list_shots(row: Calls, scale: Scale) -> dict[str, tuple[str, Shot]]:
    """What is sent in a round: by its name, the server and the request."""
    shots = {who: (who, row.shot) for who in scale.whos}
    if row.beside is None:
        return {**shots, "ref": ("ref", GENERATE)}
    return {**shots, **{f"beside {who}": (who, row.beside) for who in scale.whos}}


def _make_figures(row: Calls, scale: Scale, measured: Mapping[str, Sequence[Measured]]) -> list[Figure]:
    values: tuple[Callable[[Measured], float], ...] = (
        lambda one: one[0].calls / one[0].seconds,
        lambda one: 1000 * one[0].slowest,
        lambda one: one[1],
    )
    busiest = max(one.busy for rounds in measured.values() for one, _ in rounds)
    limit = f"the generator used {busiest:.0%} of a core: it was the limit" if busiest > TOO_BUSY else ""
    notes = (limit, f"answers of {measured['ours'][-1][0].size / 1000:.1f} kB", "")
    figures = []
    for line, value, note in zip(row.lines, values, notes, strict=True):
        sides = {}
        for who in scale.whos:
            beside = measured["ref" if row.beside is None else f"beside {who}"]
            sides[who] = Pairs([value(one) for one in measured[who]], [value(one) for one in beside])
        figures.append(Figure(line, plain=sides["ours"], fast=sides.get("fast"), note=note))
    return figures


def _at_least(plain: float, fast: float) -> tuple[Aim, Aim]:
    return Aim("≥", plain), Aim("≥", fast)


_P99: Final = (Aim("≤", 2.5), Aim("≤", 1.5))
_ROUND: Final = 1_000_000  # numbers of prompts that may be used up before the next measurement
_WARM_UP: Final = 1  # second
TOO_BUSY: Final = 0.9  # of a core
_NEW_SMALL: Final = Shot("POST", PATH, {**SMALL, "prompt": OWN})
_CALLS: Final = {
    "url": Calls(
        "url-mode calls, 32 connections", "valid calls answered with a link, the same prompt",
        GENERATE, pace=_at_least(0.50, 0.80), slowest=_P99, on_page=(PACE, SLOWEST),
    ),
    "unique": Calls(
        "the same, varying prompts", "valid calls answered with a link, each with a prompt of its own",
        UNIQUE, pace=_at_least(0.50, 0.80), slowest=_P99, on_page=(PACE, SLOWEST),
    ),
    "url-1": Calls(
        "url-mode calls, one connection", "as url, from one client that waits for each answer",
        GENERATE, connections=1, pace=_at_least(0.60, 0.85), on_page=(PACE,),
    ),
    "unique-1": Calls(
        "the same, varying prompts, one connection", "as unique, from one client that waits for each answer",
        UNIQUE, connections=1, pace=_at_least(0.60, 0.85), on_page=(PACE,),
    ),
    "refused": Calls(
        "refused calls, with reasons", "calls with a wrong size, beside valid calls to the bare handler",
        REFUSED, pace=_at_least(0.40, 0.60), slowest=_P99, on_page=(PACE,),
    ),
    "refused-1": Calls(
        "refused calls, one connection", "as refused, from one client that waits for each answer",
        REFUSED, connections=1,
    ),
    "scripted": Calls(
        "calls under a five-rule scenario", "valid calls in a session with a script, beside our unscripted ones",
        SCRIPTED, GENERATE, "unscripted calls", pace=_at_least(0.85, 0.85), script=FIVE_RULES, on_page=(PACE,),
    ),
    "cached": Calls(
        "b64_json, cached, 512²", "the same picture again, in the answer, beside our url-mode calls",
        Shot("POST", PATH, SMALL), GENERATE, "url-mode calls", pace=_at_least(0.8, 0.8),
    ),
    "cached-large": Calls(
        "b64_json, cached, 1024²", "the same for a larger picture", Shot("POST", PATH, B64), GENERATE, "url-mode calls",
    ),
    "new-small": Calls(
        "b64_json, new each time, 512²", "a new picture in each answer", _NEW_SMALL,
    ),
    "new": Calls(
        "b64_json, new each time, 1024²", "a new, larger picture in each answer",
        Shot("POST", PATH, {**B64, "prompt": OWN}),
    ),
    "edit": Calls(
        "edits of a 1 MB PNG, new each time, 512²", "uploads that are edited, beside new pictures of the same size",
        EDIT, _NEW_SMALL, "new pictures", on_page=(PACE,),
    ),
    "models": Calls("GET models", "the list of models", Shot("GET", "/v1/models")),
}  # fmt: skip
ROWS: Final = tuple(
    Row(name, calls.about, calls.lines, partial(measure_calls, calls)) for name, calls in _CALLS.items()
)
