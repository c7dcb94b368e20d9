"""Reserved values: words in a call that choose its answer without a scenario, such as `rate-limit`.

There are four places for one: the header X-Emulator, the prompt (`[[rate-limit]]`), the end of the model's name
(`:rate-limit`), and the API key. The header counts before the prompt, the prompt before the model, the model before the
key. The value is removed before the call is validated, so such a call is validated as the same call without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import Any, Final

from emulator import faults
from emulator.core.data_folders import list_ready_made
from emulator.core.light_dataclass import dataclass
from emulator.core.names import NEUTRAL, RESERVED_HEADER, RESERVED_KEY
from emulator.core.suggestions import nearest_word
from emulator.faults import FAULTS
from emulator.findings import Finding
from emulator.gateway.parameter_names import find_texts
from emulator.messages import (
    BEHAVIORS,
    KINDS,
    OPERATIONS,
    PICTURE_WEIGHTS,
    Behavior,
    GatewayError,
    PictureWeight,
    Refuse,
    Request,
)
from emulator.scenario import loader, matching
from emulator.scenario.latency import parse_latency
from emulator.scenario.matching import RequestPattern
from emulator.scenario.scenario import DRAWN, Answer, Rule, Scenario


@dataclass(frozen=True)
class ReservedValue:
    """A reserved value of a call: where it was, how the client wrote it, and the scenario that answers the call.

    `door` is header, prompt, model or key. `scenario` is None where the session's own answers. `report_only`,
    `behavior` and `picture_weight` are None where the session's own settings hold.
    """

    door: str
    value: str
    scenario: Scenario | None
    report_only: bool | None = None
    behavior: Behavior | None = None
    picture_weight: PictureWeight | None = None


def take_reserved_value(
    request: Request, key: str | None, own_names: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[Request, ReservedValue | None]:
    """Return `request` without its reserved values, and the one of them that counts.

    `own_names` are the gateway's own names of prompt and model, where it has any.
    Raises GatewayError for a header or a reserved key with an unknown word: a misspelled one must not look like a call
    without one. Brackets in a prompt and a colon in a model's name stay as they are where no reserved value is there.
    """
    found: list[ReservedValue] = []
    header = request.headers.get(RESERVED_HEADER)
    if header is not None:
        found.append(_parse_header(header))
    if isinstance(request.json, Mapping):
        body = dict(request.json)
        found += [*_take_from_prompt(body, own_names), *_take_from_model(body, own_names)]
        request = request._replace(json=body)
    if key is not None and key.startswith(RESERVED_KEY):
        word = key[len(RESERVED_KEY) :].partition(".")[0]
        if word != NEUTRAL:
            found.append(ReservedValue("key", word, _require_scenario(word)))
    return request, _choose_reserved_value(found)


def find_slips(
    request: Request, key: str | None, own_names: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[Finding, ...]:
    """Return a finding for each word of a call that is no reserved value, stands in the place of one, and is like one.

    `request` is the call without its reserved values; `own_names` are as of `take_reserved_value`.
    """
    found: list[Finding | None] = []
    body = request.json if isinstance(request.json, Mapping) else {}
    for param, prompt in find_texts(body, "prompt", own_names):
        marks = (match[1] for match in re.finditer(_NEAR_PROMPT, prompt))
        words = islice(dict.fromkeys(marks), _MOST_MARKS)
        found += [_note_slip(f"[[{word}]]", word, ("'[[", "]]'"), param) for word in words]
    for param, model in find_texts(body, "model", own_names):
        name, colon, word = model.rpartition(":")
        if colon and len(word) <= _LONGEST_WORD:
            found.append(_note_slip(model[:_LONGEST_SHOWN], word, (f"'{name[:_LONGEST_SHOWN]}:", "'"), param))
    if key is not None and not key.startswith(RESERVED_KEY):
        match = re.match(_NEAR_KEY, key)
        if match is not None:
            found.append(_note_slip("the API key", match[1], ("'", f"' behind {RESERVED_KEY}"), None))
    return tuple(one for one in found if one is not None)


def _note_slip(read: str, word: str, around: tuple[str, str], param: str | None) -> Finding | None:
    """Return the finding that `read` is no reserved value; None where `word` is like none.

    `around` is what stands before and behind the nearest word in the message.
    """
    plain = "-".join(word.lower().replace("_", " ").split())
    nearest = nearest_word(plain, list_values())
    if nearest is None:
        return None
    import difflib  # 4 ms, and needed only for a slip

    if difflib.SequenceMatcher(None, plain, nearest).ratio() <= _SLIP:
        return None
    return Finding("unknown_mark", f"{read} is no reserved value; did you mean {around[0]}{nearest}{around[1]}?", param)


@cache
def list_values() -> Mapping[str, str]:
    """Return every reserved value, and what it does."""
    described = {name: f"the scenario `{name}` is played" for name in list_ready_made()}
    described |= {word.replace("_", "-"): f"answered, with the fault `{word}`" for word in FAULTS}
    described |= {kind.replace("_", "-"): f"refused as `{kind}`" for kind in KINDS}
    return described


def find_scenario(word: str) -> Scenario | None:
    """Return the scenario of a reserved value; None for any other word. Dash and underscore are the same."""
    name = word.strip().lower().replace("_", "-")
    kind = name.replace("-", "_")
    if kind in KINDS:
        return _play_always(name, Answer(Refuse(kind)), RequestPattern())
    if kind in FAULTS:
        return _play_always(name, Answer(faults=(faults.parse_fault(kind),)), RequestPattern())
    if loader.is_ready_made(name):
        return loader.load_ready_made(name)
    return None


def _choose_reserved_value(found: Sequence[ReservedValue]) -> ReservedValue | None:
    """Return the first of `found`; where it only changes settings, it gets the scenario of the next one."""
    if not found:
        return None
    if len(found) > 1 and found[0].scenario is None:
        return replace(found[0], scenario=found[1].scenario)
    return found[0]


def _require_scenario(word: str) -> Scenario:
    scenario = find_scenario(word)
    if scenario is None:
        raise _bad_value(_describe_word("reserved value", word, list_values()))
    return scenario


def _bad_value(reason: str) -> GatewayError:
    """Return the error whose message begins with `reason`, which ends without a mark or with a question mark."""
    if not reason.endswith("?"):
        reason += "."
    finding = Finding("unknown_mark", reason.rstrip("."))
    return GatewayError(
        "invalid_request", violation="bad_reserved_value", facts={"expected": reason}, findings=(finding,)
    )


def _describe_word(what: str, word: str, known: Iterable[str]) -> str:
    """Return what is wrong with an unknown word: the nearest known one is named, and not the list, which is long."""
    return f"unknown {what} {word[:_LONGEST_SHOWN]!r}{_describe_nearest(word, known)}"


def _describe_nearest(word: str, known: Iterable[str]) -> str:
    nearest = nearest_word(word, known)
    if nearest is None:
        return ""
    return f"; did you mean {nearest!r}?"


def _describe_choice(key: str, value: str, choices: Iterable[str]) -> str:
    choices = list(choices)
    expected = " or ".join(choices)
    return f"`{key}` is {value[:_LONGEST_SHOWN]!r}; expected {expected}{_describe_nearest(value, choices)}"


def _play_always(name: str, answer: Answer, when: RequestPattern) -> Scenario:
    return Scenario(name, rules=(Rule(name, when, (answer,)),))


def _take_from_prompt(body: dict[str, Any], own_names: Mapping[str, tuple[str, ...]]) -> Iterator[ReservedValue]:
    """Yield the reserved values in the prompt of `body`, and remove each with the blank before it."""
    for param, prompt in find_texts(body, "prompt", own_names):
        left = prompt
        for word in islice(dict.fromkeys(re.findall(_IN_PROMPT, prompt)), _MOST_MARKS):
            scenario = find_scenario(word)
            if scenario is not None:
                left = re.sub(rf"\s?\[\[{re.escape(word)}\]\]", "", left)
                body[param] = left.strip()
                yield ReservedValue("prompt", word, scenario)


def _take_from_model(body: dict[str, Any], own_names: Mapping[str, tuple[str, ...]]) -> Iterator[ReservedValue]:
    """Yield the reserved value at the end of the model's name in `body`, and remove it."""
    for param, model in find_texts(body, "model", own_names):
        name, colon, word = model.rpartition(":")
        scenario = None
        if colon and len(word) <= _LONGEST_WORD:
            scenario = find_scenario(word)
        if scenario is not None:
            body[param] = name
            yield ReservedValue("model", word, scenario)


