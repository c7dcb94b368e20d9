"""Which rules hold for which model: the request schemas of an operation, chosen by its discriminator.

Rules are data from the gateway's file, keyword by keyword; *verdict* compiles the same schemas to judge by them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from emulator.core import yaml_file
from emulator.core.yaml_file import Pointer
from emulator.gateway import upload_rules
from emulator.gateway.openapi import Document, FoundOperation, Keyword, Parameter
from emulator.image.upload import PictureRule
from emulator.messages import ResponseShape, StreamShape

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
MOST_PICTURES: Final = 10  # a call, where a gateway's file sets no limit: OpenAI's own


@dataclass(frozen=True)
class ModelRules:
    """What one model (or a family of them) takes: `ref` leads to its request schema in the gateway's file.

    `upstream` leads to the schema of what an upstream takes to which the gateway passes a call on; with `types_first`
    every parameter's type is judged before any value, as a decoder does it. `pictures` are the parameters that are
    files or stand for some.
    """

    ref: str
    parameters: Mapping[str, Parameter]
    required: frozenset[str]
    closed: Keyword
    response: ResponseShape
    upstream: str | None = None
    types_first: bool = False
    pictures: Mapping[str, PictureRule] = field(default_factory=dict)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """What counts for a parameter that is not given."""
        return {name: line["default"].value for name, line in self.parameters.items() if "default" in line}

    @cached_property
    def means(self) -> Mapping[str, Mapping[str, Any]]:
        """For a parameter, the values that stand for another value, as JSON text."""
        return {name: line[_MEANS].value for name, line in self.parameters.items() if _MEANS in line}

    @cached_property
    def absent(self) -> Mapping[str, Sequence[Any]]:
        """For a parameter, the values that count as not given; a null that its type allows is one of them."""
        said = {name: list(line[_ABSENT].value) for name, line in self.parameters.items() if _ABSENT in line}
        for name, line in self.parameters.items():
            if "type" in line and "null" in line["type"].value:
                said.setdefault(name, []).append(None)
        return said

    @cached_property
    def most(self) -> int:
        """How many pictures a call may ask for; where the gateway's file sets no limit, OpenAI's holds."""
        limit = self.parameters.get("n", {}).get("maximum")
        said = limit.value if limit is not None and limit.value.__class__ is int else 0
        return max(MOST_PICTURES, min(said, _MOST_DRAWN))

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
    """Which rules hold for which model; `otherwise` is for unlisted names, None where they are unknown.

    Where a gateway passes calls on, `channels` are the names that it has a channel for: only they are known, and those
    that a tester adds. `fallback` is the name that is looked up where none, or an empty one, is given.
    """

    listed: Mapping[str, ModelRules]
    default: str | None
    when_present: Mapping[str, str]
    otherwise: ModelRules | None
    source: str | None
    fallback: str | None = None
    channels: frozenset[str] | None = None

    def rules(self, name: str, channels: Collection[str]) -> ModelRules | None:
        """The rules for the model `name`, None where it is unknown; `channels` are names that are known besides."""
        if self.channels is None or name in self.channels or name in channels:
            return self.listed.get(name, self.otherwise)
        return None

    @property
    def known(self) -> Iterable[str]:
        """The names that are known without a tester's channels, unlisted ones aside."""
        return self.listed if self.channels is None else [name for name in self.listed if name in self.channels]


def read(document: Document, found: FoundOperation, media_type: str = JSON) -> Models:
    """The rules for each model of an operation, by the discriminator of its request schema; raises InvalidFile."""
    pointer = [*found.pointer, "requestBody", "content", media_type, "schema"]
    if isinstance(target := (found.node.get("requestBody") or {}).get("$ref"), str):
        pointer = [*target[2:].split("/"), *pointer[-3:]]
    schema = document.request_schema(found.node, media_type)
    if not isinstance(schema, Mapping):
        message = f"{found.method} {found.path} has no {_NAMES[media_type]} request schema, so no live rule"
        raise document.source.fault(found.pointer, message)
    ref = schema["$ref"] if set(schema) == {"$ref"} else "#/" + "/".join(_escaped(step) for step in pointer)
    schema = document.resolve(schema, pointer)
    choice = schema.get("x-emulator-models", {})
    discriminator = schema.get("discriminator") or {}
    if discriminator.get("propertyName") != "model":
        rules = _rules(document, ref, pointer)
        default = rules.defaults.get("model")
        return Models({}, default if isinstance(default, str) else None, {}, rules, None)
    known = ("default", "when_present", "otherwise", "source", "fallback", "channels")
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
        fallback=choice.get("fallback"),
        channels=None if "channels" not in choice else frozenset(map(str, choice["channels"])),
    )


def rules_at(document: Document, ref: str) -> ModelRules:
    """The rules of the request schema at `ref`, such as an upstream's; raises InvalidFile."""
    return _rules(document, ref, ())


