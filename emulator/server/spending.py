"""What calls to real gateways cost, and the most that they may."""

from __future__ import annotations

from emulator.gateway import pricing
from emulator.messages import Call, GatewayError


class Spending:
    """The dollars that one server has spent on real gateways; `most`, if given, is the most that it may.

    A call under way counts with its estimate, so that calls at the same time do not pass the bound together.
    """

    def __init__(self, most: float | None) -> None:
        self._most = most
        self.spent = 0.0

    def reserve(self, call: Call) -> float:
        """Count a call that is about to leave; return its estimate. Raises GatewayError where it would pass the bound.

        A call that cannot be priced does not leave where there is a bound.
        """
        estimate: float | None = 0.0
        if call.operation in pricing.PAID:
            estimate = pricing.price_call(call, max(1, call.count))
        if self._most is not None:
            if estimate is None:
                why = f"no price is known of a call for {str(call.model)[:80]!r}"
                raise _refuse(f"--max-spend {self._most:g} cannot be kept: {why}, so it has not left.")
            if self.spent + estimate > self._most + _ROUNDING:
                why = f"${self.spent:.4f} are spent, and this call costs about ${estimate:.4f}"
                raise _refuse(f"--max-spend {self._most:g} would be passed: {why}. It has not left.")
        self.spent += estimate or 0.0
        return estimate or 0.0

    def settle(self, estimate: float, cost: float | None) -> None:
        """Count the real cost of a call in the place of its estimate; None: the estimate stays, as it may be billed."""
        if cost is not None:
            self.spent += cost - estimate


def _refuse(text: str) -> GatewayError:
    return GatewayError("invalid_request", violation="max_spend", facts={"expected": text})


_ROUNDING = 1e-9  # dollars; prices are decimal fractions, which floats represent only nearly
