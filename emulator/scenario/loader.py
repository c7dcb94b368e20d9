"""Makes scenarios of their source text, and refuses what cannot be meant before anything is played.

`schemas/scenario.schema.json` says what a scenario looks like, here as in editors. This module adds what a schema
cannot say: rules that can never answer, contradictions, names in templates, and the files beside the scenario. Every
refusal is one line with file and line, what was read, and what was expected.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import unquote

from emulator import faults
from emulator.core.byte_sizes import parse_byte_size
from emulator.core.clock import parse_http_date, parse_moment
from emulator.core.data_folders import find_scenarios, list_ready_made
from emulator.core.durations import parse_duration
from emulator.core.json_schema import check_json_values, load_schema
from emulator.core.names import ENCLOSED
from emulator.core.position import parse_position
from emulator.core.suggestions import describe_known
from emulator.core.yaml_file import Bounds, InvalidFile, YamlFile, describe_value, load_yaml, parse_yaml, read_text
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.gateway.rules import ModelRules
from emulator.image.files import guess_media_type
from emulator.image.link import HostBehavior
from emulator.image.recipe import LARGEST_WEIGHT, Alteration
from emulator.messages import (
    CASES,
    OPERATIONS,
    UNCHANGED,
    BodyPart,
    Canned,
    Draw,
    Forward,
    Missed,
    PictureOverride,
    Plan,
    Recorded,
    Refuse,
    StoredEvent,
)
from emulator.scenario import matching, recordings
from emulator.scenario.latency import parse_latency
from emulator.scenario.limits import Limits
from emulator.scenario.matching import RequestPattern
from emulator.scenario.recordings import StoredFiles
from emulator.scenario.rule_index import RuleIndex
from emulator.scenario.scenario import Answer, Rule, Scenario

log = logging.getLogger("emulator")

Pointer = list[str | int]
_Made = TypeVar("_Made")


def load_scenario(path: Path) -> Scenario:
    """Load the scenario in the file at `path`; raises InvalidFile."""
    try:
        size = path.stat().st_size
    except OSError:
        size = 0  # load_yaml says why
    if size > 4 * BOUNDS.characters:  # a character has at most 4 bytes
        raise InvalidFile(f"{path}: {size} bytes; expected at most {BOUNDS.characters} characters")
    source = read_text(path)
    return parse_scenario(source, str(path), path.parent)


def parse_scenario(text: str, name: str, folder: Path | None = None) -> Scenario:
    """Make a scenario of its source `text`, YAML or JSON; raises InvalidFile.

    `name` is what error messages call the source; its stem is the name of a scenario that gives itself none. `folder`
    is where the pictures are that it names; without one, it can name none.
    """
    BOUNDS.check_text(text, Path(name))
    return _build_scenario(parse_yaml(text, Path(name)), folder)


def find_scenario(name: str) -> Scenario:
    """Load the ready-made scenario `name`, else the one in the file of that name; raises InvalidFile."""
    if is_ready_made(name):
        return load_ready_made(name)
    if not Path(name).exists() and not name.endswith((".yaml", ".yml")):
        known = describe_known(name, list_ready_made()).replace("known are", "those are", 1)
        raise InvalidFile(f"{name!r} is neither a file nor a ready-made scenario; {known}")
    return load_scenario(Path(name))


@functools.cache
def load_ready_made(name: str) -> Scenario:
    """Load the ready-made scenario `name`, which `is_ready_made`.

    The tests hold these files against the schema, so that a server that plays one need not import jsonschema (60 ms).
    """
    path = _ready_made_file(name)
    return _Builder(load_yaml(path), path.parent).build_scenario()


def is_ready_made(name: str) -> bool:
    """Return whether a ready-made scenario is called `name`."""
    return re.fullmatch(r"[a-z0-9-]+", name) is not None and _ready_made_file(name).is_file()


class WatchedScenario:
    """A scenario that is loaded again when its file changes; a file that became bad leaves the last good one."""

    def __init__(self, name: str, gateways: Mapping[str, Gateway]) -> None:
        """Load the scenario `name` as `find_scenario` does, for a server of `gateways`; raises InvalidFile."""
        self._gateways = gateways
        self._scenario = find_scenario(name)
        self._path: Path | None = None
        if not is_ready_made(name):
            self._path = Path(name)
            self._check_words(self._scenario)
        self._stamp = self._read_stamp()

    def current(self) -> Scenario:
        """Return the scenario as its file has it now; a bad file is logged once."""
        stamp = self._read_stamp()
        if self._path is None or stamp == self._stamp:
            return self._scenario
        self._stamp = stamp
        try:
            found = replace(load_scenario(self._path), version=self._scenario.version)
            self._check_words(found)
        except InvalidFile as error:
            log.warning("%s; the last good version stays in use", error)
            return self._scenario
        if found != self._scenario:
            self._scenario = replace(found, version=found.version + 1)
            log.warning("%s has changed and is played from its beginning", self._path)
        return self._scenario

    def _check_words(self, scenario: Scenario) -> None:
        """Refuse words that no gateway knows, and log what is only suspicious."""
        for finding in check_words(scenario, self._gateways):
            log.warning("%s: %s: %s", scenario.file, finding.code, finding.message)

    def _read_stamp(self) -> tuple[int, ...]:
        """Return what changes with the file; a ready-made scenario does not change."""
        if self._path is None:
            return ()
        try:
            found = self._path.stat()
        except OSError:
            return (0,)
        return found.st_mtime_ns, found.st_size, found.st_ino


def check_words(scenario: Scenario, gateways: Mapping[str, Gateway]) -> tuple[Finding, ...]:
    """Check the words of a scenario that only the gateways of a server know: their names, and their parameters.

    Raises InvalidFile, with the nearest known word, for a gateway that is none of `gateways`, and for a field that is
    nearly a known one. A field that is like no known one is a finding.
    """
    names = list(gateways)
    known = list_parameters()
    if any(matching.list_unknown_fields(rule.when, known) for rule in scenario.rules):
        known = known.union(find_parameters(gateways.values()))
    findings = []
    for index, rule in enumerate(scenario.rules):
        for path, matcher in rule.when.conditions:
            condition = RequestPattern(((path, matcher),))
            try:
                matching.check_choices(condition, {"gateway": names})
                unknown = matching.check_fields(condition, known)
            except ValueError as error:
                source = parse_yaml(scenario.source, Path(scenario.file))
                pointer: Pointer = ["rules", index, "when"]
                line = str(error)
                if path == "gateway":
                    line += "; the file of a gateway of your own is named by --schema"
                raise _find_fault(source, pointer, path, line) from None
            for name in unknown:
                reason = "which no model of any known gateway has"
                if name in matching.OUTCOME_FIELDS:
                    reason = "which is known only after the answer; `verify` takes it, a scenario does not"
                message = f"rule {rule.name!r} asks for {name!r}, {reason}"
                findings.append(Finding("unknown_field", message, name))
    return tuple(dict.fromkeys(findings))


@functools.cache
def list_parameters() -> frozenset[str]:
    """Return the fields that `when` can name at any gateway that ships, as the schema lists them."""
    return frozenset(load_schema(_SCHEMA).root["$defs"]["when"]["properties"])


def find_parameters(gateways: Iterable[Gateway]) -> Iterator[str]:
    """Yield the parameters of all models of `gateways`."""
    for rules in find_rules(gateways):
        yield from rules.parameters


def find_rules(gateways: Iterable[Gateway]) -> Iterator[ModelRules]:
    """Yield the rules of all models of `gateways`."""
    for gateway in gateways:
        for operation in gateway.iter_operations():
            for models in operation.bodies:
                yield from models.iter_rules()


def _find_fault(source: YamlFile, pointer: Pointer, path: str, message: str) -> InvalidFile:
    """Return the complaint about the field `path` of the pattern that `pointer` leads to; a name may have dots."""
    steps, names = list(pointer), path.split(".")
    value = source.root
    for step in pointer:
        value = value[step]
    while names and isinstance(value, Mapping):
        lengths = range(len(names), 0, -1)
        length = next((length for length in lengths if ".".join(names[:length]) in value), len(names))
        step = ".".join(names[:length])
        steps.append(step)
        value, names = value.get(step), names[length:]
    return source.error_at(steps, message)


def _ready_made_file(name: str) -> Path:
    return find_scenarios() / f"{name}.yaml"


def _build_scenario(source: YamlFile, folder: Path | None) -> Scenario:
    """Make a scenario of a document that nobody has validated yet; raises InvalidFile."""
    BOUNDS.check_root(source)
    _check_rule_count(source)
    _check_recording(source)
    load_schema(_SCHEMA).validate(_leave_out_given(source))
    check_json_values(source)
    return _Builder(source, folder).build_scenario()


def _check_rule_count(source: YamlFile) -> None:
    """Raise InvalidFile for more rules than a scenario may have."""
    if not isinstance(source.root, Mapping):
        return
    rules = source.root.get("rules")
    if isinstance(rules, list) and len(rules) > MOST_RULES:
        raise source.error_at(["rules"], f"rules is a list of {len(rules)}; expected at most {MOST_RULES} rules")


def _leave_out_given(source: YamlFile) -> YamlFile:
    """Return a recording without what its calls have sent, where any value means itself; any other file as it is."""
    root = source.root
    if not isinstance(root, Mapping) or "recorded" not in root or not isinstance(root.get("rules"), list):
        return source
    rules = []
    for rule in root["rules"]:
        if isinstance(rule, Mapping) and isinstance(rule.get("when"), Mapping):
            when = {name: part for name, part in rule["when"].items() if name != "given"}
            rule = {**rule, "when": when}
        rules.append(rule)
    return YamlFile(source.path, source.text, {**root, "rules": rules})


def _check_recording(source: YamlFile) -> None:
    """Raise InvalidFile for a recording of another version, and for one that was cut."""
    if not isinstance(source.root, Mapping) or "recorded" not in source.root:
        return
    recorded = source.root["recorded"]
    version = recorded.get("version") if isinstance(recorded, Mapping) else None
    if version != recordings.VERSION:
        line = f"recorded.version is {describe_value(version)}; expected {recordings.VERSION}"
        raise source.error_at(["recorded", "version"], line)
    if not source.text.rstrip().endswith("\n" + recordings.END):
        line = f"the recording is cut: its last line is not {recordings.END!r}"
        raise InvalidFile(f"{source.path}: {line}")


class _Builder:
    """Makes a scenario of a document that keeps the schema; raises InvalidFile for what the schema cannot say.

    `folder` is where the tester's own pictures are; None where the scenario is no file.
    """

    def __init__(self, source: YamlFile, folder: Path | None) -> None:
        self._source = source
        self._folder = folder
        self._is_recording = "recorded" in source.root
        self._files = StoredFiles(folder)
        self._ignored = frozenset(source.root.get("ignore", ()))

    def build_scenario(self) -> Scenario:
        root = self._source.root
        rules: list[Rule] = []
        names: set[str] = set()
        earlier_rules = RuleIndex()
        for index, value in enumerate(root.get("rules", [])):
            rule = self._build_rule(["rules", index], value, f"rule-{index + 1}")
            if rule.name in names:
                raise self._source.error_at(["rules", index], f"two rules are named {rule.name!r}")
            names.add(rule.name)
            if not self._is_recording:  # entries differ in what they do not have, which an index does not see
                self._check_reachable(["rules", index], rule, earlier_rules)
                earlier_rules.add(rule)
            rules.append(rule)
        name = root.get("scenario", self._source.path.stem)
        otherwise: Plan = UNCHANGED
        if self._is_recording:
            otherwise = Missed(name)
        return Scenario(
            name=name,
            about=root.get("about", ""),
            rules=tuple(rules),
            limits=Limits(**root.get("limits", {})),
            channels=frozenset(root.get("channels", ())),
            otherwise=otherwise,
            is_recording=self._is_recording,
            source=self._source.text,
            file=str(self._source.path),
            folder=self._folder,
        )

    def _build_rule(self, pointer: Pointer, value: Mapping[str, Any], default_name: str) -> Rule:
        given = value["answers"]
        if isinstance(given, list):
            answers = [self._build_answer([*pointer, "answers", index], one) for index, one in enumerate(given)]
        else:
            answers = [self._build_answer([*pointer, "answers"], given)]
        return Rule(
            name=value.get("name", default_name),
            when=self._build_pattern([*pointer, "when"], value.get("when", {})),
            answers=tuple(answers),
            then=value.get("then", "repeat"),
            chance=float(value.get("chance", 1)),
        )

    def _build_pattern(self, pointer: Pointer, value: Mapping[str, Any]) -> RequestPattern:
        given: Mapping[str, Any] = {}
        if self._is_recording:
            given = value.get("given", {})
            if not isinstance(given, Mapping):
                line = f"given is {describe_value(given)}; expected a mapping of parameters"
                raise self._source.error_at([*pointer, "given"], line)
            given = self._convert([*pointer, "given"], self._files.resolve_members, given)
            value = {name: part for name, part in value.items() if name != "given"}
        pattern = self._convert(pointer, matching.parse_pattern, value)
        if self._is_recording:
            conditions = self._convert(
                [*pointer, "given"], lambda given: recordings.parse_given(given, self._ignored), given
            )
            pattern = recordings.ExactPattern(
                (*conditions, *pattern.conditions), names=frozenset(given), ignored=self._ignored
            )
        for path, matcher in pattern.conditions:
            condition = RequestPattern(((path, matcher),))
            try:
                matching.check_choices(condition, {"operation": OPERATIONS})
            except ValueError as error:
                raise _find_fault(self._source, pointer, path, str(error)) from None
        contradiction = matching.find_contradiction(pattern)
        if contradiction is not None:
            raise self._source.error_at(pointer, f"when contradicts itself: {contradiction}")
        return pattern

    def _check_reachable(self, pointer: Pointer, rule: Rule, earlier_rules: RuleIndex) -> None:
        """Refuse a rule that can never answer."""
        earlier = earlier_rules.find_covering(rule)
        if earlier is not None:
            why = "takes every call"
            if earlier.when.conditions:
                why = "takes the same calls"
            line = f"rule {rule.name!r} is unreachable: {earlier.name!r} {why} and never ends"
            raise self._source.error_at(pointer, line)

    def _build_answer(self, pointer: Pointer, value: Any) -> Answer:
        if isinstance(value, str):
            value = {value: {}}
        headers = tuple((name, str(text)) for name, text in value.get("headers", {}).items())
        self._check_headers([*pointer, "headers"], headers)
        latency = None
        if "latency" in value:
            latency = self._convert([*pointer, "latency"], parse_latency, value["latency"])
        places = enumerate(value.get("faults", ()))
        return Answer(
            plan=_set_wait(self._build_plan(pointer, value), headers),
            latency=latency,
            faults=tuple(self._convert([*pointer, "faults", index], faults.parse_fault, one) for index, one in places),
            headers=headers,
            times=value.get("times", 1),
            recorded=self._build_recorded([*pointer, "recorded"], value.get("recorded")),
        )

    def _build_recorded(self, pointer: Pointer, value: Mapping[str, Any] | None) -> Recorded | None:
        if value is None:
            return None
        at, took = None, None
        if "at" in value:
            at = self._convert([*pointer, "at"], parse_moment, value["at"])
        if "took" in value:
            took = self._convert([*pointer, "took"], parse_duration, value["took"])
        return Recorded(
            at=at,
            took=took,
            cost=value.get("cost"),
            verdict=value.get("verdict", "accepted"),
            asked=value.get("asked"),
        )

    def _check_headers(self, pointer: Pointer, headers: Sequence[tuple[str, str]]) -> None:
        """Refuse headers that are more, or longer, than what HTTP libraries take."""
        if len(headers) > MOST_HEADERS:
            line = f"headers has {len(headers)} headers; expected at most {MOST_HEADERS}"
            raise self._source.error_at(pointer, line)
        for name, text in headers:
            size = len(f"{name}: {text}".encode("utf-8", "replace"))
            if size > LONGEST_HEADER:
                line = f"a header of {size} bytes; expected at most {LONGEST_HEADER} for name and text"
                raise self._source.error_at([*pointer, name], line)

    def _build_plan(self, pointer: Pointer, value: Mapping[str, Any]) -> Plan:
        if "refuse" in value:
            return self._build_refuse([*pointer, "refuse"], value["refuse"])
        if "canned" in value:
            if "content_type" in value["canned"]:
                self._check_headers([*pointer, "canned"], [("content_type", value["canned"]["content_type"])])
            return self._build_canned([*pointer, "canned"], value["canned"])
        if "forward" in value:
            return Forward()
        drawn = value.get("draw")
        if isinstance(drawn, Mapping):
            return self._build_draw([*pointer, "draw"], drawn)
        return UNCHANGED

    def _build_draw(self, pointer: Pointer, value: Mapping[str, Any]) -> Draw:
        self._check_template([*pointer, "revised_prompt"], value.get("revised_prompt", ""))
        picture, expires_in, error = None, None, None
        if "picture" in value:
            picture = self._build_pictures([*pointer, "picture"], value["picture"])
        if "expires_in" in value:
            expires_in = int(self._convert([*pointer, "expires_in"], parse_duration, value["expires_in"]))
        if "error" in value:
            error = self._build_refuse([*pointer, "error"], value["error"])
        draw = Draw(
            revised_prompt=value.get("revised_prompt"),
            usage=value.get("usage"),
            images=value.get("images"),
            metadata=value.get("metadata"),
            created=value.get("created"),
            omit=tuple(value.get("omit", ())),
            changes=tuple(value.get("set", {}).items()),
            picture=picture,
            expires_in=expires_in,
            host=_build_host(value.get("host", {})),
            partials=value.get("partials"),
            error=error,
            channel=value.get("channel"),
        )
        if draw == UNCHANGED:
            return UNCHANGED  # the one object, so that it is quickly recognized for each call
        return draw

    def _check_template(self, pointer: Pointer, template: str) -> None:
        """Refuse a name in braces that stands for nothing."""
        for name in re.findall(r"\{([^{}]*)\}", template):
            if name not in TEMPLATE_NAMES:
                raise self._source.error_at(pointer, f"{{{name}}} is no name; {describe_known(name, TEMPLATE_NAMES)}")

    def _build_refuse(self, pointer: Pointer, value: Any) -> Refuse:
        if isinstance(value, str):
            return Refuse(value)  # type: ignore[arg-type]  # one of KINDS, by the schema
        kind, case = value["kind"], value.get("case")
        cases = CASES.get(kind, ())
        if case is not None and case not in cases:
            expected = f"none, as {kind} has no cases"
            if cases:
                expected = f"one of {', '.join(cases)}"
            owners = [other for other, names in CASES.items() if case in names]
            line = f"case is {case!r}; expected {expected}; it is a case of {', '.join(owners)}"
            raise self._source.error_at([*pointer, "case"], line)
        return Refuse(kind, {key: text for key, text in value.items() if key != "kind"})

    def _build_pictures(self, pointer: Pointer, value: Any) -> PictureOverride | tuple[PictureOverride | None, ...]:
        """Return what changes about all pictures, or where `value` is a list about each of them."""
        if isinstance(value, Mapping):
            return self._build_picture(pointer, value)
        overrides: list[PictureOverride | None] = []
        for index, one in enumerate(value):
            override = None
            if one is not None:
                override = self._build_picture([*pointer, index], one)
            overrides.append(override)
        return tuple(overrides)

    def _build_picture(self, pointer: Pointer, value: Mapping[str, Any]) -> PictureOverride:
        own, width, height, file = None, None, None, None
        picture_format = value.get("format")
        if "file" in value:
            own, picture_format = self._read_picture([*pointer, "file"], value["file"])
            file = hashlib.blake2b(own, digest_size=8).hexdigest()
        if "size" in value:
            width, height = map(int, value["size"].split("x"))
        kept, share = None, False
        end = parse_position(value.get("truncated"))
        if end is not None:
            kept, share = end.amount, end.share
        alteration = Alteration(
            width=width,
            height=height,
            format=picture_format,
            mode=value.get("mode"),
            file=file,
            kept=kept,
            share=share,
        )
        weight = value.get("weight")
        if "bytes" in value:
            weight = self._convert([*pointer, "bytes"], _parse_weight, value["bytes"])
        error = None
        if "error" in value:
            error = self._build_refuse([*pointer, "error"], value["error"])
        words = {word: _name_null(one) for word, one in value.items()}
        if "file" in words:
            words["file"] = _name_file(words["file"])
        return PictureOverride(
            alteration=None if alteration == Alteration() else alteration,
            own=own,
            base64=words.get("base64"),
            words=words,
            weight=weight,
            vary=value.get("vary", False),
            error=error,
        )

    def _build_canned(self, pointer: Pointer, value: Mapping[str, Any]) -> Canned:
        content_type, body = "text/plain; charset=utf-8", value.get("text", "").encode("utf-8", "replace")
        parts: tuple[BodyPart, ...] = ()
        events: tuple[StoredEvent, ...] = ()
        if self._is_recording and "json" in value:
            resolved = self._convert([*pointer, "json"], self._files.resolve, value["json"])
            content_type = "application/json"
            parts = self._convert([*pointer, "json"], recordings.split_json, resolved)
            if len(parts) == 1 and isinstance(parts[0], bytes):
                body, parts = parts[0], ()
        elif "events" in value:
            content_type = "text/event-stream"
            events = tuple(self._build_events([*pointer, "events"], value["events"]))
        elif "json" in value:
            content_type = "application/json"
            body = json.dumps(value["json"], ensure_ascii=False).encode("utf-8", "replace")
        if self._is_recording and "file" in value:
            self._convert([*pointer, "file"], self._files.check, value["file"])
        if "base64" in value:
            body = self._convert([*pointer, "base64"], _decode_base64, value["base64"])
        if "file" in value:
            body = self._read_file([*pointer, "file"], value["file"], "file")
        if "base64" in value or "file" in value:
            content_type = guess_media_type(body)
        return Canned(
            status=value.get("status", 200),
            content_type=value.get("content_type", content_type),
            body=body,
            parts=parts,
            events=events,
        )

    def _build_events(self, pointer: Pointer, value: Any) -> Iterator[StoredEvent]:
        resolved = value
        if not isinstance(value, list):
            resolved = self._convert(pointer, self._files.resolve, value)
        if not isinstance(resolved, list):
            raise self._source.error_at(pointer, "events are no list; expected one, or the file of one")
        for index, event in enumerate(resolved):
            place = [*pointer, index] if resolved is value else pointer
            yield self._convert(place, self._build_event, event)

    def _build_event(self, event: Any) -> StoredEvent:
        if not isinstance(event, Mapping) or "data" not in event:
            raise ValueError("an event is no mapping with data")
        at, name = event.get("at", 0), event.get("event")
        if isinstance(at, bool) or not isinstance(at, int | float) or at < 0:
            raise ValueError(f"at is {describe_value(at)}; expected seconds, from 0")
        if name is not None and (not isinstance(name, str) or not name.isprintable()):
            raise ValueError(f"event is {describe_value(name)}; expected a name")
        return recordings.make_event(at, name, self._files.resolve(event["data"]))

    def _read_picture(self, pointer: Pointer, name: str) -> tuple[bytes, str]:
        """Return the bytes of a picture of the tester's own, and its format."""
        data = self._read_file(pointer, name, "picture")
        from emulator.image.inspect import inspect_image  # Pillow is loaded for scenarios that have such a file

        try:
            return data, inspect_image(data).format
        except ValueError as error:
            raise self._source.error_at(pointer, f"file is {describe_value(name)}; {error}") from None

    def _read_file(self, pointer: Pointer, name: str, what: str) -> bytes:
        """Return the bytes of a file in the scenario's folder; messages call it `what`."""
        if name.startswith(ENCLOSED):
            return self._convert(pointer, _decode_base64, name.partition(";base64,")[2])
        read = f"file is {describe_value(name)}"
        if self._folder is None:
            line = "file needs a folder to be in, that of the scenario; one that came over HTTP has none"
            raise self._source.error_at(pointer, line)
        folder = self._folder.resolve()
        try:
            path = (folder / name).resolve()
            if not path.is_relative_to(folder):
                line = f"{read}; expected a {what} inside of the scenario's folder, {folder}"
                raise self._source.error_at(pointer, line)
            if not path.is_file():
                raise self._source.error_at(pointer, f"{read}; there is no such file in {folder}")
            size = path.stat().st_size
            if size > _LARGEST_FILE:
                raise self._source.error_at(pointer, f"{read}, of {size} bytes; expected {_LARGEST_FILE} at most")
            return path.read_bytes()
        except (OSError, RuntimeError) as error:  # links in a ring are a RuntimeError
            reason = getattr(error, "strerror", None) or "it cannot be read"
            raise self._source.error_at(pointer, f"{read}; {reason}") from None

    def _convert(self, pointer: Pointer, make: Callable[[Any], _Made], value: Any) -> _Made:
        """Return what `make` makes of `value`; what it refuses becomes a complaint with its line."""
        try:
            return make(value)
        except (ValueError, TypeError) as error:
            raise self._source.error_at(pointer, str(error)) from None


