"""Chance depends on the parts that it is drawn for and on nothing else."""

from __future__ import annotations

import pytest

from emulator.core.chance import draw_chance, make_seed


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.75, 0.99])
def test_shares(share: float) -> None:
    """Of many turns about the share that was asked for comes true."""
    happened = sum(draw_chance(share, 0, "session", 0, turn) for turn in range(5000))
    assert share == pytest.approx(happened / 5000, abs=0.03)


def test_never_and_always() -> None:
    """0 never happens and 1 always does."""
    assert not any(draw_chance(0, turn) for turn in range(2000))
    assert all(draw_chance(1, turn) for turn in range(2000))


def test_each_part_counts_and_nothing_else() -> None:
    """The same question has the same answer, in any order; seed, session, rule and turn each make another."""

    def fates(seed: int, session: str, rule: int, first: int = 0) -> tuple[bool, ...]:
        return tuple(draw_chance(0.5, seed, session, rule, turn) for turn in range(first, first + 64))

    told = fates(1, "a", 0)
    assert told == tuple(reversed([draw_chance(0.5, 1, "a", 0, turn) for turn in reversed(range(64))]))
    assert 5 == len({told, fates(2, "a", 0), fates(1, "b", 0), fates(1, "a", 1), fates(1, "a", 0, 1)})
    assert fates(1, "1", 2) != fates(11, "", 2)


def test_each_part_counts_in_a_seed() -> None:
    """Parts are kept apart: the same letters in other parts give another seed."""
    assert make_seed("a", "bc") != make_seed("ab", "c")
