"""What a recording is, beside a scenario: files that its entries name by SHA-256, and entries that match exactly.

A recording is a scenario whose file has `recorded`. Its rules take calls that sent the same and no more, wherever a
mapping `{stored: pictures/….png}` stands there is a file of the folder, and a call that no rule takes is a miss.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from emulator.core import strict_json
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import shorten_text
from emulator.core.yaml_file import describe_value
from emulator.messages import BodyPart, StoredEvent, StoredPicture
from emulator.scenario import matching
from emulator.scenario.matching import ABSENT, Condition, Difference, Matcher, RequestPattern

VERSION: Final = 1
"""Of the layout of a recording; a file of another version is refused."""
FILE: Final = "recording.yaml"
STORED: Final = "stored"
PREFIX: Final = "prefix"
END: Final = "..."
"""The last line of a recording, which one that was cut does not have."""


@dataclass(frozen=True)
class ExactPattern(RequestPattern):
    """What a call must have sent, and no more: its parameters are `names`, beside those that are `ignored`."""

    names: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()

    def matches(self, fields: Mapping[str, Any]) -> bool:
        """Return whether a call with `fields` does not differ."""
        return super().matches(fields) and not any(self._find_others(fields)) and not self._lacks_uploads(fields)

    def differences(self, fields: Mapping[str, Any]) -> list[Difference]:
        """Return how a call with `fields` differs; no difference is a match."""
        found = super().differences(fields)
        given = fields.get("given", {})
        for name in self._find_others(fields):
            came = shorten_text(json.dumps(given[name], ensure_ascii=False, default=str), _LONGEST_SHOWN)
            found.append(Difference(f"given.{name}", repr(ABSENT), came))
        if self._lacks_uploads(fields):
            found.append(Difference("uploads", repr(ABSENT), f"{fields['uploads']['count']} files"))
        return found

    def _find_others(self, fields: Mapping[str, Any]) -> Iterator[str]:
        given = fields.get("given")
        if isinstance(given, Mapping):
            for name in given:
                if name not in self.names and name not in self.ignored:
                    yield name

    def _lacks_uploads(self, fields: Mapping[str, Any]) -> bool:
        """Return whether a call has files, and the entry has none."""
        return "uploads" in fields and not self._names_uploads

    @cached_property
    def _names_uploads(self) -> bool:
        return any(path.startswith("uploads.") for path, _ in self.conditions)


@dataclass(frozen=True)
class SameValue:
    """Takes one JSON value, whole, whatever the spelling of its numbers."""

    value: Any

    def __hash__(self) -> int:
        return hash(repr(self.value))

    def misses(self, value: Any) -> str | None:
        """Return the expected value, unless it came."""
        if _is_same(value, self.value):
            return None
        return shorten_text(json.dumps(self.value, ensure_ascii=False, default=str), _LONGEST_SHOWN)


class StoredFiles:
    """The files of one recording, in `folder`; None: the recording has come without one. Every problem is a ValueError.

    Each file is read, and compared with its name, when the recording is loaded.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._checked: dict[str, Path] = {}

    def check(self, name: Any) -> Path:
        """Return the path of the file `name`; raises ValueError where it is not there, outside, or has other bytes."""
        found = None
        if isinstance(name, str):
            found = re.fullmatch(_NAME, name)
        if found is None:
            expected = "pictures/ or bodies/, the 64 digits of a SHA-256, and an ending"
            raise ValueError(f"stored is {describe_value(name)}; expected {expected}")
        if self._folder is None:
            raise ValueError("stored needs a folder to be in, that of the recording")
        path = self._checked.get(name)
        if path is None:
            path = self._checked[name] = self._check_file(name, found[1])
        return path

    def _check_file(self, name: str, digest: str) -> Path:
        assert self._folder is not None
        folder = self._folder.resolve()
        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                raise ValueError(f"stored is {name!r}, which leads out of the recording's folder, {folder}")
            if not path.is_file():
                raise ValueError(f"stored is {name!r}; there is no such file in {folder}")
            if path.stat().st_size > LARGEST_FILE:
                raise ValueError(f"stored is {name!r}, of {path.stat().st_size} bytes; expected {LARGEST_FILE} at most")
            if hash_file(path) != digest:
                raise ValueError(f"stored is {name!r}, which has changed: its SHA-256 is another one")
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "it cannot be read"
            raise ValueError(f"stored is {name!r}; {reason}") from None
        return path

    def resolve(self, value: Any, member: str = "") -> Any:
        """Return a JSON value with every `{stored: …}` in it replaced: by its text or value, or a StoredPicture.

        `member` is the name under which the value stands.
        """
        if isinstance(value, list):
            return [self.resolve(part, member) for part in value]
        if not isinstance(value, Mapping):
            return value
        if STORED not in value:
            return {name: self.resolve(part, str(name)) for name, part in value.items()}
        return self._resolve_file(value, member)

    def resolve_members(self, values: Mapping[Any, Any]) -> dict[str, Any]:
        """Return named values, each resolved; the names are no part of a reference."""
        return {str(name): self.resolve(part, str(name)) for name, part in values.items()}

    def _resolve_file(self, reference: Mapping[Any, Any], member: str) -> Any:
        name = reference[STORED]
        path = self.check(name)
        others = [key for key in reference if key not in (STORED, PREFIX)]
        if others:
            raise ValueError(f"{others[0]!r} stands beside stored; expected prefix, or nothing")
        if name.startswith("pictures/"):
            prefix = reference.get(PREFIX)
            if prefix is not None and not isinstance(prefix, str):
                raise ValueError(f"prefix is {describe_value(prefix)}; expected a text")
            delivery = "b64_json" if member == "b64_json" or prefix is not None else "url"
            return StoredPicture(str(path), path.stem, delivery, prefix or "")  # type: ignore[arg-type]
        data = path.read_bytes()
        if path.suffix == ".txt":
            return data.decode("utf-8", "surrogatepass")
        try:
            value, _ = strict_json.parse_json(data, strict_json.MOST_STORED_VALUES)
        except strict_json.BadJson as error:
            raise ValueError(f"stored is {name!r}, which is no JSON: {error}") from None
        return _Inner(self).resolve(value, member)


