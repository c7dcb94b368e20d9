"""Sets text, in any script, as rows of bits with the bundled bitmap font.

It does not use Pillow and raises no error: whatever text a client sends, something is drawn. A page of the font is read
when one of its characters is first drawn, and every cache is bounded.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from emulator.core.light_dataclass import dataclass

HEIGHT: Final = 16  # px, of every line
_LONGEST: Final = 2000  # characters that are read; far more than any caption's lines can hold
_MOST_MARKS: Final = 12  # on one letter; "Zalgo" text has hundreds, which would cost time and show nothing
_MOST_LETTERS: Final = 3  # in one cluster, which is not broken at a line's end; a line may have room for few


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text.

    `width` is in pixels, a multiple of 8. `rows` holds 16 rows of `width` / 8 bytes, from the top; the leftmost pixel
    is the highest bit. Text with `right_to_left` is to be aligned right.
    """

    width: int
    rows: bytes
    right_to_left: bool


class _Glyph(NamedTuple):
    """A character in the font. Its columns of 8 pixels have 16 bytes each, so that `+` joins glyphs to text."""

    columns: bytes
    direction: str  # in the bidirectional algorithm: L, R, N(umber), S(eparator in a number) or a space
    breaks_anywhere: bool  # a line may be broken before and after it


def set_lines(text: str, width: int, most: int) -> tuple[Line, ...]:
    """Return `text` set in at most `most` lines of at most `width` pixels; an ellipsis stands for what does not fit."""
    text = " ".join(_IGNORED.sub("", unicodedata.normalize("NFC", text[:_LONGEST])).split())
    clusters = _split_clusters(text)
    if _ARABIC.search(text):
        clusters = _shape_arabic(clusters)
    clusters = [cluster for cluster in clusters if cluster[0] not in _JOINERS]
    glyphs = [_find_glyph(cluster[0]) for cluster in clusters]
    right_to_left, levels = _find_levels("".join([glyph.direction for glyph in glyphs]))
    cells = []
    for cluster, glyph, level in zip(clusters, glyphs, levels, strict=True):
        if len(cluster) == 1 and level != "1":
            cells.append(glyph.columns)
        else:
            cells.append(_draw_cluster(cluster, level == "1"))
    ellipsis, base_level = _find_glyph("…").columns, str(int(right_to_left))
    lines = []
    for start, end, is_cut in _break_lines(clusters, cells, width // 8, most):
        line_cells, line_levels = cells[start:end], levels[start:end]
        if is_cut:
            line_cells, line_levels = [*line_cells, ellipsis], line_levels + base_level
        lines.append(_set_line(line_cells, line_levels, right_to_left))
    return tuple(lines)


def _split_clusters(text: str) -> list[str]:
    """Return what is one letter to a reader: a letter with its marks, a flag, an emoji, joined consonants.

    The font has no glyphs for sequences of emoji. The first one stands for all that are joined to it, and for itself in
    another colour of skin.
    """
    offsets = _load_mark_offsets()
    if offsets.keys().isdisjoint(text) and _SEQUENCES.search(text) is None:
        return list(text)
    clusters: list[str] = []
    for character in text:
        if not clusters:
            clusters.append(character)
        elif character in offsets:
            if len(clusters[-1]) < _MOST_MARKS:
                clusters[-1] += character
        elif _joins_letter(clusters[-1], character):
            clusters[-1] += character
        elif not _is_swallowed(clusters, character):
            clusters.append(character)
    return clusters


def _joins_letter(cluster: str, character: str) -> bool:
    """Return whether `character` is the second half of a flag, or a consonant behind one that has lost its vowel."""
    if _is_flag_letter(character):
        return len(cluster) == 1 and _is_flag_letter(cluster)
    last = cluster[-1]
    if last not in _VOWEL_KILLERS or ord(last) >> 7 != ord(character) >> 7:
        return False
    letters = sum(unicodedata.category(one) == "Lo" for one in cluster)
    return unicodedata.category(character) == "Lo" and letters < _MOST_LETTERS


def _is_swallowed(clusters: list[str], character: str) -> bool:
    """Return whether the end of `clusters` stands for `character` as well; takes a joiner between emoji from them."""
    before = clusters[-1]
    if character == "\u200d" and before[-1] in _VOWEL_KILLERS:  # asks for another shape, which the font has not
        return True
    if character in _SKIN_COLOURS:
        return _is_emoji(before)
    if before == "\u200d" and len(clusters) > 1 and _is_emoji(clusters[-2]) and _is_emoji(character):
        clusters.pop()
        return True
    return False


def _is_emoji(cluster: str) -> bool:
    return any(first <= cluster[0] <= last for first, last in _EMOJI)


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _shape_arabic(clusters: list[str]) -> list[str]:
    """Return Arabic letters in the forms that join them to their neighbours; lam and alef become one letter."""
    forms = _load_arabic_forms()
    letters: list[tuple[str, str]] = []  # a letter, or lam and alef, and the marks upon it
    for cluster in clusters:
        if letters and letters[-1][0] + cluster[0] in forms:
            letters[-1] = (letters[-1][0] + cluster[0], letters[-1][1] + cluster[1:])
        else:
            letters.append((cluster[0], cluster[1:]))
    joins_next = [letter in _STRETCHES or "initial" in forms.get(letter, ()) for letter, _ in letters]
    joins_previous = [letter in _STRETCHES or "final" in forms.get(letter, ()) for letter, _ in letters]
    shaped = []
    for i, (letter, marks) in enumerate(letters):
        is_joined_before = i > 0 and joins_next[i - 1] and joins_previous[i]
        is_joined_after = i + 1 < len(letters) and joins_next[i] and joins_previous[i + 1]
        form = _FORM_NAMES[is_joined_before, is_joined_after]
        shaped.append(forms.get(letter, {}).get(form, letter) + marks)
    return shaped


def _find_levels(directions: str) -> tuple[bool, str]:
    """Return whether the text runs from right to left, and each letter's level: how often its run is reversed (0 to 2).

    This is the Unicode bidirectional algorithm without embeddings: runs, numbers, and what stands between them.
    """
    if "R" not in directions:
        return False, "0" * len(directions)
    right_to_left = directions.lstrip("NS ").startswith("R")
    base, left_level, number_context = "L", "0", "(?:^|L)[^R]*"
    if right_to_left:
        base, left_level, number_context = "R", "2", "L[^R]*"
    directions = re.sub("(?<=N)S(?=N)", "N", directions).replace("S", " ")
    directions = re.sub(number_context, lambda run: run[0].replace("N", "L"), directions)
    directions = re.sub("(?<=L) +(?=L)", lambda run: "L" * len(run[0]), directions)
    directions = re.sub("(?<=[RN]) +(?=[RN])", lambda run: "R" * len(run[0]), directions)
    directions = directions.replace(" ", base)
    return right_to_left, directions.translate({ord("L"): left_level, ord("R"): "1", ord("N"): "2"})


def _break_lines(clusters: list[str], cells: list[bytes], room: int, most: int) -> list[tuple[int, int, bool]]:
    """Return where lines of at most `room` columns start and end, and whether an ellipsis follows."""
    breaks: list[tuple[int, int, bool]] = []
    start, count = 0, len(cells)
    while start < count and len(breaks) < most and room > 0:
        end, good = _fill_line(clusters, cells, start, room)
        if end == count:
            breaks.append((start, end, False))
        elif len(breaks) + 1 == most:
            while end > start and _count_columns(cells[start:end]) >= room:  # the ellipsis needs a column
                end -= 1
            is_blank_last = end > start and clusters[end - 1] == " "
            breaks.append((start, end - is_blank_last, True))
        else:
            if clusters[end] != " " and good != start:
                end = good
            end = max(end, start + 1)  # a letter wider than the room would never end
            breaks.append((start, end - (clusters[end - 1] == " "), False))
        is_blank_next = end < count and clusters[end] == " "
        start = end + is_blank_next
    return [one for one in breaks if _count_columns(cells[one[0] : one[1]]) + one[2] <= room]


def _fill_line(clusters: list[str], cells: list[bytes], start: int, room: int) -> tuple[int, int]:
    """Return where `room` is full, and the last place before it at which the line may be broken (`start`: none)."""
    used, good, end, count = 0, start, start, len(cells)
    while end < count:
        used += len(cells[end]) // HEIGHT
        if used > room:
            break
        end += 1
        if end < count and _may_break(clusters, end):
            good = end
    return end, good


def _count_columns(cells: list[bytes]) -> int:
    return sum(map(len, cells)) // HEIGHT


def _may_break(clusters: list[str], at: int) -> bool:
    """Return whether a line may be broken before the cluster number `at`."""
    before, after = clusters[at - 1], clusters[at]
    if before == " ":
        return True
    if after in _NEVER_FIRST or before in _NEVER_LAST:
        return False
    return _find_glyph(after[0]).breaks_anywhere or _find_glyph(before[0]).breaks_anywhere


def _set_line(cells: list[bytes], levels: str, right_to_left: bool) -> Line:
    order = list(range(len(cells)))
    if "1" in levels or right_to_left:
        for reversed_levels in ("2", "12"):
            for run in re.finditer(f"[{reversed_levels}]+", levels):
                order[run.start() : run.end()] = reversed(order[run.start() : run.end()])
    columns = b"".join([cells[i] for i in order])
    rows = b"".join([columns[row::HEIGHT] for row in range(HEIGHT)])
    return Line(len(columns) // HEIGHT * 8, rows, right_to_left)


@lru_cache(maxsize=4096)
def _find_glyph(character: str) -> _Glyph:
    columns = bytes.fromhex(_find_bitmap(character) or _BOX)
    if len(columns) != HEIGHT:  # a wide character: its rows have two bytes
        columns = columns[0::2] + columns[1::2]
    direction = _DIRECTIONS.get(unicodedata.bidirectional(character), " ")
    breaks_anywhere = any(first <= character <= last for first, last in _BREAKS_ANYWHERE)
    return _Glyph(columns, direction, breaks_anywhere)


@lru_cache(maxsize=1024)
def _draw_cluster(cluster: str, mirrored: bool) -> bytes:
    """Return a cluster as columns: letters with their marks, side by side, or a flag.

    In text from right to left a bracket is the other one of its pair.
    """
    if _is_flag_letter(cluster[-1]) and len(cluster) == 2:
        return _draw_flag(cluster)
    offsets = _load_mark_offsets()
    starts = [0, *(i for i, character in enumerate(cluster) if i and character not in offsets), len(cluster)]
    parts = [cluster[start:end] for start, end in pairwise(starts)]
    return b"".join([_draw_letter(part, mirrored) for part in parts])


def _draw_flag(cluster: str) -> bytes:
    """Return a filled plate, three columns wide, from which the two letters of a country are cut out."""
    first, second = (_find_glyph(chr(ord(letter) - 0x1F1E6 + ord("A"))).columns for letter in cluster)
    rows = []
    for row in range(HEIGHT):
        letters = first[row] << 12 | second[row] << 4
        plate = _PLATE if 1 <= row < HEIGHT - 1 else 0
        rows.append((plate & ~letters).to_bytes(3, "big"))
    joined = b"".join(rows)
    return joined[0::3] + joined[1::3] + joined[2::3]


def _draw_letter(cluster: str, mirrored: bool) -> bytes:
    """Return a letter with its marks, as columns."""
    offsets = _load_mark_offsets()
    letter, marks = cluster[0], cluster[1:]
    if mirrored:
        letter = _MIRRORED.get(letter, letter)
    if letter in offsets:  # a mark without a letter stands on a blank
        letter, marks = " ", cluster
    columns = _find_glyph(letter).columns
    for mark in marks:
        columns = _draw_mark(columns, _find_glyph(mark).columns, offsets[mark])
    return columns


def _draw_mark(base: bytes, mark: bytes, offset: int) -> bytes:
    """Return `mark` drawn onto `base`, `offset` pixels from its right edge (0: at its left edge); the cell may grow."""
    base_width, mark_width = len(base) // HEIGHT * 8, len(mark) // HEIGHT * 8
    left = 0
    if len(base) == len(mark):
        width = base_width
    else:
        width = max(base_width, mark_width)
        if offset:
            left = base_width + offset
    rows = []
    for row in range(HEIGHT):
        base_bits, mark_bits = int.from_bytes(base[row::HEIGHT], "big"), int.from_bytes(mark[row::HEIGHT], "big")
        base_bits <<= max(0, width - base_width - max(0, -left))
        mark_bits <<= max(0, width - mark_width - max(0, left))
        rows.append((base_bits | mark_bits).to_bytes(width // 8, "big"))
    joined = b"".join(rows)
    return b"".join([joined[column :: width // 8] for column in range(width // 8)])


def _find_bitmap(character: str) -> str:
    """Return the character's bits in the font, as hex digits; empty where the font has none."""
    code = f"{ord(character):04X}"
    page = _load_page(f"{code[:-2]}.hex")
    found = page.find(f"\n{code}:")
    if found < 0:
        return ""
    return page[found + len(code) + 2 : page.index("\n", found + 1)]


@lru_cache(maxsize=64)
def _load_page(name: str) -> str:
    try:
        return "\n" + _load_font().read(name).decode("ascii")
    except KeyError:  # a page of which the font has nothing
        return ""


@lru_cache(maxsize=1)
def _load_mark_offsets() -> dict[str, int]:
    """Return the combining marks, and by how many pixels each is moved (never to the right)."""
    pairs = [line.split(":") for line in _load_font().read("combining.txt").decode("ascii").split()]
    return {chr(int(code, 16)): int(offset) for code, offset in pairs}


@lru_cache(maxsize=1)
def _load_font() -> zipfile.ZipFile:
    # Held in memory: a shared file handle has one position, also across forked workers.
    return zipfile.ZipFile(io.BytesIO((Path(__file__).parent / "fonts" / "unifont.zip").read_bytes()))


@lru_cache(maxsize=1)
def _load_arabic_forms() -> dict[str, dict[str, str]]:
    """Return letter -> form -> presentation form, from the Unicode database; lam-alef is the only pair of letters."""
    forms: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFC00), *range(0xFE70, 0xFEFD)):
        form, *letters = unicodedata.decomposition(chr(code)).split() or [""]
        letter = "".join(chr(int(each, 16)) for each in letters)
        if len(letter) == 1 or (letter.startswith("\u0644") and code >= 0xFE70):
            forms.setdefault(letter, {})[form.strip("<>")] = chr(code)
    return forms


_FORM_NAMES: Final = {  # by whether a letter is joined to the one before, and to the one after
    (False, False): "isolated",
    (True, False): "final",
    (False, True): "initial",
    (True, True): "medial",
}
_BOX: Final = "0000007E4242425A5A4242427E000000"  # for characters that the font does not have
_DIRECTIONS: Final = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N", "CS": "S", "ES": "S", "ET": "S"}
_ARABIC: Final = re.compile("[\u0620-\u074a\u0750-\u077f\u08a0-\u08c9]")
_JOINERS: Final = "\u200c\u200d"  # invisible, but Arabic letters look different beside them
_SKIN_COLOURS: Final = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_VOWEL_KILLERS: Final = "\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d"
"""The signs that join consonants, those of Unicode's property Indic_Conjunct_Break=Linker since its version 15.1."""
_EMOJI: Final = (("\u00a9", "\u00ae"), ("\u203c", "\u3299"), ("\U0001f000", "\U0001faff"))
"""Ranges that hold all emoji, and other symbols, which nobody joins."""
_SEQUENCES: Final = re.compile("[\u200d\U0001f1e6-\U0001f1ff\U0001f3fb-\U0001f3ff]")
"""What sequences of emoji have, beside marks."""
_PLATE: Final = 0x7FFFFE  # the filled columns of a flag's 24
_STRETCHES: Final = "\u0640\u200d"  # join on both sides and do not change their form
# The property Default_Ignorable_Code_Point of Unicode, but for the joiners.
_IGNORED: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Chinese, Japanese, Korean and emoji are written without spaces.
_BREAKS_ANYWHERE: Final = ("\u2e80\ua4cf", "\uac00\ud7a3", "\uf900\ufaff", "\uff01\uff60", "\U0001f000\U0003ffff")
_NEVER_FIRST: Final = "、。，．：；？！）］｝〉》」』】〕〗’”…‥・ー々,.;:!?)]}%"
_NEVER_LAST: Final = "（［｛〈《「『【〔〖‘“([{"
_MIRRORED: Final = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))
