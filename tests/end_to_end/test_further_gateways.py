"""The gateways after the first few: their places of pictures, their words, and what no golden exchange has."""

from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from emulator.client.api import ImageApi
from tests.conftest import Served
from tests.response.test_streaming import told
from tests.uploads import data_url, draw_file

FLUX = "black-forest-labs/FLUX.1-schnell"
KONTEXT = "black-forest-labs/FLUX.1-kontext-pro"
GEMINI = "google/gemini-3.1-flash-image"


def _post(served: Served, gateway: str, path: str, body: Any, session: str = "further") -> httpx.Response:
    headers = {"authorization": "Bearer sk-further", "x-emulator-session": session}
    return httpx.post(served.base(gateway) + path, json=body, headers=headers)


def _size(data: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(data))).size


def test_the_sdk_at_together(server: Served, key: str) -> None:
    """It reads a reply without `created`, and gets its errors by class, parameter and code."""
    with openai.OpenAI(base_url=server.base("together"), api_key=key, max_retries=0) as client:
        wide: Any = {"width": 768, "height": 256, "response_format": "base64"}
        response = client.images.generate(model=FLUX, prompt="A boat", extra_body=wide)
        assert response.data is not None
        assert (768, 256) == _size(str(response.data[0].b64_json))
        with pytest.raises(openai.NotFoundError) as refused:
            client.images.generate(model="flux", prompt="A boat")
        assert ("model", "model_not_available") == (refused.value.param, refused.value.code)
        with pytest.raises(openai.BadRequestError) as wrong:
            client.images.generate(model=FLUX, prompt="A boat", response_format="b64_json")
        assert "response_format" == wrong.value.param


def test_pictures_to_change_at_together(server: Served) -> None:
    """They come in the JSON of a generation, under two names; what is no picture is refused."""
    url = data_url(draw_file("PNG"))
    body = {"model": KONTEXT, "prompt": "At night", "image_url": url, "reference_images": [url, url]}
    answer = _post(server, "together", "/images/generations", body, session="further-pictures")
    assert 200 == answer.status_code
    uploads = server.calls("further-pictures")[0]["uploads"]
    assert ["image_url", "reference_images[0]", "reference_images[1]"] == [one["name"] for one in uploads]
    plain = _post(server, "together", "/images/generations", {**body, "image_url": "x"})
    assert 400 == plain.status_code
    other = _post(server, "together", "/images/generations", {"model": KONTEXT, "prompt": "At night"})
    first, second = (httpx.get(one.json()["data"][0]["url"]).content for one in (answer, other))
    assert first != second


def test_pictures_to_change_at_openrouter(server: Served) -> None:
    """They are objects inside of objects; `when` and `verify` find the first as the image."""
    image_api = ImageApi(server.url, "further-references", gateway="openrouter")
    reference = {"type": "image_url", "image_url": {"url": data_url(draw_file("PNG", size=(40, 30)))}}
    body = {"model": GEMINI, "prompt": "At night", "aspect_ratio": "16:9", "input_references": [reference]}
    image_api.play({"rules": [{"when": {"uploads": {"image": {"width": 40}}}, "answers": {"draw": {"images": 0}}}]})
    answer = _post(server, "openrouter", "/images", body, session="further-references")
    assert (200, []) == (answer.status_code, answer.json()["data"])
    image_api.play({"rules": []})
    (item,) = _post(server, "openrouter", "/images", body, session="further-references").json()["data"]
    assert ((1360, 768), "image/png") == (_size(item["b64_json"]), item["media_type"])


@pytest.mark.parametrize(
    ("kind", "status"),
    [("billing", 402), ("quota", 402), ("upstream_timeout", 524), ("overloaded", 529), ("rate_limit", 429)],
)
def test_the_code_of_an_error_is_its_status(server: Served, kind: str, status: int) -> None:
    """As a number; 524 and 529 are sent as any status is."""
    image_api = ImageApi(server.url, "further-codes", gateway="openrouter")
    image_api.play({"rules": [{"answers": {"refuse": kind}}]})
    answer = _post(server, "openrouter", "/images", {"model": GEMINI, "prompt": "x"}, session="further-codes")
    assert (status, status) == (answer.status_code, answer.json()["error"]["code"])
    assert {"code", "message"} == set(answer.json()["error"])


