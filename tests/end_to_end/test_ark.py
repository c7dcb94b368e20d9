"""Volcengine Ark as its clients ask it: groups, pictures that fail alone, streams, and what a model refuses."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import openai
import pytest
from PIL import Image

from emulator.client.api import ImageApi
from tests.conftest import Served
from tests.response.test_streaming import told
from tests.uploads import data_url, draw_file

LITE: Final = "doubao-seedream-5-0-260128"
PRO: Final = "doubao-seedream-5-0-pro-260628"
V45: Final = "doubao-seedream-4-5-251128"
V40: Final = "doubao-seedream-4-0-250828"
SMALL: Final = "1280x720"
USAGE: Final = {"input_images": 0, "generated_images": 1, "output_tokens": 3600, "total_tokens": 3600}
FAILING: Final = {"rules": [{"answers": {"draw": {"picture": [None, {"error": "moderation"}]}}}]}


def _group(count: int | None) -> dict[str, Any]:
    options = {} if count is None else {"max_images": count}
    return {"sequential_image_generation": "auto", "sequential_image_generation_options": options}


def _post(image_api: ImageApi, *, path: str = "/images/generations", **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {image_api.key}"}
    whole = {"model": V40, "prompt": "A boat", "size": SMALL, **body}
    whole = {name: value for name, value in whole.items() if value is not ...}
    return httpx.post(image_api.url("ark") + path, json=whole, headers=headers)


def test_the_sdk(image_api: ImageApi) -> None:
    """It reads the reply, follows the link to a JPEG, and gets its errors by class, parameter and code."""
    with openai.OpenAI(base_url=image_api.url("ark"), api_key=image_api.key, max_retries=0) as client:
        size: Any = SMALL
        made = client.images.generate(model=V40, prompt="A boat", size=size)
        assert made.data is not None
        picture = Image.open(io.BytesIO(httpx.get(str(made.data[0].url)).content))
        assert ("JPEG", (1280, 720)) == (picture.format, picture.size)
        with pytest.raises(openai.NotFoundError) as unknown:
            client.images.generate(model="seedream", prompt="A boat")
        assert "InvalidEndpointOrModel.NotFound" == unknown.value.code
        with pytest.raises(openai.BadRequestError) as unsupported:
            client.images.generate(model=V40, prompt="A boat", size=size, output_format="png")
        assert ("output_format", "InvalidParameter") == (unsupported.value.param, unsupported.value.code)


def test_a_request_of_its_own_sdk(image_api: ImageApi) -> None:
    """It sends a null for each parameter that is not given; none of them is refused, and none is a finding."""
    names = (
        "image", "response_format", "size", "seed", "guidance_scale", "watermark", "optimize_prompt",
        "optimize_prompt_options", "sequential_image_generation", "sequential_image_generation_options", "tools",
        "output_format", "layer_decomposition", "stream",
    )  # fmt: skip
    for model in (LITE, PRO, V45, V40):
        nulls: dict[str, Any] = dict.fromkeys(names)
        answer = _post(image_api, model=model, **nulls)
        assert (200, "2048x2048") == (answer.status_code, answer.json()["data"][0]["size"])
    assert [(), (), (), ()] == [call.codes for call in image_api.calls]


@pytest.mark.parametrize(
    ("model", "size", "pixels"),
    [
        (V40, "1K", "1024x1024"), (V40, "4K", "4096x4096"), (LITE, "3K", "3072x3072"), (PRO, "1.5K", "1536x1536"),
        (V40, "1920x1080", "1920x1080"), (PRO, "2048x1024", "2048x1024"), (LITE, ..., "2048x2048"),
    ],
)  # fmt: skip
def test_sizes(image_api: ImageApi, model: str, size: Any, pixels: str) -> None:
    """A word is a square, and the reply has the pixels; the tokens are those of the pixels."""
    body = _post(image_api, model=model, size=size).json()
    width, _, height = pixels.partition("x")
    assert (pixels, int(width) * int(height) // 256) == (body["data"][0]["size"], body["usage"]["output_tokens"])


@pytest.mark.parametrize(
    ("model", "size", "breach"),
    [
        (LITE, "1K", "size_shape"), (V45, "3K", "size_shape"), (PRO, "4K", "size_shape"), (V40, "auto", "size_shape"),
        (LITE, "1500x1500", "size_below_budget"), (PRO, "512x512", "size_below_budget"),
        (PRO, "4096x4096", "size_above_budget"), (V40, "200x9000", "size_ratio"),
    ],
)  # fmt: skip
def test_sizes_that_a_model_does_not_take(image_api: ImageApi, model: str, size: str, breach: str) -> None:
    """Each model has its own words, and its own bounds on the pixels of both sides."""
    assert 400 == _post(image_api, model=model, size=size).status_code
    refused = image_api.calls.latest.refused
    assert refused is not None
    assert breach == refused.breach


@pytest.mark.parametrize("count", [1, 2, 15, None])
def test_groups(image_api: ImageApi, count: int | None) -> None:
    """They have as many pictures as they may have; verifications know the number, and it is paid."""
    body = _post(image_api, **_group(count)).json()
    made = 15 if count is None else count
    assert made == len({item["url"] for item in body["data"]})
    assert made == body["usage"]["generated_images"] == body["usage"]["output_tokens"] // 3600
    image_api.verify(once=True, n=made)
    image_api.verify(once=True, max_cost=0.03 * made + 0.001)


def test_a_group_of_a_model_that_decides_for_fewer(image_api: ImageApi) -> None:
    """A scenario makes them fewer, and the usage counts those that came."""
    image_api.play({"rules": [{"answers": {"draw": {"images": 2}}}]})
    body = _post(image_api, **_group(None)).json()
    assert (2, 2) == (len(body["data"]), body["usage"]["generated_images"])


@pytest.mark.parametrize(
    "body",
    [
        {"sequential_image_generation": "disabled", "sequential_image_generation_options": {"max_images": 3}},
        {"sequential_image_generation_options": {"max_images": 3}},
        {"n": 3, "quality": "high"},
    ],
)
def test_what_makes_no_group(image_api: ImageApi, body: Any) -> None:
    """One picture comes; what has no effect is a finding."""
    assert 1 == len(_post(image_api, **body).json()["data"])
    assert (("parameter_ignored",) if "n" in body else ()) == image_api.calls.latest.codes


@pytest.mark.parametrize(("brought", "made"), [(0, 15), (1, 14), (3, 12), (14, 1)])
def test_pictures_and_references_are_fifteen_at_most(image_api: ImageApi, brought: int, made: int) -> None:
    """The pictures that a call brings leave room for fewer, and the usage has both numbers."""
    url = data_url(draw_file("PNG"))
    image: Any = url if brought == 1 else [url] * brought
    usage = _post(image_api, image=image or ..., **_group(15)).json()["usage"]
    assert (brought, made) == (usage["input_images"], usage["generated_images"])


@pytest.mark.parametrize(("model", "most"), [(LITE, 14), (V40, 14), (PRO, 10)])
def test_too_many_references(image_api: ImageApi, model: str, most: int) -> None:
    """A model takes so many and no more."""
    url = data_url(draw_file("PNG"))
    assert 200 == _post(image_api, model=model, size="2K", image=[url] * most).status_code
    answer = _post(image_api, model=model, size="2K", image=[url] * (most + 1))
    assert f"number of reference images cannot exceed {most}" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("model", "body", "param"),
    [
        (PRO, {"sequential_image_generation": "auto"}, "sequential_image_generation"),
        (PRO, {"stream": True}, "stream"),
        (PRO, {"tools": [{"type": "web_search"}], "stream": False}, "tools"),
        (V45, {"output_format": "jpeg"}, "output_format"),
        (LITE, {"output_format": "webp"}, "output_format"),
        (LITE, {"optimize_prompt_options": {"mode": "fast"}}, "optimize_prompt_options.mode"),
        (LITE, _group(16), "sequential_image_generation_options.max_images"),
        (LITE, _group(0), "sequential_image_generation_options.max_images"),
        (LITE, {"image": "x"}, "image"),
        (LITE, {"prompt": ...}, "prompt"),
        (LITE, {"response_format": "file"}, "response_format"),
    ],
)
def test_what_a_model_does_not_take(image_api: ImageApi, model: str, body: Any, param: str) -> None:
    """It is a 400 of plain JSON that names the parameter, also where a stream is asked for."""
    answer = _post(image_api, **{"model": model, "size": "2K", "stream": True, **body})
    assert (400, "application/json") == (answer.status_code, answer.headers["content-type"])
    error = answer.json()["error"]
    assert (["code", "message", "param", "type"], param) == (list(error), error["param"])
    assert error["message"].endswith(f"Request id: {answer.headers['x-request-id']}")


def test_the_path_of_plans(image_api: ImageApi) -> None:
    """It answers as the other one does, by the models' names there."""
    url = image_api.url("ark").replace("/api/v3", "/api/plan/v3") + "/images/generations"
    body = {"model": "doubao-seedream-5.0-lite", "prompt": "A boat", "size": "2K"}
    answer = httpx.post(url, json=body, headers={"authorization": f"Bearer {image_api.key}"})
    assert (200, "doubao-seedream-5.0-lite") == (answer.status_code, answer.json()["model"])


