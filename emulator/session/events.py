"""Sends each call to listeners, when its gateway has accepted it and when it has ended, as server-sent events.

Publishing never waits: each listener has a bounded queue; what does not fit is dropped and counted, and the listener
gets the number. Without listeners, publishing costs nothing. Credentials are redacted as everywhere.

Which calls have ended is remembered in their order, so that a listener can have those before it came, and one whose
connection broke can go on behind the last event that it had.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from emulator.core import strict_json
from emulator.core.light_dataclass import dataclass
from emulator.session.journal import JournalEntry

EventName = Literal["began", "call"]
CONTENT_TYPE: Final = "text/event-stream; charset=utf-8"
MOST_LISTENERS: Final = 32  # each may hold MOST_WAITING_BYTES
MOST_WAITING: Final = 1000  # entries that wait for a listener
MOST_WAITING_BYTES: Final = 4 * 2**20  # that they weigh together; a single entry may weigh more


MOST_REMEMBERED: Final = 4096  # calls that have ended, each by its session and number: about 500 kB


class TooManyListeners(Exception):
    """There are MOST_LISTENERS already."""


class EventId(NamedTuple):
    """The id of an event: the session and the number of its call."""

    session: str
    number: int

    def __str__(self) -> str:
        return f"{self.session}/{self.number}"


def parse_event_id(text: str) -> EventId | None:
    """Return the id that a client repeats in Last-Event-ID; None where it is none of ours."""
    session, _, number = text.rpartition("/")
    if not session or not number.isdecimal() or len(number) > _LONGEST_NUMBER:
        return None
    return EventId(session, int(number))


@dataclass(frozen=True)
class Wish:
    """What a listener wants to hear.

    `session` is the name of one session, None for all. `summaries` says that an event has the summary of its call and
    not the whole. `after` is the id of the last event that it had. `recent` is how many calls that have ended before
    it wants first, with those that are under way; it counts where `after` is None, or is not remembered any more.
    """

    session: str | None = None
    summaries: bool = False
    after: EventId | None = None
    recent: int = 0


class Journals(Protocol):
    """Where the calls of each session are found."""

    def list_calls(self, session: str) -> Awaitable[Sequence[JournalEntry] | None]:
        """Return the calls of `session`; None where there is no such session."""
        ...

    async def find_call(self, session: str, number: int) -> JournalEntry | None:
        """Return one call of `session` that has ended; None where it is not kept."""
        ...

    def list_under_way(self, session: str | None = None) -> Sequence[JournalEntry]:
        """Return the calls that are under way, in all sessions or in one."""
        ...


class Events:
    """All listeners of one server."""

    def __init__(self, keepalive: float = 15.0, journals: Journals | None = None) -> None:
        """After `keepalive` silent seconds a comment is sent; without `journals` nothing earlier is told."""
        self._listeners: set[Listener] = set()
        self._journals = journals
        self._ended: deque[tuple[str, int]] = deque(maxlen=MOST_REMEMBERED)
        self._keepalive = keepalive
        self._closed = False

    @property
    def has_listeners(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def publish_beginning(self, entry: JournalEntry) -> None:
        """Send the entry of a call that is under way to all listeners, as the event `began`."""
        for listener in self._listeners:
            listener.offer("began", entry)

    def publish(self, entry: JournalEntry) -> None:
        """Send the entry of a call that has ended to all listeners, as the event `call`."""
        for listener in self._listeners:
            listener.offer("call", entry)

    def note_end(self, session: str, number: int) -> None:
        """Remember that a call has ended, for those who begin to listen later."""
        self._ended.append((session, number))

    def publish_reset(self, session: str) -> None:
        """Send the event `reset`: the calls of `session` are forgotten, and its numbers begin anew."""
        self._ended = deque((one for one in self._ended if one[0] != session), maxlen=MOST_REMEMBERED)
        for listener in self._listeners:
            listener.offer_reset(session)

    def listen(self, wish: Wish) -> AsyncGenerator[bytes]:
        """Return what a new listener is sent; raises TooManyListeners.

        Listening begins with the first piece, and ends when the generator is closed.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            raise TooManyListeners
        return self._send_pieces(Listener(wish))

    def close(self) -> None:
        """Send every listener what waits for it, and end; after a second it is cut off."""
        self._closed = True
        for listener in self._listeners:
            listener.changed.set()
            if listener.sender is not None:
                asyncio.get_running_loop().call_later(_LAST_WAIT, listener.sender.cancel)

    async def _send_pieces(self, listener: Listener) -> AsyncGenerator[bytes]:
        self._listeners.add(listener)
        listener.sender = asyncio.current_task()
        wish = listener.wish
        await self._load_ended(listener)
        earlier, is_complete = self._find_earlier(wish)  # before anything else ends, which `listener` hears
        try:
            yield b": each call as it ends\n\n"
            if not is_complete:
                yield _format_event("dropped", {"dropped": None})
            async for piece in self._send_earlier(wish, earlier):
                yield piece
            while True:
                while listener.waiting:
                    if listener.dropped:
                        dropped, listener.dropped = listener.dropped, 0
                        yield _format_event("dropped", {"dropped": dropped})
                    yield await _format_waiting(*listener.take(), summaries=wish.summaries)
                if self._closed:
                    return
                if not await listener.wait(self._keepalive):
                    yield b": keepalive\n\n"
        finally:
            self._listeners.discard(listener)

    async def _load_ended(self, listener: Listener) -> None:
        """Learn which calls have ended before the listener came; here they are known."""

    def _find_earlier(self, wish: Wish) -> tuple[Sequence[tuple[str, int]], bool]:
        """Return the calls before now that a listener wants, the first to end first.

        The second value is false where it wants those behind a call that is not remembered.
        """
        ended = list(self._ended)
        is_complete = True
        if wish.after is not None:
            last = next((place for place in reversed(range(len(ended))) if ended[place] == wish.after), None)
            is_complete = last is not None
            if last is not None:
                return [one for one in ended[last + 1 :] if wish.session in (None, one[0])], True
        wanted = [one for one in ended if wish.session in (None, one[0])]
        return wanted[len(wanted) - min(wish.recent, len(wanted)) :], is_complete

    async def _send_earlier(self, wish: Wish, earlier: Sequence[tuple[str, int]]) -> AsyncGenerator[bytes]:
        """Yield the events of calls that have ended, and of those that are under way; what is gone is counted."""
        if self._journals is None:
            return
        known: dict[str, dict[int, JournalEntry]] = {}
        gone = 0
        for session, number in dict.fromkeys(earlier):
            if session not in known:
                entries = await self._journals.list_calls(session)
                known[session] = {entry.number: entry for entry in entries or ()}
            entry = known[session].pop(number, None)
            if entry is None or entry.state == "under_way":
                gone += 1
            else:
                yield await _format_waiting("call", entry, summaries=wish.summaries)
        if gone and wish.after is not None:
            yield _format_event("dropped", {"dropped": gone})
        if wish.recent or wish.after is not None:
            for entry in self._journals.list_under_way(wish.session):
                yield await _format_waiting("began", entry, summaries=wish.summaries)
            yield _format_event("live", {})


