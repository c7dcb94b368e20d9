"""Finds the data that ships (schemas/), and reads YAML so that every complaint can name file and line.

Files are trusted input, yet a slip in one must end in a single clear line: everything raised here is InvalidFile.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml: the same language, many times slower
    from yaml import SafeLoader  # type: ignore[assignment]

Pointer = Sequence[str | int]


class InvalidFile(Exception):
    """A file that cannot be used; its text is one line that starts with the file's name and, where known, the line."""


@dataclass(frozen=True)
class Source:
    """A YAML (or JSON) file that was read: `root` is what it says."""

    path: Path
    text: str
    root: Any

    def fault(self, pointer: Pointer, message: str) -> InvalidFile:
        """The complaint `message` about the place that `pointer` leads to."""
        return InvalidFile(f"{self.path}:{_line(self.text, pointer)}: {message}")

    def known_keys(self, pointer: Pointer, mapping: Any, known: Collection[str]) -> Mapping[str, Any]:
        """`mapping` itself, if it is one with no other keys than `known`; else raises InvalidFile."""
        where = ".".join(str(step) for step in pointer) or "the file"
        if not isinstance(mapping, Mapping):
            raise self.fault(pointer, f"{where} is {describe(mapping)}; expected a mapping of {', '.join(known)}")
        for key in mapping:
            if key not in known:
                raise self.fault([*pointer, key], f"unknown key {key!r} in {where}; known are {', '.join(known)}")
        return mapping


def read(path: Path, aliases: bool = False) -> Source:
    """The file at `path`, parsed as YAML 1.2's core (true and false are the only booleans, dates stay strings).

    `aliases` lets *names of collections by, which other people's files use; raises InvalidFile.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InvalidFile(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise InvalidFile(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from None
    return parse(text, path, aliases)


def parse(text: str, path: Path, aliases: bool = False) -> Source:
    """`text`, which stands in the file at `path`."""
    try:
        root = yaml.load(text, _LoaderWithAliases if aliases else _Loader)  # noqa: S506 - both are SafeLoaders
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        last = len(text.splitlines()) or 1  # an unclosed bracket is noticed behind the end
        place = f"{path}:{min(mark.line + 1, last)}" if mark else f"{path}"
        raise InvalidFile(f"{place}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise InvalidFile(f"{path}: {' '.join(str(error).split())}") from None
    except (RecursionError, ValueError, TypeError, LookupError, AttributeError) as error:  # explicit tags on odd values
        raise InvalidFile(f"{path}: cannot be read as YAML ({type(error).__name__})") from None
    if aliases and not _is_bounded(root):
        raise InvalidFile(f"{path}: more than {_MOST_NODES} parts, or one that contains itself through an alias")
    return Source(path, text, root)


def _is_bounded(root: Any) -> bool:
    """Whether a walk over all of `root`, aliases followed, comes to an end soon enough."""
    waiting, seen = [root], 0
    while waiting and seen <= _MOST_NODES:
        node = waiting.pop()
        seen += 1
        waiting.extend(node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ())
    return not waiting


def schemas() -> Path:
    """The folder of gateways that ships: inside the installed package, else beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


def scenarios() -> Path:
    """The folder of ready-made scenarios that ships: inside the installed package, else beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "scenarios"
    return inside if inside.is_dir() else package.parent / "scenarios"


def describe(value: Any) -> str:
    """A value as a person reads it in a complaint: its kind, and itself where it is short."""
    match value:
        case None:
            return "empty"
        case Mapping():
            return "a mapping"
        case list():
            return "a list"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:57] + "..."


class _Loader(SafeLoader):
    """YAML's safe core, with twice-given keys and aliases of collections refused."""

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
    """The same, with aliases of collections let by."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        return SafeLoader.construct_object(self, node, deep)


def _line(text: str, pointer: Pointer) -> int:
    """The line, from 1, of the place that `pointer` leads to, or of the nearest place above it."""
    node = yaml.compose(text, SafeLoader)
    line = 1
    for step in pointer:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == str(step)]
            if not pairs:
                break
            line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


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
_Loader.add_constructor(
    "tag:yaml.org,2002:int",
    lambda loader, node: int(node.value, 16 if node.value.startswith("0x") else 10),
)