def test_streams_at_openrouter(server: Served) -> None:
    """One model's pictures come as events of its own layout, and may break off; others ignore the parameter."""
    body = {"model": "openai/gpt-image-2", "prompt": "A boat", "size": "64x96", "n": 2, "stream": True}
    answer = _post(server, "openrouter", "/images", body, session="further-streams")
    assert "text/event-stream" == answer.headers["content-type"]
    *events, end = told(answer.text)
    assert (None, "[DONE]") == end
    assert ["image_generation.completed"] * 2 == [name for name, _ in events]
    for _, event in events:
        assert ["type", "b64_json", "created", "media_type", "usage"] == list(event)
        assert ("image/png", (64, 96)) == (event["media_type"], _size(event["b64_json"]))
        assert event["usage"]["cost"] > 0
    image_api = ImageApi(server.url, "further-streams", gateway="openrouter")
    image_api.play({"rules": [{"answers": {"draw": {"error": "upstream_error"}}}]})
    ((name, error),) = told(_post(server, "openrouter", "/images", body, session="further-streams").text)
    assert ("error", "error") == (name, error["type"])
    assert {"code", "message", "param", "type"} == set(error["error"])
    plain = _post(server, "openrouter", "/images", {**body, "model": GEMINI})
    assert ("application/json", "parameter_ignored") == (
        plain.headers["content-type"], plain.headers["x-emulator-finding"],
    )  # fmt: skip


def test_the_path_of_openai_is_none_at_openrouter(server: Served) -> None:
    """Who asks for /images/generations gets a 404, and the finding says which path there is."""
    answer = _post(server, "openrouter", "/images/generations", {"model": GEMINI, "prompt": "x"})
    assert (404, "unknown_path") == (answer.status_code, answer.headers["x-emulator-finding"])


def test_pictures_by_chat_are_not_made_at_openrouter(server: Served) -> None:
    """LiteLLM asks for them so; it gets the gateway's own 404, and the finding says that this is another API."""
    body = {"model": GEMINI, "messages": [{"role": "user", "content": "A boat"}], "modalities": ["image", "text"]}
    answer = _post(server, "openrouter", "/chat/completions", body, session="further-chat")
    assert (404, {"error": {"code": 404, "message": "Not Found"}}) == (answer.status_code, answer.json())
    (finding,) = server.calls("further-chat")[0]["findings"]
    assert "chat/completions is another API, which is not answered here" in finding["message"]


@pytest.mark.parametrize("gateway", ["sd-cpp", "vllm-omni", "sglang"])
def test_servers_that_a_user_runs(server: Served, gateway: str) -> None:
    """They take the SDK's generations and edits, with any key; the journal sends a call of theirs again."""
    with openai.OpenAI(base_url=server.base(gateway), api_key="none", max_retries=0) as client:
        made = client.images.generate(model="any", prompt="A boat", size="512x512", response_format="b64_json")
        changed = client.images.edit(model="any", image=draw_file("PNG"), prompt="At night", size="512x512")
        assert made.data is not None
        assert changed.data is not None
        assert (512, 512) == _size(str(made.data[0].b64_json)) == _size(str(changed.data[0].b64_json))
        assert made.data[0].b64_json != changed.data[0].b64_json
    session = f"run-{gateway}"
    body = {"model": "gpt-image-2", "prompt": "x"}
    headers = {"x-emulator-session": session, "authorization": "Bearer k"}
    assert 200 == httpx.post(f"{server.base('openai')}/images/generations", json=body, headers=headers).status_code
    url = f"{server.url}/_emulator/sessions/{session}/calls/1/replay"
    assert 200 == httpx.post(url, json={"gateway": gateway}).status_code


