"""Proxies of the environment: a client that obeys them sends its calls there, and not to the emulator."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import urlsplit

_PROXIES: Final = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_TLS_PROXIES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
EXCEPTIONS: Final = ("NO_PROXY", "no_proxy")
"""The variables with the hosts that are asked without a proxy; some clients read the one, some the other."""


def except_host(address: str) -> str:
    """The hosts that the environment asks without a proxy, and the one of `address`, as NO_PROXY has them.

    >>> from emulator.client.proxies import except_host
    >>> "127.0.0.1" in except_host("http://127.0.0.1:4010")
    True
    """
    hosts = _list_exceptions()
    host = urlsplit(address).hostname or ""
    if host not in hosts and "*" not in hosts:
        hosts.append(host)
    return ",".join(hosts)


def explain_missing_calls(address: str) -> str | None:
    """Which proxy of the environment may get the calls that are meant for `address`; None where none does."""
    name = find_proxy(address)
    if name is None:
        return None
    return (
        f"No call came, and {name} is set: a client that obeys it sends its calls to that proxy. "
        f"Set NO_PROXY={urlsplit(address).hostname}, as image_api.environ(monkeypatch) does."
    )


def find_proxy(address: str) -> str | None:
    """The variable with the proxy that gets the calls that are meant for `address`; None where none does."""
    parts = urlsplit(address)
    names = _TLS_PROXIES if parts.scheme == "https" else _PROXIES
    name = next((one for one in names if os.environ.get(one)), None)
    if name is None:
        return None
    from urllib.request import proxy_bypass  # a slow import, for a failed test alone

    if proxy_bypass(parts.netloc):
        return None
    return name


def _list_exceptions() -> list[str]:
    hosts: dict[str, None] = {}
    for name in EXCEPTIONS:
        hosts.update(dict.fromkeys(host.strip() for host in os.environ.get(name, "").split(",") if host.strip()))
    return list(hosts)
