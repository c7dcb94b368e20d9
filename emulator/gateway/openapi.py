"""Reads an OpenAPI file, 3.0 or 3.1, ours or anybody's, and says what in it is about images and what is wrong with it.

What is merely odd becomes a finding and the file still serves; what would leave a rule unchecked raises InvalidFile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from emulator.core import yaml_file
from emulator.core.yaml_file import Pointer
from emulator.findings import Finding
from emulator.gateway import openapi_3_0
from emulator.messages import OPERATIONS, SOURCES, VIOLATIONS, OperationName


@dataclass(frozen=True)
class Keyword:
    """One line of a parameter's schema, and where the rule comes from (None: the file does not say)."""

    value: Any
    source: str | None


Parameter = Mapping[str, Keyword]
"""A parameter's schema, with every `$ref` and `allOf` merged: keyword by keyword."""


@dataclass(frozen=True)
class FoundOperation:
    """An operation about images, where it stands in the file and under which path it is served."""

    name: OperationName
    method: str
    path: str
    pointer: Pointer
    node: Mapping[str, Any]


@dataclass
class Document:
    """An OpenAPI file; `root` is in terms of 3.1 whatever the file's own version."""

    source: yaml_file.Source
    root: Mapping[str, Any]
    findings: list[Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The gateway's name: the file's stem."""
        return self.source.path.stem

    def resolve(self, node: Any, pointer: Pointer = ()) -> Any:
        """`node`, or what its `$ref` leads to; only references inside the file are followed."""
        seen: set[str] = set()
        while isinstance(node, Mapping) and isinstance(ref := node.get("$ref"), str):
            if ref in seen:
                raise self.source.fault([*pointer, "$ref"], f"$ref {ref!r} leads back to itself")
            seen.add(ref)
            node = self.at(ref, [*pointer, "$ref"])
        return node

    def at(self, ref: str, pointer: Pointer = ()) -> Any:
        """What the reference `ref` (`#/…`) leads to."""
        if not ref.startswith("#/"):
            raise self.source.fault(pointer, f"$ref {ref!r} leads outside the file; bundle it first, then use #/…")
        node: Any = self.root
        for step in ref[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
            if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
                node = node[int(key)]
            elif isinstance(node, Mapping) and key in node:
                node = node[key]
            else:
                raise self.source.fault(pointer, f"$ref {ref!r} leads nowhere ({step!r} is not there)")
        return node

    def request_schema(self, node: Mapping[str, Any], media_type: str) -> Any:
        """The schema of the bodies of `media_type` that the operation `node` takes; None where it takes none."""
        body = self.resolve(node.get("requestBody") or {})
        said = (body.get("content") or {}).get(media_type) if isinstance(body, Mapping) else None
        return said.get("schema") if isinstance(said, Mapping) else None

    def annotation(self, schema: Any, key: str) -> Any:
        """What `schema`, or what it refers to, says under the vendor key `key`; the nearest one counts."""
        while isinstance(schema, Mapping):
            if key in schema:
                return schema[key]
            if "$ref" not in schema:
                return None
            schema = self.at(schema["$ref"])
        return None

    def required(self, schema: Any) -> frozenset[str]:
        """The names of the parameters that `schema` insists on."""
        return frozenset(
            name for part in self.parts(schema) for name in part.get("required", ()) if isinstance(name, str)
        )

    def parameters(self, schema: Any) -> Mapping[str, Parameter]:
        """The parameters that `schema` knows, in the order in which the file gives them."""
        found: dict[str, dict[str, Keyword]] = {}
        for part in self.parts(schema):
            for name, body in part.get("properties", {}).items():
                found.setdefault(name, {}).update(self._keywords(body))
        return found

    def parts(self, schema: Any) -> Iterator[Mapping[str, Any]]:
        """`schema` and what it unconditionally includes, the included first."""
        if isinstance(schema, Mapping):
            if "$ref" in schema:
                yield from self.parts(self.at(schema["$ref"]))
            for part in schema.get("allOf", ()):
                yield from self.parts(part)
            yield schema

    def _keywords(self, schema: Any) -> Mapping[str, Keyword]:
        merged: dict[str, Keyword] = {}
        inherited = None
        for part in self.parts(schema):
            source = part.get("x-emulator-source", inherited)
            inherited = source if isinstance(source, str) else inherited
            for key, value in part.items():
                if key not in ("$ref", "allOf", "x-emulator-source"):
                    own = source.get(key, inherited) if isinstance(source, Mapping) else source
                    merged[key] = Keyword(value, own)
        return merged

    @cached_property
    def base(self) -> str:
        """The path that `servers` puts in front of every operation's."""
        server = next(iter(self.servers), "")
        return urlsplit(server).path.rstrip("/")

    @property
    def servers(self) -> list[str]:
        """The servers' URLs, with their variables' defaults filled in."""
        urls = []
        for server in self.root.get("servers") or []:
            url = str(server.get("url", ""))
            for name, variable in server.get("variables", {}).items():
                url = url.replace("{" + name + "}", str(variable.get("default", "")))
            urls.append(url)
        return urls

    @cached_property
    def operations(self) -> list[FoundOperation]:
        """The operations about images; the others are counted in a finding."""
        found, left_out = [], []
        for path, request in (self.root.get("paths") or {}).items():
            item = self.resolve(request, ["paths", path])
            for method in _METHODS:
                if isinstance(item, Mapping) and isinstance(node := item.get(method), Mapping):
                    pointer = ["paths", path, method]
                    if name := self._operation_name(node, method, path, pointer):
                        found.append(FoundOperation(name, method.upper(), self.base + path, pointer, node))
                    else:
                        left_out.append(f"{method.upper()} {path}")
        if left_out:
            shown = ", ".join(left_out[:5]) + (", …" if len(left_out) > 5 else "")
            self.findings.append(Finding("operation_left_out", f"{len(left_out)} not about images: {shown}"))
        return found

    def _operation_name(
        self, node: Mapping[str, Any], method: str, path: str, pointer: Pointer
    ) -> OperationName | None:
        if (said := node.get("x-emulator-operation")) is not None:
            if said not in OPERATIONS:
                where = [*pointer, "x-emulator-operation"]
                raise self.source.fault(where, f"unknown operation {said!r}; known are {', '.join(OPERATIONS)}")
            name: OperationName = said
            return name
        ending = path.rstrip("/")
        for known, verb, end in _KNOWN_ENDINGS:
            if method == verb and ending.endswith(end):
                # Pictures are edited in a form; whoever describes none has something else in mind.
                return known if known in _WITHOUT_FORMS or self.request_schema(node, _FORM) is not None else None
        return None


def read(path: Path) -> Document:
    """The OpenAPI document at `path`; raises InvalidFile where it is none or has an unknown vendor key."""
    source = yaml_file.read(path, aliases=True)
    root = source.root
    if not isinstance(root, Mapping):
        raise source.fault([], f"{yaml_file.describe(root)} is no OpenAPI document")
    version = str(root.get("openapi", root.get("swagger")))
    if not version.startswith(("3.0", "3.1")):
        raise source.fault(["openapi"], f"version {version!r} is not supported; expected openapi: 3.0.x or 3.1.x")
    _refuse_unknown_vendor_keys(source)
    document = Document(source, root)
    if version.startswith("3.0"):
        document.root, odd = openapi_3_0.modernised(root, _METHODS)
        if odd:
            shown = ", ".join(odd[:3]) + (", …" if len(odd) > 3 else "")
            note = f"`examples` in OpenAPI 3.0: {shown}"
            document.findings.append(Finding("keyword_of_another_version", note))
    _look_over(document)
    return document


def _refuse_unknown_vendor_keys(source: yaml_file.Source) -> None:
    waiting: list[tuple[list[str | int], Any]] = [([], source.root)]
    while waiting:
        pointer, node = waiting.pop()
        if isinstance(node, Mapping):
            _refuse_unknown_vendor_words(source, pointer, node)
            for key, value in node.items():
                if isinstance(key, str) and key.startswith("x-emulator-") and key not in VENDOR_KEYS:
                    known = ", ".join(VENDOR_KEYS)
                    raise source.fault([*pointer, key], f"unknown key {key!r}; known are {known}")
                waiting.append(([*pointer, key], value))
        elif isinstance(node, list):
            waiting.extend(([*pointer, index], item) for index, item in enumerate(node))


def _refuse_unknown_vendor_words(source: yaml_file.Source, pointer: Pointer, node: Mapping[str, Any]) -> None:
    """Refuse a source or a breach that does not exist."""
    for key, words in (("x-emulator-source", SOURCES), ("x-emulator-breach", VIOLATIONS)):
        said = node.get(key)
        for word in said.values() if isinstance(said, Mapping) else [] if said is None else [said]:
            if word not in words:
                message = f"unknown word {yaml_file.describe(word)} in {key}; known are {', '.join(words)}"
                raise source.fault([*pointer, key], message)


def _look_over(document: Document) -> None:
    """Note what is odd in the parts that are read but need not be right."""
    root, note = document.root, document.findings.append
    if not (isinstance(info := root.get("info"), Mapping) and info.get("title")):
        note(Finding("empty_title", f"info.title is empty; {document.name} is used instead"))
    if not any(document.servers):
        note(Finding("no_servers", "servers is empty, so no host picks this gateway"))
    schemes = (root.get("components") or {}).get("securitySchemes") or {}
    for name, scheme in schemes.items():
        kind = scheme.get("type") if isinstance(scheme, Mapping) else None
        if kind not in _SECURITY_TYPES:
            note(Finding("unknown_security_type", f"securitySchemes.{name}.type is {kind!r}; read as http bearer"))
    named = [name for requirement in root.get("security") or [] for name in requirement]
    for operation in document.operations:
        named += [name for requirement in operation.node.get("security") or [] for name in requirement]
    for name in dict.fromkeys(named):
        if name not in schemes:
            note(Finding("unknown_security_scheme", f"security names {name!r}, which securitySchemes does not define"))


VENDOR_KEYS: Final = {
    "x-emulator-gateway": "at the root: hosts, wording, spelling, calendar, ids, and how keys and bodies are read",
    "x-emulator-channels": "at the root: what becomes of replies, by the kind of channel, and which kind is the usual",
    "x-emulator-tasks": "at the root: the ids of tasks, and what is told of one while it waits, runs and has ended",
    "x-emulator-operation": "in an operation: generate, edit, vary, models, model or task",
    "x-emulator-task": "in an operation that makes pictures: always, or the parameter that asks for a task",
    "x-emulator-ended": "in an operation: the day from which its path is unknown, where a calendar counts",
    "x-emulator-redirect": "in an operation: the status that sends a client to the same path without its last slash",
    "x-emulator-spelled": "in a security scheme: the spellings of its name that are understood, else any case",
    "x-emulator-models": "beside a discriminator: which model is meant when none, or an unlisted one, is named",
    "x-emulator-reply": "in a model's request schema: the shape of the reply",
    "x-emulator-judging": "in a model's request schema: `types: first`, and the schema of the `upstream` behind it",
    "x-emulator-source": "where a rule comes from: documented, observed or assumed; or a mapping of keyword to that",
    "x-emulator-breach": "a mapping of keyword to the word for its breach, where the usual one does not fit",
    "x-emulator-ignored": "in a parameter: true where it is allowed but has no effect",
    "x-emulator-size": "in a parameter: the arithmetic of sizes, where a model has no list: step, edge, pixels, ratio",
    "x-emulator-picture": "in a parameter of an edit: what its file has to be; formats, bytes, alpha, fits and others",
    "x-emulator-means": "in a parameter: a mapping of a value, as JSON text, to the value that it stands for",
    "x-emulator-absent": "in a parameter: a list of values that count as not given",
}
_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SECURITY_TYPES: Final = ("apiKey", "http", "mutualTLS", "oauth2", "openIdConnect")
_KNOWN_ENDINGS: Final[tuple[tuple[OperationName, str, str], ...]] = (
    ("generate", "post", "/images/generations"),
    ("edit", "post", "/images/edits"),
    ("vary", "post", "/images/variations"),
    ("models", "get", "/models"),
)
_WITHOUT_FORMS: Final = ("generate", "models")
_FORM: Final = "multipart/form-data"
