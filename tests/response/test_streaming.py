"""Streams of pictures: events as OpenAI sends them, each when it is made, met by the real SDKs and by a raw socket."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import queue
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import openai
import pytest
from PIL import Image, ImageChops, ImageStat

from emulator.core.clock import Clock
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import load_gateway
from emulator.image import render
from emulator.image.files import NO_FILES, Files
from emulator.image.inspect import inspect_image
from emulator.image.recipe import ImageRecipe, PartialImage
from emulator.image.store import ImageStore, Picture
from emulator.messages import StreamShape
from emulator.response import streaming
from emulator.session.journal import JournalEntry
from emulator.session.store import InMemoryStore, StoreLimits
from tests.conftest import Served

BODY: Final[dict[str, Any]] = {"model": "gpt-image-1", "prompt": "a siamese cat", "stream": True, "quality": "low"}
RECIPE: Final = ImageRecipe(
    "aiai", "gpt-image-1", "A cat", "0" * 16, 256, 256, "low", "opaque", "png", None, 0, 77
)  # fmt: skip
PARTIAL: Final = [
    "type", "partial_image_index", "b64_json", "created_at", "size", "quality", "background", "output_format",
]  # fmt: skip
COMPLETED: Final = ["type", "b64_json", "created_at", "usage", "size", "quality", "background", "output_format"]
Event = tuple[str | None, Any]


def told(text: str) -> list[Event]:
    """The events of a stream: the name, and what `data` says; anything that is no event fails."""
    events: list[Event] = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        lines = block.split("\n")
        name = lines.pop(0).removeprefix("event: ") if lines[0].startswith("event: ") else None
        (data,) = lines
        assert data.startswith("data: ")
        events.append((name, data[6:] if data == "data: [DONE]" else json.loads(data[6:])))
    return events


def ask(served: Served, gateway: str = "aiai", key: str = "sk-test", **params: Any) -> list[Event]:
    """The events that a call gets."""
    wanted = {name: value for name, value in {**BODY, **params}.items() if value is not None}
    response = served.generate(gateway, wanted, key)
    assert (200, "text/event-stream") == (response.status_code, response.headers["content-type"])
    return told(response.text)


def play(served: Served, session: str, *answers: Any) -> dict[str, str]:
    """The header of a session that plays `answers`, one after the other."""
    rules = [{"answers": list(answers)}]
    put = httpx.put(f"{served.url}/_emulator/sessions/{session}/scenario", json={"rules": rules})
    assert 200 == put.status_code, put.text
    return {"x-emulator-session": session}


def opened(text: str) -> Image.Image:
    """The picture that Base64 spells, decoded."""
    image = Image.open(io.BytesIO(base64.b64decode(text, validate=True)))
    image.load()
    return image


def distance(one: Image.Image, other: Image.Image) -> float:
    """How far two pictures are apart: the mean difference of their channels, 0 to 255."""
    means: list[float] = ImageStat.Stat(ImageChops.difference(one.convert("RGB"), other.convert("RGB"))).mean
    return sum(means) / 3


# --- events ---


@pytest.mark.parametrize("partials", [None, 0, 1, 2, 3])
def test_the_events_of_a_stream(server: Served, partials: int | None) -> None:
    """As many unfinished pictures as asked, counted from 0, and then the finished one, whose usage counts them too."""
    wanted: dict[str, Any] = {} if partials is None else {"partial_images": partials}
    events = ask(server, **wanted)
    count = partials or 0
    assert ["image_generation.partial_image"] * count + ["image_generation.completed"] == [name for name, _ in events]
    assert [name for name, _ in events] == [event["type"] for _, event in events]
    assert [PARTIAL] * count + [COMPLETED] == [list(event) for _, event in events]
    assert [*range(count)] == [event["partial_image_index"] for _, event in events[:-1]]
    usage = {
        "input_tokens": 10, "output_tokens": 272 + 100 * count, "total_tokens": 282 + 100 * count,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
    }  # fmt: skip
    assert json.dumps(usage) == json.dumps(events[-1][1]["usage"])
    looks = {"size": "1024x1024", "quality": "low", "background": "opaque", "output_format": "png"}
    assert all(looks.items() <= event.items() for _, event in events)


def test_the_head_of_a_stream(server: Served) -> None:
    """It is told as a stream, of no length and for no cache, with what marks the gateway's other answers too."""
    response = server.generate(
        "aiai", {**BODY, "partial_images": 1}, **play(server, "stream-head", {"headers": {"x-own": "1"}})
    )
    headers = response.headers
    assert ("text/event-stream", "no-cache", "1") == tuple(
        headers[name] for name in ("content-type", "cache-control", "x-own")
    )
    assert ("chunked", "*") == (headers["transfer-encoding"], headers["access-control-allow-origin"])
    assert "content-length" not in headers
    assert headers["x-request-id"].startswith("req_")


