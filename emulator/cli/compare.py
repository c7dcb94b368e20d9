"""The command `compare`: holds recordings against today's contracts, and prints how they differ, the worst first."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from emulator.analysis.comparison import DIFFERENCE_KINDS, AnswerDifference, DifferenceKind
from emulator.analysis.junit import TestResult, format_junit
from emulator.cli.main import NAME, format_name
from emulator.cli.output import choose_width, emphasize, print_heading, print_json, print_table, print_text
from emulator.cli.progress import Progress
from emulator.cli.recording import list_recordings
from emulator.core.phrases import shorten_text
from emulator.core.yaml_file import InvalidFile
from emulator.scenario import loader
from emulator.scenario.scenario import Scenario
from emulator.server.comparison import ComparedCall, Comparison, compare_recordings
from emulator.session.redaction import redact_keys
from emulator.settings import Settings, UsageError, load_settings


def compare_folders(options: argparse.Namespace) -> int:
    """Compare the recordings in folders; return 1 where something differs, 2 where one cannot be read, else 0."""
    chosen = load_settings(vars(options))
    settings = Settings(
        behavior=chosen.behavior,
        schema=chosen.schema,
        channels=chosen.channels,
        as_of=chosen.as_of,
        legacy=chosen.legacy,
        clock="frozen:2026-01-01T00:00:00Z" if chosen.clock == "real" else chosen.clock,
        no_reserved_values=True,
    )
    recordings = _load_recordings(options.folder)
    if recordings is None:
        return 2
    comparison = asyncio.run(_compare(recordings, settings))
    if options.junit is not None:
        _write_junit(Path(options.junit), comparison)
    if options.json:
        print_json(comparison.to_json())
    else:
        _print_comparison(comparison, choose_width(options))
    return 1 if comparison.count("differs") else 0


def _load_recordings(names: Sequence[str]) -> Mapping[str, Scenario] | None:
    """Return the recordings by the names under which they are shown; None, with a line for each, where one is bad."""
    found: dict[str, Scenario] = {}
    is_good = True
    for name in names:
        try:
            for path in list_recordings(Path(name)):
                scenario = loader.load_scenario(path)
                if not scenario.is_recording:
                    raise InvalidFile(f"{path}: is a scenario and no recording: it has no 'recorded'")
                found[_name_recording(path)] = scenario
        except InvalidFile as error:
            is_good = False
            print(f"{format_name()}: {' '.join(str(error).split())}", file=sys.stderr)
    return found if is_good else None


def _name_recording(path: Path) -> str:
    if path.name == "recording.yaml":
        return str(path.parent)
    return str(path)


async def _compare(recordings: Mapping[str, Scenario], settings: Settings) -> Comparison:
    count = sum(len(rule.answers) for scenario in recordings.values() for rule in scenario.rules)
    progress = Progress(count)
    calls = []
    progress.begin("")
    async for call in compare_recordings(recordings, settings):
        calls.append(call)
        progress.begin(f"{call.recording} {call.entry}")
    progress.clear()
    return Comparison(settings.behavior, list(recordings), calls)


def _print_comparison(comparison: Comparison, width: int | None) -> None:
    has_several = len(comparison.recordings) > 1
    for kind in DIFFERENCE_KINDS:
        count = comparison.kinds[kind]
        if not count:
            continue
        heading, advice = _TEXTS[kind]
        print_heading(f"{kind.replace('_', ' ')}: {heading} ({_count_calls(count)})", width)
        print_table(list(_list_rows(comparison, kind, has_several=has_several)), width)
        print_text(advice, width, indent="")
        print()
    _print_summary(comparison, width)


def _list_rows(comparison: Comparison, kind: DifferenceKind, *, has_several: bool) -> Iterator[Sequence[str]]:
    """Yield the head, and a row for each difference of a kind with all calls that have it."""
    yield ("CALLS", "ABOUT", *_HEADS.get(kind, ("WHERE", "RECORDED", "HERE")))
    rows: dict[tuple[str, ...], list[ComparedCall]] = {}
    for call in comparison.calls:
        for cells in _describe_differences(call, kind):
            rows.setdefault((call.gateway or "", *map(redact_keys, cells)), []).append(call)
    for (_, *cells), calls in rows.items():
        yield (_shorten_list([_name_call(call, has_several) for call in calls]), _describe_calls(calls), *cells)


def _describe_differences(call: ComparedCall, kind: DifferenceKind) -> Iterator[Sequence[str]]:
    """Yield the cells of each difference of a kind; the words of a refusal are one."""
    found = [one for one in call.differences if one.kind == kind]
    if kind == "other_words" and len(found) > 1:
        where = ", ".join(one.where for one in found)
        yield where, shorten_text(call.recorded, _LONGEST), shorten_text(call.here, _LONGEST)
        return
    for one in found:
        if kind == "too_lax":
            yield (one.recorded,)
        elif kind == "too_strict":
            yield one.here, one.rule or ""
        else:
            yield one.where, one.recorded, one.here


def _describe_calls(calls: Sequence[ComparedCall]) -> str:
    """Return gateway, operation and model of calls, as far as they have them in common."""
    parts = [calls[0].gateway or ""]
    for names in ({call.operation for call in calls}, {call.model for call in calls}):
        if len(names) > 1:
            break
        parts += filter(None, names)
    return " ".join(parts)


def _name_call(call: ComparedCall, has_several: bool) -> str:
    if has_several:
        return f"{call.recording} {call.entry}"
    return call.entry


def _shorten_list(names: Sequence[str]) -> str:
    text = ", ".join(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        text += f" and {len(names) - _MOST_NAMES} more"
    return text


def _count_calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def _print_summary(comparison: Comparison, width: int | None) -> None:
    same, differs = comparison.count("same"), comparison.count("differs")
    reasons: dict[str, list[str]] = {}
    for call in comparison.calls:
        if call.why is not None:
            reasons.setdefault(call.why, []).append(_name_call(call, len(comparison.recordings) > 1))
    for why, names in reasons.items():
        print_text(f"not compared: {_shorten_list(names)}: {redact_keys(why)}", width)
    text = f"{_count_calls(same + differs)} compared with {comparison.behavior} behavior: {same} the same"
    text += f", {differs} different" if differs else ""
    print(emphasize(text, "yellow" if differs else "green"))


def _write_junit(path: Path, comparison: Comparison) -> None:
    results = []
    for call in comparison.calls:
        lines = [f"{one.kind.replace('_', ' ')}: {_describe_difference(one)}" for one in call.differences]
        about = ", ".join(filter(None, (call.gateway, call.operation, call.model)))
        results.append(
            TestResult(
                suite=call.recording,
                name=f"{call.entry} ({about})",
                failure=redact_keys("\n".join(lines)) if lines else None,
                skipped=None if call.why is None else redact_keys(call.why),
            )
        )
    try:
        path.write_text(format_junit(f"{NAME} compare", results), "utf-8")
    except OSError as error:
        raise UsageError(f"--junit {str(path)!r}: {error.strerror or error}") from None


def _describe_difference(difference: AnswerDifference) -> str:
    text = f"{difference.where}: recorded {difference.recorded}; here {difference.here}"
    if difference.rule is not None:
        text += f"; rule: {difference.rule}"
    return text


_MOST_NAMES: Final = 2
_LONGEST: Final = 300  # characters of a refusal in the table; JSON and JUnit XML have the same
_HEADS: Final[Mapping[DifferenceKind, tuple[str, ...]]] = {
    "too_lax": ("RECORDED",), "too_strict": ("HERE", "BY THE RULE"),
}  # fmt: skip
_TEXTS: Final[Mapping[DifferenceKind, tuple[str, str]]] = {
    "too_lax": (
        "refused there, answered here",
        "A test passes here that fails there: add the rule to the gateway's file, or refuse such calls in a scenario.",
    ),
    "too_strict": (
        "answered there, refused here",
        "Loosen the rule in the gateway's file; until then --report-only answers such calls.",
    ),
    "other_words": (
        "refused in other words",
        "Mend the line of the gateway's error catalog; until then a scenario can set status, type, code, param and "
        "message of a `refuse`.",
    ),
    "other_fields": (
        "answered with other members",
        "Mend x-emulator-reply in the gateway's file, or the envelope of its error catalog; until then a scenario has "
        "`set` and `omit` of a `draw`.",
    ),
    "other_picture": (
        "answered with other pictures",
        "Mend the defaults of size, format, background and n in the gateway's file; until then a scenario has "
        "`picture` and `images` of a `draw`.",
    ),
    "other_usage": (
        "answered with another usage",
        "Clients that reckon money see other sums; a scenario has `usage` of a `draw`.",
    ),
    "other_headers": (
        "answered with other headers",
        "Mend request_id in x-emulator-gateway, or spelling in the error catalog; until then an answer of a scenario "
        "has `headers`.",
    ),
}
"""For each kind of difference what has come out, and what to do about it."""
