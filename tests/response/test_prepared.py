"""Replies of prepared texts are, byte for byte, those that are built in the usual way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest

from emulator.core.chance import make_seed
from emulator.core.clock import parse_clock
from emulator.gateway.gateway import Gateway
from emulator.gateway.refusals import RequestFacts
from emulator.image.files import NO_FILES, Files
from emulator.image.recipe import ImageRecipe
from emulator.image.store import ImageStore, Picture
from emulator.image.upload import Examination, Upload
from emulator.messages import UNCHANGED, Call, Draw, Request, Response
from emulator.response import prepared
from emulator.response.builder import ReplyContext, ResponseBuilder
from emulator.response.prepared import PreparedReplies
from emulator.response.recipes import EXACT, build_recipe, outline_recipes
from emulator.session.store import InMemoryStore, StoreLimits
from emulator.validation.registry import load_behavior, load_gateways

REQUEST: Final = Request(
    method="POST", path="/", query="", headers={}, body=b"", json={}, trouble=None, duplicates=(), origin="", received=0
)  # fmt: skip
PROMPTS: Final = (
    "A cat", "", '"quoted" \\ back', "line\nbreak\ttab \x00\x1f\x7f", "👩‍🚀 猫 é", "half \ud83d of a pair",
    "<b>&amp;</b>",
    "@@created@@", '"b64_json":""', '"b64_json": ""', "x" * 161, "猫" * 4000, "A cat. 。.", "{prompt}",
)  # fmt: skip
VALUES: Final[tuple[Mapping[str, Any], ...]] = (
    {},
    {"response_format": "b64_json", "quality": "hd", "style": "vivid", "user": "u-1"},
    {"response_format": "b64_json", "quality": "high", "output_format": "jpg", "output_compression": 1},
    {"response_format": "url", "quality": "low", "output_format": "jpeg", "output_compression": True},
    {"output_format": "webp", "background": "transparent", "output_compression": 0, "user": '"<&>" \ud800'},
    {"quality": ["high"], "style": {"a": 1}, "background": 5, "output_format": None, "safety_identifier": "@@user@@"},
    {"quality": "@@created@@", "user": "", "safety_identifier": None},
    {"quality": 1, "user": {"not": "a text"}},
    {"quality": True, "output_compression": 1.0},
)


EXAMINED: Final = Examination("0f" * 32, 70, "png", 640, 640, palette="a9" * 36, alpha_share=0.5)
UPLOADS: Final = (
    (),
    (Upload("image", "a.png", "image/png", b"a", EXAMINED),),
    (Upload("image[]", None, "", b"a", EXAMINED), Upload("image[]", None, "", b"b", EXAMINED),
     Upload("mask", "m.png", "image/png", b"m", EXAMINED)),
)  # fmt: skip


class _Pictures(ImageStore):
    """Draws nothing: the bytes of a picture are those of its recipe, as text."""

    async def draw(self, recipe: ImageRecipe, files: Files = NO_FILES) -> Picture:
        return Picture(repr(recipe).encode())


def _make_builder(clock: str = "frozen:2026-01-01T00:00:00Z") -> ResponseBuilder:
    store = InMemoryStore(StoreLimits(calls=1, bytes=1, sessions=1, age=1))
    return ResponseBuilder(
        seed=7, secret=b"secret", clock=parse_clock(clock), image_store=_Pictures(10**6, store), files=store
    )


@cache
def _load_gateways() -> Mapping[str, Gateway]:
    gateways = {}
    for gateway in load_gateways(()):
        gateways[f"{gateway.name}"] = gateway
        observed = load_behavior(gateway.name, "observed")
        if observed is not None:
            gateways[f"{gateway.name}, observed"] = observed
    return gateways


def _iter_calls(gateway: Gateway) -> Iterator[Call]:
    """A call of each model with each of the values above; they are accepted or not, and need not be."""
    for operation in gateway.iter_generating():
        assert operation.models is not None
        rules = {**operation.models.listed, "any other": operation.models.otherwise}
        for model, rule in rules.items():
            if rule is None:
                continue
            for number, values in enumerate(VALUES):
                yield Call(
                    operation="generate",
                    model=model,
                    given={},
                    params={},
                    effective=values,
                    count=(1, 2, 10)[number % 3],
                    pixels=(512 + number, 1024),
                    response=rule.response,
                    findings=(),
                )


async def _build(
    builder: ResponseBuilder,
    call: Call,
    gateway: Gateway,
    *,
    usual: bool,
    plan: Draw = UNCHANGED,
    origin: str = "http://a",
) -> Response:
    """The reply to a call; in the usual way where something may change its body, if only in theory."""
    context = ReplyContext(
        "s", origin, RequestFacts(REQUEST, "/", (), 1), wrap_body=(lambda body, _: body) if usual else None
    )
    return await builder.build(call, plan, gateway, context)


@pytest.mark.parametrize("name", _load_gateways())
async def test_prepared_replies_are_the_usual_ones(name: str) -> None:
    """Every gateway, behavior and model, links and Base64, odd prompts and odd values: the same bytes and recipes."""
    gateway, builder = _load_gateways()[name], _make_builder()
    turn = 0
    for call in _iter_calls(gateway):
        for shift in range(3):
            turn += 1
            prompt = PROMPTS[turn % len(PROMPTS)]
            one = replace(call, effective={**call.effective, "prompt": prompt}, uploads=UPLOADS[turn % len(UPLOADS)])
            if one.uploads:
                one = replace(one, operation=("edit", "vary")[turn % 2])
            for again in (one, one, replace(one, effective=dict(one.effective))):
                origin = ("http://a", "https://b:1", 'http://"<&>')[(turn + shift) % 3]
                expected = await _build(_make_builder(), one, gateway, usual=True, origin=origin)
                built = await _build(builder, again, gateway, usual=False, origin=origin)
                assert b"".join(expected.body) == b"".join(built.body)
                assert expected == replace(built, body=expected.body)
                json.loads(b"".join(built.body))


async def test_a_reply_that_comes_again_has_its_own_time_and_place() -> None:
    """What is kept of a prompt is neither the time, nor the session, nor where its links lead."""
    gateway, builder = _load_gateways()["openai"], _make_builder()
    call = replace(next(_iter_calls(gateway)), effective={"prompt": "A cat"})
    bodies = []
    for origin in ("http://a", "http://b", "http://a"):
        for _ in range(2):
            built = await _build(builder, call, gateway, usual=False, origin=origin)
            assert built == await _build(builder, call, gateway, usual=True, origin=origin)
            bodies.append(built.body)
        await builder.clock.advance(1)
    assert 3 == len(set(bodies))


async def test_no_more_is_kept_than_the_bounds_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest outlines and replies go first, long prompts are not kept at all, and all replies stay right."""
    monkeypatch.setattr(prepared, "_MOST_OUTLINES", 3)
    monkeypatch.setattr(prepared, "_MOST_REPLIES", 2)
    monkeypatch.setattr(prepared, "_MOST_MET", 6)
    gateway, replies = _load_gateways()["ezmodel"], PreparedReplies(0, b"secret")
    call = next(_iter_calls(gateway))
    for turn in range(60):
        number = turn // 3
        prompt = "A cat" * (1000 if number % 5 == 0 else number % 7)
        one = replace(call, count=number % 4 + 1, effective={"prompt": prompt})
        reply = replies.find(one, gateway)
        assert reply is not None
        assert list(reply.recipes) == [build_recipe(one, "ezmodel", 0, index) for index in range(one.count)]
        assert len(replies._outlines) <= 3
        assert len(replies._replies) <= 2
        assert len(replies._met) <= 6
        assert all(len(prompt) <= prepared._LONGEST_KEPT for _, prompt, _ in replies._replies)