def test_each_event_is_one_line(server: Served) -> None:
    """A name, one line of data and a blank line, whatever stands in the prompt."""
    text = server.generate("aiai", {**BODY, "prompt": 'a\ncat\r\n\n\u2028"b64_json":""', "partial_images": 1}).text
    assert 2 == text.count("event: ") == text.count("\ndata: ") == text.count("\n\n")
    assert text.endswith("}\n\n")
    assert "\r" not in text


@pytest.mark.parametrize("wanted", [True, "true", "True", "1"], ids=repr)
def test_every_spelling_of_true(server: Served, wanted: Any) -> None:
    """The gateway's page prints a string; the journal shows what was understood, and how many events were made."""
    session = f"stream-spelling-{wanted}-{type(wanted).__name__}"
    response = server.generate(
        "aiai", {**BODY, "stream": wanted, "partial_images": 2}, **{"x-emulator-session": session}
    )
    assert 3 == len(told(response.text))
    call = journalled(server, session)
    assert (True, 3, True, 1) == (call["params"]["stream"], call["events"], call["sent"], len(call["pictures"]))


def test_without_a_model_a_stream_means_the_one_that_streams(server: Served) -> None:
    """Who asks for a stream, or for unfinished pictures, means gpt-image-1; who asks for none may mean any."""
    plain = {"prompt": "a siamese cat"}
    assert 200 == server.generate("aiai", {**plain, "stream": True}).status_code
    assert "url" in server.generate("aiai", {**plain, "stream": False}).json()["data"][0]
    assert "b64_json" in server.generate("aiai", {**plain, "partial_images": 0}).json()["data"][0]


def test_other_gateways_have_no_streams(server: Served) -> None:
    """Where the page knows no `stream`, it changes nothing, and is a finding."""
    response = server.generate("ezmodel", {"prompt": "A cat", "stream": True})
    assert ("application/json", "unknown_parameter") == (
        response.headers["content-type"], response.headers["x-emulator-finding"].partition(",")[0],
    )  # fmt: skip


def test_several_pictures(server: Served) -> None:
    """Each picture has its own events and its own usage, one after the other, and they differ."""
    events = ask(server, n=2, partial_images=1)
    assert ["partial_image", "completed"] * 2 == [str(name).rpartition(".")[2] for name, _ in events]
    assert [0, 0] == [event["partial_image_index"] for _, event in events[::2]]
    assert [372, 372] == [event["usage"]["output_tokens"] for _, event in events[1::2]]
    assert 4 == len({event["b64_json"] for _, event in events})
    labels = [inspect_image(base64.b64decode(event["b64_json"])).label or {} for _, event in events]
    assert [0, 0, 1, 1] == [label["index"] for label in labels]


