"""The JSON Schemas of gateways' files: what ships keeps them, they know every word, and a slip is one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from emulator.core import json_schema, yaml_file
from emulator.core.data_folders import find_schemas
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.errors import SCHEMA, ErrorCatalogLoader
from emulator.gateway.gateway import load_gateway
from emulator.gateway.openapi import check_vendor_keys
from emulator.gateway.pricing import TABLES
from emulator.messages import CHANNELS, KINDS, OPERATIONS, SOURCES, VIOLATIONS
from emulator.validation.validator import RequestValidator
from tests.yaml_texts import dump_yaml, load_yaml

SCHEMAS: Final = find_schemas()
GATEWAYS: Final = sorted([*SCHEMAS.glob("*.yaml"), *SCHEMAS.glob("observed/*.yaml")])
CATALOGS: Final = sorted(SCHEMAS.glob("wordings/*.yaml"))


def _name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", GATEWAYS, ids=_name)
def test_the_vendor_keys_of_a_shipped_gateway_are_valid(path: Path) -> None:
    """A start does not check the files that ship, so this test does, key by key and as an editor does."""
    source = yaml_file.load_yaml(path, aliases=True)
    check_vendor_keys(source)
    json_schema.load_schema("gateway.schema.json").validate(source)


@pytest.mark.parametrize("path", CATALOGS, ids=_name)
def test_a_shipped_error_catalog_is_valid(path: Path) -> None:
    """A start does not check the files that ship, so this test does."""
    json_schema.load_schema(SCHEMA).validate(yaml_file.load_yaml(path))
    ErrorCatalogLoader().load(path)


@pytest.mark.parametrize("path", CATALOGS, ids=_name)
def test_who_is_not_openai_sends_nobody_there(path: Path) -> None:
    """Only OpenAI's own words, and those of a gateway whose page promises its interface, name its host."""
    catalog = ErrorCatalogLoader().load(path)
    templates = (*catalog.kinds.values(), *catalog.violations.values())
    named = [one for one in templates if "openai.com" in str(one)]
    assert bool(named) == (path.stem in {"openai", "openai-native", "geekai", "geekai-flat"})


def test_the_schemas_know_the_words_of_the_code() -> None:
    """A kind, breach, source, operation, channel or table that the code knows is one that a file may name."""
    gateway = json_schema.load_schema("gateway.schema.json").root["$defs"]
    catalog = json_schema.load_schema(SCHEMA).root["properties"]
    schema_keys = gateway["schema_keys"]["properties"]
    document_keys = gateway["document_keys"]["properties"]
    assert list(KINDS) == list(catalog["kinds"]["properties"])
    assert list(VIOLATIONS) == list(catalog["breaches"]["properties"])
    assert list(VIOLATIONS) == schema_keys["x-emulator-breach"]["additionalProperties"]["enum"]
    assert list(SOURCES) == gateway["source"]["enum"]
    assert list(OPERATIONS) == gateway["operation_keys"]["properties"]["x-emulator-operation"]["enum"]
    assert ["usual", *CHANNELS] == list(document_keys["x-emulator-channels"]["properties"])
    assert list(TABLES) == schema_keys["x-emulator-reply"]["properties"]["usage"]["enum"]


