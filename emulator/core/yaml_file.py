"""Reads YAML files so that an error can name the file and the line.

The files are trusted input, but a mistake in one must end in one clear line: the only error here is InvalidFile.
PyYAML is imported when the first text is read (`yaml_loader`): a start that finds all its files read before needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emulator.core.file_reading import read_file
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import shorten_text

Pointer = Sequence[str | int]


class InvalidFile(Exception):
    """A file that cannot be used; its message is one line: the file's name, the line's number if known, the reason."""


class UnreadableFile(InvalidFile):
    """A file whose bytes cannot be had; `reason` is why, without the file's name."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class YamlFile:
    """A YAML (or JSON) file that was read; `root` is the value in it."""

    path: Path
    text: str
    root: Any

    def error_at(self, pointer: Pointer, message: str) -> InvalidFile:
        """Return the error `message` about the place that `pointer` leads to."""
        (line,) = self.find_lines([pointer])
        return InvalidFile(f"{self.path}:{line}: {message}")

    def find_lines(self, pointers: Sequence[Pointer]) -> list[int]:
        """Return the line, from 1, of each place, or of the nearest place above it."""
        from emulator.core import yaml_loader

        return yaml_loader.find_lines(self.text, pointers)


def load_yaml(path: Path, aliases: bool = False) -> YamlFile:
    """Read the file at `path` as YAML 1.2's core schema: only true and false are booleans, dates are strings.

    Aliases (*name) of lists and mappings are refused unless `aliases` is set; other people's files have them. Raises
    InvalidFile.
    """
    return parse_yaml(read_text(path), path, aliases)


def read_text(path: Path) -> str:
    """Return the text of the file at `path`; raises InvalidFile, of which UnreadableFile."""
    try:
        text = read_file(path).decode("utf-8")
    except OSError as error:
        raise UnreadableFile(path, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse_yaml(text: str, path: Path, aliases: bool = False) -> YamlFile:
    """Read `text` as `load_yaml` does; `path` is the name of the file in errors. Raises InvalidFile."""
    from emulator.core import yaml_loader

    return YamlFile(path, text, yaml_loader.load_text(text, path, aliases=aliases))


@dataclass(frozen=True)
class Bounds:
    """How large a document may be: characters, values of any kind, and levels of values inside of values."""

    characters: int
    values: int
    levels: int

    def check_text(self, text: str, path: Path) -> None:
        """Raise InvalidFile, in one line, for a text that is too long, or has too many values; nothing is built."""
        if len(text) > self.characters:
            raise InvalidFile(f"{path}: {len(text)} characters; expected at most {self.characters}")
        if sum(map(text.count, _SEPARATORS)) < self.values:
            return
        from emulator.core import yaml_loader

        if yaml_loader.count_nodes(text, 2 * self.values) > 2 * self.values:  # keys count here
            raise InvalidFile(f"{path}: more than {self.values} values")

    def check_root(self, source: YamlFile) -> None:
        """Raise InvalidFile, in one line, for a document with too many values, or too many inside of each other."""
        count = 0
        waiting: list[tuple[tuple[str | int, ...], Any]] = [((), source.root)]
        while waiting:
            pointer, value = waiting.pop()
            count += 1
            if count > self.values:
                raise InvalidFile(f"{source.path}: more than {self.values} values")
            if len(pointer) > self.levels:
                line = f"more than {self.levels} levels of parts inside of parts"
                raise source.error_at(pointer[:1], f"{'.'.join(map(str, pointer[:4]))}… has {line}")
            if isinstance(value, Mapping):
                waiting.extend(((*pointer, key), part) for key, part in value.items())
            elif isinstance(value, list):
                waiting.extend(((*pointer, index), part) for index, part in enumerate(value))


def describe_value(value: Any) -> str:
    """Return how an error message shows a value of a file: the kind of a collection, else the value, cut if long."""
    match value:
        case None:
            return "empty"
        case Mapping():
            return "a mapping"
        case list():
            return "a list"
        case _:
            return shorten_text(repr(value), _LONGEST)


_SEPARATORS: Final = (",", "\n", "[", "{", "- ")  # before each value in YAML stands one of them, but for the first
_LONGEST: Final = 60  # characters of a value in an error message
