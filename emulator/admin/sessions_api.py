"""The functions of the paths below /_emulator/sessions, and portability.

The table in routes.py says which path each function answers. A large journal is filtered and written as JSON in a
thread of its own, so that no call waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from emulator.admin.errors import AdminError
from emulator.admin.request import (
    PREFIX,
    AdminContext,
    AdminRequest,
    build_json_response,
    build_response,
)
from emulator.admin.server_api import resolve_session
from emulator.core import clock, yaml_file
from emulator.core.data_folders import list_ready_made
from emulator.core.suggestions import describe_unknown, nearest_word
from emulator.gateway.model_catalog import Calendar
from emulator.gateway.parameter_names import find_texts
from emulator.image.files import MissingFile
from emulator.image.recipe import DIGEST
from emulator.messages import Response
from emulator.session.journal import JournalEntry
from emulator.session.redaction import redact_texts
from emulator.session.store import SessionSummary

if TYPE_CHECKING:
    from emulator.findings import Finding
    from emulator.scenario.scenario import Scenario
    from emulator.session.call_fields import KnownWords

USUAL_LIMIT: Final = 100  # entries on a page where the query does not say how many


# --- sessions


async def list_sessions(request: AdminRequest) -> Response:
    """A page of the sessions, the one used last first."""
    sessions = list(reversed(await request.context.sessions.list_sessions()))
    after = request.query.get("after")
    if after is not None:
        names = [session.name for session in sessions]
        if after not in names:
            raise AdminError(404, "after names no session that is remembered; begin anew without it", "after")
        sessions = sessions[names.index(after) + 1 :]
    page = sessions[: request.query.get("limit", USUAL_LIMIT)]
    following = None
    if len(page) < len(sessions):
        following = page[-1].name
    described = [_describe_session(request.context, one) for one in page]
    return build_json_response({"sessions": described, "next": following})


async def get_session(request: AdminRequest) -> Response:
    """One session."""
    context, name = request.context, await _resolve_name(request)
    summary = await _find_summary(context, name)
    if summary is None:
        raise _no_session(name)
    scenario = await context.sessions.get_scenario(name)
    settings = await _merge_settings(context, name)
    described = _describe_session(context, summary)
    return build_json_response({**described, "scenario": scenario.name, "settings": settings})


async def forget_session(request: AdminRequest) -> Response:
    """Forget everything about a session; one that never began is forgotten already."""
    name = await _resolve_name(request)
    await request.context.sessions.forget(name)
    request.context.events.publish_reset(name)
    return build_json_response({"session": name})


async def reset_session(request: AdminRequest) -> Response:
    """Forget the calls of a session, and start its numbers and its scenario again."""
    name = await _resolve_name(request)
    await request.context.sessions.reset(name)
    request.context.events.publish_reset(name)
    return build_json_response({"session": name, "calls": 0})


async def _resolve_name(request: AdminRequest) -> str:
    """The name of the session in the path."""
    return await resolve_session(request.context, request.path_params["id"], invalid_status=404)


async def _find_summary(context: AdminContext, name: str) -> SessionSummary | None:
    """What is known about a session; None where it never began, or is forgotten."""
    for summary in await context.sessions.list_sessions():
        if summary.name == name:
            return summary
    return None


def _no_session(name: str) -> AdminError:
    return AdminError(404, f"no session {name!r}; GET {PREFIX}/sessions lists them", "session")


def _describe_session(context: AdminContext, summary: SessionSummary) -> Mapping[str, Any]:
    return {
        "name": summary.name,
        "calls": summary.calls,
        "kept": summary.kept,
        "under_way": context.sessions.count_under_way(summary.name),
        "began": clock.format_iso(summary.began),
        "used": clock.format_iso(summary.used),
    }


# --- settings and scenario


async def get_settings(request: AdminRequest) -> Response:
    """The settings that count for a session."""
    name = await _resolve_name(request)
    return build_json_response({"session": name, **await _merge_settings(request.context, name)})


async def change_settings(request: AdminRequest) -> Response:
    """Change settings of a session; null restores the server's."""
    name = await _resolve_name(request)
    await request.context.sessions.change_overrides(name, **request.body)
    return build_json_response({"session": name, **await _merge_settings(request.context, name)})


async def _merge_settings(context: AdminContext, name: str) -> Mapping[str, Any]:
    """A session's own settings, and the server's where it has none of its own."""
    settings = asdict(await context.sessions.get_overrides(name))
    for key, value in settings.items():
        if value is None:
            settings[key] = getattr(context.settings, key)
    return settings


