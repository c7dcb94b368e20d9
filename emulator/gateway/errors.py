"""The error catalog: turns a GatewayError into the status, the headers and the body that a gateway answers with.

A catalog is a file in `schemas/wordings/`, or beside a gateway of a user's. It has a template for every kind of error
and for every breach of a request schema, or `extends` a catalog that has; else the gateway does not start.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Any, Final, NamedTuple

from emulator.core import json_schema
from emulator.core.data_folders import find_schemas, is_shipped_schema
from emulator.core.light_dataclass import dataclass
from emulator.core.parse_cache import load_yaml_once
from emulator.core.suggestions import describe_known
from emulator.core.yaml_file import InvalidFile, Pointer, YamlFile
from emulator.gateway import address_masking
from emulator.gateway.formats import JsonFormat, read_json_format
from emulator.gateway.templates import fill_template
from emulator.messages import FACTS, KINDS, VIOLATIONS, GatewayError, Kind, Response, Violation


@dataclass(frozen=True)
class ErrorTemplate:
    """One line of an error catalog: the answer to one kind of error.

    `messages` are by language; the key is "" where there is one language. `param` is False where the error's own
    parameter counts. `envelope` names the shape of the body, "" means the catalog's first one. `headers` are sent with
    the answer. `variants` are other templates for some models, parameters or cases: (section, pattern, template).
    `upstream` is set where the gateway passes on what its upstream answers to that kind of error; `relayed` is set in a
    template that comes from the upstream's catalog.
    """

    status: int
    type: str | None
    code: str | None
    messages: Mapping[str, str]
    param: str | bool | None = False
    envelope: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    variants: tuple[tuple[str, str, ErrorTemplate], ...] = ()
    upstream: Kind | None = None
    relayed: bool = False


class _Rendered(NamedTuple):
    """An answer that was rendered, and its body `before` and `after` the request's id; `after` is None without one."""

    before: bytes
    after: bytes | None
    answer: Response


