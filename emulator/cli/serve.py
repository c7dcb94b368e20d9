"""The command `serve`: a server from its start to its end, and what it says on the console.

What takes long to load is loaded inside `headstart`; whatever goes wrong before the first call is one line.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from emulator.cli.fast_import import headstart, lasting
from emulator.settings import Settings, UsageError

if TYPE_CHECKING:
    from emulator.server.listener import Running

NAME: Final = "image-api-emulator"


def serve(chosen: Settings) -> int:
    """Serve as `chosen` says until SIGINT or SIGTERM; the exit code. Raises UsageError where that cannot begin."""
    with headstart():
        import asyncio

        from emulator.server import listener  # noqa: F401 - it is what takes the time
    return asyncio.run(_serve(chosen))


async def _serve(chosen: Settings) -> int:
    """Serve until SIGINT or SIGTERM."""
    import asyncio
    import signal

    from emulator.cli.console import Console
    from emulator.server import listener
    from emulator.server.app import App

    lines = None if chosen.quiet or chosen.ready_json else Console()
    try:
        with lasting():  # the gateways' files are many small things
            app = App(chosen, lines.tell if lines else None)
            running = await listener.start(app)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot listen on --host {chosen.host!r} --port {chosen.port}: {reason}") from None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _announce(running)
    flaws: list[BaseException] = []

    def examined(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (flaw := task.exception()) is not None:
            flaws.append(flaw)
            stop.set()

    running.examined.add_done_callback(examined)
    await stop.wait()
    await running.stop()
    if lines is not None:
        lines.close()
    if flaws:
        raise UsageError(str(flaws[0]))
    return 0


def _announce(running: Running) -> None:
    """Say that calls are answered: to a person, or with --ready-json to a program; what is odd goes to stderr."""
    from emulator.cli.console import say

    chosen = running.app.settings
    for validator in running.app.registry.validators.values():
        path = validator.gateway.document.source.path
        for one in validator.gateway.findings:
            print(f"{path}: {one.code}: {one.message}", file=sys.stderr)
    if chosen.ready_json:
        if chosen.seed:  # `random` may have drawn it, and the run may have to be repeated
            print(f"{NAME}: seed {chosen.seed}", file=sys.stderr)
        ready = {"url": running.url, "port": running.port, "pid": os.getpid()}
        guard = running.app.guard
        say(json.dumps({**ready, "admin_token": guard.token} if guard.made_up else ready))
    else:
        say(_welcome(running))


def _welcome(running: Running) -> str:
    """What `serve` prints once it answers."""
    registry, settings = running.app.registry, running.app.settings
    width = max(map(len, registry.validators))
    lines = [
        f"Image API Emulator answers; base URLs (documented behavior, seed {settings.seed}, clock {settings.clock}):"
    ]
    for name, validator in registry.validators.items():
        lines.append(f"  {name:<{width}}  {running.url}/{name}{validator.gateway.base}")
    default = registry.default.gateway.name
    lines.append(f"Without a prefix, {default} answers: {running.url}/v1")
    lines.append(f"What was asked: {running.url}/_emulator/sessions")
    guard = running.app.guard
    if guard.made_up:
        lines.append(f"Other machines can ask too, so it takes the header: Authorization: Bearer {guard.token}")
    return "\n".join(lines)
