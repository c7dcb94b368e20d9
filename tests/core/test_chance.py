"""Chance's promise: it depends on what it is drawn for and on nothing else, and has the shape that was asked for."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from emulator.core import chance
from emulator.core.chance import LONGEST, Latency


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.75, 0.99])
def test_shares(share: float) -> None:
    """Of many turns about the share that was asked for comes true."""
    happened = sum(chance.chance(share, 0, "session", 0, turn) for turn in range(5000))
    assert share == pytest.approx(happened / 5000, abs=0.03)


def test_never_and_always() -> None:
    """0 never happens and 1 always does."""
    assert not any(chance.chance(0, turn) for turn in range(2000))
    assert all(chance.chance(1, turn) for turn in range(2000))


def test_each_part_counts_and_nothing_else() -> None:
    """The same question has the same answer, in any order; seed, session, rule and turn each make another."""

    def fates(seed: int, session: str, rule: int, first: int = 0) -> tuple[bool, ...]:
        return tuple(chance.chance(0.5, seed, session, rule, turn) for turn in range(first, first + 64))

    told = fates(1, "a", 0)
    assert told == tuple(reversed([chance.chance(0.5, 1, "a", 0, turn) for turn in reversed(range(64))]))
    assert 5 == len({told, fates(2, "a", 0), fates(1, "b", 0), fates(1, "a", 1), fates(1, "a", 0, 1)})
    assert fates(1, "1", 2) != fates(11, "", 2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5), ("2s", 2), ("2", 2), ("1.5m", 90), ("24h", 86_400), ("0s", 0), (" 3 s ", 3), (3, 3),
        (0.25, 0.25),
    ],
)  # fmt: skip
def test_durations(text: Any, seconds: float) -> None:
    """A number with a unit, or a number of seconds."""
    assert seconds == pytest.approx(chance.seconds(text))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is no duration"), ("soon", "no duration"), ("1d", "no duration"), ("-1s", "no duration"),
        ("1e3s", "no duration"), (".5s", "no duration"), ("１s", "no duration"), (None, "no duration"),
        (True, "no duration"), ([], "no duration"), (-1, "-1 is outside 0s to 24h"), ("25h", "outside 0s to 24h"),
        (float("nan"), "outside 0s to 24h"), (float("inf"), "outside 0s to 24h"),
    ],
)  # fmt: skip
def test_no_durations(text: Any, complaint: str) -> None:
    """What is none is refused with what was read."""
    with pytest.raises(ValueError, match=complaint):
        chance.seconds(text)


def test_realistic_is_a_word_of_its_own() -> None:
    """It has no numbers until somebody knows the model; then it is a distribution through both points."""
    assert chance.REALISTIC == chance.read("realistic")
    assert chance.read({"lognormal": {"median": 8, "p95": 20}}) == chance.lognormal(8, 20)
    with pytest.raises(KeyError):
        chance.REALISTIC.draw(0)


LATENCIES = [
    ("2s", Latency("fixed", (2,)), 2, 2, 2),
    (0, Latency("fixed", (0,)), 0, 0, 0),
    ({"uniform": ["1s", "3s"]}, Latency("uniform", (1, 3)), 1, 2, 3),
    ({"normal": {"mean": "8s", "deviation": "2s"}}, Latency("normal", (8, 2, LONGEST)), 0, 8, 20),
    ({"normal": {"mean": "1s", "deviation": "9s", "at_most": "2s"}}, Latency("normal", (1, 9, 2)), 0, 1, 2),
    ({"lognormal": {"median": "8s", "p95": "20s"}}, Latency("lognormal", (8, 20, LONGEST)), 0.1, 8, 300),
    ({"lognormal": {"median": "8s", "p95": "20s", "at_most": "9s"}}, Latency("lognormal", (8, 20, 9)), 0.1, 8, 9),
]


@pytest.mark.parametrize(("value", "expected", "shortest", "median", "longest"), LATENCIES)
def test_latencies(value: Any, expected: Latency, shortest: float, median: float, longest: float) -> None:
    """What is read is what is drawn: its median is where it should be, and no draw is out of bounds or below 0."""
    latency = chance.read(value)
    assert expected == latency
    drawn = [latency.draw(0, "session", "rule", turn) for turn in range(2000)]
    assert drawn == [latency.draw(0, "session", "rule", turn) for turn in range(2000)]
    assert all(shortest <= one <= longest for one in drawn)
    assert median == pytest.approx(statistics.median(drawn), rel=0.1, abs=0.3)


def test_one_in_twenty_is_beyond_p95() -> None:
    """The lognormal distribution goes through both points that were given."""
    latency = chance.read({"lognormal": {"median": "8s", "p95": "20s"}})
    beyond = sum(latency.draw(turn) > 20 for turn in range(5000))
    assert 0.05 == pytest.approx(beyond / 5000, abs=0.015)
