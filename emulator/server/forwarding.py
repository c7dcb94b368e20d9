"""Passes calls on to their gateway's upstream, and answers what that answers. Loaded with the first such call.

A call is validated as any other. Where its gateway's rules refuse it, it is passed on all the same, with a finding;
only who calls, in which session, and a body that cannot be read are judged here. Where the session records, the answer
is written before it is passed back; an answer that is a stream, when its last event has come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from emulator.core import strict_json
from emulator.core.light_dataclass import dataclass
from emulator.core.picture_events import has_finished_picture
from emulator.faults import CutOff
from emulator.findings import Finding
from emulator.gateway import pricing
from emulator.image import upload
from emulator.image.files import guess_format
from emulator.image.recipe import ImageRecipe
from emulator.messages import Call, GatewayError, Response, ResponseShape
from emulator.response.relayed import decode_picture, describe_picture, find_base64, find_links, keep_picture
from emulator.server.spending import Spending
from emulator.server.upstream import LARGEST_ANSWER, UpstreamAnswer, UpstreamClient, UpstreamFailure
from emulator.session.called_address import CalledAddress
from emulator.session.recording_entry import AskedCall, GivenAnswer
from emulator.validation.validator import name_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from emulator.image.store import ImageStore
    from emulator.session.call_record import CallRecord
    from emulator.session.recording import Recording
    from emulator.session.store import Store
    from emulator.validation.draft import ValidationContext
    from emulator.validation.registry import Route


@dataclass
class ForwardedCall:
    """A call that is passed on: `body` is what came, `refusal` why the gateway's rules refuse it.

    `recording` is where the answer is written, if anywhere. `variables` are those of the path, and `estimate` is what
    the call costs by published prices.
    """

    pending: CallRecord
    route: Route
    body: bytes
    refusal: GatewayError | None
    recording: Recording | None
    variables: Mapping[str, str]
    began: float = 0.0
    estimate: float = 0.0

    @property
    def call(self) -> Call:
        """The call as it is understood."""
        assert self.pending.call is not None
        return self.pending.call

    @property
    def elapsed(self) -> float:
        """The seconds since it left."""
        return asyncio.get_running_loop().time() - self.began

    @property
    def is_recorded(self) -> bool:
        """Whether its answer is to be written."""
        return self.recording is not None and self.recording.writes


class Forwarder:
    """Passes the calls of one server on by `client`; `store` keeps the pictures of the answers for the journal."""

    def __init__(self, client: UpstreamClient, image_store: ImageStore, store: Store, spending: Spending) -> None:
        self._client = client
        self._image_store = image_store
        self._store = store
        self.spending = spending

    async def close(self) -> None:
        """Close the connections to upstreams."""
        await self._client.close()

    async def forward(self, forwarded: ForwardedCall) -> Response:
        """Return the upstream's answer to a call.

        Raises GatewayError where the upstream gives none, or the call must not leave.
        """
        pending, route = forwarded.pending, forwarded.route
        headers = self._client.choose_headers(pending.request, route.gateway, pending.key)
        forwarded.estimate = self.spending.reserve(forwarded.call)
        forwarded.began = asyncio.get_running_loop().time()
        pending.verdict = "forwarded"
        try:
            answer = await self._client.send(pending.request, headers, forwarded.body, route.gateway, route.path)
            if answer.events is not None:
                return await self._relay_stream(forwarded, answer, answer.events)
        except UpstreamFailure as failure:
            pending.further_findings += (failure.make_finding(),)
            if failure.kind == "upstream_timeout":
                await self._record(forwarded, GivenAnswer(0, (), b"", refusal=failure.kind))
            raise GatewayError(failure.kind) from None
        value, pictures = None, []
        if "json" in answer.content_type.lower():
            value = await self._image_store.run_in_thread(parse_json, answer.body)
            pictures = await self._keep_pictures(pending, value)
        lowered = {name.lower(): text for name, text in answer.headers}
        cost = pricing.price_answer(forwarded.call, status=answer.status, headers=lowered, body=value)
        self._settle(forwarded, cost)
        if forwarded.is_recorded:
            linked = await self._fetch_links(pending, value)
            if linked is not None:
                given = GivenAnswer(answer.status, answer.headers, answer.body, linked=linked)
                await self._record(forwarded, given)
        return Response(
            status=answer.status,
            headers=answer.headers,
            body=(answer.body,),
            relayed=True,
            pictures=tuple(pictures),
        )

    def _settle(self, forwarded: ForwardedCall, cost: float | None) -> None:
        forwarded.pending.cost = cost
        self.spending.settle(forwarded.estimate, cost)

    async def _relay_stream(
        self, forwarded: ForwardedCall, answer: UpstreamAnswer, events: AsyncGenerator[bytes]
    ) -> Response:
        """Return a stream of the upstream's events; the first of them has come, so that there is an answer."""
        first = await anext(events, None)
        if first is None:
            raise UpstreamFailure("upstream_error", "it began a stream and sent no event")
        frames = self._pass_events(forwarded, answer, first, events)
        return Response(answer.status, answer.headers, (), relayed=True, frames=frames)

    async def _pass_events(
        self, forwarded: ForwardedCall, answer: UpstreamAnswer, first: bytes, events: AsyncGenerator[bytes]
    ) -> AsyncGenerator[bytes]:
        """Yield the events as they come; whether the client stays or not, what has come is accounted for."""
        stream = _PassedStream(forwarded)
        async with aclosing(events):
            try:
                stream.add(first)
                yield first
                async for event in events:
                    stream.add(event)
                    if stream.is_final(event):
                        await self._finish_stream(stream, answer)
                    yield event
                await self._finish_stream(stream, answer)
            except UpstreamFailure as failure:
                forwarded.pending.further_findings += (failure.make_finding(),)
                raise CutOff from None

    async def _finish_stream(self, stream: _PassedStream, answer: UpstreamAnswer) -> None:
        """Keep the finished pictures of a stream, and write it. A client may leave as soon as it has the last event."""
        if stream.is_finished:
            return
        stream.is_finished = True
        forwarded, pending = stream.forwarded, stream.forwarded.pending
        values = [parse_json(read_event_data(event)) for _, event in stream.events]
        pictures: list[ImageRecipe] = []
        for (_, event), value in zip(stream.events, values, strict=True):
            if has_finished_picture(event):
                pictures += await self._keep_pictures(pending, value, len(pictures))
        if pending.response is not None:
            pending.response = replace(pending.response, pictures=tuple(pictures))
        lowered = {name.lower(): text for name, text in answer.headers}
        cost = pricing.price_answer(forwarded.call, status=200, headers=lowered, body=None, events=values)
        self._settle(forwarded, cost)
        if forwarded.is_recorded:
            linked = await self._fetch_links(pending, values)
            if linked is not None:
                given = GivenAnswer(answer.status, answer.headers, b"", events=stream.events, linked=linked)
                await self._record(forwarded, given)

    async def _record(self, forwarded: ForwardedCall, given: GivenAnswer) -> None:
        """Write a call and its answer, if its session records; where that must not be, a finding says why."""
        recording, pending, call = forwarded.recording, forwarded.pending, forwarded.call
        if recording is None or not recording.writes:
            return
        verdict = "accepted"
        if forwarded.refusal is not None:
            verdict = forwarded.refusal.violation or forwarded.refusal.kind
        given = replace(
            given,
            at=pending.request.received,
            took=forwarded.elapsed,
            cost=pending.cost,
            verdict=verdict,
            asked=_describe_address(forwarded),
        )
        problem = await recording.add(
            describe_asked(call, pending, forwarded.variables),
            given,
            session=pending.session,
            counter=self._store,
            keys=[key for key in (pending.key, self._client.find_key(pending.gateway)) if key],
        )
        if problem is None:
            pending.verdict = "recorded"
        else:
            pending.further_findings += (problem,)

    async def _fetch_links(self, pending: CallRecord, value: Any) -> dict[str, bytes] | None:
        """Return the pictures behind the links in an answer; None, with a finding, where one cannot be had."""
        linked: dict[str, bytes] = {}
        room = LARGEST_ANSWER
        for link in list(dict.fromkeys(find_links(value)))[:_MOST_LINKS]:
            try:
                data = await self._client.fetch(link, min(room, LARGEST_PICTURE), pending.gateway)
            except UpstreamFailure as failure:
                message = f"the picture behind a link cannot be had: {failure}"
                pending.further_findings += (Finding("not_recorded", message),)
                return None
            if guess_format(data) is None:
                message = "what is behind a link is no PNG, JPEG or WebP"
                pending.further_findings += (Finding("not_recorded", message),)
                return None
            linked[link] = data
            room -= len(data)
        return linked

    async def _keep_pictures(self, pending: CallRecord, value: Any, begin: int = 0) -> list[ImageRecipe]:
        """Keep the pictures in a JSON body, and return their recipes; there may be none."""
        texts = list(find_base64(value))
        decoded = await self._image_store.run_in_thread(lambda: [decode_picture(text) for text in texts])
        recipes = []
        for index, data in enumerate(decoded, begin):
            recipe = describe_picture(data, gateway=pending.gateway.name, model=pending.model, index=index)
            if recipe is not None:
                await keep_picture(self._store, recipe, data)
                recipes.append(recipe)
        return recipes


