"""Reads any OpenAPI file, 3.0 or 3.1: finds its operations about images, and notes what is odd in it.

An oddity becomes a finding and the file is served all the same; what would leave a rule unchecked raises InvalidFile.
A file of OpenAPI 3.0 is translated, so that the rest of the package knows only JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from emulator.core import json_schema
from emulator.core.data_folders import is_shipped_schema
from emulator.core.light_dataclass import dataclass
from emulator.core.parse_cache import load_yaml_once
from emulator.core.phrases import shorten_text
from emulator.core.schema_keywords import KEYWORDS, is_keyword, iter_schemas
from emulator.core.suggestions import nearest_word
from emulator.core.yaml_file import Pointer, YamlFile, describe_value
from emulator.findings import Finding
from emulator.messages import OperationName


@dataclass(frozen=True)
class Keyword:
    """One keyword of a parameter's schema, and the source of the rule: documented, observed, assumed, or None."""

    value: Any
    source: str | None


Parameter = Mapping[str, Keyword]
"""A parameter's schema by keyword, with every `$ref` and `allOf` merged."""


@dataclass(frozen=True)
class FoundOperation:
    """An operation about images: its place in the file, and the path under which it is served.

    `query` leads to the schema of its query parameters, as the members of an object; None where it has none.
    """

    name: OperationName
    method: str
    path: str
    pointer: Pointer
    node: Mapping[str, Any]
    query: str | None = None


