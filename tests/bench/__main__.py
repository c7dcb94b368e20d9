"""`python -m tests.bench`: measures the emulator beside a bare aiohttp handler and prints one table.

The machine is noisy, so both are measured in turns, and only their ratio within one run counts. The aims are the ones
for pure Python dependencies; rows for what does not exist yet (start in a test, two workers) come with it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench import against, hostile
from tests.bench.figures import Aim, Figure, table
from tests.bench.load import Result
from tests.bench.requests import (
    B64,
    EDIT,
    EVENTS,
    FIVE_RULES,
    GENERATE,
    HEALTH,
    OWN,
    PATH,
    REFUSED,
    SCRIPTED,
    SESSION,
    SMALL,
    STREAM,
    UNIQUE,
    WHOLE,
)  # fmt: skip
from tests.bench.servers import CONNECTIONS, Failed, Server, Shot, drawn, first_answer, load, play, serving


@dataclass(frozen=True)
class Scale:
    """How long to measure: seconds of a round of load, rounds, and calls of the row on memory."""

    seconds: float
    rounds: int
    calls: int


@dataclass(frozen=True)
class Load:
    """A row of calls: the ratio is to the bare handler, or to our own answers to `beside`.

    `script` is what the session of `shot` plays.
    """

    title: str
    shot: Shot
    beside: Shot | None = None
    pace: Aim | None = None
    slowest: Aim | None = None
    cost: Aim | None = None
    script: str | None = None


class Track:
    """The two servers that all rows of calls share; `busiest` is the largest share of a core that sending took."""

    def __init__(self, ours: Server, ref: Server) -> None:
        self._servers = ours, ref
        self._number = 0
        self.busiest = 0.0

    def measure(self, row: Load, scale: Scale) -> list[Figure]:
        """Three figures of `row`: calls a second, the slowest hundredth, and CPU."""
        ours, ref = self._servers
        beside, against = (ref, GENERATE) if row.beside is None else (ours, row.beside)
        if row.script is not None:
            play(ours, SESSION, row.script)
        for server, shot in ((beside, against), (ours, row.shot)):
            self._round(server, shot, _WARM_UP)
        pairs = [
            (self._round(beside, against, scale.seconds), self._round(ours, row.shot, scale.seconds))
            for _ in range(scale.rounds)
        ]
        them, us = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        name = "ref" if row.beside is None else "url-mode"
        size = f"answers of {us[-1][0].size / 1000:.1f} kB"

        def figure(unit: str, value: Callable[[tuple[Result, float]], float], aim: Aim | None, note: str) -> Figure:
            return Figure(row.title, unit, [value(one) for one in us], [value(one) for one in them], name, aim, note)

        return [
            figure("calls/s", lambda one: one[0].calls / one[0].seconds, row.pace, size),
            figure("p99 ms", lambda one: 1000 * one[0].slowest, row.slowest, ""),
            figure("CPU µs a call", lambda one: one[1], row.cost, ""),
        ]

    def _round(self, server: Server, shot: Shot, seconds: float) -> tuple[Result, float]:
        result, cost = load(server, shot, seconds=seconds, first=self._number)
        self._number += result.calls
        self.busiest = max(self.busiest, result.busy)
        return result, cost


def cold(scale: Scale) -> list[Figure]:
    """From the start of a process to its first good answer."""
    for who in ("ref", "ours"):
        first_answer(who, GENERATE)  # so that every module is compiled, and its file in the machine's cache
    times = [
        (first_answer("ref", GENERATE)[0], first_answer("ours", GENERATE)[0], first_answer("ours", HEALTH)[0])
        for _ in range(_COLD_STARTS)
    ]
    ref, generate, health = ([1000 * one[index] for one in times] for index in range(3))
    return [
        Figure("cold start to a good POST", "ms", generate, ref, aim=Aim("≤", 1.25), note=f"{_COLD_STARTS} starts"),
        Figure("cold start to GET /_emulator/health", "ms", health, ref, note="ref: its first POST"),
    ]


def pictures(scale: Scale) -> list[Figure]:
    """New pictures of 1024 x 1024, drawn, labelled and encoded, without a server."""
    found = drawn(scale.rounds, _PICTURES)

    def alone(title: str, beside: str, aim: Aim) -> Figure:
        ours, others = ([one["alone"][key] for one in found] for key in ("ours", beside))
        size = f"files of {median(one['alone']['bytes'] for one in found) / 1000:.1f} kB"
        return Figure(title, "ms", ours, others, beside, aim, size)

    def pair(title: str, part: str, aim: Aim | None, note: str = "") -> Figure:
        ours, others = ([one[part][key] for one in found] for key in ("ours", "beside"))
        return Figure(title, "per s", ours, others, "one thread", aim, note)

    return [
        alone("new 1024² RGB PNG, one thread", "palette", Aim("≤", 2.5)),
        alone("the same, beside drawing and one deflate", "deflate", Aim("≤", 1.5)),
        pair("new 1024² RGB PNG, two threads", "pair", Aim("≥", 1.7)),
        pair("deflating alone, two threads", "ceiling", None, "what the cores give now"),
    ]


def memory(scale: Scale) -> list[Figure]:
    """What a fresh server holds before and after many calls, each with a prompt of its own."""
    held: dict[str, list[float]] = {}
    for who in ("ref", "ours"):
        with serving(who) as server:
            held[who] = [server.memory()]
            for number in range(2):
                load(server, UNIQUE, calls=scale.calls // 2, first=number * scale.calls)
                held[who].append(server.memory())
            load(server, REFUSED if who == "ours" else GENERATE, calls=scale.calls // 2)
            held[who].append(server.memory())
    half = f"{scale.calls // 2:,}"
    moments = ("idle", f"after {half} calls", f"after {scale.calls:,} calls", f"after {half} refused ones more")
    aim = Aim("≤", 70, absolute=True)
    lines = [
        Figure(f"memory {moment}", "MiB", [held["ours"][index]], [held["ref"][index]], aim=aim)
        for index, moment in enumerate(moments)
    ]
    grown = [held[who][2] - held[who][1] for who in ("ours", "ref")]
    flat = Aim("≤", 1, absolute=True)
    return [*lines, Figure("memory grown in the second half", "MiB", grown[:1], grown[1:], aim=flat, note="flat")]


def streams(scale: Scale) -> list[Figure]:
    """Streams of new pictures, three in the making before each, beside the same model's answers in one piece."""
    plain, streamed, alone = list[Result](), list[Result](), list[Result]()
    with serving("ours") as server:
        for number in range(scale.rounds + 1):
            ways = ((plain, WHOLE, CONNECTIONS), (streamed, STREAM, CONNECTIONS), (alone, STREAM, 1))
            for way, (found, shot, connections) in enumerate(ways):
                how = {"seconds": scale.seconds, "first": (len(ways) * number + way) * _ROUND}
                found.append(load(server, shot, connections=connections, **how)[0])
    plain, streamed, alone = plain[1:], streamed[1:], alone[1:]  # what came first has warmed up
    pace = [EVENTS * one.calls / one.seconds for one in streamed]
    whole = [one.calls / one.seconds for one in plain]
    size = f"streams of {streamed[-1].size / 1000:.1f} kB"
    opening, closing = [1000 * one.first for one in alone], [1000 * one.middle for one in alone]
    return [
        Figure("streamed pictures, new, 1024²", "per s", pace, whole, "one piece", Aim("≥", 0.8), size),
        Figure(f"first of {EVENTS} events, one client", "ms", opening, closing, "last event", Aim("≤", 0.5)),
    ]


