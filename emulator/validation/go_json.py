"""Says of a text that is no JSON what Go's decoder says of it, for gateways that pass those words on.

It walks over the text as that decoder does and stops at the first letter that cannot stand where it stands.
"""

from __future__ import annotations

import re
from typing import Final

END: Final = "unexpected end of JSON input"
_DEEPEST: Final = 10_000  # levels, Go's own bound
_LOOKED_AT: Final = 16_384  # bytes; a flaw behind them is told as a missing end, so that nobody can keep us busy


def describe_flaw(body: bytes) -> str:
    """What is wrong with `body`; of one that Go would take after all, that its end is missing."""
    return _Walk(body).describe_flaw()


class _Walk:
    """One walk over a text; `_at` is where it is."""

    def __init__(self, body: bytes) -> None:
        self._body = body[:_LOOKED_AT]
        self._at = 0

    def describe_flaw(self) -> str:
        """What the walk stops at."""
        try:
            self._values()
        except _Stop as stop:
            return str(stop)
        return END

    def _values(self) -> None:
        """Every value of the text, and all that holds them together; `open_` are the brackets that are open."""
        open_: list[str] = []
        while True:
            mark = self._next()
            if mark in "[{":
                if len(open_) == _DEEPEST:
                    raise _Stop("exceeded max depth")
                self._at += 1
                if self._peek() == _CLOSING[mark]:
                    self._at += 1
                else:
                    open_.append(mark)
                    if mark == "{":
                        self._key()
                    continue
            else:
                self._scalar(mark)
            self._behind_a_value(open_)
            if not open_:
                return

    def _behind_a_value(self, open_: list[str]) -> None:
        """The brackets that close behind a value, and the comma before the next one."""
        while open_:
            inside = open_[-1]
            where = "after object key:value pair" if inside == "{" else "after array element"
            mark = self._next()
            if mark not in (",", _CLOSING[inside]):
                raise self._wrong(where)
            self._at += 1
            if mark == ",":
                if inside == "{":
                    self._key()
                return
            open_.pop()
        if self._peek():
            raise self._wrong("after top-level value")

    def _key(self) -> None:
        where = "looking for beginning of object key string"
        if self._next() != '"':
            raise self._wrong(where)
        self._string()
        if self._next() != ":":
            raise self._wrong("after object key")
        self._at += 1

    def _scalar(self, mark: str) -> None:
        if mark == '"':
            self._string()
        elif mark in _WORDS:
            self._word(_WORDS[mark])
        elif mark in "-0123456789":
            self._number()
        else:
            raise self._wrong("looking for beginning of value")

    def _string(self) -> None:
        self._at += 1
        while True:
            self._at = self._found(_PLAIN)
            mark = self._here()
            self._at += 1
            if mark == '"':
                return
            if mark != "\\":
                self._at -= 1
                raise self._wrong("in string literal")
            if self._here() == "u":
                for _ in range(4):
                    self._at += 1
                    if self._here() not in "0123456789abcdefABCDEF":
                        raise self._wrong(_HEXADECIMAL)
            elif self._here() not in '"\\/bfnrt':
                raise self._wrong("in string escape code")
            self._at += 1

    def _word(self, word: str) -> None:
        for letter in word[1:]:
            self._at += 1
            where = f"in literal {word} (expecting {_quoted(letter)})"
            if self._here() != letter:
                raise self._wrong(where)
        self._at += 1

    def _number(self) -> None:
        if self._here() == "-":
            self._at += 1
        if self._here() == "0":
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._body[self._at : self._at + 1] == b".":
            self._at += 1
            self._digits("after decimal point in numeric literal")
        if self._body[self._at : self._at + 1] in (b"e", b"E"):
            self._at += 1
            if self._here() in "+-":
                self._at += 1
            self._digits("in exponent of numeric literal")

    def _digits(self, where: str) -> None:
        if self._here() not in "0123456789":
            raise self._wrong(where)
        self._at = self._found(_DIGITS)

    def _found(self, pattern: re.Pattern[bytes]) -> int:
        """Where what `pattern` matches from here ends."""
        found = pattern.match(self._body, self._at)
        return found.end() if found else self._at

    def _peek(self) -> str:
        """The next letter that is no space, "" at the end."""
        self._at = self._found(_SPACE)
        return self._body[self._at : self._at + 1].decode("latin-1")

    def _next(self) -> str:
        """The next letter that is no space; the text must not end."""
        self._peek()
        return self._here()

    def _here(self) -> str:
        """The letter here; the text must not end."""
        if self._at >= len(self._body):
            raise _Stop(END)
        return self._body[self._at : self._at + 1].decode("latin-1")

    def _wrong(self, where: str) -> _Stop:
        return _Stop(f"invalid character {_quoted(self._here())} {where}")


class _Stop(Exception):
    """The walk cannot go on; its text is Go's."""


def _quoted(letter: str) -> str:
    """A byte as Go shows it: as if it were a letter by itself."""
    if letter in _ESCAPED:
        return f"'{_ESCAPED[letter]}'"
    if letter.isprintable():
        return f"'{letter}'"
    return f"'\\x{ord(letter):02x}'" if letter < "\x80" else f"'\\u{ord(letter):04x}'"


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
