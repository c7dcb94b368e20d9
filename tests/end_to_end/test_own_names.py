"""A gateway whose parameters all have names of its own: what OpenAI calls `prompt` is `text` there, and so on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from emulator.client.api import ImageApi
from tests.conftest import Served
from tests.paths import TESTS
from tests.uploads import data_url, draw_file

GATEWAY: Final = "own-names"
FILE: Final = TESTS / "data" / f"{GATEWAY}.yaml"
MANY: Final = 6
"""How often a call is sent, with other prompts or the same: from the third time on it is answered from memory."""


@pytest.fixture(scope="module")
def own() -> Iterator[Served]:
    """A server with the gateway."""
    served = Served(schema=(str(FILE),), gateway=GATEWAY)
    yield served
    served.stop()


def _ask(
    own: Served, body: Any, *, path: str = "/draw", session: str = "own", headers: Any = None, **more: Any
) -> httpx.Response:
    sent = {"Authorization": "Bearer sk-own", "X-Emulator-Session": session, **(headers or {})}
    return httpx.post(f"{own.url}/{GATEWAY}/v3{path}", json=body, headers=sent, **more)


def _get(own: Served, answer: httpx.Response, place: int = 0) -> bytes:
    return httpx.get(answer.json()["data"][place]["url"]).content


def test_each_parameter_acts_under_its_own_name(own: Served) -> None:
    """Count, size, delivery and format are as asked for, and the picture depends on the prompt."""
    links = _ask(own, {"engine": "fresco", "text": "A boat", "copies": 3, "area": "256x256"}).json()["data"]
    assert [["url"]] * 3 == [list(item) for item in links]
    inline = _ask(own, {"text": "A boat", "deliver": "inline", "encoding": "WEBP"}, session="inline").json()["data"]
    assert [["b64_json"]] == [list(item) for item in inline]
    (call,) = own.calls("inline")
    assert {"text": "A boat", "deliver": "inline", "encoding": "WEBP"} == call["given"]
    assert {"text": "A boat", "deliver": "b64_json", "encoding": "webp", "area": "512x512"} == call["params"]
    assert ("fresco", "webp", 512) == (call["model"], call["pictures"][0]["format"], call["pictures"][0]["width"])
    boat, cat, again = (_ask(own, {"text": text}) for text in ("A boat", "A cat", "A boat"))
    assert _get(own, boat) == _get(own, again) != _get(own, cat)


def test_the_prompt_is_the_one_of_openai(own: Served) -> None:
    """The label of a picture has the hash of the prompt, as it is for the same prompt at any other gateway."""
    _ask(own, {"text": "A boat"}, session="hash")
    headers = {"Authorization": "Bearer sk-own", "X-Emulator-Session": "hash-openai"}
    body = {"model": "gpt-image-2", "prompt": "A boat"}
    httpx.post(f"{own.base('openai')}/images/generations", json=body, headers=headers)
    hashes = {own.calls(session)[0]["pictures"][0]["prompt_hash"] for session in ("hash", "hash-openai")}
    assert 1 == len(hashes)


@pytest.mark.parametrize(
    ("body", "param", "message"),
    [
        ({"engine": "fresco"}, "text", "Missing required parameter: 'text'."),
        ({"text": 5}, "text", None),
        ({"text": "x" * 201}, "text", None),
        ({"text": "x", "copies": 9}, "copies", None),
        ({"text": "x", "copies": 0}, "copies", None),
        ({"text": "x", "area": "1x1"}, "area", None),
        ({"text": "x", "deliver": "b64_json"}, "deliver", None),
        ({"text": "x", "engine": "oil"}, "engine", None),
        ({"text": "x", "engine": 5}, "engine", None),
        ({"text": "x", "prompt": "y"}, "prompt", "Unknown parameter: 'prompt'."),
        ({"text": "x", "model": "fresco"}, "model", "Unknown parameter: 'model'."),
        ({"text": "x", "live": True}, "live", None),
    ],
)
def test_a_refusal_names_the_parameter_as_the_gateway_does(
    own: Served, body: dict[str, Any], param: str, message: str | None
) -> None:
    """Each kind of refusal, and the journal's entry of it, has the gateway's own name."""
    session = f"refused-{sorted(body.items())}"
    session = "".join(letter for letter in session if letter.isalnum())[:40]
    answer = _ask(own, body, session=session)
    assert answer.status_code in (400, 404)
    error = answer.json()["error"]
    assert (param, True) == (error["param"], message in (None, error["message"]))
    (call,) = own.calls(session)
    assert (param, body) == (call["refused"]["param"], call["given"])
    named = body.get("engine", "fresco")
    assert call["model"] == (named if isinstance(named, str) else None)


def test_a_scripted_refusal_names_them_too(own: Served) -> None:
    """What a scenario refuses is told as the gateway would tell it."""
    image_api = ImageApi(own.url, "scripted", gateway=GATEWAY)
    for kind, param in (("invalid_request", "text"), ("unknown_model", "engine")):
        image_api.play({"rules": [{"answers": {"refuse": kind}}]})
        assert param == _ask(own, {"text": "x"}, session="scripted").json()["error"]["param"]


def test_a_stream(own: Served) -> None:
    """It is asked for, and its unfinished pictures are counted, by the gateway's own names."""
    body = {"engine": "sketch", "text": "A boat", "live": True, "drafts": 2}
    answer = _ask(own, body, session="stream")
    assert "text/event-stream" in answer.headers["content-type"]
    events = [line.removeprefix("event: ") for line in answer.text.splitlines() if line.startswith("event: ")]
    assert ["image_generation.partial_image"] * 2 + ["image_generation.completed"] == events


