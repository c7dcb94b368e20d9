"""Pictures that a script wants otherwise than asked: files, Base64, links, and what the journal says of them."""

from __future__ import annotations

import base64
import binascii
import io
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import openai
import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from emulator.core import yaml_file
from emulator.core.base64_spelling import Base64Spelling, respell_base64
from emulator.image import alter, render
from emulator.image.inspect import inspect_image
from emulator.image.recipe import FORMATS, MODES, Alteration, ImageRecipe
from emulator.scenario import loader
from tests.conftest import Served

RECIPE: Final = ImageRecipe(
    "ezmodel", "dall-e-2", "A cat", "0" * 16, 200, 150, "standard", "opaque", "png", None, 0, 77
)  # fmt: skip
CLEAR: Final = replace(RECIPE, background="transparent")
WAYS: Final = {
    # gateway, model, parameters, how pictures come
    "links": ("ezmodel", "dall-e-2", {"size": "256x256"}, "url"),
    "Base64 by wish": ("ezmodel", "dall-e-2", {"size": "256x256", "response_format": "b64_json"}, "b64_json"),
    "links elsewhere": ("geekai", "cogview-4", {"size": "1344x768"}, "url"),
    "Base64 always": ("aiai", "gpt-image-1", {"size": "1024x1536", "output_format": "jpeg"}, "b64_json"),
}


def made(recipe: ImageRecipe, **change: Any) -> bytes:
    """The file of `recipe` with an alteration."""
    altered = Alteration(**change)
    return alter.draw_altered_image(replace(recipe, altered=altered), altered, None)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def distance(one: Image.Image, other: Image.Image) -> float:
    """How far two pictures are apart: the mean difference of a channel, 0 to 255."""
    difference = ImageChops.difference(one.convert("RGB"), other.convert("RGB"))
    return max(ImageStat.Stat(difference).mean)


# --- files ---


@pytest.mark.parametrize("kind", FORMATS)
def test_another_size_and_format_under_the_same_label(kind: str) -> None:
    """The file really is of the other size and format, and its label is that of the recipe that was asked for."""
    asked = replace(RECIPE, altered=Alteration(320, 90, kind))
    seen = inspect_image(made(RECIPE, width=320, height=90, format=kind))
    assert (kind, 320, 90, True) == (seen.format, seen.width, seen.height, seen.whole)
    assert asked.digest == (seen.label or {})["recipe"] != RECIPE.digest


@pytest.mark.parametrize("recipe", [RECIPE, CLEAR], ids=["opaque", "transparent"])
@pytest.mark.parametrize("kind", FORMATS)
def test_exif_rotated(recipe: ImageRecipe, kind: str) -> None:
    """Stored on its side, set up again by a viewer that heeds the tag; transparency and label stay."""
    recipe = replace(recipe, format=kind)
    upright, turned = opened(render.draw_image(recipe)), opened(made(recipe, mode="exif_rotated"))
    assert ((150, 200), kind.upper(), 6) == (turned.size, turned.format, turned.getexif()[0x0112])
    set_up = ImageOps.exif_transpose(turned)
    assert distance(upright, set_up) < (0.1 if kind == "png" else 4) < distance(upright, set_up.rotate(180))
    assert upright.has_transparency_data == turned.has_transparency_data
    assert (inspect_image(made(recipe, mode="exif_rotated")).label or {})["model"] == "dall-e-2"


@pytest.mark.parametrize("recipe", [RECIPE, CLEAR, replace(RECIPE, format="webp")], ids=["png", "clear", "webp"])
def test_cmyk(recipe: ImageRecipe) -> None:
    """A JPEG in four colours that looks the same, whatever was asked for, with its label."""
    data, usual = made(recipe, mode="cmyk"), render.draw_image(replace(recipe, format="jpeg"))
    seen = inspect_image(data)
    assert ("jpeg", "CMYK", "dall-e-2") == (seen.format, seen.mode, (seen.label or {})["model"])
    assert distance(opened(usual), opened(data)) < 4


@pytest.mark.parametrize(("recipe", "mode", "kind"), [(RECIPE, "RGB", 2), (CLEAR, "RGBA", 6)])
def test_16_bit(recipe: ImageRecipe, mode: str, kind: int) -> None:
    """A PNG whose header says 16 bits a channel, which decodes to the very same picture, with its label."""
    data = made(replace(recipe, format="webp"), mode="16_bit")
    assert (b"\x89PNG", 16, kind) == (data[:4], data[24], data[25])
    assert struct.pack(">II", 200, 150) == data[16:24]
    assert opened(render.draw_image(recipe)).convert(mode).tobytes() == opened(data).tobytes()
    assert inspect_image(data).whole
    assert (inspect_image(data).label or {})["model"] == "dall-e-2"


