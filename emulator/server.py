"""The hall: builds the rooms of one server, and holds the one handler through which every request goes, top to bottom.

Rooms decide, this hall only leads from one to the next. A bug in any of them is answered in the gateway's own envelope,
journalled, and logged with its traceback.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from emulator import admin, clock, directory, files, scenario, session, storage, wire
from emulator.admin import Admin
from emulator.comparison import Comparison
from emulator.contract import Contract
from emulator.dialect import GENERATE_LIMIT
from emulator.directory import Destination, Directory
from emulator.exchange import Problem, RawCall, Reply
from emulator.gallery import Gallery
from emulator.journal import Entry
from emulator.memory import Limits, ProcessMemory
from emulator.player import Player
from emulator.reply import Composer, Place
from emulator.scenario import Scenario
from emulator.session import Sessions
from emulator.settings import Settings
from emulator.storage import Storage

log = logging.getLogger("emulator")
Teller = Callable[[Entry], None]
"""Is told of every call once it is answered."""


class Hall:
    """The rooms of one server, and the way through them."""

    def __init__(self, settings: Settings, tell: Teller | None = None) -> None:
        """Build every room; raises BadFile where a gateway's file or the file of keys cannot be used."""
        self.settings = settings
        self.clock = clock.parse(settings.clock)
        keys = _good_keys(settings.keys)
        self._marks = not settings.no_reserved_values
        dialects = directory.read(settings.schema)
        comparison = Comparison(dialects)
        contracts = [Contract(one, keys, self._marks, comparison) for one in dialects]
        for contract in contracts:
            if contract.dialect.document.source.path.parent != files.schemas():
                sum(contract.examine())  # a file of the user's own is checked before anything is answered
        self.directory = Directory(contracts, settings.gateway)
        limits = Limits(settings.journal_entries, settings.journal_bytes, settings.sessions, settings.session_age)
        memory: ProcessMemory[Entry] = ProcessMemory(limits)
        self.sessions = Sessions(memory, self.clock, _default_scenario(settings.scenario))
        self.player = Player(memory, self.clock, settings.seed)
        self.gallery = Gallery(settings.picture_cache)
        secret = hashlib.blake2b(b"picture links", key=str(settings.seed).encode()).digest()
        self.composer = Composer(settings.seed, secret, self.clock, self.gallery)
        self.storage = Storage(self.gallery, self.clock, secret)
        about = {"seed": settings.seed, "clock": settings.clock, "gateways": sorted(self.directory.contracts)}
        self.admin = Admin(self.sessions, self.clock, about, settings.allow_host)
        self._bounds = wire.Bounds(settings.body_timeout, settings.public_url)
        self._tell = tell
        self._dated = (0, "")

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever it is."""
        try:
            return await self._lead(request)
        except Exception:  # a bug where not even the gateway's words can be had: the plainest envelope
            log.exception("%s %s failed", request.method, wire.path_of(request))
            return web.Response(status=500, body=_FAILED, headers={**_CORS, "Content-Type": "application/json"})

    async def _lead(self, request: web.BaseRequest) -> web.StreamResponse:
        prefix, path = session.split(wire.path_of(request))
        if path == admin.PREFIX or path.startswith(admin.PREFIX + "/"):
            return await self._aside(request, self._administer(request, path), {})
        if request.method == "OPTIONS":
            return await self._aside(request, _preflight(request), _CORS)
        if path.startswith(storage.PREFIX):
            answering = self.storage.answer(request.method, path, request.headers, self._request_id("pictures", 0))
            return await self._aside(request, answering, _CORS)
        return await self._call(request, prefix, self.directory.find(request.host, path))

    async def _administer(self, request: web.BaseRequest, path: str) -> Reply:
        raw = await wire.read(request, path, GENERATE_LIMIT, self._bounds, self.clock.now())
        return await self.admin.answer(raw)

    async def _call(self, request: web.BaseRequest, prefix: str | None, destination: Destination) -> web.StreamResponse:
        """Answer a call to a gateway: read, session, contract, reply, journal."""
        dialect = destination.dialect
        raw = await wire.read(request, wire.path_of(request), GENERATE_LIMIT, self._bounds, self.clock.now())
        key = dialect.key(raw.headers)
        name, misnamed = _session_name(raw, prefix, key, self._marks)
        opened = await self.sessions.open(name)
        request_id = self._request_id(name, opened.number)
        entry = Entry(opened.number, name, request_id, raw, key, self.clock.now(name), dialect)
        try:
            if misnamed is not None:
                raise misnamed
            if self._marks and scenario.may_be_marked(raw, key):
                from emulator import reserved

                raw, entry.reserved = reserved.take(raw, key)
                entry.raw = raw
            operation = destination.operation(raw.method)
            entry.operation = operation.name
            report_only = await self._reports_only(entry)
            entry.call = destination.contract.accept(raw, operation, key, report_only)
            playing = (entry.reserved and entry.reserved.scenario) or await self.sessions.playing(name)
            entry.choice = await self.player.play(playing, entry.call, raw, dialect, name)
            place = Place(name, raw.origin, request_id)
            entry.reply = await self.composer.compose(entry.call, entry.choice.answer.plan, dialect, place)
        except Problem as problem:
            # Without its traceback: that would tie entry and frames into a ring, and a thousand rings are kept.
            entry.problem, entry.reply = problem.with_traceback(None), dialect.render(problem)
        except Exception:  # a bug of ours: say so in the gateway's words, and leave its trace in the log
            log.exception("call %s of session %s failed", opened.number, name)
            entry.problem = Problem("server_error", facts={"request_id": request_id})
            entry.reply = dialect.render(entry.problem)
        codes = {finding.code: None for finding in entry.findings}
        answer = entry.choice.answer if entry.choice else scenario.DRAWN
        headers = {**self._usual(name), **_CORS, "X-Request-Id": request_id}
        if codes:
            headers["X-Emulator-Finding"] = ", ".join(codes)
        outgoing = _with_headers(entry.reply, headers, answer.headers)
        broken_off = raw.trouble in ("too_large", "slow_body", "cut_body")
        if answer.faults:
            from emulator import spoil

            sleep = partial(self.clock.sleep, session=name)
            response, entry.sent = await spoil.send(request, outgoing, headers, broken_off, answer.faults, sleep)
        else:
            response, entry.sent = await wire.send(request, outgoing, headers, broken_off)
        entry.duration = self.clock.now(name) - entry.began
        await opened.journal.end(entry)
        if self._tell is not None:
            self._tell(entry)
        return response

    async def _reports_only(self, entry: Entry) -> bool:
        """Whether a breach of the contract is only reported: as the call says, else its session, else the server."""
        said = entry.reserved.report_only if entry.reserved else None
        if said is None:
            said = (await self.sessions.settings(entry.session)).report_only
        return self.settings.report_only if said is None else said

    async def _aside(
        self, request: web.BaseRequest, answering: Awaitable[Reply], headers: Mapping[str, str]
    ) -> web.StreamResponse:
        """Answer what is no call to a gateway; such requests are not journalled."""
        answer = await answering
        response, _ = await wire.send(request, answer, {**self._usual(), **headers}, close=not request.content.is_eof())
        return response

    def _usual(self, name: str = "") -> dict[str, str]:
        """The headers that every answer has; the date is the session's own."""
        second = int(self.clock.now(name))
        if second != self._dated[0]:
            self._dated = (second, clock.http_date(second))
        return {"Date": self._dated[1], "Server": "image-api-emulator"}

    def _request_id(self, name: str, number: int) -> str:
        """An id that depends on seed, session and number alone, so that a run repeats."""
        parts = f"{self.settings.seed}\n{name}\n{number}".encode()
        return "req_" + hashlib.blake2b(parts, digest_size=16).hexdigest()


async def _preflight(request: web.BaseRequest) -> Reply:
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
    return Reply(204, headers, (b"",))


def _session_name(raw: RawCall, prefix: str | None, key: str | None, marks: bool) -> tuple[str, Problem | None]:
    """The session of a call; one whose own name for it cannot be used is refused in nobody's session."""
    try:
        return session.name_of(raw, prefix, key, marks), None
    except Problem as problem:
        return session.NOBODYS, problem


def _with_headers(answer: Reply, usual: dict[str, str], scripted: tuple[tuple[str, str], ...]) -> Reply:
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
    from emulator import script  # a server without a script need not load what reads one

    return script.Watched(name).current


def _good_keys(path: str | None) -> frozenset[str] | None:
    """The keys that the file at `path` lists, one a line; lines that start with # are comments."""
    if path is None:
        return None
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise files.BadFile(f"--keys {path!r}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
    keys = frozenset(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise files.BadFile(f"--keys {path!r}: no key is listed, so no call could pass")
    return keys


_FAILED: Final = (
    b'{"error":{"message":"The emulator failed; its log says why.","type":"server_error","param":null,"code":null}}'
)
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Request-Id, X-Emulator-Finding, ETag, Content-Range, Retry-After",
}
