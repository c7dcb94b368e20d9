"""The emulator's own paths, /_emulator/…: who may ask, which way is meant, and whether it is asked rightly.

They show what clients sent, so the guard stands before every one of them. What is done is in *admin_server* and
*admin_sessions*; admin.yaml describes it to people, and to *manual*, which holds requests against it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote

from emulator.admin import server_api as server
from emulator.admin import sessions_api as sessions
from emulator.admin.auth import Stranger
from emulator.admin.request import PREFIX, AdminContext, Asked, Function, Stream, Wrong, refused
from emulator.core import strict_json
from emulator.core.strict_json import BadJson
from emulator.messages import Request, Response

log = logging.getLogger("emulator")
Body = Literal["none", "json", "own"]


@dataclass(frozen=True)
class Way:
    """A way that can be gone: its function, and whether it takes a JSON body or one that it reads on its own."""

    method: str
    path: str
    function: Function
    body: Body = "none"


class Admin:
    """The emulator's own paths of one server."""

    def __init__(self, rooms: AdminContext) -> None:
        self._rooms = rooms

    async def answer(self, request: Request) -> Response | Stream:
        """The reply to a request for a path that starts with PREFIX."""
        path = "/" + request.path.removeprefix(PREFIX).strip("/")
        try:
            self._rooms.guard.examine(request.headers, public=path == "/health")
            way, names = _way(request, path)
            return await way.function(self._rooms, await self._asked(request, way, names))
        except Stranger as stranger:
            known = (("WWW-Authenticate", 'Bearer realm="emulator"'),) if stranger.status == 401 else ()
            return refused(stranger.status, str(stranger), known)
        except Wrong as wrong:
            return refused(wrong.status, str(wrong), (("Allow", wrong.allow),) if wrong.allow else (), wrong.param)
        except Exception:  # a bug of ours: said here, for what answers the others' bugs is open to web pages
            log.exception("%s %s failed", request.method, path[:200])
            return refused(500, "the emulator failed; its log says why")

    async def _asked(self, request: Request, way: Way, names: Mapping[str, str]) -> Asked:
        """What is asked, held against the description; raises Wrong."""
        if request.trouble is not None:
            raise Wrong(*_trouble(request))
        if request.duplicates:
            raise Wrong(400, f"{request.duplicates[0][:100]!r} is given twice in the body", request.duplicates[0][:100])
        if way.body == "none" and request.body not in (b"", b"{}"):
            raise Wrong(400, f"{way.method} {PREFIX}{way.path} takes no body")
        if not request.query and way.body != "json":
            return Asked(request, names, {}, {})
        return await asyncio.to_thread(self._held, request, way, names)  # the first one reads the description

    def _held(self, request: Request, way: Way, names: Mapping[str, str]) -> Asked:
        from emulator.admin.spec import Unfit

        spec, path = self._rooms.spec, PREFIX + way.path
        try:
            query = spec.query(way.method, path, request.query)
            body = spec.body(way.method, path, _json(request)) if way.body == "json" else {}
        except Unfit as error:
            raise Wrong(400, str(error), error.param) from None
        return Asked(request, names, query, body)


def _way(request: Request, path: str) -> tuple[Way, Mapping[str, str]]:
    """The way that `raw` means, and the names in its path; raises Wrong where there is none."""
    method = "GET" if request.method == "HEAD" else request.method
    leading = [(way, names) for way in WAYS if (names := _names(way.path, path)) is not None]
    for way, names in leading:
        if way.method == method:
            return way, names
    if not leading:
        raise Wrong(404, f"{request.path[:200]} is not here; GET {PREFIX}/openapi.json describes what is")
    methods = {way.method: None for way, _ in leading}
    allow = ", ".join(word for one in methods for word in (("GET", "HEAD") if one == "GET" else (one,)))
    raise Wrong(405, f"{request.method[:20]} is not possible here; expected one of {allow}", allow=allow)


def _names(pattern: str, path: str) -> Mapping[str, str] | None:
    """What stands in `path` for the {names} of `pattern`; None where it is no such path."""
    wanted, given = pattern.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    found = {}
    for want, part in zip(wanted, given, strict=True):
        if want[:1] == "{":
            found[want[1:-1]] = unquote(part)
        elif want != part:
            return None
    return found


def _json(request: Request) -> Any:
    """The JSON in a request's body; an empty body is an empty object."""
    if not request.body:
        return {}
    kind = request.headers.get("Content-Type", "")
    if kind.split(";")[0].strip().lower() != "application/json":
        raise Wrong(400, f"Content-Type is {kind[:100]!r}; expected application/json")
    return request.json


def _trouble(request: Request) -> tuple[int, str]:
    """Status and message for a body that could not be read."""
    if request.trouble == "bad_json":
        try:
            strict_json.parse_json(request.body)
        except BadJson as error:
            return 400, f"the body is no JSON: {error}"
    return _TROUBLES.get(request.trouble or "", (400, f"the body cannot be read ({request.trouble})"))


_TROUBLES: Final[Mapping[str, tuple[int, str]]] = {
    "too_large": (413, "the body is larger than 1 MiB"),
    "slow_body": (408, "the body was not complete in time"),
    "cut_body": (400, "the body breaks off, or is not compressed as its Content-Encoding says"),
    "content_encoding": (400, "unknown Content-Encoding; expected gzip, deflate or none"),
}
WAYS: Final = (
    Way("GET", "/health", server.health),
    Way("GET", "/gateways", server.gateways),
    Way("GET", "/scenarios", server.scenarios),
    Way("GET", "/findings", server.findings),
    Way("GET", "/findings/{code}", server.finding),
    Way("GET", "/sessions", sessions.sessions),
    Way("GET", "/sessions/{id}", sessions.session),
    Way("DELETE", "/sessions/{id}", sessions.forget),
    Way("POST", "/sessions/{id}/reset", sessions.reset),
    Way("GET", "/sessions/{id}/settings", sessions.show_settings),
    Way("PUT", "/sessions/{id}/settings", sessions.change_settings, "json"),
    Way("GET", "/sessions/{id}/scenario", sessions.show_scenario),
    Way("PUT", "/sessions/{id}/scenario", sessions.play_scenario, "own"),
    Way("DELETE", "/sessions/{id}/scenario", sessions.drop_scenario),
    Way("GET", "/sessions/{id}/calls", sessions.calls),
    Way("GET", "/sessions/{id}/calls/{number}", sessions.call),
    Way("GET", "/sessions/{id}/calls/{number}/pictures/{index}", sessions.picture),
    Way("GET", "/sessions/{id}/uploads/{digest}", sessions.upload),
    Way("POST", "/sessions/{id}/verify", sessions.verify, "json"),
    Way("POST", "/portability", sessions.hold, "json"),
    Way("GET", "/clock", server.show_clock),
    Way("POST", "/clock", server.move_clock, "json"),
    Way("GET", "/events", server.listen),
    Way("GET", "/metrics", server.show_metrics),
    Way("GET", "/openapi.json", server.openapi),
)
"""What can be asked; admin.yaml describes each."""
