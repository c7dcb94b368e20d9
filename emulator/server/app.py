"""The server: builds its parts, and takes each request through its steps.

A call to a gateway is read, gets a number in its session, is validated, gets an answer from the session's scenario, is
answered, and is written to the journal. A bug on this way is answered in the gateway's own envelope, journalled, and
logged with its traceback.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from aiohttp import web

from emulator.admin.auth import AdminAuth
from emulator.admin.errors import AdminError
from emulator.admin.request import AdminContext, Stream, refuse_store_lost
from emulator.admin.routes import AdminApi
from emulator.admin.state_api import STATE_LIMIT
from emulator.core import clock, yaml_file
from emulator.core.durations import LONGEST_SPAN, parse_duration
from emulator.core.file_reading import read_file
from emulator.findings import Finding
from emulator.gateway.gateway import GENERATE_LIMIT, Gateway, Operation
from emulator.gateway.model_catalog import Calendar
from emulator.image.store import ImageStore
from emulator.messages import (
    UNCHANGED,
    Behavior,
    Call,
    ChannelName,
    Draw,
    Forward,
    GatewayError,
    Missed,
    PictureWeight,
    Plan,
    Recorded,
    Request,
    Response,
)
from emulator.response import builder
from emulator.response.builder import ResponseBuilder
from emulator.scenario.engine import KnownFields, ScenarioEngine
from emulator.scenario.limits import Charge
from emulator.scenario.scenario import DRAWN, HAPPY, Scenario, may_have_reserved_value
from emulator.server import responses
from emulator.server.addresses import Address, AddressBook, split_target
from emulator.server.connection import HttpConnection, enter_task, get_connection
from emulator.server.heads import CORS, NAMES, OwnHeaders
from emulator.server.image_host import ImageHost
from emulator.server.rare_warnings import is_out_of_files, warn_rarely
from emulator.server.repeated_calls import RepeatedCall, find_repeated_call
from emulator.server.requests import BodyBudget, BodyShare, RequestReader
from emulator.server.send_limits import PIECE, NoRoom, SendLimits
from emulator.session import sessions
from emulator.session.journal import CallState
from emulator.session.metrics import Metrics
from emulator.session.redaction import is_known_key, note_key, redact_keys
from emulator.session.sessions import NO_OVERRIDES, SessionOverrides, Sessions
from emulator.session.store import SharedStore, Store, StoreLost
from emulator.session.store_choice import describe_store, make_events, make_store
from emulator.session.tasks import TaskManager
from emulator.session.verdict_tally import VerdictTally
from emulator.settings import UPSTREAM_KEY, Settings, UsageError
from emulator.validation import registry
from emulator.validation.draft import ValidationContext
from emulator.validation.registry import GatewayRegistry, Route
from emulator.validation.uploads import UploadReader
from emulator.validation.validator import RequestValidator

if TYPE_CHECKING:
    from emulator.analysis.coverage import CoverageCounter
    from emulator.scenario.reserved_values import ReservedValue
    from emulator.server.forwarding import Forwarder
    from emulator.server.own_connection import OwnConnections
    from emulator.session.call_record import CallRecord
    from emulator.session.recording import Recording
    from emulator.session.shared_metrics import SharedMetrics

log = logging.getLogger("emulator")
Observer = Callable[["CallRecord"], None]
"""Is called with the record of each call when the call has ended."""


class _CallSettings(NamedTuple):
    """The settings that a call may have in the place of its server's."""

    behavior: Behavior
    report_only: bool
    picture_weight: PictureWeight


