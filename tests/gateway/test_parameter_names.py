"""A gateway's own names of parameters: read from its file, refused where two are one, told where one is missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from emulator.core import json_schema
from emulator.core.data_folders import find_schemas
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.gateway.parameter_names import (
    KEYWORD,
    PARAMETERS,
    add_openai_names,
    find_texts,
    to_openai_names,
    to_own_names,
)
from emulator.messages import Call, Request
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator
from tests.yaml_texts import dump_yaml

TEXT: Final = {"type": "string"}
PROMPT: Final = {**TEXT, KEYWORD: "prompt"}
MODEL: Final = {**TEXT, KEYWORD: "model"}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a gateway whose POST /draw takes `schema`; `schemas` are those that it refers to."""

    def write_file(schema: Any, schemas: Mapping[str, Any] | None = None, **operation: Any) -> Path:
        post = {
            "x-emulator-operation": "generate",
            "requestBody": {"content": {"application/json": {"schema": schema}}},
            "responses": {"200": {"description": "ok"}},
            **operation,
        }
        document = {
            "openapi": "3.1.0",
            "info": {"title": "Names", "version": "1"},
            "servers": [{"url": "https://names.test"}],
            "paths": {"/draw" if "x-emulator-model" not in operation else "/{engine}/draw": {"post": post}},
            "components": {"schemas": dict(schemas or {})},
            "x-emulator-gateway": {"makers": ["openai"]},
        }
        path = tmp_path / "names.yaml"
        path.write_text(dump_yaml(document))
        return path

    return write_file


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _choose(name: str) -> dict[str, Any]:
    mapping = {"a": "#/components/schemas/A", "b": "#/components/schemas/B"}
    return {"discriminator": {"propertyName": name, "mapping": mapping}}


def _ask(gateway: Gateway, body: Any, variables: Mapping[str, str] | None = None) -> Call:
    operation = next(gateway.iter_generating())
    request = Request("POST", operation.path, "", {"Content-Type": "application/json"}, b"", body, None, (), "", 0)
    context = ValidationContext(operation, "sk-test", variables=variables or {})
    return RequestValidator(gateway).validate(request, context)


def _list_codes(gateway: Gateway) -> list[str]:
    return [finding.code for finding in gateway.findings]


def test_the_schema_knows_the_parameters() -> None:
    """What a file may name is what the emulator acts on."""
    keys = json_schema.load_schema("gateway.schema.json").root["$defs"]["schema_keys"]["properties"]
    assert set(keys[KEYWORD]["enum"]) == PARAMETERS


def test_an_unknown_meaning_is_one_line_with_the_nearest(write: Write) -> None:
    """A slip stops the start."""
    with pytest.raises(
        InvalidFile, match=r"names.yaml:\d+: x-emulator-parameter is 'promt'; .*did you mean 'prompt'\?"
    ):
        load_gateway(write(_object(text={**TEXT, KEYWORD: "promt"})))


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"text": PROMPT, "words": PROMPT}, "'words' and 'text' are both 'prompt'"),
        ({"text": PROMPT, "prompt": TEXT}, "'text' and 'prompt' are both 'prompt'"),
        ({"prompt": TEXT, "text": PROMPT}, "'text' and 'prompt' are both 'prompt'"),
        ({"prompt": TEXT, "model": TEXT, "engine": MODEL}, "'engine' and 'model' are both 'model'"),
    ],
)
def test_two_parameters_with_one_meaning_are_refused(write: Write, properties: Any, message: str) -> None:
    """The line says which two."""
    with pytest.raises(InvalidFile, match=f"names.yaml:.*{KEYWORD}: {message}; one parameter can be it"):
        load_gateway(write(_object(**properties)))


def test_a_discriminator_and_another_model_are_refused(write: Write) -> None:
    """A discriminator on `model`, and a parameter that says it is the model, do not agree."""
    schemas = {"A": _object(prompt=TEXT, engine=MODEL), "B": _object(prompt=TEXT)}
    with pytest.raises(InvalidFile, match="'engine' is the model by x-emulator-parameter, and the discriminator names"):
        load_gateway(write(_choose("model"), schemas))


