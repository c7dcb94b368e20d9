"""Which gateways would accept a session's calls, as objects and as a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, overload

from emulator.client.records import Fit, GatewayOutcomes
from emulator.core.tables import format_table
from emulator.core.terminal import find_width


class Portability(Sequence[Fit]):
    """How each call of a session fits each gateway. `gateways` counts the outcomes of each gateway; `str()` is a table.

    >>> table = image_api.portability()
    >>> str(table).split()[:5]
    ['CALL', 'GATEWAY', 'BEHAVIOR', 'OUTCOME', 'WHY']
    >>> {fit.number for fit in table}
    {1, 2}
    """

    __module__ = "emulator"

    gateways: tuple[GatewayOutcomes, ...]

    def __init__(self, report: Mapping[str, Any], names: Collection[str]) -> None:
        """`report` is the server's answer to POST /_emulator/portability, `names` are the gateways that are asked."""
        fits: list[Fit] = []
        for call in report["calls"]:
            number = call.get("number")
            asked = [fit for fit in call["fits"] if fit["gateway"] in names]
            fits.extend(Fit.from_json({"number": number, **fit}) for fit in asked)
        self._fits = tuple(fits)
        self.gateways = tuple(GatewayOutcomes.from_json(one) for one in report["gateways"] if one["gateway"] in names)

    @overload
    def __getitem__(self, index: int) -> Fit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Fit]: ...
    def __getitem__(self, index: int | slice) -> Fit | Sequence[Fit]:
        return self._fits[index]

    def __len__(self) -> int:
        return len(self._fits)

    def __str__(self) -> str:
        rows = [("CALL", "GATEWAY", "BEHAVIOR", "OUTCOME", "WHY")]
        rows.extend(_make_row(fit) for fit in self)
        rows.extend(("all", one.gateway, one.behavior, "", _describe_counts(one)) for one in self.gateways)
        return "\n".join(format_table(rows, find_width()))


def _make_row(fit: Fit) -> tuple[str, str, str, str, str]:
    return str(fit.number or "-"), fit.gateway, fit.behavior, fit.outcome, _describe_reason(fit)


def _describe_reason(fit: Fit) -> str:
    """Why the gateway would refuse the call, what nobody promises, or what has no effect; an empty text if it fits."""
    if fit.refused is not None:
        return fit.refused.message
    reasons = list(fit.assumed)
    if fit.ignored:
        reasons.append(f"no effect there: {', '.join(fit.ignored)}")
    return "; ".join(reasons)


def _describe_counts(gateway: GatewayOutcomes) -> str:
    accepted = f"{gateway.accepted} accepted, {gateway.assumed} accepted (assumed)"
    return f"{accepted}, {gateway.ignores} ignore, {gateway.refused} refused"
