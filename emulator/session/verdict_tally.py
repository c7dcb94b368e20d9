"""Counts who has answered the calls of a run, and what that cost."""

from __future__ import annotations

from collections import Counter


class VerdictTally:
    """The calls of a run by their verdicts, and the dollars that real gateways took."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.cost = 0.0

    def add(self, verdict: str, cost: float | None = None, calls: int = 1) -> None:
        """Count `calls` calls with this verdict, which cost so many dollars together."""
        self.verdicts[verdict] += calls
        self.cost += cost or 0.0

    @property
    def live(self) -> int:
        """How many calls a real gateway has answered."""
        return self.verdicts["recorded"] + self.verdicts["forwarded"]

    def __str__(self) -> str:
        """Return one line, such as `12 replayed, 1 recorded, 1 live ($0.0630)`."""
        words = [f"{self.verdicts['replayed']} replayed"]
        words += [f"{self.verdicts[word]} {word}" for word in _WHERE_ANY if self.verdicts[word]]
        line = f"{', '.join(words)}, {self.live} live"
        if self.cost:
            line += f" (${self.cost:.4f})"
        return line


_WHERE_ANY = ("recorded", "forwarded", "missed", "drawn")
