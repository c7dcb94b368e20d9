"""The ways of /_emulator/sessions: what each session is, what it plays, what it was asked, and whether as expected.

Each is a function of the rooms and of what was asked; the table in *admin* says where each stands. A large journal is
shown and judged beside the loop, so that no call waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from emulator.admin.request import KEPT_BY_NOBODY, PREFIX, AdminContext, Asked, Wrong, told
from emulator.admin.server_api import session_of
from emulator.core import clock, yaml_file
from emulator.gateway.calendar import Calendar
from emulator.messages import Response
from emulator.session.journal import Entry
from emulator.session.store import Summary

if TYPE_CHECKING:
    from emulator.scenario.scenario import Scenario


async def sessions(rooms: AdminContext, asked: Asked) -> Response:
    """A page of the sessions, the one used last first."""
    known = list(reversed(await rooms.sessions.known()))
    if (after := asked.query.get("after")) is not None:
        place = next((index for index, one in enumerate(known) if one.name == after), None)
        if place is None:
            raise Wrong(404, "after names no session that is remembered; begin anew without it", "after")
        known = known[place + 1 :]
    page = known[: asked.query.get("limit", USUAL_LIMIT)]
    following = page[-1].name if len(page) < len(known) else None
    return told({"sessions": [_summary(one) for one in page], "next": following})


async def session(rooms: AdminContext, asked: Asked) -> Response:
    """One session."""
    name = await _name(rooms, asked)
    found = await _found(rooms, name)
    playing = await rooms.sessions.playing(name)
    return told({**_summary(found), "scenario": playing.name, "settings": await _settings(rooms, name)})


async def forget(rooms: AdminContext, asked: Asked) -> Response:
    """Forget all of a session; one that never began is forgotten already."""
    name = await _name(rooms, asked)
    await rooms.sessions.forget(name)
    return told({"session": name})


async def reset(rooms: AdminContext, asked: Asked) -> Response:
    """Forget a session's calls, and begin its numbers and its scenario anew."""
    name = await _name(rooms, asked)
    await rooms.sessions.reset(name)
    return told({"session": name, "calls": 0})


async def show_settings(rooms: AdminContext, asked: Asked) -> Response:
    """What holds for a session."""
    name = await _name(rooms, asked)
    return told({"session": name, **await _settings(rooms, name)})


async def change_settings(rooms: AdminContext, asked: Asked) -> Response:
    """Let other settings hold for a session; null is what the server has."""
    name = await _name(rooms, asked)
    await rooms.sessions.set(name, **asked.body)
    return told({"session": name, **await _settings(rooms, name)})


async def show_scenario(rooms: AdminContext, asked: Asked) -> Response:
    """What a session plays."""
    return await _playing(rooms, await _name(rooms, asked))


async def play_scenario(rooms: AdminContext, asked: Asked) -> Response:
    """Let a session play a scenario from its beginning."""
    name = await _name(rooms, asked)
    await rooms.sessions.play(name, await asyncio.to_thread(_scenario, asked))
    return await _playing(rooms, name)


async def drop_scenario(rooms: AdminContext, asked: Asked) -> Response:
    """Let a session play the server's own scenario again."""
    name = await _name(rooms, asked)
    await rooms.sessions.play(name, None)
    return await _playing(rooms, name)


async def calls(rooms: AdminContext, asked: Asked) -> Response:
    """A page of a session's calls, the oldest first, or of those that the query picks."""
    name = await _name(rooms, asked)
    return await asyncio.to_thread(_page, name, await _entries(rooms, name), asked.query)


async def call(rooms: AdminContext, asked: Asked) -> Response:
    """One call, by its number or as the latest."""
    return await asyncio.to_thread(_shown, await _call(rooms, asked))


