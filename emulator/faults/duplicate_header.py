"""Sends a header twice with two values, as two proxies do that do not know of each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from emulator.faults import parameters
from emulator.faults.head import Chunks, Head, Sleep


@dataclass(frozen=True, slots=True)
class DuplicateHeader:
    """Adds a second header called `name`; where the answer has none of that name, it gets both."""

    name: str = "Content-Type"
    value: str | None = None

    @classmethod
    def read(cls, value: Any) -> DuplicateHeader:
        """`duplicate_header`, or {duplicate_header: {name: ETag, value: '"second"'}}. Raises ValueError."""
        given = parameters.read("duplicate_header", value, ("name", "value"))
        name, second = given.get("name", cls().name), given.get("value")
        shown = parameters.shown(name)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"duplicate_header has name: {shown}; expected a header's name, such as Content-Type")
        if name.lower() in _FRAMING:
            raise ValueError(f"duplicate_header has name: {shown}; expected one that does not say where the body ends")
        if second is not None and (not isinstance(second, str) or not _VALUE.fullmatch(second)):
            shown = parameters.shown(second)
            raise ValueError(f"duplicate_header has value: {shown}; expected a text of one line")
        return cls(name, second)

    def __call__(self, head: Head, chunks: Chunks, sleep: Sleep) -> tuple[Head, Chunks]:
        """The same chunks under one header more."""
        first = head.get(self.name)
        if first is None:
            first = "first"
            head = head.put(self.name, first)
        second = self.value or _OTHERS.get(self.name.lower(), "second")
        if second == first:
            second = f"{first}-2"
        return replace(head, headers=(*head.headers, (self.name, second))), chunks


_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,60}")
_VALUE: Final = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,500}[\x21-\x7e])?")
_OTHERS: Final[Mapping[str, str]] = {"content-type": "text/plain"}
_FRAMING: Final = frozenset({"content-length", "transfer-encoding", "connection"})  # truncate and hang_up break those
