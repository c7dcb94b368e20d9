"""The emulator's own paths, /_emulator/…: health, sessions with their calls and scenarios, and the clock.

They show what clients sent, so they answer only to this machine's own tools: a foreign Host or Origin is refused, which
keeps web pages out even when they rebind a name to this address.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from emulator import clock, dice, files, jsontext
from emulator.clock import Clock
from emulator.exchange import RawCall, Reply
from emulator.journal import Entry
from emulator.scenario import Scenario
from emulator.session import LATEST, Sessions, can_name

PREFIX: Final = "/_emulator"


class Admin:
    """The emulator's own paths of one server; `hosts` are names beside loopback under which it may be asked."""

    def __init__(self, sessions: Sessions, clock: Clock, about: Mapping[str, Any], hosts: Sequence[str]) -> None:
        """`about` is what /health tells beside its status."""
        self._sessions = sessions
        self._clock = clock
        self._about = about
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}

    async def answer(self, raw: RawCall) -> Reply:
        """The reply to a request for a path that starts with PREFIX."""
        if stranger := self._stranger(raw.headers):
            return _error(403, stranger)
        path = raw.path.removeprefix(PREFIX).strip("/")
        method = "GET" if raw.method == "HEAD" else raw.method
        try:
            answer = await (self._read(path) if method == "GET" else self._change(method, path, raw))
        except _BadRequest as error:
            return _error(400, str(error))
        if answer is not None:
            return answer
        possible = [way.split()[0] for way in WAYS if _leads(way, path)]
        if possible:
            words = ", ".join(possible)
            return _error(405, f"{raw.method} is not possible here; {words} is", (("Allow", words),))
        return _error(404, f"{raw.path[:200]} is not here; known are {'; '.join(WAYS)}")

    async def _read(self, path: str) -> Reply | None:
        """What a GET of `path` shows; None if there is nothing to GET."""
        match path.split("/"):
            case ["health"]:
                return _json(200, {"status": "ok", "version": _version(), **self._about})
            case ["sessions"]:
                return await self._list()
            case ["sessions", name, "calls"]:
                return await self._calls(await self._real(name), whole=True)
            case ["sessions", name, "calls", "latest"]:
                return await self._calls(await self._real(name), whole=False)
            case ["sessions", name, "scenario"]:
                return await self._playing(await self._real(name))
        return None

    async def _change(self, method: str, path: str, raw: RawCall) -> Reply | None:
        """What another method does to `path`; None if it can do nothing."""
        match method, *path.split("/"):
            case "PUT", "sessions", name, "scenario":
                name = await self._target(name)
                await self._sessions.play(name, _scenario(raw))
                return await self._playing(name)
            case "DELETE", "sessions", name, "scenario":
                name = await self._target(name)
                await self._sessions.play(name, None)
                return await self._playing(name)
            case "POST", "sessions", name, "reset":
                name = await self._target(name)
                await self._sessions.reset(name)
                return _json(200, {"session": name, "calls": 0})
            case "POST", "clock":
                return await self._advance(_mapping(raw, ("advance", "session")))
        return None

    async def _real(self, name: str) -> str:
        """`name`, or for `latest` the name of the session used last."""
        known = await self._sessions.known() if name == LATEST else ()
        return known[-1].name if known else name

    async def _target(self, name: str) -> str:
        """The session that a change is about; raises _BadRequest where none can be called so."""
        name = await self._real(name)
        if not can_name(name):
            raise _BadRequest(f"{name[:80]!r} cannot name a session")
        return name

    async def _list(self) -> Reply:
        known = await self._sessions.known()
        shown = [asdict(one) | {"began": clock.iso(one.began), "used": clock.iso(one.used)} for one in reversed(known)]
        return _json(200, {"sessions": shown})

    async def _calls(self, name: str, whole: bool) -> Reply:
        entries = await self._sessions.calls(name)
        if entries is None:
            return _error(404, f"no session {name[:80]!r}; GET {PREFIX}/sessions lists them", param="session")
        if whole:
            return await asyncio.to_thread(_listed, name, entries)  # a large journal takes its time
        if not entries:
            return _error(404, f"session {name!r} has no finished call", param="session")
        return await asyncio.to_thread(_shown, entries[-1])

    async def _playing(self, name: str) -> Reply:
        playing = await self._sessions.playing(name)
        rules = [{"name": rule.name, "answers": rule.length, "then": rule.then} for rule in playing.rules]
        return _json(200, {"session": name, "scenario": playing.name, "about": playing.about, "rules": rules})

    async def _advance(self, wanted: Mapping[str, Any]) -> Reply:
        """Move the clock on, of one session or of all."""
        session = wanted.get("session")
        try:
            length = dice.seconds(wanted.get("advance"))
        except ValueError as error:
            raise _BadRequest(f"advance: {error}") from None
        if not isinstance(session, str | None):
            raise _BadRequest(f"session is {files.describe(session)}; expected a name")
        session = session if session is None else await self._target(session)
        self._clock.advance(length, session)
        return _json(200, {"now": clock.iso(self._clock.now(session or "")), "session": session})

    def _stranger(self, headers: Mapping[str, str]) -> str | None:
        """Why a request is not from this machine's own tools, or None."""
        host = _host_name("//" + headers.get("Host", ""))
        if host not in self._hosts:
            return f"Host {host!r} is not allowed here; --allow-host NAME allows it"
        origin = headers.get("Origin")
        if origin is not None and _netloc(origin) != headers.get("Host", "").lower():
            return "a web page of another origin may not ask here"
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "a web page of another site may not ask here"
        return None


