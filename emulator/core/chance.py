"""Seeded chance: a draw depends on what it is drawn for and on nothing else, so that a run repeats.

The only door to `random`. Nothing here is remembered: the same question gives the same answer, in any order.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emulator.core import strict_json

LONGEST: Final = 86_400.0  # seconds; a day is longer than any client waits


def seed_of(*parts: str | int) -> int:
    """A number from 0 to 2**64 - 1 that depends on every part and on their order."""
    return int.from_bytes(
        hashlib.blake2b(strict_json.compact(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )


def chance(share: float, *drawn_for: str | int) -> bool:
    """Whether it happens, with a probability of `share` (0 to 1), for what is named by `drawn_for`."""
    return random.Random(seed_of(*drawn_for)).random() < share  # noqa: S311 - a test's dice, no secret


def seconds(text: Any) -> float:
    """How long `text` says: 500ms, 2s, 1.5m, or a number of seconds. Raises ValueError."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        amount = float(text)
    elif isinstance(text, str) and (match := _DURATION.fullmatch(text.strip())):
        amount = float(match[1]) * _UNITS[match[2] or "s"]
    else:
        raise ValueError(f"{text!r} is no duration; expected one such as 500ms, 2s or 1m")
    if not 0 <= amount <= LONGEST:
        raise ValueError(f"{text!r} is outside 0s to 24h")
    return amount


@dataclass(frozen=True)
class Latency:
    """How long an answer takes; `kind` is a key of DISTRIBUTIONS, `numbers` are seconds.

    REALISTIC alone has another kind and no numbers: whoever knows the model puts a `lognormal` in its place.
    """

    kind: str
    numbers: tuple[float, ...]

    def draw(self, *drawn_for: str | int) -> float:
        """Seconds, for what is named by `drawn_for`."""
        return max(0.0, DISTRIBUTIONS[self.kind](random.Random(seed_of(*drawn_for)), *self.numbers))  # noqa: S311


def read(value: Any) -> Latency:
    """The latency that a scenario writes as 2s, as {lognormal: {…}} or as realistic. Raises ValueError.

    {uniform: [1s, 3s]}, {normal: {mean: 2s, deviation: 500ms}}, {lognormal: {median: 8s, p95: 20s, at_most: 60s}}.
    """
    if value == REALISTIC.kind:
        return REALISTIC
    if isinstance(value, str) and not _DURATION.fullmatch(value.strip()):
        raise ValueError(f"latency is {value!r}; expected a duration such as 500ms, 2s or 1m, or {REALISTIC.kind}")
    if not isinstance(value, Mapping):
        return Latency("fixed", (seconds(value),))
    kind = str(next(iter(value), ""))
    if len(value) != 1 or kind not in _PARTS:
        raise ValueError(f"latency {dict(value)!r}: expected a duration, or one of {', '.join(_PARTS)}")
    parts, given = _PARTS[kind], value[kind]
    if kind == "uniform":
        if not isinstance(given, list) or len(given) != 2:
            raise ValueError(f"latency uniform is {given!r}; expected [shortest, longest]")
        shortest, longest = map(seconds, given)
        if shortest > longest:
            raise ValueError(f"latency uniform: {given[0]} is longer than {given[1]}")
        return Latency(kind, (shortest, longest))
    if not isinstance(given, Mapping) or not set(given) <= set(parts) or not set(parts[:2]) <= set(given):
        raise ValueError(f"latency {kind} is {given!r}; expected {', '.join(parts[:2])}, and at_most if you like")
    numbers = [seconds(given[part]) if part in given else LONGEST for part in parts]
    if kind == "lognormal" and not 0 < numbers[0] < numbers[1]:
        raise ValueError(f"latency lognormal: p95 {given['p95']} must be longer than the median {given['median']}")
    return Latency(kind, tuple(numbers))


def lognormal(median: float, p95: float) -> Latency:
    """Mostly about `median` seconds, and for one in twenty more than `p95`."""
    return Latency("lognormal", (median, p95, LONGEST))


def _normal(dice: random.Random, mean: float, deviation: float, at_most: float) -> float:
    return min(at_most, dice.gauss(mean, deviation))


def _lognormal(dice: random.Random, median: float, p95: float, at_most: float) -> float:
    sigma = math.log(p95 / median) / _P95
    return min(at_most, dice.lognormvariate(math.log(median), sigma))


REALISTIC: Final = Latency("realistic", ())
"""As long as the model of the call takes in life."""
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h)?")
_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_P95: Final = 1.6448536269514722  # standard deviations below which 95 % of a normal distribution lie
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "uniform": (),
    "normal": ("mean", "deviation", "at_most"),
    "lognormal": ("median", "p95", "at_most"),
}
DISTRIBUTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "fixed": lambda dice, length: length,
    "uniform": lambda dice, shortest, longest: dice.uniform(shortest, longest),
    "normal": _normal,
    "lognormal": _lognormal,
}
