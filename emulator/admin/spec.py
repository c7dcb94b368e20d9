"""Holds what is asked of the emulator's own paths against their description, admin.yaml, and shows that description.

The description is the one place that says which names and values a query and a JSON body may have: what it does not
know is refused here, in one line. It is read when it is first needed, which is after the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from emulator.core import strict_json, yaml_file
from emulator.core.phrases import quote
from emulator.gateway.openapi import Document
from emulator.validation.schema import SchemaValidator, SchemaViolation

PATH: Final = Path(__file__).with_name("openapi.yaml")


class Unfit(ValueError):
    """A request that the description does not know: the text is one line, `param` the name in question."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class AdminSpec:
    """The description of one server's own paths."""

    def __init__(self, version: str, guarded: bool, words: Mapping[str, Sequence[str]]) -> None:
        """Read the description, and put into it what only the code or a running server knows.

        `guarded` says whether a token is asked for, `words` are the values of each `x-emulator-enum`.
        """
        source = yaml_file.read(PATH)
        root = _filled(source.root, words)
        root["info"]["version"] = version
        if guarded:
            root["security"].remove({})
        self.text = strict_json.format_json(root).encode()
        self._paths = root["paths"]
        queries = {
            node["operationId"]: _query_schema(Document(source, root), item, node)
            for item in self._paths.values()
            for method, node in item.items()
            if method in _METHODS
        }
        self._document = Document(source, {**root, "x-queries": queries})
        self._judges: dict[str, SchemaValidator] = {}

    def query(self, method: str, path: str, query: str) -> Mapping[str, Any]:
        """The names and values in `query`, of a request to `path` (as the description has it); raises Unfit."""
        ref = f"#/x-queries/{self._paths[path][method.lower()]['operationId']}"
        properties = self._document.at(ref)["properties"]
        given: dict[str, Any] = {}
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_NAMES)
        except ValueError:
            raise Unfit(f"the query has more than {_MOST_NAMES} names") from None
        for name, text in pairs:
            if name in given:
                raise Unfit(f"{quote(name)} is given twice in the query", name[:100])
            kind = self._document.resolve(properties.get(name, {})).get("type")
            given[name] = int(text) if kind == "integer" and re.fullmatch("-?[0-9]{1,100}", text) else text
        self._schema_validator(ref, given, "query name")
        return given

    def body(self, method: str, path: str, body: Any) -> Mapping[str, Any]:
        """`body` itself, if it is what a request to `path` (as the description has it) may say; raises Unfit."""
        node = self._paths[path][method.lower()]
        if not isinstance(body, Mapping):
            raise Unfit(f"the body is {quote(body)}; expected a JSON object")
        self._schema_validator(node["requestBody"]["content"]["application/json"]["schema"]["$ref"], body, "key")
        return body

    def _schema_validator(self, ref: str, given: Mapping[str, Any], what: str) -> None:
        for name, parameter in self._document.parameters(self._document.at(ref)).items():
            most, items = parameter.get("maxItems"), given.get(name)
            if most is not None and isinstance(items, list) and len(items) > most.value:
                # Before anything looks at each of them: a body has room for hundreds of thousands.
                raise Unfit(f"{name} has {len(items)} items; expected at most {most.value}", name)
        schema_validator = self._judges.get(ref)
        if schema_validator is None:
            schema_validator = self._judges[ref] = SchemaValidator(self._document, ref)
        broken = next(iter(schema_validator.verdict(given)), None)
        if broken is not None:
            raise Unfit(self._complaint(ref, broken, what), broken.param[:100] or None)

    def _complaint(self, ref: str, broken: SchemaViolation, what: str) -> str:
        """A broken line of the description, in our style: what was read, what was expected, the known words."""
        param = broken.param or "the body"
        if broken.violation == "unknown_parameter":
            return f"unknown {what} {quote(param)}; known are {', '.join(self._known(ref, param)) or 'none'}"
        if broken.violation == "missing":
            return f"{param} is missing"
        keyword, _, limit = broken.rule.partition(": ")
        parameter = self._document.parameters(self._document.at(ref)).get(param, {})
        if keyword == "pattern" and "examples" in parameter:
            expected = f"one such as {', '.join(parameter['examples'].value)}"
        else:
            facts = {
                "limit": limit, "supported": broken.facts.get("supported"), "known": ", ".join(self._known(ref, "")),
                "type": broken.facts.get("expected", "").removeprefix("one of "),
            }  # fmt: skip
            expected = _EXPECTED.get(keyword, keyword + " {limit}").format(**facts)
        return f"{param} is {quote(broken.value)}; expected {expected}"

    def _known(self, ref: str, param: str) -> Sequence[str]:
        """The names beside which `param` (such as `calls[0].x`) stands."""
        schema = self._document.at(ref)
        for step in re.findall(r"[^.\[\]]+", param):
            inner = schema.get("items") if step.isdecimal() else schema.get("properties", {}).get(step)
            if inner is None:
                break
            schema = self._document.resolve(inner)
        return list(schema.get("properties", ()))


def _filled(node: Any, words: Mapping[str, Sequence[str]]) -> Any:
    """`node` with each `x-emulator-enum` replaced by the enum that it names."""
    if isinstance(node, Mapping):
        parts = {key: _filled(part, words) for key, part in node.items() if key != "x-emulator-enum"}
        if "x-emulator-enum" in node:
            parts["enum"] = [*node.get("enum", ()), *words[node["x-emulator-enum"]]]
        return parts
    return [_filled(part, words) for part in node] if isinstance(node, list) else node


def _query_schema(document: Document, item: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The names that an operation takes in its query, as the schema of an object."""
    parameters = [document.resolve(one) for one in (*item.get("parameters", ()), *node.get("parameters", ()))]
    named = {one["name"]: one["schema"] for one in parameters if one["in"] == "query"}
    return {"type": "object", "properties": named, "additionalProperties": False}


_METHODS: Final = ("get", "put", "post", "delete")
_MOST_NAMES: Final = 50
_EXPECTED: Final[Mapping[str, str]] = {
    "enum": "one of {supported}",
    "const": "{limit}",
    "type": "{type}",
    "minimum": "at least {limit}",
    "maximum": "at most {limit}",
    "minLength": "at least {limit} character(s)",
    "maxLength": "at most {limit} characters",
    "minItems": "at least {limit} item(s)",
    "minProperties": "at least {limit} of {known}",
    "maxProperties": "at most {limit} of {known}",
    "pattern": "a text that matches {limit}",
}
"""What a keyword of a schema expects, for people."""
