"""The faults: what can go wrong with the bytes of an answer. Each fault has one file, named as scenarios write it.

A fault takes the head and the chunks of an answer and returns a head and chunks. It knows neither the network nor what
the bytes mean. The faults of one answer are chained in the order in which the scenario lists them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from emulator.core.suggestions import describe_unknown
from emulator.faults.duplicate_event import DuplicateEvent
from emulator.faults.duplicate_header import DuplicateHeader
from emulator.faults.empty_body import EmptyBody
from emulator.faults.garbage import Garbage
from emulator.faults.hang_up import HangUpFault
from emulator.faults.head import Chunks, CutOff, Fault, HangUp, Head, Sleep
from emulator.faults.malformed_json import MalformedJson
from emulator.faults.missing_final_event import MissingFinalEvent
from emulator.faults.parameters import quote_value
from emulator.faults.slow_body import SlowBody
from emulator.faults.stall import Stall
from emulator.faults.truncate import Truncate
from emulator.faults.wrong_type import WrongType

__all__ = [
    "FAULTS",
    "Chunks",
    "CutOff",
    "Fault",
    "HangUp",
    "Head",
    "Sleep",
    "chain_faults",
    "name_fault",
    "parse_fault",
]


def parse_fault(value: Any) -> Fault:
    """Return the fault that one entry of a scenario's `faults` asks for. Raises ValueError.

    The entry is a fault's word, or a mapping of one word to the fault's parameters.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        word, parameters = next(iter(value.items()))
    elif isinstance(value, str):
        word, parameters = value, None
    else:
        raise ValueError(f"a fault is {quote_value(value)}; expected one word of {', '.join(FAULTS)}")
    if not isinstance(word, str):
        raise ValueError(f"unknown fault {quote_value(word)}; known are {', '.join(FAULTS)}")
    if word not in FAULTS:
        raise ValueError(describe_unknown("fault", word, FAULTS))
    return FAULTS[word].parse(parameters)


def name_fault(fault: Fault) -> str:
    """Return the word by which a scenario asks for `fault`."""
    kind: object = type(fault)
    return next(word for word, known in FAULTS.items() if known is kind)


def chain_faults(faults: Sequence[Fault]) -> Fault:
    """Return one fault that applies all of `faults`; the first of them is applied first."""

    def apply_all(head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        for fault in faults:
            head, chunks = fault(head, chunks, sleep)
        return head, chunks

    return apply_all


class FaultType(Protocol):
    """The class of a fault, which reads the fault's parameters."""

    def parse(self, value: Any) -> Fault:
        """Return the fault with the parameters in `value`; None stands for a bare word. Raises ValueError."""
        ...


FAULTS: Final[Mapping[str, FaultType]] = {
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
