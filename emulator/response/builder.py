"""Composes the reply to a call that keeps the contract: data, usage, revised prompt, links or Base64.

Everything in a reply comes from the call, the clock and the seed, so that a frozen run repeats to the byte.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, assert_never

from emulator.core.chance import make_seed
from emulator.core.clock import Clock
from emulator.gateway import pricing
from emulator.gateway.gateway import Gateway
from emulator.image.link import PictureLink, format_token
from emulator.image.recipe import CAPTION_LENGTH, DIGEST, FORMATS, EditSource, ImageRecipe
from emulator.image.store import ImageStore, Picture
from emulator.messages import (
    Call,
    Canned,
    Delivery,
    Draw,
    Exhausted,
    GatewayError,
    PictureOverride,
    Plan,
    Refuse,
    Response,
)
from emulator.response import overrides
from emulator.response.revised_prompt import revised, text

LIFETIME: Final = 3600  # seconds for which a picture's URL is good, as at OpenAI


@dataclass(frozen=True)
class ResponseBuilder:
    """Composes replies for one server; `secret` signs the pictures' URLs, `seed` decides what is on the pictures."""

    seed: int
    secret: bytes
    clock: Clock
    image_store: ImageStore

    async def compose(self, call: Call, plan: Plan, dialect: Gateway, place: Place) -> Response:
        """The reply that `plan` makes of `call`."""
        match plan:
            case Draw():
                if dialect.channels and call.listing is None:
                    call, dialect = dialect.apply_channel(plan.channel, call)
                return await self._drawn(call, plan, dialect, place)
            case Refuse():
                raise GatewayError(plan.kind, facts=_refusal_facts(call, place, plan.wait), words=plan.words)
            case Canned():
                return Response(plan.status, (("Content-Type", plan.content_type),), (plan.body,))
            case Exhausted():
                facts = {"value": f"'{plan.rule}'", "limit": str(plan.calls)}
                raise GatewayError("invalid_request", None, "scenario_exhausted", facts)
            case _:
                assert_never(plan)

    async def _drawn(self, call: Call, draw: Draw, dialect: Gateway, place: Place) -> Response:
        if call.listing is not None:
            return Response(200, _type(dialect), (dialect.json_format.encode(call.listing),))
        count = call.count if draw.images is None else min(draw.images, call.count)
        asked = [recipe_of(call, dialect.name, self.seed, index) for index in range(call.count)]
        now = int(self.clock.now(place.session) if place.made is None else place.made)
        first, rewritten = asked[0], revised(call, draw, asked[0].seed)
        asked = asked[:count]
        if draw.picture is not None:
            asked = self._retouched(asked, draw.picture)
        if (delivery := _delivery(call, draw)) == "b64_json":
            items = [{"b64_json": "", **rewritten} for _ in asked]
        else:
            end = now + (LIFETIME if draw.expires_in is None else draw.expires_in)
            links = (PictureLink(one, place.session, end, draw.host) for one in asked)
            items = [{"url": self._url(link, place), **rewritten} for link in links]
        altered = None if draw.picture is None else _altered(draw.picture, delivery)
        created = now if draw.created is None else draw.created
        if call.streams:
            asked_for = _Drawing(call, draw, tuple(asked), tuple(items), created, first)
            return replace(self._streamed(asked_for, dialect, place), altered=altered)
        pictures = await asyncio.gather(*map(self.image_store.draw, asked)) if delivery == "b64_json" else []
        body = _body(call, created, items, first)
        if place.lay is not None:
            body = place.lay(body)
        end_of_body = b"\n" if call.response.newline else b""
        if draw != _AS_ASKED:
            overrides.body(draw, body, asked, pictures)
            return Response(
                200, _type(dialect), (dialect.json_format.encode(body) + end_of_body,), tuple(asked), altered
            )
        spelled = _with_base64(dialect.json_format.encode(body) + end_of_body, dialect.json_format.colon, pictures)
        return Response(200, _type(dialect), spelled, tuple(asked))

    def _streamed(self, drawing: _Drawing, dialect: Gateway, place: Place) -> Response:
        """The pictures of `drawing` as a stream of events, none of which is made yet."""
        from emulator.response import streaming  # few ask for one

        def words(refusal: Refuse) -> Mapping[str, Any]:
            facts = _refusal_facts(call, place, refusal.wait)
            return dialect.error_catalog.format_members(
                GatewayError(refusal.kind, facts=facts, words={"case": "stream", **refusal.words})
            )

        call, draw, shape = drawing.call, drawing.draw, drawing.call.response.stream
        assert shape is not None
        stages = streaming.stages(call.effective.get("partial_images"), draw.partials) if shape.partials else ()
        order = streaming.Order(
            name=shape.names[call.operation],
            shape=shape,
            recipes=drawing.recipes,
            items=drawing.items,
            common=_common(drawing, len(stages)),
            stages=stages,
            error=None if draw.error is None else words(draw.error),
            failure=words(Refuse("server_error")),
            seconds=place.seconds,
            session=place.session,
            amend=None if draw == _AS_ASKED else partial(overrides.event, draw),
        )
        pictures = drawing.recipes if draw.error is None else ()
        return Response(
            200, streaming.HEADERS, (), pictures, frames=streaming.frames(order, self.image_store, self.clock)
        )

    def _retouched(self, asked: Sequence[ImageRecipe], retouch: PictureOverride) -> list[ImageRecipe]:
        """The recipes of pictures whose files are otherwise than asked; the gallery learns what they name."""
        if retouch.alteration is None:
            return list(asked)
        if retouch.alteration.file is not None and retouch.own is not None:
            self.image_store.keep_picture(retouch.alteration.file, retouch.own)
        return [replace(one, altered=retouch.alteration) for one in asked]

    def _url(self, link: PictureLink, place: Place) -> str:
        token = format_token(link, self.secret)
        return f"{place.origin}/pictures/{token}.{FORMATS[link.recipe.served_as]}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call came in: the session that it belongs to, and scheme, host and port for links back to the server.

    `seconds` is how long a stream has to take. Pictures that were made before the call have been `made` at a moment in
    Unix seconds; `lay` makes of a reply's body another one.
    """

    session: str
    origin: str
    request_id: str = ""
    seconds: float = 0.0
    made: float | None = None
    lay: Callable[[dict[str, Any]], dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What is to be told of a call's pictures: `items` is each one's own part, `first` the first one as asked for."""

    call: Call
    draw: Draw
    recipes: tuple[ImageRecipe, ...]
    items: tuple[Mapping[str, Any], ...]
    created: int
    first: ImageRecipe


