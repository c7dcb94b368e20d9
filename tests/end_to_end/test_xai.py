"""The gateway `xai`, with the openai SDK, unmodified: what it gets of flat errors, and edits in JSON."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from emulator.client.api import ImageApi
from tests.conftest import Served
from tests.uploads import data_url, draw_file

MODEL = "grok-imagine-image"


@pytest.fixture
def client(server: Served, key: str) -> Iterator[openai.OpenAI]:
    """The SDK with xAI's base URL."""
    with openai.OpenAI(base_url=server.base("xai"), api_key=key, max_retries=0) as client:
        yield client


def _measure(data: bytes) -> tuple[str | None, tuple[int, int]]:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.format, image.size


def test_the_sdk_gets_pictures(client: Any) -> None:
    """By ratio and resolution, which it takes as further members of the body; a link and Base64 have the same bytes."""
    wide: Any = {"aspect_ratio": "2:1", "resolution": "1k"}
    linked = client.images.generate(model=MODEL, prompt="A lighthouse", extra_body=wide).data[0].url
    inside = (
        client.images.generate(model=MODEL, prompt="A lighthouse", response_format="b64_json", extra_body=wide)
        .data[0]
        .b64_json
    )
    assert ("JPEG", (1456, 720)) == _measure(httpx.get(linked).content)
    assert httpx.get(linked).content == base64.b64decode(inside)


def test_an_error_is_a_class_without_its_parts(client: Any) -> None:
    """The envelope is flat, so that the SDK finds neither parameter nor type, and the message in a text."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.images.generate(model=MODEL, prompt="A lighthouse", size="1024x1024")
    assert (None, "Argument not supported: size") == (refused.value.param, refused.value.body)
    with pytest.raises(openai.UnprocessableEntityError):
        client.images.generate(model=MODEL, prompt="A lighthouse", extra_body={"aspect_ratio": "7:7"})
    with pytest.raises(openai.NotFoundError):
        client.images.generate(model="grok-x", prompt="A lighthouse")


def test_an_edit_is_json_and_no_form(client: Any, server: Served, key: str) -> None:
    """The SDK's own edits are forms and are refused; JSON with one picture or several is taken."""
    with pytest.raises(openai.APIStatusError) as refused:
        client.images.edit(model=MODEL, image=draw_file("PNG"), prompt="At night")
    assert 415 == refused.value.status_code
    url = data_url(draw_file("PNG"))
    headers = {"authorization": f"Bearer {key}"}
    for pictures in ({"image": {"url": url, "type": "image_url"}}, {"images": [{"url": url}, {"url": url}]}):
        body = {"model": MODEL, "prompt": "At night", **pictures}
        answer = httpx.post(f"{server.base('xai')}/images/edits", json=body, headers=headers)
        assert ("JPEG", (1024, 1024)) == _measure(httpx.get(answer.json()["data"][0]["url"]).content)
    assert ["images[0].url", "images[1].url"] == [one["name"] for one in server.calls()[-1]["uploads"]]


@pytest.mark.parametrize(
    ("pictures", "error"),
    [
        ({}, "Invalid request content"),
        ({"image": {"url": "data:image/png;base64,AAAA"}}, "The image could not be decoded."),
        ({"image": {"url": "no picture"}}, "The image could not be decoded."),
        ({"image": {"url": "https://a.test/x.png"}}, "The image could not be fetched."),
    ],
)
def test_what_is_no_picture_is_refused(server: Served, key: str, pictures: Any, error: str) -> None:
    """Nothing at all, bytes and texts that are none, and a link, which is not followed."""
    body = {"model": MODEL, "prompt": "At night", **pictures}
    headers = {"authorization": f"Bearer {key}"}
    answer = httpx.post(f"{server.base('xai')}/images/edits", json=body, headers=headers)
    assert (400, {"code": "400", "error": error}) == (answer.status_code, answer.json())


def test_a_scenario_changes_its_reply(server: Served, key: str) -> None:
    """Members of the template are set and left out as those of any reply."""
    image_api = ImageApi(server.url, "xai-changed", gateway="xai")
    image_api.play({"rules": [{"answers": {"draw": {"omit": ["url"], "set": {"/usage/cost_in_usd_ticks": 7}}}}]})
    body = {"model": MODEL, "prompt": "A lighthouse"}
    answer = httpx.post(f"{image_api.url()}/images/generations", json=body, headers={"authorization": f"Bearer {key}"})
    assert {"data": [{"mime_type": "image/jpeg", "revised_prompt": ""}], "usage": {"cost_in_usd_ticks": 7}} == (
        answer.json()
    )