def _parse_weight(value: Any) -> int:
    try:
        return parse_byte_size(value, LARGEST_WEIGHT)
    except ValueError as error:
        raise ValueError(f"bytes is {value!r}; {error}") from None


def _decode_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise ValueError("base64 is no Base64; expected letters, digits, + and /, with = at the end") from None


def _build_host(value: Mapping[str, Any]) -> HostBehavior | None:
    behavior = HostBehavior(0)
    if "user_agent" in value:
        behavior |= HostBehavior.BROWSERS_ONLY
    if not value.get("cors", True):
        behavior |= HostBehavior.NO_CORS
    return behavior or None


def _name_file(name: str) -> str:
    """Return the name of a file, also of one whose bytes came with the scenario."""
    if not name.startswith(ENCLOSED):
        return name
    return unquote(name.removeprefix(ENCLOSED).partition(";base64,")[0])


def _name_null(value: Any) -> Any:
    """Return null's own name in its place: `base64: null` and `base64: "null"` are the same."""
    if value is None:
        return "null"
    return value


def _set_wait(plan: Plan, headers: Collection[tuple[str, str]]) -> Plan:
    """Return `plan`; a refusal in it tells the client to wait as long as `headers` say."""
    match plan:
        case Refuse():
            return _set_wait_of_refusal(plan, headers)
        case Draw(error=Refuse() as error):
            return replace(plan, error=_set_wait_of_refusal(error, headers))
        case _:
            return plan


