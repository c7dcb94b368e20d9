"""Runs the golden exchanges of `tests/gateways/`: what each gateway's page promises, each rule kept and each broken.

How these files are written is explained in tests/exchanges.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import load_gateway
from tests.conftest import Served
from tests.exchanges import (
    GATEWAYS,
    SOURCES,
    BadEntry,
    BodyComparison,
    Exchange,
    compare_values,
    expand_entry,
    list_findings,
    load_exchanges,
)
from tests.stable_ids import stable_id
from tests.yaml_texts import load_yaml

INDENTS: Final[Mapping[str, int]] = {"openai": 2}
"""The gateways whose replies are indented; the others' have no needless space."""
PATHS: Final[Mapping[str, str]] = {"ark": "~1api~1v3", "azure": "~1openai~1v1"}
"""What stands before the paths of base URLs in the files of some gateways, as a step of a JSON pointer has it."""
PICTURES: Final[Mapping[str, str]] = {"aiai": "~1images~1generations~1", "openrouter": "~1images"}
"""The path of generations in the files of some gateways, as a step of a JSON pointer has it."""
_UUID: Final = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
REQUEST_IDS: Final[Mapping[str, tuple[str, str]]] = {
    "ark": ("x-request-id", "021789[0-9]{9}[0-9a-f]{32}"),
    "azure": ("apim-request-id", _UUID),
    "xai": ("x-request-id", _UUID),
}
"""The header with a request's id, and the pattern of ids, where they are not OpenAI's."""
EXCHANGES: Final = [exchange for gateway in GATEWAYS for exchange in load_exchanges(gateway)]


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """One client for all exchanges, so that they need few connections."""
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def answering(server: Served) -> Iterator[Callable[[Mapping[str, Any]], Served]]:
    """The server with these settings; it is started when it is first needed."""
    servers = {"{}": server}

    def find(settings: Mapping[str, Any]) -> Served:
        name = json.dumps(settings, sort_keys=True)
        if name not in servers:
            servers[name] = Served(**settings)
        return servers[name]

    yield find
    for one in servers.values():
        if one is not server:
            one.stop()


@pytest.mark.parametrize("exchange", [pytest.param(exchange, id=exchange.id) for exchange in EXCHANGES])
def test_a_gateway_answers_as_its_page_says(
    exchange: Exchange, answering: Callable[[Mapping[str, Any]], Served], client: httpx.Client
) -> None:
    """The reply is the golden one, order of keys included, and keeps the gateway's own schema; the journal agrees."""
    server = answering(exchange.settings)
    response, entry = _ask(exchange, server, client)
    given = exchange.request.get("body", entry.get("given"))
    prompt = given.get("prompt") if isinstance(given, Mapping) else None
    wrong = [
        *compare_values(exchange.response["status"], response.status_code, "status"),
        *_headers(exchange, response),
        *_bodies(BodyComparison(client, f"{server.url}/pictures/", prompt), exchange, response),
        *_journalled(exchange, entry),
    ]
    assert not wrong, "\n  ".join([f"{exchange.id}\n  answered {response.text[:1000]!r}", *wrong])


def _ask(exchange: Exchange, server: Served, client: httpx.Client) -> tuple[httpx.Response, Mapping[str, Any]]:
    """The reply to the exchange's request, and what the journal has of it (in a session of its own)."""
    request = exchange.request
    session = f"golden-{stable_id(exchange.id)}"
    usual = {"authorization": "Bearer sk-golden", "content-type": "application/json"}
    given = {name.lower(): value for name, value in request.get("headers", {}).items()}
    headers = {name: value for name, value in {**usual, **given}.items() if value is not None}
    content = request.get("text", "")
    if "body" in request:
        content = json.dumps(request["body"], ensure_ascii=False)
    elif "text" not in request:
        headers.pop("content-type", None)
    response = client.request(
        request.get("method", "POST"),
        server.base(exchange.gateway) + request["path"],
        headers={**headers, "x-emulator-session": session},
        content=content.encode() if isinstance(content, str) else content,
    )
    for _ in range(100):  # a call is written down just after its reply is sent
        entry = client.get(f"{server.url}/_emulator/sessions/{session}/calls/latest")
        if entry.status_code == 200:
            break
    found: dict[str, Any] = entry.json()
    return response, found


