"""Builds the reply to a valid call: data, usage, revised prompt, links or Base64.

A reply depends on the call, the clock and the seed alone, so that a run with a frozen clock repeats to the byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Final, NamedTuple, assert_never

from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.findings import Finding
from emulator.gateway.formats import IdPattern
from emulator.gateway.gateway import Gateway
from emulator.gateway.refusals import RequestFacts, build_scripted_error
from emulator.image.files import NO_FILES, Files, FileStore, MissingFile
from emulator.image.link_query import LIFETIME
from emulator.image.recipe import DIGEST, ImageRecipe, PartialImage
from emulator.image.store import ImageStore, Picture
from emulator.messages import (
    UNCHANGED,
    BodyPlaces,
    Call,
    Canned,
    Delivery,
    Draw,
    Exhausted,
    GatewayError,
    LocalPlan,
    PictureWeight,
    Plan,
    Refuse,
    Response,
)
from emulator.response.body import (
    WrapBody,
    build_body,
    build_common_members,
    choose_delivery,
    find_streamed_usage,
    write_body,
    write_files,
)
from emulator.response.links import write_link
from emulator.response.marks import insert_base64, mark_base64
from emulator.response.overrides import (
    find_picture_overrides,
    find_unmet_members,
    override_event,
    override_item,
    override_members,
)
from emulator.response.picture_overrides import (
    Altered,
    find_unmet_overrides,
    list_own_pictures,
    list_visible_overrides,
    measure_largest,
    override_recipes,
)
from emulator.response.prepared import PreparedReplies, PreparedReply
from emulator.response.recipes import find_outline
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

    async def build(self, call: Call, plan: LocalPlan, gateway: Gateway, context: ReplyContext) -> Response:
        """Build the reply that `plan` makes of `call`; raises GatewayError where the plan refuses it."""
        match plan:
            case Draw():
                if call.listing is not None:
                    return _build_response(gateway, gateway.json_format.encode(call.listing))
                if context.is_usual and (plan is UNCHANGED or plan == UNCHANGED):
                    response = await self.build_prepared(call, gateway, context.session, context.origin)
                    if response is not None:
                        return response
                if gateway.channels:
                    call, gateway = gateway.apply_channel(plan.channel, call)
                return await self._build_drawn(call, plan, gateway, context)
            case Refuse():
                raise self._build_scripted_error(plan, call, gateway, context)
            case Canned() if plan.parts or plan.events:
                from emulator.response import stored  # recordings alone need it

                return await stored.build_response(plan, call, gateway, self, context)
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
            altered = list_visible_overrides(draw, drawing.deliveries, can_fail=call.response.failed_item is not None)
            await self.keep_own_pictures(draw)
        if call.streams:
            return self._build_stream(drawing, gateway, context, altered)
        pictures = await self._draw_pictures(
            drawing.recipes, drawing.deliveries, _collect_files(drawing.call, drawing.draw)
        )
        if drawing.call.gets_files:
            media_type, data = write_files(pictures, drawing.recipes)
            findings = find_unmet_overrides(draw, pictures)
            return Response(
                200,
                (("Content-Type", media_type),),
                (data,),
                pictures=drawing.recipes,
                altered=altered,
                findings=findings,
            )
        reply_id = ""
        if call.response.body is not None:
            reply_id = IdPattern(call.response.id).make_id(f"{context.session} {context.number}", drawing.created)
        build = partial(
            build_body,
            call,
            created=drawing.created,
            first=drawing.first,
            usage=drawing.find_usage(),
            reply_id=reply_id,
            wrap=context.wrap_body,
        )
        json_format = gateway.json_format
        if draw == UNCHANGED:
            body = write_body(build(items=drawing.items), call.response, json_format)
            pieces = insert_base64(body, _number_pictures(pictures))
            return _build_response(gateway, *pieces, pictures=drawing.made)
        places = context.places or call.response.places

        def write_overridden() -> tuple[bytes, tuple[Finding, ...]]:
            items = [
                override_item(draw, item, recipe, picture)
                for item, recipe, picture in zip(drawing.items, drawing.recipes, pictures, strict=True)
            ]
            body, findings = override_members(draw, build(items=items), places)
            return write_body(body, call.response, json_format), findings

        if sum(picture.size for picture in pictures if picture is not None) > _SLOW_TO_WRITE:
            written, findings = await self.image_store.run_in_thread(write_overridden)
        else:
            written, findings = write_overridden()
        response = _build_response(gateway, written, pictures=drawing.made)
        findings += find_unmet_overrides(draw, pictures, can_fail=call.response.failed_item is not None)
        return replace(response, altered=altered, findings=findings)

    async def keep_own_pictures(self, draw: Draw) -> None:
        """Keep the tester's own pictures that a reply shows, if it shows some and their bytes are here."""
        for digest, data in list_own_pictures(draw).items():
            await self.files.keep_file("picture", digest, data)

    def find_prepared(self, call: Call, gateway: Gateway) -> PreparedReply | None:
        """Return the prepared reply to a call that is no stream and no list; None where there is none."""
        return self._prepared_replies.find(call, gateway)

    async def build_prepared(self, call: Call, gateway: Gateway, session: str, origin: str) -> Response | None:
        """Build a reply that nothing changes of prepared texts; None where it has to be built in the usual way.

        `origin` is scheme, host and port for links back to the server.
        """
        if call.streams or call.listing is not None or call.gets_files:
            return None
        reply = self.find_prepared(call, gateway)
        if reply is None:
            return None
        response = reply.write(int(self.clock.now(session)), session, origin)
        outline = reply.outline
        if not outline.is_base64:
            return response
        deliveries: list[Delivery] = ["b64_json" for _ in reply.recipes]
        pictures = await self._draw_pictures(reply.recipes, deliveries, _collect_files(call, UNCHANGED))
        body = insert_base64(response.body[0], _number_pictures(pictures))
        return Response(status=200, headers=outline.headers, body=body, pictures=reply.recipes)

    @cached_property
    def _prepared_replies(self) -> PreparedReplies:
        return PreparedReplies(self.seed, self.secret)

    async def _draw_pictures(
        self, recipes: Sequence[ImageRecipe], deliveries: Sequence[Delivery], files: Files
    ) -> Sequence[Picture | None]:
        """Draw the pictures of a reply that come as Base64; for the others None.

        Raises GatewayError where a task's own picture is not kept any more.
        """
        if "b64_json" not in deliveries:
            return [None] * len(deliveries)
        try:
            if len(deliveries) == 1:  # the usual case, which needs no task of its own
                return [await self.image_store.draw(recipes[0], files)]
            wanted = [recipe for recipe, one in zip(recipes, deliveries, strict=True) if one == "b64_json"]
            drawn = iter(await asyncio.gather(*(self.image_store.draw(recipe, files) for recipe in wanted)))
            return [next(drawn) if one == "b64_json" else None for one in deliveries]
        except MissingFile as error:
            raise GatewayError(kind="upstream_error") from error

    def _plan_drawing(self, call: Call, draw: Draw, gateway: Gateway, context: ReplyContext) -> _Drawing:
        """Plan the pictures of a call as a scenario wants them, and the members of each picture in the reply."""
        outline, prompt = find_outline(call, gateway.name, self.seed), format_parameter(call.effective.get("prompt"))
        requested = [outline.make_recipe(prompt, index) for index in range(call.count)]
        first = requested[0]
        recipes = override_recipes(requested[: draw.images], draw, context.picture_weight, context.number)
        now = int(self.clock.now(context.session) if context.made is None else context.made)
        revised_prompt = build_revised_prompt(call, draw, first.seed)
        failures = self._build_failures(call, draw, gateway, context, places=len(recipes))
        deliveries = _list_deliveries(call, draw, recipes, failures)
        lifetime = LIFETIME if draw.expires_in is None else draw.expires_in
        origin = "" if call.response.relative else context.origin
        items: list[Mapping[str, Any]] = []
        for place, (recipe, delivery) in enumerate(zip(recipes, deliveries, strict=True)):
            if place in failures:
                items.append({"error": failures[place]})
                continue
            if delivery == "b64_json":
                items.append({"b64_json": mark_base64(place), **revised_prompt})
                continue
            link = write_link(
                outline.seal_recipe(recipe, self.secret),
                recipe.served_as,
                origin=origin,
                session=context.session,
                expires=now + lifetime,
                query=gateway.link_query,
                secret=self.secret,
                host=draw.host,
            )
            items.append({"url": link, **revised_prompt})
        return _Drawing(
            call=call,
            draw=draw,
            deliveries=deliveries,
            recipes=recipes,
            items=tuple(items),
            created=now if draw.created is None else draw.created,
            first=first,
            failures=failures,
        )

    def _build_failures(
        self, call: Call, draw: Draw, gateway: Gateway, context: ReplyContext, *, places: int
    ) -> Mapping[int, Mapping[str, Any]]:
        """Build the errors of the pictures that fail, by their places; none where a gateway has no such errors."""
        if draw.picture is None or call.response.failed_item is None:
            return {}
        failures = {}
        for place in range(places):
            refusal = draw.find_failure(place)
            if refusal is not None:
                failures[place] = self._build_error_members(refusal, call, gateway, context, case="picture")
        return failures

    def _build_stream(
        self, drawing: _Drawing, gateway: Gateway, context: ReplyContext, altered: Altered | None
    ) -> Response:
        """Build a reply that is a stream of events, none of which is made yet."""
        from emulator.response import streaming  # few calls ask for a stream

        call, draw, shape = drawing.call, drawing.draw, drawing.call.response.stream
        assert shape is not None
        partials: tuple[PartialImage, ...] = ()
        if shape.partials:
            partials = streaming.list_partial_images(call.effective.get("partial_images"), draw.partials)
        error, pictures, places = None, drawing.made, len(drawing.recipes)
        if draw.error is not None:
            error = self._build_error_members(draw.error, call, gateway, context, case="stream")
            pictures, places = (), 0
        stream = streaming.EventStream(
            start=shape.names[call.operation],
            shape=shape,
            recipes=drawing.recipes,
            items=drawing.items,
            common=build_common_members(call, created=drawing.created, first=drawing.first, partials=len(partials)),
            partials=partials,
            error=error,
            describe_failure=partial(
                self._build_error_members, Refuse("server_error"), call, gateway, context, case="stream"
            ),
            seconds=context.seconds,
            session=context.session,
            files=_collect_files(call, draw),
            usage=drawing.find_usage(len(partials) * len(pictures)),
        )
        if draw != UNCHANGED:
            stream = replace(
                stream,
                override_item=partial(override_item, draw),
                override_event=partial(override_event, find_picture_overrides(draw, shape), shape.finished),
            )
            if shape.last is not None:
                stream = replace(stream, override_last=partial(override_event, draw, shape.last))
        findings: tuple[Finding, ...] = ()
        if places and draw != UNCHANGED:
            if pictures:
                event = streaming.build_finished_event(stream, drawing.recipes.index(pictures[0]))
                findings = find_unmet_members(draw, shape, event, streaming.build_last_event(stream))
            findings += find_unmet_overrides(draw, [None] * places, can_fail=call.response.failed_item is not None)
        frames = streaming.make_events(stream, self.image_store, self.clock)
        return Response(
            status=200,
            headers=streaming.HEADERS,
            body=(),
            pictures=pictures,
            altered=altered,
            frames=frames,
            findings=findings,
        )

    def _build_scripted_error(
        self, refusal: Refuse, call: Call, gateway: Gateway, context: ReplyContext
    ) -> GatewayError:
        """Build the error that refuses `call` as `refusal` asks for it."""
        now = self.clock.now(context.session)
        return build_scripted_error(refusal, call, context.asked, gateway, now=now)

    def _build_error_members(
        self, refusal: Refuse, call: Call, gateway: Gateway, context: ReplyContext, *, case: str
    ) -> Mapping[str, Any]:
        """Build the members of an error inside a reply, in the gateway's words for that case: `stream` or `picture`."""
        error = self._build_scripted_error(refusal, call, gateway, context)
        error = replace(error, words={"case": case, **error.words})
        return gateway.error_catalog.format_members(error, request_id=context.request_id)


