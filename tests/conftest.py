"""Servers for the tests: real ones, on a free port, in a thread, so that synchronous clients work too."""

from __future__ import annotations

import asyncio
import atexit
import gc
import os
import shutil
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import pytest

from emulator.core.accelerators import choose_speed
from emulator.server.app import App
from emulator.server.authority import load_authority
from emulator.server.event_loop import new_event_loop
from emulator.server.listener import Running, start
from emulator.session.store import Store
from emulator.settings import Settings
from tests.paths import TESTS
from tests.redis_server import RedisServer, need_redis
from tests.stable_ids import stable_id

T = TypeVar("T")
SPEED: Final = "auto" if os.environ.setdefault("EMULATOR_SPEED", "off") == "auto" else "off"
"""Without the variable, the tests use none of the libraries of the extra `[speed]`, installed or not."""
choose_speed(SPEED)

if "EMULATOR_CACHE_DIR" not in os.environ:  # the workers of pytest-xdist have the folder of the process above them
    _caches = tempfile.mkdtemp(prefix="emulator-caches-")
    os.environ["EMULATOR_CACHE_DIR"] = _caches
    atexit.register(shutil.rmtree, _caches, ignore_errors=True)

if "EMULATOR_TLS_DIR" not in os.environ:  # as for the caches: nothing of the user's own, and one for all workers
    _authority = tempfile.mkdtemp(prefix="emulator-tls-")
    os.environ["EMULATOR_TLS_DIR"] = _authority
    atexit.register(shutil.rmtree, _authority, ignore_errors=True)

OVER_TLS: Final = bool(os.environ.get("TESTS_OVER_TLS"))
"""Whether each `Served` answers HTTPS; .ci/run lets the suites about hostile clients run once more with it."""
OVER_REDIS: Final = os.environ.get("TESTS_OVER_REDIS")
"""The Redis in which each `Served` keeps its sessions, by a prefix of its own; .ci/run does this once, too."""
CA: Final = str(Path(os.environ["EMULATOR_TLS_DIR"]) / "ca.pem")
"""The file that clients of servers with TLS trust; the first such server makes it."""

SLOW: Final = (
    "admin/test_auth", "admin/test_events", "admin/test_page", "admin/test_replay", "admin/test_routes",
    "admin/test_spec", "analysis/test_coverage", "analysis/test_differences", "analysis/test_portability",
    "cli/test_fast_import", "cli/test_mcp", "cli/test_serve", "cli/test_store", "cli/test_workers",
    "client/", "end_to_end/test_edits", "end_to_end/test_gateway_clients",
    "end_to_end/test_geekai", "end_to_end/test_npm_client", "end_to_end/test_observed", "end_to_end/test_openai",
    "end_to_end/test_recorded_clients", "end_to_end/test_repeats", "end_to_end/test_situations", "faults/",
    "gateway/test_calendar",
    "gateway/test_openapi", "image/test_alter", "image/test_render", "response/test_streaming", "sample/",
    "scenario/test_limits", "scenario/test_reload", "scenario/test_scenario", "scenario/test_shipped_scenarios",
    "server/test_browser", "server/test_calls", "server/test_comparison", "server/test_determinism",
    "server/test_forwarding",
    "server/test_hostile", "server/test_image_host", "server/test_process", "server/test_replicas", "server/test_tls",
    "session/test_metrics",
    "session/test_recording", "session/test_serialised", "session/test_tasks", "test_pytest_coverage",
    "test_pytest_plugin", "test_pytest_recording", "test_readme", "test_recipes", "validation/test_report_only",
)  # fmt: skip
"""How the paths of slow test modules begin: they start a server for each test, processes, or a browser.

`pytest -m "not slow"` leaves them out. What is left takes less than 30 seconds on two cores.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow modules."""
    for item in items:
        if item.path.is_relative_to(TESTS) and str(item.path.relative_to(TESTS)).startswith(SLOW):
            item.add_marker("slow")


def pytest_configure(config: pytest.Config) -> None:
    """Give each worker tests that stand together, and let one that has none left take some of another's.

    Fewer workers need the server of a module then, and none waits for the other's last slow tests. `load` is what
    pytest-xdist takes where no other distribution is asked for.
    """
    if config.getoption("dist", "no") == "load":
        config.option.dist = "worksteal"


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what there is now: with all tests in memory it takes half a second."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def shared_tls_context() -> Iterator[None]:
    """Let all clients share one TLS context: each would load the certificates again, 20 ms for nothing."""
    with pytest.MonkeyPatch.context() as patch:
        if OVER_TLS:
            load_authority(Path(os.environ["EMULATOR_TLS_DIR"]), time.time())
            patch.setenv("SSL_CERT_FILE", CA)
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


class Served:
    """A running server: `url` is its address, `app` the application; `stop` ends it."""

    def __init__(self, store: Store | None = None, store_url: str | None = None, **settings: Any) -> None:
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)
        self._thread.start()
        if OVER_TLS:
            settings = {"tls": True, **settings}
        if settings.get("tls") or "tls_port" in settings:
            settings.setdefault("tls_dir", os.environ["EMULATOR_TLS_DIR"])
        if OVER_REDIS and store is None and store_url is None:
            store_url = f"{OVER_REDIS}?prefix=t{os.urandom(6).hex()}"
        app = App(Settings(**{"port": 0, "store": store_url, **settings}), store=store)
        self._running: Running = asyncio.run_coroutine_threadsafe(start(app), self._loop).result(10)
        self.app = app
        self.port = self._running.port
        self.url = f"{self._running.url.partition(':')[0]}://127.0.0.1:{self.port}"
        self.tls_url = self._running.tls_url

    def base(self, gateway: str) -> str:
        """A client's base URL for `gateway`."""
        return f"{self.url}/{gateway}{self.app.registry.validators[gateway].gateway.base}"

    def generate(self, gateway: str, body: Any, key: str = "sk-test", **headers: str) -> httpx.Response:
        """POST `body` to `gateway` as its page says."""
        slash = "/" if gateway == "aiai" else ""
        return httpx.post(
            f"{self.base(gateway)}/images/generations{slash}",
            json=body,
            headers={"authorization": f"Bearer {key}", **headers},
        )

    def calls(self, session: str = "latest") -> list[dict[str, Any]]:
        """The journal of `session`."""
        url = f"{self.url}/_emulator/sessions/{session}/calls?limit=1000"
        calls: list[dict[str, Any]] = httpx.get(url).json()["calls"]
        return calls

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Let the server's own loop do `work`; return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def run_ready_tasks(self) -> None:
        """Wait until every task of the server that could go on has gone on."""
        for _ in range(5):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result(10)

    def stop(self) -> None:
        """End the server and its thread."""
        asyncio.run_coroutine_threadsafe(self._running.stop(), self._loop).result(15)
        asyncio.run_coroutine_threadsafe(self._rest(), self._loop).result(15)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @staticmethod
    async def _rest() -> None:
        """End what is still under way, so that nothing is destroyed while it waits."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Served]:
    """One server with default settings for all tests; a test that looks at the journal uses a key of its own."""
    served = Served()
    yield served
    served.stop()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Starts servers with settings of the test's own, and ends them with it."""
    running: list[Served] = []

    def begin(**settings: Any) -> Served:
        running.append(Served(**settings))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, which may be lost."""
    need_redis()
    running = RedisServer()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for all tests, each of which has a prefix of its own."""
    need_redis()
    running = RedisServer()
    yield running
    running.stop()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """An API key, and so a session, of the test's own."""
    return f"sk-{stable_id(request.node.nodeid)}"
