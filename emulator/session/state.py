"""The state of sessions as a JSON document: what a server remembers, for another start or another server.

A session goes on from its state as if nothing had been between: the next call has the next number, the next answer of a
rule is given, and `verify` says the same. The document has no credential in it. One that cannot be used is refused as a
whole, in one line.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any, Final, NamedTuple

from emulator.core import clock
from emulator.core.light_dataclass import dataclass
from emulator.core.phrases import quote
from emulator.core.version import VERSION
from emulator.core.yaml_file import InvalidFile
from emulator.image.files import FileKind
from emulator.image.recipe import DIGEST
from emulator.image.recipe_json import FieldTypes, check_fields
from emulator.messages import BEHAVIORS, PICTURE_WEIGHTS, Call, Canned, Draw, Exhausted, Refuse
from emulator.session.call_fields import collect_fields, collect_redacted_fields
from emulator.session.journal import JournalEntry, entry_from_plain
from emulator.session.json_values import from_plain, weigh_value
from emulator.session.redacted_entry import redact_entry
from emulator.session.redaction import redact_texts
from emulator.session.sessions import Sessions, can_name
from emulator.session.store import SessionState, Store
from emulator.session.tasks import Task

FORMAT: Final = 1
"""The version of the document; a server reads its own alone."""


class BadState(Exception):
    """A document that cannot be used; the text is one line."""


class LoadedSession(NamedTuple):
    """A session of a document; its time is `moved` seconds before the clock that nobody moves."""

    name: str
    state: SessionState
    moved: float


@dataclass(frozen=True)
class LoadedState:
    """A document that was checked: `files` are bytes by kind and digest; all clocks are moved by `clock` seconds."""

    sessions: Sequence[LoadedSession]
    files: Mapping[FileKind, Mapping[str, bytes]]
    clock: float


# --- out


async def collect_state(store: Store, names: Sequence[str], with_files: bool = True) -> dict[str, Any]:
    """Return the document of these sessions; `with_files`: and of the uploads and pictures that they name."""
    everybody = await store.get_clock("")
    sessions = []
    digests: dict[FileKind, set[str]] = {"upload": set(), "picture": set()}
    for name in names:
        state = await store.read_session(name)
        if state is None:  # dropped meanwhile
            continue
        entries = [entry_from_plain(values) for _, values, _ in state.journal]
        sessions.append(_describe_session(name, state, entries, everybody + await store.get_clock(name)))
        _add_digests(digests, entries)
    files: dict[str, dict[str, str]] = {"upload": {}, "picture": {}}
    if with_files:
        for kind, wanted in digests.items():
            for digest in sorted(wanted):
                data = await store.find_file(kind, digest)
                if data is not None:
                    files[kind][digest] = base64.b64encode(data).decode()
    return {"state": FORMAT, "version": VERSION, "clock": everybody, "sessions": sessions, "files": files}


def _describe_session(name: str, state: SessionState, entries: Sequence[JournalEntry], moved: float) -> dict[str, Any]:
    scenario = state.values.get("scenario")
    if scenario is not None and "source" in scenario:
        scenario = {"source": scenario["source"], "file": scenario["file"], "version": scenario["version"]}
    return {
        "name": name,
        "calls": state.calls,
        "began": state.began,
        "used": state.used,
        "reached": state.reached,
        "clock": moved,
        "counts": dict(state.counts),
        "scenario": scenario,
        "settings": state.values.get("settings"),
        "tasks": {task: redact_texts(value) for task, (value, _) in state.tasks.items()},
        "journal": [redact_entry(entry)._asdict() for entry in entries],
    }


def _add_digests(digests: Mapping[FileKind, set[str]], entries: Sequence[JournalEntry]) -> None:
    """Add what the entries name: uploads, the pictures that edits were made of, and testers' own pictures."""
    for entry in entries:
        digests["upload"].update(upload["sha256"][:DIGEST] for upload in entry.uploads)
        for recipe in entry.recipes:
            if recipe.source is not None:
                digests["upload"].update(one for one in (recipe.source.image, recipe.source.mask) if one)
            if recipe.altered is not None and recipe.altered.file is not None:
                digests["picture"].add(recipe.altered.file)


# --- in


def parse_state(document: Any, name: str | None = None) -> LoadedState:
    """Return what a document has; raises BadState. It may take a second for a large one.

    `name` is what its sessions are called, where that is not what the document says.
    """
    try:
        if not isinstance(document, Mapping) or "state" not in document:
            raise ValueError("it is no state of an emulator")
        if document["state"] != FORMAT:
            raise ValueError(f"state is {quote(document['state'])}; this version reads {FORMAT}")
        values = check_fields(document, _DOCUMENT)
        sessions = [_parse_session(one, f"sessions[{place}]", name) for place, one in enumerate(values["sessions"])]
        names = [session.name for session in sessions]
        if name is None and len(set(names)) < len(names):
            raise ValueError("a session is in it twice")
        return LoadedState(sessions, _parse_files(values["files"]), _check_number("clock", values["clock"]))
    except ValueError as error:
        raise BadState(f"the state cannot be used: {' '.join(str(error).split())[:_LONGEST_REASON]}") from None


