"""Turns the state of a session into the words of the function `write_session`, and those of `read_session` into one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from emulator.session.json_values import weigh_value
from emulator.session.redis_library import Word
from emulator.session.redis_recovery import encode_value
from emulator.session.store import SessionState, StoreLimits


def make_session_words(session: str, state: SessionState, now: float, limits: StoreLimits) -> list[Word]:
    """Return the arguments of the function `write_session`: a head, and then four words for each thing that is kept."""
    words: list[Word] = [
        session, repr(now), limits.sessions, limits.age, limits.calls, limits.bytes,
        state.calls, state.dropped, repr(state.began), repr(state.used), int(state.reached),
    ]  # fmt: skip
    for what, count in state.counts.items():
        words += ["count", what, count, 0]
    for name, value in state.values.items():
        words += ["value", name, encode_value(value), weigh_value(value)]
    for task, (value, weight) in state.tasks.items():
        words += ["task", task, encode_value(value), weight]
    for number, value, weight in state.journal:
        words += ["call", number, encode_value(value), weight]
    return words


def parse_session_words(found: Sequence[Any]) -> SessionState:
    """Return the state that the function `read_session` has found."""
    (calls, dropped, began, used, reached), numbers, entries, weights, counts, values, order, tasks = found
    weighed = {name.decode(): int(weight) for name, weight in _pair(weights).items()}
    task_values = _pair(tasks)
    journal = []
    for number, entry in zip(numbers, entries, strict=True):
        journal.append((int(number), json.loads(entry), weighed.get(f"c{number.decode()}", len(entry))))
    return SessionState(
        calls=calls,
        dropped=dropped,
        began=float(began),
        used=float(used),
        reached=bool(reached),
        journal=journal,
        counts={what.decode(): int(count) for what, count in _pair(counts).items()},
        values={name.decode(): json.loads(value) for name, value in _pair(values).items()},
        tasks={
            task.decode(): (json.loads(task_values[task]), weighed.get(f"t{task.decode()}", len(task_values[task])))
            for task in order
        },
    )


def _pair(words: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(words[::2], words[1::2], strict=True))
