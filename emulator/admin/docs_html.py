"""Writes a page as HTML: no script, nothing from elsewhere, and every text escaped."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from emulator.core.markdown import Block, CodeBlock, Heading, ListItem, Paragraph, Table, split_spans, strip_marks
from emulator.core.pages import Page

_STYLE: Final = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--link:#0a58b4}
@media(prefers-color-scheme:dark){:root{--link:#7db8ff}}
*{box-sizing:border-box}
body{font:16px/1.55 system-ui,sans-serif;margin:0;display:grid;grid-template-columns:15rem minmax(0,50rem);gap:2.5rem;
padding:1.5rem}
nav ul{list-style:none;padding:0}nav li{margin:.3rem 0}nav [aria-current]{font-weight:700}
a{color:var(--link)}h1{margin-top:0}h2{border-top:1px solid var(--line);padding-top:1rem;margin-top:2rem}
code{font:.9em ui-monospace,monospace;background:var(--soft);padding:.1em .25em;border-radius:3px;
overflow-wrap:anywhere}
pre{background:var(--soft);padding:.8rem 1rem;overflow-x:auto;border-radius:6px}pre code{background:none;padding:0}
.table{overflow-x:auto}table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.3rem .7rem;
border-bottom:1px solid var(--line)}
h1 a,h2 a,h3 a,h4 a{color:inherit;text-decoration:none}h1 a:hover,h2 a:hover,h3 a:hover,h4 a:hover{color:var(--link)}
input{font:inherit;width:100%;padding:.3rem .5rem}
@media(max-width:50rem){body{display:block;padding:1rem}nav ul{display:flex;flex-wrap:wrap;gap:0 1rem}}
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of each page: its own style sheet, its own form, and nothing else."""


def format_document(blocks: Sequence[Block], name: str, pages: Mapping[str, Page], root: str, words: str) -> str:
    """Return the HTML of the page called `name`, beside the list of all `pages`, whose path is `root`.

    `words` stand in the field for a search.
    """
    title = ""
    if isinstance(blocks[0], Heading):
        title = strip_marks(blocks[0].text)
    body = "\n".join(_format_blocks(blocks, root))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)} - Image API Emulator</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<nav>\n{_format_navigation(name, pages, root, words)}</nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _format_navigation(name: str, pages: Mapping[str, Page], root: str, words: str) -> str:
    items = [f'<li><a href="{root}">All pages</a></li>\n']
    for page in pages.values():
        current = ""
        if page.name == name:
            current = ' aria-current="page"'
        items.append(f'<li><a href="{root}/{page.name}"{current}>{escape(page.title)}</a></li>\n')
    field = f'<input type="search" name="q" value="{escape(words)}" placeholder="Find" aria-label="Find in all pages">'
    return f'<form action="{root}">{field}</form>\n<ul>\n{"".join(items)}</ul>\n'


def _format_blocks(blocks: Sequence[Block], root: str) -> Iterator[str]:
    position = 0
    while position < len(blocks):
        block = blocks[position]
        position += 1
        match block:
            case Heading():
                tag = f"h{block.level}"
                text = _format_text(block.text, root)
                yield f'<{tag} id="{escape(block.anchor)}"><a href="#{escape(block.anchor)}">{text}</a></{tag}>'
            case Paragraph():
                yield f"<p>{_format_text(block.text, root)}</p>"
            case CodeBlock():
                yield f'<pre tabindex="0"><code>{escape(block.text)}</code></pre>'
            case Table():
                yield _format_table(block, root)
            case ListItem():
                items = [block]
                while position < len(blocks):
                    following = blocks[position]
                    if not isinstance(following, ListItem):
                        break
                    items.append(following)
                    position += 1
                yield _format_list(items, root)


def _format_list(items: Sequence[ListItem], root: str) -> str:
    """Return items that stand below each other as lists, deeper ones inside of the item above them."""
    tag = "ol"
    if items[0].mark == "-":
        tag = "ul"
    parts = []
    position = 0
    while position < len(items):
        end = position + 1
        while end < len(items) and items[end].depth > items[position].depth:
            end += 1
        inner = ""
        if end > position + 1:
            inner = "\n" + _format_list(items[position + 1 : end], root)
        parts.append(f"<li>{_format_text(items[position].text, root)}{inner}</li>\n")
        position = end
    return f"<{tag}>\n{''.join(parts)}</{tag}>"


def _format_table(table: Table, root: str) -> str:
    rows = [_format_row("th", table.rows[0], root)]
    rows += [_format_row("td", row, root) for row in table.rows[1:]]
    return f'<div class="table" tabindex="0"><table>\n{"".join(rows)}</table></div>'


def _format_row(tag: str, cells: Sequence[str], root: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{_format_text(cell, root)}</{tag}>' for cell in cells)}</tr>\n"


def _format_text(text: str, root: str) -> str:
    """Return a line with its marks as elements."""
    parts = []
    for span in split_spans(text):
        match span.kind:
            case "text":
                parts.append(escape(span.text))
            case "code":
                parts.append(f"<code>{escape(span.text)}</code>")
            case "strong":
                parts.append(f"<strong>{_format_text(span.text, root)}</strong>")
            case "emphasis":
                parts.append(f"<em>{_format_text(span.text, root)}</em>")
            case "link":
                target = escape(_resolve_link(span.target, root))
                parts.append(f'<a href="{target}">{_format_text(span.text, root)}</a>')
    return "".join(parts)


def _resolve_link(target: str, root: str) -> str:
    """Return where a link leads here: `verify.md#counts` is a path below `root`, and only https leads elsewhere."""
    name = _PAGE.fullmatch(target)
    if name is not None:
        return f"{root}/{name[1]}{name[2] or ''}"
    if not target.startswith(("https://", "#")):
        return "#"
    return target


_PAGE: Final = re.compile(r"([a-z-]+)\.md(#.*)?")
