"""Calls that come again, byte for byte or with another prompt, as those of a load test, a retry and many a suite do.

What their gateway says of them is known then: only number, id and time are new, and what a scenario answers. A call can
be repeated if nothing but the rules of its gateway has decided about it, and nothing has to be drawn for its reply.

A body that differs from an earlier one between the quotes of its prompt alone need not be parsed: where the earlier one
has no backslash, each of its quotes begins or ends a text, and the key "prompt" stands in it once. So does each quote
of the other one, whose prompt has neither quote nor backslash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.messages import Call, Request
from emulator.response.builder import ResponseBuilder
from emulator.response.prepared import PreparedReply
from emulator.scenario.engine import KnownFields, collect_call_fields
from emulator.scenario.scenario import may_have_reserved_value
from emulator.session.call_record import CallRecord
from emulator.validation.draft import ValidationContext
from emulator.validation.known_calls import FreeVerdict, KnownRefusal
from emulator.validation.registry import Route


@dataclass(frozen=True)
class RepeatedCall:
    """A call as it came before, and what its gateway said of it: the `call` and its `reply`, or the `refusal`.

    `verdict` is what its gateway says of the calls that differ from it in their prompt alone; None: that is not known.
    """

    session: str
    request: Request
    key: str | None
    route: Route
    operation: str
    call: Call | None = None
    reply: PreparedReply | None = None
    refusal: KnownRefusal | None = None
    verdict: FreeVerdict | None = None

    def with_prompt(self, prompt: str, body: bytes, headers: Mapping[str, str]) -> RepeatedCall | None:
        """Return the call with another prompt, as it came in `body`; None where its prompt may change its verdict."""
        verdict = self.verdict
        if verdict is None or not verdict.text.allows(prompt):
            return None
        values = {**self.request.json, "prompt": prompt}
        request = self.request._replace(body=body, headers=headers, json=values)
        if may_have_reserved_value(request, self.key):
            return None
        call = reply = None
        if self.reply is not None and not isinstance(verdict.known, KnownRefusal):
            call = verdict.known.build(values)
            reply = self.reply.with_prompt(prompt, call)
        return RepeatedCall(
            session=self.session,
            request=request,
            key=self.key,
            route=self.route,
            operation=self.operation,
            call=call,
            reply=reply,
            refusal=self.refusal,
        )

    def judge(self) -> Call:
        """Return the call; raises GatewayError where its gateway refuses it."""
        if self.call is not None:
            return self.call
        assert self.refusal is not None
        return self.refusal.build({})

    @cached_property
    def fields(self) -> KnownFields:
        """What conditions of scenarios name of the call."""
        assert self.call is not None
        return KnownFields(collect_call_fields(self.call, self.request, self.route.gateway.name))


class CallMemory:
    """What a connection knows of the calls that came with one head. `found` is what is known of the present one."""

    __slots__ = ("_by_body", "_by_shape", "_wanted", "found")

    def __init__(self) -> None:
        self.found: RepeatedCall | None = None
        self._by_body: dict[bytes, RepeatedCall | None] = {}
        self._by_shape: dict[tuple[bytes, bytes], RepeatedCall | None] = {}
        """The calls by what is before and behind the text of their prompt."""
        self._wanted: list[tuple[dict[Any, RepeatedCall | None], Any]] = []
        """Where the present call is kept, if it is worth it: it came once before, and nothing is known of it yet."""

    def begin(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Find what is known of the call with `body` that has come."""
        self.found = self._by_body.get(body)
        if self.found is not None or len(body) > _LONGEST:
            return
        comes_again = self._meet(self._by_body, body)
        match = _PROMPT.search(body)
        if match is None:
            return
        shape = body[: match.start(1)], body[match.end(1) :]
        similar = self._by_shape.get(shape)
        if similar is None:
            self._meet(self._by_shape, shape)
            return
        try:
            prompt = match[1].decode()
        except UnicodeDecodeError:
            return
        self.found = similar.with_prompt(prompt, body, headers)
        if comes_again and self.found is not None:
            self.keep(self.found)

    def _meet(self, kept: dict[Any, RepeatedCall | None], key: Any) -> bool:
        """Note that a call has come with `key`, of which nothing is known yet; return whether one came before."""
        if key in kept:
            self._wanted.append((kept, key))
            return True
        if len(kept) >= _MOST:
            kept.clear()
        kept[key] = None
        return False

    @property
    def wants_call(self) -> bool:
        """Whether what is known of the present call is worth keeping."""
        return bool(self._wanted)

    def keep(self, known: RepeatedCall | None) -> None:
        """Keep what is known of the present call; None: nothing, as before."""
        for kept, key in self._wanted:
            kept[key] = known

    def end(self) -> None:
        """Forget which call is the present one."""
        self.found = None
        self._wanted.clear()

    def clear(self) -> None:
        """Forget all calls."""
        self._by_body.clear()
        self._by_shape.clear()
        self._wanted.clear()


def find_repeated_call(
    record: CallRecord, route: Route, response_builder: ResponseBuilder, context: ValidationContext
) -> RepeatedCall | None:
    """Return what is known of a call that is being answered, for when it comes again; None where it may change.

    It was validated in `context`.
    """
    call, error, gateway = record.call, record.error, record.gateway
    if not record.is_usual or record.operation is None or record.further_findings:
        return None
    reply = refusal = None
    if call is not None:
        if call.streams or call.listing is not None or gateway.tasks is not None:
            return None
        reply = response_builder.find_prepared(call, gateway)
        if reply is None or reply.outline.is_base64 or record.picture_weight != "small":
            return None
    elif error is not None:
        refusal = KnownRefusal(dict(error.__dict__))
    else:
        return None
    return RepeatedCall(
        session=record.session,
        request=record.request,
        key=record.key,
        route=route,
        operation=record.operation,
        call=call,
        reply=reply,
        refusal=refusal,
        verdict=_find_verdict(record.request, route, context),
    )


def _find_verdict(request: Request, route: Route, context: ValidationContext) -> FreeVerdict | None:
    """Return what is said of the calls that differ from `request` in their prompt alone; None: that depends on it."""
    body = request.body
    if context.operation.own_names:  # there another parameter may be the prompt
        return None
    if not isinstance(request.json, dict) or "prompt" not in request.json:
        return None
    if b"\\" in body or body.count(b'"prompt"') != 1:
        return None
    return route.validator.find_verdict(request, context, "prompt")


_PROMPT: Final = re.compile(rb'"prompt"[ \t\r\n]*:[ \t\r\n]*"([^\x00-\x1f"\\]*)"')
_MOST: Final = 8  # calls that a connection knows in each way, of some 4 kB each
_LONGEST: Final = 2000  # bytes of a body
