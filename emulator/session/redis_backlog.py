"""What a server could not give to its Redis while that was lost, and gives it when it is back."""

from __future__ import annotations

import os
from collections import deque
from typing import Final

from emulator.core.bounded_cache import BoundedCache
from emulator.core.light_dataclass import dataclass
from emulator.image.files import FileKind
from emulator.session.store import PlainValue, ProvisionalCall, StoredCall, StoreLimits


@dataclass
class HeldCall:
    """A call that has ended; `era` is that of its session when it began, None where it has no number of the store."""

    session: str
    call: StoredCall
    weight: int
    era: str | None

    def take_number(self, number: int, era: bytes) -> None:
        """Give the call a number of the store, in the present era of its session."""
        assert isinstance(self.call, ProvisionalCall)
        self.call.renumber(number)
        self.era = era.decode()


@dataclass
class _Stub:
    """A call of which nothing but its number is known any more."""

    number: int

    def renumber(self, number: int) -> None:
        self.number = number

    def to_plain(self) -> PlainValue:
        raise ValueError("a call that was dropped is not written")


@dataclass(frozen=True)
class HeldTask:
    """A task as it was when it changed last; `value` is its JSON, `now` the time at which it changed."""

    value: bytes
    weight: int
    now: float


class Backlog:
    """Calls, tasks and files that wait for the store; as many as the store itself would keep, the oldest make room."""

    def __init__(self, limits: StoreLimits) -> None:
        self._limits = limits
        self._bytes = 0
        self._last_number = -int.from_bytes(os.urandom(5), "big")  # so that ids differ from those of other replicas
        self.calls: deque[HeldCall] = deque()
        self.missing: list[HeldCall] = []
        """The calls that were dropped, without what is kept of them."""
        self.tasks: dict[tuple[str, str], HeldTask] = {}
        self._files: dict[FileKind, BoundedCache[str, bytes]] = {
            "upload": BoundedCache(limits.upload_bytes),
            "picture": BoundedCache(limits.picture_bytes),
        }
        self.digests: dict[tuple[FileKind, str], None] = {}
        """The files that wait, in their order; one that was dropped meanwhile cannot be found any more."""

    def number_call(self) -> int:
        """Return a number below 0 for a call that begins while the store is lost."""
        self._last_number -= 1
        return self._last_number

    def add_call(self, held: HeldCall) -> None:
        """Keep a call that has ended."""
        self.calls.append(held)
        self._bytes += held.weight
        while self._bytes > self._limits.bytes and self.calls:
            dropped = self.take_call()
            self.missing.append(HeldCall(dropped.session, _Stub(dropped.call.number), 0, dropped.era))

    def take_call(self) -> HeldCall:
        """Return the call that has waited longest, which waits no more."""
        held = self.calls.popleft()
        self._bytes -= held.weight
        return held

    def put_back(self, held: HeldCall) -> None:
        """Let a call wait again that was taken."""
        self.calls.appendleft(held)
        self._bytes += held.weight

    def forget_session(self, session: str) -> None:
        """Drop the calls and tasks of a session that is reset."""
        kept = [held for held in self.calls if held.session != session]
        self.calls = deque(kept)
        self._bytes = sum(held.weight for held in kept)
        for key in [key for key in self.tasks if key[0] == session]:
            del self.tasks[key]

    def add_task(self, session: str, task: str, held: HeldTask) -> None:
        """Keep a task as it is now."""
        self.tasks.pop((session, task), None)
        self.tasks[session, task] = held
        if len(self.tasks) > self._limits.calls:
            del self.tasks[next(iter(self.tasks))]

    def add_file(self, kind: FileKind, digest: str, data: bytes) -> None:
        """Keep a file."""
        self._files[kind].put(digest, data, len(data))
        self.digests[kind, digest] = None
        if len(self.digests) > _MOST_FILES:
            del self.digests[next(iter(self.digests))]

    def find_file(self, kind: FileKind, digest: str) -> bytes | None:
        """Return a file that waits; None where it does not."""
        return self._files[kind].get(digest)

    def drop_files(self) -> None:
        """Drop all files: the store has them."""
        self.digests.clear()
        self._files["upload"] = BoundedCache(self._limits.upload_bytes)
        self._files["picture"] = BoundedCache(self._limits.picture_bytes)


_MOST_FILES: Final = 10_000  # that wait; small ones would be forgotten by their count, not by their bytes
