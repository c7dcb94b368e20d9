"""Makes a drawn reply what a script wants it to be: Base64 spelled otherwise, members set and left out.

It comes last, over a body that is complete, so that a script can say anything. An event of a stream is a body too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from emulator.core.base64_spelling import respell_base64
from emulator.image.recipe import ImageRecipe
from emulator.image.store import Picture
from emulator.messages import Draw


def body(draw: Draw, body: dict[str, Any], asked: Sequence[ImageRecipe], pictures: Sequence[Picture]) -> None:
    """Amend the body of a reply as `draw` says; the pictures, if they come as Base64, are in it then."""
    for item, recipe, picture in zip(body["data"], asked, pictures, strict=False):
        item["b64_json"] = _spelled(draw, recipe, picture)
    if _without_base64(draw):
        body["data"] = [{"url": item["url"], "b64_json": None, **item} for item in body["data"]]
    members(body, (body, *body["data"]), draw)


def event(draw: Draw, event: dict[str, Any], recipe: ImageRecipe, picture: Picture | None) -> None:
    """Amend the event of a finished picture as `draw` says; `picture` is None where a link leads to it."""
    if picture is not None:
        event["b64_json"] = _spelled(draw, recipe, picture)
    elif _without_base64(draw):
        event["b64_json"] = None
    members(event, (event,), draw)


def _spelled(draw: Draw, recipe: ImageRecipe, picture: Picture) -> str:
    plain = picture.base64.decode()
    if draw.picture is None or draw.picture.base64 is None:
        return plain
    return respell_base64(plain, draw.picture.base64, f"image/{recipe.served_as}")


def _without_base64(draw: Draw) -> bool:
    return draw.picture is not None and draw.picture.base64 == "null"


def members(body: dict[str, Any], parts: Sequence[dict[str, Any]], draw: Draw) -> None:
    """Set and leave out members of `body`; those left out are in none of its `parts` either."""
    if draw.usage is not None:
        body["usage"] = {**body.get("usage", {}), **draw.usage}
    if draw.metadata is not None:
        body["metadata"] = draw.metadata
    for part in parts:
        for name in draw.omit:
            part.pop(name, None)
    for pointer, value in draw.changes:
        _set(body, [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")], value)


def _set(node: Any, steps: Sequence[str], value: Any) -> None:
    """Set what the steps of a JSON pointer lead to; mappings on the way are made, a place behind a list is its end."""
    step, *rest = steps
    if isinstance(node, list):
        index = int(step) if step.isdecimal() else len(node)
        if index >= len(node):
            node.append({} if rest else value)
            index = len(node) - 1
        if rest:
            _set(node[index], rest, value)
        else:
            node[index] = value
    elif isinstance(node, dict):
        if rest:
            _set(node.setdefault(step, {}), rest, value)
        else:
            node[step] = value
