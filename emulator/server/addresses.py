"""Finds where a request goes by its target and host, and remembers it: clients use few addresses, again and again."""

from __future__ import annotations

from typing import Final, NamedTuple

from emulator.admin.request import PREFIX as ADMIN_PREFIX
from emulator.server.image_host import PREFIX as PICTURES_PREFIX
from emulator.session import sessions
from emulator.validation.registry import GatewayRegistry, Route


class Address(NamedTuple):
    """Where a request goes: to the emulator's own paths, to its pictures, or by `route` to a gateway.

    `is_root` says that it goes to the path / of the emulator itself, and not of a gateway's real host.

    `target_path` is the path as the client spelled it, without the query; `query` is the query. `session` is the one
    that the path names, and `path` is the path without it.
    """

    target_path: str
    query: str
    session: str | None
    path: str
    is_admin: bool
    is_picture: bool
    is_root: bool
    route: Route


class AddressBook:
    """The addresses of one server."""

    def __init__(self, registry: GatewayRegistry) -> None:
        self._registry = registry
        self._known: dict[tuple[str, str], Address] = {}

    def find(self, target: str, host: str) -> Address:
        """Return the address of a request to `target`, as the request line has it, at `host`."""
        key = (target, host)
        address = self._known.get(key)
        if address is None:
            address = self._find_address(target, host)
            if len(target) + len(host) <= _LONGEST_KNOWN:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[key] = address
        return address

    def _find_address(self, target: str, host: str) -> Address:
        target_path, query = split_target(target)
        session, path = sessions.split_path(target_path)
        return Address(
            target_path=target_path,
            query=query,
            session=session,
            path=path,
            is_admin=path == ADMIN_PREFIX or path.startswith(ADMIN_PREFIX + "/"),
            is_picture=path.startswith(PICTURES_PREFIX),
            is_root=target_path == "/" and not self._registry.has_host(host),
            route=self._registry.find_route(host, path),
        )


def split_target(target: str) -> tuple[str, str]:
    """Return the path of a request's target as the client spelled it, and its query."""
    path, _, query = target.partition("?")
    if path[:1] != "/":  # a proxy's absolute form, or the * of OPTIONS
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path, query


_MOST_KNOWN: Final = 1024  # addresses; with the longest ones about a megabyte
_LONGEST_KNOWN: Final = 512  # characters; links to pictures are longer, and each is followed once
