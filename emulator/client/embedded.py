"""A server in a thread of this process, and a session on it. It starts in milliseconds and leaves nothing behind.

The server has an event loop of its own: synchronous clients work, and so do asynchronous ones in any other loop.
"""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypedDict, Unpack

from emulator import settings as server_settings
from emulator.client.api import ImageApi
from emulator.client.connection import NOT_RUNNING, Connection, EmulatorError, ScenarioSource, is_inline
from emulator.client.records import RecordedCall
from emulator.core.accelerators import choose_speed
from emulator.core.parse_cache import use_cache_folder
from emulator.core.suggestions import describe_unknown
from emulator.core.yaml_file import InvalidFile
from emulator.image.files import MissingFile
from emulator.messages import RecordMode
from emulator.scenario.recordings import FILE as RECORDING
from emulator.server import listener
from emulator.server.app import App
from emulator.server.listener import CannotListen, Running
from emulator.session.call_record import CallRecord
from emulator.settings import FIELDS, Settings, UsageError

_OWN_SESSION: Final = "embedded"  # the same in each run, because chance and request ids depend on it
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

FilePath = str | os.PathLike[str]


class EmulatorSettings(TypedDict, total=False):
    """The further keywords of `Emulator`: the settings of `serve`, as its --help describes them.

    >>> from emulator import Emulator, EmulatorSettings
    >>> settings: EmulatorSettings = {"seed": 7, "report_only": True}
    >>> with Emulator(**settings) as own:
    ...     own.server_settings["seed"]
    7
    """

    host: str
    port: int
    public_url: str
    tls: bool
    tls_port: int
    tls_cert: FilePath
    tls_key: FilePath
    tls_dir: FilePath
    host_name: str | Sequence[str]
    schema: FilePath | Sequence[FilePath]
    no_reserved_values: bool
    behavior: Literal["documented", "observed"]
    report_only: bool
    picture_weight: Literal["small", "realistic"]
    channels: str | Sequence[str]
    seed: int | Literal["random"]
    clock: str
    coverage: FilePath
    as_of: str
    legacy: bool
    keys: FilePath
    allow_host: str | Sequence[str]
    admin_token: str
    import_: FilePath
    export_on_exit: FilePath
    ready_json: bool
    quiet: bool
    json_log: bool
    body_timeout: int
    send_timeout: int
    send_bytes: int
    journal_entries: int
    journal_bytes: int
    sessions: int
    session_age: int
    picture_cache: int
    upload_bytes: int
    store: str
    workers: int
    upstream: str | Sequence[str]
    upstream_timeout: int
    record: FilePath
    record_mode: Literal["none", "once", "new_episodes", "all", "forward"]
    max_spend: float
    stale_after: str
    speed: Literal["auto", "off"]
    cache_dir: FilePath
    no_fast_import: bool


EmulatorSettings.__module__ = "emulator"  # a TypedDict's body cannot set it


