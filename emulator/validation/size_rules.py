"""Judges a size by arithmetic: models that draw nearly any size have no list, but steps, edges and a number of pixels.

The numbers stand in a gateway's file, under `x-emulator-size`; which one a size misses first is told first, as the real
one tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from emulator.messages import Violation


def misses(rule: Mapping[str, Any], value: str) -> Iterator[tuple[Violation, str, Any]]:
    """What of `rule` the size `value` misses: the breach, the part of the rule, and what that part says."""
    if value in rule.get("words", ()):
        return
    if (found := re.fullmatch(_SIZE, value)) is None:
        yield "size_shape", "words", rule.get("words", [])
        return
    sides = int(found[1]), int(found[2])
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


def flaw(rule: Any) -> str | None:
    """What is wrong with `rule` itself, in one line; None where nothing is."""
    if not isinstance(rule, Mapping) or {*_NUMBERS, "pixels"} - set(rule) or set(rule) - {*_NUMBERS, "pixels", "words"}:
        return f"x-emulator-size is {rule!r}; expected {', '.join(_NUMBERS)} and pixels, with or without words"
    numbers = [*(rule[name] for name in _NUMBERS), *(rule["pixels"] if _is_list(rule["pixels"]) else [None])]
    if len(numbers) != len(_NUMBERS) + 2 or not all(one.__class__ is int and one > 0 for one in numbers):
        return "x-emulator-size has numbers other than expected: whole ones from 1, and two of them as pixels"
    words = rule.get("words", [])
    if not _is_list(words) or not all(isinstance(word, str) for word in words):
        return f"x-emulator-size has the words {words!r}; expected a list of texts"
    return None


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


# A pattern as text: `re` compiles it when it is first needed. No side of a picture has more digits than nine.
_SIZE: Final = r"([0-9]{1,9})x([0-9]{1,9})"
_NUMBERS: Final = ("step", "edge", "ratio")
