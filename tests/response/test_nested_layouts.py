"""Replies of a user's own gateway in which nothing stands where OpenAI has it."""

from __future__ import annotations

import base64
import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.cli.main import main
from emulator.core.data_folders import list_ready_made
from emulator.image.inspect import inspect_image
from tests.conftest import Served
from tests.yaml_texts import dump_yaml

REPLY: Final[Mapping[str, Any]] = {
    "body": {
        "ok": True,
        "job": {"ref": "{id}", "tag": "{parameter.tag}", "seconds": "{created}"},
        "output": [{"pictures": "{data}", "how_many": "{count}"}],
        "bill": {"of": "{usage}"},
    },
    "item": {
        "number": "{number}", "sides": ["{width}", "{height}"], "tag": "{parameter.tag}",
        "file": {"url": "{url}", "b64_json": "{b64_json}"},
    },
    "usage": "gpt-image-1",
    "usage_body": {"paid": {"tokens": ["{total_tokens}"]}},
    "id": "job-{hex}",
}  # fmt: skip
TASKS: Final[Mapping[str, Any]] = {
    "id": "t-{hex}",
    "submitted": {"task": {"ref": "{id}"}, "poll": ["/v9/tasks/{id}?wait=1"]},
    "waiting": {"task": {"ref": "{id}", "state": "waiting"}},
    "running": {"task": {"ref": "{id}", "state": "running"}},
    "done": {"task": {"ref": "{id}", "at": "{created}", "made": ["{data}"]}, "usage": "{usage}", "n": "{count}"},
    "failed": {"task": {"ref": "{id}"}, "problem": {"http": "{status}", "text": "{message}"}},
}
PROPERTIES: Final[Mapping[str, Any]] = {
    "prompt": {"type": "string", "minLength": 1},
    "n": {"type": "integer", "maximum": 3},
    "size": {"enum": ["64x64", "64x96"], "default": "64x96"},
    "response_format": {"enum": ["url", "b64_json"], "default": "url"},
    "tag": {"type": "string", "default": "none"},
    "later": {"type": "boolean"},
}
MODELS: Final[Mapping[str, Any]] = {"engines": [{"name": "brush", "speed": 3}, "pencil"], "more": False}


@pytest.fixture
def served(serve: Callable[..., Served], tmp_path: Path) -> Served:
    """A server of the gateway `own`."""
    schema = {"type": "object", "required": ["prompt"], "x-emulator-reply": REPLY, "properties": PROPERTIES}
    responses = {"200": {"description": "x"}}
    shown = {"200": {"description": "x", "content": {"application/json": {"example": MODELS}}}}
    balance = {"200": {"description": "x", "content": {"application/json": {"example": {"left": 5}}}}}
    variable = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    post = {
        "x-emulator-operation": "generate", "x-emulator-task": "later", "responses": responses,
        "requestBody": {"content": {"application/json": {"schema": schema}}},
    }  # fmt: skip
    document = {
        "openapi": "3.1.0", "info": {"title": "Own", "version": "1"}, "servers": [{"url": "https://own.test/v9"}],
        "x-emulator-tasks": TASKS,
        "paths": {
            "/draw": {"post": post},
            "/tasks/{task}": {"get": {"x-emulator-operation": "task", "responses": responses}},
            "/engines": {"get": {"x-emulator-operation": "models", "responses": shown}},
            "/engines/{name}": {
                "get": {"x-emulator-operation": "model", "parameters": variable, "responses": responses}
            },
            "/balance": {"get": {"x-emulator-operation": "models", "responses": balance}},
        },
    }  # fmt: skip
    path = tmp_path / "own.yaml"
    path.write_text(dump_yaml(document), "utf-8")
    return serve(schema=(str(path),), clock="scale:0")


def _call(served: Served, path: str, body: Any = None, key: str = "k") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}", "x-emulator-session": "own"}
    method = "GET" if body is None else "POST"
    return httpx.request(method, f"{served.url}/own/v9/{path}", json=body, headers=headers)