def test_a_run_repeats(serve: Callable[..., Served]) -> None:
    """A stream of a frozen clock is equal to the byte in another run, and not with another seed."""
    body = {**BODY, "partial_images": 2}
    first, again, other = (
        serve(clock="frozen:2026-01-01T00:00:00Z", seed=seed).generate("aiai", body).content for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert all(1767225600 == event["created_at"] for _, event in told(first.decode()))


# --- pictures ---


@pytest.mark.parametrize(
    ("params", "kind", "size", "background"),
    [
        ({"size": "1536x1024"}, "PNG", (1536, 1024), "opaque"),
        ({"size": "1024x1536", "output_format": "jpeg", "output_compression": 70}, "JPEG", (1024, 1536), "opaque"),
        ({"background": "transparent", "output_format": "webp"}, "WEBP", (1024, 1024), "transparent"),
    ],
)
def test_pictures_become_more_and_more_finished(
    server: Served, params: dict[str, Any], kind: str, size: tuple[int, int], background: str
) -> None:
    """All are of the size and format that was asked for, and each is nearer to the last than the one before."""
    events = [event for _, event in ask(server, partial_images=3, **params)]
    images = [opened(event["b64_json"]) for event in events]
    assert [(kind, size)] * 4 == [(image.format, image.size) for image in images]
    assert [background == "transparent"] * 4 == [image.has_transparency_data for image in images]
    assert [background] * 4 == [event["background"] for event in events]
    away = [distance(image, images[-1]) for image in images]
    assert sorted(away, reverse=True) == away
    assert 4 == len(set(away))
    assert away[2] > 1


def test_labels_tell_the_stage_and_the_call(server: Served) -> None:
    """A program can tell an unfinished picture from the finished one, and that both belong to the same call."""
    headers = {"x-emulator-session": "stream-labels"}
    events = told(server.generate("aiai", {**BODY, "partial_images": 3}, **headers).text)
    labels = [inspect_image(base64.b64decode(event["b64_json"])).label or {} for _, event in events]
    assert ["1 of 3", "2 of 3", "3 of 3", None] == [label.get("stage") for label in labels]
    (digest,) = {label["recipe"] for label in labels}
    assert [digest] == [one["recipe"] for one in journalled(server, "stream-labels")["pictures"]]


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("side", [1, 2, 63, 64, 200])
def test_a_stage_of_any_size(kind: str, side: int) -> None:
    """The same bytes each time, whole, and other ones than those of the other stages where there is room for it."""
    recipe = replace(RECIPE, width=side, height=side, format=kind)
    files = [render.draw_image(replace(recipe, partial=PartialImage(number, 3))) for number in (1, 2, 3)]
    assert files == [render.draw_image(replace(recipe, partial=PartialImage(number, 3))) for number in (1, 2, 3)]
    seen = [inspect_image(file) for file in files]
    assert [(kind, side, side, True)] * 3 == [(one.format, one.width, one.height, one.whole) for one in seen]
    pixels = {Image.open(io.BytesIO(file)).convert("RGB").tobytes() for file in (*files, render.draw_image(recipe))}
    assert len(pixels) == 4 or side < 64


def test_an_ordinary_picture_says_nothing_of_stages() -> None:
    """Only what is in the making is labelled so, and only stages that there are can be drawn."""
    assert "stage" not in (inspect_image(render.draw_image(RECIPE)).label or {})
    assert RECIPE.digest == replace(RECIPE, partial=PartialImage(1, 2)).digest
    for stage in (PartialImage(0, 1), PartialImage(2, 1), PartialImage(1, 4)):
        with pytest.raises(ValueError, match=f"partial image {stage} is none"):
            replace(RECIPE, partial=stage)


# --- the SDKs ---


def test_the_sdk_reads_a_stream(server: Served, key: str) -> None:
    """The SDK's own types, checked strictly, in their order; the last picture is that of a call without a stream."""
    strict = openai.OpenAI(base_url=server.base("aiai"), api_key=key, _strict_response_validation=True)
    with strict as client:
        events = [
            *client.images.generate(
                model="gpt-image-1", prompt="A lighthouse", stream=True, partial_images=2, size="1536x1024"
            )
        ]
        whole = client.images.generate(model="gpt-image-1", prompt="A lighthouse", size="1536x1024")
    names = ["ImageGenPartialImageEvent", "ImageGenPartialImageEvent", "ImageGenCompletedEvent"]
    assert names == [type(event).__name__ for event in events]
    last = events[-1]
    assert "image_generation.completed" == last.type
    assert (6208 + 200, 6208 + 200 + 9) == (last.usage.output_tokens, last.usage.total_tokens)
    assert (whole.data or [])[0].b64_json == last.b64_json


def test_a_model_of_today_streams(server: Served, key: str) -> None:
    """OpenAI's own streams: tokens by its formula, any size, and the caller's safety_identifier in the last event."""
    with openai.OpenAI(base_url=server.base("openai"), api_key=key, _strict_response_validation=True) as client:
        asked: dict[str, Any] = {"size": "1280x720", "quality": "low", "partial_images": 1, "safety_identifier": "u-1"}
        events = [*client.images.generate(model="gpt-image-2", prompt="A cat", stream=True, **asked)]
        strange: dict[str, Any] = {"stream": True, "partial_images": 4}
        with pytest.raises(openai.BadRequestError):
            client.images.generate(model="gpt-image-2", prompt="A cat", **strange)
    partial, last = events
    assert ("1280x720", "1280x720", "low") == (partial.size, last.size, last.quality)
    assert (106 + 100, "u-1") == (last.usage.output_tokens, last.safety_identifier)
    assert [(1280, 720)] * 2 == [opened(event.b64_json).size for event in events]
    assert "safety_identifier" not in partial.model_dump(exclude_unset=True)


async def test_the_asynchronous_sdk_too(server: Served, key: str) -> None:
    """AsyncOpenAI reads the same events."""
    async with openai.AsyncOpenAI(base_url=server.base("aiai"), api_key=key) as client:
        answer = await client.images.generate(
            model="gpt-image-1", prompt="A lighthouse", quality="low", stream=True, partial_images=3
        )
        events = [event async for event in answer]
    assert [0, 1, 2, None] == [getattr(event, "partial_image_index", None) for event in events]
    assert 4 == len({event.b64_json for event in events})


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"size": "1x1"}, 400, "invalid_value"), ({"partial_images": 4}, 400, "integer_above_max_value"),
        ({"n": 11}, 400, "integer_above_max_value"), ({"prompt": "A cat [[rate-limit]]"}, 429, "rate_limit_exceeded"),
        ({"model": "dall-e-3", "quality": "hd"}, 400, "unsupported_value"),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_refused_is_no_stream(server: Served, key: str, change: dict[str, Any], status: int, code: str) -> None:
    """What is wrong from the beginning is told as plain JSON: the SDK raises what it raises without a stream."""
    client = openai.OpenAI(base_url=server.base("aiai"), api_key=key, max_retries=0)
    with client, pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(**{**BODY, **change})
    assert (status, code) == (caught.value.status_code, caught.value.code)
    assert "application/json" == caught.value.response.headers["content-type"]