def recipe_of(call: Call, gateway: str, seed: int, index: int) -> ImageRecipe:
    """What a server with `seed` draws for the picture `index` of `call`."""
    params = call.effective
    prompt, quality = text(params.get("prompt")), text(params.get("quality"))
    width, height = call.pixels
    shown = "transparent" if params.get("background") == "transparent" else "opaque"
    kind = {"jpg": "jpeg"}.get(name := text(params.get("output_format")), name)
    look: tuple[str, ...] = (call.model or "", prompt, f"{width}x{height}", quality, text(params.get("style")), shown)
    if call.uploads:
        look = (*look, call.operation, *(one.look.sha256 for one in call.uploads if one.look is not None))
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
        seed=make_seed(seed, *look, index) & _EXACT,
        source=_source(call),
    )


def _source(call: Call) -> EditSource | None:
    """What the pictures of `call` are made of; of several that it brings the first is worked on, as by its model."""
    image, mask = (
        next((one.look for one in call.uploads if one.role == role and one.look is not None), None)
        for role in ("image", "mask")
    )
    if image is None:
        return None
    act = "vary" if call.operation == "vary" else "edit"
    digest = None if mask is None else mask.sha256[:DIGEST]
    return EditSource(act, image.sha256[:DIGEST], digest, image.palette, mask is not None or bool(image.alpha_share))


def _type(dialect: Gateway) -> tuple[tuple[str, str], ...]:
    return (("Content-Type", dialect.json_format.content_type),)