@dataclass(frozen=True)
class _HeaderOptions:
    """What the header's parts ask for, those before the next part."""

    answer: Answer = DRAWN
    scenario: Scenario | None = None
    report_only: bool | None = None
    behavior: Behavior | None = None
    picture_weight: PictureWeight | None = None


def _parse_header(text: str) -> ReservedValue:
    """Parse `refuse=rate_limit; latency=2s`, or a reserved value as in the other places: `rate-limit`."""
    options = _HeaderOptions()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        key, equals, value = (word.strip() for word in part.partition("="))
        add_option = _HEADER_KEYS.get(key.lower().replace("_", "-"))
        try:
            if add_option is not None:
                options = add_option(options, value)
            elif equals:
                raise ValueError(_describe_word("key", key, _HEADER_KEYS))
            else:
                options = _add_value(options, key)
        except ValueError as error:
            raise _bad_value(str(error)) from None
    scenario = options.scenario
    if scenario is None and options.answer != DRAWN:
        scenario = _play_always("header", options.answer, _EVERY_OPERATION)
    return ReservedValue(
        door="header",
        value=text[:200],
        scenario=scenario,
        report_only=options.report_only,
        behavior=options.behavior,
        picture_weight=options.picture_weight,
    )


def _add_value(options: _HeaderOptions, word: str) -> _HeaderOptions:
    """Add a reserved value that is a part by itself; a refusal and a fault can have a latency in another part."""
    name = word.lower().replace("_", "-")
    kind = name.replace("-", "_")
    if kind in KINDS:
        return _add_refuse(options, kind)
    if kind in FAULTS:
        return _add_fault(options, kind)
    if not loader.is_ready_made(name):
        raise ValueError(_describe_word("reserved value", word, [*list_values(), "report-only"]))
    return _add_scenario(options, name)


def _add_refuse(options: _HeaderOptions, value: str) -> _HeaderOptions:
    kind = value.replace("-", "_")
    if kind not in KINDS:
        raise ValueError(_describe_word("kind of refusal", value, KINDS))
    return replace(options, answer=replace(options.answer, plan=Refuse(kind)))


def _add_fault(options: _HeaderOptions, value: str) -> _HeaderOptions:
    word = value.replace("-", "_")
    if word not in FAULTS:
        raise ValueError(_describe_word("fault", value, FAULTS))
    fault = faults.parse_fault(word)
    return replace(options, answer=replace(options.answer, faults=(*options.answer.faults, fault)))


def _add_latency(options: _HeaderOptions, value: str) -> _HeaderOptions:
    return replace(options, answer=replace(options.answer, latency=parse_latency(value)))


def _add_scenario(options: _HeaderOptions, value: str) -> _HeaderOptions:
    if not loader.is_ready_made(value):
        raise ValueError(_describe_word("scenario", value, list_ready_made()))
    return replace(options, scenario=loader.load_ready_made(value))


def _add_report_only(options: _HeaderOptions, value: str) -> _HeaderOptions:
    if value not in _SWITCH:
        raise ValueError(_describe_choice("report-only", value, ["true", "false"]))
    return replace(options, report_only=_SWITCH[value])


def _add_behavior(options: _HeaderOptions, value: str) -> _HeaderOptions:
    if value not in BEHAVIORS:
        raise ValueError(_describe_choice("behavior", value, BEHAVIORS))
    return replace(options, behavior=value)


def _add_picture_weight(options: _HeaderOptions, value: str) -> _HeaderOptions:
    if value not in PICTURE_WEIGHTS:
        raise ValueError(_describe_choice("picture-weight", value, PICTURE_WEIGHTS))
    return replace(options, picture_weight=value)


_HEADER_KEYS: Final[Mapping[str, Callable[[_HeaderOptions, str], _HeaderOptions]]] = {
    "refuse": _add_refuse,
    "fault": _add_fault,
    "latency": _add_latency,
    "scenario": _add_scenario,
    "report-only": _add_report_only,
    "behavior": _add_behavior,
    "picture-weight": _add_picture_weight,
}
"""By the word before `=` in a part of the header: the function that adds the value behind it to the options."""
_EVERY_OPERATION: Final = matching.parse_pattern({"operation": list(OPERATIONS)})
"""A header is about its own call, whatever its operation is."""
_SWITCH: Final = {"": True, "true": True, "false": False}
_LONGEST_SHOWN: Final = 80  # characters of an unknown word that a message shows; it comes from the network
_LONGEST_WORD: Final = 40  # characters of a reserved value; none is longer
_SLIP: Final = 0.8
"""How like a reserved value a word is at the most (difflib's ratio) to be another word: `quote` is one."""
_MOST_MARKS: Final = 20  # different ones of a prompt that are looked at; a prompt of 1 MB may have 200,000
_NEAR_PROMPT: Final = rf"\[\[([^\[\]\n]{{1,{_LONGEST_WORD}}})\]\]"
_NEAR_KEY: Final = rf"sk-emul[a-z]*[.:_-]([A-Za-z0-9_-]{{1,{_LONGEST_WORD}}})"
_IN_PROMPT: Final = rf"\[\[([A-Za-z0-9_-]{{1,{_LONGEST_WORD}}})\]\]"
