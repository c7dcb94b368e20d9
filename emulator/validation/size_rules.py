"""Checks a size by arithmetic: models that draw nearly any size have no list, but steps, edges and a number of pixels.

The numbers are in a gateway's file, under `x-emulator-size`. The rule that a size breaks first is reported first, as
the real gateway does it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from emulator.messages import Violation


def find_violations(rule: Mapping[str, Any], size: str) -> Iterator[tuple[Violation, str, Any]]:
    """Yield what of `rule` the `size` breaks: the violation, the part of the rule, and the value of that part."""
    if size in rule.get("words", ()):
        return
    match = re.fullmatch(_SIZE, size)
    if match is None:
        yield "size_shape", "words", rule.get("words", [])
        return
    sides = int(match[1]), int(match[2])
    fewest, most = rule["pixels"]
    pixels = sides[0] * sides[1]
    if any(side % rule["step"] for side in sides):
        yield "size_step", "step", rule["step"]
    if max(sides) > rule["edge"]:
        yield "size_edge", "edge", rule["edge"]
    if pixels < fewest:
        yield "size_below_budget", "pixels", fewest
    if pixels > most:
        yield "size_above_budget", "pixels", most
    if max(sides) > rule["ratio"] * min(sides):
        yield "size_ratio", "ratio", rule["ratio"]


# A pattern as text: `re` compiles it when it is first needed. No side of a picture has more digits than nine.
_SIZE: Final = r"([0-9]{1,9})x([0-9]{1,9})"