class EmbeddedSession(ImageApi):
    """A session on a server in this process."""

    _scenario: ScenarioSource | None = None
    _thread: ServerThread | None = None

    def account(self, name: str, gateway: str | None = None) -> ImageApi:
        """The account whose session has exactly this name; it plays what the emulator plays.

        >>> image_api.account("orders").session_name
        'orders'
        """
        account = EmbeddedSession(self._connection, name, gateway or self._gateway)
        account._thread = self._thread
        account._scenario = self._scenario
        if self._scenario is not None:
            account.play(self._scenario)
        return account

    def play_recording(self, folder: FilePath, mode: RecordMode = "none", file: str = RECORDING) -> None:
        """Let the session play the recording `file` in `folder`; calls that it does not have go where `mode` says.

        `stop_recording` ends it, and so does the end of the emulator. Raises EmulatorError for a recording that cannot
        be used.

        >>> image_api.play_recording("no-such-folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        emulator.EmulatorError: no-such-folder: there is no recording.yaml; with the mode once it is recorded
        """
        from emulator.session.recording import Recording

        thread = self._find_thread()
        try:
            recording = Recording(Path(folder), mode, file)
        except InvalidFile as error:
            raise EmulatorError(str(error)) from None
        playing = thread.app.sessions.play_recording(self.session_name, recording)
        asyncio.run_coroutine_threadsafe(playing, thread.loop).result()

    def stop_recording(self) -> None:
        """Write nothing more: calls from now on are missed.

        >>> image_api.stop_recording()
        """
        thread = self._find_thread()
        thread.loop.call_soon_threadsafe(thread.app.sessions.close_recording, self.session_name)

    def _find_thread(self) -> ServerThread:
        if self._thread is None or self._thread.process != os.getpid():
            raise EmulatorError(NOT_RUNNING)
        return self._thread

    def picture(self, number: int, index: int = 0) -> bytes:
        """The file of a picture that the call `number` got; raises EmulatorError if there is no such picture.

        >>> image_api.picture(1)[1:4]
        b'PNG'
        """
        thread = self._thread
        if thread is None:
            raise EmulatorError(NOT_RUNNING)
        if thread.process != os.getpid():  # a fork has the parent's objects without its threads
            return super().picture(number, index)
        return asyncio.run_coroutine_threadsafe(self._draw_picture(thread.app, number, index), thread.loop).result()

    async def _draw_picture(self, app: App, number: int, index: int) -> bytes:
        for entry in await app.sessions.list_calls(self.session_name) or ():
            if entry.number == number and 0 <= index < len(entry.pictures):
                try:
                    return (await app.image_store.draw(entry.recipes[index])).data
                except MissingFile:
                    raise EmulatorError("the scenario's own picture is not kept any more") from None
        raise EmulatorError(f"call {number} of session {self.session_name} has no picture {index}")


class Emulator(EmbeddedSession):
    """An emulator in this process, for as long as a `with` block or an `async with` block lasts.

    `gateway` is the one of `url()`, `scenario` what is played (a ready-made one's name, a path, YAML, or a mapping),
    and `settings` are those of `serve`: behavior, seed, clock, schema, report_only and so on; EmulatorSettings lists
    them. A setting that is not given comes from EMULATOR_… variables and emulator.yaml, as for `serve`; only the port
    is a free one. `tell` is called with each call of any session once it is answered, in the server's thread.
    EmulatorError says why an emulator cannot start.

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

    __module__ = "emulator"

    def __init__(
        self,
        gateway: str | None = None,
        scenario: ScenarioSource | None = None,
        tell: Callable[[RecordedCall], None] | None = None,
        **settings: Unpack[EmulatorSettings],
    ) -> None:
        super().__init__(Connection(None), _OWN_SESSION, gateway)
        self._tell = tell
        self._keywords: dict[str, Any] = {**settings, "gateway": gateway}
        if scenario is not None and is_inline(scenario):
            self._scenario = scenario
        else:
            self._keywords["scenario"] = scenario

    def start(self) -> Self:
        """Begin to answer, without a block; `stop` ends it.

        >>> own = Emulator().start()
        >>> len(own.calls)
        0
        >>> own.stop()
        """
        thread = self._start_thread()
        try:
            return self._connect(thread.started.result())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once, also the calls under way; an emulator that does not run stays as it is.

        >>> own = Emulator()
        >>> own.stop()
        """
        thread = self._end_thread()
        if thread is not None:
            thread.join()

    async def __aenter__(self) -> Self:
        thread = self._start_thread()
        try:
            return self._connect(await _wait_for(thread.started))
        except BaseException:
            self.stop()
            raise

    async def __aexit__(self, *_: object) -> None:
        thread = self._end_thread()
        if thread is not None:
            await _wait_for(thread.ended)  # calls of the caller's own loop may be under way
            thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_thread(self) -> ServerThread:
        """Build the server and start its thread; raises EmulatorError."""
        if self._thread is not None:
            raise EmulatorError("this emulator runs already")
        try:
            settings = _load_settings(self._keywords)
            if settings.workers > 1:
                raise EmulatorError("workers: an Emulator is in this process alone; the command serve has several")
            choose_speed(settings.speed)
            use_cache_folder(settings.cache_dir)
            self._thread = ServerThread(App(settings, self._observe_call))
        except (UsageError, InvalidFile) as error:
            raise EmulatorError(_name_keywords(str(error))) from None
        return self._thread

    def _observe_call(self, record: CallRecord) -> None:
        """Hand a finished call to `tell`, in the server's thread.

        The pytest plugin overrides this: it counts findings, and needs no RecordedCall, which takes 0.3 ms to make.
        """
        if self._tell is not None:
            self._tell(RecordedCall.from_json(record.entry.to_json()))

    def _connect(self, running: Running) -> Self:
        """Use the server that runs now, and let the session play the scenario."""
        self._connection = Connection(running.url, running.app.settings.admin_token, running.ca)
        if self._scenario is not None:
            self.play(self._scenario)
        return self

    def _end_thread(self) -> ServerThread | None:
        """Let the thread end; None if there is no thread of this process."""
        thread = self._thread
        self._thread = None
        self._connection = Connection(None)
        if thread is None or thread.process != os.getpid():
            return None
        thread.end()
        return thread


