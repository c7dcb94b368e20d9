"""Applies what a scenario changes in a drawn reply: Base64 spelled in another way, members set and left out.

Base64 is spelled before the members of a reply are laid out; the rest comes last, over a complete body, so that a
scenario can change anything. The event of a finished picture in a stream is changed like a body. Nothing is changed in
place: each function returns the changed body, and findings about changes that met nothing in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from emulator.core.base64_spelling import respell_base64
from emulator.findings import Finding
from emulator.gateway.templates import find_place
from emulator.image.recipe import ImageRecipe
from emulator.image.store import Picture
from emulator.messages import BodyPlaces, Draw, EventShape, Steps, StreamShape
from emulator.response.usage_override import find_wrong_sums, override_usage

_USUAL_PLACES: Final = BodyPlaces()
_USAGE: Final = "{usage}"
Overridden = tuple[dict[str, Any], tuple[Finding, ...]]
"""The changed body, and findings about changes that met nothing in it."""


def override_item(
    draw: Draw, item: Mapping[str, Any], recipe: ImageRecipe, picture: Picture | None
) -> Mapping[str, Any]:
    """Return the members of a picture with its Base64 as `draw` spells it; `picture` is None where it comes as a link.

    `b64_json` is None where `draw` has null in its place.
    """
    if picture is not None:
        return {**item, "b64_json": _spell_base64(draw, recipe, picture)}
    if "url" in item and _is_without_base64(draw, recipe):
        return {"url": item["url"], "b64_json": None, **item}
    return item


def override_event(draw: Draw, shape: EventShape, event: Mapping[str, Any]) -> dict[str, Any]:
    """Change the event of a finished picture, or the one behind all pictures; `shape` is that of the event."""
    return override_members(draw, event, _find_event_places(shape))[0]


def _find_event_places(shape: EventShape) -> BodyPlaces:
    """Return where an event has its usage."""
    return BodyPlaces(usage=find_place(shape.data, _USAGE))


def find_picture_overrides(draw: Draw, shape: StreamShape) -> Draw:
    """Return what changes about the events of finished pictures: the usage, where the last event has it, does not."""
    if shape.last is None or find_place(shape.finished.data, _USAGE) is not None:
        return draw
    return replace(draw, usage=None)


def find_unmet_members(
    draw: Draw, shape: StreamShape, finished: Mapping[str, Any], last: Mapping[str, Any] | None
) -> tuple[Finding, ...]:
    """Return the findings about changes that meet nothing in a stream: neither in a finished picture's nor the last."""
    found = override_members(draw, finished, _find_event_places(shape.finished))[1]
    if last is None or shape.last is None:
        return found
    in_last = override_members(draw, last, _find_event_places(shape.last))[1]
    return tuple(finding for finding in found if finding in in_last)


def override_members(draw: Draw, body: Mapping[str, Any], places: BodyPlaces = _USUAL_PLACES) -> Overridden:
    """Set and leave out members of `body`; what is left out is in none of its pictures either.

    `places` says where it has its pictures and its usage.
    """
    changed = dict(body)
    findings: list[Finding] = []
    usage_place = places.usage or ("usage",)
    if draw.usage is not None:
        changed = _set(changed, usage_place, override_usage(_find_mapping(changed, usage_place) or {}, draw.usage))
    if draw.metadata is not None:
        changed["metadata"] = draw.metadata
    for name in draw.omit:
        if name.startswith("/"):
            changed, met = _remove_at(changed, _split_pointer(name))
        else:
            changed, met = _omit(changed, name, places.pictures)
        if not met:
            message = f"`omit` names {name!r}, and the reply has no such member"
            findings.append(Finding("override_met_nothing", message, name))
    for pointer, value in draw.changes:
        steps = _split_pointer(pointer)
        if _find(changed, steps) is _ABSENT:
            message = f"`set` names {pointer!r}, and the reply has no such member before it is set"
            findings.append(Finding("override_met_nothing", message, pointer))
        changed = _set(changed, steps, value)
    changed_places = [_split_pointer(pointer)[: len(usage_place)] for pointer, _ in draw.changes]
    if draw.usage is not None or list(usage_place) in changed_places:
        sums = find_wrong_sums(_find_mapping(changed, usage_place))
        findings += [Finding("usage_not_adding_up", one, "usage") for one in sums]
    return changed, tuple(findings)


