"""A gateway and its operations, loaded from an OpenAPI file.

A gateway is data with a closed vocabulary (`x-emulator-…`), and the same code serves every gateway. What a file does
not say takes the defaults of an OpenAI-compatible API. What would leave a call unchecked raises InvalidFile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from emulator.core.data_folders import find_schemas, is_shipped_schema
from emulator.core.light_dataclass import dataclass
from emulator.core.patterns import compile_pattern
from emulator.core.shared_property import shared_property
from emulator.core.suggestions import describe_known, nearest_word
from emulator.core.yaml_file import InvalidFile, describe_value
from emulator.findings import Finding
from emulator.gateway import formats
from emulator.gateway.errors import WORDINGS, ErrorCatalog, ErrorCatalogLoader
from emulator.gateway.formats import Channel, JsonFormat, ResponseHeaders, TaskFormat, freeze_lists
from emulator.gateway.model_listing import list_models, name_model
from emulator.gateway.openapi import FORM, JSON, Document, FoundOperation, check_vendor_keys, load_document
from emulator.gateway.parameter_names import MODEL, list_name_findings
from emulator.gateway.rules import ModelRules, Models, read_model_rules, read_models
from emulator.image.link_query import LinkQuery
from emulator.messages import Behavior, Call, GatewayError, OperationName, Request, Response

EDIT_LIMIT: Final = 100 * 2**20  # bytes of body; a picture may have 50 MB at OpenAI, and nobody names a sum
GENERATE_LIMIT: Final = 2**20  # bytes of body; the longest prompt is 32,000 characters, so 1 MiB is ample


@dataclass(frozen=True)
class Credential:
    """Where an API key stands: in `header`, after `scheme` ("bearer") or alone (None).

    `spellings` are the spellings of the scheme that are understood; if there are none, any case is.
    """

    header: str
    scheme: str | None
    source: str | None
    spellings: tuple[str, ...] = ()

    def find_key(self, headers: Mapping[str, str]) -> str:
        """Return the API key in `headers`, "" where there is none."""
        value = headers.get(self.header, "").strip()
        scheme, _, rest = value.partition(" ")
        if self.scheme is None:
            if scheme.lower() in _SCHEMES:
                return ""
            return value
        if scheme.lower() != self.scheme or (self.spellings and scheme not in self.spellings):
            return ""
        return rest.strip()


@dataclass(frozen=True)
class Operation:
    """An operation under its full path.

    `models` are the rules of JSON bodies, `form` those of forms; None where such a body is not taken. `example` is a
    canned body of the answer, or None. `limit` is in bytes of body. `redirect` is the status of an operation that only
    sends clients to the same address without its last slash. `pattern` is what the variable in the path has to match.
    From the day `ended` the path is unknown. `source` tells where the operation comes from. `task` is the parameter
    that asks for a task when it is true, or `always`. `query` are the rules of the query's parameters. `names_model` is
    the variable in the path that names the model; None where the body does. `picture_places` are the parameters of a
    JSON body that hold pictures, where they are not the usual ones: each with the names that lead to the text inside
    of an object.
    """

    name: OperationName
    method: str
    path: str
    models: Models | None
    example: Any
    limit: int = GENERATE_LIMIT
    redirect: int | None = None
    pattern: str | None = None
    form: Models | None = None
    ended: str | None = None
    source: str | None = None
    task: str | None = None
    query: ModelRules | None = None
    names_model: str | None = None
    picture_places: Mapping[str, tuple[str, ...]] | None = None

    def makes_task(self, effective: Mapping[str, Any]) -> bool:
        """Return whether a call with these effective parameters gets a task in the place of its pictures."""
        if self.task is None:
            return False
        return self.task == ALWAYS or effective.get(self.task) is True

    def make_redirect(self, request: Request) -> Response:
        """Return the answer of an operation that redirects: the address of `request` without its last slash."""
        assert self.redirect is not None
        target = request.path.removesuffix("/")
        if request.query:
            target += f"?{request.query}"
        return Response(self.redirect, (("Location", target),), (b"",), bare=True)

    @property
    def takes_pictures(self) -> bool:
        """Whether its calls bring pictures, as files of a form or as texts in JSON."""
        return (self.name in _EDITING or self.picture_places is not None) and bool(self.bodies)

    @cached_property
    def bodies(self) -> tuple[Models, ...]:
        """The rules of each kind of body that is validated; none where a body is not looked at."""
        if self.name not in WITH_BODIES and self.form is None:
            return ()
        return tuple(models for models in (self.models, self.form) if models is not None)

    @cached_property
    def own_names(self) -> Mapping[str, tuple[str, ...]]:
        """The names of parameters that some model calls otherwise than OpenAI, by OpenAI's names."""
        return _merge_names(models.own_names for models in (self.models, self.form) if models is not None)

    @cached_property
    def model_name(self) -> str:
        """The parameter of a body that names the model."""
        models = self.models or self.form
        return MODEL if models is None else models.model_name


