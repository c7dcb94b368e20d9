"""Coverage of a contract: what of the rules of its gateways a run has met, and what it never met.

Facts of calls go in, counts of items come out, and counts of several sessions, processes and runs are added up. A
gateway counts from the first call that reaches an operation of it, in the behavior that judged the call.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final, Literal

from emulator.analysis.contract_items import (
    DONE,
    ITEM_KINDS,
    PASSED,
    SIZE_BREACHES,
    UNKNOWN,
    Contract,
    CountedParameter,
    Item,
    spell_value,
)
from emulator.core.light_dataclass import dataclass
from emulator.core.picture_events import has_finished_picture
from emulator.core.whole_file import write_whole_file
from emulator.core.yaml_file import describe_value
from emulator.gateway.gateway import Gateway
from emulator.gateway.model_catalog import Calendar
from emulator.messages import Behavior
from emulator.session.journal import JournalEntry

LinkOutcome = Literal["link_followed", "expired_link"]
ContractName = tuple[str, str]
"""The name of a gateway, and its behavior."""

FindContract = Callable[[str, Behavior], Contract]
"""Returns the contract of a gateway in a behavior."""


@dataclass
class Tally:
    """What some calls have met: for each contract the calls that reached an operation, and the count of each item.

    `failed` are digests of the requests that got a 429 or a 5xx and were not answered since, with the situation that
    an answer to them would be.
    """

    calls: dict[ContractName, int] = field(default_factory=dict)
    counts: dict[ContractName, dict[Item, int]] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)

    def add_call(self, entry: JournalEntry, contract: Contract) -> None:
        """Count a call that has ended, by the contract of its gateway in its behavior."""
        name = entry.gateway, entry.behavior
        if entry.operation is not None:
            self.calls[name] = self.calls.get(name, 0) + 1
        items = {item for item in find_met(entry, contract) if item in contract.known_items}
        situation = self._note_retry(entry)
        if situation is not None:
            items.add(Item("situation", name=situation))
        self._count(name, items)

    def add_link(self, gateway: str, outcome: LinkOutcome) -> None:
        """Count a request for a picture of `gateway` by its link."""
        names = [name for name in self.calls if name[0] == gateway] or [(gateway, "documented")]
        for name in names:
            self._count(name, [Item("situation", name=outcome)])

    def add(self, other: Tally) -> None:
        """Add what other calls have met."""
        for name, number in other.calls.items():
            self.calls[name] = self.calls.get(name, 0) + number
        for name, counts in other.counts.items():
            self._count(name, counts, counts)

    def _count(self, name: ContractName, items: Iterable[Item], numbers: Mapping[Item, int] | None = None) -> None:
        counts = self.counts.setdefault(name, {})
        for item in items:
            counts[item] = counts.get(item, 0) + (1 if numbers is None else numbers[item])

    def _note_retry(self, entry: JournalEntry) -> str | None:
        """Return the situation of a request that comes again after a failure, and is answered; else None."""
        status = entry.status
        has_failed = status is not None and (status == 429 or status >= 500)
        if not has_failed and not self.failed:
            return None
        request = json.dumps([entry.gateway, entry.operation, entry.given], sort_keys=True, default=str)
        digest = hash((request, tuple(upload["sha256"] for upload in entry.uploads)))
        if has_failed:
            if len(self.failed) >= _MOST_FAILED:
                del self.failed[next(iter(self.failed))]
            self.failed[digest] = "retry_after_429" if status == 429 else "retry_after_5xx"
            return None
        if status == 200 and entry.sent:
            return self.failed.pop(digest, None)
        return None


def find_met(entry: JournalEntry, contract: Contract) -> Iterator[Item]:
    """Yield the items that one call has met; some may be none of the contract, such as a model that nobody lists."""
    operation, refused = entry.operation, entry.refused
    if refused is not None:
        yield Item("refusal", name=refused["kind"])
        if operation is not None:
            yield from _find_passed_bounds(operation, refused)
    for fault in entry.faults:
        yield Item("fault", name=fault)
    yield from _find_situations(entry)
    if operation is None or not entry.accepted:
        return
    yield Item("operation", operation)
    yield from _find_events(entry, operation)
    if entry.model is not None:
        yield Item("model", name=entry.model)
    in_form = _is_form(entry.headers)
    if operation in contract.bodies:
        yield Item("operation", operation, "in a form" if in_form else "in JSON")
    params = entry.params or {}
    for parameters in contract.find_parameters(operation, in_form, entry.model):
        for name, value in _list_given(entry):
            counted = parameters.get(name)
            if counted is not None:
                yield counted.item
                yield from _find_values(counted, (value, params.get(name, value)))


def _find_values(counted: CountedParameter, spellings: Sequence[Any]) -> Iterator[Item]:
    """Yield the value of a parameter that a call met, and the bounds that it reached.

    `spellings` are the value as the client and as the gateway writes it.
    """
    if counted.values:
        for spelled in map(spell_value, spellings):
            if spelled in counted.values:
                yield counted.values[spelled]
    for bound, item in counted.bounds:
        if any(map(bound.is_reached, spellings)):
            yield item


def _list_given(entry: JournalEntry) -> Iterator[tuple[str, Any]]:
    """Yield the parameters that the client gave; the files of one parameter are a list."""
    files: dict[str, list[Any]] = {}
    if isinstance(entry.given, Mapping):
        for name, value in entry.given.items():
            if value is not None:  # null counts as not given
                yield _strip_brackets(str(name)), value
    for upload in entry.uploads:
        files.setdefault(_strip_brackets(upload["name"]), []).append(upload["sha256"])
    for name, values in files.items():
        if not (isinstance(entry.given, Mapping) and name in entry.given):
            yield name, values


def _strip_brackets(name: str) -> str:
    """Return the parameter of a name such as `image[]`, `images[0].image_url` or `image.0`."""
    return name.partition("[")[0].partition(".")[0]


def _find_passed_bounds(operation: str, refused: Mapping[str, Any]) -> Iterator[Item]:
    """Yield the bound that a refused call was beyond."""
    breach, rule = refused["breach"], refused["rule"] or ""
    param = _strip_brackets(str(refused["param"] or ""))
    keyword = rule.partition(":")[0]
    if breach == "unknown_parameter":
        yield Item("bound", operation, UNKNOWN, f"refused, {PASSED}")
    elif breach in SIZE_BREACHES:
        yield Item("bound", operation, param, f"{breach}, {PASSED}")
    elif keyword in ("required", "enum"):
        yield Item("bound", operation, param, f"{keyword}, {PASSED}")
    elif rule:
        yield Item("bound", operation, param, f"{rule}, {PASSED}")


def _find_events(entry: JournalEntry, operation: str) -> Iterator[Item]:
    for name in _list_event_names(entry):
        yield Item("event", operation, name)


def _list_event_names(entry: JournalEntry) -> Iterator[str]:
    """Yield the names of the events that were sent."""
    if entry.response is None:
        return
    for _, text in entry.response["events"] or ():
        for line in text.splitlines():
            if line.startswith("event:"):
                yield line[len("event:") :].strip()
            elif line.removeprefix("data:").strip() == DONE:
                yield DONE


def _find_situations(entry: JournalEntry) -> Iterator[Item]:
    names = []
    if entry.state == "client_gone":
        names.append("client_gone")
    if entry.latency is not None and entry.latency >= _SLOW:
        names.append("slow_answer")
    altered = entry.altered if isinstance(entry.altered, Sequence) else [entry.altered]
    if entry.pictures and any(one is not None and "error" not in one for one in altered):
        names.append("altered_picture")
    if entry.pictures and any(one is not None and "error" in one for one in altered):
        names.append("failed_picture")
    if _has_fewer_pictures(entry):
        names.append("fewer_pictures")
    if entry.task is not None and entry.operation == "task":
        names.append("finished_task" if entry.task["state"] in ("done", "failed") else "waiting_task")
    if _ends_unfinished(entry):
        names.append("partial_picture")
    for name in names:
        yield Item("situation", name=name)


def _ends_unfinished(entry: JournalEntry) -> bool:
    """Return whether a stream has shown unfinished pictures and no finished one."""
    if not any("partial_image" in name for name in _list_event_names(entry)):
        return False
    events: Sequence[Any] = ()
    if entry.response is not None:
        events = entry.response["events"]
    return not any(has_finished_picture(text.encode("utf-8", "surrogatepass")) for _, text in events)


def _has_fewer_pictures(entry: JournalEntry) -> bool:
    if entry.operation not in ("generate", "edit") or entry.refused is not None or entry.status != 200:
        return False
    if entry.task is not None or entry.streams or entry.params is None or not entry.sent:
        return False
    return len(entry.pictures) < entry.pictures_asked and entry.rule is not None


def _is_form(headers: Mapping[str, str]) -> bool:
    return any(
        name.lower() == "content-type" and value.lower().startswith("multipart/") for name, value in headers.items()
    )


class CoverageCounter:
    """Counts what the calls of a server meet, each session by itself, whatever its journal drops.

    A call is counted some time after it has ended, together with others or when somebody asks, so that no answer waits
    for it. The longest unused sessions beyond the first `sessions` are counted together.
    """

    def __init__(self, find_contract: FindContract, sessions: int) -> None:
        self.find_contract = find_contract
        self._most_sessions = sessions
        self._waiting: list[Callable[[], None]] = []
        self._weight = 0
        self._sessions: OrderedDict[str, Tally] = OrderedDict()
        self._others = Tally()

    def note_call(self, session: str, weight: int, read_entry: Callable[[], JournalEntry]) -> None:
        """Note a call that has ended; `read_entry` returns its entry, which weighs about `weight` bytes."""
        self._waiting.append(lambda: self._count_call(session, read_entry()))
        self._weight += weight
        if len(self._waiting) >= _MOST_WAITING or self._weight >= _MOST_BYTES:
            self._count_waiting()

    def note_link(self, session: str, gateway: str, outcome: LinkOutcome) -> None:
        """Note a request for a picture by its link."""
        self._waiting.append(lambda: self._open_tally(session).add_link(gateway, outcome))
        if len(self._waiting) >= _MOST_WAITING:
            self._count_waiting()

    def count_session(self, session: str) -> Tally | None:
        """Return what the calls of one session have met; None where it has had none."""
        self._count_waiting()
        return self._sessions.get(session)

    def count_all(self) -> Tally:
        """Return what all calls have met."""
        self._count_waiting()
        tally = Tally()
        for one in (self._others, *self._sessions.values()):
            tally.add(one)
        return tally

    def build(self, calendar: Calendar) -> Coverage:
        """Return the coverage of the contracts that calls have reached."""
        return build_coverage(self.count_all(), self.find_contract, calendar)

    def _count_waiting(self) -> None:
        waiting, self._waiting, self._weight = self._waiting, [], 0
        for count in waiting:
            count()

    def _count_call(self, session: str, entry: JournalEntry) -> None:
        self._open_tally(session).add_call(entry, self.find_contract(entry.gateway, entry.behavior))

    def _open_tally(self, session: str) -> Tally:
        tally = self._sessions.get(session)
        if tally is None:
            tally = self._sessions[session] = Tally()
            if len(self._sessions) > self._most_sessions:
                _, oldest = self._sessions.popitem(last=False)
                self._others.add(oldest)
        else:
            self._sessions.move_to_end(session)
        return tally


def tally_calls(entries: Iterable[JournalEntry], find_contract: FindContract) -> Tally:
    """Return what the calls of a session's journal have met; those that are under way are left out."""
    tally = Tally()
    for entry in entries:
        if entry.state != "under_way":
            tally.add_call(entry, find_contract(entry.gateway, entry.behavior))
    return tally


