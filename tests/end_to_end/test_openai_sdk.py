"""The openai SDK from PyPI, unmodified, against every gateway: pictures, errors and their classes, retries."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

import emulator
from tests.conftest import Served
from tests.uploads import draw_file

MODELS = [
    ("geekai", "dall-e-3"), ("geekai", "cogview-4"), ("ezmodel", "dall-e-2"), ("ezmodel", "dall-e-3"),
    ("geeknow", "gpt-image-1"), ("geeknow", "dall-e-3"), ("geeknow", "flux-pro"), ("aiai", "dall-e-2"),
    ("aiai", "dall-e-3"),
]  # fmt: skip


@pytest.fixture
def client(server: Served, key: str) -> Iterator[Any]:
    """Makes SDK clients for a gateway; all end with the test."""
    clients: list[openai.OpenAI] = []

    def make(gateway: str, **options: Any) -> openai.OpenAI:
        clients.append(openai.OpenAI(base_url=server.base(gateway), api_key=key, **options))
        return clients[-1]

    yield make
    for one in clients:
        one.close()


def _measure(data: bytes) -> tuple[str | None, tuple[int, int]]:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.format, image.size


@pytest.mark.parametrize(("gateway", "model"), MODELS)
def test_a_url_leads_to_a_picture(client: Any, gateway: str, model: str) -> None:
    """`url` is fetched without a key and is a whole picture of the size that was asked for."""
    response = client(gateway).images.generate(model=model, prompt="A lighthouse", size="1024x1024")
    assert response.data[0].b64_json is None
    assert _measure(httpx.get(response.data[0].url).content) == ("PNG", (1024, 1024))
    assert (response.data[0].revised_prompt is not None) == (gateway != "aiai" and model in ("dall-e-3", "gpt-image-1"))


@pytest.mark.parametrize(("gateway", "model"), MODELS)
def test_b64_json_is_the_same_picture(client: Any, gateway: str, model: str) -> None:
    """The picture in the reply and the one behind the link are the same bytes."""
    images = client(gateway).images
    url = images.generate(model=model, prompt="A quiet harbour").data[0].url
    inline = images.generate(model=model, prompt="A quiet harbour", response_format="b64_json").data[0].b64_json
    assert base64.b64decode(inline, validate=True) == httpx.get(url).content


async def test_the_asynchronous_client_too(server: Served, key: str) -> None:
    """AsyncOpenAI works, and gpt-image-1 at AIAI brings Base64 and a usage bill."""
    async with openai.AsyncOpenAI(base_url=server.base("aiai"), api_key=key) as client:
        response = await client.images.generate(
            model="gpt-image-1", prompt="a siamese cat", size="1536x1024", quality="low"
        )
    assert response.data is not None
    assert response.usage is not None
    assert response.data[0].b64_json is not None
    assert _measure(base64.b64decode(response.data[0].b64_json)) == ("PNG", (1536, 1024))
    assert (10, 400, 410) == (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens)


def test_n_pictures_differ(client: Any) -> None:
    """n=4 makes four different pictures, and each says which it is."""
    response = client("ezmodel").images.generate(model="dall-e-2", prompt="Clouds", n=4, response_format="b64_json")
    files = [base64.b64decode(one.b64_json) for one in response.data]
    assert 4 == len({Image.open(io.BytesIO(data)).convert("RGB").tobytes() for data in files})
    labels = [emulator.inspect(data).label for data in files]
    assert [0, 1, 2, 3] == [label["index"] for label in labels if label]


@pytest.mark.parametrize(
    ("gateway", "request_", "code", "param"),
    [
        ("ezmodel", {"model": "dall-e-2", "size": "1792x1024"}, "invalid_value", "size"),
        ("ezmodel", {"model": "dall-e-3", "n": 2}, "integer_above_max_value", "n"),
        ("geekai", {"model": "dall-e-2"}, "invalid_value", "model"),
        ("geekai", {"model": "cogview-4", "n": 11}, "integer_above_max_value", "n"),
        ("geeknow", {"model": "dall-e-3", "size": "512x512"}, "invalid_value", "size"),
        ("geeknow", {}, "missing_required_parameter", "model"),
        ("aiai", {"model": "dall-e-3", "background": "opaque"}, "unknown_parameter", "background"),
        ("aiai", {"model": "gpt-image-1", "prompt": "x" * 32001}, "string_above_max_length", "prompt"),
    ],
)  # fmt: skip
def test_a_breach_is_a_bad_request(client: Any, gateway: str, request_: dict[str, Any], code: str, param: str) -> None:
    """Each breach arrives as the SDK's exception for its status, with code and param, after one try."""
    with pytest.raises(openai.BadRequestError) as caught:
        client(gateway).images.generate(**{"prompt": "x", **request_})
    assert (code, param) == (caught.value.code, caught.value.param)
    assert caught.value.request_id is not None
    assert caught.value.request_id.startswith("req_")