class App:
    """One server without its socket: `handle` answers every request."""

    def __init__(self, settings: Settings, observer: Observer | None = None, store: Store | None = None) -> None:
        """Build the server; raises InvalidFile where a gateway's file, the file of keys or an upstream cannot be used.

        `store` is where sessions are kept; None: where the settings say. Raises UsageError where that cannot be.
        """
        self.settings = settings
        self.store = store or make_store(settings)
        self.clock = clock.parse_clock(settings.clock, settings.as_of)
        self.clock.use_store(self.store)
        self._reserved_values = not settings.no_reserved_values
        self._channels = frozenset(settings.channels)
        self.registry = self._build_registry()
        secret = hashlib.blake2b(b"picture links", key=str(settings.seed).encode()).digest()
        self.image_store = self._make_image_store()
        gateways, find_link_query = self.registry.gateways, self.registry.find_link_query
        self.upload_reader = UploadReader(self.image_store, self.store, secret, find_link_query)
        self.storage = ImageHost(self.image_store, self.clock, secret, find_link_query)
        default_scenario = _load_default_scenario(settings.scenario, gateways)
        self.sessions = Sessions(self.store, self.clock, settings.seed, default_scenario)
        if settings.record is not None or settings.record_mode != "none":
            self.sessions.play_recording_by_default(_open_recording(settings))
        self.engine = ScenarioEngine(self.store, self.clock, settings.seed)
        response_builder = ResponseBuilder(
            seed=settings.seed, secret=secret, clock=self.clock, image_store=self.image_store, files=self.store
        )
        self._response_builder = response_builder
        self.task_manager = TaskManager(self.store, response_builder)
        self.metrics, self.events = Metrics(), make_events(self.store, self.sessions)
        if settings.upstream or any(name.startswith(UPSTREAM_KEY) for name in os.environ):
            from emulator.server.upstream import list_unknown_keys, read_upstream_keys, read_upstreams

            read_upstreams(settings.upstream, gateways)
            read_upstream_keys(os.environ, gateways)
            for line in list_unknown_keys(os.environ, gateways):
                log.warning("%s", line)
        self.shared_metrics: SharedMetrics | None = None
        if settings.workers > 1 and isinstance(self.store, SharedStore):
            from emulator.session.shared_metrics import SharedMetrics

            self.shared_metrics = SharedMetrics(self.store, self.metrics, self.sessions.count_under_way)
        self.tally = VerdictTally()
        self.observers: list[Observer] = []
        if observer is not None:
            self.observers.append(observer)
        self.coverage: CoverageCounter | None = None
        if settings.coverage is not None:
            self.coverage = self._count_coverage()
        self.make_connection: Callable[[], HttpConnection] | None = None
        """What makes the handler of a connection; None until the server has begun."""
        self._own_connections: OwnConnections | None = None
        self.admin_auth = AdminAuth(settings)
        self.admin = AdminApi(self._build_admin_context())
        self._addresses = AddressBook(self.registry)
        self._reader = RequestReader(timeout=settings.body_timeout, public_url=settings.public_url)
        self._body_budget = BodyBudget()
        self.unanswered = 0
        """Calls that were broken off because the server stopped."""
        self.send_limits = SendLimits(settings.send_bytes, settings.send_timeout)
        self._own_headers = OwnHeaders()
        self._usual_settings = _CallSettings(settings.behavior, settings.report_only, settings.picture_weight)

    @cached_property
    def _forwarder(self) -> Forwarder:
        """What passes calls on, made with the first of them."""
        from emulator.server.forwarding import Forwarder
        from emulator.server.spending import Spending
        from emulator.server.upstream import UpstreamClient, read_upstream_keys, read_upstreams

        gateways = self.registry.gateways
        keys = read_upstream_keys(os.environ, gateways)
        for key in keys.values():
            note_key(key)
        bases = read_upstreams(self.settings.upstream, gateways)
        client = UpstreamClient(bases, keys, self.settings.upstream_timeout)
        return Forwarder(client, self.image_store, self.store, Spending(self.settings.max_spend))

    def _make_image_store(self) -> ImageStore:
        """Return what draws the pictures."""
        return ImageStore(self.settings.picture_cache, self.store)

    async def open(self) -> None:
        """Connect to where sessions are kept; raises UsageError where that is not possible."""
        try:
            await self.store.open()
        except StoreLost as error:
            raise UsageError(f"--store {describe_store(self.settings)}: {error}") from None
        if self.shared_metrics is not None:
            self.shared_metrics.open()

    async def close(self) -> None:
        """Close what the server has opened beside its own socket."""
        self.image_store.close()
        self.sessions.close_recordings()
        if self.shared_metrics is not None:
            await self.shared_metrics.close()
        await self.store.close()
        if "_forwarder" in self.__dict__:
            await self._forwarder.close()

    async def handle(self, http: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, of any kind."""
        connection = get_connection(http)
        if connection.is_pipelined:  # from Python 3.12 on aiohttp would answer all of them before anybody else
            await asyncio.sleep(0)
        if self.store.is_shared:  # it is asked over a network
            await enter_task()
        try:
            address = self._addresses.find(http.raw_path, http.host)
            if address.is_admin:
                return await self._answer_admin(http, address)
            if http.method == "OPTIONS" and not self.storage.is_closed(address.path):
                return await self._send_unrecorded(http, _answer_preflight(http))
            if address.is_root and http.method in ("GET", "HEAD"):
                return await self._send_unrecorded(http, _answer_root(http.headers.get("Accept", "")))
            if address.is_picture:
                target = f"{address.path}?{address.query}"
                response = await self.storage.answer(http.method, target, http.headers)
                return await self._send_unrecorded(http, response)
            return await self._answer_call(http, connection, address)
        except StoreLost as error:
            return await self._send_unrecorded(http, refuse_store_lost(str(error)))
        except Exception:  # a bug of ours before the gateway is known: a plain envelope
            log.exception("%s %s failed", http.method, redact_keys(split_target(http.raw_path)[0]))
            headers = {**CORS, "Content-Type": "application/json"}
            return web.Response(status=500, body=_FAILED, headers=headers)
        finally:
            self.send_limits.release(connection)

    async def _answer_call(
        self, http: web.BaseRequest, connection: HttpConnection, address: Address
    ) -> web.StreamResponse:
        """Answer a call to a gateway: begin, read, validate, select, respond, send, finish."""
        route, repeated, now = address.route, connection.memory.found, self.clock.now()
        limit = route.limit(http.method)
        if repeated is not None and is_known_key(repeated.session):  # meanwhile; no session has the name of a key
            repeated = connection.memory.found = None
        if repeated is not None:
            route = repeated.route
            request: Request | None = repeated.request._replace(received=now)
            key, session, bad_session = repeated.key, repeated.session, None
        else:
            path, query = address.target_path, address.query
            request = self._reader.read_at_once(http, path, query=query, limit=limit, now=now)
            head = request or self._reader.read_head(http, path, query=query, now=now)
            key = route.gateway.find_key(head.headers)
            session, bad_session = sessions.choose_session(head, address.session, key, self._reserved_values)
        pending = await self.sessions.begin_call(session, request or head, route.gateway, key)
        pending.error = bad_session
        connection.watch_client()
        try:
            if request is not None:
                return await self._complete_call(http, connection, pending, route)
            if not self._body_budget.is_needed(http, limit):
                await self._receive_body(http, pending, limit)
                return await self._complete_call(http, connection, pending, route)
            async with self._body_budget.open_share() as share:
                await self._receive_body(http, pending, limit, share)
                return await self._complete_call(http, connection, pending, route)
        except asyncio.CancelledError:
            await self._journal_unanswered(pending, route, client_left=connection.client_left)
            if not connection.client_left:
                raise
            asyncio.current_task().uncancel()  # type: ignore[union-attr]  # this is a task
            return web.Response()  # nobody gets it
        finally:
            connection.unwatch_client()
            self.sessions.end_call(pending)

    async def _receive_body(
        self, http: web.BaseRequest, pending: CallRecord, limit: int, share: BodyShare | None = None
    ) -> None:
        """Read the body of a call that has begun."""
        try:
            keep = await self._judges_elsewhere(pending.session)
            pending.request = await self._reader.read_call(http, pending.request, limit, share, keep=keep)
        except asyncio.CancelledError:
            pending.request = pending.request._replace(trouble="cut_body")
            raise

    async def _judges_elsewhere(self, session: str) -> bool:
        """Return whether somebody else may judge the calls of a session, so that their bodies are kept as they came."""
        try:
            scenario, _ = await self.sessions.get_setup(session)
        except StoreLost:  # the call is refused for it once it has been read
            return False
        return scenario.judges_elsewhere

    async def _complete_call(
        self, http: web.BaseRequest, connection: HttpConnection, pending: CallRecord, route: Route
    ) -> web.StreamResponse:
        """Answer a call whose request is known, and write it to the journal."""
        try:
            if pending.error is not None:
                raise pending.error
            pending.response = await self._process(http, connection, pending, route)
        except GatewayError as error:
            self._refuse(pending, error)
        except StoreLost as error:
            pending.is_usual = False
            self._refuse(pending, GatewayError("overloaded", violation="store_lost", facts={"expected": str(error)}))
        except Exception as error:  # a bug of ours, unless the system has no more files
            pending.is_usual = False  # the same call may be answered the next time
            if is_out_of_files(error):
                self._refuse(pending, GatewayError("overloaded"))
            else:
                log.exception("call %s of session %s failed", pending.number, pending.session)
                self._refuse(pending, GatewayError("server_error"))
        if connection.memory.wants_call and pending.is_usual:
            connection.memory.keep(self._find_repeated_call(pending, route))
        connection.unwatch_client()  # sending notices itself who leaves, and knows what was sent
        delivery = await self._send_call(http, pending)
        if pending.state == "under_way":
            await self.sessions.finish_call(pending, delivery.sent)
        elif delivery.sent is None or not delivery.sent.complete:
            await self.sessions.correct_call(pending, delivery.sent)
        self._tell_observers(pending)
        return delivery.response

    def _find_repeated_call(self, pending: CallRecord, route: Route) -> RepeatedCall | None:
        """Return what is known of a call for when it comes again; None where it may be answered in another way."""
        route = self.registry.change_behavior(route, self._usual_settings.behavior)
        context = ValidationContext(route.operation(pending.request.method), pending.key, channels=self._channels)
        return find_repeated_call(pending, route, self._response_builder, context)

    async def _journal_unanswered(self, pending: CallRecord, route: Route, *, client_left: bool) -> None:
        """Write a call to the journal whose client left before its answer, or that the stopping server breaks off."""
        if pending.operation is None:
            with suppress(GatewayError):
                pending.operation = route.operation(pending.request.method).name
        state: CallState = "client_gone"
        if not client_left:
            state = "under_way"
            self.unanswered += 1
            pending.further_findings += (
                Finding("server_stopped", "the server was stopped before the call was answered"),
            )
        await self.sessions.finish_call(pending, pending.sent_so_far, state)
        self._tell_observers(pending)

    def _tell_observers(self, record: CallRecord) -> None:
        """Tell of a call that has ended."""
        self.metrics.count_call(record)
        if not record.forgotten:
            self.events.note_end(record.session, record.number)
        if record.verdict != "drawn":
            self.tally.add(record.verdict, record.cost)
        if self.events.has_listeners:
            self.events.publish(record.entry)
        for observer in self.observers:
            observer(record)

    async def _process(
        self, http: web.BaseRequest, connection: HttpConnection, pending: CallRecord, route: Route
    ) -> Response:
        """Return the response to a call that its gateway accepts; raises GatewayError where it is refused."""
        repeated = connection.memory.found
        if repeated is not None:
            own_scenario = await self._find_simple_scenario(pending)
            if own_scenario is not None:
                return await self._repeat(http, pending, repeated, own_scenario)
        route, context, scenario = await self._choose_rules(pending, route)
        operation = context.operation
        pending.operation = operation.name
        if operation.redirect is not None:
            return operation.make_redirect(pending.request)
        if scenario.judges_elsewhere:
            return await self._answer_elsewhere(http, pending, route, context=context, scenario=scenario)
        if route.gateway.staged_limits and (scenario.limits.any or scenario.names_channels):
            plan = await self._select_in_stages(pending, route, context=context, scenario=scenario)
        else:
            await self._validate(pending, route, context)
            plan = await self._select(pending, scenario)
        return await self._respond(http, pending, route, plan)

    async def _find_simple_scenario(self, pending: CallRecord) -> Scenario | None:
        """Return the scenario of a session, if nothing else of the session decides about its calls; else None."""
        scenario, own = await self.sessions.get_setup(pending.session)
        if own is not NO_OVERRIDES or scenario.channels or scenario.judges_elsewhere or self.events.has_listeners:
            return None
        if pending.gateway.staged_limits and (scenario.limits.any or scenario.names_channels):
            return None
        return scenario

    async def _repeat(
        self, http: web.BaseRequest, pending: CallRecord, repeated: RepeatedCall, scenario: Scenario
    ) -> Response:
        """Do what `_process` does, for a call of which it is known what its gateway says."""
        pending.operation = repeated.operation
        await self.sessions.note_operation(pending)
        pending.call = repeated.judge()
        fields = None if scenario.is_plain else repeated.fields
        plan = await self._select(pending, scenario, fields=fields)
        if plan is UNCHANGED and repeated.reply is not None:
            now = int(self.clock.now(pending.session))
            return repeated.reply.write(now, pending.session, pending.request.origin)
        return await self._respond(http, pending, repeated.route, plan)

    async def _respond(self, http: web.BaseRequest, pending: CallRecord, route: Route, plan: Plan) -> Response:
        """Return the response that `plan` makes of an accepted call."""
        assert pending.call is not None
        expected = builder.estimate_body(pending.call, plan)
        if expected > PIECE:
            await self._reserve_room(http, expected)
        return await self.task_manager.respond(pending, route)

    async def _answer_elsewhere(
        self,
        http: web.BaseRequest,
        pending: CallRecord,
        route: Route,
        *,
        context: ValidationContext,
        scenario: Scenario,
    ) -> Response:
        """Return the response to a call that its gateway's rules may refuse, and that is answered all the same."""
        from emulator.server import forwarding

        body, refusal = pending.request.body, None
        try:
            await self._validate(pending, route, context)
        except GatewayError as error:
            if forwarding.is_judged_here(error):
                raise
            refusal = error
            pending.call = forwarding.accept_refused_call(error, pending, route, context)
        plan = await self._select(pending, scenario, refused=refusal is not None)
        assert pending.selection is not None
        answer = pending.selection.answer
        if isinstance(plan, Missed):
            pending.verdict = "missed"
            raise forwarding.describe_miss(plan.recording, pending.selection.misses)
        if refusal is not None and not answer.is_judged_elsewhere:
            pending.call = pending.selection = None
            raise refusal
        if not isinstance(plan, Forward):
            if answer.recorded is not None:
                pending.verdict = "replayed"
                pending.further_findings += self._find_staleness(answer.recorded)
            return await self.task_manager.respond(pending, route)
        variables = context.variables if context.operation.name in ("task", "model") else {}
        recording = await self.sessions.get_recording(pending.session)
        forwarded = forwarding.ForwardedCall(
            pending=pending, route=route, body=body, refusal=refusal, recording=recording, variables=variables
        )
        await enter_task()
        response = await self._forwarder.forward(forwarded)
        await self._reserve_room(http, sum(map(len, response.body)))
        return response

    def _find_staleness(self, recorded: Recorded) -> tuple[Finding, ...]:
        """Return a finding about a recorded answer that is older than the setting allows."""
        if self.settings.stale_after is None or recorded.at is None:
            return ()
        age = self.clock.now() - recorded.at
        if age <= parse_duration(self.settings.stale_after, LONGEST_SPAN):
            return ()
        message = f"recorded on {clock.format_iso(recorded.at)[:10]}, {int(age // 86_400)} days ago"
        return (Finding("recording_stale", message),)

    async def _validate(self, pending: CallRecord, route: Route, context: ValidationContext) -> Call:
        """Return the call that the request makes; raises GatewayError where it breaks a rule of the gateway."""
        pending.request = await self.upload_reader.read_uploads(pending.request, context.operation)
        pending.call = route.validator.validate(pending.request, context)
        return pending.call

    async def _select(
        self,
        pending: CallRecord,
        scenario: Scenario,
        charge: Charge | None = None,
        *,
        refused: bool = False,
        fields: KnownFields | None = None,
    ) -> Plan:
        """Return the plan that the scenario selects for an accepted call, after the latency of the answer.

        `fields` are those of the call, where they are known.
        """
        assert pending.call is not None
        if self.events.has_listeners:
            self.events.publish_beginning(self.sessions.describe_call(pending))
        pending.selection = await self.engine.select(
            pending.call,
            scenario,
            request=pending.request,
            gateway=pending.gateway,
            session=pending.session,
            note=pending.note_selection,
            charge=charge,
            refused=refused,
            known_fields=fields,
        )
        return pending.selection.answer.plan

    async def _select_in_stages(
        self, pending: CallRecord, route: Route, *, context: ValidationContext, scenario: Scenario
    ) -> Plan:
        """The same two steps at a gateway that counts a request before its body, and asks its upstream last.

        Where the scenario names channels, the upstream is known, and asked, when the answer is chosen; else before.
        """
        context = context._replace(defers_upstream=True)
        route.validator.check_key(context)
        await self.engine.count_request(scenario, route.gateway, pending.session)
        call = await self._validate(pending, route, context)

        def ask_upstream(channel: ChannelName | None = None) -> None:
            pending.call = None  # what its upstream refuses is no accepted call
            pending.call = route.validator.check_upstream(call, pending.request, context, channel)

        charge = await self.engine.count_call(call, scenario, route.gateway, pending.session)
        if not scenario.names_channels:
            try:
                ask_upstream()
            except GatewayError:
                await self.engine.give_back(charge, call, scenario, pending.session)
                raise
        plan = await self._select(pending, scenario, charge)
        if scenario.names_channels and isinstance(plan, Draw):
            ask_upstream(plan.channel)
        return plan

    async def _reserve_room(self, http: web.BaseRequest, expected: int) -> None:
        """Make room for an answer of about `expected` bytes; raises GatewayError where none becomes free in time."""
        await enter_task()
        try:
            await self.send_limits.reserve(get_connection(http), expected)
        except NoRoom:
            limit = self.settings.send_bytes
            warn_rarely(f"calls are refused as overloaded: answers that nobody takes hold all of --send-bytes {limit}")
            raise GatewayError("overloaded") from None

    async def _choose_rules(self, pending: CallRecord, route: Route) -> tuple[Route, ValidationContext, Scenario]:
        """Choose the behavior and the context in which a call is validated, and the scenario that answers it.

        A reserved value of the call counts first, then its session, then the server. The call is validated without its
        reserved values.
        """
        own_names = route.gateway.own_names
        if self._reserved_values and may_have_reserved_value(pending.request, pending.key, own_names):
            from emulator.scenario import reserved_values  # few calls have a reserved value

            pending.request, pending.reserved_value = reserved_values.take_reserved_value(
                pending.request, pending.key, own_names
            )
            pending.further_findings += reserved_values.find_slips(pending.request, pending.key, own_names)
        reserved_value, session = pending.reserved_value, pending.session
        own_scenario, own = await self.sessions.get_setup(session)
        scenario = own_scenario
        behavior, report_only, picture_weight = self._usual_settings
        if own is not NO_OVERRIDES or reserved_value is not None:
            behavior, report_only, picture_weight = self._choose_settings(own, reserved_value)
            if reserved_value is not None and reserved_value.scenario is not None:
                scenario = reserved_value.scenario
        pending.picture_weight = picture_weight
        route = self.registry.change_behavior(route, behavior)
        if route.gateway is not pending.gateway:
            self.sessions.change_gateway(pending, route.gateway)
        operation = self._find_operation(pending.request, route)
        await self.sessions.note_operation(pending)
        if not (report_only or route.variables or route.gateway.is_dated or own_scenario.channels):
            is_staged = route.gateway.staged_limits and not own_scenario.is_plain
            is_own = own is NO_OVERRIDES and reserved_value is None and not own_scenario.judges_elsewhere
            pending.is_usual = is_own and not (is_staged or operation.takes_pictures)
            return route, ValidationContext(operation, pending.key, channels=self._channels), scenario
        channels = self._channels | own_scenario.channels  # a reserved value replaces the scenario, and no channel
        context = ValidationContext(
            operation=operation,
            key=pending.key,
            report_only=report_only,
            channels=channels,
            variables=route.variables,
            today=Calendar(self.clock.today(session), self.settings.legacy),
        )
        return route, context, scenario

    def _choose_settings(self, own: SessionOverrides, reserved_value: ReservedValue | None) -> _CallSettings:
        """Choose the settings of a call: those of its reserved value, else of its session, else of the server."""
        behavior, report_only, picture_weight = self._usual_settings
        behavior = own.behavior or behavior
        picture_weight = own.picture_weight or picture_weight
        if own.report_only is not None:
            report_only = own.report_only
        if reserved_value is not None:
            behavior = reserved_value.behavior or behavior
            picture_weight = reserved_value.picture_weight or picture_weight
            if reserved_value.report_only is not None:
                report_only = reserved_value.report_only
        return _CallSettings(behavior, report_only, picture_weight)

    def _find_operation(self, request: Request, route: Route) -> Operation:
        """Return the operation of a call; the GatewayError where there is none says in a finding what to mend."""
        try:
            return route.operation(request.method)
        except GatewayError as error:
            from emulator.validation.unknown_paths import find_mistake  # few calls need it

            mistake = find_mistake(request, route, sessions.split_path(request.path)[0], self.registry.gateways)
            raise replace(error, findings=(mistake,)) from None

    def _refuse(self, pending: CallRecord, error: GatewayError) -> None:
        """Answer the call with the gateway's message for `error`, in the language of the caller."""
        language = pending.gateway.choose_language(pending.request.headers)
        pending.error = error.with_traceback(None)  # a traceback would tie the call and its frames into a ring
        pending.response = pending.gateway.render(error, language=language, request_id=pending.request_id)

    async def _send_call(self, http: web.BaseRequest, pending: CallRecord) -> responses.Delivery:
        """Send the response to a call with all headers, and through the faults of its answer.

        Where other servers may be asked for the journal, the call is in it before its client can ask.
        """
        response, selection = pending.response, pending.selection
        finish = None
        if self.store.is_shared:
            finish = partial(self.sessions.finish_call, pending)
        assert response is not None
        answer = DRAWN if selection is None else selection.answer
        close = pending.request.trouble in _UNREAD
        is_whole = response.frames is None and not answer.faults
        keeps_headers = not answer.headers and NAMES.isdisjoint(pending.gateway.response_headers.names)
        if is_whole and keeps_headers and responses.is_plain(http, response):
            lines = self._format_header_lines(pending)
            return await responses.send_at_once(http, response, lines, close=close, finish=finish)
        headers = responses.combine_headers(self._make_headers(pending, response), response, answer.headers)
        if is_whole:
            return await responses.send_response(http, response, headers, close=close, finish=finish)
        if response.frames is not None:
            response = replace(response, frames=pending.count_events(response.frames))
        return await responses.send_with_faults(
            http,
            response,
            headers,
            close=close,
            faults=answer.faults,
            sleep=partial(self.clock.sleep, session=pending.session),
            elapsed=lambda: self.clock.now(pending.session) - pending.began,
            note=pending.note_sending,
            finish=finish,
        )

    def _make_headers(self, pending: CallRecord, response: Response) -> dict[str, str]:
        """Return the headers that the server and its gateway put beside a response's own."""
        now = self.clock.now(pending.session)
        headers = self._own_headers.make_headers(now)
        if not response.bare:
            headers |= CORS
        if not (response.bare or response.relayed):
            known = pending.error is None or pending.error.kind not in _BAD_KEY
            headers |= pending.gateway.response_headers.make_headers(pending.request_id, now - pending.began, known)
        findings = pending.findings
        if findings or pending.error is not None:
            headers["X-Emulator-Finding"] = _list_codes(pending.error, findings)
        return headers

    def _format_header_lines(self, pending: CallRecord) -> str:
        """Return what `_make_headers` returns for a response that is not bare, as lines: most answers need no more."""
        known = pending.error is None or pending.error.kind not in _BAD_KEY
        now = self.clock.now(pending.session)
        own_lines = self._own_headers.format_lines_with_cors(now)
        gateway_lines = pending.gateway.response_headers.format_lines(pending.request_id, now - pending.began, known)
        findings = pending.findings
        if findings or pending.error is not None:
            return f"{own_lines}{gateway_lines}X-Emulator-Finding: {_list_codes(pending.error, findings)}\r\n"
        return own_lines + gateway_lines

    async def _answer_admin(self, http: web.BaseRequest, address: Address) -> web.StreamResponse:
        """Answer a request to the emulator's own paths."""
        limit = SCENARIO_LIMIT if address.path.endswith("/scenario") else GENERATE_LIMIT
        now = self.clock.now()
        if address.path.endswith("/state"):
            request = await self._reader.read_unparsed(
                http, address.path, query=address.query, limit=STATE_LIMIT, now=now
            )
        else:
            request = await self._reader.read_request(http, address.path, query=address.query, limit=limit, now=now)
        answer = await self.admin.answer(request)
        headers = self._own_headers.make_headers(self.clock.now())
        if isinstance(answer, Stream):
            return await responses.send_stream(http, {**headers, **dict(answer.headers)}, answer.pieces)
        headers = responses.combine_headers(headers, answer)
        delivery = await responses.send_response(http, answer, headers, close=not http.content.is_eof())
        return delivery.response

    async def _send_unrecorded(self, http: web.BaseRequest, response: Response) -> web.StreamResponse:
        """Send a response to a request that is no call to a gateway; the journal has no entry of it."""
        own = self._own_headers.make_headers(self.clock.now())
        if not response.bare:
            own |= CORS
        headers = responses.combine_headers(own, response)
        delivery = await responses.send_response(http, response, headers, close=not http.content.is_eof())
        return delivery.response

    def _build_registry(self) -> GatewayRegistry:
        keys = _load_good_keys(self.settings.keys)
        for key in (*(keys or ()), self.settings.admin_token or ""):
            note_key(key)
        gateways = registry.find_gateways(self.settings.schema)
        make_validator = partial(RequestValidator, keys=keys, reserved_keys=self._reserved_values)
        return GatewayRegistry(gateways, self.settings.gateway, make_validator)

    def _count_coverage(self) -> CoverageCounter:
        """Return what counts the calls of this server from now on; raises InvalidFile where its file has no folder."""
        from emulator.analysis.coverage import Contracts, CoverageCounter  # few servers count

        folder = Path(str(self.settings.coverage)).parent
        if not folder.is_dir():
            raise yaml_file.InvalidFile(f"--coverage {self.settings.coverage!r}: there is no folder {str(folder)!r}")
        contracts = Contracts(lambda name, behavior: self.registry.find_validator(name, behavior).gateway)
        counter = CoverageCounter(contracts, self.settings.sessions)
        self.observers.append(lambda record: counter.note_call(record.session, record.weight, lambda: record.entry))
        self.storage.note_link = counter.note_link
        return counter

    def write_coverage(self) -> None:
        """Write what was met to the file that the settings name, if they name one; the log tells what goes wrong."""
        path = self.settings.coverage
        if self.coverage is None or path is None or path == "on":
            return
        from emulator.analysis.coverage import write_coverage

        calendar = Calendar(self.clock.today(), self.settings.legacy)
        try:
            write_coverage(Path(path), self.coverage.build(calendar))
        except OSError as error:
            log.error("--coverage %r cannot be written: %s", path, error.strerror)

    def _send_own_call(self, request: bytes) -> None:
        """Send a request from the server to itself; raises AdminError where too many are under way."""
        from emulator.server.own_connection import OwnConnections, TooManyCalls  # few calls are sent again

        if self._own_connections is None:
            assert self.make_connection is not None, "the server has not begun"
            self._own_connections = OwnConnections(self.make_connection, self.settings.tls)
        try:
            self._own_connections.send(request)
        except TooManyCalls as error:
            raise AdminError(503, str(error)) from None

    def _build_admin_context(self) -> AdminContext:
        return AdminContext(
            settings=self.settings,
            auth=self.admin_auth,
            clock=self.clock,
            registry=self.registry,
            sessions=self.sessions,
            store=self.store,
            image_store=self.image_store,
            metrics=self.metrics,
            events=self.events,
            coverage=self.coverage,
            shared_metrics=self.shared_metrics,
            send_call=self._send_own_call,
        )


def _list_codes(error: GatewayError | None, findings: Sequence[Finding]) -> str:
    """Return the codes of findings; of a refused call first its breach or kind, unless a finding is about the same."""
    codes = [finding.code for finding in findings]
    if error is not None and "unknown_path" not in codes:
        codes.insert(0, error.violation or error.kind)
    return ", ".join(dict.fromkeys(codes))


def _answer_preflight(http: web.BaseRequest) -> Response:
    """Return the answer to the request that a browser sends before a call to another origin."""
    wanted = http.headers.get("Access-Control-Request-Headers", "authorization, content-type")
    headers = [
        ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
        ("Access-Control-Allow-Headers", wanted),
        ("Access-Control-Max-Age", "600"),
        ("Vary", "Access-Control-Request-Headers"),
    ]
    if http.headers.get("Access-Control-Request-Private-Network"):
        headers.append(("Access-Control-Allow-Private-Network", "true"))
    return Response(204, tuple(headers), (b"",))


def _answer_root(accept: str) -> Response:
    """Return the answer to a request for /: where the page is, as a link for a browser and else as a line of text."""
    if "text/html" not in accept:
        return Response(200, (("Content-Type", "text/plain; charset=utf-8"),), (_WHERE_TEXT,))
    headers = (("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", "default-src 'none'"))
    return Response(200, headers, (_WHERE_HTML,))


def _load_default_scenario(name: str | None, gateways: Mapping[str, Gateway]) -> Callable[[], Scenario]:
    """Return a function that returns the scenario of sessions without their own; raises InvalidFile."""
    if name is None:
        return lambda: HAPPY
    from emulator.scenario import loader  # a server without a scenario need not load the loader

    return loader.WatchedScenario(name, gateways).current


def _open_recording(settings: Settings) -> Recording:
    """Return the recording that the settings name; raises InvalidFile."""
    from emulator.session.recording import Recording

    if settings.scenario is not None:
        raise yaml_file.InvalidFile(f"--scenario {settings.scenario!r}: a recording is a scenario; give one of the two")
    if settings.record is None and settings.record_mode != "forward":
        raise yaml_file.InvalidFile(f"--record-mode {settings.record_mode} needs --record DIR")
    return Recording(Path(settings.record or "forward"), settings.record_mode)


def _load_good_keys(path: str | None) -> frozenset[str] | None:
    """Return the keys that the file at `path` lists, one a line; lines that start with # are comments."""
    if path is None:
        return None
    try:
        lines = [line.strip() for line in read_file(Path(path)).decode("utf-8").splitlines()]
    except OSError as error:
        raise yaml_file.InvalidFile(f"--keys {path!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise yaml_file.InvalidFile(f"--keys {path!r}: not UTF-8") from None
    keys = frozenset(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise yaml_file.InvalidFile(f"--keys {path!r}: no key is listed, so no call could pass")
    return keys


SCENARIO_LIMIT: Final = 9_000_000  # bytes of body; a scenario has at most 8,000,000 characters, pictures among them
_BAD_KEY: Final = ("missing_key", "invalid_key")
"""Refusals of callers whose account the gateway does not know."""
_UNREAD: Final = ("too_large", "slow_body", "cut_body")
"""Troubles that leave a part of the request on the connection, which ends therefore."""
_WHERE_TEXT: Final = b"Image API Emulator: calls and their pictures are at /_emulator/\n"
_WHERE_HTML: Final = (
    b"<!doctype html><html lang=en><meta charset=utf-8><title>Image API Emulator</title>"
    b'<p>Image API Emulator: <a href="/_emulator/">calls and their pictures</a>\n'
)
_FAILED: Final = (
    b'{"error":{"message":"The emulator failed; its log says why.","type":"server_error","param":null,"code":null}}'
)
