"""One picture of several that fails while the others come, by the example of the docs, and at gateways without that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from emulator import Emulator, EmulatorError, ImageApi
from tests.docs_gateways import write_example
from tests.response.test_streaming import told

FAILING: Final = {"rules": [{"answers": {"draw": {"picture": [None, {"error": "moderation"}]}}}]}


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


def _ask(image_api: ImageApi, gateway: str | None = None, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {image_api.key}"}
    url = f"{image_api.url(gateway)}/images/generations"
    answer = httpx.post(url, json={"prompt": "A boat", **body}, headers=headers)
    assert 200 == answer.status_code, answer.text
    return answer


@pytest.mark.parametrize("response_format", ["url", "b64_json"])
def test_one_of_three_fails(image_api: ImageApi, response_format: str) -> None:
    """Its error stands in its place; the journal has the two others by their places, and the usage counts them."""
    image_api.play(FAILING)
    body = _ask(image_api, n=3, response_format=response_format).json()
    assert [[response_format], ["failure"], [response_format]] == [list(item) for item in body["data"]]
    assert ["code", "text"] == list(body["data"][1]["failure"])
    assert {"pictures": 2} == body["usage"]
    call = image_api.calls.latest
    assert [0, 2] == [picture.index for picture in call.pictures]
    assert () == call.codes
    image_api.verify(once=True, n=3)


def test_one_of_three_fails_in_a_stream(image_api: ImageApi) -> None:
    """It has an event of its own between those of the others."""
    image_api.play(FAILING)
    events = told(_ask(image_api, n=3, stream=True).text)
    assert ["pictures.one", "pictures.none", "pictures.one", "pictures.all", None] == [name for name, _ in events]
    assert {"number": 1, "code": "content_policy_violation"} == events[1][1]
    assert {"pictures": 2} == events[3][1]["usage"]
    assert [0, 2] == [picture.index for picture in image_api.calls.latest.pictures]
    assert () == image_api.calls.latest.codes


@pytest.mark.parametrize("stream", [True, False])
def test_all_fail(image_api: ImageApi, stream: bool) -> None:
    """No picture is left, and nothing is paid."""
    image_api.play({"rules": [{"answers": {"draw": {"picture": {"error": "server_error"}}}}]})
    text = _ask(image_api, n=2, stream=stream).text
    assert '"pictures":0' in text
    assert () == image_api.calls.latest.pictures


def test_own_words_of_a_failure(image_api: ImageApi) -> None:
    """A mapping sets parts of the error, as it does in a refusal."""
    own = {"kind": "moderation", "code": "nope", "message": "Not this one."}
    image_api.play({"rules": [{"answers": {"draw": {"picture": [{"error": own}]}}}]})
    (item,) = _ask(image_api).json()["data"]
    assert {"failure": {"code": "nope", "text": "Not this one."}} == item


def test_fewer_pictures_than_failures(image_api: ImageApi) -> None:
    """A picture that the reply does not have does not fail either."""
    image_api.play({"rules": [{"answers": {"draw": {"images": 1, "picture": [None, {"error": "moderation"}]}}}]})
    body = _ask(image_api, n=3).json()
    assert (1, {"pictures": 1}) == (len(body["data"]), body["usage"])
    assert ("override_met_nothing",) == image_api.calls.latest.codes


def test_coverage_of_a_failure(image_api: ImageApi) -> None:
    """It is a situation, and its event is an item; the picture beside it is as it was asked for."""
    image_api.play(FAILING)
    _ask(image_api, n=2, stream=True)
    counts = {item["name"]: item["count"] for item in image_api.coverage()["gateways"][0]["items"]}
    assert (1, 0, 1) == (counts["failed_picture"], counts["altered_picture"], counts["pictures.none"])


@pytest.mark.parametrize("body", [{"n": 2}, {"n": 2, "stream": True}])
def test_a_gateway_without_errors_of_single_pictures(image_api: ImageApi, body: Any) -> None:
    """It draws the picture, and the call has a finding that says so."""
    image_api.play(FAILING)
    _ask(image_api, "openai", model="gpt-image-2", quality="low", **body)
    call = image_api.calls.latest
    assert [0, 1] == [picture.index for picture in call.pictures]
    (finding,) = call.findings
    assert "override_met_nothing" == finding.code
    assert "`error` lets picture 1 fail, and this gateway has no errors of single pictures" == finding.message
    assert [None, None] == [picture.altered for picture in call.pictures]


@pytest.mark.parametrize(
    ("picture", "complaint"),
    [
        ({"error": "moderate"}, "did you mean 'moderation'?"),
        ({"error": "moderation", "size": "1x1"}, "a picture that fails with an error has nothing else to say"),
        ({"error": {"kind": "moderation", "case": "price"}}, "it is a case of billing"),
        ({"error": {"message": "x"}}, "has no 'kind'"),
    ],
)
def test_a_slip_in_an_error_is_one_line(image_api: ImageApi, picture: Any, complaint: str) -> None:
    """It says what is known, or what cannot be together."""
    with pytest.raises(EmulatorError) as refused:
        image_api.play({"rules": [{"answers": {"draw": {"picture": [None, picture]}}}]})
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)