class _PassedStream:
    """The events of a stream that have come, each with the seconds since the call left."""

    def __init__(self, forwarded: ForwardedCall) -> None:
        self.forwarded = forwarded
        self.events: list[tuple[float, bytes]] = []
        self.is_finished = False
        self._finished = 0

    def add(self, event: bytes) -> None:
        """Note an event that has just come."""
        self.events.append((self.forwarded.elapsed, event))
        if has_finished_picture(event):
            self._finished += 1

    def is_final(self, event: bytes) -> bool:
        """Return whether no event comes behind this one, as far as a gateway of this kind says so."""
        beginning = event[:_NAME_LENGTH]
        if b"[DONE]" in beginning or beginning.startswith(b"event: error"):
            return True
        call = self.forwarded.call
        stream = call.response.stream
        if stream is not None and stream.done:
            return False
        if stream is not None and stream.last is not None and call.operation in stream.names:
            name = stream.last.format_name(stream.names[call.operation])
            return beginning.startswith(f"event: {name}\n".encode())
        return self._finished >= max(1, call.count)


def describe_asked(call: Call, pending: CallRecord, variables: Mapping[str, str]) -> AskedCall:
    """Return what a call asked for, as a recording has it."""
    uploads = pending.request.uploads
    described: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    fields = upload.describe_uploads(uploads)
    for name, one in fields.items():
        if name != upload.COUNT and not name.endswith("[0]"):  # the first of a role has the role's name too
            described[name] = {"sha256": one["sha256"]}
    if uploads:
        described[upload.COUNT] = len(uploads)
    for one in uploads:
        if one.examination is not None and one.data:
            files[one.examination.sha256] = one.data
    return AskedCall(
        operation=call.operation,
        gateway=pending.gateway.name,
        given=call.given,
        variables=variables,
        uploads=described,
        files=files,
    )


