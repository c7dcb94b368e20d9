"""Where a gateway's page and its server disagree: what each answers to calls that clients often make.

Every cell is computed: each call goes through both validators, each refusal through both error catalogs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, Final, NamedTuple

from emulator.core.light_dataclass import dataclass
from emulator.gateway.gateway import Gateway
from emulator.messages import GatewayError, Kind, Request, Response, Violation
from emulator.validation.draft import ValidationContext
from emulator.validation.registry import Route
from emulator.validation.validator import RequestValidator


class BehaviorDifference(NamedTuple):
    """A situation, what the page promises, and what the server does."""

    situation: str
    documented: str
    observed: str


@dataclass(frozen=True)
class Situation:
    """A call that a client makes: `model` is the one it is about, None where any will do.

    `path` stands behind the base path; `text` is a body that is no JSON, `body` is what the call has beside its model.
    Few gateways have a `rare` path: the call is compared only where one of the two behaviors has it.
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


def find_differences(documented: RequestValidator, observed: RequestValidator) -> Iterator[BehaviorDifference]:
    """Yield the situations in which the two behaviors of a gateway do not answer alike."""
    for situation in SITUATIONS:
        if _is_meaningful(situation, documented.gateway, observed.gateway):
            yield from _compare(situation.about, _answer(documented, situation), _answer(observed, situation))
    for kind, about in SCRIPTED.items():
        error = GatewayError(kind, facts=_FACTS)
        one, other = _describe_refusal(documented.gateway, error), _describe_refusal(observed.gateway, error)
        yield from _compare(about, one, other)
    for about, describe in _FORMS.items():
        yield from _compare(about, describe(documented.gateway), describe(observed.gateway))


def _compare(about: str, documented: str, observed: str) -> Iterator[BehaviorDifference]:
    if documented != observed:
        yield BehaviorDifference(about, documented, observed)


def _is_meaningful(situation: Situation, documented: Gateway, observed: Gateway) -> bool:
    """Return whether the gateway has the model that a situation is about, and one of its behaviors a rare path."""
    if situation.rare and not any(_has_path(gateway, situation.path) for gateway in (documented, observed)):
        return False
    models = next(documented.iter_generating()).models
    return situation.model is None or (models is not None and situation.model in models.listed)


def _has_path(gateway: Gateway, path: str) -> bool:
    operations, _ = gateway.find_operations(gateway.base + path)
    return bool(operations)


def _answer(validator: RequestValidator, situation: Situation) -> str:
    """Return what becomes of the call, in one line."""
    gateway = validator.gateway
    path = gateway.base + situation.path
    request = _build_request(situation, path)
    try:
        operations, variables = gateway.find_operations(path)
        route = Route(validator, path, operations, variables)
        operation = route.operation(situation.method)
        if operation.redirect is not None:
            return _describe_response(operation.make_redirect(request))
        key = gateway.find_key({"authorization": situation.key})
        call = validator.validate(request, ValidationContext(operation, key, variables=route.variables))
    except GatewayError as error:
        return _describe_refusal(gateway, error)
    if call.deferred:
        return "a task"
    if call.count == 0:
        return "answered"
    if call.count == 1:
        return "1 picture"
    return f"{call.count} pictures"


def _build_request(situation: Situation, path: str) -> Request:
    body: dict[str, Any] | None = dict(situation.body)
    if situation.model is not None:
        body = {"model": situation.model, **situation.body}
    trouble: Violation | None = None
    if situation.text is not None:
        body = None
        trouble = "bad_json"
    return Request(
        method=situation.method, path=path, query="", headers={"Content-Type": situation.kind},
        body=(situation.text or "").encode(), json=body, trouble=trouble, duplicates=(), origin="", received=0,
    )  # fmt: skip


def _describe_refusal(gateway: Gateway, error: GatewayError) -> str:
    language = gateway.choose_language({})
    return _describe_response(gateway.render(error, language=language, request_id=_FACTS["request_id"]))


def _describe_response(response: Response) -> str:
    """Return a refusal in one line: status, code and message."""
    if not any(response.body):
        places = [value for name, value in response.headers if name == "Location"]
        return ", to ".join([f"{response.status}, empty", *places])
    body = json.loads(b"".join(response.body))
    error = body.get("error", body)
    message = str(error.get("message", "")).replace(f" (request id: {_FACTS['request_id']})", "")
    code = error.get("code") or error.get("type")
    if not code:
        return f"{response.status}: {message}"
    return f"{response.status} {code}: {message}"


def _describe_headers(gateway: Gateway) -> str:
    headers = {
        gateway.response_headers.request_id: gateway.response_headers.ids.pattern,
        **dict(gateway.response_headers.others),
    }
    return ", ".join(f"{name}: {value}" for name, value in headers.items())


def _describe_error_bodies(gateway: Gateway) -> str:
    """Return the members of a refusal's body, in each of the forms that the gateway has."""
    envelopes = gateway.error_catalog.envelopes.values()
    return " or ".join("nothing" if envelope is None else _list_members(envelope) for envelope in envelopes)


def _list_members(value: Any) -> str:
    """Return the names of an object's members, those of an inner object in brackets behind its name."""
    if not isinstance(value, Mapping):
        return ""
    members = []
    for name, part in value.items():
        inside = _list_members(part)
        members.append(f"{name} ({inside})" if inside else name)
    return ", ".join(members)


def _describe_reply(gateway: Gateway) -> str:
    """Return the members of the first model's reply, on the channel by which it usually comes."""
    models = next(gateway.iter_generating()).models
    assert models is not None
    rules = next(iter(models.listed.values()), models.otherwise)
    assert rules is not None
    response = rules.response
    usual_channel = gateway.channels.get("")
    if usual_channel is not None:
        response = usual_channel.convert_shape(response)
    data = ", ".join(response.item or response.data_fields or ("url or b64_json",))
    if response.blank or response.absent == "empty":
        data += ", empty if unused"
    names = response.body or response.fields
    pictures = response.places.pictures or ("",)
    members = [f"{name} ({data})" if name == pictures[0] else name for name in names]
    if gateway.tasks is not None:
        members += gateway.tasks.beside or ()
    return ", ".join(members)


def _describe_retry_after(gateway: Gateway) -> str:
    if gateway.error_catalog.bare:
        return "never"
    return "with the wait that is left"


_FACTS: Final[Mapping[str, str]] = {
    "request_id": "ID", "model": "dall-e-3", "limit": "5", "used": "5", "requested": "1", "wait": "12s", "key": "sk-…",
}  # fmt: skip
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
_FORMS: Final[Mapping[str, Callable[[Gateway], str]]] = {
    "the headers of every answer": _describe_headers,
    "the members of a refusal": _describe_error_bodies,
    "the Content-Type of a refusal": lambda gateway: gateway.error_catalog.json_format.content_type,
    "Retry-After at a limit": _describe_retry_after,
    "the members of a reply": _describe_reply,
    "the members of the list of models": lambda gateway: ", ".join(gateway.listing),
}
