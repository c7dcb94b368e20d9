"""The command line: serve, rules, gateways, render, inspect.

Errors of use are one line on stderr and exit code 2; heavy rooms are loaded by the subcommand that needs them.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from emulator import settings
from emulator.headstart import headstart
from emulator.settings import BadSetting, Settings

if TYPE_CHECKING:
    from emulator.server import Running

NAME: Final = "image-api-emulator"


class BadUse(Exception):
    """A command that cannot be carried out; its text is one line."""


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; --help tells more\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (default: the process's own) spells; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the console lacks becomes an escape, not an error
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(argv)
    try:
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except (BadUse, BadSetting) as error:
        print(f"{NAME}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog=NAME, description=_ABOUT, allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, (run, about, add) in _COMMANDS.items():
        command = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        add(command)
        command.set_defaults(run=run)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    return settings.load(vars(options))


def _serve(options: argparse.Namespace) -> int:
    chosen = _settings(options)
    with headstart():
        import asyncio

        from emulator import server  # noqa: F401 - it is what takes the time
    return asyncio.run(_serving(chosen))


async def _serving(chosen: Settings) -> int:
    """Serve until SIGINT or SIGTERM."""
    import asyncio
    import signal

    from emulator import files, server
    from emulator.console import Console

    lines = None if chosen.quiet or chosen.ready_json else Console()
    try:
        hall = server.Hall(chosen, lines.tell if lines else None)
        running = await server.start(hall)
    except files.BadFile as error:
        raise BadUse(str(error)) from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadUse(f"cannot listen on --host {chosen.host!r} --port {chosen.port}: {reason}") from None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _announce(running)
    flaws: list[BaseException] = []

    def examined(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (flaw := task.exception()) is not None:
            flaws.append(flaw)
            stop.set()

    running.examined.add_done_callback(examined)
    await stop.wait()
    await running.stop()
    if lines is not None:
        lines.close()
    if flaws:
        raise BadUse(str(flaws[0]))
    return 0


def _announce(running: Running) -> None:
    """Say that calls are answered: to a person, or with --ready-json to a program; what is odd goes to stderr."""
    from emulator.console import say

    chosen = running.hall.settings
    for contract in running.hall.directory.contracts.values():
        path = contract.dialect.document.source.path
        for one in contract.dialect.findings:
            print(f"{path}: {one.code}: {one.message}", file=sys.stderr)
    if chosen.ready_json:
        if chosen.seed:  # `random` may have drawn it, and the run may have to be repeated
            print(f"{NAME}: seed {chosen.seed}", file=sys.stderr)
        say(json.dumps({"url": running.url, "port": running.port, "pid": os.getpid()}))
    else:
        say(_welcome(running))


def _welcome(running: Running) -> str:
    """What `serve` prints once it answers."""
    directory, settings = running.hall.directory, running.hall.settings
    width = max(map(len, directory.contracts))
    lines = [
        f"Image API Emulator answers; base URLs (documented manners, seed {settings.seed}, clock {settings.clock}):"
    ]
    for name, contract in directory.contracts.items():
        lines.append(f"  {name:<{width}}  {running.url}/{name}{contract.dialect.base}")
    default = directory.default.dialect.name
    lines.append(f"Without a prefix, {default} answers: {running.url}/v1")
    lines.append(f"What was asked: {running.url}/_emulator/sessions")
    return "\n".join(lines)


def _dialects(options: argparse.Namespace) -> list[Any]:
    from emulator import directory, files

    try:
        return directory.read(_settings(options).schema)
    except files.BadFile as error:
        raise BadUse(str(error)) from None


def _gateways(options: argparse.Namespace) -> int:
    from emulator import files
    from emulator.contract import Contract

    rows = [("GATEWAY", "BASE PATH", "OPERATIONS", "RULES", "MODELS", "TITLE")]
    for one in _dialects(options):
        try:
            live = sum(Contract(one).examine())
        except files.BadFile as error:
            raise BadUse(str(error)) from None
        operations = sorted({item.name for by_method in one.operations.values() for item in by_method.values()})
        models = [name for operation in one.generating() for name in operation.models.listed]
        shown = ", ".join(models) or "any"
        rows.append((one.name, f"/{one.name}{one.base}", ", ".join(operations), str(live), shown, one.title))
    _print_table(rows)
    return 0


def _rules(options: argparse.Namespace) -> int:
    from emulator import rulebook

    known = {one.name: one for one in _dialects(options)}
    if options.name not in known:
        raise BadUse(f"unknown gateway {options.name!r}; known are {', '.join(known)}")
    _print_table([("MODEL", "PARAMETER", "RULE", "SOURCE"), *rulebook.rows(known[options.name])])
    return 0


def _render(options: argparse.Namespace) -> int:
    """Draw the picture that a server with the same seed draws for the same request, without a server."""
    from emulator import files, picture, reply
    from emulator.contract import Contract
    from emulator.exchange import Problem, RawCall

    chosen = _settings(options)
    known = {one.name: one for one in _dialects(options)}
    name = chosen.gateway
    if name not in known:
        raise BadUse(f"unknown gateway {name!r}; known are {', '.join(known)}")
    body = {key: value for key in _REQUEST if (value := getattr(options, key)) is not None}
    try:
        contract = Contract(known[name])
        sum(contract.examine())
        operation = next(contract.dialect.generating())
        headers = {"Content-Type": "application/json"}
        raw = RawCall("POST", operation.path, "", headers, b"", body, None, (), "", 0)
        call = contract.accept(raw, operation, "sk-render")
    except files.BadFile as error:
        raise BadUse(str(error)) from None
    except Problem as problem:
        raise BadUse(f"{name} refuses that: {contract.dialect.wording.message(problem)}") from None
    if not 0 <= options.index < call.count:
        raise BadUse(f"--index {options.index}: the request makes {call.count} picture(s), counted from 0")
    recipe = reply.recipe_of(call, name, chosen.seed, options.index)
    try:
        Path(options.output).write_bytes(picture.draw(recipe))
    except OSError as error:
        raise BadUse(f"--output {options.output!r}: {error.strerror}") from None
    for one in call.findings:
        print(f"{NAME}: {one.code}: {one.message}", file=sys.stderr)
    shape = f"{recipe.width}x{recipe.height} {recipe.format}"
    print(f"{options.output}: {shape}, seed {chosen.seed}, recipe {recipe.digest}")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from emulator import picture

    failed = False
    for path in options.file:
        try:
            found = asdict(picture.inspect(Path(path).read_bytes()))
        except OSError as error:
            raise BadUse(f"{path}: {error.strerror}") from None
        except ValueError as error:
            failed, found = True, {"error": str(error)}
        print(json.dumps({"file": path, **found}, ensure_ascii=False))
    return 1 if failed else 0


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]))


def _schema_flag(command: argparse.ArgumentParser) -> None:
    about = "one more gateway's OpenAPI file (repeatable)"
    command.add_argument("--schema", action="append", metavar="FILE", help=about)


def _rules_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="GATEWAY", help="a gateway's name; `gateways` lists them")
    _schema_flag(command)


def _render_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("prompt", metavar="PROMPT")
    for flag in ("model", "size", "quality", "style", "background", "output_format"):
        command.add_argument(f"--{flag.replace('_', '-')}", metavar="VALUE", help=f"the request's {flag}")
    command.add_argument("--output-compression", type=int, metavar="0-100", help="the request's output_compression")
    command.add_argument("--n", type=int, metavar="N", help="the request's n")
    command.add_argument("--index", type=int, default=0, metavar="N", help="which of n pictures, from 0 (0)")
    command.add_argument("--gateway", metavar="NAME", help="the gateway that is asked")
    command.add_argument("--seed", metavar="N", help="the server's seed (0)")
    command.add_argument(
        "--output", "-o", default="picture.png", metavar="FILE", help="where to write it (%(default)s)"
    )
    _schema_flag(command)


def _inspect_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", nargs="+", metavar="FILE")


_ABOUT: Final = "A local stand-in for OpenAI-compatible image-generation gateways."
_REQUEST: Final = (
    "prompt", "model", "n", "size", "quality", "style", "background", "output_format", "output_compression",
)  # fmt: skip
_Command = tuple[Callable[[argparse.Namespace], int], str, Callable[[argparse.ArgumentParser], None]]
_COMMANDS: Final[dict[str, _Command]] = {
    "serve": (_serve, "answer calls until stopped", settings.add_flags),
    "gateways": (_gateways, "list the gateways", _schema_flag),
    "rules": (_rules, "print a gateway's rules and where each comes from", _rules_flags),
    "render": (_render, "draw the picture of a request into a file, without a server", _render_flags),
    "inspect": (_inspect, "read what picture files say of themselves, one line of JSON each", _inspect_flags),
}
