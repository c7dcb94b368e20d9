"""Builds the reply to a valid call: data, usage, revised prompt, links or Base64.

A reply depends on the call, the clock and the seed alone, so that a run with a frozen clock repeats to the byte.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, assert_never

from emulator.core.chance import make_seed
from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.findings import Finding
from emulator.gateway import pricing
from emulator.gateway.gateway import Gateway
from emulator.gateway.refusals import RequestFacts, build_scripted_error
from emulator.image.files import NO_FILES, Files, FileStore, MissingFile
from emulator.image.link import PictureLink, format_token
from emulator.image.link_query import LIFETIME, format_query
from emulator.image.recipe import CAPTION_LENGTH, DIGEST, FORMATS, EditSource, ImageRecipe, PartialImage
from emulator.image.store import ImageStore, Picture
from emulator.messages import (
    Call,
    Canned,
    Delivery,
    Draw,
    Exhausted,
    GatewayError,
    PictureWeight,
    Plan,
    Refuse,
    Response,
    ResponseShape,
)
from emulator.response.overrides import override_body, override_event, override_members
from emulator.response.picture_overrides import (
    EXACT,
    find_unmet_overrides,
    list_own_pictures,
    list_visible_overrides,
    measure_largest,
    override_recipes,
)
from emulator.response.revised_prompt import build_revised_prompt, format_parameter


@dataclass(frozen=True)
class ResponseBuilder:
    """Builds replies for one server; `secret` signs the pictures' URLs, `seed` decides what is on the pictures.

    `files` keeps the testers' own pictures, so that links and tasks can name them by digest.
    """

    seed: int
    secret: bytes
    clock: Clock
    image_store: ImageStore
    files: FileStore

    async def build(self, call: Call, plan: Plan, gateway: Gateway, context: ReplyContext) -> Response:
        """Build the reply that `plan` makes of `call`; raises GatewayError where the plan refuses it."""
        match plan:
            case Draw():
                if call.listing is not None:
                    return _build_response(gateway, gateway.json_format.encode(call.listing))
                if gateway.channels:
                    call, gateway = gateway.apply_channel(plan.channel, call)
                return await self._build_drawn(call, plan, gateway, context)
            case Refuse():
                raise self._build_scripted_error(plan, call, gateway, context)
            case Canned():
                return Response(plan.status, (("Content-Type", plan.content_type),), (plan.body,))
            case Exhausted():
                facts = {"value": f"'{plan.rule}'", "limit": str(plan.calls)}
                raise GatewayError(kind="invalid_request", violation="scenario_exhausted", facts=facts)
            case _:
                assert_never(plan)

    async def _build_drawn(self, call: Call, draw: Draw, gateway: Gateway, context: ReplyContext) -> Response:
        drawing = self._plan_drawing(call, draw, gateway, context)
        altered = None
        if draw.picture is not None:
            altered = list_visible_overrides(draw, drawing.deliveries)
            await self.keep_own_pictures(draw)
        if call.streams:
            return replace(self._build_stream(drawing, gateway, context), altered=altered)
        pictures = await self._draw_pictures(drawing)
        body = _build_body(drawing)
        if context.wrap_body is not None:
            body = context.wrap_body(body)
        end = b"\n" if call.response.newline else b""
        json_format = gateway.json_format
        if draw == _UNCHANGED:
            pieces = _insert_base64(json_format.encode(body) + end, json_format.colon, pictures)
            return _build_response(gateway, *pieces, pictures=drawing.recipes)

        def write_overridden() -> tuple[bytes, tuple[Finding, ...]]:
            overridden, findings = override_body(draw, body, drawing.recipes, pictures)
            return json_format.encode(overridden) + end, findings

        if sum(picture.size for picture in pictures if picture is not None) > _SLOW_TO_WRITE:
            written, findings = await self.image_store.run_in_thread(write_overridden)
        else:
            written, findings = write_overridden()
        response = _build_response(gateway, written, pictures=drawing.recipes)
        findings += find_unmet_overrides(draw, pictures)
        return replace(response, altered=altered, findings=findings)

    async def keep_own_pictures(self, draw: Draw) -> None:
        """Keep the tester's own pictures that a reply shows, if it shows some and their bytes are here."""
        for digest, data in list_own_pictures(draw).items():
            await self.files.keep_file("picture", digest, data)

    async def _draw_pictures(self, drawing: _Drawing) -> Sequence[Picture | None]:
        """Draw the pictures of a reply that come as Base64; for the others None.

        Raises GatewayError where a task's own picture is not kept any more.
        """
        if "b64_json" not in drawing.deliveries:
            return [None] * len(drawing.deliveries)
        held = _collect_files(drawing.call, drawing.draw)
        try:
            if len(drawing.deliveries) == 1:  # the usual case, which needs no task of its own
                return [await self.image_store.draw(drawing.recipes[0], held)]
            wanted = [delivery == "b64_json" for delivery in drawing.deliveries]
            recipes = [recipe for recipe, is_wanted in zip(drawing.recipes, wanted, strict=True) if is_wanted]
            drawn = iter(await asyncio.gather(*(self.image_store.draw(recipe, held) for recipe in recipes)))
            return [next(drawn) if is_wanted else None for is_wanted in wanted]
        except MissingFile as error:
            raise GatewayError(kind="upstream_error") from error

    def _plan_drawing(self, call: Call, draw: Draw, gateway: Gateway, context: ReplyContext) -> _Drawing:
        """Plan the pictures of a call as a scenario wants them, and the members of each picture in the reply."""
        requested = [build_recipe(call, gateway.name, self.seed, index) for index in range(call.count)]
        first = requested[0]
        recipes = override_recipes(requested[: draw.images], draw, context.picture_weight, context.number)
        now = int(self.clock.now(context.session) if context.made is None else context.made)
        revised_prompt = build_revised_prompt(call, draw, first.seed)
        deliveries = _list_deliveries(call, draw, recipes)
        lifetime = LIFETIME if draw.expires_in is None else draw.expires_in
        is_signed = gateway.link_query is not None
        items: list[Mapping[str, Any]] = []
        for recipe, delivery in zip(recipes, deliveries, strict=True):
            if delivery == "b64_json":
                items.append({"b64_json": "", **revised_prompt})
            else:
                link = PictureLink(recipe, context.session, now + lifetime, draw.host, is_signed)
                items.append({"url": self._build_url(link, context.origin, gateway), **revised_prompt})
        return _Drawing(
            call=call,
            draw=draw,
            deliveries=deliveries,
            recipes=recipes,
            items=tuple(items),
            created=now if draw.created is None else draw.created,
            first=first,
        )

    def _build_stream(self, drawing: _Drawing, gateway: Gateway, context: ReplyContext) -> Response:
        """Build a reply that is a stream of events, none of which is made yet."""
        from emulator.response import streaming  # few calls ask for a stream

        call, draw, shape = drawing.call, drawing.draw, drawing.call.response.stream
        assert shape is not None
        partials: tuple[PartialImage, ...] = ()
        if shape.partials:
            partials = streaming.list_partial_images(call.effective.get("partial_images"), draw.partials)
        error, pictures = None, drawing.recipes
        if draw.error is not None:
            error, pictures = self._build_stream_error(draw.error, call, gateway, context), ()
        stream = streaming.EventStream(
            name=shape.names[call.operation],
            shape=shape,
            recipes=drawing.recipes,
            items=drawing.items,
            common=_build_common_members(drawing, len(partials)),
            partials=partials,
            error=error,
            failure=self._build_stream_error(Refuse("server_error"), call, gateway, context),
            seconds=context.seconds,
            session=context.session,
            files=_collect_files(call, draw),
            override_event=None if draw == _UNCHANGED else partial(override_event, draw),
        )
        findings: tuple[Finding, ...] = ()
        if pictures:
            _, findings = override_members(draw, streaming.build_completed_event(stream, 0))
            findings += find_unmet_overrides(draw, [None] * len(pictures))
        frames = streaming.make_events(stream, self.image_store, self.clock)
        return Response(
            status=200, headers=streaming.HEADERS, body=(), pictures=pictures, frames=frames, findings=findings
        )

    def _build_scripted_error(
        self, refusal: Refuse, call: Call, gateway: Gateway, context: ReplyContext
    ) -> GatewayError:
        """Build the error that refuses `call` as `refusal` asks for it."""
        now = self.clock.now(context.session)
        asked, request_id = context.asked, context.request_id
        return build_scripted_error(refusal, call, asked, gateway, request_id=request_id, now=now)

    def _build_stream_error(
        self, refusal: Refuse, call: Call, gateway: Gateway, context: ReplyContext
    ) -> Mapping[str, Any]:
        """Build the members of an error inside a stream, in the gateway's words."""
        error = self._build_scripted_error(refusal, call, gateway, context)
        error = replace(error, words={"case": "stream", **error.words})
        return gateway.error_catalog.format_members(error)

    def _build_url(self, link: PictureLink, origin: str, gateway: Gateway) -> str:
        token = format_token(link, self.secret)
        url = f"{origin}/pictures/{token}.{FORMATS[link.recipe.served_as]}"
        if gateway.link_query is not None:
            url += f"?{format_query(gateway.link_query, link, token, self.secret)}"
        return url


