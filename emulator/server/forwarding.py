"""Passes calls on to their gateway's upstream, and answers what that answers. Loaded with the first such call.

A call is validated as any other. Where its gateway's rules refuse it, it is passed on all the same, with a finding;
only who calls, in which session, and a body that cannot be read are judged here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from emulator.core import strict_json
from emulator.faults import CutOff
from emulator.findings import Finding
from emulator.image.recipe import ImageRecipe
from emulator.messages import Call, GatewayError, Response, ResponseShape
from emulator.response.relayed import decode_picture, describe_picture, find_base64, keep_picture
from emulator.server.upstream import UpstreamAnswer, UpstreamClient, UpstreamFailure

if TYPE_CHECKING:
    from emulator.image.files import FileStore
    from emulator.image.store import ImageStore
    from emulator.session.call_record import CallRecord
    from emulator.validation.draft import ValidationContext
    from emulator.validation.registry import Route


class Forwarder:
    """Passes the calls of one server on by `client`; `files` keeps the pictures of the answers for the journal."""

    def __init__(self, client: UpstreamClient, image_store: ImageStore, files: FileStore) -> None:
        self._client = client
        self._image_store = image_store
        self._files = files

    async def close(self) -> None:
        """Close the connections to upstreams."""
        await self._client.close()

    async def forward(self, pending: CallRecord, route: Route, body: bytes) -> Response:
        """Return the upstream's answer to a call; `body` is the call's body as it came.

        Raises GatewayError where the upstream gives none, or the call must not leave.
        """
        try:
            answer = await self._client.send(pending.request, body, route.gateway, route.path, pending.key)
            if answer.events is not None:
                return await self._relay_stream(pending, answer, answer.events)
        except UpstreamFailure as failure:
            pending.further_findings += (failure.make_finding(),)
            raise GatewayError(failure.kind) from None
        pictures: Sequence[ImageRecipe] = ()
        if "json" in answer.content_type.lower():
            pictures = await self._keep_pictures(pending, answer.body)
        return Response(
            status=answer.status,
            headers=answer.headers,
            body=(answer.body,),
            relayed=True,
            pictures=tuple(pictures),
        )

    async def _relay_stream(
        self, pending: CallRecord, answer: UpstreamAnswer, events: AsyncGenerator[bytes]
    ) -> Response:
        """Return a stream of the upstream's events; the first of them has come, so that there is an answer."""
        first = await anext(events, None)
        if first is None:
            raise UpstreamFailure("upstream_error", "it began a stream and sent no event")
        frames = self._pass_events(pending, first, events)
        return Response(answer.status, answer.headers, (), relayed=True, frames=frames)

    async def _pass_events(
        self, pending: CallRecord, first: bytes, events: AsyncGenerator[bytes]
    ) -> AsyncGenerator[bytes]:
        pictures: list[ImageRecipe] = []
        async with aclosing(events):
            try:
                yield first
                await self._keep_event(pending, first, pictures)
                async for event in events:
                    yield event
                    await self._keep_event(pending, event, pictures)
            except UpstreamFailure as failure:
                pending.further_findings += (failure.make_finding(),)
                raise CutOff from None

    async def _keep_event(self, pending: CallRecord, event: bytes, pictures: list[ImageRecipe]) -> None:
        """Keep the finished picture of an event."""
        if b".completed" not in event or pending.response is None:
            return
        data = read_event_data(event)
        pictures += await self._keep_pictures(pending, data, len(pictures))
        pending.response = replace(pending.response, pictures=tuple(pictures))

    async def _keep_pictures(self, pending: CallRecord, body: bytes, begin: int = 0) -> list[ImageRecipe]:
        """Keep the pictures in a JSON body, and return their recipes; there may be none."""
        decoded = await self._image_store.run_in_thread(_decode_pictures, body)
        recipes = []
        for index, data in enumerate(decoded, begin):
            recipe = describe_picture(data, gateway=pending.gateway.name, model=pending.model, index=index)
            if recipe is not None:
                await keep_picture(self._files, recipe, data)
                recipes.append(recipe)
        return recipes


def read_event_data(event: bytes) -> bytes:
    """Return the data of an event of a stream."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def is_judged_here(error: GatewayError) -> bool:
    """Return whether a call is refused for what no upstream has to judge."""
    return error.kind in _JUDGED_HERE or error.violation in _UNREADABLE


def accept_refused_call(error: GatewayError, pending: CallRecord, route: Route, context: ValidationContext) -> Call:
    """Return the call that the gateway's rules refuse, as far as it is understood, with a finding that says so."""
    status, message = route.gateway.render(error).status, route.gateway.error_catalog.describe_error(error)
    note = Finding("would_be_refused", f"by the gateway's rules it is refused: {status} {message}", error.param)
    try:
        call = route.validator.run_steps(pending.request, context._replace(report_only=True))
    except GatewayError:
        call = _make_bare_call(pending, context)
    others = [finding for finding in (*error.findings, *call.findings) if finding.code != note.code]
    return replace(call, findings=(*dict.fromkeys(others), note))


def _make_bare_call(pending: CallRecord, context: ValidationContext) -> Call:
    """Return a call of which nothing is known but what it says."""
    request = pending.request
    given: dict[str, Any] = {}
    if isinstance(request.json, dict):
        given = request.json
    return Call(
        operation=context.operation.name,
        model=pending.model,
        given=given,
        params={**given, **context.variables},
        effective=given,
        count=0,
        pixels=(0, 0),
        response=ResponseShape(),
        findings=(),
        uploads=request.uploads,
    )


def _decode_pictures(body: bytes) -> list[bytes]:
    try:
        value, _ = strict_json.parse_json(body, strict_json.MOST_STORED_VALUES)
    except strict_json.BadJson:
        return []
    return [decode_picture(text) for text in find_base64(value)]


_JUDGED_HERE: Final = ("missing_key", "invalid_key", "forbidden", "too_large", "overloaded")
_UNREADABLE: Final = (
    "bad_json", "not_an_object", "content_type", "content_encoding", "slow_body", "cut_body", "bad_session", "bad_form",
    "bad_reserved_value", "key_in_parts",
)  # fmt: skip