@pytest.mark.parametrize("host", ["ark.cn-beijing.volces.com", "ark.ap-southeast.bytepluses.com"])
def test_the_real_hosts(server: Served, host: str) -> None:
    """They pick the gateway."""
    headers = {"host": host, "authorization": "Bearer k"}
    body = {"model": V40, "prompt": "A boat", "size": SMALL}
    answer = httpx.post(f"{server.url}/api/v3/images/generations", json=body, headers=headers)
    assert (200, V40) == (answer.status_code, answer.json()["model"])


def test_one_of_a_group_fails(image_api: ImageApi) -> None:
    """Its error stands in its place, in the words of Ark; it is neither counted nor paid."""
    image_api.play(FAILING)
    body = _post(image_api, **_group(3)).json()
    assert [["url", "size"], ["error"], ["url", "size"]] == [list(item) for item in body["data"]]
    message = "The request failed because the output image may contain sensitive information."
    assert {"code": "OutputImageSensitiveContentDetected", "message": message} == body["data"][1]["error"]
    assert {**USAGE, "generated_images": 2, "output_tokens": 7200, "total_tokens": 7200} == body["usage"]
    assert [0, 2] == [picture.index for picture in image_api.calls.latest.pictures]
    image_api.verify(once=True, n=3, max_cost=0.061)