@dataclass(frozen=True, slots=True)
class ReplyContext:
    """What a reply depends on beside its call: the session, and scheme, host and port for links back to the server.

    `asked` is what a refusal can say of the request. `seconds` is how long a stream takes. Pictures that were made
    before the call have been `made` at that moment, in Unix seconds; `wrap_body` makes the reply's body of the usual
    one. `number` is the number of the call in its session, `picture_weight` how heavy its pictures are where its answer
    does not say so.
    """

    session: str
    origin: str
    asked: RequestFacts
    request_id: str = ""
    seconds: float = 0.0
    made: float | None = None
    wrap_body: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    number: int = 0
    picture_weight: PictureWeight = "small"


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The pictures of a reply: `first` is the first picture before any override.

    For each picture `deliveries` tells how it comes, and `items` has its members.
    """

    call: Call
    draw: Draw
    deliveries: tuple[Delivery, ...]
    recipes: tuple[ImageRecipe, ...]
    items: tuple[Mapping[str, Any], ...]
    created: int
    first: ImageRecipe


def _collect_files(call: Call, draw: Draw) -> Files:
    """Return the files that the call holds while it is answered: its uploads, and a tester's own picture."""
    if not call.uploads and draw.picture is None:
        return NO_FILES
    held = {}
    for upload in call.uploads:
        if upload.examination is not None and upload.data:
            held[upload.examination.sha256[:DIGEST]] = upload.data
    held.update(list_own_pictures(draw))
    return held


