"""The names and the data of a stream's events as a gateway's file has them, by the example of the docs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from emulator import Emulator, ImageApi
from tests.docs_gateways import write_example

BODY: Final = {"prompt": "A boat", "stream": True}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageApi]:
    """A server with the gateway of the docs' example."""
    path = write_example("my-events.yaml", tmp_path_factory.mktemp("gateways"))
    with Emulator(schema=[path], gateway="my-events") as served:
        yield served


@pytest.fixture
def image_api(running: ImageApi) -> ImageApi:
    """The same server with nothing in its session, and without a scenario."""
    running.play({"rules": []})
    running.reset()
    return running


def _ask(image_api: ImageApi, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {image_api.key}"}
    return httpx.post(f"{image_api.url()}/images/generations", json={**BODY, **body}, headers=headers)


def _read(answer: httpx.Response) -> list[tuple[str, Any]]:
    """The events of a stream by name; [DONE] is one with that name."""
    events = []
    for block in answer.text.strip().split("\n\n"):
        name, _, data = block.rpartition("\n")
        text = data.removeprefix("data: ")
        events.append((name.removeprefix("event: "), text if text == "[DONE]" else json.loads(text)))
    return events


def test_the_names_and_the_data_of_events(image_api: ImageApi) -> None:
    """Each finished picture has its event, and behind all of them is one with the usage; the journal has both links."""
    first, second, last, done = _read(_ask(image_api, n=2))
    assert ["pictures.one", "pictures.one", "pictures.all", ""] == [first[0], second[0], last[0], done[0]]
    assert ["type", "number", "url"] == list(first[1])
    assert ("pictures.one", [0, 1]) == (first[1]["type"], [first[1]["number"], second[1]["number"]])
    assert {"type": "pictures.all", "usage": {"pictures": 2}} == last[1]
    assert "[DONE]" == done[1]
    for _, event in (first, second):
        assert "image/png" == httpx.get(event["url"]).headers["content-type"]
    assert 2 == len(image_api.calls.latest.pictures)


def test_base64_in_an_event_of_its_own(image_api: ImageApi) -> None:
    """A picture itself is put where the template has it."""
    picture, last, _ = _read(_ask(image_api, response_format="b64_json"))
    assert ["type", "number", "b64_json"] == list(picture[1])
    assert 100 < len(picture[1]["b64_json"])
    assert 1 == last[1]["usage"]["pictures"]


def test_an_error_breaks_the_stream_off(image_api: ImageApi) -> None:
    """Nothing comes behind it, neither the last event nor the mark of the end."""
    image_api.play({"rules": [{"answers": {"draw": {"error": "moderation"}}}]})
    ((name, data),) = _read(_ask(image_api))
    assert ("failure", ["code", "text"]) == (name, list(data))


def test_a_scenario_changes_the_last_event(image_api: ImageApi) -> None:
    """A usage that it sets is in the event that has the usage, and in no other; what it leaves out meets something."""
    image_api.play({"rules": [{"answers": {"draw": {"usage": {"total_tokens": 9}, "omit": ["type"]}}}]})
    picture, last, _ = _read(_ask(image_api))
    assert ["number", "url"] == list(picture[1])
    assert {"usage": {"pictures": 1, "total_tokens": 9}} == last[1]
    assert () == image_api.calls.latest.codes


def test_a_stream_without_pictures(image_api: ImageApi) -> None:
    """It has the last event all the same."""
    image_api.play({"rules": [{"answers": {"draw": {"images": 0}}}]})
    assert ["pictures.all", ""] == [name for name, _ in _read(_ask(image_api))]


def test_a_stream_without_its_final_event(image_api: ImageApi) -> None:
    """The fault leaves out the last event of all."""
    image_api.play({"rules": [{"answers": {"faults": ["missing_final_event"]}}]})
    assert ["pictures.one"] == [name for name, _ in _read(_ask(image_api))]


def test_coverage_knows_the_events(image_api: ImageApi) -> None:
    """Its items have the names of the file."""
    _ask(image_api)
    items = {
        item["name"]: item["count"] for item in image_api.coverage()["gateways"][0]["items"] if item["kind"] == "event"
    }
    assert {"pictures.one", "pictures.none", "pictures.all", "failure", "[DONE]"} == set(items)
    assert items["pictures.one"] > 0 < items["pictures.all"]
