"""The SDK's client for Azure, unmodified, against the gateway `azure`: deployments, edits, streams, errors."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from emulator.client.api import ImageApi
from tests.conftest import Served
from tests.uploads import draw_file

VERSION = "2025-04-01-preview"


@pytest.fixture
def client(server: Served, key: str) -> Iterator[openai.AzureOpenAI]:
    """A client as Microsoft's page makes it; only its endpoint is the emulator's."""
    with openai.AzureOpenAI(
        azure_endpoint=f"{server.url}/azure", api_key=key, api_version=VERSION, max_retries=0
    ) as client:
        yield client


def _open(response: Any) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(response.data[0].b64_json)))
    image.load()
    return image


@pytest.mark.parametrize("deployment", ["gpt-image-1", "our painter/1"])
def test_a_deployment_makes_a_picture(client: Any, server: Served, deployment: str) -> None:
    """The path names it, whatever letters its name has; the journal has it as the model."""
    response = client.images.generate(model=deployment, prompt="A lighthouse", size="1536x1024", quality="low")
    assert ((1536, 1024), 400) == (_open(response).size, response.usage.output_tokens)
    assert (deployment, deployment) == (server.calls()[-1]["model"], server.calls()[-1]["given"]["model"])


def test_dall_e_answers_with_a_link(client: Any) -> None:
    """A deployment that is called as a model is that model."""
    (item,) = client.images.generate(model="dall-e-3", prompt="A lighthouse").data
    assert "A lighthouse" in item.revised_prompt
    assert (1024, 1024) == Image.open(io.BytesIO(httpx.get(item.url).content)).size


def test_the_path_counts_and_not_the_body(server: Served, key: str) -> None:
    """A call without a model in its body has the deployment's, and one with another model too."""
    url = f"{server.url}/azure/openai/deployments/dall-e-3/images/generations?api-version={VERSION}"
    for body in ({"prompt": "x"}, {"prompt": "x", "model": "gpt-image-1"}):
        answer = httpx.post(url, json=body, headers={"api-key": key})
        assert (200, True) == (answer.status_code, "url" in answer.json()["data"][0])
    assert ["dall-e-3", "dall-e-3"] == [call["model"] for call in server.calls()[-2:]]


def test_a_stream_comes_event_by_event(client: Any) -> None:
    """Unfinished pictures, then the finished one with its tokens."""
    stream = client.images.generate(
        model="gpt-image-1", prompt="A lighthouse", quality="low", stream=True, partial_images=2
    )
    events = list(stream)
    assert ["image_generation.partial_image"] * 2 + ["image_generation.completed"] == [one.type for one in events]
    assert 272 + 200 == events[-1].usage.output_tokens


@pytest.mark.parametrize("model", ["gpt-image-1", "our-painter"])
def test_an_edit_is_a_form_to_a_deployment(client: Any, model: str) -> None:
    """The SDK names the deployment in the path of a form, too."""
    response = client.images.edit(model=model, image=draw_file("PNG"), prompt="At night", quality="low")
    assert (1024, 1024) == _open(response).size


def test_a_picture_of_another_format_is_refused(client: Any) -> None:
    """Its bytes decide, whatever the form calls it."""
    for media_type in ("image/webp", "image/png"):
        with pytest.raises(openai.BadRequestError) as refused:
            client.images.edit(
                model="gpt-image-1", image=("a.png", draw_file("WEBP"), media_type), prompt="At night", quality="low"
            )
        assert "image/webp" in refused.value.message
        assert "image/jpeg" in refused.value.message


def test_an_edit_is_streamed(client: Any) -> None:
    """The events have the names of edits."""
    stream = client.images.edit(
        model="gpt-image-1", image=draw_file("PNG"), prompt="At night", quality="low", stream=True, partial_images=1
    )
    events = list(stream)
    assert ["image_edit.partial_image", "image_edit.completed"] == [one.type for one in events]
    assert ["PNG", "PNG"] == [Image.open(io.BytesIO(base64.b64decode(one.b64_json))).format for one in events]


async def test_the_asynchronous_client(server: Served, key: str) -> None:
    """It does the same: pictures, edits, streams, models and errors."""
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=f"{server.url}/azure", azure_ad_token=key, api_version=VERSION, max_retries=0
    ) as client:
        response = await client.images.generate(model="gpt-image-1", prompt="A lighthouse", quality="low")
        assert (1024, 1024) == _open(response).size
        edited = await client.images.edit(model="gpt-image-1", image=draw_file("PNG"), prompt="At night", quality="low")
        assert (1024, 1024) == _open(edited).size
        stream = await client.images.generate(model="gpt-image-1", prompt="A lighthouse", quality="low", stream=True)
        assert ["image_generation.completed"] == [event.type async for event in stream]
        listed = [model.id async for model in client.models.list()]
        assert ["gpt-image-1.5", "gpt-image-1-mini", "gpt-image-1", "dall-e-3"] == listed
        with pytest.raises(openai.RateLimitError) as limited:
            await client.images.generate(model="gpt-image-1", prompt="A lighthouse [[rate-limit]]")
        assert ("RateLimitReached", True) == (limited.value.code, "retry-after" in limited.value.response.headers)


