"""Opens the socket of a server and closes it again; between the two, everything happens in the hall."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from emulator.server.app import App


@dataclass
class Running:
    """A server that answers at `url`; `examined` ends when every schema has been compiled."""

    hall: App
    runner: web.ServerRunner
    url: str
    port: int
    examined: asyncio.Task[None]

    async def stop(self) -> None:
        """Finish the calls under way (7 s at most), then close everything."""
        self.examined.cancel()
        self.hall.events.close()  # listeners would stay for ever
        await self.runner.cleanup()
        self.hall.gallery.close()


async def start(hall: App) -> Running:
    """Listen as the settings say; raises OSError where that is not possible."""
    # No aiohttp Application: its router reads paths its own way, answers some itself, and costs time on every call.
    serving = web.Server(
        hall.handle,
        access_log=None,
        logger=_http_log(),
        auto_decompress=False,  # bodies are read, inflated and bounded in `wire`
        lingering_time=1,
        keepalive_timeout=75,
    )
    runner = web.ServerRunner(serving, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    settings = hall.settings
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
    except BaseException:
        await runner.cleanup()
        raise
    port = runner.addresses[0][1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)  # noqa: S104 - only compared
    shown = f"[{host}]" if ":" in host else host
    examined = asyncio.create_task(_examine(hall))
    return Running(hall, runner, f"http://{shown}:{port}", port, examined)


async def _examine(hall: App) -> None:
    """Compile the schemas that ship, behind the socket: a start should be quick, and our own tests compile them too."""
    await asyncio.sleep(_SETTLED)
    for contract in hall.directory.contracts.values():
        for _ in contract.examine():
            await asyncio.sleep(0)


def _http_log() -> logging.Logger:
    """aiohttp's log without requests that do not parse: they are the client's, and may show its key."""
    http = logging.getLogger("emulator.http")
    if not http.filters:
        http.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
    return http


_SHUTDOWN: Final = 3.5  # seconds; aiohttp waits twice, for answers and for readers, and Docker kills after ten
_SETTLED: Final = 0.5  # seconds; the first calls are answered before