def test_samples_of_16_bit_use_all_of_them() -> None:
    """White is 65535 and black is 0: each byte stands twice, behind the row's filter, row for row."""
    band = Image.frombytes("RGB", (1, 2), bytes([0, 1, 255, 2, 3, 4]))
    assert bytes([0, 0, 0, 1, 1, 255, 255, 0, 2, 2, 3, 3, 4, 4]) == alter._widen_rows(band)


@pytest.mark.parametrize("mode", [None, *MODES])
def test_an_early_end(mode: str | None) -> None:
    """The file is cut where it is said, in bytes or by share, whatever else is done to it."""
    whole = made(RECIPE, mode=mode)
    ends = [0, 20, len(whole) // 4, len(whole)]
    kept: list[dict[str, Any]] = [{"kept": 0}, {"kept": 20}, {"kept": 25.0, "share": True}, {"kept": 10**9}]
    files = [made(RECIPE, mode=mode, **one) for one in kept]
    assert ends == [len(one) for one in files]  # their labels name different recipes, so their bytes differ there
    assert [whole[:20]] * 3 == [one[:20] for one in files[1:]]
    assert not inspect_image(files[2]).whole


@pytest.mark.parametrize(
    "change",
    [
        {"width": 5}, {"height": 5}, {"width": 0, "height": 5}, {"width": 5, "height": 4097}, {"format": "gif"},
        {"mode": "sepia"}, {"mode": "cmyk", "format": "png"}, {"mode": "16_bit", "format": "webp"}, {"file": "0" * 16},
        {"file": "0" * 16, "format": "png", "mode": "exif_rotated"},
        {"file": "0" * 16, "format": "png", "width": 5, "height": 5}, {"kept": -1}, {"kept": float("nan")},
        {"kept": float("inf")}, {"kept": 101, "share": True},
    ],
    ids=str,
)  # fmt: skip
def test_an_alteration_is_one_that_can_be_made(change: dict[str, Any]) -> None:
    """Whatever could not be made is none, wherever it comes from."""
    with pytest.raises(ValueError, match=r"\A[^\n]+\Z"):
        Alteration(**change)


# --- Base64 ---


@pytest.mark.parametrize("length", range(12))
def test_broken_base64_does_not_decode(length: int) -> None:
    """Not by a strict reader, and not by one that steps over what is no letter of Base64 and needs no padding."""
    text = respell_base64(base64.b64encode(bytes(length)).decode(), "broken", "image/png")
    with pytest.raises(binascii.Error):
        base64.b64decode(text, validate=True)
    assert 1 == text.count("!")
    assert (1 if length else 0) == (len(text) - 1) % 4


@pytest.mark.parametrize(
    ("data", "spelling", "expected"),
    [
        (b"\xff\xef\xbe" * 2, "url_safe", "_---_---"), (b"\xff", "url_safe", "_w"),
        (bytes(57), "wrapped", "A" * 76 + "\n"), (bytes(58), "wrapped", "A" * 76 + "\nAA==\n"), (b"", "wrapped", ""),
        (b"\xff", "data_url", "data:image/webp;base64,/w=="),
    ],
)  # fmt: skip
def test_odd_spellings(data: bytes, spelling: Base64Spelling, expected: str) -> None:
    """In the letters of URLs, in lines as Python and mail write them, behind a data: prefix."""
    text = base64.b64encode(data).decode()
    assert expected == respell_base64(text, spelling, "image/webp")
    if spelling == "wrapped":
        assert base64.encodebytes(data).decode() == expected


# --- replies ---


def play(served: Served, session: str, *pictures: dict[str, Any]) -> dict[str, str]:
    """The header of a session that draws such pictures, one after the other."""
    answers = [{"draw": {"picture": one}} for one in pictures]
    url = f"{served.url}/_emulator/sessions/{session}/scenario"
    assert 200 == httpx.put(url, json={"rules": [{"answers": answers}]}).status_code
    return {"x-emulator-session": session}


def ask(served: Served, way: str, headers: dict[str, str]) -> dict[str, Any]:
    """The first picture of a reply."""
    gateway, model, params, _ = WAYS[way]
    response = served.generate(gateway, {"prompt": "A cat", "model": model, **params}, **headers)
    assert 200 == response.status_code, response.text
    (item,) = response.json()["data"]
    return dict(item)


def bytes_of(item: dict[str, Any]) -> bytes:
    """What stands in a reply, or behind its link."""
    return base64.b64decode(item["b64_json"], validate=True) if "b64_json" in item else httpx.get(item["url"]).content


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"size": "64x96"}, {"width": 64, "height": 96}),
        ({"format": "webp"}, {"format": "webp"}),
        ({"truncated": "50%"}, {"whole": False}),
        ({"truncated": "50%", "format": "png"}, {"whole": False, "format": "png"}),
        ({"mode": "cmyk"}, {"mode": "CMYK", "format": "jpeg"}),
        ({"mode": "16_bit", "size": "64x96"}, {"format": "png", "mode": "RGB", "height": 96}),
        ({"mode": "exif_rotated", "size": "64x96", "base64": "null"}, {"width": 96, "height": 64}),
    ],
    ids=str,
)  # fmt: skip
def test_a_reply_has_the_altered_picture(
    server: Served, way: str, wanted: dict[str, str], expected: dict[str, Any]
) -> None:
    """By link as in Base64; ending, Content-Type and journal go on telling what was asked for, the journal the rest."""
    headers = play(server, "altered", wanted)
    item = ask(server, way, headers)
    told = server.calls("altered")[-1]["pictures"][0]
    params = WAYS[way][2]
    size, kind = params["size"], params.get("output_format", "png")
    assert (size, kind, wanted) == (f"{told['width']}x{told['height']}", told["format"], told["altered"])
    if "base64" in wanted:
        assert item.pop("b64_json", "missing") is None
    if "url" in item:
        assert item["url"].endswith(f".{FORMATS[kind]}")
        assert f"image/{kind}" == httpx.head(item["url"]).headers["content-type"]
    seen = inspect_image(bytes_of(item))
    assert expected == {name: getattr(seen, name) for name in expected}
    assert told["recipe"] == (seen.label or {})["recipe"]


