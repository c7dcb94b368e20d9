"""Tells a run in words: the machine, the versions, how busy it was; and the part of the page on speed about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.bench.figures import Figure, format_markdown


def describe_run(document: Mapping[str, Any]) -> str:
    """The machine, the versions, and how long was measured, in two lines."""
    scale = document["scale"]
    generator = f"wrk {document['versions']['wrk']}" if document["versions"]["wrk"] else "our generator in Python"
    return (
        f"{document['date']}, {describe_machine(document)}; {describe_versions(document)}.\n"
        f"{scale['rounds']} rounds of {scale['seconds']:g} s, sent by {generator}; "
        f"{describe_load(document)}."
    )


def describe_load(document: Mapping[str, Any]) -> str:
    """How busy the machine was."""
    busy = document["busy"]
    text = (
        f"load average {busy['load average at start']:.1f} at the start, {busy['load average at end']:.1f} at the end"
    )
    if busy["cores used by others"] is None:
        return text
    return f"{text}; others used {busy['cores used by others']:.2f} cores"


def describe_machine(document: Mapping[str, Any]) -> str:
    """The machine in plain words."""
    machine = document["machine"]
    cores = _NUMBERS.get(machine["cores"], str(machine["cores"]))
    kind = "a cloud virtual machine" if machine["virtual"] else "a computer"
    return f"{kind} with {cores} cores ({machine['system']}, {machine['architecture']})"


def describe_versions(document: Mapping[str, Any]) -> str:
    """The names and versions of what was there."""
    return ", ".join(f"{name} {version}" for name, version in document["versions"].items() if version)


def describe_noise(document: Mapping[str, Any]) -> str:
    """A warning where others have used the machine during the run, else ""."""
    if not document["busy"]["noisy"]:
        return ""
    return f"WARNING: a noisy run, {describe_load(document)}. Trust no pace; repeat it on a quiet machine."


def make_page_section(document: Mapping[str, Any]) -> str:
    """What the page shows of a run, between its two marks."""
    scale = document["scale"]
    text = (
        f"Measured on {document['date']} on {describe_machine(document)}; {describe_versions(document)}. "
        f"Medians of {scale['rounds']} rounds, in which all took turns; the memory is that of {scale['calls']:,} calls."
    )
    if document["busy"]["noisy"]:
        text += " The machine was busy with other work, so the figures are rough."
    figures = [Figure.from_json(figure) for figure in document["figures"]]
    return f"{_BEGIN}\n{_wrap(text)}\n\n{format_markdown(figures)}\n{_END}"


def replace_page_section(text: str, section: str) -> str:
    """The page `text` with another section on speed."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return before + section + after


def _wrap(text: str) -> str:
    """The text in lines of at most 120 characters."""
    lines, line = [], ""
    for word in text.split():
        if len(line) + len(word) >= _WIDTH:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "\n".join([*lines, line])


_BEGIN: Final = "<!-- speed -->"
_END: Final = "<!-- end of speed -->"
_WIDTH: Final = 120
_NUMBERS: Final = {1: "one", 2: "two", 4: "four", 8: "eight"}
