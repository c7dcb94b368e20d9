"""The tools of the command `mcp`: the operations of the admin API, made from its description, openapi.yaml.

A tool has the name of the operation, and its arguments are the parameters of the path and of the query, and `body`.
Operations whose answer is neither JSON nor a picture are no tools, nor those that say `x-emulator-tool: false`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from emulator.admin import description
from emulator.client.connection import PREFIX, Connection
from emulator.core import yaml_file
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote as quote_value
from emulator.core.strict_json import format_json
from emulator.core.suggestions import describe_unknown


@dataclass(frozen=True)
class Tool:
    """An operation as a tool: what a client is told of it, and how a call of it becomes a request.

    `listed` is the tool as `tools/list` shows it. `path` is below PREFIX, with its variable parts in braces;
    `path_schemas` are the schemas of these parts by name, `query` the names in the query.
    """

    name: str
    listed: Mapping[str, Any]
    method: str
    path: str
    path_schemas: Mapping[str, Mapping[str, Any]]
    query: Sequence[str]
    takes_yaml: bool
    is_picture: bool

    def call(self, connection: Connection, arguments: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the server's answer as blocks of content.

        Raises ValueError for arguments that make no request, EmulatorError where the server refuses or is not there.
        """
        path, body = self._build_path(arguments), self._take_body(arguments)
        if self.is_picture:
            return [_build_file_block(connection.fetch(path), connection.address + PREFIX + path)]
        return [{"type": "text", "text": format_json(connection.ask(self.method, path, body))}]

    def _build_path(self, arguments: Mapping[str, Any]) -> str:
        schema = self.listed["inputSchema"]
        for name in arguments:
            if name not in schema["properties"]:
                raise ValueError(describe_unknown("argument", name, schema["properties"]))
        for name in schema["required"]:
            if name not in arguments:
                raise ValueError(f"{name} is missing")
        path = self.path
        for name, part_schema in self.path_schemas.items():
            text = _format_value(name, arguments[name])
            if text in ("", ".", "..") or re.search(part_schema.get("pattern", ""), text) is None:
                # The server would take it for another path.
                raise ValueError(f"{name} is {quote_value(text)}; expected {_describe_part(part_schema)}")
            path = path.replace(f"{{{name}}}", quote(text, safe=""))
        query = {name: _format_value(name, arguments[name]) for name in self.query if name in arguments}
        if query:
            path += "?" + urlencode(query)
        return path

    def _take_body(self, arguments: Mapping[str, Any]) -> Any:
        body = arguments.get("body")
        if body is None or isinstance(body, Mapping) or (self.takes_yaml and isinstance(body, str)):
            return body
        expected = "an object or YAML" if self.takes_yaml else "an object"
        raise ValueError(f"body is {quote_value(body)}; expected {expected}")


def make_tools() -> Mapping[str, Tool]:
    """Return the tools by name, in the order of the file."""
    root = yaml_file.load_yaml(description.PATH).root
    filled = description.fill_enums(root, description.list_words(gateways=None))
    return {tool.name: tool for tool in _iter_tools(filled)}


def _iter_tools(root: Mapping[str, Any]) -> Iterator[Tool]:
    for path, path_item in root["paths"].items():
        for method, operation in path_item.items():
            if method in description.METHODS:
                types = _find_answer(root, operation).get("content", {})
                is_picture = any(name.startswith("image/") for name in types)
                if operation.get("x-emulator-tool") is not False and (is_picture or "application/json" in types):
                    parameters = [*path_item.get("parameters", ()), *operation.get("parameters", ())]
                    yield _make_tool(
                        root, method, path, parameters=parameters, operation=operation, is_picture=is_picture
                    )


def _find_answer(root: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the description of an operation's good answer, whichever of the statuses from 200 on it has."""
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            found: Mapping[str, Any] = _inline(root, answer)
            return found
    return {}


def _make_tool(
    root: Mapping[str, Any],
    method: str,
    path: str,
    *,
    parameters: Sequence[Any],
    operation: Mapping[str, Any],
    is_picture: bool,
) -> Tool:
    resolved = [_inline(root, parameter) for parameter in parameters]
    properties = {one["name"]: _describe_parameter(one) for one in resolved}
    required = [one["name"] for one in resolved if one.get("required")]
    request_body = _inline(root, operation.get("requestBody", {}))
    types = request_body.get("content", {})
    takes_yaml = "application/yaml" in types
    if types:
        properties["body"] = _describe_body(request_body, takes_yaml)
        if request_body.get("required"):
            required.append("body")
    is_reading = method == "get"
    annotations = {
        "readOnlyHint": is_reading,
        "destructiveHint": method == "delete",
        "idempotentHint": method != "post",
        "openWorldHint": False,
        **operation.get("x-emulator-tool", {}),
    }
    texts = [operation["summary"] + ".", operation.get("description", "")]
    listed = {
        "name": operation["operationId"],
        "title": operation["summary"],
        "description": " ".join(" ".join(texts).split()),
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        "annotations": annotations,
    }
    return Tool(
        name=operation["operationId"],
        listed=listed,
        method=method.upper(),
        path=path.removeprefix(PREFIX),
        path_schemas={one["name"]: properties[one["name"]] for one in resolved if one["in"] == "path"},
        query=[one["name"] for one in resolved if one["in"] == "query"],
        takes_yaml=takes_yaml,
        is_picture=is_picture,
    )


def _describe_parameter(parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of a parameter, with its description and its example."""
    schema = dict(parameter["schema"])
    if "description" in parameter:
        schema["description"] = parameter["description"]
    if "example" in parameter:
        schema["examples"] = [parameter["example"]]
    return schema


def _describe_body(request_body: Mapping[str, Any], takes_yaml: bool) -> Mapping[str, Any]:
    content = request_body["content"]["application/json"]
    schema = dict(content["schema"])
    examples = [example["value"] for example in content.get("examples", {}).values()]
    if "example" in content:
        examples.append(content["example"])
    if takes_yaml:
        schema = {"anyOf": [schema, {"type": "string", "description": "The same as YAML."}]}
    if "description" in request_body:
        schema["description"] = request_body["description"]
    if examples:
        schema["examples"] = examples
    return schema


def _inline(root: Mapping[str, Any], node: Any) -> Any:
    """Return `node` with what its references mean in their places; not all clients follow references."""
    if isinstance(node, list):
        return [_inline(root, part) for part in node]
    if not isinstance(node, Mapping):
        return node
    inlined = {key: _inline(root, part) for key, part in node.items() if key != "$ref"}
    if isinstance(node.get("$ref"), str):
        target: Any = root
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return {**_inline(root, target), **inlined}
    return inlined


def _format_value(name: str, value: Any) -> str:
    """Return a value of a path or a query as text; raises ValueError for a list or an object."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    raise ValueError(f"{name} is {quote_value(value)}; expected a text or an integer")


def _describe_part(schema: Mapping[str, Any]) -> str:
    examples = [str(example) for example in schema.get("examples", ())]
    if examples:
        return f"one such as {', '.join(examples)}"
    return "a name"


def _build_file_block(data: bytes, address: str) -> Mapping[str, Any]:
    """Return a picture as a block of content; any other file as a resource, with its address."""
    from emulator.image.files import guess_media_type

    encoded = base64.b64encode(data).decode()
    media_type = guess_media_type(data)
    if media_type.startswith("image/"):
        return {"type": "image", "data": encoded, "mimeType": media_type}
    return {"type": "resource", "resource": {"uri": address, "mimeType": media_type, "blob": encoded}}