Change = Callable[[Any], Any]
SLIPS: Final[list[tuple[Change, str]]] = [
    (lambda root: root.update({"x-emulator-gatway": {}}), "did you mean 'x-emulator-gateway'?"),
    (lambda root: root.update({"x-emulator-operation": "generate"}), "unknown key 'x-emulator-operation' in the file"),
    (lambda root: root["x-emulator-gateway"].update(keys="plane"), "keys is 'plane'; expected plain"),
    (lambda root: root["x-emulator-gateway"].update(calendar="yes"), "calendar is 'yes'; expected true or false"),
    (lambda root: root["x-emulator-gateway"].update(request_id={"pattern": "{x}"}), "pattern is '{x}'; expected a"),
    (
        lambda root: root["x-emulator-gateway"].update(request_id={"header": "X Id"}),
        "header is 'X Id'; expected a header's",
    ),
    (
        lambda root: root["x-emulator-gateway"].update(request_id={"headers": {"a\nb": "c"}}),
        "expected a header's name",
    ),
    (
        lambda root: root["x-emulator-gateway"].update(request_id={"account": {"Content-Length": "5"}}),
        "none that says where the body ends",
    ),
    (
        lambda root: root["x-emulator-gateway"].update(request_id={"headers": {"a": "b\r\nc: d"}}),
        "expected one line of text",
    ),
    (
        lambda root: root["x-emulator-gateway"].update(links={"query": {"se": "{end}"}}),
        "se is '{end}'; expected a text",
    ),
    (lambda root: root["x-emulator-tasks"].pop("done"), "x-emulator-tasks has no 'done'; expected done: a mapping"),
    (lambda root: root["x-emulator-tasks"].update(status=404), "status is 404; expected 200 to 299"),
    (lambda root: root["x-emulator-tasks"]["done"].update(x={"y": "{mode}"}), "y is '{mode}'; expected one of {id}"),
    (lambda root: root["x-emulator-tasks"]["waiting"].update(x="{data}"), "x is '{data}'; expected one of {id}"),
    (lambda root: _operation(root).update({"x-emulator-operation": "genrate"}), "did you mean 'generate'?"),
    (lambda root: _operation(root).update({"x-emulator-ended": "May"}), "expected a day such as '2026-01-31'"),
    (lambda root: _operation(root).update({"x-emulator-model": 5}), "x-emulator-model is 5; expected a text"),
    (lambda root: _operation(root).update({"x-emulator-model": "name"}), "no variable of its path; the path has none"),
    (lambda root: _operation(root).update({"x-emulator-size": {}}), "unknown key 'x-emulator-size' in paths"),
    (lambda root: root.pop("x-emulator-tasks"), "x-emulator-task needs x-emulator-tasks at the root"),
    (lambda root: _parameter(root).update({"x-emulator-source": "seen"}), "x-emulator-source is 'seen'; expected one"),
    (lambda root: _parameter(root).update({"x-emulator-source": {"type": "documentd"}}), "did you mean 'documented'?"),
    (lambda root: _parameter(root).update({"x-emulator-source": {"x-emulator-mean": "observed"}}), "x-emulator-means"),
    (lambda root: _parameter(root).update({"x-emulator-breach": {"type": "tipe"}}), "did you mean 'type'?"),
    (lambda root: _parameter(root).update({"x-emulator-breach": {"enumz": "enum"}}), "did you mean 'enum'?"),
    (lambda root: _parameter(root).update({"x-emulator-picture": {"format": []}}), "did you mean 'formats'?"),
    (lambda root: _model(root).update({"x-emulator-reply": {"stream": {"done": True}}}), "a name for generate or edit"),
    (lambda root: _model(root).update({"x-emulator-reply": {"stream": {"edit": "A b"}}}), "expected small letters"),
    (lambda root: _reply(root, failed_item={"error": "{codes}"}), "did you mean '{code}'?"),
    (lambda root: _reply(root, failed_item={"x": 1}, files={"a": "b"}), "expected files or failed_item, and not both"),
    (lambda root: _event(root, "failed"), "expected failed_item beside failed of events"),
    (
        lambda root: _reply(root, failed_item={"x": 1}, stream={"generate": "p"}),
        "expected failed of events beside failed_item",
    ),
    (lambda root: _event(root, "finish"), "did you mean 'finished'?"),
    (lambda root: _event(root, "last", data={"x": "{url}"}), "x is '{url}'; expected one of {event}"),
    (lambda root: _event(root, "finished", data={"image": "{b64_json}"}), "image is '{b64_json}'; expected one of"),
    (lambda root: _event(root, "finished", data={"url": "{link}"}), "url is '{link}'; expected"),
    (lambda root: _event(root, "error", data={"x": {"y": "{codes}"}}), "did you mean '{code}'?"),
    (lambda root: _event(root, "partial", name="preview"), "expected a name with partial_image in it"),
    (lambda root: _event(root, "finished", name="{start}.partial_image"), "and no partial_image"),
    (lambda root: _event(root, "last", name="The end"), "expected small letters, dots and underscores behind {start}"),
    (
        lambda root: _event(root, "finished", completed=["type"]),
        "expected completed or finished of events, and not both",
    ),
    (lambda root: _reply(root, stream={"generate": "p", "events": {"last": {"name": "x"}}}), "has no 'data'"),
    (lambda root: _reply(root, body={"x": "{datas}"}), "did you mean '{data}'?"),
    (lambda root: _reply(root, item={"image": "{b64_json}"}), "image is '{b64_json}'; expected one of"),
    (lambda root: _reply(root, item={"url": "{link}"}), "url is '{link}'; expected"),
    (lambda root: _reply(root, body={}, fields=["data"]), "expected body or fields, and not both"),
    (lambda root: _reply(root, item={}, data_fields=["url"]), "expected item or data_fields, and not both"),
    (lambda root: _reply(root, usage_body={"x": "{input_tokens}"}), "x is '{input_tokens}'; expected one of"),
    (lambda root: _reply(root, absent="never"), "absent is 'never'; expected one of omitted"),
    (lambda root: _count(root, "count"), "x-emulator-count names 'count', and its schema has no such"),
    (
        lambda root: _count(root, "n", when={"mode": "group"}),
        "x-emulator-count names 'mode', and its schema has no such",
    ),
    (lambda root: _count(root, "n.most"), "x-emulator-count names 'n.most', and 'most' is no property there"),
    (lambda root: _count(root, "n", usual=0), "usual is 0; expected"),
    (lambda root: _count(root, "n."), "parameter is 'n.'; expected the name of a parameter"),
    (lambda root: _count(root, "n", with_uploads=3), "unknown key 'with_uploads'"),
    (lambda root: _model(root).update({"x-emulator-count": {"usual": 1}}), "x-emulator-count has no 'parameter'"),
    (lambda root: _pixels(root, ratio="aspect"), "x-emulator-pixels names 'aspect', and its schema has no such"),
    (lambda root: _pixels(root, widht="size"), "did you mean 'width'?"),
    (lambda root: _pixels(root, tier="size", tiers={"1K": "1024"}), "expected WIDTHxHEIGHT, such as 1536x1024"),
    (lambda root: _pixels(root, width="size", tiers={"1K": "8x8"}), "expected tiers beside tier"),
    (
        lambda root: _operation(root).update({"x-emulator-pictures": {"image": "url"}}),
        "image is 'url'; expected a list",
    ),
    (
        lambda root: _parameter(root).update({"x-emulator-clamped": [1]}),
        "x-emulator-clamped is a list; expected",
    ),
    (lambda root: _model(root).update({"x-emulator-judging": {"types": "last"}}), "types is 'last'; expected first"),
]


