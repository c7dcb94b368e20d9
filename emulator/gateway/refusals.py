"""Builds the errors that both the contract and a scenario's `refuse` raise, so that both read alike.

`validation` calls the functions for what it refuses itself; `build_scripted_error` says what a gateway would say if it
refused the very call that a scenario answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from emulator.core.phrases import name_go_kind, name_kind, quote
from emulator.gateway import pricing
from emulator.gateway.gateway import Gateway
from emulator.messages import Call, GatewayError, Kind, Refuse, Request, Source


class RequestFacts(NamedTuple):
    """What a refusal can say of a request beside its parameters.

    `path` is the gateway's own, `methods` are those that it takes, `limit` is the most bytes that a body may have.
    """

    request: Request
    path: str
    methods: Iterable[str]
    limit: int


def mask_key(key: str) -> str:
    """Mask a key as OpenAI shows a wrong one: its first 8 and last 4 characters; a key of 12 or fewer whole."""
    if len(key) <= 12:
        return key
    return f"{key[:8]}{'*' * (len(key) - 12)}{key[-4:]}"


def refuse_key(key: str, rule: str | None = None, source: str | None = None) -> GatewayError:
    """Return the error of a wrong API key."""
    return GatewayError(kind="invalid_key", facts={"key": mask_key(key)}, rule=rule, source=source)


def refuse_model(
    kind: Kind, name: str, rule: str | None = None, source: str | None = None, *, param: str = "model"
) -> GatewayError:
    """Return the error of a model that does not exist: `kind` is unknown_model or retired_model.

    `param` is the parameter that names the model.
    """
    facts = {"model": name[:LONGEST_MODEL], "value": quote(name)}
    return GatewayError(kind=kind, param=param, facts=facts, rule=rule, source=source, value=name)


def refuse_path(method: str, path: str, rule: str | None = None, source: str | None = None) -> GatewayError:
    """Return the error of a path that the gateway does not have."""
    return GatewayError(kind="not_found", facts=describe_address(method, path), rule=rule, source=source)


def refuse_method(method: str, path: str, methods: Iterable[str], source: Source | None = None) -> GatewayError:
    """Return the error of a path that takes `methods` alone; Allow lists them, and the one that browsers ask with."""
    allowed = ", ".join((*methods, "OPTIONS"))
    return GatewayError(
        kind="wrong_method",
        facts=describe_address(method, path),
        rule=f"paths: {allowed}",
        source=source,
        headers=(("Allow", allowed),),
    )


def refuse_length(request: Request, limit: int, source: Source | None = None) -> GatewayError:
    """Return the error of a body above `limit` bytes; where its length is not told, one byte above is what was read."""
    length = request.headers.get("Content-Length", "")
    if not length.isdecimal() or int(length[:20]) <= limit:
        length = str(limit + 1)
    return GatewayError(
        kind="too_large",
        facts={"limit": str(limit), "length": length[:20]},
        rule=f"a body of at most {limit} bytes",
        source=source,
    )


def refuse_rate(
    model: str, *, unit: str, limit: int, used: int, requested: int, seconds: float, rule: str | None = None
) -> GatewayError:
    """Return the error of one call too many in a minute, counted in `unit` (images or requests).

    `seconds` is the wait that is left. A call that asks for more than `limit` is told of no wait: none would help.
    """
    facts = {"model": model, "limit": str(limit), "used": str(used), "requested": str(requested)}
    if requested > limit:
        return GatewayError("rate_limit", facts=facts, rule=rule, words={"case": f"{unit}_above"})
    facts["wait"] = f"{math.ceil(seconds)}s"
    headers = make_retry_headers(seconds)
    return GatewayError("rate_limit", facts=facts, rule=rule, words={"case": unit}, headers=headers)


def refuse_cost(model: str, *, left: float, need: float, rule: str | None = None) -> GatewayError:
    """Return the error of a call that costs `need` dollars of an account that has `left`."""
    facts = {"model": model, "left": format_dollars(left), "need": format_dollars(need)}
    words = {}
    if left > 0:
        words["case"] = "estimate"
    return GatewayError("billing", facts=facts, rule=rule, words=words)


def describe_address(method: str, path: str) -> dict[str, str]:
    """Return the facts about where a call goes, cut to what a message can hold."""
    return {"method": method[:20], "path": path[:500]}


def make_retry_headers(seconds: float) -> tuple[tuple[str, str], ...]:
    """Return the headers that tell a client to wait, as OpenAI sends them: whole seconds, and milliseconds."""
    return (("retry-after", str(math.ceil(seconds))), ("retry-after-ms", str(math.ceil(seconds * 1000))))


def format_dollars(amount: float) -> str:
    """Return an amount of money as new-api writes it, six places behind the point."""
    return f"{max(0.0, amount):.6f}"


def build_scripted_error(
    refusal: Refuse, call: Call, asked: RequestFacts, gateway: Gateway, *, now: float
) -> GatewayError:
    """Return the error with which `gateway` refuses `call` as a scenario asks it to.

    It is built as the contract builds its own. What the call does not have, such as a model where models are listed,
    is the gateway's usual one. `now` is Unix seconds.
    """
    param, value = _choose_param(call, refusal.words)
    key = gateway.find_key(asked.request.headers) or asked.request.headers.get("Authorization", "").partition(" ")[2]
    key = key or _NO_KEY
    model = call.model or gateway.usual_model
    error = _build_kind(refusal.kind, call, asked, model=model, key=key)
    wait = _find_wait(refusal, now)
    facts = {
        **_describe_value(param, value),
        **_describe_price(call),
        **describe_address(asked.request.method, asked.path),
        "content_type": asked.request.headers.get("Content-Type", "application/json")[:100],
        "model": model[:LONGEST_MODEL],
        "key": mask_key(key),
        **error.facts,
        "wait": wait,
    }
    refused_param, refused_value, headers = refusal.words.get("param") or error.param, error.value, error.headers
    if refusal.kind == "rate_limit":
        headers = ()
        if refusal.sends_wait:
            headers = make_retry_headers(_read_wait(wait))
    elif refusal.kind == "invalid_request":
        refused_value = value
        if "message" not in refusal.words:  # else it is not known what the tester's own words are about
            refused_param = param
    return replace(
        error,
        param=refused_param,
        facts=facts,
        words={**error.words, **refusal.words},
        rule=None,  # the call breaks none
        value=refused_value,
        headers=headers,
    )


def _find_wait(refusal: Refuse, now: float) -> str:
    """Return the wait of which a refusal tells; where the scenario gives a date, it is what is left until then."""
    if refusal.until is None:
        return refusal.wait
    return f"{max(0, math.ceil(refusal.until - now))}s"


def _build_kind(kind: Kind, call: Call, asked: RequestFacts, *, model: str, key: str) -> GatewayError:
    """Return the contract's own error of `kind` about `call`."""
    request = asked.request
    match kind:
        case "invalid_key":
            return refuse_key(key)
        case "unknown_model" | "retired_model":
            return refuse_model(kind, model, param=call.name_parameter("model"))
        case "not_found":
            return refuse_path(request.method, asked.path)
        case "wrong_method":
            return refuse_method(request.method, asked.path, asked.methods)
        case "too_large":
            return refuse_length(request, asked.limit)
        case _:  # every other message is about a rate, an account, or nothing that the call has
            unit = "images" if call.count else "requests"
            count = max(1, call.count)
            limit = max(_USUAL_LIMIT, count)
            error = refuse_rate(model, unit=unit, limit=limit, used=limit, requested=count, seconds=0)
            if kind == "rate_limit":
                return error
            return GatewayError(kind, facts=error.facts)


