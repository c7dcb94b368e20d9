"""What a session may spend: requests and pictures a minute, pictures in all, and dollars.

The minutes are those of the session's own clock, so the wait in a refusal is the wait that is really left. Money is
counted in whole millionths of a dollar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Final, NamedTuple, Protocol

from emulator.core.light_dataclass import dataclass
from emulator.findings import Finding
from emulator.gateway import pricing
from emulator.gateway.refusals import refuse_cost, refuse_rate
from emulator.messages import Call, GatewayError


class Share(NamedTuple):
    """What a call adds to one count: `amount` to that of `what`, which may come to `most`.

    A share that `stays` remains counted where a later one of the same call is too much.
    """

    what: str
    amount: int
    most: int
    stays: bool = False


class Excess(NamedTuple):
    """Which of several shares is too much, by its place among them, and how much was counted before it."""

    place: int
    used: int


class Counter(Protocol):
    """Counts for a session; a store keeps the counts."""

    async def count(self, session: str, what: str, more: int = 1) -> int:
        """Add `more` to the count of `what` in `session` and return it. Calls at the same time get different counts."""
        ...


class LimitCounter(Counter, Protocol):
    """Counts for a session against limits too."""

    async def spend(self, session: str, shares: Sequence[Share]) -> Excess | None:
        """Count all of `shares`, in one step; return None. Where one is too much, return the first that is.

        Of the shares before it those that stay are counted then, and no other.
        """
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


class UsedLimit(NamedTuple):
    """A limit that is set: how much of it a session may have at most, and how much is used; dollars for `cost`."""

    limit: str
    most: float
    used: float


@dataclass(frozen=True)
class _Ceiling:
    """One limit, and what a call adds to its count: `what` names the count, `amount` is added, `most` is the limit."""

    limit: str
    most: float
    what: str
    amount: int

    @property
    def most_counted(self) -> int:
        """The limit in the unit of its count: dollars are counted in millionths."""
        if self.limit == "cost":
            return _millionths(self.most)
        return int(self.most)


async def spend(limits: Limits, call: Call, counter: LimitCounter, *, session: str, now: float, model: str) -> Charge:
    """Count `call` against `limits`; raises GatewayError (rate_limit, quota or billing) where it is one too many.

    `model` is the one that a message names. `now` is Unix seconds. A call that is refused here spends a request, as in
    life, and neither pictures nor money.
    """
    charge = FREE
    if limits.cost is not None:
        charge = _charge(call)
    await _count(_list_ceilings(limits, call, charge, now), counter, session=session, now=now, model=model)
    return charge


async def spend_request(limits: Limits, counter: LimitCounter, *, session: str, now: float, model: str) -> None:
    """Count a request alone, before its call is known; raises GatewayError (rate_limit) where it is one too many."""
    ceilings = _list_request_ceilings(limits, now)
    await _count(ceilings, counter, session=session, now=now, model=model)


async def spend_rest(
    limits: Limits, call: Call, counter: LimitCounter, *, session: str, now: float, model: str
) -> Charge:
    """Count what `spend` counts, but the request, which `spend_request` has counted."""
    rest = replace(limits, requests_per_minute=None)
    return await spend(rest, call, counter, session=session, now=now, model=model)


async def give_back(
    limits: Limits, charge: Charge, call: Call, counter: LimitCounter, *, session: str, now: float
) -> None:
    """Give back the pictures and the money of `call`, which the gateway's upstream has refused."""
    for ceiling in _list_ceilings(replace(limits, requests_per_minute=None, cost=None), call, charge, now):
        await counter.count(session, ceiling.what, -ceiling.amount)
    await settle(charge, call, 0, counter, session)


async def _count(ceilings: Iterable[_Ceiling], counter: LimitCounter, *, session: str, now: float, model: str) -> None:
    ceilings = list(ceilings)
    shares = [Share(one.what, one.amount, one.most_counted, stays=one.what.startswith(_REQUESTS)) for one in ceilings]
    excess = await counter.spend(session, shares)
    if excess is not None:
        raise _refuse(ceilings[excess.place], excess.used, model, now)


async def count_used(limits: Limits, counter: Counter, *, session: str, now: float) -> list[UsedLimit]:
    """Return what `session` has used of each limit that is set, in this minute of its clock or in all."""
    minute = int(now // 60)
    names = {
        "requests_per_minute": f"{_REQUESTS} of minute {minute}",
        "images_per_minute": f"{_IMAGES} of minute {minute}",
        "images": _IMAGES,
        "cost": _COST,
    }
    found = []
    for limit, what in names.items():
        most = getattr(limits, limit)
        if most is None:
            continue
        used: float = await counter.count(session, what, 0)
        if limit == "cost":
            used /= _MILLION
        found.append(UsedLimit(limit, most, used))
    return found


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


def _list_request_ceilings(limits: Limits, now: float) -> Iterator[_Ceiling]:
    if limits.requests_per_minute is not None:
        what = f"{_REQUESTS} of minute {int(now // 60)}"
        yield _Ceiling("requests_per_minute", limits.requests_per_minute, what, 1)


def _list_ceilings(limits: Limits, call: Call, charge: Charge, now: float) -> Iterator[_Ceiling]:
    """Yield the ceiling of each limit that is set."""
    minute = int(now // 60)
    yield from _list_request_ceilings(limits, now)
    if limits.images_per_minute is not None:
        yield _Ceiling("images_per_minute", limits.images_per_minute, f"{_IMAGES} of minute {minute}", call.count)
    if limits.images is not None:
        yield _Ceiling("images", limits.images, _IMAGES, call.count)
    if limits.cost is not None:
        yield _Ceiling("cost", limits.cost, _COST, charge.amount)


def _refuse(ceiling: _Ceiling, used: int, model: str, now: float) -> GatewayError:
    """Return the error of a call above `ceiling`, of which `used` was spent before it."""
    rule = f"limits: {ceiling.limit} {ceiling.most}"
    match ceiling.limit:
        case "images":
            return GatewayError("quota", facts={"model": model}, rule=rule)
        case "cost":
            left = (ceiling.most_counted - used) / _MILLION
            return refuse_cost(model, left=left, need=ceiling.amount / _MILLION, rule=rule)
        case _:
            return refuse_rate(
                model,
                unit=ceiling.limit.removesuffix("_per_minute"),
                limit=ceiling.most_counted,
                used=used,
                requested=ceiling.amount,
                seconds=60 - now % 60,
                rule=rule,
            )


def _millionths(dollars: float) -> int:
    return round(dollars * _MILLION)


_MILLION: Final = 1_000_000
_REQUESTS: Final = "requests"
_IMAGES: Final = "images"
_COST: Final = "cost"
"""Names of counts; those of a minute have the minute behind them."""
