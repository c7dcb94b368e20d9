"""Runs the exchanges of `tests/gateways/observed/`: what the servers behind the gateways do, rather than their pages.

The files are written as those of `tests/gateways/` are (see tests/exchanges.py), but that a reply's `text` is all
the bytes there are, in which <id> stands for the request id of this very call. One file may serve several gateways;
{source} in it is the source of what is known of the one at hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator
from openai import APIStatusError, OpenAI
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from emulator.core.data_folders import find_schemas
from emulator.gateway.errors import ErrorCatalogLoader
from emulator.gateway.gateway import Gateway
from emulator.messages import KINDS, SOURCES, VIOLATIONS
from emulator.validation import registry as directory
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.exchanges import BodyComparison, Exchange, expand_entry, list_findings
from tests.paths import TESTS
from tests.stable_ids import stable_id
from tests.yaml_texts import load_yaml

FOLDER: Final = TESTS / "gateways/observed"
GATEWAYS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "ezmodel": (("ezmodel",), "observed"),
    "geeknow": (("new-api", "geeknow"), "observed"),
    "aiai": (("new-api", "aiai"), "assumed"),
}
"""For each gateway the files of its exchanges, and the source of what is known of it."""
IDS: Final = {
    "ezmodel": r"20[0-9]{12}[0-9]{9}[0-9A-Za-z]{8}",
    "geeknow": r"20[0-9]{12}[0-9]{9}8268d9d6[0-9A-Za-z]{8}",
    "aiai": r"20[0-9]{12}[0-9]{9}8268d9d6[0-9A-Za-z]{8}",
}
VERSIONS: Final = {"ezmodel": None, "geeknow": "v1.0.0-rc.21", "aiai": "v1.0.0-rc.21"}
NEVER: Final = ("x-request-id", "retry-after", "retry-after-ms", "allow")


def load(gateway: str) -> Iterator[Exchange]:
    """The observed exchanges of `gateway`."""
    names, source = GATEWAYS[gateway]
    for name in names:
        text = (FOLDER / f"{name}.yaml").read_text("utf-8").replace("{source}", source)
        for entry in load_yaml(text):
            yield from expand_entry(gateway, entry)


EXCHANGES: Final = [exchange for gateway in GATEWAYS for exchange in load(gateway)]


def dialect_of(gateway: str) -> Gateway:
    """The gateway as its server does it."""
    found = directory.load_behavior(gateway, "observed")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def observed() -> Iterator[Served]:
    """One server in observed behavior, with a channel for `my-model`."""
    served = Served(behavior="observed", channels=("my-model",))
    yield served
    served.stop()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One client for all exchanges, so that they need few connections."""
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.mark.parametrize("exchange", [pytest.param(exchange, id=exchange.id) for exchange in EXCHANGES])
def test_a_server_answers_as_it_was_observed(exchange: Exchange, observed: Served, client: httpx.Client) -> None:
    """Status, headers and bytes are the golden ones; the journal tells the broken rule's source and what was meant."""
    listed = exchange.request["path"] == "/models"  # a channel that a tester adds is listed too
    server = Served(behavior="observed") if listed else observed
    response, entry = asked(exchange, server, client)
    body = exchange.request.get("body")
    prompt = body.get("prompt") if isinstance(body, Mapping) else None
    wrong = [
        *(wrong_head(exchange, response)),
        *wrong_body(BodyComparison(client, f"{server.url}/pictures/", prompt), exchange, response),
        *wrong_entry(exchange, entry),
    ]
    if listed:
        server.stop()
    assert not wrong, "\n  ".join([f"{exchange.id}\n  answered {response.text[:1000]!r}", *wrong])


def asked(exchange: Exchange, server: Served, client: httpx.Client) -> tuple[httpx.Response, Mapping[str, Any]]:
    """The reply to the exchange's request, and what the journal has of it (in a session of its own)."""
    request = exchange.request
    session = f"observed-{stable_id(exchange.id)}"
    content = request.get("text")
    if "body" in request:
        content = json.dumps(request["body"], ensure_ascii=False)
    usual = {"authorization": "Bearer sk-golden", **({} if content is None else {"content-type": "application/json"})}
    headers = {**usual, **{name.lower(): value for name, value in request.get("headers", {}).items()}}
    response = client.request(
        request.get("method", "POST"),
        server.base(exchange.gateway) + request["path"],
        headers={
            **{name: value for name, value in headers.items() if value is not None},
            "x-emulator-session": session,
        },
        content=(content or "").encode(),
    )
    for _ in range(100):  # a call is written down just after its reply is sent
        entry = client.get(f"{server.url}/_emulator/sessions/{session}/calls/latest")
        if entry.status_code == 200:
            break
    found: dict[str, Any] = entry.json()
    return response, found


