"""The command `coverage`: reads what runs have met of their gateways' contracts, and prints what they never met."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from urllib.parse import quote

from emulator.analysis.coverage import Coverage, coverage_from_json, merge_coverage
from emulator.client.connection import Connection, EmulatorError
from emulator.core import strict_json
from emulator.core.file_reading import read_file
from emulator.core.strict_json import BadJson
from emulator.core.yaml_file import InvalidFile
from emulator.settings import UsageError, load_settings


def print_coverage(options: argparse.Namespace) -> int:
    """Print the coverage of files, or of a running emulator; with --fail-under the exit code is 1 below that share."""
    coverage = _read_coverage(options)
    if options.html is not None:
        _write_page(Path(options.html), coverage)
    if options.json:
        print(json.dumps(coverage.to_json(), ensure_ascii=False))
    else:
        from emulator.analysis.coverage_text import format_coverage

        print("\n".join(format_coverage(coverage)))
    if options.fail_under is not None and coverage.share < options.fail_under:
        if not options.json:
            print(f"{coverage.share} % is less than --fail-under {options.fail_under:g}")
        return 1
    return 0


def _read_coverage(options: argparse.Namespace) -> Coverage:
    if options.fail_under is not None and not 0 <= options.fail_under <= 100:
        raise UsageError(f"--fail-under {options.fail_under:g}: expected 0 to 100")
    if options.file and options.url is not None:
        raise UsageError("FILE and --url are both given; expected one of them")
    if options.file:
        if options.session is not None:
            raise UsageError(f"--session {options.session!r} is for --url; a FILE has its calls in itself")
        return merge_coverage([_read_file(Path(name)) for name in options.file])
    if options.url is None:
        raise UsageError("neither FILE nor --url is given; expected one of them")
    return _fetch(options.url, options.session, load_settings(vars(options)).admin_token)


def _read_file(path: Path) -> Coverage:
    try:
        value, _ = strict_json.parse_json(read_file(path), strict_json.MOST_STORED_VALUES)
        return coverage_from_json(value)
    except OSError as error:
        raise InvalidFile(f"{path}: {error.strerror or error}") from None
    except BadJson as error:
        raise InvalidFile(f"{path}: not JSON: {error}") from None
    except ValueError as error:
        raise InvalidFile(f"{path}: {error}") from None


def _fetch(url: str, session: str | None, token: str | None) -> Coverage:
    path = "/coverage"
    if session is not None:
        path += f"?session={quote(session, safe='')}"
    try:
        return coverage_from_json(Connection(url, token).ask("GET", path))
    except (EmulatorError, ValueError) as error:
        raise UsageError(f"--url {url!r}: {error}") from None


def _write_page(path: Path, coverage: Coverage) -> None:
    from emulator.analysis.coverage_page import format_page

    try:
        path.write_text(format_page(coverage), "utf-8")
    except OSError as error:
        raise UsageError(f"--html {str(path)!r}: {error.strerror or error}") from None
