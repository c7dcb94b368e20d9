"""Searches with regular expressions that people write, each in bounded time.

Python's own `re` can take for ever: `^(a+)+$` needs twice the time for each further letter. The package `regex` reads
the same language and stops when its time is up. It takes 14 ms to import, so it is imported with the first pattern. (An
engine without backtracking, google-re2, knows no look-ahead and no back-references, which patterns of today use.)
"""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from emulator.core.phrases import shorten_text

if TYPE_CHECKING:
    import regex

LONGEST_PATTERN: Final = 1000  # characters; the longest pattern of a gateway that ships has 60
LONGEST_SEARCH: Final = 0.05  # seconds; a usual search takes microseconds, and other callers wait meanwhile
_MOST_BRACKETS: Final = 100  # as Python's own limit on groups once was; compiling recurses into each
_MOST_REPEATED: Final = 20_000  # parts with their repetitions, compiled in about 30 ms; a million take over a second
_PART: Final = r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{([0-9]+)(?:,[0-9]*)?\}|."
_SHORTEST_SEARCH: Final = 0.001  # seconds for each search while the time of the others is used up
_RECOVERY: Final = 0.1  # seconds of searching that come back each second


class Pattern:
    """A regular expression; two are equal where their texts are."""

    def __init__(self, text: Any) -> None:
        """Compile `text`; raises ValueError, in one line, for what is no pattern or too long a one."""
        if not isinstance(text, str):
            raise ValueError(f"{shorten_text(repr(text), 100)} is no text")
        if text.count("(") > _MOST_BRACKETS:
            raise ValueError(f"the pattern has too many parts inside of parts: over {_MOST_BRACKETS} brackets")
        if len(text) > LONGEST_PATTERN:
            raise ValueError(f"the pattern has {len(text)} characters; expected at most {LONGEST_PATTERN}")
        self.text = text
        try:
            re.compile(text)  # its errors are those that people know, and what it does not read is no pattern here
            _check_repetitions(text)
            self._compiled  # noqa: B018 - what the other engine does not read is refused here too
        except (re.error, OverflowError) as error:
            raise ValueError(str(error)) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Pattern({self.text!r})"

    @cached_property
    def _compiled(self) -> regex.Pattern[str]:
        import regex  # few scenarios and gateways have a pattern of their own

        try:
            return regex.compile(self.text)
        except regex.error as error:
            raise ValueError(str(error)) from None

    def finds(self, text: str) -> bool | None:
        """Return whether the pattern is found in `text`; None where that would take too long."""
        began = monotonic()
        try:
            return self._compiled.search(text, timeout=_PATIENCE.allow(began)) is not None
        except TimeoutError:
            _PATIENCE.spend(monotonic() - began)
            return None


def _check_repetitions(text: str) -> None:
    """Raise ValueError where a pattern has too many parts once each part is written as often as its `{n}` says.

    The package `regex` writes them so when it compiles: `((a{1000}){1000}){1000}` would take all memory.
    """
    sizes = [0]  # of the pattern, and of each bracket that is open
    last = 0  # the size of the part that a repetition is about
    for match in re.finditer(_PART, text, re.DOTALL):
        part, count = match[0], match[1]
        if part == "(":
            sizes.append(0)
            last = 0
        elif part == ")" and len(sizes) > 1:
            last = sizes.pop()
            sizes[-1] += last
        elif count:
            added = last * (int(count) - 1)
            sizes[-1] += max(0, added)
            last += max(0, added)
        else:
            last = 1
            sizes[-1] += 1
        if sizes[-1] > _MOST_REPEATED:
            raise ValueError(f"the pattern has more than {_MOST_REPEATED} parts, repetitions counted")


class _Patience:
    """The time that searches which come to no end may take together: each uses some up, and it comes back slowly."""

    def __init__(self) -> None:
        self._left = LONGEST_SEARCH
        self._at = 0.0

    def allow(self, now: float) -> float:
        """Return how many seconds a search that begins now may take."""
        self._left = min(LONGEST_SEARCH, self._left + (now - self._at) * _RECOVERY)
        self._at = now
        return max(_SHORTEST_SEARCH, self._left)

    def spend(self, seconds: float) -> None:
        """Take the time of a search that came to no end."""
        self._left -= seconds


_PATIENCE: Final = _Patience()


@lru_cache(maxsize=1000)
def compile_pattern(text: str) -> Pattern:
    """Return the pattern of `text`, which is kept; raises ValueError, in one line that shows it."""
    try:
        return Pattern(text)
    except ValueError as error:
        raise ValueError(f"the pattern {text[:100]!r} does not compile: {error}") from None


def has_free_repetition(text: str) -> bool:
    """Return whether a pattern has a part that may come a different number of times, so that it may take long."""
    return re.search(r"(?<!\\)[*+?{]", text) is not None