class ReplyContext(NamedTuple):
    """What a reply depends on beside its call: the session, and scheme, host and port for links back to the server.

    `asked` is what a refusal can say of the request. `seconds` is how long a stream takes. Pictures that were made
    before the call have been `made` at that moment, in Unix seconds; `wrap_body` makes of the reply's body what is
    sent, in which `places` are those of its pictures and its usage, where they differ. `number` is the number of the
    call in its session, `picture_weight` how heavy its pictures are where its answer does not say so.
    """

    session: str
    origin: str
    asked: RequestFacts
    request_id: str = ""
    seconds: float = 0.0
    made: float | None = None
    wrap_body: WrapBody | None = None
    places: BodyPlaces | None = None
    number: int = 0
    picture_weight: PictureWeight = "small"

    @property
    def is_usual(self) -> bool:
        """Whether nothing in it changes the reply, but for its time and its links."""
        return self.made is None and self.wrap_body is None and self.picture_weight == "small"


@dataclass(frozen=True, slots=True)
class _Drawing:
    """The pictures of a reply: `first` is the first picture before any override.

    For each picture `deliveries` tells how it comes, and `items` has its members. `failures` are the errors of those
    that fail, by their places.
    """

    call: Call
    draw: Draw
    deliveries: tuple[Delivery, ...]
    recipes: tuple[ImageRecipe, ...]
    items: tuple[Mapping[str, Any], ...]
    created: int
    first: ImageRecipe
    failures: Mapping[int, Mapping[str, Any]]

    @property
    def made(self) -> tuple[ImageRecipe, ...]:
        """The recipes of the pictures that do not fail."""
        if not self.failures:
            return self.recipes
        return tuple(recipe for place, recipe in enumerate(self.recipes) if place not in self.failures)

    def find_usage(self, partials: int = 0) -> dict[str, Any] | None:
        """Return the usage of the call, which counts no picture that fails, with `partials` unfinished pictures."""
        call = self.call
        if self.failures or call.response.usage_body is not None:
            call = replace(call, count=len(self.made))
        return find_streamed_usage(call, partials)


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
    if plan.picture is None and choose_delivery(call) == "url":
        return 0
    in_base64 = [index for index in range(call.count) if _choose_delivery(call, plan, index) == "b64_json"]
    width, height = call.pixels
    return len(in_base64) * max(width * height * 3, measure_largest(plan)) * 4 // 3


