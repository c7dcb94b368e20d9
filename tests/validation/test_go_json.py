"""What Go's decoder says of texts that are no JSON, as gateways written in Go pass it on."""

from __future__ import annotations

import pytest

from emulator.validation.go_json import describe_flaw

END = "unexpected end of JSON input"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", END),
        (" \n", END),
        ('{"prompt": "x"', END),
        ("tru", END),
        ("1e+", END),
        ('["', END),
        ("{bad", "invalid character 'b' looking for beginning of object key string"),
        ('{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        ("[1,]", "invalid character ']' looking for beginning of value"),
        ("NaN", "invalid character 'N' looking for beginning of value"),
        ("<html>", "invalid character '<' looking for beginning of value"),
        ("'x'", r"invalid character '\'' looking for beginning of value"),
        ("\ufeff{}", "invalid character 'ï' looking for beginning of value"),
        ("\x7f", r"invalid character '\x7f' looking for beginning of value"),
        ("[1 2]", "invalid character '2' after array element"),
        ('{"a" 1}', "invalid character '1' after object key"),
        ('{"a":01}', "invalid character '1' after object key:value pair"),
        ("{} x", "invalid character 'x' after top-level value"),
        ("[]]", "invalid character ']' after top-level value"),
        ("trux", "invalid character 'x' in literal true (expecting 'e')"),
        ('{"a":nul}', "invalid character '}' in literal null (expecting 'l')"),
        ('"\x01"', r"invalid character '\x01' in string literal"),
        ('"a\nb"', r"invalid character '\n' in string literal"),
        (r'"\q"', "invalid character 'q' in string escape code"),
        (r'"\u12g4"', r"invalid character 'g' in \u hexadecimal character escape"),
        ("-a", "invalid character 'a' in numeric literal"),
        ("1.x", "invalid character 'x' after decimal point in numeric literal"),
        ("1ex", "invalid character 'x' in exponent of numeric literal"),
        ("[" * 10_001, "exceeded max depth"),
    ],
)
def test_the_first_letter_that_cannot_stand_there(text: str, said: str) -> None:
    """Each of the decoder's complaints, in its own words; a byte is shown as if it were a letter by itself."""
    assert said == describe_flaw(text.encode())


@pytest.mark.parametrize(
    "text", ["{}", "[1, -0.5e3, true, null]", '{"a": {"b": ["c\\u00e9\\n", {}]}}', " 0 ", '"é"', '{"a":[],"b":{}}']
)
def test_a_good_text_has_no_flaw_to_stop_at(text: str) -> None:
    """The walk comes to the end of everything that is JSON; there is nothing else to say then."""
    assert END == describe_flaw(text.encode())


def test_a_flaw_far_behind_is_told_as_a_missing_end() -> None:
    """Nobody keeps the server busy with half a megabyte of commas."""
    assert END == describe_flaw(b"[" + b"1," * 250_000 + b"x]")
