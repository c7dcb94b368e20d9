"""Finds what a gateway's file says and can never count: values, parameters, words and patterns that match nothing.

A server starts with such a file, and the words have no effect, so the command `check` tells of them. Nothing here is
needed to answer a call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import shorten_text
from emulator.core.suggestions import describe_known
from emulator.core.yaml_file import Pointer, YamlFile, load_yaml
from emulator.findings import Finding
from emulator.gateway.gateway import ALWAYS, Gateway, Operation, find_catalog_path
from emulator.gateway.openapi import iter_request_schemas
from emulator.gateway.parameter_names import KEYWORD
from emulator.gateway.pixels import PixelRule
from emulator.gateway.rules import ModelRules, spell_alias


class _Idle(NamedTuple):
    """Something in a file that never counts: where it stands, and why."""

    pointer: Pointer
    why: str


def list_idle_keys(gateway: Gateway) -> Iterator[Finding]:
    """Yield a finding for each key and value in a gateway's file, and in its own error catalog, that never counts."""
    file = gateway.document.file
    found = list(_Checker(gateway).iter_idle())
    for key, part in gateway.document.root.get(_TASKS, {}).items():
        if key != "id":  # a pattern, and no template
            found += _find_texts_around_names([_TASKS, key], part, filled="{id}")
    yield from _make_findings(file, found)
    path = find_catalog_path(gateway.document)
    if path is not None and not _is_shared(path, file.path):
        catalog = load_yaml(path, aliases=True)
        yield from _make_findings(catalog, list(_find_idle_patterns(catalog.root, gateway)))


def list_idle_texts(catalog: YamlFile) -> Iterator[Finding]:
    """Yield a finding for each text of an error catalog's envelopes that looks as if something were filled in."""
    yield from _make_findings(catalog, list(_find_texts_around_names(["envelopes"], catalog.root.get("envelopes", {}))))


def _make_findings(file: YamlFile, found: Sequence[_Idle]) -> Iterator[Finding]:
    """Yield a finding with its line for each of `found`, in the order of the lines; the first ones of many."""
    if not found:  # to find a line, the file is parsed once more
        return
    lines = file.find_lines([one.pointer for one in found])
    told = sorted(set(zip(lines, (one.why for one in found), strict=True)))
    for line, why in told[:_MOST_FINDINGS]:
        yield Finding("key_without_effect", f"{file.path}:{line}: {why}")
    if len(told) > _MOST_FINDINGS:
        yield Finding("key_without_effect", f"{len(told) - _MOST_FINDINGS} more keys that never count")