def _headers(exchange: Exchange, response: httpx.Response) -> Iterator[str]:
    """What is wrong with the headers; those that every reply has are checked too."""
    usual = {"content-type": "application/json", "access-control-allow-origin": "*"}
    for name, expected in {**usual, **exchange.response.get("headers", {})}.items():
        yield from compare_values(expected, response.headers.get(name), f"header {name}")
    name, pattern = REQUEST_IDS.get(exchange.gateway, ("x-request-id", "req_[0-9a-f]{32}"))
    if not re.fullmatch(pattern, response.headers.get(name, "")):
        yield f"header {name}: {response.headers.get(name)!r}"
    codes = list_findings(response.headers.get("x-emulator-finding"), exchange.findings)
    yield from compare_values(sorted(exchange.findings), sorted(codes), "findings")


def _bodies(looker: BodyComparison, exchange: Exchange, response: httpx.Response) -> Iterator[str]:
    """What is wrong with the body: against the golden one, its layout, and against the gateway's own schema."""
    if "text" in exchange.response:
        name, _ = REQUEST_IDS.get(exchange.gateway, ("x-request-id", ""))
        text = response.text.replace(response.headers.get(name, "<id>"), "<id>")
        yield from compare_values(exchange.response["text"], text, "text")
        return
    try:
        body = json.loads(response.content, object_pairs_hook=_no_key_twice)
    except ValueError as error:
        yield f"body: {error}"
        return
    yield from looker.compared(exchange.response["body"], body, "body")
    indent = INDENTS.get(exchange.gateway)
    layout = json.dumps(body, ensure_ascii=False, indent=indent, separators=None if indent else (",", ":"))
    if layout + exchange.response.get("end", "") != response.text:
        yield f"layout: came {response.text[:200]!r}"
    for violation in VALIDATORS[exchange.gateway, exchange.schema].iter_errors(body):
        yield f"body, by {exchange.gateway}.yaml: {violation.json_path}: {violation.message[:300]}"


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return mapping