@dataclass(frozen=True)
class CoveredItem:
    """An item of a contract: how many calls met it, and the line to add to a test that should meet it."""

    item: Item
    count: int
    add: str


@dataclass(frozen=True)
class ContractCoverage:
    """What of one contract was met by `calls` calls; `items` are all of its items, in the contract's order."""

    gateway: str
    behavior: str
    calls: int
    items: tuple[CoveredItem, ...]

    @property
    def name(self) -> str:
        """The name of the gateway, with its behavior where that is not the documented one."""
        if self.behavior == "documented":
            return self.gateway
        return f"{self.gateway}, {self.behavior}"

    def select(self, kind: str) -> list[CoveredItem]:
        """Return the items of one kind."""
        return [one for one in self.items if one.item.kind == kind]


@dataclass(frozen=True)
class Coverage:
    """What of the contracts of a run was met.

    `uncounted` calls were dropped before they could be counted. Without `links` no request for a picture was counted.
    """

    contracts: tuple[ContractCoverage, ...]
    uncounted: int = 0
    links: bool = True

    @property
    def share(self) -> float:
        """The share of all items that were met, in per cent; 0 where there is none."""
        return measure_share(one for contract in self.contracts for one in contract.items)

    def to_json(self) -> dict[str, Any]:
        """Return the coverage as JSON; `coverage_from_json` reads it."""
        return {
            "coverage": VERSION,
            "share": self.share,
            "uncounted": self.uncounted,
            "links": self.links,
            "gateways": [_contract_to_json(contract) for contract in self.contracts],
        }