@dataclass(frozen=True)
class _Checker:
    """Looks at the parts of one gateway's file.

    A mapping that several models share, by an alias or a reference, counts where it does for one of them.
    """

    gateway: Gateway

    def iter_idle(self) -> Iterator[_Idle]:
        """Yield what never counts in the request schemas and beside the operations."""
        yield from self._find_idle_values()
        yield from self._find_idle_words()
        yield from self._find_idle_files()
        for operation in self.gateway.iter_operations():
            yield from self._find_idle_names(operation)
        for place, schema in iter_request_schemas(self.gateway.document):
            if id(schema) not in self._parameter_nodes:
                for key in _PARAMETER_KEYS:
                    if key in schema:
                        why = f"{key} stands at no parameter of a body itself, so it never counts"
                        yield _Idle([*place, key], why)
            reply = schema.get("x-emulator-reply")
            if isinstance(reply, Mapping):
                pointer = [*place, "x-emulator-reply"]
                for key in ("body", "item", "failed_item", "usage_body"):
                    yield from _find_texts_around_names([*pointer, key], reply.get(key, {}))
                for name, event in (reply.get("stream") or {}).get("events", {}).items():
                    data = [*pointer, "stream", "events", name, "data"]
                    yield from _find_texts_around_names(data, event.get("data", {}))

    @cached_property
    def _rules(self) -> Sequence[ModelRules]:
        """The rules of all models, each schema once."""
        every = [rules for operation in self.gateway.iter_operations() for rules in _iter_rules(operation)]
        return list({rules.ref: rules for rules in every}.values())

    @cached_property
    def _places(self) -> Mapping[int, Pointer]:
        """Where each value of a vendor key in a request schema stands, by its identity; schemas may share it."""
        places: dict[int, Sequence[str | int]] = {}
        for place, schema in iter_request_schemas(self.gateway.document):
            for key, value in schema.items():
                if isinstance(value, Mapping | list) and str(key).startswith("x-emulator-"):
                    places.setdefault(id(value), [*place, key])
        return places

    @cached_property
    def _parameter_nodes(self) -> Collection[int]:
        """The identities of the schemas that parameters are made of; what is inside of a parameter is none of them."""
        document = self.gateway.document
        return {
            id(node)
            for rules in self._rules
            for part in document.iter_parts(document.look_up(rules.ref))
            for body in part.get("properties", {}).values()
            for node in document.iter_parts(body)
        }

    def _find_idle_values(self) -> Iterator[_Idle]:
        """Yield the keys of x-emulator-means and the values of x-emulator-absent that no call can send."""
        shared: dict[int, list[tuple[str, Mapping[str, Any]]]] = {}
        values: dict[int, Any] = {}
        for rules in self._rules:
            for name, line in rules.parameters.items():
                schema = {key: keyword.value for key, keyword in line.items()}
                for key in ("x-emulator-means", "x-emulator-absent"):
                    if id(schema.get(key)) in self._places:
                        values[id(schema[key])] = schema[key]
                        shared.setdefault(id(schema[key]), []).append((name, schema))
        for identity, uses in shared.items():
            pointer = self._places[identity]
            name = uses[0][0]
            known = dict.fromkeys(spell_alias(value) for _, schema in uses for value in schema.get("enum", ()))
            for step, spelled in _find_idle_spellings(values[identity], [schema for _, schema in uses]):
                shown = shorten_text(repr(spelled), _LONGEST)
                why = f"{shown} of {pointer[-1]} is no value of {name}, so it never counts"
                yield _Idle([*pointer, step], f"{why}; {_describe_values(spelled, list(known))}")

    def _find_idle_words(self) -> Iterator[_Idle]:
        """Yield the words of parameters without pixels, and the words with pixels that no parameter has."""
        for identity, uses in self._group_by_pixels().items():
            pointer, rule = self._places.get(identity, []), uses[0].pixels
            if rule is None:
                continue
            names = ", ".join(rule.tier)
            words = {word for rules in uses for name in rule.tier for word in _list_words(rules, name)}
            for word in sorted(filter(partial(_lacks_pixels, rule), words)):
                why = f"{names} may be {word!r}, which has no pixels in `tiers` or `sizes`, and so counts as not given"
                yield _Idle(pointer, f"{why}; {describe_known(word, rule.tiers or {})}")
            ratios = {word for rules in uses for word in _list_words(rules, rule.ratio or "")}
            for word in sorted(filter(partial(_is_no_ratio, rule), ratios)):
                why = f"{rule.ratio} may be {word!r}, which is no ratio such as 16:9 and has no pixels in `sizes`"
                yield _Idle(pointer, f"{why}, and so counts as not given")
            if not any(_is_open(rules, name) for rules in uses for name in rule.tier):
                for word in sorted((rule.tiers or {}).keys() - words):
                    why = f"{word!r} of `tiers` is no value of {names}, so it never counts"
                    yield _Idle([*pointer, "tiers", word], f"{why}; {describe_known(word, sorted(words))}")

    def _group_by_pixels(self) -> Mapping[int, Sequence[ModelRules]]:
        """Return the rules of models by the identity of their x-emulator-pixels."""
        groups: dict[int, list[ModelRules]] = {}
        document = self.gateway.document
        for rules in self._rules:
            keys = document.find_annotation(document.look_up(rules.ref), "x-emulator-pixels")
            if keys is not None and rules.pixels is not None:
                groups.setdefault(id(keys), []).append(rules)
        return groups

    def _find_idle_names(self, operation: Operation) -> Iterator[_Idle]:
        """Yield the names of parameters, beside an operation and in its schemas, that none of its models has."""
        known = sorted({name for rules in _iter_rules(operation) for name in rules.parameters})
        if not known:
            return
        pointer, node = self._find_node(operation)
        for name in node.get("x-emulator-pictures", {}):
            if name not in known:
                yield _Idle([*pointer, "x-emulator-pictures", name], _say_unknown("x-emulator-pictures", name, known))
        task = operation.task
        if task not in (None, ALWAYS, *known):
            yield _Idle([*pointer, "x-emulator-task"], _say_unknown("x-emulator-task", str(task), known))
        for name in dict.fromkeys(name for models in operation.bodies for name in models.when_present):
            if name not in known:
                yield _Idle(self._find_choice(name), _say_unknown("when_present", name, known))

    def _find_idle_files(self) -> Iterator[_Idle]:
        """Yield the parameters and the values under `files` of x-emulator-reply that no call can send."""
        for rules in self._rules:
            for name, value in (rules.response.files or {}).items():
                line = rules.parameters.get(name)
                if line is None:
                    yield _Idle(self._find_reply(rules, name), _say_unknown("files", name, sorted(rules.parameters)))
                elif "enum" in line and value not in line["enum"].value:
                    words = [spell_alias(one) for one in line["enum"].value]
                    why = f"{value!r} of `files` is no value of {name}, so it never counts"
                    yield _Idle(self._find_reply(rules, name), f"{why}; {describe_known(spell_alias(value), words)}")

    def _find_node(self, operation: Operation) -> tuple[Pointer, Mapping[str, Any]]:
        """Return where an operation stands in the file, and what stands there."""
        for found in self.gateway.document.operations:
            if (found.path, found.method) == (operation.path, operation.method):
                return found.pointer, found.node
        return [], {}

    def _find_choice(self, name: str) -> Pointer:
        """Return where x-emulator-models has the parameter `name` in its when_present."""
        for place, schema in iter_request_schemas(self.gateway.document):
            choice = schema.get("x-emulator-models")
            if isinstance(choice, Mapping) and name in (choice.get("when_present") or {}):
                return [*place, "x-emulator-models", "when_present", name]
        return []

    def _find_reply(self, rules: ModelRules, name: str) -> Pointer:
        """Return where the reply of a model names the parameter `name` in its `files`."""
        document = self.gateway.document
        keys = document.find_annotation(document.look_up(rules.ref), "x-emulator-reply")
        return [*self._places.get(id(keys), []), "files", name]