def _altered(retouch: PictureOverride, delivery: Delivery) -> Mapping[str, Any] | None:
    """What of `retouch` has an effect: how Base64 is spelled shows only where there is Base64."""
    hidden = () if delivery == "b64_json" or retouch.base64 == "null" else ("base64",)
    return {word: value for word, value in retouch.said.items() if word not in hidden} or None


def _delivery(call: Call, draw: Draw) -> Delivery:
    if draw.picture is not None and draw.picture.base64 == "null":
        return "url"
    if call.response.delivery is not None:
        return call.response.delivery
    return "b64_json" if call.effective.get("response_format") == "b64_json" else "url"


def _body(call: Call, created: int, items: list[dict[str, str]], first: ImageRecipe) -> dict[str, Any]:
    """The reply's members in their order; `first` is the recipe of the first picture as it was asked for."""
    shape = call.response
    if shape.data_fields:
        names = shape.data_fields
        items = [{name: item.get(name, "") for name in names if shape.blank or name in item} for item in items]
    members: dict[str, Any] = {"created": created, "data": items}
    if shape.usage is not None:
        members["usage"] = _usage(call, shape.usage)
    if any(name not in members for name in shape.fields):
        members |= _understood(call, first)
    return {name: members[name] for name in shape.fields if name in members}


def _understood(call: Call, first: ImageRecipe) -> dict[str, Any]:
    """What a reply may say of a call as it was understood, nothing of it `auto`."""
    named = call.effective.get("safety_identifier") or call.effective.get("user")
    return {
        "background": first.background,
        "output_format": first.format,
        "quality": first.quality,
        "size": f"{first.width}x{first.height}",
        **({"safety_identifier": named} if named else {}),
    }


def _common(drawing: _Drawing, partials: int) -> dict[str, Any]:
    """What the events of a stream tell of all pictures; each has the usage of its own picture, and of `partials`."""
    call, table = drawing.call, drawing.call.response.usage
    told = {"created_at": drawing.created, **_understood(call, drawing.first)}
    if table is not None and call.response.stream is not None:
        whole = not call.response.stream.partials
        spent = pricing.add_partials(_usage(call if whole else replace(call, count=1), table), partials)
        told["usage"] = spent if whole else {name: spent[name] for name in _STREAMED_USAGE if name in spent}
    return told


def _with_base64(body: bytes, colon: bytes, pictures: Sequence[Picture]) -> tuple[bytes, ...]:
    """`body` with the pictures put where their text is still empty: Base64 needs no escaping, and may be large.

    No other text can be mistaken for such a place: inside a JSON text a quote has a backslash before it.
    """
    if not pictures:
        return (body,)
    place = b'"b64_json"' + colon + b'"'
    first, *rest = body.split(place + b'"')
    pieces = [first]
    for picture, after in zip(pictures, rest, strict=True):
        pieces += [place, picture.base64, b'"', after]
    return tuple(pieces)


def _usage(call: Call, table: str) -> Mapping[str, Any]:
    prompt, quality = text(call.effective.get("prompt")), str(call.effective.get("quality"))
    given = pricing.count_input_tokens(call, table) if call.uploads else (0, 0)
    spent = pricing.count_usage(table, prompt, quality, call.pixels, call.count, given)
    order = call.response.usage_details
    return {
        name: {detail: spent[name][detail] for detail in order} if name.endswith("_details") else spent[name]
        for name in call.response.usage_fields
    }


def _refusal_facts(call: Call, place: Place, wait: str) -> Mapping[str, str]:
    """What a scripted refusal's words may name."""
    return {"model": call.model or "", "request_id": place.request_id, "limit": "5", "wait": wait, "key": "***"}


def _is_percent(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100


_STREAMED_USAGE: Final = ("input_tokens", "output_tokens", "total_tokens", "input_tokens_details")
_AS_ASKED: Final = Draw()
_EXACT: Final = 2**53 - 1  # a larger whole number is not exact in JavaScript, and labels are read there too
_NAME_LENGTH: Final = 48  # characters of a model's or quality's name in a recipe; a URL should stay short
