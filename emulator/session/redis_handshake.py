"""What is asked of a Redis before it is used: its version, and that it removes nothing by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis import exceptions

from emulator.session.store import StoreLost


async def check_server(ask: Callable[..., Awaitable[Any]]) -> None:
    """Raise StoreLost where the server cannot be used; `ask` sends a command. A server that does not say is used."""
    try:
        told = await ask("INFO")
    except exceptions.ResponseError:
        return
    facts = dict(line.split(":", 1) for line in told.decode("utf-8", "replace").splitlines() if ":" in line)
    version = facts.get("redis_version", "")
    if version.partition(".")[0].isdigit() and int(version.partition(".")[0]) < _OLDEST:
        raise StoreLost(f"it is Redis {version}; expected {_OLDEST} or newer, or Valkey")
    policy = facts.get("maxmemory_policy", _POLICY)
    if policy != _POLICY:
        raise StoreLost(f"its maxmemory-policy is {policy}, which removes keys; expected {_POLICY}")
    if facts.get("cluster_enabled", "0") == "1":
        raise StoreLost("it is a cluster; expected a single server")


_OLDEST: Final = 7
_POLICY: Final = "noeviction"
