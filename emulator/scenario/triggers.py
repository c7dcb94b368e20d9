"""Reserved values: what goes wrong is asked for in the call itself, with no scenario.

There are four ways to write one: the header X-Emulator, a mark [[…]] in the prompt, a suffix of the model's name, and a
part of the API key. The header beats the prompt, the prompt the model, the model the key. The mark is taken off before
the call is validated, so a call with a mark is judged as the same call without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from emulator import faults
from emulator.core.names import MARKED_HEADER, MARKED_KEY, NEUTRAL
from emulator.faults import FAULTS
from emulator.messages import BEHAVIORS, KINDS, OPERATIONS, Behavior, GatewayError, Refuse, Request
from emulator.scenario import loader, matching
from emulator.scenario.latency import parse_latency
from emulator.scenario.matching import RequestPattern
from emulator.scenario.scenario import DRAWN, Answer, Rule, Scenario


@dataclass(frozen=True)
class Trigger:
    """A reserved value of a call: where it stood, how it was written, and what is played for the call.

    `door` is header, prompt, model or key. `scenario` is None where the session's own is played. `report_only` and
    `behavior` are None where the session's own settings hold.
    """

    door: str
    value: str
    scenario: Scenario | None
    report_only: bool | None = None
    behavior: Behavior | None = None


def take(request: Request, key: str | None) -> tuple[Request, Trigger | None]:
    """Return `request` without its marks, and the reserved value that counts.

    Raises GatewayError for a header or a reserved key that means nothing: a slip must not look like a call without a
    wish. Brackets in a prompt, and a colon in a model's name, mean something else where they hold no reserved value.
    """
    found: list[Trigger] = []
    header = request.headers.get(MARKED_HEADER)
    if header is not None:
        found.append(_parse_header(header))
    if isinstance(request.json, Mapping):
        body = dict(request.json)
        found += [*_take_from_prompt(body), *_take_from_model(body)]
        request = replace(request, json=body)
    if key is not None and key.startswith(MARKED_KEY):
        word = key[len(MARKED_KEY) :].partition(".")[0]
        if word != NEUTRAL:
            found.append(Trigger("key", word, _require_scenario(word)))
    return request, _choose_trigger(found)


def list_values() -> Mapping[str, str]:
    """Return every reserved value, and what it does."""
    described = {name: f"the scenario `{name}` is played" for name in loader.list_ready_made()}
    described |= {word.replace("_", "-"): f"answered, with the fault `{word}`" for word in FAULTS}
    described |= {kind.replace("_", "-"): f"refused as `{kind}`" for kind in KINDS if kind != _NOT_RESERVED}
    return described


def find_scenario(word: str) -> Scenario | None:
    """Return what a reserved value plays, None where the word is not reserved. Dash and underscore are the same."""
    name = word.strip().lower().replace("_", "-")
    kind = name.replace("-", "_")
    if kind in KINDS and kind != _NOT_RESERVED:
        return _play_always(name, Answer(Refuse(kind)), RequestPattern())
    if kind in FAULTS:
        return _play_always(name, Answer(faults=(faults.parse_fault(kind),)), RequestPattern())
    if loader.is_ready_made(name):
        return loader.load_ready_made(name)
    return None


def _choose_trigger(found: Sequence[Trigger]) -> Trigger | None:
    """Return the first of `found`; where it only says how to judge the call, it plays what the next one plays."""
    if not found:
        return None
    if len(found) > 1 and found[0].scenario is None:
        return replace(found[0], scenario=found[1].scenario)
    return found[0]


def _require_scenario(word: str) -> Scenario:
    scenario = find_scenario(word)
    if scenario is None:
        raise _bad_value(word)
    return scenario


def _bad_value(text: str) -> GatewayError:
    return GatewayError("invalid_request", violation="bad_reserved_value", facts={"value": repr(text[:80])})


def _play_always(name: str, answer: Answer, when: RequestPattern) -> Scenario:
    return Scenario(name, rules=(Rule(name, when, (answer,)),))


def _take_from_prompt(body: dict[str, Any]) -> Iterator[Trigger]:
    """Yield the marks in the prompt, and take them off it, each with the blank before it."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        return
    for word in re.findall(_MARK, prompt):
        scenario = find_scenario(word)
        if scenario is not None:
            prompt = re.sub(rf"\s?\[\[{re.escape(word)}\]\]", "", prompt)
            body["prompt"] = prompt.strip()
            yield Trigger("prompt", word, scenario)


