"""The postcard shop's own tests: what they need of the emulator, the fixture `image_api` gives."""

from __future__ import annotations

from pathlib import Path

import pytest
from openai import OpenAI

from emulator import ImageApi
from tests.sample.postcards import NoPicture, Postcards, Unsuitable


@pytest.fixture
def shop(image_api: ImageApi, tmp_path: Path) -> Postcards:
    """A shop that asks GeekAI first and EZModel second."""
    bases = (image_api.url("geekai"), image_api.url("ezmodel"))
    return Postcards([OpenAI(base_url=base, api_key=image_api.key) for base in bases], tmp_path)


def test_a_postcard_is_drawn_and_kept(shop: Postcards, image_api: ImageApi) -> None:
    path = shop.make("Greetings from the coast")
    origin = image_api.picture_of(path.read_bytes())
    assert ([1], "1792x1024", True) == ([call.number for call in origin.calls], origin.size, origin.whole)
    image_api.verify(once=True, gateway="geekai", prompt={"contains": "coast"}, no_findings=True)


@pytest.mark.image_api(scenario="rate-limited-then-ok")
def test_a_busy_gateway_is_asked_again(shop: Postcards, image_api: ImageApi) -> None:
    shop.make("Greetings")
    image_api.verify(in_order=[{"status": 429}, {"status": 429}, {"status": 200}])
    image_api.verify(gateway="ezmodel", never=True)


def test_the_second_gateway_helps_out(shop: Postcards, image_api: ImageApi) -> None:
    image_api.play({"rules": [{"when": {"gateway": "geekai"}, "answers": {"refuse": "overloaded"}}]})
    shop.clients[0].max_retries = 0
    shop.make("Greetings")
    image_api.verify(in_order=[{"gateway": "geekai", "status": 503}, {"gateway": "ezmodel", "status": 200}])


@pytest.mark.parametrize("picture", [{"truncated": "50%"}, {"size": "1024x1024"}])
def test_a_bad_picture_is_not_kept(shop: Postcards, image_api: ImageApi, picture: dict[str, str]) -> None:
    rule = {"when": {"gateway": "geekai"}, "answers": {"draw": {"picture": picture}}}
    image_api.play({"rules": [rule]})
    path = shop.make("Greetings")
    assert ["ezmodel"] == [call.gateway for call in image_api.picture_of(path.read_bytes()).calls]


@pytest.mark.image_api(scenario="moderated")
def test_an_unsuitable_text_is_not_tried_again(shop: Postcards, image_api: ImageApi) -> None:
    with pytest.raises(Unsuitable):
        shop.make("Something nasty")
    image_api.verify(once=True)


def test_a_shop_without_luck_says_so(shop: Postcards, image_api: ImageApi) -> None:
    image_api.play({"rules": [{"answers": {"faults": ["hang_up"]}}]})
    for client in shop.clients:
        client.max_retries = 0
    with pytest.raises(NoPicture):
        shop.make("Greetings")
    assert 2 == len(image_api.calls)


def test_links_that_ended_are_not_kept(shop: Postcards, image_api: ImageApi) -> None:
    image_api.play("expired-urls")
    with pytest.raises(NoPicture):
        shop.make("Greetings")


def test_it_could_move(shop: Postcards, image_api: ImageApi) -> None:
    shop.make("Greetings")
    outcomes = {fit.gateway: fit.outcome for fit in image_api.portability() if fit.behavior == "documented"}
    refused = {gateway for gateway, outcome in outcomes.items() if outcome == "refused"}
    assert {
        "ark",
        "openai",
        "openrouter",
        "together",
        "xai",
    } == refused  # one has retired the model, four have none
