"""Which parameter says how many pictures a call asks for: `x-emulator-count`."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.gateway.picture_count import read_count_rule

GROUP = {"parameter": "group.pictures", "when": {"mode": "group"}, "usual": 4, "with_pictures": 6}


@pytest.mark.parametrize(
    ("rule", "effective", "number"),
    [
        ({"parameter": "count"}, {"count": 3}, 3),
        ({"parameter": "count"}, {"count": "3"}, "3"),
        ({"parameter": "count"}, {}, 1),
        ({"parameter": "count", "when": {"many": True}}, {"count": 3, "many": True}, 3),
        ({"parameter": "count", "when": {"many": True}}, {"count": 3, "many": 1}, 1),
        (GROUP, {"mode": "group", "group": {"pictures": 2}}, 2),
        (GROUP, {"mode": "single", "group": {"pictures": 2}}, 1),
        (GROUP, {"group": {"pictures": 2}}, 1),
        (GROUP, {"mode": "group", "group": {}}, 4),
        (GROUP, {"mode": "group", "group": 2}, 4),
        (GROUP, {"mode": "group", "group": {"pictures": None}}, 4),
    ],
)
def test_the_number_that_a_call_gives(rule: Any, effective: Any, number: Any) -> None:
    """It counts on its condition alone; where the call gives none, the usual one does."""
    found = read_count_rule(rule)
    assert found is not None
    assert number == found.find_number(effective)


@pytest.mark.parametrize(("brought", "made"), [(0, 5), (1, 5), (2, 4), (5, 1), (6, 1), (9, 1)])
def test_what_a_call_brings_leaves_less_room(brought: int, made: int) -> None:
    """Fewer are made, and one at least."""
    rule = read_count_rule(GROUP)
    assert rule is not None
    assert made == rule.fit_number(5, brought)


def test_without_a_bound_all_are_made() -> None:
    """What a call brings does not count then."""
    rule = read_count_rule({"parameter": "count"})
    assert rule is not None
    assert 5 == rule.fit_number(5, 9)