# --- scripts ---


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("server_error",
         {"type": "image_generation_server_error", "code": "image_generation_failed",
          "message": "Image generation failed", "param": None}),
        ({"kind": "moderation", "code": "x", "message": "No {n}", "param": "prompt"},
         {"type": "image_generation_user_error", "code": "x", "message": "No {n}", "param": "prompt"}),
    ],
)  # fmt: skip
def test_an_error_in_the_middle(server: Served, key: str, error: Any, expected: dict[str, Any]) -> None:
    """It is nested, under the name `error`, in the place of the finished picture, and the SDK raises it."""
    headers = play(server, "stream-middle", {"draw": {"partials": 1, "error": error}})
    response = server.generate("aiai", {**BODY, "partial_images": 3, "n": 2}, **headers)
    (first, _), last = told(response.text)
    assert ("image_generation.partial_image", ("error", {"type": "error", "error": expected})) == (first, last)
    assert json.dumps(last[1]) == json.dumps({"type": "error", "error": expected})
    call = journalled(server, "stream-middle")
    assert (200, True, 2, []) == (call["status"], call["sent"], call["events"], call["pictures"])
    with openai.OpenAI(base_url=server.base("aiai"), api_key=key, default_headers=headers) as client:
        events = client.images.generate(**{**BODY, "partial_images": 3})
        assert "image_generation.partial_image" == next(events).type
        with pytest.raises(openai.APIError, match=expected["message"]) as caught:
            next(events)
    assert (expected["code"], openai.APIError) == (caught.value.code, type(caught.value))


def test_without_a_stream_the_error_is_a_refusal(server: Served) -> None:
    """A call that asks for no stream meets the same scenario as a refusal, with its headers and its wait."""
    headers = play(server, "stream-plain", {"draw": {"error": "rate_limit"}, "headers": {"retry-after": "7"}})
    refused = server.generate("aiai", {**BODY, "stream": False}, **headers)
    assert (429, "7") == (refused.status_code, refused.headers["retry-after"])
    assert "try again in 7s" in refused.json()["error"]["message"]
    ((_, event),) = told(server.generate("aiai", BODY, **headers).text)
    assert "try again in 7s" in event["error"]["message"]