def _rules(document: Document, ref: str, pointer: Pointer) -> ModelRules:
    schema = document.at(ref, pointer)
    said = document.annotation(schema, "x-emulator-reply") or {}
    known = ("fields", "revised_prompt", "delivery", "usage", "usage_fields", "usage_details", "data_fields", "newline")
    document.source.known_keys([*pointer, "x-emulator-reply"], said, (*known, "stream"))
    for key, value in said.items():
        if key in _REPLY_WORDS and value not in _REPLY_WORDS[key]:
            allowed = ", ".join(_REPLY_WORDS[key])
            message = f"x-emulator-reply.{key} is {yaml_file.describe(value)}; expected {allowed}"
            raise document.source.fault(pointer, message)
    for key, words in _REPLY_FIELDS.items():
        if key == "fields" and "usage" in said:
            words = (*words, "usage")
        if strange := set(said.get(key, ())) - set(words):
            message = f"x-emulator-reply.{key} names {', '.join(sorted(strange))}; known are {', '.join(words)}"
            raise document.source.fault(pointer, f"{message}{'' if 'usage' in said else ', and with a table usage'}")
    judging = document.annotation(schema, "x-emulator-judging") or {}
    document.source.known_keys([*pointer, "x-emulator-judging"], judging, ("upstream", "types"))
    shape: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in said.items()}
    if "stream" in said:
        shape["stream"] = stream_shape(document.source, [*pointer, "x-emulator-reply", "stream"], said["stream"])
    sources = document.annotation(schema, "x-emulator-source")
    source = sources.get("unevaluatedProperties") if isinstance(sources, Mapping) else sources
    closed = any(schema.get(key) is False for key in ("unevaluatedProperties", "additionalProperties"))
    return ModelRules(
        ref=ref,
        parameters=document.parameters(schema),
        required=document.required(schema),
        closed=Keyword(closed, source),
        response=replace(ResponseShape(), **shape),
        upstream=judging.get("upstream"),
        types_first=judging.get("types") == "first",
        pictures=upload_rules.read(document, pointer, schema),
    )


def stream_shape(source: yaml_file.Source, pointer: Pointer, said: Any) -> StreamShape:
    """What `stream` says: how events' names begin, by operation, and what else is not as usual; raises InvalidFile."""
    said = source.known_keys(pointer, said, (*_STREAMING, "done", "partials", "completed"))
    names = {name: said[name] for name in _STREAMING if name in said}
    if not names or not all(isinstance(name, str) and re.fullmatch("[a-z_.]+", name) for name in names.values()):
        raise source.fault(pointer, f"the events' names begin {names!r}; expected a name for {' or '.join(_STREAMING)}")
    usual = StreamShape(names)
    done, partials = (said.get(key, getattr(usual, key)) for key in ("done", "partials"))
    if not isinstance(done, bool) or not isinstance(partials, bool):
        raise source.fault(pointer, f"done is {done!r} and partials {partials!r}; expected true or false")
    fields = said.get("completed", usual.completed)
    if isinstance(fields, str) or (strange := [field for field in fields if field not in _EVENT_FIELDS]):
        named = fields if isinstance(fields, str) else ", ".join(map(str, strange))
        raise source.fault(pointer, f"completed names {named}; known are {', '.join(_EVENT_FIELDS)}")
    return StreamShape(names, done, partials, tuple(fields))


def _escaped(step: str | int) -> str:
    return str(step).replace("~", "~0").replace("/", "~1")


_REPLY_FIELDS: Final[Mapping[str, Sequence[str]]] = {
    "fields": ("created", "data", "background", "output_format", "quality", "safety_identifier", "size"),
    "data_fields": ("b64_json", "revised_prompt", "url"),
    "usage_fields": (
        "input_tokens", "input_tokens_details", "output_tokens", "output_tokens_details", "total_tokens",
    ),
    "usage_details": ("image_tokens", "text_tokens"),
}  # fmt: skip
"""What can stand in a reply, and in which part of it the file gives the order."""
_NAMES: Final = {JSON: "JSON", FORM: "form's"}
_STREAMING: Final = ("generate", "edit")
_EVENT_FIELDS: Final = (
    "type", "b64_json", "created_at", "usage", "size", "quality", "background", "output_format", "safety_identifier",
    "url", "revised_prompt",
)  # fmt: skip
"""What the event of a finished picture can tell."""
_REPLY_WORDS: Final = {"revised_prompt": ("none", "echoed", "rewritten"), "delivery": ("url", "b64_json")}
_MEANS: Final = "x-emulator-means"
_IGNORED: Final = "x-emulator-ignored"
_ABSENT: Final = "x-emulator-absent"
_MOST_DRAWN: Final = 128  # pictures a call: the largest limit of any gateway we know, whatever a file says
