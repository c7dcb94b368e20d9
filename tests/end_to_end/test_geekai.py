"""Runs the exchanges of `tests/gateways/observed/geekai.yaml`: a gateway whose software is its own, and not public.

The file is written as those of `tests/gateways/` are (see tests/exchanges.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from emulator.analysis import differences
from emulator.core.data_folders import find_schemas
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.messages import KINDS, SOURCES, GatewayError
from emulator.validation import registry as directory
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.exchanges import BodyComparison, Exchange, expand_entry, list_findings
from tests.paths import TESTS
from tests.stable_ids import stable_id
from tests.yaml_texts import load_yaml

EXCHANGES: Final = [
    exchange
    for entry in load_yaml((TESTS / "gateways/observed/geekai.yaml").read_text("utf-8"))
    for exchange in expand_entry("geekai", entry)
]
FILE: Final = find_schemas() / "observed/geekai.yaml"


def observed() -> Gateway:
    """The gateway as its server does it."""
    found = directory.load_behavior("geekai", "observed")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One server in observed behavior."""
    served = Served(behavior="observed")
    yield served
    served.stop()


@pytest.mark.parametrize("exchange", [pytest.param(exchange, id=exchange.id) for exchange in EXCHANGES])
def test_the_server_answers_as_it_was_observed(exchange: Exchange, served: Served) -> None:
    """Status, findings and body are the golden ones and keep the file's own schema; the journal tells the source."""
    request, session = exchange.request, f"geekai-{stable_id(exchange.id)}"
    headers = {"authorization": "Bearer sk-golden", "x-emulator-session": session, "content-type": "application/json"}
    headers = {name: value for name, value in {**headers, **request.get("headers", {})}.items() if value is not None}
    content = json.dumps(request["body"]) if "body" in request else request.get("text")
    method, url = request.get("method", "POST"), served.base("geekai") + request["path"]
    response = httpx.request(method, url, headers=headers, content=content)
    assert (exchange.response["status"], "application/json") == (response.status_code, response.headers["content-type"])
    assert list(exchange.findings) == list_findings(response.headers.get("x-emulator-finding"), exchange.findings)
    with httpx.Client() as client:
        looker = BodyComparison(client, f"{served.url}/pictures/", request.get("body", {}).get("prompt"))
        assert [] == list(looker.compared(exchange.response["body"], response.json(), "body"))
    for violation in validator(schema_of(exchange)).iter_errors(response.json()):
        raise AssertionError(f"{violation.json_path}: {violation.message[:300]}")
    (call,) = served.calls(session)
    if exchange.rule is not None:
        assert exchange.rule == call["refused"]["source"]
    assert exchange.params == {name: call["params"][name] for name in exchange.params}


def schema_of(exchange: Exchange) -> str:
    """Which schema of the file the reply keeps."""
    if exchange.response["status"] >= 400:
        return "Refusal"
    if exchange.request["path"].startswith("/models/"):
        return "Model"
    return "Pictures" if "created" in exchange.response["body"] else "Submitted"


def validator(name: str) -> Draft202012Validator:
    """What the gateway's file says of the replies that are called `name`."""
    document = load_yaml(FILE.read_text("utf-8"))
    registry: Registry[Any] = Registry().with_resource("urn:it", DRAFT202012.create_resource(document))
    return Draft202012Validator({"$ref": f"urn:it#/components/schemas/{name}"}, registry=registry)


