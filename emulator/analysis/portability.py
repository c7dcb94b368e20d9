"""Holds calls against every gateway and its behavior: who would take them as they are, who in part, who not, and why.

A body alone is judged, in the same way as when it arrives: never the key, the script or the limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from emulator.core import yaml_file
from emulator.gateway.calendar import Calendar
from emulator.gateway.gateway import Gateway
from emulator.messages import BEHAVIORS, VIOLATIONS, Behavior, GatewayError, Request
from emulator.session.journal import BLANK, LIKE_A_KEY, Entry
from emulator.validation.registry import GatewayRegistry
from emulator.validation.validator import RequestValidator, ValidationContext

Outcome = Literal["accepted", "ignores", "refused"]


@dataclass(frozen=True)
class Side:
    """A gateway in its behavior, and the contract to judge by; that asks for no particular key."""

    gateway: str
    behavior: Behavior
    validator: RequestValidator


@dataclass(frozen=True)
class SampleRequest:
    """A call to hold: its body, and where it is known its number in a journal and the gateway that it went to.

    `trouble` is what was wrong with a body that could not be read.
    """

    body: Any
    number: int | None = None
    gateway: str | None = None
    trouble: Any = None


@dataclass(frozen=True)
class Refusal:
    """Why a gateway refuses a call: `message` is what it would say, `rule` and `source` are as in a journal."""

    kind: str
    breach: str | None
    param: str | None
    message: str
    rule: str | None
    source: str | None


@dataclass(frozen=True)
class GatewayFit:
    """What a gateway would make of a call; `ignored` are the parameters that would have no effect."""

    gateway: str
    behavior: str
    outcome: Outcome
    ignored: tuple[str, ...] = ()
    refused: Refusal | None = None


@dataclass(frozen=True)
class Held:
    """One call, and what each gateway would make of it."""

    number: int | None
    gateway: str | None
    body_model: str | None
    fits: tuple[GatewayFit, ...]


@dataclass(frozen=True)
class Tally:
    """How many calls a gateway takes as they are, takes in part, and refuses."""

    gateway: str
    behavior: str
    accepted: int
    ignores: int
    refused: int


@dataclass(frozen=True)
class PortabilityReport:
    """Every call against every gateway; `dataclasses.asdict` makes JSON of it."""

    calls: tuple[Held, ...]
    gateways: tuple[Tally, ...]


def sides(every: Iterable[Gateway]) -> tuple[Side, ...]:
    """The contracts of gateways in their behavior, to be kept: their schemas compile when first needed."""
    return tuple(Side(one.name, one.behavior, RequestValidator(one)) for one in every)


def gateways(registry: GatewayRegistry) -> Iterator[Gateway]:
    """All gateways of a server, in each of their behavior; raises InvalidFile."""
    for name in registry.validators:
        for behavior in BEHAVIORS:
            found = registry.validator(name, behavior).gateway
            if found.behavior == behavior:  # a gateway without such behavior keeps the documented ones
                yield found


def requests(said: Any) -> tuple[SampleRequest, ...]:
    """The calls that `said` spells; raises ValueError, in one line, for what is no call.

    `said` is a body, a list of bodies, or {"calls": […]} as a journal has it. In a list a call is a body, a mapping of
    `body` with or without `gateway`, or an entry of a journal as its view shows it; entries of other operations than
    `generate` are left out.
    """
    if isinstance(said, Mapping) and isinstance(said.get("calls"), list):
        said = said["calls"]
    found = said if isinstance(said, list) else [said]
    return tuple(one for place, value in enumerate(found, 1) if (one := _request(place, value)) is not None)


def journalled(entries: Iterable[Entry]) -> tuple[SampleRequest, ...]:
    """The calls of a session in their order, as the journal shows them: a key that is blanked cannot be told here."""
    return requests([entry.view() for entry in sorted(entries, key=lambda entry: entry.number)])


def _request(place: int, value: Any) -> SampleRequest | None:
    if not isinstance(value, Mapping):
        raise ValueError(
            f"call {place} is {yaml_file.describe(value)}; expected a mapping: a body, or a journal's entry"
        )
    gateway = value.get("gateway") if value.keys() & {"given", "body"} else None
    if not isinstance(gateway, str | None):
        raise ValueError(f"call {place}: gateway is {yaml_file.describe(gateway)}; expected a name")
    if "given" in value:
        if value.get("operation") != "generate":
            return None
        unreadable = value.get("unreadable")
        why = unreadable.get("why") if isinstance(unreadable, Mapping) else None
        trouble = why if why is None or why in _TROUBLES else "bad_json"
        return SampleRequest(value["given"], value.get("number"), gateway, trouble)
    if "body" in value:
        for key in value:
            if key not in _KEYS:
                raise ValueError(f"call {place} has the unknown key {key!r}; known are {', '.join(_KEYS)}")
        return SampleRequest(value["body"], None, gateway)
    return SampleRequest(value)


def hold(
    asked: Sequence[SampleRequest],
    sides: Sequence[Side],
    channels: frozenset[str] = frozenset(),
    today: Calendar | None = None,
) -> PortabilityReport:
    """Each call against each side; `channels` are models that gateways have besides their own, as in the settings.

    `today` is the day for gateways that go by the calendar of models; None: they have every model.
    """
    context = ValidationContext(channels=channels, today=today)
    calls = tuple(
        Held(one.number, one.gateway, _model(one.body), tuple(_fit(one, side, context) for side in sides))
        for one in asked
    )
    return PortabilityReport(calls, tuple(_tally(place, side, calls) for place, side in enumerate(sides)))


def _fit(request: SampleRequest, side: Side, context: ValidationContext) -> GatewayFit:
    dialect = side.validator.gateway
    operation = next(dialect.generating())
    raw = Request("POST", operation.path, "", _HEADERS, b"", request.body, request.trouble, (), "", 0)
    try:
        call = side.validator.accept(raw, operation, _KEY, context)
    except GatewayError as error:
        language = dialect.choose_language(_HEADERS)
        told = _blanked(dialect.error_catalog.format_message(error, language=language)) or ""
        param, rule = _blanked(error.param), _blanked(error.rule)
        refusal = Refusal(error.kind, error.violation, param, told, rule, error.source)
        return GatewayFit(side.gateway, side.behavior, "refused", refused=refusal)
    noticed = (_blanked(found.param) for found in call.findings if found.code in _WITHOUT_EFFECT)
    ignored = tuple(dict.fromkeys(filter(None, noticed)))
    return GatewayFit(side.gateway, side.behavior, "ignores" if ignored else "accepted", ignored)


def _tally(place: int, side: Side, calls: Sequence[Held]) -> Tally:
    came = [call.fits[place].outcome for call in calls]
    return Tally(side.gateway, side.behavior, came.count("accepted"), came.count("ignores"), came.count("refused"))


def _model(body: Any) -> str | None:
    model = body.get("model") if isinstance(body, Mapping) else None
    return _blanked(model) if isinstance(model, str) else None


def _blanked(text: str | None) -> str | None:
    """A text that may have come from a body, without what looks like a key."""
    return None if text is None else re.sub(LIKE_A_KEY, BLANK, text)


_HEADERS: Final = {"Content-Type": "application/json"}
_KEY: Final = "sk-portability"
_KEYS: Final = ("body", "gateway")
_TROUBLES: Final = (*VIOLATIONS, "too_large")
_WITHOUT_EFFECT: Final = ("parameter_ignored", "unknown_parameter", "size_not_drawn")
"""The findings that mean: accepted, but not as asked for."""