def _parse_session(described: Any, where: str, new_name: str | None) -> LoadedSession:
    try:
        values = check_fields(described, _SESSION)
        name = new_name or values["name"]
        if not can_name(name):
            raise ValueError("name cannot name a session")
        journal = [_parse_entry(one, name, f"journal[{place}]") for place, one in enumerate(values["journal"])]
        numbers = [entry.number for entry, _ in journal]
        if len(set(numbers)) < len(numbers) or not all(1 <= number <= values["calls"] for number in numbers):
            raise ValueError(f"the numbers in journal are not those of {values['calls']} calls")
        for what, count in values["counts"].items():
            check_fields({"count": count}, {"count": (int,)})
            if len(what) > _LONGEST_NAME:
                raise ValueError("a count has too long a name")
        kept = {"scenario": _check_scenario(values["scenario"]), "settings": _check_settings(values["settings"])}
        state = SessionState(
            calls=values["calls"],
            dropped=values["calls"] - len(journal),
            began=_check_number("began", values["began"]),
            used=_check_number("used", values["used"]),
            reached=values["reached"],
            journal=[(entry.number, entry.to_plain(), weight) for entry, weight in journal],
            counts=values["counts"],
            values={key: value for key, value in kept.items() if value is not None},
            tasks={task: _parse_task(task, value) for task, value in values["tasks"].items()},
        )
        return LoadedSession(name, state, _check_number("clock", values["clock"]))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _parse_entry(described: Any, session: str, where: str) -> tuple[JournalEntry, int]:
    """Return an entry, and about its bytes; ValueError unless everything that shows it can read it."""
    try:
        entry = JournalEntry(**check_fields(described, _ENTRY))._replace(session=session, key=None)
        if entry.state not in ("answered", "client_gone"):
            raise ValueError(f"state is {quote(entry.state)}; expected answered or client_gone")
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    weight = max(weigh_value(entry.to_plain()), entry.weight)
    entry = entry._replace(weight=weight)
    try:
        entry.to_json()
        collect_fields(entry)
        collect_redacted_fields(entry)
        _add_digests({"upload": set(), "picture": set()}, [entry])
        if entry.accepted:
            entry.rebuild_call()
    except Exception as error:  # noqa: BLE001 - a value of a wrong shape, deep inside; which error it is depends on that
        raise ValueError(f"{where}: it is no entry of a journal ({type(error).__name__})") from None
    return entry, weight


def _parse_task(task: str, described: Any) -> tuple[dict[str, Any], int]:
    try:
        values = check_fields(described, _TASK)
        call, plan = from_plain(values["call"]), from_plain(values["plan"])
        if not isinstance(call, Call) or not isinstance(plan, Draw | Refuse | Canned | Exhausted):
            raise TypeError("call or plan")
        Task(**values)
    except Exception as error:  # noqa: BLE001 - as for an entry
        raise ValueError(f"tasks: {quote(task)} is no task ({type(error).__name__})") from None
    return values, max(weigh_value(values), values["weight"])


def _check_scenario(described: Any) -> dict[str, Any] | None:
    """Return what a session plays, as the store keeps it; ValueError where it is no scenario."""
    if described is None:
        return None
    if "recording" in described:
        return {"recording": str(check_fields(described, {"recording": (str,)})["recording"])}
    from emulator.scenario import loader  # few states have a scenario

    values = check_fields(described, {"source": (str,), "file": (str,), "version": (int,)})
    try:
        loader.parse_scenario(values["source"], values["file"], None)
    except InvalidFile as error:
        raise ValueError(f"scenario: {error}") from None
    return {**values, "folder": None}


def _check_settings(described: Any) -> dict[str, Any] | None:
    if described is None:
        return None
    values = check_fields(described, _SETTINGS)
    for name, words in (("behavior", BEHAVIORS), ("picture_weight", PICTURE_WEIGHTS)):
        if values[name] not in (None, *words):
            raise ValueError(f"settings: {name} is {quote(values[name])}; expected one of {', '.join(words)}")
    return values


