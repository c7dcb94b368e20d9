"""Builds a reply as server-sent events: each picture's partial images, then the finished picture.

The names and the data of events are those of the gateway's file. Each event is made when it is sent: it never waits for
the drawing of a later one, and a client that goes away stops the drawing. The latency of an answer is spread over its
events, on the session's clock.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

from emulator.core import strict_json
from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.gateway.templates import drop_absent, fill_template
from emulator.image.files import Files
from emulator.image.recipe import MOST_PARTIAL_IMAGES, ImageRecipe, PartialImage
from emulator.image.store import ImageStore, Picture
from emulator.messages import EventShape, StreamShape
from emulator.response.marks import insert_base64, mark_base64

log = logging.getLogger("emulator")

OverrideItem = Callable[[Mapping[str, Any], ImageRecipe, Picture | None], Mapping[str, Any]]
"""Returns the members of a picture with its Base64 as a scenario spells it."""
OverrideEvent = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Returns the data of an event as a scenario changes it."""

HEADERS: Final = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))


@dataclass(frozen=True)
class EventStream:
    """What a stream consists of.

    `start` begins the events' names. `recipes` are the finished pictures, `items` the members of each picture alone (a
    mark as `b64_json` is replaced by its bytes; one with `error` fails), `common` what the templates of all events may
    name; `partials` come before each finished one. `usage` is that of the whole stream. `error` has the members of an
    error that comes in the place of the first finished picture; `describe_failure` returns those of the error where a
    bug of ours breaks the stream. `seconds` pass until the last picture, on the clock of `session`. `files` are those
    that the call holds.
    """

    start: str
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
    usage: Mapping[str, Any] | None = None
    override_item: OverrideItem | None = None
    override_event: OverrideEvent | None = None
    override_last: OverrideEvent | None = None

    @property
    def event_count(self) -> int:
        """How many events of pictures there are, if the client stays and nothing breaks."""
        pictures = len(self.recipes) if self.error is None else 1
        failed = sum(1 for item in self.items if "error" in item)
        return pictures * (len(self.partials) + 1) - failed * len(self.partials)


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
    shape, pause = stream.shape, stream.seconds / max(1, stream.event_count)
    end = _format_end(stream)
    try:
        for index, recipe in enumerate(stream.recipes):
            failure = stream.items[index].get("error")
            partials = stream.partials
            if failure is not None:
                partials = ()
            for partial in partials:
                await clock.sleep(pause, stream.session)
                picture = await image_store.draw(recipe.make_partial(partial), stream.files)
                yield _format_partial(stream, index, partial, picture)
            await clock.sleep(pause, stream.session)
            if stream.error is not None:
                yield _format_error(stream, stream.error)
                return
            if failure is None:
                event = await _format_finished(stream, index, image_store)
            else:
                event = _format_failed(stream, index, failure)
            if shape.last is None and index == len(stream.recipes) - 1:
                event += end
            yield event
    except Exception:  # a bug of ours: the head has been sent, so all that can be done is to report it in the stream
        log.exception("a stream of session %s failed", stream.session)
        yield _format_error(stream, stream.describe_failure())
        return
    if end and (shape.last is not None or not stream.recipes):
        yield end


def build_finished_event(stream: EventStream, index: int) -> dict[str, Any]:
    """Build the data of the event of the finished picture `index`, with a mark for its Base64."""
    return _fill_finished(stream, index, stream.items[index])


def build_last_event(stream: EventStream) -> dict[str, Any] | None:
    """Build the data of the event behind all pictures; None where there is no such event."""
    if stream.shape.last is None:
        return None
    return _fill_event(stream, stream.shape.last, drop_absent({**stream.common, "usage": stream.usage}))


def _fill_event(stream: EventStream, event: EventShape, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of an event of `stream`, as its template has them."""
    data: dict[str, Any] = fill_template(event.data, {**values, "event": event.format_name(stream.start)})
    return data


def _format_partial(stream: EventStream, index: int, partial: PartialImage, picture: Picture) -> bytes:
    """Format the event of an unfinished picture `index`."""
    shape = stream.shape.partial
    values = {**stream.common, "index": index, "partial_index": partial.number - 1, "b64_json": mark_base64(index)}
    return _format_event(shape.format_name(stream.start), _fill_event(stream, shape, values), {index: picture})


async def _format_finished(stream: EventStream, index: int, image_store: ImageStore) -> bytes:
    item, recipe = stream.items[index], stream.recipes[index]
    picture = None
    if "b64_json" in item:
        picture = await image_store.draw(recipe, stream.files)
    name = stream.shape.finished.format_name(stream.start)
    if stream.override_item is None or stream.override_event is None:
        pictures = {} if picture is None else {index: picture}
        return _format_event(name, _fill_finished(stream, index, item), pictures)
    item = stream.override_item(item, recipe, picture)
    return _format_event(name, stream.override_event(_fill_finished(stream, index, item)))


def _fill_finished(stream: EventStream, index: int, item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data of the event of the finished picture `index`, whose members are `item`."""
    return _fill_event(stream, stream.shape.finished, {**stream.common, "index": index, **item})


def _format_failed(stream: EventStream, index: int, error: Mapping[str, Any]) -> bytes:
    """Format the event of the picture `index`, which has failed."""
    shape = stream.shape.failed
    assert shape is not None, "a gateway with errors of single pictures has their event"
    data = _fill_event(stream, shape, {**stream.common, **drop_absent(error), "error": error, "index": index})
    return _format_event(shape.format_name(stream.start), data)


def _format_end(stream: EventStream) -> bytes:
    """Return what comes behind all pictures: the last event, if there is one, and the mark of the end."""
    end = b""
    last = build_last_event(stream)
    if stream.shape.last is not None and last is not None:
        if stream.override_last is not None:
            last = stream.override_last(last)
        end = _format_event(stream.shape.last.format_name(stream.start), last)
    if stream.shape.done:
        end += _DONE
    return end


def _format_error(stream: EventStream, error: Mapping[str, Any]) -> bytes:
    shape = stream.shape.error
    data = _fill_event(stream, shape, {**stream.common, **drop_absent(error), "error": error})
    return _format_event(shape.format_name(stream.start), data)


def _format_event(name: str, event: Mapping[str, Any], pictures: Mapping[int, Picture] | None = None) -> bytes:
    """Format one event; the picture in `pictures`, if any, is put where its mark is."""
    data = strict_json.format_json(event).encode()
    return b"".join([b"event: ", name.encode(), b"\ndata: ", *insert_base64(data, pictures or {}), b"\n\n"])


_DONE: Final = b"data: [DONE]\n\n"
