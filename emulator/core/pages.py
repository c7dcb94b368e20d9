"""The pages that users read: loads them from emulator/docs, and finds words in them.

The command `docs` and the paths /_emulator/docs use it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

from emulator.core.data_folders import find_docs
from emulator.core.light_dataclass import dataclass
from emulator.core.markdown import Block, CodeBlock, Heading, ListItem, Paragraph, Table, parse_blocks, strip_marks
from emulator.core.suggestions import nearest_word

INDEX: Final = "index"
"""The name of the page that lists all others, in the order in which they are read."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it, up to the next heading: the place to which a search leads."""

    page: str
    headings: Sequence[str]
    anchor: str
    blocks: Sequence[Block]

    @property
    def place(self) -> str:
        """The word by which `docs` shows it, such as `errors#kinds-of-refusal`."""
        if not self.anchor:
            return self.page
        return f"{self.page}#{self.anchor}"


@dataclass(frozen=True)
class Page:
    """A page: its name is the name of its file, `about` its first paragraph."""

    name: str
    text: str

    @cached_property
    def blocks(self) -> Sequence[Block]:
        """What the page consists of; the first two are its title and `about`."""
        return parse_blocks(self.text)

    @property
    def title(self) -> str:
        """The title."""
        return _read_text(self.blocks[0])

    @property
    def about(self) -> str:
        """What the page is about, in a sentence or two."""
        return _read_text(self.blocks[1])

    @cached_property
    def sections(self) -> Sequence[Section]:
        """The parts of the page, one for each heading, in their order."""
        starts = [number for number, block in enumerate(self.blocks) if isinstance(block, Heading)]
        sections = []
        above: list[str] = []
        for start, end in zip(starts, [*starts[1:], len(self.blocks)], strict=True):
            heading = self.blocks[start]
            assert isinstance(heading, Heading)
            above = [*above[: heading.level - 1], heading.text]
            anchor = heading.anchor
            if heading.level == 1:
                anchor = ""
            blocks = self.blocks[start:end]
            sections.append(Section(page=self.name, headings=tuple(above), anchor=anchor, blocks=blocks))
        return sections

    def find_blocks(self, anchor: str) -> Sequence[Block]:
        """Return a heading with all that is below it, deeper headings included; nothing where no heading has `anchor`.

        "" is the whole page.
        """
        for number, block in enumerate(self.blocks):
            if isinstance(block, Heading) and block.anchor == anchor:
                end = number + 1
                while end < len(self.blocks) and not _begins_section(self.blocks[end], block.level):
                    end += 1
                return self.blocks[number:end]
        if anchor:
            return ()
        return self.blocks


@dataclass(frozen=True)
class SearchHit:
    """A section in which all words were found, and the lines that have them, best first."""

    section: Section
    lines: Sequence[str]
    score: float


def load_pages() -> Mapping[str, Page]:
    """Return the pages by name, in the order in which the index lists them; the index is none of them."""
    index = load_page(INDEX)
    names = _LINK.findall(index.text)
    return {name: load_page(name) for name in names}


def load_page(name: str) -> Page:
    """Return the page of this name, whose file has to be there."""
    return Page(name, (find_docs() / f"{name}.md").read_text("utf-8"))


def search_pages(pages: Mapping[str, Page], words: Sequence[str]) -> list[SearchHit]:
    """Return the sections that have all words, best first.

    Case does not count, nor do dashes, underscores and the ending of a plural: `timeouts` finds `time-out`. A word in a
    heading counts most, then one at the beginning of a table's row or of an item of a list, such as a flag or a code.
    """
    wanted = [_Wanted(word) for word in words]
    phrase = _Wanted("".join(words))
    hits = []
    for page in pages.values():
        for section in page.sections:
            hit = _match_section(section, wanted, phrase)
            if hit is not None:
                hits.append(hit)
    return sorted(hits, key=lambda hit: -hit.score)


def find_nearest(pages: Mapping[str, Page], word: str) -> str | None:
    """Return the word of the pages that is most like `word`; None where none is like it."""
    known: dict[str, None] = dict.fromkeys(pages)
    for page in pages.values():
        known |= dict.fromkeys(_WORD.findall(page.text.lower()))
    return nearest_word(word.lower(), (one for one in known if len(one) > _SHORT))


