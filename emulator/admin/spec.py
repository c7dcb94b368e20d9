"""Validates requests for the emulator's own paths by their description, openapi.yaml, and shows the description.

The description alone says which names and values a query and a JSON body may have; what it does not know is refused
here, in one line. The file is read when it is first needed, which is after the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, Final
from urllib.parse import parse_qsl

from emulator.admin.description import METHODS, PATH, fill_enums
from emulator.admin.errors import AdminError
from emulator.core import strict_json, yaml_file
from emulator.core.json_schema import load_schema
from emulator.core.phrases import quote
from emulator.core.suggestions import describe_known, nearest_word
from emulator.gateway.openapi import Document, Parameter
from emulator.validation.schema import SchemaValidator, SchemaViolation


class AdminSpec:
    """The description of the emulator's own paths, as one server shows it."""

    def __init__(self, version: str, needs_token: bool, enums: Mapping[str, Sequence[str] | None]) -> None:
        """Read the description, and add to it what only a running server knows.

        `needs_token` says whether requests need a token, `enums` are the values of each `x-emulator-enum`.
        """
        source = yaml_file.load_yaml(PATH)
        root = fill_enums(source.root, enums)
        root["info"]["version"] = version
        if needs_token:
            root["security"].remove({})
        self._root = root
        self._paths = root["paths"]
        queries = {}
        for path_item in self._paths.values():
            for method, operation in path_item.items():
                if method in METHODS:
                    schema = _build_query_schema(Document(source, root), path_item, operation)
                    queries[operation["operationId"]] = schema
        self._document = Document(source, {**root, "x-queries": queries})
        self._validators: dict[str, SchemaValidator] = {}

    @cached_property
    def text(self) -> bytes:
        """The description as JSON, with the schema by which scenarios are judged when they are loaded."""
        components = self._root["components"]
        full_scenario = _move_references(load_schema("scenario.schema.json").root)
        schemas = {**components["schemas"], _FULL_SCENARIO: full_scenario}
        return strict_json.format_json({**self._root, "components": {**components, "schemas": schemas}}).encode()

    def parse_query(self, method: str, path: str, query: str) -> Mapping[str, Any]:
        """Return the names and values in `query`; `path` is as in the description. Raises AdminError."""
        ref = f"#/x-queries/{self._paths[path][method.lower()]['operationId']}"
        properties = self._document.look_up(ref)["properties"]
        try:
            pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_NAMES)
        except ValueError:
            raise AdminError(400, f"the query has more than {_MOST_NAMES} names") from None
        values: dict[str, Any] = {}
        for name, text in pairs:
            if name in values:
                raise AdminError(400, f"{quote(name)} is given twice in the query", name[:_LONGEST_PARAM])
            values[name] = text
            value_type = self._document.resolve(properties.get(name, {})).get("type")
            if value_type == "integer" and re.fullmatch("-?[0-9]{1,100}", text):
                values[name] = int(text)
        self._validate(ref, values, "query name")
        return values

    def validate_body(self, method: str, path: str, body: Any) -> Mapping[str, Any]:
        """Return `body` itself, if a request for `path` (as in the description) may have it; raises AdminError."""
        operation = self._paths[path][method.lower()]
        if not isinstance(body, Mapping):
            raise AdminError(400, f"the body is {quote(body)}; expected a JSON object")
        self._validate(operation["requestBody"]["content"]["application/json"]["schema"]["$ref"], body, "key")
        return body

    def _validate(self, ref: str, values: Mapping[str, Any], noun: str) -> None:
        """Raise AdminError unless `values` keeps the schema at `ref`; `noun` is the word for its names."""
        for name, parameter in self._document.read_parameters(self._document.look_up(ref)).items():
            most, items = parameter.get("maxItems"), values.get(name)
            if most is not None and isinstance(items, list) and len(items) > most.value:
                # Before each item is validated: a body has room for hundreds of thousands.
                raise AdminError(400, f"{name} has {len(items)} items; expected at most {most.value}", name)
        if ref not in self._validators:
            self._validators[ref] = SchemaValidator(self._document, ref)
        violation = next(iter(self._validators[ref].find_violations(values)), None)
        if violation is not None:
            raise AdminError(400, self._explain(ref, violation, noun), violation.param[:_LONGEST_PARAM] or None)

    def _explain(self, ref: str, violation: SchemaViolation, noun: str) -> str:
        """Return a violation in one line: what was read, what was expected, the known words and the nearest of them."""
        param = violation.param or "the body"
        if violation.violation == "unknown_parameter":
            name = param.rpartition(".")[2]
            return f"unknown {noun} {quote(param)}; {describe_known(name, self._list_known(ref, param))}"
        if violation.violation == "missing":
            return f"{param} is missing"
        parameter = self._document.read_parameters(self._document.look_up(ref)).get(param, {})
        text = f"{param} is {quote(violation.value)}; expected {self._describe_expected(ref, violation, parameter)}"
        if "enum" in parameter and isinstance(violation.value, str):
            words = [word for word in parameter["enum"].value if isinstance(word, str)]
            nearest = nearest_word(violation.value, words)
            if nearest is not None:
                text += f"; did you mean {nearest!r}?"
        return text

    def _describe_expected(self, ref: str, violation: SchemaViolation, parameter: Parameter) -> str:
        keyword, _, limit = violation.rule.partition(": ")
        if keyword == "pattern" and "examples" in parameter:
            return f"one such as {', '.join(parameter['examples'].value)}"
        facts = {
            "limit": limit,
            "supported": violation.facts.get("supported"),
            "known": ", ".join(self._list_known(ref, "")),
            "type": violation.facts.get("expected", "").removeprefix("one of "),
        }
        return _EXPECTED.get(keyword, keyword + " {limit}").format(**facts)

    def _list_known(self, ref: str, param: str) -> Sequence[str]:
        """Return the names that the object around `param` (such as `calls[0].x`) may have."""
        schema = self._document.look_up(ref)
        for step in re.findall(r"[^.\[\]]+", param):
            inner = schema.get("properties", {}).get(step)
            if step.isdecimal():
                inner = schema.get("items")
            if inner is None:
                break
            schema = self._document.resolve(inner)
        return list(schema.get("properties", ()))


def _move_references(node: Any) -> Any:
    """Return the schema of scenarios with references that are right where the description has it.

    What is a JSON Schema itself is described as an object: a client should not have to fetch the schema of schemas.
    """
    if isinstance(node, list):
        return [_move_references(part) for part in node]
    if not isinstance(node, Mapping):
        return node
    moved = {key: _move_references(part) for key, part in node.items() if key not in ("$schema", "errorMessage")}
    if str(node.get("$ref", "")).startswith("https:"):
        del moved["$ref"]
        moved["type"] = "object"
    elif isinstance(node.get("$ref"), str):
        moved["$ref"] = node["$ref"].replace("#/", f"#/components/schemas/{_FULL_SCENARIO}/", 1)
    return moved


def _build_query_schema(
    document: Document, path_item: Mapping[str, Any], operation: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the query of an operation as the schema of an object."""
    parameters = [*path_item.get("parameters", ()), *operation.get("parameters", ())]
    resolved = [document.resolve(parameter) for parameter in parameters]
    properties = {parameter["name"]: parameter["schema"] for parameter in resolved if parameter["in"] == "query"}
    return {"type": "object", "properties": properties, "additionalProperties": False}


_FULL_SCENARIO: Final = "FullScenario"
_MOST_NAMES: Final = 50  # in a query; the longest that is described has ten
_LONGEST_PARAM: Final = 100  # characters of a name from the network that an error repeats
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
"""The text for what each keyword of a schema expects."""
