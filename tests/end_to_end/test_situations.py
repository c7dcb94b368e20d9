"""The twenty situations that users of gateways met in public, each with a real client that does the obvious thing.

A situation is reached by a ready-made scenario, named in a header, or by what a gateway does anyway in observed
behavior. A test shows what the client gets, and what it should have looked at; the scenario's `about` says the same.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import httpx
import openai
import PIL.Image
import pytest
from openai.types import Image, ImagesResponse

from tests.browser import run_page
from tests.conftest import Served
from tests.node import run_script
from tests.sdk import ImpatientOpenAI

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"


class Visitor:
    """A client of one gateway that meets one scenario, in a session of its own."""

    def __init__(self, served: Served, gateway: str, model: str, scenario: str, retries: int) -> None:
        self.served, self.gateway, self.model = served, gateway, model
        self.session = f"{scenario or 'plain'}-{gateway}-{retries}"
        self.key = f"sk-emulator.session.{self.session}"
        self.marks = {"x-emulator": f"scenario={scenario}"} if scenario else {}
        self.sdk = ImpatientOpenAI(
            base_url=served.base(gateway), api_key=self.key, max_retries=retries, default_headers=self.marks
        )

    def draw(self, **params: Any) -> ImagesResponse:
        """What the SDK brings."""
        response = self.sdk.images.generate(**{"model": self.model, "prompt": "A lighthouse", **params})
        assert isinstance(response, ImagesResponse)
        return response

    def first(self, **params: Any) -> Image:
        """The first picture that the SDK brings."""
        return (self.draw(**params).data or [])[0]

    def fails(self, kind: type[openai.APIError], **params: Any) -> Any:
        """The SDK's exception, which is just this one, no kin of it."""
        with pytest.raises(kind) as caught:
            self.draw(**params)
        assert kind is type(caught.value)
        return caught.value

    def post(self) -> httpx.Response:
        """What a client meets that is no SDK."""
        body = {"model": self.model, "prompt": "A lighthouse"}
        head = {"authorization": f"Bearer {self.key}", **self.marks}
        return httpx.post(f"{self.served.base(self.gateway)}/images/generations", json=body, headers=head)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The journal of its session."""
        return self.served.calls(self.session)

    @property
    def statuses(self) -> list[int]:
        """The statuses of all calls so far, the SDK's own attempts included."""
        return [call["status"] for call in self.calls]


Meet = Callable[..., Visitor]


def _meeting(**settings: Any) -> Iterator[Meet]:
    """Makes visitors of one server, on which minutes pass at once."""
    served, visitors = Served(clock="scale:0", **settings), []

    def meet(gateway: str, model: str, scenario: str = "", retries: int = 2) -> Visitor:
        visitors.append(Visitor(served, gateway, model, scenario, retries))
        return visitors[-1]

    yield meet
    for visitor in visitors:
        visitor.sdk.close()
    served.stop()


@pytest.fixture
def documented() -> Iterator[Meet]:
    """Visitors of gateways that do what their pages say."""
    yield from _meeting()


@pytest.fixture
def observed() -> Iterator[Meet]:
    """Visitors of gateways that do what their servers were seen to do."""
    yield from _meeting(behavior="observed")


