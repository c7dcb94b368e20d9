"""Any OpenAPI file about images is served: plain, old or odd; what would go unchecked stops the start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from jsonschema import Draft202012Validator

from emulator.core import yaml_file
from emulator.core.data_folders import find_schemas
from emulator.core.schema_keywords import KEYWORDS
from emulator.gateway import openapi
from emulator.gateway.gateway import load_gateway
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.paths import TESTS
from tests.yaml_texts import dump_yaml, load_yaml

ITSELF: Final = "#/paths/~1images~1generations/post/requestBody/content/application~1json/schema"
ODD: Final = TESTS / "data" / "odd-gateway.yaml"


def _plain(**changes: Any) -> dict[str, Any]:
    """A small valid document; `changes` replace parts of its request schema."""
    schema: dict[str, Any] = {
        "type": "object",
        "required": ["prompt"],
        "properties": {"prompt": {"type": "string"}, "size": {"enum": ["512x512"]}},
        **changes,
    }
    media = {"application/json": {"schema": schema}}
    post = {"requestBody": {"content": media}, "responses": {"200": {"description": "ok"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Plain", "version": "1"},
        "servers": [{"url": "https://plain.test/api/v2"}],
        "paths": {"/images/generations": {"post": post}},
    }


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any], Path]:
    """Writes a document into a file named plain.yaml."""

    def write(document: Any) -> Path:
        path = tmp_path / "plain.yaml"
        path.write_text(document if isinstance(document, str) else dump_yaml(document))
        return path

    return write


def test_an_odd_file_is_served_and_each_defect_is_a_finding(serve: Callable[..., Served]) -> None:
    """The defects of exported pages do not stop it: they are findings, and every rule that it has is live."""
    served = serve(schema=(str(ODD),), gateway="odd-gateway")
    gateway = served.app.registry.validators["odd-gateway"].gateway
    assert [
        "empty_title", "keyword_of_another_version", "no_servers", "operation_left_out", "unknown_security_scheme",
        "unknown_security_type",
    ] == sorted(finding.code for finding in gateway.findings)  # fmt: skip
    assert "/v1" == gateway.base
    good = served.generate("odd-gateway", {"prompt": "x", "size": "1792x1024", "user": None, "strength": 1})
    assert 200 == good.status_code, good.text
    for violation, param in (
        ({"n": 11}, "n"), ({"size": "1x1"}, "size"), ({"strength": 0}, "strength"), ({"user": 5}, "user"),
        ({"prompt": None}, "prompt"), ({"n": 1.0}, "n"), ({"n": True}, "n"),
    ):  # fmt: skip
        refused = served.generate("odd-gateway", {"prompt": "x", **violation})
        assert (400, param) == (refused.status_code, refused.json()["error"]["param"])


def test_a_plain_file_takes_an_openai_compatible_apis_defaults(
    serve: Callable[..., Served], written: Callable[[Any], Path]
) -> None:
    """Bearer key, url replies, at most ten pictures, unknown parameters with a finding, OpenAI's envelope."""
    served = serve(schema=(str(written(_plain())),))
    assert f"{served.url}/plain/api/v2" == served.base("plain")
    response = served.generate("plain", {"prompt": "x", "n": 2, "extra": 1})
    assert ["url"] == [key for item in response.json()["data"][:1] for key in item]
    assert "unknown_parameter" == response.headers["x-emulator-finding"]
    assert "integer_above_max_value" == served.generate("plain", {"prompt": "x", "n": 11}).json()["error"]["code"]
    assert "invalid_type" == served.generate("plain", {"prompt": "x", "n": "2"}).json()["error"]["code"]
    assert 401 == served.generate("plain", {"prompt": "x"}, authorization="Basic abc").status_code
    by_host = served.generate("plain", {"prompt": "x"}, host="plain.test")
    assert by_host.status_code == 200


