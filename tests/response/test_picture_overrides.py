"""What a scenario and a session want of pictures: their weight, another one each time, and each by its place."""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from emulator import Emulator, EmulatorError, ImageApi
from emulator.image.inspect import inspect_image

GPT = {"model": "gpt-image-1", "prompt": "A cat", "size": "1024x1024", "quality": "low"}


def ask(image_api: ImageApi, headers: Mapping[str, str] | None = None, **params: Any) -> httpx.Response:
    """The answer of OpenAI's legacy models to a call of the session."""
    head = {"authorization": f"Bearer {image_api.key}", **(headers or {})}
    url = f"{image_api.url('openai')}/images/generations"
    return httpx.post(url, json={**GPT, **params}, headers=head, timeout=30)


def fetch(response: httpx.Response) -> list[bytes]:
    """The pictures of an answer, from its Base64 or from its links."""
    return [
        base64.b64decode(item["b64_json"]) if item.get("b64_json") else httpx.get(item["url"]).content
        for item in response.json()["data"]
    ]


def draw(image_api: ImageApi, picture: Any) -> None:
    """Let the session change its pictures."""
    image_api.play({"rules": [{"answers": {"draw": {"picture": picture}}}]})


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """A server that keeps the models that have ended."""
    with Emulator(gateway="openai", legacy=True) as emulator:
        yield emulator


@pytest.fixture
def image_api(emulator: Emulator, request: pytest.FixtureRequest) -> ImageApi:
    """A session of its own."""
    return emulator.account(f"case-{zlib.crc32(request.node.name.encode())}")


def test_a_session_can_have_realistic_pictures(image_api: ImageApi) -> None:
    """The session's setting, and back; equal calls have equal bytes, also behind a link."""
    light = ask(image_api)
    assert "small" == image_api.settings()["picture_weight"]
    assert "realistic" == image_api.settings(picture_weight="realistic")["picture_weight"]
    heavy, again = ask(image_api), ask(image_api)
    linked = ask(image_api, model="dall-e-3", quality="hd")
    assert "small" == image_api.settings(picture_weight=None)["picture_weight"]
    assert light.json()["data"] == ask(image_api).json()["data"]
    assert heavy.json()["data"] == again.json()["data"]
    assert 1_000_000 < len(fetch(heavy)[0]) < 1_200_000
    assert 1_600_000 < len(fetch(linked)[0]) < 2_000_000
    assert len(fetch(light)[0]) < 100_000


def test_a_call_and_an_answer_can_have_realistic_pictures(image_api: ImageApi) -> None:
    """The header counts for its call; what the answer says counts before both."""
    assert len(fetch(ask(image_api, {"x-emulator": "picture-weight=realistic"}))[0]) > 1_000_000
    assert len(fetch(ask(image_api))[0]) < 100_000
    draw(image_api, {"weight": "realistic"})
    assert len(fetch(ask(image_api))[0]) > 1_000_000
    draw(image_api, {"weight": "small"})
    image_api.settings(picture_weight="realistic")
    assert len(fetch(ask(image_api))[0]) < 100_000


def test_a_server_can_have_realistic_pictures() -> None:
    """By a setting, for every session that does not say another word."""
    with Emulator(legacy=True, picture_weight="realistic") as emulator:
        assert len(fetch(ask(emulator))[0]) > 1_000_000


def test_lines_of_a_stream_are_as_long_as_real_ones(image_api: ImageApi) -> None:
    """python-genai#2248, open_webui_functions#182: a client whose buffer for a line is short fails here, too."""
    draw(image_api, {"bytes": "1.3MB"})
    lines = ask(image_api, stream=True, partial_images=1).text.splitlines()
    assert [1_733_336] * 2 == [len(json.loads(line[6:])["b64_json"]) for line in lines if line.startswith("data: ")]


def test_the_bytes_of_a_picture(image_api: ImageApi) -> None:
    """To the byte, in any format, behind a link as well; and the journal says what the scenario wanted."""
    draw(image_api, {"bytes": "1.8MB"})
    linked = {"model": "dall-e-2", "quality": "standard"}
    others: list[dict[str, Any]] = [{}, {"output_format": "jpeg"}, {"output_format": "webp"}, linked]
    for params in others:
        (data,) = fetch(ask(image_api, **params))
        assert 1_800_000 == len(data)
        assert inspect_image(data).whole
    assert {"bytes": "1.8MB"} == image_api.calls.latest.pictures[0].altered