def _iter_rules(operation: Operation) -> Iterator[ModelRules]:
    """Yield the rules of all models, in JSON and in forms."""
    for models in operation.bodies:
        yield from models.iter_rules()


def _say_unknown(key: str, name: str, known: Collection[str]) -> str:
    return f"{key} names {name!r}, which is no parameter here, so it never counts; {describe_known(name, known)}"


def _find_idle_spellings(values: Any, schemas: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str | int, str]]:
    """Yield what never counts of x-emulator-means or x-emulator-absent, each with its step in a pointer.

    `schemas` are those of the parameters that have it. What counts as not given need not be a value of the schema.
    """
    if isinstance(values, Mapping):
        for key in values:
            spelled = spell_alias(key)
            if not any(_can_be_sent(spelled, schema) for schema in schemas):
                yield key, spelled
    elif isinstance(values, list):
        for index, value in enumerate(values):
            if isinstance(value, str) and _is_quoted(value):
                yield index, value


def _is_quoted(text: str) -> bool:
    """Return whether a text has quotes of its own, as if it were JSON."""
    return len(text) > 1 and text[0] == text[-1] == '"'


def _can_be_sent(spelled: str, schema: Mapping[str, Any]) -> bool:
    """Return whether a parameter of `schema` can have the value that is a key of x-emulator-means."""
    if "enum" in schema:
        return spelled in map(spell_alias, schema["enum"])
    kinds = schema.get("type")
    if kinds is None or _is_quoted(spelled):
        return not _is_quoted(spelled)
    if isinstance(kinds, str):
        kinds = [kinds]
    if "string" in kinds:
        return True
    try:
        kind = _KINDS.get(type(json.loads(spelled)), ())
    except ValueError:
        return False
    return not set(kind).isdisjoint(kinds)


def _describe_values(spelled: str, known: Collection[str]) -> str:
    plain = spelled.strip('"')
    if known:
        return describe_known(plain, known)
    if plain != spelled:
        return f"a text stands without quotes of its own; did you mean {plain!r}?"
    return "the type of the parameter rules it out"


def _list_words(rules: ModelRules, name: str) -> list[str]:
    """Return the texts in the enum of a parameter; none where it has no enum."""
    line = rules.parameters.get(name, {})
    if "enum" not in line:
        return []
    return [value for value in line["enum"].value if isinstance(value, str)]


def _is_open(rules: ModelRules, name: str) -> bool:
    """Return whether a parameter may have other texts than a list says."""
    return name in rules.parameters and "enum" not in rules.parameters[name]


def _lacks_pixels(rule: PixelRule, word: str) -> bool:
    """Return whether a word of the parameter `tier` has no pixels, and names none itself."""
    if word in (rule.tiers or {}) or any(size.startswith(f"{word} ") for size in rule.sizes or {}):
        return False
    return re.fullmatch(_DRAWN, word) is None


def _is_no_ratio(rule: PixelRule, word: str) -> bool:
    """Return whether a word of the parameter `ratio` has no pixels, and is no ratio."""
    if any(size == word or size.endswith(f" {word}") for size in rule.sizes or {}):
        return False
    return re.fullmatch(_RATIO, word) is None


