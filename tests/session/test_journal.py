"""The journal's entries: frozen plain values, which hold the call, the refusal and the response, without any key."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from emulator.image.recipe import ImageRecipe
from emulator.session.journal import JournalEntry, entry_from_plain
from emulator.session.response_record import LONGEST_BODY, EventRecorder, read_body, read_events, record_body
from tests.conftest import Served

CAT = {"prompt": "A cat", "size": "256x256"}
FROZEN = "frozen:2026-01-01T00:00:00Z"
PICTURE = ImageRecipe(
    gateway="ezmodel", model="m", caption="x", prompt_hash="0" * 16, width=64, height=32, quality="standard",
    background="opaque", format="png", compression=None, index=0, seed=0,
)  # fmt: skip


def ask(served: Served, gateway: str, body: Any, session: str = "journal", **headers: str) -> httpx.Response:
    """The answer to a call of a session."""
    return served.generate(gateway, body, **{"x-emulator-session": session, **headers})


def play(served: Served, *answers: Any, session: str = "journal") -> None:
    """Let a session play these answers."""
    url = f"{served.url}/_emulator/sessions/{session}/scenario"
    assert 200 == httpx.put(url, json={"rules": [{"answers": list(answers)}]}).status_code


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """A server of the test's own."""
    return serve(clock=FROZEN)


def test_an_entry_is_frozen_and_json_can_hold_it(served: Served) -> None:
    """Every field survives JSON, nothing can be written into an entry, and it is shown the same afterwards."""
    entries: list[JournalEntry] = []
    served.app.observers.append(lambda record: entries.append(record.entry))
    play(served, {"draw": {"images": 1}, "latency": "1s"}, {"refuse": "rate_limit"})
    ask(served, "ezmodel", {**CAT, "n": 2})
    ask(served, "ezmodel", CAT)
    ask(served, "ezmodel", {**CAT, "size": "1x1"})
    httpx.get(f"{served.base('aiai')}/models", headers={"authorization": "Bearer k"})
    assert 4 == len(served.calls("journal")) + 1
    for entry in entries:
        again = entry_from_plain(json.loads(json.dumps(entry.to_plain())))
        assert entry.to_json() == again.to_json()
        with pytest.raises(AttributeError):
            entry.model = "another"  # type: ignore[misc]


def test_a_refused_call_names_the_model_whose_rules_it_broke(served: Served) -> None:
    """A body without a model is refused by the rules of the gateway's default model, and the journal names that."""
    assert 400 == ask(served, "ezmodel", {"prompt": "A cat", "size": "1x1"}).status_code
    assert 400 == ask(served, "ezmodel", {"prompt": "A cat", "size": "1x1", "model": "dall-e-3"}).status_code
    assert ["dall-e-2", "dall-e-3"] == [call["model"] for call in served.calls("journal")]


def test_the_response_is_kept(served: Served) -> None:
    """Status, headers and body are those that the client got, of answers and of refusals."""
    for body in (CAT, {**CAT, "size": "1x1"}):
        answer = ask(served, "ezmodel", body)
        kept = served.calls("journal")[-1]["response"]
        assert (answer.status_code, answer.json(), None) == (kept["status"], kept["body"], kept["events"])
        assert dict(answer.headers) == {name.lower(): value for name, value in kept["headers"].items()}


def test_a_picture_in_base64_is_a_reference(served: Served) -> None:
    """Digest, format, size and length stand in the place of each picture; the digest is the picture's recipe."""
    answer = ask(served, "ezmodel", {**CAT, "n": 2, "response_format": "b64_json"}).json()
    call = served.calls("journal")[-1]
    references = [item["b64_json"] for item in call["response"]["body"]["data"]]
    assert [one["recipe"] for one in call["pictures"]] == [one["digest"] for one in references]
    for item, reference in zip(answer["data"], references, strict=True):
        assert ("png", "256x256", len(item["b64_json"])) == tuple(
            reference[name] for name in ("format", "size", "length")
        )
    assert answer["created"] == call["response"]["body"]["created"]


def test_a_picture_in_base64_is_a_reference_however_it_is_written(served: Served) -> None:
    """A scenario that changes the body or the spelling of Base64 leaves no picture in the journal."""
    play(served, {"draw": {"picture": {"base64": "wrapped"}, "set": {"/created": 5}}})
    ask(served, "ezmodel", {**CAT, "response_format": "b64_json"})
    body = served.calls("journal")[-1]["response"]["body"]
    assert (5, {"digest", "format", "size", "length"}) == (body["created"], set(body["data"][0]["b64_json"]))