@dataclass(frozen=True)
class Gateway:
    """One gateway in one behavior.

    `base` is the path at the end of a client's base URL. `credentials` say how a key is sent; with `plain_keys` a key
    must not have a second part after a dash. `read_operations` reads the operations from the file. With `any_type` a
    body of another Content-Type than JSON is read as an empty one. With `calendar` a model exists from its release to
    its end. `json_format` is how replies are written; refusals have their own, and so have the replies of `channels`,
    of which "" is the usual one. `tasks` is how calls are answered that do not wait for their pictures; None where
    every call waits. `read_error_catalog` reads the refusals, in `languages`, the usual one first. `link_query` is the
    query of links to pictures; None: they have none. `makers` are the files with the contracts of the models' own
    makers. With `staged_limits` a session's requests are counted before the body is read, and its pictures and money
    before the upstream is asked. Without `needs_key` a call may come without a key, and any key is good.
    """

    name: str
    behavior: Behavior
    title: str
    base: str
    hosts: frozenset[str]
    credentials: tuple[Credential, ...]
    read_operations: Callable[[], Mapping[str, Mapping[str, Operation]]]
    read_error_catalog: Callable[[], ErrorCatalog]
    response_headers: ResponseHeaders
    languages: tuple[str, ...]
    plain_keys: bool
    any_type: bool
    calendar: bool
    json_format: JsonFormat
    channels: Mapping[str, Channel]
    tasks: TaskFormat | None
    link_query: LinkQuery | None
    makers: tuple[Path, ...]
    staged_limits: bool
    needs_key: bool
    document: Document
    findings: tuple[Finding, ...]

    @shared_property
    def operations(self) -> Mapping[str, Mapping[str, Operation]]:
        """The operations by path and method, read when they are first needed: most runs use one of the gateways."""
        return self.read_operations()

    @shared_property
    def error_catalog(self) -> ErrorCatalog:
        """The refusals, read when they are first needed."""
        return self.read_error_catalog()

    def find_key(self, headers: Mapping[str, str]) -> str | None:
        """Return the API key in the headers of a call; None where this gateway finds none."""
        for credential in self.credentials:
            key = credential.find_key(headers)
            if key:
                return key
        return None

    def find_operations(self, path: str) -> tuple[Mapping[str, Operation], Mapping[str, str]]:
        """Return the operations at `path` by method, and the values of the variables in the path; both may be empty."""
        operations = self.operations.get(path)
        if operations is not None:
            return operations, {}
        for pattern, names, operations in self._path_patterns:
            match = pattern.fullmatch(path)
            if match:
                return operations, dict(zip(names, map(unquote, match.groups()), strict=True))
        return {}, {}

    def has_path(self, path: str) -> bool:
        """Return whether `path` is one of this gateway's: of an operation, or below the path of its server."""
        base = self.document.base
        if base and f"{path}/".startswith(f"{base}/"):
            return True
        return bool(self.find_operations(path)[0])

    @cached_property
    def _path_patterns(self) -> list[tuple[re.Pattern[str], list[str], Mapping[str, Operation]]]:
        """The paths with {variables}, each as a regular expression with groups, and the names of the variables."""
        patterns = []
        for template, operations in self.operations.items():
            if "{" in template:
                names = re.findall(VARIABLE, template)
                texts = map(re.escape, re.split(VARIABLE, template)[::2])
                patterns.append((re.compile("([^/]+)".join(texts)), names, operations))
        return patterns

    @cached_property
    def credential_headers(self) -> tuple[str, ...]:
        """The headers in which a key is expected."""
        return tuple(credential.header for credential in self.credentials)

    @cached_property
    def usual_credential(self) -> Credential | None:
        """How most clients send a key: as a bearer's token where the gateway takes one; None where it takes no key."""
        bearers = [credential for credential in self.credentials if credential.scheme is not None]
        return next(iter((*bearers, *self.credentials)), None)

    @cached_property
    def is_dated(self) -> bool:
        """Whether the day matters: by the calendar, or because models may be named that the page does not list."""
        models = [operation.models for operation in self.iter_generating()]
        return self.calendar or any(one is not None and one.listed and one.otherwise is not None for one in models)

    @cached_property
    def listing(self) -> Any:
        """The body of the list of models; an empty list where the file has none."""
        for operation in self.iter_operations():
            if operation.name == "models" and operation.example is not None:
                return operation.example
        return {"object": "list", "data": []}

    @cached_property
    def known_names(self) -> frozenset[str]:
        """The names of models and of their parameters in the gateway's file."""
        names: set[str] = set()
        for _, models in self.iter_validated():
            names.update(models.listed)
            for rules in (*models.listed.values(), models.otherwise):
                if rules is not None:
                    names.update(rules.parameters)
                    names.update(rules.own_names)
        return frozenset(names)

    @cached_property
    def usual_model(self) -> str:
        """The model that a message names where a call names none: the default, else the first that is known."""
        for operation in self.iter_generating():
            for models in operation.bodies:
                name = models.default or next(iter(models.listed), None)
                if name:
                    return name
        for model in list_models(self.listing):
            listed = name_model(model)
            if listed:
                return listed
        return "dall-e-2"  # OpenAI's historic default

    @shared_property
    def own_names(self) -> Mapping[str, tuple[str, ...]]:
        """The names of parameters that some operation calls otherwise than OpenAI, by OpenAI's names."""
        if is_shipped_schema(self.document.file.path):  # they have none, and are read operation by operation
            return {}
        return _merge_names(operation.own_names for operation in self.iter_operations())

    def render(self, error: GatewayError, language: str = "", request_id: str = "") -> Response:
        """Return the answer of this gateway to `error`, in `language`; `request_id` is what the message may show."""
        return self.error_catalog.render(error, language=language, request_id=request_id)

    def choose_language(self, headers: Mapping[str, str]) -> str:
        """Return the language of error messages: the caller's first one that the gateway has, else the gateway's."""
        if not self.languages:
            return ""
        if len(self.languages) > 1:
            for part in headers.get("Accept-Language", "").split(","):
                wanted = part.partition(";")[0].strip().lower()[:2]
                if wanted in self.languages:
                    return wanted
        return self.languages[0]

    def apply_channel(self, name: str | None, call: Call) -> tuple[Call, Gateway]:
        """Return `call` and this gateway for a reply that comes by the channel `name`; None means the usual one."""
        channel = self.channels.get(name or "", self.channels[""])
        gateway = self._by_format.get(channel.json_format)
        if gateway is None:
            gateway = self._by_format[channel.json_format] = replace(self, json_format=channel.json_format)
        return replace(call, response=channel.convert_shape(call.response)), gateway

    @shared_property
    def _by_format(self) -> dict[JsonFormat, Gateway]:
        """The gateway with the JSON format of each channel that a call has used."""
        return {}

    def find_usual_operation(self, name: str) -> Operation | None:
        """Return the operation `name` under the address that most clients use; None where the gateway has none.

        It is the shortest path that neither redirects nor gives a task to every call.
        """
        found = [one for one in self.iter_operations() if one.name == name]
        found = [one for one in found if one.redirect is None and one.method != "DELETE"]
        return min(found, key=lambda one: (one.task == ALWAYS, len(one.path)), default=None)

    def iter_operations(self) -> Iterator[Operation]:
        """Yield the operations of all paths and methods."""
        for by_method in self.operations.values():
            yield from by_method.values()

    def iter_generating(self) -> Iterator[Operation]:
        """Yield the operations that make pictures from a prompt alone, one path of each."""
        for operation, _ in self.iter_validated():
            if operation.name == "generate":
                yield operation

    def iter_validated(self) -> Iterator[tuple[Operation, Models]]:
        """Yield the operations whose bodies are validated, one path of each, with the rules of each kind of body."""
        seen: set[int] = set()
        for operation in self.iter_operations():
            for models in operation.bodies:
                if id(models) not in seen:
                    seen.add(id(models))
                    yield operation, models


