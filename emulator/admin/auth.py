"""Who may use the emulator's own paths but health: programs on this machine, and with the token where one is needed.

These paths show what clients sent and change what is answered. A foreign Host or Origin is refused, which keeps web
pages out, even those that rebind a name to this address. The token leaves this module only to be printed at the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from emulator.settings import Settings

HEADER: Final = "X-Emulator-Token"
WRONG_TOKEN: Final = "the token is not the one that this server was started with"  # noqa: S105 - a message


class AccessDenied(Exception):
    """A request that may not be answered: `status` is 403, or 401 where the token is missing; the text is one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AdminAuth:
    """Checks every request for the emulator's own paths of one server.

    `token` is what a request must show, None where it needs none. `generated` says that the token was not chosen by the
    user: a server that other machines can reach always has one.
    """

    def __init__(self, settings: Settings) -> None:
        self._hosts = _LOOPBACK | {host.lower() for host in settings.allow_host}
        self.generated = settings.admin_token is None and not _is_loopback(settings.host)
        self.token = settings.admin_token
        if self.generated:
            self.token = _generate_token()

    def check(self, headers: Mapping[str, str], *, needs_token: bool = True) -> None:
        """Raise AccessDenied unless a request with `headers` may be answered; some paths need no token."""
        host = _parse_host_name("//" + headers.get("Host", ""))
        if host not in self._hosts:
            raise AccessDenied(403, f"Host {host[:200]!r} is not allowed here; --allow-host NAME allows it")
        origin = headers.get("Origin")
        if origin is not None and _parse_netloc(origin) != headers.get("Host", "").lower():
            raise AccessDenied(403, "a web page of another origin may not ask here")
        if headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise AccessDenied(403, "a web page of another site may not ask here")
        if self.token is None or not needs_token:
            return
        tokens = _find_tokens(headers, self.token)
        if not tokens:
            raise AccessDenied(401, f"a token is needed here: Authorization: Bearer TOKEN, or {HEADER}: TOKEN")
        if not any(self.is_token(token) for token in tokens):
            raise AccessDenied(401, WRONG_TOKEN)

    def is_token(self, candidate: str) -> bool:
        """Return whether `candidate` is the token of this server."""
        return self.token is not None and _is_same(candidate, self.token)


def format_cookie(token: str, path: str) -> str:
    """Return the cookie by which a browser shows the token, to requests below `path` that pages of this origin make.

    Its name depends on the token: all ports of a host share their cookies, and each may be an emulator.
    """
    return f"{_name_cookie(token)}={quote(token, safe='')}; Path={path}; HttpOnly; SameSite=Strict"


def _name_cookie(token: str) -> str:
    from hashlib import sha256  # few servers have a token

    return f"emulator-{sha256(token.encode()).hexdigest()[:8]}"


def _find_tokens(headers: Mapping[str, str], token: str) -> list[str]:
    """Return the tokens in a request; a client whose Authorization is a gateway's key uses the other header.

    A browser has it in the cookie that belongs to `token`.
    """
    tokens = []
    scheme, _, rest = headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer":
        tokens.append(rest.strip())
    tokens.append(headers.get(HEADER, "").strip())
    cookies = [cookie.strip().partition("=") for cookie in headers.get("Cookie", "").split(";")]
    name = _name_cookie(token)
    tokens += [unquote(value) for cookie, _, value in cookies if cookie == name]
    return [token for token in tokens if token]


def _is_same(candidate: str, token: str) -> bool:
    """Return whether `candidate` is the token; the time this takes does not depend on how much of it is right."""
    import hmac  # few servers have a token

    return hmac.compare_digest(candidate.encode("utf-8", "surrogateescape"), token.encode())


def _is_loopback(address: str) -> bool:
    """Return whether only this machine can reach a server that listens at `address`."""
    return address.lower() in _LOOPBACK or re.fullmatch(r"127(\.[0-9]{1,3}){3}", address) is not None


def _generate_token() -> str:
    import secrets  # takes 10 ms to load, and few servers need it

    return secrets.token_hex(16)


def _parse_netloc(origin: str) -> str:
    """Return host and port of an Origin header, "" where it has none (as the opaque origin `null`)."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _parse_host_name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").lower()
    except ValueError:
        return ""


_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
