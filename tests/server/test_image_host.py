"""A picture's link as a storage service serves it: whole, in part, conditionally, until it expires."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.core.accelerators import SPEEDS, choose_speed
from emulator.core.data_folders import find_schemas
from emulator.image import recipe
from emulator.image.link import PictureLink, format_token, parse_token, seal_text
from emulator.image.recipe import FORMATS, ImageRecipe
from emulator.image.render import draw_image
from emulator.session.store import InMemoryStore, StoreLimits
from tests.conftest import SPEED, Served
from tests.picture_tokens import SMALL, write_token_list
from tests.yaml_texts import dump_yaml, load_yaml

RECIPE: Final = ImageRecipe(**SMALL)  # type: ignore[arg-type]


@pytest.fixture
def url(server: Served) -> str:
    """The link of a 256x256 picture."""
    link: str = server.generate("ezmodel", {"prompt": "A cat", "size": "256x256"}).json()["data"][0]["url"]
    return link


def test_a_link_uses_the_host_that_the_client_used(server: Served, serve: Callable[..., Served]) -> None:
    """Links lead back the way the client came, a proxy's word included, or to --public-url."""
    body = {"prompt": "A cat"}
    links = [
        server.generate("ezmodel", body, host="localhost:81"),
        server.generate("ezmodel", body, **{"x-forwarded-proto": "https", "x-forwarded-host": "images.test"}),
        server.generate("ezmodel", body, host='"<script>'),
        serve(public_url="https://pictures.test").generate("ezmodel", body),
    ]
    origins = [response.json()["data"][0]["url"].partition("/pictures/")[0] for response in links]
    assert ["http://localhost:81", "https://images.test", server.url, "https://pictures.test"] == origins


def test_get_head_and_headers(url: str) -> None:
    """GET and HEAD agree; type, length, tag and CORS are there; a foreign key does no harm."""
    got, head = httpx.get(url, headers={"authorization": "Bearer other"}), httpx.head(url)
    assert (200, 200) == (got.status_code, head.status_code)
    assert b"" == head.content
    assert "image/png" == got.headers["content-type"]
    assert str(len(got.content)) == got.headers["content-length"] == head.headers["content-length"]
    assert "*" == got.headers["access-control-allow-origin"]
    assert got.headers["etag"] == head.headers["etag"]


@pytest.mark.parametrize(
    ("change", "ending"), [({}, "-isal"), ({"width": 4096, "height": 1025}, ""), ({"format": "jpeg"}, "")]
)
def test_the_tag_names_the_encoder(server: Served, change: dict[str, Any], ending: str) -> None:
    """A cache does not take the bytes of one encoder for a part of the other's; where they are equal, so is the tag."""
    link = PictureLink(replace(RECIPE, **change), "default", 2**34)
    url = f"{server.url}/pictures/{format_token(link, server.app.storage.secret)}.{FORMATS[link.recipe.format]}"
    tags = []
    try:
        for speed in SPEEDS:
            choose_speed(speed)
            tags.append(httpx.head(url).headers["etag"])
    finally:
        choose_speed(SPEED)
    fast, plain = tags
    assert fast == f'{plain[:-1]}{ending}"'


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-0", 206, (0, 1)), ("bytes=10-19", 206, (10, 20)), ("bytes=-5", 206, (-5, None)),
        ("bytes=5-", 206, (5, None)), ("bytes=0-99999999", 206, (0, None)), ("bytes=-99999999", 206, (0, None)),
        ("bytes=99999999-", 416, None), ("bytes=5-3", 416, None), ("bytes=0-1,3-4", 200, (0, None)),
        ("lines=0-1", 200, (0, None)), ("bytes=-", 200, (0, None)), ("bytes=-0", 416, None),
    ],
)  # fmt: skip
def test_ranges(url: str, asked: str, status: int, span: tuple[int, int | None] | None) -> None:
    """One range is served in part, an impossible one refused with the size, anything else ignored."""
    whole = httpx.get(url).content
    part = httpx.get(url, headers={"range": asked})
    assert status == part.status_code
    if span is None:
        assert f"bytes */{len(whole)}" == part.headers["content-range"]
    else:
        assert whole[span[0] : span[1]] == part.content


def test_a_known_picture_is_not_sent_again(url: str) -> None:
    """If-None-Match with the tag is 304 without a body; If-Range with another tag sends the whole."""
    tag = httpx.get(url).headers["etag"]
    known = httpx.get(url, headers={"if-none-match": f'"other", {tag}'})
    assert (304, b"") == (known.status_code, known.content)
    assert 200 == httpx.get(url, headers={"range": "bytes=0-1", "if-range": '"other"'}).status_code
    assert 206 == httpx.get(url, headers={"range": "bytes=0-1", "if-range": tag}).status_code


