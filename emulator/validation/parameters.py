"""The validation's steps about parameters: model, defaults, effect, number and size of the images.

Each step takes a Draft and returns a Draft. `check_parameters`, which holds a body against its schema, is in
`validation.validator`, because it needs the compiled schemas.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from emulator.core.phrases import name_go_kind, name_kind, quote
from emulator.findings import Finding
from emulator.gateway.model_catalog import Calendar
from emulator.gateway.model_listing import copy_model, list_models, name_model, replace_models
from emulator.gateway.parameter_names import add_openai_names
from emulator.gateway.refusals import refuse_model
from emulator.gateway.rules import MOST_PICTURES, ModelRules, Models, spell_alias
from emulator.image.recipe import can_draw
from emulator.messages import GatewayError, Violation
from emulator.validation.draft import Draft, copy_draft


def choose_model(draft: Draft) -> Draft:
    """Find the model that the body means, and its rules; an unknown model is an error, and others stand in for it."""
    models, context = draft.models, draft.context
    today = context.today if draft.gateway.calendar else None
    try:
        if models.model_name in draft.given or models.fallback is not None or models.channels is not None:
            model, rules = find_model(models, draft.given, context.channels)
        else:
            model, rules = find_unnamed_model(models, draft.given, today, models is context.operation.form)
    except GatewayError as error:
        model, rules = find_substitute(models, draft.given, today)
        return copy_draft(draft, model=model, rules=rules, errors=(error,))
    return copy_draft(draft, model=model, rules=rules)


def check_calendar(draft: Draft) -> Draft:
    """Refuse a model that does not exist on the context's day; note the announced end of one that does."""
    today, model = draft.context.today, draft.model
    if today is None or model is None:
        return draft
    if draft.gateway.calendar:
        absence = today.find_absence(model)
        if absence is not None:
            return copy_draft(draft, errors=(replace(absence, param=draft.models.model_name),))
        ending = today.find_ending(model)
    elif model in draft.models.listed:
        ending = None
    else:
        ending = today.find_ending(model, listed=False)
    if ending is None:
        return draft
    ending = replace(ending, param=draft.models.model_name)
    return copy_draft(draft, findings=(*draft.findings, ending))


def drop_path_model(draft: Draft) -> Draft:
    """Leave out the model of the path, which stands in the body, where the schema knows no such parameter."""
    name = draft.models.model_name
    if draft.context.operation.names_model is None or name not in draft.body:
        return draft
    if name in draft.rules.parameters or name in draft.rules.required:
        return draft
    return copy_draft(draft, body={one: value for one, value in draft.body.items() if one != name})


def drop_absent_values(draft: Draft) -> Draft:
    """Leave out the parameters whose values count as not given, such as a null."""
    absent = draft.rules.absent_values
    if not absent:
        return draft
    body = {name: value for name, value in draft.body.items() if not _contains(absent.get(name, ()), value)}
    return copy_draft(draft, body=body)


def note_parameters(draft: Draft) -> Draft:
    """Note the parameters that are allowed and yet worth knowing: unknown, without effect, or deprecated ones."""
    body, rules = draft.body, draft.rules
    if rules.effective.issuperset(body) and not (rules.deprecated and rules.deprecated.intersection(body)):
        return draft
    notes = tuple(_note_parameters(body, rules, draft.model))
    if not notes:
        return draft
    return copy_draft(draft, findings=draft.findings + notes)


def apply_defaults(draft: Draft) -> Draft:
    """Fill in the defaults of absent parameters, and resolve aliases.

    Where a violation is only reported, the parameter that has it counts as absent.
    """
    body = draft.body
    if draft.broken:
        body = _without_broken(body, draft.broken, draft.rules.name_parameter("n"))
    return copy_draft(draft, params=fill_defaults(body, draft.rules))


def select_effective(draft: Draft) -> Draft:
    """Select the parameters that have an effect.

    A file that lists no models says little about parameters, so there those count too that it does not know.
    """
    params, rules = draft.params, draft.rules
    if rules.effective.issuperset(params):
        effective = params
    elif draft.models.listed:
        effective = {name: value for name, value in params.items() if name in rules.effective}
    else:
        effective = {name: value for name, value in params.items() if name not in rules.ignored}
    if rules.own_names:
        effective = add_openai_names(effective, rules.own_names)
    return copy_draft(draft, effective=effective)


