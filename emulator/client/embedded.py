"""A server in a thread of this process, and a session of its own on it: starts in milliseconds, leaves nothing behind.

The server has a loop of its own, so that synchronous clients work, and so do asynchronous ones in whatever loop runs.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self

from emulator import settings
from emulator.client.api import ImageApi
from emulator.client.connection import NOT_RUNNING, Connection, EmulatorError, Script, spelled_out
from emulator.core.yaml_file import InvalidFile
from emulator.server import listener
from emulator.server.app import App, Teller
from emulator.server.listener import Running
from emulator.settings import FIELDS, Settings, UsageError


class Nearby(ImageApi):
    """A session on a server in this process, whose rooms can be looked into."""

    _script: Script | None = None
    _service: Service | None = None

    def account(self, name: str, gateway: str | None = None) -> ImageApi:
        """The account whose session has just this name; it plays what the emulator plays.

        >>> image_api.account("orders").session_name
        'orders'
        """
        account = Nearby(self._connection, name, gateway or self._gateway)
        account._service, account._script = self._service, self._script
        if self._script is not None:
            account.play(self._script)
        return account

    def picture(self, number: int, index: int = 0) -> bytes:
        """The file of a picture that the call `number` got, drawn once more; raises EmulatorError where there is none.

        >>> image_api.picture(1)[1:4]
        b'PNG'
        """
        service = self._service
        if service is None:
            raise EmulatorError(NOT_RUNNING)
        if service.process != os.getpid():  # a fork has the parent's objects without its threads
            return super().picture(number, index)
        return asyncio.run_coroutine_threadsafe(self._drawn(service.app, number, index), service.loop).result()

    async def _drawn(self, app: App, number: int, index: int) -> bytes:
        entries = await app.sessions.calls(self.session_name) or ()
        replies = [entry.response for entry in entries if entry.number == number and entry.response is not None]
        if not replies or index not in range(len(replies[0].pictures)):
            raise EmulatorError(f"call {number} of session {self.session_name} has no picture {index}")
        return (await app.image_store.picture(replies[0].pictures[index])).data


class Emulator(Nearby):
    """An emulator in this process, for as long as a `with` block lasts, or an `async with` block.

    `gateway` is the one of `url()`, `scenario` what is played (a ready-made one's name, a path, YAML, or a dict), and
    further keywords are any of the settings of `serve`: behavior, seed, clock, schema, report_only and so on. What is
    not given comes from EMULATOR_… variables and emulator.yaml, as for `serve`, but for the port, which is a free one.
    `tell` is told of every call once it is answered, in the server's thread. EmulatorError says why it cannot start.

    >>> from emulator import Emulator
    >>> from openai import OpenAI
    >>> with Emulator(gateway="ezmodel", scenario="rewritten-prompts", clock="frozen:2026-01-01T00:00:00Z") as own:
    ...     with OpenAI(base_url=own.url(), api_key=own.key) as sdk:
    ...         reply = sdk.images.generate(model="dall-e-3", prompt="A cute cat")
    ...     own.verify(once=True, model="dall-e-3")
    (<call 1: ezmodel generate dall-e-3 200 rule rewritten>,)
    >>> reply.created
    1767225600
    """

    def __init__(
        self, gateway: str | None = None, scenario: Script | None = None, tell: Teller | None = None, **chosen: Any
    ) -> None:
        super().__init__(Connection(None), _OWN_SESSION, gateway)
        self._script = scenario if scenario is not None and spelled_out(scenario) else None
        named = None if scenario is None or self._script is not None else os.fspath(scenario)  # type: ignore[arg-type]
        self._chosen = {**chosen, "gateway": gateway, "scenario": named}
        self._tell = tell

    def start(self) -> Self:
        """Begin to answer, where there is no block to do it; `stop` ends it.

        >>> own = Emulator().start()
        >>> len(own.calls)
        0
        >>> own.stop()
        """
        service = self._begin()
        try:
            return self._answering(service.started.result())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once, with whatever is under way; where it does not run there is nothing to do.

        >>> own = Emulator()
        >>> own.stop()
        """
        if (service := self._end()) is not None:
            service.thread.join()

    async def __aenter__(self) -> Self:
        service = self._begin()
        try:
            return self._answering(await _outcome(service.started))
        except BaseException:
            self.stop()
            raise

    async def __aexit__(self, *_: object) -> None:
        if (service := self._end()) is not None:
            await _outcome(service.ended)  # calls of this very loop may be under way
            service.thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _begin(self) -> Service:
        """Build the rooms and start the thread; raises EmulatorError."""
        if self._service is not None:
            raise EmulatorError("this emulator runs already")
        try:
            self._service = Service(App(_settings(self._chosen), self._tell))
        except (UsageError, InvalidFile) as error:
            # What the command has as a flag is a keyword here.
            raise EmulatorError(re.sub("^--([a-z-]+)", lambda flag: flag[1].replace("-", "_"), str(error))) from None
        return self._service

    def _answering(self, running: Running) -> Self:
        """Take the server that runs for one's own."""
        self._connection = Connection(running.url, running.app.settings.admin_token)
        if self._script is not None:
            self.play(self._script)
        return self

    def _end(self) -> Service | None:
        """Let the thread end, if it is one of this process."""
        service, self._service = self._service, None
        self._connection = Connection(None)
        if service is None or service.process != os.getpid():
            return None
        service.end()
        return service


class Service:
    """One run of a server: its rooms, and the thread with its loop. `started` and `ended` tell how far it is."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.process = os.getpid()
        self.started: Future[Running] = Future()
        self.ended: Future[None] = Future()
        self.loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self.thread = threading.Thread(target=self._run, name="image-api-emulator", daemon=True)
        self.thread.start()

    def end(self) -> None:
        """Let it end soon, and whatever is under way with it."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._over.set)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(self._live())
        finally:
            self.ended.set_result(None)

    async def _live(self) -> None:
        try:
            running = await listener.start(self.app)
        except (OSError, UnicodeError) as error:
            chosen = self.app.settings
            reason = getattr(error, "strerror", None) or str(error)
            message = f"cannot listen on host {chosen.host!r}, port {chosen.port}: {reason}"
            self.started.set_exception(EmulatorError(message))
            return
        except BaseException as error:  # whoever waits for the start has to hear of it
            self.started.set_exception(error)
            raise
        self.started.set_result(running)
        await self._over.wait()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # a test that is over waits for no answer, however slow its scenario wants it
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await running.stop()
        self.app.image_store.close(wait=True)  # its threads were told to end already; here it is waited until they have


async def _outcome(future: Future[Any]) -> Any:
    """What `future` has in the end, without holding up the loop; the loops of others than asyncio are held up."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return future.result()
    return await asyncio.shield(asyncio.wrap_future(future))


def _settings(chosen: Mapping[str, Any]) -> Settings:
    """The settings that keywords mean; raises EmulatorError for one that is unknown, BadSetting for a bad one."""
    for name in chosen:
        if name not in FIELDS:
            raise EmulatorError(f"unknown setting {name!r}; known are {', '.join(FIELDS)}")
    found = settings.load({"port": 0, **{name: _spelled(value) for name, value in chosen.items()}})
    if found.host in _LOOPBACK:
        return found
    # A server that others can reach asks for a token, which nobody has to know but us.
    token = found.admin_token or os.urandom(16).hex()
    return replace(found, admin_token=token, allow_host=(*found.allow_host, found.host))


def _spelled(value: Any) -> Any:
    """A setting as a flag would have it."""
    if isinstance(value, list | tuple):
        return [_spelled(one) for one in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


_OWN_SESSION: Final = "embedded"  # the same in each run, for chance and request ids go by it
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
