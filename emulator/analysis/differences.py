"""Where a gateway's page and its server disagree: what either answers in the situations that clients get into.

Nothing here is told twice: every cell is what the two contracts and wordings say when they are asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from emulator.gateway.gateway import Gateway
from emulator.messages import GatewayError, Kind, Request, Response, Violation
from emulator.validation.registry import Route
from emulator.validation.validator import RequestValidator, ValidationContext

Row = tuple[str, str, str]


@dataclass(frozen=True)
class Situation:
    """A call that a client makes: `model` is the one it is about, None where that does not matter.

    `path` is behind the base; `text` is a body that is no JSON, `body` says what else the call has beside its model. A
    `rare` path is one that few gateways have: it is asked where one of the two does.
    """

    about: str
    model: str | None = None
    body: Mapping[str, Any] = field(default_factory=lambda: {"prompt": "A cat"})
    path: str = "/images/generations"
    method: str = "POST"
    key: str = "Bearer sk-test"
    kind: str = "application/json"
    text: str | None = None
    rare: bool = False


def rows(documented: RequestValidator, observed: RequestValidator) -> Iterator[Row]:
    """Situation, documented answer and observed answer, where the two answers are not the same."""
    sides = documented, observed
    listed = next(documented.gateway.generating()).models
    models = {} if listed is None else listed.listed
    for situation in SITUATIONS:
        if situation.rare and not any(side.gateway.at(side.gateway.base + situation.path)[0] for side in sides):
            continue
        if situation.model is None or situation.model in models:
            yield from _unequal(situation.about, *(_answered(side, situation) for side in sides))
    for kind, about in SCRIPTED.items():
        yield from _unequal(about, *(_refused(side.gateway, GatewayError(kind, facts=_FACTS)) for side in sides))
    for about, tell in _LAYOUT.items():
        yield from _unequal(about, *(tell(side.gateway) for side in sides))


def _unequal(about: str, one: str, other: str) -> Iterator[Row]:
    if one != other:
        yield about, one, other


def _answered(validator: RequestValidator, situation: Situation) -> str:
    """What becomes of the call, in one line."""
    gateway = validator.gateway
    path = gateway.base + situation.path
    body = {**({} if situation.model is None else {"model": situation.model}), **situation.body}
    unreadable: Violation | None = None if situation.text is None else "bad_json"
    request = Request(
        situation.method, path, "", {"Content-Type": situation.kind}, (situation.text or "").encode(),
        body if unreadable is None else None, unreadable, (), "", 0,
    )  # fmt: skip
    try:
        route = Route(validator, path, *gateway.at(path))
        operation = route.operation(situation.method)
        if operation.redirect is not None:
            return _told(operation.elsewhere(request))
        context = ValidationContext(variables=route.variables)
        call = validator.accept(request, operation, gateway.key({"authorization": situation.key}), context)
    except GatewayError as problem:
        return _refused(gateway, problem)
    if call.deferred:
        return "a task"
    return "1 picture" if call.count == 1 else f"{call.count} pictures" if call.count else "answered"


def _refused(gateway: Gateway, problem: GatewayError) -> str:
    request_id = _FACTS["request_id"]
    return _told(gateway.render(problem, language=gateway.choose_language({}), request_id=request_id))


def _told(response: Response) -> str:
    """A refusal in one line: status, code, and what the client is told."""
    if not any(response.body):
        to = [value for name, value in response.headers if name == "Location"]
        return f"{response.status}, empty" + "".join(f", to {place}" for place in to)
    found = json.loads(b"".join(response.body))
    error = found.get("error", found)
    message = str(error.get("message", "")).replace(f" (request id: {_FACTS['request_id']})", "")
    return f"{response.status} {error.get('code') or error.get('type') or ''}: {message}".replace(" :", ":")


def _marks(gateway: Gateway) -> str:
    headers = {gateway.identity.header: gateway.identity.pattern, **dict(gateway.identity.others)}
    return ", ".join(f"{name}: {value}" for name, value in headers.items())


def _envelopes(gateway: Gateway) -> str:
    """The members of a refusal's body, in each of the shapes that there are."""
    shapes = gateway.error_catalog.envelopes.values()
    return " or ".join("nothing" if shape is None else _members(shape) for shape in shapes)


def _members(shape: Any) -> str:
    if not isinstance(shape, Mapping):
        return ""
    return ", ".join(f"{name} ({inside})" if (inside := _members(part)) else name for name, part in shape.items())


def _layout(gateway: Gateway) -> str:
    """The members of a reply of the first model, as it usually comes."""
    models = next(gateway.generating()).models
    assert models is not None
    shape = next(iter(models.listed.values()), models.otherwise)
    assert shape is not None
    response = shape.response
    usual = gateway.channels.get("")
    if usual is not None:
        response = usual.through(response)
    unused = ", empty if unused" if response.blank else ""
    data = f"data ({', '.join(response.data_fields or ('url or b64_json',))}{unused})"
    beside = gateway.tasks.beside if gateway.tasks is not None else None
    return ", ".join(data if name == "data" else name for name in (*response.fields, *(beside or ())))


