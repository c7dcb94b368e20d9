"""The calendar of models: who is there on a day, by whose clock, and who does not go by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from emulator import settings
from emulator.core import clock
from emulator.gateway.model_catalog import Calendar
from emulator.settings import BadSetting
from tests.conftest import Served
from tests.uploads import draw_file

GONE = "The model 'gpt-image-1.5' does not exist."


@pytest.mark.parametrize(
    ("model", "day", "legacy", "kind"),
    [
        ("dall-e-3", "2023-11-05", False, "unknown_model"), ("dall-e-3", "2023-11-06", False, None),
        ("dall-e-3", "2026-05-11", False, None), ("dall-e-3", "2026-05-12", False, "retired_model"),
        ("dall-e-3", "2026-05-12", True, None), ("dall-e-3", "2023-11-05", True, "unknown_model"),
        ("gpt-image-1", "2026-10-22", False, None), ("gpt-image-1", "2026-10-23", False, "retired_model"),
        ("gpt-image-1.5", "2026-12-01", False, "retired_model"), ("gpt-image-1.5", "2026-11-30", False, None),
        ("gpt-image-2-2026-04-21", "2026-04-20", False, "unknown_model"), ("gpt-image-2", "2999-12-31", False, None),
        ("gpt-6-astra", "1970-01-01", False, None),
    ],
)  # fmt: skip
def test_who_is_there(model: str, day: str, legacy: bool, kind: str | None) -> None:
    """A model is there from the day of its release to the day before its end; of others no day is known."""
    error = Calendar(day, legacy).find_absence(model)
    assert kind == (error and error.kind)


@pytest.mark.parametrize(
    ("model", "day", "said"),
    [
        ("gpt-image-1.5", "2026-11-20", "'gpt-image-1.5' ends on 2026-12-01"),
        ("dall-e-2", "2026-05-12", "'dall-e-2' ended on 2026-05-12: only --legacy keeps it"),
        ("gpt-image-2", "2026-11-20", None), ("gpt-6-astra", "2026-11-20", None),
    ],
)  # fmt: skip
def test_an_end_is_told(model: str, day: str, said: str | None) -> None:
    """A model that is there and has an end is a finding."""
    found = Calendar(day, legacy=True).find_ending(model)
    assert said == (found and found.message)
    assert found is None or ("model_ending", "model") == (found.code, found.param)


@pytest.mark.parametrize("text", ["real", "scale:0.5", "frozen:2030-06-15T23:59:59.9999999Z", "frozen:1970-01-01"])
async def test_the_calendar_begins_with_a_day(text: str) -> None:
    """Whatever time it is for the clock, the calendar has the day that it is told, and goes on with the clock."""
    found = clock.parse_clock(text, "2026-11-30")
    assert "2026-11-30" == found.today()
    await found.advance(86_400, "ahead")
    assert ("2026-12-01", "2026-11-30") == (found.today("ahead"), found.today())
    await found.advance(2 * 86_400)
    assert ("2026-12-03", "2026-12-02") == (found.today("ahead"), found.today())


def test_without_a_day_the_calendar_is_the_clocks() -> None:
    """A frozen clock has its own day."""
    assert "2026-01-01" == clock.parse_clock("frozen:2026-01-01T23:59:59Z").today()
    assert "2026-01-02" == clock.parse_clock("frozen:2026-01-01T23:59:59-01:00").today()


@pytest.mark.parametrize("day", ["tomorrow", "2026-13-01", "20261120", "2026-11-20T00:00:00", ""])
def test_a_day_is_spelled_in_one_way(day: str) -> None:
    """A setting that is no day is one line that quotes it."""
    with pytest.raises(BadSetting, match=f"^--as-of: '{day}': .* is no day, as in 2026-01-31$"):
        settings.load_settings({"as_of": day}, {})


def _ask(served: Served, key: str = "sk-test", **headers: str) -> httpx.Response:
    return served.generate("openai", {"model": "gpt-image-1.5", "prompt": "x", "quality": "low"}, key=key, **headers)


def _listed(served: Served) -> dict[str, str | None]:
    response = httpx.get(f"{served.base('openai')}/models", headers={"authorization": "Bearer sk-test"})
    return {one["id"]: one["shutdown_date"] for one in response.json()["data"]}


def test_time_retires_a_model(serve: Callable[..., Served]) -> None:
    """A model whose end is announced is a finding, and once the clock has come to its end, it is unknown."""
    served = serve(as_of="2026-11-30")
    assert (200, "model_ending") == ((there := _ask(served)).status_code, there.headers["x-emulator-finding"])
    assert "2026-12-01" == _listed(served)["gpt-image-1.5"]
    httpx.post(f"{served.url}/_emulator/clock", json={"advance": "24h"})
    assert (400, GONE) == ((gone := _ask(served)).status_code, gone.json()["error"]["message"])
    assert "gpt-image-1.5" not in _listed(served)
    refused = served.calls()[2]["refused"]
    assert ("retired_model", "calendar: ended on 2026-12-01, and it is 2026-12-01", "assumed") == (
        refused["kind"], refused["rule"], refused["source"],
    )  # fmt: skip


def test_a_sessions_own_clock_counts(serve: Callable[..., Served]) -> None:
    """A session that is ahead of the others has its own day."""
    served = serve(as_of="2026-11-30")
    headers = {"X-Emulator-Session": "ahead"}
    assert 200 == _ask(served, **headers).status_code
    httpx.post(f"{served.url}/_emulator/clock", json={"advance": "24h", "session": "ahead"})
    assert [400, 200] == [_ask(served, **headers).status_code, _ask(served).status_code]


def test_legacy_keeps_what_has_ended(serve: Callable[..., Served]) -> None:
    """With `legacy` the old models answer and are listed with their ends; what is not there yet, is not."""
    served = serve(as_of="2026-05-12", legacy=True)
    response = served.generate("openai", {"model": "dall-e-2", "prompt": "x", "size": "256x256"})
    assert (200, "model_ending") == (response.status_code, response.headers["x-emulator-finding"])
    listed = _listed(served)
    assert "2026-05-12" == listed["dall-e-2"]
    assert "gpt-image-2.5-flare" not in listed


@pytest.mark.parametrize(
    ("day", "legacy", "body", "model"),
    [
        ("2026-05-01", False, {}, "dall-e-2"),
        ("2026-05-11", False, {"size": "256x256", "response_format": "b64_json"}, "dall-e-2"),
        ("2026-05-01", False, {"background": "transparent"}, "gpt-image-1"),
        ("2026-05-01", False, {"stream": True}, "gpt-image-1"),
        ("2026-05-01", False, {"stream": False, "n": 2}, None),
        ("2026-05-01", False, {"output_format": None, "moderation": "low"}, "gpt-image-1"),
        ("2026-11-20", True, {}, "dall-e-2"),
        ("2026-11-20", True, {"partial_images": 1, "stream": True}, "gpt-image-1"),
        ("2026-05-12", False, {}, None),
        ("2026-05-12", False, {"quality": "low"}, None),
        ("2026-11-20", False, {}, None),
        ("2026-11-20", False, {"background": "opaque"}, None),
        ("2025-01-01", False, {"background": "opaque"}, None),
    ],
)
def test_a_model_that_is_left_out(
    serve: Callable[..., Served], day: str, legacy: bool, body: dict[str, Any], model: str | None
) -> None:
    """It was dall-e-2, or its successor for a parameter of that, as long as they were there; then it is required."""
    served = serve(as_of=day, legacy=legacy)
    response = served.generate("openai", {"prompt": "A cat", **body})
    assert (200 if model else 400) == response.status_code
    assert model == (served.calls()[-1]["model"] if model else None)


def test_a_form_without_a_model(serve: Callable[..., Served]) -> None:
    """It is dall-e-2 in a form too, whose texts hint at the same model; JSON always had to name one."""
    served = serve(legacy=True)
    files, url = (
        {"image": ("image.png", draw_file("PNG", "RGBA", (64, 64)), "image/png")},
        served.base("openai") + "/images/edits",
    )
    headers = {"authorization": "Bearer sk-test"}
    for data in ({}, {"stream": "true"}, {"input_fidelity": "high"}):
        assert 200 == httpx.post(url, data={"prompt": "x", **data}, files=files, headers=headers).status_code
    assert ["dall-e-2", "gpt-image-1", "gpt-image-1"] == [call["model"] for call in served.calls()]
    body = {"prompt": "x", "images": [{"image_url": "data:image/png;base64,"}]}
    assert "model" == httpx.post(url, json=body, headers=headers).json()["error"]["param"]


def test_other_gateways_have_no_calendar(serve: Callable[..., Served]) -> None:
    """At a gateway whose page offers it a model stays, however long ago its maker has retired it."""
    served = serve(as_of="2040-01-01")
    assert 200 == served.generate("ezmodel", {"model": "dall-e-3", "prompt": "x"}).status_code


def test_report_only_answers_for_a_model_that_is_gone(serve: Callable[..., Served]) -> None:
    """It is answered by the rules that it had, and told as what it is."""
    served = serve(as_of="2026-12-01", report_only=True)
    assert (200, "would_be_refused") == ((response := _ask(served)).status_code, response.headers["x-emulator-finding"])
    assert served.calls()[-1]["findings"][0]["message"].endswith(f"400 {GONE}")


def test_portability_goes_by_the_calendar(serve: Callable[..., Served]) -> None:
    """A call for a model that has ended is refused where the calendar counts, and there alone."""
    served = serve(as_of="2026-12-01")
    body = {"calls": [{"body": {"model": "dall-e-3", "prompt": "x"}}]}
    told = httpx.post(f"{served.url}/_emulator/portability", json=body).json()
    outcomes = {one["gateway"]: one["outcome"] for one in told["calls"][0]["fits"] if one["behavior"] == "documented"}
    assert ("refused", "accepted") == (outcomes["openai"], outcomes["ezmodel"])


@pytest.mark.parametrize(
    ("model", "codes"), [("gpt-image-1.5", ["model_ending"]), ("flux-1-pro", []), ("dall-e-3", [])]
)
def test_a_model_that_the_page_does_not_list(serve: Callable[..., Served], model: str, codes: list[str]) -> None:
    """Where any name is taken, one that its maker is about to end is a finding; those of the page stay."""
    served = serve(as_of="2026-11-20")
    body = {"model": model, "prompt": "A cat", "response_format": "url"}
    assert 200 == served.generate("geeknow", body).status_code
    assert codes == [one["code"] for one in served.calls()[-1]["findings"]]