def _find_texts_around_names(pointer: Pointer, part: Any, filled: str = "") -> Iterator[_Idle]:
    """Yield the texts in a template that name something inside of more text: only a {name} alone takes its value.

    The name `filled` takes its value inside of more text too.
    """
    if isinstance(part, Mapping):
        for key, inner in part.items():
            yield from _find_texts_around_names([*pointer, key], inner, filled)
    elif isinstance(part, list):
        for index, inner in enumerate(part):
            yield from _find_texts_around_names([*pointer, index], inner, filled)
    elif isinstance(part, str) and re.search(_NAME, part.replace(filled, "")) and not re.fullmatch(_NAME, part):
        shown = shorten_text(repr(part), _LONGEST)
        yield _Idle(pointer, f"{shown} is sent as it stands: only a text that is one {{name}} alone takes its value")


def _is_shared(catalog: Path, gateway: Path) -> bool:
    """Return whether another file in the gateway's folder names the catalog, which then has words for both."""
    for path in sorted(gateway.parent.glob("*.y*ml")):
        if path.resolve() in (catalog.resolve(), gateway.resolve()):
            continue
        try:
            if catalog.name in path.read_text("utf-8", errors="replace"):
                return True
        except OSError:
            continue
    return False


def _find_idle_patterns(root: Mapping[str, Any], gateway: Gateway) -> Iterator[_Idle]:
    """Yield the patterns of `models` and `params` in an error catalog that match nothing of its gateway."""
    bodies = [models for operation in gateway.iter_operations() for models in operation.bodies]
    takes_any_model = any(models.otherwise is not None or models.channels is not None for models in bodies)
    if any(operation.names_model is not None for operation in gateway.iter_operations()):
        takes_any_model = True
    models = sorted({name for one in bodies for name in one.listed})
    params = sorted(_list_parameter_names(gateway))
    for section in ("kinds", "breaches"):
        for word, line in (root.get(section) or {}).items():
            for pattern in line.get("models", ()):
                if not takes_any_model and word not in _ANY_MODEL and not _matches(pattern, models):
                    why = f"models: {pattern!r} of {word} matches no model of {gateway.name}, so it never counts"
                    yield _Idle([section, word, "models", pattern], f"{why}; {describe_known(pattern, models)}")
            for pattern in line.get("params", ()):
                name = re.split(r"[.\[]", pattern)[0]
                if word not in _ANY_PARAM and not _matches(pattern, params) and not _matches(name, params):
                    why = f"params: {pattern!r} of {word} matches no parameter of {gateway.name}, so it never counts"
                    yield _Idle([section, word, "params", pattern], f"{why}; {describe_known(pattern, params)}")


def _matches(pattern: str, words: Iterable[str]) -> bool:
    return any(fnmatchcase(word, pattern) for word in words)


def _list_parameter_names(gateway: Gateway) -> set[str]:
    """Return the names that an error of a gateway can have as its parameter."""
    names = {"model"}
    for operation in gateway.iter_operations():
        names.update(re.findall(r"\{([^{}/]+)\}", operation.path))
        names.update(name for rules in _iter_rules(operation) for name in rules.parameters)
        if operation.query is not None:
            names.update(operation.query.parameters)
    for credential in gateway.credentials:
        names.add(credential.header)
    return names


_MOST_FINDINGS: Final = 20  # of a file that are told one by one
_LONGEST: Final = 60  # characters of a text that a finding shows
_PARAMETER_KEYS: Final = (
    KEYWORD, "x-emulator-means", "x-emulator-absent", "x-emulator-ignored", "x-emulator-clamped", "x-emulator-picture",
)  # fmt: skip
"""The keys that count at a parameter alone, and not inside of it."""
_TASKS: Final = "x-emulator-tasks"
_NAME: Final = r"\{[A-Za-z0-9_.-]+\}"
_DRAWN: Final = r"auto|[0-9]+x[0-9]+"
"""A size that needs no pixels of its own: the gateway chooses, or the text says them."""
_RATIO: Final = r"auto|[0-9]{1,4}(\.[0-9]{1,4})?:[0-9]{1,4}(\.[0-9]{1,4})?"
_ANY_MODEL: Final = frozenset({"unknown_model", "retired_model", "no_such_model"})
"""The refusals that name a model of the client's own."""
_ANY_PARAM: Final = frozenset({"unknown_parameter", "unknown_file"})
"""The refusals that name a parameter of the client's own."""
_KINDS: Final[Mapping[type, Sequence[str]]] = {
    bool: ("boolean",), int: ("integer", "number"), float: ("number",), type(None): ("null",), list: ("array",),
    dict: ("object",),
}  # fmt: skip
"""JSON Schema's types by those of Python."""
