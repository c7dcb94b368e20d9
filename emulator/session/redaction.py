"""Takes API keys and other credentials out of everything that people read: journal, events, console, reports.

The journal stores what a client sent as it came, because verification compares the real values. Everything that leaves
the server goes through a `Redactor`, or through `redact_keys` where the call is not known.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

BLANK: Final = "***"
"""Stands in the place of each credential."""


class Redactor:
    """Redacts the texts of one call: its own credentials, and everything that looks like a key.

    `key` is the API key that the gateway found, `headers` are the request's, and `credential_headers` (lower case) are
    the headers in which its gateway expects a key, beside CREDENTIAL_HEADERS.
    """

    def __init__(self, key: str | None, headers: Mapping[str, str], credential_headers: Iterable[str]) -> None:
        self._credential_headers = CREDENTIAL_HEADERS.union(credential_headers)
        values = [value for name, value in headers.items() if name.lower() in self._credential_headers]
        self._keys = _find_keys(key or "", *values)

    def redact_value(self, value: Any) -> Any:
        """Return the JSON value with every text in it redacted, and every member whose name says that it is a key."""
        match value:
            case str():
                return self._redact_string(value)
            case None | bool() | int() | float():
                return value
            case Mapping():
                return {self._redact_string(name): self._redact_member(name, part) for name, part in value.items()}
            case list() | tuple():
                return [self.redact_value(part) for part in value]
            case _:
                return value

    def redact_text(self, text: str) -> str:
        """Return a text without known structure, such as a query, redacted; so are values behind names of keys."""
        return self._redact_string(re.sub(_NAMED_KEY, rf"\1{BLANK}", text))

    def redact_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers redacted; one that carries a credential is blank as a whole."""
        redacted = {}
        for name, value in headers.items():
            if name.lower() in self._credential_headers:
                redacted[name] = BLANK
            else:
                redacted[name] = self._redact_string(value)
        return redacted

    def _redact_member(self, name: Any, value: Any) -> Any:
        if _names_a_key(name):
            return BLANK
        return self.redact_value(value)

    def _redact_string(self, text: str) -> str:
        for key in self._keys:
            text = text.replace(key, BLANK)
        return redact_keys(text)


def redact_keys(text: str) -> str:
    """Return the text without what looks like a key, and without lone surrogates, which no UTF-8 can hold."""
    if "k-" in text or "earer" in text.lower():  # most texts have neither, and the pattern is slow
        text = re.sub(LIKE_A_KEY, BLANK, text)
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


@lru_cache(maxsize=256)  # clients send the same keys again and again
def _find_keys(key: str, *values: str) -> Sequence[str]:
    """Return the keys in the values of headers, and `key`; the longest first, as it may contain another."""
    words = {key}
    for value in values:
        words.update(re.split(r"[\s=;,]+", value))
    return sorted(filter(is_secret, words), key=len, reverse=True)


def is_secret(word: str) -> bool:
    """Whether a word from a place of keys is redacted: it is long and has a digit, or it begins as keys do."""
    return len(word) >= _LONG_ENOUGH and (re.search("[0-9]", word) is not None or word.startswith("sk-"))


def _names_a_key(name: Any) -> bool:
    return isinstance(name, str) and name.lower().replace("-", "").replace("_", "") in _CREDENTIAL_NAMES


CREDENTIAL_HEADERS: Final = frozenset({
    "authorization", "proxy-authorization", "api-key", "x-api-key", "x-goog-api-key", "cookie", "x-auth-token",
    "ocp-apim-subscription-key", "x-emulator-token",
})  # fmt: skip
# Patterns as texts: `re` compiles them when they are first needed, which is after the start.
LIKE_A_KEY: Final = r"(?<![A-Za-z0-9])(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|(?i:bearer)\s+[A-Za-z0-9._~+/-]{16,}"
_CREDENTIAL_NAMES: Final = frozenset({
    "apikey", "accesstoken", "authorization", "password", "secret", "token",
})  # fmt: skip
_NAMED_KEY: Final = r"""(?ix)
    (\b (?: (?:api)?[-_]?key | (?:access[-_]?)?token | authorization | password | secret ) \b ["']?
     (?: \s* [:=] \s* ["']? | ["']? \s* (?:\r\n)+ ))  # between a name and its value
    [^&"'\s]+
    """
_LONG_ENOUGH: Final = 10  # characters; a shorter key may be a common word, and a redacted word spoils the message
