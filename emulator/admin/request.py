"""What the emulator's own paths are asked and how they answer: words that all ways of these paths share.

A function of such a way takes the rooms and what was asked, and gives a reply; what it cannot do it says by raising
Wrong.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from emulator.admin.auth import AdminAuth
from emulator.core import clock, strict_json
from emulator.core.clock import Clock
from emulator.findings import FINDINGS
from emulator.image.store import ImageStore
from emulator.messages import BEHAVIORS, KINDS, OPERATIONS, VIOLATIONS, Request, Response
from emulator.session.events import Events
from emulator.session.journal import Entry
from emulator.session.metrics import Metrics
from emulator.session.sessions import Sessions
from emulator.session.store import Store
from emulator.settings import Settings
from emulator.validation.registry import GatewayRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from emulator.admin.spec import AdminSpec
    from emulator.analysis.portability import PortabilityTarget

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
    return clock.parse_clock("real").now()


@dataclass(frozen=True)
class AdminContext:
    """The rooms of one server that its own paths look into; `started` is Unix seconds, whatever its own clock says."""

    settings: Settings
    guard: AdminAuth
    clock: Clock
    registry: GatewayRegistry
    sessions: Sessions
    memory: Store[Entry]
    image_store: ImageStore
    metrics: Metrics
    events: Events
    started: float = field(default_factory=_now)

    @cached_property
    def spec(self) -> AdminSpec:
        """The description of these paths, read when it is first needed."""
        from emulator.admin.spec import AdminSpec

        words = {
            "gateways": list(self.registry.validators), "behavior": BEHAVIORS, "operations": OPERATIONS,
            "refusals": (*KINDS, *VIOLATIONS), "findings": list(FINDINGS),
        }  # fmt: skip
        return AdminSpec(version(), self.guard.token is not None, words)

    @cached_property
    def sides(self) -> Sequence[PortabilityTarget]:
        """Every gateway in each of its behavior, to hold calls against; read when they are first needed."""
        from emulator.analysis import portability

        return portability.build_targets(portability.list_gateways(self.registry))


@dataclass(frozen=True)
class Asked:
    """A request: `names` are the parts of its path that are no fixed words, `query` and `body` are held to be right."""

    request: Request
    names: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Stream:
    """An answer that goes on: the pieces of its body come as there is something to tell."""

    headers: tuple[tuple[str, str], ...]
    pieces: AsyncGenerator[bytes]


Function = Callable[[AdminContext, Asked], Awaitable[Response | Stream]]
"""What is done for a request, and answered."""


def told(body: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """`body` as JSON."""
    text = strict_json.format_json(body).encode("utf-8", "backslashreplace")
    return written("application/json", text, status, headers)


def written(kind: str, text: bytes, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """`text` of the content type `kind`; no cache keeps it and no browser takes it for something else."""
    return Response(status, (("Content-Type", kind), *KEPT_BY_NOBODY, *headers), (text,))


def refused(status: int, message: str, headers: tuple[tuple[str, str], ...] = (), param: str | None = None) -> Response:
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
