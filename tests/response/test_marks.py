"""Nothing in a template or in a call is taken for a place of the emulator's own in a reply."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.image.inspect import inspect_image
from emulator.image.store import Picture
from emulator.response.marks import cut_at_values, insert_base64, mark_base64, mark_value
from tests.conftest import Served
from tests.yaml_texts import dump_yaml

ITEM: Final = {"url": "{url}", "b64_json": "{b64_json}"}
PROPERTIES: Final[Mapping[str, Any]] = {
    "prompt": {"type": "string"},
    "n": {"type": "integer", "maximum": 3},
    "size": {"enum": ["64x64"], "default": "64x64"},
    "response_format": {"enum": ["url", "b64_json"], "default": "url"},
    "tag": {},
    "stream": {"type": "boolean"},
}
ODD_NAMES: Final = {
    "@@x@@": "@@created@@", "": '"b64_json":""', 'a"b': "\\", "<&>": "@@url 0@@", "/": 1, "~": None, "a.b": [],
    "{id}": {},
}  # fmt: skip


def _serve(serve: Callable[..., Served], folder: Path, **reply: Any) -> Served:
    """Return a server of the gateway `own`, whose replies have this shape."""
    schema = {"type": "object", "x-emulator-reply": reply, "properties": PROPERTIES}
    post = {
        "responses": {"200": {"description": "x"}},
        "requestBody": {"content": {"application/json": {"schema": schema}}},
    }
    path = folder / "own.yaml"
    path.write_text(
        dump_yaml({
            "openapi": "3.1.0", "info": {"title": "Own", "version": "1"}, "servers": [{"url": "https://own.test/v1"}],
            "paths": {"/images/generations": {"post": post}},
        }),
        "utf-8",
    )  # fmt: skip
    return serve(schema=(str(path),))


def _call(served: Served, **body: Any) -> Any:
    answer = served.generate("own", {"prompt": "A boat", **body}, **{"x-emulator-session": "own"})
    assert 200 == answer.status_code, answer.text
    return answer.json()


def _size(text: str) -> tuple[int, int]:
    found = inspect_image(base64.b64decode(text, validate=True))
    return found.width, found.height


def test_each_place_of_a_picture_has_its_base64(serve: Callable[..., Served], tmp_path: Path) -> None:
    """A template may show the pictures twice, and each of them twice; an empty `b64_json` elsewhere stays empty."""
    served = _serve(
        serve, tmp_path, body={"b64_json": "", "one": "{data}", "two": ["{data}"]}, item={"inner": ITEM, **ITEM}
    )
    for _ in range(2):
        body = _call(served, n=2, response_format="b64_json")
        assert "" == body["b64_json"]
        assert [body["one"]] == body["two"]
        first, second = [one["b64_json"] for one in body["one"]]
        assert [first, second] == [one["inner"]["b64_json"] for one in body["one"]]
        assert (64, 64) == _size(first) == _size(second)
        assert first != second


def test_a_parameter_that_looks_like_a_picture_is_repeated_as_it_is(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    """Its members are no places for pictures, in the body and beside each picture."""
    served = _serve(
        serve,
        tmp_path,
        body={"tag": "{parameter.tag}", "data": "{data}"},
        item={"tag": "{parameter.tag}", **ITEM},
    )
    for tag in ({"b64_json": ""}, "@@created@@", [{"b64_json": ""}, {"url": "@@url 0@@"}]):
        body = _call(served, n=2, response_format="b64_json", tag=tag)
        assert [tag, tag, tag] == [body["tag"], *(item["tag"] for item in body["data"])]
        assert [(64, 64), (64, 64)] == [_size(item["b64_json"]) for item in body["data"]]


def test_names_and_texts_of_a_template_stay_as_they_are(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Whatever letters they have, in the body, in a picture and in the usage; each call has its own numbers."""
    served = _serve(
        serve,
        tmp_path,
        body={**ODD_NAMES, "data": "{data}", "usage": "{usage}"},
        item={**ODD_NAMES, **ITEM},
        usage_body=dict.fromkeys(ODD_NAMES, "{count}") | {"a b": "{count}", "a": {"b": "{pixel_tokens}"}},
    )
    for count in (1, 2, 1):
        body = _call(served, n=count)
        assert ODD_NAMES == {name: body[name] for name in ODD_NAMES}
        assert [ODD_NAMES] * count == [{name: item[name] for name in ODD_NAMES} for item in body["data"]]
        assert body["usage"] == dict.fromkeys(ODD_NAMES, count) | {"a b": count, "a": {"b": 16 * count}}


def test_a_stream_puts_its_picture_where_its_template_has_it(serve: Callable[..., Served], tmp_path: Path) -> None:
    """An empty `b64_json` before it stays empty."""
    data = {"about": {"@@x@@": {"b64_json": ""}}, **ITEM}
    events = {"finished": {"name": "{start}.one", "data": data}}
    served = _serve(serve, tmp_path, body={"data": "{data}"}, stream={"generate": "own", "events": events})
    answer = served.generate("own", {"prompt": "A boat", "n": 2, "stream": True, "response_format": "b64_json"})
    found = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert [data["about"]] * 2 == [event["about"] for event in found]
    assert [(64, 64)] * 2 == [_size(event["b64_json"]) for event in found]


def test_a_usage_inside_of_the_last_event_is_changed_there(serve: Callable[..., Served], tmp_path: Path) -> None:
    """A scenario's `usage` goes where the template has the usage, in a stream as in a reply."""
    events = {
        "finished": {"name": "{start}.one", "data": ITEM},
        "last": {"name": "{start}.all", "data": {"bill": {"of": "{usage}"}}},
    }
    served = _serve(
        serve,
        tmp_path,
        body={"data": "{data}", "bill": {"of": "{usage}"}},
        usage_body={"total_tokens": "{count}"},
        stream={"generate": "own", "partials": False, "events": events},
    )
    rules = {"rules": [{"answers": {"draw": {"usage": {"total_tokens": 7}}}}]}
    httpx.put(f"{served.url}/_emulator/sessions/own/scenario", json=rules).raise_for_status()
    assert {"of": {"total_tokens": 7}} == _call(served)["bill"]
    streamed = served.generate("own", {"prompt": "A boat", "stream": True}, **{"x-emulator-session": "own"}).text
    assert 'data: {"bill":{"of":{"total_tokens":7}}}\n' in streamed
    assert 1 == streamed.count("total_tokens")
    assert [] == served.calls("own")[-1]["findings"]


@pytest.mark.parametrize("name", ["created", 'a "quoted" \\ one', "<&>", "usage 'a' 'b'"])
def test_names_of_marks_are_read_as_they_were_written(name: str) -> None:
    """JSON escapes some of their letters."""
    assert ['{"a":', name, "}"] == cut_at_values(json.dumps({"a": mark_value(name)}, separators=(",", ":")))


def test_a_mark_takes_the_picture_of_its_number() -> None:
    """In whatever order; what has no pictures stays one piece."""
    body = json.dumps([mark_base64(1), mark_base64(0), mark_base64(1)]).encode()
    assert b'["Qg==", "QQ==", "Qg=="]' == b"".join(insert_base64(body, {0: Picture(b"A"), 1: Picture(b"B")}))
    assert (body,) == insert_base64(body, {})