def estimate_body(call: Call, plan: Plan) -> int:
    """Return about the most bytes that the reply to a call can have, before anything is drawn.

    A picture in Base64 counts with its uncompressed pixels. Links, and whatever is short, count nothing.
    """
    if not isinstance(plan, Draw) or call.listing is not None:
        return 0
    in_base64 = [index for index in range(call.count) if _choose_delivery(call, plan, index) == "b64_json"]
    width, height = call.pixels
    return len(in_base64) * max(width * height * 3, measure_largest(plan)) * 4 // 3


def build_recipe(call: Call, gateway: str, seed: int, index: int) -> ImageRecipe:
    """Build the recipe of the picture `index` of `call`, as a server with `seed` draws it."""
    params = call.effective
    prompt, quality = format_parameter(params.get("prompt")), format_parameter(params.get("quality"))
    width, height = call.pixels
    requested_background = "transparent" if params.get("background") == "transparent" else "opaque"
    name = format_parameter(params.get("output_format"))
    image_format = {"jpg": "jpeg"}.get(name, name)
    background = requested_background
    if image_format == "jpeg":
        background = "opaque"
    compression = params.get("output_compression")
    if image_format == "png" or not _is_percent(compression):
        compression = None
    caption = prompt
    if len(prompt) > CAPTION_LENGTH:
        caption = prompt[: CAPTION_LENGTH - 1] + "…"
    style = format_parameter(params.get("style"))
    seed_parts: tuple[str, ...] = (call.model or "", prompt, f"{width}x{height}", quality, style, requested_background)
    if call.uploads:
        digests = [upload.examination.sha256 for upload in call.uploads if upload.examination is not None]
        seed_parts = (*seed_parts, call.operation, *digests)
    return ImageRecipe(
        gateway=gateway,
        model=(call.model or "")[:_NAME_LENGTH],
        caption=caption,
        prompt_hash=hashlib.sha256(prompt.encode()).hexdigest()[:16],
        width=width,
        height=height,
        quality=quality[:_NAME_LENGTH],
        background=background,
        format=image_format if image_format in FORMATS else "png",
        compression=compression,
        index=index,
        seed=make_seed(seed, *seed_parts, index) & EXACT,
        source=_build_edit_source(call),
    )


def _build_edit_source(call: Call) -> EditSource | None:
    """Return what the pictures of `call` are made of: its first image and its first mask, None without an image."""
    examinations = {
        upload.role: upload.examination for upload in reversed(call.uploads) if upload.examination is not None
    }
    image, mask = examinations.get("image"), examinations.get("mask")
    if image is None:
        return None
    act = "vary" if call.operation == "vary" else "edit"
    if mask is None:
        return EditSource(act, image.sha256[:DIGEST], None, image.palette, bool(image.alpha_share))
    return EditSource(act, image.sha256[:DIGEST], mask.sha256[:DIGEST], image.palette, True)


def _build_response(gateway: Gateway, *body: bytes, pictures: tuple[ImageRecipe, ...] = ()) -> Response:
    headers = (("Content-Type", gateway.json_format.content_type),)
    return Response(status=200, headers=headers, body=body, pictures=pictures)