def test_a_null_that_is_allowed_counts_as_not_given(
    serve: Callable[..., Served], written: Callable[[Any], Path]
) -> None:
    """The default takes its place; who sends something else is not told of null, and elsewhere null is a value."""
    few = {"type": ["integer", "null"], "minimum": 1, "default": 2}
    size = {"type": ["string", "null"], "enum": ["512x512", "256x256", None], "default": "256x256"}
    properties = {"prompt": {"type": "string"}, "n": few, "size": size, "user": {"type": "string"}}
    served = serve(schema=(str(written(_plain(properties=properties))),))
    assert 2 == len(served.generate("plain", {"prompt": "x", "n": None, "size": None}).json()["data"])
    call = served.calls()[-1]
    assert ({"prompt": "x", "n": None, "size": None}, "256x256") == (call["given"], call["params"]["size"])
    told = [
        served.generate("plain", {"prompt": "x", **change}).json()["error"]["message"]
        for change in ({"n": "2"}, {"size": "1x1"}, {"size": 1}, {"user": None})
    ]
    assert [
        "Invalid type for 'n': expected an integer, but got a string instead.",
        "Invalid value: '1x1'. Supported values are: '512x512' and '256x256'.",
        "Invalid type for 'size': expected one of '512x512' or '256x256', but got an integer instead.",
        "Invalid type for 'user': expected a string, but got null instead.",
    ] == told


def test_a_reply_in_a_layout_of_its_own(serve: Callable[..., Served], written: Callable[[Any], Path]) -> None:
    """Fields in the order that the file gives, indented, with a line's end, beside headers for known callers."""
    document = _plain(
        **{
            "x-emulator-reply": {
                "fields": ["size", "data", "created"], "data_fields": ["revised_prompt", "url"], "newline": True,
                "revised_prompt": "echoed",
            }
        }
    )  # fmt: skip
    marks = {"account": {"X-Account": "me"}, "duration": "X-Took"}
    document["x-emulator-gateway"] = {"spelling": {"indent": 4}, "request_id": marks}
    served = serve(schema=(str(written(document)),), clock="frozen:2026-01-01")
    response = served.generate("plain", {"prompt": "x", "size": "512x512"}, **{"X-Emulator": "latency=1500ms"})
    body = response.json()
    assert (["size", "data", "created"], "512x512") == (list(body), body["size"])
    assert ["revised_prompt", "url"] == list(body["data"][0])
    assert json.dumps(body, indent=4) + "\n" == response.text
    assert ("me", "1500") == (response.headers["x-account"], response.headers["x-took"])
    stranger = served.generate("plain", {"prompt": "x"}, key="sk-invalid")
    assert (401, "0") == (stranger.status_code, stranger.headers["x-took"])
    assert "x-account" not in stranger.headers