class Listener:
    """One listener: `waiting` are the entries to send, `dropped` counts those that did not fit since it was sent last.

    `changed` is set when there is something to send, `sender` is the task that sends it.
    """

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.waiting: deque[tuple[EventName, JournalEntry] | tuple[Literal["reset"], str]] = deque()
        self.dropped = 0
        self.changed = asyncio.Event()
        self.sender: asyncio.Task[Any] | None = None
        self._weight = 0

    def offer(self, name: EventName, entry: JournalEntry) -> None:
        """Let `entry` wait, if it is of the listener's session and there is room."""
        if self.wish.session not in (None, entry.session):
            return
        if self.waiting and (len(self.waiting) >= MOST_WAITING or self._weight + entry.weight > MOST_WAITING_BYTES):
            self.dropped += 1
        else:
            self.waiting.append((name, entry))
            self._weight += entry.weight
        self.changed.set()

    def offer_reset(self, session: str) -> None:
        """Let it wait that `session` was reset."""
        if self.wish.session in (None, session) and len(self.waiting) < MOST_WAITING:
            self.waiting.append(("reset", session))
            self.changed.set()

    def take(self) -> tuple[EventName, JournalEntry] | tuple[Literal["reset"], str]:
        """Return the name and the matter of the event that has waited longest."""
        taken = self.waiting.popleft()
        if taken[0] != "reset":
            self._weight -= taken[1].weight
        return taken

    async def wait(self, seconds: float) -> bool:
        """Wait for something to send, `seconds` at most; return whether there is."""
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            return False
        self.changed.clear()
        return True


async def _format_waiting(name: EventName | Literal["reset"], matter: JournalEntry | str, *, summaries: bool) -> bytes:
    """Return an event; a heavy one is formatted in a thread, so that no call waits for it."""
    if isinstance(matter, str):
        return _format_event(name, {"session": matter})
    if matter.weight > _HEAVY:
        return await asyncio.to_thread(_format_call, name, matter, summaries)
    return _format_call(name, matter, summaries)


def _format_call(name: str, entry: JournalEntry, summaries: bool) -> bytes:
    """Return a call as an event; one that has not ended has no id, because nobody can go on behind it."""
    described = entry.to_json()
    if summaries:
        from emulator.session.call_summary import summarize  # few listeners want them

        described = summarize(described, entry.find_own_prompt())
    event_id = None
    if name == "call":
        event_id = EventId(entry.session, entry.number)
    return _format_event(name, described, event_id)


def _format_event(name: str, data: Mapping[str, Any], event_id: EventId | None = None) -> bytes:
    lines = [f"event: {name}"]
    if event_id is not None:
        lines.append(f"id: {event_id}")
    lines.append(f"data: {strict_json.format_json(data)}")
    return ("\n".join(lines) + "\n\n").encode("utf-8", "backslashreplace")


_LAST_WAIT: Final = 1.0  # seconds
_HEAVY: Final = 2**16  # bytes; below it the formatting takes a fraction of a millisecond
_LONGEST_NUMBER: Final = 15  # digits of a call's number