@dataclass(frozen=True)
class ErrorCatalog:
    """The answers of a gateway to every kind of error and every breach of a request schema.

    `envelopes` are the shapes of bodies by name; the first is the usual one, None is an empty body. `upstream` is the
    catalog of the server behind the gateway: what that refuses is passed on in the envelope `relay`, with its addresses
    `masked`. A `bare` catalog sends no headers but its own: neither Allow nor Retry-After.
    """

    envelopes: Mapping[str, Any]
    kinds: Mapping[Kind, ErrorTemplate]
    violations: Mapping[Violation, ErrorTemplate]
    json_format: JsonFormat
    upstream: ErrorCatalog | None = None
    relay: str = ""
    masked: bool = False
    bare: bool = False

    @cached_property
    def quotes_decoder(self) -> bool:
        """Whether the message for a body that is not JSON quotes the decoder."""
        return any("{unreadable}" in message for message in self.violations["bad_json"].messages.values())

    def list_words(self, code: str) -> list[str]:
        """Return the kinds and breaches that are answered with `code`, in any of their variants."""
        words: list[str] = []
        for word, template in (*self.kinds.items(), *self.violations.items()):
            if any(code == one.code for one in _list_templates([template])):
                words.append(word)
        return words

    def render(self, error: GatewayError, language: str = "", request_id: str = "") -> Response:
        """Return the answer to `error`: status, headers and body.

        `language` is the caller's; where the catalog does not have it, its first language counts. `request_id` is what
        a message shows as {request_id}. `error` stays as it is.

        An answer that was rendered before, but for its request id, is kept: looking it up takes 1 microsecond, and
        rendering it 8 or more.
        """
        if error.words:  # of a scenario; they may be anything
            return self._render(error, language, request_id)
        facts = error.facts
        key = (
            error.kind,
            error.violation,
            error.param,
            error.model,
            error.upstream,
            error.headers,
            language,
            tuple(facts),
            tuple(facts.values()),
        )
        rendered = self._rendered.get(key)
        if rendered is None:
            rendered = self._prepare(error, language)
            if rendered is None:
                return self._render(error, language, request_id)
            if len(self._rendered) >= _MOST_RENDERED:
                self._rendered.clear()
            self._rendered[key] = rendered
        before, after, answer = rendered
        if after is None:
            return answer
        text = self.json_format.format_text(request_id)[1:-1]
        return Response(answer.status, answer.headers, (before + text.encode("utf-8", "replace") + after,))

    @cached_property
    def _rendered(self) -> dict[tuple[Any, ...], _Rendered]:
        """Answers that were rendered, by what they depend on."""
        return {}

    def _prepare(self, error: GatewayError, language: str) -> _Rendered | None:
        """Return the answer to `error` without a request id; None where it cannot be kept."""
        texts = (error.param or "", error.model or "", *error.facts.values())
        if sum(map(len, texts)) > _LONGEST_RENDERED or any(_ANY_ID in text for text in texts):
            return None
        template = self.choose_template(error)
        answer = self._render(error, language, _ANY_ID)
        (body,) = answer.body
        before, *rest = body.split(self.json_format.format_text(_ANY_ID)[1:-1].encode())
        if not rest:
            return _Rendered(before, None, answer)
        if len(rest) > 1 or (template.relayed and self.masked):  # whether an id is masked depends on the id
            return None
        return _Rendered(before, rest[0], answer)

    def _render(self, error: GatewayError, language: str, request_id: str) -> Response:
        template = self.choose_template(error)
        headers = _fill_headers(template.headers, error.facts)
        if not self.bare:
            own = {name.lower() for name, _ in headers}
            headers += tuple((name, value) for name, value in error.headers if name.lower() not in own)
        envelope = self.envelopes[template.envelope or next(iter(self.envelopes))]
        if envelope is None:
            return Response(template.status, headers, (b"",))
        members = self._fill_members(error, template, language, request_id)
        body = self.json_format.encode(fill_template(envelope, members))
        return Response(template.status, (("Content-Type", self.json_format.content_type), *headers), (body,))

    def choose_template(self, error: GatewayError) -> ErrorTemplate:
        """Return the template for `error`: its violation's, else its kind's; a variant for its model or case wins."""
        template = self.kinds[error.kind]
        if error.violation:
            template = self.violations[error.violation]
        if template.variants:
            template = _choose_variant(template, error)
        if error.upstream or template.upstream is not None:
            template = self._relay(error, template)
        if error.words:
            template = self._override(template, error.words)
        return template

    def format_message(self, error: GatewayError, language: str = "", request_id: str = "") -> str:
        """Return the message that a client gets for `error`."""
        return self._fill_message(error, self.choose_template(error), language, request_id)

    def describe_error(self, error: GatewayError, language: str = "") -> str:
        """Return the message that a client gets for `error`, for a place where there is no request: without its id."""
        message = self.format_message(error, language, _ANY_ID)
        return re.sub(_ABOUT_ID, "", message).replace(_ANY_ID, "…")

    def find_code(self, error: GatewayError) -> str | None:
        """Return the error code that a client gets for `error`; None where the gateway has none."""
        return self.choose_template(error).code

    def format_members(self, error: GatewayError, language: str = "", request_id: str = "") -> Mapping[str, Any]:
        """Return type, code, message and param of `error`, for a place without envelope, such as a stream's event."""
        members = self._fill_members(error, self.choose_template(error), language, request_id)
        return {name: members[name] for name in ("type", "code", "message", "param")}

    def _relay(self, error: GatewayError, template: ErrorTemplate) -> ErrorTemplate:
        """Return the upstream's template for `error`, or for the kind that `template` names; else `template`."""
        if self.upstream is None:
            return template
        if template.upstream is None:
            behind = replace(error, words={})
        else:
            behind = replace(error, kind=template.upstream, violation=None, words={})
        relayed = self.upstream.choose_template(behind)
        param = relayed.param
        if param is False:
            param = error.param
        return replace(relayed, envelope=self.relay, param=param or "", headers=(), variants=(), relayed=True)

    def _override(self, template: ErrorTemplate, words: Mapping[str, Any]) -> ErrorTemplate:
        """Return `template` with the parts that a scenario's answer sets."""
        changes = {key: value for key, value in words.items() if key not in ("case", "message")}
        if changes.get("envelope") not in self.envelopes:  # a scenario is for all gateways: not each has that shape
            changes.pop("envelope", None)
        message = words.get("message")
        if message is not None:
            changes["messages"] = {"": message.replace("{", "{{").replace("}", "}}")}
        return replace(template, **changes)

    def _fill_message(self, error: GatewayError, template: ErrorTemplate, language: str, request_id: str) -> str:
        message = template.messages.get(language)
        if not message:
            message = next(iter(template.messages.values()))
        facts = {**_NO_FACTS, "model": error.model or "", **error.facts, "param": error.param or ""}
        if request_id:
            facts["request_id"] = request_id
        text = message.format_map(facts)
        if template.relayed and self.masked:
            return address_masking.mask_addresses(text)
        return text

    def _fill_members(
        self, error: GatewayError, template: ErrorTemplate, language: str, request_id: str
    ) -> Mapping[str, Any]:
        param = template.param
        if param is False:
            param = error.param
        message = self._fill_message(error, template, language, request_id)
        return {
            "message": message,
            "type": template.type,
            "param": param,
            "code": template.code,
            "status": template.status,
            "request_id": request_id,
        }