class _Inner(StoredFiles):
    """Resolves what stands inside of a stored body, where no further body can be named."""

    def __init__(self, outer: StoredFiles) -> None:
        super().__init__(outer._folder)
        self._checked = outer._checked

    def _resolve_file(self, reference: Mapping[Any, Any], member: str) -> Any:
        if str(reference[STORED]).endswith(".json"):
            raise ValueError("a stored body names another one")
        return super()._resolve_file(reference, member)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def split_json(value: Any) -> tuple[BodyPart, ...]:
    """Return a resolved JSON value as bytes, between which its stored pictures stand in quotation marks."""
    pictures: list[StoredPicture] = []

    def replace_picture(picture: Any) -> str:
        pictures.append(picture)
        return _PLACE

    text = json.dumps(value, ensure_ascii=False, default=replace_picture).encode("utf-8", "surrogatepass")
    first, *rest = text.split(_PLACE.encode())
    parts: list[BodyPart] = [first]
    for picture, after in zip(pictures, rest, strict=True):
        parts += [picture, after]
    return tuple(parts)


def make_event(at: float, name: str | None, data: Any) -> StoredEvent:
    """Return an event of a stream; `data` is a resolved JSON value, or a text that is no JSON."""
    beginning = b""
    if name is not None:
        beginning = f"event: {name}\n".encode()
    parts: tuple[BodyPart, ...] = (data.encode(),) if isinstance(data, str) else split_json(data)
    return StoredEvent(at, (beginning + b"data: ", *parts, b"\n\n"))


def parse_given(given: Mapping[str, Any], ignored: frozenset[str]) -> tuple[Condition, ...]:
    """Return the conditions on the parameters that an entry names; raises ValueError.

    A value means that value. A mapping of matchers, as in any scenario, loosens it.
    """
    return tuple((f"given.{name}", _parse_given(name, value)) for name, value in given.items() if name not in ignored)


def _parse_given(name: str, value: Any) -> Matcher:
    if isinstance(value, Mapping) and value and all(key in matching.MATCHERS for key in value):
        return matching.parse_matcher(value, f"given.{name}")
    return SameValue(value)


def _is_same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[name], other[name]) for name in one)
    return bool(one == other)


LARGEST_FILE: Final = 64 * 2**20  # bytes, as of an upstream's answer
_NAME: Final = r"(?:pictures|bodies)/([0-9a-f]{64})\.[a-z0-9]{1,5}"
_PLACE: Final = "\ue000stored picture\ue000"  # private letters, which a body that is recorded does not have
_LONGEST_SHOWN: Final = 100  # characters of a value in a line
