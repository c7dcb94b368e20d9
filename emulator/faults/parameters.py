"""What stands in a scenario behind a fault's word: a mapping of its parameters, or nothing.

Whatever cannot be meant is refused here, in one line that says what was read and what was expected.
"""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emulator.faults import events
from emulator.faults.head import Chunks, CutOff, Head


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a body: `amount` bytes from its start, or per cent of it, or events of a stream.

    Any other body is one event.
    """

    amount: float
    share: bool = False
    events: bool = False

    async def passed(self, head: Head, chunks: Chunks, cut: bool = False) -> AsyncIterator[bytes]:
        """The chunks up to this place, and no byte beyond it. Nothing beyond is asked for.

        With `cut` it raises CutOff there, unless the body ends before.
        """
        length = head.length
        if self.events and not events.streamed(head):
            left: float = math.inf if self.amount else 0
        elif self.share and length is None:  # nobody promised a length, so the whole has to be seen first
            whole = b"".join([chunk async for chunk in chunks])
            left, chunks = self.within(len(whole)), _one(whole)
        else:
            left = self.within(length or 0)
            chunks = events.split(chunks) if self.events else chunks
        while left > 0 and (chunk := await anext(chunks, None)) is not None:
            size = 1 if self.events else len(chunk)
            yield chunk if size <= left else chunk[: int(left)]
            left -= size
        if cut and left <= 0:
            raise CutOff

    def within(self, length: int) -> int:
        """The bytes (or events) before this place in a body of `length` bytes."""
        return int(length * self.amount / 100) if self.share else int(self.amount)


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


START: Final = Position(0)
HALF: Final = Position(50, share=True)


def read(word: str, value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    """The parameters that `value` gives to the fault `word`, all of them `known`; none where it is a bare word."""
    takes = f"expected a mapping of {', '.join(known)}" if known else "it takes no parameters"
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{word} is {shown(value)}; {takes}")
    for key in value:
        if key not in known:
            raise ValueError(f"{word} has an unknown parameter {shown(key)}; {takes}")
    return value


def position(word: str, given: Mapping[str, Any], default: Position) -> Position:
    """The parameter `after`: bytes (100, "100"), a share ("50%") or events ("1 event")."""
    after = given.get("after", default)
    if isinstance(after, Position):
        return after
    if (found := place(after)) is None:
        raise ValueError(f"{word} has after: {shown(after)}; expected {_PLACES}")
    return found


def place(value: Any) -> Position | None:
    """The place that `value` names, in bytes, by share or in events; None where it names none."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
        return Position(value)
    if isinstance(value, str) and (match := _EVENTS.fullmatch(value)):
        return Position(int(match[1]), events=True)
    match = _POSITION.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) > (100 if match[2] else _LARGEST):
        return None
    return Position(float(match[1]), share=bool(match[2]))


def shown(value: Any) -> str:
    """`value` as it may stand in a message of one line."""
    return f"{value!r:.60}"


_POSITION: Final = re.compile(r"([0-9]{1,12}|[0-9]{1,3}\.[0-9]{1,3}(?=%))(%)?")
_EVENTS: Final = re.compile(r"([0-9]{1,3}) events?")
_PLACES: Final = "bytes, such as 100, a share, such as 50%, or events, such as 1 event"
_LARGEST: Final = 10**12  # bytes; no body is as long
