"""The hall: builds the rooms of one server, and holds the one handler through which every request goes, top to bottom.

Rooms decide, this hall only leads from one to the next. A bug in any of them is answered in the gateway's own envelope,
journalled, and logged with its traceback.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from emulator.admin.auth import AdminAuth
from emulator.admin.request import PREFIX, AdminContext, Stream
from emulator.admin.routes import Admin
from emulator.core import clock, yaml_file
from emulator.gateway.calendar import Calendar
from emulator.gateway.gateway import Gateway
from emulator.gateway.operation import GENERATE_LIMIT
from emulator.gateway.response_headers import OPENAIS
from emulator.image.store import ImageStore
from emulator.messages import Behavior, GatewayError, Request, Response
from emulator.response.builder import Place, ResponseBuilder
from emulator.scenario import scenario
from emulator.scenario.engine import ScenarioEngine
from emulator.scenario.scenario import Scenario
from emulator.server import image_host, wire
from emulator.server.image_host import ImageHost
from emulator.session import sessions
from emulator.session.events import Events
from emulator.session.journal import Entry
from emulator.session.metrics import Metrics
from emulator.session.sessions import Sessions
from emulator.session.store import InMemoryStore, Limits
from emulator.session.tasks import TaskManager
from emulator.settings import Settings
from emulator.validation import registry
from emulator.validation.default_comparison import DefaultComparison
from emulator.validation.registry import GatewayRegistry, Route
from emulator.validation.uploads import UploadReader
from emulator.validation.validator import RequestValidator, ValidationContext

log = logging.getLogger("emulator")
Teller = Callable[[Entry], None]
"""Is told of every call once it is answered."""


class App:
    """The rooms of one server, and the way through them."""

    def __init__(self, settings: Settings, tell: Teller | None = None) -> None:
        """Build every room; raises InvalidFile where a gateway's file or the file of keys cannot be used."""
        self.settings = settings
        self.clock = clock.parse_clock(settings.clock, settings.as_of)
        keys = _good_keys(settings.keys)
        self._marks = not settings.no_reserved_values
        self._channels = frozenset(settings.channels)
        self._context = ValidationContext(False, self._channels)
        gateways = registry.read(settings.schema)
        comparison = DefaultComparison(gateways)
        validators = [RequestValidator(one, keys, self._marks, comparison) for one in gateways]
        for validator in validators:
            if validator.gateway.document.source.path.parent != yaml_file.schemas():
                sum(validator.examine())  # a file of the user's own is checked before anything is answered
        self.registry = GatewayRegistry(validators, settings.gateway, partial(self._other, keys, comparison))
        limits = Limits(settings.journal_entries, settings.journal_bytes, settings.sessions, settings.session_age)
        memory: InMemoryStore[Entry] = InMemoryStore(limits)
        self.sessions = Sessions(memory, self.clock, _default_scenario(settings.scenario))
        self.player = ScenarioEngine(memory, self.clock, settings.seed)
        secret = hashlib.blake2b(b"picture links", key=str(settings.seed).encode()).digest()
        self.image_store = ImageStore(settings.picture_cache, settings.upload_bytes)
        self.upload_reader = UploadReader(self.image_store, secret)
        self.task_manager = TaskManager(memory, ResponseBuilder(settings.seed, secret, self.clock, self.image_store))
        self.storage = ImageHost(self.image_store, self.clock, secret)
        self.guard, self.metrics, self.events = AdminAuth(settings), Metrics(), Events()
        self.admin = Admin(
            AdminContext(
                settings=settings,
                guard=self.guard,
                clock=self.clock,
                registry=self.registry,
                sessions=self.sessions,
                store=memory,
                image_store=self.image_store,
                metrics=self.metrics,
                events=self.events,
            )
        )
        self._bounds, self._freight = wire.Bounds(settings.body_timeout, settings.public_url), wire.Freight()
        self._tell = tell
        self._dated = (0, "")
        self._pictures_id = OPENAIS.make(f"{settings.seed}\npictures\n0", 0)

    def _other(
        self, keys: frozenset[str] | None, comparison: DefaultComparison, name: str, behavior: Behavior
    ) -> RequestValidator | None:
        """The contract of a gateway in other behavior than the documented ones."""
        found = registry.other(name, behavior)
        return None if found is None else RequestValidator(found, keys, self._marks, comparison)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it is."""
        try:
            return await self._lead(request)
        except Exception:  # a bug where not even the gateway's words can be had: the plainest envelope
            log.exception("%s %s failed", request.method, wire.path_of(request))
            return web.Response(status=500, body=_FAILED, headers={**_CORS, "Content-Type": "application/json"})

    async def _lead(self, request: web.BaseRequest) -> web.StreamResponse:
        prefix, path = sessions.split(wire.path_of(request))
        if path == PREFIX or path.startswith(PREFIX + "/"):
            return await self._administer(request, path)
        if request.method == "OPTIONS" and not self.storage.is_closed(path):
            return await self._aside(request, _preflight(request))
        if path.startswith(image_host.PREFIX):
            answering = self.storage.answer(request.method, path, request.headers, self._pictures_id)
            return await self._aside(request, answering)
        route = self.registry.find(request.host, path)
        async with self._freight.room(request, route.limit(request.method)):
            return await self._call(request, prefix, route)

    async def _administer(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer what is asked of the emulator's own paths."""
        raw = await wire.read(request, path, GENERATE_LIMIT, self._bounds, self.clock.now())
        answer = await self.admin.answer(raw)
        if isinstance(answer, Stream):
            return await wire.stream(request, {**self._usual(), **dict(answer.headers)}, answer.pieces)
        response, _ = await wire.send(request, answer, self._usual(), close=not request.content.is_eof())
        return response

    async def _call(self, request: web.BaseRequest, prefix: str | None, route: Route) -> web.StreamResponse:
        """Answer a call to a gateway: read, session, contract, scenario, reply, journal."""
        limit = route.limit(request.method)
        raw = await wire.read(request, wire.path_of(request), limit, self._bounds, self.clock.now())
        raw = await wire.unfolded(raw)
        key = route.gateway.key(raw.headers)
        name, misnamed = sessions.of(raw, prefix, key, self._marks)
        opened = await self.sessions.open(name)
        entry = self._entry(opened.number, name, raw, route.gateway, key)
        try:
            if misnamed is not None:
                raise misnamed
            route, context, playing = await self._judging(entry, route)
            operation = route.operation(raw.method)
            entry.operation = operation.name
            if operation.redirect is not None:
                entry.response = operation.elsewhere(raw)
            else:
                entry.request = await self.upload_reader.read_uploads(entry.request, operation.takes_pictures)
                entry.call = route.validator.accept(entry.request, operation, entry.key, context)
                entry.choice = await self.player.play(playing, entry.call, entry.request, entry.gateway, name)
                place = Place(name, raw.origin, entry.request_id, entry.choice.latency or 0.0)
                entry.response = await self.task_manager.answer(entry, place)
        except GatewayError as error:
            self._refuse(entry, error)
        except Exception:  # a bug of ours: say so in the gateway's words, and leave its trace in the log
            log.exception("call %s of session %s failed", opened.number, name)
            self._refuse(entry, GatewayError("server_error"))
        assert entry.response is not None
        codes = {finding.code: None for finding in entry.findings}
        answer = entry.choice.answer if entry.choice else scenario.DRAWN
        headers = self._usual(name)
        if not entry.response.bare:
            known = entry.error is None or entry.error.kind not in _STRANGERS
            marks = entry.gateway.identity.headers(entry.request_id, self.clock.now(name) - entry.began, known)
            headers |= {**_CORS, **marks}
        if codes:
            headers["X-Emulator-Finding"] = ", ".join(codes)
        outgoing = _with_headers(entry.response, headers, answer.headers)
        broken_off = raw.trouble in ("too_large", "slow_body", "cut_body")
        if outgoing.frames is not None:
            outgoing = replace(outgoing, frames=entry.counted(outgoing.frames))
        if answer.faults or outgoing.frames is not None:
            from emulator.server import fault_sender

            sleep = partial(self.clock.sleep, session=name)
            response, entry.sent = await fault_sender.send(request, outgoing, headers, broken_off, answer.faults, sleep)
        else:
            response, entry.sent = await wire.send(request, outgoing, headers, broken_off)
        entry.duration = self.clock.now(name) - entry.began
        await opened.journal.end(entry)
        self.metrics.count(entry)
        self.events.tell(entry)
        if self._tell is not None:
            self._tell(entry)
        return response

    def _entry(self, number: int, name: str, raw: Request, gateway: Gateway, key: str | None) -> Entry:
        """The journal's entry of a call that has come in; its id depends on seed, session and number alone."""
        now = self.clock.now(name)
        request_id = gateway.identity.make(f"{self.settings.seed}\n{name}\n{number}", now)
        return Entry(number, name, request_id, raw, key, now, gateway)

    async def _judging(self, entry: Entry, route: Route) -> tuple[Route, ValidationContext, Scenario]:
        """In which behavior, and on what terms, a call is judged, and what is played for it.

        What the call itself says counts, else its session, else the server. Marks are taken off the call.
        """
        if self._marks and scenario.may_be_marked(entry.request, entry.key):
            from emulator.scenario import triggers

            entry.request, entry.reserved = triggers.take(entry.request, entry.key)
        marks, own, usual = entry.reserved, await self.sessions.settings(entry.session), self.settings
        route = self.registry.in_behavior(route, (marks and marks.behavior) or own.behavior or usual.behavior)
        if route.gateway is not entry.gateway:
            key = route.gateway.key(entry.request.headers)
            again = self._entry(entry.number, entry.session, entry.request, route.gateway, key)
            entry.gateway, entry.key, entry.request_id = again.gateway, again.key, again.request_id
        report_only = own.report_only if marks is None or marks.report_only is None else marks.report_only
        report_only = usual.report_only if report_only is None else report_only
        script = await self.sessions.playing(entry.session)  # a mark plays in its place, and takes no channel away
        playing = (marks and marks.scenario) or script
        if report_only or route.variables or route.gateway.dated or script.channels:
            today, channels = Calendar(self.clock.today(entry.session), usual.legacy), self._channels | script.channels
            return route, ValidationContext(report_only, channels, route.variables, today), playing
        return route, self._context, playing

    def _refuse(self, entry: Entry, error: GatewayError) -> None:
        """Answer `entry` with `problem`, in the gateway's words and the caller's language."""
        language = entry.gateway.choose_language(entry.request.headers)
        # Without its traceback: that would tie entry and frames into a ring, and a thousand rings are kept.
        entry.error = error.with_traceback(None)
        entry.response = entry.gateway.render(error, language=language, request_id=entry.request_id)

    async def _aside(self, request: web.BaseRequest, answering: Awaitable[Response]) -> web.StreamResponse:
        """Answer what is no call to a gateway; such requests are not journalled."""
        answer = await answering
        headers = self._usual() if answer.bare else {**self._usual(), **_CORS}
        response, _ = await wire.send(request, answer, headers, close=not request.content.is_eof())
        return response

    def _usual(self, name: str = "") -> dict[str, str]:
        """The headers that every answer has; the date is the session's own."""
        second = int(self.clock.now(name))
        if second != self._dated[0]:
            self._dated = (second, clock.format_http_date(second))
        return {"Date": self._dated[1], "Server": "image-api-emulator"}