def _waits(gateway: Gateway) -> str:
    return "never" if gateway.error_catalog.bare else "with the wait that is left"


def _listing(gateway: Gateway) -> str:
    return ", ".join(gateway.listing)


_FACTS: Final[Mapping[str, str]] = {"request_id": "ID", "model": "dall-e-3", "limit": "5", "wait": "12s", "key": "sk-…"}
SITUATIONS: Final = (
    Situation("no model"),
    Situation("a model that nobody offers", body={"model": "no-such-model", "prompt": "A cat"}),
    Situation("a model that is no text", body={"model": 5, "prompt": "A cat"}),
    Situation("a size that dall-e-2 does not have", "dall-e-2", {"prompt": "A cat", "size": "1792x1024"}),
    Situation("a size that dall-e-3 does not have", "dall-e-3", {"prompt": "A cat", "size": "256x256"}),
    Situation("a size with × in it", "dall-e-3", {"prompt": "A cat", "size": "1024×1024"}),
    Situation("a size of null", "dall-e-3", {"prompt": "A cat", "size": None}),
    Situation("no prompt", "dall-e-3", {}),
    Situation("a prompt that is no text", "dall-e-3", {"prompt": 5}),
    Situation("a prompt of 5,000 characters", "dall-e-3", {"prompt": "x" * 5000}),
    Situation("n: 0", "dall-e-2", {"prompt": "A cat", "n": 0}),
    Situation("n: 2 of dall-e-3", "dall-e-3", {"prompt": "A cat", "n": 2}),
    Situation("n: 11", "dall-e-2", {"prompt": "A cat", "n": 11}),
    Situation("n: 1000", "dall-e-2", {"prompt": "A cat", "n": 1000}),
    Situation("n: -1", "dall-e-2", {"prompt": "A cat", "n": -1}),
    Situation("n: 1.5", "dall-e-2", {"prompt": "A cat", "n": 1.5}),
    Situation('n: "2"', "dall-e-2", {"prompt": "A cat", "n": "2"}),
    Situation("a quality that is none", "dall-e-3", {"prompt": "A cat", "quality": "ultra"}),
    Situation("response_format: base64", "dall-e-3", {"prompt": "A cat", "response_format": "base64"}),
    Situation("response_format with gpt-image-1", "gpt-image-1", {"prompt": "A cat", "response_format": "url"}),
    Situation("a parameter of another API", "dall-e-3", {"prompt": "A cat", "steps": 30}),
    Situation('stream: "true"', "gpt-image-1", {"prompt": "A cat", "stream": "true"}),
    Situation("a word that new installations refuse", "dall-e-3", {"prompt": "test_sensitive"}),
    Situation("a body that is no JSON", text="{bad"),
    Situation("another Content-Type", "dall-e-3", kind="text/plain"),
    Situation("no key", "dall-e-3", key=""),
    Situation("a wrong key", "dall-e-3", key="Bearer sk-invalid"),
    Situation("a key without Bearer", "dall-e-3", key="sk-test"),
    Situation("a key with a second dash", "dall-e-3", key="Bearer sk-test-7"),
    Situation("a slash at the end of the path", "dall-e-2", path="/images/generations/"),
    Situation("GET where only POST is", method="GET"),
    Situation("an unknown path", path="/no/such/path"),
    Situation("GET models/… of a model that there is not", path="/models/no-such-model", method="GET"),
    Situation("POST images/variations", "dall-e-2", {}, path="/images/variations"),
    Situation("async: true", "dall-e-3", {"prompt": "A cat", "async": True}),
    Situation("POST images/generations/async", "dall-e-3", path="/images/generations/async", rare=True),
    Situation("GET images/… of a task", path="/images/7c9e6679-7425-40de-944b-e07fc1f90ae7", method="GET", rare=True),
)
"""What clients send by mistake or in hope, each in a form that one of our gateways refuses."""

SCRIPTED: Final[Mapping[Kind, str]] = {
    "forbidden": "something that the key may not do",
    "moderation": "a prompt that moderation refuses",
    "rate_limit": "too many requests",
    "quota": "no credit left",
    "upstream_error": "an upstream that fails",
    "upstream_timeout": "an upstream that takes too long",
    "overloaded": "an overloaded host",
    "server_error": "a bug of the server",
}
_LAYOUT: Final[Mapping[str, Callable[[Gateway], str]]] = {
    "the headers of every answer": _marks,
    "the members of a refusal": _envelopes,
    "the Content-Type of a refusal": lambda gateway: gateway.error_catalog.spelling.content_type,
    "Retry-After at a limit": _waits,
    "the members of a reply": _layout,
    "the members of the list of models": _listing,
}
