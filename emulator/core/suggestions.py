"""Messages about unknown words: what was read, which words are known, and the known word that is nearest.

Every place that refuses an unknown word uses this: settings, files, the admin API, the command line, the Python API.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_CLOSE_ENOUGH: Final = 0.6  # difflib's own default: `prot` is near `port`, `boredom` is near nothing
_LONGEST: Final = 100  # characters of an unknown word that a message shows; it may come from the network
_MOST_LISTED: Final = 12  # words that are read at a glance


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is most like `word`; None where none is like it. Case, `-` and `_` do not count.

    >>> nearest_word("prot", ["host", "port"])
    'port'
    >>> nearest_word("boredom", ["host", "port"]) is None
    True
    """
    import difflib  # 4 ms, and needed only for a message

    by_plain_form = {_plain_form(one): one for one in known}
    nearest = difflib.get_close_matches(_plain_form(word[:_LONGEST]), by_plain_form, n=1, cutoff=_CLOSE_ENOUGH)
    if not nearest:
        return None
    return by_plain_form[nearest[0]]


def describe_unknown(what: str, word: str, known: Iterable[str]) -> str:
    """Return one line that says that `word` is unknown, which words are known, and which of them is nearest.

    >>> describe_unknown("setting", "prot", ["host", "port"])
    "unknown setting 'prot'; known are host, port; did you mean 'port'?"
    """
    return f"unknown {what} {word[:_LONGEST]!r}; {describe_known(word, known)}"


def describe_known(word: str, known: Iterable[str]) -> str:
    """Return the end of such a line, where its beginning is not `unknown … '…'`.

    Of many words, only the nearest is told, if there is one.

    >>> describe_known("prot", ["host", "port"])
    "known are host, port; did you mean 'port'?"
    """
    words = list(known)
    nearest = nearest_word(word, words)
    if nearest is not None and len(words) > _MOST_LISTED:
        return f"did you mean {nearest!r}?"
    text = f"known are {', '.join(words) or 'none'}"
    if nearest is not None:
        text += f"; did you mean {nearest!r}?"
    return text


def _plain_form(word: str) -> str:
    return word.lower().replace("-", "_")
