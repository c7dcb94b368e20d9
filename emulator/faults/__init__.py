"""What can go wrong with the bytes of an answer: one file per fault, each named as scenarios write it.

A fault takes head and chunks and gives back head and chunks; it knows neither the network nor what the bytes mean.
Those of an answer are chained in the order in which they are written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from emulator.faults import parameters
from emulator.faults.duplicate_event import DuplicateEvent
from emulator.faults.duplicate_header import DuplicateHeader
from emulator.faults.empty_body import EmptyBody
from emulator.faults.garbage import Garbage
from emulator.faults.hang_up import HangUpFault
from emulator.faults.head import Chunks, CutOff, Fault, HangUp, Head, Sleep
from emulator.faults.malformed_json import MalformedJson
from emulator.faults.missing_final_event import MissingFinalEvent
from emulator.faults.slow_body import SlowBody
from emulator.faults.stall import Stall
from emulator.faults.truncate import Truncate
from emulator.faults.wrong_type import WrongType

__all__ = ["FAULTS", "Chunks", "CutOff", "Fault", "HangUp", "Head", "Sleep", "chain", "read"]


def read(value: Any) -> Fault:
    """One entry of a scenario's `faults`: a word, or a mapping of one word to its parameters. Raises ValueError."""
    if isinstance(value, Mapping) and len(value) == 1:
        word, given = next(iter(value.items()))
    elif isinstance(value, str):
        word, given = value, None
    else:
        raise ValueError(f"a fault is {parameters.shown(value)}; expected one word of {', '.join(FAULTS)}")
    if not isinstance(word, str) or word not in FAULTS:
        raise ValueError(f"unknown fault {parameters.shown(word)}; known are {', '.join(FAULTS)}")
    return FAULTS[word].read(given)


def chain(faults: Sequence[Fault]) -> Fault:
    """One fault that is all of `faults`, the first of them nearest to the answer."""

    def chained(head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        for fault in faults:
            head, chunks = fault(head, chunks, sleep)
        return head, chunks

    return chained


class Kind(Protocol):
    """A fault's class: it reads what stands behind its word."""

    def read(self, value: Any) -> Fault:
        """The fault with the parameters that `value` gives, None for a bare word. Raises ValueError."""
        ...


FAULTS: Final[Mapping[str, Kind]] = {
    "hang_up": HangUpFault,
    "truncate": Truncate,
    "slow_body": SlowBody,
    "stall": Stall,
    "malformed_json": MalformedJson,
    "garbage": Garbage,
    "wrong_type": WrongType,
    "empty_body": EmptyBody,
    "duplicate_header": DuplicateHeader,
    "duplicate_event": DuplicateEvent,
    "missing_final_event": MissingFinalEvent,
}
"""Each fault by its word in a scenario."""
