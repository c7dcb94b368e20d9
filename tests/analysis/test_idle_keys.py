"""What a gateway's file and its error catalog say and can never count is told, with its line and the nearest word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from emulator.analysis.idle_keys import list_idle_keys, list_idle_texts
from emulator.core import yaml_file
from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import load_gateway
from tests.yaml_texts import dump_yaml

SHIPPED = sorted([*find_schemas().glob("*.yaml"), *find_schemas().glob("observed/*.yaml")])


def _describe_gateway(operation: Any, root: Any, **schema: Any) -> dict[str, Any]:
    """A gateway with two models of one schema, `schema`, and with more keys at its operation and its root."""
    schema = {"type": "object", "unevaluatedProperties": False, **schema}
    schema["properties"] = {"model": {"type": "string"}, "prompt": {"type": "string"}, **schema.get("properties", {})}
    choice = {
        "oneOf": [{"$ref": "#/components/schemas/one"}, {"$ref": "#/components/schemas/two"}],
        "discriminator": {
            "propertyName": "model",
            "mapping": {"sketch-1": "#/components/schemas/one", "mural": "#/components/schemas/two"},
        },
        **operation.pop("choice", {}),
    }
    body = {"content": {"application/json": {"schema": choice}}}
    post = {"requestBody": body, "responses": {"200": {"description": "x"}}, **operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Own", "version": "1"},
        "servers": [{"url": "https://own.test/v1"}],
        "paths": {"/images/generations": {"post": post}},
        "components": {"schemas": {"one": schema, "two": {"$ref": "#/components/schemas/one"}}},
        **root,
    }


def _list_messages(folder: Path, document: Any) -> Sequence[str]:
    """The messages about the file of a gateway, without the name of the file and the number of the line."""
    path = folder / "own.yaml"
    path.write_text(dump_yaml(document), "utf-8")
    found = list(list_idle_keys(load_gateway(path)))
    assert {"key_without_effect"} >= {finding.code for finding in found}
    assert all(finding.message.startswith(f"{path}:") for finding in found)
    return [finding.message.partition(": ")[2] for finding in found]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"properties": {"how": {"enum": ["link", "inline"], "x-emulator-means": {'"link"': "url"}}}},
         "of x-emulator-means is no value of how, so it never counts; known are link, inline; did you mean 'link'?"),
        ({"properties": {"how": {"type": "string", "x-emulator-means": {'"link"': "url"}}}},
         "so it never counts; a text stands without quotes of its own; did you mean 'link'?"),
        ({"properties": {"how": {"type": "integer", "x-emulator-means": {"high": 3}}}},
         "'high' of x-emulator-means is no value of how, so it never counts; the type of the parameter rules it out"),
        ({"properties": {"how": {"type": "integer", "x-emulator-absent": ['"none"']}}},
         "of x-emulator-absent is no value of how, so it never counts; a text stands without quotes"),
        ({"properties": {"how": {"enum": ["wide", "tall", "wall"]}},
          "x-emulator-pixels": {"tier": "how", "tiers": {"wide": "20x10", "tall": "10x20"}}},
         "how may be 'wall', which has no pixels in `tiers` or `sizes`, and so counts as not given; known are wide"),
        ({"properties": {"how": {"enum": ["wide", "auto", "30x30"]}},
          "x-emulator-pixels": {"tier": "how", "tiers": {"wide": "20x10", "wode": "10x20"}}},
         "'wode' of `tiers` is no value of how, so it never counts; known are 30x30, auto, wide; did you mean 'wide'?"),
        ({"properties": {"how": {"enum": ["16:9", "cinema"]}}, "x-emulator-pixels": {"ratio": "how"}},
         "how may be 'cinema', which is no ratio such as 16:9 and has no pixels in `sizes`, and so counts as not "),
        ({"x-emulator-reply": {"files": {"promt": "file"}}}, "files names 'promt', which is no parameter here"),
        ({"properties": {"how": {"enum": ["json", "file"]}}, "x-emulator-reply": {"files": {"how": "fille"}}},
         "'fille' of `files` is no value of how, so it never counts; known are json, file; did you mean 'file'?"),
        ({"x-emulator-reply": {"usage_body": {"price": "{count} credits"}}},
         "'{count} credits' is sent as it stands: only a text that is one {name} alone takes its value"),
        ({"x-emulator-reply": {"item": {"url": "{url}", "seed": "no {parameter.prompt}"}}},
         "'no {parameter.prompt}' is sent as it stands"),
        ({"x-emulator-reply": {"stream": {"generate": "x", "events": {
            "partial": {"name": "{start}.partial_image", "data": {"text": "part {index}"}},
            "finished": {"name": "{start}.end", "data": {"url": "{url}"}},
            "error": {"name": "error", "data": {"error": "{error}"}}}}}},
         "'part {index}' is sent as it stands"),
    ],
)  # fmt: skip
def test_what_never_counts_in_a_schema(tmp_path: Path, schema: dict[str, Any], said: str) -> None:
    """One finding, although two models have the schema."""
    (message,) = _list_messages(tmp_path, _describe_gateway({}, {}, **schema))
    assert said in message


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ({"x-emulator-pictures": {"source": [], "prompt": []}}, "x-emulator-pictures names 'source', which is no "),
        ({"x-emulator-task": "promt"}, "x-emulator-task names 'promt', which is no parameter here, so it never "),
        ({"choice": {"x-emulator-models": {"when_present": {"promp": "mural"}}}},
         "when_present names 'promp', which is no parameter here, so it never counts; known are model, prompt; "),
    ],
)  # fmt: skip
def test_names_of_no_parameter(tmp_path: Path, operation: dict[str, Any], said: str) -> None:
    """Beside an operation, and beside its discriminator."""
    body = {"id": "{id}"}
    tasks = {"id": "t_{hex}", "submitted": body, "waiting": body, "running": body, "done": body, "failed": body}
    (message,) = _list_messages(tmp_path, _describe_gateway(operation, {"x-emulator-tasks": tasks}))
    assert said in message


def test_what_counts_is_not_told(tmp_path: Path) -> None:
    """Words that count, and words of a mapping that models share, of which one model has each."""
    schema = {
        "properties": {
            "how": {"enum": ["wide", 1, True], "x-emulator-means": {"wide": "url", 1: "b64_json", "true": "url"}},
            "n": {"type": ["integer", "null"], "x-emulator-means": {"0": 1, "null": 1}, "x-emulator-absent": [0, ""]},
            "free": {"type": "string", "x-emulator-means": {"anything": "url"}},
        },
        "x-emulator-pixels": {"tier": ["free", "how"], "tiers": {"wide": "20x10", "tall": "10x20"}},
        "x-emulator-reply": {"files": {"how": 1}},
    }
    document = _describe_gateway({}, {}, **schema)
    properties = {"model": {"type": "string"}, "free": {"type": "string"}, "how": {"enum": ["tall"]}}
    two = {"type": "object", "properties": properties, "x-emulator-pixels": schema["x-emulator-pixels"]}
    document["components"]["schemas"]["two"] = two
    assert [] == _list_messages(tmp_path, document)


def test_a_number_of_yaml_means_what_it_says(tmp_path: Path) -> None:
    """A key of x-emulator-means that is a number or true in YAML is the value that JSON spells so."""
    path = tmp_path / "own.yaml"
    schema = {"properties": {"how": {"enum": [2, True], "x-emulator-means": {2: "low", True: "high"}}}}
    path.write_text(dump_yaml(_describe_gateway({}, {}, **schema)), "utf-8")
    (operation,) = load_gateway(path).iter_generating()
    assert operation.models is not None
    assert {"how": {"2": "low", "true": "high"}} == operation.models.listed["mural"].aliases


CATALOG = """extends: plain.yaml
kinds:
  rate_limit: {message: Wait, models: {sketch-*: {message: Rest}, murals: {message: Rest}}}
  unknown_model: {message: Who, models: {gpt-*: {message: Ask OpenAI}}}
