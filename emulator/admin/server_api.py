"""The functions of the paths about the server itself: health, gateways, scenarios, findings, clock, metrics, events.

The table in routes.py says which path each function answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from emulator.admin.errors import AdminError
from emulator.admin.request import (
    NO_CACHE,
    STORE_LOST,
    AdminContext,
    AdminRequest,
    Stream,
    build_json_response,
    build_response,
)
from emulator.core import clock
from emulator.core.accelerators import name_accelerator, name_running_loop
from emulator.core.data_folders import find_schemas, list_ready_made
from emulator.core.durations import LONGEST_SPAN, parse_duration
from emulator.core.suggestions import describe_unknown
from emulator.core.version import VERSION
from emulator.explanations import EXPLANATIONS
from emulator.findings import FINDINGS
from emulator.gateway.gateway import Gateway
from emulator.gateway.model_catalog import Calendar
from emulator.image.encoder import name_encoder
from emulator.messages import BEHAVIORS, Response
from emulator.session import events, metrics
from emulator.session.sessions import LATEST, can_name
from emulator.session.store import StoreLost

if TYPE_CHECKING:
    from emulator.analysis.coverage import Tally


async def resolve_session(context: AdminContext, name: str, invalid_status: int = 400) -> str:
    """The name of a session, which need not have begun; `latest` becomes the name of the one it means.

    That is the session in which a call has reached an operation of a gateway last, whatever its answer was: a wrong
    path with some other key does not hide the session of a test. Where no call has reached one, it is the session used
    last.

    Raises AdminError where no session can have the name, and for `latest` while there is no session.
    """
    if name == LATEST:
        latest = await context.sessions.find_latest()
        if latest is None:
            raise AdminError(404, "there is no session yet", "session")
        return latest
    if not can_name(name):
        expected = "up to 64 of A-Z a-z 0-9 . _ -, and nothing like a key"
        raise AdminError(invalid_status, f"that cannot name a session; expected {expected}", "session")
    return name


async def get_health(request: AdminRequest) -> Response:
    """That the server answers, and what makes its answers: the same for whoever asks, and nothing about the user.

    It is 503 while the store is lost: a balancer sends calls to other replicas then.
    """
    accelerators = {
        "event_loop": name_running_loop(),
        "json_schema": name_accelerator("jsonschema_rs"),
        "png": name_accelerator("isal.isal_zlib"),
    }
    health = {"status": "ok", "version": VERSION, "encoder": name_encoder(), "accelerators": accelerators}
    if request.context.store.lost is not None:
        return build_json_response({**health, "status": STORE_LOST}, 503)
    return build_json_response(health)


async def get_settings(request: AdminRequest) -> Response:
    """How the server was started."""
    settings = request.context.settings
    return build_json_response({
        "seed": settings.seed,
        "clock": settings.clock,
        "gateways": sorted(request.context.registry.validators),
        "reserved_values": not settings.no_reserved_values,
        "report_only": settings.report_only,
        "behavior": settings.behavior,
    })  # fmt: skip


async def list_gateways(request: AdminRequest) -> Response:
    """The gateways, with the base URL for a client of each; `name` asks for one, and no other is loaded for it."""
    known = request.context.registry.gateways
    names = [request.query["name"]] if "name" in request.query else list(known)
    gateways = [_describe_gateway(known[name], request.request.origin) for name in names]
    return build_json_response({"gateways": gateways})


def _describe_gateway(gateway: Gateway, origin: str) -> Mapping[str, Any]:
    base = f"/{gateway.name}{gateway.base}"
    models = [operation.models for operation in gateway.iter_generating() if operation.models is not None]
    others = [word for word in BEHAVIORS if (find_schemas() / word / f"{gateway.name}.yaml").is_file()]
    return {
        "name": gateway.name,
        "title": gateway.title,
        "base": base,
        "base_url": origin + base,
        "behavior": ["documented", *others],
        "operations": sorted({operation.name for operation in gateway.iter_operations()}),
        "models": list(dict.fromkeys(name for one in models for name in one.listed)),
        "default_model": next((one.default for one in models if one.default), None),
    }


async def list_scenarios(request: AdminRequest) -> Response:
    """The ready-made scenarios."""
    return build_json_response({"scenarios": await asyncio.to_thread(_load_scenarios)})


def _load_scenarios() -> list[Mapping[str, str]]:
    from emulator.scenario import loader  # imported when it is first needed: few servers list their scenarios

    scenarios = [(name, loader.find_scenario(name)) for name in list_ready_made()]
    return [{"name": name, "about": " ".join(scenario.about.split())} for name, scenario in scenarios]


async def list_findings(request: AdminRequest) -> Response:
    """The codes of findings, and what each means."""
    return build_json_response({"findings": [{"code": code, "text": text} for code, text in FINDINGS.items()]})


async def get_finding(request: AdminRequest) -> Response:
    """What one code means, or another word that the emulator prints about a call."""
    code = request.path_params["code"]
    if code not in EXPLANATIONS:
        raise AdminError(404, describe_unknown("code", code, EXPLANATIONS), "code")
    return build_json_response({"code": code, "text": EXPLANATIONS[code]})


async def get_openapi(request: AdminRequest) -> Response:
    """The description of these paths."""
    text = await asyncio.to_thread(lambda: request.context.spec.text)  # the first use reads files
    return build_response("application/json", text)


async def get_clock(request: AdminRequest) -> Response:
    """The time, for all sessions or for one."""
    session = await _resolve_query_session(request)
    await request.context.clock.refresh(session or "")
    return _build_time_response(request.context, session)


async def move_clock(request: AdminRequest) -> Response:
    """Move the clock forward, for all sessions or for one."""
    context = request.context
    try:
        seconds = parse_duration(request.body["advance"], LONGEST_SPAN)
    except ValueError as error:
        raise AdminError(400, f"advance: {error}", "advance") from None
    session = request.body.get("session")
    if session is not None:
        session = await resolve_session(context, session)
    await context.clock.refresh(session or "")
    furthest = context.clock.find_furthest() if session is None else context.clock.now(session)
    if furthest + seconds >= clock.LATEST:
        raise AdminError(400, "advance: that would be beyond the year 2999", "advance")
    await context.clock.advance(seconds, session)
    return _build_time_response(context, session)


def _build_time_response(context: AdminContext, session: str | None) -> Response:
    now = clock.format_iso(context.clock.now(session or ""))
    return build_json_response({"now": now, "session": session, "clock": context.settings.clock})


async def get_coverage(request: AdminRequest) -> Response:
    """What calls have met of the rules of their gateways: all calls, or those of one session."""
    from emulator.analysis import coverage  # imported when it is first needed

    context = request.context
    name = await _resolve_query_session(request)
    counter, uncounted = context.coverage, 0
    if counter is None:
        tally, uncounted = await _tally_journals(context, name)
    elif name is None:
        tally = counter.count_all()
    else:
        tally = counter.count_session(name) or coverage.Tally()
    calendar = Calendar(context.clock.today(name or ""), context.settings.legacy)

    def build() -> dict[str, Any]:
        found = coverage.build_coverage(
            tally, context.find_contract, calendar, uncounted=uncounted, links=counter is not None
        )
        return {"session": name, **found.to_json()}

    return build_json_response(await asyncio.to_thread(build))


async def _tally_journals(context: AdminContext, name: str | None) -> tuple[Tally, int]:
    """What the calls in the journals have met, and how many calls the journals have dropped."""
    from emulator.analysis.coverage import Tally, tally_calls

    tally, uncounted = Tally(), 0
    for summary in await context.sessions.list_sessions():
        if name in (None, summary.name):
            uncounted += summary.dropped
            entries = await context.sessions.list_calls(summary.name) or ()
            tally.add(await asyncio.to_thread(tally_calls, entries, context.find_contract))
    return tally, uncounted


async def get_metrics(request: AdminRequest) -> Response:
    """Counters and gauges, for Prometheus."""
    context = request.context
    counts, under_way = context.metrics.format_text({}), context.sessions.count_under_way()
    if context.shared_metrics is not None:
        counts, under_way = await context.shared_metrics.add_up()
    gauges = {
        "emulator_calls_under_way": (under_way, "Calls that have begun and not ended."),
        "process_start_time_seconds": (context.started, "Start of the server, in seconds since 1970-01-01 UTC."),
    }
    with suppress(StoreLost):  # what this process has counted by itself is known all the same
        kept = await context.store.measure()
        gauges |= {
            "emulator_sessions": (kept.sessions, "Sessions that are remembered."),
            "emulator_journal_entries": (kept.calls, "Calls in all journals together."),
            "emulator_journal_bytes": (kept.bytes, "What all journals weigh together, about."),
        }
    return build_response(metrics.CONTENT_TYPE, (counts + metrics.format_gauges(gauges)).encode())


async def stream_events(request: AdminRequest) -> Response | Stream:
    """Each call when it ends, as server-sent events: of all sessions, or of one."""
    session = await _resolve_query_session(request)
    headers = (("Content-Type", events.CONTENT_TYPE), *NO_CACHE)
    if request.request.method == "HEAD":
        return Response(200, headers, (b"",))
    wish = events.Wish(
        session=session,
        summaries=request.query.get("view") == "summary",
        after=events.parse_event_id(request.request.headers.get("Last-Event-ID", "")),
        recent=request.query.get("recent", 0),
    )
    try:
        return Stream(headers, request.context.events.listen(wish))
    except events.TooManyListeners:
        raise AdminError(503, f"{events.MOST_LISTENERS} listen already, and more do not fit") from None


async def _resolve_query_session(request: AdminRequest) -> str | None:
    """The session in the query; None where all sessions are meant."""
    name = request.query.get("session")
    if name is None:
        return None
    return await resolve_session(request.context, name)