def _number_pictures(pictures: Sequence[Picture | None]) -> Mapping[int, Picture]:
    """Return the pictures that come as Base64 by their places."""
    return {place: picture for place, picture in enumerate(pictures) if picture is not None}


def _build_response(gateway: Gateway, *body: bytes, pictures: tuple[ImageRecipe, ...] = ()) -> Response:
    headers = (("Content-Type", gateway.json_format.content_type),)
    return Response(status=200, headers=headers, body=body, pictures=pictures)


def _list_deliveries(
    call: Call, draw: Draw, recipes: Sequence[ImageRecipe], failures: Collection[int]
) -> tuple[Delivery, ...]:
    """Return how each picture comes; one that fails is not drawn, as if it came as a link."""
    if draw.picture is None:
        return (_choose_delivery(call, draw, 0),) * len(recipes)
    return tuple(
        "url" if place in failures else _choose_delivery(call, draw, recipe.index)
        for place, recipe in enumerate(recipes)
    )


def _choose_delivery(call: Call, draw: Draw, index: int) -> Delivery:
    override = draw.find_override(index)
    if override is not None and override.base64 == "null":
        return "url"
    return choose_delivery(call)


_SLOW_TO_WRITE: Final = 2**20  # bytes of pictures; to write them as JSON takes milliseconds, in which no call may wait