@pytest.mark.parametrize("gateway", ["geekai", "ezmodel", "geeknow", "aiai"])
def test_a_wrong_key_is_an_authentication_error(server: Served, gateway: str) -> None:
    """A key that starts with sk-invalid is wrong everywhere."""
    with openai.OpenAI(base_url=server.base(gateway), api_key="sk-invalid-1234") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.images.generate(model="dall-e-3", prompt="x")
        assert "invalid_api_key" == caught.value.code
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_an_unknown_path_is_not_found(client: Any) -> None:
    """What the gateway does not have is a 404 in its envelope."""
    with pytest.raises(openai.NotFoundError) as caught:
        client("ezmodel").files.list()
    assert "Invalid URL (GET /v1/files)" in str(caught.value)


@pytest.mark.parametrize("gateway", ["geekai", "ezmodel", "geeknow", "aiai"])
def test_models_are_listed(client: Any, gateway: str) -> None:
    """`models.list` names models that the gateway answers to."""
    models = client(gateway).models.list().data
    assert models
    assert all(model.owned_by for model in models)


def test_raw_responses_and_keys_with_spaces(server: Served) -> None:
    """`with_raw_response` shows the request id; a key may have spaces."""
    with openai.OpenAI(base_url=server.base("ezmodel"), api_key="My API Key") as client:
        request = client.images.with_raw_response.generate(prompt="x")
        assert request.headers["x-request-id"] == request.request_id
        assert request.parse().created > 0


@pytest.mark.parametrize("behavior", ["documented", "observed"])
@pytest.mark.parametrize("gateway", ["geekai", "ezmodel", "geeknow", "aiai"])
def test_each_listed_model_can_be_retrieved(client: Any, gateway: str, behavior: str) -> None:
    """`models.retrieve` brings the member of the list, and an unknown id the gateway's own refusal."""
    models = client(gateway, default_headers={"x-emulator": f"behavior={behavior}"}).models
    listed = list(models.list())
    assert listed
    assert listed == [models.retrieve(one.id) for one in listed]
    if behavior == "documented":
        with pytest.raises(openai.NotFoundError) as caught:
            models.retrieve("no-such-model")
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.fixture(scope="module")
def legacy() -> Iterator[Served]:
    """A server that keeps the models that have ended."""
    served = Served(legacy=True)
    yield served
    served.stop()


PNG = ("image.png", draw_file("PNG", "RGBA", (64, 64)), "image/png")
SUITE: list[tuple[str, dict[str, Any], str | None]] = [
    ("images.generate", {"prompt": "x"}, "dall-e-2"),
    ("images.generate", {"prompt": "x", "stream": True}, "gpt-image-1"),
    ("images.edit", {"image": PNG, "prompt": "x"}, "dall-e-2"),
    ("images.edit", {"image": PNG, "prompt": "x", "stream": True}, "gpt-image-1"),
    ("images.create_variation", {"image": PNG}, "dall-e-2"),
    ("models.list", {}, None),
    ("models.retrieve", {"model": "gpt-6-astra"}, None),
    ("models.delete", {"model": "ft:gpt-4o-mini:acemeco:suffix:abc123"}, None),
]
"""The requests of the SDK's own suite that a faithful server answers, and the model that each means."""


@pytest.mark.filterwarnings("ignore:deprecated")
@pytest.mark.parametrize(("method", "arguments", "model"), SUITE)
@pytest.mark.parametrize("read", [True, False])
def test_the_requests_of_the_sdks_own_suite(
    legacy: Served, method: str, arguments: dict[str, Any], model: str | None, read: bool
) -> None:
    """They name no model, the key has blanks, responses are validated strictly, and a stream may be closed unread."""
    with openai.OpenAI(
        base_url=legacy.base("openai"), api_key="My API Key", _strict_response_validation=True, max_retries=0
    ) as client:
        resource, _, name = method.partition(".")
        result = getattr(getattr(client, resource), name)(**arguments)
        if arguments.get("stream"):
            events = [event.type for event in result] if read else []
            result.response.close()
            assert events[-1:] == ([f"image_{'edit' if name == 'edit' else 'generation'}.completed"] if read else [])
    if model is not None:
        assert model == legacy.calls()[-1]["model"]
