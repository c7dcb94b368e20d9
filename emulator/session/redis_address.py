"""Where a Redis is: the URL of the setting `store`, taken apart."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit


class RedisAddress(NamedTuple):
    """The URL for the client, the prefix of all keys, and the URL as it may be shown: without user and password."""

    url: str
    prefix: str
    shown: str


def parse_address(text: str) -> RedisAddress:
    """Return the address that the URL `text` gives; `?prefix=` in it names the prefix. Raises ValueError.

    >>> parse_address("redis://:secret@cache:6379/2?prefix=team")
    RedisAddress(url='redis://:secret@cache:6379/2', prefix='team', shown='redis://cache:6379/2')
    """
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = options.pop("prefix", USUAL_PREFIX)
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"the prefix {prefix[:80]!r} is none; expected up to 64 of A-Z a-z 0-9 . _ - :")
    for name in options:
        if name != "db":
            raise ValueError(f"the URL has the unknown option {name[:80]!r}; those known are db, prefix")
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "unix" and (host or not parts.path.startswith("/")):
        raise ValueError("expected unix:///PATH with the whole path of the socket")
    _ = parts.port  # raises ValueError where it is none
    url = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if options:
        url += f"?{urlencode(options)}"
    shown = f"{parts.scheme}://{host}{parts.path}"
    return RedisAddress(url, prefix, shown)


USUAL_PREFIX: Final = "iae"
_PREFIX: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")