def test_fewer_unfinished_pictures_than_asked(server: Served) -> None:
    """The first ones come, they are those that would have come, and usage counts them alone."""
    headers = play(server, "stream-fewer", *({"draw": {"partials": count}} for count in (1, 0, 9)))
    all_three = ask(server, partial_images=3)
    for count in (1, 0, 3):
        events = told(server.generate("aiai", {**BODY, "partial_images": 3}, **headers).text)
        pictures = [event["b64_json"] for _, event in all_three]
        assert [*pictures[:count], pictures[3]] == [event["b64_json"] for _, event in events]
        assert 272 + 100 * count == events[-1][1]["usage"]["output_tokens"]


def test_what_else_a_script_says_of_a_stream(server: Served) -> None:
    """It is about the event of the finished picture; those of the unfinished ones stay as they are."""
    changes = {
        "created": 5, "omit": ["quality"], "set": {"/usage/output_tokens": 1, "/own": [2]},
        "usage": {"prompt_tokens": 3},
        "picture": {"size": "64x96", "base64": "data_url"}, "metadata": {"queue": "slow"}, "revised_prompt": "A {size}",
    }  # fmt: skip
    headers = play(server, "stream-changed", {"draw": changes})
    (_, partial), (_, last) = told(server.generate("aiai", {**BODY, "partial_images": 1}, **headers).text)
    assert PARTIAL == list(partial)
    assert (1024, 1024) == opened(partial["b64_json"]).size
    assert (64, 96) == opened(last["b64_json"].removeprefix("data:image/png;base64,")).size
    assert (5, 5, [2], {"queue": "slow"}) == (partial["created_at"], last["created_at"], last["own"], last["metadata"])
    assert ("A 1024x1024", 1, 3) == (
        last["revised_prompt"],
        last["usage"]["output_tokens"],
        last["usage"]["prompt_tokens"],
    )
    assert "quality" not in last
    assert changes["picture"] == journalled(server, "stream-changed")["pictures"][0]["altered"]


def test_pictures_that_do_not_come(server: Served) -> None:
    """Of fewer pictures than asked those come, of none a stream without an event, as of Base64 that is null a link."""
    headers = play(
        server, "stream-none", {"draw": {"images": 1}}, {"draw": {"images": 0}}, {"draw": {"picture": {"base64": None}}}
    )
    assert 1 == len(told(server.generate("aiai", {**BODY, "n": 3}, **headers).text))
    assert "" == server.generate("aiai", {**BODY, "n": 3}, **headers).text
    ((_, event),) = told(server.generate("aiai", BODY, **headers).text)
    assert event["b64_json"] is None
    assert httpx.get(event["url"]).content.startswith(b"\x89PNG")


def test_reserved_values_work_on_streams(server: Served) -> None:
    """A fault by its word in the prompt, without a script."""
    names = [name for name, _ in ask(server, prompt="A cat [[missing-final-event]]", partial_images=2)]
    assert ["image_generation.partial_image"] * 2 == names
    names = [name for name, _ in ask(server, prompt="A cat [[duplicate-event]]")]
    assert ["image_generation.completed"] * 2 == names


def test_what_breaks_off_costs_nothing(server: Served) -> None:
    """A ceiling counts what was finished alone, and the tokens of the unfinished pictures before it."""
    for session, cost, partials, expected in (
        ("stream-costly", 0.012, 0, [200, 200, 400]), ("stream-costlier", 0.012, 3, [400, 400, 400]),
        ("stream-rich", 0.05, 3, [200] * 3),
    ):  # fmt: skip
        rules = [{"answers": [{"draw": {"error": "server_error"}}, "draw"]}]
        limited = {"limits": {"cost": cost}, "rules": rules}
        assert 200 == httpx.put(f"{server.url}/_emulator/sessions/{session}/scenario", json=limited).status_code
        body, headers = {**BODY, "partial_images": partials}, {"x-emulator-session": session}
        assert expected == [server.generate("aiai", body, **headers).status_code for _ in range(3)]


# --- time ---