def wrong_head(exchange: Exchange, response: httpx.Response) -> Iterator[str]:
    """What is wrong with status and headers."""
    if exchange.response["status"] != response.status_code:
        yield f"status: expected {exchange.response['status']}, came {response.status_code}"
    head = response.headers
    if any(name in head for name in NEVER):
        yield f"headers: came {dict(head)}"
    if exchange.response["status"] == 307:
        if not exchange.request["path"].endswith("/") or "x-oneapi-request-id" in head or "content-type" in head:
            yield f"headers of a router: came {dict(head)}"
        return
    if not re.fullmatch(IDS[exchange.gateway], head.get("x-oneapi-request-id", "")):
        yield f"request id: came {head.get('x-oneapi-request-id')!r}"
    expected = {"x-new-api-version": VERSIONS[exchange.gateway], "access-control-allow-origin": "*"}
    drawn = "body" in exchange.response
    expected["content-type"] = "application/json" if drawn else "application/json; charset=utf-8"
    for name, value in {**expected, **exchange.response.get("headers", {})}.items():
        if head.get(name) != value:
            yield f"header {name}: expected {value!r}, came {head.get(name)!r}"
    codes = list_findings(head.get("x-emulator-finding"), exchange.findings)
    if sorted(exchange.findings) != sorted(codes):
        yield f"findings: expected {exchange.findings}, came {codes}"


def wrong_body(looker: BodyComparison, exchange: Exchange, response: httpx.Response) -> Iterator[str]:
    """What is wrong with the body: against the golden one, and against the gateway's own schema."""
    if "text" in exchange.response:
        expected = exchange.response["text"].replace("<id>", response.headers.get("x-oneapi-request-id", "?"))
        if expected.encode() != response.content:
            yield f"body: expected {expected}"
    else:
        yield from looker.compared(exchange.response["body"], response.json(), "body")
    if response.content:
        path, status = exchange.request["path"], response.status_code
        refused = status >= 400 or "error" in response.json()
        name = (
            "Refusal"
            if refused
            else "Pictures"
            if "generations" in path
            else "Models"
            if path == "/models"
            else "Model"
        )
        for violation in VALIDATORS[exchange.gateway, name].iter_errors(response.json()):
            yield f"body, by {exchange.gateway}.yaml: {violation.json_path}: {violation.message[:300]}"


