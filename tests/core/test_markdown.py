"""Markdown of the pages: which blocks and spans are read."""

from __future__ import annotations

import pytest

from emulator.core.markdown import (
    CodeBlock,
    Heading,
    ListItem,
    Paragraph,
    Span,
    Table,
    parse_blocks,
    split_spans,
    strip_marks,
)  # fmt: skip
from emulator.core.pages import Page, load_pages

TEXT = """\
# A title: with `code`

A paragraph
of two lines.
<!-- a comment -->

- an item,
  longer than its line
  - one inside of it
- another

| a | b |
|---|---|
| one \\| two | |

```sh
# no heading
echo 'a'
```
"""


def test_blocks() -> None:
    """Lines that belong together become one text; a comment is left out; a fenced block stays as it is."""
    assert parse_blocks(TEXT) == [
        Heading(1, "A title: with `code`"),
        Paragraph("A paragraph of two lines."),
        ListItem(0, "-", "an item, longer than its line"),
        ListItem(1, "-", "one inside of it"),
        ListItem(0, "-", "another"),
        Table((["a", "b"], ["one | two", ""])),
        CodeBlock("sh", "# no heading\necho 'a'"),
    ]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("`a*b*` and *c*", [Span("code", "a*b*"), Span("text", " and "), Span("emphasis", "c")]),
        ("**so** [x](y.md#z)", [Span("strong", "so"), Span("text", " "), Span("link", "x", "y.md#z")]),
        ("2 * 3 * 4", [Span("text", "2 * 3 * 4")]),
        ("[[rate-limit]]", [Span("text", "[[rate-limit]]")]),
    ],
)  # fmt: skip
def test_spans(text: str, spans: list[Span]) -> None:
    """A mark in code is none, and a star between spaces is a star."""
    assert spans == list(split_spans(text))


def test_anchors() -> None:
    """An anchor is what GitHub makes of a heading."""
    assert "x-emulator-gateway-and-links" == Heading(2, "`x-emulator-gateway` and *links*").anchor


@pytest.mark.parametrize("page", load_pages().values(), ids=lambda page: page.name)
def test_the_pages_use_nothing_else(page: Page) -> None:
    """No mark of Markdown is left over in a text of any page."""
    for block in page.blocks:
        texts: list[str] = []
        match block:
            case Heading() | Paragraph() | ListItem():
                texts = [block.text]
            case Table():
                assert {len(block.rows[0])} == {len(row) for row in block.rows}, block
                texts = [cell for row in block.rows for cell in row]
            case CodeBlock():
                assert block.language
        for text in texts:
            plain = "".join(span.text for span in split_spans(text) if span.kind == "text")
            assert not set("`<>") & set(plain), text
            assert "](" not in plain, text
            assert "**" not in strip_marks(plain), text