class Slow(Clock):
    """A clock that says what it was asked to wait for, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0, 0)
        self.diary: list[Any] = []

    async def sleep(self, seconds: float, session: str) -> None:
        self.diary.append((seconds, session))


class RecordingStore(ImageStore):
    """An image store that records which pictures were asked for."""

    def __init__(self, diary: list[Any]) -> None:
        super().__init__(0, InMemoryStore(StoreLimits(calls=1, bytes=1, sessions=1, age=1)))
        self._diary = diary

    async def draw(self, recipe: ImageRecipe, files: Files = NO_FILES) -> Picture:
        """Nothing is drawn; ZeroDivisionError for a picture of the width 13."""
        self._diary.append((recipe.index, recipe.partial))
        return Picture(bytes(1 // (recipe.width - 13)) or b"x")


def order(**change: Any) -> streaming.EventStream:
    """Two pictures with two stages each, in twelve seconds."""
    usual = streaming.EventStream(
        start="p", shape=StreamShape({"generate": "p"}), recipes=(RECIPE, replace(RECIPE, index=1)),
        items=({"b64_json": ""}, {"b64_json": ""}), common={"created": 1},
        partials=streaming.list_partial_images(2, None),
        error=None,
        describe_failure=lambda: {"code": "broken"}, seconds=12.0, session="s", files=NO_FILES,
    )  # fmt: skip
    return replace(usual, **change)


async def test_an_event_is_made_when_it_is_wanted() -> None:
    """Nothing is drawn before its turn, and a latency is spread over the events in equal parts."""
    clock = Slow()
    image_store = RecordingStore(clock.diary)
    expected: list[Any] = []
    frames = streaming.make_events(order(), image_store, clock)
    assert [] == clock.diary
    for index in (0, 1):
        for stage in (PartialImage(1, 2), PartialImage(2, 2), None):
            await anext(frames)
            expected += [(2.0, "s"), (index, stage)]
            assert expected == clock.diary
    assert [] == [frame async for frame in frames]


async def test_an_error_takes_the_place_of_the_rest() -> None:
    """The time is that of the events that come."""
    clock = Slow()
    image_store = RecordingStore(clock.diary)
    frames = [frame async for frame in streaming.make_events(order(error={"code": "x"}), image_store, clock)]
    assert (3, b'event: error\ndata: {"type":"error","error":{"code":"x"}}\n\n') == (len(frames), frames[-1])
    assert [(4.0, "s"), (0, PartialImage(1, 2)), (4.0, "s"), (0, PartialImage(2, 2)), (4.0, "s")] == clock.diary


async def test_what_fails_in_the_middle_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A bug of ours ends a stream with an error in the gateway's words, and its trace is in the log."""
    clock = Slow()
    broken = order(recipes=(RECIPE, replace(RECIPE, width=13)))
    frames = [frame async for frame in streaming.make_events(broken, RecordingStore(clock.diary), clock)]
    assert (4, b'event: error\ndata: {"type":"error","error":{"code":"broken"}}\n\n') == (len(frames), frames[-1])
    (record,) = caplog.records
    assert record.exc_info is not None
    assert ZeroDivisionError is record.exc_info[0]


@pytest.mark.parametrize(
    ("asked", "shown", "expected"),
    [(3, None, 3), (2, 1, 1), (2, 5, 2), (0, 3, 0), (None, 2, 0), (9, None, 3), ("2", None, 0), (True, None, 0)],
)
def test_stages(asked: Any, shown: int | None, expected: int) -> None:
    """As many as are asked for, no more than there can be, and of those as many as a script shows."""
    assert expected == len(streaming.list_partial_images(asked, shown))


def test_a_latency_takes_no_time_under_a_frozen_clock(serve: Callable[..., Served]) -> None:
    """The clock has moved on by the whole latency when the last event has come, the answer's beginning not counted."""
    served = serve(clock="frozen:2026-01-01T00:00:00Z")
    headers = play(served, "late", {"latency": "40m"})
    events = told(served.generate("aiai", {**BODY, "partial_images": 3}, **headers).text)
    assert {1767225600} == {event["created_at"] for _, event in events}
    call = journalled(served, "late")
    assert (2400.0, 2400.0) == (call["latency"], call["duration"])


# --- the wire ---


