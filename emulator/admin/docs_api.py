"""The functions of the paths with the pages that users read: /docs, /docs/{page} and /llms.txt.

A page is HTML for a client that accepts text/html, as browsers do, and else the Markdown of its file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from emulator.admin.errors import AdminError
from emulator.admin.request import PREFIX, AdminRequest, build_response
from emulator.core.markdown import Block
from emulator.core.pages import INDEX, Page, SearchHit, find_nearest, load_page, load_pages, search_pages
from emulator.core.suggestions import describe_unknown
from emulator.messages import Response

DOCS: Final = f"{PREFIX}/docs"


async def list_docs(request: AdminRequest) -> Response:
    """The list of all pages, or with the query `q` where its words are found."""
    words = request.query.get("q", "").split()[:_MOST_WORDS]
    return await asyncio.to_thread(_build_list, request, words)


async def get_doc(request: AdminRequest) -> Response:
    """One page; with `.md` behind its name it is Markdown, whatever the client accepts."""
    return await asyncio.to_thread(_build_page, request)


async def get_llms(request: AdminRequest) -> Response:
    """The list of all pages as llms.txt, with links to their Markdown."""
    text = await asyncio.to_thread(_format_llms, request.request.origin)
    return build_response("text/plain; charset=utf-8", text.encode())


def _build_list(request: AdminRequest, words: list[str]) -> Response:
    pages = load_pages()
    if not words:
        return _build_document(request, load_page(INDEX), pages)
    hits = search_pages(pages, words)
    lines = ["# What was found", ""]  # not the words themselves: they could be Markdown
    lines += _format_hits(hits[:_MOST_HITS])
    if not hits:
        nearest = [find_nearest(pages, word) for word in words if not search_pages(pages, [word])]
        found = [word for word in nearest if word is not None]
        lines.append("No page says anything about that.")
        if found:
            lines[-1] += f" Did you mean `{' '.join(found)}`?"
    return _build_document(request, Page(INDEX, "\n".join(lines) + "\n"), pages, " ".join(words))


def _format_hits(hits: Iterable[SearchHit]) -> Iterator[str]:
    for hit in hits:
        anchor = ""
        if hit.section.anchor:
            anchor = f"#{hit.section.anchor}"
        yield f"- [{': '.join(hit.section.headings)}]({hit.section.page}.md{anchor})"
        for line in hit.lines[:_MOST_LINES]:
            yield f"  - {line}"


def _build_page(request: AdminRequest) -> Response:
    name = request.path_params["page"]
    pages = load_pages()
    plain = name.removesuffix(".md")
    if plain not in pages and plain != INDEX:
        raise AdminError(404, describe_unknown("page", plain, pages), "page")
    page = load_page(plain)
    if name != plain:
        return build_response(_MARKDOWN, page.text.encode())
    return _build_document(request, page, pages)


def _build_document(request: AdminRequest, page: Page, pages: Mapping[str, Page], words: str = "") -> Response:
    """Return `page` in the form that the client accepts."""
    headers: tuple[tuple[str, str], ...] = (("Vary", "Accept"),)
    if "text/html" not in request.request.headers.get("Accept", ""):
        return build_response(_MARKDOWN, page.text.encode(), headers=headers)
    from emulator.admin import docs_html  # few servers show a page

    blocks: list[Block] = list(page.blocks)
    text = docs_html.format_document(blocks, page.name, pages, DOCS, words)
    headers += (("Content-Security-Policy", docs_html.POLICY), ("Referrer-Policy", "no-referrer"))
    return build_response("text/html; charset=utf-8", text.encode(), headers=headers)


def _format_llms(origin: str) -> str:
    """Return the index with links to the Markdown of each page, and behind each link what the page is about."""
    pages = load_pages()
    index = load_page(INDEX)
    title, _, rest = index.text.partition("\n")
    lines = [title, "", f"> {index.about}", ""]
    for line in rest.split("\n"):
        name = line.partition("](")[2].removesuffix(".md)")
        if line.startswith("## "):
            lines += [line, ""]
        elif name in pages:
            lines.append(f"- [{pages[name].title}]({origin}{DOCS}/{name}.md): {pages[name].about}")
        elif lines[-1] != "":
            lines.append("")
    lines += ["## Machine-readable", ""]
    lines.append(f"- [OpenAPI]({origin}{PREFIX}/openapi.json): the emulator's own paths")
    return "\n".join(lines) + "\n"


_MARKDOWN: Final = "text/markdown; charset=utf-8"
_MOST_WORDS: Final = 8  # a search takes time for each; a query has room for thousands
_MOST_HITS: Final = 20
_MOST_LINES: Final = 3