def _spell_base64(draw: Draw, recipe: ImageRecipe, picture: Picture) -> str:
    plain = picture.base64.decode()
    override = draw.find_override(recipe.index)
    if override is None or override.base64 is None:
        return plain
    return respell_base64(plain, override.base64, f"image/{recipe.served_as}")


def _is_without_base64(draw: Draw, recipe: ImageRecipe) -> bool:
    override = draw.find_override(recipe.index)
    return override is not None and override.base64 == "null"


def _omit(body: dict[str, Any], name: str, pictures: Steps | None) -> tuple[dict[str, Any], bool]:
    """Return `body` without the member `name` (`a.b` is b inside a), also of its pictures, and whether it was there.

    `pictures` is the way to the list of pictures.
    """
    steps = name.split(".")
    body, met = _remove(body, steps)
    items = _find(body, pictures or ())
    if not isinstance(items, list) or pictures is None:
        return body, met
    remaining = []
    for item in items:
        if isinstance(item, dict):
            item, met_item = _remove(item, steps)
            met = met or met_item
        remaining.append(item)
    return _set(body, pictures, remaining), met


def _remove(node: dict[str, Any], steps: Sequence[str]) -> tuple[dict[str, Any], bool]:
    """Return `node` without the member that `steps` lead to, and whether it was there."""
    name, *rest = steps
    if name not in node:
        return node, False
    if not rest:
        return {key: value for key, value in node.items() if key != name}, True
    inner = node[name]
    if not isinstance(inner, dict):
        return node, False
    changed, met = _remove(inner, rest)
    return {**node, name: changed}, met


def _split_pointer(pointer: str) -> list[str]:
    """Return the steps of a JSON pointer."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]


def _remove_at(node: Any, steps: Sequence[str]) -> tuple[Any, bool]:
    """Return `node` without what the steps of a JSON pointer lead to, and whether it was there."""
    if _find(node, steps) is _ABSENT:
        return node, False
    step, *rest = steps
    if isinstance(node, list):
        place = int(step)
        before, after = node[:place], node[place + 1 :]
        if not rest:
            return [*before, *after], True
        return [*before, _remove_at(node[place], rest)[0], *after], True
    if not rest:
        return {name: value for name, value in node.items() if name != step}, True
    return {**node, step: _remove_at(node[step], rest)[0]}, True


def _read_place(step: str, node: Sequence[Any]) -> int | None:
    """Return the place in the list `node` that a step of a JSON pointer names; None where that has no such place."""
    if not step.isascii() or not step.isdecimal() or len(step) > _LONGEST_PLACE:
        return None
    place = int(step)
    return place if place < len(node) else None


def _find(node: Any, steps: Sequence[str]) -> Any:
    """Return what the steps of a JSON pointer lead to in `node`; `_ABSENT` where that is nothing."""
    for step in steps:
        if isinstance(node, Mapping) and step in node:
            node = node[step]
        elif isinstance(node, list):
            place = _read_place(step, node)
            if place is None:
                return _ABSENT
            node = node[place]
        else:
            return _ABSENT
    return node


def _find_mapping(node: Any, steps: Sequence[str]) -> dict[str, Any] | None:
    """Return the mapping that the steps of a JSON pointer lead to in `node`; None where that is none."""
    found = _find(node, steps)
    if isinstance(found, dict):
        return found
    return None


def _set(node: Any, steps: Sequence[str], value: Any) -> Any:
    """Return `node` with `value` where the steps of a JSON pointer lead.

    Mappings on the way are made, a place behind a list is its end, and what is neither list nor mapping stays.
    """
    if not steps:
        return value
    step, *rest = steps
    if isinstance(node, list):
        changed = list(node)
        place = _read_place(step, node)
        if place is None:
            changed.append(_set({}, rest, value))
        else:
            changed[place] = _set(node[place], rest, value)
        return changed
    if isinstance(node, Mapping):
        return {**node, step: _set(node.get(step, {}), rest, value)}
    return node


_LONGEST_PLACE: Final = 9  # digits; no reply has so long a list, and Python converts no more than 4300
_ABSENT: Final = object()
"""Stands for what is not in a body."""