def load_gateway(
    path: Path, catalog_loader: ErrorCatalogLoader | None = None, behavior: Behavior = "documented"
) -> Gateway:
    """Return the gateway that the file at `path` describes; raises InvalidFile.

    `catalog_loader` keeps the error catalogs that several gateways share. The vendor keys of a user's file are checked
    here; those of the files that ship are checked by the tests and after the start, because it takes long.
    """
    catalog_loader = catalog_loader or ErrorCatalogLoader()
    try:
        document = load_document(path)
        if not is_shipped_schema(path):
            check_vendor_keys(document.file)
        gateway = _make_gateway(document, catalog_loader, behavior)
        if not is_shipped_schema(path):
            _ = gateway.operations, gateway.error_catalog  # a user's file is read at once: the start tells its errors
            gateway = replace(gateway, findings=(*gateway.findings, *list_name_findings(gateway)))
        return gateway
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError) as error:
        # Anybody's file may have another shape than OpenAPI's anywhere. What Python makes of it is the best hint.
        message = f"{path}: not laid out as OpenAPI is: {type(error).__name__}: {error}"
        raise InvalidFile(message) from None


@cache
def load_shipped_gateway(path: Path, behavior: Behavior = "documented") -> Gateway:
    """Return the gateway of a file that ships, loaded once in a process: to some gateways another is a models' maker.

    A gateway never changes, and the files that ship stay as they are while the package runs.
    """
    return load_gateway(path, _SHIPPED_CATALOGS, behavior)


