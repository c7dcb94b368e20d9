"""How long an answer takes: a fixed duration, or a distribution from which each call draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from emulator.core.chance import make_random
from emulator.core.durations import LONGEST_DURATION, is_duration_text, parse_duration
from emulator.core.light_dataclass import dataclass

if TYPE_CHECKING:
    from random import Random  # noqa: TID251 - the type alone; emulator.core.chance makes them


@dataclass(frozen=True)
class Latency:
    """How long an answer takes; `kind` is a key of DISTRIBUTIONS, `numbers` are its parameters in seconds.

    REALISTIC has a kind of its own and no numbers. The scenario engine, which knows the model of the call, replaces it
    with a `lognormal` latency.
    """

    kind: str
    numbers: tuple[float, ...]

    def draw(self, *parts: str | int) -> float:
        """Return seconds, from 0; the same parts give the same seconds."""
        return max(0.0, DISTRIBUTIONS[self.kind](make_random(*parts), *self.numbers))


def parse_latency(value: Any) -> Latency:
    """Return the latency that a scenario writes as 2s, as {lognormal: {…}} or as realistic. Raises ValueError.

    The distributions are {uniform: [1s, 3s]}, {normal: {mean: 2s, deviation: 500ms}} and
    {lognormal: {median: 8s, p95: 20s}}; the last two also take `at_most`.
    """
    if value == REALISTIC.kind:
        return REALISTIC
    if isinstance(value, str) and not (is_duration_text(value) and value.strip().endswith(("s", "m", "h", "d"))):
        expected = f"a duration with its unit, such as 500ms, 2s or 1m, or {REALISTIC.kind}"
        raise ValueError(f"latency is {value!r}; expected {expected}")
    if not isinstance(value, Mapping):
        return Latency("fixed", (parse_duration(value),))
    kind = str(next(iter(value), ""))
    if len(value) != 1 or kind not in _PARAMETERS:
        raise ValueError(f"latency {dict(value)!r}: expected a duration, or one of {', '.join(_PARAMETERS)}")
    if kind == "uniform":
        return _parse_uniform(value[kind])
    return _parse_distribution(kind, value[kind])


def make_lognormal(median: float, p95: float) -> Latency:
    """Return the latency that is `median` seconds in the middle and more than `p95` for one call in twenty."""
    return Latency("lognormal", (median, p95, LONGEST_DURATION))


def _parse_uniform(value: Any) -> Latency:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"latency uniform is {value!r}; expected [shortest, longest]")
    shortest, longest = parse_duration(value[0]), parse_duration(value[1])
    if shortest > longest:
        raise ValueError(f"latency uniform: {value[0]} is longer than {value[1]}")
    return Latency("uniform", (shortest, longest))


def _parse_distribution(kind: str, value: Any) -> Latency:
    """Return a `normal` or `lognormal` latency: two parameters are required, `at_most` is not."""
    names = _PARAMETERS[kind]
    required = names[:2]
    if not isinstance(value, Mapping) or not set(value) <= set(names) or not set(required) <= set(value):
        raise ValueError(f"latency {kind} is {value!r}; expected {', '.join(required)}, and at_most if you like")
    numbers = [parse_duration(value.get(name, LONGEST_DURATION)) for name in names]
    if kind == "lognormal" and not 0 < numbers[0] < numbers[1]:
        raise ValueError(f"latency lognormal: p95 {value['p95']} must be longer than the median {value['median']}")
    return Latency(kind, tuple(numbers))


def _draw_fixed(generator: Random, seconds: float) -> float:
    return seconds


def _draw_uniform(generator: Random, shortest: float, longest: float) -> float:
    return generator.uniform(shortest, longest)


def _draw_normal(generator: Random, mean: float, deviation: float, at_most: float) -> float:
    return min(at_most, generator.gauss(mean, deviation))


def _draw_lognormal(generator: Random, median: float, p95: float, at_most: float) -> float:
    sigma = math.log(p95 / median) / _P95
    return min(at_most, generator.lognormvariate(math.log(median), sigma))


REALISTIC: Final = Latency("realistic", ())
"""As long as the real model of the call takes."""
_P95: Final = 1.6448536269514722  # standard deviations below which 95 % of a normal distribution lie
_PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = {
    "uniform": (),
    "normal": ("mean", "deviation", "at_most"),
    "lognormal": ("median", "p95", "at_most"),
}
DISTRIBUTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "fixed": _draw_fixed,
    "uniform": _draw_uniform,
    "normal": _draw_normal,
    "lognormal": _draw_lognormal,
}
