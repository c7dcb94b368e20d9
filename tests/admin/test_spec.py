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

from emulator.admin import spec
from emulator.admin.routes import ROUTES
from emulator.core import yaml_file
from emulator.session.sessions import SessionOverrides
from emulator.session.store import SessionSummary
from tests.conftest import Served
from tests.paths import TESTS

TOKEN: Final = "schemathesis-4711"
CONFIGURATION: Final = TESTS / "data" / "schemathesis.toml"
PATIENCE: Final = 120  # seconds; it takes four


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
    validate(yaml_file.load_yaml(spec.PATH).root)
    validate(document)
    assert "x-emulator-enum" not in json.dumps(document)
    assert yaml_file.load_yaml(spec.PATH).root["info"]["version"] != document["info"]["version"]


def test_every_path_is_described(document: Mapping[str, Any]) -> None:
    """Routes and description have the same paths; each has an id of its own, a summary and what can go wrong."""
    described = {
        (method.upper(), path): node
        for path, item in document["paths"].items()
        for method, node in item.items()
        if method != "parameters"
    }
    assert {(route.method, f"/_emulator{route.path}"): route.body == "json" for route in ROUTES} == {
        place: "requestBody" in node and place[1] != "/_emulator/sessions/{id}/scenario"
        for place, node in described.items()
    }
    assert len(described) == len({node["operationId"] for node in described.values()})
    for (_, path), node in described.items():
        expected = {"200", "400", "403", "408", "413"} | ({"401"} if path != "/_emulator/health" else set())
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


@pytest.mark.parametrize(
    ("phases", "seed"),
    [("examples,coverage", 1), ("fuzzing,stateful", 1), ("fuzzing,stateful", 2), ("fuzzing,stateful", 3)],
)
def test_schemathesis_finds_nothing(
    served: Served, document: Mapping[str, Any], tmp_path: Path, phases: str, seed: int
) -> None:
    """All its checks, over examples, boundaries, chance and sequences; the configuration says what it leaves out."""
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", "openapi.json",
            "--url", served.url, "--phases", phases, "--max-examples", "10", "--seed", str(seed), "--no-color",
        ],
        cwd=tmp_path, env={**os.environ, "EMULATOR_ADMIN_TOKEN": TOKEN}, capture_output=True, text=True,
        timeout=PATIENCE,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    (selected,) = (line for line in done.stdout.splitlines() if "Selected: " in line)
    described = sum(method != "parameters" for item in document["paths"].values() for method in item)
    assert f"{described - 1}/{described}" in selected  # all but the stream
    assert 200 == httpx.get(f"{served.url}/_emulator/health").status_code