breaches:
  too_long: {message: Long, params: {prompt: {message: Long prompt}, promt: {message: Long promt}, "p*": {message: x}}}
  unknown_parameter: {message: What, params: {size: {message: No size}}}
"""


def test_patterns_that_match_nothing(tmp_path: Path) -> None:
    """Of a gateway's own catalog, but not where a client's own words are meant, nor where two gateways share it."""
    (tmp_path / "words.yaml").write_text(CATALOG, "utf-8")
    path = tmp_path / "own.yaml"
    document = _describe_gateway({}, {"x-emulator-gateway": {"wording": {"$ref": "words.yaml"}}})
    path.write_text(dump_yaml(document), "utf-8")
    words = tmp_path / "words.yaml"
    known = "known are authorization, model, prompt; did you mean 'prompt'?"
    assert [
        f"{words}:3: models: 'murals' of rate_limit matches no model of own, so it never counts; "
        "known are mural, sketch-1; did you mean 'mural'?",
        f"{words}:6: params: 'promt' of too_long matches no parameter of own, so it never counts; {known}",
    ] == [finding.message for finding in list_idle_keys(load_gateway(path))]
    (tmp_path / "other.yaml").write_text(dump_yaml(document), "utf-8")
    assert [] == list(list_idle_keys(load_gateway(path)))


def test_texts_around_a_name_in_an_envelope(tmp_path: Path) -> None:
    """Only a text that is one {name} takes its value; a message may have names anywhere."""
    text = "extends: plain.yaml\nenvelopes:\n  usual: {error: '{message}',\n    place: 'at {param}'}\n"
    (finding,) = list_idle_texts(yaml_file.parse_yaml(text, tmp_path / "words.yaml"))
    assert finding.message.startswith(f"{tmp_path}/words.yaml:4: 'at {{param}}' is sent as it stands")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_files_that_ship_have_none(path: Path) -> None:
    """All that they say counts for some call."""
    assert [] == list(list_idle_keys(load_gateway(path)))


def test_a_meaning_inside_of_a_parameter_is_told(tmp_path: Path) -> None:
    """Only a parameter of the body itself can be the prompt, or the count; also where the schema refers to it."""
    inside = {"type": "object", "properties": {"copies": {"type": "integer", "x-emulator-parameter": "n"}}}
    outer = {"$ref": "#/components/schemas/size"}
    document = _describe_gateway({}, {}, properties={"options": inside, "area": outer})
    document["components"]["schemas"]["size"] = {"enum": ["64x64"], "x-emulator-parameter": "size"}
    (message,) = _list_messages(tmp_path, document)
    assert message.startswith("x-emulator-parameter stands at no parameter of a body itself")


def test_the_rule_for_a_picture_inside_of_a_parameter_is_told(tmp_path: Path) -> None:
    """It counts at the parameter, whose texts are found by x-emulator-pictures."""
    data = {"type": "string", "x-emulator-picture": {"formats": ["png"]}, "x-emulator-means": {"a": "b"}}
    inside = {"type": "array", "items": {"type": "object", "properties": {"data": data}}}
    document = _describe_gateway({"x-emulator-pictures": {"sources": ["data"]}}, {}, properties={"sources": inside})
    assert ["x-emulator-means", "x-emulator-picture"] == sorted(
        message.partition(" stands at no parameter")[0] for message in _list_messages(tmp_path, document)
    )
