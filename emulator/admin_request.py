"""What the emulator's own paths are asked and how they answer: words that all ways of these paths share.

A function of such a way takes the rooms and what was asked, and gives a reply; what it cannot do it says by raising
Wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from emulator import clock, jsontext
from emulator.clock import Clock
from emulator.directory import Directory
from emulator.events import Events
from emulator.exchange import BREACHES, KINDS, MANNERS, OPERATIONS, RawCall, Reply
from emulator.findings import FINDINGS
from emulator.gallery import Gallery
from emulator.guard import Guard
from emulator.journal import Entry
from emulator.memory import Memory
from emulator.metrics import Metrics
from emulator.session import Sessions
from emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from emulator.manual import Manual
    from emulator.portability import Side

PREFIX: Final = "/_emulator"


class Wrong(Exception):
    """A request that cannot be carried out: the text is one line, `param` the name in question."""

    def __init__(self, status: int, message: str, param: str | None = None, allow: str | None = None) -> None:
        """`allow` are the methods that would be possible, where the method is what is wrong."""
        super().__init__(message)
        self.status = status
        self.param = param
        self.allow = allow


def _now() -> float:
    return clock.parse("real").now()


@dataclass(frozen=True)
class Rooms:
    """The rooms of one server that its own paths look into; `started` is Unix seconds, whatever its own clock says."""

    settings: Settings
    guard: Guard
    clock: Clock
    directory: Directory
    sessions: Sessions
    memory: Memory[Entry]
    gallery: Gallery
    metrics: Metrics
    events: Events
    started: float = field(default_factory=_now)

    @cached_property
    def manual(self) -> Manual:
        """The description of these paths, read when it is first needed."""
        from emulator.manual import Manual

        words = {
            "gateways": list(self.directory.contracts), "manners": MANNERS, "operations": OPERATIONS,
            "refusals": (*KINDS, *BREACHES), "findings": list(FINDINGS),
        }  # fmt: skip
        return Manual(version(), self.guard.token is not None, words)

    @cached_property
    def sides(self) -> Sequence[Side]:
        """Every gateway in each of its manners, to hold calls against; read when they are first needed."""
        from emulator import portability

        return portability.sides(portability.dialects(self.directory))


@dataclass(frozen=True)
class Asked:
    """A request: `names` are the parts of its path that are no fixed words, `query` and `body` are held to be right."""

    raw: RawCall
    names: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Stream:
    """An answer that goes on: the pieces of its body come as there is something to tell."""

    headers: tuple[tuple[str, str], ...]
    pieces: AsyncGenerator[bytes]


Function = Callable[[Rooms, Asked], Awaitable[Reply | Stream]]
"""What is done for a request, and answered."""


def told(body: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """`body` as JSON."""
    text = jsontext.compact(body).encode("utf-8", "backslashreplace")
    return written("application/json", text, status, headers)


def written(kind: str, text: bytes, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """`text` of the content type `kind`; no cache keeps it and no browser takes it for something else."""
    return Reply(status, (("Content-Type", kind), *KEPT_BY_NOBODY, *headers), (text,))


def refused(status: int, message: str, headers: tuple[tuple[str, str], ...] = (), param: str | None = None) -> Reply:
    """An error in the emulator's own envelope."""
    error = {"message": message, "type": "emulator_error", "param": param, "code": None}
    return told({"error": error}, status, headers)


def version() -> str:
    """The version of this package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("image-api-emulator")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


KEPT_BY_NOBODY: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
