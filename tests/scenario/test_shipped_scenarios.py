"""Plays each ready-made scenario, and the language's own examples, to real clients: what `about` says is what they see.

Time is scaled to nothing, so that minutes of latency pass at once; the SDK's own pauses between attempts are cut short.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import openai
import pytest
from openai.types import Image, ImagesResponse

from emulator.core.data_folders import list_ready_made
from emulator.scenario import loader
from tests.conftest import Served
from tests.scenario.examples import BLOCKS, BUMPY_MORNING, PAGE
from tests.sdk import ImpatientOpenAI

GATEWAYS: Final = {"geekai": "dall-e-3", "ezmodel": "dall-e-2", "geeknow": "gpt-image-1", "aiai": "dall-e-3"}
"""Each gateway with one of its models."""


class Client:
    """A user of one gateway, whose session is its own."""

    def __init__(self, served: Served, gateway: str, retries: int) -> None:
        self.served, self.gateway, self.model = served, gateway, GATEWAYS[gateway]
        self.key = f"sk-{gateway}-{retries}"
        self.sdk = ImpatientOpenAI(base_url=served.base(gateway), api_key=self.key, max_retries=retries)
        self.plain = httpx.Client(headers={"authorization": f"Bearer {self.key}"}, verify=False)
        self.plain.base_url = served.base(gateway)

    def draw(self, prompt: str = "A lighthouse", **params: Any) -> ImagesResponse:
        """What the SDK brings."""
        response = self.sdk.images.generate(**{"model": self.model, "prompt": prompt, **params})
        assert isinstance(response, ImagesResponse)
        return response

    def post(self, **params: Any) -> httpx.Response:
        """What a client meets that is no SDK."""
        return self.plain.post("images/generations", json={"model": self.model, "prompt": "A lighthouse", **params})

    def status(self) -> int:
        """The status of one more call."""
        return self.post().status_code

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The journal of the session used last."""
        calls: list[dict[str, Any]] = self.plain.get(f"{self.served.url}/_emulator/sessions/latest/calls").json()[
            "calls"
        ]
        return calls

    def close(self) -> None:
        """End both clients."""
        self.sdk.close()
        self.plain.close()

    def fails(self, kind: type[openai.APIError], **params: Any) -> Any:
        """The SDK's exception, which is just this one, no kin of it."""
        with pytest.raises(kind) as caught:
            self.draw(**params)
        assert kind is type(caught.value)
        return caught.value

    @property
    def statuses(self) -> list[int]:
        """The statuses of all calls so far, the SDK's own attempts included."""
        return [call["status"] for call in self.calls]


Play = Callable[..., list[Client]]


@pytest.fixture
def play(serve: Callable[..., Served]) -> Iterator[Play]:
    """A client for each gateway of one server that plays a scenario; all end with the test."""
    clients: list[Client] = []

    def begin(scenario: str, retries: int = 0, **settings: Any) -> list[Client]:
        served = serve(scenario=scenario, **{"clock": "scale:0", **settings})
        clients.extend(Client(served, gateway, retries) for gateway in GATEWAYS)
        return clients[-len(GATEWAYS) :]

    yield begin
    for client in clients:
        client.close()


def _links(response: ImagesResponse) -> list[str]:
    """What leads to the pictures of a reply: a link or Base64."""
    return [one.url or one.b64_json or "" for one in response.data or ()]


@pytest.mark.parametrize("name", list_ready_made())
def test_each_loads_and_says_what_it_does(name: str) -> None:
    """A ready-made scenario is called as its file is, and its `about` says what happens and what a client should do."""
    scenario = loader.find_scenario(name)
    assert name == scenario.name
    assert re.search(r"\bA client should\b", scenario.about)


def test_the_shelf_is_complete() -> None:
    """The page's table names every ready-made scenario and no other, and each is played in this file."""
    section = PAGE.partition("## Ready-made scenarios\n")[2].partition("\n## ")[0]
    table = re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE)
    played = re.findall(r"play\(\"([a-z0-9-]+)\"", Path(__file__).read_text("utf-8"))
    assert list_ready_made() == sorted(table)
    assert list_ready_made() == sorted(set(played))


