"""How sessions are called: by a name of the caller's own, or by the digest of an API key; never by a key itself.

It loads nothing of ours, so that a client knows what its session is called without loading what a server is made of.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

LONGEST: Final = 64  # characters of a session's name
MARKED_HEADER: Final = "X-Emulator"
MARKED_KEY: Final = "sk-emulator."
NEUTRAL: Final = "session"  # sk-emulator.session.case-7 names its session, and nothing goes wrong
KEY_PREFIX: Final = f"{MARKED_KEY}{NEUTRAL}."


def key_for(name: str) -> str:
    """The API key that does nothing but name its session, wherever reserved values count.

    >>> key_for("case-7")
    'sk-emulator.session.case-7'
    """
    return KEY_PREFIX + name


def digest(key: str) -> str:
    """The name of the session that belongs to any other API key.

    >>> digest("sk-anything")
    'key-78749858'
    """
    return f"key-{_digest(key)}"


def short_name(text: str, unique: str | None = None, longest: int = LONGEST) -> str:
    """A name made of `text`; where something had to be left out, or there is `unique`, a digest keeps it from others.

    >>> short_name("case-7"), short_name("a poster"), short_name("case-7", "test_pictures.py::case-7")
    ('case-7', 'a-poster-493bd3c0', 'case-7-b73c74cb')
    """
    plain = re.sub("[^A-Za-z0-9._-]+", "-", text).strip("-.")
    taken = plain in ("", "latest") or _KEY.match(plain)
    if unique is None and plain == text and len(plain) <= longest and not taken:
        return plain
    mark = f"-{_digest(unique or text)}"
    return (_KEY.sub("", plain)[: longest - len(mark)] + mark).lstrip("-")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


_KEY: Final = re.compile("(?:sk|pk|rk)-")  # no session may be called like a key, and none `latest`
