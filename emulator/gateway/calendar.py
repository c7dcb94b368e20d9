"""Says which models there are on a day: those that have been released and have not come to their end.

Only gateways whose file says `calendar: true` are asked about by the day; the days themselves stand in *catalogue*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emulator.findings import Finding
from emulator.messages import GatewayError


@dataclass(frozen=True, slots=True)
class Calendar:
    """A day (ISO, in UTC); with `legacy` the models that have ended go on."""

    day: str
    legacy: bool = False

    def is_past(self, end: str) -> bool:
        """Whether what ends on the day `end` has ended."""
        return self.day >= end and not self.legacy

    def absence(self, model: str) -> GatewayError | None:
        """The problem of a call for `model`, which is not there yet or any more; None where it is there."""
        from emulator.gateway import catalog  # it reads its table with the first call for a model of the calendar

        found = catalog.of(model)
        if found is None:
            return None
        if found.released is not None and self.day < found.released:
            rule, source = f"released on {found.released}, and it is {self.day}", found.sources["released"]
            return GatewayError("unknown_model", "model", None, {"model": model}, f"calendar: {rule}", source, model)
        if found.ends is not None and self.day >= found.ends and not self.legacy:
            rule, source = f"ended on {found.ends}, and it is {self.day}", found.sources["ends"]
            return GatewayError("retired_model", "model", None, {"model": model}, f"calendar: {rule}", source, model)
        return None

    def ending(self, model: str, listed: bool = True) -> Finding | None:
        """What is worth knowing of the end of `model`, which is there; None where no end is known.

        A gateway that takes any name may have a model that its page does not list, and its maker has ended.
        """
        from emulator.gateway import catalog

        found = catalog.of(model)
        if found is None or found.ends is None:
            return None
        said = f"ends on {found.ends}" if self.day < found.ends else f"ended on {found.ends}"
        if not listed:
            said += " at its maker, and the gateway's page does not list it"
        elif self.day >= found.ends:
            said += ": only --legacy keeps it"
        return Finding("model_ending", f"{model!r} {said}", "model")

    def listed(self, listing: Mapping[str, Any]) -> Mapping[str, Any]:
        """A gateway's list of models, without those that are not there, and with the day on which each ends."""
        there = (one for one in listing["data"] if self.absence(one["id"]) is None)
        return {**listing, "data": [{**one, "shutdown_date": _end(one["id"])} for one in there]}


def _end(model: str) -> str | None:
    from emulator.gateway import catalog

    found = catalog.of(model)
    return None if found is None else found.ends
