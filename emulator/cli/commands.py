"""The subcommands that need no server: they read files and print.

Errors of use raise UsageError (or InvalidFile), one line; what a command finds wrong in what it looks at is its output.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from emulator import settings
from emulator.analysis import differences, rules_table
from emulator.core import clock, yaml_file
from emulator.core.yaml_file import InvalidFile
from emulator.findings import FINDINGS, Finding
from emulator.gateway import gateway as dialect
from emulator.gateway.calendar import Calendar
from emulator.gateway.gateway import Gateway
from emulator.image import render as picture
from emulator.messages import Behavior, GatewayError, Request
from emulator.response import builder
from emulator.scenario import loader
from emulator.settings import UsageError
from emulator.validation import registry
from emulator.validation.validator import RequestValidator, ValidationContext

NAME: Final = "image-api-emulator"


def gateways(options: argparse.Namespace) -> int:
    """List the gateways: where, what, how many rules are live, which models."""
    rows = [("GATEWAY", "BASE PATH", "OPERATIONS", "RULES", "MODELS", "TITLE")]
    for one in _gateways(options).values():
        live = str(sum(RequestValidator(one).examine()))
        operations = sorted({item.name for by_method in one.operations.values() for item in by_method.values()})
        models = [name for operation in one.generating() if operation.models for name in operation.models.listed]
        shown = ", ".join(models) or "any"
        rows.append((one.name, f"/{one.name}{one.base}", ", ".join(operations), live, shown, one.title))
    _print_table(rows)
    return 0


def rules(options: argparse.Namespace) -> int:
    """Print a gateway's rules as a table, or where its page and its server disagree."""
    gateway, behavior = _named(_gateways(options), options.name), settings.load(vars(options)).behavior
    wanted: Behavior = "observed" if options.differences else behavior
    other = None if wanted == gateway.behavior else registry.other(gateway.name, wanted)
    if options.differences:
        if other is None:
            raise UsageError(
                f"{gateway.name} is known in {gateway.behavior} behavior only, so there is nothing to compare"
            )
        found = differences.rows(RequestValidator(gateway), RequestValidator(other))
        rows = [tuple(_shortened(cell) for cell in row) for row in found]
        _print_table([("SITUATION", gateway.behavior.upper(), other.behavior.upper()), *rows])
        return 0
    if other is None and wanted != gateway.behavior:
        print(f"{NAME}: {gateway.name} is known in {gateway.behavior} behavior only; these are they", file=sys.stderr)
    _print_table([("MODEL", "PARAMETER", "RULE", "SOURCE"), *rules_table.rows(other or gateway)])
    return 0


def render(options: argparse.Namespace) -> int:
    """Draw the picture that a server with the same seed draws for the same request, without a server."""
    chosen = settings.load(vars(options))
    gateway = _named(_gateways(options), chosen.gateway)
    body = {key: value for key in _REQUEST if (value := getattr(options, key)) is not None}
    operation = next(gateway.generating())
    request = Request("POST", operation.path, "", {"Content-Type": "application/json"}, b"", body, None, (), "", 0)
    try:
        today = Calendar(clock.parse(chosen.clock, chosen.as_of).today(), chosen.legacy)
        call = RequestValidator(gateway).accept(request, operation, "sk-render", ValidationContext(today=today))
    except GatewayError as error:
        raise UsageError(f"{gateway.name} refuses that: {gateway.error_catalog.format_message(error)}") from None
    if not 0 <= options.index < call.count:
        raise UsageError(f"--index {options.index}: the request makes {call.count} picture(s), counted from 0")
    recipe = builder.recipe_of(call, gateway.name, chosen.seed, options.index)
    try:
        Path(options.output).write_bytes(picture.draw(recipe))
    except OSError as error:
        raise UsageError(f"--output {options.output!r}: {error.strerror}") from None
    for one in call.findings:
        print(f"{NAME}: {one.code}: {one.message}", file=sys.stderr)
    shape = f"{recipe.width}x{recipe.height} {recipe.format}"
    print(f"{options.output}: {shape}, seed {chosen.seed}, recipe {recipe.digest}")
    return 0


def inspect(options: argparse.Namespace) -> int:
    """Print what picture files say of themselves; exit code 1 if one is no picture."""
    failed = False
    for path in options.file:
        try:
            found = asdict(picture.inspect(Path(path).read_bytes()))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            failed, found = True, {"error": str(error)}
        print(json.dumps({"file": path, **found}, ensure_ascii=False))
    return 1 if failed else 0


def scenarios(options: argparse.Namespace) -> int:
    """List the ready-made scenarios."""
    told = [(name, " ".join(loader.find_scenario(name).about.split())) for name in loader.list_ready_made()]
    _print_table([("SCENARIO", "ABOUT"), *told])
    return 0


def explain(options: argparse.Namespace) -> int:
    """Print what a finding's code means."""
    if options.code not in FINDINGS:
        raise UsageError(f"unknown code {options.code!r}; known are {', '.join(FINDINGS)}")
    print(FINDINGS[options.code])
    return 0


def check(options: argparse.Namespace) -> int:
    """Say of each file what is wrong with it, if anything."""
    flawed = False
    for path in options.file:
        found = _flaws(Path(path))
        flawed = flawed or bool(found)
        if options.json:
            told = [{"code": one.code, "message": one.message} for one in found]
            print(json.dumps({"file": path, "findings": told}, ensure_ascii=False))
        else:
            print("\n".join(f"{path}: {one.code}: {one.message}" for one in found) or f"{path}: good")
    return 1 if flawed else 0


def portability(options: argparse.Namespace) -> int:
    """Hold calls against every gateway; with --strict the exit code is 1 where one of them is refused."""
    from emulator.cli import portability as porting

    found = porting.held(options.file, options.url, options.session, settings.load(vars(options)))
    if options.json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        for place, (heading, rows) in enumerate(porting.sections(found)):
            print(f"\n{heading}" if place else heading)
            _print_table(rows)
    return 1 if options.strict and any(one.refused for one in found.gateways) else 0


def _flaws(path: Path) -> Sequence[Finding]:
    """The findings about a scenario or a gateway's file."""
    try:
        root = yaml_file.read(path, aliases=True).root
        if isinstance(root, Mapping) and ("openapi" in root or "swagger" in root):
            gateway = dialect.read(path)
            sum(RequestValidator(gateway).examine())
            return gateway.findings
        loader.load_scenario(path)
    except InvalidFile as error:
        return [Finding("unusable_file", str(error))]
    return []


def _gateways(options: argparse.Namespace) -> Mapping[str, Gateway]:
    """The gateways that ship and those of --schema, by name."""
    return {one.name: one for one in registry.read(settings.load(vars(options)).schema)}


def _named(known: Mapping[str, Gateway], name: str) -> Gateway:
    if name not in known:
        raise UsageError(f"unknown gateway {name!r}; known are {', '.join(known)}")
    return known[name]


def _shortened(cell: str) -> str:
    return cell if len(cell) <= _CELL else cell[: _CELL - 1] + "…"


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]
        print("  ".join(cells).rstrip())


_CELL: Final = 72  # characters of what a gateway says: status, code and the beginning of the message
_REQUEST: Final = (
    "prompt", "model", "n", "size", "quality", "style", "background", "output_format", "output_compression",
)  # fmt: skip
TOOLS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "gateways": gateways,
    "rules": rules,
    "scenarios": scenarios,
    "check": check,
    "explain": explain,
    "portability": portability,
    "render": render,
    "inspect": inspect,
}