def choose_pixels(draft: Draft) -> Draft:
    """Choose width and height; a size that cannot be drawn becomes 1024 x 1024, with a finding."""
    size, rule = draft.effective.get("size"), draft.rules.pixels
    match = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if match is None and rule is not None:
        width, height = rule.choose(draft.effective)
        size = f"{width}x{height}"
    elif size is None or size == "auto":
        return copy_draft(draft, pixels=_USUAL_PIXELS)
    elif match is not None:
        width, height = int(match[1]), int(match[2])
    else:
        width = height = 0
    if can_draw(width, height):
        return copy_draft(draft, pixels=(width, height))
    note = Finding(
        "size_not_drawn", f"{size!r} cannot be drawn; the picture is 1024x1024", draft.rules.name_parameter("size")
    )
    return copy_draft(draft, pixels=_USUAL_PIXELS, findings=(*draft.findings, note))


def count_images(draft: Draft) -> Draft:
    """Count the images that are asked for; where a gateway's file sets no bounds for the number, OpenAI's hold."""
    rule = draft.rules.count
    if rule is None:
        name, count, most = draft.rules.name_parameter("n"), draft.effective.get("n", 1), draft.rules.most_pictures
    else:
        name, count, most = rule.parameter, rule.find_number(draft.effective), rule.most
    if count.__class__ is int and 1 <= count <= most:
        if rule is not None:
            count = rule.fit_number(count, len(draft.uploads))
        return copy_draft(draft, count=count)
    if not isinstance(count, int) or isinstance(count, bool):
        error = build_error("type", {"expected": "an integer", "actual": name_kind(count)}, name, value=count)
    elif count < 1:
        error = build_error("below_minimum", {"limit": "1", "value": quote(count)}, name, value=count)
    else:
        error = build_error("above_maximum", {"limit": str(most), "value": quote(count)}, name, value=count)
    return copy_draft(draft, count=1, errors=(error,))


def find_model(models: Models, body: Mapping[str, Any], channels: Collection[str]) -> tuple[str | None, ModelRules]:
    """Return the name of the model that `body` names, and its rules; raises GatewayError where there is none.

    `channels` are names that are known besides the gateway's own.
    """
    name = body.get(models.model_name)
    is_unnamed = name is None or name == ""
    if models.fallback is not None and is_unnamed:
        if models.find_rules(models.fallback, channels) is None:
            raise _unknown_model(models, models.fallback)
        raise build_error("missing", {}, models.model_name, models.source)
    if models.channels is not None and is_unnamed:
        raise build_error("unnamed_model", {}, models.model_name, models.source)
    return find_named_model(models, name, channels)


def find_unnamed_model(
    models: Models, body: Mapping[str, Any], today: Calendar | None, in_form: bool
) -> tuple[str | None, ModelRules]:
    """Return the model that counts for a `body` that names none, and its rules; raises GatewayError without one.

    Where the calendar counts, `today` is it: a model counts only while it exists. `in_form`: the values are texts.
    """
    candidates = [
        model
        for param, model in models.when_present.items()
        if param in body and _asks_for_something(models.listed[model], param, body[param], in_form)
    ]
    for model in (*candidates, models.default):
        if model is not None and _exists(model, today):
            rules = models.find_rules(model, ())
            if rules is not None:
                return model, rules
    rules = models.otherwise
    if rules is None or models.model_name in rules.required:
        raise build_error("missing", {}, models.model_name, models.source)
    return None, rules


def _asks_for_something(rules: ModelRules, param: str, value: Any, in_form: bool) -> bool:
    """Whether the parameter `param` asks for something, and so hints at a model: not where it is false or absent."""
    if in_form and value == "false":
        return False
    aliases = rules.aliases.get(param)
    if aliases:
        value = aliases.get(spell_alias(value), value)
    return value is not False and not _contains(rules.absent_values.get(param, ()), value)


def find_named_model(models: Models, name: Any, channels: Collection[str]) -> tuple[str, ModelRules]:
    """Return the model called `name`, and its rules; raises GatewayError where it is no text, or unknown."""
    if not isinstance(name, str):
        kind, literal = name_go_kind(name)
        facts = {"expected": "a string", "actual": name_kind(name), "decoded": kind, "decoded_value": literal}
        raise build_error("type", facts, models.model_name, models.source, value=name)
    rules = models.find_rules(name, channels)
    if rules is None:
        raise _unknown_model(models, name)
    return name, rules