def _describe_address(forwarded: ForwardedCall) -> str | None:
    """Return method and path of a call, and what its gateway reads of its query; None where they are the usual ones."""
    route, request = forwarded.route, forwarded.pending.request
    address = CalledAddress(route.gateway, route.operation(request.method), route.path, route.variables)
    return address.describe(request.query)


def read_event_data(event: bytes) -> bytes:
    """Return the data of an event of a stream."""
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines)


def parse_json(body: bytes) -> Any:
    """Return the JSON value in a body; None where it has none."""
    try:
        return strict_json.parse_json(body, strict_json.MOST_STORED_VALUES)[0]
    except strict_json.BadJson:
        return None


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


def describe_miss(recording: str, misses: Sequence[Any]) -> GatewayError:
    """Return the error of a call that a recording does not have; it names the nearest entry, and where that differs."""
    text = f"The recording {recording!r} has no answer to this call"
    if misses:
        nearest = misses[0]
        fields = [difference.field.removeprefix("given.") for difference in nearest.why]
        text += f"; the nearest entry, {nearest.rule}, differs in {', '.join(fields[:_MOST_FIELDS]) or 'nothing'}"
    else:
        text += ", nor to any other"
    return GatewayError("invalid_request", violation="recording_missed", facts={"expected": f"{text}."})


def _make_bare_call(pending: CallRecord, context: ValidationContext) -> Call:
    """Return a call of which nothing is known but what it says."""
    request = name_model(pending.request, context)
    given: dict[str, Any] = {}
    if isinstance(request.json, dict):
        given = request.json
    model = pending.model
    if model is None:  # the path may name it, where the gateway does not know it
        model = context.variables.get(context.operation.names_model or "model")
    return Call(
        operation=context.operation.name,
        model=model,
        given=given,
        params={**given, **context.variables},
        effective=given,
        count=0,
        pixels=(0, 0),
        response=ResponseShape(),
        findings=(),
        uploads=request.uploads,
    )


LARGEST_PICTURE: Final = 32 * 2**20  # bytes behind a link
_MOST_LINKS: Final = 20  # of one answer
_MOST_FIELDS: Final = 5  # that the message about a miss names
_NAME_LENGTH: Final = 200  # bytes of an event that has its name; the picture comes behind
_JUDGED_HERE: Final = ("missing_key", "invalid_key", "forbidden", "too_large", "overloaded")
_UNREADABLE: Final = (
    "bad_json", "not_an_object", "content_type", "content_encoding", "slow_body", "cut_body", "bad_session", "bad_form",
    "bad_reserved_value", "key_in_parts",
)  # fmt: skip
