"""How a gateway words its refusals: a Problem becomes status, envelope and text, as a file of wording says.

A file has words for every kind and breach there is, or the gateway does not start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Any, Final

from emulator.core import yaml_file
from emulator.core.yaml_file import Pointer
from emulator.gateway import address_masking
from emulator.gateway import json_format as spellings
from emulator.gateway.json_format import Spelling
from emulator.messages import FACTS, KINDS, VIOLATIONS, GatewayError, Kind, Response, Violation


@dataclass(frozen=True)
class Words:
    """One line of a wording.

    `messages` are by language, "" where there is but one; `param` is False where the problem's own counts; `envelope`
    names the body's shape; `headers` go with it; `own` are other words for models, parameters or cases that a pattern
    names. `upstream` is the kind of an upstream's refusal that is passed on in the place of own words; `relayed` says
    that this was done.
    """

    status: int
    type: str | None
    code: str | None
    messages: Mapping[str, str]
    param: str | bool | None = False
    envelope: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    own: tuple[tuple[str, str, Words], ...] = ()
    upstream: Kind | None = None
    relayed: bool = False


@dataclass(frozen=True)
class ErrorCatalog:
    """How refusals look: the bodies' shapes and, for each kind and breach, status and words.

    `envelopes` are by name, the first is the usual one, None is an empty body. `upstream` words what an upstream
    refuses and the gateway passes on, in the envelope `relay`, with `masked` addresses. A `bare` wording sends no
    headers but its own: neither Allow nor Retry-After.
    """

    envelopes: Mapping[str, Any]
    kinds: Mapping[Kind, Words]
    violations: Mapping[Violation, Words]
    spelling: Spelling
    upstream: ErrorCatalog | None = None
    relay: str = ""
    masked: bool = False
    bare: bool = False

    @cached_property
    def quotes_decoder(self) -> bool:
        """Whether a client is told what a decoder says of a body that is no JSON."""
        return any("{unreadable}" in message for message in self.violations["bad_json"].messages.values())

    def words(self, problem: GatewayError) -> Words:
        """The line for `problem`: its breach's, else its kind's; the model's, parameter's or case's own if there is."""
        words = self.violations[problem.violation] if problem.violation else self.kinds[problem.kind]
        model = problem.facts.get("model") or problem.model or ""
        named = {"models": model, "params": problem.param, "cases": problem.words.get("case")}
        for what, pattern, own in words.own:
            if named[what] is not None and fnmatchcase(str(named[what]), pattern):
                words = own
        if problem.upstream or words.upstream is not None:
            words = self._passed_on(problem, words)
        if not problem.words:
            return words
        said = {key: value for key, value in problem.words.items() if key not in ("case", "message")}
        if said.get("envelope") not in self.envelopes:  # a script is for all gateways: not each has that shape
            said.pop("envelope", None)
        if (message := problem.words.get("message")) is not None:
            said["messages"] = {"": message.replace("{", "{{").replace("}", "}}")}
        return replace(words, **said)

    def _passed_on(self, problem: GatewayError, words: Words) -> Words:
        """The upstream's words for `problem`, or for the kind that `words` name; without an upstream, `words`."""
        if self.upstream is None:
            return words
        kind = words.upstream
        told = self.upstream.words(
            replace(problem, words={}) if kind is None else replace(problem, kind=kind, violation=None, words={})
        )
        param = problem.param if told.param is False else told.param
        return replace(told, envelope=self.relay, param=param or "", headers=(), own=(), relayed=True)

    def message(self, problem: GatewayError) -> str:
        """What a client is told of `problem`."""
        return self._told(problem, self.words(problem))

    def _told(self, problem: GatewayError, words: Words) -> str:
        message = words.messages.get(problem.language) or next(iter(words.messages.values()))
        text = message.format_map({**_NO_FACTS, **problem.facts, "param": problem.param or ""})
        return address_masking.masked(text) if words.relayed and self.masked else text

    def code(self, problem: GatewayError) -> str | None:
        """The error code that a client is told, None where the gateway gives none."""
        return self.words(problem).code

    def error(self, problem: GatewayError) -> Mapping[str, Any]:
        """`problem` as it is told where no envelope fits, in the middle of a stream."""
        parts = self._parts(problem, self.words(problem))
        return {name: parts[name] for name in ("type", "code", "message", "param")}

    def _parts(self, problem: GatewayError, words: Words) -> Mapping[str, Any]:
        param = problem.param if words.param is False else words.param
        return {"message": self._told(problem, words), "type": words.type, "param": param, "code": words.code}

    def render(self, problem: GatewayError) -> Response:
        """`problem` as this gateway answers it."""
        words = self.words(problem)
        envelope = self.envelopes[words.envelope] if words.envelope else next(iter(self.envelopes.values()))
        headers = words.headers if self.bare else (*words.headers, *problem.headers)
        if envelope is None:
            return Response(words.status, headers, (b"",))
        body = self.spelling.spell(filled(envelope, self._parts(problem, words)))
        return Response(words.status, (("Content-Type", self.spelling.content_type), *headers), (body,))