def test_every_situation_has_its_test() -> None:
    """They are numbered from 1 to 20, and none is missing."""
    numbers = re.findall(r"^def test_([0-9]{2})_", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert [f"{number:02}" for number in range(1, 21)] == numbers


BASE64_FIRST: Final = """
import OpenAI from "openai";
const [baseURL, apiKey, model, marks] = process.argv.slice(2);
const client = new OpenAI({baseURL, apiKey, maxRetries: 0, defaultHeaders: JSON.parse(marks)});
const [picture] = (await client.images.generate({model, prompt: "A lighthouse"})).data;
let shown;
try { shown = Buffer.from(picture.b64_json ?? picture.url, "base64").length; } catch (error) { shown = error.code; }
let strict;
try { strict = Buffer.from(picture.b64_json, "base64").length; } catch (error) { strict = error.code; }
const bytes = Buffer.from(picture.b64_json || await (await fetch(picture.url)).arrayBuffer(), "base64");
console.log(JSON.stringify([shown, strict, bytes.toString("latin1", 1, 4)]));
"""


def _in_javascript(visitor: Visitor) -> Any:
    """What the npm client gets that reads Base64 first, that reads nothing else, and that looks before it reads."""
    place = visitor.served.base(visitor.gateway)
    return run_script(BASE64_FIRST, place, visitor.key, visitor.model, json.dumps(visitor.marks))


def test_01_an_empty_base64_beside_a_url(observed: Meet) -> None:
    """1: b64_json is an empty text, neither None nor undefined: who reads it first shows a picture of no bytes."""
    visitor = observed("geeknow", "dall-e-2")
    picture = visitor.first()
    naive = base64.b64decode(picture.b64_json) if picture.b64_json is not None else None
    assert b"" == naive
    assert httpx.get(picture.url or "").content.startswith(b"\x89PNG")
    assert [0, 0, "PNG"] == _in_javascript(visitor)


def test_02_nothing_but_a_url(observed: Meet) -> None:
    """2: a model that always sends Base64 sends a link: a good 200, and a TypeError in the client that insists."""
    visitor = observed("aiai", "gpt-image-1", "url-only")
    picture = visitor.first()
    with pytest.raises(TypeError):
        base64.b64decode(picture.b64_json)  # type: ignore[arg-type]
    assert httpx.get(picture.url or "").content.startswith(b"\x89PNG")
    assert ["ERR_INVALID_ARG_TYPE", "PNG"] == _in_javascript(visitor)[1:]
    assert [200, 200] == visitor.statuses


@pytest.mark.parametrize("behavior", ["documented", "observed"])
def test_03_a_gpt_image_model_takes_no_response_format(behavior: str, request: pytest.FixtureRequest) -> None:
    """3: what every DALL·E takes is an unknown parameter here, to the gateway as to the upstream behind it."""
    meet: Meet = request.getfixturevalue(behavior)
    visitor = meet("aiai", "gpt-image-1")
    refused = visitor.fails(openai.BadRequestError, response_format="b64_json")
    assert ("response_format", "unknown_parameter") == (refused.param, refused.code)
    assert "Unknown parameter: 'response_format'." in refused.message
    assert [400] == visitor.statuses
    assert visitor.first().b64_json
    assert visitor.first(model="dall-e-3", response_format="b64_json").b64_json


def test_04_a_proxy_gives_up_after_100_seconds(documented: Meet) -> None:
    """4: a 524 has a page of HTML for a body: who parses it reports broken JSON, and not that the time was out."""
    visitor = documented("geeknow", "gpt-image-1", "gateway-timeout", retries=0)
    visitor.post()
    answer = visitor.post()
    assert (524, 100) == (answer.status_code, visitor.calls[-1]["latency"])
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert answer.headers["content-type"].startswith("text/html")


def test_05_one_picture_is_asked_for_three_times(documented: Meet) -> None:
    """5: the SDK repeats after the 504 and the 524 without a word, and each of the three may be on the bill."""
    visitor = documented("aiai", "gpt-image-1", "gateway-timeout")
    assert visitor.first().b64_json
    assert [504, 524, 200] == visitor.statuses
    assert [60, 100] == [call["latency"] for call in visitor.calls[:2]]
    failed = documented("aiai", "gpt-image-1", "gateway-timeout", retries=0).fails(openai.InternalServerError)
    assert (504, None) == (failed.status_code, failed.code)
    assert failed.response.text.startswith("<html>")


def test_06_the_upstream_hangs_up_after_a_minute(observed: Meet) -> None:
    """6: all that is told of it is `do request failed`; the SDK asks again and gets its picture."""
    failed = observed("geeknow", "gpt-image-1", "upstream-eof", retries=0).fails(openai.InternalServerError)
    own = failed.response.headers["x-oneapi-request-id"]
    assert f"upstream error: do request failed (request id: {own})" == failed.body["message"]
    assert (500, "do_request_failed") == (failed.status_code, failed.code)
    visitor = observed("geeknow", "gpt-image-1", "upstream-eof")
    assert visitor.first().url
    assert [(500, 60), (200, None)] == [(call["status"], call["latency"]) for call in visitor.calls]


def test_07_a_gateway_that_reads_events_as_json(observed: Meet) -> None:
    """7: a stream is refused with a complaint about an `e`, three times by one call; without stream all is well."""
    visitor = observed("aiai", "gpt-image-1", "no-streams")
    with pytest.raises(openai.InternalServerError) as caught:
        visitor.sdk.images.generate(model="gpt-image-1", prompt="A lighthouse", stream=True)
    assert "bad_response_body" == caught.value.code
    assert "invalid character 'e' looking for beginning of value" in caught.value.message
    assert [500, 500, 500] == visitor.statuses
    assert visitor.first().b64_json


def test_08_a_success_without_pictures(documented: Meet) -> None:
    """8: an empty list and a null are both a 200 that no SDK minds: the client falls over its own data[0]."""
    visitor = documented("geeknow", "gpt-image-1", "no-pictures")
    empty, null = visitor.draw(), visitor.draw()
    with pytest.raises(IndexError):
        empty.data[0]  # type: ignore[index]
    with pytest.raises(TypeError):
        null.data[0]  # type: ignore[index]
    assert [200, 200] == visitor.statuses


@pytest.mark.parametrize(
    ("scenario", "raised", "statuses"),
    [
        ("moderated", openai.BadRequestError, [400]),
        ("moderated-as-500", openai.InternalServerError, [500, 500, 500]),
        ("moderated-as-429", openai.RateLimitError, [429, 429, 429]),
    ],
)
def test_09_moderation_has_three_faces(
    observed: Meet, scenario: str, raised: type[openai.APIStatusError], statuses: list[int]
) -> None:
    """9: one refusal and one code, but by its status a fault or a rate limit, which the SDK repeats in vain."""
    visitor = observed("geeknow", "gpt-image-1", scenario)
    refused = visitor.fails(raised)
    assert "moderation_blocked" == refused.code
    assert "Your request was rejected by the safety system" in refused.message
    assert statuses == visitor.statuses


def test_10_dall_e_has_another_code_for_it(observed: Meet) -> None:
    """10: who knows moderation_blocked alone takes DALL·E's refusal for a request that was malformed."""
    refused = observed("ezmodel", "dall-e-3", "moderated").fails(openai.BadRequestError)
    assert ("content_policy_violation", "invalid_request_error") == (refused.code, refused.type)
    other = observed("aiai", "gpt-image-1", "moderated").fails(openai.BadRequestError)
    assert "moderation_blocked" == other.code


def test_11_a_passing_failure_of_the_type_of_a_mistake(observed: Meet) -> None:
    """11: a 500 of type invalid_request_error: who goes by the type gives up, the SDK repeats and gets its picture."""
    failed = observed("geeknow", "gpt-image-1", "invalid-as-500", retries=0).fails(openai.InternalServerError)
    assert (500, "invalid_request_error", None) == (failed.status_code, failed.type, failed.code)
    visitor = observed("geeknow", "gpt-image-1", "invalid-as-500")
    assert visitor.first().url
    assert [500, 200] == visitor.statuses


def test_12_an_unknown_model_looks_busy(documented: Meet, observed: Meet) -> None:
    """12: the server says 503 to a name with a slip in it, so the SDK asks three times; the page's 400 ends it."""
    busy, plain = observed("ezmodel", "dall-e-4"), documented("ezmodel", "dall-e-4")
    assert "model_not_found" == busy.fails(openai.InternalServerError).code
    assert [503, 503, 503] == busy.statuses
    plain.fails(openai.BadRequestError)
    assert [400] == plain.statuses


def test_13_a_bad_size_looks_like_a_fault(documented: Meet, observed: Meet) -> None:
    """13: the same mistake is a 500 that the SDK repeats twice, or a 400 that it raises at once."""
    fault, plain = observed("aiai", "dall-e-3"), documented("aiai", "dall-e-3")
    assert "invalid_request" == fault.fails(openai.InternalServerError, size="256x256").code
    assert [500, 500, 500] == fault.statuses
    assert "size" == plain.fails(openai.BadRequestError, size="256x256").param
    assert [400] == plain.statuses


def test_14_a_page_from_the_upstream_becomes_one_word(observed: Meet) -> None:
    """14: the user is shown `openai_error`, of an upstream that may be none of OpenAI's; nothing more can be had."""
    failed = observed("geeknow", "gpt-image-1", "html-upstream", retries=0).fails(openai.InternalServerError)
    told = {"message": "openai_error", "type": "bad_response_status_code", "code": "bad_response_status_code"}
    assert (502, {**told, "param": ""}) == (failed.status_code, failed.body)
    visitor = observed("geeknow", "gpt-image-1", "html-upstream")
    assert visitor.first().url
    assert [502, 200] == visitor.statuses


def test_15_the_connection_is_gone_before_the_answer(documented: Meet) -> None:
    """15: a client without retries learns nothing at all, though the picture was made; the SDK gets it at the third."""
    visitor = documented("geeknow", "gpt-image-1", "hang-up", retries=0)
    with pytest.raises(httpx.TransportError):
        visitor.post()
    assert 1 == len(visitor.calls[0]["pictures"])
    patient = documented("geeknow", "gpt-image-1", "hang-up")
    assert patient.first().url
    assert [1, 1, 1] == [len(call["pictures"]) for call in patient.calls]


GALLERY: Final = """<!doctype html><meta charset="utf-8"><pre id="heard">waiting</pre><script type="module">
const heard = [];
for (const url of URLS) {
  const read = await fetch(url).then((answer) => answer.status, (error) => error.name);
  const asked = await fetch(url, {headers: {Authorization: "Bearer sk-page"}}).then(
    (answer) => answer.status, (error) => error.name);
  const width = await new Promise((done) => {
    const image = new Image();
    image.onload = () => done(image.naturalWidth);
    image.onerror = () => done("broken");
    image.src = url;
  });
  heard.push([read, asked, width]);
}
document.getElementById("heard").textContent = JSON.stringify(heard);
</script>"""


def test_16_a_host_that_answers_browsers_alone(documented: Meet, tmp_path: Path) -> None:
    """16: a server's fetch of the link is a 403, and a page can show the picture but not read it."""
    visitor = documented("ezmodel", "dall-e-2", "picky-host")
    picky, plain = visitor.first(size="256x256").url or "", documented("ezmodel", "dall-e-2").first(size="256x256").url
    refused = httpx.get(picky, headers={"authorization": f"Bearer {visitor.key}"})
    assert (403, "text/html") == (refused.status_code, refused.headers["content-type"])
    assert 200 == httpx.get(plain or "").status_code
    assert httpx.get(picky, headers={"user-agent": BROWSER}).content.startswith(b"\x89PNG")
    page = GALLERY.replace("URLS", json.dumps([plain, picky]))
    assert [[200, 200, 256], ["TypeError", "TypeError", 256]] == run_page(page, tmp_path)


@pytest.mark.parametrize(
    "lose",
    [
        lambda url: url.partition("?")[0],
        lambda url: url.replace("&", "&amp;"),
        lambda url: unquote(url),
        lambda url: quote(url, safe=":/?&="),
    ],
    ids=["kept without its query", "escaped for HTML", "decoded", "encoded twice"],
)  # fmt: skip
def test_a_link_whose_query_was_lost(lose: Callable[[str], str]) -> None:
    """langchain#14223: OpenAI's links are signed by their query, and whoever keeps less of a link gets a 403 in XML."""
    served = Served(legacy=True)
    try:
        visitor = Visitor(served, "openai", "dall-e-3", "", 0)
        url = visitor.first().url or ""
        visitor.sdk.close()
        refused = httpx.get(lose(url))
        assert (403, "application/xml") == (refused.status_code, refused.headers["content-type"])
        assert "<Code>AuthenticationFailed</Code>" in refused.text
        assert httpx.get(url).content.startswith(b"\x89PNG")
    finally:
        served.stop()


def test_a_picture_is_saved_in_another_format(documented: Meet, tmp_path: Path) -> None:
    """What works with each real API: open the picture with Pillow, and save it as a JPEG."""
    for gateway, model in (("ezmodel", "dall-e-3"), ("aiai", "gpt-image-1")):
        picture = documented(gateway, model).first()
        data = httpx.get(picture.url).content if picture.url else base64.b64decode(picture.b64_json or "")
        PIL.Image.open(io.BytesIO(data)).save(tmp_path / f"{gateway}.jpg")
        assert (tmp_path / f"{gateway}.jpg").read_bytes().startswith(b"\xff\xd8")


def test_17_tokens_are_counted_otherwise(documented: Meet) -> None:
    """17: the price that a client computes from the table is not the one of the usage that came."""
    table, counted = (
        documented("aiai", "gpt-image-1", scenario).draw(quality="high", size="1024x1024").usage
        for scenario in ("happy", "usage-differs")
    )
    assert table is not None
    assert counted is not None
    assert (4160, 6304) == (table.output_tokens, counted.output_tokens)
    assert (0, 323) == (table.input_tokens_details.image_tokens, counted.input_tokens_details.image_tokens)
    assert counted.total_tokens == counted.input_tokens + counted.output_tokens


def test_18_an_empty_account_a_lost_task_and_a_listed_model(documented: Meet, observed: Meet) -> None:
    """18: GeekAI says 402 once and draws the next time; its tasks may never end, and lists name what is refused."""
    poor = documented("geekai", "cogview-4", "no-credit-once")
    assert 402 == poor.fails(openai.APIStatusError).status_code
    assert [402] == poor.statuses
    assert poor.first().url
    listed = documented("geekai", "cogview-4", "listed-but-unknown")
    assert "cogview-4" in [model.id for model in listed.sdk.models.list()]
    assert "cogview-4" in listed.fails(openai.BadRequestError).message
    later = observed("geekai", "cogview-4", "lost-task")
    task = later.draw(extra_body={"async": True})
    assert task.data is None
    place = f"{later.served.base('geekai')}/images/{(task.model_extra or {})['task_id']}"
    head = {"authorization": f"Bearer {later.key}", **later.marks}
    states = [httpx.get(place, headers=head).json().get("task_status") for _ in range(9)]
    assert {None} == set(states)  # so a client that waits for succeed or failed waits for ever
    busy = observed("geeknow", "gpt-image-1", "listed-but-unknown")
    assert "gpt-image-1" in [model.id for model in busy.sdk.models.list()]
    assert "model_not_found" == busy.fails(openai.InternalServerError).code
    assert [503, 503, 503] == busy.statuses[1:]


def test_19_request_ids_of_somebody_else(observed: Meet) -> None:
    """19: a client that finds the request id in the message has one that the gateway's support cannot know."""
    failed = observed("geeknow", "gpt-image-1", "stacked-gateways", retries=0).fails(openai.InternalServerError)
    found = re.findall(r"\(request id: (\w+)\)", failed.message)
    assert 2 == len(found)
    assert failed.response.headers["x-oneapi-request-id"] not in found
    assert failed.request_id is None  # the SDK reads x-request-id alone


def test_20_a_resellers_own_error(observed: Meet) -> None:
    """20: its code is a null, over which a client falls that looks into it; what helps is in a member of its own."""
    failed = observed("geeknow", "gpt-image-1", "shell-api-error", retries=0).fails(openai.InternalServerError)
    with pytest.raises(AttributeError):
        failed.code.startswith("rate_limit")
    assert ("shell_api_error", "未知错误") == (failed.type, failed.body["localized_message"])
    visitor = observed("geeknow", "gpt-image-1", "shell-api-error")
    assert visitor.first().url
    assert [500, 200] == visitor.statuses
