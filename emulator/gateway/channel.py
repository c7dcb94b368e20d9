"""What a gateway makes of an upstream's reply on its way to the client, by the kind of channel that leads there.

A channel that speaks the client's own language passes the bytes on; the others' replies are made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from emulator.core import yaml_file
from emulator.gateway import json_format as spellings
from emulator.gateway.json_format import Spelling
from emulator.messages import CHANNELS, ResponseShape


@dataclass(frozen=True)
class Channel:
    """`shape` is what its replies look like, whatever the model's own do; None: they are passed on as they are."""

    shape: ResponseShape | None
    spelling: Spelling

    def through(self, shape: ResponseShape) -> ResponseShape:
        """What becomes of a reply of `shape`; whether prompts are revised, or it streams, is not its business."""
        if self.shape is None:
            return shape
        return replace(self.shape, revised_prompt=shape.revised_prompt, stream=shape.stream)


def read(source: yaml_file.Source, said: Any) -> Mapping[str, Channel]:
    """The kinds of channel that a gateway's file describes, the usual one as "" too; none where it has none."""
    said = source.known_keys([_KEY], said, ("usual", *CHANNELS))
    found: dict[str, Channel] = {name: _channel(source, [_KEY, name], said[name]) for name in CHANNELS if name in said}
    if said and said.get("usual") not in found:
        names = ", ".join(found) or "none"
        raise source.fault([_KEY, "usual"], f"usual is {yaml_file.describe(said.get('usual'))}; described are {names}")
    return {**found, "": found[said["usual"]]} if said else {}


def _channel(source: yaml_file.Source, pointer: yaml_file.Pointer, said: Any) -> Channel:
    said = source.known_keys(pointer, said, (*_SHAPE, "spelling"))
    spelling = spellings.read(source, [*pointer, "spelling"], said.get("spelling", {}))
    shape: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in said.items() if name in _SHAPE
    }
    for name, known in _SHAPE.items():
        values = shape[name] if isinstance(shape.get(name), tuple) else [shape[name]] if name in shape else []
        if strange := [one for one in values if one not in known]:
            expected = ", ".join(map(str, known))
            raise source.fault([*pointer, name], f"{name} has {yaml_file.describe(strange[0])}; known are {expected}")
    return Channel(ResponseShape(**shape) if shape else None, spelling)


_KEY: Final = "x-emulator-channels"
_SHAPE: Final[Mapping[str, tuple[Any, ...]]] = {
    "fields": ("created", "data"),
    "data_fields": ("url", "b64_json", "revised_prompt"),
    "delivery": ("url", "b64_json"),
    "blank": (True, False),
}
