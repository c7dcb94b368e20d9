"""Rows of new pictures: drawn without a server, sent as Base64 by one, and streamed."""

from __future__ import annotations

from statistics import median
from typing import Final

from tests.bench.figures import Aim, Figure, Line, Pairs
from tests.bench.load import Result
from tests.bench.requests import B64, EVENTS, OWN, PATH, STREAM, WHOLE
from tests.bench.rows import Row, Scale
from tests.bench.servers import CONNECTIONS, Shot, drawn, load, serving

AS_BASE64: Final = Line(
    "new 1024² RGB picture, a call as Base64: the server's CPU", "ms", beside="drawing and one deflate",
    aim=Aim("≤", 1.5), fast_aim=Aim("≤", 0.75), on_page=True,
)  # fmt: skip
DRAWN: Final = Line("new 1024² RGB PNG, without a server", "ms", beside="drawing and one deflate", aim=Aim("≤", 1.5))
BESIDE_PALETTE: Final = Line("the same, beside a PNG with a palette", "ms", beside="palette", aim=Aim("≤", 2.5))
TWO_THREADS: Final = Line("new 1024² RGB PNG, two threads", "per s", beside="one thread", aim=Aim("≥", 1.7))
CEILING: Final = Line("deflating alone, two threads", "per s", beside="one thread")
STREAMED: Final = Line(
    "streamed pictures, new, 1024²", "per s", beside="in one piece", aim=Aim("≥", 0.8), fast_aim=Aim("≥", 0.8),
    on_page=True,
)  # fmt: skip
FIRST_EVENT: Final = Line(
    f"first of a stream's {EVENTS} events, one connection", "ms", beside="its last event", aim=Aim("≤", 0.5),
    fast_aim=Aim("≤", 0.5), on_page=True,
)  # fmt: skip


def measure_base64(scale: Scale) -> list[Figure]:
    """What the server's threads use for a call whose answer has a new picture, beside the least that it could be."""
    shot = Shot("POST", PATH, {**B64, "prompt": OWN})
    sides = {}
    for who in scale.whos:
        ours, least = list[float](), list[float]()
        with serving(who) as server:
            for number in range(scale.rounds + 1):
                _, cpu = load(server, shot, seconds=scale.seconds, first=number * _ROUND)
                (one,) = drawn("ours", 1, _PICTURES)
                ours.append(cpu / 1000)
                least.append(one["alone"]["deflate"])
        sides[who] = Pairs(ours[1:], least[1:])  # what came first has warmed up
    return [Figure(AS_BASE64, sides["ours"], sides.get("fast"), f"{CONNECTIONS} connections")]


def measure_drawing(scale: Scale) -> list[Figure]:
    """Pictures drawn, labelled and encoded, without a server."""
    found = {who: drawn(who, scale.rounds, _PICTURES) for who in scale.whos}

    def make(line: Line, part: str, beside: str, note: str = "") -> Figure:
        sides = {}
        for who, rounds in found.items():
            # What stands beside is of the plain process: libraries of [speed] may slow down what runs after them.
            least = found["ours"] if part == "alone" else rounds
            sides[who] = Pairs([one[part]["ours"] for one in rounds], [one[part][beside] for one in least])
        return Figure(line, sides["ours"], sides.get("fast"), note)

    sizes = {who: f"{median(one['alone']['bytes'] for one in rounds) / 1000:.1f}" for who, rounds in found.items()}
    return [
        make(DRAWN, "alone", "deflate", f"files of {', '.join(sizes.values())} kB"),
        make(BESIDE_PALETTE, "alone", "palette"),
        make(TWO_THREADS, "pair", "beside"),
        make(CEILING, "ceiling", "beside", "what the cores give now"),
    ]


def measure_streams(scale: Scale) -> list[Figure]:
    """Streams of new pictures, three in the making before each, beside the same model's answers in one piece."""
    paces, openings = {}, {}
    for who in scale.whos:
        plain, streamed, alone = list[Result](), list[Result](), list[Result]()
        with serving(who) as server:
            for number in range(scale.rounds + 1):
                ways = ((plain, WHOLE, CONNECTIONS), (streamed, STREAM, CONNECTIONS), (alone, STREAM, 1))
                for way, (found, shot, connections) in enumerate(ways):
                    how = {"seconds": scale.seconds, "first": (len(ways) * number + way) * _ROUND, "own": True}
                    found.append(load(server, shot, connections=connections, **how)[0])
        plain, streamed, alone = plain[1:], streamed[1:], alone[1:]  # what came first has warmed up
        pace = [EVENTS * one.calls / one.seconds for one in streamed]
        paces[who] = Pairs(pace, [one.calls / one.seconds for one in plain])
        openings[who] = Pairs([1000 * one.first for one in alone], [1000 * one.middle for one in alone])
    return [
        Figure(STREAMED, paces["ours"], paces.get("fast"), f"streams of {streamed[-1].size / 1000:.1f} kB"),
        Figure(FIRST_EVENT, openings["ours"], openings.get("fast")),
    ]


_ROUND: Final = 1_000_000  # numbers of prompts that may be used up before the next measurement
_PICTURES: Final = 40  # a round: well under a second for each way
ROWS: Final = (
    Row("base64", "calls answered with a new picture as Base64, beside drawing and one level-1 deflate of its rows",
        (AS_BASE64,), measure_base64),
    Row("pictures", "the same pictures without a server", (DRAWN, BESIDE_PALETTE, TWO_THREADS, CEILING),
        measure_drawing),
    Row("streams", "pictures in server-sent events, beside answers in one piece", (STREAMED, FIRST_EVENT),
        measure_streams),
)  # fmt: skip