def find_substitute(models: Models, body: Mapping[str, Any], today: Calendar | None) -> tuple[str | None, ModelRules]:
    """Return the model and the rules that stand in where the body's model is unknown, or no model counts `today`."""
    default = models.default
    if default is not None and not _exists(default, today):
        default = next((name for name in models.listed if _exists(name, today)), None)
    rules = models.otherwise or models.listed.get(default or "") or next(iter(models.listed.values()))
    name = body.get(models.model_name)
    return name if isinstance(name, str) else default, rules


def _exists(model: str, today: Calendar | None) -> bool:
    return today is None or today.find_absence(model) is None


def fill_defaults(body: Mapping[str, Any], rules: ModelRules) -> dict[str, Any]:
    """Return `body` with the defaults of absent parameters filled in, numbers clamped, and aliases resolved."""
    params = {**rules.defaults, **body}
    for name, (least, most) in rules.clamps.items():
        number = params.get(name)
        if isinstance(number, int | float) and not isinstance(number, bool):
            params[name] = max(least, min(number, most))
    for name, meanings in rules.aliases.items():
        if name in params:
            params[name] = meanings.get(spell_alias(params[name]), params[name])
    return params


def extend_listing(listing: Any, operations: Iterable[Models | None], channels: Collection[str]) -> Any:
    """Return the list of models with those of the tester's `channels`, where a channel makes a model known."""
    listed = list_models(listing)
    if not channels or not listed or all(models is None or models.channels is None for models in operations):
        return listing
    known = {name_model(one) for one in listed}
    added = [copy_model(listed[0], name) for name in sorted(channels) if name not in known]
    return replace_models(listing, [*listed, *added])


def build_error(
    violation: Violation,
    facts: Mapping[str, str],
    param: str | None = None,
    source: str | None = "assumed",
    *,
    value: Any = None,
    rule: str | None = None,
) -> GatewayError:
    """Build the error of a body that breaks a rule outside its schema; without `rule` it is made of the violation."""
    if rule is None:
        keyword = _KEYWORDS.get(violation, violation)
        rule = f"{keyword}: {facts.get('limit') or facts.get('expected') or param}"
    return GatewayError(
        kind="invalid_request",
        param=param,
        violation=violation,
        facts=facts,
        rule=rule,
        source=source,
        value=value,
    )


def _unknown_model(models: Models, name: str) -> GatewayError:
    rule = f"one of {', '.join(models.known_names)}"
    return refuse_model("unknown_model", name, rule, models.source, param=models.model_name)


def _note_parameters(body: Mapping[str, Any], rules: ModelRules, model: str | None) -> Iterator[Finding]:
    """Yield the notes in the body's order, so that a run repeats."""
    if not rules.closed.value:
        unknown = [name for name in body if name not in rules.parameters]
        for name in unknown[:MOST_FINDINGS]:
            yield Finding("unknown_parameter", f"{name!r} is not on the gateway's page", name)
    for name in body:
        if name in rules.ignored:
            yield Finding("parameter_ignored", f"{name!r} has no effect with {model or 'this model'}", name)
        if name in rules.deprecated:
            yield Finding("deprecated_parameter", f"{name!r} is deprecated", name)


def _without_broken(body: Mapping[str, Any], broken: Iterable[str], count_name: str) -> Mapping[str, Any]:
    """Return `body` without the `broken` parameters; a number of images (`count_name`) that can be drawn stays."""
    names = {re.split(r"[.\[]", name)[0] for name in broken}
    wanted = body.get(count_name)
    if wanted.__class__ is int and 1 <= wanted <= MOST_PICTURES:
        names.discard(count_name)
    return {name: value for name, value in body.items() if name not in names}


def _contains(values: Iterable[Any], wanted: Any) -> bool:
    """Whether `wanted` is one of `values`; true is not 1, nor is 1.0."""
    return any(value == wanted and value.__class__ is wanted.__class__ for value in values)


MOST_FINDINGS: Final = 10  # of one code in one call; a person reads no more
_KEYWORDS: Final = {"below_minimum": "minimum", "above_maximum": "maximum", "missing": "required"}
_SIZE: Final = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
_USUAL_PIXELS: Final = (1024, 1024)
