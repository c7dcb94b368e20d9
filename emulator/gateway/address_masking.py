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
    text = _HOST.sub(lambda found: _mask_host(found[0].split(".")), text)
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
_HOST: Final = re.compile(r"\b(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,}\b", re.ASCII)
_IP: Final = re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b")
