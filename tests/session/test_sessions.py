"""Whose call is this: path, header or key; each session sees its own calls, and no key is shown."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

import emulator
from emulator.core import names
from tests.conftest import Served

BODY = {"prompt": "A cat"}


def test_path_beats_header_beats_key(serve: Callable[..., Served]) -> None:
    """Three ways to name a session, in this order; a call without any belongs to nobody's."""
    served = serve()
    url = f"{served.url}/s/by-path/ezmodel/v1/images/generations"
    headers = {"authorization": "Bearer sk-a-key", "x-emulator-session": "by-header"}
    httpx.post(url, json=BODY, headers=headers)
    served.generate("ezmodel", BODY, **{"x-emulator-session": "by-header"})
    served.generate("ezmodel", BODY, key="sk-a-key")
    httpx.post(f"{served.base('ezmodel')}/images/generations", json=BODY)
    known = httpx.get(f"{served.url}/_emulator/sessions").json()["sessions"]
    assert ["default", names.name_for_key("sk-a-key"), "by-header", "by-path"] == [one["name"] for one in known]
    assert [1, 1, 1, 1] == [one["calls"] for one in known]
    assert "sk-a-key" not in str(known)


def test_calls_are_numbered_in_their_session(serve: Callable[..., Served]) -> None:
    """Numbers start at one in each session, refused calls included; `latest` is the session used last."""
    served = serve()
    for key in ("sk-one", "sk-two", "sk-one"):
        served.generate("ezmodel", BODY, key=key)
    served.generate("ezmodel", {}, key="sk-one")
    assert [1, 2, 3] == [call["number"] for call in served.calls()]
    assert [1] == [call["number"] for call in served.calls(names.name_for_key("sk-two"))]
    latest = httpx.get(f"{served.url}/_emulator/sessions/latest/calls/latest").json()
    assert (3, 400, "missing") == (latest["number"], latest["status"], latest["refused"]["breach"])


@pytest.mark.parametrize("name", ["latest", "", "x" * 65, "a b", "ä", "%41", "a:b", "sk-" + "a" * 20])
def test_names_that_cannot_be(server: Served, name: str) -> None:
    """A session's name is short and plain; another is refused in the envelope, as the emulator's own error."""
    response = httpx.post(f"{server.url}/s/{name}/ezmodel/v1/images/generations", json=BODY)
    assert (400, "emulator_error", "bad_session") == (
        response.status_code, response.json()["error"]["type"], response.json()["error"]["code"],
    )  # fmt: skip


def test_the_journal_says_why(server: Served, key: str) -> None:
    """A refused call comes with field, value, rule and the rule's source."""
    server.generate("ezmodel", {"prompt": "A cat", "model": "dall-e-3", "size": "256x256"}, key=key)
    refused = server.calls(names.name_for_key(key))[-1]["refused"]
    assert {
        "kind": "invalid_request",
        "breach": "enum",
        "param": "size",
        "code": "invalid_value",
        "value": "256x256",
        "rule": 'enum: ["1024x1024", "1792x1024", "1024x1792"]',
        "source": "assumed",
        "message": "Invalid value: '256x256'. Supported values are: '1024x1024', '1792x1024', and '1024x1792'.",
    } == refused


def test_the_journal_maps_pictures_to_calls(server: Served, key: str) -> None:
    """The recipe in a picture's label is the one that the journal has for its call."""
    response = server.generate("ezmodel", {"prompt": "A cat", "n": 2, "size": "256x256"}, key=key)
    pictures = server.calls(names.name_for_key(key))[-1]["pictures"]
    labels = [emulator.inspect(httpx.get(item["url"]).content).label for item in response.json()["data"]]
    assert [one["recipe"] for one in pictures] == [label["recipe"] for label in labels if label]


def test_what_cannot_be_parsed_is_journalled(server: Served, key: str) -> None:
    """A body that is no JSON is kept by its beginning, length and what is wrong with it."""
    url = f"{server.base('ezmodel')}/images/generations"
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    httpx.post(url, content=b'{"prompt": \xff', headers=headers)
    call = server.calls(names.name_for_key(key))[-1]
    assert {"why": "bad_json", "length": 12, "beginning": '{"prompt": \\xff'} == call["unreadable"]