async def picture(rooms: AdminContext, asked: Asked) -> Response:
    """The file of a picture that a call got, drawn once more."""
    entry, index = await _call(rooms, asked), asked.names["index"]
    recipes = entry.response.pictures if entry.response else ()
    recipe = next((one for place, one in enumerate(recipes) if str(place) == index), None)
    if recipe is None or not rooms.image_store.can_draw(recipe):
        raise Wrong(404, f"call {entry.number} of session {entry.session!r} has no picture {index[:20]}", "index")
    headers = (("Content-Type", f"image/{recipe.served_as}"), ("Cache-Control", "no-store"))
    return Response(200, headers, ((await rooms.image_store.draw(recipe)).data,))


async def upload(rooms: AdminContext, asked: Asked) -> Response:
    """A file that a call of the session brought, by its SHA-256, as long as it is kept."""
    name, digest = await _name(rooms, asked), asked.names["digest"].lower()
    brought = (one for entry in await _entries(rooms, name) for one in entry.request.uploads)
    found = next((one for one in brought if one.look is not None and one.look.sha256 == digest), None)
    data = None if found is None else rooms.image_store.find_upload(digest)
    if found is None or data is None:
        why = f"session {name!r} has no upload {digest[:64]!r}" if found is None else "the upload is not kept any more"
        raise Wrong(404, why, "digest")
    kind = f"image/{found.look.format}" if found.look and found.look.format else "application/octet-stream"
    headers = (("Content-Type", kind), *KEPT_BY_NOBODY, ("Content-Disposition", "attachment"))
    return Response(200, headers, (data,))


async def _call(rooms: AdminContext, asked: Asked) -> Entry:
    """The call in the path, by its number or as the latest."""
    name, number = await _name(rooms, asked), asked.names["number"]
    entries = await _entries(rooms, name)
    if number == "latest":
        found = max(entries, key=_number, default=None)
    else:
        found = next((entry for entry in reversed(entries) if str(entry.number) == number), None)
    if found is None:
        which = "finished call" if number == "latest" else f"call {number[:20]} in its journal"
        raise Wrong(404, f"session {name!r} has no {which}", "number")
    return found


async def verify(rooms: AdminContext, asked: Asked) -> Response:
    """Whether the calls of a session are those that were expected; a session that never began has none."""
    from emulator.session import verification  # loaded with the first question

    name = await _name(rooms, asked)
    try:
        expected = verification.read(asked.body)
    except ValueError as error:
        raise Wrong(400, str(error)) from None
    unused = await verification.unused(await rooms.sessions.playing(name), rooms.memory, name)
    summary = await _summary_of(rooms, name)
    entries = await rooms.sessions.calls(name) or ()
    verdict = await asyncio.to_thread(
        expected.schema_validator, entries, unused, forgotten=summary.dropped if summary else 0
    )
    return told(asdict(verdict))


async def hold(rooms: AdminContext, asked: Asked) -> Response:
    """Which gateways would take the calls of a session, or calls that were sent here, and why not."""
    from emulator.analysis import portability  # loaded with the first question

    if "calls" in asked.body:
        requests = portability.parse_requests(asked.body["calls"])
    else:
        requests = portability.read_journal(await _entries(rooms, await session_of(rooms, asked.body["session"])))
    channels, today = frozenset(rooms.settings.channels), Calendar(rooms.clock.today(), rooms.settings.legacy)
    return await asyncio.to_thread(
        lambda: told(asdict(portability.check_portability(requests, rooms.sides, channels, today)))
    )


async def _name(rooms: AdminContext, asked: Asked) -> str:
    """The session in the path."""
    return await session_of(rooms, asked.names["id"], bad=404)


async def _summary_of(rooms: AdminContext, name: str) -> Summary | None:
    return next((one for one in await rooms.sessions.known() if one.name == name), None)


async def _found(rooms: AdminContext, name: str) -> Summary:
    """The session `name`; raises Wrong where it never began, or is forgotten."""
    found = await _summary_of(rooms, name)
    if found is None:
        raise Wrong(404, f"no session {name!r}; GET {PREFIX}/sessions lists them", "session")
    return found


async def _entries(rooms: AdminContext, name: str) -> Sequence[Entry]:
    entries = await rooms.sessions.calls(name)
    if entries is None:
        raise Wrong(404, f"no session {name!r}; GET {PREFIX}/sessions lists them", "session")
    return entries


