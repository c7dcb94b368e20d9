"""OpenAI's own gateway through its own SDK: every kind of error as its exception, raw replies, the list of models."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from emulator.messages import KINDS
from tests.conftest import Served

TODAY = "2026-11-20"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    """A server on a day on which the models of the facts are there; OpenAI's gateway is asked by its name."""
    served = Served(as_of=TODAY)
    yield served
    served.stop()


@pytest.fixture
def client(server: Served, key: str) -> Iterator[openai.OpenAI]:
    """A client that tries once, and takes nothing that is not what the SDK's types say."""
    with openai.OpenAI(
        base_url=server.base("openai"), api_key=key, max_retries=0, _strict_response_validation=True
    ) as made:
        yield made


def test_a_picture(client: openai.OpenAI) -> None:
    """The reply fits the SDK's types to the letter, and says of the call what was made of it."""
    response = client.images.generate(model="gpt-image-2", prompt="a siamese cat", quality="low", size="1536x864")
    assert response.data is not None
    assert response.usage is not None
    assert response.usage.output_tokens_details is not None
    assert ("opaque", "png", "low", "1536x864") == (
        response.background, response.output_format, response.quality, response.size,
    )  # fmt: skip
    assert (11, 120, 120, 131) == (
        response.usage.input_tokens, response.usage.output_tokens, response.usage.output_tokens_details.image_tokens,
        response.usage.total_tokens,
    )  # fmt: skip
    (picture,) = response.data
    assert picture.url is None
    image = Image.open(io.BytesIO(base64.b64decode(str(picture.b64_json), validate=True)))
    assert ("PNG", (1536, 864)) == (image.format, image.size)


