"""A gateway, read from its OpenAPI file: operations, credentials, models, the wording of refusals, replies' shape.

A dialect is data with a closed vocabulary; the same code serves every gateway, and what a file does not say takes the
defaults of an OpenAI-compatible API. Whatever would leave a call unchecked or unworded stops the start (InvalidFile).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from emulator.core import yaml_file
from emulator.findings import Finding
from emulator.gateway import channel, json_format, openapi, operation, response_headers, task_format
from emulator.gateway.channel import Channel
from emulator.gateway.errors import ErrorCatalog, ErrorCatalogLoader
from emulator.gateway.json_format import Spelling
from emulator.gateway.openapi import Document, FoundOperation
from emulator.gateway.operation import Operation
from emulator.gateway.response_headers import ResponseHeaders
from emulator.gateway.rules import Models
from emulator.gateway.task_format import TaskShape
from emulator.messages import Behavior, Call, GatewayError, Response


@dataclass(frozen=True)
class Credential:
    """Where a key stands: in `header`, behind `scheme` ("bearer") or alone (None).

    `spelled` are the spellings of the scheme that are understood; without any, every case is.
    """

    header: str
    scheme: str | None
    source: str | None
    spelled: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gateway:
    """One gateway in its `behavior`.

    `base` is the path that a client's base URL ends with, `credentials` say how a key is sent. With `plain_keys` a key
    must not have a second part behind a dash; with `any_type` a body that does not call itself JSON is read as none.
    With `calendar` a model is there from its release to its end. `spelling` is how replies are written; refusals have
    their own, and so has what comes by one of the `channels`, of which "" is the usual one. `tasks` is how calls are
    answered that do not wait for their pictures, None where every call does.
    """

    name: str
    behavior: Behavior
    title: str
    base: str
    hosts: frozenset[str]
    credentials: tuple[Credential, ...]
    operations: Mapping[str, Mapping[str, Operation]]
    error_catalog: ErrorCatalog
    identity: ResponseHeaders
    languages: tuple[str, ...]
    plain_keys: bool
    any_type: bool
    calendar: bool
    spelling: Spelling
    channels: Mapping[str, Channel]
    tasks: TaskShape | None
    document: Document
    findings: tuple[Finding, ...]

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The API key that a call carries, None where it carries none that this gateway would find."""
        for credential in self.credentials:
            value = headers.get(credential.header, "").strip()
            scheme, _, rest = value.partition(" ")
            if credential.scheme is None:
                key = "" if scheme.lower() in _SCHEMES else value
            elif credential.spelled and scheme not in credential.spelled:
                key = ""
            else:
                key = rest.strip() if scheme.lower() == credential.scheme else ""
            if key:
                return key
        return None

    def at(self, path: str) -> tuple[Mapping[str, Operation], Mapping[str, str]]:
        """What can be done at `path`, by method, and the values of the path's own variables."""
        if (known := self.operations.get(path)) is not None:
            return known, {}
        for template, operations in self.operations.items():
            if "{" in template and (match := re.fullmatch(_pattern(template), path)):
                return operations, {name: unquote(value) for name, value in match.groupdict().items()}
        return {}, {}

    @cached_property
    def dated(self) -> bool:
        """Whether the day matters: by the calendar, or because models may be named that the page does not list."""
        every = (one.models for one in self.generating())
        return self.calendar or any(one is not None and one.listed and one.otherwise is not None for one in every)

    @property
    def listing(self) -> Any:
        """The body of the list of models; an empty list where the file has none."""
        every = (one for by_method in self.operations.values() for one in by_method.values())
        known = next((one.example for one in every if one.name == "models"), None)
        return {"object": "list", "data": []} if known is None else known

    def render(self, error: GatewayError, language: str = "", request_id: str = "") -> Response:
        """The answer of this gateway to `error`, in `language`; `request_id` is what the message may show."""
        return self.error_catalog.render(error, language=language, request_id=request_id)

    def choose_language(self, headers: Mapping[str, str]) -> str:
        """The language of error messages for a caller: its first one that the gateway has, else the gateway's first."""
        if not self.languages:
            return ""
        if len(self.languages) > 1:
            for part in headers.get("Accept-Language", "").split(","):
                wanted = part.partition(";")[0].strip().lower()[:2]
                if wanted in self.languages:
                    return wanted
        return self.languages[0]

    def through(self, name: str | None, call: Call) -> tuple[Call, Gateway]:
        """`call` and the gateway as they look where the reply comes by the channel `name`, None for the usual one."""
        kind = self.channels.get(name or "", self.channels[""])
        return replace(call, response=kind.through(call.response)), replace(self, spelling=kind.spelling)

    def generating(self) -> Iterator[Operation]:
        """The operations that make pictures from nothing but words, one path of each."""
        yield from (one for one, _ in self.judging() if one.name == "generate")

    def judging(self) -> Iterator[tuple[Operation, Models]]:
        """The operations whose bodies are judged, one path of each, and the models of each kind of body."""
        seen: set[int] = set()
        for by_method in self.operations.values():
            for one in by_method.values():
                for found in one.bodies:
                    if id(found) not in seen:
                        seen.add(id(found))
                        yield one, found


