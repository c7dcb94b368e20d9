"""What a body means: which model, which parameters count, how many pictures, and of which size.

Bodies have broken no schema when they come here, but for what is told apart before one can be chosen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from emulator.core.phrases import name_go_kind, name_kind, quote
from emulator.findings import Finding
from emulator.gateway.rules import MOST_PICTURES, ModelRules, Models
from emulator.image.recipe import LARGEST_SIDE
from emulator.messages import GatewayError, Violation


def choose(models: Models, body: Mapping[str, Any], channels: Collection[str]) -> tuple[str | None, ModelRules]:
    """The model that is meant, and its rules; raises GatewayError. `channels` are models known."""
    model = body.get("model")
    if models.fallback is not None and model in (None, ""):
        rules = models.rules(models.fallback, channels)
        if rules is None:
            raise unknown_model(models, models.fallback)
        raise refusal("missing", {}, "model", models.source)
    if models.fallback is None and models.channels is not None and model in (None, ""):
        raise refusal("unnamed_model", {}, "model", models.source)
    if "model" in body:
        return named(models, model, channels)
    # What is false asks for nothing, so it tells nothing of the model either.
    hints = (name for param, name in models.when_present.items() if body.get(param, False) is not False)
    model = next(hints, models.default)
    rules = models.otherwise if model is None else models.rules(model, channels)
    if rules is None or (model is None and "model" in rules.required):
        raise refusal("missing", {}, "model", models.source)
    return model, rules


def named(models: Models, model: Any, channels: Collection[str]) -> tuple[str, ModelRules]:
    """The model that a call names, and its rules; raises GatewayError."""
    if not isinstance(model, str):
        kind, literal = name_go_kind(model)
        facts = {"expected": "a string", "actual": name_kind(model), "decoded": kind, "decoded_value": literal}
        raise refusal("type", facts, "model", models.source, model)
    if (rules := models.rules(model, channels)) is None:
        raise unknown_model(models, model)
    return model, rules


def unknown_model(models: Models, model: str) -> GatewayError:
    """The problem of a call that names a model which is none."""
    facts, rule = {"model": model[:200]}, f"one of {', '.join(models.known)}"
    return GatewayError("unknown_model", "model", None, facts, rule, models.source, model)


def nearest(models: Models, body: Mapping[str, Any]) -> tuple[str | None, ModelRules]:
    """The model and the rules that stand in for those of a model that cannot be told."""
    rules = models.otherwise or models.listed.get(models.default or "") or next(iter(models.listed.values()))
    named = body.get("model")
    return named if isinstance(named, str) else models.default, rules


def given(body: Mapping[str, Any], rules: ModelRules) -> Mapping[str, Any]:
    """`body` without the parameters whose values count as not given."""
    if not rules.absent:
        return body
    return {name: value for name, value in body.items() if not _among(value, rules.absent.get(name, ()))}


def _among(value: Any, others: Iterable[Any]) -> bool:
    """Whether `value` is one of `others`; true is not 1, nor is 1.0."""
    return any(value == other and value.__class__ is other.__class__ for other in others)


def without(body: Mapping[str, Any], broken: Iterable[str]) -> Mapping[str, Any]:
    """`body` without the `broken` parameters; a number of pictures that can be drawn stays."""
    names = {re.split(r"[.\[]", name)[0] for name in broken}
    wanted = body.get("n")
    if wanted.__class__ is int and 1 <= wanted <= MOST_PICTURES:
        names.discard("n")
    return {name: value for name, value in body.items() if name not in names}


def filled(body: Mapping[str, Any], rules: ModelRules) -> dict[str, Any]:
    """The parameters that count: defaults for what is absent, aliases resolved."""
    params = {**rules.defaults, **body}
    for name, means in rules.means.items():
        if name in params:
            value = params[name]
            params[name] = means.get(value if isinstance(value, str) else json.dumps(value), value)
    return params


def effective(params: Mapping[str, Any], rules: ModelRules, models: Models) -> Mapping[str, Any]:
    """The parameters that have an effect: of a plain file, which says little, also those that it does not know."""
    if rules.heard.issuperset(params):
        return params
    if not models.listed:
        return {name: value for name, value in params.items() if name not in rules.ignored}
    return {name: value for name, value in params.items() if name in rules.heard}


def count(params: Mapping[str, Any], rules: ModelRules) -> int:
    """How many pictures; where a file sets no bounds for `n`, OpenAI's hold."""
    count = params.get("n", 1)
    if not isinstance(count, int) or isinstance(count, bool):
        raise refusal("type", {"expected": "an integer", "actual": name_kind(count)}, "n", "assumed", count)
    if count < 1:
        raise refusal("below_minimum", {"limit": "1", "value": quote(count)}, "n", "assumed", count)
    if count > rules.most:
        raise refusal("above_maximum", {"limit": str(rules.most), "value": quote(count)}, "n", "assumed", count)
    return count


def listing(known: Mapping[str, Any], operations: Iterable[Models | None], channels: Collection[str]) -> Any:
    """The list of models `known`, with those for which a tester set up channels where they make a model known."""
    if not channels or not known["data"] or all(models is None or models.channels is None for models in operations):
        return known
    there = {one["id"] for one in known["data"]}
    more = [{**known["data"][0], "id": name} for name in sorted(channels) if name not in there]
    return {**known, "data": [*known["data"], *more]}


def pixels(size: Any, findings: list[Finding]) -> tuple[int, int]:
    """Width and height to draw; notes a finding where they are not what was asked for."""
    if size is None or size == "auto":
        return _USUAL_PIXELS
    if isinstance(size, str) and (match := _SIZE.fullmatch(size)):
        width, height = int(match[1]), int(match[2])
        if 1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE:
            return width, height
    findings.append(Finding("size_not_drawn", f"{size!r} cannot be drawn; the picture is 1024x1024", "size"))
    return _USUAL_PIXELS


def refusal(
    violation: Violation,
    facts: Mapping[str, str],
    param: str | None = None,
    source: str | None = "assumed",
    value: Any = None,
    rule: str | None = None,
) -> GatewayError:
    """The problem of a body that says what cannot be meant, with the rule that it breaks."""
    rule = rule or f"{_KEYWORDS.get(violation, violation)}: {facts.get('limit') or facts.get('expected') or param}"
    return GatewayError("invalid_request", param, violation, facts, rule, source, value)


_KEYWORDS: Final = {"below_minimum": "minimum", "above_maximum": "maximum", "missing": "required"}
_SIZE: Final = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_USUAL_PIXELS: Final = (1024, 1024)
