"""The calls of one session and its clock. Each look at them asks the server again.

A session without calls is an empty sequence, also one that the server has not heard of yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, overload

from emulator.client.connection import Connection, EmulatorError, session_path
from emulator.client.records import RecordedCall

_PAGE_LENGTH: Final = 1000  # the most calls that a server gives at once


class Calls(Sequence[RecordedCall]):
    """The calls of one session that its journal still has, the oldest first.

    >>> len(image_api.calls), [call.status for call in image_api.calls]
    (2, [200, 400])
    """

    __module__ = "emulator"

    def __init__(self, connection: Connection, session: str) -> None:
        self._connection = connection
        self._session = session
        self._path = session_path(session) + "/calls"

    @property
    def latest(self) -> RecordedCall:
        """The call that began last, also one that is under way; raises IndexError in a session without calls.

        >>> image_api.calls.latest.status
        400
        """
        try:
            report = self._connection.ask("GET", self._path + "/latest")
        except EmulatorError as error:
            if not _is_empty_session(error):
                raise
            raise IndexError(f"session {self._session} has no call yet") from None
        return RecordedCall.from_json(report)

    def numbered(self, numbers: Sequence[int]) -> tuple[RecordedCall, ...]:
        """The calls with these numbers, ordered by number, as far as the journal still has them.

        >>> image_api.calls.numbered([2])
        (<call 2: ezmodel generate dall-e-3 400 refused: above_maximum n>,)
        """
        if not numbers:
            return ()
        calls = []
        for call in self._read_pages(after=min(numbers) - 1):
            if call.number > max(numbers):
                break
            if call.number in numbers:
                calls.append(call)
        return tuple(calls)

    def _read_pages(self, after: int = 0) -> Iterator[RecordedCall]:
        """The calls with numbers above `after`."""
        next_after: int | None = after
        while next_after is not None:
            path = f"{self._path}?limit={_PAGE_LENGTH}"
            if next_after:
                path += f"&after={next_after}"
            try:
                page = self._connection.ask("GET", path)
            except EmulatorError as error:
                if not _is_empty_session(error):
                    raise
                return
            for report in page["calls"]:
                yield RecordedCall.from_json(report)
            next_after = page.get("next")

    def __iter__(self) -> Iterator[RecordedCall]:
        return self._read_pages()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> RecordedCall: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RecordedCall]: ...
    def __getitem__(self, index: int | slice) -> RecordedCall | Sequence[RecordedCall]:
        """The call at an index from 0, which is not its number, or the calls of a slice."""
        calls = tuple(self)
        if isinstance(index, slice):
            return calls[index]
        try:
            return calls[index]
        except IndexError:
            raise IndexError(f"no call at {index}: session {self._session} has {len(calls)}") from None

    def __repr__(self) -> str:
        return f"<calls of {self._session}: {list(self)}>"


class SessionClock:
    """The time of one session. Moving it on lets links expire and limits refill without waiting.

    >>> image_api.clock.now
    '2026-01-01T00:00:00Z'
    >>> image_api.clock.advance("1h")
    '2026-01-01T01:00:00Z'
    """

    __module__ = "emulator"

    def __init__(self, connection: Connection, session: str) -> None:
        self._connection = connection
        self._session = session

    @property
    def now(self) -> str:
        """The session's time: ISO 8601 in UTC, to the second."""
        return str(self._connection.ask("GET", f"/clock?session={self._session}")["now"])

    def advance(self, length: str | float) -> str:
        """Move this session's time on by `length`, such as "90s" or "1h" (a number is seconds); the new time."""
        return str(self._connection.ask("POST", "/clock", {"advance": length, "session": self._session})["now"])


def _is_empty_session(error: EmulatorError) -> bool:
    """Whether the server says only that the session has no call."""
    return error.status == 404 and error.param in ("session", "calls", "number")