def wrong_entry(exchange: Exchange, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the call in the journal."""
    refused = entry.get("refused") or {}
    if exchange.rule is not None and refused.get("source") != exchange.rule:
        yield f"source of the broken rule: expected {exchange.rule!r}, came {refused.get('source')!r}"
    params = entry.get("params") or {}
    for name, expected in exchange.params.items():
        if name == "absent":
            if there := set(expected) & set(params):
                yield f"journal's params: {there} are there"
        elif json.dumps(params.get(name, "(absent)")) != json.dumps(expected):
            yield f"journal's params.{name}: expected {expected!r}, came {params.get(name, '(absent)')!r}"


def _validators() -> Iterator[tuple[tuple[str, str], Draft202012Validator]]:
    """What each gateway's observed file says of its replies."""
    for gateway in GATEWAYS:
        document = load_yaml((find_schemas() / f"observed/{gateway}.yaml").read_text("utf-8"))
        registry: Registry[Any] = Registry().with_resource("urn:it", DRAFT202012.create_resource(document))
        for name in ("Pictures", "Models", "Model", "Refusal"):
            yield (
                (gateway, name),
                Draft202012Validator({"$ref": f"urn:it#/components/schemas/{name}"}, registry=registry),
            )


VALIDATORS: Final = dict(_validators())


def said(code: str, message: str) -> str:
    """What the middleware answers: keys in the order of the alphabet, and no `param`."""
    return f'{{"error":{{"code":"{code}","message":"{message} (request id: <id>)","type":"new_api_error"}}}}'


def told(code: str, message: str, kind: str = "new_api_error", suffix: str = " (request id: <id>)") -> str:
    """What the relay answers."""
    return f'{{"error":{{"message":"{message}{suffix}","type":"{kind}","param":"","code":"{code}"}}}}'


def passed_on(code: str | None, message: str, kind: str) -> str:
    """What an upstream answered."""
    shown = "null" if code is None else f'"{code}"'
    return f'{{"error":{{"message":"{message}","type":"{kind}","param":"","code":{shown}}}}}'


BOTH: Final[list[tuple[Any, int, str]]] = [
    ("quota", 403, told("insufficient_user_quota", "用户额度不足, 剩余额度: ＄0.000000")),
    (
        {"kind": "quota", "case": "estimate"},
        403,
        told("insufficient_user_quota", "预扣费额度失败, 用户剩余额度: ＄0.010000, 需要预扣费额度: ＄0.040000"),
    ),
    (
        {"kind": "quota", "case": "key"},
        403,
        told(
            "pre_consume_token_quota_failed",
            "token quota is not enough, token remain quota: ＄0.010000, need quota: ＄0.040000",
        ),
    ),
    ("billing", 403, told("insufficient_user_quota", "用户额度不足, 剩余额度: ＄0.000000")),
    ("rate_limit", 429, said("", "您已达到请求数限制：1分钟内最多请求5次")),
    (
        {"kind": "rate_limit", "case": "total"},
        429,
        said("", "您已达到总请求数限制：1分钟内最多请求5次，包括失败次数，请检查您的请求是否正确"),
    ),
    ({"kind": "rate_limit", "case": "in_memory"}, 429, ""),
    ({"kind": "forbidden", "case": "group"}, 403, said("", "无权访问 default 分组")),
    ("upstream_error", 500, told("do_request_failed", "upstream error: do request failed")),
    ("upstream_timeout", 500, told("do_request_failed", "upstream error: do request failed")),
    (
        {"kind": "upstream_error", "case": "html"},
        502,
        told("bad_response_status_code", "openai_error", "bad_response_status_code", ""),
    ),
    (
        {"kind": "upstream_error", "case": "html", "status": 524},
        524,
        told("bad_response_status_code", "openai_error", "bad_response_status_code", ""),
    ),
    (
        {"kind": "upstream_error", "case": "not_json"},
        500,
        told(
            "bad_response_body",
            "invalid character '\\u003c' looking for beginning of value",
            "bad_response_body",
            "",
        ),
    ),
    (
        {"kind": "upstream_error", "case": "no_channel"},
        500,
        told("get_channel_failed", "分组 default 下模型 dall-e-3 的可用渠道不存在（retry）"),
    ),
    ({"kind": "upstream_error", "case": "no_key"}, 500, told("channel:no_available_key", "no enabled keys")),
    ({"kind": "upstream_error", "case": "not_implemented"}, 500, told("convert_request_failed", "not implemented")),
    (
        "moderation",
        400,
        passed_on(
            "content_policy_violation",
            "Your request was rejected as a result of our safety system. Your prompt may contain text that is not "
            "allowed by our safety system.",
            "invalid_request_error",
        ),
    ),
    (
        "server_error",
        500,
        '{"error":{"message":"Panic detected, error: runtime error: invalid memory address or nil pointer dereference. '
        'Please submit a issue here: https://github.com/Calcium-Ion/new-api","type":"new_api_panic"}}',
    ),
]
FORKS: Final[list[tuple[Any, int, str]]] = [
    *BOTH,
    ({"kind": "invalid_key", "case": "expired"}, 401, said("", "该令牌已过期")),
    ({"kind": "invalid_key", "case": "disabled"}, 401, said("", "该令牌状态不可用")),
    (
        {"kind": "invalid_key", "case": "exhausted"},
        401,
        said("", "该令牌额度已用尽 TokenStatusExhausted[sk-abc***xyz]"),
    ),
    ({"kind": "forbidden", "case": "ip"}, 403, said("", "您的 IP 不在令牌允许访问的列表中")),
    ({"kind": "forbidden", "case": "banned"}, 403, said("", "用户已被封禁")),
    ("forbidden", 403, said("", "该令牌无权访问模型 dall-e-3")),
    (
        {"kind": "billing", "case": "price"},
        500,
        told(
            "model_price_error",
            "模型 dall-e-3 倍率或价格未配置，请联系管理员设置或开始自用模式；"
            "Model dall-e-3 ratio or price not set, please set or start self-use mode",
        ),
    ),
    ("overloaded", 503, told("bad_response_status_code", "system overloaded")),
    ({"kind": "overloaded", "case": "memory"}, 503, told("bad_response_status_code", "system overloaded")),
]
RELEASES: Final[list[tuple[Any, int, str]]] = [
    *BOTH,
    ("invalid_key", 401, said("", "Invalid token")),
    ({"kind": "invalid_key", "case": "exhausted"}, 401, said("", "Invalid token")),
    ({"kind": "forbidden", "case": "ip"}, 403, said("access_denied", "您的 IP 不在令牌允许访问的列表中")),
    ({"kind": "forbidden", "case": "banned"}, 403, said("", "User has been banned")),
    ("forbidden", 403, said("", "This token has no access to model dall-e-3")),
    (
        {"kind": "billing", "case": "price"},
        400,
        told(
            "model_price_error",
            "模型 dall-e-3 的价格尚未由管理员配置，暂时无法使用，请联系站点管理员开启该模型；"
            "Model dall-e-3 has not been priced by the administrator yet. "
            "Please contact the site administrator to enable this model.",
        ),
    ),
    (
        "overloaded",
        503,
        told("system_cpu_overloaded", "system cpu overloaded (current: 97.1%, threshold: 90%)", suffix=""),
    ),
    (
        {"kind": "overloaded", "case": "memory"},
        503,
        told("system_memory_overloaded", "system memory overloaded (current: 97.1%, threshold: 90%)", suffix=""),
    ),
]
SCRIPTED: Final = [
    *(("ezmodel", *row) for row in FORKS),
    *((gateway, *row) for gateway in ("geeknow", "aiai") for row in RELEASES),
]


def play(server: Served, session: str, script: Any) -> None:
    """Let `session` play `script`."""
    answer = httpx.put(f"{server.url}/_emulator/sessions/{session}/scenario", json=script)
    assert 200 == answer.status_code, answer.text


@pytest.mark.parametrize(("gateway", "refuse", "status", "text"), SCRIPTED)
def test_scripted_refusals(observed: Served, gateway: str, refuse: Any, status: int, text: str) -> None:
    """Each kind, and each case of one that the software tells apart, has the words that the server has for it."""
    session = f"scripted-{stable_id(gateway + str(refuse))}"
    play(observed, session, {"rules": [{"answers": {"refuse": refuse}}]})
    response = httpx.post(
        f"{observed.base(gateway)}/images/generations",
        json={"model": "dall-e-3", "prompt": "x"},
        headers={"authorization": "Bearer sk-test", "x-emulator-session": session},
    )
    expected = text.replace("<id>", response.headers["x-oneapi-request-id"])
    assert (status, expected) == (response.status_code, response.text)
    assert [] == [name for name in NEVER if name in response.headers]
    assert ("application/json; charset=utf-8" if text else None) == response.headers.get("content-type")


def test_an_upstreams_addresses_are_masked(observed: Served) -> None:
    """OpenAI's words are passed on with the ends of its hosts' names alone, and without the gateway's request id."""
    play(
        observed,
        "masked",
        {"rules": [{"answers": [{"refuse": "moderation"}, {"refuse": {"kind": "upstream_error", "case": "error"}}]}]},
    )
    bodies = [
        httpx.post(
            f"{observed.base('aiai')}/images/generations",
            json={"model": "gpt-image-1", "prompt": "x"},
            headers={"authorization": "Bearer sk-test", "x-emulator-session": "masked"},
        )
        for _ in range(2)
    ]
    first, second = (one.json()["error"] for one in bodies)
    assert [400, 500] == [one.status_code for one in bodies]
    assert "If you believe this is an error, contact us at ***.***.com and include" in first["message"]
    assert ("moderation_blocked", "image_generation_user_error", "") == (first["code"], first["type"], first["param"])
    assert ("server_error", None) == (second["type"], second["code"])
    assert "help center at ***.***.com if" in second["message"]


def test_limits_tell_no_wait(observed: Served) -> None:
    """A limit above which the documented behavior name the wait sends no Retry-After in the observed ones."""
    play(observed, "limited", {"limits": {"requests_per_minute": 1}, "rules": []})

    def ask(**headers: str) -> httpx.Response:
        return httpx.post(
            f"{observed.base('ezmodel')}/images/generations",
            json={"model": "dall-e-3", "prompt": "x"},
            headers={"authorization": "Bearer sk-test", "x-emulator-session": "limited", **headers},
        )

    first, second, documented = ask(), ask(), ask(**{"x-emulator": "behavior=documented"})
    assert [200, 429, 429] == [one.status_code for one in (first, second, documented)]
    assert second.json()["error"]["message"].startswith("您已达到请求数限制：1分钟内最多请求1次 (request id: ")
    assert [] == [name for name in NEVER if name in second.headers]
    assert "retry-after" in documented.headers


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_who_has_a_channel_for_dall_e(serve: Callable[..., Served], gateway: str) -> None:
    """Then a call without a model gets so far that the relay misses one, and `dall-e` has the sizes of dall-e-2."""
    server = serve(behavior="observed", channels=("dall-e",))
    ask = f"{server.base(gateway)}/images/generations"
    headers = {"authorization": "Bearer sk-test"}
    missing = httpx.post(ask, json={"prompt": "x"}, headers=headers)
    assert (
        told("invalid_request", "model is required").replace("<id>", missing.headers["x-oneapi-request-id"])
        == missing.text
    )
    assert 500 == missing.status_code
    small = httpx.post(ask, json={"model": "dall-e", "prompt": "x", "size": "1792x1024"}, headers=headers)
    assert (500, True) == (small.status_code, "for dall-e-2 or dall-e" in small.text)
    assert 200 == httpx.post(ask, json={"model": "dall-e", "prompt": "x"}, headers=headers).status_code
    assert "dall-e" in [
        one["id"] for one in httpx.get(f"{server.base(gateway)}/models", headers=headers).json()["data"]
    ]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_a_script_sets_up_channels(observed: Served, gateway: str) -> None:
    """`channels` of a scenario are models that its session alone has a channel for; a mark takes none away."""
    session = f"channels-{gateway}"
    play(observed, session, {"channels": ["flux-pro"], "rules": []})

    def ask(session: str, **headers: str) -> int:
        return httpx.post(
            f"{observed.base(gateway)}/images/generations",
            json={"model": "flux-pro", "prompt": "x"},
            headers={"authorization": "Bearer sk-test", "x-emulator-session": session, **headers},
        ).status_code

    assert [200, 200, 503] == [ask(session), ask(session, **{"x-emulator": "latency=1ms"}), ask("without")]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_keys(observed: Served, tmp_path: Path, serve: Callable[..., Served], gateway: str) -> None:
    """Reserved keys, those of fixtures among them, may have dashes; of the others only the first part is a key."""

    def ask(server: Served, key: str) -> tuple[int, str | None]:
        response = httpx.post(
            f"{server.base(gateway)}/images/generations",
            json={"model": "dall-e-3", "prompt": "x"},
            headers={"authorization": f"Bearer {key}"},
        )
        return response.status_code, response.headers.get("x-emulator-finding")

    reserved = ["sk-emulator.session.my-own-test", "sk-emulator.happy.my-own-test"]
    assert [(200, None)] * 2 == [ask(observed, key) for key in reserved]
    assert 429 == ask(observed, "sk-emulator.rate-limit.my-own-test")[0]
    (tmp_path / "keys").write_text("sk-good\nsk-made-of-parts\n")
    strict = serve(behavior="observed", keys=str(tmp_path / "keys"))
    assert [200, 200, 403, 403, 401, 401] == [
        ask(strict, key)[0] for key in ("sk-good", "good", "sk-good-7", "sk-made-of-parts", "sk-other", "sk-other-7")
    ]
    unmarked = serve(behavior="observed", no_reserved_values=True)
    assert (403, "key_in_parts") == ask(unmarked, "sk-emulator.session.my-own-test")


def test_three_ways_to_choose_behavior(serve: Callable[..., Served]) -> None:
    """By server, by session, by call: the last beats the one before; a gateway without such behavior keeps its own."""
    server = serve()
    ask = f"{server.base('ezmodel')}/images/generations"
    body = {"model": "dall-e-3", "prompt": "x", "size": "1x1"}

    def status(session: str, **headers: str) -> int:
        return httpx.post(
            ask, json=body, headers={"authorization": "Bearer sk-x", "x-emulator-session": session, **headers}
        ).status_code

    assert [400, 500] == [status("a"), status("a", **{"x-emulator": "behavior=observed"})]
    settings = httpx.put(f"{server.url}/_emulator/sessions/b/settings", json={"behavior": "observed"})
    assert 200 == settings.status_code, settings.text
    assert [500, 400, 400] == [status("b"), status("b", **{"x-emulator": "behavior=documented"}), status("a")]
    plain = serve(behavior="observed")
    assert 200 == plain.generate("geekai", {"model": "dall-e-3", "prompt": "x"}).status_code


def sdk(server: Served, gateway: str, session: str, **headers: str) -> OpenAI:
    """OpenAI's own client, which waits for nothing between two tries."""
    client = OpenAI(
        base_url=server.base(gateway), api_key="sk-test", default_headers={"x-emulator-session": session, **headers}
    )
    client._calculate_retry_timeout = lambda *_, **__: 0.0  # type: ignore[method-assign]
    return client


@pytest.mark.parametrize(("behavior", "status", "calls"), [("observed", 500, 3), ("documented", 400, 1)])
def test_a_bad_size_costs_an_sdk_two_more_tries(observed: Served, behavior: str, status: int, calls: int) -> None:
    """A client's own mistake that is answered with a 500 looks transient to OpenAI's SDK, and it asks again, twice."""
    session = f"retries-{behavior}"
    client = sdk(observed, "ezmodel", session, **{"x-emulator": f"behavior={behavior}"})
    with client, pytest.raises(APIStatusError) as caught:
        client.images.generate(model="dall-e-3", prompt="x", size="256x256")
    assert (status, calls) == (caught.value.status_code, len(observed.calls(session)))


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_who_follows_the_slash(observed: Served, gateway: str) -> None:
    """The SDK and `follow_redirects` arrive with body and key; plain httpx is left with a bare 307."""
    ask = f"{observed.base(gateway)}/images/generations/"
    body, headers = {"model": "dall-e-2", "prompt": "x"}, {"authorization": "Bearer sk-test"}
    plain = httpx.post(ask, json=body, headers=headers)
    assert (307, b"", None) == (plain.status_code, plain.content, plain.headers.get("access-control-allow-origin"))
    assert ask.removeprefix(observed.url).rstrip("/") == plain.headers["location"]
    assert 200 == httpx.post(ask, json=body, headers=headers, follow_redirects=True).status_code
    with sdk(observed, gateway, f"slash-{gateway}") as client:
        followed = client.post("/images/generations/", body=body, cast_to=httpx.Response)
    assert 200 == followed.status_code
    assert [307, 200] == [call["status"] for call in observed.calls(f"slash-{gateway}")]


CHANNELS: Final[list[tuple[str, str, str]]] = [
    ("ezmodel", "openai", r'{\n  "created": [0-9]+,\n  "data": \[\n    {\n      "url": "[^"]+"\n    }\n  \]\n}\n'),
    ("ezmodel", "converted", r'{"data":\[{"url":"[^"]+"}\],"created":[0-9]+}'),
    ("geeknow", "converted", r'{"data":\[{"url":"[^"]+","b64_json":"","revised_prompt":""}\],"created":[0-9]+}'),
    ("geeknow", "zhipu", r'{"created":[0-9]+,"data":\[{"b64_json":"[A-Za-z0-9+/=]+"}\]}'),
    ("aiai", "openai", r'{\n  "created": [0-9]+,\n  "data": \[\n    {\n      "url": "[^"]+"\n    }\n  \]\n}\n'),
    ("aiai", "converted", r'{"data":\[{"url":"[^"]+","b64_json":"","revised_prompt":""}\],"created":[0-9]+}'),
    ("aiai", "zhipu", r'{"created":[0-9]+,"data":\[{"b64_json":"[A-Za-z0-9+/=]+"}\]}'),
]


@pytest.mark.parametrize(("gateway", "channel", "pattern"), CHANNELS)
def test_a_script_chooses_the_channel(observed: Served, gateway: str, channel: str, pattern: str) -> None:
    """By which kind of channel a reply comes decides its layout, to the byte; documented behavior know no channels."""
    session = f"channel-{gateway}-{channel}"
    play(observed, session, {"rules": [{"answers": {"draw": {"channel": channel}}}]})

    def ask(behavior: str) -> httpx.Response:
        return httpx.post(
            observed.base(gateway) + "/images/generations",
            json={"model": "dall-e-2", "prompt": "x", "size": "256x256"},
            headers={
                "authorization": "Bearer sk-test",
                "x-emulator-session": session,
                "x-emulator": f"behavior={behavior}",
            },
        )

    assert re.fullmatch(pattern, ask("observed").text)
    assert re.fullmatch(r'{"created":[0-9]+,"data":\[{"url":"[^"]+"}\]}', ask("documented").text)


def ask_scripted(observed: Served, gateway: str, session: str, script: Any, body: Any) -> httpx.Response:
    """The answer to a call of a session that plays `script`."""
    play(observed, session, script)
    content = body if isinstance(body, str) else json.dumps(body)
    return httpx.post(
        observed.base(gateway) + "/images/generations",
        content=content,
        headers={
            "authorization": "Bearer sk-test",
            "content-type": "application/json",
            "x-emulator-session": session,
        },
    )


def by_channel(name: str) -> Any:
    """A script whose answers come by the channel `name`."""
    return {"rules": [{"answers": {"draw": {"channel": name}}}]}


@pytest.mark.parametrize(
    ("body", "members"),
    [
        ({"model": "dall-e-3", "prompt": "x"}, ["created", "data"]),
        ({"model": "dall-e-2", "prompt": "x", "response_format": "b64_json"}, ["created", "data"]),
        ({"model": "gpt-image-1", "prompt": "x", "background": "transparent"},
         ["created", "background", "data", "output_format", "quality", "size", "usage"]),
    ],
)  # fmt: skip
def test_a_channel_to_openai_brings_openais_own_reply(observed: Served, body: Any, members: list[str]) -> None:
    """Its bytes are passed on: indented, in its order, with usage where the model has one."""
    response = ask_scripted(observed, "geeknow", f"openai-{body['model']}", by_channel("openai"), body)
    assert (200, members) == (response.status_code, list(response.json()))
    assert response.text.startswith('{\n  "created": ')
    assert "x-emulator-finding" not in response.headers
    if body["model"] == "gpt-image-1":
        assert ("transparent", "high", "1024x1024") == tuple(
            response.json()[name] for name in ("background", "quality", "size")
        )
        assert ["b64_json"] == list(response.json()["data"][0])


@pytest.mark.parametrize(
    ("body", "param", "code", "message"),
    [
        ({"model": "dall-e-3", "prompt": "x", "n": 2}, "n", "integer_above_max_value",
         "Invalid 'n': integer above maximum value. Expected a value <= 1, but got 2 instead."),
        ({"model": "dall-e-3"}, "prompt", "empty_string", "Invalid 'prompt': empty string."),
        ({"model": "gpt-image-1", "prompt": "x", "response_format": "url"}, "response_format", "unknown_parameter",
         "Unknown parameter: 'response_format'."),
    ],
)  # fmt: skip
def test_a_channel_to_openai_refuses_as_openai_does(
    observed: Served, body: Any, param: str, code: str, message: str
) -> None:
    """What the relay lets by, OpenAI refuses, in its words and the relay's envelope; by a converting channel nobody."""
    session = f"openai-refuses-{code}"
    response = ask_scripted(observed, "geeknow", session, by_channel("openai"), body)
    error = response.json()["error"]
    assert (400, param, code) == (response.status_code, error["param"], error["code"])
    assert error["message"].startswith(message)
    call = observed.calls(session)[-1]
    assert (None, param, []) == (call["params"], call["refused"]["param"], call["findings"])
    assert 200 == ask_scripted(observed, "geeknow", session, by_channel("converted"), body).status_code


@pytest.mark.parametrize("gateway", ["ezmodel", "aiai"])
def test_another_channel_has_another_upstream(observed: Served, gateway: str) -> None:
    """What OpenAI refuses behind the usual channel is not refused by it where the reply comes from somebody else."""
    body = {"model": "dall-e-3", "prompt": "x", "n": 2}
    refused, drawn = (
        ask_scripted(observed, gateway, f"channel-{gateway}-{name}", by_channel(name), body)
        for name in ("openai", "converted")
    )
    assert (400, 200) == (refused.status_code, drawn.status_code)


def test_a_channel_that_has_no_pictures(observed: Served) -> None:
    """EZModel's fork has not implemented pictures on a channel of Zhipu's."""
    response = ask_scripted(observed, "ezmodel", "zhipu", by_channel("zhipu"), {"model": "dall-e-3", "prompt": "x"})
    error = response.json()["error"]
    assert (500, "convert_request_failed") == (response.status_code, error["code"])
    assert error["message"].startswith("not implemented (request id: ")


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{bad", 400),
        ({"model": "no-such-model", "prompt": "x"}, 503),
        ({"model": "dall-e-3", "prompt": "x", "size": "1x1"}, 500),
        ({"model": "dall-e-3", "prompt": "x"}, 200),
    ],
)
def test_requests_are_counted_before_the_body_is_read(observed: Served, gateway: str, body: Any, status: int) -> None:
    """The rate limit stands behind the key and before all else: a broken body is counted, and then refused by it."""
    session = f"rate-first-{gateway}-{status}"
    script = {"limits": {"requests_per_minute": 1}, "rules": []}
    assert status == ask_scripted(observed, gateway, session, script, body).status_code
    url = observed.base(gateway) + "/images/generations"
    headers = {"authorization": "Bearer sk-test", "x-emulator-session": session, "content-type": "application/json"}
    content = body if isinstance(body, str) else json.dumps(body)
    assert 429 == httpx.post(url, content=content, headers=headers).status_code
    headers["authorization"] = "Bearer sk-invalid"
    assert 401 == httpx.post(url, content=content, headers=headers).status_code