async def _preflight(request: web.BaseRequest) -> Response:
    """What a browser asks before it sends a call of another origin."""
    wanted = request.headers.get("Access-Control-Request-Headers", "authorization, content-type")
    private = request.headers.get("Access-Control-Request-Private-Network")
    headers = (
        ("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS"),
        ("Access-Control-Allow-Headers", wanted),
        ("Access-Control-Max-Age", "600"),
        ("Vary", "Access-Control-Request-Headers"),
        *((("Access-Control-Allow-Private-Network", "true"),) if private else ()),
    )
    return Response(204, headers, (b"",))


def _with_headers(answer: Response, usual: dict[str, str], scripted: tuple[tuple[str, str], ...]) -> Response:
    """`answer` with the scripted headers, which take the place of others of the same name, however that is written."""
    if not scripted:
        return answer
    taken = {name.lower() for name, _ in scripted}
    for name in [name for name in usual if name.lower() in taken]:
        del usual[name]
    kept = tuple(header for header in answer.headers if header[0].lower() not in taken)
    return replace(answer, headers=kept + scripted)


def _default_scenario(name: str | None) -> Callable[[], Scenario]:
    if name is None:
        return lambda: scenario.HAPPY
    from emulator.scenario import loader  # a server without a script need not load what reads one

    return loader.WatchedScenario(name).current


def _good_keys(path: str | None) -> frozenset[str] | None:
    """The keys that the file at `path` lists, one a line; lines that start with # are comments."""
    if path is None:
        return None
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise yaml_file.InvalidFile(f"--keys {path!r}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    keys = frozenset(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise yaml_file.InvalidFile(f"--keys {path!r}: no key is listed, so no call could pass")
    return keys


_STRANGERS: Final = ("missing_key", "invalid_key")
_FAILED: Final = (
    b'{"error":{"message":"The emulator failed; its log says why.","type":"server_error","param":null,"code":null}}'
)
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Request-Id, X-Emulator-Finding, ETag, Content-Range, Retry-After",
}