@dataclass(frozen=True)
class Document:
    """An OpenAPI file. `root` is its content in the words of 3.1, whatever the version of the file.

    `odd_keywords` are the places where a file of 3.0 has keywords of another version.
    """

    file: YamlFile
    root: Mapping[str, Any]
    odd_keywords: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the gateway: the file's name without its ending."""
        return self.file.path.stem

    def resolve(self, node: Any, pointer: Pointer = ()) -> Any:
        """Return `node`, or what its `$ref` leads to, which must be inside the file. Raises InvalidFile."""
        followed: set[str] = set()
        while isinstance(node, dict) and isinstance(node.get("$ref"), str):
            ref = node["$ref"]
            if ref in followed:
                raise self.file.error_at([*pointer, "$ref"], f"$ref {ref!r} leads back to itself")
            followed.add(ref)
            node = self.look_up(ref, [*pointer, "$ref"])
        return node

    def look_up(self, ref: str, pointer: Pointer = ()) -> Any:
        """Return the node to which `ref` (`#/…`) leads; `pointer` is where the `$ref` stands. Raises InvalidFile."""
        if ref in self._nodes:
            return self._nodes[ref]
        if not ref.startswith("#/"):
            raise self.file.error_at(pointer, f"$ref {ref!r} leads outside the file; bundle it first, then use #/…")
        node = self._walk(ref)
        if node is None:
            node = self._ask_library(ref, pointer)
        self._nodes[ref] = node
        return node

    def _walk(self, ref: str) -> Any:
        """Return the node to which `ref` leads by the keys of mappings; None where it does not.

        Most references are such. The library `referencing` knows the others, but its import takes 20 ms.
        """
        if "%" in ref:
            return None
        node: Any = self.root
        for step in ref[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, dict) or key not in node:
                return None
            node = node[key]
        return node

    def _ask_library(self, ref: str, pointer: Pointer) -> Any:
        from referencing.exceptions import Unresolvable

        try:
            return self._resolver.lookup(ref).contents
        except (Unresolvable, ValueError):  # ValueError: a step into a list that is no number
            raise self.file.error_at(pointer, f"$ref {ref!r} leads nowhere") from None

    @cached_property
    def _nodes(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _resolver(self) -> Any:
        from referencing import Registry, Resource
        from referencing.jsonschema import DRAFT202012

        resource: Resource[Any] = DRAFT202012.create_resource(self.root)
        return Registry[Any]().resolver_with_root(resource)

    def find_request_schema(self, node: Mapping[str, Any], media_type: str) -> Any:
        """Return the schema of the bodies of `media_type` that the operation `node` takes; None where it takes none."""
        body = self.resolve(node.get("requestBody") or {})
        if not isinstance(body, dict):
            return None
        media = (body.get("content") or {}).get(media_type)
        if not isinstance(media, dict):
            return None
        return media.get("schema")

    def find_annotation(self, schema: Any, key: str) -> Any:
        """Return the vendor key `key` of `schema`, else of the nearest schema that it refers to; None without one."""
        while isinstance(schema, dict):
            if key in schema:
                return schema[key]
            if "$ref" not in schema:
                return None
            schema = self.look_up(schema["$ref"])
        return None

    def list_required(self, schema: Any) -> frozenset[str]:
        """Return the names of the parameters that `schema` requires."""
        names = [name for part in self.iter_parts(schema) for name in part.get("required", ())]
        return frozenset(name for name in names if isinstance(name, str))

    def read_parameters(self, schema: Any) -> Mapping[str, Parameter]:
        """Return the parameters that `schema` knows, in the order of the file."""
        found: dict[str, dict[str, Keyword]] = {}
        for part in self.iter_parts(schema):
            for name, body in part.get("properties", {}).items():
                found.setdefault(name, {}).update(self._read_keywords(body))
        return found

    def _read_keywords(self, body: Any) -> Parameter:
        """Return a parameter's schema by keyword; what many models refer to is read once."""
        if not isinstance(body, dict) or body.keys() != _REFERENCE:
            return self._merge_keywords(body)
        ref = body["$ref"]
        if ref not in self._parameters:
            self._parameters[ref] = self._merge_keywords(body)
        return self._parameters[ref]

    @cached_property
    def _parameters(self) -> dict[str, Parameter]:
        return {}

    def iter_parts(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """Yield `schema` and the schemas that it includes by `$ref` and `allOf`, the included first."""
        if isinstance(schema, dict):
            if "$ref" in schema:
                yield from self.iter_parts(self.look_up(schema["$ref"]))
            for part in schema.get("allOf", ()):
                yield from self.iter_parts(part)
            yield schema

    def _merge_keywords(self, schema: Any) -> Mapping[str, Keyword]:
        merged: dict[str, Keyword] = {}
        inherited = None
        for part in self.iter_parts(schema):
            source = part.get("x-emulator-source", inherited)
            if isinstance(source, str):
                inherited = source
            for key, value in part.items():
                if key not in ("$ref", "allOf", "x-emulator-source"):
                    own = source.get(key, inherited) if isinstance(source, dict) else source
                    merged[key] = Keyword(value, own)
        return merged

    @cached_property
    def base(self) -> str:
        """The path that `servers` puts before the path of every operation."""
        server = next(iter(self.servers), "")
        return urlsplit(server).path.rstrip("/")

    @cached_property
    def servers(self) -> list[str]:
        """The URLs of the servers, with the defaults of their variables filled in."""
        urls = []
        for server in self.root.get("servers") or []:
            url = str(server.get("url", ""))
            for name, variable in server.get("variables", {}).items():
                url = url.replace("{" + name + "}", str(variable.get("default", "")))
            urls.append(url)
        return urls

    @cached_property
    def operations(self) -> list[FoundOperation]:
        """The operations about images."""
        found = []
        for method, path, node in self._iter_operations():
            name = self._name_operation(node, method, path)
            if name is not None:
                operation = FoundOperation(
                    name=name,
                    method=method.upper(),
                    path=self.base + path,
                    pointer=["paths", path, method],
                    node=node,
                    query=self._find_query(f"{method} {path}"),
                )
                found.append(operation)
        return found

    def _find_query(self, place: str) -> str | None:
        """Return what leads to the schema of the query of the operation `place`, such as "get /models"."""
        name = _name_query(place)
        if name not in self.root.get(_QUERIES, ()):
            return None
        return f"#/{_QUERIES}/{name}"

    def list_parameters(self, path: str, node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """Return the parameters of an operation beside its body, those that its path has for every method first."""
        item = self.resolve((self.root.get("paths") or {}).get(path) or {})
        found = map(self.resolve, [*(item.get("parameters") or ()), *(node.get("parameters") or ())])
        return [parameter for parameter in found if isinstance(parameter, dict)]

    def with_query_schemas(self) -> Document:
        """Return the document with a schema for the query of each operation that has query parameters."""
        schemas = {}
        for method, path, node in self._iter_operations():
            listed = [one for one in self.list_parameters(path, node) if one.get("in") == "query" and "name" in one]
            if listed:
                schemas[_name_query(f"{method} {path}")] = {
                    "type": "object",
                    "required": [one["name"] for one in listed if one.get("required") is True],
                    "properties": {one["name"]: _translate_schema(one.get("schema") or {}, path, []) for one in listed},
                }
        if not schemas:
            return self
        return replace(self, root={**self.root, _QUERIES: schemas})

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What is odd in the file."""
        return tuple(_list_findings(self))

    def list_left_out(self) -> list[str]:
        """Return the operations that are not about images, as METHOD /path."""
        taken = {id(one.node) for one in self.operations}
        return [f"{method.upper()} {path}" for method, path, node in self._iter_operations() if id(node) not in taken]

    def _iter_operations(self) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """Yield every operation of the file: its method, its path and its node."""
        for path, item in (self.root.get("paths") or {}).items():
            path_item = self.resolve(item, ["paths", path])
            if isinstance(path_item, dict):
                for method in _METHODS:
                    if isinstance(path_item.get(method), dict):
                        yield method, path, path_item[method]

    def _name_operation(self, node: Mapping[str, Any], method: str, path: str) -> OperationName | None:
        """Return what an operation does, by `x-emulator-operation` or by its path; None: nothing with images."""
        name: OperationName | None = node.get("x-emulator-operation")
        if name is not None:
            return name
        ending = path.rstrip("/")
        for known, verb, end in _KNOWN_ENDINGS:
            if method == verb and ending.endswith(end):
                # Pictures come in a form, and to edits also in JSON: an operation without them does something else.
                bodies = _BODIES_OF_PICTURES.get(known)
                if bodies is None or any(self.find_request_schema(node, body) is not None for body in bodies):
                    return known
                return None
        return None


def _name_query(place: str) -> str:
    """Return the name of the schema of a query: letters and digits alone, since not each engine escapes references."""
    return place.encode().hex()


def load_document(path: Path) -> Document:
    """Return the OpenAPI document at `path`; raises InvalidFile where the file is none.

    Vendor keys are checked by `check_vendor_keys`.
    """
    file = load_yaml_once(path, aliases=True)
    root = file.root
    if not isinstance(root, dict):
        raise file.error_at([], f"{describe_value(root)} is no OpenAPI document")
    version = str(root.get("openapi", root.get("swagger")))
    odd_keywords: list[str] = []
    if version.startswith("3.0"):
        root, odd_keywords = translate_document(root)
    elif not version.startswith("3.1"):
        raise file.error_at(["openapi"], f"version {version!r} is not supported; expected openapi: 3.0.x or 3.1.x")
    if "x-emulator-source" in file.text and not is_shipped_schema(path):  # the files that ship say it everywhere
        from emulator.gateway.schema_sources import spread_sources

        root = spread_sources(root)
    return Document(file, root, tuple(odd_keywords)).with_query_schemas()


def check_vendor_keys(file: YamlFile) -> None:
    """Raise InvalidFile where a vendor key is unknown, stands in the wrong place, or has a value that it cannot have.

    `gateway.schema.json` says what is known. Only the nodes that have vendor keys are validated: a whole OpenAPI file
    may have a hundred thousand nodes, and jsonschema takes some 10 microseconds for each.
    """
    schema = json_schema.load_schema("gateway.schema.json")
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), file.root)]
    while waiting:
        pointer, node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(((*pointer, index), item) for index, item in enumerate(node))
        elif isinstance(node, dict):
            inner = [((*pointer, key), value) for key, value in node.items() if not _is_vendor_key(key)]
            if len(inner) < len(node):
                schema.validate(file, pointer, definition=_name_definition(pointer))
            waiting.extend(reversed(inner))


def _is_vendor_key(key: Any) -> bool:
    return isinstance(key, str) and key.startswith("x-emulator-")


def _name_definition(pointer: tuple[str | int, ...]) -> str:
    """Return the definition in `gateway.schema.json` of the vendor keys that may stand at `pointer`."""
    match pointer:
        case ():
            return "document_keys"
        case ("paths", _, method) if method in _METHODS:
            return "operation_keys"
        case ("components", "pathItems", _, method) if method in _METHODS:
            return "operation_keys"
        case ("components", "securitySchemes", _):
            return "security_scheme_keys"
        case _:
            return "schema_keys"


def _list_findings(document: Document) -> Iterator[Finding]:
    """Yield what is odd in the parts of a file that are read but need not be right."""
    if document.odd_keywords:
        note = f"`examples` in OpenAPI 3.0: {_shorten_list(document.odd_keywords, 3)}"
        yield Finding("keyword_of_another_version", note)
    root = document.root
    info = root.get("info")
    if not (isinstance(info, dict) and info.get("title")):
        yield Finding("empty_title", f"info.title is empty; {document.name} is used instead")
    if not any(document.servers):
        yield Finding("no_servers", "servers is empty, so no host leads to this gateway")
    schemes = (root.get("components") or {}).get("securitySchemes") or {}
    for name, scheme in schemes.items():
        kind = scheme.get("type") if isinstance(scheme, dict) else None
        if kind not in _SECURITY_TYPES:
            note = f"securitySchemes.{name}.type is {kind!r}; read as http bearer"
            yield Finding("unknown_security_type", note)
    yield from _list_unknown_keywords(document)
    left_out = document.list_left_out()
    if left_out:
        yield Finding("operation_left_out", f"{len(left_out)} not about images: {_shorten_list(left_out, 5)}")
    unchecked = _list_unchecked(document)
    if unchecked:
        yield Finding("not_checked", f"in the file, and not checked: {_shorten_list(unchecked, 5)}")
    for name in _list_required_schemes(document):
        if name not in schemes:
            note = f"security names {name!r}, which securitySchemes does not define"
            yield Finding("unknown_security_scheme", note)


def _list_unknown_keywords(document: Document) -> Iterator[Finding]:
    """Yield a finding for each keyword in the schemas of requests that JSON Schema does not know."""
    if is_shipped_schema(document.file.path):  # the tests have found none
        return
    places: dict[str, list[Pointer]] = {}
    for place, schema in iter_request_schemas(document):
        for word in schema:
            if not is_keyword(word):
                places.setdefault(str(word), []).append([*place, word])
    words = list(places)[:_MOST_KEYWORDS]
    if not words:  # to find a line, the file is parsed once more
        return
    lines = document.file.find_lines([places[word][0] for word in words])
    for word, line in zip(words, lines, strict=True):
        note = f"{shorten_text(word, _LONGEST_WORD)!r} in line {line}"
        if len(places[word]) > 1:
            note += f" and {len(places[word]) - 1} more"
        note += " is no keyword of JSON Schema, so it checks nothing"
        nearest = nearest_word(word, KEYWORDS)
        if nearest is not None:
            note += f"; did you mean {nearest!r}?"
        yield Finding("unknown_keyword", note)
    if len(places) > len(words):
        note = f"{len(places) - len(words)} more words that are no keywords of JSON Schema"
        yield Finding("unknown_keyword", note)


def iter_request_schemas(document: Document) -> Iterator[tuple[Pointer, Mapping[Any, Any]]]:
    """Yield each schema of a body or a query of the operations, with its place, once."""
    waiting: list[tuple[Pointer, Any]] = []
    for operation in document.operations:
        for media_type in (JSON, FORM):
            schema = document.find_request_schema(operation.node, media_type)
            waiting.append(([*operation.pointer, "requestBody", "content", media_type, "schema"], schema))
        if operation.query is not None:
            waiting.append(([*operation.pointer, "parameters"], document.look_up(operation.query)))
    followed: set[str] = set()
    while waiting:
        pointer, root = waiting.pop(0)
        for place, schema in iter_schemas(root, tuple(pointer)):
            yield list(place), schema
            for ref in _list_references(schema):
                if ref not in followed:
                    followed.add(ref)
                    waiting.append((ref.removeprefix("#/").split("/"), document.look_up(ref)))


def _list_references(schema: Mapping[Any, Any]) -> list[str]:
    """Return the references to other schemas that stand in `schema`: its own, and those of models."""
    references = [schema.get("$ref")]
    discriminator = schema.get("discriminator")
    if isinstance(discriminator, Mapping) and isinstance(discriminator.get("mapping"), Mapping):
        references += discriminator["mapping"].values()
    models = schema.get("x-emulator-models")
    if isinstance(models, Mapping):
        references.append(models.get("otherwise"))
    return [ref for ref in references if isinstance(ref, str) and ref.startswith("#/")]


def _list_required_schemes(document: Document) -> list[str]:
    """Return the names of the security schemes that the file and its operations require."""
    required = list(document.root.get("security") or [])
    for operation in document.operations:
        required += operation.node.get("security") or []
    return list(dict.fromkeys(name for requirement in required for name in requirement))


def _list_unchecked(document: Document) -> list[str]:
    """Return the parts of requests that the operations describe, and that are not checked."""
    found = []
    for operation in document.operations:
        path = str(operation.pointer[1])
        where = f"{operation.method} {path}"
        for parameter in document.list_parameters(path, operation.node):
            place, name = parameter.get("in"), str(parameter.get("name"))
            if place == "cookie" or (place == "header" and name.lower() not in _OWN_HEADERS):
                found.append(f"{place} {name} of {where}")
        body = document.resolve(operation.node.get("requestBody") or {})
        if isinstance(body, dict):
            kinds = [kind for kind in body.get("content") or () if kind not in (JSON, FORM)]
            found.extend(f"{kind} of {where}" for kind in kinds)
    return found


def _shorten_list(names: Sequence[str], longest: int) -> str:
    shown = ", ".join(names[:longest])
    if len(names) > longest:
        shown += ", …"
    return shown


def translate_document(root: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[str]]:
    """Return `root`, a document of OpenAPI 3.0, with its schemas in the words of JSON Schema 2020-12.

    Only schemas change: those under `components` and those of request bodies. Also returns the places of `examples`,
    a keyword of schemas that 3.0 does not have.
    """
    odd: list[str] = []
    components = dict(root.get("components") or {})
    schemas = components.get("schemas") or {}
    components["schemas"] = {
        name: _translate_schema(schema, f"components.schemas.{name}", odd) for name, schema in schemas.items()
    }
    paths = {path: _translate_path_item(item, path, odd) for path, item in (root.get("paths") or {}).items()}
    bodies = components.get("requestBodies")
    if isinstance(bodies, dict):
        components["requestBodies"] = {name: _translate_body(body, name, odd) for name, body in bodies.items()}
    return {**root, "components": components, "paths": paths}, odd


def _translate_path_item(item: Any, path: str, odd: list[str]) -> Any:
    if not isinstance(item, dict):
        return item
    translated = dict(item)
    for method in _METHODS:
        operation = item.get(method)
        if isinstance(operation, dict) and operation.get("requestBody") is not None:
            body = _translate_body(operation["requestBody"], f"{method} {path}", odd)
            translated[method] = {**operation, "requestBody": body}
    return translated


def _translate_body(body: Any, where: str, odd: list[str]) -> Any:
    if not isinstance(body, dict) or not isinstance(body.get("content"), dict):
        return body
    content = {}
    for media_type, media in body["content"].items():
        content[media_type] = {**media, "schema": _translate_schema(media.get("schema", {}), where, odd)}
    return {**body, "content": content}


def _translate_schema(schema: Any, where: str, odd: list[str]) -> Any:
    """Return a schema of 3.0, and all below it, in the words of 2020-12; adds to `odd` the places of `examples`."""
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}  # 3.0 ignores what stands beside a $ref
    translated = {key: value for key, value in schema.items() if key not in ("nullable", "example", "examples")}
    if "examples" in schema:
        odd.append(where)
    properties = translated.get("properties")
    if isinstance(properties, dict):
        translated["properties"] = {
            name: _translate_schema(part, f"{where}.{name}", odd) for name, part in properties.items()
        }
    for key in ("items", "additionalProperties", "not"):
        if key in translated:
            translated[key] = _translate_schema(translated[key], where, odd)
    for key in ("allOf", "anyOf", "oneOf"):
        if isinstance(translated.get(key), list):
            translated[key] = [_translate_schema(part, where, odd) for part in translated[key]]
    _translate_bounds(translated)
    if schema.get("nullable") is True:
        return _allow_null(translated)
    return translated


def _translate_bounds(schema: dict[str, Any]) -> None:
    """Turn 3.0's boolean exclusiveMinimum and exclusiveMaximum into the numbers of 2020-12, in `schema` itself."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
            schema[exclusive] = schema.pop(bound)


def _allow_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(schema.get("type"), str):
        return {"anyOf": [schema, {"type": "null"}]}
    changes: dict[str, Any] = {"type": [schema["type"], "null"]}
    if "enum" in schema and None not in schema["enum"]:
        changes["enum"] = [*schema["enum"], None]
    return {**schema, **changes}


def escape_step(step: str | int) -> str:
    """Return a step of a JSON pointer as it stands in a `$ref`."""
    return str(step).replace("~", "~0").replace("/", "~1")


_MOST_KEYWORDS: Final = 10  # unknown ones that are told one by one
_LONGEST_WORD: Final = 60  # characters of an unknown keyword that a finding shows
_QUERIES: Final = "x-query-schemas"
"""Where the schemas of queries are added to a document: OpenAPI has them one by one, not as an object's."""
JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
_OWN_HEADERS: Final = ("authorization", "content-type", "accept")
"""Headers of which OpenAPI says that a parameter of that name means nothing."""
_REFERENCE: Final = {"$ref"}
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SECURITY_TYPES: Final = ("apiKey", "http", "mutualTLS", "oauth2", "openIdConnect")
_KNOWN_ENDINGS: Final[tuple[tuple[OperationName, str, str], ...]] = (
    ("generate", "post", "/images/generations"),
    ("edit", "post", "/images/edits"),
    ("vary", "post", "/images/variations"),
    ("models", "get", "/models"),
)
_BODIES_OF_PICTURES: Final[Mapping[OperationName, tuple[str, ...]]] = {"edit": (FORM, JSON), "vary": (FORM,)}
