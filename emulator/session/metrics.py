"""Counts what is answered, and tells it in Prometheus' text format, version 0.0.4.

A label's value comes from our own words (gateways, operations, kinds, codes, formats, statuses), never from a client's:
whatever clients send, the number of series stays bounded. Counting is part of every call, so it must cost next to
nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Final

from emulator.session.journal import Entry

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


class Metrics:
    """The counters of one server; they begin with it and only grow."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str, int], int] = {}
        self._refusals: dict[tuple[str, str], int] = {}
        self._findings: dict[tuple[str], int] = {}
        self._pictures: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, _Histogram] = {}

    def count(self, entry: Entry) -> None:
        """Count a call that has been answered."""
        gateway, response, error = entry.gateway.name, entry.response, entry.error
        call = (gateway, entry.operation or "none", response.status if response is not None else 0)
        self._calls[call] = self._calls.get(call, 0) + 1
        if error is not None:
            refusal = (gateway, error.kind)
            self._refusals[refusal] = self._refusals.get(refusal, 0) + 1
        for finding in entry.findings:
            code = (finding.code,)
            self._findings[code] = self._findings.get(code, 0) + 1
        if response is not None:
            for picture in response.pictures:
                drawn = (gateway, picture.format)
                self._pictures[drawn] = self._pictures.get(drawn, 0) + 1
        histogram = self._seconds.get(gateway)
        if histogram is None:
            histogram = self._seconds[gateway] = _Histogram()
        histogram.add(entry.duration or 0.0)

    def text(self, gauges: Mapping[str, tuple[float, str]]) -> str:
        """Everything that is counted, and `gauges`: what they measure now, and what that is, by name."""
        lines: list[str] = []
        for name, labels, help_text, counted in (
            ("calls", ("gateway", "operation", "status"), _CALLS, self._calls),
            ("refusals", ("gateway", "kind"), _REFUSALS, self._refusals),
            ("findings", ("code",), _FINDINGS, self._findings),
            ("pictures", ("gateway", "format"), _PICTURES, self._pictures),
        ):
            full = f"emulator_{name}_total"
            lines += _head(full, "counter", help_text)
            lines += (f"{full}{_labels(labels, values)} {count}" for values, count in sorted(counted.items()))
        lines += _head("emulator_call_seconds", "histogram", _SECONDS)
        for gateway, histogram in sorted(self._seconds.items()):
            lines += histogram.lines("emulator_call_seconds", gateway)
        for name, (value, help_text) in gauges.items():
            lines += [*_head(name, "gauge", help_text), f"{name} {_number(value)}"]
        return "\n".join(lines) + "\n"


class _Histogram:
    """How many values fell into each of BUCKETS, and their sum."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count `value`; a real clock that was set back makes it 0."""
        value = max(value, 0.0)
        self._counts[bisect_left(BUCKETS, value)] += 1
        self._sum += value

    def lines(self, name: str, gateway: str) -> Iterator[str]:
        """The histogram `name` as Prometheus reads it: each bucket counts also what fits into the smaller ones."""
        counts = list(accumulate(self._counts))
        for bound, count in zip((*map(_number, BUCKETS), "+Inf"), counts, strict=True):
            yield f"{name}_bucket{_labels(('gateway', 'le'), (gateway, bound))} {count}"
        yield f"{name}_sum{_labels(('gateway',), (gateway,))} {_number(self._sum)}"
        yield f"{name}_count{_labels(('gateway',), (gateway,))} {counts[-1]}"


def _head(name: str, kind: str, help_text: str) -> tuple[str, str]:
    return f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"


def _labels(names: Labels, values: Iterable[object]) -> str:
    pairs = ",".join(f'{name}="{_escaped(str(value))}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}"


def _escaped(text: str) -> str:
    """A label's value as the format wants it; ours need no escaping, a user's own gateway might one day."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


_CALLS: Final = "Calls answered; operation is none where the path means none."
_REFUSALS: Final = "Calls refused, by the kind of the refusal."
_FINDINGS: Final = "Findings, by their code; one call may have several."
_PICTURES: Final = "Pictures in answers, by their format."
_SECONDS: Final = "How long calls took on the emulator's clock, waits that it skipped included."
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Upper bounds in seconds: below 0.1 s is the emulator's own work, above it the latency of a script."""
