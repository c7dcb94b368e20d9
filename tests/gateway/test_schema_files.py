"""Looks over the gateways' files: valid OpenAPI 3.1, every rule with its source, and the list of models in step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import load_gateway
from emulator.gateway.rules import ModelRules, Models
from emulator.messages import SOURCES
from tests.yaml_texts import load_yaml

SHIPPED: Final = sorted(find_schemas().glob("*.yaml"))
WORDS_ONLY: Final = frozenset({"description", "title", "examples", "x-emulator-breach", "x-emulator-source"})
"""What stands beside a rule and refuses nothing, fills in nothing and changes nothing by itself."""

OTHER_TRADES: Final = ("gpt-6-astra", "gpt-4o-mini")
"""Models that make no pictures, for which OpenAI's SDKs ask in their own tests."""

every_file = pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in SHIPPED])


def rules_of(path: Path) -> Iterator[tuple[str, ModelRules]]:
    """The rules of each model in the file, those for unlisted models included."""
    models = models_of(path)
    yield from models.listed.items()
    if models.otherwise is not None:
        yield "(other)", models.otherwise


def models_of(path: Path) -> Models:
    """The models that the file's one generating operation knows."""
    (operation,) = load_gateway(path).iter_generating()
    assert operation.models is not None
    return operation.models


def test_the_five_gateways_ship() -> None:
    """The files that are looked over here are the five that everything else relies on."""
    assert {"geekai", "ezmodel", "geeknow", "aiai", "openai"} <= {path.stem for path in SHIPPED}


@every_file
def test_a_file_is_valid_openapi(path: Path) -> None:
    """Any OpenAPI 3.1 tool can read the file."""
    document = load_yaml(path.read_text("utf-8"))
    assert "3.1" == document["openapi"][:3]
    validate(document, cls=OpenAPIV31SpecValidator)


@every_file
def test_every_rule_says_where_it_comes_from(path: Path) -> None:
    """No keyword that can refuse, fill in or change a parameter stands there without a source."""
    unmarked = [
        f"{model}.{name}.{key}: {keyword.source!r}"
        for model, rules in rules_of(path)
        for name, parameter in rules.parameters.items()
        for key, keyword in parameter.items()
        if key not in WORDS_ONLY and keyword.source not in SOURCES
    ]
    assert [] == unmarked


@every_file
def test_every_conditional_rule_says_where_it_comes_from(path: Path) -> None:
    """What holds of a parameter only beside another (`then`, `else`) has a source as well."""
    document = load_yaml(path.read_text("utf-8"))
    unmarked = [
        f"{name}.{key}"
        for name, parameter in conditional(document["components"]["schemas"])
        for key in parameter
        if key not in WORDS_ONLY and source_of(parameter, key) not in SOURCES
    ]
    assert [] == unmarked


def conditional(node: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parameters' schemas inside every `then` and `else` below `node`."""
    if isinstance(node, Mapping):
        for branch in ("then", "else"):
            yield from node.get(branch, {}).get("properties", {}).items()
    for child in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from conditional(child)


def source_of(parameter: Mapping[str, Any], key: str) -> Any:
    """The source that a parameter's schema gives for its keyword `key`."""
    source = parameter.get("x-emulator-source")
    return source.get(key) if isinstance(source, Mapping) else source


@every_file
def test_what_holds_for_all_parameters_says_where_it_comes_from(path: Path) -> None:
    """So do what is required, what becomes of unknown parameters and models, and how a key is sent."""
    schemas = load_yaml(path.read_text("utf-8"))["components"]["schemas"]
    unmarked = [f"{model}: unknown parameters" for model, rules in rules_of(path) if rules.closed.source not in SOURCES]
    unmarked += [
        f"{name}: required"
        for name in {rules.ref.rsplit("/", 1)[-1] for _, rules in rules_of(path)}
        if "required" in schemas[name] and source_of(schemas[name], "required") not in SOURCES
    ]
    if models_of(path).source not in SOURCES:
        unmarked.append("unknown models")
    unmarked += [f"key in {one.header}" for one in load_gateway(path).credentials if one.source not in SOURCES]
    assert [] == unmarked


@every_file
def test_the_list_of_models_is_the_models(path: Path) -> None:
    """GET models answers with exactly the models that have rules of their own, each once, and those of other trades."""
    examples = [
        operation.example
        for by_method in load_gateway(path).operations.values()
        for operation in by_method.values()
        if operation.name == "models"
    ]
    if not examples:  # its list has another form than OpenAI's, and is left out
        return
    example = examples[0]
    assert [example] * len(examples) == examples
    listed = [model["id"] for model in example["data"] if model["id"] not in OTHER_TRADES]
    assert sorted(models_of(path).listed) == sorted(listed)