def test_each_call_can_have_another_picture(image_api: ImageApi, emulator: Emulator) -> None:
    """`vary`: n equal calls have n pictures; in another session, the calls of the same numbers have the same."""
    draw(image_api, {"vary": True})
    pictures = [fetch(ask(image_api, n=2)) for _ in range(3)]
    assert 6 == len({data for pair in pictures for data in pair})
    twin = emulator.account("twin")
    draw(twin, {"vary": True})
    assert pictures == [fetch(ask(twin, n=2)) for _ in range(3)]


def test_each_picture_by_its_place(image_api: ImageApi, emulator: Emulator) -> None:
    """A list: one reply with several sizes and formats; null, and what is not listed, stays as it is."""
    draw(image_api, [{"size": "64x32"}, None, {"format": "jpeg"}, {"bytes": "200kB"}, {"truncated": "50%"}])
    plain = fetch(ask(emulator.account("plain"), n=6))
    drawn = fetch(ask(image_api, n=6))
    seen = [inspect_image(data) for data in drawn]
    assert [(64, 32), *[(1024, 1024)] * 5] == [(one.width, one.height) for one in seen]
    assert ["png", "png", "jpeg", "png", "png", "png"] == [one.format for one in seen]
    assert [True, True, True, True, False, True] == [one.whole for one in seen]
    assert (200_000, plain[1], plain[5]) == (len(drawn[3]), drawn[1], drawn[5])
    assert [{"size": "64x32"}, None, {"format": "jpeg"}] == [
        picture.altered for picture in image_api.calls.latest.pictures[:3]
    ]


def test_each_picture_of_a_stream_by_its_place(image_api: ImageApi) -> None:
    """The events of finished pictures follow the list as well."""
    draw(image_api, [{"size": "64x32"}, {"base64": "data_url"}, {"base64": "null"}])
    lines = ask(image_api, stream=True, n=3).text.splitlines()
    first, second, third = (json.loads(line[6:]) for line in lines if line.startswith("data: "))
    assert 64 == inspect_image(base64.b64decode(first["b64_json"])).width
    assert second["b64_json"].startswith("data:image/png;base64,")
    assert (None, 1024) == (third["b64_json"], inspect_image(httpx.get(third["url"]).content).width)


def test_each_picture_has_its_own_base64(image_api: ImageApi) -> None:
    """One without Base64 has a link beside it, among others that have some."""
    draw(image_api, [None, {"base64": "null"}, {"base64": "data_url"}])
    items = ask(image_api, n=3).json()["data"]
    assert [["b64_json"], ["url", "b64_json"], ["b64_json"]] == [list(item) for item in items]
    assert items[1]["b64_json"] is None
    assert items[2]["b64_json"].startswith("data:image/png;base64,")


def test_pictures_that_are_listed_and_not_there_are_told(image_api: ImageApi) -> None:
    """A list that is longer than the reply is a finding on the call."""
    draw(image_api, [{"size": "64x64"}, {"size": "32x32"}])
    assert "override_met_nothing" in ask(image_api).headers["x-emulator-finding"]
    finding = next(one for one in image_api.calls.latest.findings if one.code == "override_met_nothing")
    assert "`picture` lists 2 pictures, and the reply has 1" == finding.message
    assert "override_met_nothing" not in ask(image_api, n=2).headers["x-emulator-finding"]
    ask(image_api, stream=True)
    assert "override_met_nothing" in [one.code for one in image_api.calls.latest.findings]


def test_a_picture_that_cannot_be_as_light_is_told(image_api: ImageApi) -> None:
    """It comes without any grain, and the call has a finding."""
    (plain,) = fetch(ask(image_api))
    draw(image_api, {"bytes": 900})
    (drawn,) = fetch(ask(image_api))
    assert Image.open(io.BytesIO(plain)).tobytes() == Image.open(io.BytesIO(drawn)).tobytes()
    finding = next(one for one in image_api.calls.latest.findings if one.code == "override_met_nothing")
    assert f"`bytes` asks for 900, and picture 0 has {len(drawn)} at least" == finding.message


def test_own_pictures_by_their_places(image_api: ImageApi, tmp_path: Path) -> None:
    """Files of the tester's own, each at its place, in Base64 and behind links."""
    for name, side in (("a.png", 3), ("b.webp", 5)):
        Image.new("RGB", (side, side), "red").save(tmp_path / name)
    script = tmp_path / "own.yaml"
    script.write_text("rules:\n- answers: {draw: {picture: [{file: a.png}, {file: b.webp}]}}\n", "utf-8")
    with Emulator(legacy=True, scenario=script) as emulator:
        for model in ("gpt-image-1", "dall-e-2"):
            quality = "low" if model == "gpt-image-1" else "standard"
            drawn = fetch(ask(emulator, model=model, quality=quality, n=2))
            assert [(tmp_path / name).read_bytes() for name in ("a.png", "b.webp")] == drawn