class ErrorCatalogs:
    """Files of wording, each read once however many gateways share it."""

    def __init__(self) -> None:
        self._read: dict[Path, ErrorCatalog] = {}

    def at(self, path: Path) -> ErrorCatalog:
        """The wording in the file at `path`; raises InvalidFile."""
        if path not in self._read:
            self._read[path] = _read(path, self)
        return self._read[path]


def _read(path: Path, error_catalogs: ErrorCatalogs) -> ErrorCatalog:
    """The wording in the file at `path`, checked to have words for everything that can go wrong."""
    source = yaml_file.read(path)
    root = source.known_keys([], source.root, _ROOT)
    base = error_catalogs.at(_beside(source, ["extends"], root["extends"])) if "extends" in root else None
    own = root.get("envelopes") or {}
    envelopes = {**own, **{name: body for name, body in (base.envelopes if base else {}).items() if name not in own}}
    if not envelopes:
        raise source.fault([], "no envelopes: nothing says what a refusal's body looks like")
    spelling = spellings.read(source, ["spelling"], root["spelling"]) if "spelling" in root else None
    reader = _Reader(source, envelopes)
    kinds = reader.section("kinds", KINDS, {}, base.kinds if base else {})
    violations = reader.section(
        "breaches", VIOLATIONS, root.get("kinds", {}).get("invalid_request"), base.violations if base else {}
    )
    said = source.known_keys(["upstream"], root.get("upstream", {}), ("$ref", "envelope", "masked"))
    codes = root.get("codes", {})
    if own:  # what is inherited and nothing wears is no shape of this gateway's
        worn = {line.envelope for line in _every((*kinds.values(), *violations.values()))}
        envelopes = {name: body for name, body in envelopes.items() if name in own or name in worn}
    return ErrorCatalog(
        envelopes,
        _coded(kinds, codes),
        _coded(violations, codes),
        spelling or (base.spelling if base else Spelling()),
        error_catalogs.at(_beside(source, ["upstream"], said["$ref"])) if said else base.upstream if base else None,
        said.get("envelope", base.relay if base else ""),
        said.get("masked", base.masked if base else False) is True,
        root.get("bare", base.bare if base else False) is True,
    )


def _every(lines: Iterable[Words]) -> Iterator[Words]:
    """`lines`, and the other words in each for models, parameters and cases."""
    for line in lines:
        yield line
        yield from _every(words for _, _, words in line.own)


def _coded(lines: Mapping[Any, Words], codes: Mapping[int, str]) -> Mapping[Any, Words]:
    """`lines` with the codes that a gateway has by status, where it has no finer ones; what is our own keeps its."""
    if not codes:
        return lines
    return {name: line if line.type == _OURS else _with_code(line, codes) for name, line in lines.items()}


def _with_code(line: Words, codes: Mapping[int, str]) -> Words:
    own = tuple((what, pattern, _with_code(words, codes)) for what, pattern, words in line.own)
    return replace(line, code=codes.get(line.status), own=own)


def _beside(source: yaml_file.Source, pointer: Pointer, name: Any) -> Path:
    """The file `name` in the folder of `source`."""
    if not isinstance(name, str) or "/" in name or not (source.path.parent / name).is_file():
        raise source.fault(pointer, f"{yaml_file.describe(name)} is no file beside {source.path.name}")
    return source.path.parent / name


