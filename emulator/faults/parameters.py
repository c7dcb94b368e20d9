"""What stands in a scenario behind a fault's word: a mapping of its parameters, or nothing.

Whatever cannot be meant is refused here, in one line that says what was read and what was expected.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from emulator.faults.head import Chunks, Head


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a body: `amount` bytes from its start, or `amount` per cent of it."""

    amount: float
    share: bool = False

    async def passed(self, head: Head, chunks: Chunks) -> AsyncIterator[bytes]:
        """The chunks up to this place, and no byte beyond it. Nothing beyond is asked for."""
        length = head.length
        if self.share and length is None:  # nobody promised a length, so the whole has to be seen first
            whole = b"".join([chunk async for chunk in chunks])
            yield whole[: self.within(len(whole))]
            return
        left = self.within(length or 0)
        while left > 0 and (chunk := await anext(chunks, None)) is not None:
            yield chunk[:left]
            left -= len(chunk)

    def within(self, length: int) -> int:
        """The bytes before this place in a body of `length`."""
        return int(length * self.amount / 100) if self.share else int(self.amount)


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
    """The parameter `after`: bytes (100, "100") or a share ("50%")."""
    after = given.get("after", default)
    if isinstance(after, Position):
        return after
    if isinstance(after, int) and not isinstance(after, bool) and 0 <= after <= _LARGEST:
        return Position(after)
    match = _POSITION.fullmatch(after) if isinstance(after, str) else None
    if match is None or float(match[1]) > (100 if match[2] else _LARGEST):
        raise ValueError(f"{word} has after: {shown(after)}; expected bytes, such as 100, or a share, such as 50%")
    return Position(float(match[1]), share=bool(match[2]))


def shown(value: Any) -> str:
    """`value` as it may stand in a message of one line."""
    return f"{value!r:.60}"


_POSITION: Final = re.compile(r"([0-9]{1,12}|[0-9]{1,3}\.[0-9]{1,3}(?=%))(%)?")
_LARGEST: Final = 10**12  # bytes; no body is as long
