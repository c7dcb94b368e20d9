"""Gateways are asked by the clients from npm that are made for them, unmodified: pictures, edits, streams, errors.

`AzureOpenAI` of the package openai, and the AI SDK with its providers for Azure, xAI, Together and OpenRouter. The
script gateway_clients.mjs has what each check asks for.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any, Final

import pytest
from PIL import Image

from emulator.client.api import ImageApi
from tests.conftest import Served
from tests.node import run_script
from tests.uploads import draw_file

SCRIPT: Final = Path(__file__).with_name("gateway_clients.mjs")
PACKAGES: Final = (
    "openai", "ai", "@ai-sdk/azure", "@ai-sdk/xai", "@ai-sdk/togetherai", "@openrouter/ai-sdk-provider",
)  # fmt: skip
BUSY: Final = {"answers": [{"refuse": "rate_limit", "headers": {"retry-after-ms": "1"}}, {"draw": {}}]}
HELD_BACK: Final = {"answers": {"draw": {"omit": ["b64_json"], "set": {"/data/0/respect_moderation": False}}}}
PNG, WIDE_PNG, TALL_PNG = "PNG 1024x1024", "PNG 1536x1024", "PNG 1024x1536"
JPEG, WIDE_JPEG = "JPEG 1024x1024", "JPEG 1360x768"
PARTIAL: Final = "image_generation.partial_image"

AZURE_OPENAI: Final[dict[str, Any]] = {
    "a deployment": {"pictures": [WIDE_PNG], "tokens": 400},
    "any other deployment": {"pictures": [PNG], "tokens": 272},
    "a deployment of the client": {"pictures": [PNG], "tokens": 272},
    "a token": {"pictures": [PNG], "tokens": 272},
    "a link": {"pictures": [PNG], "revised": True},
    "an edit": {"pictures": [PNG], "tokens": 272},
    "a stream": {"pictures": [PNG] * 3, "events": [PARTIAL, PARTIAL, "image_generation.completed"]},
    "a stream of an edit": {"pictures": [PNG] * 2, "events": ["image_edit.partial_image", "image_edit.completed"]},
    "a bad size": {"raised": "BadRequestError", "code": "invalid_value", "param": "size", "message": "400 Invalid"},
    "a bad key": {"raised": "AuthenticationError", "code": "401", "message": "401 Access denied"},
    "a rate limit": {"raised": "RateLimitError", "code": "RateLimitReached", "message": "429 Requests to the image"},
    "a bad deployment": {"raised": "NotFoundError", "code": "DeploymentNotFound", "message": "404 The API deployment"},
    "a filter": {"raised": "BadRequestError", "code": "moderation_blocked", "param": None, "message": "400 Your"},
    "the filter of dall-e-3": {
        "raised": "BadRequestError", "code": "content_policy_violation", "inner": "ResponsibleAIPolicyViolation",
    },
}  # fmt: skip


def _raises(status: int, message: str, **more: Any) -> dict[str, Any]:
    """What the AI SDK tells of an answer without pictures; it may try again where the status is 429."""
    return {"raised": "AI_APICallError", "status": status, "message": message, "retried": 429 == status, **more}


OF_AZURE: Final[dict[str, Any]] = {
    "a deployment": {"pictures": [TALL_PNG] * 2, "types": ["image/png"] * 2, "tokens": 12480},
    "the older paths": {"pictures": [PNG], "tokens": 1056},
    "a token": {"pictures": [PNG], "tokens": 4160},
    "base64 of dall-e-3": {"pictures": ["PNG 1792x1024"], "revised": True},
    "an edit": {"pictures": [PNG], "tokens": 4160},
    "an edit with a mask": {"pictures": [PNG], "tokens": 4160},
    "any other deployment": _raises(400, "Unknown parameter: 'response_format'.", code="unknown_parameter"),
    "a bad size": _raises(400, "Invalid size '7x7'.", code="invalid_value", param="size"),
    "a bad key": _raises(401, "Access denied due to invalid subscription key", code="401"),
    "a rate limit": _raises(429, "Requests to the image operations", code="RateLimitReached"),
    "the filter of dall-e-3": _raises(400, "Your request was rejected", code="content_policy_violation"),
    "no pictures": {"raised": "AI_NoImageGeneratedError", "message": "No image generated."},
    "a page of a proxy": {"raised": "AI_APICallError", "status": 502, "message": "openai_error", "retried": True},
    "a limit that passes": {"pictures": [PNG], "types": ["image/png"]},
}
OF_XAI: Final[dict[str, Any]] = {
    "a ratio": {"pictures": [WIDE_JPEG] * 2, "types": ["image/jpeg"] * 2, "ticks": 400_000_000},
    "a resolution": {"pictures": ["JPEG 2048x2048"], "ticks": 200_000_000},
    "an edit": {"pictures": [JPEG], "types": ["image/jpeg"]},
    "an edit of two": {"pictures": [JPEG], "types": ["image/jpeg"]},
    "a link": {"pictures": [JPEG], "types": ["image/jpeg"]},
    "a bad ratio": _raises(422, "422: Failed to deserialize the JSON body", code="422"),
    "a bad model": _raises(404, "Some requested entity was not found: The model grok-x does not exist"),
    "a bad key": _raises(400, "Client specified an invalid argument: Incorrect API key provided"),
    "a rate limit": _raises(429, "Some resource has been exhausted: Too many requests for model grok-imagine-image."),
    "a rejected picture": _raises(400, "Client specified an invalid argument: Generated image rejected by content"),
    "a picture that is held back": {"raised": "Error", "message": "Image generation was blocked"},
}
OF_TOGETHER: Final[dict[str, Any]] = {
    "a size": {"pictures": ["JPEG 768x256"], "types": ["image/jpeg"]},
    "several": {"pictures": [JPEG] * 2, "types": ["image/jpeg"] * 2},
    "an edit": {"pictures": [JPEG], "types": ["image/jpeg"]},
    "a bad size": _raises(400, "Invalid 'width': integer below minimum value."),
    "a bad model": _raises(404, "Unable to access model flux."),
    "a bad key": _raises(401, "Invalid API key provided."),
    "a rate limit": _raises(429, "Rate limit reached for black-forest-labs/FLUX.1-schnell"),
    "a rejected picture": _raises(422, "The prompt may produce a picture that is not allowed."),
}
OF_OPENROUTER: Final[dict[str, Any]] = {
    "a ratio": {"pictures": ["PNG 1360x768"] * 2, "types": ["image/png"] * 2, "tokens": 1974},
    "a size": {"pictures": [WIDE_PNG], "tokens": 1372},
    "an edit": {"pictures": [PNG], "tokens": 1756},
    "a bad ratio": _raises(400, "Invalid value for 'aspect_ratio': '700:700'.", code=400),
    "a bad model": _raises(404, "No endpoints found for google/none.", code=404),
    "a bad key": _raises(401, "User not found.", code=401),
    "a rate limit": _raises(429, "Rate limit exceeded.", code=429),
    "no credits": _raises(402, "Insufficient credits.", code=402),
    "a null for pictures": _raises(200, "Invalid JSON response"),
    "a flagged prompt": _raises(403, "Your input was flagged.", code=403),
}
CLIENTS: Final = {
    "AzureOpenAI": AZURE_OPENAI,
    "@ai-sdk/azure": OF_AZURE,
    "@ai-sdk/xai": OF_XAI,
    "@ai-sdk/togetherai": OF_TOGETHER,
    "@openrouter/ai-sdk-provider": OF_OPENROUTER,
}
EXPECTED: Final = {f"{client}: {name}": check for client, checks in CLIENTS.items() for name, check in checks.items()}


@pytest.fixture(scope="module")
def heard(server: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What every check has heard; one process of Node does all of them."""
    file = tmp_path_factory.mktemp("clients") / "a.png"
    file.write_bytes(draw_file(mode="RGBA"))
    ImageApi(server.url, "npm-busy", gateway="azure").play({"rules": [BUSY]})
    ImageApi(server.url, "npm-held-back", gateway="xai").play({"rules": [HELD_BACK]})
    sessions = [f"{server.url}/s/{name}" for name in ("npm", "npm-busy", "npm-held-back")]
    found: dict[str, Any] = run_script(SCRIPT.read_text("utf-8"), *sessions, str(file), packages=PACKAGES)
    return found


def _decode(picture: str) -> str:
    """Format and size of a picture whose every pixel can be read."""
    image = Image.open(io.BytesIO(base64.b64decode(picture, validate=True)))
    image.load()
    return f"{image.format} {image.width}x{image.height}"


@pytest.mark.parametrize("check", EXPECTED)
def test_a_client(heard: dict[str, Any], check: str) -> None:
    """Each picture is decoded; an error has its class and the parts that the client finds in it."""
    expected, found = EXPECTED[check], dict(heard[check])
    if "pictures" in found:
        found["pictures"] = [_decode(picture) for picture in found["pictures"]]
    if "message" in expected:
        found["message"] = found["message"][: len(expected["message"])]
    assert expected == {name: found.get(name) for name in expected}, found


def test_no_check_is_left_out(heard: dict[str, Any]) -> None:
    """The script asks for nothing that is not looked at."""
    assert set(EXPECTED) == set(heard)
