"""Edits and variations, asked for by the SDK, by curl and by hand: the picture, the bill, and every refusal's words."""

from __future__ import annotations

import base64
import io
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import openai
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

import emulator
from emulator.core import yaml_file
from emulator.core.data_folders import find_schemas
from emulator.gateway import pricing
from emulator.gateway.gateway import load_gateway
from emulator.image import render
from emulator.image.files import EditInputs
from emulator.image.inspect import inspect_image
from emulator.image.recipe import EditSource, ImageRecipe
from emulator.image.upload import Examination, Upload
from emulator.messages import Call, ResponseShape
from emulator.validation.validator import RequestValidator
from tests.conftest import Served
from tests.uploads import SUITE, data_url, draw_file, name_file

TODAY: Final = "2026-11-20"
BAND: Final = 0.85  # of a picture's height there is no caption


def photo(size: tuple[int, int] = (640, 480), kind: str = "JPEG", **options: Any) -> bytes:
    """Something like a photograph: soft, and of many colours."""
    image = Image.merge("RGB", (Image.radial_gradient("L"), Image.linear_gradient("L"), Image.new("L", (256, 256), 90)))
    data = io.BytesIO()
    image.resize(size).save(data, kind, **options)
    return data.getvalue()


def hole(size: tuple[int, int] = (640, 480)) -> bytes:
    """A mask that leaves a box in its middle open."""
    mask = Image.new("RGBA", size, (0, 0, 0, 255))
    width, height = size
    mask.paste((0, 0, 0, 0), (width // 4, height // 4, width * 3 // 4, height * 3 // 4))
    data = io.BytesIO()
    mask.save(data, "PNG")
    return data.getvalue()


def opened(data: bytes | str) -> Image.Image:
    """The picture in a file, or in Base64."""
    image = Image.open(io.BytesIO(base64.b64decode(data) if isinstance(data, str) else data))
    image.load()
    return image


def apart(one: Image.Image, other: Image.Image, box: tuple[float, float, float, float]) -> float:
    """How far two pictures are apart inside a box (shares of their size): the mean difference, 0 to 255."""
    width, height = one.size
    corners = (int(box[0] * width), int(box[1] * height), int(box[2] * width), int(box[3] * height))
    pair = (image.convert("RGB").resize(one.size).crop(corners) for image in (one, other))
    return sum(ImageStat.Stat(ImageChops.difference(*pair)).mean) / 3


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server whose calendar stands still."""
    served = Served(as_of=TODAY)
    yield served
    served.stop()


@pytest.fixture(scope="module")
def legacy() -> Iterator[Served]:
    """A server that keeps what was retired."""
    served = Served(as_of=TODAY, legacy=True)
    yield served
    served.stop()


@pytest.fixture
def client(served: Served, key: str) -> Iterator[openai.OpenAI]:
    """The SDK, pointed at the emulator's OpenAI."""
    with openai.OpenAI(base_url=served.base("openai"), api_key=key, max_retries=0) as client:
        yield client


def post(served: Served, gateway: str = "openai", path: str = "edits", **how: Any) -> httpx.Response:
    """A POST to a gateway's edits or variations; a file of mere bytes claims to be what it is."""
    files = how.pop("files", None)
    if isinstance(files, Mapping):
        files = list(files.items())
    if files:
        how["files"] = [(name, name_file(one) if isinstance(one, bytes) else one) for name, one in files]
    headers = {"authorization": "Bearer sk-edits", **how.pop("headers", {})}
    return httpx.post(f"{served.base(gateway)}/images/{path}", headers=headers, timeout=30, **how)


def post_parts(
    served: Served,
    path: str,
    form: Mapping[str, Any],
    files: list[tuple[str, Any]],
    gateway: str = "openai",
    headers: Mapping[str, str] | None = None,
) -> httpx.Response:
    """A form written by hand: a file is (file name or None, bytes[, media type]), and what it has not is not sent."""
    body = [
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, given in form.items()
        for text in ([given] if isinstance(given, str) else given)
    ]
    for name, (filename, data, *claimed) in files:
        head = f'--B\r\nContent-Disposition: form-data; name="{name}"'
        if filename is not None:
            head += f'; filename="{filename}"'
        for media_type in claimed:
            head += f"\r\nContent-Type: {media_type}"
        body.append(head.encode() + b"\r\n\r\n" + data + b"\r\n")
    sent = {"content-type": "multipart/form-data; boundary=B", **(headers or {})}
    return post(served, gateway, path, content=b"".join(body) + b"--B--\r\n", headers=sent)


# --- the SDK ---


def test_the_sdk_edits(client: openai.OpenAI) -> None:
    """One picture: the picture is the input, changed all over, in the size asked for."""
    given = photo()
    response = client.images.edit(
        model="gpt-image-2", image=name_file(given), prompt="Make it evening", size="1536x1024", quality="low"
    )
    assert response.data
    assert response.usage
    drawn = opened(response.data[0].b64_json or "")
    assert ("PNG", (1536, 1024)) == (drawn.format, drawn.size)
    assert (response.size, response.quality, response.output_format, response.background) == (
        "1536x1024",
        "low",
        "png",
        "opaque",
    )
    label = emulator.inspect(base64.b64decode(response.data[0].b64_json or "")).label
    assert label
    assert "gpt-image-2" == label["model"]
    for box in ((0, 0, 0.5, 0.4), (0.5, 0, 1, 0.4), (0, 0.4, 1, BAND)):
        assert 8 < apart(drawn, opened(given), box)
    assert 70 > apart(drawn, opened(given).resize(drawn.size), (0.2, 0.05, 0.8, 0.3))  # and can still be told


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_mask_says_what_is_repainted(client: openai.OpenAI, kind: Any) -> None:
    """What the mask leaves open is painted, and the rest is the input to the pixel, but for the encoding."""
    given = photo((512, 512), "PNG")
    response = client.images.edit(
        model="gpt-image-1.5", image=("cat.png", given, "image/png"), mask=hole((512, 512)), prompt="A boat",
        size="1024x1024", output_format=kind,
    )  # fmt: skip
    assert response.data
    drawn, before = (
        opened(response.data[0].b64_json or ""),
        opened(given).resize((1024, 1024), Image.Resampling.BICUBIC),
    )
    assert kind == (drawn.format or "").lower()
    assert 20 < apart(drawn, before, (0.28, 0.28, 0.72, 0.72))
    for box in ((0, 0, 1, 0.23), (0, 0, 0.23, BAND), (0.77, 0, 1, BAND), (0, 0.77, 1, BAND)):
        assert 3 > apart(drawn, before, box)


async def test_the_asynchronous_client_edits_several(served: Served, key: str) -> None:
    """A list of pictures is `image[]`; two pictures come, and they differ."""
    mine = {"x-emulator-session": "several"}
    async with openai.AsyncOpenAI(base_url=served.base("openai"), api_key=key, default_headers=mine) as client:
        with io.BytesIO(photo(kind="PNG")) as opened_file:
            opened_file.name = "a.png"
            response = await client.images.edit(
                model="gpt-image-2.5-flare", image=[opened_file, ("b.webp", photo(kind="WEBP"))], prompt="Both", n=2
            )
    assert response.data
    assert 2 == len({one.b64_json for one in response.data})
    told = served.calls("several")[-1]
    assert ["image[]", "image[]"] == [one["name"] for one in told["uploads"]]
    assert (2, "edit", 2) == (told["params"]["n"], told["operation"], len(told["pictures"]))


def test_edits_are_streamed(client: openai.OpenAI) -> None:
    """`stream` and `partial_images` are texts in a form, and the events are those of edits."""
    with client.images.edit(
        model="gpt-image-2", image=name_file(photo()), prompt="Evening", stream=True, partial_images=2, mask=hole()
    ) as stream:
        events = list(stream)
    assert ["image_edit.partial_image"] * 2 + ["image_edit.completed"] == [event.type for event in events]
    assert 3 == len({event.b64_json for event in events})
    assert events[-1].usage.input_tokens_details.image_tokens > 0  # type: ignore[union-attr]


def test_the_same_edit_is_the_same_picture(client: openai.OpenAI) -> None:
    """Prompt, input, mask and seed decide every byte, and each of them decides something."""

    def made(**other: Any) -> Any:
        asked = {"model": "gpt-image-2", "image": name_file(photo()), "prompt": "Evening", "size": "1024x1024", **other}
        response = client.images.edit(**asked)
        assert response.data
        return response.data[0].b64_json

    first = made()
    assert first == made(image=("another-name.jpg", photo(), "image/jpeg"))
    two = [name_file(photo()), name_file(photo((9, 9)))]
    others = [made(prompt="Morning"), made(image=name_file(photo((640, 481)))), made(mask=hole()), made(image=two)]
    assert 5 == len({first, *others})


# --- other clients ---


def test_curl_waits_for_its_100(served: Served, tmp_path: Path) -> None:
    """curl sends a large form only when it is told to go on."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl on this machine")
    (tmp_path / "a.png").write_bytes(noise(2_000_000))
    command = [
        curl, "-sv", f"{served.base('geeknow')}/images/edits", "-H", "Authorization: Bearer sk-curl",
        "-H", "Expect: 100-continue", "-F", f"image[]=@{tmp_path}/a.png", "-F", "model=gpt-image-1", "-F", "prompt=x",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert "< HTTP/1.1 100 Continue" in done.stderr
    assert httpx.get(json.loads(done.stdout)["data"][0]["url"]).status_code == 200


def noise(length: int) -> bytes:
    """A PNG of at least `length` bytes."""
    side = 64
    while True:
        data = io.BytesIO()
        Image.effect_noise((side, side), 90).save(data, "PNG")
        if len(data.getvalue()) >= length:
            return data.getvalue()
        side *= 2


def test_unquoted_names_in_chunks(served: Served) -> None:
    """As openai-dotnet writes a form, and in the chunks of a client that does not know its length."""
    pieces = [
        b"--x\r\nContent-Disposition: form-data; name=image; filename=a.png; filename*=utf-8''a.png\r\n"
        b"Content-Type: image/png\r\n\r\n",
        *(draw_file()[place : place + 100] for place in range(0, len(draw_file()), 100)),
        b"\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=prompt\r\n\r\nx",
        b"\r\n--x\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Disposition: form-data; name=n\r\n\r\n2\r\n",
        b"--x\r\nContent-Disposition: form-data; name=model\r\n\r\ngpt-image-2\r\n--x--\r\n",
    ]
    response = post(served, content=iter(pieces), headers={"content-type": 'multipart/form-data; boundary="x"'})
    assert (200, 2) == (response.status_code, len(response.json()["data"])), response.text


def test_edits_in_json(served: Served) -> None:
    """data: URLs make the same picture as the same files in a form do; the journal stays small."""
    body = {"model": "gpt-image-2", "prompt": "A boat", "images": [{"image_url": data_url(photo(), "image/jpeg")}]}
    written = post(
        served, json={**body, "mask": {"image_url": data_url(hole())}}, headers={"x-emulator-session": "json"}
    )
    sent = post(served, data={"model": "gpt-image-2", "prompt": "A boat"}, files={"image": photo(), "mask": hole()})
    assert written.json()["data"] == sent.json()["data"]
    told = served.calls("json")[-1]
    assert ["images[0].image_url", "mask.image_url"] == [one["name"] for one in told["uploads"]]
    assert 3000 > len(json.dumps(told["given"]))


def test_a_link_of_our_own_is_a_picture(served: Served) -> None:
    """What the emulator drew can be edited by its link, and nothing is fetched for it; any other link is refused."""
    link = served.generate("ezmodel", {"model": "dall-e-2", "prompt": "A hill", "size": "256x256"}).json()["data"][0][
        "url"
    ]
    body = {"model": "gpt-image-2", "prompt": "A boat", "images": [{"image_url": link}]}
    response = post(served, json=body, headers={"x-emulator-session": "link"})
    assert 200 == response.status_code
    assert 256 == served.calls("link")[-1]["uploads"][0]["width"]
    body["images"] = [{"image_url": link.replace("/pictures/", "/pictures/x")}]
    refused = post(served, json=body)
    assert 400 == refused.status_code
    assert "nothing_fetched" in refused.headers["x-emulator-finding"]


# --- gateways ---


@pytest.mark.parametrize(
    ("gateway", "path", "form", "response"),
    [
        ("ezmodel", "edits", {"prompt": "x"}, "url"),
        ("ezmodel", "edits", {"prompt": "x", "n": "0", "size": "256x256"}, "url"),
        ("ezmodel", "edits", {"prompt": "x", "response_format": "b64_json", "model": "dall-e-2"}, "b64_json"),
        ("geeknow", "edits", {"prompt": "x", "model": "gpt-image-1", "size": "16:9"}, "url"),
        ("geeknow", "edits", {"prompt": "x", "model": "flux-kontext", "response_format": "base64"}, "b64_json"),
        ("aiai", "edits/", {"prompt": "x", "n": "1"}, "url"),
        ("aiai", "edits", {"prompt": "x", "model": "gpt-image-1"}, "b64_json"),
    ],
)
def test_gateways_edit(server: Served, gateway: str, path: str, form: dict[str, str], response: str) -> None:
    """Each gateway that has edits takes a form as its page says, with its own defaults."""
    answer = post(server, gateway, path, data=form, files={"image": draw_file("PNG", "RGBA", (40, 40))})
    assert 200 == answer.status_code, answer.text
    assert [response] == [name for name in answer.json()["data"][0] if name != "revised_prompt"]


@pytest.mark.parametrize(
    ("gateway", "form", "given", "code", "param"),
    [
        ("ezmodel", {}, (40, 40), "missing_required_parameter", "prompt"),
        ("ezmodel", {"prompt": "x", "model": "dall-e-3"}, (40, 40), "invalid_value", "model"),
        ("ezmodel", {"prompt": "x"}, (40, 41), None, None),
        ("ezmodel", {"prompt": "x", "n": "11"}, (40, 40), "integer_above_max_value", "n"),
        ("ezmodel", {"prompt": "x" * 1001}, (40, 40), "string_above_max_length", "prompt"),
        ("geeknow", {"prompt": "x"}, (40, 40), "missing_required_parameter", "model"),
        ("geeknow", {"prompt": "x", "model": "dall-e-2", "size": "1x1"}, (40, 40), "invalid_value", "size"),
        ("aiai", {"prompt": "x", "n": "two"}, (40, 40), "invalid_type", "n"),
        ("aiai", {"prompt": "x", "quality": "hd"}, (40, 40), "unknown_parameter", "quality"),
        ("aiai", {"prompt": "x", "size": "1024x1536"}, (40, 40), "invalid_value", "size"),
    ],
)
def test_gateways_refuse(
    server: Served, gateway: str, form: dict[str, str], given: tuple[int, int], code: str | None, param: str | None
) -> None:
    """What breaks a page's rule is refused by that gateway, in the envelope."""
    answer = post(server, gateway, data=form, files={"image": draw_file("PNG", "RGBA", given)})
    error = answer.json()["error"]
    assert (400, code, param) == (answer.status_code, error["code"], error["param"])


@pytest.mark.parametrize("gateway", ["openai", "ezmodel", "geeknow", "aiai"])
@pytest.mark.parametrize("name", ["prompt[]", "size[]", "n[]", "prompt[]x"])
def test_an_array_in_a_form(server: Served, gateway: str, name: str) -> None:
    """A name with an empty bracket gives an array, and the gateway refuses an array where a text belongs."""
    model = "gpt-image-2" if gateway == "openai" else "dall-e-2"
    param = name.partition("[")[0]
    form = {"model": model, "prompt": "x", name: "x"}
    answer = post(server, gateway, data=form, files={"image": draw_file("PNG", "RGBA", (40, 40))})
    error = answer.json()["error"]
    assert (400, "invalid_type", param) == (answer.status_code, error["code"], error["param"])
    assert error["message"].endswith("but got an array instead.")


@pytest.mark.parametrize("gateway", ["ezmodel", "geeknow", "aiai"])
def test_an_array_in_a_form_as_observed(server: Served, gateway: str) -> None:
    """The observed gateways answer an array in a form too; no call ends in the emulator's own error."""
    for name in ("prompt[]", "model[]", "n[]", "size[]"):
        form = {"model": "gpt-image-1", "prompt": "x", name: "x"}
        headers = {"X-Emulator": "behavior=observed"}
        answer = post(server, gateway, data=form, files={"image": draw_file()}, headers=headers)
        assert "emulator_error" not in answer.text
        assert answer.headers["content-type"].startswith("application/json")


def test_a_plain_file_with_edits(serve: Callable[..., Served], tmp_path: Path) -> None:
    """A gateway's own file with a path for edits, and no key of ours, is served; one that describes no form is not."""
    plain = {
        "openapi": "3.0.1",
        "info": {"title": "Plain", "version": "1"},
        "paths": {
            "/v1/images/generations": {"post": _operation("application/json", {"prompt": {"type": "string"}})},
            "/v1/images/edits": {
                "post": _operation(
                    "multipart/form-data",
                    {
                        "image": {"type": "string", "format": "binary"},
                        "prompt": {"type": "string"},
                        "n": {"type": "integer", "maximum": 2},
                    },
                )
            },
            "/v1/images/variations": {"post": {"responses": {"200": {"description": "ok"}}}},
        },
    }
    (tmp_path / "plain.json").write_text(json.dumps(plain))
    served = serve(schema=(str(tmp_path / "plain.json"),))
    there = served.app.registry.validators["plain"].gateway
    assert {"generate", "edit"} == {one.name for by_method in there.operations.values() for one in by_method.values()}
    assert "operation_left_out" in [finding.code for finding in there.findings]
    asked = post(served, "plain", data={"prompt": "x", "n": "2"}, files={"image": draw_file()})
    assert (200, 2) == (asked.status_code, len(asked.json()["data"]))
    for form, given, code in (
        ({"prompt": "x", "n": "3"}, {"image": draw_file()}, "integer_above_max_value"),
        ({"prompt": "x"}, {"mask": draw_file()}, "missing_required_parameter"),
        ({"prompt": "x"}, {"image": b"Example data"}, "unsupported_file_mimetype"),
        ({"prompt": "x", "image": "text"}, {"mask": draw_file()}, "invalid_type"),
    ):
        refused = post(served, "plain", data=form, files=given)
        assert (400, code) == (refused.status_code, refused.json()["error"]["code"])


def _operation(kind: str, properties: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = {"type": "object", "required": [name for name in properties if name != "n"], "properties": properties}
    return {"requestBody": {"content": {kind: {"schema": schema}}}, "responses": {"200": {"description": "ok"}}}


# --- refusals, in OpenAI's words ---

SQUARE: Final = ("a.png", draw_file("PNG", "RGB", (64, 64)), "image/png")
NO_FILE: Final = "Invalid type for 'image': expected one of an array of files or file, but got a string instead."
UNTYPED: Final = (
    "Invalid file 'NAME': failed to determine mimetype. Ensure you are providing the file's mimetype as part of the "
    "'Content-Type' header."
)
TWICE: Final = (
    "Duplicate parameter: 'NAME'. You provided multiple values for this parameter, whereas only one is allowed. If you "
    "are trying to provide a list of values, use the array syntax instead e.g. 'NAME[]=<value>'."
)
FORMS: Final[list[tuple[str, dict[str, Any], list[tuple[str, Any]], str, str, Any, Any]]] = [
    # what is sent, texts beside model and prompt, files, and the refusal: message, type, param, code
    ("no picture", {}, [], "Missing required parameter: 'image'.", "S", "image", "missing_required_parameter"),
    ("no prompt", {"prompt": None}, [("image", SQUARE)], "Missing required parameter: 'prompt'.", "S", "prompt",
     "missing_required_parameter"),
    ("no model", {"model": None}, [("image", SQUARE)], "Missing required parameter: 'model'.", "S", "model",
     "missing_required_parameter"),
    ("a model that is gone", {"model": "dall-e-2"}, [("image", SQUARE)], "The model 'dall-e-2' does not exist.", "U",
     "model", "invalid_value"),
    ("images", {}, [("images", SQUARE)],
     "Unknown parameter: 'images'. For multipart/form-data use 'image' or 'image[]'.", "S", "images", "invalid_value"),
    ("a strange parameter", {"style": "vivid"}, [("image", SQUARE)], "Unknown parameter: 'style'.", "S", "style",
     "unknown_parameter"),
    ("the strange before the wrong", {"style": "vivid", "n": "two"}, [("image", SQUARE)],
     "Unknown parameter: 'style'.", "S", "style", "unknown_parameter"),
    ("the prompt before the number", {"prompt": "", "n": "two"}, [("image", SQUARE)],
     "Invalid 'prompt': empty string. Expected a string with minimum length 1, but got an empty string instead.", "S",
     "prompt", "empty_string"),
    ("a strange file", {}, [("image", SQUARE), ("extra", SQUARE)], "Unknown parameter: 'extra'.", "S", "extra",
     "unknown_parameter"),
    ("a text for a picture", {"image": "a.png"}, [("mask", SQUARE)], NO_FILE, "S", "image", "invalid_type"),
    ("a text for one of the pictures", {"image[]": "a.png"}, [("mask", SQUARE)],
     "Invalid type for 'image[0]': expected a file, but got a string instead.", "S", "image[0]", "invalid_type"),
    ("a text for a mask", {"mask": "a.png"}, [("image", SQUARE)],
     "Invalid type for 'mask': expected a file, but got a string instead.", "S", "mask", "invalid_type"),
    ("a picture without a file name", {}, [("image", (None, SQUARE[1], "image/png"))], NO_FILE, "S", "image",
     "invalid_type"),
    ("a picture with neither a name nor a type", {}, [("image", (None, SQUARE[1]))], NO_FILE, "S", "image",
     "invalid_type"),
    ("a picture of no known type", {}, [("image", ("a.png", SQUARE[1], "application/octet-stream"))],
     "Invalid file 'image': unsupported mimetype ('application/octet-stream'). Supported file formats are "
     "'image/jpeg', 'image/png', and 'image/webp'.", "S", "image", "unsupported_file_mimetype"),
    ("one of the pictures of no known type", {}, [("image[]", ("a.png", SQUARE[1], "application/octet-stream"))],
     "Invalid file 'image[0]': unsupported mimetype ('application/octet-stream'). Supported file formats are "
     "'image/jpeg', 'image/png', and 'image/webp'.", "S", "image[0]", "unsupported_file_mimetype"),
    ("a picture of no type", {}, [("image", ("a", SQUARE[1]))], UNTYPED.replace("NAME", "image"), "S", "image",
     "missing_file_mimetype"),
    ("one of the pictures of no type", {}, [("image[]", SQUARE), ("image[]", ("a", SQUARE[1]))],
     UNTYPED.replace("NAME", "image[1]"), "S", "image[1]", "missing_file_mimetype"),
    ("a picture twice", {}, [("image", SQUARE), ("image", SQUARE)], TWICE.replace("NAME", "image"), "S", "image",
     "duplicate_parameter"),
    ("a prompt twice", {"prompt": ["x", "y"]}, [("image", SQUARE)], TWICE.replace("NAME", "prompt"), "S", "prompt",
     "duplicate_parameter"),
    ("a mask twice", {}, [("image", SQUARE), ("mask", SQUARE), ("mask", SQUARE)], TWICE.replace("NAME", "mask"), "S",
     "mask", "duplicate_parameter"),
    ("an unknown field twice", {"nonsense": ["1", "2"]}, [("image", SQUARE)], TWICE.replace("NAME", "nonsense"), "S",
     "nonsense", "duplicate_parameter"),
    ("several masks", {}, [("image", SQUARE), ("mask[]", SQUARE), ("mask[]", SQUARE)],
     "Invalid type for 'mask': expected a file, but got an array instead.", "S", "mask", "invalid_type"),
    ("a file for a text", {"prompt": None}, [("image", SQUARE), ("prompt", SQUARE)],
     "Invalid type for 'prompt': expected a string, but got a file instead.", "S", "prompt", "invalid_type"),
    ("a number in letters", {"n": "two"}, [("image", SQUARE)],
     "Invalid type for 'n': expected an integer, but got a string value that could not be converted into an integer.",
     "S", "n", "invalid_type"),
    ("a switch in letters", {"stream": "maybe"}, [("image", SQUARE)],
     "Invalid type for 'stream': expected a boolean, but got a string value that could not be converted into a "
     "boolean.", "S", "stream", "invalid_type"),
    ("a number too many", {"n": "11"}, [("image", SQUARE)],
     "Invalid 'n': integer above maximum value. Expected a value <= 10, but got 11 instead.", "S", "n",
     "integer_above_max_value"),
    ("pictures too many", {}, [("image[]", SQUARE)] * 17,
     "Invalid 'image': array too long. Expected an array with maximum length 16, but got an array with length 17 "
     "instead.", "S", "image", "array_above_max_length"),
    ("what the model does not know", {"input_fidelity": "high"}, [("image", SQUARE)],
     "The model 'gpt-image-2' does not support the 'input_fidelity' parameter.", "U", "input_fidelity",
     "invalid_value"),
    ("a sound", {}, [("image[]", SQUARE), ("image[]", ("a.wav", b"RIFF", "audio/wav"))],
     "Invalid file 'image[1]': unsupported mimetype ('audio/wav'). Supported file formats are 'image/jpeg', "
     "'image/png', and 'image/webp'.", "S", "image[1]", "unsupported_file_mimetype"),
    ("a cut picture", {}, [("image", ("a.png", SQUARE[1][:-30], "image/png"))],
     "Invalid image file or mode for image 1, please check your image file.", "U", None, "invalid_image_file"),
    ("a mask of another size", {}, [("image", SQUARE), ("mask", ("m.png", hole((64, 65)), "image/png"))],
     "Invalid mask image format - mask size does not match image size", "U", None, "invalid_mask_image_format"),
    ("a mask without holes", {}, [("image", SQUARE), ("mask", SQUARE)],
     "Invalid mask image format - mask image must have an alpha channel", "U", None, "invalid_mask_image_format"),
]  # fmt: skip
TYPES: Final = {"S": "invalid_request_error", "U": "image_generation_user_error"}


@pytest.mark.parametrize("case", FORMS, ids=lambda case: case[0])
def test_refusals_of_forms(served: Served, case: tuple[str, dict[str, Any], list[Any], str, str, Any, Any]) -> None:
    """Message, type, param and code are OpenAI's own; where nobody has seen them they are assumed."""
    _, form, given, message, kind, param, code = case
    texts = {name: text for name, text in {"model": "gpt-image-2", "prompt": "x", **form}.items() if text is not None}
    response = post_parts(served, "edits", texts, given)
    error = response.json()["error"]
    assert (400, message, TYPES[kind], param, code) == (
        response.status_code, error["message"], error["type"], error["param"], error["code"],
    )  # fmt: skip
    assert ["message", "type", "param", "code"] == list(error)


@pytest.mark.parametrize(
    ("body", "message", "param", "code"),
    [
        ({}, "Missing required parameter: 'images'.", "images", "missing_required_parameter"),
        ({"image": "x"},
         "Unknown parameter: 'image'. For application/json on /v1/images/edits, use 'images' (array).", "image",
         "invalid_value"),
        ({"images": []},
         "Invalid 'images': empty array. Expected an array with minimum length 1, but got an empty array instead.",
         "images", "empty_array"),
        ({"images": ["x"]}, "Invalid type for 'images[0]': expected an object, but got a string instead.", "images[0]",
         "invalid_type"),
        ({"images": [{"image_url": "data:image/png;base64,AAAA"}]}, "Invalid image data.", "images[0].image_url",
         "invalid_image_file"),
        ({"images": [{"image_url": "https://images.test/a.png"}]},
         "Error while downloading file. Upstream status code: 404.", "url", "invalid_value"),
        ({"images": [{"image_url": data_url(photo(), "application/octet-stream")}]},
         "Invalid file 'images[0].image_url': unsupported mimetype ('application/octet-stream'). Supported file "
         "formats are 'image/jpeg', 'image/png', and 'image/webp'.", "images[0].image_url",
         "unsupported_file_mimetype"),
        ({"images": [{"image_url": data_url(photo(), "")}]},
         "Invalid file 'images[0].image_url': unsupported mimetype ('text/plain'). Supported file formats are "
         "'image/jpeg', 'image/png', and 'image/webp'.", "images[0].image_url", "unsupported_file_mimetype"),
        ({"images": [{"file_id": "file-1"}]}, "No such File object: file-1", "images[0].file_id", None),
        ({"images": [{}]}, "Invalid value for 'images[0]': {}.", "images[0]", "invalid_value"),
        ({"images": [{"image_url": data_url(photo(), "image/jpeg")}], "mask": {"image_url": data_url(hole((5, 5)))}},
         "Invalid mask image format - mask size does not match image size", None, "invalid_mask_image_format"),
        ({"images": [{"image_url": data_url(photo(), "image/jpeg")}], "mask": {}},
         "Invalid value for 'mask': {}.", "mask", "invalid_value"),
        ({"images": [{"image_url": data_url(photo(), "image/jpeg")}], "mask": {"image_url": 5}},
         "Invalid type for 'mask.image_url': expected a string, but got an integer instead.", "mask.image_url",
         "invalid_type"),
        ({"images": [{"image_url": data_url(photo(), "image/jpeg")}], "n": "2"},
         "Invalid type for 'n': expected an integer, but got a string instead.", "n", "invalid_type"),
    ],
)  # fmt: skip
def test_refusals_of_json(
    served: Served, body: dict[str, Any], message: str, param: str | None, code: str | None
) -> None:
    """JSON has its own names for pictures, and its own words for those that are none."""
    response = post(served, json={"model": "gpt-image-2", "prompt": "x", **body})
    error = response.json()["error"]
    assert (400, message, param, code) == (response.status_code, error["message"], error["param"], error["code"])


@pytest.mark.parametrize("path", [path for path in SUITE if path.stem.startswith("x")], ids=lambda path: path.stem)
def test_corrupt_pngs_are_refused(served: Served, path: Path) -> None:
    """Every corrupt picture of the suite is refused, and none is a failure of ours."""
    given = ("a.png", path.read_bytes(), "image/png")
    response = post(served, data={"model": "gpt-image-2", "prompt": "x"}, files={"image": given})
    assert (400, "invalid_image_file") == (response.status_code, response.json()["error"]["code"])


@pytest.mark.parametrize("path", [path for path in SUITE if not path.stem.startswith("x")], ids=lambda path: path.stem)
def test_sound_pngs_are_edited(path: Path) -> None:
    """Every sound picture of the suite can be worked on, whatever its depth, its colours and its transparency."""
    look = emulator_look(path.read_bytes())
    source = EditSource("edit", look.sha256[:32], None, look.palette, bool(look.alpha_share))
    recipe = ImageRecipe("g", "m", "A cat", "0" * 16, 96, 96, "low", "opaque", "png", None, 0, 5, source=source)
    drawn = inspect_image(render.draw_image(recipe, inputs=EditInputs(path.read_bytes())))
    assert (96, 96, True) == (drawn.width, drawn.height, drawn.whole)


def emulator_look(data: bytes) -> Examination:
    """What the emulator sees of a file."""
    from emulator.image.inspect import examine_upload

    return examine_upload(data)


def test_too_large_is_413(served: Served) -> None:
    """A body above the limit of edits is refused with a status line, whatever it is."""
    with socket.create_connection(("127.0.0.1", served.port), 5) as line:
        line.sendall(
            b"POST /openai/v1/images/edits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
            b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 104857601\r\n\r\n"
        )
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_form_at_generations_is_refused(served: Served) -> None:
    """Generations take JSON alone, and say so; the journal tells of the files all the same."""
    response = post(served, path="generations", files={"image": draw_file()}, headers={"x-emulator-session": "astray"})
    assert (400, "unsupported_content_type") == (response.status_code, response.json()["error"]["code"])
    assert "only accepts 'application/json' requests" in response.json()["error"]["message"]
    assert 64 == served.calls("astray")[-1]["uploads"][0]["width"]


# --- the rest of the house ---


def test_marks_work_in_forms(served: Served) -> None:
    """A reserved value in a form's prompt or model does what it does in JSON."""
    given = {"image": draw_file()}
    assert 429 == post(served, data={"model": "gpt-image-2", "prompt": "x [[rate-limit]]"}, files=given).status_code
    assert 503 == post(served, data={"model": "gpt-image-2:overloaded", "prompt": "x"}, files=given).status_code
    told = post(
        served, data={"model": "gpt-image-2", "prompt": "x", "n": "11", "style": "vivid"}, files={"image": b"nothing"},
        headers={"x-emulator": "report-only"},
    )  # fmt: skip
    assert (200, 1) == (told.status_code, len(told.json()["data"]))
    assert "would_be_refused" in told.headers["x-emulator-finding"]


def test_links_of_edits(serve: Callable[..., Served]) -> None:
    """A link shows the input as long as its bytes are kept, and its colours when they are gone, here or elsewhere."""
    given = photo((512, 512), "PNG")
    form = {"model": "gpt-image-1", "prompt": "A boat", "size": "512x512"}
    first, other, forgetful = serve(), serve(), serve(upload_bytes=1)
    link = post(first, "geeknow", data=form, files={"image": given}).json()["data"][0]["url"]
    drawn = httpx.get(link).content
    assert drawn == httpx.get(link).content
    elsewhere = httpx.get(link.replace(str(first.port), str(other.port))).content
    assert (512, 512) == opened(elsewhere).size
    assert emulator.inspect(drawn).label == emulator.inspect(elsewhere).label
    assert 4 < apart(opened(drawn), opened(elsewhere), (0, 0, 1, BAND)) < 60
    assert 200 == post(other, "geeknow", data=form, files={"image": given}).status_code
    assert drawn == httpx.get(link.replace(str(first.port), str(other.port))).content  # its bytes have come back
    link = post(forgetful, "geeknow", data=form, files={"image": given}).json()["data"][0]["url"]
    assert 200 == httpx.get(link).status_code


def test_an_edit_takes_no_longer_link_than_it_may() -> None:
    """The longest caption beside a source still fits into a link."""
    from emulator.image.link import PictureLink, format_token, parse_token

    source = EditSource("edit", "0f" * 16, "a9" * 16, "".join(f"{7 * n % 256:02x}" for n in range(36)), True)
    longest = ImageRecipe(
        "g" * 20, "m" * 48, "👩🏽‍🚀" * 40, "f" * 16, 4096, 4096, "q" * 48, "transparent", "webp", 100, 9, 2**53 - 1,
        source=source,
    )  # fmt: skip
    link = PictureLink(longest, "s" * 64, 9_999_999_999)
    assert link == parse_token(format_token(link, b"k"), b"k")
    for bad in ({"act": "x"}, {"image": "0" * 31}, {"mask": "z" * 32}, {"palette": "00"}):
        with pytest.raises(ValueError, match="cannot be edited"):
            ImageRecipe("g", "m", "", "", 1, 1, "", "opaque", "png", None, 0, 0, source=source._replace(**bad))  # type: ignore[arg-type]


@pytest.mark.parametrize("background", ["opaque", "transparent"])
@pytest.mark.parametrize("act", ["edit", "vary"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_input_becomes_a_picture(mode: str, act: str, background: str) -> None:
    """Any kind of pixels, with a mask and without, here and gone, is drawn in the size and with the alpha asked for."""
    data, mask = draw_file("PNG", mode, (37, 91)), hole((37, 91))
    look = emulator_look(data)
    seen = set()
    for given in (EditInputs(data), EditInputs(data, mask), None):
        digest = None if given is None or given.mask is None else "0" * 32
        source = EditSource(act, look.sha256[:32], digest, look.palette, digest is not None or bool(look.alpha_share))
        recipe = ImageRecipe("g", "m", "A", "0" * 16, 200, 120, "", background, "png", None, 0, 9, source=source)
        drawn = render.draw_image(recipe, inputs=given)
        found = inspect_image(drawn)
        assert (200, 120, background == "transparent") == (found.width, found.height, found.alpha_share is not None)
        seen.add(drawn)
    assert len(seen) == 3 or act == "vary"


def test_many_edits_at_once(served: Served) -> None:
    """Sixteen clients with a megabyte each: everybody is answered, and the journal has each once."""
    given = noise(1_000_000)
    form = {"model": "gpt-image-1", "prompt": "x", "size": "256x256"}

    def edited(number: int) -> int:
        files_sent = {"image": (f"{number}.png", given, "image/png")}
        return post(served, "geeknow", data=form, files=files_sent, headers={"x-emulator-session": "many"}).status_code

    with ThreadPoolExecutor(16) as pool:
        assert [200] * 48 == list(pool.map(edited, range(48)))
    assert sorted(f"{number}.png" for number in range(48)) == sorted(
        call["uploads"][0]["filename"] for call in served.calls("many")
    )


# --- variations ---


def test_variations_are_gone(served: Served, legacy: Served) -> None:
    """Today the path is an empty 404; before its end, and with --legacy, it varies a square PNG."""
    given = {"image": draw_file("PNG", "RGBA", (64, 64))}
    gone = post(served, path="variations", files=given)
    assert (404, b"", "nosniff") == (gone.status_code, gone.content, gone.headers["x-content-type-options"])
    alive = post(legacy, path="variations", files=given, data={"n": "2", "size": "256x256"})
    assert (200, 2) == (alive.status_code, len(alive.json()["data"]))
    drawn = [httpx.get(one["url"]).content for one in alive.json()["data"]]
    assert 2 == len(set(drawn))
    assert (256, 256) == opened(drawn[0]).size
    refused = post(legacy, path="variations", files={"image": draw_file("PNG", "RGBA", (64, 63))})
    expected = "Invalid input image - expected an image with equal width and height, got 64x63 instead."
    assert expected == refused.json()["error"]["message"]


def test_a_variation_recolours(legacy: Served) -> None:
    """Its shapes are the input's, its colours are not."""
    given = Image.new("RGBA", (256, 256), (200, 30, 30, 255))
    ImageDraw.Draw(given).rectangle((0, 0, 127, 255), (250, 250, 120, 255))
    data = io.BytesIO()
    given.save(data, "PNG")
    link = post(legacy, path="variations", files={"image": data.getvalue()}, data={"size": "256x256"}).json()
    drawn = opened(httpx.get(link["data"][0]["url"]).content).convert("RGB")
    left, right = drawn.getpixel((60, 60)), drawn.getpixel((200, 60))
    assert left != right
    assert {(left, right)} == {(drawn.getpixel((20, 120)), drawn.getpixel((240, 120)))}
    assert 30 < apart(drawn, given, (0, 0, 1, 0.8))


NO_ARRAY: Final = "Invalid type for 'image': expected a file, but got an array instead."
LEGACY: Final = [
    (draw_file("PNG", "RGBA", (64, 64)), None),
    (draw_file("PNG", "RGB", (64, 64)), "Invalid input image - format must be in ['RGBA', 'LA', 'L'], got RGB."),
    (
        draw_file("PNG", "RGBA", (64, 48)),
        "Invalid input image - expected an image with equal width and height, got 64x48 instead.",
    ),
    (draw_file("JPEG", "RGB", (64, 64)), "Uploaded image must be a PNG and less than 4 MB."),
]


@pytest.mark.parametrize(("given", "message"), LEGACY)
def test_the_old_model_wants_a_square_png(legacy: Served, given: bytes, message: str | None) -> None:
    """dall-e-2 takes what it took, and says what it said."""
    response = post(legacy, data={"model": "dall-e-2", "prompt": "x", "size": "256x256"}, files={"image": given})
    assert message == response.json().get("error", {}).get("message")


@pytest.mark.parametrize(
    ("path", "given", "message", "param", "code"),
    [
        ("edits", [("image", ("a.png", SQUARE[1], "application/octet-stream"))],
         "Invalid file 'image': unsupported mimetype ('application/octet-stream'). Supported file formats are "
         "'image/png'.", "image", "unsupported_file_mimetype"),
        ("edits", [("image", ("a.png", SQUARE[1]))], UNTYPED.replace("NAME", "image"), "image",
         "missing_file_mimetype"),
        ("edits", [("image", (None, SQUARE[1], "image/png"))],
         "Invalid type for 'image': expected a file, but got a string instead.", "image", "invalid_type"),
        ("edits", [("image[]", SQUARE), ("image[]", SQUARE)], NO_ARRAY, "image", "invalid_type"),
        ("edits", [("image[]", SQUARE)], NO_ARRAY, "image", "invalid_type"),
        ("edits", [("image", SQUARE), ("image", SQUARE)], TWICE.replace("NAME", "image"), "image",
         "duplicate_parameter"),
        ("variations", [("image[]", SQUARE), ("image[]", SQUARE)], NO_ARRAY, "image", "invalid_type"),
        ("variations", [("image", SQUARE), ("image", SQUARE)], TWICE.replace("NAME", "image"), "image",
         "duplicate_parameter"),
        ("variations", [("image", ("a.png", SQUARE[1], "text/plain"))],
         "Invalid file 'image': unsupported mimetype ('text/plain'). Supported file formats are 'image/png'.", "image",
         "unsupported_file_mimetype"),
    ],
)  # fmt: skip
def test_the_old_model_takes_one_file_that_says_what_it_is(
    legacy: Served, path: str, given: list[tuple[str, Any]], message: str, param: str, code: str
) -> None:
    """A list is an array even if it has one picture; what a file claims counts, and not its bytes."""
    form = {"model": "dall-e-2"} | ({"prompt": "x"} if path == "edits" else {})
    answer = post_parts(legacy, path, form, given)
    error = answer.json()["error"]
    assert (400, message, param, code) == (answer.status_code, error["message"], error["param"], error["code"])


@pytest.mark.parametrize(
    ("model", "claimed", "bytes_of", "status"),
    [
        ("gpt-image-2", "image/jpg", "JPEG", 200),
        ("gpt-image-2", "image/png; charset=binary", "PNG", 200),
        ("gpt-image-2", "IMAGE/PNG", "PNG", 200),
        ("gpt-image-2", "image/webp", "PNG", 200),  # the claim is believed
        ("gpt-image-2", "image/gif", "PNG", 400),
        ("gpt-image-2", "image/*", "PNG", 400),
        ("gpt-image-2", "png", "PNG", 400),
    ],
)
def test_what_a_part_claims_counts(served: Served, model: str, claimed: str, bytes_of: str, status: int) -> None:
    """Media types are compared without their parameters and without regard to case."""
    file = ("a", draw_file(bytes_of), claimed)
    assert status == post_parts(served, "edits", {"model": model, "prompt": "x"}, [("image", file)]).status_code


@pytest.mark.parametrize("claimed", ["application/octet-stream", "text/plain", ""])
def test_a_mask_is_not_judged_by_its_claim(served: Served, claimed: str) -> None:
    """Only its bytes count, and they have to be a PNG's."""
    form = {"model": "gpt-image-2", "prompt": "x"}
    mask = ("m", hole(), claimed) if claimed else ("m", hole())
    assert 200 == post_parts(served, "edits", form, [("image", name_file(photo())), ("mask", mask)]).status_code
    wrong = post_parts(served, "edits", form, [("image", name_file(photo())), ("mask", ("m", photo(), claimed))])
    assert (400, "Uploaded image must be a PNG and less than 50 MB.") == (
        wrong.status_code, wrong.json()["error"]["message"],
    )  # fmt: skip


@pytest.mark.parametrize("gateway", ["ezmodel", "geeknow", "aiai"])
@pytest.mark.parametrize("behavior", ["documented", "observed"])
def test_other_gateways_look_at_the_bytes(server: Served, gateway: str, behavior: str) -> None:
    """They accept a picture whatever it claims, but what has no file name is no file to them either."""
    model = "dall-e-2" if gateway == "ezmodel" else "gpt-image-1"
    form = {"model": model, "prompt": "x"}
    headers = {"x-emulator": f"behavior={behavior}"} if gateway != "ezmodel" or behavior == "observed" else {}
    picture = draw_file("PNG", "RGBA", (40, 40))
    for file in (("a", picture, "application/octet-stream"), ("a", picture), ("a", picture, "audio/wav")):
        headers["authorization"] = "Bearer skedits"
        answer = post_parts(server, "edits", form, [("image", file)], gateway=gateway, headers=headers)
        if answer.status_code == 503:  # no channel for the model
            pytest.skip("the gateway has no channel for the model")
        assert 200 == answer.status_code, answer.text
    nameless = [("image", (None, picture, "image/png"))]
    answer = post_parts(server, "edits", form, nameless, gateway=gateway, headers=headers)
    expected = (400, "invalid_type") if behavior == "documented" else (500, "convert_request_failed")
    assert expected == (answer.status_code, answer.json()["error"]["code"])
    twice = [("image", name_file(picture)), ("image", name_file(picture))]
    answer = post_parts(server, "edits", form, twice, gateway=gateway, headers=headers)
    if behavior == "documented":
        assert (400, "duplicate_parameter") == (answer.status_code, answer.json()["error"]["code"])
    elif model != "dall-e-2":
        assert 200 == answer.status_code  # a Go server takes several files of one name


def test_the_sdk_falls_into_the_trap_of_bytes(client: openai.OpenAI) -> None:
    """Bytes alone go out as application/octet-stream, which OpenAI refuses; a name or a type is the way out."""
    asked: dict[str, Any] = {"model": "gpt-image-2", "prompt": "x"}
    for given, param in ((draw_file(), "image"), ([draw_file()], "image[0]"), (io.BytesIO(draw_file()), "image")):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.edit(image=given, **asked)
        assert ("unsupported_file_mimetype", param) == (caught.value.code, caught.value.param)
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=(None, draw_file(), "image/png"), **asked)
    assert ("invalid_type", "image") == (caught.value.code, caught.value.param)
    assert client.images.edit(image=("a.png", draw_file()), **asked).data
    assert client.images.edit(image=("a", draw_file(), "image/png"), mask=draw_file("PNG", "RGBA"), **asked).data


# --- the bill ---


def given_of(*sizes: tuple[int, int]) -> tuple[Upload, ...]:
    """Uploads of these sizes."""
    return tuple(Upload("image", None, "", b"", Examination("", 0, "png", *size)) for size in sizes)


@pytest.mark.parametrize(
    ("table", "sizes", "fidelity", "tokens"),
    [
        ("gpt-image-1", [(1024, 1024)], None, (194, 16)),  # recorded
        ("gpt-image-1", [(64, 64)], "low", (194, 16)),
        ("gpt-image-1", [(1024, 1536)], None, (323, 16)),
        ("gpt-image-1", [(1536, 1024)], None, (323, 16)),
        ("gpt-image-1", [(3000, 1000)], None, (452, 16)),
        ("gpt-image-1", [(1024, 1024)], "high", (4354, 16)),
        ("gpt-image-1", [(1024, 1536)], "high", (6563, 16)),
        ("gpt-image-1", [(1024, 1024)] * 3, None, (582, 48)),
        ("gpt-image-2", [(128, 128)], None, (64, 0)),  # recorded
        ("gpt-image-2", [(1024, 1024)], None, (1024, 0)),
        ("gpt-image-2", [(512, 512)], None, (1024, 0)),
        ("gpt-image-2", [(1536, 1024)], None, (1536, 0)),
        ("gpt-image-2", [(1800, 2400)], None, (1452, 0)),  # the guide's example of a picture that is too large
        ("gpt-image-2", [(4096, 4096)], None, (1521, 0)),
        ("gpt-image-2", [(1, 1)], None, (1, 0)),
        ("gpt-image-2", [(4096, 1)], None, (128, 0)),
        ("gpt-image-2", [(128, 128), (1024, 1024)], None, (1088, 0)),
        ("gpt-image-2", [], None, (0, 0)),
    ],
)
def test_tokens_of_what_is_given(
    table: str, sizes: list[tuple[int, int]], fidelity: str | None, tokens: tuple[int, int]
) -> None:
    """Image tokens by each model's rule, and the text tokens that a picture adds; a mask costs nothing."""
    mask = (Upload("mask", None, "", b"", Examination("", 0, "png", 9, 9)),)
    effective = {"input_fidelity": fidelity} if fidelity else {}
    call = Call("edit", "m", {}, {}, effective, 1, (1, 1), ResponseShape(), (), uploads=(*given_of(*sizes), *mask))
    assert tokens == pricing.count_input_tokens(call, table)


def test_usage_of_an_edit(served: Served) -> None:
    """The whole bill of two pictures: text with what each input adds, image tokens, and their sum."""
    response = post(
        served, data={"model": "gpt-image-1.5", "prompt": "a siamese cat", "quality": "low", "n": "2"},
        files=[("image[]", draw_file("PNG", "RGB", (64, 64))), ("image[]", draw_file("PNG", "RGB", (64, 64)))],
    )  # fmt: skip
    told = response.json()["usage"]
    assert {"image_tokens": 2 * 2 * 194, "text_tokens": 2 * (10 + 2 * 16)} == told["input_tokens_details"]
    assert (860, 544, 1404) == (told["input_tokens"], told["output_tokens"], told["total_tokens"])


# --- files of gateways ---


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ({"formats": ["gif"]}, "formats.0 is 'gif'; expected one of png, jpeg, webp"),
        ({"bytes": "4MB"}, "bytes is '4MB'; expected a whole number from 1"),
        ({"alpha": "yes"}, "alpha is 'yes'; expected true or false"),
        ({"modes": ["RGBX"]}, "modes.0 is 'RGBX'; expected one of 1, L"),
        ({"size": 5}, "unknown key 'size'"),
    ],
)
def test_a_rule_that_cannot_be_meant_stops_the_start(tmp_path: Path, said: Mapping[str, Any], complaint: str) -> None:
    """One line says what was read and what was expected."""
    text = (find_schemas() / "ezmodel.yaml").read_text("utf-8")
    old = "x-emulator-picture: {formats: [png], bytes: 4194304, square: true}"
    assert old in text
    text = text.replace(old, f"x-emulator-picture: {json.dumps(said)}")
    (tmp_path / "odd.yaml").write_text(text.replace("  wording: {$ref: wordings/openai.yaml}\n", ""))
    with pytest.raises(yaml_file.InvalidFile) as caught:
        load_gateway(tmp_path / "odd.yaml")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_schema_of_edits_compiles() -> None:
    """All that ships is examined, forms and JSON, and has rules."""
    for path in sorted(find_schemas().glob("*.yaml")):
        found = load_gateway(path)
        assert all(live > 0 for live in RequestValidator(found).compile_schemas())


# --- what the gateways' servers do ---


@pytest.mark.parametrize(
    ("gateway", "form", "given", "expected"),
    [
        (
            "ezmodel",
            {"model": "dall-e-2", "prompt": "x"},
            {"image[0]": draw_file("PNG", "RGBA", (40, 40))},
            (200, None),
        ),
        (
            "ezmodel",
            {"prompt": "x"},
            {"image": draw_file()},
            (400, ""),
        ),  # no default model
        ("ezmodel", {"model": "gpt-image-1", "prompt": "x"}, {"image": draw_file()}, (503, "model_not_found")),
        ("aiai", {"model": "gpt-image-1", "prompt": "x"}, {"mask": draw_file()}, (500, "convert_request_failed")),
        (
            "aiai",
            {"model": "gpt-image-1", "prompt": "x", "n": "two"},
            {"image": draw_file()},
            (500, "invalid_request"),
        ),
        (
            "aiai",
            {"model": "gpt-image-1"},
            {"image": draw_file()},
            (400, "missing_required_parameter"),
        ),  # upstream
        ("aiai", {"model": "gpt-image-1", "prompt": "x"}, {"image": b"none"}, (400, "unsupported_file_mimetype")),
        (
            "aiai",
            {"model": "gpt-image-1", "prompt": "x", "quality": "low"},
            {"image": draw_file("WEBP")},
            (200, None),
        ),
        ("geeknow", {"model": "dall-e-3", "n": "0"}, {"image[]": draw_file()}, (200, None)),
    ],
)
def test_edits_as_observed(
    served: Served, gateway: str, form: dict[str, str], given: dict[str, bytes], expected: tuple[int, str | None]
) -> None:
    """new-api looks at the model, the number and whether there is a picture; the rest is its upstream's to refuse."""
    behavior = {"authorization": "Bearer skedits", "x-emulator": "behavior=observed"}
    response = post(served, gateway, data=form, files=given, headers=behavior)
    assert expected == (response.status_code, response.json().get("error", {}).get("code")), response.text


NAMELESS: Final = {
    "ezmodel": "未指定模型名称，模型名称不能为空",
    "geeknow": "Model name not specified, model name cannot be empty",
    "aiai": "Model name not specified, model name cannot be empty",
}


@pytest.mark.parametrize("gateway", NAMELESS)
def test_edits_in_json_as_observed(served: Served, gateway: str) -> None:
    """new-api reads edits in JSON too: they are judged as generations are, but that a model has to be named."""
    model = "dall-e-3" if gateway == "ezmodel" else "gpt-image-1"
    headers = {"authorization": "Bearer skedits", "x-emulator": "behavior=observed", "x-emulator-session": gateway}

    def ask(**body: Any) -> tuple[int, str, str | None]:
        response = post(served, gateway, json=body, headers=headers)
        error = response.json().get("error", {})
        return response.status_code, error.get("message", "").partition(" (request id")[0], error.get("code")

    picture = data_url(draw_file())
    for nameless in (
        {"prompt": "x"},
        {"prompt": "x", "model": ""},
        {"prompt": "x", "images": [{"image_url": picture}]},
    ):
        assert (400, NAMELESS[gateway], "") == ask(**nameless)
    several: list[tuple[dict[str, Any], int]] = [
        ({"images": [{"image_url": picture}]}, 1), ({"image": picture}, 1), ({"image": [picture, picture]}, 2), ({}, 0),
    ]  # fmt: skip
    for given, count in several:
        assert 200 == ask(model=model, prompt="x", **given)[0]
        assert [64] * count == [one["width"] for one in served.calls(gateway)[-1]["uploads"]]
    size = "size must be one of 1024x1024, 1024x1792 or 1792x1024 for dall-e-3"
    assert (500, size, "invalid_request") == ask(model="dall-e-3", prompt="x", size="1x1")
    assert 500 == ask(model=model, prompt="x", n="two")[0]
    assert 503 == ask(model="no-such-model", prompt="x")[0]
    broken = post(served, gateway, content=b"{", headers={**headers, "content-type": "application/json"})
    assert 400 == broken.status_code


def test_base64_of_more_than_a_megabyte(served: Served) -> None:
    """A gateway that takes edits as JSON, and in other behavior alone, takes large ones too."""
    image = base64.b64encode(noise(2_000_000)).decode()
    behavior = {"x-emulator": "behavior=observed", "x-emulator-session": "large"}
    response = post(served, "geekai", json={"model": "gpt-image-1", "prompt": "x", "image": image}, headers=behavior)
    assert 200 == response.status_code, response.text
    assert served.calls("large")[-1]["uploads"][0]["bytes"] > 2_000_000
