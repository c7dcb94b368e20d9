"""Rows on what stays bounded: memory after many calls, and a client's wait beside clients that do their worst."""

from __future__ import annotations

from typing import Final

from tests.bench import hostile
from tests.bench.figures import Aim, Figure, Line, Pairs
from tests.bench.requests import GENERATE, REFUSED, UNIQUE
from tests.bench.rows import Row, Scale
from tests.bench.servers import load, serving

_IDLE: Final = Aim("≤", 60, absolute=True)
_AFTER: Final = Aim("≤", 70, absolute=True)
_FLAT: Final = Aim("≤", 1, absolute=True)
MEMORY: Final = (
    Line("memory, idle", "MiB", aim=_IDLE, fast_aim=_IDLE, on_page=True),
    Line("memory after half the calls", "MiB"),
    Line("memory after all calls", "MiB", aim=_AFTER, fast_aim=_AFTER, on_page=True),
    Line("memory after half as many refused ones more", "MiB"),
    Line("memory grown in the second half of all calls", "MiB", aim=_FLAT, fast_aim=_FLAT, on_page=True),
)
_PATIENT: Final = Aim("≤", 250, absolute=True)
WAITS: Final = tuple(
    line
    for title in hostile.CROWDS
    for line in (
        Line(f"longest wait beside {title}", "ms", beside="idle", aim=_PATIENT, fast_aim=_PATIENT),
        Line(f"memory beside {title}", "MiB", beside="idle"),
    )
)


def measure_memory(scale: Scale) -> list[Figure]:
    """What a fresh server holds before and after many calls, each with a prompt of its own."""
    held: dict[str, list[float]] = {}
    for who in ("ref", *scale.whos):
        with serving(who) as server:
            held[who] = [server.memory()]
            for number in range(2):
                load(server, UNIQUE, calls=scale.calls // 2, first=number * scale.calls)
                held[who].append(server.memory())
            load(server, GENERATE if who == "ref" else REFUSED, calls=scale.calls // 2)
            held[who].append(server.memory())
            held[who].append(held[who][2] - held[who][1])
    figures = []
    for index, line in enumerate(MEMORY):
        sides = {who: Pairs([held[who][index]], [held["ref"][index]]) for who in scale.whos}
        figures.append(Figure(line, sides["ours"], sides.get("fast"), note=f"of {scale.calls:,} calls"))
    return figures


def measure_waits(scale: Scale) -> list[Figure]:
    """How long another client waits beside those that do their worst, and what memory they cost."""
    figures = []
    for index, crowd in enumerate(hostile.CROWDS.values()):
        waits, memory = {}, {}
        for who in scale.whos:
            idle, beside, held = list[float](), list[float](), list[float]()
            for _ in range(scale.rounds):
                with serving(who) as server:
                    idle.append(1000 * hostile.longest_wait(server, scale.seconds))
                    before = server.memory()
                    with crowd(server):
                        beside.append(1000 * hostile.longest_wait(server, _LONG_ENOUGH * scale.seconds))
                        held.append(server.memory() - before)
            waits[who] = Pairs(beside, idle)
            memory[who] = Pairs(held)
        wait, more = WAITS[2 * index : 2 * index + 2]
        figures.append(Figure(wait, waits["ours"], waits.get("fast")))
        figures.append(Figure(more, memory["ours"], memory.get("fast"), note="more than before"))
    return figures


_LONG_ENOUGH: Final = 8  # rounds' seconds: until large answers have been drawn, held back and cut off
ROWS: Final = (
    Row("memory", "what a server holds when idle, and after many calls", MEMORY, measure_memory),
    Row("waits", "how long a client waits beside clients that do their worst", WAITS, measure_waits),
)