async def test_a_token_is_asked_for_each_call(server: Served, key: str) -> None:
    """A provider of tokens of Entra ID takes the place of a key, in both clients; a call is that token's."""
    given: list[str] = []

    def provide() -> str:
        given.append(f"{key}-{len(given)}")
        return given[-1]

    async def provide_later() -> str:
        return provide()

    asked: Any = {"model": "gpt-image-1", "prompt": "A lighthouse", "quality": "low"}
    settings: Any = {"azure_endpoint": f"{server.url}/azure", "api_version": VERSION}
    with openai.AzureOpenAI(**settings, azure_ad_token_provider=provide) as client:
        assert (1024, 1024) == _open(client.images.generate(**asked)).size
    async with openai.AsyncAzureOpenAI(**settings, azure_ad_token_provider=provide_later) as later:
        assert (1024, 1024) == _open(await later.images.generate(**asked)).size
    assert [f"{key}-0", f"{key}-1"] == given
    assert [200] == [call["status"] for call in server.calls()]


def test_the_newer_paths_are_for_the_plain_client(server: Served, key: str) -> None:
    """`OpenAI` with the base URL of /openai/v1 is what the page shows today; a version may be given and need not be."""
    for query in ({}, {"api-version": "preview"}):
        with openai.OpenAI(base_url=server.base("azure"), api_key=key, default_query=query) as client:
            response = client.images.generate(model="gpt-image-1", prompt="A lighthouse", quality="low")
            assert (1024, 1024) == _open(response).size


def test_a_version_has_to_be_named(server: Served, key: str) -> None:
    """Without it the path of a deployment is no resource."""
    url = f"{server.url}/azure/openai/deployments/gpt-image-1/images/generations"
    for query in ("", "?api-version="):
        answer = httpx.post(url + query, json={"prompt": "x"}, headers={"api-key": key})
        assert (404, {"error": {"code": "404", "message": "Resource not found"}}) == (
            answer.status_code, answer.json(),
        )  # fmt: skip


def test_errors_are_the_classes_of_the_sdk(client: Any, server: Served) -> None:
    """What the SDK raises for a bad value, a bad key, and an edit that the model does not do."""
    with pytest.raises(openai.BadRequestError) as bad:
        client.images.generate(model="gpt-image-1", prompt="x", size="7x7")
    assert ("size", "invalid_value") == (bad.value.param, bad.value.code)
    with pytest.raises(openai.AuthenticationError) as denied:
        client.with_options(api_key="sk-invalid-x").images.generate(model="gpt-image-1", prompt="x")
    assert "401" == denied.value.code
    with pytest.raises(openai.BadRequestError) as unsupported:
        client.images.edit(model="dall-e-3", image=draw_file("PNG"), prompt="x")
    assert "OperationNotSupported" == unsupported.value.code
    assert "specified model, dall-e-3." in unsupported.value.message


def test_the_filter_has_a_body_of_its_own(server: Served, key: str) -> None:
    """For dall-e-3 as it was seen; for the others the words name Azure's support."""
    image_api = ImageApi(server.url, "azure-filter", gateway="azure")
    image_api.play({"rules": [{"answers": {"refuse": "moderation"}}]})
    with openai.AzureOpenAI(
        azure_endpoint=f"{image_api.server}/s/azure-filter/azure", api_key=key, api_version=VERSION
    ) as client:
        with pytest.raises(openai.BadRequestError) as filtered:
            client.images.generate(model="dall-e-3", prompt="x")
        body: Any = filtered.value.body
        assert ("content_policy_violation", "ResponsibleAIPolicyViolation") == (
            filtered.value.code, body["inner_error"]["code"],
        )  # fmt: skip
        with pytest.raises(openai.BadRequestError, match="Azure support ticket"):
            client.images.generate(model="gpt-image-1", prompt="x")


def test_no_key_of_a_resource_is_kept(server: Served) -> None:
    """The header api-key is blanked in the journal."""
    secret = "0123456789abcdef0123456789abcdef"
    url = f"{server.url}/s/azure-secret/azure/openai/deployments/gpt-image-1/images/generations?api-version=1"
    assert 200 == httpx.post(url, json={"prompt": "x"}, headers={"api-key": secret}).status_code
    assert secret not in str(server.calls("azure-secret"))


@pytest.mark.parametrize("end", ["", "/openai/v1"])
@pytest.mark.parametrize("path", ["/openai/v1", "/openai/deployments/dall-e-3"])
def test_calls_are_passed_on_by_either_path(serve: Callable[..., Served], tmp_path: Path, end: str, path: str) -> None:
    """Whether --upstream is the resource, or the base URL for a client at it."""
    behind = serve()
    scenario = tmp_path / "forward.yaml"
    scenario.write_text("rules: [{answers: forward}]", "utf-8")
    front = serve(scenario=str(scenario), upstream=(f"azure={behind.url}/azure{end}",))
    url = f"{front.url}/azure{path}/images/generations?api-version={VERSION}"
    answer = httpx.post(url, json={"model": "dall-e-3", "prompt": "x"}, headers={"api-key": "sk-behind"})
    assert 200 == answer.status_code
    assert [f"/azure{path}/images/generations"] == [call["path"] for call in behind.calls()]
