"""How a gateway writes JSON: compact or indented, with or without Go's escapes, under which Content-Type.

Bytes matter here: a client that hashes or greps a reply meets what the real server writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from emulator.core import strict_json, yaml_file


@dataclass(frozen=True)
class Spelling:
    """`indent` is 0 for a compact text; with `escape` the letters < > & are written as Go writes them."""

    content_type: str = "application/json"
    indent: int = 0
    escape: bool = False

    @cached_property
    def _encoder(self) -> json.JSONEncoder:
        return json.JSONEncoder(ensure_ascii=False, indent=self.indent)

    @property
    def colon(self) -> bytes:
        """What stands between a name and its value."""
        return b": " if self.indent else b":"

    def spell(self, value: Any) -> bytes:
        """`value` as this gateway writes it."""
        text = self._encoder.encode(value) if self.indent else strict_json.format_json(value)
        if self.escape:
            for letter, escaped in _GOS.items():
                text = text.replace(letter, escaped)
        return text.encode("utf-8", "replace")


def read(source: yaml_file.Source, pointer: yaml_file.Pointer, said: Any) -> Spelling:
    """The spelling that a file describes; raises InvalidFile."""
    said = source.known_keys(pointer, said, ("content_type", "indent", "escape"))
    for key, kind in (("content_type", str), ("indent", int), ("escape", bool)):
        if key in said and said[key].__class__ is not kind:
            raise source.fault([*pointer, key], f"{key} is {yaml_file.describe(said[key])}; expected a {kind.__name__}")
    return Spelling(**said)


_GOS: Final[Mapping[str, str]] = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
