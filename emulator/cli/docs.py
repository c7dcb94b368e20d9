"""The command `docs`: lists the pages, prints one, or finds words in them.

On a terminal a long text goes through a pager; into a pipe or a file it is plain text.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

from emulator.cli.main import NAME
from emulator.cli.output import emphasize
from emulator.core.markdown import Block, CodeBlock, Heading, ListItem, Paragraph, Table, strip_marks
from emulator.core.pages import INDEX, Page, SearchHit, find_nearest, load_page, load_pages, search_pages
from emulator.core.suggestions import describe_unknown
from emulator.core.tables import display_width, format_table
from emulator.core.terminal import find_width, is_terminal
from emulator.explanations import EXPLANATIONS
from emulator.settings import UsageError


def print_docs(options: argparse.Namespace) -> int:
    """Print the list of pages, a page, a part of one, or where words are found."""
    pages = load_pages()
    width = max(_LEAST_WIDTH, find_width())
    if options.markdown:
        _show([_find_page(pages, options.words).text.rstrip()])
        return 0
    if not options.words:
        _show(_format_index(pages, width))
        return 0
    blocks = _find_blocks(pages, options.words)
    if blocks:
        _show(_format_blocks(blocks, width))
        return 0
    hits = search_pages(pages, options.words)
    if not hits:
        raise UsageError(_describe_nothing(pages, options.words))
    shown = hits
    if not options.all:
        shown = hits[:_MOST_HITS]
    _show(_format_hits(options.words, shown, len(hits), width))
    return 0


def _find_page(pages: Mapping[str, Page], words: Sequence[str]) -> Page:
    """Return the page that the one word names, the index without a word; raises UsageError."""
    if not words:
        return load_page(INDEX)
    name = " ".join(words).removesuffix(".md")
    if name not in pages:
        raise UsageError(describe_unknown("page", name, pages))
    return pages[name]


def _find_blocks(pages: Mapping[str, Page], words: Sequence[str]) -> Sequence[Block]:
    """Return the page or the part of a page (`errors#kinds-of-refusal`) that the one word names, else nothing."""
    name, hash_sign, anchor = words[0].removesuffix(".md").partition("#")
    if len(words) > 1:
        return ()
    if name not in pages:
        if hash_sign:
            raise UsageError(describe_unknown("page", name, pages))
        return ()
    page = pages[name]
    blocks = page.find_blocks(anchor)
    if not blocks:
        anchors = [section.anchor for section in page.sections if section.anchor]
        raise UsageError(describe_unknown(f"heading of {name}", anchor, anchors))
    return blocks


def _describe_nothing(pages: Mapping[str, Page], words: Sequence[str]) -> str:
    """Return one line that says that no section has all `words`, with the nearest words that some have."""
    text = f"no page says anything about {' '.join(words)[:_LONGEST]!r}"
    nearest = [find_nearest(pages, word) for word in words if not search_pages(pages, [word])]
    found = [word for word in nearest if word is not None]
    if found:
        text += f"; did you mean {' '.join(found)!r}?"
    return f"{text}; `{NAME} docs` lists the pages"


def _format_index(pages: Mapping[str, Page], width: int) -> Iterator[str]:
    yield "The pages:"
    yield ""
    column = max(map(len, pages)) + 4
    for page in pages.values():
        yield from _wrap(page.about, width, first=f"  {page.name:{column - 2}}", indent=" " * column)
    yield ""
    yield f"{NAME} docs PAGE    prints a page, or a part of it: docs errors#kinds-of-refusal"
    yield f"{NAME} docs WORD    finds a word, a flag, a key, or a code in all pages"


def _format_hits(words: Sequence[str], hits: Sequence[SearchHit], total: int, width: int) -> Iterator[str]:
    """Return the lines of a search: what `explain` says, then each place with its best lines."""
    word = "_".join(words).lower().replace("-", "_")
    if word in EXPLANATIONS:
        yield from _wrap(f"{word}: {EXPLANATIONS[word]}", width)
        yield ""
    for hit in hits:
        yield emphasize(f"{hit.section.place}  ({' > '.join(hit.section.headings)})", "bold")
        for line in hit.lines[:_MOST_LINES]:
            yield from _wrap(_shorten(line, words), width, first="    ", indent="      ")
        yield ""
    if total > len(hits):
        yield f"{len(hits)} of {total} places; --all prints all of them."
    yield f"Read one: {NAME} docs {hits[0].section.place}"


def _format_blocks(blocks: Iterable[Block], width: int) -> Iterator[str]:
    """Return the lines of a page as plain text, none wider than `width` but for those of code."""
    for kind, group in groupby(blocks, key=type):
        for block in group:
            yield from _format_block(block, width)
            if kind is not ListItem:
                yield ""
        if kind is ListItem:
            yield ""


def _format_block(block: Block, width: int) -> Iterator[str]:
    match block:
        case Heading():
            yield emphasize(f"{'#' * block.level} {strip_marks(block.text)}", "bold")
        case Paragraph():
            yield from _wrap(strip_marks(block.text), width)
        case ListItem():
            indent = "  " * block.depth
            first = f"{indent}{block.mark} "
            yield from _wrap(strip_marks(block.text), width, first=first, indent=" " * len(first))
        case Table():
            yield from _format_table(block.rows, width)
        case CodeBlock():
            for line in block.text.split("\n"):
                yield f"    {line}".rstrip()


def _format_table(rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Return a table whose last column is wrapped; rows with no room for that become a line with a text below."""
    plain = [[strip_marks(cell) for cell in row] for row in rows]
    lines = format_table(plain)
    if max(map(display_width, lines)) <= width:
        yield from lines
        return
    widest = [max(display_width(row[column]) for row in plain) for column in range(len(plain[0]) - 1)]
    column = sum(widest) + 2 * len(widest)
    if width - column >= _LEAST_CELL:
        starts = format_table([[*row[:-1], "|"] for row in plain])
        for row, start in zip(plain, starts, strict=True):
            yield from _wrap(row[-1], width, first=start[:-1], indent=" " * column)
        return
    for row in plain[1:]:
        yield from _wrap(row[0], width)
        for name, cell in zip(plain[0][1:], row[1:], strict=True):
            if cell and len(row) > _PAIR:
                yield from _wrap(f"{name}: {cell}", width, first="    ", indent="      ")
            elif cell:
                yield from _wrap(cell, width, first="    ", indent="    ")