def test_two_counts_are_refused(write: Write) -> None:
    """`x-emulator-count` and a parameter that says it is the count do not agree."""
    schema = _object(prompt=TEXT, copies={"type": "integer", KEYWORD: "n"}, group={"type": "integer"})
    with pytest.raises(InvalidFile, match=r"x-emulator-count says what .*, and 'copies' is x-emulator-parameter: n"):
        load_gateway(write({**schema, "x-emulator-count": {"parameter": "group"}}))


def test_a_name_that_says_what_it_is_changes_nothing(write: Write) -> None:
    """`prompt` may be marked as the prompt."""
    gateway = load_gateway(write(_object(prompt=PROMPT)))
    assert ({}, []) == (gateway.own_names, _list_codes(gateway))
    call = _ask(gateway, {"prompt": "A boat"})
    assert call.params is call.effective


def test_a_discriminator_names_the_model(write: Write) -> None:
    """By any name, as OpenAPI has it; the schema of each model is the one that counts."""
    schemas = {"A": _object(engine=TEXT, text=PROMPT), "B": _object(engine=TEXT, words=PROMPT)}
    gateway = load_gateway(write(_choose("engine"), schemas))
    assert [] == _list_codes(gateway)
    assert {"model": ("engine",), "prompt": ("text", "words")} == gateway.own_names
    call = _ask(gateway, {"engine": "b", "words": "A boat"})
    assert ("b", "A boat") == (call.model, call.effective["prompt"])
    assert {"engine": "b", "words": "A boat"} == call.params == call.given
    assert {"engine", "text", "words", "model", "prompt"} == gateway.known_names - {"a", "b"}


def test_a_discriminator_alone_names_the_parameter(write: Write) -> None:
    """Without a mapping and without alternatives there is one schema, for whatever model."""
    schema = {**_object(engine={**TEXT, "default": "a"}, text=PROMPT), "discriminator": {"propertyName": "engine"}}
    gateway = load_gateway(write(schema))
    assert ["b", "a"] == [_ask(gateway, body).model for body in ({"engine": "b"}, {})]


def test_a_discriminator_about_something_else_is_left_alone(write: Write) -> None:
    """Where the schemas have a `model` too, the discriminator is not about it."""
    schemas = {"A": _object(model=TEXT, prompt=TEXT, mode=TEXT), "B": _object(model=TEXT, prompt=TEXT, mode=TEXT)}
    gateway = load_gateway(write({**_choose("mode"), "oneOf": [{"$ref": "#/components/schemas/A"}]}, schemas))
    assert ({}, []) == (gateway.own_names, _list_codes(gateway))
    assert "m" == _ask(gateway, {"model": "m", "prompt": "x", "mode": "a"}).model


def test_a_missing_prompt_is_told(write: Write) -> None:
    """With the key that mends it, and the models that lack it; a prompt behind a reference is none that lacks."""
    gateway = load_gateway(write(_object(text=TEXT)))
    (finding,) = gateway.findings
    assert ("no_prompt", True) == (finding.code, f"{KEYWORD}: prompt" in finding.message)
    schemas = {"A": _object(model=TEXT, prompt=TEXT), "B": _object(model=TEXT, text=TEXT)}
    (finding,) = load_gateway(write(_choose("model"), schemas)).findings
    assert finding.message.startswith("POST /draw with b: no parameter is the prompt")
    inner = {"anyOf": [{"$ref": "#/components/schemas/A"}], "properties": {"size": TEXT}}
    assert () == load_gateway(write(inner, {"A": _object(prompt=TEXT)})).findings


def test_a_discriminator_without_its_property_is_told(write: Write) -> None:
    """With the nearest name; where the path names the model, no property is needed."""
    schemas = {name: _object(prompt=TEXT, engine=TEXT) for name in ("A", "B")}
    gateway = load_gateway(write(_choose("engin"), schemas))
    assert ["no_such_property"] == _list_codes(gateway)
    assert "'engin', which no schema has as a property; did you mean 'engine'?" in gateway.findings[0].message
    plain = {name: _object(prompt=TEXT) for name in ("A", "B")}
    path = {"x-emulator-model": "engine", "parameters": [{"name": "engine", "in": "path", "required": True}]}
    assert [] == _list_codes(load_gateway(write(_choose("model"), plain, **path)))


