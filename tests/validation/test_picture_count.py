"""How many pictures a call makes where another parameter than `n` says it, by the example of the docs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from emulator import Emulator, ImageApi
from tests.docs_gateways import write_example
from tests.uploads import data_url, draw_file


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageApi]:
    """A server with the gateway of the docs' example."""
    path = write_example("my-groups.yaml", tmp_path_factory.mktemp("gateways"))
    with Emulator(schema=[path], gateway="my-groups") as served:
        yield served


@pytest.fixture
def image_api(running: ImageApi) -> ImageApi:
    """The same server with nothing in its session, and without a scenario."""
    running.play({"rules": []})
    running.reset()
    return running


def _ask(image_api: ImageApi, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {image_api.key}"}
    url = f"{image_api.url()}/images/generations"
    return httpx.post(url, json={"prompt": "A boat", **body}, headers=headers)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({}, 1),
        ({"n": 3}, 1),
        ({"group": {"pictures": 3}}, 1),
        ({"mode": "single", "group": {"pictures": 3}}, 1),
        ({"mode": "group", "group": {"pictures": 3}}, 3),
        ({"mode": "group"}, 4),
        ({"mode": "group", "group": {"pictures": 2}}, 2),  # the same but for a value inside: no verdict is kept of it
    ],
)
def test_how_many_pictures_are_made(image_api: ImageApi, body: Any, count: int) -> None:
    """The parameter counts on its condition, and `n` does not; twice the same call is twice the same number."""
    for _ in range(2):
        assert count == len(_ask(image_api, **body).json()["data"])


@pytest.mark.parametrize(("brought", "count"), [(1, 5), (3, 3), (6, 1), (7, 1)])
def test_pictures_that_a_call_brings(image_api: ImageApi, brought: int, count: int) -> None:
    """They leave room for fewer."""
    references = [data_url(draw_file("PNG"))] * brought
    answer = _ask(image_api, mode="group", group={"pictures": 6}, references=references)
    assert count == len(answer.json()["data"])


@pytest.mark.parametrize(
    ("pictures", "breach"), [(0, "below_minimum"), (7, "above_maximum"), ("2", "type"), (1.5, "type")]
)
def test_a_number_out_of_bounds(image_api: ImageApi, pictures: Any, breach: str) -> None:
    """The schema refuses it by its own place."""
    answer = _ask(image_api, mode="group", group={"pictures": pictures})
    assert (400, "group.pictures") == (answer.status_code, answer.json()["error"]["param"])
    refused = image_api.calls.latest.refused
    assert refused is not None
    assert breach == refused.breach


def test_scenarios_and_verifications_know_the_number(image_api: ImageApi) -> None:
    """It is their `n`, limits count it, and a reply with fewer is a situation."""
    image_api.play({"limits": {"images": 5}, "rules": [{"when": {"n": 3}, "answers": [{"draw": {"images": 1}}]}]})
    assert 1 == len(_ask(image_api, mode="group", group={"pictures": 3}).json()["data"])
    image_api.verify(once=True, n=3)
    image_api.verify(never=True, n=1)
    assert 429 == _ask(image_api, mode="group", group={"pictures": 3}).status_code
    items = {item["name"]: item["count"] for item in image_api.coverage()["gateways"][0]["items"]}
    assert 1 == items["fewer_pictures"]
