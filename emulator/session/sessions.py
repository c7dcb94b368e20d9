"""Sessions: finds the session of a call, by path, header or API key, and keeps what each session remembers.

A session shares nothing with another one. A key never names a session by itself: only its digest does, so that a
session's name can be shown to anybody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from emulator.core.bounded_cache import BoundedCache
from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.core.names import RESERVED_KEY, name_for_key
from emulator.gateway.gateway import Gateway
from emulator.messages import Behavior, GatewayError, Missed, PictureWeight, Request
from emulator.scenario.scenario import Scenario
from emulator.session.call_record import CallRecord, SentResponse
from emulator.session.journal import CallState, JournalEntry, entry_from_plain
from emulator.session.redaction import LIKE_A_KEY, is_known_key, names_a_key, note_credentials, note_key
from emulator.session.store import SessionSummary, Store

if TYPE_CHECKING:
    from emulator.session.recording import Recording

HEADER: Final = "X-Emulator-Session"
LATEST: Final = "latest"
DEFAULT_SESSION: Final = "default"
"""The session of the calls that name none and have no key."""


@dataclass(frozen=True)
class SessionOverrides:
    """The settings that a session has in the place of its server's; None: the server's own counts."""

    report_only: bool | None = None
    behavior: Behavior | None = None
    picture_weight: PictureWeight | None = None


class SessionSetup(NamedTuple):
    """How the calls of a session are answered."""

    scenario: Scenario
    overrides: SessionOverrides


class Sessions:
    """All sessions of one server; what they remember is in `store`.

    `default_scenario` returns the scenario of the sessions that have none of their own; it may change between calls.
    """

    def __init__(self, store: Store, clock: Clock, seed: int, default_scenario: Callable[[], Scenario]) -> None:
        self._store = store
        self._clock = clock
        self._seed = seed
        self._default_scenario = default_scenario
        self._recordings: dict[str, Recording] = {}
        self._default_recording: Recording | None = None
        self._parsed: BoundedCache[tuple[str, str, str | None, int], Scenario] = BoundedCache(_PARSED_CAPACITY)
        self._under_way: dict[str, dict[int, CallRecord]] = {}

    async def begin_call(self, session: str, request: Request, gateway: Gateway, key: str | None) -> CallRecord:
        """Give the call a number in its session, which begins with its first call, and a request id.

        The id depends on seed, session and number alone, so that a run repeats.
        """
        if key is not None:
            note_key(key)
        note_credentials(request.headers, gateway.credential_headers)
        number = await self._store.begin_call(session, self._clock.base())
        if self._store.is_shared:
            await self._clock.refresh_for_call(session)
        now = self._clock.now(session)
        request_id = gateway.response_headers.ids.make_id(f"{self._seed}\n{session}\n{number}", now)
        pending = CallRecord(number, session, request_id, request=request, key=key, began=now, gateway=gateway)
        self._add_under_way(pending)
        return pending

    async def finish_call(self, pending: CallRecord, sent: SentResponse | None, state: CallState | None = None) -> None:
        """Write a call that has ended to the journal.

        `sent` is None where nothing was sent, and `state` is by default what `sent` says: whether the client took all.
        """
        if state is None:
            state = "answered" if sent is not None and sent.complete else "client_gone"
        pending.end(state, sent, self._clock.now(pending.session) - pending.began)
        if not pending.forgotten:
            self.end_call(pending)
            await self._store.add_call(pending.session, pending, pending.weight)

    async def correct_call(self, pending: CallRecord, sent: SentResponse | None) -> None:
        """Write to the journal that the client of a call, which was written before it was sent, has left before."""
        pending.correct("client_gone", sent)
        if not pending.forgotten:
            await self._store.add_call(pending.session, pending, pending.weight)

    def end_call(self, pending: CallRecord) -> None:
        """Let the call be under way no more, whether it was journalled or a bug of ours broke it off."""
        calls = self._under_way.get(pending.session, {})
        if calls.get(pending.number) is not pending:
            return
        del calls[pending.number]
        if not calls:
            del self._under_way[pending.session]

    def describe_call(self, pending: CallRecord) -> JournalEntry:
        """Return the entry of a call that is under way, as far as it is now."""
        return pending.describe_under_way(self._clock.now(pending.session) - pending.began)

    def count_under_way(self, session: str | None = None) -> int:
        """Return how many calls are under way, in all sessions or in one."""
        if session is not None:
            return len(self._under_way.get(session, ()))
        return sum(map(len, self._under_way.values()))

    def change_gateway(self, pending: CallRecord, gateway: Gateway) -> None:
        """Let the same gateway in another behavior answer the call; it finds keys and makes ids in its own way."""
        pending.gateway = gateway
        pending.key = gateway.find_key(pending.request.headers)
        now = self._clock.now(pending.session)
        pending.request_id = gateway.response_headers.ids.make_id(
            f"{self._seed}\n{pending.session}\n{pending.number}", now
        )

    async def get_setup(self, session: str) -> SessionSetup:
        """Return the scenario of the session, and the settings that it has in the place of the server's."""
        values = self._store.known_values(session)
        if values is None:
            values = await self._store.get_values(session)
        if not values:  # most sessions have none
            return SessionSetup(self._default_scenario(), NO_OVERRIDES)
        return SessionSetup(self._read_scenario(values.get(_SCENARIO), session), _read_overrides(values.get(_SETTINGS)))

    async def get_scenario(self, session: str) -> Scenario:
        """Return the scenario of the session."""
        values = await self._store.get_values(session)
        return self._read_scenario(values.get(_SCENARIO), session)

    def _read_scenario(self, stored: Any, session: str) -> Scenario:
        if stored is None:
            return self._default_scenario()
        if "recording" in stored:
            recording = self._recordings.get(session)
            if recording is None:  # it has ended
                return Scenario(session, otherwise=Missed(stored["recording"]), is_recording=True)
            return recording.current()
        return self._parse_scenario(stored["source"], stored["file"], stored["folder"], stored["version"])

    async def play_scenario(self, session: str, scenario: Scenario | None) -> None:
        """Let the session play `scenario` from its beginning; None: the server's default again."""
        stored = None
        if scenario is not None:
            folder = None if scenario.folder is None else str(scenario.folder)
            stored = {
                "source": scenario.source, "file": scenario.file, "folder": folder, "version": scenario.version,
            }  # fmt: skip
            self._remember_parsed((scenario.source, scenario.file, folder, scenario.version), scenario)
        await self._store.set_value(session, _SCENARIO, stored, self._clock.base(), restart=True)

    def play_recording_by_default(self, recording: Recording) -> None:
        """Let the sessions that play nothing of their own play `recording`."""
        self._default_recording = recording
        self._default_scenario = recording.current

    async def play_recording(self, session: str, recording: Recording) -> None:
        """Let the session play `recording` from its beginning; it is written as its mode says."""
        self._recordings[session] = recording
        stored = {"recording": str(recording.path)}
        await self._store.set_value(session, _SCENARIO, stored, self._clock.base(), restart=True)

    async def get_recording(self, session: str) -> Recording | None:
        """Return the recording that the session plays, if it plays one that may be written."""
        stored = (await self._store.get_values(session)).get(_SCENARIO)
        if stored is None:
            return self._default_recording
        if "recording" in stored:
            return self._recordings.get(session)
        return None

    def close_recording(self, session: str) -> None:
        """End the recording of the session."""
        recording = self._recordings.pop(session, None)
        if recording is not None:
            recording.close()

    def close_recordings(self) -> None:
        """End all recordings."""
        for session in list(self._recordings):
            self.close_recording(session)
        if self._default_recording is not None:
            self._default_recording.close()

    async def get_overrides(self, session: str) -> SessionOverrides:
        """Return the settings that the session has in the place of the server's."""
        values = await self._store.get_values(session)
        return _read_overrides(values.get(_SETTINGS))

    async def change_overrides(self, session: str, **changes: Any) -> SessionOverrides:
        """Change fields of SessionOverrides for the session; return all that it has then."""
        overrides = replace(await self.get_overrides(session), **changes)
        await self._store.set_value(session, _SETTINGS, asdict(overrides), self._clock.base())
        return overrides

    async def forget(self, session: str) -> None:
        """Remove everything about the session; calls that are under way are answered, and not journalled."""
        self.forget_under_way(session)
        await self._store.forget(session)
        self._clock.forget(session)

    async def reset(self, session: str) -> None:
        """Remove the calls and tasks of the session, and begin its numbers and its scenario anew.

        Calls that are under way are answered, and not journalled: they belong to what was before.
        """
        self.forget_under_way(session)
        await self._store.reset(session)

    async def list_calls(self, session: str) -> Sequence[JournalEntry] | None:
        """Return the calls of the session that are still kept, and those that are under way.

        None if there is no such session.
        """
        stored = await self._store.list_calls(session)
        if stored is None:
            return None
        entries = [entry_from_plain(values) for values in stored]
        return [*entries, *self.list_under_way(session)]

    async def find_call(self, session: str, number: int) -> JournalEntry | None:
        """Return one call of the session that has ended; None where it is not kept."""
        values = await self._store.get_call(session, number)
        return None if values is None else entry_from_plain(values)

    def list_under_way(self, session: str | None = None) -> Sequence[JournalEntry]:
        """Return the calls that are under way, in all sessions or in one."""
        sessions = [session] if session is not None else list(self._under_way)
        calls = [pending for one in sessions for pending in self._under_way.get(one, {}).values()]
        numbered = [pending for pending in calls if pending.number > 0]  # the others wait for the store
        return [self.describe_call(pending) for pending in numbered]

    async def note_operation(self, pending: CallRecord) -> None:
        """Note that the call has reached an operation of its gateway."""
        await self._store.note_operation(pending.session)

    async def find_latest(self) -> str | None:
        """Return the session in which a call has reached an operation last, else the one used last, if there is one."""
        return await self._store.find_latest()

    async def list_sessions(self) -> Sequence[SessionSummary]:
        """Return all sessions, first the one that was not used for the longest time."""
        return await self._store.list_sessions()

    def _add_under_way(self, pending: CallRecord) -> None:
        calls = self._under_way.setdefault(pending.session, {})
        earlier = calls.get(pending.number)
        if earlier is not None:  # of a session that the store has dropped meanwhile
            earlier.forgotten = True
        calls[pending.number] = pending

    def forget_under_way(self, session: str) -> None:
        """Let the calls of the session that are under way be answered, and not journalled."""
        for pending in self._under_way.pop(session, {}).values():
            pending.forgotten = True

    def _parse_scenario(self, source: str, file: str, folder: str | None, version: int) -> Scenario:
        """Return the scenario of a source text; those that were used last are kept parsed."""
        key = (source, file, folder, version)
        scenario = self._parsed.get(key)
        if scenario is None:
            from emulator.scenario import loader  # a server without scenarios need not load what parses them

            parsed = loader.parse_scenario(source, file, None if folder is None else Path(folder))
            scenario = replace(parsed, version=version)
            self._remember_parsed(key, scenario)
        return scenario

    def _remember_parsed(self, key: tuple[str, str, str | None, int], scenario: Scenario) -> None:
        self._parsed.put(key, scenario, _PARSED_WEIGHT + len(scenario.source))


