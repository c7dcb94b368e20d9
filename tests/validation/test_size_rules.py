"""The arithmetic of sizes, and what is no arithmetic."""

from __future__ import annotations

from typing import Any, Final

import pytest

from emulator.validation import size_rules

RULE: Final = {"words": ["auto"], "step": 16, "edge": 3840, "pixels": [655_360, 8_294_400], "ratio": 3}


@pytest.mark.parametrize(
    ("value", "violations"),
    [
        ("auto", []), ("1024x1024", []), ("816x816", []), ("3840x2160", []), ("3840x1280", []), ("01024x1024", []),
        ("Auto", ["size_shape"]), ("", ["size_shape"]), ("1024", ["size_shape"]), ("1024x1024x1", ["size_shape"]),
        (" 1024x1024", ["size_shape"]), ("1024x1024\n", ["size_shape"]), ("-16x16", ["size_shape"]),
        ("\u0661\u0660\u0662\u0664x1024", ["size_shape"]), (f"{'1' * 5000}x16", ["size_shape"]),
        ("9x9", ["size_step", "size_below_budget"]), ("0x0", ["size_below_budget"]),
        ("0x1024", ["size_below_budget", "size_ratio"]), ("800x800", ["size_below_budget"]),
        ("3856x2144", ["size_edge"]), ("4096x1024", ["size_edge", "size_ratio"]), ("3840x2176", ["size_above_budget"]),
        ("1552x512", ["size_ratio"]), ("512x1552", ["size_ratio"]),
        ("999999999x1", ["size_step", "size_edge", "size_above_budget", "size_ratio"]),
    ],
)  # fmt: skip
def test_what_a_size_misses(value: str, violations: list[str]) -> None:
    """Shape, steps, the longest edge, fewest and most pixels, the ratio: in this order."""
    assert violations == [violation for violation, _, _ in size_rules.find_violations(RULE, value)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"edges": 5}, "expected step, edge, ratio and pixels"),
        ({"step": 0}, "whole ones from 1"),
        ({"step": 1.5}, "whole ones from 1"),
        ({"ratio": True}, "whole ones from 1"),
        ({"pixels": 655_360}, "two of them as pixels"),
        ({"pixels": [1]}, "two of them as pixels"),
        ({"words": "auto"}, "expected a list of texts"),
        ({"words": [5]}, "expected a list of texts"),
    ],
)
def test_a_rule_that_is_none(change: dict[str, Any], told: str) -> None:
    """A slip in a gateway's file is one line."""
    assert size_rules.find_flaw(RULE) is None
    found = size_rules.find_flaw({**RULE, **change})
    assert found is not None
    assert told in found
    assert "\n" not in found


@pytest.mark.parametrize("rule", [None, [], "assumed", {}, {"step": 16, "edge": 1, "ratio": 1}])
def test_a_rule_of_another_shape(rule: Any) -> None:
    """So is what is no rule at all."""
    assert str(size_rules.find_flaw(rule)).startswith("x-emulator-size is ")