class _BadRequest(Exception):
    """A request that cannot be carried out; its text is one line."""


def _mapping(raw: RawCall, known: Sequence[str]) -> Mapping[str, Any]:
    """The JSON object of a request, with no other members than `known`."""
    if not isinstance(raw.json, Mapping):
        raise _BadRequest("the body is no JSON object, or its Content-Type is not application/json")
    for key in raw.json:
        if key not in known:
            raise _BadRequest(f"unknown key {key!r}; known are {', '.join(known)}")
    return raw.json


def _scenario(raw: RawCall) -> Scenario:
    """The scenario in a request's body, as YAML or JSON; a `scenario` without rules is a ready-made one's name."""
    from emulator import script  # loaded with the first script

    if raw.headers.get("Content-Type", "").split(";")[0].strip().lower() not in _SCENARIO_TYPES:
        raise _BadRequest(f"a scenario comes as {' or '.join(_SCENARIO_TYPES)}")
    try:
        if isinstance(raw.json, Mapping) and set(raw.json) == {"scenario"} and isinstance(raw.json["scenario"], str):
            name, shelf = raw.json["scenario"], script.shelf()
            if name not in shelf:  # a file's name is not taken from the network
                raise _BadRequest(f"no ready-made scenario {name!r}; those are {', '.join(shelf)}")
            return script.named(name)
        return script.parse(raw.body.decode("utf-8"), Path("scenario"))
    except (files.BadFile, UnicodeDecodeError) as error:
        raise _BadRequest(str(error)) from None


def _leads(way: str, path: str) -> bool:
    """Whether a line of WAYS is about `path`."""
    pattern = way.split(PREFIX + "/")[1].replace("{id}", "[^/]+")
    return re.fullmatch(pattern, path) is not None


def _listed(name: str, entries: Sequence[Entry]) -> Reply:
    return _json(200, {"session": name, "calls": [entry.view() for entry in entries]})


def _shown(entry: Entry) -> Reply:
    return _json(200, entry.view())


def _netloc(origin: str) -> str:
    """Host and port of an Origin header, "" where it has none (as the opaque origin `null`)."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("image-api-emulator")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


def _json(status: int, body: Any, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    kept = ("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")
    text = jsontext.compact(body).encode("utf-8", "backslashreplace")
    return Reply(status, (("Content-Type", "application/json"), *kept, *headers), (text,))


def _error(status: int, message: str, headers: tuple[tuple[str, str], ...] = (), param: str | None = None) -> Reply:
    error = {"message": message, "type": "emulator_error", "param": param, "code": None}
    return _json(status, {"error": error}, headers)


_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SCENARIO_TYPES: Final = ("application/json", "application/yaml")
WAYS: Final = (
    f"GET {PREFIX}/health",
    f"GET {PREFIX}/sessions",
    f"GET {PREFIX}/sessions/{{id}}/calls",
    f"GET {PREFIX}/sessions/{{id}}/calls/latest",
    f"GET {PREFIX}/sessions/{{id}}/scenario",
    f"PUT {PREFIX}/sessions/{{id}}/scenario",
    f"DELETE {PREFIX}/sessions/{{id}}/scenario",
    f"POST {PREFIX}/sessions/{{id}}/reset",
    f"POST {PREFIX}/clock",
)
"""What can be asked."""