def _play(served: Served, draw: Any) -> Any:
    url = f"{served.url}/_emulator/sessions/own/scenario"
    httpx.put(url, json={"rules": [{"answers": {"draw": draw}}]}).raise_for_status()
    return _call(served, "draw", {"prompt": "A boat", "n": 2, "response_format": "b64_json", "tag": "t1"}).json()


def test_a_reply_may_have_everything_inside_of_something(served: Served) -> None:
    """Its id, its time, its pictures, its usage, and parameters of the call."""
    replies = [_call(served, "draw", {"prompt": "A boat", "n": 2, "tag": tag}).json() for tag in ("t1", "t2", "t2")]
    assert ["t1", "t2", "t2"] == [reply["job"]["tag"] for reply in replies]
    assert 3 == len({reply["job"]["ref"] for reply in replies})
    assert all(reply["job"]["ref"].startswith("job-") for reply in replies)
    (output,) = replies[1]["output"]
    assert 2 == output["how_many"]
    assert [(1, [64, 96], "t2"), (2, [64, 96], "t2")] == [
        (one["number"], one["sides"], one["tag"]) for one in output["pictures"]
    ]
    assert httpx.get(output["pictures"][1]["file"]["url"]).is_success
    assert replies[0]["bill"]["of"]["paid"]["tokens"][0] > 0


def test_a_scenario_changes_what_stands_inside(served: Served) -> None:
    """Fewer pictures, Base64 in another spelling, members left out, and null in the place of Base64."""
    (one,) = _play(served, {"images": 1})["output"][0]["pictures"]
    shown = inspect_image(base64.b64decode(one["file"]["b64_json"]))
    assert (64, 96) == (shown.width, shown.height)
    pictures = _play(served, {"picture": {"base64": "data_url"}})["output"][0]["pictures"]
    assert all(one["file"]["b64_json"].startswith("data:image/png;base64,") for one in pictures)
    pictures = _play(served, {"picture": {"base64": None}})["output"][0]["pictures"]
    assert [None, None] == [one["file"]["b64_json"] for one in pictures]
    assert all(one["file"]["url"] for one in pictures)
    changed = _play(served, {"omit": ["/job/ref", "/output/0/pictures/1"], "set": {"/ok": False}})
    assert ["tag", "seconds"] == list(changed["job"])
    assert changed["ok"] is False
    assert 1 == len(changed["output"][0]["pictures"])
    assert 77 == _play(served, {"usage": {"total_tokens": 77}})["bill"]["of"]["total_tokens"]


@pytest.mark.parametrize("delivery", ["url", "b64_json"])
def test_a_task_that_is_done_shows_its_pictures(served: Served, delivery: str) -> None:
    """They, the time and the usage stand where the task's own template has them."""
    body = {"prompt": "A boat", "n": 2, "response_format": delivery, "later": True}
    begun = _call(served, "draw", body).json()
    task = begun["task"]["ref"]
    assert [f"/v9/tasks/{task}?wait=1"] == begun["poll"]
    shown = [_call(served, f"tasks/{task}").json() for _ in range(3)][-1]
    assert (task, 2) == (shown["task"]["ref"], shown["n"])
    assert isinstance(shown["task"]["at"], int)
    assert shown["usage"]["paid"]["tokens"][0] > 0
    ((first, second),) = shown["task"]["made"]
    assert [1, 2] == [first["number"], second["number"]]
    if delivery == "b64_json":
        picture = inspect_image(base64.b64decode(second["file"]["b64_json"]))
        assert (64, 96) == (picture.width, picture.height)
    else:
        assert httpx.get(second["file"]["url"]).is_success


