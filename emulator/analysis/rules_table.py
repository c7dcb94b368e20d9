"""A gateway's rules as a table: what holds for which model and parameter, and where that comes from.

For people to read; nothing decides by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from emulator.gateway.gateway import Gateway
from emulator.gateway.openapi import Document
from emulator.gateway.operation import Operation
from emulator.gateway.rules import ModelRules, Models, rules_at
from emulator.messages import SOURCES

Row = tuple[str, str, str, str]


def rows(gateway: Gateway) -> Iterator[Row]:
    """The gateway's rules as rows of (model, parameter, rule, source), for people."""
    for credential in gateway.credentials:
        spelled = " or ".join(credential.spelled) or (credential.scheme or "").title()
        how = f"{spelled} KEY" if credential.scheme else "KEY alone"
        yield "(all)", credential.header, f"{how}, required", credential.source or "unmarked"
    if gateway.plain_keys:
        yield "(all)", "authorization", "no second part behind a dash", gateway.credentials[0].source or "unmarked"
    for operation, models in gateway.judging():
        what = _what(operation, models)
        for model, name, rule, source in _models_rows(models):
            yield model + what, name, rule, source
        for model, rules in (*models.listed.items(), *([("(other)", models.otherwise)] if models.otherwise else [])):
            yield from _model_rows(gateway.document, model + what, rules)
            if rules.upstream is not None:
                upstream = rules_at(gateway.document, rules.upstream)
                yield from _model_rows(gateway.document, f"{model}{what}, upstream", upstream)


def _what(operation: Operation, models: Models) -> str:
    """What stands behind a model's name, where more than generations is asked of it."""
    if operation.name == "generate":
        return ""
    return f", {operation.name}" + (" in JSON" if operation.form is not None and models is operation.models else "")


def _models_rows(models: Models) -> Iterator[Row]:
    """Which model is meant where none, or an unlisted one, is named."""
    source = models.source or "unmarked"
    if models.fallback:
        yield "(none)", "model", f"looked up as {models.fallback}", source
    if models.channels is not None:
        yield "(other)", "model", "refused as unknown but for --channels", source
    if models.default:
        yield "(none)", "model", f"means {models.default}", source
    for name, model in models.when_present.items():
        yield "(none)", "model", f"means {model} when {name} is given", source
    if models.otherwise is None:
        yield "(other)", "model", "refused as unknown", source


def _model_rows(document: Document, model: str, rules: ModelRules) -> Iterator[Row]:
    schema = document.at(rules.ref)
    said = document.annotation(schema, "x-emulator-source")
    required = said.get("required") if isinstance(said, Mapping) else said
    for name, parameter in rules.parameters.items():
        by_source: dict[str, list[str]] = {}
        for key, keyword in parameter.items():
            if key in _SAID:
                by_source.setdefault(keyword.source or "unmarked", []).append(_SAID[key](keyword.value))
        if name in rules.required:
            by_source.setdefault(required or "unmarked", []).insert(0, "required")
        for source in sorted(by_source, key=lambda word: SOURCES.index(word) if word in SOURCES else len(SOURCES)):
            yield model, name, "; ".join(by_source[source]), source
    for part in document.parts(schema):
        if "if" in part and isinstance(then := part.get("then"), Mapping):
            for name, body in then.get("properties", {}).items():
                texts = [_SAID[key](value) for key, value in body.items() if key in _SAID]
                rule = f"{'; '.join(texts)}, {_condition(part['if'])}"
                yield model, name, rule, body.get("x-emulator-source", "unmarked")
    verdict = "refused" if rules.closed.value else "accepted, with a finding"
    yield model, "(unknown)", verdict, rules.closed.source or "unmarked"


def _condition(schema: Mapping[str, Any]) -> str:
    """When a conditional rule holds."""
    word, inner = ("unless", schema["not"]) if isinstance(schema.get("not"), Mapping) else ("when", schema)
    texts = [
        f"{name} {_SAID[key](value)}".replace(" one of ", " is one of ")
        for name, body in inner.get("properties", {}).items()
        for key, value in body.items()
        if key in _SAID
    ]
    return f"{word} {' and '.join(texts) or 'another rule says so'}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


_SAID: Final[Mapping[str, Callable[[Any], str]]] = {
    "type": lambda value: " or ".join(value) if isinstance(value, list) else str(value),
    "enum": lambda value: "one of " + ", ".join(_plain(item) for item in value),
    "const": lambda value: f"is {_plain(value)}",
    "not": lambda value: (
        f"without {value['pattern']}"
        if "pattern" in value
        else "refused"
        if value == {}
        else "none of " + ", ".join(json.dumps(item) for item in value.get("enum", [value]))
    ),
    "minimum": lambda value: f"at least {value}",
    "maximum": lambda value: f"at most {value}",
    "minLength": lambda value: "not empty" if value == 1 else f"at least {value} characters",
    "maxLength": lambda value: f"at most {value} characters",
    "pattern": lambda value: f"matches {value}",
    "default": lambda value: f"default {_plain(value)}",
    "x-emulator-size": lambda value: (
        f"{''.join(word + ' or ' for word in value.get('words', ()))}WIDTHxHEIGHT in steps of {value['step']}, an edge "
        f"of at most {value['edge']}, {value['pixels'][0]} to {value['pixels'][1]} pixels, at most {value['ratio']}:1"
    ),
    "x-emulator-picture": lambda value: ", ".join(
        _PICTURE[word](said) for word, said in value.items() if said is not False
    ),
    "maxItems": lambda value: f"at most {value} of them",
    "x-emulator-means": lambda value: ", ".join(f"{one} means {_plain(other)}" for one, other in value.items()),
    "x-emulator-absent": lambda value: f"{' or '.join(map(json.dumps, value))} counts as not given",
    "x-emulator-ignored": lambda value: "has no effect" if value else "has an effect",
}
_PICTURE: Final[Mapping[str, Callable[[Any], str]]] = {
    "formats": lambda value: "a file of " + " or ".join(value),
    "bytes": lambda value: f"at most {value} bytes",
    "types": lambda value: f"called {' or '.join(value)}",
    "square": lambda value: "square",
    "modes": lambda value: f"of {' or '.join(value)} pixels",
    "alpha": lambda value: "with an alpha channel",
    "fits": lambda value: "as large as the first picture",
}
