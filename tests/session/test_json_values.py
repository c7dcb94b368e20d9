"""What a store holds of a call comes back as it was, whatever a gateway's replies look like."""

from __future__ import annotations

import json

import pytest

from emulator.gateway.gateway import Gateway
from emulator.session.json_values import from_plain, to_plain
from emulator.validation.registry import load_gateways


@pytest.mark.parametrize("gateway", load_gateways(()), ids=lambda gateway: gateway.name)
def test_the_shape_of_a_reply_comes_back(gateway: Gateway) -> None:
    """Its templates, the events of its streams, and where its pictures and its usage stand."""
    for _, models in gateway.iter_validated():
        for rules in models.iter_rules():
            again = from_plain(json.loads(json.dumps(to_plain(rules.response))))
            assert rules.response == again
            assert rules.response.places.pictures == again.places.pictures