class _Wanted:
    """A word that is looked for."""

    def __init__(self, word: str) -> None:
        self._squeezed = _squeeze(word)
        self._stem = _stem(self._squeezed)

    def rate(self, text: str) -> float:
        """Return how well `text` has the word: 0 where it does not, 1 for the word itself, less for a part of a word.

        Two words of the text may be one of those looked for: `time out` for `timeout`.
        """
        if not self._squeezed or self._stem[:-1] not in _squeeze(text):  # most texts end here; `retr` of retry, retries
            return 0
        tokens = [_squeeze(token) for token in _WORD.findall(text.lower())]
        pieces = [piece for token in _WORD.findall(text.lower()) for piece in re.split(r"[-_./]", token)]
        pairs = [first + second for first, second in pairwise(pieces)]
        stems = {_stem(token) for token in (*tokens, *pieces, *pairs)}
        if self._stem in stems:
            return 1
        if any(stem.startswith(self._stem) for stem in stems):
            return 0.5
        if len(self._stem) > _SHORT and any(self._stem in stem for stem in stems):
            return 0.2
        return 0


def _match_section(section: Section, wanted: Sequence[_Wanted], phrase: _Wanted) -> SearchHit | None:
    """Return how well a section has all the words; None where one is missing.

    Several words that stand beside each other, `phrase`, count as much again.
    """
    lines = [line for block in section.blocks[1:] for line in _list_lines(block)]
    best_of_all = 0.0
    rated: dict[str, float] = {}
    for word in wanted:
        best = _IN_HEADING * word.rate(section.headings[-1])
        if best == 0:
            best = _IN_UPPER_HEADING * max((word.rate(heading) for heading in section.headings[:-1]), default=0)
        for line in lines:
            rating = _AT_START * word.rate(line.start) or word.rate(line.text)
            if rating:
                best = max(best, rating)
                rated[line.text] = rated.get(line.text, 0) + rating + _EACH
        if best == 0:
            return None
        best_of_all += best
    if not rated and best_of_all < _IN_HEADING * len(wanted):  # only a heading further up has the words
        return None
    if len(wanted) > 1:
        best_of_all += _IN_HEADING * phrase.rate(section.headings[-1])
        ratings = {line.text: _AT_START * phrase.rate(line.start) or phrase.rate(line.text) for line in lines}
        best_of_all += max(ratings.values(), default=0)
        rated = {text: rating + ratings[text] for text, rating in rated.items()}
    best_lines = sorted(rated, key=lambda text: -rated[text])
    score = best_of_all + _EACH * min(len(rated), _MANY)
    return SearchHit(section, best_lines, score)


@dataclass(frozen=True)
class _Line:
    """A line that a search shows, and what it starts with: the first cell of a row, or the name of an item."""

    start: str
    text: str
    weight: float = 1


def _list_lines(block: Block) -> Iterator[_Line]:
    match block:
        case Paragraph():
            for sentence in _SENTENCE_END.split(strip_marks(block.text)):
                yield _Line("", sentence)
        case ListItem():
            text = strip_marks(block.text)
            start, colon, _ = text.partition(":")
            if not colon:
                start = ""
            yield _Line(start, text)
        case Table():
            for row in block.rows[1:]:
                cells = [strip_marks(cell) for cell in row]
                yield _Line(cells[0], ": ".join(cell for cell in cells if cell))
        case CodeBlock():
            for line in block.text.split("\n"):
                yield _Line("", line.strip(), _IN_CODE)
        case Heading():
            return


def _begins_section(block: Block, level: int) -> bool:
    return isinstance(block, Heading) and block.level <= level


def _read_text(block: Block) -> str:
    assert isinstance(block, Heading | Paragraph)
    return strip_marks(block.text)


def _squeeze(text: str) -> str:
    return re.sub(r"[-_\s]", "", text.lower())


def _stem(word: str) -> str:
    """Return a word without the ending of a plural; `retries` and `retry` are one word."""
    if word.endswith("ies") and len(word) > _SHORT + 1:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    if word.endswith("s") and not word.endswith("ss") and len(word) > _SHORT:
        return word[:-1]
    return word


_LINK: Final = re.compile(r"^- \[.*?\]\((.*?)\.md\)", re.MULTILINE)
_WORD: Final = re.compile(r"\w+(?:[-./]\w+)*")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?]) (?=[A-Z`*])")
_SHORT: Final = 3  # letters of a word that is not looked for inside of others
_IN_HEADING: Final = 8
_IN_UPPER_HEADING: Final = 0.5
_AT_START: Final = 5
_IN_CODE: Final = 0.5
_EACH: Final = 0.1
_MANY: Final = 8
