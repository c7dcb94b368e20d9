"""Blanks addresses in another server's words, as gateways do that will not tell who is behind them.

Only the last part of a host's name stays: `help.example.com` becomes `***.***.com`. What looks like a host's name is
taken for one, even the dotted path of a field.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl, urlsplit

STARS: Final = "***"


def mask_addresses(text: str) -> str:
    """`text` without the URLs, host names and IP addresses in it."""
    text = _URL.sub(lambda found: _mask_url(found[0]), text)
    text = _HOST.sub(lambda found: _mask_host(found[0].split(".")), text)
    return _IP.sub(".".join([STARS] * 4), text)


def _mask_url(text: str) -> str:
    """A URL with one mask for its host, and one for each step of its path and each value of its query."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return text
    if not parts.netloc:
        return text
    labels = parts.netloc.split(".")
    steps = [STARS if step else "" for step in parts.path.strip("/").split("/")] if parts.path not in ("", "/") else []
    host = ".".join([STARS, *_keep_end(labels)]) if len(labels) > 1 else STARS
    query = "&".join(f"{name}={STARS}" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    path = "/".join(["", *steps]) if steps else parts.path
    return f"{parts.scheme}://{host}{path}" + (f"?{query}" if query else "")


def _mask_host(labels: list[str]) -> str:
    """A host's name, each label masked but for the end of it."""
    kept = _keep_end(labels)
    return ".".join([STARS] * max(len(labels) - len(kept), 1) + kept)


def _keep_end(labels: list[str]) -> list[str]:
    """The end of a host's name that may be told: two labels where it looks like a country's, as in co.uk."""
    like_a_country = len(labels[-1]) == 2 and len(labels[-2]) <= 3
    return labels[-2:] if like_a_country else labels[-1:]


_URL: Final = re.compile(r"https?://[^\s/$.?#].\S*")
_HOST: Final = re.compile(r"\b(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,}\b", re.ASCII)
_IP: Final = re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b")