def build_coverage(
    tally: Tally, find_contract: FindContract, calendar: Calendar, *, uncounted: int = 0, links: bool = True
) -> Coverage:
    """Return the coverage of the contracts that calls have reached.

    `calendar` says which models are there; one that was met though it is not there now counts all the same.
    """
    contracts = []
    for name in sorted(tally.calls):
        gateway, behavior = name
        counts = tally.counts.get(name, {})
        contract = find_contract(gateway, behavior)  # type: ignore[arg-type]  # the behavior of a journal's entry
        lines = contract.list_items(calendar)
        lines = {**lines, **{item: contract.known_items[item] for item in counts if item not in lines}}
        items = tuple(CoveredItem(item, counts.get(item, 0), add) for item, add in lines.items())
        contracts.append(ContractCoverage(gateway, behavior, tally.calls[name], items))
    return Coverage(tuple(contracts), uncounted, links)


def merge_coverage(parts: Iterable[Coverage]) -> Coverage:
    """Return the coverage of several processes or runs together."""
    calls: dict[ContractName, int] = {}
    found: dict[ContractName, dict[Item, CoveredItem]] = {}
    uncounted, links = 0, True
    for part in parts:
        uncounted += part.uncounted
        links = links and part.links
        for contract in part.contracts:
            name = contract.gateway, contract.behavior
            calls[name] = calls.get(name, 0) + contract.calls
            items = found.setdefault(name, {})
            for one in contract.items:
                before = items.get(one.item)
                count = one.count if before is None else before.count + one.count
                items[one.item] = CoveredItem(one.item, count, one.add)
    contracts = []
    for name, items in sorted(found.items(), key=lambda pair: pair[0]):
        gateway, behavior = name
        covered = ContractCoverage(gateway=gateway, behavior=behavior, calls=calls[name], items=tuple(items.values()))
        contracts.append(covered)
    return Coverage(tuple(contracts), uncounted, links)


