"""Sends a header twice with two values, like two proxies that do not know of each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.faults.head import Chunks, Head, Sleep
from emulator.faults.parameters import quote_value, read_parameters


@dataclass(frozen=True, slots=True)
class DuplicateHeader:
    """Adds a second header called `name`. Where the answer has no header of that name, it gets two."""

    name: str = "Content-Type"
    value: str | None = None

    @classmethod
    def parse(cls, value: Any) -> DuplicateHeader:
        """Read `duplicate_header`, or {duplicate_header: {name: ETag, value: '"second"'}}. Raises ValueError."""
        parameters = read_parameters("duplicate_header", value, ("name", "value"))
        name, second = parameters.get("name", cls().name), parameters.get("value")
        shown = quote_value(name)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"duplicate_header has name: {shown}; expected a header's name, such as Content-Type")
        if name.lower() in _FRAMING:
            raise ValueError(f"duplicate_header has name: {shown}; expected one that does not say where the body ends")
        if second is not None and (not isinstance(second, str) or not _VALUE.fullmatch(second)):
            raise ValueError(f"duplicate_header has value: {quote_value(second)}; expected a text of one line")
        return cls(name, second)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """Return the same chunks under one header more."""
        first = head.get(self.name)
        if first is None:
            first = "first"
            head = head.put(self.name, first)
        second = self.value or _SECOND_VALUES.get(self.name.lower(), "second")
        if second == first:
            second = f"{first}-2"
        return replace(head, headers=(*head.headers, (self.name, second))), chunks


_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,60}")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,500}[\x21-\x7e])?")
_SECOND_VALUES: Final[Mapping[str, str]] = {"content-type": "text/plain"}
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection"})  # truncate and hang_up break those
