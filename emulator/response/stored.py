"""Builds the replies of a recording: its pictures are read from their files when they are sent."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.core.picture_events import has_finished_picture
from emulator.gateway.gateway import Gateway
from emulator.image.link import seal_recipe
from emulator.image.link_query import LIFETIME
from emulator.image.recipe import ImageRecipe
from emulator.messages import BodyPart, Call, Canned, GatewayError, Response, StoredPicture
from emulator.response.links import write_link
from emulator.response.relayed import describe_picture, keep_picture

if TYPE_CHECKING:
    from emulator.response.builder import ReplyContext, ResponseBuilder

log = logging.getLogger("emulator")


async def build_response(
    plan: Canned, call: Call, gateway: Gateway, builder: ResponseBuilder, context: ReplyContext
) -> Response:
    """Build the reply that `plan`, which is recorded, gives to `call`; raises GatewayError where a file is damaged."""
    filler = _PartFiller(call, gateway, builder, context)
    headers = (("Content-Type", plan.content_type),)
    if plan.events:
        pictures: list[ImageRecipe] = []
        for event in plan.events:  # before the head is sent it is known whether all of them can be
            await filler.fill(event.parts)
            if has_finished_picture(b"".join(part for part in event.parts if isinstance(part, bytes))):
                pictures += filler.recipes
            filler.recipes.clear()
        frames = _replay_events(plan, filler, builder, context.session)
        return Response(plan.status, headers, (), pictures=tuple(pictures), frames=frames)
    body = await filler.fill(plan.parts)
    return Response(plan.status, headers, body, pictures=tuple(filler.recipes))


async def _replay_events(
    plan: Canned, filler: _PartFiller, builder: ResponseBuilder, session: str
) -> AsyncGenerator[bytes]:
    """Yield the events of a stream, each so long after the one before as it was recorded, by the session's clock."""
    passed = 0.0
    for event in plan.events:
        if event.at > passed:
            await builder.clock.sleep(event.at - passed, session)
            passed = event.at
        yield b"".join(await filler.fill(event.parts))


class _PartFiller:
    """Puts the pictures of one reply into their places; `recipes` are those that were put there."""

    def __init__(self, call: Call, gateway: Gateway, builder: ResponseBuilder, context: ReplyContext) -> None:
        self._call = call
        self._gateway = gateway
        self._builder = builder
        self._context = context
        self.recipes: list[ImageRecipe] = []

    async def fill(self, parts: Sequence[BodyPart]) -> tuple[bytes, ...]:
        """Return the parts with the pictures in their places, in quotation marks or in those that are there."""
        filled = []
        for part in parts:
            if isinstance(part, StoredPicture):
                filled.append(await self._write_picture(part))
            else:
                filled.append(part)
        return tuple(filled)

    async def _write_picture(self, picture: StoredPicture) -> bytes:
        data = await self._builder.image_store.run_in_thread(_read_picture, picture)
        if data is None:
            raise GatewayError("server_error")
        recipe = describe_picture(
            data, gateway=self._gateway.name, model=self._call.model, index=min(len(self.recipes), 999)
        )
        if recipe is not None:
            await keep_picture(self._builder.files, recipe, data)
            self.recipes.append(recipe)
        if picture.delivery == "b64_json":
            return picture.prefix.encode() + await self._builder.image_store.run_in_thread(base64.b64encode, data)
        if recipe is None:
            log.warning("%s is no PNG, JPEG or WebP, so there is no link to it", picture.path)
            raise GatewayError("server_error")
        return json.dumps(self._write_link(recipe), ensure_ascii=False).encode()[1:-1]

    def _write_link(self, recipe: ImageRecipe) -> str:
        builder, context = self._builder, self._context
        return write_link(
            seal_recipe(recipe, builder.secret),
            recipe.served_as,
            origin=context.origin,
            session=context.session,
            expires=int(builder.clock.now(context.session)) + LIFETIME,
            query=self._gateway.link_query,
            secret=builder.secret,
        )


def _read_picture(picture: StoredPicture) -> bytes | None:
    """Return the bytes of a picture; None, with a line in the log, where the file has changed since it was loaded."""
    try:
        data = Path(picture.path).read_bytes()
    except OSError as error:
        log.warning("%s: %s", picture.path, error.strerror or "cannot be read")
        return None
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        log.warning("%s has changed since the recording was loaded", picture.path)
        return None
    return data
