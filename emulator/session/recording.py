"""A recording while it is played and written: entries are added, and each is on disk before its call is answered.

A folder holds the YAML, `pictures/` and `bodies/`. Files get their names when they are complete, pictures and bodies
before the YAML that names them, so that a folder loads whenever the process ends. One process writes to a file at a
time.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from emulator.core.yaml_file import InvalidFile, parse_yaml
from emulator.core.yaml_writer import write_yaml
from emulator.findings import Finding
from emulator.messages import Forward, RecordMode
from emulator.scenario import loader
from emulator.scenario.limits import Counter
from emulator.scenario.recordings import END, FILE, VERSION
from emulator.scenario.scenario import Rule, Scenario
from emulator.session.recording_entry import AskedCall, GivenAnswer, RecordingEntry, make_entry
from emulator.session.secret_nets import SecretFound, make_nets


class Recording:
    """The recording in `folder`, whose YAML is `file`, played and written as `mode` says. Raises InvalidFile.

    `scenario` is what is played now: it grows with each new entry.
    """

    def __init__(self, folder: Path, mode: RecordMode, file: str = FILE) -> None:
        self.folder = folder
        self.mode: RecordMode = mode
        self.path = folder / file
        self.name = folder.name
        if file != FILE:
            self.name = self.path.stem
        loaded = self._load()
        self._is_new = loaded is None or not loaded.rules
        self.writes = mode in ("new_episodes", "all") or (mode == "once" and self._is_new)
        self._header: dict[str, Any] = {"scenario": self.name, "recorded": {"version": VERSION}}
        self._rules: list[dict[str, Any]] = []
        self._by_key: dict[str, dict[str, Any]] = {}
        self._numbers: dict[str, int] = {}
        self._renewed: set[str] = set()
        self._changing = asyncio.Lock()
        self._under_way: set[asyncio.Task[Finding | None]] = set()
        self._lock: int | None = None
        if loaded is not None and mode != "forward":
            self._read_entries(loaded)
        self.ignored = frozenset(self._header.get("ignore", ()))
        self.scenario = self._choose_scenario(loaded)
        if self.writes:
            self._lock_file()

    def _load(self) -> Scenario | None:
        if self.mode == "forward" or (self.mode != "none" and not self.path.exists()):
            return None
        if not self.path.exists():
            line = f"{self.folder}: there is no {self.path.name}; with the mode once it is recorded"
            raise InvalidFile(line)
        scenario = loader.load_scenario(self.path)
        if not scenario.is_recording:
            raise InvalidFile(f"{self.path}: is a scenario and no recording: it has no 'recorded'")
        return scenario

    def _read_entries(self, loaded: Scenario) -> None:
        root = parse_yaml(loaded.source, self.path).root
        self._header = {name: value for name, value in root.items() if name != "rules"}
        for rule, built in zip(root.get("rules", []), loaded.rules, strict=True):
            answers = rule["answers"]
            entry = {**rule, "name": built.name, "answers": answers if isinstance(answers, list) else [answers]}
            self._rules.append(entry)
            self._by_key.setdefault(json.dumps(entry.get("when", {}), sort_keys=True), entry)

    def _choose_scenario(self, loaded: Scenario | None) -> Scenario:
        if loaded is not None and not self.writes:
            return loaded
        rules: tuple[Rule, ...] = ()
        if loaded is not None and self.mode == "new_episodes":
            rules = loaded.rules
        return Scenario(
            name=self.name,
            rules=rules,
            otherwise=Forward(),
            is_recording=True,
            file=str(self.path),
            folder=self.folder,
        )

    def current(self) -> Scenario:
        """Return the scenario that is played now."""
        return self.scenario

    async def add(
        self, asked: AskedCall, given: GivenAnswer, *, session: str, counter: Counter, keys: Sequence[str]
    ) -> Finding | None:
        """Write a call and its answer; return why that is not done, or None. `keys` are the call's own credentials.

        What has begun is completed though the client leaves: the next writer must find the entry.
        """
        adding = asyncio.create_task(self._add_alone(asked, given, session, counter, keys))
        self._under_way.add(adding)
        adding.add_done_callback(self._under_way.discard)
        return await asyncio.shield(adding)

    async def _add_alone(
        self, asked: AskedCall, given: GivenAnswer, session: str, counter: Counter, keys: Sequence[str]
    ) -> Finding | None:
        async with self._changing:
            try:
                key, rule = await asyncio.to_thread(self._add, asked, given, keys)
            except SecretFound as found:
                return Finding("not_recorded", f"{self.path}: {found}; nothing of the call is written")
            except (OSError, ValueError, InvalidFile) as error:
                reason = getattr(error, "strerror", None) or str(error)
                return Finding("not_recorded", f"{self.path}: {reason}")
            rules = list(self.scenario.rules)
            number = self._numbers.get(key)
            if number is not None:
                rules[number] = rule
                self.scenario = replace(self.scenario, rules=tuple(rules))
                return None
            number = self._numbers[key] = len(rules)
            self.scenario = replace(self.scenario, rules=(*rules, rule))
            await counter.count(session, self.scenario.name_counter(number))  # its own answer is the call's first one
        return None

    def _add(self, asked: AskedCall, given: GivenAnswer, keys: Sequence[str]) -> tuple[str, Rule]:
        """Write a call and its answer; return the key of the entry, and the rule that it is now."""
        entry = make_entry(asked, given, self.ignored)
        self._check(entry, asked.operation, keys)
        known = self._by_key.get(entry.key)
        if known is None and len(self._rules) >= loader.MOST_RULES:
            raise ValueError(f"a recording has at most {loader.MOST_RULES} entries")
        for name, data in entry.files.items():
            path = self.folder / name
            if not path.resolve().is_relative_to(self.folder.resolve()):
                raise ValueError(f"{path.parent.name}/ leads out of the folder")
            if not path.exists():
                _write_file(path, data)
        name, earlier = self._choose_name(), []
        if known is not None:
            name = known["name"]
            if self.mode != "all" or entry.key in self._renewed:
                earlier = known["answers"]
        written = {"name": name, "when": entry.when, "answers": [*earlier, entry.answer]}
        rule = self._build_rule(written)  # what cannot be read again is not written
        rules = [written if one is known else one for one in self._rules]
        if known is None:
            rules.append(written)
        self._write(rules)
        self._rules = rules
        self._by_key[entry.key] = written
        self._renewed.add(entry.key)
        return entry.key, rule

    def _check(self, entry: RecordingEntry, operation: str, keys: Sequence[str]) -> None:
        """Raise SecretFound where an entry or one of its files has a credential."""
        nets = make_nets(keys)
        nets.check_text(self.name, "the recording's name")
        nets.check_value(entry.when, f"{operation}: when")
        nets.check_value(entry.answer, f"{operation}: answer")
        for name, data in entry.files.items():
            nets.check_file(name, data, f"{operation}: a file of {name.partition('/')[0]}")

    def _choose_name(self) -> str:
        taken = {rule["name"] for rule in self._rules}
        number = len(self._rules) + 1
        while f"{number:04d}" in taken:
            number += 1
        return f"{number:04d}"

    def _build_rule(self, written: Mapping[str, Any]) -> Rule:
        """Return an entry as a rule: its last answer leaves further calls to the upstream, as they are new."""
        text = _format_recording(self._header, [written])
        rule = loader.parse_scenario(text, str(self.path), self.folder).rules[0]
        return replace(rule, then="next")

    def _write(self, rules: Sequence[Mapping[str, Any]]) -> None:
        _write_file(self.path, _format_recording(self._header, rules).encode("utf-8", "surrogatepass"))

    def close(self) -> None:
        """Let other processes write; in the mode `all`, drop the entries that no call of this run has renewed."""
        if self.mode == "all" and self._renewed and len(self._renewed) < len(self._rules):
            kept = [self._by_key[key]["name"] for key in self._renewed]
            self._rules = [rule for rule in self._rules if rule["name"] in kept]
            with suppress(OSError):
                self._write(self._rules)
        if self._lock is not None:
            with suppress(OSError):
                self._lock_path.unlink()  # while it is locked: nobody else can have it
            os.close(self._lock)
            self._lock = None

    @property
    def _lock_path(self) -> Path:
        return self.folder / f".{self.path.name}.lock"

    def _lock_file(self) -> None:
        """Keep other processes from writing; the system ends the lock with the process, however that ends."""
        handle = self._open_lock()
        try:
            import fcntl
        except ImportError:  # Windows: two processes that record the same are not noticed
            os.close(handle)
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise InvalidFile(f"{self.path}: another process records into it") from None
        if not self._is_lock(handle):  # whoever had it has removed it meanwhile, and the next one makes another
            os.close(handle)
            self._lock_file()
            return
        self._lock = handle

    def _open_lock(self) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return os.open(self._lock_path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InvalidFile(f"{self.folder}: cannot be written: {error.strerror}") from None

    def _is_lock(self, handle: int) -> bool:
        """Return whether an open file is the one that others lock."""
        try:
            return os.path.samestat(os.fstat(handle), self._lock_path.stat())
        except OSError:
            return False


def _format_recording(header: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]) -> str:
    return write_yaml({**header, "rules": list(rules)}) + END + "\n"


def _write_file(path: Path, data: bytes) -> None:
    """Write a file that is there as a whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink()
        raise


_UNFINISHED: Final = ".part"
