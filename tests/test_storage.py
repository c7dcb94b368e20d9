"""A picture's link as a storage service serves it: whole, in part, conditionally, until it expires."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from emulator import recipe
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
    origins = [reply.json()["data"][0]["url"].partition("/pictures/")[0] for reply in links]
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
    assert (405, "GET, HEAD, OPTIONS") == ((reply := httpx.delete(url)).status_code, reply.headers["allow"])
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
    link = recipe.read(token, server.hall.storage._secret)
    forged = recipe.spell(replace(link, expires=2**34), b"another secret")
    for wrong in (forged, token[:-1], token + "A", token.swapcase(), "x" * 3000, "", token + "=", "ü" * 20):
        reply = httpx.get(f"{server.url}/pictures/{wrong}.png")
        assert (404, "ResourceNotFound") == (reply.status_code, reply.headers["x-ms-error-code"]), wrong
    assert 404 == httpx.get(f"{server.url}/pictures/{token}.jpg").status_code
    assert 404 == httpx.get(f"{server.url}/pictures/{token}").status_code
