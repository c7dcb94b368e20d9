"""Compares gateways: which absent parameters mean one thing at one gateway and another elsewhere.

A client that relies on such a default gets another picture, or another kind of reply, when it moves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from emulator.gateway.gateway import Gateway
from emulator.gateway.rules import ModelRules
from emulator.messages import OperationName


class DefaultComparison:
    """The defaults of all gateways of one server."""

    def __init__(self, gateways: Iterable[Gateway] = ()) -> None:
        self._gateways = tuple(gateways)
        self._known: dict[tuple[str, str], Mapping[str, str]] = {}

    def find_differing(
        self, gateway: str, model: str | None, rules: ModelRules, operation: OperationName = "generate"
    ) -> Mapping[str, str]:
        """Return a text for each parameter whose default differs elsewhere: the defaults here and there.

        Only gateways that list `model` by name are compared: at the others it may be another model.
        """
        if model is None or len(self._gateways) < 2:
            return _NONE
        key = (gateway, rules.ref + model)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = dict(self._compare(gateway, model, rules, operation))
            self._known[key] = known
        return known

    def _compare(
        self, gateway: str, model: str, rules: ModelRules, operation: OperationName
    ) -> Iterator[tuple[str, str]]:
        elsewhere: dict[str, Mapping[str, object]] = {}
        for other in self._gateways:
            other_rules = _find_rules(other, model, operation)
            if other_rules is not None and other.name != gateway:
                elsewhere[other.name] = _list_defaults(other_rules)
        for name, value in _list_defaults(rules).items():
            differing = [
                f"{defaults[name]} at {other}"
                for other, defaults in elsewhere.items()
                if defaults.get(name, value) != value
            ]
            if differing:
                yield name, f"{value} here, " + ", ".join(differing)


def _find_rules(gateway: Gateway, model: str, operation: OperationName) -> ModelRules | None:
    for candidate, models in gateway.iter_validated():
        if candidate.name == operation and model in models.listed:
            return models.listed[model]
    return None


def _list_defaults(rules: ModelRules) -> Mapping[str, object]:
    """Return the defaults of absent parameters; how pictures are delivered is always one of them."""
    delivery = rules.response.delivery or rules.defaults.get("response_format", "url")
    return {**rules.defaults, "response_format": delivery}


_MOST_KNOWN: Final = 1000  # pairs of gateway and model; clients may invent names where any model is taken
_NONE: Final[Mapping[str, str]] = {}
