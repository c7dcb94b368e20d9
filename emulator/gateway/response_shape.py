"""Reads the shape of a model's reply and of the events of its stream: `x-emulator-reply`.

The keys have been checked by `schemas/gateway.schema.json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from emulator.gateway.formats import freeze_lists
from emulator.gateway.templates import ECHO, find_places, iter_texts
from emulator.messages import FINISHED_EVENT, EventShape, ResponseShape, StreamShape


def read_response_shape(keys: Mapping[str, Any]) -> ResponseShape:
    """Return the shape of a reply under `x-emulator-reply`."""
    parts = freeze_lists(keys)
    if "stream" in parts:
        parts["stream"] = _read_stream_shape(parts["stream"])
    if "body" in parts:
        parts["places"] = find_places(parts["body"])
    shape = ResponseShape(**parts)
    if list_echoed(shape):
        return replace(shape, echoes=True)
    return shape


def list_echoed(shape: ResponseShape) -> list[str]:
    """List the parameters whose values the templates of a reply have: {parameter.NAME}."""
    texts = [*iter_texts(shape.body), *iter_texts(shape.item)]
    return [text.removeprefix(ECHO).removesuffix("}") for text in texts if text.startswith(ECHO) and text.endswith("}")]


def _read_stream_shape(keys: Mapping[str, Any]) -> StreamShape:
    """Return the shape of a stream's events under `stream` of `x-emulator-reply`."""
    names = {name: keys[name] for name in _STREAMING if name in keys}
    parts = {key: keys[key] for key in ("done", "partials") if key in keys}
    for kind, event in keys.get("events", {}).items():
        parts[kind] = EventShape(event["name"], event["data"])
    if "completed" in keys:
        parts["finished"] = EventShape(FINISHED_EVENT.name, _list_members(keys["completed"]))
    return StreamShape(names, **parts)


def _list_members(names: Sequence[str]) -> Mapping[str, str]:
    """Return the template of a finished picture's event with these members, and behind them those of its picture."""
    pictures = [name for name in _PICTURE_MEMBERS if name not in names]
    return {name: _NAMES_IN_TEMPLATES.get(name, f"{{{name}}}") for name in (*names, *pictures)}


_STREAMING: Final = ("generate", "edit")
"""The operations that may stream."""
_PICTURE_MEMBERS: Final = ("url", "b64_json", "revised_prompt")
_NAMES_IN_TEMPLATES: Final = {"type": "{event}", "created_at": "{created}"}
"""The members of OpenAI's events that templates name otherwise."""