def test_a_limit_of_money_is_told_of_failures(image_api: ImageApi) -> None:
    """What has failed is given back."""
    image_api.play({"limits": {"cost": 0.095}, **FAILING})
    assert 200 == _post(image_api, **_group(3)).status_code
    assert 200 == _post(image_api).status_code
    answer = _post(image_api)
    assert (403, "AccountOverdueError") == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize("response_format", ["url", "b64_json"])
def test_a_stream(image_api: ImageApi, response_format: str) -> None:
    """Each picture comes in an event of its own, one has failed, and the last has the usage."""
    image_api.play(FAILING)
    answer = _post(image_api, stream=True, response_format=response_format, **_group(3))
    assert "text/event-stream" == answer.headers["content-type"]
    first, failed, third, last, done = told(answer.text)
    beginning = ["type", "model", "created", "image_index"]
    for place, (name, data) in ((0, first), (2, third)):
        assert ("image_generation.partial_succeeded", place) == (name, data["image_index"])
        assert [*beginning, response_format, "size"] == list(data)
    assert "image_generation.partial_failed" == failed[0]
    assert [*beginning, "error"] == list(failed[1])
    assert ["OutputImageSensitiveContentDetected", 1] == [failed[1]["error"]["code"], failed[1]["image_index"]]
    assert ("image_generation.completed", ["type", "model", "created", "usage"]) == (last[0], list(last[1]))
    assert {**USAGE, "generated_images": 2, "output_tokens": 7200, "total_tokens": 7200} == last[1]["usage"]
    assert (None, "[DONE]") == done
    if response_format == "b64_json":
        assert (1280, 720) == Image.open(io.BytesIO(base64.b64decode(third[1]["b64_json"]))).size
    call = image_api.calls.latest
    assert ([0, 2], ()) == ([picture.index for picture in call.pictures], call.codes)


