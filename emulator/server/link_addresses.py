"""Decides which addresses a link to a picture may lead to: the upstream chooses it, and may mean somebody else's host.

An address that only some can reach, such as a private one, is fetched from where the upstream has such an address too.
Loaded with the first link that is fetched.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Set
from contextlib import suppress
from typing import Final

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

PUBLIC: Final = "public"


class LinkResolver(ThreadedResolver):
    """Resolves the hosts of links to those of their addresses that are of one of `kinds`; OSError where there is none.

    It is what the connection itself is made with, so that a name cannot mean another address a moment later.
    """

    def __init__(self, kinds: Set[str]) -> None:
        super().__init__()
        self._kinds = kinds

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses that a link may lead to."""
        found = await super().resolve(host, port, family)
        allowed = [one for one in found if find_kind(one["host"]) in self._kinds]
        if not allowed:
            raise OSError(errno.EACCES, describe_refusal(find_kind(found[0]["host"])))
        return allowed


def find_kind(address: str) -> str:
    """Return who can reach an IP address: `public`, `loopback`, `link-local` or `private`; ValueError for no address.

    >>> find_kind("8.8.8.8"), find_kind("::ffff:127.0.0.1"), find_kind("169.254.169.254"), find_kind("100.64.0.1")
    ('public', 'loopback', 'link-local', 'private')
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        parsed = parsed.ipv4_mapped or parsed.sixtofour or parsed
    if parsed.is_loopback or parsed.is_unspecified:
        return "loopback"
    if parsed.is_link_local:
        return "link-local"
    if parsed.is_global and not parsed.is_multicast:
        return PUBLIC
    return "private"


def is_address(host: str) -> bool:
    """Return whether a host is spelled as an IP address."""
    try:
        find_kind(host)
    except ValueError:
        return False
    return True


async def find_kinds(host: str) -> frozenset[str]:
    """Return the kinds of all addresses that a host has, as far as this machine knows them."""
    found = []
    with suppress(OSError, ValueError):
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return frozenset(find_kind(str(one[4][0])) for one in found)


def describe_refusal(kind: str) -> str:
    """Return why a link to an address of this kind is not fetched."""
    return f"a {kind} address, and the upstream has none"
