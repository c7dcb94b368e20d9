"""`python -m tests.bench`: measures the emulator beside a bare aiohttp handler and prints one table.

The machine is noisy, so both are measured in turns, and only their ratio within one run counts. The page's table is
made by one command, on a quiet machine that has wrk, npm and Java, with `.[speed]` and pytest-httpserver installed:

    python -m tests.bench --speed --peers --seconds 2 --json .cache/bench/run.json --page

`--from .cache/bench/run.json --page` writes it again from the figures of that run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench import against, bounds, calls, page, peers, pictures, starts
from tests.bench.figures import Figure, format_table
from tests.bench.machine import Watch, describe_machine, find_date, list_versions
from tests.bench.report import describe_noise, describe_run, make_page_section, replace_page_section
from tests.bench.rows import Row, Scale
from tests.bench.servers import CHECKOUT, Failed

ROWS: Final = {
    row.name: row for row in (*calls.ROWS, *starts.ROWS, *pictures.ROWS, *bounds.ROWS, *page.ROWS, peers.ROW)
}
PAGE: Final = CHECKOUT / "emulator" / "docs" / "speed.md"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    listing = "\n".join(f"  {row.name:13} {row.about}" for row in ROWS.values())
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=_ABOUT, epilog=f"rows:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=1.0, help="of one round of load (1.0); wrk takes whole ones")
    parser.add_argument("--rounds", type=int, default=5, help="of each row, in turns with its reference (5)")
    parser.add_argument("--calls", type=int, default=100_000, help="of the row on memory (100000)")
    parser.add_argument("--only", action="append", choices=ROWS, metavar="ROW", help="only this row (repeatable)")
    parser.add_argument("--speed", action="store_true", help="also the server with what the extra [speed] installs")
    parser.add_argument("--peers", action="store_true", help="also the row peers; npm installs them into .cache/bench")
    parser.add_argument("--against", type=Path, metavar="PATH", help=_AGAINST)
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE", help="measure nothing, show an older run")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="write JSON, in place of the table or to FILE"
    )
    parser.add_argument("--markdown", action="store_true", help="print what the page shows, in place of the table")
    parser.add_argument("--page", action="store_true", help="write it into emulator/docs/speed.md")
    return parser


def choose_rows(options: argparse.Namespace) -> list[Row]:
    """The rows that the options ask for."""
    names = options.only or [name for name in ROWS if name != peers.ROW.name]
    if options.peers and peers.ROW.name not in names:
        names = [*names, peers.ROW.name]
    return [ROWS[name] for name in names]


def measure(rows: Sequence[Row], scale: Scale) -> Iterator[list[Figure]]:
    """The figures of the rows, row by row, as they are found; a row that cannot be measured is told."""
    for row in rows:
        try:
            yield row.measure(scale)
        except Failed as error:
            _say(f"bench: {row.name}: {error}")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what the options ask for; the run as JSON. Raises Failed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both end like Ctrl-C, so that no server is left behind
        signal.signal(number, signal.default_int_handler)
    whos: tuple[str, ...] = ("ours",)
    if options.speed:
        missing = [name for name in _SPEED_MODULES if importlib.util.find_spec(name) is None]
        if missing:
            raise Failed(f"--speed needs {', '.join(missing)}: pip install '.[speed]'")
        whos = ("ours", "fast")
    scale = Scale(options.seconds, options.rounds, options.calls, whos)
    began, watch = time.perf_counter(), Watch()
    figures: list[Figure] = []
    if options.against is None:
        rows = choose_rows(options)
        found = measure(rows, scale)
    else:
        found = against.compare_checkouts(options.against.resolve(), scale)
    for some in found:
        figures += some
        _say(f"{time.perf_counter() - began:4.0f} s  {some[0].line.title}")
    versions = list_versions()
    if any(figure.line.server for figure in figures):
        versions |= peers.list_versions()
    return {
        "about": _ABOUT,
        "date": find_date(),
        "machine": describe_machine(),
        "versions": versions,
        "busy": watch.read().to_json(),
        "scale": {"seconds": scale.seconds, "rounds": scale.rounds, "calls": scale.calls},
        "figures": [figure.to_json() for figure in figures],
    }


def show(document: dict[str, Any], options: argparse.Namespace) -> None:
    """Print and write what the options ask for."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    if options.json not in (None, "-"):
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)
        Path(options.json).write_text(text + "\n", "utf-8")
    if options.page:
        PAGE.write_text(replace_page_section(PAGE.read_text("utf-8"), make_page_section(document)), "utf-8")
    if options.json == "-":
        print(text)
    elif options.markdown:
        print(make_page_section(document))
    else:
        print(f"{_ABOUT}\n{describe_run(document)}\n")
        print(format_table([Figure.from_json(figure) for figure in document["figures"]]))
    noise = describe_noise(document)
    if noise:
        print(f"\n{noise}", file=sys.stderr if options.json == "-" or options.markdown else sys.stdout)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the options ask for; the exit code."""
    options = make_parser().parse_args(arguments)
    try:
        document = json.loads(options.source.read_text("utf-8")) if options.source else run(options)
    except Failed as error:
        _say(f"bench: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    show(document, options)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


_SPEED_MODULES: Final = ("uvloop", "jsonschema_rs", "isal")
_ABOUT: Final = (
    "Ratios within this run count, absolutes do not: the machine is shared and noisy.\n"
    "Where others use the cores too, trust the CPU of a call before its pace, and repeat."
)
_AGAINST: Final = "compare with the code in another checkout instead: calls, start and fixture"

if __name__ == "__main__":
    sys.exit(main())
