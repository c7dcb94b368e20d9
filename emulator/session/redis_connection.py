"""The one connection of this process to its Redis, over which all calls go.

The commands of one turn of the event loop leave together, and the answers come in their order. A task of the connection
sends them and reads the answers: a caller that is cancelled only drops its own answer, and never takes another's. Where
Redis cannot be used, every command fails with StoreLost at once, until a new connection is made.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import hiredis
from redis import exceptions
from redis.asyncio.connection import Connection, parse_url

from emulator.session.redis_library import Library, Word
from emulator.session.store import StoreLost

log = logging.getLogger("emulator")
pack_command: Final[Callable[..., Any]] = hiredis.pack_command  # its types know no tuple of several words
Answer = Any
"""What Redis answers: bytes, a whole number, None, or a list of answers."""


class _Command(NamedTuple):
    """A command that waits for its answer."""

    packed: bytes
    answer: asyncio.Future[Answer]


class RedisConnection:
    """A connection to the Redis at `url`, made anew where it is lost.

    `greet` is called on each new connection, before anything else is sent on it; it asks by `ask_alone`, and may raise
    StoreLost. `note_loss` is called with the reason when the connection is lost.
    """

    def __init__(
        self,
        url: str,
        library: Library,
        *,
        greet: Callable[[], Awaitable[None]],
        note_loss: Callable[[str], None],
    ) -> None:
        """Prepare a connection; raises ValueError for a URL that cannot be one."""
        options: dict[str, Any] = {**parse_url(url)}
        connection_class = options.pop("connection_class", Connection)
        options.update(protocol=2, socket_timeout=None, socket_connect_timeout=ANSWER_WITHIN)
        self._connection: Any = connection_class(**options)
        self._library = library
        self._greet = greet
        self._note_loss = note_loss
        self._waiting: deque[_Command] = deque()
        self._has_waiting = asyncio.Event()
        self._is_idle = asyncio.Event()
        self._is_idle.set()
        self._work: asyncio.Task[None] | None = None
        self.lost: str | None = None
        """Why Redis cannot be used at present; None: it can."""

    async def open(self) -> None:
        """Connect for the first time; raises StoreLost where that is not possible."""
        try:
            await self._connect()
        except StoreLost:
            await self._disconnect()
            raise
        self._work = asyncio.create_task(self._run(), name="redis")

    async def close(self) -> None:
        """Let the commands that wait be sent, and close the connection."""
        work, self._work = self._work, None
        if work is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._is_idle.wait()
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work
        if self.lost is None and self._is_idle.is_set() and self._waiting:
            await self._send_batch()
        self._fail_waiting("the server stops")
        await self._disconnect()

    def call(self, function: str, *arguments: Word) -> asyncio.Future[Answer]:
        """Call a function of the library with the commands of this turn of the loop; the future has its answer.

        Raises StoreLost where Redis cannot be used, and so may the future.
        """
        if self.lost is not None:
            raise StoreLost(self.lost)
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_look_at_error)
        packed = pack_command(self._library.make_command(function, arguments))
        self._waiting.append(_Command(packed, answer))
        self._has_waiting.set()
        return answer

    async def ask_alone(self, *words: Word) -> Answer:
        """Return the answer to a command that `greet` sends; raises StoreLost, or ResponseError as Redis says it."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._connection.send_packed_command([pack_command(tuple(words))], check_health=False)
                return await self._read_answer()
        except exceptions.ResponseError:
            raise
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise StoreLost(_describe(error)) from None

    async def call_alone(self, function: str, *arguments: Word) -> Answer:
        """Return the answer of a function that `greet` calls; raises StoreLost."""
        try:
            return await self.ask_alone(*self._library.make_command(function, arguments))
        except exceptions.ResponseError as error:
            raise StoreLost(_describe(error)) from None

    async def call_together(self, calls: Sequence[tuple[str, Sequence[Word]]]) -> list[Answer]:
        """Return the answers of several functions that `greet` calls; raises StoreLost."""
        if not calls:
            return []
        words = [self._library.make_command(function, arguments) for function, arguments in calls]
        try:
            async with asyncio.timeout(ANSWER_WITHIN) as limit:
                await self._connection.send_packed_command(
                    [pack_command(tuple(one)) for one in words], check_health=False
                )
                answers = []
                for _ in calls:
                    answers.append(await self._read_answer())
                    limit.reschedule(asyncio.get_running_loop().time() + ANSWER_WITHIN)
                return answers
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise StoreLost(_describe(error)) from None

    def lose(self, reason: str) -> None:
        """Use the connection no more, and make a new one."""
        if self.lost is None:
            self.lost = reason
            self._note_loss(reason)
        self._fail_waiting(reason)
        self._has_waiting.set()

    async def _run(self) -> None:
        """Send what waits, and connect anew where the connection is lost; this goes on until it is cancelled."""
        while True:
            await self._has_waiting.wait()
            self._has_waiting.clear()
            while self._waiting:
                await self._send_batch()
            if self.lost is not None:
                await self._reconnect()

    async def _send_batch(self) -> None:
        """Send the commands that wait, and hand out their answers."""
        batch: list[_Command] = []
        size = 0
        while self._waiting and len(batch) < _MOST_TOGETHER and size < _MOST_BYTES_TOGETHER:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].packed)
        loop = asyncio.get_running_loop()
        answered = 0
        self._is_idle.clear()
        try:
            packed = [one.packed for one in batch]
            async with asyncio.timeout(ANSWER_WITHIN + size / _SLOWEST) as limit:
                await self._connection.send_packed_command(packed, check_health=False)
                for one in batch:
                    await self._hand_out_answer(one)
                    answered += 1
                    limit.reschedule(loop.time() + ANSWER_WITHIN)
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            self.lose(_describe(error))
        finally:
            if answered < len(batch) and self.lost is None:  # cancelled: what comes is for others
                self.lost = "the server stops"
            self._is_idle.set()
            for one in batch[answered:]:
                _fail(one, StoreLost(str(self.lost)))

    async def _hand_out_answer(self, one: _Command) -> None:
        """Read the next answer, which is that to `one`."""
        try:
            answer = await self._read_answer()
        except exceptions.ResponseError as error:
            if not _means_loss(error):
                _fail(one, error)
                return
            self.lose(_describe(error))
            _fail(one, StoreLost(_describe(error)))
            return
        if not one.answer.done():
            one.answer.set_result(answer)

    async def _read_answer(self) -> Answer:
        return await self._connection.read_response(disable_decoding=True, timeout=math.inf, disconnect_on_error=False)

    async def _reconnect(self) -> None:
        """Connect, as often as it takes."""
        delay = _FIRST_DELAY
        while True:
            await self._disconnect()
            try:
                await self._connect()
            except StoreLost as error:
                self.lost = str(error)
            except Exception:  # a bug of ours, as in what has waited, must not be the end of the connection
                log.exception("the connection to the store failed")
                self.lost = "the emulator failed, and its log says why"
            else:
                return
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _connect(self) -> None:
        """Connect, load the functions, and let `greet` say what it has to; raises StoreLost."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._connection.connect()
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            raise StoreLost(_describe(error)) from None
        try:
            await self._library.load(self.ask_alone)
        except exceptions.ResponseError as error:
            raise StoreLost(_describe(error)) from None
        await self._greet()
        self.lost = None

    async def _disconnect(self) -> None:
        with suppress(exceptions.RedisError, OSError, TimeoutError):
            await self._connection.disconnect(nowait=True)

    def _fail_waiting(self, reason: str) -> None:
        while self._waiting:
            _fail(self._waiting.popleft(), StoreLost(reason))


def _fail(one: _Command, error: Exception) -> None:
    if not one.answer.done():
        one.answer.set_exception(error)


def _look_at_error(answer: asyncio.Future[Answer]) -> None:
    """Look at the error of an answer for which nobody may wait any more, so that asyncio does not report it."""
    if not answer.cancelled():
        answer.exception()


def _means_loss(error: exceptions.ResponseError) -> bool:
    """Return whether an error tells that Redis cannot be used as it is, and not that a command was wrong."""
    return isinstance(error, _LOSSES) or str(error).startswith(_LOSS_WORDS)


def _describe(error: Exception) -> str:
    """Return the reason of a loss as a part of a sentence, without the address, which may show a password."""
    for kind, text in _REASONS:
        if isinstance(error, kind):
            return text
    text = " ".join(str(error).split())
    if text.startswith("EMPTIED"):
        return "its data is gone"
    if text.startswith("OUTDATED"):
        return "it did not hear from this process for too long"
    return text or type(error).__name__


ANSWER_WITHIN: Final = 2.0  # seconds without any answer; a Redis that is slow by a second is still used
_FIRST_DELAY: Final = 0.05  # seconds until the second attempt to connect; it doubles each time
_LONGEST_DELAY: Final = 0.5  # so that a Redis that is back is used within a second
_MOST_TOGETHER: Final = 500  # commands that are sent together
_MOST_BYTES_TOGETHER: Final = 8 * 2**20  # among them
_SLOWEST: Final = 4 * 2**20  # bytes a second at which they arrive at least
_LOSSES: Final = (
    exceptions.OutOfMemoryError, exceptions.ReadOnlyError, exceptions.NoScriptError, exceptions.NoPermissionError,
)  # fmt: skip
_LOSS_WORDS: Final = (
    "EMPTIED", "OUTDATED", "MISCONF", "MASTERDOWN", "NOREPLICAS", "BUSY", "UNKILLABLE", "Function not found",
    "OOM", "READONLY", "LOADING",
)  # fmt: skip
"""How the errors begin that tell that a Redis cannot be used as it is."""
_REASONS: Final[Sequence[tuple[type[Exception], str]]] = (
    (exceptions.OutOfMemoryError, "it has no memory left (maxmemory)"),
    (exceptions.ReadOnlyError, "it is read-only"),
    (exceptions.BusyLoadingError, "it is still loading its data"),
    (exceptions.NoPermissionError, "its user may not run the commands that are needed"),
    (exceptions.AuthenticationError, "it does not accept the user or the password"),
    (exceptions.TimeoutError, "it does not answer in time"),
    (TimeoutError, "it does not answer in time"),
)
