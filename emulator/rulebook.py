"""A gateway's rules as a table: what holds for which model and parameter, and where that comes from.

For people to read; nothing decides by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from emulator.dialect import Dialect, ModelRules
from emulator.exchange import SOURCES


def rows(dialect: Dialect) -> Iterator[tuple[str, str, str, str]]:
    """The gateway's rules as rows of (model, parameter, rule, source), for people."""
    for credential in dialect.credentials:
        how = f"{credential.scheme.title()} KEY" if credential.scheme else "KEY alone"
        yield "(all)", credential.header, f"{how}, required", credential.source or "unmarked"
    for operation in dialect.generating():
        models = operation.models
        assert models is not None
        source = models.source or "unmarked"
        if models.default:
            yield "(none)", "model", f"means {models.default}", source
        for name, model in models.when_present.items():
            yield "(none)", "model", f"means {model} when {name} is given", source
        if models.otherwise is None:
            yield "(other)", "model", "refused as unknown", source
        for model, rules in (*models.listed.items(), *([("(other)", models.otherwise)] if models.otherwise else [])):
            yield from _model_rows(model, rules)


def _model_rows(model: str, rules: ModelRules) -> Iterator[tuple[str, str, str, str]]:
    for name, parameter in rules.parameters.items():
        by_source: dict[str, list[str]] = {}
        for key, keyword in parameter.items():
            if key in _SAID:
                by_source.setdefault(keyword.source or "unmarked", []).append(_SAID[key](keyword.value))
        if name in rules.required:
            by_source.setdefault(next(iter(by_source), "unmarked"), []).insert(0, "required")
        for source in sorted(by_source, key=lambda word: SOURCES.index(word) if word in SOURCES else len(SOURCES)):
            yield model, name, "; ".join(by_source[source]), source
    verdict = "refused" if rules.closed.value else "accepted, with a finding"
    yield model, "(unknown)", verdict, rules.closed.source or "unmarked"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_SAID: Final[Mapping[str, Callable[[Any], str]]] = {
    "type": lambda value: " or ".join(value) if isinstance(value, list) else str(value),
    "enum": lambda value: "one of " + ", ".join(_plain(item) for item in value),
    "const": lambda value: f"is {_plain(value)}",
    "not": lambda value: "none of " + ", ".join(json.dumps(item) for item in value.get("enum", [value])),
    "minimum": lambda value: f"at least {value}",
    "maximum": lambda value: f"at most {value}",
    "minLength": lambda value: "not empty" if value == 1 else f"at least {value} characters",
    "maxLength": lambda value: f"at most {value} characters",
    "pattern": lambda value: f"matches {value}",
    "default": lambda value: f"default {_plain(value)}",
    "x-emulator-means": lambda value: ", ".join(f"{one} means {_plain(other)}" for one, other in value.items()),
    "x-emulator-ignored": lambda value: "has no effect" if value else "has an effect",
}