@pytest.mark.parametrize("gateway", ["ezmodel", "aiai"])
def test_quota_is_looked_at_before_the_upstream_is_asked(observed: Served, gateway: str) -> None:
    """What the relay refuses comes before the quota, what its upstream refuses after it, and that is not paid."""
    session = f"quota-{gateway}"
    good = {"model": "dall-e-2", "prompt": "x", "size": "256x256"}
    for images, body, status in (
        (0, {**good, "size": "1x1"}, 500),
        (0, {**good, "quality": "junk"}, 403),
        (1, {**good, "quality": "junk"}, 400),
        (1, good, 200),
    ):
        response = ask_scripted(observed, gateway, session, {"limits": {"images": images}, "rules": []}, body)
        assert status == response.status_code, response.text
    play(observed, session, {"limits": {"images": 1}, "rules": []})
    statuses = []
    for body in ({**good, "quality": "junk"}, good, good):
        headers = {"authorization": "Bearer sk-test", "x-emulator-session": session}
        url = observed.base(gateway) + "/images/generations"
        statuses.append(httpx.post(url, json=body, headers=headers).status_code)
    assert [400, 200, 403] == statuses


@pytest.mark.parametrize(("gateway", "sent"), [("geeknow", True), ("aiai", True), ("ezmodel", False)])
def test_a_key_in_parts_is_answered_with_a_header(observed: Served, gateway: str, sent: bool) -> None:
    """new-api sends a header that it sends nowhere else; its fork has not got it."""
    headers = {"authorization": "Bearer sk-KEY-12"}
    response = httpx.post(observed.base(gateway) + "/images/generations", json={}, headers=headers)
    value = response.headers.get("specific_channel_version")
    assert (403, "701e3ae1dc3f7975556d354e0675168d004891c8" if sent else None) == (response.status_code, value)