def test_an_answer_can_be_the_bytes_of_a_picture(image_api: ImageApi, tmp_path: Path) -> None:
    """coder/xum#3286: a gateway that sends the picture itself; by Base64 and by a file, with their media types."""
    file = io.BytesIO()
    Image.new("RGB", (4, 4), "blue").save(file, "PNG")
    text = base64.b64encode(file.getvalue()).decode()
    for canned, media_type in (
        ({"base64": text}, "image/png"),
        ({"base64": f"{text[:9]}\n  {text[9:]}"}, "image/png"),
        ({"base64": text, "content_type": "image/x-own", "status": 201}, "image/x-own"),
        ({"base64": base64.b64encode(b"\0\1").decode()}, "application/octet-stream"),
    ):
        image_api.play({"rules": [{"answers": {"canned": canned}}]})
        response = ask(image_api)
        assert (canned.get("status", 200), media_type) == (response.status_code, response.headers["content-type"])
        assert response.content in (file.getvalue(), b"\0\1")
    (tmp_path / "page.webp").write_bytes(b"RIFF\0\0\0\0WEBPno picture")
    script = tmp_path / "own.yaml"
    script.write_text("rules:\n- answers: {canned: {file: page.webp}}\n", "utf-8")
    with Emulator(scenario=script) as emulator:
        response = ask(emulator, model="gpt-image-2")
        assert ("image/webp", b"RIFF") == (response.headers["content-type"], response.content[:4])


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"draw": {"picture": {"bytes": "1.8GB"}}}, "bytes is '1.8GB'; expected bytes such as 1800000"),
        ({"draw": {"picture": {"bytes": "21MiB"}}}, "bytes is '21MiB'; expected bytes such as 1800000"),
        ({"draw": {"picture": {"bytes": 0}}}, "bytes is 0; expected bytes such as 1800000, 800kB"),
        ({"draw": {"picture": {"bytes": 20971521}}}, "bytes is 20971521; expected bytes such as 1800000"),
        ({"draw": {"picture": {"byts": "1MB"}}}, "unknown key 'byts' in rules.0.answers.draw.picture"),
        ({"draw": {"picture": {"weight": "realistik"}}}, "did you mean 'realistic'?"),
        ({"draw": {"picture": {"weight": "small", "bytes": 5}}}, "weight cannot be had beside them"),
        ({"draw": {"picture": {"file": "a.png", "bytes": 5}}}, "a file comes as it is; bytes cannot be had beside it"),
        ({"draw": {"picture": {"file": "a.png", "weight": "small"}}}, "a file comes as it is; weight cannot be had"),
        ({"draw": {"picture": {"file": "a.png", "vary": True}}}, "a file comes as it is; vary cannot be had beside it"),
        ({"draw": {"picture": {"vary": "yes"}}}, "vary is 'yes'; expected true or false"),
        ({"draw": {"picture": []}}, "picture is an empty list; expected a list of 1 to 16 pictures"),
        ({"draw": {"picture": [{"sise": "1x1"}]}}, "unknown key 'sise' in rules.0.answers.draw.picture.0; "),
        ({"draw": {"picture": [{"size": "1x1"}, {"format": "gif"}]}}, "format is 'gif'; expected one of png, "),
        ({"draw": {"picture": [{"size": "1x1"}] * 17}}, "expected a list of 1 to 16 pictures"),
        ({"canned": {"base64": "!"}}, "base64 is no Base64; expected letters"),
        ({"canned": {"base64": "aGk=", "text": "x"}}, "canned has both text and base64; expected one of them"),
        ({"canned": {"json": 1, "file": "x"}}, "canned has both json and file; expected one of them"),
        ({"canned": {"bas64": "aGk="}}, "did you mean 'base64'?"),
        ({"canned": {"file": "../x"}}, "file needs a folder to be in"),
    ],
)  # fmt: skip
def test_slips_are_one_line(image_api: ImageApi, answer: Mapping[str, Any], complaint: str) -> None:
    """What cannot be meant is refused where it is played, with what was expected and the nearest word."""
    with pytest.raises(EmulatorError) as refused:
        image_api.play({"rules": [{"answers": answer}]})
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["gone.bin", "../secret", "."])
def test_a_canned_file_is_beside_the_scenario(tmp_path: Path, name: str) -> None:
    """Files outside of the scenario's folder, and what is no file, are refused."""
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (folder / "own.yaml").write_text(f"rules:\n- answers: {{canned: {{file: '{name}'}}}}\n", "utf-8")
    with pytest.raises(EmulatorError, match=r"file is '.*'; (there is no such file|expected a file inside)"):
        Emulator(scenario=folder / "own.yaml").start()
