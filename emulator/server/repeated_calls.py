"""Calls that come again byte for byte, as those of a load test, of a retry, and of many a suite do.

What their gateway says of them is known then: only number, id and time are new, and what a scenario answers. A call can
be repeated if nothing but the rules of its gateway has decided about it, and nothing has to be drawn for its reply.
"""

from __future__ import annotations

from functools import cached_property

from emulator.core.light_dataclass import dataclass
from emulator.messages import Call, Request
from emulator.response.builder import ResponseBuilder
from emulator.response.prepared import PreparedReply
from emulator.scenario.engine import KnownFields, collect_call_fields
from emulator.session.call_record import CallRecord
from emulator.validation.known_calls import KnownRefusal
from emulator.validation.registry import Route


@dataclass(frozen=True)
class RepeatedCall:
    """A call as it came before, and what its gateway said of it: the `call` and its `reply`, or the `refusal`."""

    session: str
    request: Request
    key: str | None
    route: Route
    operation: str
    call: Call | None = None
    reply: PreparedReply | None = None
    refusal: KnownRefusal | None = None

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


def find_repeated_call(record: CallRecord, route: Route, response_builder: ResponseBuilder) -> RepeatedCall | None:
    """Return what is known of a call that is being answered, for when it comes again; None where it may change."""
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
    )
