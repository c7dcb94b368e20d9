"""The emulator's own paths, /_emulator/…: the table of routes, and how a request finds its function.

openapi.yaml describes each path; spec.py validates requests by it. What a function does is in server_api.py,
sessions_api.py, state_api.py, docs_api.py and page.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import unquote

from emulator.admin import docs_api, page, server_api, sessions_api, state_api
from emulator.admin.auth import AccessDenied
from emulator.admin.errors import AdminError
from emulator.admin.request import (
    PREFIX,
    AdminContext,
    AdminFunction,
    AdminRequest,
    Stream,
    build_error_response,
    refuse_store_lost,
)
from emulator.core.light_dataclass import dataclass
from emulator.messages import Request, Response
from emulator.session.redaction import redact_keys
from emulator.session.store import StoreLost

log = logging.getLogger("emulator")
BodyType = Literal["none", "json", "own"]


@dataclass(frozen=True)
class AdminRoute:
    """A method and a path, and the function that answers it.

    `body` is none, json (validated by openapi.yaml), or own: the function reads the body itself.
    """

    method: str
    path: str
    function: AdminFunction
    body: BodyType = "none"


ROUTES: Final = (
    AdminRoute("GET", "/health", server_api.get_health),
    AdminRoute("GET", "/settings", server_api.get_settings),
    AdminRoute("GET", "/gateways", server_api.list_gateways),
    AdminRoute("GET", "/scenarios", server_api.list_scenarios),
    AdminRoute("GET", "/findings", server_api.list_findings),
    AdminRoute("GET", "/findings/{code}", server_api.get_finding),
    AdminRoute("GET", "/sessions", sessions_api.list_sessions),
    AdminRoute("GET", "/sessions/{id}", sessions_api.get_session),
    AdminRoute("DELETE", "/sessions/{id}", sessions_api.forget_session),
    AdminRoute("POST", "/sessions/{id}/reset", sessions_api.reset_session),
    AdminRoute("GET", "/sessions/{id}/settings", sessions_api.get_settings),
    AdminRoute("PUT", "/sessions/{id}/settings", sessions_api.change_settings, "json"),
    AdminRoute("GET", "/sessions/{id}/scenario", sessions_api.get_scenario),
    AdminRoute("PUT", "/sessions/{id}/scenario", sessions_api.play_scenario, "own"),
    AdminRoute("DELETE", "/sessions/{id}/scenario", sessions_api.drop_scenario),
    AdminRoute("GET", "/sessions/{id}/state", state_api.get_state),
    AdminRoute("PUT", "/sessions/{id}/state", state_api.put_state, "own"),
    AdminRoute("GET", "/sessions/{id}/calls", sessions_api.list_calls),
    AdminRoute("GET", "/sessions/{id}/calls/{number}", sessions_api.get_call),
    AdminRoute("GET", "/sessions/{id}/calls/{number}/code/{kind}", sessions_api.get_code),
    AdminRoute("POST", "/sessions/{id}/calls/{number}/replay", sessions_api.replay_call, "json"),
    AdminRoute("GET", "/sessions/{id}/calls/{number}/pictures/{index}", sessions_api.get_picture),
    AdminRoute("GET", "/sessions/{id}/uploads/{digest}", sessions_api.get_upload),
    AdminRoute("POST", "/sessions/{id}/verify", sessions_api.verify_calls, "json"),
    AdminRoute("POST", "/portability", sessions_api.check_portability, "json"),
    AdminRoute("GET", "/coverage", server_api.get_coverage),
    AdminRoute("GET", "/clock", server_api.get_clock),
    AdminRoute("POST", "/clock", server_api.move_clock, "json"),
    AdminRoute("GET", "/events", server_api.stream_events),
    AdminRoute("GET", "/metrics", server_api.get_metrics),
    AdminRoute("GET", "/openapi.json", server_api.get_openapi),
    AdminRoute("GET", "/docs", docs_api.list_docs),
    AdminRoute("GET", "/docs/{page}", docs_api.get_doc),
    AdminRoute("GET", "/llms.txt", docs_api.get_llms),
    AdminRoute("GET", "/", page.get_page),
    AdminRoute("GET", "/inspector.js", page.get_script),
    AdminRoute("GET", "/inspector.css", page.get_style),
    AdminRoute("POST", "/login", page.log_in, "json"),
)
"""Every path below PREFIX; openapi.yaml describes the same ones."""

_HEALTH: Final = "/health"  # answered to anybody: a container's health check has no token, and asks under any host


class AdminApi:
    """Answers the requests for the own paths of one server."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def answer(self, request: Request) -> Response | Stream:
        """Return the answer to a request whose path begins with PREFIX."""
        path = "/" + request.path.removeprefix(PREFIX).strip("/")
        try:
            if path != _HEALTH:
                self._context.auth.check(request.headers, needs_token=path not in _PUBLIC)
            route, path_params = _find_route(request, path)
            return await route.function(await self._validate(request, route, path_params))
        except AccessDenied as denied:
            headers: tuple[tuple[str, str], ...] = ()
            if denied.status == 401:
                headers = (("WWW-Authenticate", 'Bearer realm="emulator"'),)
            return build_error_response(denied.status, str(denied), headers)
        except AdminError as error:
            headers = ()
            if error.allow is not None:
                headers = (("Allow", error.allow),)
            return build_error_response(error.status, str(error), headers, error.param)
        except StoreLost as error:
            return refuse_store_lost(str(error))
        except Exception:  # a bug of ours; it is answered here because the answer further out allows every web page
            log.exception("%s %s failed", request.method, redact_keys(path[:200]))
            return build_error_response(500, "the emulator failed; its log says why")

    async def _validate(self, request: Request, route: AdminRoute, path_params: Mapping[str, str]) -> AdminRequest:
        """Return the request, validated by the description; raises AdminError."""
        if request.trouble is not None:
            raise _explain_trouble(request)
        if request.duplicates:
            key = request.duplicates[0][:100]
            raise AdminError(400, f"{key!r} is given twice in the body", key)
        if route.body == "none" and request.body not in (b"", b"{}"):
            raise AdminError(400, f"{route.method} {PREFIX}{route.path} takes no body")
        query: Mapping[str, Any] = {}
        body: Mapping[str, Any] = {}
        if request.query or route.body == "json":
            query, body = await asyncio.to_thread(self._validate_by_spec, request, route)  # the first reads the file
        return AdminRequest(
            context=self._context, request=request, path_params=path_params, query=query, body=body
        )  # fmt: skip

    def _validate_by_spec(self, request: Request, route: AdminRoute) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the values of the query and of the body."""
        spec, path = self._context.spec, PREFIX + route.path
        query = spec.parse_query(route.method, path, request.query)
        if route.body != "json":
            return query, {}
        return query, spec.validate_body(route.method, path, _read_json(request))


def _find_route(request: Request, path: str) -> tuple[AdminRoute, Mapping[str, str]]:
    """Return the route of a request, and the variable parts of its path; raises AdminError where there is none."""
    method = request.method
    if method == "HEAD":  # the answer to GET, of which only the head is sent
        method = "GET"
    methods: list[str] = []
    for route in ROUTES:
        path_params = _match_path(route.path, path)
        if path_params is None:
            continue
        if route.method == method:
            return route, path_params
        methods.append(route.method)
        if route.method == "GET":
            methods.append("HEAD")
    if not methods:
        raise AdminError(404, f"{request.path[:200]} is not here; GET {PREFIX}/openapi.json describes what is")
    allow = ", ".join(methods)
    raise AdminError(405, f"{request.method[:20]} is not possible here; expected one of {allow}", allow=allow)


def _match_path(pattern: str, path: str) -> Mapping[str, str] | None:
    """Return the parts of `path` at the {names} of `pattern`; None where the path is another one."""
    names, parts = pattern.split("/"), path.split("/")
    if len(names) != len(parts):
        return None
    found = {}
    for name, part in zip(names, parts, strict=True):
        if name.startswith("{"):
            found[name[1:-1]] = unquote(part)
        elif name != part:
            return None
    return found


def _read_json(request: Request) -> Any:
    """Return the JSON in a request's body; an empty body is an empty object."""
    if not request.body:
        return {}
    content_type = request.headers.get("Content-Type", "")
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise AdminError(400, f"Content-Type is {content_type[:100]!r}; expected application/json")
    return request.json


def _explain_trouble(request: Request) -> AdminError:
    """Return the error for a body that could not be read."""
    if request.trouble == "bad_json":
        return AdminError(400, f"the body is no JSON: {request.why}")
    if request.trouble == "too_large" and request.path.endswith("/state"):
        return AdminError(413, f"the state is larger than {state_api.STATE_LIMIT} bytes")
    status, message = _TROUBLES.get(str(request.trouble), (400, f"the body cannot be read ({request.trouble})"))
    return AdminError(status, message)


_PUBLIC: Final = frozenset({"/", "/inspector.js", "/inspector.css", "/login"})
"""The paths that need no token, beside health: nothing in their answers is about a call."""
_TROUBLES: Final[Mapping[str, tuple[int, str]]] = {
    "too_large": (413, "the body is larger than 1 MiB"),
    "slow_body": (408, "the body was not complete in time"),
    "cut_body": (400, "the body breaks off, or is not compressed as its Content-Encoding says"),
    "content_encoding": (400, "unknown Content-Encoding; expected gzip, deflate or none"),
}
