"""Splits a stream of server-sent events into its events, for the faults that act on one of them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from emulator.faults.head import Chunks, Head


def is_stream(head: Head) -> bool:
    """Return whether the body is a stream of events."""
    return (head.get("Content-Type") or "").lower().startswith("text/event-stream")


async def split_events(chunks: Chunks) -> AsyncIterator[bytes]:
    """Yield each block of a stream with the blank line at its end, and at last what has no blank line."""
    rest = b""
    async for chunk in chunks:
        rest += chunk
        start = 0
        for blank_line in _BLANK_LINE.finditer(rest):
            yield rest[start : blank_line.end()]
            start = blank_line.end()
        rest = rest[start:]
    if rest:
        yield rest


async def mark_last_event(chunks: Chunks) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield each block of a stream, and whether it is the last event; comments and [DONE] are not events.

    A block is passed on as soon as it cannot be the last event. An event whose name has the word "partial" is never
    the last one.
    """
    held: list[bytes] = []  # an event that may be the last one, and the blocks behind it
    async for block in split_events(chunks):
        if not is_event(block):
            if held:
                held.append(block)
            else:
                yield block, False
            continue
        for earlier in held:
            yield earlier, False
        held = [block]
        if _PARTIAL.search(block, 0, _NAME_WITHIN):
            yield block, False
            held = []
    for index, block in enumerate(held):
        yield block, index == 0


def is_event(block: bytes) -> bool:
    """Return whether a block of a stream has data; [DONE] does not count as data."""
    return _DATA.search(block) is not None


_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_DATA: Final = re.compile(rb"^data:(?! ?\[DONE\])", re.MULTILINE)
_PARTIAL: Final = re.compile(rb"^event:[^\r\n]*partial", re.MULTILINE)
_NAME_WITHIN: Final = 200  # bytes; the name stands before the data, and those may be megabytes
