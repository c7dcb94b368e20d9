"""A gateway's file of the user's own cannot stop the server, whatever its patterns and references are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import load_gateway
from emulator.messages import GatewayError, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator


def _load(folder: Path, prompt: Any, **definitions: Any) -> RequestValidator:
    """The contract of a gateway whose prompt keeps a schema."""
    body = {"type": "object", "required": ["prompt"], "properties": {"prompt": prompt}}
    operation = {"requestBody": {"content": {"application/json": {"schema": body}}}, "responses": {}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Own", "version": "1"},
        "paths": {"/images/generations": {"post": operation}},
        "components": {"schemas": definitions},
    }
    path = folder / "own.yaml"
    path.write_text(json.dumps(document), "utf-8")
    validator = RequestValidator(load_gateway(path))
    list(validator.compile_schemas())
    return validator


def _refuse(validator: RequestValidator, prompt: Any) -> GatewayError:
    """The error that refuses a prompt."""
    body = {"prompt": prompt}
    request = Request(
        method="POST",
        path="/images/generations",
        query="",
        headers={"Content-Type": "application/json", "Authorization": "Bearer sk-x"},
        body=json.dumps(body).encode(),
        json=body,
        trouble=None,
        duplicates=(),
        origin="http://127.0.0.1",
        received=0.0,
    )
    (operation,) = validator.gateway.iter_generating()
    with pytest.raises(GatewayError) as caught:
        validator.validate(request, ValidationContext(operation, "sk-x"))
    return caught.value


def test_a_pattern_without_an_end(tmp_path: Path) -> None:
    """A text whose search takes too long is refused as one that does not match."""
    error = _refuse(_load(tmp_path, {"type": "string", "pattern": "^(a+)+$"}), "a" * 5000 + "b")
    assert ("other", "prompt") == (error.violation, error.param)


def test_a_schema_that_doubles_with_its_value(tmp_path: Path) -> None:
    """What applies too many keywords is refused, and the rule says why."""
    twice = [{"$ref": "#/components/schemas/Part"}] * 2
    part: Any = {"additionalProperties": {"allOf": twice}}
    value: Any = {}
    for _ in range(30):
        value = {"a": value}
    error = _refuse(_load(tmp_path, {"$ref": "#/components/schemas/Part"}, Part=part), value)
    assert "its schema applies more than 20000 keywords" == error.rule


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ({"pattern": "("}, "the pattern '(' does not compile: missing ), unterminated subpattern"),
        ({"pattern": "a" * 1001}, "the pattern has 1001 characters; expected at most 1000"),
    ],
)
def test_a_bad_pattern_stops_the_start(tmp_path: Path, prompt: Any, told: str) -> None:
    """It is told in one line, with the file."""
    with pytest.raises(InvalidFile, match=r"own\.yaml") as caught:
        _load(tmp_path, prompt)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