def waits(scale: Scale) -> list[Figure]:
    """How long another client waits beside those that do their worst, and what memory they cost."""
    found = []
    for title, crowd in hostile.CROWDS.items():
        idle, beside, held = list[float](), list[float](), list[float]()
        for _ in range(scale.rounds):
            with serving("ours") as server:
                idle.append(1000 * hostile.longest_wait(server, scale.seconds))
                before = server.memory()
                with crowd(server):
                    beside.append(1000 * hostile.longest_wait(server, _LONG_ENOUGH * scale.seconds))
                    held.append(server.memory() - before)
        aim = Aim("≤", 250, absolute=True)
        found.append(Figure(f"longest wait beside {title}", "ms", beside, idle, "idle", aim))
        found.append(Figure(f"memory beside {title}", "MiB", held, [], "idle", note="more than before"))
    return found


def measure(names: Sequence[str], scale: Scale) -> Iterator[list[Figure]]:
    """The figures of the rows `names`, row by row, as they are found."""
    loads = [LOADS[name] for name in names if name in LOADS]
    if loads:
        with serving("ours") as ours, serving("ref") as ref:
            track = Track(ours, ref)
            for row in loads:
                yield track.measure(row, scale)
            if track.busiest > _TOO_BUSY:
                _say(f"the load generator used up to {track.busiest:.0%} of a core: ref may be faster than shown")
    for name in names:
        if name in OTHERS:
            yield OTHERS[name](scale)