CLASSES: dict[str, tuple[type[openai.APIStatusError], int, str | None, str | None]] = {
    "missing_key": (openai.AuthenticationError, 401, "invalid_request_error", None),
    "invalid_key": (openai.AuthenticationError, 401, "invalid_request_error", "invalid_api_key"),
    "forbidden": (openai.PermissionDeniedError, 403, "invalid_request_error", None),
    "unknown_model": (openai.BadRequestError, 400, "image_generation_user_error", "invalid_value"),
    "retired_model": (openai.BadRequestError, 400, "image_generation_user_error", "invalid_value"),
    "invalid_request": (openai.BadRequestError, 400, "invalid_request_error", "invalid_value"),
    "moderation": (openai.BadRequestError, 400, "image_generation_user_error", "moderation_blocked"),
    "not_found": (openai.NotFoundError, 404, None, None),
    "wrong_method": (openai.APIStatusError, 405, "invalid_request_error", None),
    "too_large": (openai.APIStatusError, 413, "server_error", None),
    "rate_limit": (openai.RateLimitError, 429, "input-images", "rate_limit_exceeded"),
    "quota": (openai.RateLimitError, 429, "insufficient_quota", "insufficient_quota"),
    "billing": (openai.BadRequestError, 400, "image_generation_user_error", "billing_hard_limit_reached"),
    "server_error": (openai.InternalServerError, 500, "server_error", None),
    "upstream_error": (openai.InternalServerError, 502, "server_error", None),
    "overloaded": (openai.InternalServerError, 503, "server_error", None),
    "upstream_timeout": (openai.InternalServerError, 504, "server_error", None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_is_its_exception(client: openai.OpenAI, kind: str) -> None:
    """Class, status, type, code and request id are those that the SDK shows in production."""
    expected, status, type_, code = CLASSES[kind]
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(model="gpt-image-2", prompt="a cat", extra_headers={"X-Emulator": f"refuse={kind}"})
    error = caught.value
    assert (expected, status, type_, code) == (type(error), error.status_code, error.type, error.code)
    assert str(error.request_id).startswith("req_")


def test_what_moderation_says(client: openai.OpenAI) -> None:
    """The details, and the id of the very request."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(model="gpt-image-2", prompt="a cat [[moderation]]")
    assert isinstance(body := caught.value.body, dict)
    assert {"moderation_stage": "input", "categories": ["other"]} == body["moderation_details"]
    assert f"include the request ID {caught.value.request_id}." in body["message"]


def test_what_moderation_said_of_dall_e(serve: Callable[..., Served]) -> None:
    """The retired models have another code, in keys of another order."""
    served = serve(legacy=True)
    response = served.generate("openai", {"model": "dall-e-3", "prompt": "a cat [[moderation]]"})
    assert ["code", "message", "param", "type"] == list(response.json()["error"])
    assert "content_policy_violation" == response.json()["error"]["code"]


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        ({"style": "vivid"}, "unknown_parameter", "style"),
        ({"response_format": "url"}, "unknown_parameter", "response_format"),
        ({"size": "512x512"}, "invalid_value", "size"), ({"n": 11}, "integer_above_max_value", "n"),
        ({"quality": "hd"}, "invalid_value", "quality"), ({"prompt": ""}, "empty_string", "prompt"),
        ({"model": "dall-e-3"}, "invalid_value", "model"), ({"output_format": "gif"}, "invalid_value", "output_format"),
    ],
)  # fmt: skip
def test_a_breach_is_a_bad_request(client: openai.OpenAI, request_: dict[str, Any], code: str, param: str) -> None:
    """Each breach arrives with its code and its parameter."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.generate(**{"model": "gpt-image-2", "prompt": "x", **request_})
    assert (code, param) == (caught.value.code, caught.value.param)


def test_a_raw_reply(client: openai.OpenAI) -> None:
    """`with_raw_response` shows the headers that OpenAI sends, and the layout of its bodies."""
    request = client.images.with_raw_response.generate(model="gpt-image-2", prompt="x", quality="low")
    assert request.request_id == request.headers["x-request-id"]
    assert ("2020-10-01", "org-emulator", "proj_emulator", "nosniff", "application/json") == tuple(
        request.headers[name]
        for name in (
            "openai-version", "openai-organization", "openai-project", "x-content-type-options", "content-type",
        )
    )  # fmt: skip
    assert request.headers["openai-processing-ms"].isdecimal()
    assert json.dumps(json.loads(request.text), indent=2) == request.text
    assert request.parse().created > 0


def test_a_wrong_key_has_no_account(server: Served) -> None:
    """401 has the challenge, none of the account's headers, and the length that was recorded."""
    headers = {"authorization": "Bearer sk-invalid"}
    response = httpx.get(f"{server.base('openai')}/models", headers=headers)
    assert 'Bearer realm="OpenAI API"' == response.headers["www-authenticate"]
    assert not {"openai-organization", "openai-project"} & set(response.headers)
    assert 237 + len("sk-invalid") - len("fake_key") == int(response.headers["content-length"])


def test_the_latency_is_what_the_header_says(serve: Callable[..., Served]) -> None:
    """`openai-processing-ms` is the time that the answer took on the emulator's clock."""
    served = serve(as_of=TODAY, clock="frozen:2026-11-20T12:00:00Z")
    response = served.generate("openai", {"model": "gpt-image-2", "prompt": "x"}, **{"X-Emulator": "latency=34378ms"})
    assert "34378" == response.headers["openai-processing-ms"]


def test_a_script_has_the_last_word_on_headers(serve: Callable[..., Served], tmp_path: Any) -> None:
    """Headers that a rule names take the place of the gateway's own."""
    script = tmp_path / "own.yaml"
    script.write_text("scenario: own\nrules:\n  - answers: {draw: {}, headers: {Openai-Organization: my-org}}\n")
    served = serve(as_of=TODAY, scenario=str(script))
    response = served.generate("openai", {"model": "gpt-image-2", "prompt": "x", "quality": "low"})
    assert ["my-org"] == response.headers.get_list("openai-organization")


def test_models(client: openai.OpenAI) -> None:
    """They are listed, asked for one by one, and those of one's own are taken away."""
    listed = {one.id: one.shutdown_date for one in client.models.list()}
    assert (None, "2026-12-01") == (listed["gpt-image-2"], listed["gpt-image-1.5"])
    assert not {"dall-e-3", "gpt-image-1"} & set(listed)
    for name in ("gpt-6-astra", "gpt-4o-mini", "gpt-image-2.6-flare"):
        assert (name, "system") == ((one := client.models.retrieve(name)).id, one.owned_by)
    own = "ft:gpt-4o-mini:acemeco:suffix:abc123"
    assert (own, True) == ((gone := client.models.delete(own)).id, gone.deleted)
    for name in ("fake_id", "dall-e-3"):
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve(name)
        assert ("model_not_found", "model") == (caught.value.code, caught.value.param)


def test_variations_are_gone(client: openai.OpenAI) -> None:
    """404 without a body, which the SDK takes for what it is."""
    with pytest.warns(DeprecationWarning, match="deprecated"), pytest.raises(openai.NotFoundError) as caught:
        client.images.create_variation(image=b"x")
    assert (404, b"", "nosniff") == (
        caught.value.response.status_code, caught.value.response.content,
        caught.value.response.headers["x-content-type-options"],
    )  # fmt: skip


def test_scripted_base64_keeps_the_layout(serve: Callable[..., Served], tmp_path: Any) -> None:
    """What a script changes in a reply is written as the gateway writes."""
    script = tmp_path / "own.yaml"
    script.write_text("scenario: own\nrules:\n  - answers: {draw: {omit: [usage], set: {/size: 1x1}}}\n")
    served = serve(as_of=TODAY, scenario=str(script))
    text = served.generate("openai", {"model": "gpt-image-2", "prompt": "x", "quality": "low"}).text
    assert ("1x1", False) == ((body := json.loads(text))["size"], "usage" in body)
    assert json.dumps(body, indent=2) == text