def test_security_schemes_say_where_the_key_stands(
    serve: Callable[..., Served], written: Callable[[Any], Path]
) -> None:
    """A key in a header of its own is found there; a file that needs none asks for none."""
    document = _plain()
    document["components"] = {"securitySchemes": {"own": {"type": "apiKey", "in": "header", "name": "X-Pic-Key"}}}
    document["security"] = [{"own": []}]
    served = serve(schema=(str(written(document)),))
    assert 401 == served.generate("plain", {"prompt": "x"}).status_code
    assert 200 == served.generate("plain", {"prompt": "x"}, **{"x-pic-key": "abc"}).status_code
    assert "***" == served.calls("latest")[-1]["headers"]["x-pic-key"]


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("a: [1", "plain.yaml:1: "),
        ("just text", "plain.yaml:1: 'just text' is no OpenAPI document"),
        ({"swagger": "2.0"}, "version '2.0' is not supported"),
        ({"openapi": "3.1.0", "info": {}, "paths": {}}, "none has `x-emulator-operation: generate`"),
        (_plain(type="objekt"), "a schema does not compile"),
        (_plain(properties={"prompt": {"type": "string", "pattern": "("}}), "does not compile"),
        (_plain(properties={"prompt": {"minLength": "one"}}), "does not compile"),
        (_plain(properties={"prompt": {"$ref": "#/components/schemas/Prompt"}}), "leads nowhere"),
        (_plain(properties={"prompt": {"$ref": "other.yaml#/Prompt"}}), "leads outside the file"),
        (_plain(**{"$ref": ITSELF}), "leads back"),
        (_plain(required=[], properties={}), "no live rule"),
        (_plain(properties={"prompt": {"x-emulator-sauce": "documented"}}), "did you mean 'x-emulator-source'?"),
        (_plain(**{"x-emulator-reply": {"fields": ["created"], "speed": 1}}), "unknown key 'speed'"),
        (_plain(**{"x-emulator-reply": {"revised_prompt": "maybe"}}), "expected one of none, echoed, rewritten"),
        (_plain(**{"x-emulator-reply": {"usage": "gold"}}), "usage is 'gold'; expected one of gpt-image-1"),
        ({**_plain(), "x-emulator-gateway": {"wording": {"$ref": "../../etc/passwd"}}}, "own folder"),
        ({**_plain(), "x-emulator-gateway": {"wording": {"$ref": "absent.yaml"}}}, "and no error catalog that ships"),
        ({**_plain(), "x-emulator-gateway": {"wording": {"$ref": "pain.yaml"}}}, "did you mean 'plain.yaml'?"),
        ({**_plain(), "x-emulator-gateway": {"words": 1}}, "unknown key 'words'"),
        ({**_plain(), "x-emulator-gateway": {"spelling": {"indent": "2"}}}, "indent is '2'; expected a whole number"),
        ({**_plain(), "x-emulator-gateway": {"request_id": {"durations": "x"}}}, "unknown key 'durations'"),
        (_plain(**{"x-emulator-reply": {"fields": ["data", "colour"]}}), "fields.1 is 'colour'; expected one of cr"),
        (_plain(**{"x-emulator-reply": {"fields": ["data", "usage"]}}), "fields.1 is 'usage'; expected one of created"),
        (_plain(**{"x-emulator-reply": {"data_fields": ["uri"]}}), "data_fields.0 is 'uri'; expected one of b64_json"),
        (_plain(properties={"size": {"x-emulator-size": {"step": 16}}}), "has no 'edge'; expected edge: a whole"),
    ],
)  # fmt: skip
def test_what_would_go_unchecked_stops_the_start(written: Callable[[Any], Path], document: Any, complaint: str) -> None:
    """One line that names the file and what is wrong; nothing is half started."""
    with pytest.raises(yaml_file.InvalidFile) as caught:
        sum(RequestValidator(load_gateway(written(document))).compile_schemas())
    assert complaint in str(caught.value)
    assert "plain.yaml" in str(caught.value) or "absent.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_complaints_name_the_line(written: Callable[[Any], Path]) -> None:
    """The line is that of the very key."""
    path = written("openapi: 3.1.0\ninfo: {title: x}\nx-emulator-gateway:\n  hosts: []\n  colour: red\npaths: {}\n")
    with pytest.raises(yaml_file.InvalidFile, match=r"plain\.yaml:5: unknown key 'colour' in x-emulator-gateway"):
        load_gateway(path)


def test_a_wording_must_have_words_for_everything(tmp_path: Path) -> None:
    """A gateway whose wording lacks one kind, or names a fact that does not exist, does not start."""
    words = load_yaml((find_schemas() / "wordings/openai.yaml").read_text())
    document = {**_plain(), "x-emulator-gateway": {"wording": {"$ref": "words.yaml"}}}
    (tmp_path / "plain.yaml").write_text(dump_yaml(document))
    for change, complaint in (
        (
            {"kinds": {k: v for k, v in words["kinds"].items() if k != "too_large"}},
            "kinds has no words for too_large; ",
        ),
        ({"breaches": {**words["breaches"], "enum": {"message": "{colour}"}}}, "the message names {colour}"),
        ({"breaches": {**words["breaches"], "enum": {"status": "400"}}}, "status is '400'; expected 200 to 599"),
        ({"breaches": {**words["breaches"], "tiredness": {}}}, "unknown key 'tiredness'"),
    ):
        (tmp_path / "words.yaml").write_text(dump_yaml({**words, **change}))
        with pytest.raises(yaml_file.InvalidFile, match=complaint):
            load_gateway(tmp_path / "plain.yaml")