@pytest.mark.parametrize("closing", ["unevaluatedProperties", "additionalProperties"])
@pytest.mark.parametrize("required", [[], ["model"]])
def test_a_model_in_the_path_needs_no_property(write: Write, closing: str, required: list[str]) -> None:
    """A closed schema does not refuse it; one that requires it has it."""
    path = {"x-emulator-model": "engine", "parameters": [{"name": "engine", "in": "path", "required": True}]}
    known = {"prompt": TEXT, **dict.fromkeys(required, TEXT)}
    gateway = load_gateway(write({**_object(**known), "required": required, closing: False}, **path))
    call = _ask(gateway, {"prompt": "A boat"}, {"engine": "fresco"})
    assert ("fresco", (), set(known)) == (call.model, call.findings, set(call.params))


def test_calls_that_differ_in_a_free_text_have_their_own(write: Write) -> None:
    """What is known of the earlier call is its verdict, and none of its texts, under neither name."""
    schema = _object(text=PROMPT, note={**TEXT, "x-emulator-ignored": True}, user={**TEXT, KEYWORD: "user"})
    gateway = load_gateway(write(schema))
    validator, operation = RequestValidator(gateway), next(gateway.iter_generating())
    for text in ("A boat", "A cat", "A horse"):
        body = {"text": text, "note": text, "user": text}
        request = Request("POST", operation.path, "", {"Content-Type": "application/json"}, b"", body, None, (), "", 0)
        call = validator.validate(request, ValidationContext(operation, "sk-test"))
        assert {"text": text, "user": text, "prompt": text} == call.effective
        assert body == call.params


def test_a_name_that_means_something_else_at_openai(write: Write) -> None:
    """`style` is the quality there, and is no style; a `prompt` that the gateway does not know is no prompt."""
    gateway = load_gateway(write(_object(text=PROMPT, style={**TEXT, KEYWORD: "quality"})))
    call = _ask(gateway, {"text": "A boat", "style": "high", "prompt": "A cat"})
    assert {"text": "A boat", "prompt": "A boat", "quality": "high"} == call.effective
    assert ["prompt"] == [finding.param for finding in call.findings]


def test_the_contract_of_the_maker_is_asked_in_its_names(write: Write) -> None:
    """What it refuses is told of the gateway's own parameter; what it takes is no finding."""
    finish = {**TEXT, KEYWORD: "quality"}
    gateway = load_gateway(write(_object(engine=MODEL, text=PROMPT, finish=finish)))
    good = {"engine": "gpt-image-2", "text": "A boat", "finish": "high"}
    assert () == _ask(gateway, good).findings
    (finding,) = _ask(gateway, {**good, "finish": "matte"}).findings
    assert ("assumed_accepted", "finish") == (finding.code, finding.param)
    assert "'finish' is 'matte'" in finding.message


def test_gateways_that_ship_have_openais_names() -> None:
    """So nothing is looked up for them."""
    gateway = load_gateway(find_schemas() / "openai.yaml")
    assert {} == gateway.own_names


def test_names_go_both_ways() -> None:
    """In the order of the parameters; what has a name of OpenAI's by chance is left out."""
    own = {"prompt": "text", "n": "copies"}
    assert {"n": 2, "prompt": "x"} == to_openai_names({"copies": 2, "text": "x", "prompt": "y"}, own)
    assert {"copies": 2, "text": "x", "size": "1x1"} == to_own_names({"n": 2, "prompt": "x", "size": "1x1"}, own)
    assert {"text": "x", "prompt": "x"} == add_openai_names({"text": "x", "n": 5}, own)
    assert [("text", "x")] == list(find_texts({"text": "x", "prompt": "y"}, "prompt", {"prompt": ("text", "words")}))
    assert [("model", "m")] == list(find_texts({"model": "m"}, "model", {"prompt": ("text",)}))