class Held:
    """A server whose finished pictures wait until they are let go; `ended` gets each call's entry."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.drawn: queue.Queue[PartialImage | None] = queue.Queue()
        self.ended: queue.Queue[JournalEntry] = queue.Queue()
        self.free = asyncio.Event()
        served.app.observers.append(lambda record: self.ended.put(record.entry))
        self._usual = served.app.image_store.draw
        served.app.image_store.draw = self._picture  # type: ignore[method-assign]

    async def _picture(self, recipe: ImageRecipe, files: Files = NO_FILES) -> Picture:
        if recipe.partial is None:
            await self.free.wait()
        self.drawn.put(recipe.partial)
        return await self._usual(recipe, files)

    def let_go(self) -> None:
        """Let the finished pictures be drawn."""
        self.served._loop.call_soon_threadsafe(self.free.set)


@pytest.fixture
def held(serve: Callable[..., Served]) -> Held:
    """A server of the test's own."""
    return Held(serve())


def connect(served: Served, version: str = "1.1", **params: Any) -> socket.socket:
    """A raw connection on which a stream has been asked for."""
    body = json.dumps({**BODY, "partial_images": 1, **params}).encode()
    head = f"POST /aiai/v1/images/generations HTTP/{version}\r\nHost: here\r\nAuthorization: Bearer sk-raw\r\n"
    line = socket.create_connection(("127.0.0.1", served.port), timeout=10)
    line.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return line


def until(line: socket.socket, end: bytes) -> bytes:
    """What comes up to `end`, or to the end of the connection where that is empty."""
    got = b""
    while not end or end not in got:
        piece = line.recv(65536)
        if not piece:
            assert not end, got[-200:]
            return got
        got += piece
    return got


def test_an_event_leaves_when_it_is_made(held: Held) -> None:
    """The first one is with the client, whole, while the last has not even been drawn; then that comes too."""
    with closing(connect(held.served)) as line:
        first = until(line, b'"output_format":"png"}\n\n')
        assert b'"type":"image_generation.partial_image"' in first
        assert b"completed" not in first
        assert PartialImage(1, 1) == held.drawn.get(timeout=10)
        assert held.drawn.empty()
        held.let_go()
        assert b'"type":"image_generation.completed"' in until(line, b"\r\n0\r\n\r\n")
    entry = held.ended.get(timeout=10)
    assert (True, 2) == (entry.sent, entry.events)


def test_an_older_client_reads_to_the_end(held: Held) -> None:
    """HTTP/1.0 knows no chunks: the stream ends with the connection."""
    held.let_go()
    with closing(connect(held.served, "1.0")) as line:
        head, _, body = until(line, b"").partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert ["image_generation.partial_image", "image_generation.completed"] == [n for n, _ in told(body.decode())]


@pytest.mark.parametrize("answer", ["draw", {"faults": ["slow_body"]}], ids=["plain", "with a fault"])
def test_a_client_may_leave(held: Held, caplog: pytest.LogCaptureFixture, answer: Any) -> None:
    """It is no error and no warning; nothing more is made, and the journal says how far it came."""
    play(held.served, "leaving", answer)
    with caplog.at_level(logging.DEBUG, "emulator"), closing(connect(held.served, n=3)) as line:
        until(line, b'"output_format":"png"}\n\n')
        line.close()
        entry = held.ended.get(timeout=10)
    assert (False, 1) == (entry.sent, entry.events)
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    held.let_go()
    assert 200 == held.served.generate("aiai", {**BODY, "stream": False, "n": 1}).status_code
    assert [PartialImage(1, 1), None] == [held.drawn.get(timeout=10) for _ in range(2)]


