"""What a scenario changes in a reply: members set and left out, and a finding where a change meets nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from emulator.messages import Draw
from emulator.response.overrides import override_members
from tests.conftest import Served

BODY: Mapping[str, Any] = {
    "created": 1,
    "data": [{"url": "a", "revised_prompt": "p"}, {"url": "b"}],
    "usage": {"total_tokens": 3, "output_tokens_details": {"image_tokens": 2}},
}
USED: Mapping[str, Any] = {"output_tokens_details": {"image_tokens": 2}}
LONG_POINTER = f"/data/{'9' * 5000}/url"  # Python converts no text of so many digits


@pytest.mark.parametrize(
    ("draw", "expected"),
    [
        (Draw(omit=("created",)), {"data": BODY["data"], "usage": BODY["usage"]}),
        (Draw(omit=("usage.output_tokens_details",)), {**BODY, "usage": {"total_tokens": 3}}),
        (Draw(omit=("/data/1/url", "/usage/total_tokens")), {**BODY, "data": [BODY["data"][0], {}], "usage": USED}),
        (Draw(omit=("/data/0",)), {**BODY, "data": [{"url": "b"}]}),
        (Draw(omit=("revised_prompt",)), {**BODY, "data": [{"url": "a"}, {"url": "b"}]}),
        (Draw(changes=(("/data/1/url", None),)), {**BODY, "data": [BODY["data"][0], {"url": None}]}),
        (Draw(changes=(("/usage/total_tokens", 9),)), {**BODY, "usage": {**BODY["usage"], "total_tokens": 9}}),
    ],
)
def test_members_are_set_and_left_out(draw: Draw, expected: Mapping[str, Any]) -> None:
    """A name is left out of the reply and of its pictures, a dotted one inside a member, a pointer where it leads.

    The body stays as it was.
    """
    before = copy.deepcopy(BODY)
    body, findings = override_members(draw, BODY)
    assert expected == body
    assert () == findings
    assert before == BODY


@pytest.mark.parametrize(
    ("draw", "param"),
    [
        (Draw(omit=("usge",)), "usge"),
        (Draw(omit=("usage.input_tokens",)), "usage.input_tokens"),
        (Draw(omit=("created.day",)), "created.day"),
        (Draw(omit=("created", "created")), "created"),
        (Draw(omit=("/data/2/url",)), "/data/2/url"),
        (Draw(omit=("/created/day",)), "/created/day"),
        (Draw(omit=("/",)), "/"),
        (Draw(omit=("/data/-1",)), "/data/-1"),
        (Draw(omit=("/data/\N{ARABIC-INDIC DIGIT ZERO}",)), "/data/\N{ARABIC-INDIC DIGIT ZERO}"),
        (Draw(omit=(LONG_POINTER,)), LONG_POINTER),
        (Draw(changes=(("/usge/total_tokens", 9),)), "/usge/total_tokens"),
        (Draw(changes=(("/data/2", {}),)), "/data/2"),
    ],
)
def test_a_change_that_meets_nothing_is_a_finding(draw: Draw, param: str) -> None:
    """The finding names the member; a `set` still adds it."""
    _, findings = override_members(draw, BODY)
    assert [("override_met_nothing", param)] == [(finding.code, finding.param) for finding in findings]


@pytest.mark.parametrize(("pointer", "told"), [("/usage/total_tokens", True), ("/usage_note", False)])
def test_a_usage_that_does_not_add_up_is_told_where_it_was_changed(pointer: str, told: bool) -> None:
    """A member whose name only begins like the usage's is none of it."""
    body = {**BODY, "usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 9}, "usage_note": ""}
    _, findings = override_members(Draw(changes=((pointer, 8),)), body)
    assert told == ("usage_not_adding_up" in [finding.code for finding in findings])


@pytest.mark.parametrize("stream", [False, True])
def test_the_finding_is_on_the_call(serve: Callable[..., Served], stream: bool) -> None:
    """The journal and the header have it, for a whole reply and for a stream; a dotted path is left out."""
    served = serve()
    scenario = {"rules": [{"answers": {"draw": {"omit": ["usage.output_tokens", "revised_prompt"]}}}]}
    url = f"{served.url}/_emulator/sessions/typo/scenario"
    assert httpx.put(url, json=scenario).is_success
    body = {"model": "gpt-image-1", "prompt": "A cat", "stream": stream}
    response = served.generate("aiai", body, **{"x-emulator-session": "typo"})
    assert "override_met_nothing" in response.headers["x-emulator-finding"]
    assert '"output_tokens":' not in response.text
    assert '"total_tokens":' in response.text
    found = [one["param"] for one in served.calls("typo")[-1]["findings"] if one["code"] == "override_met_nothing"]
    assert ["revised_prompt"] == found
