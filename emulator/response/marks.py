"""Marks: texts that stand in the JSON of a reply where something is put in later, such as the Base64 of a picture.

Each begins with letters that are drawn when the process starts. So nothing that a client sends, and nothing that stands
in a gateway's file, can be taken for a mark; and what has been put in is never searched.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Final

from emulator.image.store import Picture


def mark_value(name: str) -> str:
    """Return the text that stands for the value `name`; it takes the place of the whole value, quotes included."""
    return f"{_VALUE}{name}{_END}"


def cut_at_values(text: str) -> list[str]:
    """Return the JSON before the first mark of a value, the name of that value, the JSON behind it, and so on."""
    first, *others = text.split(f'"{_VALUE}')
    texts = [first]
    for other in others:
        name, _, behind = other.partition(f'{_END}"')
        texts += [json.loads(f'"{name}"'), behind]
    return texts


def mark_base64(index: int) -> str:
    """Return the text that stands for the Base64 of the picture `index`."""
    return f"{_BASE64}{index}"


def insert_base64(body: bytes, pictures: Mapping[int, Picture]) -> tuple[bytes, ...]:
    """Return the JSON `body` with the pictures where their marks are; Base64 needs no escaping, and may be large."""
    if not pictures:
        return (body,)
    first, *others = body.split(_BASE64_PLACE)
    pieces = [first]
    for other in others:
        index, quote, behind = other.partition(b'"')
        pieces += [pictures[int(index)].base64, quote + behind]
    return tuple(pieces)


_DRAWN: Final = os.urandom(8).hex()
_VALUE: Final = f"@@{_DRAWN} "
_END: Final = f" {_DRAWN}@@"
_BASE64: Final = f"##{_DRAWN} "
_BASE64_PLACE: Final = _BASE64.encode()
