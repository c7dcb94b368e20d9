"""How a gateway marks its answers: the header and the pattern of its request ids, and what else it puts beside them.

An id depends on what it is made for and on the time alone, so that a run repeats.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final

from emulator.core import clock, yaml_file
from emulator.core.yaml_file import Pointer


@dataclass(frozen=True)
class ResponseHeaders:
    """How a gateway marks its answers: the header that carries the request id, the id's pattern, and other headers.

    `account` are headers of answers to a good key alone, `duration` is the one that says how many milliseconds an
    answer took. The pattern may name {date} (yyyymmddHHMMSS, UTC), {nanos} (9 digits), {letters} (8 letters or digits),
    {hex} (32), {uuid}.
    """

    header: str = "X-Request-Id"
    pattern: str = "req_{hex}"
    others: tuple[tuple[str, str], ...] = ()
    account: tuple[tuple[str, str], ...] = ()
    duration: str | None = None

    def make(self, drawn_for: str, now: float) -> str:
        """The id of the request that `drawn_for` names, so that a run repeats; `now` is Unix seconds."""
        digest = hashlib.blake2b(drawn_for.encode(), digest_size=16).hexdigest()
        if self.pattern == "req_{hex}":
            return f"req_{digest}"
        number = int(digest, 16)
        letters = "".join(_LETTERS[number // 62**place % 62] for place in range(8))
        parts = {"date": clock.format_digits(now), "nanos": f"{number % 10**9:09}", "letters": letters, "hex": digest}
        if "{uuid}" in self.pattern:
            import uuid  # few patterns name one

            parts["uuid"] = str(uuid.UUID(hex=digest, version=4))
        return self.pattern.format_map(parts)

    def headers(self, request_id: str, seconds: float = 0, known: bool = True) -> dict[str, str]:
        """The headers that mark an answer that took `seconds`; `known` says that the caller's key was good."""
        marks = {self.header: request_id, **dict(self.others)}
        if known and self.account:
            marks.update(self.account)
        if self.duration is not None:
            marks[self.duration] = str(round(seconds * 1000))
        return marks


def read(
    source: yaml_file.Source, said: Any, pointer: Pointer = ("x-emulator-gateway", "request_id")
) -> ResponseHeaders:
    """How the gateway's file says, at `pointer`, that answers are marked; raises InvalidFile."""
    said = source.known_keys(pointer, said, ("header", "pattern", "headers", "account", "duration"))
    pattern = said.get("pattern", OPENAIS.pattern)
    if unknown := {name for _, name, _, _ in Formatter().parse(pattern) if name} - _PARTS:
        raise source.fault(pointer, f"the pattern names {', '.join(unknown)}; known are {', '.join(sorted(_PARTS))}")
    others, account = (tuple(said.get(key, {}).items()) for key in ("headers", "account"))
    return ResponseHeaders(said.get("header", OPENAIS.header), pattern, others, account, said.get("duration"))


OPENAIS: Final = ResponseHeaders()
_PARTS: Final = frozenset({"date", "nanos", "letters", "hex", "uuid"})
_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
