"""The command `serve`: starts a server, prints where it listens, and stops it at SIGINT or SIGTERM.

What goes wrong before the first call is an error of one line.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

from emulator.cli.fast_import import defer_aiohttp_client, keep_what_exists, without_garbage_collection
from emulator.cli.main import NAME
from emulator.core.accelerators import choose_speed
from emulator.core.parse_cache import use_cache_folder
from emulator.core.tls_folder import TRUST_VARIABLES
from emulator.core.version import VERSION
from emulator.settings import (
    LOCAL_STORE,
    Settings,
    SettingsFile,
    UsageError,
    list_unknown_variables,
    load_settings,
    read_settings_file,
)

if TYPE_CHECKING:
    import asyncio

    from emulator.cli.console import Console
    from emulator.server.app import App
    from emulator.server.listener import Running


Announce = Callable[["Running", SettingsFile], None]


def run_server(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. Raises UsageError where the server cannot start."""
    file = read_settings_file()
    chosen = load_settings(vars(options), file=file)
    if chosen.workers > 1 or chosen.store == LOCAL_STORE:
        from emulator.cli.workers import run_workers

        return run_workers(chosen, file)
    return serve_in_this_process(chosen, file, announce)


def serve_in_this_process(chosen: Settings, file: SettingsFile, announce: Announce) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code. `announce` is called once calls are answered."""
    choose_speed(chosen.speed)
    use_cache_folder(chosen.cache_dir)
    with without_garbage_collection():
        if not chosen.no_fast_import:
            defer_aiohttp_client()
        import asyncio

        from emulator.server import listener  # noqa: F401 - imported here, while no garbage is collected
        from emulator.server.event_loop import new_event_loop
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_serve(chosen, file, announce))


async def _serve(chosen: Settings, file: SettingsFile, announce: Announce) -> int:
    import asyncio

    from emulator.cli.console import Console

    console = None
    if not chosen.quiet and (chosen.json_log or not chosen.ready_json):
        console = Console(chosen.json_log)
    running = await _start(chosen, console)
    stop = _stop_at_signals()
    announce(running, file)
    check = asyncio.create_task(_check_schemas(running.app))
    errors = _stop_at_invalid_schema(check, stop)
    await stop.wait()
    check.cancel()
    await running.stop()
    if console is not None:
        console.close()
    _report_recording(running.app)
    if errors:
        raise UsageError(str(errors[0]))
    return int(not running.is_exported)


async def _start(chosen: Settings, console: Console | None) -> Running:
    from emulator.server import listener
    from emulator.server.app import App

    write_call = None
    if console is not None:
        write_call = console.write_call
    try:
        with without_garbage_collection():  # the gateways' files become many small objects
            return await listener.start(App(chosen, write_call))
    except listener.CannotListen as error:
        flag, reason = f"--{error.name.replace('_', '-')}", error.reason
        if error.is_in_use:
            reason = f"the port is in use; {flag} 0 picks a free one, and "
            reason += f"`{NAME} doctor --port {error.port}` says whether an emulator answers there"
        raise UsageError(f"cannot listen on --host {chosen.host!r} {flag} {error.port}: {reason}") from None


def _stop_at_signals() -> asyncio.Event:
    """Return the event that SIGINT and SIGTERM set."""
    import asyncio
    import signal

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _check_schemas(app: App) -> None:
    """Compile the schemas that ship, after the start: a start should be quick, and the tests compile them too.

    What has been made until then stays, so the garbage collector need not look at it again.
    """
    import asyncio

    await asyncio.sleep(_SETTLED)
    for validator in list(app.registry.validators.made.values()):  # what nobody asks for is not loaded
        for _ in validator.compile_schemas():
            await asyncio.sleep(0)
    keep_what_exists()


def _stop_at_invalid_schema(examined: asyncio.Task[None], stop: asyncio.Event) -> list[BaseException]:
    """Set `stop` if the task that compiles the gateways' schemas fails; its error is put into the list returned."""
    errors: list[BaseException] = []

    def finish(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            errors.append(error)
            stop.set()

    examined.add_done_callback(finish)
    return errors


def announce(running: Running, file: SettingsFile, pid: int | None = None) -> None:
    """Print where the server listens: a text for people, or with --ready-json one line for programs.

    `pid` is the process that ends the server; None: this one.
    """
    from emulator.cli.console import print_line

    app = running.app
    for gateway in app.registry.gateways.own.values():  # the tests have found nothing in those that ship
        path = gateway.document.file.path
        for finding in gateway.findings:
            print(f"{path}: {finding.code}: {finding.message}", file=sys.stderr)
    for line in list_unknown_variables():
        print(f"{NAME}: {line}", file=sys.stderr)
    if not app.settings.ready_json:
        if app.settings.json_log:
            print(_format_welcome(running, file), file=sys.stderr)
        else:
            print_line(_format_welcome(running, file))
        return
    if app.settings.report_only:
        print(f"{NAME}: {_REPORT_ONLY}", file=sys.stderr)
    if app.settings.seed:  # `--seed random` has drawn it; it is needed to repeat the run
        print(f"{NAME}: seed {app.settings.seed}", file=sys.stderr)
    print_line(json.dumps(_describe_ready(running, pid or os.getpid())))


def _describe_ready(running: Running, pid: int) -> dict[str, Any]:
    """Return what --ready-json prints."""
    app = running.app
    ready: dict[str, Any] = {"url": running.url, "port": running.port, "pid": pid}
    if running.tls_url is not None:
        ready["tls_url"] = running.tls_url
    if running.ca is not None:
        ready["ca"] = str(running.ca)
    if app.settings.seed:
        ready["seed"] = app.settings.seed
    if app.admin_auth.generated:
        ready["admin_token"] = app.admin_auth.token
    return ready


def _report_recording(app: App) -> None:
    """Print who has answered the calls of a run with a recording, and say so where the recording was of no use."""
    chosen = app.settings
    if chosen.record is None and chosen.record_mode == "none":
        return
    print(f"{NAME}: {app.tally}", file=sys.stderr)
    if chosen.record is not None and chosen.record_mode != "all" and not app.tally.verdicts["replayed"]:
        line = f"NOTHING WAS REPLAYED from {chosen.record}"
        print(f"{NAME}: {line}", file=sys.stderr)


def _format_welcome(running: Running, file: SettingsFile) -> str:
    """Return the text that `serve` prints once it answers calls."""
    app = running.app
    gateways = app.registry.gateways
    chosen = app.settings
    width = max(map(len, gateways))
    lines = [f"Image API Emulator {VERSION} answers calls.", *_describe_settings(chosen, file), "Base URLs:"]
    for name, gateway in gateways.items():
        lines.append(f"  {name:<{width}}  {running.url}/{name}{gateway.base}")
    lines.append(f"Default gateway: {app.registry.default.gateway.name}, at {running.url}/v1")
    lines += _describe_tls(running)
    page = f"{running.url}/_emulator/"
    if app.admin_auth.generated:
        page += f"#token={app.admin_auth.token}"
    lines.append(f"Calls and their pictures: {page}")
    if chosen.record is not None or chosen.record_mode != "none":
        lines.append(f"Recording: {chosen.record or 'none'}, mode {chosen.record_mode}")
    if app.admin_auth.generated:
        lines.append(f"/_emulator/ needs the header: Authorization: Bearer {app.admin_auth.token}")
    return "\n".join(lines)


def _describe_settings(chosen: Settings, file: SettingsFile) -> Iterator[str]:
    """Yield what decides the answers: behavior, seed, clock, scenario, where settings come from, and report-only."""
    yield f"Behavior: {chosen.behavior}; seed: {chosen.seed}; clock: {chosen.clock}"
    yield f"Scenario: {chosen.scenario or 'none, every call gets its pictures'}"
    yield f"Settings file: {file.path or 'none'}"
    if chosen.store is not None:
        from emulator.session.store_choice import describe_store

        yield f"Store: {describe_store(chosen)}; every server that has the same one answers for the same sessions"
    if chosen.report_only:
        yield _REPORT_ONLY


def _describe_tls(running: Running) -> Iterator[str]:
    """Yield where the server answers HTTPS beside its own address, and what clients set to trust its certificate."""
    if running.tls_url is not None:
        yield f"HTTPS too: {running.tls_url}"
    if running.ca is not None:
        yield "Clients that trust the certificate have one of these in their environment:"
        for name in TRUST_VARIABLES:
            yield f"  {name}={running.ca}"


_REPORT_ONLY: Final = (
    "Report only: a call that its gateway would refuse is answered, and has the finding would_be_refused."
)
_SETTLED: Final = 0.5  # seconds; the first calls are answered before
