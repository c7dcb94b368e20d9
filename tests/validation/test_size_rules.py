"""The arithmetic of sizes."""

from __future__ import annotations

from typing import Final

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
