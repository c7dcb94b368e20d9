"""Who may ask the emulator's own paths: this machine's own tools, and with the token where one is needed.

Those paths show what clients sent and change what is answered. A foreign Host or Origin is refused, which keeps web
pages out even when they rebind a name to this address; the token is compared here, and leaves this room only to be
told to whoever started the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from emulator.settings import Settings

HEADER: Final = "X-Emulator-Token"


class Stranger(Exception):
    """Somebody who may not ask: `status` is 403, or 401 where only the token is missing; the text is one line."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class AdminAuth:
    """Stands before the emulator's own paths of one server; `token` is what it asks for, None where it asks for none.

    `generated` says that nobody chose the token: the server can be reached from elsewhere, so it has one all the same.
    """

    def __init__(self, settings: Settings) -> None:
        self._hosts = _LOOPBACK | {host.lower() for host in settings.allow_host}
        self.generated = settings.admin_token is None and not _is_loopback(settings.host)
        self.token = _generate_token() if self.generated else settings.admin_token

    def examine(self, headers: Mapping[str, str], public: bool) -> None:
        """Raise Stranger unless a request with `headers` may be answered; what is `public` needs no token."""
        host = _host_name("//" + headers.get("Host", ""))
        if host not in self._hosts:
            raise Stranger(403, f"Host {host[:200]!r} is not allowed here; --allow-host NAME allows it")
        origin = headers.get("Origin")
        if origin is not None and _netloc(origin) != headers.get("Host", "").lower():
            raise Stranger(403, "a web page of another origin may not ask here")
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Stranger(403, "a web page of another site may not ask here")
        if self.token is None or public:
            return
        given = _given(headers)
        if not given:
            raise Stranger(401, f"a token is needed here: Authorization: Bearer TOKEN, or {HEADER}: TOKEN")
        if not any(_is_same(one, self.token) for one in given):
            raise Stranger(401, "the token is not the one that this server was started with")


def _given(headers: Mapping[str, str]) -> list[str]:
    """What a request shows as its token; a client whose Authorization is a gateway's key has the other header."""
    scheme, _, rest = headers.get("Authorization", "").strip().partition(" ")
    shown = (rest.strip() if scheme.lower() == "bearer" else "", headers.get(HEADER, "").strip())
    return [one for one in shown if one]


def _is_same(given: str, token: str) -> bool:
    """Whether `given` is the token, found in a time that does not depend on how much of it is right."""
    import hmac  # few servers have a token

    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def _is_loopback(address: str) -> bool:
    """Whether who listens at `address` is heard by this machine alone."""
    return address.lower() in _LOOPBACK or re.fullmatch(r"127(\.[0-9]{1,3}){3}", address) is not None


def _generate_token() -> str:
    import secrets  # takes 10 ms to load, and few servers need it

    return secrets.token_hex(16)


def _netloc(origin: str) -> str:
    """Host and port of an Origin header, "" where it has none (as the opaque origin `null`)."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _host_name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