def test_a_stream_that_breaks_off(image_api: ImageApi) -> None:
    """It has an error of the code and the message alone, and nothing behind it."""
    image_api.play({"rules": [{"answers": {"draw": {"error": "server_error"}}}]})
    ((name, data),) = told(_post(image_api, stream=True, **_group(2)).text)
    assert ("error", ["code", "message"]) == (name, list(data["error"]))
    assert "InternalServiceError" == data["error"]["code"]


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (None, "InputTextSensitiveContentDetected"),
        ("input_image", "InputImageSensitiveContentDetected"),
        ("output_image", "OutputImageSensitiveContentDetected"),
    ],
)
def test_what_moderation_refuses(image_api: ImageApi, case: str | None, code: str) -> None:
    """The prompt, a picture that comes, and one that is made are three refusals."""
    refuse = {"kind": "moderation"} | ({"case": case} if case else {})
    image_api.play({"rules": [{"answers": {"refuse": refuse}}]})
    answer = _post(image_api)
    assert (400, code, "BadRequest") == (
        answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["type"],
    )  # fmt: skip


def test_limits_of_pictures_a_minute(image_api: ImageApi) -> None:
    """A group counts as many pictures as it asks for."""
    image_api.play({"limits": {"images_per_minute": 4}, "rules": []})
    assert 200 == _post(image_api, **_group(3)).status_code
    answer = _post(image_api, **_group(2))
    assert (429, "ModelAccountIpmRateLimitExceeded") == (answer.status_code, answer.json()["error"]["code"])


def test_unknown_parameters_are_passed_over(image_api: ImageApi) -> None:
    """Parameters of OpenAI's have no effect, and the call has a finding for each."""
    answer = _post(image_api, n=4, quality="high", style="vivid")
    assert (200, 1) == (answer.status_code, len(answer.json()["data"]))
    codes = [(finding.code, finding.param) for finding in image_api.calls.latest.findings]
    assert [("unknown_parameter", "style"), ("parameter_ignored", "n"), ("parameter_ignored", "quality")] == codes


@pytest.mark.parametrize("response_format", ["url", "b64_json"])
def test_a_recorded_stream(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, response_format: str
) -> None:
    """The pictures that came are kept and paid, and come again with the same events; the one that failed is not."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "failing.yaml").write_text(json.dumps(FAILING))
    upstream = serve(scenario=str(tmp_path / "failing.yaml"))
    folder = str(tmp_path / "recorded")
    front = serve(record=folder, record_mode="once", upstream=(f"ark={upstream.url}/ark/api/v3",))
    body = {"model": V40, "prompt": "A boat", "size": SMALL, "stream": True, "response_format": response_format}
    first = told(front.generate("ark", {**body, **_group(3)}, "sk-real").text)
    (recorded,) = front.calls()
    again = told(serve(record=folder, clock="scale:0").generate("ark", {**body, **_group(3)}, "sk-real").text)
    assert [name for name, _ in first] == [name for name, _ in again]
    assert "image_generation.partial_failed" == first[1][0]
    assert first[1] == again[1]
    if response_format == "b64_json":
        assert first == again
    assert ("recorded", pytest.approx(0.06)) == (recorded["verdict"], recorded["cost"])
    assert (2 if response_format == "b64_json" else 0) == len(recorded["pictures"])
