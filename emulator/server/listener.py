"""Opens the socket of a server, and closes it again."""

from __future__ import annotations

import asyncio
import errno
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from emulator.core.light_dataclass import dataclass
from emulator.server.app import App
from emulator.server.connection import HttpServer
from emulator.server.event_loop import make_site
from emulator.server.rare_warnings import is_out_of_files
from emulator.server.unparsed import UnparsedAnswers

if TYPE_CHECKING:
    import ssl

log = logging.getLogger("emulator")


class CannotListen(Exception):
    """No socket could be opened for the setting `name` (port or tls_port), whose value is `port`; `cause` says why."""

    def __init__(self, name: str, port: int, cause: OSError | UnicodeError) -> None:
        super().__init__(name, port, cause)
        self.name, self.port = name, port
        self.is_in_use = isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE
        self.reason: str = getattr(cause, "strerror", None) or str(cause)


@dataclass
class Running:
    """A server that answers at `url`, and at `tls_url` if it answers HTTPS on a port of its own too.

    `ca` is the file of the authority that clients have to trust, None where there is none. `is_exported` tells whether
    the sessions' state was written at the end, where that was asked for.
    """

    app: App
    runner: web.ServerRunner
    url: str
    port: int
    tls_url: str | None = None
    ca: Path | None = None
    is_exported: bool = True

    async def stop(self) -> None:
        """Finish the calls under way (7 s at most), then close everything."""
        self.app.events.close()  # listeners would stay for ever
        await self.runner.cleanup()
        await self._wait_for_journal()
        self.app.write_coverage()
        if self.app.settings.export_on_exit is not None:
            from emulator.server.state_file import export_state

            self.is_exported = await export_state(self.app, self.app.settings.export_on_exit)
        if self.app.unanswered:
            calls = "1 call under way was"
            if self.app.unanswered > 1:
                calls = f"{self.app.unanswered} calls under way were"
            log.warning("stopped before %s answered", calls)
        loop = asyncio.get_running_loop()
        if loop.get_exception_handler() is _handle_loop_error:
            loop.set_exception_handler(None)
        await self.app.close()

    async def _wait_for_journal(self) -> None:
        """Let the calls that were broken off be written to the journal, which takes a few turns of the event loop."""
        for _ in range(_MOST_TURNS):
            if not self.app.sessions.count_under_way():
                return
            await asyncio.sleep(0)


def make_http_server(app: App) -> HttpServer:
    """Return what handles the connections to `app`; the event loop must be running."""
    # No aiohttp Application: its router reads paths its own way, answers some itself, and costs time on every call.
    return HttpServer(
        app.handle,
        app.send_limits,
        UnparsedAnswers(app.registry, app.clock, app.settings.seed).answer,
        access_log=None,
        logger=_get_http_log(),
        auto_decompress=False,  # bodies are read, decompressed and bounded in `requests`
        lingering_time=1,
        keepalive_timeout=75,
        max_line_size=_LONGEST_TARGET,
    )


async def start(app: App) -> Running:
    """Open the sockets that the settings name, and answer on them.

    Raises CannotListen where one cannot be opened, and UsageError where there is no certificate for HTTPS, or the
    store or the file of `--import` cannot be used.
    """
    settings, tls = app.settings, None
    if settings.export_on_exit is not None:
        from emulator.server.state_file import check_folder

        check_folder(settings.export_on_exit)
    if settings.tls or settings.tls_port is not None:
        from emulator.server.tls import build_tls  # few servers need it

        tls = build_tls(settings, app.registry)
    serving = make_http_server(app)
    app.make_connection = serving
    loop = asyncio.get_running_loop()
    if loop.get_exception_handler() is None:
        loop.set_exception_handler(_handle_loop_error)
    await app.open()
    runner = web.ServerRunner(serving, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    running = Running(app, runner, "", 0)
    try:
        if settings.import_ is not None:
            from emulator.server.state_file import import_state

            await import_state(app, settings.import_)
        context = None
        if settings.tls and tls is not None:
            context = tls.context
        running.url, running.port = await _listen(runner, settings.host, "port", settings.port, context)
        if settings.tls_port is not None and tls is not None:
            running.tls_url, _ = await _listen(runner, settings.host, "tls_port", settings.tls_port, tls.context)
    except BaseException:
        await runner.cleanup()
        await app.store.close()
        raise
    if tls is not None:
        running.ca = tls.ca
    return running


async def _listen(
    runner: web.ServerRunner, host: str, name: str, port: int, context: ssl.SSLContext | None
) -> tuple[str, int]:
    """Listen at `host` and `port`, in TLS if there is a `context`; return the URL and the port that it has got."""
    others = len(runner.addresses)
    scheme = "http"
    site: web.BaseSite = make_site(runner, host, port)
    if context is not None:
        from emulator.server.tls_site import make_tls_site

        scheme, site = "https", make_tls_site(runner, host, port, context)
    try:
        await site.start()
    except (OSError, UnicodeError) as error:
        raise CannotListen(name, port, error) from None
    found = runner.addresses[others][1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - only compared
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{found}", found


def _handle_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say in one line that no new connection can be taken; asyncio tries again after a second, and so on for ever."""
    if not is_out_of_files(context.get("exception")):
        loop.default_exception_handler(context)


def _get_http_log() -> logging.Logger:
    """Return the log for aiohttp, without the requests that do not parse: they may show a client's key."""
    http = logging.getLogger("emulator.http")
    if not http.filters:
        http.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
    return http


_LONGEST_TARGET: Final = 2**16  # bytes of a request line: a damaged link is a 404 of the storage, however long it is
_SHUTDOWN: Final = 3.5  # seconds; aiohttp waits twice, for answers and for readers, and Docker kills after ten
_MOST_TURNS: Final = 100  # of the event loop, for the journal; a handful is enough