async def _settings(rooms: AdminContext, name: str) -> Mapping[str, Any]:
    """What holds for a session: its own wish, else the server's."""
    own = asdict(await rooms.sessions.settings(name))
    return {key: getattr(rooms.settings, key) if value is None else value for key, value in own.items()}


async def _playing(rooms: AdminContext, name: str) -> Response:
    from emulator.session import verification

    playing = await rooms.sessions.playing(name)
    rules = [{"name": rule.name, "answers": rule.length, "then": rule.then} for rule in playing.rules]
    unused = [asdict(one) for one in await verification.unused(playing, rooms.memory, name)]
    return told({
        "session": name, "scenario": playing.name, "about": playing.about, "rules": rules, "unused": unused,
    })  # fmt: skip


def _scenario(asked: Asked) -> Scenario:
    """The scenario in a request's body, as YAML or JSON; a `scenario` without rules is a ready-made one's name."""
    from emulator.scenario import loader  # loaded with the first script

    request = asked.request
    if request.headers.get("Content-Type", "").split(";")[0].strip().lower() not in _SCENARIO_TYPES:
        raise Wrong(400, f"a scenario comes as {' or '.join(_SCENARIO_TYPES)}")
    try:
        if (
            isinstance(request.json, Mapping)
            and set(request.json) == {"scenario"}
            and isinstance(request.json["scenario"], str)
        ):
            name, shelf = request.json["scenario"], loader.list_ready_made()
            if name not in shelf:  # a file's name is not taken from the network
                raise Wrong(400, f"no ready-made scenario {name[:100]!r}; those are {', '.join(shelf)}", "scenario")
            return loader.find_scenario(name)
        return loader.parse_scenario(request.body.decode("utf-8"), "scenario")
    except (yaml_file.InvalidFile, UnicodeDecodeError) as error:
        raise Wrong(400, str(error)) from None


def _page(name: str, entries: Sequence[Entry], query: Mapping[str, Any]) -> Response:
    """The calls that `query` picks, from the one behind `after` on."""
    picked = [entry for entry in entries if entry.number > query.get("after", 0) and _is_meant(entry, query)]
    picked.sort(key=_number)
    page = picked[: query.get("limit", USUAL_LIMIT)]
    following = page[-1].number if len(page) < len(picked) else None
    return told({"session": name, "calls": [entry.view() for entry in page], "next": following})


def _is_meant(entry: Entry, query: Mapping[str, Any]) -> bool:
    """Whether all that `query` says of a call is true of `entry`."""
    return all(_PICKED[key](entry, wanted) for key, wanted in query.items() if key in _PICKED)


def _is_refused(entry: Entry, wanted: str) -> bool:
    error = entry.error
    if wanted in ("true", "false"):
        return (error is not None) == (wanted == "true")
    return error is not None and wanted in (error.kind, error.violation)


def _shown(entry: Entry) -> Response:
    return told(entry.view())


def _summary(one: Summary) -> Mapping[str, Any]:
    return {
        "name": one.name,
        "calls": one.calls,
        "kept": one.kept,
        "began": clock.format_iso(one.began),
        "used": clock.format_iso(one.used),
    }


def _number(entry: Entry) -> int:
    return entry.number


USUAL_LIMIT: Final = 100  # of a page
_SCENARIO_TYPES: Final = ("application/json", "application/yaml")
_PICKED: Final = {
    "gateway": lambda entry, wanted: entry.gateway.name == wanted,
    "operation": lambda entry, wanted: entry.operation == wanted,
    "model": lambda entry, wanted: entry.model == wanted,
    "status": lambda entry, wanted: entry.response is not None and entry.response.status == wanted,
    "rule": lambda entry, wanted: entry.choice is not None and entry.choice.rule == wanted,
    "finding": lambda entry, wanted: any(finding.code == wanted for finding in entry.findings),
    "request_id": lambda entry, wanted: entry.request_id == wanted,
    "refused": _is_refused,
}
"""What a page of calls can be picked by."""
