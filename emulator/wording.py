"""How a gateway words its refusals: a Problem becomes status, envelope and text, as a file of wording says.

A file has words for every kind and breach there is, or the gateway does not start. How values are spelled inside a
message (quotes, lists, the names of JSON's kinds) is OpenAI's way, which the gateways share.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from string import Formatter
from typing import Any, Final

from emulator import files, jsontext
from emulator.exchange import BREACHES, FACTS, KINDS, Breach, Kind, Problem, Reply


@dataclass(frozen=True)
class Words:
    """One line of a wording: `param` is False where the problem's own counts."""

    status: int
    type: str | None
    code: str | None
    message: str
    param: str | bool | None = False
    models: tuple[tuple[str, Words], ...] = ()


@dataclass(frozen=True)
class Wording:
    """How refusals look: the body's shape and, for each kind and breach, status and words."""

    envelope: Any
    kinds: Mapping[Kind, Words]
    breaches: Mapping[Breach, Words]

    def words(self, problem: Problem) -> Words:
        """The line for `problem`: its breach's, else its kind's, the model's own where there is one."""
        words = self.breaches[problem.breach] if problem.breach else self.kinds[problem.kind]
        for pattern, own in words.models:
            if fnmatchcase(problem.facts.get("model", ""), pattern):
                words = own
        if not problem.words:
            return words
        own_message = problem.words.get("message")
        literal = {"message": own_message.replace("{", "{{").replace("}", "}}")} if own_message is not None else {}
        return replace(words, **{**problem.words, **literal})

    def message(self, problem: Problem) -> str:
        """What a client is told of `problem`."""
        words = self.words(problem)
        return words.message.format_map({**_NO_FACTS, **problem.facts, "param": problem.param or ""})

    def code(self, problem: Problem) -> str | None:
        """The error code that a client is told, None where the gateway gives none."""
        return self.words(problem).code

    def render(self, problem: Problem) -> Reply:
        """`problem` as this gateway answers it."""
        words = self.words(problem)
        param = problem.param if words.param is False else words.param
        values = {"message": self.message(problem), "type": words.type, "param": param, "code": words.code}
        body = jsontext.compact(_filled(self.envelope, values))
        headers = (("Content-Type", "application/json"), *problem.headers)
        return Reply(words.status, headers, (body.encode("utf-8", "replace"),))


class Wordings:
    """Files of wording, each read once however many gateways share it."""

    def __init__(self) -> None:
        self._read: dict[Path, Wording] = {}

    def at(self, path: Path) -> Wording:
        """The wording in the file at `path`; raises BadFile."""
        if path not in self._read:
            self._read[path] = _read(path)
        return self._read[path]


def _read(path: Path) -> Wording:
    """The wording in the file at `path`, checked to have words for everything that can go wrong."""
    source = files.read(path)
    source.known_keys([], source.root, ("envelope", "kinds", "breaches"))
    source.known_keys(["envelope"], source.root.get("envelope"), source.root.get("envelope") or ("error",))
    for section, names in (("kinds", KINDS), ("breaches", BREACHES)):
        source.known_keys([section], source.root.get(section), names)
        for missing in set(names) - set(source.root[section]):
            raise source.fault([section], f"{section} has no words for {missing!r}")
    kinds = {kind: _words(source, ["kinds", kind], {}) for kind in KINDS}
    usual = source.root["kinds"]["invalid_request"]
    breaches = {breach: _words(source, ["breaches", breach], usual) for breach in BREACHES}
    return Wording(source.root["envelope"], kinds, breaches)


def _words(source: files.Source, pointer: Sequence[str], usual: Mapping[str, Any]) -> Words:
    said = source.known_keys(pointer, source.root[pointer[0]][pointer[1]], (*_WORDS, "models"))
    merged = {**usual, **said}
    own = source.known_keys([*pointer, "models"], said.get("models", {}), said.get("models", {}))
    models = tuple(
        (pattern, _made(source, [*pointer, "models", pattern], {**merged, **words})) for pattern, words in own.items()
    )
    return replace(_made(source, pointer, merged), models=models)


def _made(source: files.Source, pointer: Sequence[str], said: Mapping[str, Any]) -> Words:
    source.known_keys(pointer, said, (*_WORDS, "models"))
    for key, kind in (("status", int), ("message", str)):
        if not isinstance(said.get(key), kind):
            raise source.fault(pointer, f"{'.'.join(pointer)} has no usable {key}: {files.describe(said.get(key))}")
    if isinstance(said["status"], bool) or not 400 <= said["status"] <= 599:
        raise source.fault(pointer, f"{'.'.join(pointer)} has the status {said['status']}; expected 400 to 599")
    try:
        parts = list(Formatter().parse(said["message"]))
    except ValueError as error:
        raise source.fault(pointer, f"the message cannot be filled in: {error}") from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in FACTS or form or conversion):
            raise source.fault(pointer, f"the message names {{{name}}}; known are {', '.join(FACTS)}, as they are")
    return Words(said["status"], said.get("type"), said.get("code"), said["message"], said.get("param", False))


def _filled(template: Any, values: Mapping[str, Any]) -> Any:
    """The envelope with its {names} filled in; a text that is one name alone takes the value as it is."""
    if isinstance(template, Mapping):
        return {key: _filled(part, values) for key, part in template.items()}
    if isinstance(template, str) and template[:1] == "{" and template[-1:] == "}" and template[1:-1] in values:
        return values[template[1:-1]]
    return template


def path(steps: Sequence[str | int]) -> str:
    """The way to a value inside a body, as OpenAI writes it: `images[0].image_url`."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def quoted(value: Any) -> str:
    """A value as OpenAI's messages show it: text in single quotes, long text cut."""
    if isinstance(value, str):
        return f"'{value if len(value) <= 200 else value[:197] + '...'}'"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else text[:197] + "..."


def listed(values: Sequence[Any], word: str) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`."""
    texts = [quoted(value) for value in values]
    if len(texts) < 3:
        return f" {word} ".join(texts)
    return ", ".join(texts[:-1]) + f", {word} {texts[-1]}"


def kind_of(value: Any) -> str:
    """What a JSON value is, with its article."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


_WORDS: Final = ("status", "type", "code", "message", "param")
_NO_FACTS: Final = dict.fromkeys(FACTS, "")
