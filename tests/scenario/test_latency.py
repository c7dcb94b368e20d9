"""How latencies are read, and what is drawn from them."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from emulator.core.durations import LONGEST_DURATION
from emulator.scenario.latency import REALISTIC, Latency, make_lognormal, parse_latency


def test_realistic_is_a_word_of_its_own() -> None:
    """It has no numbers until somebody knows the model; then it is a distribution through both points."""
    assert REALISTIC == parse_latency("realistic")
    assert parse_latency({"lognormal": {"median": 8, "p95": 20}}) == make_lognormal(8, 20)
    with pytest.raises(KeyError):
        REALISTIC.draw(0)


LATENCIES = [
    ("2s", Latency("fixed", (2,)), 2, 2, 2),
    (0, Latency("fixed", (0,)), 0, 0, 0),
    ({"uniform": ["1s", "3s"]}, Latency("uniform", (1, 3)), 1, 2, 3),
    ({"normal": {"mean": "8s", "deviation": "2s"}}, Latency("normal", (8, 2, LONGEST_DURATION)), 0, 8, 20),
    ({"normal": {"mean": "1s", "deviation": "9s", "at_most": "2s"}}, Latency("normal", (1, 9, 2)), 0, 1, 2),
    ({"lognormal": {"median": "8s", "p95": "20s"}}, Latency("lognormal", (8, 20, LONGEST_DURATION)), 0.1, 8, 300),
    ({"lognormal": {"median": "8s", "p95": "20s", "at_most": "9s"}}, Latency("lognormal", (8, 20, 9)), 0.1, 8, 9),
]


@pytest.mark.parametrize(("value", "expected", "shortest", "median", "longest"), LATENCIES)
def test_latencies(value: Any, expected: Latency, shortest: float, median: float, longest: float) -> None:
    """What is read is what is drawn: its median is where it should be, and no draw is out of bounds or below 0."""
    latency = parse_latency(value)
    assert expected == latency
    drawn = [latency.draw(0, "session", "rule", turn) for turn in range(2000)]
    assert drawn == [latency.draw(0, "session", "rule", turn) for turn in range(2000)]
    assert all(shortest <= one <= longest for one in drawn)
    assert median == pytest.approx(statistics.median(drawn), rel=0.1, abs=0.3)


def test_one_in_twenty_is_beyond_p95() -> None:
    """The lognormal distribution goes through both points that were given."""
    latency = parse_latency({"lognormal": {"median": "8s", "p95": "20s"}})
    beyond = sum(latency.draw(turn) > 20 for turn in range(5000))
    assert 0.05 == pytest.approx(beyond / 5000, abs=0.015)


@pytest.mark.parametrize("text", ["5", " 1.5 ", "Realistic", "soon", ""])
def test_a_latency_without_its_unit_is_refused(text: str) -> None:
    """A text needs a unit, or is a slip; a number is in seconds."""
    with pytest.raises(ValueError, match="expected a duration with its unit, such as 500ms, 2s or 1m, or realistic"):
        parse_latency(text)