def _parse_files(described: Mapping[str, Any]) -> dict[FileKind, dict[str, bytes]]:
    """Return the bytes of the files; ValueError where they are not those that the digest names."""
    kinds = check_fields(described, {"upload": (dict,), "picture": (dict,)})
    files: dict[FileKind, dict[str, bytes]] = {"upload": {}, "picture": {}}
    for kind, kept in files.items():
        for digest, text in kinds[kind].items():
            try:
                data = base64.b64decode(text, validate=True)
            except (TypeError, binascii.Error):
                raise ValueError(f"files: {kind} {quote(digest)} is not in Base64") from None
            found = hashlib.sha256(data).hexdigest()[:DIGEST]
            if kind == "picture":
                found = hashlib.blake2b(data, digest_size=8).hexdigest()
            if found != digest:
                raise ValueError(f"files: {kind} {quote(digest)} has other bytes than its digest says")
            kept[digest] = data
    return files


def _check_number(name: str, value: float) -> float:
    if not -clock.LATEST <= value <= clock.LATEST:
        raise ValueError(f"{name} is {quote(value)}, which is no time")
    return float(value)


async def restore_all(loaded: LoadedState, sessions: Sessions, store: Store, emulator_clock: clock.Clock) -> None:
    """Do what `restore_sessions` does, and let the time of all sessions be as the document says."""
    moved = await store.get_clock("")
    if loaded.clock != moved:
        await emulator_clock.advance(loaded.clock - moved)
    await restore_sessions(loaded, sessions, store, emulator_clock)


async def restore_sessions(loaded: LoadedState, sessions: Sessions, store: Store, emulator_clock: clock.Clock) -> None:
    """Let the sessions be as the document says; what they were before goes, others stay as they are."""
    for kind, files in loaded.files.items():
        for digest, data in files.items():
            await store.keep_file(kind, digest, data)
    for session in loaded.sessions:
        sessions.forget_under_way(session.name)
        await store.write_session(session.name, session.state, emulator_clock.base())
        moved = await store.get_clock("") + await store.get_clock(session.name)
        if session.moved != moved:
            await emulator_clock.advance(session.moved - moved, session.name)


_LONGEST_REASON: Final = 500  # characters; a scenario's own message may quote what was read
_LONGEST_NAME: Final = 500  # characters of a count's name, which has those of a scenario and a model
_TEXT_OR_NONE: Final = (str, NoneType)
_DOCUMENT: Final[FieldTypes] = {
    "state": (int,), "version": (str,), "clock": (int, float), "sessions": (list,), "files": (dict,),
}  # fmt: skip
_SESSION: Final[FieldTypes] = {
    "name": (str,), "calls": (int,), "began": (int, float), "used": (int, float), "reached": (bool,),
    "clock": (int, float), "counts": (dict,), "scenario": (dict, NoneType), "settings": (dict, NoneType),
    "tasks": (dict,), "journal": (list,),
}  # fmt: skip
_SETTINGS: Final[FieldTypes] = {
    "report_only": (bool, NoneType), "behavior": _TEXT_OR_NONE, "picture_weight": _TEXT_OR_NONE,
}  # fmt: skip
_TASK: Final[FieldTypes] = {
    "id": (str,), "number": (int,), "request_id": (str,), "language": (str,), "model": _TEXT_OR_NONE,
    "call": (dict,), "plan": (dict,), "seconds": (int, float, NoneType), "began": (int, float), "base": (int, float),
    "weight": (int,), "polls": (int,), "ended": (int, float, NoneType),
}  # fmt: skip
_ENTRY: Final[FieldTypes] = {
    "number": (int,), "session": (str,), "request_id": (str,), "gateway": (str,), "behavior": (str,),
    "operation": _TEXT_OR_NONE, "model": _TEXT_OR_NONE, "received": (int, float), "began": (int, float),
    "duration": (int, float), "method": (str,), "path": (str,), "query": (str,), "headers": (dict,),
    "key": (NoneType,), "credential_headers": (list, tuple), "given": (dict, list, str, int, float, bool, NoneType),
    "params": (dict, NoneType), "effective": (dict, NoneType), "size": (list, tuple, NoneType), "streams": (bool,),
    "uploads": (list, tuple), "unreadable": (dict, NoneType), "refused": (dict, NoneType),
    "reserved": (dict, NoneType), "turn": (int, NoneType), "rule": _TEXT_OR_NONE, "step": (int, NoneType),
    "misses": (list, tuple), "latency": (int, float, NoneType), "tries": (list, tuple), "faults": (list, tuple),
    "findings": (list, tuple), "state": (str,), "bytes_sent": (int,), "response": (dict, NoneType),
    "events": (int, NoneType), "task": (dict, NoneType), "pictures": (list, tuple),
    "altered": (dict, list, NoneType), "billed": (int,), "weight": (int,), "verdict": (str,),
    "cost": (int, float, NoneType), "pictures_asked": (int,),
}  # fmt: skip
"""The types that JSON may have for each field of the document."""