def main() -> int:
    """Measure what the options ask for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=_ABOUT)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one round of load (1.0)")
    parser.add_argument("--rounds", type=int, default=5, help="of each row, in turns with its reference (5)")
    parser.add_argument("--calls", type=int, default=20_000, help="of the row on memory (20000)")
    parser.add_argument("--only", action="append", choices=(*LOADS, *OTHERS), metavar="ROW", help=_ROWS)
    parser.add_argument("--against", type=Path, metavar="PATH", help=_AGAINST)
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options = parser.parse_args()
    scale = Scale(options.seconds, options.rounds, options.calls)
    for number in (signal.SIGINT, signal.SIGTERM):  # both end like Ctrl-C, so that no server is left behind
        signal.signal(number, signal.default_int_handler)
    began, load_before = time.perf_counter(), os.getloadavg()[0]
    found: list[Figure] = []
    try:
        if options.against is None:
            rows = measure(options.only or (*LOADS, *OTHERS), scale)
        else:
            rows = against.compare_checkouts(options.against.resolve(), scale.seconds, scale.rounds)
        for figures in rows:
            found += figures
            _say(f"{time.perf_counter() - began:4.0f} s  {figures[0].row}")
    except Failed as error:
        _say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    versions = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    busy = f"waiting for a core at the start {load_before:.1f}, at the end {os.getloadavg()[0]:.1f}"
    if options.json:
        plain = [one.plain() for one in found]
        print(json.dumps({"about": _ABOUT, "versions": versions, "load": busy, "figures": plain}, indent=1))
    else:
        print(f"{_ABOUT}\n{_BUSY}")
        print(f"{versions}; {busy}; {CONNECTIONS} connections, {scale.rounds} rounds of {scale.seconds:g} s.\n")
        print(table(found))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


LOADS: Final = {
    "url": Load("url-mode call, same prompt", GENERATE, pace=Aim("≥", 0.30), slowest=Aim("≤", 3)),
    "unique": Load("url-mode call, unique prompts", UNIQUE, pace=Aim("≥", 0.30), slowest=Aim("≤", 3)),
    "refused": Load("refused call, with reasons", REFUSED, pace=Aim("≥", 0.25), slowest=Aim("≤", 3)),
    "cached": Load("b64_json, cached, 512²", Shot("POST", PATH, SMALL), GENERATE, pace=Aim("≥", 0.8)),
    "cached-large": Load("b64_json, cached, 1024²", Shot("POST", PATH, B64), GENERATE),
    "new-small": Load("b64_json, new each time, 512²", Shot("POST", PATH, {**SMALL, "prompt": OWN})),
    "new": Load("b64_json, new each time, 1024²", Shot("POST", PATH, {**B64, "prompt": OWN})),
    "scripted": Load(
        "call under a five-rule scenario", SCRIPTED, GENERATE, cost=Aim("≤", 1.25), script=FIVE_RULES
    ),
    "edit": Load("edit of a 1 MB PNG, new each time, 512²", EDIT),
    "models": Load("GET models", Shot("GET", "/v1/models")),
}  # fmt: skip
OTHERS: Final = {"cold": cold, "pictures": pictures, "memory": memory, "streams": streams, "waits": waits}
_LONG_ENOUGH: Final = 8  # rounds' seconds: until large answers have been drawn, held back and cut off
_ROUND: Final = 1_000_000  # numbers of prompts that may be used up before the next measurement
_WARM_UP: Final = 0.2  # seconds
_COLD_STARTS: Final = 10
_PICTURES: Final = 40  # a round: well under a second for each way
_TOO_BUSY: Final = 0.95
_ABOUT: Final = "Ratios within this run count, absolutes do not: the machine is shared and noisy."
_BUSY: Final = "Where others use the cores too, trust the CPU of a call before its pace, and repeat."
_AGAINST: Final = "compare with the code in another checkout instead: calls, refused calls, start and fixture"
_ROWS: Final = f"measure only this row (repeatable): {', '.join((*LOADS, *OTHERS))}"

if __name__ == "__main__":
    sys.exit(main())
