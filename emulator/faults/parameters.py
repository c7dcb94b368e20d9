"""Reads the parameters that a scenario gives to a fault: a mapping, or nothing.

A wrong parameter is a ValueError of one line that names what was read and what was expected.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from typing import Any

from emulator.core.position import POSITION_FORMS, Position, parse_position
from emulator.faults import stream_events
from emulator.faults.head import Chunks, CutOff, Head


def read_parameters(fault: str, value: Any, known: tuple[str, ...]) -> Mapping[str, Any]:
    """Return the parameters that `value` gives to `fault`; each is one of `known`. None (a bare word) gives none."""
    if value is None:
        return {}
    expected = "it takes no parameters"
    if known:
        expected = f"expected a mapping of {', '.join(known)}"
    if not isinstance(value, Mapping):
        raise ValueError(f"{fault} is {quote_value(value)}; {expected}")
    for key in value:
        if key not in known:
            raise ValueError(f"{fault} has an unknown parameter {quote_value(key)}; {expected}")
    return value


def read_after(fault: str, parameters: Mapping[str, Any], default: Position) -> Position:
    """Return the parameter `after`: bytes (100, "100"), a share ("50%") or events ("1 event")."""
    if "after" not in parameters:
        return default
    position = parse_position(parameters["after"])
    if position is None:
        raise ValueError(f"{fault} has after: {quote_value(parameters['after'])}; expected {POSITION_FORMS}")
    return position


def quote_value(value: Any) -> str:
    """Return `value` as a message of one line shows it."""
    return f"{value!r:.60}"


async def send_until(position: Position, head: Head, chunks: Chunks, cut_off: bool = False) -> AsyncIterator[bytes]:
    """Pass on the chunks up to `position` and ask for none behind it.

    With `cut_off`, raise CutOff at the position, unless the body ends before it.
    """
    if position.events and not stream_events.is_stream(head):
        left: float = math.inf if position.amount else 0  # the whole body is one event
    elif position.share and head.length is None:  # nobody promised a length, so the whole body has to be read first
        body = b"".join([chunk async for chunk in chunks])
        left, chunks = position.count_before(len(body)), _send_one(body)
    else:
        left = position.count_before(head.length or 0)
        if position.events:
            chunks = stream_events.split_events(chunks)
    while left > 0:
        chunk = await anext(chunks, None)
        if chunk is None:
            break
        size = 1 if position.events else len(chunk)
        yield chunk if size <= left else chunk[: int(left)]
        left -= size
    if cut_off and left <= 0:
        raise CutOff


async def _send_one(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk
