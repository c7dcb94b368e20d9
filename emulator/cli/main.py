"""The command line: what can be typed, and which room carries it out.

Errors of use are one line on stderr and exit code 2; a subcommand's room is loaded when it is called.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from emulator import settings
from emulator.core.yaml_file import InvalidFile
from emulator.settings import UsageError

NAME: Final = "image-api-emulator"


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
    except (UsageError, InvalidFile) as error:
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


def _serve(options: argparse.Namespace) -> int:
    from emulator.cli import serve

    return serve.serve(settings.load(vars(options)))


def _tool(name: str) -> Callable[[argparse.Namespace], int]:
    """The subcommand `name` of the room *tools*."""

    def run(options: argparse.Namespace) -> int:
        from emulator.cli import commands as tools

        return tools.TOOLS[name](options)

    return run


def _schema_flag(command: argparse.ArgumentParser) -> None:
    about = "one more gateway's OpenAPI file (repeatable)"
    command.add_argument("--schema", action="append", metavar="FILE", help=about)


def _rules_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", metavar="GATEWAY", help="a gateway's name; `gateways` lists them")
    command.add_argument("--behavior", metavar="WORD", help="documented or observed (documented)")
    about = "where page and server disagree: what either answers in the situations that clients get into"
    command.add_argument("--differences", action="store_true", help=about)
    _schema_flag(command)


def _check_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "file", nargs="+", metavar="FILE", help="a scenario, or an OpenAPI file that describes a gateway"
    )
    command.add_argument("--json", action="store_true", help="one line of JSON for each file")


def _explain_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "code", metavar="CODE", help="as in the header X-Emulator-Finding, the journal, or check's output"
    )


def _portability_flags(command: argparse.ArgumentParser) -> None:
    about = "a body, a list of bodies, or a journal, as JSON or YAML"
    command.add_argument("file", nargs="?", metavar="FILE", help=about)
    command.add_argument("--url", metavar="URL", help="take the calls of a running server, as http://127.0.0.1:4010")
    command.add_argument("--session", metavar="ID", help="the session whose calls they are (latest)")
    command.add_argument("--admin-token", metavar="TOKEN", help="the token, where that server asks for one")
    command.add_argument("--json", action="store_true", help="one line of JSON")
    command.add_argument("--strict", action="store_true", help="exit code 1 if a gateway refuses a call")
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
_Command = tuple[Callable[[argparse.Namespace], int], str, Callable[[argparse.ArgumentParser], None]]
_COMMANDS: Final[dict[str, _Command]] = {
    "serve": (_serve, "answer calls until stopped", settings.add_flags),
    "gateways": (_tool("gateways"), "list the gateways", _schema_flag),
    "rules": (_tool("rules"), "print a gateway's rules and where each comes from", _rules_flags),
    "scenarios": (_tool("scenarios"), "list the ready-made scenarios", lambda command: None),
    "check": (_tool("check"), "check scenarios and gateways' files; exit code 1 if one has a flaw", _check_flags),
    "explain": (_tool("explain"), "explain the code of a finding", _explain_flags),
    "portability": (_tool("portability"), "hold calls against every gateway: who takes them?", _portability_flags),
    "render": (_tool("render"), "draw the picture of a request into a file, without a server", _render_flags),
    "inspect": (_tool("inspect"), "read what picture files say of themselves, one line of JSON each", _inspect_flags),
}
