"""A scenario's file that a test names brings the files beside it along."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import pytest

from emulator import EmulatorError, ImageApi
from emulator.client.connection import enclose_files
from emulator.core import names
from tests.conftest import Served
from tests.uploads import draw_file


@pytest.fixture
def image_api(server: Served, key: str) -> ImageApi:
    """A session of the test's own on a server that is up already."""
    return ImageApi(server.url, names.make_name(key.removeprefix("sk-")), gateway="ezmodel")


SPELLINGS = {
    "flow.yaml": "rules: [{answers: {draw: {picture: {file: my n.png, truncated: 50%}}}}]",
    "block.yaml": "rules:\n- answers:\n    draw:\n      picture:\n        file: my n.png  # ours\n",
    "quoted.yaml": "rules: [{answers: {draw: {picture: {file: 'my n.png'}}}}]",
    "json.json": json.dumps({"rules": [{"answers": {"draw": {"picture": {"file": "my n.png"}}}}]}),
    "canned.yaml": 'rules: [{answers: {canned: {"file": "my n.png"}}}]',
}


@pytest.mark.parametrize("name", SPELLINGS)
@pytest.mark.parametrize("as_text", [False, True])
def test_a_picture_beside_the_file(image_api: ImageApi, tmp_path: Path, name: str, as_text: bool) -> None:
    """It is what the answer shows, however its name is spelled."""
    data = draw_file()
    (tmp_path / "my n.png").write_bytes(data)
    path = tmp_path / name
    path.write_text(SPELLINGS[name], "utf-8")
    image_api.play(str(path) if as_text else path)
    body = {"prompt": "A cat", "response_format": "b64_json"}
    headers = {"authorization": f"Bearer {image_api.key}"}
    response = httpx.post(f"{image_api.url()}/images/generations", json=body, headers=headers)
    shown = response.content
    if name != "canned.yaml":
        shown = base64.b64decode(response.json()["data"][0]["b64_json"])
    assert data.startswith(shown)
    if name == "flow.yaml":
        assert len(shown) < len(data)
        (call,) = image_api.calls
        assert "my n.png" in str(call.pictures[0].altered)
        assert "base64" not in str(call.pictures[0].altered)


def test_a_picture_that_is_not_there(image_api: ImageApi, tmp_path: Path) -> None:
    """It is told with file and line; what lies outside of the folder is not sent."""
    (tmp_path / "outside.png").write_bytes(draw_file())
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "s.yaml"
    for name in ("n.png", "../outside.png"):
        path.write_text(f"rules:\n- answers:\n    draw: {{picture: {{file: {name}}}}}\n", "utf-8")
        with pytest.raises(EmulatorError) as caught:
            image_api.play(path)
        assert str(caught.value).startswith(f"{path}:3: file ")


def test_only_files_are_enclosed(tmp_path: Path) -> None:
    """A text that speaks of a file that is not there stays as it is, and so does every other line."""
    text = "scenario: x\nabout: 'the file: none'\nrules: [] # file: [a]\n"
    assert text == enclose_files(text, tmp_path)


def test_damaged_bytes_over_http(image_api: ImageApi) -> None:
    """What is no Base64, or no picture, is refused in one line."""
    for sent, told in (("data:;name=x;base64,???", "no Base64"), ("data:;name=x;base64,aGk=", "file is 'data:;name=x")):
        with pytest.raises(EmulatorError, match=told):
            image_api.play({"rules": [{"answers": {"draw": {"picture": {"file": sent}}}}]})
