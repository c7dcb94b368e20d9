"""Masks addresses in the messages of another server, as gateways do that hide the server behind them.

Only the last part of a host's name stays: `help.example.com` becomes `***.***.com`. Whatever looks like a host's name
is masked, even the dotted path of a field.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

STARS: Final = "***"


def mask_addresses(text: str) -> str:
    """Return `text` with its URLs, host names and IP addresses masked."""
    text = _URL.sub(lambda found: _mask_url(found[0]), text)
    text = _DOTTED.sub(_mask_hosts, text)
    return _IP.sub(".".join([STARS] * 4), text)


def _mask_url(text: str) -> str:
    """Return a URL with one mask for its host, one for each step of its path and one for each value of its query."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not parts.netloc:
        return text
    labels = parts.netloc.split(".")
    masked = f"{parts.scheme}://{STARS}"
    if len(labels) > 1:
        masked = ".".join([masked, *_keep_end(labels)])
    if parts.path:
        masked += "/" + re.sub("[^/]+", STARS, parts.path.strip("/"))
    query = "&".join(f"{name}={STARS}" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    if query:
        masked += f"?{query}"
    return masked


def _mask_hosts(found: re.Match[str]) -> str:
    """Return a word of letters, digits, dashes and dots with the names of hosts in it masked.

    A host's name is labels with a dot behind each, and letters at its end: `(label\\.)+[A-Za-z]{2,}\\b`. As a regular
    expression this tries each end from each beginning, which takes seconds for 16 kB of dots.
    """
    word = found[0]
    tokens = word.split(".")
    if len(tokens) == 1:
        return word
    ends = _find_ends(tokens, is_cut=found.string[found.end() : found.end() + 1] == "_")
    pieces, first, begin = [], 0, 0  # the name is searched from the character `begin` of the token `first` on
    is_cut = found.start() > 0 and found.string[found.start() - 1] == "_"
    while first < len(tokens):
        start, last = None, None
        if first + 1 < len(tokens):
            last = ends[first + 1]
        if last is not None:
            start = _find_start(tokens[first], begin, is_cut=is_cut and first == 0)
        if start is None or last is None:
            pieces += [tokens[first][begin:], "."]
            first, begin = first + 1, 0
            continue
        letters = _END.match(tokens[last])
        assert letters is not None
        labels = [tokens[first][start:], *tokens[first + 1 : last], letters[0]]
        pieces += [tokens[first][begin:start], _mask_host(labels)]
        first, begin = last, letters.end()
    return "".join(pieces[:-1])


def _find_ends(tokens: list[str], *, is_cut: bool) -> list[int | None]:
    """Return for each of `tokens`, which stand between dots, the last one that can end a name which goes on with it.

    None: no name goes on there. With `is_cut` the last token is the beginning of a longer word.
    """
    ends: list[int | None] = [None] * len(tokens)
    for place in reversed(range(len(tokens))):
        token, is_last = tokens[place], place == len(tokens) - 1
        if not is_last and _LABEL.fullmatch(token):
            ends[place] = ends[place + 1]
        if ends[place] is None:
            letters = _END.match(token)
            if letters is not None and not (is_cut and is_last and letters.end() == len(token)):
                ends[place] = place
    return ends


def _find_start(token: str, begin: int, *, is_cut: bool) -> int | None:
    """Return where in `token`, from `begin` on, the first label of a name starts; None where none does.

    With `is_cut` the token is the end of a longer word.
    """
    for found in _WORD.finditer(token, begin):
        is_inside = found.start() == begin > 0 and token[begin - 1] != "-"
        if is_inside or (is_cut and found.start() == 0):
            continue
        if len(token) - found.start() <= _LONGEST_LABEL and token[-1] != "-":
            return found.start()
    return None


def _mask_host(labels: list[str]) -> str:
    """Return a host's name with every label masked but those at its end."""
    kept = _keep_end(labels)
    return ".".join([STARS] * max(len(labels) - len(kept), 1) + kept)


def _keep_end(labels: list[str]) -> list[str]:
    """Return the labels at the end of a host's name that stay: two where they look like a country's, as in co.uk."""
    if len(labels[-1]) == 2 and len(labels[-2]) <= 3:
        return labels[-2:]
    return labels[-1:]


_URL: Final = re.compile(r"https?://[^\s/$.?#].\S*")
_DOTTED: Final = re.compile(r"[A-Za-z0-9.-]+")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_LABEL: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_END: Final = re.compile(r"[A-Za-z]{2,}(?![A-Za-z0-9])")
_LONGEST_LABEL: Final = 63  # characters, as in the domain name system
_IP: Final = re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b")