@pytest.mark.parametrize("way", WAYS)
def test_base64_as_it_should_not_be(server: Served, way: str) -> None:
    """Spellings show where Base64 is delivered; a link is as it was, and nothing is altered; null always shows."""
    kinds = ("data_url", "wrapped", "url_safe", "broken", "null")
    headers = play(server, "spelled", *({"base64": None if kind == "null" else kind} for kind in kinds))
    items = {kind: ask(server, way, headers) for kind in kinds}
    told = [call["pictures"][0]["altered"] for call in server.calls("spelled")[-5:]]
    last = items.pop("null")
    assert ["url", "b64_json"] == [*last][:2]
    assert last.pop("b64_json") is None
    plain = bytes_of(last)
    if WAYS[way][3] == "url":
        assert [None] * 4 + [{"base64": "null"}] == told
        assert [{"url"}] * 4 == [set(item) for item in items.values()]
        assert {plain} == {bytes_of(item) for item in items.values()}
        return
    assert [{"base64": kind} for kind in kinds] == told
    kind, text = WAYS[way][2].get("output_format", "png"), base64.b64encode(plain).decode()
    for spelling, item in items.items():
        assert respell_base64(text, spelling, f"image/{kind}") == item["b64_json"]  # type: ignore[arg-type]


def test_without_a_wish_nothing_is_altered(server: Served) -> None:
    """An ordinary call's journal says null, and its token is as short as ever."""
    server.generate("ezmodel", {"prompt": "A cat"}, **{"x-emulator-session": "plain"})
    assert [None] == [one["altered"] for one in server.calls("plain")[-1]["pictures"]]


def test_no_text_of_base64_is_a_text_too(server: Served) -> None:
    """An empty b64_json, from a file cut at its beginning or set by hand, is just that."""
    headers = play(server, "empty", {"truncated": 0})
    assert {"b64_json": ""} == ask(server, "Base64 by wish", headers)
    rules = {"rules": [{"answers": {"draw": {"set": {"/data/0/b64_json": ""}}}}]}
    httpx.put(f"{server.url}/_emulator/sessions/empty/scenario", json=rules)
    assert {"b64_json": ""} == ask(server, "Base64 by wish", headers)


def test_several_pictures_are_altered_alike_and_stay_different(server: Served) -> None:
    """With n pictures each is altered, and they are as different as they would be."""
    headers = play(server, "several", {"mode": "cmyk", "base64": "wrapped"})
    body = {"prompt": "A cat", "model": "dall-e-2", "size": "256x256", "n": 3, "response_format": "b64_json"}
    found = {item["b64_json"] for item in server.generate("ezmodel", body, **headers).json()["data"]}
    assert 3 == len(found)
    assert {"CMYK"} == {inspect_image(base64.b64decode(text)).mode for text in found}


def test_the_sdk_meets_them(server: Served) -> None:
    """The openai SDK hands on what it gets: a picture of another size by link, and text that is no Base64."""
    headers = play(server, "sdk", {"size": "64x64"}, {"base64": "broken"})
    with openai.OpenAI(base_url=server.base("geeknow"), api_key="sk-x", default_headers=headers) as client:
        first = client.images.generate(model="dall-e-3", prompt="A cat", size="1792x1024")
        assert (64, 64) == opened(httpx.get((first.data or [])[0].url or "").content).size
        second = client.images.generate(model="dall-e-3", prompt="A cat", response_format="b64_json")
        with pytest.raises(binascii.Error):
            base64.b64decode((second.data or [])[0].b64_json or "")