def _list_deliveries(call: Call, draw: Draw, recipes: Sequence[ImageRecipe]) -> tuple[Delivery, ...]:
    """Return how each picture comes."""
    if draw.picture is None:
        return (_choose_delivery(call, draw, 0),) * len(recipes)
    return tuple(_choose_delivery(call, draw, recipe.index) for recipe in recipes)


def _choose_delivery(call: Call, draw: Draw, index: int) -> Delivery:
    override = draw.find_override(index)
    if override is not None and override.base64 == "null":
        return "url"
    if call.response.delivery is not None:
        return call.response.delivery
    return "b64_json" if call.effective.get("response_format") == "b64_json" else "url"


def _build_body(drawing: _Drawing) -> dict[str, Any]:
    """Build the reply's members in their order."""
    call, shape = drawing.call, drawing.call.response
    items: Sequence[Mapping[str, Any]] = drawing.items
    if shape.data_fields:
        items = [_order_item(item, shape) for item in items]
    members: dict[str, Any] = {"created": drawing.created, "data": list(items)}
    if shape.usage is not None:
        members["usage"] = _build_usage(call, shape.usage)
    if any(name not in members for name in shape.fields):
        members |= _describe_picture(call, drawing.first)
    return {name: members[name] for name in shape.fields if name in members}


def _order_item(item: Mapping[str, Any], shape: ResponseShape) -> Mapping[str, Any]:
    """Return the members of a picture in the model's order; with `blank` those without a value are empty texts."""
    if shape.blank:
        return {name: item.get(name, "") for name in shape.data_fields}
    return {name: item[name] for name in shape.data_fields if name in item}


def _describe_picture(call: Call, first: ImageRecipe) -> dict[str, Any]:
    """Return what a reply says of its pictures; nothing of it is `auto`."""
    members = {
        "background": first.background,
        "output_format": first.format,
        "quality": first.quality,
        "size": f"{first.width}x{first.height}",
    }
    user = call.effective.get("safety_identifier") or call.effective.get("user")
    if user:
        members["safety_identifier"] = user
    return members


def _build_common_members(drawing: _Drawing, partials: int) -> dict[str, Any]:
    """Build the members of a stream's events that are the same for all pictures.

    Each event has the usage of its own picture and of `partials` partial images, or where a stream is made of a whole
    reply the usage of all pictures.
    """
    call, table, stream = drawing.call, drawing.call.response.usage, drawing.call.response.stream
    members: dict[str, Any] = {"created_at": drawing.created, **_describe_picture(call, drawing.first)}
    if table is None or stream is None:
        return members
    if not stream.partials:
        return {**members, "usage": pricing.add_partials(_build_usage(call, table), partials)}
    usage = pricing.add_partials(_build_usage(replace(call, count=1), table), partials)
    return {**members, "usage": {name: usage[name] for name in _STREAMED_USAGE if name in usage}}


def _insert_base64(body: bytes, colon: bytes, pictures: Sequence[Picture | None]) -> tuple[bytes, ...]:
    """Return `body` with the pictures where their text is still empty: Base64 needs no escaping, and may be large.

    No other text can be mistaken for such a place: inside a JSON text a quote has a backslash before it.
    """
    in_base64 = [picture for picture in pictures if picture is not None]
    if not in_base64:
        return (body,)
    place = b'"b64_json"' + colon + b'"'
    first, *rest = body.split(place + b'"')
    pieces = [first]
    for picture, after in zip(in_base64, rest, strict=True):
        pieces += [place, picture.base64, b'"', after]
    return tuple(pieces)


def _build_usage(call: Call, table: str) -> Mapping[str, Any]:
    """Build the usage of a call by the published table of its model, in the model's order."""
    prompt, quality = format_parameter(call.effective.get("prompt")), str(call.effective.get("quality"))
    given = pricing.count_input_tokens(call, table) if call.uploads else (0, 0)
    tokens = pricing.count_usage(table, prompt, quality, pixels=call.pixels, count=call.count, inputs=given)
    usage: dict[str, Any] = {}
    for name in call.response.usage_fields:
        usage[name] = tokens[name]
        if name.endswith("_details"):
            usage[name] = {detail: tokens[name][detail] for detail in call.response.usage_details}
    return usage


def _is_percent(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 100


_STREAMED_USAGE: Final = ("input_tokens", "output_tokens", "total_tokens", "input_tokens_details")
_UNCHANGED: Final = Draw()
_NAME_LENGTH: Final = 48  # characters of a model's or quality's name in a recipe; a URL should stay short
_SLOW_TO_WRITE: Final = 2**20  # bytes of pictures; to write them as JSON takes milliseconds, in which no call may wait
