"""Which events of a stream have a finished picture, by their text and by their JSON value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emulator.core.picture_events import has_finished_picture, is_finished_picture

EVENTS: list[tuple[str | None, Any, bool]] = [
    ("image_generation.completed", {"type": "image_generation.completed", "b64_json": "aGk="}, True),
    ("image_generation.partial_succeeded", {"image_index": 0, "url": "https://a.test/1.png"}, True),
    ("image_generation.partial_image", {"partial_image_index": 0, "b64_json": "aGk="}, False),
    ("image_generation.partial_failed", {"image_index": 1, "error": {"code": "x"}}, False),
    ("image_generation.completed", {"usage": {"generated_images": 2}}, False),
    (None, {"type": "image_generation.partial_image", "b64_json": "aGk="}, False),
    (None, {"b64_json": "aGk=", "type": "image_generation.partial_image"}, False),
    (None, {"type": "image_generation.completed", "url": "https://a.test/1.png"}, True),
    ("image_generation.completed", {"b64_json": "aGk=", "revised_prompt": 'a "url", a .partial_image"'}, True),
    ("error", {"type": "error", "error": {"message": 'no "url" and no "b64_json"'}}, False),
]


@pytest.mark.parametrize(("name", "data", "finished"), EVENTS)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_events_with_a_finished_picture(
    name: str | None, data: Any, finished: bool, separators: tuple[str, str]
) -> None:
    """Whatever the name is, a picture or a link counts, unless the event is that of an unfinished picture."""
    lines = [f"data: {json.dumps(data, separators=separators)}"]
    if name is not None:
        lines.insert(0, f"event: {name}")
    assert finished == has_finished_picture("\n".join(lines).encode())
    assert finished == is_finished_picture(name, data)


@pytest.mark.parametrize("data", [None, "[DONE]", [], 5, {"b64_json": None}, {"url": ""}])
def test_values_without_a_picture(data: Any) -> None:
    """They have none, of whatever type they are."""
    assert not is_finished_picture("image_generation.completed", data)
