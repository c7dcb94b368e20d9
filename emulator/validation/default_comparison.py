"""Compares gateways: which parameters, when they are left out, mean one thing here and another elsewhere.

A client that leans on such a default gets another picture, or another kind of reply, when it moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from emulator.gateway.gateway import Gateway
from emulator.gateway.rules import ModelRules
from emulator.messages import OperationName


class DefaultComparison:
    """The gateways of one server, side by side."""

    def __init__(self, gateways: Iterable[Gateway] = ()) -> None:
        self._gateways = tuple(gateways)
        self._known: dict[tuple[str, str], Mapping[str, str]] = {}

    def differing(
        self, gateway: str, model: str | None, rules: ModelRules, operation: OperationName = "generate"
    ) -> Mapping[str, str]:
        """For each parameter with another default elsewhere, what it is here and there, as a person reads it.

        Only gateways that list `model` by name are compared: at the others it may be another model.
        """
        if model is None or len(self._gateways) < 2:
            return _NONE
        known = self._known.get((gateway, rules.ref + model))
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[gateway, rules.ref + model] = dict(self._compared(gateway, model, rules, operation))
        return known

    def _compared(
        self, gateway: str, model: str, rules: ModelRules, operation: OperationName
    ) -> Iterator[tuple[str, str]]:
        there = ((one.name, _listed(one, model, operation)) for one in self._gateways)
        elsewhere = {name: _defaults(found) for name, found in there if found is not None}
        elsewhere.pop(gateway, None)
        for name, value in _defaults(rules).items():
            others = {at: said[name] for at, said in elsewhere.items() if said.get(name, value) != value}
            if others:
                yield name, f"{value} here, " + ", ".join(f"{said} at {at}" for at, said in others.items())


def _listed(dialect: Gateway, model: str, operation: OperationName) -> ModelRules | None:
    for one, models in dialect.judging():
        if one.name == operation and model in models.listed:
            return models.listed[model]
    return None


def _defaults(rules: ModelRules) -> Mapping[str, object]:
    """What counts for parameters that are left out; how pictures are delivered is one of them, said or not."""
    delivered = rules.response.delivery or rules.defaults.get("response_format", "url")
    return {**rules.defaults, "response_format": delivered}


_MOST_KNOWN: Final = 1000  # pairs of gateway and model; clients may invent names where any model is taken
_NONE: Final[Mapping[str, str]] = {}