def _journalled(exchange: Exchange, entry: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the call in the journal."""
    yield from compare_values(exchange.gateway, entry.get("gateway"), "journal's gateway")
    refused = entry.get("refused") or {}
    if exchange.response["status"] >= 400:
        if exchange.rule is not None:
            yield from compare_values(exchange.rule, refused.get("source", "not refused"), "source of the broken rule")
        return
    params = {"model": entry.get("model"), **(entry.get("params") or {})}  # a model that was not given is shown too
    for name, expected in exchange.params.items():
        if name == "absent":
            for name in expected:
                if name in params:
                    yield f"journal's params.{name}: expected to be absent, came {params[name]!r}"
        else:
            yield from compare_values(expected, params.get(name, "(absent)"), f"journal's params.{name}")


def _validators() -> Iterator[tuple[tuple[str, str], Draft202012Validator]]:
    """What each gateway's file says of its own replies: the schema of the 200, and the one of every refusal."""
    for gateway in GATEWAYS:
        document = load_yaml((find_schemas() / f"{gateway}.yaml").read_text("utf-8"))
        registry: Registry[Any] = Registry().with_resource("urn:it", DRAFT202012.create_resource(document))
        base = PATHS.get(gateway, "")
        pictures = PICTURES.get(gateway, f"{base}~1images~1generations")
        media = "content/application~1json/schema"
        for name, pointer in (
            ("Pictures", f"paths/{pictures}/post/responses/200/{media}"),
            ("Models", f"paths/{base}~1models/get/responses/200/{media}"),
            ("Model", f"paths/{base}~1models~1%7Bmodel%7D/get/responses/200/{media}"),
            ("Deleted", f"paths/{base}~1models~1%7Bmodel%7D/delete/responses/200/{media}"),
            ("Refusal", f"components/responses/Refusal/{media}"),
        ):
            yield (gateway, name), Draft202012Validator({"$ref": f"urn:it#/{pointer}"}, registry=registry)


VALIDATORS: Final = dict(_validators())


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_every_listed_model_draws_in_some_exchange(gateway: str) -> None:
    """No model can be listed in a schema, or in the answer to GET models, without an exchange that it answers."""
    operation = next(load_gateway(find_schemas() / f"{gateway}.yaml").iter_generating())
    assert operation.models is not None
    drawn = {
        exchange.request["body"]["model"]
        for exchange in EXCHANGES
        if exchange.gateway == gateway
        and exchange.response["status"] == 200
        and "model" in exchange.request.get("body", {})
    }
    assert set(operation.models.listed) - drawn == set()


def test_no_two_exchanges_share_a_name() -> None:
    """A name is a test's id and a session's name: two alike would read each other's journal."""
    ids = [exchange.id for exchange in EXCHANGES]
    assert [] == [one for one in ids if ids.count(one) > 1]


def test_every_exchange_says_where_its_promise_comes_from() -> None:
    """Each source is one of the words, and a refusal, whose wording no page has, is never called documented."""
    assert {exchange.source for exchange in EXCHANGES} <= set(SOURCES)
    assert "documented" not in {exchange.source for exchange in EXCHANGES if exchange.response["status"] >= 400}


GOOD: Final[Mapping[str, Any]] = {
    "name": "x",
    "source": "assumed",
    "where": "nowhere",
    "request": {"path": "/images/generations", "body": {"prompt": "x"}},
    "reply": {"status": 200, "body": {"created": "<created>"}},
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"parms": {}}, "unknown keys"),
        ({"request": {"path": "/models", "boby": {}}}, "unknown keys"),
        ({"request": {"body": {}}}, "lacks path"),
        ({"reply": {"status": 200, "body": {}, "header": {}}}, "unknown keys"),
        ({"reply": {"status": 200}}, "lacks body"),
        ({"reply": {"status": 200, "body": {}, "text": ""}}, "unknown keys"),
        ({"reply": {"status": 200, "body": {"created": "<createt>"}}}, "unknown placeholder"),
        ({"reply": {"status": 200, "body": {"url": "<url 1024 png>"}}}, "unknown placeholder"),
        ({"reply": {"status": 400, "body": {}}, "source": "documented"}, "no page words a refusal"),
        ({"reply": {"status": 400, "body": {}}, "params": {"n": 1}}, "has no params"),
        ({"rule": "documented"}, "breaks no rule"),
        ({"source": "guessed"}, "known are"),
        ({"source": None}, "known are"),
        ({"rule": "guessed"}, "known are"),
        ({"each": {"size": ["1024x1024"]}}, "never used"),
        ({"each": []}, "nothing is tested"),
        ({"each": {"size": []}}, "nothing is tested"),
        ({"request": {"path": "/models", "body": {"size": "{size}"}}}, "does not have"),
    ],
)
def test_a_slip_in_a_golden_file_is_refused(change: Mapping[str, Any], complaint: str) -> None:
    """A typo must not make a test that tests nothing."""
    assert 1 == len(list(expand_entry("x", GOOD)))
    with pytest.raises(BadEntry, match=complaint):
        list(expand_entry("x", {**GOOD, **change}))


def test_an_entry_can_stand_for_many() -> None:
    """`each` multiplies and keeps types, `repeat` makes texts and lists long."""
    entry = {
        **GOOD,
        "each": {"n": [1, 1.0], "word": ["猫"]},
        "request": {"path": "/x", "body": {"n": "{n}", "prompt": {"repeat": ["{word}", 3]}}},
        "reply": {"status": 200, "body": {"data": {"repeat": [[{"url": "<url>"}], 2]}}},
    }
    bodies = [exchange.request["body"] for exchange in expand_entry("x", entry)]
    assert json.dumps([{"n": 1, "prompt": "猫猫猫"}, {"n": 1.0, "prompt": "猫猫猫"}]) == json.dumps(bodies)
    assert [{"url": "<url>"}] * 2 == next(expand_entry("x", entry)).response["body"]["data"]
