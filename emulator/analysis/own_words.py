"""Puts a call that was made for one gateway into the words of another that has its own names for parameters.

OpenAI's names and values are between the two. A gateway whose names are OpenAI's changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from emulator.gateway.gateway import Gateway, Operation
from emulator.gateway.parameter_names import MODEL, to_openai_names, to_own_names
from emulator.gateway.rules import ModelRules, Models, spell_alias


def translate_to_openai(
    body: Mapping[str, Any], gateway: Gateway, operation: str, *, in_form: bool
) -> Mapping[str, Any]:
    """Return the body of a call of `operation` at `gateway` in OpenAI's names and values."""
    rules = _find_operation_rules(body, gateway, operation, in_form=in_form)
    if rules is None or not rules.own_names:
        return body
    resolved = {**body}
    for name in rules.own_names.values():
        meanings, value = rules.aliases.get(name, {}), body.get(name)
        if name in body:
            resolved[name] = meanings.get(spell_alias(value), value)
    return to_openai_names(resolved, rules.own_names)


def translate_to_own(
    body: Mapping[str, Any], operation: Operation, *, in_form: bool, channels: frozenset[str] = frozenset()
) -> Mapping[str, Any]:
    """Return a body in OpenAI's names and values as a call of `operation` has it at its gateway.

    `channels` are models that the gateway knows besides its own.
    """
    models = operation.form if in_form else operation.models
    if models is None or not models.own_names:
        return body
    rules = _find_rules(models, body.get(MODEL), channels)
    if rules is None:
        return body
    own = dict(to_own_names(body, rules.own_names))
    for name in rules.own_names.values():
        if name in own:
            own[name] = _find_own_value(own[name], name, rules)
    return own


def find_own_names(body: Mapping[str, Any], gateway: Gateway, operation: str, *, in_form: bool) -> Mapping[str, str]:
    """Return the names that the model of a call has for parameters, by OpenAI's names."""
    rules = _find_operation_rules(body, gateway, operation, in_form=in_form)
    if rules is None:
        return {}
    return rules.own_names


def _find_operation_rules(
    body: Mapping[str, Any], gateway: Gateway, operation: str, *, in_form: bool
) -> ModelRules | None:
    """Return the rules for a call of `operation` at `gateway`; None where it has no names of its own."""
    if not gateway.own_names:
        return None
    for one, models in gateway.iter_validated():
        if one.name == operation and (models is one.form) is in_form:
            return _find_rules(models, body.get(models.model_name), frozenset())
    return None


def _find_rules(models: Models, name: Any, channels: frozenset[str]) -> ModelRules | None:
    """Return the rules of the model `name`, else of the usual one."""
    if isinstance(name, str):
        rules = models.find_rules(name, channels)
        if rules is not None:
            return rules
    return models.listed.get(models.default or "") or next(models.iter_rules(), None)


def _find_own_value(value: Any, name: str, rules: ModelRules) -> Any:
    """Return the spelling of a value that the parameter `name` has for it; the value itself without one."""
    line = rules.parameters.get(name, {})
    if "enum" in line and value in line["enum"].value:
        return value
    for spelled, meaning in rules.aliases.get(name, {}).items():
        if meaning == value and meaning.__class__ is value.__class__:
            return _read_spelling(spelled)
    return value


def _read_spelling(spelled: str) -> Any:
    """Return the value that `x-emulator-means` writes as `spelled`."""
    try:
        return json.loads(spelled)
    except ValueError:
        return spelled
