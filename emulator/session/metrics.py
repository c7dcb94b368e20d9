"""Counts calls, and shows the counts in Prometheus' text format, version 0.0.4.

A label's value is a word of ours (gateways, operations, kinds, codes, formats, statuses), never a client's: whatever
clients send, the number of series stays bounded. Counting is part of every call, so it must cost next to nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from emulator.session.call_record import CallRecord

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[str, ...]


class Metrics:
    """The counters of one server; they begin with it and only grow."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str | None, int | None], int] = {}
        self._gone: dict[tuple[str], int] = {}
        self._refusals: dict[tuple[str, str], int] = {}
        self._findings: dict[tuple[str], int] = {}
        self._pictures: dict[tuple[str, str], int] = {}
        self._seconds: dict[str, _Histogram] = {}

    def count_call(self, call: CallRecord) -> None:
        """Count a call that has ended."""
        gateway, error, status = call.gateway.name, call.error, call.status
        counted = (gateway, call.operation, status)
        self._calls[counted] = self._calls.get(counted, 0) + 1
        if call.state == "client_gone":
            self._gone[gateway,] = self._gone.get((gateway,), 0) + 1
        if error is not None:
            refusal = (gateway, error.kind)
            self._refusals[refusal] = self._refusals.get(refusal, 0) + 1
        for finding in call.findings:
            code = (finding.code,)
            self._findings[code] = self._findings.get(code, 0) + 1
        for picture in call.pictures:
            drawn = (gateway, picture.format)
            self._pictures[drawn] = self._pictures.get(drawn, 0) + 1
        histogram = self._seconds.get(gateway)
        if histogram is None:
            histogram = self._seconds[gateway] = _Histogram()
        histogram.add(call.duration)

    def format_text(self, gauges: Mapping[str, tuple[float, str]]) -> str:
        """Return everything that is counted, and the gauges: by name, the value now and what it measures."""
        lines: list[str] = []
        calls = {
            (gateway, operation or "none", str(status or "none")): count
            for (gateway, operation, status), count in self._calls.items()
        }
        for name, labels, help_text, counted in (
            ("calls", ("gateway", "operation", "status"), _CALLS, calls),
            ("clients_gone", ("gateway",), _GONE, self._gone),
            ("refusals", ("gateway", "kind"), _REFUSALS, self._refusals),
            ("findings", ("code",), _FINDINGS, self._findings),
            ("pictures", ("gateway", "format"), _PICTURES, self._pictures),
        ):
            full = f"emulator_{name}_total"
            lines += _format_head(full, "counter", help_text)
            lines += (f"{full}{_format_labels(labels, values)} {count}" for values, count in sorted(counted.items()))
        lines += _format_head("emulator_call_seconds", "histogram", _SECONDS)
        for gateway, histogram in sorted(self._seconds.items()):
            lines += histogram.format_lines("emulator_call_seconds", gateway)
        text = "\n".join(lines) + "\n"
        if gauges:
            text += format_gauges(gauges)
        return text


def add_up(texts: Sequence[str]) -> str:
    """Return the sum of counts as `format_text` returns them: each series is the sum of those of the same name."""
    families: dict[str, dict[str, float]] = {}
    for text in texts:
        series: dict[str, float] = {}
        heads: list[str] = []
        for line in text.splitlines():
            if line.startswith("# HELP"):
                heads = [line]
            elif line.startswith("# TYPE"):
                series = families.setdefault("\n".join((*heads, line)), {})
            else:
                name, _, value = line.rpartition(" ")
                series[name] = series.get(name, 0.0) + float(value)
    lines: list[str] = []
    for head, series in families.items():
        lines += [head, *(f"{name} {_format_number(value)}" for name, value in series.items())]
    return "\n".join(lines) + "\n"


def format_gauges(gauges: Mapping[str, tuple[float, str]]) -> str:
    """Return gauges: by name, the value now and what it measures."""
    lines: list[str] = []
    for name, (value, help_text) in gauges.items():
        lines += [*_format_head(name, "gauge", help_text), f"{name} {_format_number(value)}"]
    return "\n".join(lines) + "\n"


class _Histogram:
    """Counts how many values are in each of BUCKETS, and adds them up."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count `value`; a real clock that was set back makes it 0."""
        value = max(value, 0.0)
        self._counts[bisect_left(BUCKETS, value)] += 1
        self._sum += value

    def format_lines(self, name: str, gateway: str) -> Iterator[str]:
        """Return the lines of the histogram `name`: each bucket counts also what fits into the smaller ones."""
        counts = list(accumulate(self._counts))
        for bound, count in zip((*map(_format_number, BUCKETS), "+Inf"), counts, strict=True):
            yield f"{name}_bucket{_format_labels(('gateway', 'le'), (gateway, bound))} {count}"
        yield f"{name}_sum{_format_labels(('gateway',), (gateway,))} {_format_number(self._sum)}"
        yield f"{name}_count{_format_labels(('gateway',), (gateway,))} {counts[-1]}"


def _format_head(name: str, kind: str, help_text: str) -> tuple[str, str]:
    return f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"


def _format_labels(names: Labels, values: Iterable[object]) -> str:
    pairs = ",".join(f'{name}="{_escape(str(value))}"' for name, value in zip(names, values, strict=True))
    return f"{{{pairs}}}"


def _escape(text: str) -> str:
    """Return a label's value as the format wants it; ours need no escaping, a user's own gateway might one day."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _format_number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))


_CALLS: Final = "Calls that ended; operation is none where the path means none, status where nothing was sent."
_GONE: Final = "Calls whose client left before it had the whole answer."
_REFUSALS: Final = "Calls refused, by the kind of the refusal."
_FINDINGS: Final = "Findings, by their code; one call may have several."
_PICTURES: Final = "Pictures in answers, by their format."
_SECONDS: Final = "How long calls took on the emulator's clock, waits that it skipped included."
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
"""Upper bounds in seconds: below 0.1 s is the emulator's own work, above it the latency of a script."""
