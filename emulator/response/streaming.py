"""Tells a reply as server-sent events: each picture in the making, then finished, and each event when it is made.

An event never waits for the drawing of a later one, and whoever stops listening stops the drawing. The latency of an
answer is spread over its events, on the session's clock.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from emulator.core import strict_json
from emulator.core.clock import Clock
from emulator.image.recipe import MOST_PARTIAL_IMAGES, ImageRecipe, PartialImage
from emulator.image.store import ImageStore, Picture
from emulator.messages import StreamShape

log = logging.getLogger("emulator")

Amend = Callable[[dict[str, Any], ImageRecipe, Picture | None], None]
"""Makes the event of a finished picture what a script wants it to be, its Base64 included."""

HEADERS: Final = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))


@dataclass(frozen=True)
class Order:
    """What a stream is to tell.

    `name` begins the events' names. `recipes` are the finished pictures, `items` what is told of each alone (an empty
    `b64_json` is filled with its bytes), `common` what is told of all; `stages` come before each finished one. `error`
    is told in the place of the first finished picture, and `failure` where something of ours breaks: both are the
    members of an error. `seconds` pass until the last event, on the clock of `session`.
    """

    name: str
    shape: StreamShape
    recipes: tuple[ImageRecipe, ...]
    items: tuple[Mapping[str, Any], ...]
    common: Mapping[str, Any]
    stages: tuple[PartialImage, ...]
    error: Mapping[str, Any] | None
    failure: Mapping[str, Any]
    seconds: float
    session: str
    amend: Amend | None = None

    @property
    def events(self) -> int:
        """How many events there are, if nobody leaves and nothing breaks."""
        pictures = len(self.recipes) if self.error is None else 1
        return pictures * (len(self.stages) + 1)


def stages(asked: Any, shown: int | None) -> tuple[PartialImage, ...]:
    """The stages that a stream shows of each picture: `asked` is `partial_images`, `shown` how many a script wants."""
    wanted = min(asked, MOST_PARTIAL_IMAGES) if isinstance(asked, int) and not isinstance(asked, bool) else 0
    return tuple(PartialImage(number + 1, wanted) for number in range(wanted if shown is None else min(shown, wanted)))


async def frames(order: Order, image_store: ImageStore, clock: Clock) -> AsyncGenerator[bytes]:
    """The events of `order`, as bytes of text/event-stream; what `done` asks for comes with the last."""
    pause, last = order.seconds / max(1, order.events), len(order.recipes) - 1
    try:
        for number, recipe in enumerate(order.recipes):
            for stage in order.stages:
                await clock.sleep(pause, order.session)
                yield _partial(order, stage, await image_store.draw(replace(recipe, partial=stage)))
            await clock.sleep(pause, order.session)
            if order.error is not None:
                yield _failed(order.error)
                return
            picture = await image_store.draw(recipe) if "b64_json" in order.items[number] else None
            event = _completed(order, number, picture)
            yield event + _DONE if order.shape.done and number == last else event
    except Exception:  # a bug of ours: the head is on its way, so all that can be done is to say so in the stream
        log.exception("a stream of session %s failed", order.session)
        yield _failed(order.failure)
        return
    if order.shape.done and not order.recipes:
        yield _DONE


def _partial(order: Order, stage: PartialImage, picture: Picture) -> bytes:
    name = f"{order.name}.partial_image"
    told = {"type": name, "partial_image_index": stage.number - 1, "b64_json": "", **order.common}
    return _frame(name, {field: told[field] for field in _PARTIAL if field in told}, picture)


def _completed(order: Order, number: int, picture: Picture | None) -> bytes:
    name, item = f"{order.name}.completed", order.items[number]
    told = {"type": name, **order.common, **item}
    fields = [*order.shape.completed, *(field for field in item if field not in order.shape.completed)]
    event = {field: told[field] for field in fields if field in told}
    if order.amend is None:
        return _frame(name, event, picture)
    order.amend(event, order.recipes[number], picture)
    return _frame(name, event, None)


def _failed(error: Mapping[str, Any]) -> bytes:
    # Nested, under a name of its own: some clients look at the one, some at the other.
    return _frame("error", {"type": "error", "error": error}, None)


def _frame(name: str, event: Mapping[str, Any], picture: Picture | None) -> bytes:
    """One event; the picture is put where its Base64 is still empty, as its megabytes need no escaping."""
    data = strict_json.format_json(event).encode()
    pieces = [b"event: ", name.encode(), b"\ndata: "]
    if picture is None:
        pieces.append(data)
    else:
        before, _, after = data.partition(b'"b64_json":""')
        pieces += [before, b'"b64_json":"', picture.base64, b'"', after]
    return b"".join([*pieces, b"\n\n"])


_PARTIAL: Final = (
    "type", "partial_image_index", "b64_json", "created_at", "size", "quality", "background", "output_format",
)  # fmt: skip
"""The fields of the event of a picture in the making, in their order."""
_DONE: Final = b"data: [DONE]\n\n"
