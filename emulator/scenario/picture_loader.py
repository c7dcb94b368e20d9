"""Reads what a scenario says of the pictures in an answer: a file of the tester's own, or what is otherwise about them.

What contradicts itself, and a file that cannot be had, is refused when it is given.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from emulator.core.base64_spelling import BASE64_SPELLINGS
from emulator.core.position import Position, parse_position
from emulator.core.yaml_file import YamlFile, describe_value
from emulator.image.recipe import FORMATS, LARGEST_SIDE, MODES, Alteration
from emulator.messages import PictureOverride
from emulator.scenario.reader import Pointer, Reader


def read(reader: Reader, pointer: Pointer, value: Any) -> PictureOverride:
    """What `picture` says, which stands at `pointer`; raises InvalidFile."""
    source = reader.source
    value = source.check_keys(pointer, value, ("file", *_PICTURE_WORDS))
    if not value:
        raise source.error_at(pointer, f"picture says nothing; expected some of file, {', '.join(_PICTURE_WORDS)}")
    read = {word: _word(source, pointer, word, value[word]) for word in _PICTURE_WORDS if word in value}
    own, kind = None, read.get("format")
    if "file" in value:
        for word in ("size", "format", "mode"):
            if word in value:
                raise source.error_at([*pointer, word], f"a file comes as it is; {word} cannot be had beside it")
        own, kind = _own(reader, [*pointer, "file"], value["file"])
    width, height = read.get("size", (None, None))
    digest = None if own is None else hashlib.blake2b(own, digest_size=8).hexdigest()
    kept, share = (place.amount, place.share) if (place := read.get("truncated")) else (None, False)
    parts = (width, height, kind, read.get("mode"), digest, kept, share)
    alteration = reader.told(pointer, lambda given: Alteration(*given), parts)
    said = {word: "null" if one is None else one for word, one in value.items()}
    return PictureOverride(None if alteration == Alteration() else alteration, own, read.get("base64"), said)


def _word(source: YamlFile, pointer: Pointer, word: str, value: Any) -> Any:
    """What `value` means behind `word`, one of _PICTURE_WORDS."""
    reading, expected = _PICTURE_WORDS[word]
    if (meant := reading(value)) is None:
        raise source.error_at([*pointer, word], f"{word} is {describe_value(value)}; expected {expected}")
    return meant


def _own(reader: Reader, pointer: Pointer, value: Any) -> tuple[bytes, str]:
    """The bytes of a picture of the tester's own and its format, read now so that it cannot be missing later."""
    fault = reader.source.error_at
    if not isinstance(value, str) or not value or "\0" in value:
        raise fault(pointer, f"file is {describe_value(value)}; expected the name of a picture beside the scenario")
    if reader.folder is None:
        raise fault(pointer, "file needs a folder to be in, that of the scenario; one that came over HTTP has none")
    said = f"file is {describe_value(value)}"
    try:
        folder = reader.folder.resolve()
        path = (folder / value).resolve()
        if not path.is_relative_to(folder):
            raise fault(pointer, f"{said}; expected a picture inside of the scenario's folder, {folder}")
        if not path.is_file():
            raise fault(pointer, f"{said}; there is no such file in {folder}")
        if path.stat().st_size > _LARGEST_FILE:
            raise fault(pointer, f"{said}, of {path.stat().st_size} bytes; expected {_LARGEST_FILE} at most")
        data = path.read_bytes()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a ring
        raise fault(pointer, f"{said}; {getattr(error, 'strerror', None) or 'it cannot be read'}") from None
    from emulator.image.inspect import inspect_image

    try:
        return data, inspect_image(data).format
    except ValueError as error:
        raise fault(pointer, f"{said}; {error}") from None


def _size(value: Any) -> tuple[int, int] | None:
    match = re.fullmatch(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})", value) if isinstance(value, str) else None
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    return (width, height) if 0 < width <= LARGEST_SIDE >= height else None


def _cut(value: Any) -> Position | None:
    """Where a file ends too early; all of it is no such place."""
    place = parse_position(value)
    if place is None or place.events or (place.share and place.amount >= 100):
        return None
    return place


_PICTURE_WORDS: Final[Mapping[str, tuple[Callable[[Any], Any], str]]] = {
    "size": (_size, f"WIDTHxHEIGHT, such as 512x512, at most {LARGEST_SIDE} a side"),
    "format": (lambda value: value if value in tuple(FORMATS) else None, f"one of {', '.join(FORMATS)}"),
    "mode": (lambda value: value if value in tuple(MODES) else None, f"one of {', '.join(MODES)}"),
    "truncated": (_cut, "bytes that are left, such as 100, or a share below all, such as 50%"),
    "base64": (
        lambda value: "null" if value is None else value if value in BASE64_SPELLINGS else None,
        f"one of {', '.join(BASE64_SPELLINGS)}",
    ),
}
"""What `picture` says beside `file`: how each word's value is read (None: it cannot be), and what is expected."""
_LARGEST_FILE: Final = 20 * 2**20  # bytes; the largest picture that the drawing rooms make is smaller by far