@pytest.mark.parametrize(("response_format", "picture"), [("url", '"url":"[^"]+"'), ("b64_json", '"b64_json":"[^"]+"')])
def test_the_field_order_of_a_converted_reply(observed: Served, response_format: str, picture: str) -> None:
    """EZModel writes a converted reply with data before created, and each picture's prompt after the picture."""
    session = f"converted-{response_format}"
    play(
        observed, session, {"rules": [{"answers": {"draw": {"channel": "converted", "revised_prompt": "a {prompt}"}}}]}
    )
    response = httpx.post(
        observed.base("ezmodel") + "/images/generations",
        json={"model": "dall-e-3", "prompt": "x", "n": 1, "response_format": response_format},
        headers={"authorization": "Bearer sk-test", "x-emulator-session": session, "x-emulator": "behavior=observed"},
    )
    pattern = f'{{"data":\\[{{{picture},"revised_prompt":"a x"}}\\],"created":[0-9]+}}'
    assert re.fullmatch(pattern.encode(), response.content), response.content[:300]


def test_go_escapes_what_html_could_take_for_its_own(observed: Served) -> None:
    """A converted reply writes < > and & as Go writes them, a reply that is passed on leaves them."""
    answers = [
        httpx.post(
            observed.base(gateway) + "/images/generations",
            json={"model": "dall-e-3", "prompt": "a <b> & c"},
            headers={"authorization": "Bearer sk-test"},
        )
        for gateway in ("geeknow", "aiai")
    ]
    converted, passed = answers
    assert ("a \\u003cb\\u003e \\u0026 c" in converted.text, "<b>" in converted.text) == (True, False)
    assert "a <b> & c" in passed.text
    assert "a <b> & c" in converted.json()["data"][0]["revised_prompt"]


