"""The ways of /_emulator/ that are about the server itself: what it is, its gateways, its clock, what it counts.

Each is a function of the rooms and of what was asked; the table in *admin* says where each stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from emulator.admin.request import KEPT_BY_NOBODY, AdminContext, Asked, Stream, Wrong, told, version, written
from emulator.core import clock, yaml_file
from emulator.core.durations import parse_duration
from emulator.findings import FINDINGS
from emulator.messages import BEHAVIORS, Response
from emulator.session import events, metrics
from emulator.session.sessions import LATEST, can_name
from emulator.validation.validator import RequestValidator


async def session_of(rooms: AdminContext, name: str, bad: int = 400) -> str:
    """The session that `name` means, which need not have begun.

    Raises Wrong where nothing can be called so (the status `bad`), and for `latest` while there is none.
    """
    if name == LATEST:
        known = await rooms.sessions.known()
        if not known:
            raise Wrong(404, "there is no session yet", "session")
        return known[-1].name
    if not can_name(name):
        expected = "up to 64 of A-Z a-z 0-9 . _ -, and nothing like a key"
        raise Wrong(bad, f"that cannot name a session; expected {expected}", "session")
    return name


async def health(rooms: AdminContext, asked: Asked) -> Response:
    """That it answers, and how it was started."""
    settings = rooms.settings
    return told({
        "status": "ok",
        "version": version(),
        "seed": settings.seed,
        "clock": settings.clock,
        "gateways": sorted(rooms.registry.validators),
        "reserved_values": not settings.no_reserved_values,
        "report_only": settings.report_only,
        "behavior": settings.behavior,
    })  # fmt: skip


async def gateways(rooms: AdminContext, asked: Asked) -> Response:
    """The gateways, and where a client finds them."""
    shown = [_gateway(validator, asked.request.origin) for validator in rooms.registry.validators.values()]
    return told({"gateways": shown})


def _gateway(validator: RequestValidator, origin: str) -> Mapping[str, Any]:
    gateway = validator.gateway
    base = f"/{gateway.name}{gateway.base}"
    models = [operation.models for operation in gateway.generating() if operation.models is not None]
    others = [word for word in BEHAVIORS if (yaml_file.schemas() / word / f"{gateway.name}.yaml").is_file()]
    return {
        "name": gateway.name,
        "title": gateway.title,
        "base": base,
        "base_url": origin + base,
        "behavior": ["documented", *others],
        "operations": sorted({one.name for by_method in gateway.operations.values() for one in by_method.values()}),
        "models": list(dict.fromkeys(name for one in models for name in one.listed)),
        "default_model": next((one.default for one in models if one.default), None),
    }


async def scenarios(rooms: AdminContext, asked: Asked) -> Response:
    """The ready-made scenarios."""
    return told({"scenarios": await asyncio.to_thread(_shelf)})


def _shelf() -> list[Mapping[str, str]]:
    from emulator.scenario import loader  # loaded with the first script

    return [
        {"name": name, "about": " ".join(loader.find_scenario(name).about.split())} for name in loader.list_ready_made()
    ]


async def findings(rooms: AdminContext, asked: Asked) -> Response:
    """Every code, and what it means."""
    return told({"findings": [{"code": code, "text": text} for code, text in FINDINGS.items()]})


async def finding(rooms: AdminContext, asked: Asked) -> Response:
    """What one code means."""
    code = asked.names["code"]
    if code not in FINDINGS:
        raise Wrong(404, f"unknown code {code[:100]!r}; known are {', '.join(FINDINGS)}", "code")
    return told({"code": code, "text": FINDINGS[code]})


async def openapi(rooms: AdminContext, asked: Asked) -> Response:
    """The description of these paths."""
    spec = await asyncio.to_thread(lambda: rooms.spec)
    return written("application/json", spec.text)


async def show_clock(rooms: AdminContext, asked: Asked) -> Response:
    """What time it is, for all or for one session."""
    session = asked.query.get("session")
    return _time(rooms, None if session is None else await session_of(rooms, session))


async def move_clock(rooms: AdminContext, asked: Asked) -> Response:
    """Move the clock on, for all or for one session."""
    session = asked.body.get("session")
    try:
        length = parse_duration(asked.body["advance"])
    except ValueError as error:
        raise Wrong(400, f"advance: {error}", "advance") from None
    session = None if session is None else await session_of(rooms, session)
    if rooms.clock.now(session or "") + length >= clock.LATEST:
        raise Wrong(400, "advance: that would be beyond the year 2999", "advance")
    rooms.clock.advance(length, session)
    return _time(rooms, session)


def _time(rooms: AdminContext, session: str | None) -> Response:
    return told({"now": clock.format_iso(rooms.clock.now(session or "")), "session": session})


async def show_metrics(rooms: AdminContext, asked: Asked) -> Response:
    """What is counted, for Prometheus."""
    held = await rooms.memory.held()
    gauges = {
        "emulator_sessions": (held.sessions, "Sessions that are remembered."),
        "emulator_journal_entries": (held.entries, "Calls in all journals together."),
        "emulator_journal_bytes": (held.bytes, "What all journals weigh together, about."),
        "process_start_time_seconds": (rooms.started, "Start of the server, in seconds since 1970-01-01 UTC."),
    }
    return written(metrics.CONTENT_TYPE, rooms.metrics.text(gauges).encode())


async def listen(rooms: AdminContext, asked: Asked) -> Response | Stream:
    """Each call as it ends, of all sessions or of one."""
    session = asked.query.get("session")
    session = None if session is None else await session_of(rooms, session)
    headers = (("Content-Type", events.CONTENT_TYPE), *KEPT_BY_NOBODY)
    if asked.request.method == "HEAD":
        return Response(200, headers, (b"",))
    try:
        return Stream(headers, rooms.events.listen(session))
    except events.TooMany:
        raise Wrong(503, f"{events.MOST} listen already, and more do not fit") from None