def test_edits_in_json_and_in_a_form(own: Served) -> None:
    """Both kinds of body have the model, the prompt and the count under the gateway's names."""
    first = _ask(own, {"engine": "any", "text": "At night", "photo": data_url(draw_file())}, path="/redraw")
    other = _ask(own, {"engine": "any", "text": "At noon", "photo": data_url(draw_file())}, path="/redraw")
    assert (200, 200) == (first.status_code, other.status_code)
    assert _get(own, first) != _get(own, other)
    headers = {"Authorization": "Bearer sk-own", "X-Emulator-Session": "form"}
    fields = {"engine": "any", "text": "At night", "copies": "2"}
    files = {"image": ("a.png", draw_file(), "image/png")}
    url = f"{own.url}/{GATEWAY}/v3/redraw"
    answer = httpx.post(url, data=fields, files=files, headers=headers)
    assert (200, 2) == (answer.status_code, len(answer.json()["data"]))
    (call,) = own.calls("form")
    assert ("any", {**fields, "copies": 2}) == (call["model"], call["params"])
    wrong = httpx.post(url, data={**fields, "copies": "two"}, files=files, headers=headers)
    assert (400, "copies") == (wrong.status_code, wrong.json()["error"]["param"])


@pytest.mark.parametrize("when", [{"text": {"contains": "cat"}}, {"prompt": {"contains": "cat"}}])
def test_a_rule_takes_either_name(own: Served, when: Any) -> None:
    """`when` and `verify` know a parameter by the gateway's name and by OpenAI's, and the model as `model`."""
    session = f"rule-{next(iter(when))}"
    image_api = ImageApi(own.url, session, gateway=GATEWAY)
    image_api.play({"rules": [{"when": {**when, "model": "fresco", "n": 2}, "answers": {"refuse": "moderation"}}]})
    texts = ("A boat", "A cat", "A black cat")
    statuses = [_ask(own, {"text": text, "copies": 2}, session=session).status_code for text in texts]
    assert [200, 400, 400] == statuses
    image_api.verify(when={"text": "A boat", "copies": 2}, times=1)
    image_api.verify(prompt="A boat", n=2, times=1)
    image_api.verify(prompt="A horse", never=True)


def test_reserved_values_and_slips(own: Served) -> None:
    """They are taken from the gateway's own prompt and model."""
    assert 429 == _ask(own, {"text": "A cat [[rate-limit]]"}, session="reserved").status_code
    assert 429 == _ask(own, {"text": "A cat", "engine": "fresco:rate-limit"}, session="reserved").status_code
    assert 200 == _ask(own, {"text": "A cat [[rate-limt]]"}, session="reserved").status_code
    prompt, model, slip = own.calls("reserved")
    assert {"text": "A cat"} == prompt["given"]
    assert {"text": "A cat", "engine": "fresco"} == model["given"]
    assert [("unknown_mark", "text")] == [(finding["code"], finding["param"]) for finding in slip["findings"]]


def test_calls_that_come_again_with_the_same_and_other_prompts(own: Served) -> None:
    """Each gets the picture of its own prompt, on one connection, also where the prompt alone is new."""
    with httpx.Client(headers={"Authorization": "Bearer sk-own", "X-Emulator-Session": "again"}) as client:

        def ask(text: str) -> tuple[int, bytes]:
            answer = client.post(f"{own.url}/{GATEWAY}/v3/draw", json={"engine": "fresco", "text": text})
            return answer.status_code, client.get(answer.json()["data"][0]["url"]).content

        same = {ask("A boat") for _ in range(MANY)}
        others = {ask(f"Boat {number}") for number in range(MANY)}
        assert (1, MANY) == (len(same), len(others))
        assert {200} == {status for status, _ in same | others}
    hashes = [call["pictures"][0]["prompt_hash"] for call in own.calls("again") if call["pictures"]]
    texts = [call["given"]["text"] for call in own.calls("again") if call["pictures"]]
    assert len(set(hashes)) == len(set(texts))


