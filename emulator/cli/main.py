"""The command line: the commands, their flags, and `main`, which runs one of them.

An error of use is one line on stderr and exit code 2. The function of a command is imported when the command runs, so
that `--help` and `serve` load nothing they do not need.

Why argparse: importing it costs 8 ms of CPU, importing click 34 ms, argcomplete 17 ms beside argparse (measured with
Python 3.11). A completion script can be made from the parser once, and then no start pays for it.
"""

from __future__ import annotations

import argparse
import io
import os
import pkgutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from emulator import settings
from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_unknown
from emulator.core.version import VERSION
from emulator.core.yaml_file import InvalidFile
from emulator.settings import UsageError

NAME: Final = "image-api-emulator"


@dataclass(frozen=True)
class Command:
    """A command: its name, one line about it, what adds its flags, and its function as `module:function`.

    The function takes the parsed flags and returns the exit code.
    """

    name: str
    about: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    function: str


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: the arguments of this process); the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the console lacks becomes an escape, not an error
            stream.reconfigure(errors="backslashreplace")
    options = parse_arguments(argv)
    try:
        run: Callable[[argparse.Namespace], int] = pkgutil.resolve_name(options.function)
        return run(options)
    except (UsageError, InvalidFile) as error:
        print(f"{NAME}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whatever reads our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the flags of a command; exits with code 2 where they are not understood."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = Parser(prog=NAME, description=_ABOUT, allow_abbrev=False)
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        about = command.about[0].upper() + command.about[1:] + "."
        subparser = commands.add_parser(command.name, help=command.about, description=about, allow_abbrev=False)
        if command.name in arguments:  # the flags of the other commands are not needed; they take 5 ms
            command.add_flags(subparser)
        subparser.set_defaults(function=command.function, parser=subparser)
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        options.parser.refuse_unknown(unknown)
    return options


class Parser(argparse.ArgumentParser):
    """A parser whose error is one line, with the nearest known word for an unknown one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_HelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Print `message` and exit with code 2."""
        self.exit(2, f"{NAME}: {message}; see {self.prog} --help\n")

    def refuse_unknown(self, arguments: Sequence[str]) -> NoReturn:
        """Exit with an error about the first of `arguments`, which this parser does not know."""
        first = arguments[0]
        if not first.startswith("--"):
            self.error(f"unexpected argument {first!r}")
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        self.error(describe_unknown("flag", first.partition("=")[0], known))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:  # the commands are the only choices here
            self.error(describe_unknown("command", value, action.choices))


class _PrintVersion(argparse.Action):
    """Prints the name and the version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        print(f"{NAME} {VERSION}")
        parser.exit(0)


class _HelpFormatter(argparse.HelpFormatter):
    """The column of descriptions begins a little further right, so that nearly every flag has room before it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28)
        longest = max(len(command.name) for command in COMMANDS)
        self._action_max_length = longest + 6  # argparse forgets that the commands are indented by four, not two