def _take_from_model(body: dict[str, Any]) -> Iterator[Trigger]:
    """Yield the mark behind the model's name, and take it off."""
    model = body.get("model")
    if not isinstance(model, str):
        return
    name, colon, word = model.rpartition(":")
    if not colon or len(word) > _LONGEST_WORD:
        return
    scenario = find_scenario(word)
    if scenario is not None:
        body["model"] = name
        yield Trigger("model", word, scenario)


@dataclass(frozen=True)
class _Wish:
    """What a header asks for, as far as it is read."""

    answer: Answer = DRAWN
    scenario: Scenario | None = None
    report_only: bool | None = None
    behavior: Behavior | None = None


def _parse_header(text: str) -> Trigger:
    """Read `refuse=rate_limit; latency=2s`, or a reserved value as it stands in the other places: `rate-limit`."""
    wish = _Wish()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = (word.strip() for word in part.partition("="))
        read = _HEADER_KEYS.get(key.lower().replace("_", "-"))
        try:
            if read is not None:
                wish = read(wish, value)
            elif equals:
                raise ValueError(key)
            else:
                wish = _read_value(wish, key)
        except ValueError:
            raise _bad_value(part) from None
    scenario = wish.scenario
    if scenario is None and wish.answer != DRAWN:
        scenario = _play_always("header", wish.answer, _EVERY_OPERATION)
    return Trigger("header", text[:200], scenario, wish.report_only, wish.behavior)


def _read_value(wish: _Wish, word: str) -> _Wish:
    """Read a reserved value that stands alone; a refusal and a fault can have a latency beside them."""
    name = word.lower().replace("_", "-")
    kind = name.replace("-", "_")
    if kind in KINDS and kind != _NOT_RESERVED:
        return _read_refuse(wish, kind)
    if kind in FAULTS:
        return _read_fault(wish, kind)
    return _read_scenario(wish, name)


def _read_refuse(wish: _Wish, value: str) -> _Wish:
    kind = value.replace("-", "_")
    if kind not in KINDS:
        raise ValueError(value)
    return replace(wish, answer=replace(wish.answer, plan=Refuse(kind)))


def _read_fault(wish: _Wish, value: str) -> _Wish:
    fault = faults.parse_fault(value.replace("-", "_"))
    return replace(wish, answer=replace(wish.answer, faults=(*wish.answer.faults, fault)))


def _read_latency(wish: _Wish, value: str) -> _Wish:
    return replace(wish, answer=replace(wish.answer, latency=parse_latency(value)))


def _read_scenario(wish: _Wish, value: str) -> _Wish:
    if not loader.is_ready_made(value):
        raise ValueError(value)
    return replace(wish, scenario=loader.load_ready_made(value))


def _read_report_only(wish: _Wish, value: str) -> _Wish:
    if value not in _SWITCH:
        raise ValueError(value)
    return replace(wish, report_only=_SWITCH[value])


def _read_behavior(wish: _Wish, value: str) -> _Wish:
    if value not in BEHAVIORS:
        raise ValueError(value)
    return replace(wish, behavior=value)


_HEADER_KEYS: Final[Mapping[str, Callable[[_Wish, str], _Wish]]] = {
    "refuse": _read_refuse,
    "fault": _read_fault,
    "latency": _read_latency,
    "scenario": _read_scenario,
    "report-only": _read_report_only,
    "behavior": _read_behavior,
}
"""What a part of the header can say, by the word before `=`; how it changes what the header asks for."""
_EVERY_OPERATION: Final = matching.parse_pattern({"operation": list(OPERATIONS)})
"""A header is about its own call, whatever its operation is."""
_SWITCH: Final = {"": True, "true": True, "false": False}
_NOT_RESERVED: Final = "invalid_request"  # it does not say what is invalid: break the contract instead
_LONGEST_WORD: Final = 40  # characters of a reserved value; none is longer
_MARK: Final = rf"\[\[([A-Za-z0-9_-]{{1,{_LONGEST_WORD}}})\]\]"
