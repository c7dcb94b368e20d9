"""The names of sessions, and the words by which a call asks for an answer or names its session.

A session is called by a name that the caller chooses, or by a digest of the API key; never by the key itself. This
module loads nothing else of ours, so that a client can name its session without loading the server.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

LONGEST_NAME: Final = 64  # characters of a session's name
RESERVED_HEADER: Final = "X-Emulator"
RESERVED_KEY: Final = "sk-emulator."
ENCLOSED: Final = "data:;name="
"""How a file begins whose bytes a client sends in the place of its name: name and Base64 follow, as in a data: URL."""
NEUTRAL: Final = "session"  # sk-emulator.session.case-7 names its session, and nothing goes wrong
KEY_PREFIX: Final = f"{RESERVED_KEY}{NEUTRAL}."


def make_key(session: str) -> str:
    """Return the API key that names its session and does nothing else, wherever reserved values count.

    >>> make_key("case-7")
    'sk-emulator.session.case-7'
    """
    return KEY_PREFIX + session


def name_for_key(key: str) -> str:
    """Return the name of the session that any other API key belongs to.

    >>> name_for_key("sk-anything")
    'key-78749858'
    """
    return f"key-{_digest(key)}"


def make_name(text: str, unique: str | None = None, longest: int = LONGEST_NAME) -> str:
    """Return a session's name made of `text`.

    Where a character is left out, or `unique` is given, a digest at the end keeps the name apart from other names.

    >>> make_name("case-7"), make_name("a poster"), make_name("case-7", "test_pictures.py::case-7")
    ('case-7', 'a-poster-493bd3c0', 'case-7-b73c74cb')
    """
    plain = re.sub("[^A-Za-z0-9._-]+", "-", text).strip("-.")
    is_taken = plain in ("", "latest") or _KEY.match(plain) is not None
    if unique is None and plain == text and len(plain) <= longest and not is_taken:
        return plain
    ending = f"-{_digest(unique or text)}"
    return (_KEY.sub("", plain)[: longest - len(ending)] + ending).lstrip("-")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


_KEY: Final = re.compile("(?:sk|pk|rk)-")  # no session is called like a key, and none `latest`
