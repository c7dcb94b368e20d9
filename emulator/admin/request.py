"""What the functions of the emulator's own paths share: AdminRequest, AdminContext, and the builders of answers.

A function takes one AdminRequest and returns one Response (or Stream); it raises AdminError where it cannot answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from emulator.admin.auth import AdminAuth
from emulator.admin.description import list_words
from emulator.core import clock, strict_json
from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.core.version import VERSION
from emulator.image.store import ImageStore
from emulator.messages import Request, Response
from emulator.session.events import Events
from emulator.session.metrics import Metrics
from emulator.session.sessions import Sessions
from emulator.session.store import Store
from emulator.settings import Settings
from emulator.validation.registry import GatewayRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from emulator.admin.spec import AdminSpec
    from emulator.analysis.coverage import CoverageCounter, FindContract
    from emulator.analysis.portability import PortabilityTarget
    from emulator.session.shared_metrics import SharedMetrics

PREFIX: Final = "/_emulator"
STORE_LOST: Final = "store_lost"
"""The code of an answer that needs the store, which is lost."""
NO_CACHE: Final = (("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff"))
"""Headers of every answer: no cache keeps it, and no browser takes it for another type than it says."""


def _read_real_time() -> float:
    return clock.parse_clock("real").now()


@dataclass(frozen=True)
class AdminContext:
    """The parts of one server that its own paths use.

    `send_call` sends a whole request to this server, and does not wait for the answer; it raises AdminError.
    `started` is in real Unix seconds, whatever clock was chosen.
    """

    settings: Settings
    auth: AdminAuth
    clock: Clock
    registry: GatewayRegistry
    sessions: Sessions
    store: Store
    image_store: ImageStore
    metrics: Metrics
    events: Events
    send_call: Callable[[bytes], None]
    coverage: CoverageCounter | None = None
    shared_metrics: SharedMetrics | None = None
    started: float = field(default_factory=_read_real_time)

    @cached_property
    def spec(self) -> AdminSpec:
        """The description of these paths; the first use reads the file."""
        from emulator.admin.spec import AdminSpec

        enums = list_words(list(self.registry.validators))
        return AdminSpec(VERSION, needs_token=self.auth.token is not None, enums=enums)

    @cached_property
    def portability_targets(self) -> Sequence[PortabilityTarget]:
        """Every gateway in each of its behaviors; the first use reads the files."""
        from emulator.analysis import portability

        return portability.build_targets(portability.list_gateways(self.registry))

    @cached_property
    def find_contract(self) -> FindContract:
        """The contracts of the gateways; they are made when they are first needed."""
        if self.coverage is not None:
            return self.coverage.find_contract
        from emulator.analysis.coverage import Contracts

        return Contracts(lambda name, behavior: self.registry.find_validator(name, behavior).gateway)


@dataclass(frozen=True)
class AdminRequest:
    """A valid request for one of the emulator's own paths.

    `path_params` are the variable parts of the path by name, `query` and `body` are validated by openapi.yaml.
    """

    context: AdminContext
    request: Request
    path_params: Mapping[str, str]
    query: Mapping[str, Any]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Stream:
    """An answer without an end: each piece of its body is sent when it comes."""

    headers: tuple[tuple[str, str], ...]
    pieces: AsyncGenerator[bytes]


AdminFunction = Callable[[AdminRequest], Awaitable[Response | Stream]]


def build_json_response(body: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return the answer whose body is `body` as JSON."""
    data = strict_json.format_json(body).encode("utf-8", "backslashreplace")
    return build_response("application/json", data, status, headers)


def build_response(
    content_type: str, data: bytes, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Response:
    """Return the answer whose body is `data`."""
    return Response(status, (("Content-Type", content_type), *NO_CACHE, *headers), (data,))


def build_error_response(
    status: int,
    message: str,
    headers: tuple[tuple[str, str], ...] = (),
    param: str | None = None,
    code: str | None = None,
) -> Response:
    """Return an error in the emulator's own envelope."""
    error = {"message": message, "type": "emulator_error", "param": param, "code": code}
    return build_json_response({"error": error}, status, headers)


def refuse_store_lost(reason: str) -> Response:
    """Return the answer to a request that needs the store, which is lost for `reason`."""
    message = f"the store of the sessions cannot be used at present: {reason}"
    return build_error_response(503, message, (("Retry-After", "1"),), code=STORE_LOST)