def _make_gateway(document: Document, catalog_loader: ErrorCatalogLoader, behavior: Behavior) -> Gateway:
    root, file = document.root, document.file
    if not re.fullmatch(r"[A-Za-z0-9_-]+", document.name):
        why = "a gateway's name is its file's stem: only letters, digits, dashes, underscores"
        raise InvalidFile(f"{file.path}: {why}")
    found = document.operations
    generating = [operation for operation in found if operation.name == "generate"]
    if not generating:
        why = "no POST path ends with /images/generations, and none has `x-emulator-operation: generate`"
        raise file.error_at(["paths"], f"no operation about images: {why}")
    keys = root.get("x-emulator-gateway", {})
    return Gateway(
        name=document.name,
        behavior=behavior,
        title=(root.get("info") or {}).get("title") or document.name,
        base=_find_base(document, generating[0]),
        hosts=_list_hosts(document, keys),
        credentials=tuple(_read_credentials(document, generating[0])),
        read_operations=cache(partial(_read_operations, document)),
        read_error_catalog=cache(partial(_load_error_catalog, document, keys, catalog_loader)),
        response_headers=formats.read_response_headers(keys.get("request_id", {})),
        languages=tuple(keys.get("languages", ())),
        plain_keys=keys.get("keys") == "plain",
        any_type=keys.get("bodies") == "any type",
        calendar=keys.get("calendar") is True,
        json_format=formats.read_json_format(keys.get("spelling", {})),
        channels=formats.read_channels(file, root.get("x-emulator-channels", {})),
        tasks=formats.read_task_format(root.get("x-emulator-tasks")),
        link_query=formats.read_link_query(keys.get("links")),
        makers=tuple(_find_makers(document, keys)),
        staged_limits=keys.get("limits") == "by stage",
        needs_key={} not in (generating[0].node.get("security", root.get("security")) or ()),
        document=document,
        findings=document.findings,
    )


def _find_base(document: Document, generating: FoundOperation) -> str:
    """Return the path before /images/generations, else the path of the server."""
    ending = re.search(r"/images/generations/?$", generating.path)
    if ending is None:
        return document.base
    return generating.path[: ending.start()]


def _list_hosts(document: Document, keys: Mapping[str, Any]) -> frozenset[str]:
    """Return the host names of the servers, and those that `x-emulator-gateway` adds."""
    hosts = {urlsplit(url).hostname for url in document.servers}
    hosts.update(keys.get("hosts", ()))
    return frozenset(host for host in hosts if host)


def _read_operations(document: Document) -> Mapping[str, Mapping[str, Operation]]:
    """Return the operations of a file by path and method."""
    operations: dict[str, dict[str, Operation]] = {}
    shared: dict[int, Models] = {}
    for found in document.operations:
        operations.setdefault(found.path, {})[found.method] = _read_operation(document, found, shared)
    return operations


