"""The rules of a model: worked out once, looked up by every call."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import pytest

from emulator.core.data_folders import find_schemas
from emulator.gateway import rules
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.gateway.openapi import Document
from emulator.gateway.rules import read_model_rules
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


def test_the_rules_of_other_models_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that ships is read model by model; a user's at once, so that the start tells what is wrong in it."""
    read: list[str] = []

    def note(document: Document, ref: str, pointer: Any = (), model_name: str = "model") -> Any:
        read.append(ref)
        return read_model_rules(document, ref, pointer, model_name=model_name)

    monkeypatch.setattr(rules, "read_model_rules", note)
    gateway = load_gateway(find_schemas() / "openai.yaml")
    models = next(gateway.iter_generating()).models
    assert models is not None
    assert "dall-e-3" in models.listed
    assert 14 == len(models.listed) == len(list(models.listed))
    assert [] == read
    assert models.listed["dall-e-3"] is models.listed["dall-e-3"] is models.find_rules("dall-e-3", ())
    assert ["#/components/schemas/DallE3"] == read
    assert "no-such-model" not in models.listed
    assert models.listed.get("no-such-model") is None
