"""Builds the request by which a call of the journal is sent again, at its gateway or at another one."""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from emulator.core import strict_json
from emulator.core.light_dataclass import dataclass
from emulator.gateway.gateway import Credential, Gateway
from emulator.session.call_summary import REPLAY_HEADER
from emulator.session.journal import JournalEntry
from emulator.session.sessions import HEADER

Files = Mapping[str, bytes]
"""Bytes of uploads by their SHA-256."""


class CannotReplay(Exception):
    """A call that cannot be sent again; the text is one line."""


@dataclass(frozen=True)
class Target:
    """Where a call is sent: `path` with its query, and where the gateway wants the key."""

    path: str
    credential: Credential | None


def find_target(entry: JournalEntry, gateway: Gateway) -> Target:
    """Return where `gateway` takes the call of `entry`; raises CannotReplay where it has no such operation."""
    paths = [
        path
        for path, by_method in gateway.operations.items()
        if entry.method in by_method and by_method[entry.method].name == entry.operation
    ]
    if not paths:
        raise CannotReplay(f"{gateway.name} has no operation {entry.operation!r} by {entry.method[:20]}")
    path = re.sub(r"\{[^}]*\}", quote(entry.model or "model", safe=""), min(paths, key=len))
    credential = next(iter(gateway.credentials), None)
    return Target(f"/{gateway.name}{path}", credential)


def build_request(entry: JournalEntry, files: Files, target: Target | None = None) -> bytes:
    """Return the whole request that makes the call of `entry` again, in the same session.

    It ends its connection, and has the header X-Emulator-Replay with the number of the call. `target` is another place
    than that of the call. Raises CannotReplay where what the call had is not kept.
    """
    headers = {name: value for name, value in entry.headers.items() if name.lower() not in _REPLACED}
    content_type, body = _build_body(entry, files)
    if content_type is not None:
        headers = {name: value for name, value in headers.items() if name.lower() != "content-type"}
        headers["Content-Type"] = content_type
    path = entry.path
    if entry.query:
        path += f"?{entry.query}"
    if target is not None:
        path = target.path
        headers = {name: value for name, value in headers.items() if name.lower() not in entry.credential_headers}
        if entry.key is not None and target.credential is not None:
            scheme = "" if target.credential.scheme is None else "Bearer "
            headers[target.credential.header] = scheme + entry.key
    known = {name.lower() for name in headers}
    if not path.startswith("/s/") and HEADER.lower() not in known:
        headers[HEADER] = entry.session
    headers[REPLAY_HEADER] = str(entry.number)
    headers["Connection"] = "close"
    headers["Content-Length"] = str(len(body))
    lines = [f"{entry.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + body


def _build_body(entry: JournalEntry, files: Files) -> tuple[str | None, bytes]:
    """Return the body, and its Content-Type where that is another one than the call had."""
    if entry.unreadable is not None:
        text, length = entry.unreadable["beginning"], entry.unreadable["length"] or 0
        data = text.encode("utf-8", "surrogateescape")
        if len(data) != length:
            raise CannotReplay(f"the body of call {entry.number} is not kept")
        return None, data
    if entry.given is None:
        return None, b""
    content_type = next((value for name, value in entry.headers.items() if name.lower() == "content-type"), "")
    try:
        if content_type.lower().startswith("multipart/"):
            return FORM_TYPE, build_form(entry.given, entry.uploads, files)
        return None, build_json(entry.given, entry.uploads, files)
    except KeyError:
        raise CannotReplay(f"a file of call {entry.number} is not kept any more") from None


def build_form(given: Mapping[str, Any], uploads: Sequence[Mapping[str, Any]], files: Files) -> bytes:
    """Return a form of FORM_TYPE with these texts and files.

    An upload has name, filename (None: it has none), media_type and sha256. Raises KeyError for one not in `files`.
    """
    parts = []
    for name, text in _list_texts(given):
        parts.append(_build_part({"name": name}, None, text.encode("utf-8", "surrogateescape")))
    for upload in uploads:
        names = {"name": upload["name"]}
        if upload["filename"] is not None:
            names["filename"] = upload["filename"]
        parts.append(_build_part(names, upload["media_type"], files[upload["sha256"]]))
    return b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode()


def build_json(given: Any, uploads: Sequence[Mapping[str, Any]], files: Files) -> bytes:
    """Return a JSON body that has its files where the uploads' names say, as data: URLs; raises KeyError as above."""
    given = copy.deepcopy(given)
    for upload in uploads:
        text = base64.b64encode(files[upload["sha256"]]).decode()
        if upload["media_type"]:
            text = f"data:{upload['media_type']};base64,{text}"
        holder, last = find_holder(given, upload["name"])
        holder[last] = text
    return strict_json.format_json(given).encode("utf-8", "surrogatepass")


def _build_part(names: Mapping[str, str], media_type: str | None, data: bytes) -> bytes:
    listed = "".join(f'; {key}="{_escape(value)}"' for key, value in names.items())
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data{listed}\r\n"
    if media_type:
        head += f"Content-Type: {media_type}\r\n"
    return head.encode("utf-8", "surrogateescape") + b"\r\n" + data + b"\r\n"


def _escape(name: str) -> str:
    """Return a name as browsers write it into a form."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _list_texts(given: Any) -> Iterator[tuple[str, str]]:
    """Yield name and text of each text of a form."""
    for name, value in given.items():
        for text in value if isinstance(value, list) else [value]:
            yield name, str(text)


def find_holder(body: Any, place: str) -> tuple[Any, str | int]:
    """Return what holds `place`, such as images[0].image_url, in a JSON body, and the last step to it."""
    steps = [int(step) if step.isdecimal() else step for step in re.findall(r"[^.\[\]]+", place)]
    holder = body
    for step in steps[:-1]:
        holder = holder[step]
    return holder, steps[-1]


_REPLACED: Final = frozenset({
    "connection", "content-encoding", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding",
    "upgrade", REPLAY_HEADER.lower(),
})  # fmt: skip
"""Headers of the first request that are not those of the second."""
_BOUNDARY: Final = "image-api-emulator-3f9a2c10d1b74e"
FORM_TYPE: Final = f"multipart/form-data; boundary={_BOUNDARY}"
"""The Content-Type of what `build_form` returns."""
