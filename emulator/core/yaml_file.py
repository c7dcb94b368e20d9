"""Reads YAML files so that an error can name the file and the line.

The files are trusted input, but a mistake in one must end in one clear line: the only error here is InvalidFile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from emulator.core.file_reading import read_file
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import shorten_text

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml: the same language, many times slower
    from yaml import SafeLoader  # type: ignore[assignment]

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
        return InvalidFile(f"{self.path}:{_find_line(self.text, pointer)}: {message}")


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
    loader = _LoaderWithAliases if aliases else _Loader
    try:
        root = yaml.load(text, loader)  # noqa: S506 - both are SafeLoaders
    except yaml.MarkedYAMLError as error:
        raise InvalidFile(f"{_format_place(error, text, path)}: {_describe_problem(error, text)}") from None
    except yaml.YAMLError as error:
        raise InvalidFile(f"{path}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InvalidFile(f"{path}: too many parts inside of parts") from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # explicit tags on odd values
        raise InvalidFile(f"{path}: cannot be read as YAML ({type(error).__name__})") from None
    if aliases and not _is_bounded(root):
        raise InvalidFile(f"{path}: more than {_MOST_NODES} parts, or one that contains itself through an alias")
    return YamlFile(path, text, root)


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
        count = 0
        try:
            for event in yaml.parse(text, SafeLoader):
                count += isinstance(event, yaml.NodeEvent)
                if count > 2 * self.values:  # keys count here
                    raise InvalidFile(f"{path}: more than {self.values} values")
        except yaml.YAMLError:
            return  # whoever reads it says why

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


def _describe_problem(error: yaml.MarkedYAMLError, text: str) -> str:
    """Return what is wrong with a document, in PyYAML's words but for a tab, which an editor shows like blanks."""
    mark, lines = error.problem_mark, text.splitlines()
    is_tab = mark is not None and mark.line < len(lines) and lines[mark.line][: mark.column + 1].endswith("\t")
    if is_tab or "tab character" in str(error.problem):
        return "a tab cannot start any token: YAML takes blanks only, so indent with blanks"
    return str(error.problem or error.context)


def _format_place(error: yaml.MarkedYAMLError, text: str, path: Path) -> str:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return str(path)
    last = len(text.splitlines()) or 1  # PyYAML finds an unclosed bracket behind the last line
    return f"{path}:{min(mark.line + 1, last)}"


def _is_bounded(root: Any) -> bool:
    """Return whether `root` has at most _MOST_NODES values, aliases followed; one that contains itself has more."""
    waiting, count = [root], 0
    while waiting and count <= _MOST_NODES:
        node = waiting.pop()
        count += 1
        if isinstance(node, Mapping):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return not waiting


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


class _Loader(SafeLoader):
    """PyYAML's safe loader; it also refuses a key that is given twice, and an alias of a list or a mapping."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            seen: set[Any] = set()
            for key_node, _ in node.value:
                if key_node.value in seen:
                    error = f"the key {key_node.value!r} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, error, key_node.start_mark)
                seen.add(key_node.value)
        return mapping

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node in self.constructed_objects and isinstance(node, yaml.CollectionNode):
            raise yaml.constructor.ConstructorError(None, None, "an alias (*name) is not supported", node.start_mark)
        return super().construct_object(node, deep=deep)


class _LoaderWithAliases(_Loader):
    """The same loader, but it accepts aliases of lists and mappings."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        return SafeLoader.construct_object(self, node, deep)


def _find_line(text: str, pointer: Pointer) -> int:
    """Return the line, from 1, of the place that `pointer` leads to, or of the nearest place above it."""
    node = yaml.compose(text, SafeLoader)
    line = 1
    for step in pointer:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(step)]
            if not pairs:
                break
            key, node = pairs[0]
            line = key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


_SEPARATORS: Final = (",", "\n", "[", "{", "- ")  # before each value in YAML stands one of them, but for the first
_LONGEST: Final = 60  # characters of a value in an error message
_MOST_NODES: Final = 500_000  # ten times the largest OpenAPI files there are
_CORE: Final = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
     "-+0123456789."),
)  # fmt: skip

_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""])


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    base = 16 if node.value.startswith("0x") else 10
    return int(node.value, base)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