def test_a_recording_of_it_is_compared(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ids and times are no differences, whatever they are called; a task is asked for again."""
    replies = [_call(served, "draw", {"prompt": "A boat"}), _call(served, "draw", {"prompt": "x", "later": True})]
    task = replies[1].json()["task"]["ref"]
    assert [200, 200, 200] == [_call(served, f"tasks/{task}").status_code for _ in range(3)]
    schema = ["--schema", str(tmp_path / "own.yaml")]
    flags = ["record", str(tmp_path / "recorded"), "--from-session", "own", "--url", served.url, *schema]
    assert 0 == main(flags), capsys.readouterr()
    assert 0 == main(["compare", str(tmp_path / "recorded"), *schema]), capsys.readouterr().out
    assert "5 calls compared with documented behavior: 5 the same" in capsys.readouterr().out


def test_a_failed_task_has_its_status(served: Served) -> None:
    """The number stands for the status that a call which waits would have had."""
    url = f"{served.url}/_emulator/sessions/own/scenario"
    httpx.put(url, json={"rules": [{"when": {"operation": "generate"}, "answers": {"refuse": "moderation"}}]})
    answer = _call(served, "draw", {"prompt": "A boat", "later": True})
    if answer.is_success:
        task = answer.json()["task"]["ref"]
        answer = [_call(served, f"tasks/{task}") for _ in range(3)][-1]
        assert 400 == answer.json()["problem"]["http"]
    else:
        assert 400 == answer.status_code


def test_models_are_listed_in_words_of_its_own(served: Served) -> None:
    """One of them is found by its name, each path answers its own example, and reserved keys name a model."""
    assert _call(served, "engines").json() == MODELS
    assert _call(served, "balance").json() == {"left": 5}
    assert _call(served, "engines/brush").json() == {"name": "brush", "speed": 3}
    assert 404 == _call(served, "engines/none").status_code
    for key in ("sk-emulator.rate-limit", "sk-emulator.moderation", "sk-emulator.unknown-model"):
        assert _call(served, "draw", {"prompt": "A boat"}, key=key).status_code < 500


@pytest.mark.parametrize("name", list_ready_made())
def test_no_ready_made_scenario_breaks_it(served: Served, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Each is played for links and Base64; nothing is logged that a bug of the emulator's would log."""
    url = f"{served.url}/_emulator/sessions/own/scenario"
    httpx.put(url, json={"scenario": name}).raise_for_status()
    with caplog.at_level(logging.ERROR, "emulator"):
        for delivery in ("b64_json", "url", "b64_json"):
            with contextlib.suppress(httpx.HTTPError):  # some scenarios break the connection
                _call(served, "draw", {"prompt": "A boat", "n": 2, "response_format": delivery})
    assert [] == [record.message for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_picture_may_stand_in_several_places(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Its link and its Base64, twice in its own template, and with the list of pictures twice in the body."""
    reply = {
        "body": {"first": ["{data}"], "again": "{data}"},
        "item": {"url": "{url}", "b64_json": "{b64_json}", "copy": {"url": "{url}", "b64_json": "{b64_json}"}},
    }
    schema = {"type": "object", "required": ["prompt"], "x-emulator-reply": reply, "properties": PROPERTIES}
    post = {
        "requestBody": {"content": {"application/json": {"schema": schema}}},
        "responses": {"200": {"description": "x"}},
    }
    document = {
        "openapi": "3.1.0", "info": {"title": "Twice", "version": "1"}, "servers": [{"url": "https://twice.test/v1"}],
        "paths": {"/images/generations": {"post": post}},
    }  # fmt: skip
    path = tmp_path / "twice.yaml"
    path.write_text(dump_yaml(document), "utf-8")
    url = f"{serve(schema=(str(path),)).url}/twice/v1/images/generations"
    for delivery in ("b64_json", "url"):
        body = {"prompt": "A boat", "n": 2, "size": "64x64", "response_format": delivery}
        answer = httpx.post(url, json=body, headers={"authorization": "Bearer k"})
        assert 200 == answer.status_code, answer.text
        pictures = answer.json()["again"]
        assert [pictures] == answer.json()["first"]
        assert [one["copy"][delivery] for one in pictures] == [one[delivery] for one in pictures]
        assert 2 == len({one[delivery] for one in pictures})
