"""The emulator's own paths, /_emulator/…: health, sessions and their calls.

They show what clients sent, so they answer only to this machine's own tools: a foreign Host or Origin is refused, which
keeps web pages out even when they rebind a name to this address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from urllib.parse import urlsplit

from emulator import clock, jsontext
from emulator.dialect import Dialect
from emulator.exchange import Reply
from emulator.journal import Entry
from emulator.memory import Memory
from emulator.session import LATEST

PREFIX: Final = "/_emulator"


class Admin:
    """The emulator's own paths of one server; `hosts` are names beside loopback under which it may be asked."""

    def __init__(self, memory: Memory[Entry], dialects: Mapping[str, Dialect], hosts: Sequence[str]) -> None:
        self._memory = memory
        self._dialects = dialects
        self._hosts = _LOOPBACK | {host.lower() for host in hosts}

    async def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Reply:
        """The reply to a request for `path`, which starts with PREFIX."""
        if stranger := self._stranger(headers):
            return _error(403, stranger)
        if method not in ("GET", "HEAD"):
            return _error(405, f"{method} is not possible here; GET is", (("Allow", "GET, HEAD"),))
        match path.removeprefix(PREFIX).strip("/").split("/"):
            case ["health"]:
                return _json(200, {"status": "ok", "version": _version(), "gateways": sorted(self._dialects)})
            case ["sessions"]:
                return await self._sessions()
            case ["sessions", name, "calls"]:
                return await self._calls(name, None)
            case ["sessions", name, "calls", "latest"]:
                return await self._calls(name, "latest")
        return _error(404, f"{path[:200]} is not here; known are {', '.join(_KNOWN)}")

    async def _sessions(self) -> Reply:
        known = await self._memory.sessions()
        shown = [asdict(one) | {"began": clock.iso(one.began), "used": clock.iso(one.used)} for one in reversed(known)]
        return _json(200, {"sessions": shown})

    async def _calls(self, name: str, which: str | None) -> Reply:
        if name == LATEST:
            known = await self._memory.sessions()
            name = known[-1].name if known else name
        entries = await self._memory.entries(name)
        if entries is None:
            return _error(404, f"no session {name[:80]!r}; GET {PREFIX}/sessions lists them", param="session")
        if which is None:
            return await asyncio.to_thread(_listed, name, entries)  # a large journal takes its time
        if not entries:
            return _error(404, f"session {name!r} has no finished call", param="session")
        return await asyncio.to_thread(_shown, entries[-1])

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
_KNOWN: Final = tuple(
    PREFIX + path for path in ("/health", "/sessions", "/sessions/{id}/calls", "/sessions/{id}/calls/latest")
)
