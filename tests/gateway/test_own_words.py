"""What refusals of a user's own gateway can say: words for a breach, the model, the value, the request's id."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Served

GATEWAY = """
openapi: 3.1.0
info: {title: Own, version: "1"}
servers: [{url: https://own.test/v1}]
x-emulator-gateway: {wording: {$ref: words.yaml}}
paths:
  /images/generations:
    post:
      requestBody:
        content:
          application/json:
            schema:
              oneOf: [{$ref: "#/components/schemas/Brush"}]
              discriminator: {propertyName: model, mapping: {brush: "#/components/schemas/Brush"}}
              x-emulator-models: {otherwise: unknown}
      responses: {"200": {description: x}}
components:
  schemas:
    Brush:
      type: object
      required: [model, prompt]
      x-emulator-breach: {required: other}
      properties:
        model: {const: brush}
        prompt: {type: string}
        shape: {enum: [wall, door]}
"""
WORDS = """
extends: openai.yaml
envelopes:
  own: {ok: false, trace: "{request_id}", problem: {reason: "{code}", text: "{message}", field: "{param}"}}
kinds:
  unknown_model: {message: "no brush {value} here, {model}"}
breaches:
  other: {message: "{model} wants {param}", code: wanted}
  enum: {message: "{model} has no {param} {value}"}
"""


@pytest.fixture
def ask(serve: Callable[..., Served], tmp_path: Path) -> Callable[[Any], httpx.Response]:
    """Calls the gateway."""
    (tmp_path / "own.yaml").write_text(GATEWAY, "utf-8")
    (tmp_path / "words.yaml").write_text(WORDS, "utf-8")
    served = serve(schema=(str(tmp_path / "own.yaml"),))
    url = f"{served.url}/own/v1/images/generations"
    return lambda body: httpx.post(url, json=body, headers={"authorization": "Bearer k"})


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"model": "brush"}, {"reason": "wanted", "text": "brush wants prompt", "field": "prompt"}),
        (
            {"model": "brush", "prompt": "x", "shape": "moon"},
            {"reason": "invalid_value", "text": "brush has no shape 'moon'", "field": "shape"},
        ),
        (
            {"model": "pen", "prompt": "x"},
            {"reason": "invalid_value", "text": "no brush 'pen' here, pen", "field": "model"},
        ),
    ],
)
def test_a_refusal_names_what_its_words_name(
    ask: Callable[[Any], httpx.Response], body: Any, problem: dict[str, Any]
) -> None:
    """The model and the value, a word of its own for a missing parameter, and the request's id in the body."""
    first, second = ask(body), ask(body)
    assert problem == first.json()["problem"]
    assert [first.headers["x-request-id"], second.headers["x-request-id"]] == [
        first.json()["trace"],
        second.json()["trace"],
    ]
    assert first.json()["trace"] != second.json()["trace"]