def test_discriminators_without_a_mapping_and_templated_servers(written: Callable[[Any], Path]) -> None:
    """The schemas' own names are the models then; a server's variables take their defaults."""
    document = _plain()
    ref = {"$ref": "#/components/schemas/tiny"}
    document["components"] = {
        "schemas": {
            "tiny": document["paths"]["/images/generations"]["post"]["requestBody"]["content"]["application/json"][
                "schema"
            ]
        }
    }
    media = document["paths"]["/images/generations"]["post"]["requestBody"]["content"]["application/json"]
    media["schema"] = {"oneOf": [ref], "discriminator": {"propertyName": "model"}}
    document["servers"] = [
        {"url": "https://{zone}.plain.test/{v}", "variables": {"zone": {"default": "eu"}, "v": {"default": "v3"}}}
    ]
    gateway = load_gateway(written(document))
    models = next(gateway.iter_generating()).models
    assert models is not None
    assert ({"tiny"}, None) == (set(models.listed), models.otherwise)
    assert ("/v3", {"eu.plain.test"}) == (gateway.base, set(gateway.hosts))


QUERY: Final = {
    "name": "api-version",
    "in": "query",
    "required": True,
    "schema": {"type": "string", "enum": ["1", "2"]},
}


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "missing_required_parameter"),
        ("?api-version=", 400, "invalid_value"),
        ("?api-version=3", 400, "invalid_value"),
        ("?api-version=2&count=x", 400, "invalid_type"),
        ("?api-version=2&count=3&more=x", 200, None),
        ("?api-version=1", 200, None),
    ],
)
@pytest.mark.parametrize("level", ["path", "operation"])
def test_parameters_of_the_query_are_checked(
    serve: Callable[..., Served], written: Callable[[Any], Path], level: str, query: str, status: int, code: str | None
) -> None:
    """A required one is missed, and each is checked by its schema, for whichever level the file writes it."""
    document = _plain()
    path = document["paths"]["/images/generations"]
    node = path if level == "path" else path["post"]
    node["parameters"] = [QUERY, {"name": "count", "in": "query", "schema": {"type": "integer"}}]
    served = serve(schema=(str(written(document)),))
    url = f"{served.base('plain')}/images/generations{query}"
    response = httpx.post(url, json={"prompt": "x"}, headers={"authorization": "Bearer sk-x"})
    assert status == response.status_code, response.text
    if code is not None:
        error = response.json()["error"]
        assert (code, True) == (error["code"], error["param"] in ("api-version", "count"))


@pytest.mark.parametrize(
    ("version", "schema"), [("3.1.0", {"type": ["string", "null"]}), ("3.0.3", {"type": "string", "nullable": True})]
)
def test_a_null_is_a_value_where_it_is_required(
    serve: Callable[..., Served], written: Callable[[Any], Path], version: str, schema: Any
) -> None:
    """A required parameter that may be null is given by a null, and missed where it is left out."""
    properties = {"prompt": schema, "style": schema}
    document = {**_plain(required=["prompt", "style"], properties=properties), "openapi": version}
    served = serve(schema=(str(written(document)),))
    assert 200 == served.generate("plain", {"prompt": "x", "style": None}).status_code
    assert 200 == served.generate("plain", {"prompt": None, "style": None}).status_code
    response = served.generate("plain", {"prompt": "x"})
    assert (400, "style") == (response.status_code, response.json()["error"]["param"])


def test_an_edit_may_be_json_alone(serve: Callable[..., Served], written: Callable[[Any], Path]) -> None:
    """A POST whose path ends with images/edits is an edit, also where it takes no form."""
    document = _plain()
    document["paths"]["/images/edits"] = document["paths"]["/images/generations"]
    served = serve(schema=(str(written(document)),))
    headers = {"authorization": "Bearer sk-x"}
    response = httpx.post(f"{served.base('plain')}/images/edits", json={"prompt": "x"}, headers=headers)
    assert (200, "edit") == (response.status_code, served.calls()[-1]["operation"])
    assert 400 == httpx.post(f"{served.base('plain')}/images/edits", json={}, headers=headers).status_code