def _choose_param(call: Call, words: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the parameter that a call without a mistake is refused for, and its value.

    It is the one that the scenario names, else the prompt, else the first that the client gave, else the one in the
    path; a call without any has its model refused.
    """
    given: Mapping[str, Any] = {**call.params, **call.given}
    named = words.get("param")
    if isinstance(named, str) and named:
        return named, given.get(named)
    for name in (call.name_parameter("prompt"), *call.given, *call.params):
        if name in given:
            return name, given[name]
    return call.name_parameter("model"), call.model


def _describe_value(param: str, value: Any) -> dict[str, str]:
    """Return what a catalog's message can say of a parameter that is refused for no rule of its schema."""
    decoded, literal = name_go_kind(value)
    return {
        "param": param,
        "value": quote(value),
        "actual": name_kind(value),
        "decoded": decoded,
        "decoded_value": literal,
        "expected": "another value",
        "supported": "other values",
        "choices": "other values",
        "unreadable": "unexpected EOF",
    }


def _describe_price(call: Call) -> dict[str, str]:
    """Return what a call costs, and what an account has that cannot pay it."""
    need = _USUAL_PRICE
    if call.count:
        need = pricing.price_call(call, call.count) or _USUAL_PRICE
    left = min(_USUAL_REST, need / 2)
    return {"left": format_dollars(left), "need": format_dollars(need)}


def _read_wait(wait: str) -> float:
    """Return the seconds of a wait such as 12s or 20ms."""
    if wait.endswith("ms"):
        return float(wait[:-2]) / 1000
    return float(wait[:-1])


LONGEST_MODEL: Final = 200  # characters of a model's name that a message shows; it comes from the network
_NO_KEY: Final = "sk-none"  # what a message shows where a gateway takes calls without a key
_USUAL_LIMIT: Final = 5  # images a minute of OpenAI's first tier, as its refusals show it
_USUAL_PRICE: Final = 0.04  # dollars of a square picture of dall-e-3; the price of a call whose own nobody knows
_USUAL_REST: Final = 0.01  # dollars