def _read_operation(document: Document, found: FoundOperation, shared: dict[int, Models]) -> Operation:
    """Return one operation.

    `shared` has the models by request schema, so that two paths with one schema compile it once.
    """
    names_model = _find_model_variable(document, found)
    operation = Operation(found.name, found.method, found.path, models=None, example=None, names_model=names_model)
    if found.query is not None:
        operation = replace(operation, query=read_model_rules(document, found.query))
    redirect = found.node.get("x-emulator-redirect")
    if redirect is not None:
        return replace(operation, redirect=redirect)
    places = found.node.get("x-emulator-pictures")
    if places is not None:
        operation = replace(operation, picture_places=freeze_lists(places))
    if found.name in _EDITING and document.find_request_schema(found.node, FORM) is not None:
        return replace(
            operation,
            models=_share_models(document, found, JSON, shared),
            form=_share_models(document, found, FORM, shared),
            limit=EDIT_LIMIT,
            ended=found.node.get("x-emulator-ended"),
            source=found.node.get("x-emulator-source"),
        )
    if found.name in WITH_BODIES or (found.name in _ROUTED and "requestBody" in found.node):
        models = _share_models(document, found, JSON, shared)
        if models is None:
            models = read_models(document, found)  # raises InvalidFile: there is no schema
        limit = EDIT_LIMIT if found.name in _EDITING or places is not None else GENERATE_LIMIT
        return replace(operation, models=models, limit=limit, task=_read_task(document, found))
    return replace(
        operation,
        example=_find_example(document, found),
        pattern=_find_path_pattern(document, found),
        source=found.node.get("x-emulator-source"),
    )


def _share_models(
    document: Document, found: FoundOperation, media_type: str, shared: dict[int, Models]
) -> Models | None:
    """Return the models of an operation for bodies of `media_type`; None where it takes no such bodies."""
    schema = document.find_request_schema(found.node, media_type)
    if schema is None:
        return None
    place = id(document.resolve(schema))
    if place not in shared:
        shared[place] = read_models(document, found, media_type)
    return shared[place]


def _read_task(document: Document, found: FoundOperation) -> str | None:
    """Return the parameter that asks for a task, or `always`; None where nothing does."""
    task: str | None = found.node.get("x-emulator-task")
    if task is not None and "x-emulator-tasks" not in document.root:
        pointer = [*found.pointer, "x-emulator-task"]
        raise document.file.error_at(pointer, "x-emulator-task needs x-emulator-tasks at the root")
    return task


def _find_model_variable(document: Document, found: FoundOperation) -> str | None:
    """Return the variable in an operation's path that names the model; None where nothing does. Raises InvalidFile."""
    name: str | None = found.node.get("x-emulator-model")
    if name is None:
        return None
    pointer = [*found.pointer, "x-emulator-model"]
    if found.name not in WITH_BODIES:
        raise document.file.error_at(pointer, f"x-emulator-model needs an operation that is {' or '.join(WITH_BODIES)}")
    known = re.findall(VARIABLE, str(found.pointer[1]))
    if name not in known:
        variables = describe_known(name, known) if known else "the path has none"
        message = f"x-emulator-model is {describe_value(name)}, and no variable of its path; {variables}"
        raise document.file.error_at(pointer, message)
    return name


def _merge_names(every: Iterable[Mapping[str, tuple[str, ...]]]) -> Mapping[str, tuple[str, ...]]:
    """Return all names of parameters, by OpenAI's names, each once."""
    merged: dict[str, tuple[str, ...]] = {}
    for names in every:
        for meaning, own in names.items():
            merged[meaning] = tuple(dict.fromkeys((*merged.get(meaning, ()), *own)))
    return merged


def _find_path_pattern(document: Document, found: FoundOperation) -> str | None:
    """Return the pattern of the first variable in an operation's path that has one."""
    for parameter in map(document.resolve, found.node.get("parameters") or ()):
        schema = document.resolve(parameter.get("schema") or {})
        if parameter.get("in") == "path" and "pattern" in schema:
            pattern: str = schema["pattern"]
            if not is_shipped_schema(document.file.path):  # the files that ship are checked by the tests
                compile_pattern(pattern)
            return pattern
    return None