def test_the_sdk_may_leave(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK closes a stream of which it has read one event, or none at all."""
    with openai.OpenAI(base_url=held.served.base("aiai"), api_key="sk-x") as client:
        for events in (1, 0):
            with client.images.generate(**{**BODY, "partial_images": 1, "prompt": f"{events} events"}) as answer:
                for _ in range(events):
                    next(iter(answer))
            entry = held.ended.get(timeout=10)
            assert (False, 1, 200) == (entry.sent, entry.events, entry.status)
    assert [] == [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_server_stops_with_a_stream_under_way(caplog: pytest.LogCaptureFixture) -> None:
    """It waits for no picture that nobody finishes; the journal has what was sent, and the log says how many calls."""
    held = Held(Served())
    with closing(connect(held.served)) as line:
        until(line, b'"output_format":"png"}\n\n')
        held.served.stop()
        assert b"completed" not in until(line, b"")
    entry = held.ended.get(timeout=10)
    assert ("under_way", 200, True) == (entry.state, entry.status, entry.bytes_sent > 0)
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert ["stopped before 1 call under way was answered"] == warnings


# --- gateways' files ---


SCHEMA: Final = """\
openapi: 3.1.0
info: {title: Streams, version: "1"}
servers: [{url: https://streams.test/v1}]
paths:
  /images/generations:
    post:
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Generate"}}}}
      responses: {"200": {description: The pictures}}
components:
  schemas:
    Generate:
      type: object
      required: [prompt]
      x-emulator-reply:
        fields: [created, data, usage]
        usage: gpt-image-1
        stream: STREAM
      properties:
        prompt: {type: string}
        n: {type: integer, maximum: 4}
        stream: {type: boolean}
        partial_images: {type: integer}
        response_format: {enum: [url, b64_json]}
"""


def schema(folder: Path, shape: Mapping[str, Any]) -> str:
    """The file of a gateway whose streams are like that."""
    path = folder / "streams.yaml"
    path.write_text(SCHEMA.replace("STREAM", json.dumps(shape)), "utf-8")
    return str(path)


def test_a_stream_made_of_a_whole_answer(serve: Callable[..., Served], tmp_path: Path) -> None:
    """As a relay makes it whose upstream does not stream: no unfinished pictures, the usage of all, and [DONE]."""
    shape = {
        "generate": "image_generation", "done": True, "partials": False,
        "completed": ["b64_json", "created_at", "revised_prompt", "type", "url", "usage"],
    }  # fmt: skip
    served = serve(schema=[schema(tmp_path, shape)])
    events = ask(served, "streams", model=None, n=2, partial_images=3)
    assert ["image_generation.completed", "image_generation.completed", None] == [name for name, _ in events]
    assert [["created_at", "type", "url", "usage"]] * 2 == [list(event) for _, event in events[:2]]
    assert "[DONE]" == events[2][1]
    assert [2 * 272] * 2 == [event["usage"]["output_tokens"] for _, event in events[:2]]
    assert httpx.get(events[0][1]["url"]).content.startswith(b"\x89PNG")
    inline = ask(served, "streams", model=None, response_format="b64_json")
    assert ["b64_json", "created_at", "type", "usage"] == list(inline[0][1])
    assert (1024, 1024) == opened(inline[0][1]["b64_json"]).size
    headers = play(served, "done", {"draw": {"images": 0}}, {"faults": ["missing_final_event"]})
    texts = [served.generate("streams", {**BODY, "n": 2}, **headers).text for _ in range(2)]
    assert ["data: [DONE]\n\n", 1] == [texts[0], texts[1].count("event: ")]
    assert "[DONE]" not in texts[1]


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ({}, "stream: expected a name for generate or edit"),
        ({"generate": 5}, "generate is 5; expected small letters"),
        ({"generate": "a\nb"}, "generate is 'a\\nb'; expected small letters"),
        ({"generate": "p", "draw": "p"}, "unknown key 'draw'"),
        ({"generate": "p", "done": 1}, "done is 1; expected true or false"),
        ({"generate": "p", "partials": "no"}, "partials is 'no'; expected true or false"),
        ({"generate": "p", "completed": ["type", "picture"]}, "completed.1 is 'picture'; expected one of type"),
        ({"generate": "p", "completed": "type"}, "completed is 'type'; expected a list"),
    ],
    ids=str,
)
def test_a_slip_in_a_stream_stops_the_start(tmp_path: Path, shape: Mapping[str, Any], complaint: str) -> None:
    """What cannot be meant is refused with the file and what is known."""
    path = Path(schema(tmp_path, shape))
    with pytest.raises(InvalidFile) as caught:
        load_gateway(path)
    assert complaint in str(caught.value)
    assert str(caught.value).startswith(str(path))


def journalled(served: Served, session: str) -> dict[str, Any]:
    """The latest call of a session; it is written down just after its answer has been sent."""
    for _ in range(1000):
        if calls := served.calls(session):
            return calls[-1]
    raise AssertionError(f"no call of session {session} was journalled")
