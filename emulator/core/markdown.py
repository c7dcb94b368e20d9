"""Reads the Markdown of the pages in emulator/docs: blocks, and the marks inside a line.

It reads what those pages use, and no more: headings, paragraphs, lists, tables, fenced blocks; `code`, **strong**,
*emphasis* and [links](page.md). A test holds the pages to it. Markdown libraries take 30 ms and more to import.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from emulator.core.light_dataclass import dataclass

SpanKind = Literal["text", "code", "strong", "emphasis", "link"]


@dataclass(frozen=True)
class Heading:
    """A heading: its level, 1 for the title of a page, and its text."""

    level: int
    text: str

    @property
    def anchor(self) -> str:
        """The name by which a link leads to it, as GitHub makes it."""
        return re.sub(r"[^\w -]", "", self.text.lower()).replace(" ", "-")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph on one line."""

    text: str


@dataclass(frozen=True)
class ListItem:
    """An item of a list: how deep it stands, 0 for the outermost list, its mark (`-` or `1.`), and its text."""

    depth: int
    mark: str
    text: str


@dataclass(frozen=True)
class Table:
    """A table; the first row is its head."""

    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: its language, and its text with line breaks."""

    language: str
    text: str


Block = Heading | Paragraph | ListItem | Table | CodeBlock


@dataclass(frozen=True)
class Span:
    """A part of a line with one mark; `target` is where a link leads."""

    kind: SpanKind
    text: str
    target: str = ""


def parse_blocks(text: str) -> list[Block]:
    """Return the blocks of a page. HTML comments are left out."""
    blocks: list[Block] = []
    lines = text.split("\n")
    position = 0
    while position < len(lines):
        line = lines[position]
        if line.startswith("```"):
            end = lines.index("```", position + 1)
            blocks.append(CodeBlock(line.removeprefix("```"), "\n".join(lines[position + 1 : end])))
            position = end + 1
        elif line.startswith("|"):
            rows = []
            while position < len(lines) and lines[position].startswith("|"):
                rows.append(_split_row(lines[position]))
                position += 1
            blocks.append(Table((rows[0], *rows[2:])))  # the second row only draws a line
        elif line.strip() == "" or line.startswith("<!--"):
            position += 1
        else:
            block, position = _read_text(lines, position)
            blocks.append(block)
    return blocks


def split_spans(text: str) -> Iterator[Span]:
    """Return the parts of a line; `text` parts have no mark."""
    position = 0
    for found in _MARKED.finditer(text):
        if found.start() > position:
            yield Span("text", text[position : found.start()])
        position = found.end()
        if found["code"] is not None:
            yield Span("code", found["code"])
        elif found["strong"] is not None:
            yield Span("strong", found["strong"])
        elif found["emphasis"] is not None:
            yield Span("emphasis", found["emphasis"])
        else:
            yield Span("link", found["link"], found["target"])
    if position < len(text):
        yield Span("text", text[position:])


def strip_marks(text: str) -> str:
    """Return a line without its marks, but for the backquotes of code.

    >>> strip_marks("see [verify](verify.md), **not** `docs`")
    'see verify, not `docs`'
    """
    parts = []
    for span in split_spans(text):
        if span.kind == "code":
            parts.append(f"`{span.text}`")
        elif span.kind == "text":
            parts.append(span.text)
        else:
            parts.append(strip_marks(span.text))
    return "".join(parts)


def _read_text(lines: Sequence[str], position: int) -> tuple[Block, int]:
    """Return the heading, list item or paragraph that begins at `position`, and where the next block begins."""
    line = lines[position]
    heading = _HEADING.fullmatch(line)
    if heading is not None:
        return Heading(len(heading[1]), heading[2]), position + 1
    end = position + 1
    while end < len(lines) and not _BEGINS_BLOCK.match(lines[end]):
        end += 1
    text = " ".join(part.strip() for part in lines[position:end])
    item = _ITEM.fullmatch(line)
    if item is None:
        return Paragraph(text), end
    return ListItem(len(item[1]) // 2, item[2], text.removeprefix(item[2]).strip()), end


def _split_row(line: str) -> list[str]:
    cells = _CELL_END.split(line.strip().removeprefix("|").removesuffix("|"))
    return [cell.strip().replace("\\|", "|") for cell in cells]


_HEADING: Final = re.compile(r"(#{1,6}) (.*)")
_ITEM: Final = re.compile(r"( *)(-|[0-9]+\.) .*")
_BEGINS_BLOCK: Final = re.compile(r"\s*$|```|\||#{1,6} | *(-|[0-9]+\.) |<!--")
_CELL_END: Final = re.compile(r"(?<!\\)\|")
_MARKED: Final = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*\*(?P<strong>[^*]+)\*\*"
    r"|(?<!\w)\*(?P<emphasis>[^*\s][^*]*)\*(?!\w)"
    r"|\[(?P<link>[^\]]+)\]\((?P<target>[^)\s]+)\)"
)