@pytest.mark.parametrize("text", BLOCKS, ids=lambda text: text.split("\n")[0][10:])
def test_the_examples_are_played(serve: Callable[..., Served], tmp_path: Path, text: str) -> None:
    """Each example of the page on scenarios loads from a file and answers a call."""
    path = tmp_path / "example.yaml"
    path.write_text(text, "utf-8")
    served = serve(scenario=str(path), clock="scale:0", seed=5)
    served.generate("geekai", {"model": "dall-e-3", "prompt": "A weapon", "n": 2})
    (call,) = served.calls()
    assert (call["rule"] is None) == ("\nlimits: " in text)
    assert {"no-weapons": 400, "conditions": 503, "a-sequence": 429}.get(text.split()[1], 200) == call["status"]


def test_happy(play: Play) -> None:
    """Nothing goes wrong: each call brings what it asked for."""
    for client in play("happy"):
        assert [200, 200] == [client.status(), client.status()]
        assert all(_links(client.draw()))
        assert list(client.sdk.models.list())


def test_slow(play: Play) -> None:
    """Half a minute and more goes by on the server's clock, no more than two, and hardly any on the wall."""
    began = time.perf_counter()
    clients = play("slow")
    for client in clients:
        assert all(_links(client.draw()) for _ in range(3))
        waits = [call["latency"] for call in client.calls]
        assert all(1 < wait <= 120 for wait in waits)
        assert 3 == len(set(waits))
        assert waits == pytest.approx([call["duration"] for call in client.calls], abs=1)
        assert list(client.sdk.models.list())
        assert client.calls[-1]["latency"] is None
    assert time.perf_counter() - began < 10


def test_realistic(play: Play) -> None:
    """Each model takes its own time, more of it for the better quality, none for the list of models; a run repeats."""
    first, again, other = ([_waits(client) for client in play("realistic", seed=seed)] for seed in (1, 1, 2))
    assert first == again
    assert first != other
    for waits, median in zip(first, (12, 6, 45, 12), strict=True):
        assert 15 == len(set(waits))
        assert 0.7 < statistics.median(waits) / median < 1.4
    client = play("realistic")[0]
    better = _waits(client, quality="hd")
    assert 0.7 < statistics.median(better) / 20 < 1.4
    assert better == pytest.approx([call["duration"] for call in client.calls], abs=1)
    assert list(client.sdk.models.list())
    assert client.calls[-1]["latency"] is None
    assert 200 == client.plain.get("models", headers={"x-emulator": "latency=realistic"}).status_code
    assert 0 == client.calls[-1]["latency"]


def _waits(client: Client, **params: Any) -> list[float]:
    """How long fifteen pictures take."""
    for _ in range(15):
        assert all(_links(client.draw(**params)))
    return [call["latency"] for call in client.calls]


def test_rate_limited_then_ok(play: Play) -> None:
    """The SDK passes both refusals by itself; without retries each is a RateLimitError that says how long to wait."""
    for client in play("rate-limited-then-ok", retries=2):
        assert all(_links(client.draw()))
        assert [429, 429, 200] == client.statuses
    for client in play("rate-limited-then-ok"):
        refused = client.fails(openai.RateLimitError)
        assert "Please try again in 20ms" in refused.message
        assert ("1", "20") == (refused.response.headers["retry-after"], refused.response.headers["retry-after-ms"])
        assert [429, 200, 200] == [client.status() for _ in range(3)]