@pytest.mark.parametrize(
    ("method", "ending", "headers", "status"),
    [
        ("GET", "", {}, 200), ("HEAD", "", {}, 200), ("GET", "", {"range": "bytes=0-9"}, 206),
        ("GET", "", {"range": "bytes=99999999-"}, 416), ("GET", "", {"if-none-match": "*"}, 304),
        ("GET", "x", {}, 404), ("DELETE", "", {}, 405),
    ],
)  # fmt: skip
def test_every_answer_is_of_the_storage(
    url: str, method: str, ending: str, headers: dict[str, str], status: int
) -> None:
    """Server, request id and version are Azure's, also where it refuses; a refusal's text names the same id."""
    response = httpx.request(method, url + ending, headers=headers)
    assert status == response.status_code
    assert "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0" == response.headers["server"]
    assert "2021-08-06" == response.headers["x-ms-version"]
    request_id = response.headers["x-ms-request-id"]
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", request_id)
    if status in (404, 405):
        assert f"RequestId:{request_id}\n" in response.text
    assert ("x-ms-blob-type" in response.headers) == (status < 400 or status == 416)


def test_a_signed_link(serve: Callable[..., Served]) -> None:
    """OpenAI's links have the parameters of Azure's storage, which wants them all; others have none."""
    served = serve(legacy=True, clock="frozen:2026-01-01T00:00:00Z")
    body = {"model": "dall-e-3", "prompt": "A cat"}
    url = httpx.URL(served.generate("openai", body).json()["data"][0]["url"])
    assert ["st", "se", "sp", "sv", "sr", "rscd", "rsct", "skoid", "sktid", "skt", "ske", "sks", "skv", "sig"] == list(
        url.params
    )
    assert "2025-12-31T23:00:00Z 2026-01-01T01:00:00Z image/png" == " ".join(
        url.params[name] for name in ("st", "se", "rsct")
    )
    assert ["image/png"] * 2 == [ask(url).headers["content-type"] for ask in (httpx.get, httpx.head)]
    cut = httpx.get(url.copy_with(query=None))
    assert (403, "AuthenticationFailed") == (cut.status_code, cut.headers["x-ms-error-code"])
    assert "<AuthenticationErrorDetail>Signature fields not well formed.</AuthenticationErrorDetail>" in cut.text
    plain = served.generate("ezmodel", {"prompt": "A cat"}).json()["data"][0]["url"]
    assert plain.endswith(".png")
    late = serve(clock="frozen:2026-01-01T01:00:00Z")
    expired = httpx.get(f"{late.url}{url.raw_path.decode()}")
    assert 403 == expired.status_code
    assert "Start [Wed, 31 Dec 2025 23:00:00 GMT] - Expiry [Thu, 01 Jan 2026 01:00:00 GMT]" in expired.text