def read(path: Path, catalog_loader: ErrorCatalogLoader | None = None, behavior: Behavior = "documented") -> Gateway:
    """The gateway that the file at `path` describes; `wordings` are those read before. Raises InvalidFile."""
    try:
        return _read(path, catalog_loader or ErrorCatalogLoader(), behavior)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
        # The file's shape is not OpenAPI's somewhere that we look: what Python makes of it is the best hint there is.
        raise yaml_file.InvalidFile(f"{path}: not laid out as OpenAPI is: {type(error).__name__}: {error}") from None


def _read(path: Path, catalog_loader: ErrorCatalogLoader, behavior: Behavior) -> Gateway:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", path.stem):
        raise yaml_file.InvalidFile(
            f"{path}: a gateway's name is its file's stem: only letters, digits, dashes, underscores"
        )
    document = openapi.read(path)
    root, source = document.root, document.source
    own = source.known_keys(["x-emulator-gateway"], root.get("x-emulator-gateway", {}), _OWN)
    found = document.operations
    generating = [one for one in found if one.name == "generate"]
    if not generating:
        raise source.fault(["paths"], "no operation about images: no POST path ends with /images/generations")
    ending = re.search(r"/images/generations/?$", generating[0].path)
    base = generating[0].path[: ending.start()] if ending else document.base
    hosts = {urlsplit(url).hostname for url in document.servers} | set(own.get("hosts", ()))
    operations: dict[str, dict[str, Operation]] = {}
    shared: dict[int, Models] = {}
    for one in found:
        operations.setdefault(one.path, {})[one.method] = operation.read(document, one, shared)
    info = root.get("info") or {}
    return Gateway(
        name=document.name,
        behavior=behavior,
        title=info.get("title") or document.name,
        base=base,
        hosts=frozenset(host for host in hosts if host),
        credentials=tuple(_credentials(document, generating[0])),
        operations=operations,
        error_catalog=_error_catalog(document, own, catalog_loader),
        identity=response_headers.read(source, own.get("request_id", {})),
        languages=tuple(own.get("languages", ())),
        plain_keys=own.get("keys") == "plain",
        any_type=own.get("bodies") == "any type",
        calendar=own.get("calendar") is True,
        spelling=json_format.read(source, ["x-emulator-gateway", "spelling"], own.get("spelling", {})),
        channels=channel.read(source, root.get("x-emulator-channels", {})),
        tasks=task_format.read(source, root.get("x-emulator-tasks")),
        document=document,
        findings=tuple(document.findings),
    )


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
                yield Credential("authorization", "bearer", source, tuple(scheme.get("x-emulator-spelled", ())))
    if not found:
        yield Credential("authorization", "bearer", "assumed")


def _error_catalog(document: Document, own: Mapping[str, Any], catalog_loader: ErrorCatalogLoader) -> ErrorCatalog:
    """The wording that the gateway's file refers to, or OpenAI's."""
    if "wording" not in own:
        return _shaped(document, own, catalog_loader.load(yaml_file.schemas() / "wordings/openai.yaml"))
    pointer = ["x-emulator-gateway", "wording"]
    name = document.source.known_keys(pointer, own["wording"], ("$ref",)).get("$ref")
    folder = document.source.path.parent
    path = (folder / str(name)).resolve()
    if not any(path.is_relative_to(allowed.resolve()) for allowed in (folder, yaml_file.schemas())):
        raise document.source.fault(pointer, f"{yaml_file.describe(name)} is no file inside the gateway's own folder")
    return _shaped(document, own, catalog_loader.load(path))


def _shaped(document: Document, own: Mapping[str, Any], error_catalog: ErrorCatalog) -> ErrorCatalog:
    """`wording`, with the envelope as the usual one that the gateway's file names."""
    if (usual := own.get("envelope")) is None:
        return error_catalog
    if usual not in error_catalog.envelopes:
        known, said = ", ".join(error_catalog.envelopes), yaml_file.describe(usual)
        raise document.source.fault(["x-emulator-gateway", "envelope"], f"envelope is {said}; known are {known}")
    return replace(error_catalog, envelopes={usual: error_catalog.envelopes[usual], **error_catalog.envelopes})


_OWN: Final = ("hosts", "wording", "envelope", "request_id", "languages", "keys", "bodies", "calendar", "spelling")


def _pattern(template: str) -> str:
    """A path with {variables} as a regular expression with groups."""
    return re.sub(r"\\\{([A-Za-z_]+)\\\}", r"(?P<\1>[^/]+)", re.escape(template))


_SCHEMES: Final = ("bearer", "basic")
