"""Templates of a gateway's file that lack what a client needs are told by `check`, and none of those that ship is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.analysis.missing_names import list_missing_names
from emulator.core.data_folders import find_schemas
from emulator.gateway.gateway import load_gateway
from tests.yaml_texts import dump_yaml

SHIPPED = sorted([*find_schemas().glob("*.yaml"), *find_schemas().glob("observed/*.yaml")])
PICTURES = {"body": {"pictures": "{data}"}, "item": {"url": "{url}", "b64_json": "{b64_json}"}}
TASKS = {"id": "t-{hex}", "submitted": {"poll": "/tasks/{id}"}, "done": {"made": ["{data}"]}}


def _list_messages(folder: Path, reply: Any, tasks: Any = None, **properties: Any) -> list[str]:
    """The messages about a gateway whose one model has this reply."""
    schema = {
        "type": "object", "x-emulator-reply": reply, "properties": {"prompt": {"type": "string"}, **properties},
    }  # fmt: skip
    post = {
        "requestBody": {"content": {"application/json": {"schema": schema}}},
        "responses": {"200": {"description": "x"}},
    }
    document: dict[str, Any] = {
        "openapi": "3.1.0", "info": {"title": "Own", "version": "1"}, "servers": [{"url": "https://own.test/v1"}],
        "paths": {"/images/generations": {"post": post}},
    }  # fmt: skip
    if tasks is not None:
        bodies = {"waiting": {"id": "{id}"}, "running": {"id": "{id}"}, "failed": {"id": "{id}"}}
        document["x-emulator-tasks"] = {**bodies, **tasks}
    path = folder / "own.yaml"
    path.write_text(dump_yaml(document), "utf-8")
    found = list(list_missing_names(load_gateway(path)))
    assert {"name_missing"} >= {finding.code for finding in found}
    return [finding.message for finding in found]


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({**PICTURES, "body": {"ok": True}}, "the body has no {data}, so no reply has a picture"),
        ({**PICTURES, "item": {"b64_json": "{b64_json}"}}, "the item has no {url}, so a picture that comes as a link"),
        ({**PICTURES, "item": {"url": "{url}"}}, "the item has no {b64_json}, so a picture that comes as Base64"),
        (
            {"item": {"url": "{url}", "n": "{index}"}, "delivery": "b64_json"},
            "the item has no {b64_json}, so a picture that comes as Base64",
        ),
    ],
)
def test_a_reply_without_its_pictures(tmp_path: Path, reply: Any, said: str) -> None:
    """A client that asks for them so finds none."""
    (message,) = _list_messages(tmp_path, reply, how={"type": "string", "x-emulator-parameter": "response_format"})
    assert said in message


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ({**TASKS, "id": "same"}, "the id is 'same' for every task"),
        ({**TASKS, "submitted": {"ok": True}}, "the body of submitted has no {id}"),
        ({**TASKS, "done": {"id": "{id}"}}, "the body of done has no {data}"),
    ],
)
def test_a_task_that_nobody_can_ask_for(tmp_path: Path, tasks: Any, said: str) -> None:
    """Or that never has a picture."""
    (message,) = _list_messages(tmp_path, PICTURES, tasks)
    assert said in message


def test_what_is_there_is_not_told(tmp_path: Path) -> None:
    """Names inside of something count, and a link alone is enough where there is no choice."""
    assert [] == _list_messages(tmp_path, PICTURES, TASKS, response_format={"enum": ["url", "b64_json"]})
    assert [] == _list_messages(tmp_path, {"item": {"in": [{"url": "{url}"}]}})
    assert [] == _list_messages(tmp_path, {"item": {"b64_json": "{b64_json}"}, "delivery": "b64_json"})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_nothing_is_missing_in_a_gateway_that_ships(path: Path) -> None:
    """Its own file is an example for others."""
    assert [] == list(list_missing_names(load_gateway(path)))
