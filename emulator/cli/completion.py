"""The command `completion`: prints a script that completes commands, flags and their values in a shell.

The script is made of the parsers of all commands, once; completing starts no Python.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from emulator.cli.main import COMMANDS, NAME, build_parser
from emulator.core.data_folders import find_docs, find_schemas, list_ready_made
from emulator.core.suggestions import describe_unknown
from emulator.explanations import EXPLANATIONS
from emulator.settings import UsageError


class Values(NamedTuple):
    """What may follow a flag, or stand as an argument: words, and the names of files where `files` says so."""

    words: Sequence[str]
    files: bool


class Flag(NamedTuple):
    """A flag in its spellings; `values` is None where nothing follows it."""

    names: Sequence[str]
    about: str
    values: Values | None


class CommandWords(NamedTuple):
    """What can be written behind a command."""

    name: str
    about: str
    flags: Sequence[Flag]
    arguments: Values


def print_script(options: argparse.Namespace) -> int:
    """Print the script for the shell."""
    write = _SHELLS.get(options.shell)
    if write is None:
        raise UsageError(describe_unknown("shell", options.shell, _SHELLS))
    print("\n".join(write([_list_words(command.name) for command in COMMANDS])))
    return 0


def _list_words(name: str) -> CommandWords:
    """Return what the parser of a command knows."""
    command = next(command for command in COMMANDS if command.name == name)
    flags = []
    arguments = Values((), False)
    for action in build_parser(command)._actions:
        if not action.option_strings:
            arguments = _find_values(str(action.metavar))
            continue
        values = None
        if action.nargs != 0:
            values = _find_values(str(action.metavar))
        about = (action.help or "").partition(" (default")[0]
        flags.append(Flag(action.option_strings, about, values))
    return CommandWords(name, command.about, flags, arguments)


def _find_values(metavar: str) -> Values:
    """Return the values that `metavar` means: words in small letters stand for themselves."""
    words: list[str] = []
    for part in metavar.split("|"):
        if part in _WORDS:
            words += _WORDS[part]()
        elif "|" in metavar and part.islower():
            words.append(part)
    return Values(words, any(word in metavar for word in ("FILE", "FOLDER", "DIR")))


def _write_bash(commands: Sequence[CommandWords]) -> Iterator[str]:
    yield f"# Completes {NAME} in bash; it was made by `{NAME} completion bash`."
    yield "_image_api_emulator() {"
    yield '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" command="${COMP_WORDS[1]}"'
    yield "  COMPREPLY=()"
    yield '  if [[ $cur == "=" ]]; then cur=""; elif [[ $prev == "=" ]]; then prev="${COMP_WORDS[COMP_CWORD-2]}"; fi'
    yield '  local words="" files=""'
    yield "  if (( COMP_CWORD == 1 )); then"
    yield f"    words={_quote(_list_first(commands))}"
    yield "  else"
    yield from _write_cases(commands, values="{words}; {files}", start="    ")
    yield "  fi"
    yield '  COMPREPLY=($(compgen -W "$words" -- "$cur"))'
    yield '  if [[ -n $files ]]; then compopt -o filenames; COMPREPLY+=($(compgen -f -- "$cur")); fi'
    yield "}"
    yield f"complete -F _image_api_emulator {NAME}"


def _write_zsh(commands: Sequence[CommandWords]) -> Iterator[str]:
    yield f"#compdef {NAME}"
    yield f"# Completes {NAME} in zsh; it was made by `{NAME} completion zsh`."
    yield "_image_api_emulator() {"
    yield '  local cur="${words[CURRENT]}" prev="${words[CURRENT-1]}" command="${words[2]}" words_of="" files=""'
    yield '  if [[ $cur == --*=* ]]; then prev="${cur%%=*}"; compset -P "*="; cur="${cur#*=}"; fi'
    yield "  if (( CURRENT == 2 )); then"
    yield f"    words_of={_quote(_list_first(commands))}"
    yield "  else"
    for line in _write_cases(commands, values="{words}; {files}", start="    "):
        yield line.replace(" words=", " words_of=")
    yield "  fi"
    yield "  compadd -- ${=words_of}"
    yield "  if [[ -n $files ]]; then _files; fi"
    yield "}"
    yield f"compdef _image_api_emulator {NAME}"


def _write_cases(commands: Sequence[CommandWords], values: str, start: str) -> Iterator[str]:
    """Yield the `case` of bash and zsh that sets `words` and `files`."""
    yield f'{start}case "$command $prev" in'
    for command in commands:
        for flag in command.flags:
            if flag.values is not None:
                patterns = "|".join(f'"{command.name} {name}"' for name in flag.names)
                yield f"{start}  {patterns}) {_set(flag.values.words, flag.values.files)};;"
    yield f'{start}  *) case "$command" in'
    for command in commands:
        names = [name for flag in command.flags for name in flag.names if name.startswith("--")]
        yield f"{start}    {command.name})"
        yield f"{start}      if [[ $cur == -* ]]; then {_set(names, False)}"
        yield f"{start}      else {_set(command.arguments.words, command.arguments.files)}; fi;;"
    yield f"{start}  esac;;"
    yield f"{start}esac"


def _set(words: Sequence[str], files: bool) -> str:
    return f"words={_quote(' '.join(words))} files={'1' if files else ''}"


def _write_fish(commands: Sequence[CommandWords]) -> Iterator[str]:
    yield f"# Completes {NAME} in fish; it was made by `{NAME} completion fish`."
    yield f"complete -c {NAME} -f"
    for command in commands:
        yield f"complete -c {NAME} -n __fish_use_subcommand -a {command.name} -d {_quote(command.about)}"
    yield f"complete -c {NAME} -n __fish_use_subcommand -l version -d 'print the version'"
    for command in commands:
        line = f"complete -c {NAME} -n '__fish_seen_subcommand_from {command.name}'"
        if command.arguments.words:
            yield f"{line} -a {_quote(' '.join(command.arguments.words))}"
        if command.arguments.files:
            yield f"{line} -F"
        for flag in command.flags:
            spelled = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in flag.names)
            yield f"{line} {spelled}{_describe_fish_values(flag.values)} -d {_quote(flag.about)}"


def _describe_fish_values(values: Values | None) -> str:
    if values is None:
        return ""
    text = " -r" + (" -F" if values.files else " -f")
    if values.words:
        text += f" -a {_quote(' '.join(values.words))}"
    return text


def _list_first(commands: Iterable[CommandWords]) -> str:
    return " ".join([*(command.name for command in commands), "--help", "--version"])


def _quote(text: str) -> str:
    """Return `text` as one word of any of the shells."""
    plain = text.replace("'", "’")  # a quote inside quotes is written in another way in each shell
    return f"'{plain}'"


def _list_gateways() -> Sequence[str]:
    return sorted(path.stem for path in find_schemas().glob("*.yaml"))


def _list_codes() -> Sequence[str]:
    return list(EXPLANATIONS)


def _list_pages() -> Sequence[str]:
    return sorted(path.stem for path in find_docs().glob("*.md"))


_WORDS: Final[Mapping[str, Callable[[], Sequence[str]]]] = {
    "GATEWAY": _list_gateways,
    "NAME": list_ready_made,
    "CODE": _list_codes,
    "PAGE": _list_pages,
}
"""The words that an argument means, by a part of its metavar."""

_SHELLS: Final[Mapping[str, Callable[[Sequence[CommandWords]], Iterator[str]]]] = {
    "bash": _write_bash,
    "zsh": _write_zsh,
    "fish": _write_fish,
}