def _find_example(document: Document, found: FoundOperation) -> Any:
    """Return the example of the body of an operation's 200 answer, None where it has none."""
    answer = document.resolve((found.node.get("responses") or {}).get("200") or {})
    return ((answer.get("content") or {}).get(JSON) or {}).get("example")


def _read_credentials(document: Document, operation: FoundOperation) -> Iterator[Credential]:
    """Yield how a key is sent, by the file's security schemes; as `Bearer` where it names none that is known."""
    schemes = (document.root.get("components") or {}).get("securitySchemes") or {}
    required = operation.node.get("security", document.root.get("security"))
    if required == [] or required == [{}]:
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


def _load_error_catalog(
    document: Document, keys: Mapping[str, Any], catalog_loader: ErrorCatalogLoader
) -> ErrorCatalog:
    """Return the error catalog that the gateway's file names, else OpenAI's; the file chooses the usual envelope."""
    folder = document.file.path.parent
    path = find_schemas() / WORDINGS / "openai.yaml"
    if "wording" in keys:
        ref = keys["wording"]["$ref"]
        path = _resolve_catalog(document, ref)
        if not any(path.is_relative_to(allowed.resolve()) for allowed in (folder, find_schemas())):
            message = f"{describe_value(ref)} is no file inside the gateway's own folder"
            raise document.file.error_at(["x-emulator-gateway", "wording"], message)
        if not path.is_file():
            message = f"{describe_value(ref)} is no file in {folder.resolve()}, and no error catalog that ships"
            known = sorted(one.name for place in (folder, find_schemas() / WORDINGS) for one in place.glob("*.yaml"))
            nearest = nearest_word(Path(ref).name, known)
            if nearest is not None:
                message += f"; did you mean {nearest!r}?"
            raise document.file.error_at(["x-emulator-gateway", "wording"], message)
    catalog = catalog_loader.load(path)
    envelope = keys.get("envelope")
    if envelope is None:
        return catalog
    if envelope not in catalog.envelopes:
        message = f"envelope is {describe_value(envelope)}; known are {', '.join(catalog.envelopes)}"
        raise document.file.error_at(["x-emulator-gateway", "envelope"], message)
    return replace(catalog, envelopes={envelope: catalog.envelopes[envelope], **catalog.envelopes})


def _resolve_catalog(document: Document, ref: str) -> Path:
    """Return the path of the error catalog `ref`, beside the gateway's file or one that ships; it need not be there."""
    path = (document.file.path.parent / ref).resolve()
    name = ref.removeprefix(f"{WORDINGS}/")
    shipped = find_schemas() / WORDINGS / name
    if not path.is_file() and "/" not in name and shipped.is_file():
        return shipped.resolve()
    return path


def find_catalog_path(document: Document) -> Path | None:
    """Return the path of a gateway's own error catalog; None where it has one that ships."""
    wording = document.root.get("x-emulator-gateway", {}).get("wording")
    if wording is None:
        return None
    path = _resolve_catalog(document, wording["$ref"])
    if is_shipped_schema(path):
        return None
    return path


def _find_makers(document: Document, keys: Mapping[str, Any]) -> Iterator[Path]:
    """Yield the files of the contracts of `makers`: beside the gateway's file, or those that ship."""
    shipped = find_schemas()
    folders = (document.file.path.parent, shipped / "makers", shipped)
    for place, name in enumerate(keys.get("makers", ())):
        found = [folder / f"{name}.yaml" for folder in folders if (folder / f"{name}.yaml").is_file()]
        if not found or "/" in name:
            known = sorted({path.stem for folder in folders for path in folder.glob("*.yaml")})
            message = f"{describe_value(name)} is no file with a contract; {describe_known(name, known)}"
            raise document.file.error_at(["x-emulator-gateway", "makers", place], message)
        yield found[0].resolve()


_SHIPPED_CATALOGS: Final = ErrorCatalogLoader()
VARIABLE: Final = r"\{([^{}/]+)\}"
"""A variable in a path."""
ALWAYS: Final = "always"
"""The value of `x-emulator-task` where every call gets a task."""

WITH_BODIES: Final = ("generate", "edit")
"""The operations whose requests have a body."""

_ROUTED: Final = ("vary",)
"""The operations that look only at the model in a JSON body, where the file describes one, and no form."""

_EDITING: Final = ("edit", "vary")
"""The operations that take pictures, in a form; an edit may take them in JSON alone."""

_SCHEMES: Final = ("bearer", "basic")
