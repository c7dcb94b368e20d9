"""Whose call is this: each session is a fresh, separate world, named by path, header or API key.

A key never names a session by itself: only its digest does, so that a session's name can be shown to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from emulator.core.clock import Clock
from emulator.core.names import MARKED_KEY, name_for_key
from emulator.messages import Behavior, GatewayError, Request
from emulator.scenario.scenario import Scenario
from emulator.session import tasks
from emulator.session.journal import LIKE_A_KEY, Entry, Journal
from emulator.session.store import Store, Summary

HEADER: Final = "X-Emulator-Session"
LATEST: Final = "latest"
NOBODYS: Final = "default"


@dataclass(frozen=True)
class Session:
    """One world: `number` is that of the call which opened it just now."""

    name: str
    number: int
    journal: Journal


@dataclass(frozen=True)
class SessionSettings:
    """What a session wants otherwise than its server; None: as the server."""

    report_only: bool | None = None
    behavior: Behavior | None = None


class Sessions:
    """All sessions of one server."""

    def __init__(self, memory: Store[Entry], clock: Clock, default: Callable[[], Scenario]) -> None:
        """`default` tells what a session plays that was told nothing else; it may be another from call to call."""
        self._memory = memory
        self._clock = clock
        self._default = default

    async def open(self, name: str) -> Session:
        """The session `name` for one more call; it begins with its first."""
        number = await self._memory.begin(name, self._clock.base())
        return Session(name, number, Journal(self._memory, name))

    async def playing(self, name: str) -> Scenario:
        """The scenario of the session `name`."""
        return await self._memory.noted(name, _SCENARIO) or self._default()

    async def play(self, name: str, scenario: Scenario | None) -> None:
        """Let the session `name` play `scenario` from its beginning; None: the server's default again."""
        await self._memory.note(name, _SCENARIO, scenario, self._clock.base())
        await self._memory.restart(name)

    async def settings(self, name: str) -> SessionSettings:
        """What the session `name` wants otherwise than the server."""
        return await self._memory.noted(name, _SETTINGS) or AS_THE_SERVER

    async def set(self, name: str, **changes: Any) -> SessionSettings:
        """Let the session `name` have `changes`, fields of SessionSettings; what it wants then."""
        settings = replace(await self.settings(name), **changes)
        await self._memory.note(name, _SETTINGS, settings, self._clock.base())
        return settings

    async def forget(self, name: str) -> None:
        """Forget everything about the session `name`, as if it had never been."""
        await self._memory.forget(name)
        self._clock.forget(name)

    async def reset(self, name: str) -> None:
        """Forget the calls and tasks of the session `name`, and begin its numbers and its scenario anew."""
        await tasks.forget(self._memory, name, self._clock.base())
        await self._memory.reset(name)

    async def calls(self, name: str) -> Sequence[Entry] | None:
        """The calls of the session `name` that are still remembered; None if there is no such session."""
        return await self._memory.entries(name)

    async def known(self) -> Sequence[Summary]:
        """All sessions, the longest unused first."""
        return await self._memory.sessions()


def split(path: str) -> tuple[str | None, str]:
    """The session that a path's prefix `/s/{id}` names, and the path without it."""
    if not path.startswith("/s/"):
        return None, path
    name, _, rest = path[3:].partition("/")
    return name, "/" + rest


def of(request: Request, prefix: str | None, key: str | None, marks: bool) -> tuple[str, GatewayError | None]:
    """The session of a call; one whose own name for it cannot be used is refused in nobody's session."""
    try:
        return name_of(request, prefix, key, marks), None
    except GatewayError as error:
        return NOBODYS, error


def name_of(request: Request, prefix: str | None, key: str | None, marks: bool) -> str:
    """The name of the session that a call belongs to; raises GatewayError where the caller's own name cannot be one.

    With `marks` a reserved key names its session behind its value.
    """
    name = prefix if prefix is not None else request.headers.get(HEADER)
    if marks and name is None and key is not None and key.startswith(MARKED_KEY):
        name = key[len(MARKED_KEY) :].partition(".")[2] or None  # sk-emulator.rate-limit.case-7 is the session case-7
    if name is None:
        return NOBODYS if key is None else name_for_key(key)
    if not can_name(name) or name == key:
        raise GatewayError("invalid_request", None, "bad_session", {"value": repr(name[:80])})
    return name


def can_name(name: str) -> bool:
    """Whether a session can be called `name`: short, plain, not `latest`, and nothing that looks like a key."""
    return bool(_NAME.fullmatch(name)) and name != LATEST and not re.fullmatch(LIKE_A_KEY, name)


_SCENARIO: Final = "scenario"
_SETTINGS: Final = "settings"
AS_THE_SERVER: Final = SessionSettings()
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
