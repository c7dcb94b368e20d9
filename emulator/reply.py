"""Composes the reply to a call that keeps the contract: data, usage, revised prompt, links or Base64.

Everything in a reply comes from the call, the clock and the seed, so that a frozen run repeats to the byte.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, assert_never

from emulator import jsontext, usage
from emulator import recipe as recipes
from emulator.clock import Clock
from emulator.dialect import Dialect
from emulator.exchange import Call, Canned, Draw, Exhausted, Plan, Problem, Refuse, Reply
from emulator.gallery import Gallery, Picture
from emulator.recipe import CAPTION_LENGTH, FORMATS, ImageRecipe, PictureLink

LIFETIME: Final = 3600  # seconds for which a picture's URL is good, as at OpenAI


@dataclass(frozen=True)
class Composer:
    """Composes replies for one server; `secret` signs the pictures' URLs, `seed` decides what is on the pictures."""

    seed: int
    secret: bytes
    clock: Clock
    gallery: Gallery

    async def compose(self, call: Call, plan: Plan, dialect: Dialect, place: Place) -> Reply:
        """The reply that `plan` makes of `call`."""
        match plan:
            case Draw():
                return await self._drawn(call, plan, dialect, place)
            case Refuse():
                raise Problem(plan.kind, facts=_refusal_facts(call, place), words=plan.words)
            case Canned():
                return Reply(plan.status, (("Content-Type", plan.content_type),), (plan.body,))
            case Exhausted():
                facts = {"value": f"'{plan.rule}'", "limit": str(plan.calls)}
                raise Problem("invalid_request", None, "scenario_exhausted", facts)
            case _:
                assert_never(plan)

    async def _drawn(self, call: Call, draw: Draw, dialect: Dialect, place: Place) -> Reply:
        if call.operation == "models":
            return Reply(200, _JSON, (jsontext.compact(call.listing).encode(),))
        count = call.count if draw.images is None else min(draw.images, call.count)
        asked = [recipe_of(call, dialect.name, self.seed, index) for index in range(call.count)]
        now = int(self.clock.now(place.session))
        rewritten = _revised(call, draw, asked[0].seed)
        asked = asked[:count]
        pictures: list[Picture] = []
        if _delivery(call) == "b64_json":
            pictures = await asyncio.gather(*map(self.gallery.picture, asked))
            items = [{"b64_json": "", **rewritten} for _ in asked]
        else:
            items = [{"url": self._url(one, now, place), **rewritten} for one in asked]
        members: dict[str, Any] = {"created": now if draw.created is None else draw.created, "data": items}
        if call.reply.usage is not None:
            members["usage"] = _usage(call, call.reply.usage)
        body = {name: members[name] for name in call.reply.fields}
        if draw != _AS_ASKED:
            pictures = _otherwise(body, draw, pictures)
        return Reply(200, _JSON, _with_base64(jsontext.compact(body).encode(), pictures), tuple(asked))

    def _url(self, one: ImageRecipe, now: int, place: Place) -> str:
        token = recipes.spell(PictureLink(one, place.session, now + LIFETIME), self.secret)
        return f"{place.origin}/pictures/{token}.{FORMATS[one.format]}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call came in: the session that it belongs to, and scheme, host and port for links back to the server."""

    session: str
    origin: str
    request_id: str = ""


def recipe_of(call: Call, gateway: str, seed: int, index: int) -> ImageRecipe:
    """What a server with `seed` draws for the picture `index` of `call`."""
    params = call.heeded
    prompt, quality = _text(params.get("prompt")), _text(params.get("quality"))
    width, height = call.pixels
    shown = "transparent" if params.get("background") == "transparent" else "opaque"
    kind = {"jpg": "jpeg"}.get(name := _text(params.get("output_format")), name)
    look = (call.model or "", prompt, f"{width}x{height}", quality, _text(params.get("style")), shown)
    compression = params.get("output_compression")
    return ImageRecipe(
        gateway=gateway,
        model=(call.model or "")[:_NAME_LENGTH],
        caption=prompt if len(prompt) <= CAPTION_LENGTH else prompt[: CAPTION_LENGTH - 1] + "…",
        prompt_hash=hashlib.sha256(prompt.encode()).hexdigest()[:16],
        width=width,
        height=height,
        quality=quality[:_NAME_LENGTH],
        background=shown if kind != "jpeg" else "opaque",
        format=kind if kind in FORMATS else "png",
        compression=compression if _is_percent(compression) and kind != "png" else None,
        index=index,
        seed=recipes.seed_of(seed, *look, index) & _EXACT,
    )


