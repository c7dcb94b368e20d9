"""The functions of /_emulator/sessions/{id}/state: what a session remembers, out and in again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from emulator.admin.errors import AdminError
from emulator.admin.request import PREFIX, AdminRequest, build_json_response, build_response
from emulator.admin.server_api import resolve_session
from emulator.core import strict_json
from emulator.messages import Request, Response

if TYPE_CHECKING:
    from emulator.session.state import LoadedState

STATE_LIMIT: Final = 64 * 2**20
"""Bytes of a state: by default all journals have 16 MiB, and all uploads, in Base64, 43."""


async def get_state(request: AdminRequest) -> Response:
    """The state of a session."""
    from emulator.session import state  # imported when it is first needed

    context = request.context
    name = await resolve_session(context, request.path_params["id"], invalid_status=404)
    with_files = request.query.get("files", "true") == "true"
    document = await state.collect_state(context.store, [name], with_files)
    if not document["sessions"]:
        raise AdminError(404, f"no session {name!r}; GET {PREFIX}/sessions lists them", "session")
    text = await asyncio.to_thread(strict_json.format_json, document)
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > STATE_LIMIT:
        raise AdminError(409, f"the state has more than {STATE_LIMIT} bytes; files=false leaves uploads out", "files")
    return build_response("application/json", data)


async def put_state(request: AdminRequest) -> Response:
    """Let a session be as a state says, whatever it was before."""
    from emulator.session import state

    context = request.context
    name = await resolve_session(context, request.path_params["id"], invalid_status=404)
    try:
        loaded = await asyncio.to_thread(_read_state, request.request, name)
    except state.BadState as error:
        raise AdminError(400, str(error)) from None
    await state.restore_sessions(loaded, context.sessions, context.store, context.clock)
    context.events.publish_reset(name)
    kept = loaded.sessions[0].state
    return build_json_response({"session": name, "calls": kept.calls, "kept": len(kept.journal)})


def _read_state(request: Request, name: str) -> LoadedState:
    """Return the state in a request's body, for the session `name`; raises BadState and AdminError."""
    content_type = request.headers.get("Content-Type", "")
    if content_type.split(";")[0].strip().lower() != "application/json":
        raise AdminError(400, f"Content-Type is {content_type[:100]!r}; expected application/json")
    try:
        document, duplicates = strict_json.parse_json(request.body, strict_json.MOST_STORED_VALUES)
    except strict_json.BadJson as error:
        raise AdminError(400, f"the body is no JSON: {error}") from None
    if duplicates:
        raise AdminError(400, f"{duplicates[0][:100]!r} is given twice in the body", duplicates[0][:100])
    from emulator.session import state

    loaded = state.parse_state(document, name)
    if len(loaded.sessions) != 1:
        raise state.BadState(f"the state has {len(loaded.sessions)} sessions; expected one")
    return loaded