def test_the_query_of_a_gateway_is_data(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Any gateway's file can say how its links are signed."""
    schema = load_yaml((find_schemas() / "ezmodel.yaml").read_text("utf-8"))
    schema["x-emulator-gateway"] = {"links": {"query": {"Expires": "{expiry}", "Signature": "{signature}"}}}
    (tmp_path / "own.yaml").write_text(dump_yaml(schema), "utf-8")
    served = serve(schema=(str(tmp_path / "own.yaml"),))
    url = served.generate("own", {"prompt": "A cat"}).json()["data"][0]["url"]
    assert re.search(r"\.png\?Expires=[0-9TZ%A-]+&Signature=[A-Za-z0-9%]+$", url)
    assert [200, 403] == [httpx.get(one).status_code for one in (url, url.partition("&")[0])]


def test_other_methods_and_preflight(url: str) -> None:
    """Nothing but GET and HEAD; a browser may ask first."""
    assert (405, "GET, HEAD, OPTIONS") == ((response := httpx.delete(url)).status_code, response.headers["allow"])
    assert 204 == httpx.options(url, headers={"origin": "http://page.test"}).status_code


def test_a_link_expires_after_an_hour(serve: Callable[..., Served]) -> None:
    """At the hour the storage service refuses, in XML and by name; a second before, it answers."""
    early, late = serve(clock="frozen:2026-01-01T00:59:59Z"), serve(clock="frozen:2026-01-01T01:00:00Z")
    made = serve(clock="frozen:2026-01-01T00:00:00Z").generate("ezmodel", {"prompt": "A cat"})
    path = httpx.URL(made.json()["data"][0]["url"]).path
    assert 200 == httpx.get(early.url + path).status_code
    refused = httpx.get(late.url + path)
    assert (403, "application/xml") == (refused.status_code, refused.headers["content-type"])
    assert "AuthenticationFailed" == refused.headers["x-ms-error-code"]
    assert "Expiry [Thu, 01 Jan 2026 01:00:00 GMT]" in refused.text


def test_forged_and_damaged_tokens(server: Served, url: str) -> None:
    """What was not signed here, or not whole, is not there: one answer, that of a missing file."""
    token = url.rpartition("/")[2].removesuffix(".png")
    link = parse_token(token, server.app.storage.secret)
    forged = format_token(replace(link, expires=2**34), b"another secret")
    for wrong in (
        forged,
        token[:-1],
        token + "A",
        token.swapcase(),
        "x" * 3000,
        "x" * 9000,
        "x" * 60_000,
        "",
        token + "=",
        "ü" * 20,
    ):
        response = httpx.get(f"{server.url}/pictures/{wrong}.png")
        assert (404, "ResourceNotFound") == (response.status_code, response.headers["x-ms-error-code"]), wrong
    assert 404 == httpx.get(f"{server.url}/pictures/{token}.jpg").status_code
    assert 404 == httpx.get(f"{server.url}/pictures/{token}").status_code


def test_an_altered_picture_is_whole_to_http(server: Served) -> None:
    """HEAD, ranges, tag and 304 are about the altered file; its tag is not that of the plain one."""
    made = server.generate("ezmodel", {"prompt": "A cat", "size": "256x256"}, **{"x-emulator-session": "plain-twin"})
    plain = made.json()["data"][0]["url"]
    secret = server.app.storage.secret
    link = parse_token(plain.rpartition("/")[2].removesuffix(".png"), secret)
    altered = replace(link, recipe=replace(link.recipe, altered=recipe.Alteration(mode="16_bit", kept=200)))
    url = f"{server.url}/pictures/{format_token(altered, secret)}.png"
    got, head = httpx.get(url), httpx.head(url)
    assert (200, 200, "image/png") == (got.status_code, len(got.content), got.headers["content-type"])
    assert ("200", got.headers["etag"]) == (head.headers["content-length"], head.headers["etag"])
    assert got.content[190:] == httpx.get(url, headers={"range": "bytes=190-"}).content
    assert 304 == httpx.get(url, headers={"if-none-match": got.headers["etag"]}).status_code
    assert got.headers["etag"] != httpx.get(plain).headers["etag"]


GOOD: dict[str, Any] = {
    "width": 256, "height": 256, "format": "webp", "mode": "exif_rotated", "file": None, "kept": 50.0, "share": True,
}  # fmt: skip
"""The members of an alteration in a token."""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", 0), ("width", 16_384), ("width", None), ("width", "256"), ("width", 256.0), ("width", True),
        ("height", None), ("height", -1), ("format", "gif"), ("format", 1), ("mode", "sepia"), ("mode", "cmyk"),
        ("mode", []), ("file", "0123456789abcdef"), ("file", 7), ("kept", -1), ("kept", 101), ("kept", "50"),
        ("kept", True), ("share", 1), ("share", None), ("other", None),
    ],
)  # fmt: skip
def test_a_signed_alteration_that_cannot_be_made(server: Served, name: str, value: object) -> None:
    """The default seed is known to all: an alteration that nobody could make is a damaged token, never a 5xx."""
    assert 200 == httpx.get(_signed(server, altered=GOOD)).status_code
    without_share = {key: member for key, member in GOOD.items() if key != "share"}
    for wrong in ({**GOOD, name: value}, without_share, list(GOOD.values())):
        assert 404 == httpx.get(_signed(server, altered=wrong)).status_code


def test_a_signed_file_that_is_not_here(server: Served) -> None:
    """A digest in a token names nothing but what a script gave to this very server."""
    altered = {"format": "png", "file": "0123456789abcdef", "share": False}
    assert 404 == httpx.get(_signed(server, altered=altered)).status_code


def test_an_own_picture_that_was_dropped_is_not_here(serve: Callable[..., Served]) -> None:
    """Testers' own pictures are bounded in bytes: a link to one that was dropped is that of a missing file."""
    store = InMemoryStore(StoreLimits(calls=1, bytes=1, sessions=1, age=1, picture_bytes=10_000_000))
    served = serve(store=store)
    token = _signed(served).rpartition("/")[2].removesuffix(".png")
    data = draw_image(parse_token(token, served.app.storage.secret).recipe)
    url = _signed(served, altered={"format": "png", "file": "0123456789abcdef", "share": False})
    asyncio.run(store.keep_file("picture", "0123456789abcdef", data))
    assert (200, data) == ((response := httpx.get(url)).status_code, response.content)
    asyncio.run(store.keep_file("picture", "fedcba9876543210", bytes(10_000_000)))
    refused = httpx.get(url)
    assert (404, "ResourceNotFound") == (refused.status_code, refused.headers["x-ms-error-code"])


