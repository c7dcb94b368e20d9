"""Text as bits: every script has its ink, and no string is an accident."""

import json
import unicodedata

import pytest

from emulator.image import bitmap_font
from tests.paths import TESTS

BOX = bitmap_font.set_lines("\ue000", 512, 1)[0].rows  # a private character, which the font has not


def ink(text: str) -> bytes:
    (line,) = bitmap_font.set_lines(text, 512, 1)
    return line.rows


def drawing(line: bitmap_font.Line) -> list[str]:
    across = line.width // 8
    rows = [line.rows[row * across : (row + 1) * across] for row in range(bitmap_font.HEIGHT)]
    return ["".join(f"{byte:08b}" for byte in row).replace("0", ".") for row in rows]


def test_a_letter_is_drawn_as_the_font_has_it() -> None:
    """Rows run from the top, the leftmost pixel in the highest bit."""
    (line,) = bitmap_font.set_lines("A", 512, 1)
    expected = bytes.fromhex("0000000018242442427E424242420000")
    assert (8, expected, False) == (line.width, line.rows, line.right_to_left)


@pytest.mark.parametrize(
    "text",
    ["猫", "Ж", "ق", "ח", "แ", "क", "😀", "🐱", "한", "が", "€", "\x07", "𝔘", "♥"],
    ids=lambda text: unicodedata.name(text, "BELL"),
)
def test_every_script_has_ink_of_its_own(text: str) -> None:
    """A character of any script is drawn, and not as the box for what the font has not."""
    assert any(ink(text))
    assert ink(text) != BOX


@pytest.mark.parametrize("text", ["\ud800", "\U0010fffd", "\ue000", "\uffff", "\U000e1000", "\u0378"])
def test_what_the_font_has_not_is_a_visible_box(text: str) -> None:
    """Lone surrogates, private and unassigned characters are seen, and never an exception."""
    assert ink(text) == BOX


@pytest.mark.parametrize(
    ("plain", "decorated"),
    [
        ("ab", "a\u200bb"),
        ("ab", "\ufeffa\u202eb"),
        ("ab", "a\u200db"),
        ("❤", "❤\ufe0f"),
        ("a b", "  a\t\n\u3000 b\r\n"),
        ("a b", "a \u200b b"),
        ("é", "e\u0301"),
        ("한", "\u1112\u1161\u11ab"),
    ],
)
def test_the_invisible_stays_invisible(plain: str, decorated: str) -> None:
    """Joiners, selectors and direction marks take no room, white space collapses, composed letters are composed."""
    assert bitmap_font.set_lines(plain, 512, 1) == bitmap_font.set_lines(decorated, 512, 1)


@pytest.mark.parametrize(("letter", "mark"), [("q", "\u0301"), ("ก", "\u0e34"), ("क", "\u093f"), ("ב", "\u05b0")])
def test_a_mark_is_drawn_onto_its_letter(letter: str, mark: str) -> None:
    """A letter with its mark is as wide as the letter, holds all its ink, and more."""
    bare, marked = bitmap_font.set_lines(letter, 512, 1)[0], bitmap_font.set_lines(letter + mark, 512, 1)[0]
    assert bare.width == marked.width
    assert bare.rows != marked.rows
    assert all(one & both == one for one, both in zip(bare.rows, marked.rows, strict=True))


def test_a_keycap_surrounds_its_digit() -> None:
    """An enclosing mark widens the cell rather than covering its neighbour."""
    widths = [bitmap_font.set_lines(text, 512, 1)[0].width for text in ("1\ufe0f\u20e3", "x1\ufe0f\u20e3")]
    assert widths == [16, 24]


def test_arabic_letters_join() -> None:
    """Three times ba is its initial, medial and final form, from right to left."""
    (joined,) = bitmap_font.set_lines("\u0628\u0628\u0628", 512, 1)
    forms = [bitmap_font.set_lines(form, 512, 1)[0] for form in "\ufe91\ufe92\ufe90"]
    expected = ["".join(row) for row in zip(*map(drawing, reversed(forms)), strict=True)]
    assert expected == drawing(joined)


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("\u0644\u0627", "\ufefb"),  # lam and alef are one sign
        ("\u0628\u0644\u0627", "\ufe91\ufefc"),  # in its final form after a letter that joins
        ("\u062f\u0628", "\u062f\u0628"),  # dal does not join to the left
        ("\u0628\u200c\u0628", "\ufe8f\ufe8f"),  # a non-joiner keeps letters apart
        ("\u067e\u06cc", "\ufb58\ufbfd"),  # Persian letters, too
    ],
)
def test_arabic_forms(text: str, forms: str) -> None:
    """Letters take the form that Unicode's own decompositions give for their place in the word."""
    assert bitmap_font.set_lines(forms, 512, 1)[0].rows == bitmap_font.set_lines(text, 512, 1)[0].rows


@pytest.mark.parametrize(
    ("logical", "visual"),
    [
        ("אבג", "גבא"),
        ("אב 12:30 גד", "דג 12:30 בא"),
        ("abc אב גד xyz", "abc דג בא xyz"),
        ("אב (ג)", "(ג) בא"),
        ("אב abc גד", "דג abc בא"),
        ("אב 1", "1 בא"),
        ("a 1 אב", "a 1 בא"),
    ],
)
def test_hebrew_runs_from_right_to_left(logical: str, visual: str) -> None:
    """Runs are turned round, numbers and foreign words inside them are not, brackets are mirrored."""
    cells = [drawing(bitmap_font.set_lines(character, 512, 1)[0]) if character != " " else None for character in visual]
    blank = ["........"] * bitmap_font.HEIGHT
    expected = ["".join(row) for row in zip(*(cell or blank for cell in cells), strict=True)]
    (line,) = bitmap_font.set_lines(logical, 512, 1)
    assert expected == drawing(line)
    assert line.right_to_left == (logical[0] == "א")