def test_an_unknown_keyword_is_a_finding(written: Callable[[Any], Path]) -> None:
    """With its line, how often it stands there, and the nearest keyword; `x-…` and what is no schema are anybody's."""
    document = _plain()
    body = document["paths"]["/images/generations"]["post"]["requestBody"]["content"]["application/json"]
    body["schema"] = {
        "type": "object",
        "x-note": {"maxLenght": 1},
        "example": {"maxLenght": 1},
        "properties": {
            "maxLenght": {"type": "string", "default": {"maxLenght": 1}, "enum": ["maxLenght"]},
            "prompt": {"$ref": "#/components/schemas/Prompt"},
            "size": {"anyOf": [{"type": "string", "maxLenght": 20}, {"const": None, "zzz": 1}]},
        },
    }
    document["components"] = {"schemas": {"Prompt": {"type": "string", "maxLenght": 1000}, "Unused": {"tpye": 1}}}
    path = written(document)
    first, second = load_gateway(path).findings
    line = 1 + next(number for number, text in enumerate(path.read_text().splitlines()) if "maxLenght: 20" in text)
    assert ("unknown_keyword", "unknown_keyword") == (first.code, second.code)
    assert (
        f"'maxLenght' in line {line} and 1 more is no keyword of JSON Schema, so it checks nothing; "
        "did you mean 'maxLength'?"
    ) == first.message
    assert second.message.startswith("'zzz' in line ")
    assert second.message.endswith("so it checks nothing")


def test_models_behind_a_discriminator_are_looked_at(written: Callable[[Any], Path]) -> None:
    """Where nothing but its mapping refers to them, or the schema of unlisted names."""
    document = _plain()
    body = document["paths"]["/images/generations"]["post"]["requestBody"]["content"]["application/json"]
    body["schema"] = {
        "discriminator": {"propertyName": "model", "mapping": {"fresco": "#/components/schemas/Fresco"}},
        "x-emulator-models": {"otherwise": "#/components/schemas/Other"},
    }
    document["components"] = {
        "schemas": {
            "Fresco": {"properties": {"model": {"type": "string"}, "prompt": {"type": "string", "maxLenght": 9}}},
            "Other": {"properties": {"model": {"type": "string"}, "prompt": {"type": "string", "minLenght": 1}}},
        }
    }
    messages = [finding.message for finding in load_gateway(written(document)).findings]
    assert 2 == len([message for message in messages if "is no keyword of JSON Schema" in message])


def test_many_unknown_keywords(written: Callable[[Any], Path]) -> None:
    """The first ten are told one by one."""
    document = _plain()
    content = document["paths"]["/images/generations"]["post"]["requestBody"]["content"]
    content["application/json"]["schema"].update({f"word{number}": 1 for number in range(100)})
    findings = load_gateway(written(document)).findings
    assert 11 == len(findings)
    assert findings[-1].message.startswith("90 more words")


def test_shipped_files_have_known_keywords_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not searched at the start, so they are here; and what jsonschema checks is known."""
    assert set(Draft202012Validator.VALIDATORS) <= KEYWORDS
    monkeypatch.setattr(openapi, "is_shipped_schema", lambda path: False)
    paths = sorted(find_schemas().glob("*.yaml")) + sorted(find_schemas().glob("*/*.yaml"))
    documents = [openapi.load_document(path) for path in paths if path.parent.name not in ("wordings", "tables")]
    assert len(documents) >= 5
    findings = [finding for document in documents for finding in document.findings]
    assert [] == [finding for finding in findings if finding.code == "unknown_keyword"]


def test_what_is_not_checked_is_a_finding(written: Callable[[Any], Path]) -> None:
    """Headers, cookies and other kinds of bodies are said to be unchecked; the key's own header is not one of them."""
    document = _plain()
    post = document["paths"]["/images/generations"]["post"]
    names = [("header", "X-Tenant"), ("header", "Authorization"), ("cookie", "id")]
    post["parameters"] = [{"name": name, "in": place, "schema": {}} for place, name in names]
    post["requestBody"]["content"]["text/plain"] = {"schema": {"type": "string"}}
    (finding,) = load_gateway(written(document)).findings
    assert "not_checked" == finding.code
    where = "of POST /images/generations"
    assert (
        finding.message
        == f"in the file, and not checked: header X-Tenant {where}, cookie id {where}, text/plain {where}"
    )


