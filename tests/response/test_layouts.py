"""Replies as a gateway's file lays them out: a file of the user's own has all that those have that ship."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from PIL import Image

from tests.conftest import Served
from tests.uploads import data_url, draw_file
from tests.yaml_texts import dump_yaml

REPLY: Final[Mapping[str, Any]] = {
    "body": {
        "kind": "pictures",
        "images": "{data}",
        "id": "{id}",
        "usage": "{usage}",
        "model": "{model}",
        "by": "{size}",
    },
    "item": {
        "n": "{index}",
        "url": "{url}",
        "b64_json": "{b64_json}",
        "made": "{revised_prompt}",
        "as": ["{delivery}"],
    },
    "absent": "null",
    "usage_body": {"pictures": "{count}", "inputs": {"files": "{uploads}"}, "tokens": "{pixel_tokens}", "paid": False},
    "id": "pic-{hex}",
    "picture_format": "webp",
    "files": {"response_format": "file"},
    "relative": True,
}
PROPERTIES: Final[Mapping[str, Any]] = {
    "prompt": {"type": "string", "minLength": 1},
    "n": {"type": "integer", "maximum": 3},
    "response_format": {"enum": ["url", "b64_json", "file"], "default": "url"},
    "w": {"type": "integer"},
    "h": {"type": "integer"},
    "source": {"type": "array", "x-emulator-picture": {"formats": ["png"]}},
}


@pytest.fixture
def ask(serve: Callable[..., Served], tmp_path: Path) -> Callable[..., httpx.Response]:
    """Calls the gateway that the file describes."""
    schema = {
        "type": "object", "required": ["prompt"], "x-emulator-reply": REPLY, "properties": PROPERTIES,
        "x-emulator-pixels": {"width": "w", "height": "h", "usual": "512x256"},
    }  # fmt: skip
    post = {
        "x-emulator-operation": "generate", "x-emulator-pictures": {"source": ["at", "link"]},
        "requestBody": {"content": {"application/json": {"schema": schema}}},
        "responses": {"200": {"description": "x"}},
    }  # fmt: skip
    document = {
        "openapi": "3.1.0", "info": {"title": "Own", "version": "1"}, "servers": [{"url": "https://own.test/v9"}],
        "paths": {"/draw": {"post": post}},
    }  # fmt: skip
    path = tmp_path / "own.yaml"
    path.write_text(dump_yaml(document), "utf-8")
    served = serve(schema=(str(path),))

    def call(**body: Any) -> httpx.Response:
        headers = {"authorization": "Bearer k"}
        response = httpx.post(f"{served.url}/own/v9/draw", json={"prompt": "A boat", **body}, headers=headers)
        assert 200 == response.status_code, response.text
        response.extensions["served"] = served
        return response

    return call


def test_a_reply_is_as_its_template(ask: Callable[..., httpx.Response]) -> None:
    """Members in their order; of the body those without a value are left out, of a picture they are null."""
    first, second = ask(n=2), ask(n=2)
    body = first.json()
    assert ["kind", "images", "id", "usage", "by"] == list(body)
    assert ("pictures", "512x256") == (body["kind"], body["by"])
    assert {"pictures": 2, "inputs": {"files": 0}, "tokens": 1024, "paid": False} == body["usage"]
    assert [(0, None, None, ["url"]), (1, None, None, ["url"])] == [
        (one["n"], one["b64_json"], one["made"], one["as"]) for one in body["images"]
    ]
    assert body["id"].startswith("pic-")
    assert body["id"] != second.json()["id"]


def test_a_link_may_have_no_host(ask: Callable[..., httpx.Response]) -> None:
    """It leads to the same server, and to a picture of the format and the size that count."""
    response = ask(w=640, h=480)
    link = response.json()["images"][0]["url"]
    assert link.startswith("/pictures/")
    image = Image.open(io.BytesIO(httpx.get(response.extensions["served"].url + link).content))
    assert ("WEBP", (640, 480)) == (image.format, image.size)


def test_the_body_may_be_the_picture(ask: Callable[..., httpx.Response]) -> None:
    """Of one picture its file, of several a ZIP; the same bytes as in Base64."""
    inside = [base64.b64decode(one["b64_json"]) for one in ask(n=2, response_format="b64_json").json()["images"]]
    one, several = ask(response_format="file"), ask(n=2, response_format="file")
    assert ("image/webp", inside[0]) == (one.headers["content-type"], one.content)
    assert "application/zip" == several.headers["content-type"]
    with zipfile.ZipFile(io.BytesIO(several.content)) as archive:
        assert ["image_0.webp", "image_1.webp"] == archive.namelist()
        assert inside == [archive.read(name) for name in archive.namelist()]
    assert ask().json()["images"][0]["url"].startswith("/pictures/")


def test_pictures_stand_where_the_file_says(ask: Callable[..., httpx.Response]) -> None:
    """They make another picture, and are counted."""
    url = data_url(draw_file("PNG"))
    changed = ask(source=[{"at": {"link": url}}, {"at": {"link": url}}])
    assert 2 == changed.json()["usage"]["inputs"]["files"]
    server = changed.extensions["served"].url
    first, second = (httpx.get(server + one.json()["images"][0]["url"]).content for one in (changed, ask()))
    assert first != second
