"""Text becomes rows of bits, in any script, with the bundled bitmap font.

Keep it free of PIL and of exceptions: whatever string a client sends, something is drawn. A page of the font is read
when one of its characters is first drawn, and every cache is bounded.
"""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

HEIGHT: Final = 16  # px, of every line
_LONGEST: Final = 2000  # characters looked at; far more than any caption's lines can hold
_MOST_MARKS: Final = 12  # on one letter; "Zalgo" text has hundreds, which would cost time and show nothing


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text: `rows` holds 16 rows of `width` / 8 bytes, from the top, the leftmost pixel in the highest bit.

    `width` is in pixels, a multiple of 8. `leftward` tells that the text runs from right to left: align it right.
    """

    width: int
    rows: bytes
    leftward: bool


class _Sign(NamedTuple):
    """One character as the font has it; its columns of 8 pixels are 16 bytes each, so that `+` joins text."""

    columns: bytes
    side: str  # how it stands in the bidirectional algorithm: L, R, N(umber), S(eparator in a number) or a space
    anywhere: bool  # a line may be broken before and after it


def set_lines(text: str, width: int, most: int) -> tuple[Line, ...]:
    """`text` set in at most `most` lines, none wider than `width` pixels; what does not fit ends in an ellipsis."""
    text = " ".join(_UNSEEN.sub("", unicodedata.normalize("NFC", text[:_LONGEST])).split())
    letters = _clusters(text)
    letters = _joined(letters) if _ARABIC.search(text) else [letter for letter in letters if letter[0] not in _JOINERS]
    signs = [_sign(letter[0]) for letter in letters]
    leftward, levels = _levels("".join([sign.side for sign in signs]))
    cells = [
        sign.columns if len(letter) == 1 and level != "1" else _cell(letter, level == "1")
        for letter, sign, level in zip(letters, signs, levels, strict=True)
    ]
    return tuple(
        _line(cells[start:end] + [_sign("…").columns] * cut, levels[start:end] + str(int(leftward)) * cut, leftward)
        for start, end, cut in _breaks(letters, cells, width // 8, most)
    )


def _clusters(text: str) -> list[str]:
    """Each letter with the marks that are drawn onto it."""
    steps = _steps()
    if steps.keys().isdisjoint(text):
        return list(text)
    clusters: list[str] = []
    for character in text:
        if character in steps and clusters:
            clusters[-1] += character if len(clusters[-1]) < _MOST_MARKS else ""
        else:
            clusters.append(character)
    return clusters


def _joined(clusters: list[str]) -> list[str]:
    """Arabic letters in the form that joins them to their neighbours; lam and alef become one sign."""
    forms = _forms()
    letters: list[tuple[str, str]] = []  # what to look up, and the marks upon it
    for cluster in clusters:
        if letters and letters[-1][0] + cluster[0] in forms:
            letters[-1] = (letters[-1][0] + cluster[0], letters[-1][1] + cluster[1:])
        else:
            letters.append((cluster[0], cluster[1:]))
    after = [letter in _STRETCHES or "initial" in forms.get(letter, ()) for letter, _ in letters]
    before = [letter in _STRETCHES or "final" in forms.get(letter, ()) for letter, _ in letters]
    shaped = []
    for i, (letter, marks) in enumerate(letters):
        joins = (i > 0 and after[i - 1] and before[i]) + 2 * (i + 1 < len(letters) and after[i] and before[i + 1])
        form = ("isolated", "final", "initial", "medial")[joins]
        shaped.append(forms.get(letter, {}).get(form, letter) + marks)
    return [cluster for cluster in shaped if cluster[0] not in _JOINERS]


def _levels(sides: str) -> tuple[bool, str]:
    """Whether the text runs from right to left, and for each letter how often its run is turned round: 0, 1 or 2.

    This is the Unicode bidirectional algorithm without embeddings: runs, numbers, and what stands between them.
    """
    if "R" not in sides:
        return False, "0" * len(sides)
    leftward = sides.lstrip("NS ").startswith("R")
    ground = "R" if leftward else "L"
    sides = re.sub("(?<=N)S(?=N)", "N", sides).replace("S", " ")
    sides = re.sub("L[^R]*" if leftward else "(?:^|L)[^R]*", lambda run: run[0].replace("N", "L"), sides)
    sides = re.sub("(?<=L) +(?=L)", lambda run: "L" * len(run[0]), sides)
    sides = re.sub("(?<=[RN]) +(?=[RN])", lambda run: "R" * len(run[0]), sides)
    sides = sides.replace(" ", ground)
    return leftward, sides.translate({ord("L"): "2" if leftward else "0", ord("R"): "1", ord("N"): "2"})


def _breaks(letters: list[str], cells: list[bytes], room: int, most: int) -> list[tuple[int, int, bool]]:
    """Where lines of at most `room` columns start and end, and whether an ellipsis follows."""
    breaks: list[tuple[int, int, bool]] = []
    start, count = 0, len(cells)
    while start < count and len(breaks) < most and room > 0:
        used, good, end = 0, start, start
        while end < count and (used := used + len(cells[end]) // HEIGHT) <= room:
            end += 1
            if end < count and _may_break(letters, end):
                good = end
        if end == count:
            breaks.append((start, end, False))
        elif len(breaks) + 1 == most:
            while end > start and sum(map(len, cells[start:end])) // HEIGHT >= room:
                end -= 1
            breaks.append((start, end - (end > start and letters[end - 1] == " "), True))
        else:
            end = end if letters[end] == " " or good == start else good
            end = max(end, start + 1)  # a sign wider than the room would never end
            breaks.append((start, end - (letters[end - 1] == " "), False))
        start = end + (end < count and letters[end] == " ")
    return [(start, end, cut) for start, end, cut in breaks if sum(map(len, cells[start:end])) // HEIGHT + cut <= room]


def _may_break(letters: list[str], at: int) -> bool:
    if letters[at - 1] == " ":
        return True
    return (
        (_sign(letters[at][0]).anywhere or _sign(letters[at - 1][0]).anywhere)
        and letters[at] not in _NEVER_FIRST
        and letters[at - 1] not in _NEVER_LAST
    )


def _line(cells: list[bytes], levels: str, leftward: bool) -> Line:
    order = list(range(len(cells)))
    for level in ("2", "12"):
        for run in re.finditer(f"[{level}]+", levels) if "1" in levels or leftward else ():
            order[run.start() : run.end()] = reversed(order[run.start() : run.end()])
    columns = b"".join([cells[i] for i in order])
    return Line(len(columns) // HEIGHT * 8, b"".join([columns[row::HEIGHT] for row in range(HEIGHT)]), leftward)


@lru_cache(maxsize=4096)
def _sign(character: str) -> _Sign:
    bits = bytes.fromhex(_find(character) or _BOX)
    columns = bits if len(bits) == HEIGHT else bits[0::2] + bits[1::2]
    side = _SIDES.get(unicodedata.bidirectional(character), " ")
    return _Sign(columns, side, any(first <= character <= last for first, last in _ANYWHERE))


@lru_cache(maxsize=1024)
def _cell(cluster: str, mirrored: bool) -> bytes:
    """A letter with its marks, as columns; where the text runs leftward a bracket is the other one of its pair."""
    steps = _steps()
    letter = _MIRRORED.get(cluster[0], cluster[0]) if mirrored else cluster[0]
    columns = _sign(" " if letter in steps else letter).columns
    for mark in cluster[letter not in steps :]:
        columns = _marked(columns, _sign(mark).columns, steps[mark])
    return columns


def _marked(base: bytes, mark: bytes, step: int) -> bytes:
    """`mark` drawn onto `base`, `step` pixels back from its right edge (0: at its left edge); the cell may grow."""
    if len(base) == len(mark):
        at, width = 0, len(base) // HEIGHT * 8
    else:
        at = len(base) // HEIGHT * 8 + step if step else 0
        width = max(len(base), len(mark)) // HEIGHT * 8
    rows = []
    for row in range(HEIGHT):
        left, right = int.from_bytes(base[row::HEIGHT], "big"), int.from_bytes(mark[row::HEIGHT], "big")
        left <<= max(0, width - len(base) // HEIGHT * 8 - max(0, -at))
        right <<= max(0, width - len(mark) // HEIGHT * 8 - max(0, at))
        rows.append((left | right).to_bytes(width // 8, "big"))
    joined = b"".join(rows)
    return b"".join([joined[column :: width // 8] for column in range(width // 8)])


def _find(character: str) -> str:
    """The character's line in the font, without its number; empty if it has none."""
    code = f"{ord(character):04X}"
    page = _page(f"{code[:-2]}.hex")
    found = page.find(f"\n{code}:")
    return page[found + len(code) + 2 : page.index("\n", found + 1)] if found >= 0 else ""


