"""Calls that come again byte for byte, as those of a load test, of a retry, and of many a suite do.

What their gateway says of them is known then: only number, id and time are new. A call can be repeated if nothing but
the rules of its gateway decides about it, and nothing has to be drawn or waited for.
"""

from __future__ import annotations

from typing import NamedTuple

from emulator.messages import Call, GatewayError, Request
from emulator.response.builder import ResponseBuilder
from emulator.response.prepared import PreparedReply
from emulator.scenario.engine import UNSCRIPTED
from emulator.session.call_record import CallRecord
from emulator.validation.registry import Route


class RepeatedCall(NamedTuple):
    """A call as it came before, and what was said of it: its `reply`, or the `error` that refused it."""

    session: str
    request: Request
    key: str | None
    route: Route
    operation: str
    call: Call | None = None
    reply: PreparedReply | None = None
    error: GatewayError | None = None


def find_repeated_call(record: CallRecord, route: Route, response_builder: ResponseBuilder) -> RepeatedCall | None:
    """Return what is known of a call that is being answered, for when it comes again; None where it may change."""
    call, error, gateway = record.call, record.error, record.gateway
    if not record.is_usual or record.operation is None or record.further_findings:
        return None
    known = RepeatedCall(
        session=record.session,
        request=record.request,
        key=record.key,
        route=route,
        operation=record.operation,
    )
    if error is not None:
        return None if call is not None else known._replace(error=error)
    is_simple = record.selection is UNSCRIPTED and record.picture_weight == "small" and gateway.tasks is None
    if call is None or not is_simple or call.streams or call.listing is not None:
        return None
    reply = response_builder.find_prepared(call, gateway)
    if reply is None or reply.outline.is_base64:
        return None
    return known._replace(call=call, reply=reply)