def _read_overrides(stored: Any) -> SessionOverrides:
    if stored is None:
        return NO_OVERRIDES
    return SessionOverrides(**stored)


def split_path(path: str) -> tuple[str | None, str]:
    """Return the session that the prefix `/s/{id}` of a path names, and the path without it."""
    if not path.startswith("/s/"):
        return None, path
    name, _, rest = path[3:].partition("/")
    return name, "/" + rest


def choose_session(
    request: Request, prefix: str | None, key: str | None, reserved: bool
) -> tuple[str, GatewayError | None]:
    """Return the session of a call, and the error of a call that names a session by an impossible name.

    Such a call belongs to the default session. With `reserved`, a reserved key has the session's name behind its value.
    """
    name = prefix
    if name is None:
        name = request.headers.get(HEADER)
    if reserved and name is None and key is not None and key.startswith(RESERVED_KEY):
        name = key[len(RESERVED_KEY) :].partition(".")[2] or None  # sk-emulator.rate-limit.case-7 is the session case-7
    if name is None:
        return (DEFAULT_SESSION if key is None else name_for_key(key)), None
    if not can_name(name) or name == key or _is_credential(name, request.headers):
        facts = {"value": repr(name[:80])}
        return DEFAULT_SESSION, GatewayError("invalid_request", violation="bad_session", facts=facts)
    return name, None


def can_name(name: str) -> bool:
    """Return whether a session can have the name: it is short, plain, not `latest`, and does not look like a key."""
    return (
        bool(_NAME.fullmatch(name)) and name != LATEST and not re.fullmatch(LIKE_A_KEY, name) and not is_known_key(name)
    )


def _is_credential(name: str, headers: Mapping[str, str]) -> bool:
    """Return whether a header of the call has `name` as a credential."""
    if name not in " ".join(headers.values()):
        return False
    return any(name in re.split(r"[\s=;,]+", value) for header, value in headers.items() if names_a_key(header))


NO_OVERRIDES: Final = SessionOverrides()
_SCENARIO: Final = "scenario"
_SETTINGS: Final = "settings"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_PARSED_CAPACITY: Final = 8 * 2**20  # bytes of YAML; the objects made of them need some ten times as many
_PARSED_WEIGHT: Final = 40_000  # what each counts besides, so that 200 small ones fit; a test run plays a few dozen
