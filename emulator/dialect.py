"""A gateway's manners, from its OpenAPI file: operations, credentials, models, the wording of refusals, replies' shape.

A dialect is data with a closed vocabulary; the same code serves every gateway, and what a file does not say takes the
defaults of an OpenAI-compatible API. Whatever would leave a call unchecked or unworded stops the start (BadFile).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from emulator import files, models, openapi
from emulator.exchange import OperationName, Problem, Reply
from emulator.findings import Finding
from emulator.models import Models
from emulator.openapi import Document, FoundOperation
from emulator.wording import Wording, Wordings

GENERATE_LIMIT: Final = 2**20  # bytes of body; the longest prompt is 32,000 characters, so 1 MiB is ample


@dataclass(frozen=True)
class Credential:
    """Where a key stands: in `header`, behind `scheme` ("bearer") or alone (None)."""

    header: str
    scheme: str | None
    source: str | None


@dataclass(frozen=True)
class Operation:
    """An operation under its full path; `models` is None where no body is taken, `example` a canned body, or None."""

    name: OperationName
    method: str
    path: str
    models: Models | None
    example: Any
    limit: int = GENERATE_LIMIT


@dataclass(frozen=True)
class Dialect:
    """One gateway. `base` is the path that a client's base URL ends with; `credentials` say how a key is sent."""

    name: str
    title: str
    base: str
    hosts: frozenset[str]
    credentials: tuple[Credential, ...]
    operations: Mapping[str, Mapping[str, Operation]]
    wording: Wording
    document: Document
    findings: tuple[Finding, ...]

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The API key that a call carries, None where it carries none that this gateway would find."""
        for credential in self.credentials:
            value = headers.get(credential.header, "").strip()
            scheme, _, rest = value.partition(" ")
            if credential.scheme is None:
                key = "" if scheme.lower() in _SCHEMES else value
            else:
                key = rest.strip() if scheme.lower() == credential.scheme else ""
            if key:
                return key
        return None

    def render(self, problem: Problem) -> Reply:
        """`problem` as this gateway answers it."""
        return self.wording.render(problem)

    def generating(self) -> Iterator[Operation]:
        """The operations that take a body, one path of each."""
        seen: set[int] = set()
        for by_method in self.operations.values():
            for operation in by_method.values():
                if operation.models is not None and id(operation.models) not in seen:
                    seen.add(id(operation.models))
                    yield operation


def read(path: Path, wordings: Wordings | None = None) -> Dialect:
    """The gateway that the file at `path` describes; `wordings` are those read before. Raises BadFile."""
    try:
        return _read(path, wordings or Wordings())
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
        # The file's shape is not OpenAPI's somewhere that we look: what Python makes of it is the best hint there is.
        raise files.BadFile(f"{path}: not laid out as OpenAPI is: {type(error).__name__}: {error}") from None


def _read(path: Path, wordings: Wordings) -> Dialect:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
        raise files.BadFile(f"{path}: a gateway's name is its file's stem: only letters, digits, dashes, underscores")
    document = openapi.read(path)
    root, source = document.root, document.source
    own = source.known_keys(["x-emulator-gateway"], root.get("x-emulator-gateway", {}), ("hosts", "wording"))
    found = document.operations
    generating = [operation for operation in found if operation.name == "generate"]
    if not generating:
        raise source.fault(["paths"], "no operation about images: no POST path ends with /images/generations")
    ending = re.search(r"/images/generations/?$", generating[0].path)
    base = generating[0].path[: ending.start()] if ending else document.base
    hosts = {urlsplit(url).hostname for url in document.servers} | set(own.get("hosts", ()))
    operations: dict[str, dict[str, Operation]] = {}
    shared: dict[int, Models] = {}
    for operation in found:
        operations.setdefault(operation.path, {})[operation.method] = _operation(document, operation, shared)
    info = root.get("info") or {}
    return Dialect(
        name=document.name,
        title=info.get("title") or document.name,
        base=base,
        hosts=frozenset(host for host in hosts if host),
        credentials=tuple(_credentials(document, generating[0])),
        operations=operations,
        wording=_wording(document, own, wordings),
        document=document,
        findings=tuple(document.findings),
    )


def _operation(document: Document, found: FoundOperation, shared: dict[int, Models]) -> Operation:
    """One operation; two paths that lead to the same node share their models, so that these compile once."""
    if found.name == "models":
        return Operation(found.name, found.method, found.path, None, _example(document, found))
    if id(found.node) not in shared:
        shared[id(found.node)] = models.read(document, found)
    return Operation(found.name, found.method, found.path, shared[id(found.node)], None)


def _example(document: Document, found: FoundOperation) -> Any:
    answer = document.resolve((found.node.get("responses") or {}).get("200") or {})
    media = (answer.get("content") or {}).get("application/json") or {}
    return media.get("example")


def _credentials(document: Document, operation: FoundOperation) -> Iterator[Credential]:
    """How a key is sent, by the file's security schemes; as `Bearer` where it names none that is known."""
    schemes = (document.root.get("components") or {}).get("securitySchemes") or {}
    required = operation.node.get("security", document.root.get("security"))
    if required == [] or (required and {} in required):
        return
    found = False
    for name in dict.fromkeys(name for requirement in required or [] for name in requirement):
        scheme = schemes.get(name)
        if isinstance(scheme, Mapping):
            found = True
            source = scheme.get("x-emulator-source")
            if scheme.get("type") == "apiKey" and scheme.get("in") == "header":
                yield Credential(str(scheme.get("name", "Authorization")).lower(), None, source)
            else:
                yield Credential("authorization", "bearer", source)
    if not found:
        yield Credential("authorization", "bearer", "assumed")


def _wording(document: Document, own: Mapping[str, Any], wordings: Wordings) -> Wording:
    """The wording that the gateway's file refers to, or OpenAI's."""
    if "wording" not in own:
        return wordings.at(files.schemas() / "wordings/openai.yaml")
    pointer = ["x-emulator-gateway", "wording"]
    name = document.source.known_keys(pointer, own["wording"], ("$ref",)).get("$ref")
    folder = document.source.path.parent
    if not isinstance(name, str) or not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise document.source.fault(pointer, f"{files.describe(name)} is no file inside the gateway's own folder")
    return wordings.at(folder / name)


_SCHEMES: Final = ("bearer", "basic")