def test_streams(observed: Served) -> None:
    """OpenAI's is passed on; of a converted reply one is made, an event a picture and [DONE]; the fork has none."""

    def ask(gateway: str, model: str) -> httpx.Response:
        return httpx.post(
            observed.base(gateway) + "/images/generations",
            json={"model": model, "prompt": "x", "stream": True},
            headers={"authorization": "Bearer sk-test"},
        )

    passed, made, none = ask("aiai", "gpt-image-1"), ask("geeknow", "dall-e-2"), ask("ezmodel", "dall-e-2")
    assert re.match(
        r'event: image_generation.completed\ndata: {"type":"image_generation.completed","b64_json":', passed.text
    )
    assert "[DONE]" not in passed.text
    assert re.fullmatch(
        r"event: image_generation.completed\n"
        r'data: {"type":"image_generation.completed","created_at":[0-9]+,"url":"[^"]+"}\n\n'
        r"data: \[DONE\]\n\n",
        made.text,
    )
    assert "application/json" == none.headers["content-type"]


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_an_observed_file_is_a_gateways_file(gateway: str) -> None:
    """Valid OpenAPI with live rules, each observed or assumed, and the list of models is those with a channel."""
    validate(
        load_yaml((find_schemas() / f"observed/{gateway}.yaml").read_text("utf-8")),
        cls=OpenAPIV31SpecValidator,
    )
    dialect = dialect_of(gateway)
    assert all(live > 0 for live in RequestValidator(dialect).compile_schemas())
    assert ("observed", ()) == (dialect.behavior, dialect.findings)
    (operation,) = dialect.iter_generating()
    models = operation.models
    assert models is not None
    assert models.otherwise is not None
    assert models.source in SOURCES[1:]
    every = {rules.ref: rules for rules in (*models.listed.values(), models.otherwise)}.values()
    unmarked = [
        f"{rules.ref} {name}.{key}: {keyword.source}"
        for rules in every
        for name, parameter in rules.parameters.items()
        for key, keyword in parameter.items()
        if key not in ("description", "x-emulator-breach") and keyword.source not in SOURCES[1:]
    ]
    assert [] == unmarked + [rules.ref for rules in every if rules.closed.source not in SOURCES[1:]]
    assert sorted(models.known_names) == sorted(one["id"] for one in dialect.listing["data"])