class ServerThread:
    """One run of a server: its app, and the thread with its event loop. `started` and `ended` tell how far it is."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.process = os.getpid()
        self.started: Future[Running] = Future()
        self.ended: Future[None] = Future()
        self.loop = asyncio.new_event_loop()
        self._end_requested = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="image-api-emulator", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Let the server and the calls under way end soon."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._end_requested.set)

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                runner.run(self._serve())
        finally:
            self.ended.set_result(None)

    async def _serve(self) -> None:
        try:
            running = await listener.start(self.app)
        except CannotListen as error:
            host = self.app.settings.host
            message = f"cannot listen on host {host!r}, {error.name} {error.port}: {error.reason}"
            self.started.set_exception(EmulatorError(message))
            return
        except UsageError as error:  # about a certificate, a state, or the store
            self.started.set_exception(EmulatorError(_name_keywords(str(error))))
            return
        except BaseException as error:  # the thread that waits for the start gets it, whatever it is
            self.started.set_exception(error)
            raise
        self.started.set_result(running)
        await self._end_requested.wait()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # a test that is over waits for no answer, however slow its scenario is
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await running.stop()
        self.app.image_store.close(wait=True)  # the store's threads were asked to end; this waits until they have


async def _wait_for(future: Future[Any]) -> Any:
    """The result of `future`, without blocking an asyncio loop; another library's loop is blocked."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return future.result()
    return await asyncio.shield(asyncio.wrap_future(future))


def _load_settings(keywords: Mapping[str, Any]) -> Settings:
    """The settings of `keywords`; raises EmulatorError for an unknown one, BadSetting for a bad value."""
    keywords = {name.rstrip("_"): value for name, value in keywords.items()}  # import_ is the setting import
    for name in keywords:
        if name not in FIELDS:
            raise EmulatorError(describe_unknown("setting", name, FIELDS))
    flags = {name: _spell_as_flag(value) for name, value in keywords.items()}
    settings = server_settings.load_settings({"port": 0, **flags})
    if settings.tls_port is not None and "tls_port" not in keywords:
        settings = replace(settings, tls_port=0)  # as the other port, it is a free one unless this program says which
    if settings.host in _LOOPBACK:
        return settings
    # A server that other machines reach asks for a token, which only this process has to know.
    token = settings.admin_token or os.urandom(16).hex()
    return replace(settings, admin_token=token, allow_host=(*settings.allow_host, settings.host))


def _name_keywords(message: str) -> str:
    """Return a message about flags of the command line, which are keywords here."""
    return re.sub("^--([a-z-]+)", lambda flag: flag[1].replace("-", "_"), message)


def _spell_as_flag(value: Any) -> Any:
    """A setting's value as the command line would have it: a path is a text, and several are a list."""
    if isinstance(value, list | tuple):
        return [_spell_as_flag(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value
