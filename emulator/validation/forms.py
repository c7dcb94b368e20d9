"""What a form means: its texts become the values that the model's schema wants, and its files stand beside them.

A text that cannot be what it should be is told as what it is; everything else is for the schema to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from emulator.core import strict_json
from emulator.gateway.openapi import Parameter
from emulator.gateway.rules import ModelRules
from emulator.image.upload import FileMark
from emulator.messages import Request
from emulator.validation.schema import SchemaViolation


@dataclass(frozen=True)
class FormBody:
    """A form as a body: `body` is for the schema, with marks where files are; `broken` is what a schema cannot tell."""

    body: Mapping[str, Any]
    broken: tuple[SchemaViolation, ...]

    def among(
        self, others: Sequence[tuple[SchemaViolation, bool]], rules: ModelRules
    ) -> list[tuple[SchemaViolation, bool]]:
        """What is broken here among what a schema says is: what is unknown first, then parameter by parameter."""
        if not self.broken:
            return list(others)
        told = {one.param for one in self.broken}
        found = [*((one, False) for one in self.broken), *(other for other in others if other[0].param not in told)]
        order = {name: place for place, name in enumerate(rules.parameters)}
        return sorted(found, key=lambda one: (one[0].violation != "unknown_parameter", order.get(one[0].param, 0)))


def body(request: Request, rules: ModelRules) -> FormBody:
    """What the texts and files of `raw` say, as `rules` want it said."""
    found: dict[str, Any] = {}
    broken: list[SchemaViolation] = []
    for name, text in request.json.items():
        base, steps = _nested(name) if name not in rules.parameters else (name, ())
        if base not in rules.parameters:
            found[name] = text
        elif base in rules.pictures:
            facts = {"param": base, "expected": "a file", "actual": "a string"}
            broken.append(SchemaViolation("not_a_file", base, facts, "format: binary", "assumed", text))
            found[base] = FileMark()
        elif steps:
            _put(found, (base, *steps), text)
        else:
            found[name], wanted = _converted(text, rules.parameters[name])
            if wanted:
                facts = {"param": name, "expected": _KINDS[wanted]}
                source = rules.parameters[name]["type"].source
                broken.append(SchemaViolation("unconvertible", name, facts, f"type: {wanted}", source, text))
                del found[name]
    broken += _files(request, rules, found)
    return FormBody(found, tuple(broken))


def plain(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters in `body` that are no files."""
    if not any(_is_marked(value) for value in body.values()):
        return body
    return {name: value for name, value in body.items() if not _is_marked(value)}


def _files(request: Request, rules: ModelRules, found: dict[str, Any]) -> Iterator[SchemaViolation]:
    """Put marks for the files into `found`; what is wrong where a text should be."""
    files: dict[str, list[FileMark]] = {}
    for upload in request.uploads:
        files.setdefault(upload.param, []).append(FileMark())
    for name, marks in files.items():
        if name not in rules.pictures and "type" in rules.parameters.get(name, ()):
            kind = next(iter(_kinds(rules.parameters[name])), "string")
            facts = {"param": name, "expected": _KINDS.get(kind, "a string"), "actual": "a file"}
            yield SchemaViolation("type", name, facts, f"type: {kind}", rules.parameters[name]["type"].source, None)
        else:
            many = name in rules.pictures and rules.pictures[name].many
            found[name] = marks if many or (len(marks) > 1) else marks[0]


def _converted(text: str, parameter: Parameter) -> tuple[Any, str]:
    """`text` as the parameter's type, and the type that it should be and cannot become, mostly none."""
    kinds = _kinds(parameter)
    if "string" in kinds:
        return text, ""
    for kind in kinds:
        if kind in _PATTERNS and re.fullmatch(_PATTERNS[kind], text):
            return _READ[kind](text), ""
        if kind in ("object", "array") and text[:1] in "{[":
            try:
                return strict_json.parse_json(text.encode())[0], ""
            except strict_json.BadJson:
                pass
    return text, next((kind for kind in kinds if kind in _KINDS), "")


def _kinds(parameter: Parameter) -> list[str]:
    """The types that a parameter may have; a text, where its schema says nothing."""
    said = parameter["type"].value if "type" in parameter else "string"
    return [said] if isinstance(said, str) else [kind for kind in said if kind != "null"]


def _nested(name: str) -> tuple[str, tuple[str, ...]]:
    """`svg[reasoning][effort]` as a parameter and the names inside it."""
    base, *steps = re.split(r"\[([^\[\]]*)\]", name)
    return base, tuple(step for step in steps[::2] if step)


def _put(found: dict[str, Any], steps: tuple[str, ...], text: str) -> None:
    for step in steps[:-1]:
        inner = found.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        found = inner
    found[steps[-1]] = text


def _is_marked(value: Any) -> bool:
    return isinstance(value, FileMark) or (isinstance(value, list) and any(isinstance(one, FileMark) for one in value))


_PATTERNS: Final = {
    "integer": "[+-]?[0-9]{1,18}",
    "number": r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?",
    "boolean": "(?i:true|false)",
}
_READ: Final[Mapping[str, Any]] = {"integer": int, "number": float, "boolean": lambda text: text.lower() == "true"}
_KINDS: Final = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "object": "an object",
    "array": "an array",
}
