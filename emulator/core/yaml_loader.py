"""Reads texts as YAML 1.2's core schema. This is the only module that uses PyYAML; `yaml_file` is how it is used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from emulator.core.yaml_file import InvalidFile, Pointer

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml: the same language, many times slower
    from yaml import SafeLoader  # type: ignore[assignment]


def load_text(text: str, path: Path, *, aliases: bool) -> Any:
    """Return the value in `text`; `path` is the name of the file in errors. Raises InvalidFile."""
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
    return root


def count_nodes(text: str, most: int) -> int:
    """Count the values and keys in `text`, to one more than `most`; 0 where it is no YAML. Nothing is built."""
    count = 0
    try:
        for event in yaml.parse(text, SafeLoader):
            count += isinstance(event, yaml.NodeEvent)
            if count > most:
                break
    except yaml.YAMLError:
        return 0  # whoever reads it says why
    return count


def find_lines(text: str, pointers: Sequence[Pointer]) -> list[int]:
    """Return the line, from 1, of the place that each pointer leads to, or of the nearest place above it."""
    root = yaml.compose(text, SafeLoader)
    return [_find_line(root, pointer) for pointer in pointers]


def _find_line(node: Any, pointer: Pointer) -> int:
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


class _Loader(SafeLoader):
    """PyYAML's safe loader; it also refuses a key that is given twice, and every alias.

    An alias of a long text is refused too: a few characters would stand for megabytes each.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            seen: set[Any] = set()
            for key_node, _ in node.value:
                if key_node.value in seen:
                    error = f"the key {key_node.value!r} is given twice"
                    raise yaml.constructor.ConstructorError(None, None, error, key_node.start_mark)
                seen.add(key_node.value)
            raise yaml.constructor.ConstructorError(None, None, "two keys are equal", node.start_mark)
        return mapping

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Do nothing: merges (`!!merge <<`), which are aliases too, belong to YAML 1.1."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if node in self.constructed_objects:
            raise yaml.constructor.ConstructorError(None, None, "an alias (*name) is not supported", node.start_mark)
        return super().construct_object(node, deep=deep)


class _LoaderWithAliases(_Loader):
    """The same loader, but it accepts aliases, and merges: `<<: *name` stands for the members of that mapping.

    Merges belong to YAML 1.1, and files with aliases have them. A mapping's own members count, then the first merge.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the members of merged mappings before those of `node`, in the place of its keys `<<`."""
        own: list[tuple[yaml.Node, yaml.Node]] = []
        merged: list[yaml.MappingNode] = []
        for key_node, value_node in node.value:
            if key_node.value == "<<" and not key_node.style:
                merged += _list_merged(key_node, value_node)
            else:
                own.append((key_node, value_node))
        if not merged:
            return
        known = {key_node.value for key_node, _ in own}
        node.value = own
        added = []
        for mapping in merged:
            self.flatten_mapping(mapping)
            for key_node, value_node in mapping.value:
                if key_node.value not in known:
                    known.add(key_node.value)
                    added.append((key_node, value_node))
        node.value = added + own

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        return SafeLoader.construct_object(self, node, deep)


def _list_merged(key: yaml.Node, node: yaml.Node) -> list[yaml.MappingNode]:
    """Return the mappings that stand at a `key` that is `<<`: one, or a list of them."""
    parts = [node]
    if isinstance(node, yaml.SequenceNode):
        parts = node.value
    mappings = []
    for part in parts:
        if not isinstance(part, yaml.MappingNode):
            error = "<< merges a mapping, or a list of mappings, and this is something else"
            raise yaml.constructor.ConstructorError(None, None, error, key.start_mark)
        mappings.append(part)
    return mappings


_MOST_NODES: Final = 500_000  # ten times the largest OpenAPI files there are
_MOST_DIGITS: Final = 1000  # Python writes numbers of up to 4,300 digits; nobody means one of more than a few dozen
_BASES: Final[Mapping[str, int]] = {"0o": 8, "0x": 16}
_CORE: Final = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
     "-+0123456789."),
)  # fmt: skip

_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), [*_first, ""])


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    if len(node.value) > _MOST_DIGITS:
        error = f"a number of more than {_MOST_DIGITS} digits"
        raise yaml.constructor.ConstructorError(None, None, error, node.start_mark)
    base = _BASES.get(node.value[:2], 10)
    return int(node.value, base)


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