@pytest.mark.parametrize(
    ("host", "library", "origin", "preflight"),
    [(None, 200, "*", 204), (1, 403, "*", 204), (2, 200, None, 405), (3, 403, None, 405)],
)
def test_a_difficult_host(server: Served, host: int | None, library: int, origin: str | None, preflight: int) -> None:
    """By its token a link answers browsers alone, or tells no page that it may read; the picture is the same."""
    url = _signed(server, host=host)
    page, browser = {"origin": "http://page.test"}, {"user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"}
    for agent, status in ((browser, 200), ({}, library), ({"user-agent": ""}, library), ({"user-agent": "x"}, library)):
        for response in (httpx.get(url, headers={**page, **agent}), httpx.head(url, headers={**page, **agent})):
            assert (status, origin) == (response.status_code, response.headers.get("access-control-allow-origin"))
            assert {200: "image/png", 403: "text/html"}[status] == response.headers["content-type"]
    asked = httpx.options(url, headers={**page, "access-control-request-headers": "range"})
    assert (preflight, origin) == (asked.status_code, asked.headers.get("access-control-allow-origin"))
    shown, plain = (httpx.get(one, headers=browser) for one in (url, _signed(server)))
    assert (plain.content, plain.headers["etag"]) == (shown.content, shown.headers["etag"])


def test_a_host_as_usual_leaves_links_alone(serve: Callable[..., Served], tmp_path: Path) -> None:
    """A script that says of the host what holds anyway makes the very link that is made without it."""
    links = []
    for name, host in (("none", ""), ("usual", "host: {cors: true}"), ("closed", "host: {cors: false}")):
        (tmp_path / f"{name}.yaml").write_text(f"rules: [{{answers: {{draw: {{{host}}}}}}}]")
        served = serve(scenario=str(tmp_path / f"{name}.yaml"), clock="frozen:2026-01-01T00:00:00Z")
        made = served.generate("ezmodel", {"prompt": "A cat"}).json()
        links.append(httpx.URL(made["data"][0]["url"]).path)
    assert links[0] == links[1] != links[2]


@pytest.mark.parametrize("value", [4, -1, 2**70, True, "browser", 1.0, []])
def test_a_signed_host_that_cannot_be(server: Served, value: object) -> None:
    """What no script can want of a host is a damaged token."""
    assert 404 == httpx.get(_signed(server, host=value)).status_code
    assert 404 == httpx.get(_signed(server, altered=GOOD, host=value)).status_code
    assert 200 == httpx.get(_signed(server, altered=GOOD, host=2)).status_code


def test_a_difficult_host_after_an_hour(serve: Callable[..., Served]) -> None:
    """Who is no browser is told nothing of a link's end; a browser is, and a page still may not read it."""
    served = serve(clock="frozen:2101-01-01T00:00:00Z")
    link = _signed(served, host=3)
    assert "text/html" == httpx.get(link).headers["content-type"]
    late = httpx.get(link, headers={"user-agent": "Mozilla/5.0"})
    assert (403, "AuthenticationFailed") == (late.status_code, late.headers["x-ms-error-code"])
    assert "access-control-allow-origin" not in late.headers


def _signed(served: Served, *, altered: object = None, host: object = None) -> str:
    """The link of a small picture with these members in its token, signed as it should be."""
    text = write_token_list(SMALL, ("s", 4_102_444_800, host), altered, None, None)
    return f"{served.url}/pictures/{seal_text(text, served.app.storage.secret)}.png"


@pytest.mark.parametrize(("expires_in", "lifetime"), [(None, 3600), ("90s", 90), ("24h", 86_400)])
def test_max_age_is_the_time_that_is_left(
    serve: Callable[..., Served], tmp_path: Path, expires_in: str | None, lifetime: int
) -> None:
    """A cache may keep a picture until its link expires, by the session's own clock: GET, HEAD, a range, a 304."""
    draw = "" if expires_in is None else f"expires_in: {expires_in}"
    (tmp_path / "links.yaml").write_text(f"rules: [{{answers: {{draw: {{{draw}}}}}}}]", "utf-8")
    served = serve(scenario=str(tmp_path / "links.yaml"), clock="frozen:2026-01-01T00:00:00Z")
    made = served.generate("ezmodel", {"prompt": "A cat", "size": "256x256"}, **{"x-emulator-session": "one"})
    url = made.json()["data"][0]["url"]
    tag = httpx.get(url).headers["etag"]
    for passed in (0, 40):
        for session, seconds in (("one", passed), ("another", 5)):
            httpx.post(f"{served.url}/_emulator/clock", json={"advance": seconds, "session": session})
        responses = [
            httpx.get(url),
            httpx.head(url),
            httpx.get(url, headers={"range": "bytes=0-9"}),
            httpx.get(url, headers={"if-none-match": tag}),
        ]
        assert [200, 200, 206, 304] == [response.status_code for response in responses]
        assert {f"private, max-age={lifetime - passed}"} == {
            response.headers["cache-control"] for response in responses
        }