def measure_share(items: Iterable[CoveredItem]) -> float:
    """Return the share of `items` that were met, in per cent, with one decimal; 100 only where all were."""
    counts = [one.count for one in items]
    if not counts:
        return 0.0
    met = sum(1 for count in counts if count)
    share = round(100 * met / len(counts), 1)
    if share == 100 and met < len(counts):
        return 99.9
    return share


def coverage_from_json(value: Any) -> Coverage:
    """Return the coverage that `to_json` made; raises ValueError, in one line, for anything else."""
    if not isinstance(value, Mapping) or "coverage" not in value:
        raise ValueError(f"{describe_value(value)} is no coverage; expected what --image-api-coverage=json writes")
    if value["coverage"] != VERSION:
        raise ValueError(f"coverage is of version {describe_value(value['coverage'])}; this one reads {VERSION}")
    try:
        uncounted = _read_count(value.get("uncounted", 0))
        links = value.get("links", True) is True
        return Coverage(tuple(map(_contract_from_json, value["gateways"])), uncounted, links)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the coverage is damaged: {type(error).__name__} {error}") from None


def _contract_to_json(contract: ContractCoverage) -> dict[str, Any]:
    kinds = []
    for kind in ITEM_KINDS:
        items = contract.select(kind)
        if items:
            met = sum(1 for one in items if one.count)
            kinds.append({"kind": kind, "met": met, "items": len(items), "share": measure_share(items)})
    return {
        "gateway": contract.gateway,
        "behavior": contract.behavior,
        "calls": contract.calls,
        "share": measure_share(contract.items),
        "kinds": kinds,
        "items": [{**one.item._asdict(), "count": one.count, "add": one.add} for one in contract.items],
    }