def test_flaky(play: Play) -> None:
    """About three in ten fail, 500, 502 and 503 in turn; the same ones in each run, others with another seed."""
    first, again, other = (
        [[client.status() for _ in range(40)] for client in play("flaky", seed=seed)[:2]] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    for run in (*first, *other):
        failed = [status for status in run if status != 200]
        assert 4 <= len(failed) <= 20
        assert [(500, 502, 503)[turn % 3] for turn in range(len(failed))] == failed


def test_flaky_is_passed_by_retries(play: Play) -> None:
    """A client that repeats gets its pictures nevertheless."""
    for client in play("flaky", retries=6)[:2]:
        assert all(_links(client.draw()) for _ in range(15))
        assert {200, 500} <= set(client.statuses)


def test_moderated(play: Play) -> None:
    """Every prompt is refused with the code of its model, and the SDK does not repeat the call."""
    for client in play("moderated", retries=5):
        refused = client.fails(openai.BadRequestError)
        code = "content_policy_violation" if client.model.startswith("dall-e") else "moderation_blocked"
        assert code == refused.code
        assert [400] == client.statuses


def test_moderated_in_batch(play: Play) -> None:
    """One picture of those asked for, none, a null in the first place; then from the beginning."""
    for client in play("moderated-in-batch"):
        n = 1 if client.model == "dall-e-3" and client.gateway != "geekai" else 3
        counts = [len(client.draw(n=n).data or ()) for _ in range(2)]
        assert [1, 0] == counts
        third: list[Any] = list(client.draw(n=n).data or ())
        assert (n, None) == (len(third), third[0])
        assert None not in third[1:]
        assert 1 == len(client.draw(n=n).data or ())


def test_no_credit(play: Play) -> None:
    """429 insufficient_quota, which the SDK repeats in vain; the list of models answers."""
    for client in play("no-credit", retries=2):
        assert "insufficient_quota" == client.fails(openai.RateLimitError).code
        assert [429, 429, 429] == client.statuses
        assert list(client.sdk.models.list())


def test_bad_key(play: Play) -> None:
    """401 for pictures and for the list of models, not repeated."""
    for client in play("bad-key", retries=2):
        assert "invalid_api_key" == client.fails(openai.AuthenticationError).code
        with pytest.raises(openai.AuthenticationError):
            client.sdk.models.list()
        assert [401, 401] == client.statuses


def test_gateway_timeout(play: Play) -> None:
    """A 504 after a minute and a 524 after more, both as pages of HTML; a client that repeats passes them."""
    for client in play("gateway-timeout"):
        for status, waited in ((504, 60), (524, 100)):
            failed = client.fails(openai.InternalServerError)
            assert status == failed.status_code
            assert failed.response.headers["content-type"].startswith("text/html")
            assert f"<title>{status}" in failed.response.text
            assert waited == client.calls[-1]["latency"]
        assert all(_links(client.draw()))
    for client in play("gateway-timeout", retries=2):
        assert all(_links(client.draw()))
        assert [504, 524, 200] == client.statuses


def test_overloaded(play: Play) -> None:
    """Three 503s that say how long to wait: two retries are too few, three are enough."""
    for client in play("overloaded", retries=2):
        assert "1" == client.fails(openai.InternalServerError).response.headers["retry-after"]
        assert [503, 503, 503] == client.statuses
    for client in play("overloaded", retries=3):
        assert all(_links(client.draw()))
        assert [503, 503, 503, 200] == client.statuses


def test_truncated_body(play: Play) -> None:
    """The SDK sees the first cut as a broken connection; the second is whole for HTTP, and no JSON."""
    for client in play("truncated-body"):
        client.fails(openai.APIConnectionError)
        cut = client.post()
        assert (200, str(len(cut.content))) == (cut.status_code, cut.headers["content-length"])
        with pytest.raises(json.JSONDecodeError):
            cut.json()
        assert all(_links(client.draw()))


def test_truncated_body_is_repeated_once(play: Play) -> None:
    """The SDK repeats the call after the first cut, and raises at the second, however many retries it has left."""
    for client in play("truncated-body", retries=5):
        with pytest.raises(json.JSONDecodeError):
            client.draw()
        assert [200, 200] == client.statuses


def test_broken_base64(play: Play) -> None:
    """Four spellings that a strict reader refuses, one of them beyond repair; then a null beside a link; links stay."""
    for client in play("broken-base64"):
        asked = {"response_format": "b64_json"}
        broken, wrapped, url_safe, data_url = (_first(client.draw(**asked)).b64_json or "" for _ in range(4))
        for text in (broken, wrapped, url_safe, data_url):
            with pytest.raises(binascii.Error):
                base64.b64decode(text, validate=True)
        with pytest.raises(binascii.Error):
            base64.b64decode(broken)
        last = _first(client.draw(**asked))
        assert last.b64_json is None
        picture = client.plain.get(last.url or "").content
        assert picture == base64.b64decode(wrapped)
        assert picture == base64.urlsafe_b64decode(url_safe + "=" * (-len(url_safe) % 4))
        assert picture == base64.b64decode(data_url.removeprefix("data:image/png;base64,"), validate=True)
        assert broken == _first(client.draw(**asked)).b64_json
        assert picture == client.plain.get(_first(client.draw()).url or "").content


def _first(response: ImagesResponse) -> Image:
    """The first picture of a reply."""
    return (response.data or [])[0]


def test_expired_urls(play: Play) -> None:
    """No link can be followed, under a clock that goes or stands; the storage says since when; Base64 is whole."""
    for client in (*play("expired-urls"), *play("expired-urls", clock="frozen:2026-01-01T00:00:00Z")):
        for _ in range(2):
            late = client.plain.get(_first(client.draw()).url or "")
            assert (403, "application/xml") == (late.status_code, late.headers["content-type"])
            assert "AuthenticationFailed" == late.headers["x-ms-error-code"]
            assert "Signature not valid in the specified time frame" in late.text
        picture = base64.b64decode(_first(client.draw(response_format="b64_json")).b64_json or "", validate=True)
        assert picture.startswith(b"\x89PNG")
        assert list(client.sdk.models.list())


def test_a_link_has_the_end_that_is_scripted(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Until then the picture is there, from then on it is not."""
    path = tmp_path / "brief.yaml"
    path.write_text("rules: [{answers: {draw: {expires_in: 90.9s}}}]", "utf-8")
    served = serve(scenario=str(path), clock="frozen:2026-01-01T00:00:00Z")
    link = served.generate("ezmodel", {"prompt": "x"}).json()["data"][0]["url"]
    statuses = []
    for seconds in ("89s", "1s"):
        httpx.post(f"{served.url}/_emulator/clock", json={"advance": seconds})
        statuses.append(httpx.get(link).status_code)
    assert [200, 403] == statuses


def test_hang_up(play: Play) -> None:
    """Twice a broken connection, with nothing of an answer and with half of it; then a picture."""
    for client in play("hang-up"):
        for _ in range(2):
            client.fails(openai.APIConnectionError)
        assert all(_links(client.draw()))
    for client in play("hang-up", retries=2):
        assert all(_links(client.draw()))
        assert 3 == len(client.statuses)


def test_broken_streams(play: Play) -> None:
    """Seven streams go wrong as told, the eighth is whole; the SDK raises where it can, and trusts a silent end."""
    (client,) = [one for one in play("broken-streams") if one.gateway == "aiai"]
    ends: list[Any] = []
    for _ in range(8):
        names: list[str] = []
        try:
            stream = client.sdk.images.generate(model="gpt-image-1", prompt="A cat", stream=True, partial_images=2)
            for event in stream:
                names.append(event.type.rpartition(".")[2])  # noqa: PERF401 - what came before an error counts
        except openai.APIConnectionError as error:
            names.append(type(error.__cause__).__name__)
        except openai.APIError as error:
            names.append(error.code or "")
        ends.append(names)
    partial, completed = "partial_image", "completed"
    assert [
        [partial, completed], [partial, "image_generation_failed"], [partial, partial, "moderation_blocked"],
        [partial, partial], [partial, partial, completed, completed], [partial, "RemoteProtocolError"],
        [partial, "ReadError"], [partial, partial, completed],
    ] == ends  # fmt: skip
    assert [200] * 8 == client.statuses
    assert all(_links(client.draw()))


def test_model_retired(play: Play) -> None:
    """DALL·E does not exist any more, and the message names it; other models are drawn."""
    others = {"geekai": "cogview-4", "geeknow": "flux-pro", "aiai": "gpt-image-1"}
    for client in play("model-retired", retries=2):
        refused = client.fails(openai.BadRequestError, model="dall-e-3")
        assert "dall-e-3" in refused.message
        assert [400] == client.statuses
        if client.gateway in others:
            assert all(_links(client.draw(model=others[client.gateway])))


def test_url_only(play: Play) -> None:
    """A link comes whatever was asked for, and no b64_json beside it, not even a null."""
    for client in play("url-only"):
        for asked in ({}, {"response_format": "b64_json"}):
            (picture,) = client.post(**asked).json()["data"]
            assert "b64_json" not in picture
            assert client.plain.get(picture["url"]).content.startswith(b"\x89PNG")


def test_no_pictures(play: Play) -> None:
    """An empty list and a null, in turn, with the rest of the reply as it is."""
    for client in play("no-pictures"):
        assert [[], None, []] == [client.draw().data for _ in range(3)]
        assert list(client.sdk.models.list())


def test_upstream_eof(play: Play) -> None:
    """A 500 after a minute, in the gateway's own words; then pictures."""
    for client in play("upstream-eof"):
        assert "do_request_failed" == client.fails(openai.InternalServerError).code
        assert (500, 60) == (client.calls[-1]["status"], client.calls[-1]["latency"])
        assert all(_links(client.draw()))


def test_no_streams(play: Play) -> None:
    """Every call with stream is refused, three times by the SDK; others are drawn."""
    (client,) = [one for one in play("no-streams", retries=2) if one.gateway == "aiai"]
    with pytest.raises(openai.InternalServerError, match="invalid character 'e' looking for beginning of value"):
        client.sdk.images.generate(model="gpt-image-1", prompt="A cat", stream=True)
    assert [500, 500, 500] == client.statuses
    assert all(_links(client.draw(model="gpt-image-1")))


def _code_of_moderation(client: Client) -> str:
    return "content_policy_violation" if client.model.startswith("dall-e") else "moderation_blocked"


def test_moderated_as_500(play: Play) -> None:
    """The code of moderation under the status of a fault, which the SDK repeats in vain."""
    for client in play("moderated-as-500", retries=2):
        assert _code_of_moderation(client) == client.fails(openai.InternalServerError).code
        assert [500, 500, 500] == client.statuses


def test_moderated_as_429(play: Play) -> None:
    """The code of moderation under the status of a rate limit, without a word of how long to wait."""
    for client in play("moderated-as-429", retries=2):
        refused = client.fails(openai.RateLimitError)
        assert (_code_of_moderation(client), None) == (refused.code, refused.response.headers.get("retry-after"))
        assert [429, 429, 429] == client.statuses


def test_invalid_as_500(play: Play) -> None:
    """One 500 of the type of a client's mistake, without a code; then pictures."""
    for client in play("invalid-as-500"):
        failed = client.fails(openai.InternalServerError)
        assert ("invalid_request_error", None) == (failed.type, failed.code)
        assert all(_links(client.draw()))


def test_html_upstream(play: Play) -> None:
    """One 502 whose message is a single word; then pictures."""
    for client in play("html-upstream"):
        assert "openai_error" == client.fails(openai.InternalServerError).body["message"]
        assert [502, 200] == [client.calls[-1]["status"], client.status()]


def test_picky_host(play: Play) -> None:
    """A link answers browsers alone, and nobody is told that pages may read it; Base64 is whole."""
    for client in play("picky-host"):
        link = _first(client.draw()).url or ""
        picture = client.plain.get(link, headers={"user-agent": "Mozilla/5.0 (X11; Linux x86_64)"})
        assert [403, 403, 200] == [client.plain.get(link).status_code, client.plain.head(link).status_code,
                                   picture.status_code]  # fmt: skip
        assert "access-control-allow-origin" not in picture.headers
        inline = _first(client.draw(response_format="b64_json")).b64_json or ""
        assert picture.content == base64.b64decode(inline, validate=True)


def test_usage_differs(play: Play) -> None:
    """A usage that is no table's, the same for every picture, at models too that never send one."""
    for client in play("usage-differs"):
        for size in ("1024x1024", "auto") if client.model == "gpt-image-1" else ("1024x1024",):
            usage = client.draw(size=size).usage
            assert usage is not None
            assert (338, 6304, 6642) == (usage.input_tokens, usage.output_tokens, usage.total_tokens)


def test_listed_but_unknown(play: Play) -> None:
    """The model is in the list, and does not exist."""
    for client in play("listed-but-unknown"):
        assert client.model in [model.id for model in client.sdk.models.list()]
        assert client.model in client.fails(openai.BadRequestError).message


def test_lost_task(play: Play) -> None:
    """A task is handed out and not found, again and again; who waits for the pictures gets them."""
    client = play("lost-task", behavior="observed")[0]
    task = client.post(**{"async": True}).json()["task_id"]
    polls = [client.plain.get(f"images/{task}") for _ in range(5)]
    assert [(404, "task not found")] * 5 == [(poll.status_code, poll.json()["message"]) for poll in polls]
    assert all(_links(client.draw()))


def test_no_credit_once(play: Play) -> None:
    """One refusal for want of money, a 402 at GeekAI; the same request passes afterwards."""
    for client in play("no-credit-once"):
        geekai = client.gateway == "geekai"
        refused = client.fails(openai.APIStatusError if geekai else openai.BadRequestError)
        assert (402 if geekai else 400, "billing_hard_limit_reached") == (refused.status_code, refused.code)
        assert all(_links(client.draw()))


def test_stacked_gateways(play: Play) -> None:
    """Two request ids in one message, neither of which is this answer's own; then pictures."""
    for client in play("stacked-gateways"):
        failed = client.fails(openai.InternalServerError)
        ids = re.findall(r"\(request id: (\w+)\)", failed.body["message"])
        assert 2 == len(ids)
        assert failed.request_id not in (None, *ids)
        assert all(_links(client.draw()))


def test_shell_api_error(play: Play) -> None:
    """A type of a reseller's own, no code, and a member that OpenAI's errors do not have; then pictures."""
    for client in play("shell-api-error"):
        failed = client.fails(openai.InternalServerError)
        assert ("shell_api_error", None) == (failed.type, failed.code)
        assert "未知错误" == failed.body["localized_message"]
        assert all(_links(client.draw()))


def test_rewritten_prompts(play: Play) -> None:
    """Each picture comes with another prompt, in which the client's own is."""
    for client in play("rewritten-prompts"):
        pictures = client.draw("A red {boat}").data or []
        assert 1 == len(pictures)
        for one in pictures:
            assert "A wide, bright watercolour of A red {boat}, with soft light from the left." == one.revised_prompt


@pytest.fixture
def bumpy(tmp_path: Path) -> str:
    """The file of the language's first example."""
    path = tmp_path / "bumpy-morning.yaml"
    path.write_text(BUMPY_MORNING, "utf-8")
    return str(path)


def _painter(client: Client) -> Client:
    """The same client with a model that the example is about."""
    client.model = "gpt-image-1" if client.gateway == "geeknow" else "dall-e-3"
    return client


def _pour(chunks: Iterator[bytes], into: bytearray) -> None:
    for chunk in chunks:
        into += chunk


def test_a_bumpy_morning_with_retries(play: Play, bumpy: str) -> None:
    """The SDK passes two 429s and the 504 by itself, then meets the cut body until its retries are used up."""
    for client in map(_painter, play(bumpy, retries=5)):
        client.fails(openai.APIConnectionError)
        assert [429, 429, 504, 200, 200, 200] == client.statuses
        assert 60 == client.calls[2]["latency"]


def test_a_bumpy_morning_without_retries(play: Play, bumpy: str) -> None:
    """Each of the example's answers is the SDK's right exception, and a prompt with a weapon takes none of them."""
    for client in map(_painter, play(bumpy)):
        assert client.fails(openai.BadRequestError, prompt="A weapon").code in (
            "moderation_blocked", "content_policy_violation",
        )  # fmt: skip
        for _ in range(2):
            assert "2" == client.fails(openai.RateLimitError).response.headers["retry-after"]
        assert 504 == client.fails(openai.InternalServerError).status_code
        assert openai.BadRequestError is type(client.fails(openai.BadRequestError, prompt="Two weapons"))
        for _ in range(3):
            client.fails(openai.APIConnectionError)
        rules = [call["rule"] for call in client.calls]
        assert ["no-weapons", *["rule-2"] * 3, "no-weapons", *["rule-2"] * 3] == rules


def test_a_bumpy_morning_is_cut_in_the_middle(play: Play, bumpy: str) -> None:
    """What comes before the cut is the beginning of the reply that was scripted."""
    for client in map(_painter, play(bumpy)):
        assert [429, 429, 504] == [client.status() for _ in range(3)]
        body, came = {"model": client.model, "prompt": "A lighthouse"}, bytearray()
        with client.plain.stream("POST", "images/generations", json=body) as answer:
            chunks = answer.iter_raw()
            with pytest.raises(httpx.RemoteProtocolError):
                _pour(chunks, came)
        assert came.startswith(b'{"created":')
        assert len(came) == int(answer.headers["content-length"]) // 2