@pytest.mark.parametrize("name", ["new-api", "new-api-fork"])
def test_new_api_never_speaks_as_openai(name: str) -> None:
    """Each kind, and each breach that its own rules can have, is worded by the family itself."""
    openai, own = (ErrorCatalogLoader().load(find_schemas() / f"wordings/{one}.yaml") for one in ("openai", name))
    assert [] == [kind for kind in KINDS if own.kinds[kind] == openai.kinds[kind]]
    mine = {
        "bad_json", "not_an_object", "content_type", "content_encoding", "slow_body", "cut_body", "missing", "type",
        "enum", "above_maximum", "key_in_parts", "multiplication_sign", "sensitive_words", "no_such_model",
        "no_such_task", "not_implemented", "unnamed_model", "unconvertible", "not_a_file",
    }  # fmt: skip
    assert mine == {violation for violation in VIOLATIONS if own.violations[violation] != openai.violations[violation]}


CARELESS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("a huge number", {"content": b'{"model":"dall-e-3","prompt":"x","n":' + b"9" * 4000 + b"}"}),
    ("deep nesting", {"content": b"[" * 100_000}),
    ("a deep style", {"content": b'{"model":"dall-e-3","prompt":"x","style":' + b"[" * 60 + b"]" * 60 + b"}"}),
    ("a long wrong text", {"content": b'{"model":"dall-e-3","prompt":"' + b"x" * 500_000}),
    ("half a megabyte of commas", {"content": b"[" + b"1," * 250_000 + b"x"}),
    ("lone surrogates", {"content": b'{"model":"\\ud800","prompt":"\\udfff"}'}),
    ("bytes that are no text", {"content": bytes(range(256))}),
    ("a model with a format in it", {"json": {"model": "{request_id}{0}{model.__class__}%s", "prompt": "x"}}),
    ("a model of control characters", {"json": {"model": "\x00\r\nX: y\x1b[31m", "prompt": "x"}}),
    ("a model as long as a book", {"json": {"model": "x" * 500_000, "prompt": "x"}}),
    ("ten thousand strangers", {"json": {"model": "dall-e-3", "prompt": "x", **{f"key{i}": i for i in range(10_000)}}}),
    ("everything of a wrong type", {"json": {"model": "dall-e-3", "prompt": {}, "size": {}, "n": {}, "quality": []}}),
    ("a prompt of one kind of letter", {"json": {"model": "dall-e-3", "prompt": "test_sensitiv" * 30_000}}),
    ("a strange language", {"json": {"model": "nope"}, "headers": {"accept-language": "zh" * 2000 + ",;q=,,en;q=zh"}}),
    (
        "a form without an end",
        {
            "content": b"--x\r\nContent-Disposition: form-data; name=",
            "headers": {"content-type": "multipart/form-data; boundary=x"},
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize(("about", "request_"), CARELESS, ids=[about for about, _ in CARELESS])
def test_careless_and_hostile_calls(observed: Served, gateway: str, about: str, request_: dict[str, Any]) -> None:
    """Whatever comes, the answer is one of the server's own, soon, and never a bug of ours."""
    own = {
        "authorization": "Bearer sk-test",
        "content-type": "application/json",
        "x-emulator-session": f"careless-{gateway}",
    }
    response = httpx.post(
        f"{observed.base(gateway)}/images/generations",
        **{**request_, "headers": {**own, **request_.get("headers", {})}},
        timeout=20,
    )
    assert response.status_code in (200, 400, 500, 503), response.text
    assert "Panic detected" not in response.text
    assert re.fullmatch(IDS[gateway], response.headers["x-oneapi-request-id"])
    assert "error" in response.json() or response.status_code == 200
    for path in ("/images/variations", "/images/generations/", "/models/" + "x" * 3000, "/%00", "/models/%2F..%2F"):
        method = "GET" if path.startswith("/models/") else "POST"
        other = httpx.request(
            method, observed.base(gateway) + path, content=request_.get("content", b"{}"), headers=own
        )
        assert other.status_code in (200, 307, 400, 404, 501, 503)
        assert "Panic detected" not in other.text
