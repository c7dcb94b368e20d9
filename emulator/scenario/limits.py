"""What a session may spend: requests and pictures a minute, pictures in all, and dollars.

The minutes are those of the session's own clock, so the wait in a refusal is the wait that is really left. Money is
counted in whole millionths of a dollar.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final, Protocol

from emulator.findings import Finding
from emulator.gateway import pricing
from emulator.messages import Call, GatewayError


class Counter(Protocol):
    """Counts for a session; a store keeps the counts."""

    async def count(self, session: str, what: str, more: int = 1) -> int:
        """Add `more` to the count of `what` in `session` and return it. Calls at the same time get different counts."""
        ...


@dataclass(frozen=True)
class Limits:
    """The most of each that a session may have; `cost` is in dollars. None: no limit."""

    requests_per_minute: int | None = None
    images_per_minute: int | None = None
    images: int | None = None
    cost: float | None = None

    @cached_property
    def any(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, one.name) is not None for one in fields(self))


@dataclass(frozen=True)
class Charge:
    """What a call was charged in advance, in millionths of a dollar, and the findings about it."""

    amount: int = 0
    findings: tuple[Finding, ...] = ()


FREE: Final = Charge()


async def spend(limits: Limits, call: Call, counter: Counter, session: str, now: float) -> Charge:
    """Count `call` against `limits`; raises GatewayError (rate_limit, quota or billing) where it is one too many.

    A call that is refused here spends a request, as in life, and neither pictures nor money.
    """
    charge = FREE if limits.cost is None else _charge(call)
    counted: list[tuple[str, int]] = []
    for what, amount, limit, error in _ceilings(limits, call, charge, now):
        if await counter.count(session, what, amount) > limit:
            for earlier, spent in (*counted, (what, amount)):
                await counter.count(session, earlier, -spent)
            raise error
        if not what.startswith(_REQUESTS):
            counted.append((what, amount))
    return charge


async def settle(charge: Charge, call: Call, made: int, counter: Counter, session: str) -> None:
    """Give back what was charged for the pictures of `call` that were not made."""
    back = charge.amount * (call.count - made) // call.count if call.count else 0
    if back:
        await counter.count(session, _COST, -back)


def _charge(call: Call) -> Charge:
    """Return the price of all that `call` asks for; an unknown price is a finding."""
    dollars = pricing.price_call(call, call.count) if call.count else 0.0
    if dollars is None:
        return Charge(0, (Finding("cost_unknown", f"nobody knows what {call.model or 'this model'!r} costs", "model"),))
    return Charge(_millionths(dollars))


def _ceilings(limits: Limits, call: Call, charge: Charge, now: float) -> Iterator[tuple[str, int, int, GatewayError]]:
    """Yield, for each limit: the name of the count, what the call adds to it, the limit, and the error above it."""
    minute, passed = divmod(now, 60)
    wait = 60 - passed
    model = {"model": call.model or ""}
    for what, most, amount in (
        (_REQUESTS, limits.requests_per_minute, 1),
        (_IMAGES, limits.images_per_minute, call.count),
    ):
        if most is not None:
            seconds = math.ceil(wait)
            facts = {**model, "limit": str(most), "wait": f"{seconds}s"}
            headers = (("retry-after", str(seconds)), ("retry-after-ms", str(math.ceil(wait * 1000))))
            error = GatewayError("rate_limit", facts=facts, rule=f"limits: {what}_per_minute {most}", headers=headers)
            yield f"{what} of minute {int(minute)}", amount, most, error
    if limits.images is not None:
        yield (
            _IMAGES,
            call.count,
            limits.images,
            GatewayError("quota", facts=model, rule=f"limits: images {limits.images}"),
        )
    if limits.cost is not None:
        error = GatewayError("billing", facts=model, rule=f"limits: cost {limits.cost}")
        yield _COST, charge.amount, _millionths(limits.cost), error


def _millionths(dollars: float) -> int:
    return round(dollars * 1_000_000)


_REQUESTS: Final = "requests"
_IMAGES: Final = "images"
_COST: Final = "cost"
"""Names of counts; those of a minute have the minute behind them."""
