"""The description of the emulator's own paths: sound, complete, and true of a running server, as schemathesis finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openapi_spec_validator import validate

from emulator.admin import description
from emulator.admin.routes import ROUTES
from emulator.core import yaml_file
from emulator.session.sessions import SessionOverrides
from emulator.session.store import SessionSummary
from tests.conftest import Served
from tests.paths import TESTS

TOKEN: Final = "my-token-4711"
CONFIGURATION: Final = TESTS / "data" / "schemathesis.toml"
PATIENCE: Final = 240  # seconds; it takes fifteen


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server that asks for a token, with a session of a few calls."""
    one = Served(admin_token=TOKEN, clock="frozen:2026-01-01T00:00:00Z")
    for body in ({"prompt": "A cat"}, {"prompt": "A cat", "n": 99}, {}):
        one.generate("ezmodel", body, **{"x-emulator-session": "my-test"})
    yield one
    one.stop()


@pytest.fixture(scope="module")
def document(served: Served) -> Mapping[str, Any]:
    """The description as that server shows it."""
    response = httpx.get(f"{served.url}/_emulator/openapi.json", headers={"x-emulator-token": TOKEN})
    found: Mapping[str, Any] = response.json()
    return found


def test_it_is_openapi(document: Mapping[str, Any]) -> None:
    """Both the file and what a server makes of it are OpenAPI 3.1, with nothing left to fill in."""
    validate(yaml_file.load_yaml(description.PATH).root)
    validate(document)
    assert "x-emulator-enum" not in json.dumps(document)
    assert yaml_file.load_yaml(description.PATH).root["info"]["version"] != document["info"]["version"]


def test_every_path_is_described(document: Mapping[str, Any]) -> None:
    """Routes and description have the same paths; each has an id of its own, a summary and what can go wrong."""
    described = {
        (method.upper(), path): node
        for path, item in document["paths"].items()
        for method, node in item.items()
        if method != "parameters"
    }
    assert {(route.method, f"/_emulator{route.path}"): route.body == "json" for route in ROUTES} == {
        place: "requestBody" in node and not place[1].endswith(("/{id}/scenario", "/{id}/state"))
        for place, node in described.items()
    }
    assert len(described) == len({node["operationId"] for node in described.values()})
    for (_, path), node in described.items():
        expected = {"200", "400", "408", "413"}
        if path != "/_emulator/health":
            expected.add("403")
        if node.get("security") != [{}]:
            expected.add("401")
        assert (path, set()) == (path, expected - set(node["responses"]))
        assert node["summary"]
        assert node["tags"][0] in {tag["name"] for tag in document["tags"]}


def test_examples_are_examples(document: Mapping[str, Any]) -> None:
    """Every example in the description keeps the schema beside it."""
    from jsonschema import Draft202012Validator

    found = 0
    waiting: list[Any] = [document]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            given = [node["example"]] if "example" in node else []
            given += (
                [one["value"] for one in node["examples"].values()] if isinstance(node.get("examples"), dict) else []
            )
            schema = node.get("schema", node)
            for example in given:
                Draft202012Validator({**schema, "components": document["components"]}).validate(example)
                found += 1
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    assert found > 20


def _list_example_requests(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Method, path, content type and body of each example of a request."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "requestBody" not in operation:
                continue
            for content_type, media in operation["requestBody"]["content"].items():
                examples = [one["value"] for one in media.get("examples", {}).values()]
                for body in [media["example"]] if "example" in media else examples:
                    yield method.upper(), path.replace("{id}", "examples").replace("{number}", "1"), content_type, body


def test_the_server_accepts_the_examples(served: Served, document: Mapping[str, Any]) -> None:
    """Each example of a request is one that the server carries out, and none is missing."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    served.generate("ezmodel", {"prompt": "A cat"}, **{"x-emulator-session": "examples"})
    found = set()
    for method, path, content_type, body in _list_example_requests(document):
        url = served.url + path
        sent = {**headers, "content-type": content_type}
        reply = httpx.request(method, url, content=json.dumps(body), headers=sent)
        assert reply.status_code in (200, 406), (
            method,
            path,
            body,
            reply.text,
        )  # 406: a verdict that does not hold
        found.add((method, path))
    assert ("PUT", "/_emulator/sessions/examples/scenario") in found


SCENARIOS: Final[Mapping[str, Any]] = {
    "a ready-made one": {"scenario": "happy"},
    "channels": {"channels": ["flux"], "rules": []},
    "limits alone": {"limits": {"images": 3}},
    "no such ready-made one": {"scenario": "hapy"},
    "an empty rule": {"rules": [{}]},
    "neither rules nor limits": {"about": "x"},
    "an unknown key": {"rules": [], "rule": []},
    "an unknown kind": {"rules": [{"answers": {"refuse": "boredom"}}]},
    "an unknown member of usage": {"rules": [{"answers": {"draw": {"usage": {"output_tokns": 3}}}}]},
    "too many faults": {"rules": [{"answers": {"faults": ["garbage"] * 21}}]},
    "a limit below nothing": {"limits": {"images": -1}},
    "a bare latency": {"rules": [{"answers": {"latency": "5"}}]},
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_the_description_takes_the_server_takes(served: Served, document: Mapping[str, Any], name: str) -> None:
    """A scenario keeps the description if and only if the server plays it."""
    from jsonschema import Draft202012Validator

    schema = {"$ref": "#/components/schemas/Scenario", "components": document["components"]}
    is_described = Draft202012Validator(schema).is_valid(SCENARIOS[name])
    url = f"{served.url}/_emulator/sessions/described/scenario"
    reply = httpx.put(url, json=SCENARIOS[name], headers={"authorization": f"Bearer {TOKEN}"})
    assert reply.status_code in (200, 400)
    assert is_described == reply.is_success, reply.text


def test_the_words_of_other_modules(document: Mapping[str, Any]) -> None:
    """What sessions are and what they may want is described as those modules have it."""
    schemas = document["components"]["schemas"]
    settings = list(SessionOverrides.__dataclass_fields__)
    assert settings == list(schemas["SettingsChange"]["properties"])
    assert settings == list(schemas["Session"]["properties"]["settings"]["properties"])
    assert ["session", *settings] == document["components"]["responses"]["Settings"]["content"]["application/json"][
        "schema"
    ]["required"]
    summary = [name for name in SessionSummary.__dataclass_fields__ if name != "dropped"]
    described = list(schemas["SessionSummary"]["properties"])
    described.remove("under_way")  # no store knows it
    assert summary == described


def test_schemathesis_finds_nothing(served: Served, document: Mapping[str, Any], tmp_path: Path) -> None:
    """All its checks, over examples, boundaries, chance and sequences; the configuration says what it leaves out."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", "openapi.json",
            "--url", served.url, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "10",
            "--seed", "1", "--no-color",
        ],
        cwd=tmp_path, env={**os.environ, "EMULATOR_ADMIN_TOKEN": TOKEN}, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    (selected,) = (line for line in done.stdout.splitlines() if "Selected: " in line)
    described = sum(method != "parameters" for item in document["paths"].values() for method in item)
    assert f"{described - 1}/{described}" in selected  # all but the stream
    assert 200 == httpx.get(f"{served.url}/_emulator/health").status_code