def _contract_from_json(value: Mapping[str, Any]) -> ContractCoverage:
    return ContractCoverage(
        gateway=_read_text(value["gateway"]),
        behavior=_read_text(value["behavior"]),
        calls=_read_count(value["calls"]),
        items=tuple(map(_item_from_json, value["items"])),
    )


def _item_from_json(value: Mapping[str, Any]) -> CoveredItem:
    kind = value["kind"]
    if kind not in ITEM_KINDS:
        raise ValueError(f"an item is of the kind {describe_value(kind)}; known are {', '.join(ITEM_KINDS)}")
    operation, name, detail = (_read_text(value[member]) for member in ("operation", "name", "detail"))
    return CoveredItem(Item(kind, operation, name, detail), _read_count(value["count"]), _read_text(value["add"]))


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{describe_value(value)} stands where a text is expected")
    return value


def _read_count(value: Any) -> int:
    if value.__class__ is not int or value < 0:
        raise ValueError(f"{describe_value(value)} stands where a count is expected")
    return int(value)


def write_coverage(path: Path, coverage: Coverage) -> None:
    """Write `coverage` to a file of JSON, which is there as a whole or not at all; raises OSError."""
    text = json.dumps(coverage.to_json(), ensure_ascii=False, indent=1)
    write_whole_file(path, f"{text}\n".encode("utf-8", "backslashreplace"), 0o644)


class Contracts:
    """The contracts of a server's gateways, each made when it is first needed."""

    def __init__(self, find_gateway: Callable[[str, Behavior], Gateway]) -> None:
        self._find_gateway = find_gateway
        self._found: dict[tuple[str, Behavior], Contract] = {}

    def __call__(self, gateway: str, behavior: Behavior) -> Contract:
        """Return the contract of a gateway in a behavior."""
        name = gateway, behavior
        if name not in self._found:
            self._found[name] = Contract(self._find_gateway(gateway, behavior))
        return self._found[name]


VERSION: Final = 1
"""Of the JSON; another version is not read."""
_SLOW: Final = 10.0  # seconds; the usual time-out of a client that was made for texts
_MOST_FAILED: Final = 100  # requests of a session that were not answered since; a client repeats the newest
_MOST_WAITING: Final = 200  # calls that are counted together; that takes some 10 ms
_MOST_BYTES: Final = 4 * 2**20  # of calls that wait