def _wrap(text: str, width: int, first: str = "", indent: str = "") -> list[str]:
    """Return `text` in lines of at most `width`: `first` stands before the first one, `indent` before the others."""
    lines = textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return lines or [first.rstrip()]


def _shorten(line: str, words: Sequence[str]) -> str:
    """Return a long line cut to the part around the first of the words that it has."""
    if len(line) <= _LONGEST:
        return line
    places = [line.lower().find(word.lower()) for word in words]
    start = max(0, min((place for place in places if place >= 0), default=0) - _LONGEST // 2)
    if start:
        start = line.find(" ", start) + 1
    cut = line[start : start + _LONGEST]
    if start:
        cut = f"… {cut}"
    if start + _LONGEST < len(line):
        cut = f"{cut.rpartition(' ')[0]} …"
    return cut


def _show(lines: Iterable[str]) -> None:
    """Print `lines`; on a terminal with fewer rows than lines through the program in PAGER, else `less`."""
    text = "\n".join(lines).rstrip() + "\n"
    rows = shutil.get_terminal_size().lines
    command = shlex.split(os.environ.get("PAGER", "less -R"))
    if is_terminal(sys.stdout) and text.count("\n") >= rows and command and shutil.which(command[0]) is not None:
        subprocess.run(command, input=text.encode("utf-8"), check=False)  # noqa: S603 - the user's own choice
        return
    sys.stdout.write(text)


_LEAST_WIDTH: Final = 40
_LEAST_CELL: Final = 36  # columns that the last cell of a table needs beside the others
_PAIR: Final = 2
_MOST_HITS: Final = 8
_MOST_LINES: Final = 3
_LONGEST: Final = 300  # characters of a line that a search shows
