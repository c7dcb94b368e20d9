"""Reserved values: what goes wrong, asked for in the call itself, by four doors and without a script.

Header beats prompt, prompt beats model, model beats key. The mark is taken off before the contract sees the call, so a
call with a mark is judged as the same call without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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
    """A reserved value: which door it came in by, as it was written, and what is played for this call.

    `scenario` is None where the session's own is played; of the others, None lets the session's own wish count.
    """

    door: str
    value: str
    scenario: Scenario | None
    report_only: bool | None = None
    behavior: Behavior | None = None


def take(request: Request, key: str | None) -> tuple[Request, Trigger | None]:
    """`raw` without its marks, and the reserved value that counts; raises GatewayError for an unknown one."""
    found: list[Trigger] = []
    if (said := request.headers.get(MARKED_HEADER)) is not None:
        found.append(_from_header(said))
    body = dict(request.json) if isinstance(request.json, Mapping) else None
    if body is not None:
        found += _from_prompt(body) + _from_model(body)
        request = replace(request, json=body)
    if key is not None and key.startswith(MARKED_KEY):
        word = key[len(MARKED_KEY) :].partition(".")[0]
        if word == NEUTRAL:
            return request, _counting(found)
        if (scenario := meaning(word)) is None:  # the whole key is ours, so a slip in it must not pass for a good key
            raise GatewayError("invalid_request", None, "bad_reserved_value", {"value": repr(word[:80])})
        found.append(Trigger("key", word, scenario))
    return request, _counting(found)


def _counting(found: Sequence[Trigger]) -> Trigger | None:
    """The first of `found`, which plays what the next plays where it only says how to judge."""
    if len(found) > 1 and found[0].scenario is None:
        return replace(found[0], scenario=found[1].scenario)
    return found[0] if found else None


def values() -> Mapping[str, str]:
    """Every reserved value, and what it does."""
    kinds = {kind.replace("_", "-"): f"refused as `{kind}`" for kind in KINDS if kind not in _NOT_BY_A_WORD}
    spoiled = {word.replace("_", "-"): f"answered, with the fault `{word}`" for word in FAULTS}
    played = {name: f"the scenario `{name}` is played" for name in loader.list_ready_made()}
    return {**played, **spoiled, **kinds}


def meaning(word: str) -> Scenario | None:
    """What a reserved word plays; dash and underscore are the same. None: the word is not reserved."""
    name = word.strip().lower().replace("_", "-")
    kind = name.replace("-", "_")
    if kind in KINDS and kind not in _NOT_BY_A_WORD:
        return _always(name, Answer(Refuse(kind)))
    if kind in FAULTS:
        return _always(name, Answer(faults=(faults.parse_fault(kind),)))
    if loader.is_ready_made(name):
        return loader.load_ready_made(name)
    return None


def _always(name: str, answer: Answer) -> Scenario:
    return Scenario(name, rules=(Rule(name, RequestPattern(), (answer,)),))


def _from_prompt(body: dict[str, Any]) -> list[Trigger]:
    """The marks in the prompt, which loses them."""
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        return []
    found = []
    for word in re.findall(r"\[\[([A-Za-z0-9_-]{1,40})\]\]", prompt):
        if (scenario := meaning(word)) is not None:
            found.append(Trigger("prompt", word, scenario))
            prompt = re.sub(rf"\s?\[\[{re.escape(word)}\]\]", "", prompt)
    body["prompt"] = prompt.strip() if found else prompt
    return found


def _from_model(body: dict[str, Any]) -> list[Trigger]:
    """The mark behind the model's name, which loses it."""
    model = body.get("model")
    name, colon, word = model.rpartition(":") if isinstance(model, str) else ("", "", "")
    if not colon or len(word) > 40 or (scenario := meaning(word)) is None:
        return []
    body["model"] = name
    return [Trigger("model", word, scenario)]


def _from_header(said: str) -> Trigger:
    """What `refuse=rate_limit; latency=2s` asks for."""
    answer, played = Answer(), None
    wishes: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in said.split(";"))):
        key, _, value = (word.strip() for word in part.partition("="))
        try:
            if key == "refuse" and (kind := value.replace("-", "_")) in KINDS:
                answer = replace(answer, plan=Refuse(kind))
            elif key == "fault":
                answer = replace(answer, faults=(*answer.faults, faults.parse_fault(value.replace("-", "_"))))
            elif key == "latency":
                answer = replace(answer, latency=parse_latency(value))
            elif key == "scenario" and loader.is_ready_made(value):
                played = loader.load_ready_made(value)
            elif key.replace("_", "-") == "report-only" and value in _SWITCH:
                wishes["report_only"] = _SWITCH[value]
            elif key == "behavior" and value in BEHAVIORS:
                wishes["behavior"] = value
            else:
                raise ValueError(part)
        except ValueError:
            raise GatewayError("invalid_request", None, "bad_reserved_value", {"value": repr(part[:80])}) from None
    if played is None and answer != DRAWN:
        played = Scenario("header", rules=(Rule("header", _EVERY, (answer,)),))
    return Trigger("header", said[:200], played, **wishes)


_EVERY: Final = matching.parse_pattern(
    {"operation": list(OPERATIONS)}
)  # a header is about its own call, whatever that is
_SWITCH: Final = {"": True, "true": True, "false": False}
_NOT_BY_A_WORD: Final = ("invalid_request",)  # it needs to be said what is invalid: break the contract instead
