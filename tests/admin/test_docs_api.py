"""The pages at /_emulator/docs and /_emulator/llms.txt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import httpx
import pytest

from emulator.core.data_folders import find_docs
from emulator.core.pages import load_pages
from tests.conftest import Served
from tests.described import Described

PAGES: Final = load_pages()
BROWSER: Final = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def ask() -> Iterator[Described]:
    """Asks one server."""
    served = Served()
    yield Described(served)
    served.stop()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_markdown_or_html(ask: Described, name: str) -> None:
    """A program gets the file as it is; a browser gets HTML with each heading, and without any mark left over."""
    file = (find_docs() / f"{name}.md").read_text("utf-8")
    for path, headers in ((name, {}), (f"{name}.md", BROWSER)):
        reply = ask("GET", f"/docs/{path}", headers=headers)
        assert (200, "text/markdown; charset=utf-8") == (reply.status_code, reply.headers["content-type"])
        assert file == reply.text
    reply = ask("GET", f"/docs/{name}", headers=BROWSER)
    assert "text/html; charset=utf-8" == reply.headers["content-type"]
    assert "Accept" == reply.headers["vary"]
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    anchors = re.findall(r'<h\d id="([^"]+)">', reply.text)
    assert len(anchors) == len(set(anchors)), "two headings of a page have the same anchor"
    sections = PAGES[name].sections
    assert [section.anchor for section in sections[1:]] == anchors[1:]
    assert "<script" not in reply.text
    assert "style=" not in reply.text


@pytest.fixture(scope="module")
def read_html(ask: Described) -> Callable[[str], str]:
    """Reads what a browser gets at a path, each once: some pages are linked to from all others."""

    @cache
    def read(path: str) -> str:
        reply = ask("GET", path, headers=BROWSER)
        assert 200 == reply.status_code, path
        return reply.text

    return read


@pytest.mark.parametrize("name", ["", *PAGES])
def test_links_lead_somewhere(read_html: Callable[[str], str], name: str) -> None:
    """Each link of the HTML leads to a page that is there, and to a heading of it."""
    for target in re.findall(r'href="([^"]+)"', read_html(f"/docs/{name}".rstrip("/"))):
        if target.startswith(("#", "https://")):
            continue
        path, _, anchor = target.removeprefix("/_emulator").partition("#")
        text = read_html(path)
        assert not anchor or f'id="{anchor}"' in text, target


def test_the_list(ask: Described) -> None:
    """The list has each page, with and without a slash at the end."""
    for path in ("/docs", "/docs/"):
        reply = httpx.get(ask._base + path)
        assert 200 == reply.status_code
        assert all(f"({name}.md)" in reply.text for name in PAGES)


def test_a_search(ask: Described) -> None:
    """Words lead to places, as links; a word that no page has, to the nearest one."""
    reply = ask("GET", "/docs?q=rate_limit")
    assert "(errors.md#kinds-of-refusal)" in reply.text
    assert 'href="/_emulator/docs/errors#kinds-of-refusal"' in ask("GET", "/docs?q=rate_limit", headers=BROWSER).text
    assert "Did you mean `portability`?" in ask("GET", "/docs?q=portabilitty").text


HOSTILE: Final = ['"><b>x', "[x](javascript:alert(1))", "<img src=x onerror=alert(1)>", "`", "**", "\0"]


@pytest.mark.parametrize("words", HOSTILE)
def test_words_are_texts(ask: Described, words: str) -> None:
    """What somebody looks for is escaped in the page, wherever it stands."""
    reply = ask("GET", "/docs", headers=BROWSER, params={"q": words})
    assert 200 == reply.status_code
    assert "<b>" not in reply.text
    assert "<img" not in reply.text
    assert 'href="javascript' not in reply.text


def test_what_is_not_there(ask: Described) -> None:
    """Another page is refused with the nearest one; nothing leads out of the folder."""
    status, param, message = ask.error("GET", "/docs/scenario")
    assert (404, "page") == (status, param)
    assert "did you mean 'scenarios'?" in message
    for path in ("/docs/..%2f..%2fREADME.md", "/docs/%2fetc%2fpasswd", "/docs/.md"):
        assert 404 == ask.error("GET", path)[0]
    assert 400 == ask.error("GET", "/docs?word=x")[0]


def test_llms_txt(ask: Described) -> None:
    """One title, one quoted line, and a link to the Markdown of each page, which leads there."""
    reply = ask("GET", "/llms.txt")
    assert "text/plain; charset=utf-8" == reply.headers["content-type"]
    lines = reply.text.splitlines()
    assert lines[0].startswith("# ")
    assert lines[2].startswith("> ")
    links = re.findall(r"^- \[.+?\]\((\S+)\): \S", reply.text, re.MULTILINE)
    assert len(PAGES) + 1 == len(links)
    for link in links:
        assert 200 == httpx.get(link).status_code
