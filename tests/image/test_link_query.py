"""The signed query of a link: what stands in it, and which of its spellings the storage takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest

from emulator.image.link import PictureLink, format_token
from emulator.image.link_query import LinkQuery, find_link_flaw, format_query
from tests.image.test_render import SMALL

SECRET = b"secret"
AZURE = LinkQuery(
    (
        ("st", "{start}"), ("se", "{expiry}"), ("sp", "r"), ("rsct", "{type}"), ("skt", "{key_start}"),
        ("ske", "{key_expiry}"), ("sig", "{signature}"),
    )
)  # fmt: skip
LINK = PictureLink(replace(SMALL, gateway="openai", format="webp"), "s", 1_767_229_200, signed=True)
TOKEN = format_token(LINK, SECRET)
QUERY = format_query(AZURE, LINK, TOKEN, SECRET)


def flaw(query: str, link: PictureLink = LINK) -> str | None:
    """What is wrong with the query of a link at the gateway `openai`."""
    return find_link_flaw({"openai": AZURE}.get, link, query, token=TOKEN, secret=SECRET)


def test_the_parameters_stand_in_their_order() -> None:
    """Times as Azure writes them: from an hour before the link was made until its end; the key is good for a day."""
    expected = (
        "st=2025-12-31T23%3A00%3A00Z&se=2026-01-01T01%3A00%3A00Z&sp=r&rsct=image/webp&skt=2025-12-31T23%3A00%3A00Z"
        "&ske=2026-01-01T23%3A00%3A00Z&sig="
    )
    assert QUERY.startswith(expected)
    assert re.fullmatch(r"[A-Za-z0-9%]+%3D", QUERY.removeprefix(expected))
    assert flaw(QUERY) is None


def test_all_but_the_signature_is_kept_without_a_trace() -> None:
    """Links of the same second, of other seconds and of other formats get the query that each gets alone."""
    links = [
        replace(LINK, recipe=replace(LINK.recipe, format=name), expires=LINK.expires + seconds)
        for name in ("png", "jpeg", "webp") for seconds in range(20)
    ]  # fmt: skip
    for link in [*links, *links]:
        token, alone = format_token(link, SECRET), LinkQuery(AZURE.parameters)
        query = format_query(AZURE, link, token, SECRET)
        assert query == format_query(alone, link, token, SECRET)
        assert dict(alone.list_values(link, token, SECRET)) == dict(parse_qsl(query))


@pytest.mark.parametrize("seed", range(20))
def test_every_signature_has_what_clients_break(seed: int) -> None:
    """`%2B` and `%3D` are in each query, so that a client with such a mistake meets it at the first link."""
    link = replace(LINK, recipe=replace(LINK.recipe, seed=seed))
    assert {"%2B", "%3D"} <= set(re.findall("%..", format_query(AZURE, link, format_token(link, SECRET), SECRET)))


def _reverse(query: str) -> str:
    return "&".join(reversed(query.split("&")))


@pytest.mark.parametrize(
    "respell",
    [
        _reverse,
        lambda query: query + "&timeout=90",
        lambda query: query.replace("%3A", ":"),
        lambda query: query.replace("%3D", "="),
        lambda query: urlencode(parse_qsl(query)),
    ],
    ids=["another order", "a parameter more", "a plain colon", "a plain equals sign", "decoded and encoded again"],
)  # fmt: skip
def test_spellings_that_mean_the_same_are_taken(respell: Callable[[str], str]) -> None:
    """The storage compares values."""
    assert flaw(respell(QUERY)) is None


MALFORMED = "Signature fields not well formed."
OTHER = "Signature did not match."


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda query: "", MALFORMED),
        (lambda query: query.partition("&")[0], MALFORMED),
        (lambda query: query.rpartition("&")[0], MALFORMED),
        (lambda query: query.replace("&", "&amp;"), MALFORMED),
        (lambda query: query.replace("&", "\\u0026"), MALFORMED),
        (lambda query: query.replace("=", "%3D"), MALFORMED),
        (lambda query: query[:-3], OTHER),
        (lambda query: query.lower(), OTHER),
        (lambda query: query.replace("%", "%25"), OTHER),
        (lambda query: query.replace("%2B", "+"), OTHER),
        (unquote, OTHER),
        (lambda query: quote(query, safe="=&"), OTHER),
        (lambda query: query.replace("sp=r", "sp=rw"), OTHER),
        (lambda query: query.replace("2026-01-01T01", "2027-01-01T01"), OTHER),
        (lambda query: query + "&se=2027-01-01T01%3A00%3A00Z", OTHER),
        (lambda query: query + "&" + "&".join(f"x{number}" for number in range(200)), MALFORMED),
    ],
)  # fmt: skip
def test_a_damaged_query_is_refused(damage: Callable[[str], str], expected: str) -> None:
    """Cut, escaped, decoded or encoded once too often, changed or overgrown: never a picture, never an exception."""
    assert expected == flaw(damage(QUERY))


def test_only_signed_links_need_their_query() -> None:
    """Links of other gateways, and those that were made before their gateway had a query, are good without one."""
    assert flaw("", replace(LINK, signed=False)) is None
    assert flaw("", replace(LINK, recipe=replace(LINK.recipe, gateway="ezmodel"))) is None
