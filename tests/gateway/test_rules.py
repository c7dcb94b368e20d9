"""The rules of a model: worked out once, looked up by every call."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import pytest

from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.gateway.openapi import Document
from emulator.messages import Call, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator

FILES: Final = (
    "aiai",
    "ezmodel",
    "geekai",
    "geeknow",
    "observed/aiai",
    "observed/ezmodel",
    "observed/geeknow",
    "openai",
)


def _validate(validator: RequestValidator, gateway: Gateway, size: str | None) -> Call:
    operation = next(gateway.iter_generating())
    assert operation.models is not None
    model = next(iter(operation.models.listed))
    body: dict[str, Any] = {"model": model, "prompt": "x", "n": 1}
    if size is not None:
        body["size"] = size
    request = Request("POST", operation.path, "", {"Content-Type": "application/json"}, b"", body, None, (), "", 0)
    channels = frozenset([model])
    return validator.validate(request, ValidationContext(operation, "sk-test", report_only=True, channels=channels))


@pytest.mark.parametrize("name", FILES)
def test_a_call_interprets_no_schema(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """After the first call of a model, another one reads nothing of the gateway's document."""
    gateway = load_gateway(find_schemas() / f"{name}.yaml")
    validator = RequestValidator(gateway)
    first = _validate(validator, gateway, None)

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a call reads the document")

    for method in ("resolve", "look_up", "find_annotation", "iter_parts", "read_parameters", "find_request_schema"):
        monkeypatch.setattr(Document, method, refuse)
    second = _validate(validator, gateway, "1024x1024")
    assert first.model == second.model
    assert "1024x1024" == second.params["size"]
