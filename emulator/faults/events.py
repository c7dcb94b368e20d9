"""A stream of server-sent events, event by event: what those faults have in common that look into one.

An event passes as soon as it is whole, unless it might be the last; one that calls itself partial is not.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final

from emulator.faults.head import Chunks, Head


def streamed(head: Head) -> bool:
    """Whether the body is a stream of events."""
    return (head.get("Content-Type") or "").lower().startswith("text/event-stream")


async def split(chunks: Chunks) -> AsyncIterator[bytes]:
    """The blocks of a stream, each with the blank line at its end; what is left without one comes last."""
    left = b""
    async for chunk in chunks:
        left += chunk
        begin = 0
        for found in _BLANK_LINE.finditer(left):
            yield left[begin : found.end()]
            begin = found.end()
        left = left[begin:]
    if left:
        yield left


async def ranked(chunks: Chunks) -> AsyncIterator[tuple[bytes, bool]]:
    """Each block, and whether it is the last event of the stream; comments and [DONE] are no events."""
    held: list[bytes] = []  # what might be the last event, and what came behind it
    async for block in split(chunks):
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
    """Whether a block of a stream tells something."""
    return _TELLING.search(block) is not None


_BLANK_LINE: Final = re.compile(rb"\r?\n\r?\n")
_TELLING: Final = re.compile(rb"^data:(?! ?\[DONE\])", re.MULTILINE)
_PARTIAL: Final = re.compile(rb"^event:[^\r\n]*partial", re.MULTILINE)
_NAME_WITHIN: Final = 200  # bytes; the name stands before the data, and those may be megabytes
