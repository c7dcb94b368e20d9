"""What a session may spend: requests and pictures a minute, pictures in all.

Counted by the minutes of the session's own clock, so that the wait in a refusal is the one that is really left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property

from emulator.exchange import Call, Problem
from emulator.memory import Counter


@dataclass(frozen=True)
class Limits:
    """The most of each that a session may have; None: no limit."""

    requests_per_minute: int | None = None
    images_per_minute: int | None = None
    images: int | None = None

    @cached_property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, one.name) is not None for one in fields(self))


async def spend(limits: Limits, call: Call, counter: Counter, session: str, now: float) -> None:
    """Count `call` against `limits`; raises Problem (rate_limit or quota) where it is one too many.

    A refused call spends a request, as in life, and no picture.
    """
    minute, passed = divmod(now, 60)
    wait = 60 - passed
    for what, limit, amount in (
        ("requests", limits.requests_per_minute, 1),
        ("images", limits.images_per_minute, call.count),
    ):
        if limit is not None and not await _fits(counter, session, f"{what} of minute {int(minute)}", amount, limit):
            seconds = math.ceil(wait)
            facts = {"model": call.model or "", "limit": str(limit), "wait": f"{seconds}s"}
            headers = (("retry-after", str(seconds)), ("retry-after-ms", str(math.ceil(wait * 1000))))
            raise Problem("rate_limit", facts=facts, rule=f"limits: {what}_per_minute {limit}", headers=headers)
    if limits.images is not None and not await _fits(counter, session, "images", call.count, limits.images):
        raise Problem("quota", facts={"model": call.model or ""}, rule=f"limits: images {limits.images}")


async def _fits(counter: Counter, session: str, what: str, amount: int, limit: int) -> bool:
    """Count `amount` more, unless that is more than `limit`."""
    if await counter.count(session, what, amount) <= limit:
        return True
    await counter.count(session, what, -amount)
    return False
