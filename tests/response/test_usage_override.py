"""The parts of a usage follow what a scenario sets, and what no longer adds up is a finding."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from emulator.response.usage_override import find_wrong_sums, override_usage
from tests.conftest import Served

USAGE: dict[str, Any] = {
    "input_tokens": 20, "input_tokens_details": {"text_tokens": 8, "image_tokens": 12}, "output_tokens": 7024,
    "total_tokens": 7044, "output_tokens_details": {"text_tokens": 0, "image_tokens": 7024},
}  # fmt: skip


def _sides(usage: dict[str, Any]) -> list[Any]:
    details = [usage[f"{side}_tokens_details"] for side in ("input", "output")]
    parts = [[one.get("text_tokens"), one.get("image_tokens")] for one in details]
    return [usage["input_tokens"], parts[0], usage["output_tokens"], parts[1], usage["total_tokens"]]


@pytest.mark.parametrize(
    ("wanted", "sides", "wrong"),
    [
        ({"output_tokens": 272}, [20, [8, 12], 272, [0, 272], 292], 0),
        ({"output_tokens": 0}, [20, [8, 12], 0, [0, 0], 20], 0),
        ({"input_tokens": 10}, [10, [8, 2], 7024, [0, 7024], 7034], 0),
        ({"input_tokens": 4}, [4, [4, 0], 7024, [0, 7024], 7028], 0),
        ({"input_tokens": 30, "output_tokens": 1}, [30, [8, 22], 1, [0, 1], 31], 0),
        ({"total_tokens": 5}, [20, [8, 12], 7024, [0, 7024], 5], 1),
        ({"input_tokens_details": {"text_tokens": 1, "image_tokens": 2}}, [3, [1, 2], 7024, [0, 7024], 7027], 0),
        ({"input_tokens_details": {"text_tokens": 1}}, [20, [1, None], 7024, [0, 7024], 7044], 1),
        ({"output_tokens": None}, [20, [8, 12], None, [0, 7024], 7044], 2),
        ({"output_tokens": "many"}, [20, [8, 12], "many", [0, 7024], 7044], 2),
        ({"output_tokens": -1}, [20, [8, 12], -1, [0, 7024], 7044], 2),
        (
            {"output_tokens": 5, "output_tokens_details": {"text_tokens": 0, "image_tokens": 9}, "total_tokens": 25},
            [20, [8, 12], 5, [0, 9], 25], 1,
        ),
    ],
)  # fmt: skip
def test_what_depends_on_it_follows(wanted: dict[str, Any], sides: list[Any], wrong: int) -> None:
    """A sum takes its parts along, parts their sum, both the total; what is set itself stays."""
    changed = override_usage(USAGE, wanted)
    assert sides == _sides(changed)
    assert wrong == len(list(find_wrong_sums(changed)))


def test_a_usage_that_a_model_does_not_have() -> None:
    """Nothing is added to what the scenario sets."""
    assert {"output_tokens": 4160} == override_usage({}, {"output_tokens": 4160})
    assert [] == list(find_wrong_sums({"output_tokens": 4160}))
    assert [] == list(find_wrong_sums(None))


@pytest.mark.parametrize(
    ("draw", "has_finding"),
    [
        ({"usage": {"output_tokens": 272}}, False),
        ({"usage": {"total_tokens": 3}}, True),
        ({"set": {"/usage/output_tokens": 272}}, True),
        ({"set": {"/usage": None}}, False),
    ],
)
def test_the_finding(server: Served, key: str, draw: dict[str, Any], has_finding: bool) -> None:
    """A call whose usage does not add up says so."""
    session = key.replace("sk-", "usage-")
    rules = {"rules": [{"answers": {"draw": draw}}]}
    assert httpx.put(f"{server.url}/_emulator/sessions/{session}/scenario", json=rules).is_success
    body = {"model": "gpt-image-2", "prompt": "A lake"}
    response = server.generate("openai", body, **{"x-emulator-session": session})
    assert 200 == response.status_code
    found = response.headers.get("x-emulator-finding", "").split(", ")
    assert has_finding == ("usage_not_adding_up" in found)
