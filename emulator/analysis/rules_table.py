"""The rules of a gateway as a table: operation, model, parameter, rule, and where the rule comes from.

The table is for people; nothing else uses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from emulator.core.suggestions import describe_unknown
from emulator.gateway.gateway import Gateway
from emulator.gateway.openapi import Document, Parameter
from emulator.gateway.picture_count import CountRule
from emulator.gateway.rules import ModelRules, Models, read_model_rules
from emulator.messages import SOURCES


class RuleRow(NamedTuple):
    """One rule; `source` is documented, observed, assumed, or unmarked where the file does not say.

    `operation` is empty for a rule about every call, and `form` says which of an operation's requests are meant, where
    it has several: `in JSON`, `upstream` (what the gateway's own upstream checks). `model` is a name, `(all)`, `(none)`
    for requests that name none, or `(other)` for names that are not listed.
    """

    operation: str
    form: str
    model: str
    parameter: str
    rule: str
    source: str


class RuleGroup(NamedTuple):
    """The rules that are the same for some models of an operation, and the line above their table."""

    heading: str
    rows: Sequence[RuleRow]


def list_rules(gateway: Gateway) -> Iterator[RuleRow]:
    """Yield the rules about keys, then for each operation those of each model."""
    yield from _list_key_rules(gateway)
    for operation, models in gateway.iter_validated():
        form = ""
        if operation.form is not None and models is operation.models:
            form = "in JSON"
        about = RuleRow(operation.name, form, "(none)", models.model_name, "", "")
        yield from _list_model_choice(models, about)
        by_model = dict(models.listed)
        if models.otherwise is not None:
            by_model["(other)"] = models.otherwise
        for name, rules in by_model.items():
            about = about._replace(model=name)
            yield from _list_parameter_rules(gateway.document, rules, about)
            if rules.upstream is not None:
                upstream = read_model_rules(gateway.document, rules.upstream)
                behind = about._replace(form=f"{form}, upstream".removeprefix(", "))
                yield from _list_parameter_rules(gateway.document, upstream, behind)


def select_rules(rows: Iterable[RuleRow], model: str | None, operation: str | None) -> Sequence[RuleRow]:
    """Return the rules that a call of `operation` with `model` meets; None of either: of all.

    Rules about every call are among them. Where an operation does not list the model, it meets those of `(other)`.
    Raises ValueError for an operation without rules, and for a model that no chosen operation takes.
    """
    found = list(rows)
    if operation is not None:
        known = list(dict.fromkeys(row.operation for row in found if row.operation))
        if operation not in known:
            raise ValueError(describe_unknown("operation", operation, known))
        found = [row for row in found if row.operation in ("", operation)]
    if model is None:
        return found
    listed = {(row.operation, row.form, row.model) for row in found}
    chosen = [row for row in found if row.model == "(all)" or row.model == _find_model(listed, row, model)]
    if not any(row.model == model or not row.rule.startswith(_REFUSED) for row in chosen if row.operation):
        names = dict.fromkeys(row.model for row in found if not row.model.startswith("("))
        raise ValueError(describe_unknown("model", model, names))
    return chosen


def group_rules(rows: Iterable[RuleRow]) -> Sequence[RuleGroup]:
    """Return the rules in groups: one for every call, then those of each operation for models with the same rules."""
    by_model: dict[tuple[str, str, str], list[RuleRow]] = {}
    for row in rows:
        by_model.setdefault((row.operation, row.form, row.model), []).append(row)
    alike: dict[tuple[Any, ...], list[str]] = {}
    kept: dict[tuple[Any, ...], list[RuleRow]] = {}
    for (operation, form, model), own in by_model.items():
        told = [row for row in own if row.rule != f"is {model}"]  # the heading names the model
        key = (operation, form, *(row[3:] for row in told))
        alike.setdefault(key, []).append(model)
        kept.setdefault(key, told)
    return [RuleGroup(_format_heading(key[0], key[1], models), kept[key]) for key, models in alike.items()]


def _find_model(listed: Collection[tuple[str, str, str]], row: RuleRow, model: str) -> str:
    """Return the name under which the rules of `model` stand in the operation of `row`."""
    if (row.operation, row.form, model) in listed:
        return model
    return "(other)"


def _format_heading(operation: str, form: str, models: Sequence[str]) -> str:
    if not operation:
        return "every call"
    names = [_MODEL_WORDS.get(model, model) for model in models]
    return f"{operation} {form}".rstrip() + f": {', '.join(names)}"


def _list_key_rules(gateway: Gateway) -> Iterator[RuleRow]:
    about = RuleRow("", "", "(all)", "", "", "")
    for credential in gateway.credentials:
        rule = "KEY alone"
        if credential.scheme:
            spelled = " or ".join(credential.spellings) or credential.scheme.title()
            rule = f"{spelled} KEY"
        if gateway.needs_key:
            rule += ", required"
        yield about._replace(parameter=credential.header, rule=rule, source=credential.source or _UNMARKED)
    if gateway.plain_keys:
        source = gateway.credentials[0].source or _UNMARKED
        yield about._replace(parameter="authorization", rule="no second part behind a dash", source=source)


def _list_model_choice(models: Models, about: RuleRow) -> Iterator[RuleRow]:
    """Yield which model counts where the request names none, or one that is not listed."""
    about = about._replace(source=models.source or _UNMARKED)
    if models.fallback:
        yield about._replace(rule=f"looked up as {models.fallback}")
    if models.channels is not None:
        yield about._replace(model="(other)", rule=f"{_REFUSED} but for --channels")
    if models.default:
        yield about._replace(rule=f"means {models.default}")
    for name, model in models.when_present.items():
        yield about._replace(rule=f"means {model} when {name} is given")
    if models.otherwise is None:
        yield about._replace(model="(other)", rule=_REFUSED)


def _list_parameter_rules(document: Document, rules: ModelRules, about: RuleRow) -> Iterator[RuleRow]:
    schema = document.look_up(rules.ref)
    required_source = document.find_annotation(schema, "x-emulator-source")
    if isinstance(required_source, Mapping):
        required_source = required_source.get("required")
    for name, parameter in rules.parameters.items():
        by_source = _group_by_source(parameter)
        if name in rules.required:
            by_source.setdefault(required_source or _UNMARKED, []).insert(0, "required")
        for source in sorted(by_source, key=_rank_source):
            yield about._replace(parameter=name, rule="; ".join(by_source[source]), source=source)
    if rules.count is not None:
        rule = _describe_count(rules.count)
        yield about._replace(parameter=rules.count.parameter, rule=rule, source=rules.count.source or _UNMARKED)
    yield from _list_pixels(document, schema, rules, about)
    for part in document.iter_parts(schema):
        yield from _list_conditional_rules(part, about)
        if isinstance(part.get("not"), Mapping):
            marked = part.get("x-emulator-source")
            if isinstance(marked, Mapping):
                marked = marked.get("not")
            rule = f"refused {_describe_condition(part['not'])}"
            yield about._replace(parameter="(together)", rule=rule, source=marked or _UNMARKED)
    verdict = "accepted, with a finding"
    if rules.closed.value:
        verdict = "refused"
    yield about._replace(parameter="(unknown)", rule=verdict, source=rules.closed.source or _UNMARKED)


def _describe_count(rule: CountRule) -> str:
    """Return when a parameter is the number of pictures, and what it comes to."""
    text = "the number of pictures"
    if rule.when:
        text += " when " + " and ".join(f"{name} is {_show(value)}" for name, value in rule.when.items())
    text += f"; {rule.usual} where it is not given"
    if rule.with_pictures is not None:
        text += f"; {rule.with_pictures} at most together with those that the call brings"
    return text


def _list_pixels(document: Document, schema: Any, rules: ModelRules, about: RuleRow) -> Iterator[RuleRow]:
    """Yield the pixels of the words of `x-emulator-pixels`."""
    keys = document.find_annotation(schema, "x-emulator-pixels")
    if keys is None or rules.pixels is None:
        return
    about = about._replace(source=keys.get("source", _UNMARKED))
    tier = next(iter(rules.pixels.tier), "")
    for key, parameter in (("tiers", tier), ("sizes", rules.pixels.ratio or tier)):
        if key in keys:
            rule = ", ".join(f"{word} is drawn in {size}" for word, size in keys[key].items())
            yield about._replace(parameter=parameter, rule=rule)


def _group_by_source(parameter: Parameter) -> dict[str, list[str]]:
    """Return the rules of a parameter as texts, for each source."""
    by_source: dict[str, list[str]] = {}
    for key, keyword in parameter.items():
        if key in _KEYWORDS:
            by_source.setdefault(keyword.source or _UNMARKED, []).append(_KEYWORDS[key](keyword.value))
    return by_source


def _rank_source(source: str) -> int:
    """Return the place of a source in its column: as in SOURCES, unknown ones last."""
    if source in SOURCES:
        return SOURCES.index(source)
    return len(SOURCES)


def _list_conditional_rules(schema: Mapping[str, Any], about: RuleRow) -> Iterator[RuleRow]:
    """Yield the rules of a schema's `if` and `then`."""
    consequence = schema.get("then")
    if "if" not in schema or not isinstance(consequence, Mapping):
        return
    for name, body in consequence.get("properties", {}).items():
        texts = [_KEYWORDS[key](value) for key, value in body.items() if key in _KEYWORDS]
        rule = f"{'; '.join(texts)}, {_describe_condition(schema['if'])}"
        yield about._replace(parameter=name, rule=rule, source=body.get("x-emulator-source", _UNMARKED))


def _describe_condition(schema: Mapping[str, Any]) -> str:
    """Return when a conditional rule holds, as `when …` or `unless …`."""
    word = "when"
    if isinstance(schema.get("not"), Mapping):
        word = "unless"
        schema = schema["not"]
    texts = []
    for name, body in schema.get("properties", {}).items():
        for key, value in body.items():
            if key in _KEYWORDS:
                texts.append(f"{name} {_KEYWORDS[key](value)}".replace(" one of ", " is one of "))
    texts += [f"{name} is given" for name in schema.get("required", ()) if name not in schema.get("properties", {})]
    return f"{word} {' and '.join(texts) or 'another rule says so'}"


def _show(value: Any) -> str:
    """Return a value of a rule; a text without quotes."""
    if isinstance(value, str) and value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _describe_type(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(value)
    return str(value)


def _describe_not(value: Mapping[str, Any]) -> str:
    if "pattern" in value:
        return f"without {value['pattern']}"
    if value == {}:
        return "refused"
    return "none of " + ", ".join(json.dumps(item) for item in value.get("enum", [value]))


def _describe_min_length(value: int) -> str:
    if value == 1:
        return "not empty"
    return f"at least {value} characters"


def _describe_size(value: Mapping[str, Any]) -> str:
    words = "".join(f"{word} or " for word in value.get("words", ()))
    least, most = value["pixels"][0], value["pixels"][1]
    return (
        f"{words}WIDTHxHEIGHT in steps of {value['step']}, an edge of at most {value['edge']}, "
        f"{least} to {most} pixels, at most {value['ratio']}:1"
    )


def _describe_picture(value: Mapping[str, Any]) -> str:
    described = {word: limit for word, limit in value.items() if word != "types_source" and limit is not False}
    return ", ".join(_PICTURE[word](limit) for word, limit in described.items())


def _describe_ignored(value: Any) -> str:
    if value:
        return "has no effect"
    return "has an effect"


_REFUSED: Final = "refused as unknown"
_UNMARKED: Final = "unmarked"
_MODEL_WORDS: Final = {"(none)": "no model named", "(other)": "any other model"}
_KEYWORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "type": _describe_type,
    "enum": lambda value: "one of " + ", ".join(_show(item) for item in value),
    "const": lambda value: f"is {_show(value)}",
    "not": _describe_not,
    "minimum": lambda value: f"at least {value}",
    "maximum": lambda value: f"at most {value}",
    "minLength": _describe_min_length,
    "maxLength": lambda value: f"at most {value} characters",
    "pattern": lambda value: f"matches {value}",
    "default": lambda value: f"default {_show(value)}",
    "x-emulator-size": _describe_size,
    "x-emulator-picture": _describe_picture,
    "minItems": lambda value: f"at least {value} of them",
    "maxItems": lambda value: f"at most {value} of them",
    "x-emulator-means": lambda value: ", ".join(f"{one} means {_show(other)}" for one, other in value.items()),
    "x-emulator-absent": lambda value: f"{' or '.join(map(json.dumps, value))} counts as not given",
    "x-emulator-clamped": lambda value: f"a number beyond {value[0]} to {value[1]} counts as the nearer of both",
    "x-emulator-ignored": _describe_ignored,
    "x-emulator-parameter": lambda value: f"is OpenAI's {value}",
}
"""The text for each keyword of a schema."""

_PICTURE: Final[Mapping[str, Callable[[Any], str]]] = {
    "formats": lambda value: "a file of " + " or ".join(value),
    "bytes": lambda value: f"at most {value} bytes",
    "types": lambda value: f"called {' or '.join(value)}",
    "square": lambda value: "square",
    "modes": lambda value: f"of {' or '.join(value)} pixels",
    "alpha": lambda value: "with an alpha channel",
    "fits": lambda value: "as large as the first picture",
}
"""The text for each word of x-emulator-picture."""