@dataclass(frozen=True)
class _Reader:
    """Reads the lines of one file of wording."""

    source: yaml_file.Source
    envelopes: Mapping[str, Any]

    def section(
        self, name: str, known: Sequence[Any], usual: Any, base: Mapping[Any, Words] | None
    ) -> Mapping[Any, Words]:
        """The lines of a section, those that it leaves out from `base`."""
        said = self.source.known_keys([name], self.source.root.get(name, {}), known)
        if not base:
            for missing in set(known) - set(said):
                raise self.source.fault([name], f"{name} has no words for {missing!r}")
        return {
            **(base or {}),
            **{key: self._words([name, key], said[key], usual or {}) for key in known if key in said},
        }

    def _words(self, pointer: Sequence[str], said: Any, usual: Mapping[str, Any]) -> Words:
        """One line: what it leaves out is as `usual`."""
        said = self.source.known_keys(pointer, said, (*_WORDS, *_OWN))
        merged = {key: value for key, value in {**usual, **said}.items() if key not in _OWN}
        own = []
        for what in _OWN:
            patterns = said.get(what, {})
            for pattern, words in self.source.known_keys([*pointer, what], patterns, patterns).items():
                own.append((what, pattern, self._made([*pointer, what, pattern], {**merged, **words})))
        return replace(self._made(pointer, merged), own=tuple(own))

    def _made(self, pointer: Sequence[str], said: Mapping[str, Any]) -> Words:
        self.source.known_keys(pointer, said, _WORDS)
        if (kind := said.get("upstream")) is not None:
            if kind not in KINDS:
                raise self.source.fault(
                    pointer, f"upstream is {yaml_file.describe(kind)}; expected one of {', '.join(KINDS)}"
                )
            said = {"status": 500, "message": "", **said}  # for a gateway that names no upstream
        messages = {"": said["message"]} if isinstance(said.get("message"), str) else said.get("message")
        status, envelope = said.get("status"), said.get("envelope", "")
        if not isinstance(messages, Mapping) or not all(isinstance(one, str) for one in messages.values()):
            raise self.source.fault(
                pointer, f"{'.'.join(pointer)} has no usable message: {yaml_file.describe(messages)}"
            )
        if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
            raise self.source.fault(pointer, f"{'.'.join(pointer)} has the status {status!r}; expected 200 to 599")
        if envelope and envelope not in self.envelopes:
            raise self.source.fault(pointer, f"unknown envelope {envelope!r}; known are {', '.join(self.envelopes)}")
        for message in messages.values():
            self._fillable(pointer, message)
        headers = said.get("headers", {})
        if not isinstance(headers, Mapping) or not all(isinstance(text, str) for text in headers.values()):
            raise self.source.fault(
                pointer, f"{'.'.join(pointer)} has the headers {headers!r}; expected names to texts"
            )
        param = said.get("param", False)
        return Words(
            status, said.get("type"), said.get("code"), messages, param, envelope, tuple(headers.items()), (), kind
        )

    def _fillable(self, pointer: Sequence[str], message: str) -> None:
        """Refuse a message that names what no problem has."""
        try:
            parts = list(Formatter().parse(message))
        except ValueError as error:
            raise self.source.fault(pointer, f"the message cannot be filled in: {error}") from None
        for _, name, form, conversion in parts:
            if name is not None and (name not in FACTS or form or conversion):
                raise self.source.fault(
                    pointer, f"the message names {{{name}}}; known are {', '.join(FACTS)}, as they are"
                )


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The envelope with its {names} filled in; a text that is one name alone takes the value as it is."""
    if isinstance(template, Mapping):
        return {key: filled(part, values) for key, part in template.items()}
    if isinstance(template, str) and template[:1] == "{" and template[-1:] == "}" and template[1:-1] in values:
        return values[template[1:-1]]
    return template


_OURS: Final = "emulator_error"  # the type of what no gateway says, but the emulator
_ROOT: Final = ("extends", "envelopes", "spelling", "bare", "upstream", "codes", "kinds", "breaches")
_WORDS: Final = ("status", "type", "code", "message", "param", "envelope", "headers", "upstream")
_OWN: Final = ("models", "params", "cases")
_NO_FACTS: Final = dict.fromkeys(FACTS, "")
