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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn

from emulator import settings
from emulator.core.light_dataclass import dataclass
from emulator.core.suggestions import describe_unknown
from emulator.core.tables import wrap_text
from emulator.core.terminal import find_width, has_color, paint
from emulator.core.version import VERSION
from emulator.core.yaml_file import InvalidFile
from emulator.settings import UsageError

NAME: Final = "image-api-emulator"


@dataclass(frozen=True)
class Command:
    """A command: its name, one line about it, what adds its flags, and its function as `module:function`.

    The function takes the parsed flags and returns the exit code. `more` is what its --help says below the flags.
    """

    name: str
    about: str
    add_flags: Callable[[argparse.ArgumentParser], None]
    function: str
    more: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (default: the arguments of this process); the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that the console lacks becomes an escape, not an error
            stream.reconfigure(errors="backslashreplace")
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        return _run(arguments)
    except (UsageError, InvalidFile) as error:
        print(f"{format_name()}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whatever reads our output has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def format_name() -> str:
    """Return the name that begins a line on stderr, in red where that shows colours."""
    if has_color(sys.stderr):
        return paint(NAME, "red")
    return NAME


def build_parser(command: Command) -> Parser:
    """Return the parser of the arguments behind a command."""
    about = f"{command.about[0].upper()}{command.about[1:]}."
    parser = Parser(prog=f"{NAME} {command.name}", description=about, epilog=command.more, allow_abbrev=False)
    command.add_flags(parser)
    parser.usage = _format_usage(parser).replace("%", "%%")
    return parser


def _run(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names; without one, print the first screen of the help."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        rest = arguments[1:2]
        if not rest or rest[0].startswith("-"):
            print("\n".join(_format_first_screen()))
            return 0
        arguments = [*rest, "--help"]  # `help COMMAND`
    first = arguments[0]
    if first in ("-V", "--version", "version"):
        print(f"{NAME} {VERSION}")
        return 0
    command = _find_command(first)
    parser = build_parser(command)
    options, unknown = parser.parse_known_args(arguments[1:])
    if unknown:
        parser.refuse_unknown(unknown)
    run: Callable[[argparse.Namespace], int] = pkgutil.resolve_name(command.function)
    return run(options)


def _find_command(word: str) -> Command:
    """Return the command `word`; raises UsageError with the nearest one, or with the place of a flag."""
    for command in COMMANDS:
        if command.name == word:
            return command
    where = f"see {NAME} --help"
    if not word.startswith("-"):
        known = [command.name for command in COMMANDS]
        raise UsageError(f"{describe_unknown('command', word, known)}; {where}")
    flag = word.partition("=")[0]
    if flag.removeprefix("--").replace("-", "_") in settings.FIELDS:
        raise UsageError(f"{flag} comes behind its command: {NAME} serve {word}; {where}")
    raise UsageError(f"{describe_unknown('flag', flag, ('--help', '--version'))}; flags come behind a command; {where}")


def _format_first_screen() -> Iterator[str]:
    """Yield the lines of --help: what this is, how to begin, and the commands."""
    width = find_width()
    bold = has_color(sys.stdout)
    column = max(len(command.name) for command in COMMANDS) + 4
    yield f"usage: {NAME} COMMAND [FLAGS]"
    yield ""
    yield from wrap_text(f"{_ABOUT} Begin with `{NAME} serve`.", width, indent="")
    yield ""
    for command in COMMANDS:
        start = f"  {command.name:{column - 2}}"
        first, *rest = wrap_text(command.about, max(width - column, 20), indent="")
        yield (paint(start, "bold") if bold else start) + first
        yield from (" " * column + line for line in rest)
    yield ""
    yield from wrap_text("COMMAND --help shows the flags of a command, --version the version.", width, indent="")


def _format_usage(parser: argparse.ArgumentParser) -> str:
    """Return how a command is written: its arguments and the flags that it needs; the others are listed below."""
    words = [parser.prog]
    for action in parser._actions:
        if action.option_strings:
            if action.required:
                words.append(f"{action.option_strings[0]} {action.metavar}")
            continue
        name = str(action.metavar)
        spelled = {"+": f"{name} [{name} ...]", "*": f"[{name} ...]", "?": f"[{name}]"}
        words.append(spelled.get(str(action.nargs), name))
    return " ".join([*words, "[FLAGS]"])


class Parser(argparse.ArgumentParser):
    """A parser whose error is one line, with the nearest known word for an unknown one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_HelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with `message`."""
        raise UsageError(f"{message}; see {self.prog} --help")

    def refuse_unknown(self, arguments: Sequence[str]) -> NoReturn:
        """Raise UsageError about the first of `arguments`, which this parser does not know."""
        first = arguments[0]
        if not first.startswith("-"):
            self.error(f"unexpected argument {first!r}")
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        self.error(describe_unknown("flag", first.partition("=")[0], known))


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """The column of descriptions begins a little further right, so that nearly every flag has room before it."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=find_width())


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
    about = "only the rules of this operation"
    parser.add_argument("--operation", metavar="generate|edit|vary", help=about)
    about = "what its page promises, or what its server does (default: documented)"
    parser.add_argument("--behavior", metavar="documented|observed", help=about)
    about = "print the calls that the gateway's page and its server answer differently, with both answers"
    parser.add_argument("--differences", action="store_true", help=about)
    _add_schema_flag(parser)
    _add_output_flags(parser)


def _add_check_flags(parser: argparse.ArgumentParser) -> None:
    about = "a scenario, the OpenAPI file of a gateway, an error catalog, or the folder of recordings"
    parser.add_argument("file", nargs="+", metavar="FILE", help=about)
    _add_schema_flag(parser)
    parser.add_argument("--wide", action="store_true", help="print each finding on one line, however long it is")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each file")


def _add_explain_flags(parser: argparse.ArgumentParser) -> None:
    about = "word from the console, the journal, the header X-Emulator-Finding or the command `check`: the code of a "
    about += "finding or a refusal, a kind of refusal, a breach, a fault; or a reserved value"
    parser.add_argument("code", metavar="CODE", help=about)
    _add_gateways_flags(parser)


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
    parser.add_argument("--gateway", action="append", dest="only", metavar="GATEWAY", help=about)
    _add_output_flags(parser)
    parser.add_argument("--strict", action="store_true", help="exit with code 1 if a gateway refuses a call")
    _add_schema_flag(parser)


def _add_record_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="folder of the recording; serve --record DIR replays it")
    about = "the session whose calls are written, drawn ones too"
    parser.add_argument("--from-session", metavar="ID", required=True, help=about)
    _add_schema_flag(parser)
    _add_server_flags(parser)


def _add_compare_flags(parser: argparse.ArgumentParser) -> None:
    about = "folder of recordings, as serve --record DIR writes it"
    parser.add_argument("folder", nargs="+", metavar="DIR", help=about)
    about = "what is compared: what a gateway's page promises, or what its server does (default: documented)"
    parser.add_argument("--behavior", metavar="documented|observed", help=about)
    parser.add_argument(
        "--junit", metavar="FILE", help="also write a test for each recorded call to FILE, as JUnit XML"
    )
    _add_schema_flag(parser)
    _add_output_flags(parser)


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
    about = "with --max-cost: a call without a known price costs nothing"
    parser.add_argument("--unknown-cost", metavar="ignore", help=about)
    about = "expect that a real gateway has answered N of these calls"
    parser.add_argument("--live", type=int, metavar="N", help=about)
    parser.add_argument("--admin-token", metavar="TOKEN", help="the emulator's token, if it has one")
    parser.add_argument("--json", action="store_true", help="print the verdict as one line of JSON")


def _add_server_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name a running emulator, which need not be given."""
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
    parser.add_argument("--gateway", metavar="GATEWAY", help=about)
    parser.add_argument("--seed", metavar="N", help="seed of the server (default: 0)")
    about = "picture weight of the server (default: small)"
    parser.add_argument("--picture-weight", metavar="small|realistic", help=about)
    about = "file to write (default: %(default)s)"
    parser.add_argument("--output", "-o", default="picture.png", metavar="FILE", help=about)
    _add_schema_flag(parser)


def _add_doctor_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", metavar="ADDRESS", help="address that serve listens on (default: the setting)")
    parser.add_argument("--port", metavar="PORT", help="port that serve listens on (default: the setting)")
    _add_output_flags(parser)


def _add_completion_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", metavar="bash|zsh|fish", help="the shell that reads the script")


def _add_inspect_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", nargs="+", metavar="FILE", help="a PNG, JPEG or WebP file")


_SERVE: Final = """each flag is also a variable (EMULATOR_PORT=0) and a key of emulator.yaml

examples:
  image-api-emulator serve
  image-api-emulator serve --scenario flaky --port 0"""
_RULES: Final = """examples:
  image-api-emulator rules GATEWAY --model gpt-image-1 --operation edit
  image-api-emulator rules GATEWAY --differences"""
_SCENARIOS: Final = """use one:
  image-api-emulator serve --scenario rate-limited-then-ok"""
_CHECK: Final = """exit code: 0 for good files, 1 for findings, 2 for a file that cannot be read

example:
  image-api-emulator check my-scenario.yaml my-gateway.yaml"""
_EXPLAIN: Final = """example:
  image-api-emulator explain rate_limit_exceeded"""
_DOCS: Final = """examples:
  image-api-emulator docs
  image-api-emulator docs scenarios
  image-api-emulator docs retry-after"""
_PORTABILITY: Final = """examples:
  image-api-emulator portability body.json
  image-api-emulator portability --url http://127.0.0.1:4010"""
_COMPARE: Final = """exit code: 0 if nothing differs, 1 if something does, 2 for a bad recording

example:
  image-api-emulator compare recordings/first-run --behavior observed"""
_VERIFY: Final = """exit code: 0 if the calls are as expected, 1 if not

example:
  image-api-emulator verify --url http://127.0.0.1:4010 status=200 --times 2"""
_RENDER: Final = """example:
  image-api-emulator render "A boat" --model gpt-image-2 -o boat.png"""
_DOCTOR: Final = """exit code: 0 if nothing is wrong, 1 if something is

example:
  image-api-emulator doctor --port 4010"""
_COMPLETION: Final = """add a line to the file that your shell reads at its start:
  ~/.bashrc                   eval "$(image-api-emulator completion bash)"
  ~/.zshrc, behind compinit   eval "$(image-api-emulator completion zsh)"
  ~/.config/fish/config.fish  image-api-emulator completion fish | source"""
_ABOUT: Final = (
    "A local stand-in for OpenAI-compatible image-generation gateways: same paths, same refusals, real pictures."
)
COMMANDS: Final = (
    Command("serve", "start the emulator and answer calls until stopped", settings.add_flags,
            "emulator.cli.serve:run_server", _SERVE),
    Command("gateways", "list the gateways: base path, operations, models", _add_gateways_flags,
            "emulator.cli.commands:list_gateways"),
    Command("rules", "print a gateway's rules, and where each comes from", _add_rules_flags,
            "emulator.cli.commands:print_rules", _RULES),
    Command("scenarios", "list the ready-made scenarios", _add_output_flags,
            "emulator.cli.commands:list_scenarios", _SCENARIOS),
    Command("check", "say what is wrong with scenarios, gateway files and catalogs", _add_check_flags,
            "emulator.cli.commands:check_files", _CHECK),
    Command("explain", "say what a code, a kind, a fault or a reserved value means", _add_explain_flags,
            "emulator.cli.commands:explain_word", _EXPLAIN),
    Command("docs", "print a page of the documentation, or find words in it", _add_docs_flags,
            "emulator.cli.docs:print_docs", _DOCS),
    Command("portability", "say which gateways take a call, and why others do not", _add_portability_flags,
            "emulator.cli.portability:print_portability", _PORTABILITY),
    Command("record", "write the calls of a running emulator's session as a recording", _add_record_flags,
            "emulator.cli.recording:record_session"),
    Command("compare", "say where recorded answers differ from what is answered here", _add_compare_flags,
            "emulator.cli.compare:compare_folders", _COMPARE),
    Command("verify", "say whether a running emulator has got the expected calls", _add_verify_flags,
            "emulator.cli.verification:verify_calls", _VERIFY),
    Command("coverage", "say what of a gateway's contract the calls of a run have met", _add_coverage_flags,
            "emulator.cli.coverage:print_coverage"),
    Command("mcp", "offer a running emulator's paths as tools (MCP on stdio)", _add_server_flags,
            "emulator.cli.mcp_server:run_mcp"),
    Command("render", "draw the picture of a request into a file", _add_render_flags,
            "emulator.cli.commands:render_picture", _RENDER),
    Command("inspect", "print what picture files are, one line of JSON each", _add_inspect_flags,
            "emulator.cli.commands:inspect_pictures"),
    Command("doctor", "say what on this machine keeps calls from the emulator", _add_doctor_flags,
            "emulator.cli.doctor:diagnose", _DOCTOR),
    Command("completion", "print the script that completes commands in a shell", _add_completion_flags,
            "emulator.cli.completion:print_script", _COMPLETION),
)  # fmt: skip
"""The commands, in the order of `--help`."""
