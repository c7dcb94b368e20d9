"""Which rules hold for which model: the request schemas of an operation, chosen by its discriminator.

Rules are data from the gateway's file, keyword by keyword; *verdict* compiles the same schemas to judge by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

from emulator import files
from emulator.exchange import ReplyShape
from emulator.files import Pointer
from emulator.openapi import Document, FoundOperation, Keyword, Parameter


@dataclass(frozen=True)
class ModelRules:
    """What one model (or a family of them) takes: `ref` leads to its request schema in the gateway's file."""

    ref: str
    parameters: Mapping[str, Parameter]
    required: frozenset[str]
    closed: Keyword
    reply: ReplyShape

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """What counts for a parameter that is not given."""
        return {name: line["default"].value for name, line in self.parameters.items() if "default" in line}

    @cached_property
    def means(self) -> Mapping[str, Mapping[str, Any]]:
        """For a parameter, the values that stand for another value, as JSON text."""
        return {name: line[_MEANS].value for name, line in self.parameters.items() if _MEANS in line}

    @cached_property
    def heard(self) -> frozenset[str]:
        """The parameters that are known and have an effect."""
        return frozenset(self.parameters) - self.ignored

    @cached_property
    def deprecated(self) -> frozenset[str]:
        """The parameters that OpenAPI's `deprecated` marks."""
        return frozenset(n for n, line in self.parameters.items() if (d := line.get("deprecated")) and d.value is True)

    @cached_property
    def ignored(self) -> frozenset[str]:
        """The parameters that are allowed but have no effect."""
        return frozenset(n for n, line in self.parameters.items() if _IGNORED in line and line[_IGNORED].value is True)


@dataclass(frozen=True)
class Models:
    """Which rules hold for which model; `otherwise` is for unlisted names, None where they are unknown."""

    listed: Mapping[str, ModelRules]
    default: str | None
    when_present: Mapping[str, str]
    otherwise: ModelRules | None
    source: str | None


def read(document: Document, found: FoundOperation) -> Models:
    """The rules for each model of an operation, by the discriminator of its request schema; raises BadFile."""
    pointer = [*found.pointer, "requestBody", "content", "application/json", "schema"]
    body = document.resolve(found.node.get("requestBody") or {}, found.pointer)
    if isinstance(target := (found.node.get("requestBody") or {}).get("$ref"), str):
        pointer = [*target[2:].split("/"), *pointer[-3:]]
    schema = ((body.get("content") or {}).get("application/json") or {}).get("schema")
    if not isinstance(schema, Mapping):
        message = f"{found.method} {found.path} has no JSON request schema, so no live rule"
        raise document.source.fault(found.pointer, message)
    ref = schema["$ref"] if set(schema) == {"$ref"} else "#/" + "/".join(_escaped(step) for step in pointer)
    schema = document.resolve(schema, pointer)
    choice = schema.get("x-emulator-models", {})
    discriminator = schema.get("discriminator") or {}
    if discriminator.get("propertyName") != "model":
        rules = _rules(document, ref, pointer)
        default = rules.defaults.get("model")
        return Models({}, default if isinstance(default, str) else None, {}, rules, None)
    known = ("default", "when_present", "otherwise", "source")
    document.source.known_keys([*pointer, "x-emulator-models"], choice, known)
    mapping = discriminator.get("mapping") or {
        part["$ref"].rsplit("/", 1)[-1]: part["$ref"]
        for key in ("oneOf", "anyOf")
        for part in schema.get(key, ())
        if "$ref" in part
    }
    listed = {
        str(name): _rules(document, target if "/" in target else f"#/components/schemas/{target}", pointer)
        for name, target in mapping.items()
    }
    otherwise = choice.get("otherwise", "unknown")
    for name in (choice.get("default"), *(choice.get("when_present") or {}).values()):
        if name is not None and name not in listed:
            message = f"x-emulator-models names {name!r}; the discriminator knows {', '.join(listed)}"
            raise document.source.fault(pointer, message)
    return Models(
        listed=listed,
        default=choice.get("default"),
        when_present=choice.get("when_present") or {},
        otherwise=None if otherwise == "unknown" else _rules(document, otherwise, pointer),
        source=choice.get("source"),
    )


def _rules(document: Document, ref: str, pointer: Pointer) -> ModelRules:
    schema = document.at(ref, pointer)
    said = document.annotation(schema, "x-emulator-reply") or {}
    known = ("fields", "revised_prompt", "delivery", "usage", "usage_fields")
    document.source.known_keys([*pointer, "x-emulator-reply"], said, known)
    for key, value in said.items():
        if key in _REPLY_WORDS and value not in _REPLY_WORDS[key]:
            allowed = ", ".join(_REPLY_WORDS[key])
            message = f"x-emulator-reply.{key} is {files.describe(value)}; expected {allowed}"
            raise document.source.fault(pointer, message)
    strange = set(said.get("fields", ())) - {"created", "data", *(["usage"] if "usage" in said else [])}
    if strange:
        names = ", ".join(sorted(strange))
        message = f"x-emulator-reply.fields names {names}; known are created, data, and usage where it has a table"
        raise document.source.fault(pointer, message)
    shape: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    sources = document.annotation(schema, "x-emulator-source")
    source = sources.get("unevaluatedProperties") if isinstance(sources, Mapping) else sources
    closed = any(schema.get(key) is False for key in ("unevaluatedProperties", "additionalProperties"))
    return ModelRules(
        ref=ref,
        parameters=document.parameters(schema),
        required=document.required(schema),
        closed=Keyword(closed, source),
        reply=replace(ReplyShape(), **shape),
    )


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


_REPLY_WORDS: Final = {"revised_prompt": ("none", "echoed", "rewritten"), "delivery": ("url", "b64_json")}
_MEANS: Final = "x-emulator-means"
_IGNORED: Final = "x-emulator-ignored"
