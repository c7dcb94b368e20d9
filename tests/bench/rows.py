"""What all rows of the benchmark have in common: name, what they are about, lines, and how they are measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.figures import Figure, Line


@dataclass(frozen=True)
class Scale:
    """How long to measure: seconds of a round of load, rounds, and calls of the row on memory.

    `whos` are our servers that are measured: `ours`, which is plain, and perhaps `fast`, which has [speed].
    """

    seconds: float
    rounds: int
    calls: int
    whos: Sequence[str] = ("ours",)


@dataclass(frozen=True)
class Row:
    """A row of the benchmark, which has some lines; `measure` returns a figure for each of them, in their order."""

    name: str
    about: str
    lines: Sequence[Line]
    measure: Callable[[Scale], list[Figure]]


def take_turns(parties: Sequence[str], number: int) -> list[str]:
    """The order of the parties in round `number`: each comes first in turn, so that a trend favours none."""
    first = number % len(parties)
    return [*parties[first:], *parties[:first]]