@pytest.mark.parametrize("name", ["model", "quality", "style", "output_format", "user"])
async def test_long_texts_are_not_kept(name: str) -> None:
    """A gateway that passes on what it is given takes texts of a megabyte, which stay nowhere; the reply is usual."""
    gateway, builder = _load_gateways()["ezmodel"], _make_builder()
    call, text = next(_iter_calls(gateway)), "x" * 10_000
    call = replace(call, effective={"prompt": "A cat", name: text}, model=text if name == "model" else call.model)
    outline_recipes.cache_clear()
    for _ in range(3):
        expected = await _build(_make_builder(), call, gateway, usual=True)
        assert expected == await _build(builder, call, gateway, usual=False)
    replies = builder._prepared_replies
    assert not replies._replies
    assert not any(text in key[0] for key in replies._outlines)
    assert int(name == "user") == outline_recipes.cache_info().currsize


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_seed_is_made_of_the_values(prompt: str) -> None:
    """The texts of which a recipe's seed is made are those of its parts, one after the other."""
    call = next(_iter_calls(_load_gateways()["ezmodel"]))
    call = replace(call, effective={"prompt": prompt, "quality": '"hd"', "style": "é", "background": "transparent"})
    parts = (call.model or "", prompt, "512x1024", '"hd"', "é", "transparent")
    assert make_seed(5, *parts, 3) & EXACT == build_recipe(call, "ezmodel", 5, 3).seed


async def test_what_a_scenario_changes_is_built_in_the_usual_way() -> None:
    """A plan that changes anything, and a call with more pictures than any page allows, are as they were."""
    gateway, builder = _load_gateways()["ezmodel"], _make_builder()
    call = replace(next(_iter_calls(gateway)), effective={"prompt": "A cat"})
    changed = await _build(builder, call, gateway, usual=False, plan=Draw(created=5))
    assert 5 == json.loads(b"".join(changed.body))["created"]
    many = await _build(builder, replace(call, count=11), gateway, usual=False)
    assert 11 == len(many.pictures)
