"""The source of a schema holds for its parts, until one says something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.analysis.rules_table import list_rules
from emulator.gateway.gateway import load_gateway
from emulator.messages import GatewayError, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator
from tests.yaml_texts import dump_yaml

BASE = {
    "type": "object",
    "required": ["prompt"],
    "x-emulator-source": "documented",
    "properties": {
        "prompt": {"type": "string", "maxLength": 5},
        "size": {"enum": ["1x1"], "x-emulator-source": "observed"},
        "list": {"type": "array", "items": {"type": "string", "maxLength": 3}},
        "shared": {"$ref": "#/components/schemas/Shared"},
        "quality": {"type": "string", "minLength": 1, "x-emulator-source": {"type": "assumed"}},
    },
    "if": {"properties": {"size": {"const": "1x1"}}, "required": ["size"]},
    "then": {"properties": {"n": {"maximum": 1}}},
}


def _write(folder: Path, version: str, **schemas: Any) -> Path:
    path = folder / "own.yaml"
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Own"}}}}
    document = {
        "openapi": version,
        "info": {"title": "Own", "version": "1"},
        "servers": [{"url": "https://own.test/v1"}],
        "paths": {"/images/generations": {"post": {"requestBody": body, "responses": {}}}},
        "components": {"schemas": {"Base": BASE, "Shared": {"type": "integer"}, **schemas}},
    }
    path.write_text(dump_yaml(document), "utf-8")
    return path


def _list_sources(path: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in list_rules(load_gateway(path)):
        found.setdefault(row.parameter, []).append(row.source)
    return found


@pytest.mark.parametrize(
    "own", [BASE, {"$ref": "#/components/schemas/Base", "properties": {"more": {"type": "string"}}}]
)
def test_parts_have_the_source_of_the_whole(tmp_path: Path, own: Any) -> None:
    """Not what is referred to, nor where a part says it itself; a schema that refers to another has that one's."""
    sources = _list_sources(_write(tmp_path, "3.1.0", Own=own))
    assert ["documented"] == sources["prompt"] == sources["list"] == sources["n"] == sources["(unknown)"]
    assert (["observed"], ["unmarked"]) == (sources["size"], sources["shared"])
    assert ["assumed", "unmarked"] == sources["quality"]
    assert sources.get("more", ["documented"]) == ["documented"]


def test_a_file_of_3_0(tmp_path: Path) -> None:
    """Its schemas are translated first."""
    assert ["documented"] == _list_sources(_write(tmp_path, "3.0.3", Own=BASE))["list"]


@pytest.mark.parametrize(
    ("body", "source"),
    [
        ({"prompt": "too long"}, "documented"),
        ({"prompt": "x", "list": ["long"]}, "documented"),
        ({"prompt": "x", "size": "2x2"}, "observed"),
        ({"prompt": "x", "shared": "x"}, None),
    ],
)
def test_a_refusal_has_it_too(tmp_path: Path, body: Any, source: str | None) -> None:
    """The journal shows it."""
    gateway = load_gateway(_write(tmp_path, "3.1.0", Own=BASE))
    operation = next(gateway.iter_generating())
    request = Request(
        method="POST", path=operation.path, query="", headers={"Content-Type": "application/json"}, body=b"", json=body,
        trouble=None, duplicates=(), origin="", received=0,
    )  # fmt: skip
    with pytest.raises(GatewayError) as caught:
        RequestValidator(gateway).validate(request, ValidationContext(operation, "k"))
    assert source == caught.value.source
