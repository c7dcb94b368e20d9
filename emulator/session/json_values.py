"""Turns frozen objects into values of JSON and back, so that a store on another machine can hold them.

The code calls these plain values: dicts with text keys, lists, texts, numbers, true, false and None.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Final

from emulator.image.link import HostBehavior
from emulator.image.recipe import Alteration
from emulator.image.upload import Examination, Upload
from emulator.messages import (
    BodyPlaces,
    Call,
    Canned,
    Draw,
    EventShape,
    Exhausted,
    PictureOverride,
    Refuse,
    ResponseShape,
    StreamShape,
)


def to_plain(value: Any) -> Any:
    """Return the value as plain values; what JSON has no word for is a mapping with the member TYPE.

    Raises TypeError for an object of a class that is not in _CLASSES.
    """
    kind = value.__class__
    if value is None or kind in (str, int, float, bool):
        return value
    if kind is bytes:
        return {TYPE: "bytes", "base64": base64.b64encode(value).decode()}
    if isinstance(value, HostBehavior):
        return {TYPE: "HostBehavior", "value": int(value)}
    name = str(kind.__name__)
    if is_dataclass(kind) and name in _CLASSES:
        return {TYPE: name, **{one.name: to_plain(getattr(value, one.name)) for one in fields(kind)}}
    if isinstance(value, Mapping):
        return {name: to_plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return {TYPE: "tuple", "items": [to_plain(part) for part in value]}
    if isinstance(value, list):
        return [to_plain(part) for part in value]
    if isinstance(value, str):  # a subclass of str is the same text
        return str(value)
    raise TypeError(f"{name} is not made to be stored")


def from_plain(value: Any) -> Any:
    """Return the object that `to_plain` made these plain values of."""
    if isinstance(value, list):
        return [from_plain(part) for part in value]
    if not isinstance(value, Mapping):
        return value
    members = {name: from_plain(part) for name, part in value.items() if name != TYPE}
    match value.get(TYPE):
        case None:
            return members
        case "bytes":
            return base64.b64decode(members["base64"])
        case "tuple":
            return tuple(members["items"])
        case "HostBehavior":
            return HostBehavior(members["value"])
        case name:
            return _CLASSES[name](**members)


TYPE: Final = "$type"
"""The member that names the class of a stored object; no gateway has a parameter of this name."""
_CLASSES: Final[Mapping[str, type]] = {
    one.__name__: one
    for one in (
        Alteration, BodyPlaces, Call, Canned, Draw, EventShape, Examination, Exhausted, PictureOverride, Refuse,
        ResponseShape, StreamShape, Upload,
    )
}  # fmt: skip


def weigh_value(value: Any) -> int:
    """Return about how many bytes of memory a plain value needs.

    >>> weigh_value({"prompt": "A cat"}) > 100
    True
    """
    if isinstance(value, str | bytes):
        return 60 + len(value)
    if isinstance(value, Mapping):
        return 200 + sum(weigh_value(name) + weigh_value(member) for name, member in value.items())
    if isinstance(value, list | tuple):
        return 60 + sum(8 + weigh_value(member) for member in value)
    return 30