async def get_scenario(request: AdminRequest) -> Response:
    """The scenario that a session plays."""
    return await _build_scenario_response(request.context, await _resolve_name(request))


async def play_scenario(request: AdminRequest) -> Response:
    """Let a session play a scenario from its beginning."""
    name = await _resolve_name(request)
    scenario, findings = await asyncio.to_thread(_read_scenario, request)
    await request.context.sessions.play_scenario(name, scenario)
    return await _build_scenario_response(request.context, name, findings)


async def drop_scenario(request: AdminRequest) -> Response:
    """Let a session play the server's scenario again."""
    name = await _resolve_name(request)
    await request.context.sessions.play_scenario(name, None)
    return await _build_scenario_response(request.context, name)


async def _build_scenario_response(context: AdminContext, name: str, findings: Sequence[Finding] = ()) -> Response:
    from emulator.scenario import limits  # imported when it is first needed
    from emulator.session import verification

    scenario = await context.sessions.get_scenario(name)
    rules = [{"name": rule.name, "answers": rule.length, "then": rule.then} for rule in scenario.rules]
    unused = await verification.find_unused_answers(scenario, context.store, name)
    body: dict[str, Any] = {
        "session": name,
        "scenario": scenario.name,
        "about": scenario.about,
        "rules": rules,
        "unused": [asdict(one) for one in unused],
        "limits": [],
    }
    if scenario.limits.any:
        now = context.clock.now(name)
        used = await limits.count_used(scenario.limits, context.store, session=name, now=now)
        body["limits"] = [one._asdict() for one in used]
    if findings:
        body["findings"] = [{"code": one.code, "message": one.message} for one in findings]
    return build_json_response(body)


def _read_scenario(admin_request: AdminRequest) -> tuple[Scenario, Sequence[Finding]]:
    """The scenario in a request's body, and what there is to say about it.

    It comes as YAML or JSON; a body of `scenario` alone names a ready-made one.
    """
    from emulator.scenario import loader  # imported when it is first needed

    request, registry = admin_request.request, admin_request.context.registry
    if request.headers.get("Content-Type", "").split(";")[0].strip().lower() not in _SCENARIO_TYPES:
        raise AdminError(400, f"a scenario comes as {' or '.join(_SCENARIO_TYPES)}")
    try:
        name = _read_scenario_name(request.json)
        if name is None:
            scenario = loader.parse_scenario(request.body.decode("utf-8"), "scenario")
            return scenario, loader.check_words(scenario, registry.gateways)
        if not loader.is_ready_made(name):  # the name of a file is not accepted from the network
            raise _no_ready_made(name, list_ready_made())
        return loader.load_ready_made(name), ()
    except (yaml_file.InvalidFile, UnicodeDecodeError) as error:
        raise AdminError(400, str(error)) from None


def _read_scenario_name(body: Any) -> str | None:
    """The name of a ready-made scenario, where the body consists of that."""
    if isinstance(body, Mapping) and set(body) == {"scenario"} and isinstance(body["scenario"], str):
        return body["scenario"]
    return None


def _no_ready_made(name: str, known: Sequence[str]) -> AdminError:
    message = f"no ready-made scenario {name[:100]!r}; those are {', '.join(known)}"
    nearest = nearest_word(name, known)
    if nearest is not None:
        message += f"; did you mean {nearest!r}?"
    return AdminError(400, message, "scenario")


# --- calls


async def list_calls(request: AdminRequest) -> Response:
    """A page of the calls of a session, the oldest first; the query filters them."""
    name = await _resolve_name(request)
    entries = await _load_entries(request.context, name)
    return await asyncio.to_thread(_build_page, name, entries, request.query)


def _build_page(name: str, entries: Sequence[JournalEntry], query: Mapping[str, Any]) -> Response:
    """The calls that match the query, from the one after number `after` on."""
    after = query.get("after", 0)
    matching = [entry for entry in entries if entry.number > after and _matches(entry, query)]
    matching.sort(key=_get_number)
    page = matching[: query.get("limit", USUAL_LIMIT)]
    following = None
    if len(page) < len(matching):
        following = page[-1].number
    if query.get("view") == "summary":
        from emulator.session.call_summary import summarize  # imported when it is first needed

        calls = [summarize(entry.to_json(), entry.find_own_prompt()) for entry in page]
    else:
        calls = [entry.to_json() for entry in page]
    return build_json_response({"session": name, "calls": calls, "next": following})


