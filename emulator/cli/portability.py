"""The command `portability`: where its calls come from, and how what was found looks as tables.

It prints nothing: *tools* does. Errors of use raise UsageError (or InvalidFile), one line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emulator.analysis import portability
from emulator.analysis.portability import GatewayFit, PortabilityReport, SampleRequest, Side
from emulator.client.connection import Connection, EmulatorError, session_path
from emulator.core import clock, strict_json, yaml_file
from emulator.core.strict_json import BadJson
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.calendar import Calendar
from emulator.messages import BEHAVIORS
from emulator.settings import Settings, UsageError
from emulator.validation import registry

Section = tuple[str, Sequence[Sequence[str]]]


def held(file: str | None, url: str | None, session: str | None, chosen: Settings) -> PortabilityReport:
    """The calls in `file`, or those that the `session` (None: latest) of the server at `url` had, held."""
    if (file is None) == (url is None):
        given = "neither FILE nor --url is given" if url is None else "FILE and --url are both given"
        raise UsageError(f"{given}; expected one of them")
    if session is not None and url is None:
        raise UsageError(f"--session {session!r} is for --url; a FILE has its calls in itself")
    asked = _from_file(Path(file)) if file is not None else _from_server(url, session or "latest", chosen.admin_token)
    today = Calendar(clock.parse(chosen.clock, chosen.as_of).today(), chosen.legacy)
    return portability.hold(asked, list(_sides(chosen)), frozenset(chosen.channels), today)


def sections(found: PortabilityReport) -> Iterator[Section]:
    """A heading and a table for each call, and at the end for all of them."""
    for place, call in enumerate(found.calls, 1):
        sent = f", sent to {call.gateway}" if call.gateway else ""
        heading = _line(f"call {place if call.number is None else call.number}: {call.body_model or 'no model'}{sent}")
        rows = [(fit.gateway, fit.behavior, fit.outcome, _why(fit)) for fit in call.fits]
        yield heading, [("GATEWAY", "BEHAVIOR", "OUTCOME", "WHY"), *rows]
    count = len(found.calls)
    tallies = [
        (one.gateway, one.behavior, *map(str, (one.accepted, one.ignores, one.refused))) for one in found.gateways
    ]
    heading = "1 call in all" if count == 1 else f"{count} calls in all"
    yield heading, [("GATEWAY", "BEHAVIOR", "ACCEPTED", "IGNORES", "REFUSED"), *tallies]


def _why(fit: GatewayFit) -> str:
    if fit.refused is not None:
        source = f" ({fit.refused.source})" if fit.refused.source else ""
        return _line(fit.refused.message) + source
    return _line(f"without effect: {', '.join(fit.ignored)}") if fit.ignored else ""


def _line(text: str) -> str:
    """A client's text without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _from_file(path: Path) -> Sequence[SampleRequest]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidFile(f"{path}: {error.strerror or error}") from None
    try:
        said, _ = strict_json.parse(data)
    except BadJson:  # YAML says where it stops understanding, and reads JSON but for its rarest escapes
        said = yaml_file.read(path, aliases=True).root
    try:
        return portability.requests(said)
    except ValueError as error:
        raise InvalidFile(f"{path}: {error}") from None


def _from_server(url: str | None, session: str, token: str | None) -> Sequence[SampleRequest]:
    try:
        connection = Connection(url, token)
        return portability.requests({"calls": list(_journal(connection, session))})
    except (EmulatorError, ValueError) as error:
        raise UsageError(f"--url {url!r}: {error}") from None


def _journal(connection: Connection, session: str) -> Iterator[Any]:
    """The calls of a session, page by page."""
    after: int | None = 0
    while after is not None:
        page = connection.ask("GET", f"{session_path(session)}/calls?limit={_PAGE}&after={after}")
        if not isinstance(page, Mapping) or not isinstance(page.get("calls"), list):
            raise ValueError("what answers there is no emulator")
        yield from page["calls"]
        session = page.get("session", session)  # the next page is of the same session, whichever is the latest then
        after = page.get("next")


def _sides(chosen: Settings) -> Iterator[Side]:
    """The gateways that ship and those of --schema, each in all its behavior."""
    for one in registry.read(chosen.schema):
        others = (registry.other(one.name, behavior) for behavior in BEHAVIORS if behavior != one.behavior)
        for side in portability.sides([one, *filter(None, others)]):
            if one.document.source.path.parent != yaml_file.schemas():
                sum(side.validator.examine())  # a file of the user's own may not compile
            yield side


_PAGE: Final = 1000  # the most that a server gives at once