def _reply(root: Any, **keys: Any) -> None:
    _model(root)["x-emulator-reply"] = keys


def _event(root: Any, kind: str, *, name: str = "x", data: Any = None, **beside: Any) -> None:
    events = {kind: {"name": name, "data": data or {}}}
    _reply(root, stream={"generate": "p", "events": events, **beside})


def _count(root: Any, parameter: str, **keys: Any) -> None:
    _model(root)["x-emulator-count"] = {"parameter": parameter, **keys}


def _pixels(root: Any, **keys: Any) -> None:
    _model(root)["x-emulator-pixels"] = keys


def _operation(root: Any) -> Any:
    return root["paths"]["/images/generations"]["post"]


def _model(root: Any) -> Any:
    return root["components"]["schemas"]["DallE3"]


def _parameter(root: Any) -> Any:
    return _model(root)["properties"]["size"]


@pytest.mark.parametrize(("change", "complaint"), SLIPS, ids=[complaint for _, complaint in SLIPS])
def test_a_slip_in_a_vendor_key_is_one_line(tmp_path: Path, change: Change, complaint: str) -> None:
    """An unknown key or word stops the load, with the line, what was read, what was expected, the nearest word."""
    root = load_yaml((SCHEMAS / "observed" / "geekai.yaml").read_text("utf-8"))
    del root["x-emulator-gateway"]
    root["x-emulator-gateway"] = {}
    change(root)
    path = tmp_path / "own.yaml"
    path.write_text(dump_yaml(root), "utf-8")
    with pytest.raises(InvalidFile) as caught:
        load_gateway(path)
    message = str(caught.value)
    assert complaint in message
    assert message.startswith(f"{path}:")
    assert "\n" not in message


