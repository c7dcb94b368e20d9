"""Seeded chance: a result depends on the parts that it is drawn for and on nothing else, so that a run repeats.

This is the only module that uses `random`. It keeps no state: the same parts give the same result, in any order.
"""

from __future__ import annotations

import hashlib
import random

from emulator.core import strict_json


def make_seed(*parts: str | int) -> int:
    """Return a number from 0 to 2**64 - 1 that depends on each part and on their order."""
    return make_seed_of_json(strict_json.format_json(parts))


def make_seed_of_json(text: str) -> int:
    """Return what `make_seed` returns of the parts that `text` has as a JSON list without blanks."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def make_random(*parts: str | int) -> random.Random:
    """Return a generator of random numbers that is seeded with `parts`."""
    return random.Random(make_seed(*parts))  # noqa: S311 - a test's chance, not a secret


def draw_chance(share: float, *parts: str | int) -> bool:
    """Return True with a probability of `share` (0 to 1); the same parts give the same result."""
    return make_random(*parts).random() < share