def _matches(entry: JournalEntry, query: Mapping[str, Any]) -> bool:
    """Whether a call matches every filter in the query."""
    return all(_FILTERS[key](entry, value) for key, value in query.items() if key in _FILTERS)


async def get_call(request: AdminRequest) -> Response:
    """One call, by its number, or the latest."""
    entry = await _find_call(request)
    return await asyncio.to_thread(lambda: build_json_response(entry.to_json()))


async def get_code(request: AdminRequest) -> Response:
    """One call as text to paste: a shell's, a program's, a rule's, or a verification's."""
    from emulator.session.call_code import WRITERS, CallText, CannotWrite, KeyHeader  # imported when first needed
    from emulator.session.called_address import find_address

    kind = request.path_params["kind"]
    if kind not in WRITERS:
        raise AdminError(404, describe_unknown("kind", kind, WRITERS), "kind")
    entry = await _find_call(request)
    gateway = request.context.registry.gateways.get(entry.gateway)
    call = CallText(entry.to_json(), request.request.origin)
    if gateway is not None:
        address = find_address(gateway, entry.method, entry.path)
        credential, key_header = gateway.usual_credential, None
        if credential is not None:
            key_header = KeyHeader(credential.header, credential.scheme)
        path_model = None if address is None else address.model
        prompts = [name for name, _ in find_texts(call.given, "prompt", gateway.own_names) if name != "prompt"]
        own_prompt = next(iter(prompts), None)
        call = replace(call, path_model=path_model, key_header=key_header, own_prompt=own_prompt)
    try:
        text = await asyncio.to_thread(lambda: WRITERS[kind](call))
    except CannotWrite as error:
        raise AdminError(409, str(error)) from None
    return build_response("text/plain; charset=utf-8", text.encode("utf-8", "backslashreplace"))


async def replay_call(request: AdminRequest) -> Response:
    """Send a call again, at its gateway or at another one; its answer is not waited for."""
    from emulator.session import replay  # imported when it is first needed

    context, entry = request.context, await _find_call(request)
    name = request.body.get("gateway")
    files = {}
    for upload in entry.uploads:
        data = await context.store.find_file("upload", upload["sha256"][:DIGEST])
        if data is not None:
            files[upload["sha256"]] = data
    try:
        target = None
        if name is not None and name != entry.gateway:
            target = replay.find_target(entry, context.registry.gateways[name])
        context.send_call(replay.build_request(entry, files, target))
    except replay.CannotReplay as error:
        raise AdminError(409, str(error)) from None
    return build_json_response({"session": entry.session, "replay_of": entry.number})


async def get_picture(request: AdminRequest) -> Response:
    """The file of a picture of a call, drawn again from its recipe."""
    entry, index = await _find_call(request), request.path_params["index"]
    recipes = {str(place): recipe for place, recipe in enumerate(entry.recipes)}
    recipe = recipes.get(index)
    if recipe is None:
        message = f"call {entry.number} of session {entry.session!r} has no picture {index[:20]}"
        raise AdminError(404, message, "index")
    try:
        picture = await request.context.image_store.draw(recipe)
    except MissingFile:
        raise AdminError(404, "the scenario's own picture is not kept any more", "index") from None
    if "width" in request.query:
        return await _build_thumbnail_response(request, picture.data, "index")
    headers = (("Content-Type", f"image/{recipe.served_as}"), ("Cache-Control", "no-store"))
    return Response(200, headers, (picture.data,))


async def get_upload(request: AdminRequest) -> Response:
    """A file that a call of the session contained, by its SHA-256, as long as it is kept."""
    name, digest = await _resolve_name(request), request.path_params["digest"].lower()
    entries = await _load_entries(request.context, name)
    uploads = [upload for entry in entries for upload in entry.uploads]
    upload = next((upload for upload in uploads if upload["sha256"] == digest), None)
    if upload is None:
        raise AdminError(404, f"session {name!r} has no upload {digest[:64]!r}", "digest")
    data = await request.context.store.find_file("upload", digest[:DIGEST])
    if data is None:
        raise AdminError(404, "the upload is not kept any more", "digest")
    if "width" in request.query:
        return await _build_thumbnail_response(request, data, "digest")
    content_type = "application/octet-stream"
    if upload["format"]:
        content_type = f"image/{upload['format']}"
    return build_response(content_type, data, headers=(("Content-Disposition", "attachment"),))


