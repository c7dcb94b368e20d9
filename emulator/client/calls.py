"""The calls of one session, and its time: whatever is looked at here is asked of the server anew.

A session that has had no call yet is an empty one, whether the server has heard of it or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, overload

from emulator.client.connection import Connection, EmulatorError, session_path
from emulator.client.records import RecordedCall


class Calls(Sequence[RecordedCall]):
    """The calls of one session that its journal still has, the oldest first; asked for anew each time.

    >>> len(image_api.calls), [call.status for call in image_api.calls]
    (2, [200, 400])
    """

    def __init__(self, connection: Connection, session: str) -> None:
        self._connection = connection
        self._session = session
        self._path = session_path(session) + "/calls"

    @property
    def latest(self) -> RecordedCall:
        """The call that ended last; raises IndexError where there is none.

        >>> image_api.calls.latest.status
        400
        """
        try:
            return RecordedCall(self._connection.ask("GET", self._path + "/latest"))
        except EmulatorError as error:
            if not _is_empty(error):
                raise
            raise IndexError(f"session {self._session} has no call yet") from None

    def numbered(self, numbers: Sequence[int]) -> tuple[RecordedCall, ...]:
        """The calls that have these numbers, as far as they are remembered.

        >>> image_api.calls.numbered([2])
        (<call 2: ezmodel generate dall-e-3 400 refused: above_maximum n>,)
        """
        found = []
        for call in self._read(min(numbers) - 1) if numbers else ():
            if call.number > max(numbers):
                break
            if call.number in numbers:
                found.append(call)
        return tuple(found)

    def _read(self, after: int = 0) -> Iterator[RecordedCall]:
        """The calls with numbers above `after`, page by page."""
        following: int | None = after
        while following is not None:
            question = f"{self._path}?limit={_PAGE}" + (f"&after={following}" if following else "")
            try:
                page = self._connection.ask("GET", question)
            except EmulatorError as error:
                if not _is_empty(error):
                    raise
                return
            yield from map(RecordedCall, page["calls"])
            following = page.get("next")

    def __iter__(self) -> Iterator[RecordedCall]:
        return self._read()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> RecordedCall: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[RecordedCall]: ...
    def __getitem__(self, index: int | slice) -> RecordedCall | Sequence[RecordedCall]:
        """The call at a place counted from 0, which is not its number, or several."""
        found = tuple(self)
        if isinstance(index, slice):
            return found[index]
        try:
            return found[index]
        except IndexError:
            raise IndexError(f"no call at {index}: session {self._session} has {len(found)}") from None

    def __repr__(self) -> str:
        return f"<calls of {self._session}: {list(self)}>"


class SessionClock:
    """The time of one session: it can be moved on, and so expires links and refills limits without a wait.

    >>> image_api.clock.now
    '2026-01-01T00:00:00Z'
    >>> image_api.clock.advance("1h")
    '2026-01-01T01:00:00Z'
    """

    def __init__(self, connection: Connection, session: str) -> None:
        self._connection = connection
        self._session = session

    @property
    def now(self) -> str:
        """What time it is for the session: ISO 8601 in UTC, to the second."""
        return str(self._connection.ask("GET", f"/clock?session={self._session}")["now"])

    def advance(self, length: str | float) -> str:
        """Let `length` pass, as in "90s" or "1h" (a number is seconds), for this session alone; the time then."""
        return str(self._connection.ask("POST", "/clock", {"advance": length, "session": self._session})["now"])


def _is_empty(error: EmulatorError) -> bool:
    """Whether a server only says that a session has had no call."""
    return error.status == 404 and error.param in ("session", "calls", "number")


_PAGE: Final = 1000  # the most that a server gives at once