def _add_output_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a command that prints tables or texts; with none of them they are as wide as the terminal."""
    parser.add_argument("--wide", action="store_true", help="print each row on one line, however long it is")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")


def _add_schema_flag(parser: argparse.ArgumentParser) -> None:
    about = "OpenAPI file of one more gateway (repeatable)"
    parser.add_argument("--schema", action="append", metavar="FILE", help=about)


def _add_gateways_flags(parser: argparse.ArgumentParser) -> None:
    _add_schema_flag(parser)
    _add_output_flags(parser)


def _add_rules_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="GATEWAY", help="name of a gateway; the command `gateways` lists them")
    parser.add_argument("--model", metavar="MODEL", help="only the rules that a call with this model meets")
    about = "only the rules of this operation: generate, edit or vary"
    parser.add_argument("--operation", metavar="OPERATION", help=about)
    parser.add_argument("--behavior", metavar="WORD", help="documented or observed (default: documented)")
    about = "print the calls that the gateway's page and its server answer differently, with both answers"
    parser.add_argument("--differences", action="store_true", help=about)
    _add_schema_flag(parser)
    _add_output_flags(parser)


def _add_check_flags(parser: argparse.ArgumentParser) -> None:
    about = "a scenario, the OpenAPI file of a gateway, an error catalog, or the folder of recordings"
    parser.add_argument("file", nargs="+", metavar="FILE", help=about)
    parser.add_argument("--wide", action="store_true", help="print each finding on one line, however long it is")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each file")


def _add_explain_flags(parser: argparse.ArgumentParser) -> None:
    about = "word from the console, the journal, the header X-Emulator-Finding or the command `check`: the code of a "
    about += "finding or a refusal, a kind of refusal, a breach, a fault; or a reserved value"
    parser.add_argument("code", metavar="CODE", help=about)
    _add_output_flags(parser)


def _add_docs_flags(parser: argparse.ArgumentParser) -> None:
    about = "a page, a part of one such as errors#kinds-of-refusal, or words to look for (default: list the pages)"
    parser.add_argument("words", nargs="*", metavar="PAGE|WORD", help=about)
    parser.add_argument("--all", action="store_true", help="print all places where the words were found")
    parser.add_argument("--markdown", action="store_true", help="print the page as its file is")


def _add_portability_flags(parser: argparse.ArgumentParser) -> None:
    about = "JSON or YAML: a request body, a list of bodies, or a journal; a form is a mapping of body and uploads"
    parser.add_argument("file", nargs="?", metavar="FILE", help=about)
    about = "check the calls of a running emulator, such as http://127.0.0.1:4010"
    parser.add_argument("--url", metavar="URL", help=about)
    parser.add_argument("--session", metavar="ID", help="with --url: the session to check (default: latest)")
    parser.add_argument("--admin-token", metavar="TOKEN", help="with --url: the emulator's token, if it has one")
    about = "hold the calls against this gateway alone (repeatable)"
    parser.add_argument("--gateway", action="append", dest="only", metavar="NAME", help=about)
    _add_output_flags(parser)
    parser.add_argument("--strict", action="store_true", help="exit with code 1 if a gateway refuses a call")
    _add_schema_flag(parser)


def _add_record_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="folder of the recording; serve --record DIR replays it")
    about = "the session whose calls are written, drawn ones too"
    parser.add_argument("--from-session", metavar="ID", required=True, help=about)
    about = "address of the running emulator (default: %(default)s)"
    parser.add_argument("--url", metavar="URL", default="http://127.0.0.1:4010", help=about)
    parser.add_argument("--admin-token", metavar="TOKEN", help="the emulator's token, if it has one")


def _add_verify_flags(parser: argparse.ArgumentParser) -> None:
    about = "field of the calls that are meant, such as status=200, 'prompt={contains: cat}' or model=dall-e-3; "
    about += "with --in-order each is a call, and several fields of one stand in braces: '{status: 200, n: 2}'"
    parser.add_argument("condition", nargs="*", metavar="FIELD=VALUE", help=about)
    about = "address of the running emulator, such as http://127.0.0.1:4010"
    parser.add_argument("--url", metavar="URL", required=True, help=about)
    parser.add_argument("--session", metavar="ID", help="the session whose calls are meant (default: latest)")
    parser.add_argument("--times", type=int, metavar="N", help="expect N such calls")
    parser.add_argument("--once", action="store_true", help="expect one")
    parser.add_argument("--never", action="store_true", help="expect none")
    parser.add_argument("--at-least", type=int, metavar="N", help="expect N or more (without a count: one or more)")
    parser.add_argument("--at-most", type=int, metavar="N", help="expect N or fewer")
    parser.add_argument("--between", type=int, nargs=2, metavar=("LEAST", "MOST"), help="expect LEAST to MOST")
    parser.add_argument("--in-order", action="store_true", help="expect one call for each condition, in this order")
    parser.add_argument("--no-findings", action="store_true", help="expect that these calls have no findings")
    about = "expect that all answers of the session's scenario were given"
    parser.add_argument("--no-unused-answers", action="store_true", help=about)
    about = "expect that these calls cost DOLLARS at most; a call without a known price is too dear"
    parser.add_argument("--max-cost", type=float, metavar="DOLLARS", help=about)
    about = "with --max-cost and WORD ignore: a call without a known price costs nothing"
    parser.add_argument("--unknown-cost", metavar="WORD", help=about)
    about = "expect that a real gateway has answered N of these calls"
    parser.add_argument("--live", type=int, metavar="N", help=about)
    parser.add_argument("--admin-token", metavar="TOKEN", help="the emulator's token, if it has one")
    parser.add_argument("--json", action="store_true", help="print the verdict as one line of JSON")


def _add_mcp_flags(parser: argparse.ArgumentParser) -> None:
    address = f"http://127.0.0.1:{settings.Settings().port}"
    about = "address of the running emulator (default: %(default)s)"
    parser.add_argument("--url", metavar="URL", default=address, help=about)
    parser.add_argument("--admin-token", metavar="TOKEN", help="the emulator's token, if it has one")


def _add_coverage_flags(parser: argparse.ArgumentParser) -> None:
    about = "coverage of a run as JSON, from --image-api-coverage=json or serve --coverage FILE; several are added up"
    parser.add_argument("file", nargs="*", metavar="FILE", help=about)
    about = "ask a running emulator, such as http://127.0.0.1:4010"
    parser.add_argument("--url", metavar="URL", help=about)
    parser.add_argument("--session", metavar="ID", help="with --url: the session whose calls are meant (default: all)")
    parser.add_argument("--admin-token", metavar="TOKEN", help="with --url: the emulator's token, if it has one")
    parser.add_argument("--html", metavar="FILE", help="also write a page about it to FILE")
    parser.add_argument("--json", action="store_true", help="print one line of JSON, which this command reads again")
    about = "exit with code 1 where less than this share was met, in per cent"
    parser.add_argument("--fail-under", type=float, metavar="N", help=about)


def _add_render_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", help="prompt of the request")
    for name in ("model", "size", "quality", "style", "background", "output_format"):
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=f"{name} of the request")
    about = "output_compression of the request"
    parser.add_argument("--output-compression", type=int, metavar="0-100", help=about)
    parser.add_argument("--n", type=int, metavar="N", help="n of the request: how many pictures it asks for")
    about = "which of the n pictures to draw, from 0 (default: %(default)s)"
    parser.add_argument("--index", type=int, default=0, metavar="N", help=about)
    about = f"gateway that would receive the request (default: {settings.Settings().gateway})"
    parser.add_argument("--gateway", metavar="NAME", help=about)
    parser.add_argument("--seed", metavar="N", help="seed of the server (default: 0)")
    about = "picture weight of the server, small or realistic (default: small)"
    parser.add_argument("--picture-weight", metavar="WORD", help=about)
    about = "file to write (default: %(default)s)"
    parser.add_argument("--output", "-o", default="picture.png", metavar="FILE", help=about)
    _add_schema_flag(parser)


def _add_inspect_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="+", metavar="FILE", help="a PNG, JPEG or WebP file")


_ABOUT: Final = (
    "A local stand-in for OpenAI-compatible image-generation gateways: same paths, same refusals, real pictures."
)
COMMANDS: Final = (
    Command("serve", "start the emulator and answer calls until stopped", settings.add_flags,
            "emulator.cli.serve:run_server"),
    Command("gateways", "list the gateways", _add_gateways_flags,
            "emulator.cli.commands:list_gateways"),
    Command("rules", "print the rules of a gateway and the source of each", _add_rules_flags,
            "emulator.cli.commands:print_rules"),
    Command("scenarios", "list the ready-made scenarios", _add_output_flags,
            "emulator.cli.commands:list_scenarios"),
    Command("check", "check scenarios, gateway files and error catalogs; the exit code is 1 if one has findings",
            _add_check_flags, "emulator.cli.commands:check_files"),
    Command("explain", "explain the code of a finding, or a kind of refusal, or a breach", _add_explain_flags,
            "emulator.cli.commands:explain_word"),
    Command("docs", "print a page of the documentation, or find words in all of them", _add_docs_flags,
            "emulator.cli.docs:print_docs"),
    Command("portability", "print which gateways accept a call, and why the others refuse it", _add_portability_flags,
            "emulator.cli.portability:print_portability"),
    Command("record", "write the calls of a running emulator's session as a recording", _add_record_flags,
            "emulator.cli.recording:record_session"),
    Command("verify", "ask a running emulator whether a session's calls are as expected; the exit code is 1 if not",
            _add_verify_flags, "emulator.cli.verification:verify_calls"),
    Command("mcp", "offer the own paths of a running emulator as tools, in the Model Context Protocol on stdio",
            _add_mcp_flags, "emulator.cli.mcp_server:run_mcp"),
    Command("coverage", "print what runs have met of their gateways' contracts, and what they never met",
            _add_coverage_flags, "emulator.cli.coverage:print_coverage"),
    Command("render", "draw the picture of a request into a file, without a server", _add_render_flags,
            "emulator.cli.commands:render_picture"),
    Command("inspect", "print size, format and label of picture files, one line of JSON each", _add_inspect_flags,
            "emulator.cli.commands:inspect_pictures"),
)  # fmt: skip
"""The commands, in the order of `--help`."""