def _set_wait_of_refusal(refusal: Refuse, headers: Collection[tuple[str, str]]) -> Refuse:
    """Read the wait as SDKs read it: milliseconds come first, then seconds, then a date.

    Where the scenario has a header of its own that tells no wait in numbers, the gateway's are not sent beside it.
    """
    texts = {name.lower(): text for name, text in headers}
    for name, unit in (("retry-after-ms", "ms"), ("retry-after", "s")):
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", texts.get(name, "")):
            return replace(refusal, wait=texts[name] + unit)
    if "retry-after" in texts or "retry-after-ms" in texts:
        return replace(refusal, until=parse_http_date(texts.get("retry-after", "")), sends_wait=False)
    return refusal


BOUNDS: Final = Bounds(characters=8_000_000, values=50_000, levels=64)
"""Of a scenario: a file of this size loads in seconds, and the largest one that ships has 100 lines."""
MOST_RULES: Final = 3_000  # each takes about a millisecond to load
MOST_HEADERS: Final = 100  # of an answer; Python's http.client gives up above
LONGEST_HEADER: Final = 8_190  # bytes; the longest line of a head that aiohttp takes
TEMPLATE_NAMES: Final = ("prompt", "model", "size")
"""What a revised_prompt may name in braces."""
_SCHEMA: Final = "scenario.schema.json"
_LARGEST_FILE: Final = 20 * 2**20  # bytes; the largest picture that the emulator draws is smaller by far