def test_a_file_as_big_as_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a big provider's 660 other operations one finding tells; the three about images are served.

    Such a file is parsed once: to find the lines of findings takes as long again, and there are none.
    """
    path = tmp_path / "big.yaml"
    path.write_text(_write_big_file(), "utf-8")
    assert path.read_text("utf-8").count("\n") > 39_000
    monkeypatch.setattr(yaml_file.YamlFile, "find_lines", lambda *_: pytest.fail("the file is parsed again"))
    gateway = load_gateway(path)
    assert 9 == sum(RequestValidator(gateway).compile_schemas())
    assert {"generate", "edit", "vary"} == {one.name for each in gateway.operations.values() for one in each.values()}
    (finding,) = gateway.findings
    assert ("operation_left_out", True) == (
        finding.code,
        finding.message.startswith("660 not about images: GET /thing"),
    )


def _write_big_file() -> str:
    """An OpenAPI file of 3.0 with three operations about images among hundreds of others."""
    lines = ["openapi: 3.0.3", "info: {title: Big, version: '1'}", "servers: [{url: https://big.test/v1}]", "paths:"]
    for path, kind in (("generations", "application/json"), ("edits", _FORM), ("variations", _FORM)):
        schema = f"{{$ref: '#/components/schemas/{path}'}}"
        lines.append(f"  /images/{path}: {{post: {{requestBody: {{content: {{{kind}: {{schema: {schema}}}}}}}}}}}")
    for number in range(330):
        schema = f"schema: {{$ref: '#/components/schemas/Thing{number}'}}"
        lines.append(f"  /things{number}/{{id}}:")
        for method in ("get", "post"):
            lines += [f"    {method}:", "      tags: [things]", "      parameters:", "        - name: id"]
            lines += ["          in: path", "          required: true", "          schema: {type: string}"]
            lines += ["      requestBody:", "        content:", "          application/json:", f"            {schema}"]
            lines += ["      responses:", "        '200':", "          description: Well", "          content:"]
            lines += ["            application/json:", f"              {schema}"]
    lines += ["components:", "  schemas:"]
    for path, required in (("generations", "prompt"), ("edits", "image"), ("variations", "image")):
        lines += [f"    {path}:", "      type: object", f"      required: [{required}]", "      properties:"]
        lines += ["        prompt: {type: string, nullable: true}", "        image: {type: string, format: binary}"]
    for number in range(330):
        lines += [f"    Thing{number}:", "      type: object", "      properties:"]
        for field in range(21):
            lines += [f"        field{field}:", "          type: string", "          nullable: true"]
            lines.append(f"          description: The field {field} of the thing {number}")
    return "\n".join(lines) + "\n"


_FORM: Final = "multipart/form-data"


@pytest.mark.parametrize(
    ("security", "status", "is_read"),
    [([{"key": []}], 401, True), ([{}, {"key": []}], 200, True), ([], 200, False), ([{}], 200, False)],
)
def test_a_key_may_be_needed_or_not(
    written: Callable[[Any], Path], serve: Callable[..., Served], security: Any, status: int, is_read: bool
) -> None:
    """Where it may come and need not, it tells sessions apart, and any key is good."""
    document = {**_plain(), "security": security}
    document["components"] = {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}
    served = serve(schema=(str(written(document)),))
    url = f"{served.url}/plain/api/v2/images/generations"
    assert status == httpx.post(url, json={"prompt": "x"}).status_code
    for key in ("sk-one", "sk-two"):
        assert 200 == httpx.post(url, json={"prompt": "x"}, headers={"authorization": f"Bearer {key}"}).status_code
    if security and security[0] == {}:
        headers = {"authorization": "Bearer sk-invalid-1"}
        assert 200 == httpx.post(url, json={"prompt": "x"}, headers=headers).status_code
    told = [one["name"] for one in httpx.get(f"{served.url}/_emulator/sessions").json()["sessions"]]
    assert is_read == any(name.startswith("key-") for name in told)