def _fill_headers(headers: tuple[tuple[str, str], ...], facts: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the headers of a line with the facts that they name; one without such a fact is left out."""
    if not any("{" in value for _, value in headers):
        return headers
    known = {name: facts[name] for name in HEADER_FACTS if facts.get(name)}
    if "wait" in known:
        known["wait"] = str(_count_seconds(known["wait"]))
    filled = []
    for name, value in headers:
        if all(fact in known for fact in re.findall(_HEADER_FACT, value)):
            filled.append((name, re.sub(_HEADER_FACT, lambda found: known[found[1]], value)))
    return tuple(filled)


def _count_seconds(wait: str) -> int:
    """Return the whole seconds of a wait such as 12s or 20ms, as Retry-After has them."""
    if wait.endswith("ms"):
        return math.ceil(float(wait[:-2]) / 1000)
    return math.ceil(float(wait[:-1]))


def _choose_variant(template: ErrorTemplate, error: GatewayError) -> ErrorTemplate:
    """Return the last variant of `template` whose pattern matches the model, parameter or case; else `template`."""
    subjects = {
        "models": error.facts.get("model") or error.model or "",
        "params": error.param,
        "cases": error.words.get("case"),
    }
    chosen = template
    for section, pattern, variant in template.variants:
        subject = subjects[section]
        if subject is not None and fnmatchcase(str(subject), pattern):
            chosen = variant
    return chosen


class ErrorCatalogLoader:
    """Loads error catalogs; several gateways share one file, which is read once."""

    def __init__(self) -> None:
        self._loaded: dict[Path, ErrorCatalog] = {}
        self._loading: set[Path] = set()

    def load(self, path: Path) -> ErrorCatalog:
        """Return the catalog in the file at `path`; raises InvalidFile."""
        if path not in self._loaded:
            if path in self._loading:
                raise InvalidFile(f"{path}: `extends` or `upstream` leads back to this file")
            self._loading.add(path)
            try:
                self._loaded[path] = _load_catalog(path, self)
            finally:
                self._loading.discard(path)
        return self._loaded[path]


def _load_catalog(path: Path, loader: ErrorCatalogLoader) -> ErrorCatalog:
    """Return the catalog in the file at `path`; raises InvalidFile where it breaks its schema or has a gap."""
    file = load_yaml_once(path, aliases=True)
    if not is_shipped_schema(path):  # the files that ship are checked by the tests
        json_schema.load_schema(SCHEMA).validate(file)
    root = file.root
    base = _EMPTY_CATALOG
    if "extends" in root:
        base = loader.load(_find_catalog(file, ["extends"], root["extends"]))
    own_envelopes = root.get("envelopes") or {}
    for name, envelope in own_envelopes.items():
        _check_envelope(file, ["envelopes", name], envelope)
    envelopes = own_envelopes | {name: body for name, body in base.envelopes.items() if name not in own_envelopes}
    if not envelopes:
        raise file.error_at([], "no envelopes: nothing says what a refusal's body looks like")
    _check_completeness(file, base)
    reader = _TemplateReader(file, envelopes)
    kinds = reader.read_section("kinds", KINDS, usual={}, base=base.kinds)
    usual = root.get("kinds", {}).get("invalid_request") or {}
    violations = reader.read_section("breaches", VIOLATIONS, usual=usual, base=base.violations)
    if own_envelopes:  # an inherited envelope that no template uses is not a shape of this gateway
        used = {template.envelope for template in _list_templates((*kinds.values(), *violations.values()))}
        envelopes = {name: body for name, body in envelopes.items() if name in own_envelopes or name in used}
    codes = root.get("codes", {})
    catalog = ErrorCatalog(
        envelopes=envelopes,
        kinds=_set_codes(kinds, codes),
        violations=_set_codes(violations, codes),
        json_format=base.json_format,
        upstream=base.upstream,
        relay=base.relay,
        masked=base.masked,
        bare=root.get("bare", base.bare),
    )
    if "spelling" in root:
        catalog = replace(catalog, json_format=read_json_format(root["spelling"]))
    if "upstream" in root:
        upstream = root["upstream"]
        catalog = replace(
            catalog,
            upstream=loader.load(_find_catalog(file, ["upstream"], upstream["$ref"])),
            relay=upstream.get("envelope", catalog.relay),
            masked=upstream.get("masked", catalog.masked),
        )
    return catalog


def _check_envelope(file: YamlFile, pointer: Pointer, part: Any) -> None:
    """Raise InvalidFile where a text of an envelope is one {name} that no refusal has."""
    if isinstance(part, Mapping):
        for key, inner in part.items():
            _check_envelope(file, [*pointer, key], inner)
    elif isinstance(part, list):
        for index, inner in enumerate(part):
            _check_envelope(file, [*pointer, index], inner)
    elif isinstance(part, str) and part[:1] == "{" and part[-1:] == "}" and part[1:-1] not in _ENVELOPE_NAMES:
        known = ", ".join(f"{{{name}}}" for name in _ENVELOPE_NAMES)
        raise file.error_at(pointer, f"{part} is none of the parts of a refusal; expected one of {known}")


def _list_templates(templates: Iterable[ErrorTemplate]) -> Iterator[ErrorTemplate]:
    """Yield `templates` and all of their variants."""
    for template in templates:
        yield template
        yield from _list_templates(variant for _, _, variant in template.variants)


def _set_codes(templates: Mapping[Any, ErrorTemplate], codes: Mapping[int, str]) -> Mapping[Any, ErrorTemplate]:
    """Return `templates` with the code of their status, for a gateway that has codes by status alone.

    The emulator's own errors, which no gateway has, keep their codes.
    """
    if not codes:
        return templates
    coded = {}
    for name, template in templates.items():
        coded[name] = template
        if template.type != _EMULATOR_ERROR:
            coded[name] = _set_code(template, codes)
    return coded


def _set_code(template: ErrorTemplate, codes: Mapping[int, str]) -> ErrorTemplate:
    variants = [(section, pattern, _set_code(variant, codes)) for section, pattern, variant in template.variants]
    return replace(template, code=codes.get(template.status), variants=tuple(variants))


def _check_completeness(file: YamlFile, base: ErrorCatalog) -> None:
    """Raise InvalidFile, with all that is missing, where a file and its base lack a kind or a breach."""
    gaps = []
    sections: Sequence[tuple[str, Sequence[str], Mapping[Any, ErrorTemplate]]] = (
        ("kinds", KINDS, base.kinds),
        ("breaches", VIOLATIONS, base.violations),
    )
    for name, known, inherited in sections:
        missing = [word for word in known if word not in inherited and word not in file.root.get(name, {})]
        if missing:
            gaps.append(f"{name} has no words for {', '.join(missing)}")
    if gaps:
        raise file.error_at([], f"{'; '.join(gaps)}; `extends: FILE` takes them from a catalog that ships")


def _find_catalog(file: YamlFile, pointer: Pointer, name: str) -> Path:
    """Return the path of the catalog `name`: a file in the folder of `file`, else one that ships.

    Raises InvalidFile where there is none, and where a file names itself.
    """
    folders = (file.path.parent, find_schemas() / WORDINGS)
    if "/" not in name:
        for folder in folders:
            path = folder / name
            if path.is_file() and path.resolve() != file.path.resolve():
                return path
    known = sorted({path.name for folder in folders for path in folder.glob("*.yaml")} - {file.path.name})
    message = f"{name!r} is no file beside {file.path.name}, and no error catalog that ships"
    raise file.error_at(pointer, f"{message}; {describe_known(name, known)}")


@dataclass(frozen=True)
class _TemplateReader:
    """Reads the templates of one file."""

    file: YamlFile
    envelopes: Mapping[str, Any]

    def read_section(
        self, name: str, known: Sequence[Any], usual: Mapping[str, Any], base: Mapping[Any, ErrorTemplate]
    ) -> Mapping[Any, ErrorTemplate]:
        """Return the templates of the section `name`; those that it leaves out are the base's."""
        section = self.file.root.get(name, {})
        templates = dict(base)
        for key in known:
            if key in section:
                templates[key] = self._read_line([name, key], section[key], usual, base.get(key))
        return templates

    def _read_line(
        self, pointer: Sequence[str], line: Any, usual: Mapping[str, Any], base: ErrorTemplate | None
    ) -> ErrorTemplate:
        """Return one template with its variants; what the line leaves out is as in `usual`.

        A line without a status changes the template `base` of the catalog that this one extends.
        """
        merged = {key: value for key, value in {**usual, **line}.items() if key not in _VARIANT_SECTIONS}
        if base is not None and "status" not in merged and "upstream" not in merged:
            return self._change_line(pointer, line, merged, base)
        variants = []
        for section, pattern, words in _list_variants(line):
            place = [*pointer, section, pattern]
            variants.append((section, pattern, self._make_template(place, {**merged, **words})))
        return replace(self._make_template(pointer, merged), variants=tuple(variants))

    def _change_line(
        self, pointer: Sequence[str], line: Any, merged: Mapping[str, Any], base: ErrorTemplate
    ) -> ErrorTemplate:
        """Return `base` with the parts that `merged` has, in its variants too, and with the variants of `line`.

        Whoever changes a message need not know which other messages there were for some models or cases.
        """
        if base.upstream is not None and "message" in merged:
            where = ".".join(pointer)
            message = f"{where} has no status: what it changes is the answer of an upstream, and not a line with one"
            raise self.file.error_at(pointer, message)
        parts = self._read_parts(pointer, merged)
        changed = replace(_change_template(base, parts), variants=())
        variants = {(section, pattern): _change_template(one, parts) for section, pattern, one in base.variants}
        for section, pattern, words in _list_variants(line):
            own = {**parts, **self._read_parts([*pointer, section, pattern], words)}
            variants[section, pattern] = _change_template(variants.get((section, pattern), changed), own)
        return replace(changed, variants=tuple((*key, variant) for key, variant in variants.items()))

    def _make_template(self, pointer: Sequence[str], line: Mapping[str, Any]) -> ErrorTemplate:
        where = ".".join(pointer)
        if "upstream" in line:  # status and message count where the gateway names no upstream
            line = {"status": 500, "message": "", **line}
        for key in ("status", "message"):
            if key not in line:
                raise self.file.error_at(pointer, f"{where} has no {key}")
        return ErrorTemplate(**{"type": None, "code": None, **self._read_parts(pointer, line)})

    def _read_parts(self, pointer: Sequence[str], line: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts of an ErrorTemplate that a line has, by the names of its fields."""
        parts = {key: line[key] for key in ("status", "type", "code", "param", "envelope", "upstream") if key in line}
        if "message" in line:
            messages = line["message"]
            if isinstance(messages, str):
                messages = {"": messages}
            for message in messages.values():
                self._check_message(pointer, message)
            parts["messages"] = messages
        if "headers" in line:
            for value in line["headers"].values():
                for fact in re.findall(_HEADER_FACT, value):
                    if fact not in HEADER_FACTS:
                        message = f"the header names {{{fact}}}; {describe_known(fact, HEADER_FACTS)}"
                        raise self.file.error_at(pointer, message)
            parts["headers"] = tuple(line["headers"].items())
        envelope = parts.get("envelope")
        if envelope and envelope not in self.envelopes:
            raise self.file.error_at(pointer, f"unknown envelope {envelope!r}; known are {', '.join(self.envelopes)}")
        return parts

    def _check_message(self, pointer: Sequence[str], message: str) -> None:
        """Raise InvalidFile where `message` names what no error has."""
        try:
            parts = list(Formatter().parse(message))
        except ValueError as error:
            raise self.file.error_at(pointer, f"the message cannot be filled in: {error}") from None
        for _, name, form, conversion in parts:
            if name is None:
                continue
            if name not in FACTS:
                line = f"the message names {{{name}}}, which no refusal has"
                raise self.file.error_at(pointer, f"{line}; {describe_known(name, FACTS)}")
            if form or conversion:
                line = f"the message formats {{{name}}}; expected {{{name}}} alone, without `:` and `!` in the braces"
                raise self.file.error_at(pointer, line)


def _list_variants(line: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the other words of a line: section, pattern, words."""
    for section in _VARIANT_SECTIONS:
        for pattern, words in line.get(section, {}).items():
            yield section, pattern, words


def _change_template(template: ErrorTemplate, parts: Mapping[str, Any]) -> ErrorTemplate:
    """Return `template` with other parts; languages that they do not have stay."""
    changes = dict(parts)
    languages = changes.get("messages", {})
    if languages and "" not in languages and "" not in template.messages:
        changes["messages"] = {**template.messages, **languages}
    return replace(template, **changes)


_MOST_RENDERED: Final = 256  # answers of a catalog that are kept; a key has some 500 bytes, and so has an answer
_LONGEST_RENDERED: Final = 2000  # characters of parameter, model and facts of an answer that is kept
_ANY_ID: Final = "\x00"
_ABOUT_ID: Final = r" ?\([^()\x00]*\x00\)"
"""The part of a message that has the request's id alone, such as `(request id: …)`."""
WORDINGS: Final = "wordings"
"""The folder of the catalogs that ship."""
SCHEMA: Final = "error_catalog.schema.json"
"""The JSON Schema of an error catalog's file."""
_EMPTY_CATALOG: Final = ErrorCatalog(envelopes={}, kinds={}, violations={}, json_format=JsonFormat())
HEADER_FACTS: Final = ("wait", "limit", "used", "requested", "left", "need")
"""What a header of a line may name: numbers of the emulator's own, and nothing that a client has sent."""
_HEADER_FACT: Final = r"\{([a-z_]+)\}"
_EMULATOR_ERROR: Final = "emulator_error"  # the type of errors that no gateway has, only the emulator
_ENVELOPE_NAMES: Final = ("message", "type", "param", "code", "status", "request_id")
"""What an envelope may name."""
_VARIANT_SECTIONS: Final = ("models", "params", "cases")
_NO_FACTS: Final = dict.fromkeys(FACTS, "")