def test_it_is_a_gateways_file() -> None:
    """Valid OpenAPI with live rules, each with its source, and a list of just the models that it takes."""
    validate(load_yaml(FILE.read_text("utf-8")), cls=OpenAPIV31SpecValidator)
    gateway = observed()
    assert all(live > 0 for live in RequestValidator(gateway).compile_schemas())
    (operation,) = gateway.iter_generating()
    assert operation.models is not None
    unmarked = [
        f"{model} {name}.{key}"
        for model, rules in operation.models.listed.items()
        for name, parameter in rules.parameters.items()
        for key, keyword in parameter.items()
        if key not in ("description", "x-emulator-breach") and keyword.source not in SOURCES
    ]
    assert [] == unmarked
    assert sorted(operation.models.listed) == sorted(one["id"] for one in gateway.listing["data"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_is_a_flat_message(kind: Any) -> None:
    """Each kind has a status of the gateway's own table, and a body of a message alone."""
    reply = observed().render(GatewayError(kind, facts={"model": "cogview-4", "wait": "1s"}))
    assert reply.status in (400, 401, 402, 403, 404, 405, 413, 429, 500, 503, 504)
    body = json.loads(b"".join(reply.body))
    assert (["message"], True) == (list(body), body["message"] != "")


def test_codes_go_by_the_status() -> None:
    """The three that the makers' notes name, and null elsewhere; what the emulator says of itself keeps its own."""
    error_catalog = observed().error_catalog
    errors = [
        GatewayError("invalid_request", "n", "above_maximum"),
        GatewayError("invalid_key"),
        GatewayError("too_large"),
    ]
    assert ["validation_error", "unauthorized", "invalid_request"] == [error_catalog.find_code(one) for one in errors]
    assert None is error_catalog.find_code(GatewayError("billing"))
    assert "scenario_exhausted" == error_catalog.find_code(GatewayError("invalid_request", None, "scenario_exhausted"))


def test_an_empty_account_is_a_402(served: Served, key: str) -> None:
    """In the words that were seen, whichever way a script says it."""
    for kind in ("billing", "quota"):
        reply = served.generate(
            "geekai", {"model": "cogview-4", "prompt": "x"}, key, **{"x-emulator": f"refuse={kind}"}
        )
        assert (402, '{"message":"金币余额不足"}') == (reply.status_code, reply.text)


@pytest.mark.parametrize(
    ("refuse", "body"),
    [
        ("billing", {"message": "金币余额不足"}),
        (
            {"kind": "invalid_request", "envelope": "details", "message": "n is wrong"},
            {"code": "validation_error", "message": "n is wrong", "details": {}},
        ),
        (
            {"kind": "invalid_key", "envelope": "details"},
            {"code": "unauthorized", "message": "API Key 为空或错误", "details": {}},
        ),
        (
            {"kind": "billing", "envelope": "details"},
            {"code": None, "message": "金币余额不足", "details": {}},
        ),
        ({"kind": "billing", "envelope": "of another gateway"}, {"message": "金币余额不足"}),
    ],
)
def test_a_script_can_ask_for_the_other_envelope(
    served: Served, key: str, refuse: Any, body: Mapping[str, Any]
) -> None:
    """`envelope: details` is the shape of the makers' own notes; a gateway without one keeps its own."""
    script = {"rules": [{"answers": {"refuse": refuse}}]}
    session = f"envelope-{stable_id(str(refuse))}"
    put = httpx.put(f"{served.url}/_emulator/sessions/{session}/scenario", json=script)
    assert 200 == put.status_code, put.text
    asked = {"model": "cogview-4", "prompt": "x"}
    assert body == served.generate("geekai", asked, key, **{"x-emulator-session": session}).json()
    assert (
        "error"
        in served.generate("ezmodel", {**asked, "model": "dall-e-3"}, key, **{"x-emulator-session": session}).json()
    )


def test_a_file_can_choose_the_other_envelope(tmp_path: Path) -> None:
    """One word in the gateway's file makes every refusal wear the other shape; a word that is none stops the start."""
    (tmp_path / "observed").mkdir()
    text = FILE.read_text("utf-8").replace("../wordings", str(find_schemas() / "wordings"))
    path = tmp_path / "detailed.yaml"
    path.write_text(text.replace("envelope: flat", "envelope: details"), "utf-8")
    reply = load_gateway(path).render(GatewayError("invalid_request", "n", "missing"))
    told = {"code": "validation_error", "message": "Missing required parameter: 'n'.", "details": {}}
    assert told == json.loads(b"".join(reply.body))
    path.write_text(text.replace("envelope: flat", "envelope: round"), "utf-8")
    with pytest.raises(InvalidFile, match=r"envelope is 'round'; known are flat, details"):
        load_gateway(path)


def test_what_differs_from_the_page_is_told() -> None:
    """`rules GATEWAY --differences` has the flat body, the 402, the unknown model, tasks and the members beside."""
    documented = next(one for one in directory.load_gateways(()) if one.name == "geekai")
    rows = {
        about: (one, two)
        for about, one, two in differences.find_differences(RequestValidator(documented), RequestValidator(observed()))
    }
    assert ("error (message, type, param, code)", "message or code, message, details") == rows[
        "the members of a refusal"
    ]
    assert "created, data (url or b64_json), task_id, task_status" == rows["the members of a reply"][1]
    assert ("1 picture", "a task") == rows["async: true"]
    assert "404: 模型不存在" == rows["a model that nobody offers"][1]
    assert "402: 金币余额不足" == rows["no credit left"][1]
    assert "404: 模型不存在" == rows["GET models/… of a model that there is not"][1]


GOOD: Final = b'{"model":"cogview-4","prompt":"x"'
HOSTILE: Final[list[tuple[str, str, bytes, int]]] = [
    ("no JSON", "/images/generations", b"{", 400),
    ("half a character", "/images/generations", b'{"model":"\xff', 400),
    ("a list", "/images/generations", b"[]", 400),
    ("a model that is a mapping", "/images/generations", b'{"model":{},"prompt":"x"}', 400),
    ("a huge n", "/images/generations", GOOD + b',"n":' + b"9" * 4000 + b"}", 400),
    ("an async of null", "/images/generations", GOOD + b',"async":null}', 400),
    ("endless retries", "/images/generations", GOOD + b',"retries":' + b"9" * 400 + b"}", 200),
    ("a deep extra_body", "/images/generations", GOOD + b',"extra_body":' + b'{"a":' * 60 + b"1" + b"}" * 61, 200),
    ("a strength that is no number", "/images/generations", GOOD + b',"strength":NaN}', 400),
    ("too long", "/images/generations", GOOD + b',"image":"' + b"A" * 2**20 + b'"}', 413),
    ("an edit with a form's body", "/images/edits", b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n', 400),
    ("an edit of no picture", "/images/edits", b'{"model":"gpt-image-1","prompt":"x","image":"aGVsbG8="}', 400),
]


@pytest.mark.parametrize(("path", "content", "status"), [pytest.param(*row[1:], id=row[0]) for row in HOSTILE])
def test_careless_and_hostile_calls_are_told_in_its_words(
    served: Served, key: str, path: str, content: bytes, status: int
) -> None:
    """Nothing is a bug of ours: a status of the contract's, and a message in a flat body."""
    headers = {"authorization": key, "content-type": "application/json"}
    reply = httpx.post(served.base("geekai") + path, content=content, headers=headers)
    assert status == reply.status_code, reply.text
    assert status == 200 or ["message"] == list(reply.json())