@lru_cache(maxsize=64)
def _page(name: str) -> str:
    try:
        return "\n" + _font().read(name).decode("ascii")
    except KeyError:  # a page of which the font has nothing
        return ""


@lru_cache(maxsize=1)
def _steps() -> dict[str, int]:
    """The marks, and by how many pixels each steps back."""
    pairs = [line.split(":") for line in _font().read("combining.txt").decode("ascii").split()]
    return {chr(int(code, 16)): int(step) for code, step in pairs}


@lru_cache(maxsize=1)
def _font() -> zipfile.ZipFile:
    # Held in memory: a shared file handle has one position, also across forked workers.
    return zipfile.ZipFile(io.BytesIO((Path(__file__).parent / "fonts" / "unifont.zip").read_bytes()))


@lru_cache(maxsize=1)
def _forms() -> dict[str, dict[str, str]]:
    """Letter -> form -> presentation form, as the Unicode database tells it; lam-alef is the only pair."""
    forms: dict[str, dict[str, str]] = {}
    for code in (*range(0xFB50, 0xFC00), *range(0xFE70, 0xFEFD)):
        form, *letters = unicodedata.decomposition(chr(code)).split() or [""]
        letter = "".join(chr(int(each, 16)) for each in letters)
        if len(letter) == 1 or (letter.startswith("\u0644") and code >= 0xFE70):
            forms.setdefault(letter, {})[form.strip("<>")] = chr(code)
    return forms


_BOX: Final = "0000007E4242425A5A4242427E000000"  # for what the font has not
_SIDES: Final = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N", "CS": "S", "ES": "S", "ET": "S"}
_ARABIC: Final = re.compile("[\u0620-\u074a\u0750-\u077f\u08a0-\u08c9]")
_JOINERS: Final = "\u200c\u200d"  # invisible, but Arabic letters look different beside them
_STRETCHES: Final = "\u0640\u200d"  # join on both sides, and keep their form
# The property Default_Ignorable_Code_Point of Unicode, but for the joiners.
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Chinese, Japanese, Korean and emoji are written without spaces.
_ANYWHERE: Final = ("\u2e80\ua4cf", "\uac00\ud7a3", "\uf900\ufaff", "\uff01\uff60", "\U0001f000\U0003ffff")
_NEVER_FIRST: Final = "、。，．：；？！）］｝〉》」』】〕〗’”…‥・ー々,.;:!?)]}%"
_NEVER_LAST: Final = "（［｛〈《「『【〔〖‘“([{"
_MIRRORED: Final = dict(zip("()[]{}<>«»‹›", ")(][}{><»«›‹", strict=True))
