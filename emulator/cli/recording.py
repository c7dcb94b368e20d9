"""The command `record`: writes what a running emulator's session has seen as a recording, after the fact."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from emulator.cli.main import NAME
from emulator.client.connection import Connection, EmulatorError, session_path
from emulator.core.clock import parse_moment
from emulator.core.picture_events import is_finished_picture
from emulator.core.yaml_file import InvalidFile, UnreadableFile
from emulator.image.upload import find_role
from emulator.response.relayed import B64_JSON, encode_picture, find_links
from emulator.scenario import loader
from emulator.session.called_address import CalledAddress, find_address
from emulator.session.recording import Recording
from emulator.session.recording_entry import AskedCall, GivenAnswer
from emulator.session.secret_nets import SecretFound, make_nets
from emulator.settings import UsageError, load_settings
from emulator.validation.registry import Gateways, find_gateways

_PAGE = 1000  # calls that are asked for at a time
_BEGINNING = 4096  # bytes of a file in which `recorded` stands


def record_session(options: argparse.Namespace) -> int:
    """Write the calls of a session as a recording; return 1 where some could not be written, else 0."""
    settings = load_settings({"admin_token": options.admin_token, "schema": options.schema})
    gateways = find_gateways(settings.schema)
    connection = Connection(options.url, settings.admin_token)
    try:
        return asyncio.run(_record(connection, options.from_session, Path(options.folder), gateways))
    except EmulatorError as error:
        raise UsageError(str(error)) from None


async def _record(connection: Connection, session: str, folder: Path, gateways: Gateways) -> int:
    recording = Recording(folder, "all")
    written, left_out = 0, 0
    counter = _NoCounter()
    unknown: set[str] = set()
    try:
        for call in _list_calls(connection, session):
            if call["gateway"] is not None and call["gateway"] not in gateways:
                unknown.add(call["gateway"])
            try:
                address = _find_address(call, gateways)
                asked, given = _describe_asked(connection, call, address), _describe_given(connection, call, address)
            except ValueError as error:
                problem = str(error)
            else:
                finding = await recording.add(asked, given, session=session, counter=counter, keys=())
                problem = "" if finding is None else finding.message
            if problem:
                left_out += 1
                print(f"{NAME}: call {call['number']} is left out: {problem}", file=sys.stderr)
            else:
                written += 1
    finally:
        recording.close()
    for name in sorted(unknown):
        problem = f"no file of the gateway {name} is known here, so what the paths of its calls name is not written"
        print(f"{NAME}: {problem}; name its file with --schema", file=sys.stderr)
    print(f"{folder}: {written} calls written, {left_out} left out")
    return 1 if left_out else 0


class _NoCounter:
    """Counts nothing: what is written here is not played."""

    async def count(self, session: str, what: str, more: int = 1) -> int:
        """Return how often something was counted."""
        return 0


def _list_calls(connection: Connection, session: str) -> Iterator[Mapping[str, Any]]:
    after = 0
    while True:
        path = f"{session_path(session)}/calls?limit={_PAGE}&after={after}"
        page = connection.ask("GET", path)
        yield from page["calls"]
        if page["next"] is None:
            return
        after = page["next"]


def _find_address(call: Mapping[str, Any], gateways: Gateways) -> CalledAddress | None:
    """Return where a call went; None where that is not known, such as for a gateway of the user's own."""
    gateway = gateways.get(call["gateway"])
    if gateway is None:
        return None
    return find_address(gateway, call["method"], call["path"])


def _describe_asked(connection: Connection, call: Mapping[str, Any], address: CalledAddress | None) -> AskedCall:
    """Return what a call asked for; raises ValueError where it asked for nothing that can be matched."""
    if call["operation"] is None or call["unreadable"] is not None or call["state"] != "answered":
        raise ValueError("it reached no operation, could not be read, or was not answered as a whole")
    given, params = call["given"] or {}, call["params"] or {}
    if not isinstance(given, Mapping):
        raise ValueError("its body is no object")
    if address is not None and address.model is not None:
        given = {**given, "model": address.model}
    variables: Mapping[str, Any] = {}
    if call["operation"] == "task":
        variables = {name: value for name, value in params.items() if name not in given}
    elif call["operation"] == "model":
        variables = {"model": call["model"]} if address is None else address.variables
    uploads: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    counts: dict[str, int] = {}
    for one in call["uploads"]:
        role = find_role(one["name"].partition("[")[0].partition(".")[0])
        place = counts[role] = counts.get(role, -1) + 1
        uploads[f"{role}[{place}]" if place else role] = {"sha256": one["sha256"]}
        files[one["sha256"]] = connection.fetch(f"{session_path(call['session'])}/uploads/{one['sha256']}")
    if uploads:
        uploads["count"] = len(call["uploads"])
    return AskedCall(
        operation=call["operation"],
        gateway=call["gateway"],
        given=given,
        variables=variables,
        uploads=uploads,
        files=files,
    )


