"""Describes what is wrong with a text that is no JSON in the words of Go's decoder, which some gateways pass on.

The scanner reads the text as that decoder does, and stops at the first character that JSON does not allow there.
"""

from __future__ import annotations

import re
from typing import Final

END: Final = "unexpected end of JSON input"
_DEEPEST: Final = 10_000  # levels, Go's own bound
_MOST_SCANNED: Final = 16_384  # bytes, so that a body of megabytes costs little; for a flaw behind them END is returned


def describe_flaw(body: bytes) -> str:
    """Return what is wrong with `body`, in Go's words; END where Go would accept it after all."""
    return _Scanner(body).describe_flaw()


class _Scanner:
    """Scans one text; `_at` is the index of the next byte."""

    def __init__(self, body: bytes) -> None:
        self._body = body[:_MOST_SCANNED]
        self._at = 0

    def describe_flaw(self) -> str:
        """Return why the scan stops; END where it does not."""
        try:
            self._scan_values()
        except _Stop as stop:
            return str(stop)
        return END

    def _scan_values(self) -> None:
        """Scan every value of the text, with the brackets and commas around it; `open_` are the open brackets."""
        open_: list[str] = []
        while True:
            character = self._read_next()
            if character in "[{":
                if len(open_) == _DEEPEST:
                    raise _Stop("exceeded max depth")
                self._at += 1
                if self._peek_next() == _CLOSING[character]:
                    self._at += 1
                else:
                    open_.append(character)
                    if character == "{":
                        self._scan_key()
                    continue
            else:
                self._scan_scalar(character)
            self._scan_after_value(open_)
            if not open_:
                return

    def _scan_after_value(self, open_: list[str]) -> None:
        """Scan the brackets that close behind a value, and the comma before the next value."""
        while open_:
            inside = open_[-1]
            where = "after object key:value pair" if inside == "{" else "after array element"
            character = self._read_next()
            if character not in (",", _CLOSING[inside]):
                raise self._build_stop(where)
            self._at += 1
            if character == ",":
                if inside == "{":
                    self._scan_key()
                return
            open_.pop()
        if self._peek_next():
            raise self._build_stop("after top-level value")

    def _scan_key(self) -> None:
        where = "looking for beginning of object key string"
        if self._read_next() != '"':
            raise self._build_stop(where)
        self._scan_string()
        if self._read_next() != ":":
            raise self._build_stop("after object key")
        self._at += 1

    def _scan_scalar(self, character: str) -> None:
        if character == '"':
            self._scan_string()
        elif character in _WORDS:
            self._scan_word(_WORDS[character])
        elif character in "-0123456789":
            self._scan_number()
        else:
            raise self._build_stop("looking for beginning of value")

    def _scan_string(self) -> None:
        self._at += 1
        while True:
            self._at = self._skip(_PLAIN)
            character = self._read_here()
            self._at += 1
            if character == '"':
                return
            if character != "\\":
                self._at -= 1
                raise self._build_stop("in string literal")
            if self._read_here() == "u":
                for _ in range(4):
                    self._at += 1
                    if self._read_here() not in "0123456789abcdefABCDEF":
                        raise self._build_stop(_HEXADECIMAL)
            elif self._read_here() not in '"\\/bfnrt':
                raise self._build_stop("in string escape code")
            self._at += 1

    def _scan_word(self, word: str) -> None:
        for character in word[1:]:
            self._at += 1
            where = f"in literal {word} (expecting {_quote_character(character)})"
            if self._read_here() != character:
                raise self._build_stop(where)
        self._at += 1

    def _scan_number(self) -> None:
        if self._read_here() == "-":
            self._at += 1
        if self._read_here() == "0":
            self._at += 1
        else:
            self._scan_digits("in numeric literal")
        if self._body[self._at : self._at + 1] == b".":
            self._at += 1
            self._scan_digits("after decimal point in numeric literal")
        if self._body[self._at : self._at + 1] in (b"e", b"E"):
            self._at += 1
            if self._read_here() in "+-":
                self._at += 1
            self._scan_digits("in exponent of numeric literal")

    def _scan_digits(self, where: str) -> None:
        if self._read_here() not in "0123456789":
            raise self._build_stop(where)
        self._at = self._skip(_DIGITS)

    def _skip(self, pattern: re.Pattern[bytes]) -> int:
        """Return the index behind what `pattern` matches here; every pattern also matches nothing."""
        match = pattern.match(self._body, self._at)
        assert match is not None
        return match.end()

    def _peek_next(self) -> str:
        """Skip spaces and return the character behind them, "" at the end."""
        self._at = self._skip(_SPACE)
        return self._body[self._at : self._at + 1].decode("latin-1")

    def _read_next(self) -> str:
        """Skip spaces and return the character behind them; raises _Stop at the end."""
        self._peek_next()
        return self._read_here()

    def _read_here(self) -> str:
        """Return the character here; raises _Stop at the end."""
        if self._at >= len(self._body):
            raise _Stop(END)
        return self._body[self._at : self._at + 1].decode("latin-1")

    def _build_stop(self, where: str) -> _Stop:
        return _Stop(f"invalid character {_quote_character(self._read_here())} {where}")


class _Stop(Exception):
    """The scan cannot go on; the text is in Go's words."""


def _quote_character(character: str) -> str:
    """Return a byte as Go quotes it, as if it were a character by itself."""
    if character in _ESCAPED:
        return f"'{_ESCAPED[character]}'"
    if character.isprintable():
        return f"'{character}'"
    if character < "\x80":
        return f"'\\x{ord(character):02x}'"
    return f"'\\u{ord(character):04x}'"


_WORDS: Final = {"t": "true", "f": "false", "n": "null"}
_CLOSING: Final = {"[": "]", "{": "}"}
_HEXADECIMAL: Final = "in \\u hexadecimal character escape"
_ESCAPED: Final = {
    "'": "\\'", '"': '"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
    "\v": "\\v",
}  # fmt: skip
_PLAIN: Final = re.compile(rb'[^"\\\x00-\x1f]*')
_DIGITS: Final = re.compile(rb"[0-9]*")
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