# --- pictures of the tester's own ---


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a scenario that shows cat.webp, whole and then cut, and some files beside it."""
    folder = tmp_path / "scripts"
    (folder / "pictures").mkdir(parents=True)
    Image.new("RGB", (30, 20), "orange").save(folder / "pictures" / "cat.webp")
    Image.new("RGB", (9, 9)).save(folder / "cat.gif")
    Image.new("RGB", (9, 9)).save(tmp_path / "secret.png")
    (folder / "cat.txt").write_text("a cat")
    (folder / "large.png").write_bytes(render.draw_image(RECIPE) + bytes(20 * 2**20))
    Image.new("1", (4097, 4096)).save(folder / "wide.png")
    (folder / "link.webp").symlink_to("pictures/cat.webp")
    (folder / "out.png").symlink_to("../secret.png")
    (folder / "ring.png").symlink_to("ring.png")
    write(folder, "pictures/cat.webp")
    return folder


def write(folder: Path, name: str) -> Path:
    """A scenario whose picture is the file `name`."""
    path = folder / "script.yaml"
    answers = [{"draw": {"picture": {"file": name}}}, {"draw": {"picture": {"file": name, "truncated": 20}}}]
    path.write_text("rules:\n- answers: " + json.dumps(answers), "utf-8")
    return path


@pytest.mark.parametrize("way", WAYS)
def test_a_picture_of_ones_own(serve: Callable[..., Served], own: Path, way: str) -> None:
    """It comes as it is, in Base64 or behind a link that says its own format; cut where a script wants it cut."""
    served = serve(scenario=str(own / "script.yaml"))
    data = (own / "pictures" / "cat.webp").read_bytes()
    first, second = (ask(served, way, {}) for _ in range(2))
    assert (data, data[:20]) == (bytes_of(first), bytes_of(second))
    if "url" in first:
        assert (".webp", "image/webp") == (first["url"][-5:], httpx.get(first["url"]).headers["content-type"])
    told = [call["pictures"][0]["altered"] for call in served.calls()]
    assert [{"file": "pictures/cat.webp"}, {"file": "pictures/cat.webp", "truncated": 20}] == told


def test_a_server_without_the_file_has_no_such_picture(serve: Callable[..., Served], own: Path) -> None:
    """A token cannot hold a file: elsewhere, or after a restart, its link is a 404 until the script has played."""
    first, second = (serve(scenario=str(own / "script.yaml")) for _ in range(2))
    url = ask(first, "links", {})["url"]
    moved = url.replace(first.url, second.url)
    for method in ("GET", "HEAD"):
        lost = httpx.request(method, moved, headers={"if-none-match": "*"})
        assert (404, "ResourceNotFound") == (lost.status_code, lost.headers["x-ms-error-code"])
    ask(second, "links", {})
    assert httpx.get(url).content == httpx.get(moved).content


def test_a_link_inside_of_the_folder_is_followed(own: Path) -> None:
    """A folder that is mounted by links, as in containers, works."""
    (rule,) = loader.load_scenario(write(own, "link.webp")).rules
    (whole, _) = rule.answers
    assert (own / "pictures" / "cat.webp").read_bytes() == whole.plan.picture.own  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("gone.png", "there is no such file in "), ("pictures", "there is no such file in "),
        ("../secret.png", "expected a picture inside of the scenario's folder"), ("out.png", "expected a picture ins"),
        ("/etc/passwd", "expected a picture inside of the scenario's folder, "), ("ring.png", "ring.png'; "),
        ("cat.gif", "not a PNG, JPEG or WebP picture"), ("cat.txt", "not a PNG, JPEG or WebP picture"),
        ("wide.png", "pixels are more than 4096x4096"), ("large.png", "bytes; expected 20971520 at most"),
        ("", "expected the name of a picture beside the scenario"), ("a\0b", "expected the name of a picture beside"),
        ("x" * 5000, "...; "),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_had(own: Path, name: str, complaint: str) -> None:
    """Missing, outside, no picture, too large: refused when the script is read, in one line with file and line."""
    path = write(own, name)
    with pytest.raises(yaml_file.InvalidFile) as caught:
        loader.load_scenario(path)
    assert str(caught.value).startswith(f"{path}:2: file is ")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_script_over_http_has_no_folder(server: Served, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may send scripts cannot read files with them, not even those where the server was started."""
    monkeypatch.chdir(own)
    for name in ("link.webp", str(own / "link.webp")):
        rules = {"rules": [{"answers": {"draw": {"picture": {"file": name}}}}]}
        refused = httpx.put(f"{server.url}/_emulator/sessions/nosy/scenario", json=rules)
        assert 400 == refused.status_code
        assert "file needs a folder to be in" in refused.json()["error"]["message"]