async def _build_thumbnail_response(request: AdminRequest, data: bytes, param: str) -> Response:
    """The picture in `data`, as small as the query says; `param` names what leads to it."""
    from emulator.image.thumbnail import make_thumbnail  # Pillow is loaded for the first picture, not at the start

    thumbnail = await request.context.image_store.run_in_thread(make_thumbnail, data, request.query["width"])
    if thumbnail is None:
        raise AdminError(404, "the file is no picture that decodes", param)
    return build_response("image/png", thumbnail)


async def _find_call(request: AdminRequest) -> JournalEntry:
    """The call in the path, by its number, or the latest."""
    name, number = await _resolve_name(request), request.path_params["number"]
    entries = await _load_entries(request.context, name)
    if number == "latest":
        if not entries:
            raise AdminError(404, f"session {name!r} has no call", "number")
        return max(entries, key=_get_number)
    found = [entry for entry in entries if str(entry.number) == number]
    if found:
        return found[-1]
    raise AdminError(404, f"session {name!r} has no call {number[:20]} in its journal", "number")


async def _load_entries(context: AdminContext, name: str) -> Sequence[JournalEntry]:
    entries = await context.sessions.list_calls(name)
    if entries is None:
        raise _no_session(name)
    return entries


def _get_number(entry: JournalEntry) -> int:
    return entry.number


async def verify_calls(request: AdminRequest) -> Response:
    """Whether the calls of a session are those that were expected: 200 or 406, for callers that look at no more.

    A session that never began has no calls.
    """
    from emulator.session import verification  # imported when it is first needed

    context, name = request.context, await _resolve_name(request)
    try:
        expectation = verification.parse_verification(request.body, _list_known_words(context))
    except ValueError as error:
        raise AdminError(400, str(error)) from None
    unused = await verification.find_unused_answers(await context.sessions.get_scenario(name), context.store, name)
    summary = await _find_summary(context, name)
    dropped = 0
    if summary is not None:
        dropped = summary.dropped
    entries = await context.sessions.list_calls(name) or ()
    verdict = await asyncio.to_thread(expectation.check, entries, unused=unused, forgotten=dropped)
    status = 200 if verdict.ok else 406
    return build_json_response({"session": name, **asdict(verdict)}, status)


def _list_known_words(context: AdminContext) -> KnownWords:
    """The words of this server's gateways, which a verification can name."""
    from emulator.scenario import loader  # imported when it is first needed
    from emulator.session.call_fields import KnownWords

    gateways = context.registry.gateways
    return KnownWords(
        gateways=tuple(gateways),
        parameters=loader.list_parameters().union(loader.find_parameters(gateways.values())),
    )


async def check_portability(request: AdminRequest) -> Response:
    """Which gateways accept the calls of a session, or the calls in the body, and why the others refuse them."""
    from emulator.analysis import portability  # imported when it is first needed

    context, name = request.context, None
    if "calls" in request.body:
        samples = portability.parse_requests(request.body["calls"], context.registry.gateways)
    else:
        name = await resolve_session(context, request.body["session"])
        samples = portability.read_journal(await _load_entries(context, name), context.registry.gateways)
    report = await asyncio.to_thread(
        lambda: portability.check_portability(
            samples,
            targets=context.portability_targets,
            channels=frozenset(context.settings.channels),
            calendar=Calendar(context.clock.today(), context.settings.legacy),
        )
    )
    return build_json_response({"session": name, **redact_texts(asdict(report))})


def _has_gateway(entry: JournalEntry, name: str) -> bool:
    return entry.gateway == name


def _has_status(entry: JournalEntry, status: int) -> bool:
    return entry.status == status


def _has_rule(entry: JournalEntry, name: str) -> bool:
    return entry.rule == name


def _has_finding(entry: JournalEntry, code: str) -> bool:
    return any(finding["code"] == code for finding in entry.findings)


def _has_refusal(entry: JournalEntry, word: str) -> bool:
    """Whether a call was refused (true or false), or refused for the reason `word`."""
    refused = entry.refused
    if word in ("true", "false"):
        return (refused is not None) == (word == "true")
    return refused is not None and word in (refused["kind"], refused["breach"])


_SCENARIO_TYPES: Final = ("application/json", "application/yaml")
_FILTERS: Final[Mapping[str, Callable[[JournalEntry, Any], bool]]] = {
    "gateway": _has_gateway,
    "operation": lambda entry, name: entry.operation == name,
    "model": lambda entry, name: entry.model == name,
    "state": lambda entry, state: entry.state == state,
    "status": _has_status,
    "rule": _has_rule,
    "finding": _has_finding,
    "request_id": lambda entry, request_id: entry.request_id == request_id,
    "refused": _has_refusal,
}
"""The names in the query of list_calls that filter calls."""