def test_what_a_fault_leaves_of_a_response_is_kept(served: Served) -> None:
    """The journal shows the bytes that were sent, not those that the gateway meant."""
    play(served, {"faults": ["malformed_json"]}, {"faults": ["empty_body"]}, {"faults": ["duplicate_header"]})
    broken, empty, twice = (ask(served, "ezmodel", CAT) for _ in range(3))
    kept = [call["response"] for call in served.calls("journal")]
    assert [broken.text, None, twice.json()] == [one["body"] for one in kept]
    assert [one.headers["content-type"] for one in (broken, empty, twice)] == [
        one["headers"]["Content-Type"] for one in kept
    ]


def test_the_events_of_a_stream_are_kept_with_their_offsets(served: Served) -> None:
    """Each event by its name, its data without pictures, and the seconds since the call began."""
    play(served, {"latency": "4s"})
    body = {"model": "gpt-image-1", "prompt": "A cat", "size": "1024x1024", "stream": True, "partial_images": 1}
    ask(served, "aiai", body)
    call = served.calls("journal")[-1]
    partial, completed = call["response"]["events"]
    assert [(2.0, "image_generation.partial_image"), (4.0, "image_generation.completed")] == [
        (event["offset"], event["event"]) for event in (partial, completed)
    ]
    assert {call["pictures"][0]["recipe"]} == {event["data"]["b64_json"]["digest"] for event in (partial, completed)}
    assert ("image_generation.completed", None) == (completed["data"]["type"], call["response"]["body"])


def test_keys_are_redacted_in_the_response(served: Served) -> None:
    """A key that comes back in a body or in a header is shown nowhere."""
    key = "my-own-gateway-key-0815"
    answers = {"canned": {"json": {"echo": f"your key is {key}"}}, "headers": {"X-Echo": key}}
    play(served, answers)
    ask(served, "ezmodel", CAT, authorization=f"Bearer {key}")
    response = served.calls("journal")[-1]["response"]
    assert ({"echo": "your key is ***"}, "***") == (response["body"], response["headers"]["X-Echo"])


def test_bodies_are_bounded() -> None:
    """A text is kept up to its limit; what is longer, or no text, is kept by its digest and length."""
    text = b"x" * LONGEST_BODY
    assert text.decode() == record_body(text, ())
    for body in (text + b"x", b"\xff\xfe"):
        assert {"digest": hashlib.sha256(body).hexdigest(), "length": len(body)} == record_body(body, ())
    assert record_body(b"", ()) is None


def test_a_cut_body_and_surplus_pictures_have_references() -> None:
    """A picture that the body breaks off in counts as far as it came; one without a recipe has a length alone."""
    data = base64.b64encode(b"x" * 300)
    cut = record_body(b'{"data":[{"b64_json":"' + data, [PICTURE])
    reference = {"digest": PICTURE.digest, "format": "png", "size": "64x32", "length": 400}
    assert '{"data":[{"b64_json":' + json.dumps(reference) == cut
    more = record_body(b'[{"b64_json": "%b"},{"b64_json": "%b"},{"b64_json": ""}]' % (data, data), [PICTURE])
    unknown = {"digest": None, "format": None, "size": None, "length": 400}
    assert [{"b64_json": reference}, {"b64_json": unknown}, {"b64_json": ""}] == read_body(more, "application/json")


def test_each_picture_of_a_stream_has_its_own_reference() -> None:
    """The unfinished forms of a picture refer to the finished one, and the next picture's events to the next."""
    second = replace(PICTURE, index=1)
    recorder = EventRecorder([PICTURE, second], lambda: 0.0)
    data = base64.b64encode(b"x" * 300)
    for kind in (b"partial_image", b"completed", b"partial_image", b"completed"):
        recorder.add(b'event: x.%b\ndata: {"type":"x.%b","b64_json":"%b"}\n\n' % (kind, kind, data))
    digests = [event["data"]["b64_json"]["digest"] for event in read_events(recorder.events)]
    assert [PICTURE.digest, PICTURE.digest, second.digest, second.digest] == digests
    assert PICTURE.digest != second.digest


def test_events_are_recorded_from_any_chunks() -> None:
    """An event counts when its last byte was sent, however it is cut; the events together are bounded."""
    now = iter(range(1, 10))
    recorder = EventRecorder([], lambda: next(now))
    for chunk in (b"event: a\nda", b"ta: 1\n", b"\nevent: b\ndata: {}\n\ndata: [DONE]\n\n", b"data: cut"):
        recorder.add(chunk)
    assert [
        {"offset": 1, "event": "a", "data": 1},
        {"offset": 2, "event": "b", "data": {}},
        {"offset": 3, "event": None, "data": "[DONE]"},
    ] == read_events(recorder.events)
    recorder.add(b"x" * LONGEST_BODY + b"\n\n")
    assert 3 == len(recorder.events)