def _describe_given(connection: Connection, call: Mapping[str, Any], address: CalledAddress | None) -> GivenAnswer:
    """Return what a call was answered, its pictures put back; raises ValueError where the journal has too little."""
    response, refused = call["response"], call["refused"]
    pictures = [
        connection.fetch(f"{session_path(call['session'])}/calls/{call['number']}/pictures/{index}")
        for index in range(len(call["pictures"]))
    ]
    body, events = b"", []
    if response["events"] is not None:
        events = list(_rebuild_events(response["events"], pictures))
    elif isinstance(response["body"], str):
        body = response["body"].encode()
    elif response["body"] is not None:
        if set(response["body"]) == {"digest", "length"}:
            raise ValueError("its answer is too long for the journal")
        body = json.dumps(_put_pictures_back(response["body"], iter(pictures)), ensure_ascii=False).encode()
    linked = {}
    if call["pictures"] and not events:
        linked = dict(zip(find_links(response["body"]), pictures, strict=False))
    verdict = "accepted"
    if refused is not None:
        verdict = refused["breach"] or refused["kind"]
    return GivenAnswer(
        status=response["status"],
        headers=tuple(response["headers"].items()),
        body=body,
        events=events,
        at=parse_moment(call["time"]),
        took=call["duration"] or 0.0,
        cost=call["cost"],
        verdict=verdict,
        linked=linked,
        asked=None if address is None else address.describe(call["query"]),
    )


def _put_pictures_back(value: Any, pictures: Iterator[bytes]) -> Any:
    """Return a body of the journal with Base64 in the places of its references."""
    if isinstance(value, list):
        return [_put_pictures_back(part, pictures) for part in value]
    if not isinstance(value, Mapping):
        return value
    members = {}
    for name, part in value.items():
        if name == B64_JSON and isinstance(part, Mapping):
            picture = next(pictures, None)
            if picture is None:
                raise ValueError("a picture of its answer is not kept any more")
            members[name] = encode_picture(picture)
        else:
            members[name] = _put_pictures_back(part, pictures)
    return members


def _rebuild_events(events: list[Mapping[str, Any]], pictures: list[bytes]) -> Iterator[tuple[float, bytes]]:
    """Yield the events of a stream; the journal has no partial images, so the finished picture stands for them."""
    place = 0
    for event in events:
        data = event["data"]
        if not isinstance(data, str):
            data = json.dumps(_put_pictures_back(data, iter(pictures[place:])), ensure_ascii=False)
        name = event["event"]
        if is_finished_picture(name, event["data"]):
            place += 1
        head = "" if name is None else f"event: {name}\n"
        yield event["offset"], f"{head}data: {data}\n\n".encode()


def check_recording(folder: Path) -> list[str]:
    """Return what is wrong with the recordings in a folder: one that cannot be loaded, or that has a credential.

    Raises UnreadableFile for a folder without any.
    """
    paths = list_recordings(folder)
    problems = []
    nets = make_nets(())
    for path in paths:
        try:
            scenario = loader.load_scenario(path)
            nets.check_value(_read_root(scenario.source, path), path.name)
        except InvalidFile as error:
            problems.append(str(error))
        except SecretFound as found:
            problems.append(f"{path}: {found}")
    for path in sorted((*folder.glob("pictures/*"), *folder.glob("bodies/*"))):
        if not path.is_file():
            continue  # no entry can name it
        try:
            nets.check_file(path.name, path.read_bytes(), path.name)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
        except SecretFound as found:
            problems.append(f"{path}: {found}")
    return problems


def list_recordings(folder: Path) -> list[Path]:
    """Return the recordings in a folder, which each test may have one of; raises UnreadableFile where there is none.

    A file stands for itself.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise UnreadableFile(folder, "no such folder")
    try:
        paths = [path for path in sorted(folder.glob("*.yaml")) if _is_recording(path)]
    except OSError as error:
        raise UnreadableFile(folder, error.strerror or "it cannot be read") from None
    if not paths:
        raise UnreadableFile(folder, "a folder without a recording")
    return paths


def _is_recording(path: Path) -> bool:
    """Return whether a file is meant to be a recording, whatever else is wrong with it."""
    return path.is_file() and b"\nrecorded:" in b"\n" + path.read_bytes()[:_BEGINNING]


def _read_root(source: str, path: Path) -> Any:
    from emulator.core.yaml_file import parse_yaml

    return parse_yaml(source, path).root