@pytest.mark.parametrize(
    ("text", "width", "most", "widths"),
    [
        ("one two three", 512, 3, [104]),
        ("one two three", 56, 3, [56, 40]),
        ("one two three", 48, 3, [24, 24, 40]),
        ("one two three", 56, 1, [56]),  # the ellipsis takes the place of the last letter
        ("incomprehensible", 64, 3, [64, 64]),
        ("一只可爱的猫咪", 48, 3, [48, 48, 16]),
        ("猫猫猫。", 48, 3, [32, 32]),  # a full stop never starts a line
        ("猫", 8, 3, []),
        ("", 512, 3, []),
        ("abc", 0, 3, []),
        ("abc", 512, 0, []),
    ],
)
def test_lines_are_broken_where_they_may_be(text: str, width: int, most: int, widths: list[int]) -> None:
    """At spaces, anywhere in Chinese, inside a word only if it is wider than the line; never wider than asked."""
    assert widths == [line.width for line in bitmap_font.set_lines(text, width, most)]


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    """A reader sees that there is more."""
    (line,) = bitmap_font.set_lines("one two three", 56, 1)
    assert bitmap_font.set_lines("one tw…", 56, 1)[0].rows == line.rows


def test_naughty_strings_are_drawn() -> None:
    """Every string of the Big List of Naughty Strings fits the lines it is given and raises nothing."""
    strings = json.loads((TESTS / "data" / "blns.json").read_text("utf-8"))
    for text in strings:
        lines = bitmap_font.set_lines(text, 256, 3)
        assert all(0 < line.width <= 256 and len(line.rows) == line.width * 2 for line in lines)
        assert len(lines) <= 3
        assert lines or not any(character.isascii() and character.isalnum() for character in text)


def test_a_pile_of_marks_costs_little() -> None:
    """A letter carries a dozen marks at most, so that hostile text cannot keep the server busy."""
    assert ink("q" + "\u0302" * 900) == ink("q" + "\u0302" * 900 + "\u0308")


FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
ASTRONAUT = "\U0001f469\U0001f3fd\u200d\U0001f680"
HEART_ON_FIRE = "❤\ufe0f\u200d\U0001f525"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    ("sequence", "shown"),
    [
        (FAMILY, "\U0001f468"), (ASTRONAUT, "\U0001f469"), (HEART_ON_FIRE, "❤"), ("\U0001f44d\U0001f3fd", "\U0001f44d"),
        (ENGLAND, "\U0001f3f4"), (f"a{FAMILY}b", "a\U0001f468b"), (f"{FAMILY}{FAMILY}", "\U0001f468\U0001f468"),
    ],
)  # fmt: skip
def test_a_sequence_of_emoji_is_one_glyph(sequence: str, shown: str) -> None:
    """The first one stands for those that are joined to it, and for itself in another colour of skin."""
    assert ink(shown) == ink(sequence)


@pytest.mark.parametrize("text", ["\U0001f3fd", "a\U0001f3fd", "a\u200d\U0001f680", "\u200d\U0001f680"])
def test_what_is_joined_to_no_emoji_is_seen(text: str) -> None:
    """A colour, or an emoji behind a letter, stands for itself."""
    assert ink(text) == ink(text.replace("\u200d", ""))
    assert len(ink(text)) >= len(ink("\U0001f680"))


def test_a_flag_is_one_glyph() -> None:
    """Two letters of a country on a plate of 24 pixels; a letter that is left over is itself."""
    (line,) = bitmap_font.set_lines("\U0001f1e9\U0001f1ea", 512, 1)
    assert 24 == line.width
    rows = drawing(line)
    assert ("." * 24, "." + "1" * 22 + ".") == (rows[0], rows[1])
    letters = "".join(rows[row][4:20] for row in range(3, 14)).replace("1", " ").replace(".", "1").replace(" ", ".")
    (plain,) = bitmap_font.set_lines("DE", 512, 1)
    assert "".join(drawing(plain)[3:14]) == letters
    three = ink("\U0001f1e9\U0001f1ea\U0001f1eb")
    assert len(three) == len(ink("\U0001f1e9\U0001f1ea")) + len(ink("\U0001f1eb"))


@pytest.mark.parametrize(
    ("text", "cluster"),
    [
        ("नमस्ते", "स्ते"), ("क्षत्रिय", "त्रि"), ("क्\u200dषा", "क्षा"), ("কলকাত্তা", "ত্তা"), ("ગુજ્જરા", "જ્જ"),
        ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\U0001f1eb\U0001f1f7"), ("Zo\u0308\u0323", "o\u0308\u0323"),
    ],
)  # fmt: skip
def test_a_cluster_is_not_broken(text: str, cluster: str) -> None:
    """Wherever a line ends, joined consonants with their vowels, and flags, stand on one line or on no line."""
    whole = set(bitmap_font._split_clusters(unicodedata.normalize("NFC", text)))
    assert unicodedata.normalize("NFC", cluster) in whole
    for width in range(8, 200, 8):
        for line in bitmap_font.set_lines(f"{text} {text}", width, 9):
            assert line.width <= width


def test_joined_consonants_are_bounded() -> None:
    """A line has room for a cluster, however many consonants are joined, and what does not join stands alone."""
    clusters = bitmap_font._split_clusters("क्" * 50)
    assert 3 == max(sum(letter == "क" for letter in cluster) for cluster in clusters)
    assert "क्" * 50 == "".join(clusters)
    assert ["क्", "a"] == bitmap_font._split_clusters("क्a")
    assert ["க்", "க"] == bitmap_font._split_clusters("க்க")  # Tamil joins none
