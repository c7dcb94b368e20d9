"""Report-only: what the contract would have refused is answered, and the refusal recorded as a finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Served

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("gateway", "body", "params"),
    [
        ("ezmodel", {"prompt": "A cat", "size": "9x9"}, ["size"]),
        ("ezmodel", {"prompt": "A cat", "model": "dall-e-3", "n": 2, "style": "odd"}, ["n", "style"]),
        ("ezmodel", {"prompt": "A cat", "n": 99}, ["n"]),
        ("ezmodel", {"prompt": "A cat", "n": True}, ["n"]),
        ("ezmodel", {}, ["prompt"]),
        ("ezmodel", {"prompt": "A cat", "model": "no-such-model"}, ["model", "model"]),
        ("ezmodel", {"prompt": "A cat", "model": 5}, ["model", "model"]),
        ("geeknow", {"prompt": "A cat"}, ["model", "model"]),
        ("aiai", {"prompt": "A cat", "model": "gpt-image-1", "response_format": "url"}, ["response_format"]),
        ("aiai", {"prompt": "A cat", "model": "dall-e-2", "stream": True}, ["stream"]),
    ],
)
def test_a_breach_is_answered_and_recorded(
    serve: Callable[..., Served], gateway: str, body: dict[str, Any], params: list[str]
) -> None:
    """With --report-only the call is a 200; each breach is a finding that names its parameter."""
    served = serve(report_only=True)
    response = served.generate(gateway, body)
    assert 200 == response.status_code, response.text
    found = [one["param"] for one in served.calls()[-1]["findings"] if one["code"] == "would_be_refused"]
    assert params == found
    assert "would_be_refused" in response.headers["x-emulator-finding"]


def test_the_finding_says_what_the_refusal_would_have_been(serve: Callable[..., Served]) -> None:
    """The message has the status and the gateway's own words."""
    served = serve(report_only=True)
    served.generate("ezmodel", {"prompt": "A cat", "model": "dall-e-3", "n": 2})
    assert [
        "refused but for report-only: 400 Invalid 'n': integer above maximum value. Expected a value <= 1, but got 2 "
        "instead."
    ] == [one["message"] for one in served.calls()[-1]["findings"]]


def test_two_pictures_come_where_two_can_be_drawn(serve: Callable[..., Served]) -> None:
    """A client that asks dall-e-3 for two pictures gets two, so that its own code goes on."""
    response = serve(report_only=True).generate("ezmodel", {"prompt": "A cat", "model": "dall-e-3", "n": 2})
    assert 2 == len(response.json()["data"])


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b'{"prompt": "A cat"}', JSON, 401),
        (b"{", {**JSON, "authorization": "Bearer sk-test"}, 400),
        (b"[]", {**JSON, "authorization": "Bearer sk-test"}, 400),
        (b'{"prompt": "A cat"}', {"content-type": "text/plain", "authorization": "Bearer sk-test"}, 400),
    ],
)
def test_what_cannot_be_answered_is_still_refused(
    serve: Callable[..., Served], content: bytes, headers: dict[str, str], status: int
) -> None:
    """No key, no JSON: there is nothing to answer."""
    served = serve(report_only=True)
    url = f"{served.base('ezmodel')}/images/generations"
    assert status == httpx.post(url, content=content, headers=headers).status_code


def test_a_call_beats_its_session_and_a_session_its_server(serve: Callable[..., Served]) -> None:
    """The header X-Emulator decides for one call, the session's settings for its calls, the flag for all others."""
    import asyncio

    served = serve()
    bad = {"prompt": "A cat", "size": "9x9"}
    before = served.generate("ezmodel", bad, **{"x-emulator-session": "lenient"}).status_code
    asyncio.run(served.app.sessions.change_overrides("lenient", report_only=True))
    asked = [
        served.generate("ezmodel", bad, **headers).status_code
        for headers in (
            {"x-emulator-session": "lenient"},
            {"x-emulator-session": "lenient", "x-emulator": "report-only=false"},
            {"x-emulator-session": "strict"},
            {"x-emulator-session": "strict", "x-emulator": "report-only"},
            {"x-emulator-session": "strict", "x-emulator": "report_only=true; refuse=moderation"},
        )
    ]
    assert [400, 200, 400, 400, 200, 400] == [before, *asked]
    assert "moderation" == served.calls("strict")[-1]["refused"]["kind"]


def test_a_broken_call_takes_its_answer_from_the_script(serve: Callable[..., Served]) -> None:
    """What is only reported goes on to the session's scenario, as the call without its slip would."""
    served = serve(report_only=True, scenario="no-credit")
    assert 429 == served.generate("ezmodel", {"prompt": "A cat", "size": "9x9"}).status_code


def test_other_gateways_are_no_finding_of_a_call(server: Served, key: str) -> None:
    """The example of geeknow's page leaves out what has another default elsewhere; that is no slip of the call."""
    server.generate("geeknow", {"model": "gpt-image-1", "prompt": "生成一张简洁的产品海报"}, key=key)
    assert [] == server.calls()[-1]["findings"]


def test_deprecated_parameters_are_told(serve: Callable[..., Served], tmp_path: Any) -> None:
    """OpenAPI's own `deprecated` makes a finding."""
    file = tmp_path / "old.yaml"
    file.write_text(
        "openapi: 3.1.0\ninfo: {title: Old, version: '1'}\npaths:\n  /v1/images/generations:\n    post:\n"
        "      requestBody: {content: {application/json: {schema: {type: object, required: [prompt], properties: "
        "{prompt: {type: string}, user: {type: string, deprecated: true}}}}}}\n      responses: {}\n"
    )
    served = serve(schema=(str(file),))
    served.generate("old", {"prompt": "A cat", "user": "me"})
    assert ["deprecated_parameter"] == [one["code"] for one in served.calls()[-1]["findings"]]


def test_the_neutral_key_only_names_its_session(serve: Callable[..., Served], tmp_path: Any) -> None:
    """sk-emulator.session.case-7 is good under --keys, plays the session's own script, and lets other marks be."""
    (tmp_path / "keys").write_text("sk-good\n")
    served = serve(keys=str(tmp_path / "keys"))
    key = "sk-emulator.session.case-7"
    asked = [
        served.generate("ezmodel", {"prompt": "A cat"}, key=key).status_code,
        served.generate("ezmodel", {"prompt": "A cat [[overloaded]]"}, key=key).status_code,
        served.generate("ezmodel", {"prompt": "A cat"}, key="sk-other").status_code,
    ]
    assert [200, 503, 401] == asked
    assert [None, {"door": "prompt", "value": "overloaded"}] == [c["reserved"] for c in served.calls("case-7")]


def test_an_upstream_does_not_see_what_its_gateway_refuses(serve: Callable[..., Served]) -> None:
    """A body that breaks the gateway's own rule is not checked against the upstream's schema as well."""
    served = serve(report_only=True, behavior="observed")
    found = []
    for body in ({"size": "9x9", "response_format": "zip"}, {"response_format": "zip"}):
        served.generate("ezmodel", {"model": "dall-e-2", "prompt": "A cat", **body})
        findings = served.calls()[-1]["findings"]
        found.append([one["param"] for one in findings if one["code"] == "would_be_refused"])
    assert [["size"], ["response_format"]] == found