def test_a_model_in_the_path_needs_no_property(own: Served) -> None:
    """A closed schema does not refuse the model that the path names, and the client has not sent."""
    answer = _ask(own, {"text": "A boat"}, path="/engines/fresco/draw", session="path")
    assert 200 == answer.status_code
    refused = _ask(own, {"text": "A boat", "colour": 1}, path="/engines/fresco/draw", session="path")
    assert (400, "colour") == (refused.status_code, refused.json()["error"]["param"])
    assert ["fresco", "fresco"] == [call["model"] for call in own.calls("path")]
    assert [] == own.calls("path")[1]["findings"]


def test_a_call_as_text(own: Served) -> None:
    """A command and a verification have the gateway's own names; no client of OpenAI's makes such a call."""
    answer = _ask(own, {"engine": "fresco", "text": "A boat", "copies": 2}, session="code")
    assert 200 == answer.status_code
    texts = {
        kind: httpx.get(f"{own.url}/_emulator/sessions/code/calls/1/code/{kind}")
        for kind in ("curl", "rule", "verify", "python", "node")
    }
    assert [200, 200, 200, 409, 409] == [one.status_code for one in texts.values()]
    assert '"text": "A boat"' in texts["curl"].text
    assert "it sends a prompt, which is 'text' here" in texts["node"].text
    image_api = ImageApi(own.url, "code", gateway=GATEWAY)
    exec(texts["verify"].text, {"image_api": image_api})
    image_api.play(texts["rule"].text)
    assert 200 == _ask(own, {"engine": "fresco", "text": "A boat", "copies": 2}, session="code").status_code
    assert "call-1" == own.calls("code")[-1]["rule"]


def test_a_summary_has_the_prompt(own: Served) -> None:
    """The page's list shows it, by whatever name it came."""
    _ask(own, {"text": "A boat"}, session="summary")
    url = f"{own.url}/_emulator/sessions/summary/calls"
    (summary,) = httpx.get(url, params={"view": "summary"}).json()["calls"]
    assert ("A boat", "A boat") == (summary["prompt"], summary["params"]["text"])


def test_portability_asks_each_gateway_by_its_names(own: Served) -> None:
    """A call of another gateway is asked here under the names that it has here, and back."""
    calls = [
        {"gateway": GATEWAY, "body": {"engine": "gpt-image-2", "text": "A boat", "copies": 2}},
        {"gateway": "openai", "body": {"model": "fresco", "prompt": "A boat", "n": 9}},
        {"gateway": "openai", "body": {"model": "fresco", "prompt": "A boat", "response_format": "b64_json"}},
        {"gateway": GATEWAY, "body": {"engine": "fresco", "text": "A boat", "deliver": "inline"}},
    ]
    url = f"{own.url}/_emulator/portability"
    report = httpx.post(url, json={"calls": calls}).json()
    found = [
        {fit["gateway"]: (fit["outcome"], (fit["refused"] or {}).get("param")) for fit in call["fits"]}
        for call in report["calls"]
    ]
    assert [("accepted", None), ("refused", "engine")] == [found[0]["openai"], found[0][GATEWAY]]
    assert ("refused", "copies") == found[1][GATEWAY]
    assert ("accepted", None) == found[2][GATEWAY] == found[3][GATEWAY]
    assert ["gpt-image-2", "fresco", "fresco", "fresco"] == [call["body_model"] for call in report["calls"]]
    renamed = [one["message"] for one in report["calls"][2]["findings"] if one["code"] == "name_differs"]
    assert f"'prompt' is called 'text' at {GATEWAY}" in renamed


def test_coverage_counts_the_gateways_own_names(own: Served) -> None:
    """What is left to do is told in the names that a test has to send."""
    _ask(own, {"text": "A boat", "copies": 4}, session="coverage")
    answer = httpx.get(f"{own.url}/_emulator/coverage", params={"session": "coverage"})
    text = json.dumps(answer.json())
    assert 200 == answer.status_code
    assert '\\"engine\\": \\"sketch\\"' in text
    assert '\\"live\\": true' in text
    assert '\\"model\\"' not in text