def _delivery(call: Call) -> str:
    if call.reply.delivery is not None:
        return call.reply.delivery
    return "b64_json" if call.heeded.get("response_format") == "b64_json" else "url"


def _with_base64(body: bytes, pictures: Sequence[Picture]) -> tuple[bytes, ...]:
    """`body` with the pictures put where their text is still empty: Base64 needs no escaping, and may be large.

    No other text can be mistaken for such a place: inside a JSON text a quote has a backslash before it.
    """
    first, *rest = body.split(b'"b64_json":""')
    pieces = [first]
    for picture, after in zip(pictures, rest, strict=True):
        pieces += [b'"b64_json":"', picture.base64, b'"', after]
    return tuple(pieces)


def _usage(call: Call, table: str) -> Mapping[str, Any]:
    prompt, quality = _text(call.heeded.get("prompt")), str(call.heeded.get("quality"))
    spent = usage.tokens(table, prompt, quality, call.pixels, call.count)
    return {name: spent[name] for name in call.reply.usage_fields}


def _otherwise(body: dict[str, Any], draw: Draw, pictures: Sequence[Picture]) -> list[Picture]:
    """Make `body` what a script wants it to be; the pictures are in it then, and none is left to be put in."""
    for item, picture in zip(body["data"], pictures, strict=False):
        item["b64_json"] = picture.base64.decode()
    if draw.usage is not None:
        body["usage"] = {**body.get("usage", {}), **draw.usage}
    if draw.metadata is not None:
        body["metadata"] = draw.metadata
    for part in (body, *body["data"]):
        for name in draw.omit:
            part.pop(name, None)
    for pointer, value in draw.changes:
        _set(body, [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")], value)
    return []


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


def _refusal_facts(call: Call, place: Place) -> Mapping[str, str]:
    """What a scripted refusal's words may name."""
    return {"model": call.model or "", "request_id": place.request_id, "limit": "5", "wait": "12s", "key": "***"}


def _revised(call: Call, draw: Draw, seed: int) -> Mapping[str, str]:
    """The `revised_prompt` member, if the model has one, or the script wants one."""
    prompt = _text(call.heeded.get("prompt"))
    if draw.revised_prompt is not None:
        size = f"{call.pixels[0]}x{call.pixels[1]}"
        names = {"{prompt}": prompt, "{model}": call.model or "", "{size}": size}
        return {"revised_prompt": re.sub(r"\{[a-z]+\}", lambda found: names[found[0]], draw.revised_prompt)}
    match call.reply.revised_prompt:
        case "rewritten":
            opening = _OPENINGS[seed % len(_OPENINGS)]
            close = _ENDINGS[seed // len(_OPENINGS) % len(_ENDINGS)]
            subject = prompt.strip().rstrip(".。") or "an open landscape"
            return {"revised_prompt": f"{opening} {subject}. {close}"}
        case "echoed":
            return {"revised_prompt": prompt}
        case "none":
            return {}


def _text(value: Any) -> str:
    """A parameter as text; gateways that let anything by get its JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _is_percent(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100


_AS_ASKED: Final = Draw()
_JSON: Final = (("Content-Type", "application/json"),)
_EXACT: Final = 2**53 - 1  # a larger whole number is not exact in JavaScript, and labels are read there too
_NAME_LENGTH: Final = 48  # characters of a model's or quality's name in a recipe; a URL should stay short
_OPENINGS: Final = (
    "A detailed picture of", "An inviting scene that shows", "A carefully composed view of", "A vivid depiction of",
    "A finely rendered image of",
)  # fmt: skip
_ENDINGS: Final = (
    "The light is soft and falls from the side.", "Clear colours and a calm composition hold the scene together.",
    "Fine textures are visible up close, and the background recedes gently.", "The mood is quiet and bright.",
    "A shallow depth of field keeps the eye on the subject.",
)  # fmt: skip
