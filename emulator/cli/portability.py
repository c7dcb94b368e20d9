"""The command `portability`: reads calls from a file or a running emulator, and prints which gateways accept them."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from emulator.analysis.portability import (
    CheckedCall,
    GatewayFit,
    PortabilityReport,
    PortabilityTarget,
    SampleRequest,
    build_targets,
    check_portability,
    parse_requests,
    select_targets,
)
from emulator.cli.output import choose_width, print_heading, print_json, print_table, print_text
from emulator.client.connection import Connection, EmulatorError, session_path
from emulator.core import clock, json_schema, strict_json, yaml_file
from emulator.core.data_folders import find_schemas
from emulator.core.file_reading import read_file
from emulator.core.strict_json import BadJson
from emulator.core.yaml_file import InvalidFile
from emulator.gateway.gateway import Gateway
from emulator.gateway.model_catalog import Calendar
from emulator.messages import BEHAVIORS
from emulator.settings import UsageError, load_settings
from emulator.validation import registry


def print_portability(options: argparse.Namespace) -> int:
    """Print which gateways accept the calls; with --strict the exit code is 1 if one refuses a call."""
    chosen = load_settings(vars(options))
    gateways = registry.find_gateways(chosen.schema)
    try:
        targets = select_targets(_list_targets(gateways), options.only or ())
    except ValueError as error:
        raise UsageError(f"--gateway: {error}; the file of a gateway of your own is named by --schema") from None
    requests = _read_requests(options, chosen.admin_token, gateways)
    if not requests:
        raise UsageError(f"{_name_source(options)} has no call to hold against other gateways: no generation, no edit")
    report = check_portability(
        requests,
        targets=targets,
        channels=frozenset(chosen.channels),
        calendar=Calendar(clock.parse_clock(chosen.clock, chosen.as_of).today(), chosen.legacy),
    )
    if options.json:
        print_json(asdict(report))
    else:
        _print_report(report, choose_width(options))
    if options.strict and any(tally.refused for tally in report.gateways):
        return 1
    return 0


def _name_source(options: argparse.Namespace) -> str:
    if options.file is not None:
        return str(options.file)
    return f"--session {options.session or 'latest'!r}"


def _print_report(report: PortabilityReport, width: int | None) -> None:
    """Print a heading and a table for calls that all gateways treat alike, and at the end for all calls together."""
    alike: dict[tuple[Any, ...], list[tuple[int, CheckedCall]]] = {}
    for place, call in enumerate(report.calls, 1):
        number = place if call.number is None else call.number
        alike.setdefault((call.body_model, call.gateway, call.fits, call.findings), []).append((number, call))
    for numbered in alike.values():
        call = numbered[0][1]
        numbers = ", ".join(str(number) for number, _ in numbered)
        heading = f"{'call' if len(numbered) == 1 else 'calls'} {numbers}: {call.body_model or 'no model'}"
        if call.gateway:
            heading += f", sent to {call.gateway}"
        print_heading(heading, width)
        print_table([("GATEWAY", "BEHAVIOR", "OUTCOME", "WHY"), *_group_fits(call.fits)], width)
        for finding in call.findings:
            print_text(f"{finding.code}: {finding.message}", width)
        print()
    count = len(report.calls)
    print_heading("1 call in all" if count == 1 else f"{count} calls in all", width)
    totals = [("GATEWAY", "BEHAVIOR", "ACCEPTED", "ASSUMED", "IGNORES", "REFUSED")]
    for tally in report.gateways:
        counts = (str(tally.accepted), str(tally.assumed), str(tally.ignores), str(tally.refused))
        totals.append((tally.gateway, tally.behavior, *counts))
    print_table(totals, width)


def _group_fits(fits: Sequence[GatewayFit]) -> list[tuple[str, str, str, str]]:
    """Return a row for the gateways that say the same of a call, in the same behavior."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for fit in fits:
        groups.setdefault((fit.behavior, fit.outcome, _explain_fit(fit)), []).append(fit.gateway)
    return [(", ".join(names), *verdict) for verdict, names in groups.items()]


def _explain_fit(fit: GatewayFit) -> str:
    """Return why a gateway refuses a call, what nobody promises that it takes, or what it ignores."""
    if fit.refused is not None:
        source = f" ({fit.refused.source})" if fit.refused.source else ""
        return fit.refused.message + source
    reasons = list(fit.assumed)
    if fit.ignored:
        reasons.append(f"without effect: {', '.join(fit.ignored)}")
    return "; ".join(reasons)


def _read_requests(
    options: argparse.Namespace, token: str | None, gateways: Mapping[str, Gateway]
) -> Sequence[SampleRequest]:
    """Return the calls in a file, or those of a session, the latest if none is named, of a running emulator."""
    file, url, session = options.file, options.url, options.session
    if file is not None and url is not None:
        raise UsageError("FILE and --url are both given; expected one of them")
    if file is not None:
        if session is not None:
            raise UsageError(f"--session {session!r} is for --url; a FILE has its calls in itself")
        return _read_file(Path(file), gateways)
    if url is None:
        raise UsageError("neither FILE nor --url is given; expected one of them")
    try:
        calls = list(_fetch_pages(Connection(url, token), session or "latest"))
        return parse_requests({"calls": calls}, gateways)
    except (EmulatorError, ValueError) as error:
        raise UsageError(f"--url {url!r}: {error}") from None


def _read_file(path: Path, gateways: Mapping[str, Gateway]) -> Sequence[SampleRequest]:
    try:
        data = read_file(path)
    except OSError as error:
        raise InvalidFile(f"{path}: {error.strerror or error}") from None
    try:
        value, _ = strict_json.parse_json(data, strict_json.MOST_STORED_VALUES)
    except BadJson:  # YAML names the line of an error, and reads nearly all JSON
        source = yaml_file.load_yaml(path, aliases=True)
        json_schema.check_json_values(source)
        value = source.root
    try:
        return parse_requests(value, gateways)
    except ValueError as error:
        raise InvalidFile(f"{path}: {error}") from None


def _fetch_pages(connection: Connection, session: str) -> Iterator[Any]:
    """Yield the calls of a session, page after page."""
    after: int | None = 0
    while after is not None:
        page = connection.ask("GET", f"{session_path(session)}/calls?limit={_PAGE}&after={after}")
        if not isinstance(page, Mapping) or not isinstance(page.get("calls"), list):
            raise ValueError("the server there is no emulator")
        yield from page["calls"]
        session = page.get("session", session)  # `latest` may mean another session when the next page is read
        after = page.get("next")


def _list_targets(gateways: Mapping[str, Gateway]) -> Iterator[PortabilityTarget]:
    """Yield each gateway that ships, and each of --schema, in each behavior that it has."""
    for gateway in gateways.values():
        in_behaviors = [gateway]
        for behavior in BEHAVIORS:
            other = None
            if behavior != gateway.behavior:
                other = registry.load_behavior(gateway.name, behavior)
            if other is not None:
                in_behaviors.append(other)
        for target in build_targets(in_behaviors):
            if gateway.document.file.path.parent != find_schemas():
                sum(target.validator.compile_schemas())  # compiles every schema of a user's file; raises InvalidFile
            yield target


_PAGE: Final = 1000  # the largest page that a server sends