def test_a_slip_in_a_shipped_file_is_found_after_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that ship are not checked when they are loaded, but with the schemas that compile after the start."""
    monkeypatch.setattr("emulator.gateway.gateway.is_shipped_schema", lambda path: True)
    monkeypatch.setattr("emulator.validation.validator.is_shipped_schema", lambda path: True)
    root = load_yaml((SCHEMAS / "geekai.yaml").read_text("utf-8"))
    root["x-emulator-gateway"] = {"calender": True}
    path = tmp_path / "own.yaml"
    path.write_text(dump_yaml(root), "utf-8")
    gateway = load_gateway(path)
    with pytest.raises(InvalidFile, match="did you mean 'calendar'"):
        sum(RequestValidator(gateway).compile_schemas())


SIZE_RULE: Final = {"words": ["auto"], "step": 16, "edge": 3840, "pixels": [655_360, 8_294_400], "ratio": 3}


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [
        (SIZE_RULE, None),
        ({**SIZE_RULE, "edges": 5}, "unknown key 'edges'"),
        ({**SIZE_RULE, "step": 0}, "step is 0; expected a whole number from 1"),
        ({**SIZE_RULE, "step": 1.5}, "step is 1.5; expected a whole number from 1"),
        ({**SIZE_RULE, "ratio": True}, "ratio is True; expected a whole number from 1"),
        ({**SIZE_RULE, "pixels": 655_360}, "pixels is 655360; expected the fewest and the most pixels"),
        ({**SIZE_RULE, "pixels": [1]}, "pixels is a list; expected the fewest and the most pixels"),
        ({**SIZE_RULE, "words": "auto"}, "words is 'auto'; expected a list"),
        ({**SIZE_RULE, "words": [5]}, "words.0 is 5; expected a text"),
        (None, "x-emulator-size is empty; expected a mapping of step, edge, ratio, pixels, words"),
        ([], "x-emulator-size is an empty list; expected a mapping of step"),
        ("assumed", "x-emulator-size is 'assumed'; expected a mapping of step"),
        ({}, "x-emulator-size has no 'step'; expected step: a whole number"),
        ({"step": 16, "edge": 1, "ratio": 1}, "x-emulator-size has no 'pixels'; expected pixels: the fewest"),
    ],
    ids=str,
)
def test_a_slip_in_the_arithmetic_of_sizes_is_one_line(tmp_path: Path, rule: Any, complaint: str | None) -> None:
    """The numbers are whole and from 1, pixels are two of them, words are texts."""
    path = tmp_path / "own.yaml"
    path.write_text(dump_yaml({"openapi": "3.1.0", "size": {"x-emulator-size": rule}}), "utf-8")
    file = yaml_file.load_yaml(path)
    if complaint is None:
        check_vendor_keys(file)
        return
    with pytest.raises(InvalidFile) as caught:
        check_vendor_keys(file)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
