"""Builds a reply as server-sent events: each picture's partial images, then the finished picture.

Each event is made when it is sent: it never waits for the drawing of a later one, and a client that goes away stops the
drawing. The latency of an answer is spread over its events, on the session's clock.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from emulator.core import strict_json
from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.image.files import Files
from emulator.image.recipe import MOST_PARTIAL_IMAGES, ImageRecipe, PartialImage
from emulator.image.store import ImageStore, Picture
from emulator.messages import StreamShape

log = logging.getLogger("emulator")

OverrideEvent = Callable[[Mapping[str, Any], ImageRecipe, Picture | None], dict[str, Any]]
"""Returns the event of a finished picture as a scenario changes it, its Base64 included."""

HEADERS: Final = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))


@dataclass(frozen=True)
class EventStream:
    """What a stream consists of.

    `name` begins the events' names. `recipes` are the finished pictures, `items` the members of each picture alone (an
    empty `b64_json` is filled with its bytes), `common` the members of all; `partials` come before each finished one.
    `error` has the members of an error that comes in the place of the first finished picture; `describe_failure`
    returns those of the error where a bug of ours breaks the stream. `seconds` pass until the last event, on the clock
    of `session`. `files` are those that the call holds.
    """

    name: str
    shape: StreamShape
    recipes: tuple[ImageRecipe, ...]
    items: tuple[Mapping[str, Any], ...]
    common: Mapping[str, Any]
    partials: tuple[PartialImage, ...]
    error: Mapping[str, Any] | None
    describe_failure: Callable[[], Mapping[str, Any]]
    seconds: float
    session: str
    files: Files
    override_event: OverrideEvent | None = None

    @property
    def event_count(self) -> int:
        """How many events there are, if the client stays and nothing breaks."""
        pictures = len(self.recipes) if self.error is None else 1
        return pictures * (len(self.partials) + 1)


def list_partial_images(requested: Any, shown: int | None) -> tuple[PartialImage, ...]:
    """List the partial images of each picture: `requested` is `partial_images`, `shown` how many a scenario lets by."""
    if not isinstance(requested, int) or isinstance(requested, bool):
        return ()
    count = total = min(requested, MOST_PARTIAL_IMAGES)
    if shown is not None:
        count = min(shown, total)
    return tuple(PartialImage(number + 1, total) for number in range(count))


async def make_events(stream: EventStream, image_store: ImageStore, clock: Clock) -> AsyncGenerator[bytes]:
    """Yield the events of `stream` as bytes of text/event-stream; the mark of the end, if any, comes with the last."""
    pause, last = stream.seconds / max(1, stream.event_count), len(stream.recipes) - 1
    try:
        for index, recipe in enumerate(stream.recipes):
            for partial in stream.partials:
                await clock.sleep(pause, stream.session)
                picture = await image_store.draw(recipe.make_partial(partial), stream.files)
                yield _format_partial(stream, partial, picture)
            await clock.sleep(pause, stream.session)
            if stream.error is not None:
                yield _format_error(stream.error)
                return
            event = await _format_completed(stream, index, image_store)
            if stream.shape.done and index == last:
                event += _DONE
            yield event
    except Exception:  # a bug of ours: the head has been sent, so all that can be done is to report it in the stream
        log.exception("a stream of session %s failed", stream.session)
        yield _format_error(stream.describe_failure())
        return
    if stream.shape.done and not stream.recipes:
        yield _DONE


def build_completed_event(stream: EventStream, index: int) -> dict[str, Any]:
    """Build the event of the finished picture `index`, with an empty text for its Base64."""
    item = stream.items[index]
    members = {"type": f"{stream.name}.completed", **stream.common, **item}
    order = [*stream.shape.completed, *(name for name in item if name not in stream.shape.completed)]
    return {name: members[name] for name in order if name in members}


async def _format_completed(stream: EventStream, index: int, image_store: ImageStore) -> bytes:
    event, recipe = build_completed_event(stream, index), stream.recipes[index]
    picture = None
    if "b64_json" in stream.items[index]:
        picture = await image_store.draw(recipe, stream.files)
    name = f"{stream.name}.completed"
    if stream.override_event is None:
        return _format_event(name, event, picture)
    return _format_event(name, stream.override_event(event, recipe, picture), None)


def _format_partial(stream: EventStream, partial: PartialImage, picture: Picture) -> bytes:
    name = f"{stream.name}.partial_image"
    members = {"type": name, "partial_image_index": partial.number - 1, "b64_json": "", **stream.common}
    return _format_event(name, {name: members[name] for name in _PARTIAL_MEMBERS if name in members}, picture)


def _format_error(error: Mapping[str, Any]) -> bytes:
    # Nested, under a name of its own: some clients look at the one, some at the other.
    return _format_event("error", {"type": "error", "error": error}, None)


def _format_event(name: str, event: Mapping[str, Any], picture: Picture | None) -> bytes:
    """Format one event; the picture is put where its Base64 is still empty, as its megabytes need no escaping."""
    data = strict_json.format_json(event).encode()
    pieces = [b"event: ", name.encode(), b"\ndata: "]
    if picture is None:
        pieces.append(data)
    else:
        before, _, after = data.partition(b'"b64_json":""')
        pieces += [before, b'"b64_json":"', picture.base64, b'"', after]
    return b"".join([*pieces, b"\n\n"])


_PARTIAL_MEMBERS: Final = (
    "type", "partial_image_index", "b64_json", "created_at", "size", "quality", "background", "output_format",
)  # fmt: skip
"""The members of the event of a partial image, in their order."""
_DONE: Final = b"data: [DONE]\n\n"
