"""Writes the tables of the pages that say what the code has: flags, findings, reserved values.

    python -m tests.docs_tables

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. `tests/test_readme.py` compares each with the
code, so a new flag or finding needs this command once.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from emulator import explanations
from emulator.admin.description import PATH
from emulator.cli.main import COMMANDS
from emulator.core import yaml_file
from emulator.core.data_folders import find_docs, find_schemas
from emulator.findings import FINDINGS
from emulator.gateway.errors import ErrorTemplate
from emulator.gateway.gateway import load_gateway
from emulator.messages import KINDS, VIOLATIONS
from emulator.scenario import reserved_values

_CATALOG: Final = load_gateway(find_schemas() / "ezmodel.yaml").error_catalog
TABLE: Final = re.compile(r"(<!-- table: ([a-z ]+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)


def make_table(name: str) -> str:
    """The lines of the table `name`, each with its line break."""
    if name == "reserved values":
        rows = [(f"`{value}`", what) for value, what in reserved_values.list_values().items()]
        return _format_table(("value", "what happens"), rows)
    if name == "kinds of refusal":
        return _format_refusals("kind", {word: _CATALOG.kinds[word] for word in KINDS})
    if name == "breaches":
        return _format_refusals("breach", {word: _CATALOG.violations[word] for word in VIOLATIONS})
    if name == "findings":
        return _format_table(("finding", "what it means"), [(f"`{code}`", text) for code, text in FINDINGS.items()])
    if name == "paths":
        return _format_table(("path", "what it is for"), list_paths())
    if name == "commands":
        return _format_table(("command", "what it does"), [(f"`{one.name}`", one.about) for one in COMMANDS])
    command = name.removeprefix("flags of ")
    return _format_table(("argument", "what it means"), list_arguments(command))


def list_arguments(command: str) -> list[tuple[str, str]]:
    """The arguments and flags of a command, and what `--help` says of each."""
    (found,) = (one for one in COMMANDS if one.name == command)
    parser = argparse.ArgumentParser(add_help=False)
    found.add_flags(parser)
    rows = []
    for action in parser._actions:
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar}`"
        rows.append((names, (action.help or "") % {"default": action.default}))
    return rows


def list_paths() -> list[tuple[str, str]]:
    """The methods and paths of the emulator's own API, and what each is for."""
    paths = yaml_file.load_yaml(PATH).root["paths"]
    rows = []
    for path, item in paths.items():
        for method, operation in item.items():
            if method != "parameters":
                rows.append((f"`{method.upper()} {path}`", operation["summary"]))
    return rows


def _format_refusals(head: str, templates: Mapping[str, ErrorTemplate]) -> str:
    """A row for each kind or breach, with the status and the code of one gateway."""
    texts = {**explanations.EXPLANATIONS, **explanations.BREACHES}
    rows = []
    for word, template in templates.items():
        code = ""
        if template.code:
            code = f"`{template.code}`"
        rows.append((f"`{word}`", str(template.status), code, texts[word].rpartition("Breach: ")[2]))
    return _format_table((head, "status", "code", "what is wrong"), rows)


def write_tables() -> None:
    """Write each table of each page anew."""
    for path in find_docs().glob("*.md"):
        text = path.read_text("utf-8")
        path.write_text(TABLE.sub(lambda found: found[1] + make_table(found[2]) + found[4], text), "utf-8")


def _format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in lines)


if __name__ == "__main__":
    write_tables()
