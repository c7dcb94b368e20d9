"""A picture's link as a storage service serves it: whole, in part, conditionally, until it expires."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.core import strict_json
from emulator.image import recipe
from tests.conftest import Served


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
    link = recipe.read(token, server.app.storage.secret)
    forged = recipe.spell(replace(link, expires=2**34), b"another secret")
    for wrong in (forged, token[:-1], token + "A", token.swapcase(), "x" * 3000, "", token + "=", "ü" * 20):
        response = httpx.get(f"{server.url}/pictures/{wrong}.png")
        assert (404, "ResourceNotFound") == (response.status_code, response.headers["x-ms-error-code"]), wrong
    assert 404 == httpx.get(f"{server.url}/pictures/{token}.jpg").status_code
    assert 404 == httpx.get(f"{server.url}/pictures/{token}").status_code


def test_an_altered_picture_is_whole_to_http(server: Served) -> None:
    """HEAD, ranges, tag and 304 are about the altered file; its tag is not that of the plain one."""
    made = server.generate("ezmodel", {"prompt": "A cat", "size": "256x256"}, **{"x-emulator-session": "plain-twin"})
    plain = made.json()["data"][0]["url"]
    secret = server.app.storage.secret
    link = recipe.read(plain.rpartition("/")[2].removesuffix(".png"), secret)
    altered = replace(link, recipe=replace(link.recipe, altered=recipe.Alteration(mode="16_bit", kept=200)))
    url = f"{server.url}/pictures/{recipe.spell(altered, secret)}.png"
    got, head = httpx.get(url), httpx.head(url)
    assert (200, 200, "image/png") == (got.status_code, len(got.content), got.headers["content-type"])
    assert ("200", got.headers["etag"]) == (head.headers["content-length"], head.headers["etag"])
    assert got.content[190:] == httpx.get(url, headers={"range": "bytes=190-"}).content
    assert 304 == httpx.get(url, headers={"if-none-match": got.headers["etag"]}).status_code
    assert got.headers["etag"] != httpx.get(plain).headers["etag"]


GOOD: list[Any] = [256, 256, "webp", "exif_rotated", None, 50.0, True]
"""An alteration's fields in a token."""


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, 0), (0, 4097), (0, None), (0, "256"), (0, 256.0), (0, True), (1, None), (1, -1), (2, "gif"), (2, 1),
        (3, "sepia"), (3, "cmyk"), (3, []), (4, "0123456789abcdef"), (4, 7), (5, -1), (5, 101), (5, "50"), (5, True),
        (6, 1), (6, None),
    ],
)  # fmt: skip
def test_a_signed_alteration_that_cannot_be_made(server: Served, place: int, value: object) -> None:
    """The default seed is known to all: an alteration that nobody could make is a damaged token, never a 5xx."""
    fields = [*GOOD[:place], value, *GOOD[place + 1 :]]
    assert 200 == httpx.get(_signed(server, GOOD)).status_code
    for wrong in (fields, GOOD[:-1], [*GOOD, None]):
        assert 404 == httpx.get(_signed(server, wrong)).status_code


def test_a_signed_file_that_is_not_here(server: Served) -> None:
    """A digest in a token names nothing but what a script has hung up on this very server."""
    fields = [None, None, "png", None, "0123456789abcdef", None, False]
    assert 404 == httpx.get(_signed(server, fields)).status_code


@pytest.mark.parametrize(
    ("host", "library", "origin", "preflight"),
    [([], 200, "*", 204), ([1], 403, "*", 204), ([2], 200, None, 405), ([3], 403, None, 405)],
)
def test_a_difficult_host(server: Served, host: list[Any], library: int, origin: str | None, preflight: int) -> None:
    """By its token a link answers browsers alone, or tells no page that it may read; the picture is the same."""
    url = _signed(server, host)
    page, browser = {"origin": "http://page.test"}, {"user-agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"}
    for agent, status in ((browser, 200), ({}, library), ({"user-agent": ""}, library), ({"user-agent": "x"}, library)):
        for response in (httpx.get(url, headers={**page, **agent}), httpx.head(url, headers={**page, **agent})):
            assert (status, origin) == (response.status_code, response.headers.get("access-control-allow-origin"))
            assert {200: "image/png", 403: "text/html"}[status] == response.headers["content-type"]
    asked = httpx.options(url, headers={**page, "access-control-request-headers": "range"})
    assert (preflight, origin) == (asked.status_code, asked.headers.get("access-control-allow-origin"))
    shown, plain = (httpx.get(one, headers=browser) for one in (url, _signed(server, [])))
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


@pytest.mark.parametrize("value", [4, 2**70, None, True, "browser", 1.0, []])
def test_a_signed_host_that_cannot_be(server: Served, value: object) -> None:
    """What no script can want of a host is a damaged token."""
    assert 404 == httpx.get(_signed(server, [value])).status_code
    assert 404 == httpx.get(_signed(server, [*GOOD, value])).status_code
    assert 200 == httpx.get(_signed(server, [*GOOD, 2])).status_code


def test_a_difficult_host_after_an_hour(serve: Callable[..., Served]) -> None:
    """Who is no browser is told nothing of a link's end; a browser is, and a page still may not read it."""
    served = serve(clock="frozen:2101-01-01T00:00:00Z")
    link = _signed(served, [3])
    assert "text/html" == httpx.get(link).headers["content-type"]
    late = httpx.get(link, headers={"user-agent": "Mozilla/5.0"})
    assert (403, "AuthenticationFailed") == (late.status_code, late.headers["x-ms-error-code"])
    assert "access-control-allow-origin" not in late.headers


def _signed(served: Served, altered: list[Any]) -> str:
    """The link of a small picture with what stands behind its recipe, signed as it should be."""
    plain: list[Any] = ["s", 4_102_444_800, "g", "m", "c", "h", 64, 64, "q", "opaque", "png", None, 0, 0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -12, 9, zlib.Z_DEFAULT_STRATEGY, recipe._USUAL)
    packed = packer.compress(strict_json.format_json(plain + altered).encode()) + packer.flush()
    token = base64.urlsafe_b64encode(recipe._mac(packed, served.app.storage.secret) + packed).rstrip(b"=").decode()
    return f"{served.url}/pictures/{token}.png"
