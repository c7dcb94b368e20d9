"""What the tests of a run have asked: noted in each process that runs tests, added up and written in one of them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from emulator.analysis.coverage import Coverage, coverage_from_json, merge_coverage, write_coverage
from emulator.analysis.run_report import COPIES, RunReport, describe_call, format_markdown, price_entry
from emulator.client.api import ImageApi
from emulator.client.connection import EmulatorError
from emulator.session.call_record import CallRecord


class RunOptions(NamedTuple):
    """What a run is asked for: `page` and `data` are files for the coverage, `report` is one for the report.

    With `shows_coverage` the console shows the coverage; below `fail_under` per cent of it the run fails. `summary` is
    the file of GitHub Actions for the page of a run.
    """

    shows_coverage: bool = False
    page: Path | None = None
    data: Path | None = None
    fail_under: float | None = None
    report: Path | None = None
    summary: Path | None = None


class RunLog:
    """The calls of the tests of one process, and what of the contracts they have met.

    The rows of the first calls are kept, if they are wanted; the others are counted. So it is with small copies of the
    first pictures that differ.
    """

    def __init__(self, wants_calls: bool, wants_pictures: bool = False) -> None:
        self._wants_calls = wants_calls
        self._wants_pictures = wants_pictures
        self._rows: list[dict[str, Any]] = []
        self._pictures: dict[str, tuple[dict[str, Any], int]] = {}
        self._left_out = 0
        self._coverage = Coverage(())

    def note_record(self, record: CallRecord, test: str) -> None:
        """Note a call of a server in this process."""
        if self._has_room():
            self._add_row(record.entry.to_json(), test, price_entry(record.entry))

    def note_session(self, session: ImageApi, test: str) -> None:
        """Note the calls of a session on another server, and what they have met; raises EmulatorError."""
        self.note_coverage(session.coverage())
        if self._wants_calls:
            for call in session.calls:
                if self._has_room():
                    self._add_row(call.as_dict(), test, price=None)

    def note_coverage(self, value: Any) -> None:
        """Note what was met, as a server tells it."""
        self._coverage = merge_coverage([self._coverage, coverage_from_json(value)])

    def copy_pictures(self, server: ImageApi) -> None:
        """Put small copies of the first pictures that differ into their rows; those that are not kept are left out."""
        from emulator.image.thumbnail import make_thumbnail

        for row, index in list(self._pictures.values()):
            try:
                data = server.account(row["session"]).picture(row["number"], index)
            except EmulatorError:
                continue
            small = make_thumbnail(data, _SIDE)
            if small is not None:
                row.setdefault(COPIES, []).append(base64.b64encode(small).decode())

    def _add_row(self, call: Mapping[str, Any], test: str, price: float | None) -> None:
        row = describe_call(call, test, price)
        self._rows.append(row)
        if not self._wants_pictures:
            return
        for picture in call["pictures"]:
            if len(self._pictures) < _MOST_PICTURES:
                self._pictures.setdefault(picture["recipe"], (row, picture["index"]))

    def to_plain(self) -> dict[str, Any]:
        """Return all of it as plain values, for another process."""
        return {"calls": self._rows, "left_out": self._left_out, "coverage": self._coverage.to_json()}

    def _has_room(self) -> bool:
        """Return whether the row of one more call is kept; where it is wanted and is not, it is counted."""
        if not self._wants_calls:
            return False
        if len(self._rows) >= _MOST_ROWS:
            self._left_out += 1
            return False
        return True


class RunOutcome(NamedTuple):
    """What the console says at the end of a run, and whether the run has failed by it."""

    lines: list[str]
    failed: bool


def finish_run(parts: Iterable[Mapping[str, Any]], outcomes: Mapping[str, str], options: RunOptions) -> RunOutcome:
    """Add up what the processes of a run have noted, and write the files that `options` name."""
    parts = list(parts)
    coverage = merge_coverage([coverage_from_json(part["coverage"]) for part in parts])
    calls = [row for part in parts for row in part["calls"]]
    tests = {row["test"] for row in calls}
    shown = {test: outcome for test, outcome in outcomes.items() if test in tests}
    report = RunReport(calls, sum(part["left_out"] for part in parts), shown, coverage)
    lines = []
    failed = False
    if options.shows_coverage:
        from emulator.analysis.coverage_text import format_coverage

        lines += format_coverage(coverage, _MOST_LINES)
    for path, write in _list_files(options, report, coverage):
        try:
            write(path)
        except OSError as error:
            lines.append(f"{path} cannot be written: {error.strerror or error}")
            failed = True
        else:
            if path is not options.summary:
                lines.append(f"written: {path}")
    if options.fail_under is not None and coverage.share < options.fail_under:
        lines.append(
            f"FAILED: {coverage.share} % of the contract met, and --image-api-fail-under {options.fail_under:g}"
        )
        failed = True
    return RunOutcome(lines, failed)


def _list_files(
    options: RunOptions, report: RunReport, coverage: Coverage
) -> Iterator[tuple[Path, Callable[[Path], None]]]:
    """Yield each file that is asked for, and the function that writes it."""
    if options.data is not None:
        yield options.data, partial(write_coverage, coverage=coverage)
    if options.page is not None:
        yield options.page, partial(_write_coverage_page, coverage=coverage)
    if options.report is not None:
        yield options.report, partial(_write_report, report=report)
    if options.summary is not None:
        yield options.summary, partial(_append_summary, report=report)


def _write_coverage_page(path: Path, coverage: Coverage) -> None:
    from emulator.analysis.coverage_page import format_page

    path.write_text(format_page(coverage), "utf-8")


def _write_report(path: Path, report: RunReport) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n", "utf-8")
        return
    from emulator.analysis.run_report_page import format_page

    path.write_text(format_page(report), "utf-8")


def _append_summary(path: Path, report: RunReport) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(format_markdown(report) + os.linesep)


_MOST_ROWS: Final = 20_000  # of a process; a row has about 400 bytes
_MOST_PICTURES: Final = 48  # small ones of a process in a report; each has some 5 kB
_SIDE: Final = 96  # px
_MOST_LINES: Final = 40  # of what was never met; the page and `image-api-emulator coverage` have all