def test_errors_that_are_texts_and_lists(server: Served) -> None:
    """The SDK raises its classes, and has neither message, parameter nor code."""
    with openai.OpenAI(base_url=server.base("sd-cpp"), api_key="none", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as text:
            client.images.generate(prompt="")
        assert ("prompt required", None) == (text.value.body, text.value.param)
    with openai.OpenAI(base_url=server.base("vllm-omni"), api_key="none", max_retries=0) as client:
        with pytest.raises(openai.UnprocessableEntityError) as listed:
            client.images.generate(prompt="A boat", n=11)
        assert None is listed.value.param


def test_a_reply_that_is_a_file(server: Served) -> None:
    """Of one picture a PNG, of two a ZIP."""
    body = {"prompt": "A boat", "size": "64x64", "response_format": "file"}
    kinds = [
        _post(server, "vllm-omni", "/images/generations", {**body, "n": n}).headers["content-type"] for n in (1, 2)
    ]
    assert ["image/png", "application/zip"] == kinds


def test_the_sdk_at_localai(server: Served) -> None:
    """A size without an x is 512x512, one that is none a 500; the reply is what the SDK's types say."""
    with openai.OpenAI(base_url=server.base("localai"), api_key="none", max_retries=0) as client:
        small: Any = "small"
        made = client.images.generate(prompt="A boat", size=small, n=2, response_format="b64_json")
        assert made.data is not None
        assert [(512, 512)] * 2 == [_size(str(item.b64_json)) for item in made.data]
        linked = client.images.generate(model="any", prompt="A boat", size="256x256")
        assert linked.data is not None
        assert "image/png" == httpx.get(str(linked.data[0].url)).headers["content-type"]
        wrong: Any = "512xlarge"
        with pytest.raises(openai.InternalServerError) as refused:
            client.images.generate(prompt="A boat", size=wrong)
        assert ("500", None) == (refused.value.code, refused.value.param)


def test_pictures_to_begin_with_at_localai(server: Served) -> None:
    """They come as Base64 under three names; an empty `file` is none; a file that is no picture is refused."""
    picture = base64.b64encode(draw_file("PNG")).decode()
    body = {"prompt": "At night", "file": picture, "files": [picture], "ref_images": [picture]}
    assert 200 == _post(server, "localai", "/images/generations", body, session="localai-pictures").status_code
    uploads = server.calls("localai-pictures")[0]["uploads"]
    assert ["file", "files[0]", "ref_images[0]"] == [one["name"] for one in uploads]
    assert 200 == _post(server, "localai", "/images/generations", {"prompt": "x", "file": ""}).status_code
    assert 400 == _post(server, "localai", "/images/generations", {"prompt": "x", "file": "zz"}).status_code


def test_a_model_that_is_not_installed_at_localai(server: Served) -> None:
    """A scenario refuses it, with a 404 whose type is not empty."""
    image_api = ImageApi(server.url, "localai-models", gateway="localai")
    image_api.play({"rules": [{"answers": {"refuse": "unknown_model"}}]})
    answer = _post(server, "localai", "/images/generations", {"model": "sd", "prompt": "x"}, session="localai-models")
    message = 'model "sd" not found. To see available models, call GET /v1/models'
    expected = {"code": 404, "message": message, "type": "invalid_request_error"}
    assert (404, expected) == (answer.status_code, answer.json()["error"])


def test_links_without_a_host_at_sglang(server: Served) -> None:
    """A generation answers with them where nothing else is asked for; the server has the pictures there, as JPEG."""
    answer = _post(server, "sglang", "/images/generations", {"prompt": "A boat", "size": "64x32"})
    (item,) = answer.json()["data"]
    assert (None, "A boat") == (item["b64_json"], item["revised_prompt"])
    assert str(item["url"]).startswith("/")
    picture = Image.open(io.BytesIO(httpx.get(server.url + item["url"]).content))
    assert ("JPEG", (64, 32)) == (picture.format, picture.size)


@pytest.mark.parametrize(("n", "count"), [(-3, 1), (0, 1), (2, 2), (11, 10), (None, 1)])
def test_a_number_of_pictures_that_is_clamped(server: Served, n: int | None, count: int) -> None:
    """What is beyond 1 to 10 counts as the nearer of both."""
    answer = _post(server, "sglang", "/images/generations", {"prompt": "A boat", "size": "16x16", "n": n})
    assert (200, count) == (answer.status_code, len(answer.json()["data"]))


@pytest.mark.parametrize(("asked", "made"), [("png", "PNG"), ("jpg", "JPEG"), ("gif", "JPEG"), (None, "JPEG")])
def test_a_format_that_there_is_not(server: Served, asked: str | None, made: str) -> None:
    """It is the gateway's own, as where none is asked for."""
    body = {"prompt": "A boat", "size": "16x16", "output_format": asked, "response_format": "b64_json"}
    (item,) = _post(server, "sglang", "/images/generations", body).json()["data"]
    assert made == Image.open(io.BytesIO(base64.b64decode(item["b64_json"]))).format


def test_edits_at_sglang(server: Served) -> None:
    """They take a file or a link, and one without either is a 422 whose detail is a text."""
    url = server.base("sglang") + "/images/edits"
    without = httpx.post(url, files={"prompt": (None, "At night")})
    assert (422, {"detail": "Field 'image' or 'url' is required"}) == (without.status_code, without.json())
    linked = {"prompt": (None, "At night"), "url": (None, "https://pictures.test/1.png"), "size": (None, "16x16")}
    assert 200 == httpx.post(url, files=linked).status_code
    fields = {"prompt": "At night", "size": "16x16"}
    (item,) = httpx.post(url, data=fields, files={"image": draw_file("PNG")}).json()["data"]
    assert (16, 16) == _size(item["b64_json"])
