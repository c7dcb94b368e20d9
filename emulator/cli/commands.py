"""The commands that read files and print, without a server: one function for each.

A function takes the parsed flags and returns the exit code. An error of use raises UsageError or InvalidFile, in one
line; what a command finds in the files that it checks is its output.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from emulator.analysis import differences, idle_keys, missing_names, rules_table
from emulator.cli.main import NAME
from emulator.cli.output import choose_width, emphasize, print_heading, print_json, print_table, print_text
from emulator.cli.progress import Progress
from emulator.core import clock, yaml_file
from emulator.core.accelerators import choose_speed
from emulator.core.data_folders import find_schemas, list_ready_made
from emulator.core.file_reading import read_file
from emulator.core.suggestions import describe_unknown, nearest_word
from emulator.core.yaml_file import InvalidFile, UnreadableFile
from emulator.explanations import EXPLANATIONS
from emulator.findings import Finding
from emulator.gateway.errors import ErrorCatalogLoader
from emulator.gateway.gateway import Gateway, load_gateway
from emulator.gateway.model_catalog import Calendar
from emulator.image import render
from emulator.image.inspect import inspect_image
from emulator.messages import KINDS, VIOLATIONS, Call, Draw, GatewayError, Request
from emulator.response import recipes
from emulator.response.picture_overrides import override_recipes
from emulator.scenario import loader
from emulator.scenario.reserved_values import list_values
from emulator.settings import Settings, UsageError, load_settings
from emulator.validation import registry
from emulator.validation.draft import ValidationContext
from emulator.validation.validator import RequestValidator


def list_gateways(options: argparse.Namespace) -> int:
    """Print a table of the gateways: the path of a client's base URL, operations and models."""
    described = [_describe_gateway(gateway) for gateway in _load_gateways(options).values()]
    if options.json:
        print_json({"gateways": described})
        return 0
    rows = [
        (one["name"], one["base"], ", ".join(one["operations"]), ", ".join(one["models"]) or "any") for one in described
    ]
    print_table([("GATEWAY", "BASE PATH", "OPERATIONS", "MODELS"), *rows], choose_width(options))
    return 0


def _describe_gateway(gateway: Gateway) -> Mapping[str, Any]:
    models = [name for operation in gateway.iter_generating() if operation.models for name in operation.models.listed]
    operations = {operation.name for operation in gateway.iter_operations()}
    return {
        "name": gateway.name,
        "title": gateway.title,
        "base": f"/{gateway.name}{gateway.base}",
        "operations": sorted(operations),
        "models": list(dict.fromkeys(models)),
    }


def print_rules(options: argparse.Namespace) -> int:
    """Print the rules of a gateway, or with --differences where its page and its server disagree."""
    gateway = _find_gateway(_load_gateways(options), options.name)
    if options.differences:
        _print_differences(gateway, options)
        return 0
    behavior = load_settings(vars(options)).behavior
    if behavior != gateway.behavior:
        other = registry.load_behavior(gateway.name, behavior)
        if other is None:
            note = f"{gateway.name} has no {behavior} behavior; these are its {gateway.behavior} rules"
            print(f"{NAME}: {note}", file=sys.stderr)
        else:
            gateway = other
    try:
        rows = rules_table.select_rules(rules_table.list_rules(gateway), options.model, options.operation)
    except ValueError as error:
        raise UsageError(f"{gateway.name}: {error}") from None
    if options.json:
        rules = [row._asdict() for row in rows]
        print_json({"gateway": gateway.name, "behavior": gateway.behavior, "rules": rules})
        return 0
    _print_rule_groups(rules_table.group_rules(rows), choose_width(options))
    return 0


def _print_rule_groups(groups: Sequence[rules_table.RuleGroup], width: int | None) -> None:
    for place, group in enumerate(groups):
        if place:
            print()
        print_heading(group.heading, width)
        rows = [(row.parameter, row.rule, row.source) for row in group.rows]
        print_table([("PARAMETER", "RULE", "SOURCE"), *rows], width)


def _print_differences(gateway: Gateway, options: argparse.Namespace) -> None:
    if options.model is not None or options.operation is not None:
        raise UsageError("--differences has no --model and no --operation: it compares answers to whole calls")
    observed = None
    if gateway.behavior != "observed":
        observed = registry.load_behavior(gateway.name, "observed")
    if observed is None:
        raise UsageError(f"{gateway.name} has only {gateway.behavior} behavior, so there is nothing to compare")
    found = list(differences.find_differences(RequestValidator(gateway), RequestValidator(observed)))
    if options.json:
        print_json({"gateway": gateway.name, "differences": [one._asdict() for one in found]})
        return
    rows = [(one.situation, one.documented, one.observed) for one in found]
    if not options.wide:
        rows = [(_shorten(situation), _shorten(one), _shorten(other)) for situation, one, other in rows]
    print_table([("SITUATION", gateway.behavior.upper(), observed.behavior.upper()), *rows], choose_width(options))


def list_scenarios(options: argparse.Namespace) -> int:
    """Print a table of the ready-made scenarios."""
    scenarios = [(name, " ".join(loader.find_scenario(name).about.split())) for name in list_ready_made()]
    if options.json:
        print_json({"scenarios": [{"name": name, "about": about} for name, about in scenarios]})
        return 0
    print_table([("SCENARIO", "ABOUT"), *scenarios], choose_width(options))
    return 0


def check_files(options: argparse.Namespace) -> int:
    """Print what is wrong with each file; the exit code is 1 if something is, and 2 if a file cannot be read."""
    exit_code = 0
    width = choose_width(options)
    progress = Progress(len(options.file))
    load_gateways = cache(partial(_load_gateways_for_check, options))
    for name in options.file:
        progress.begin(name)
        inherited: Mapping[str, Any] | None = None
        try:
            findings = _check_path(Path(name), load_gateways)
            inherited = _describe_inherited(Path(name))
        except UnreadableFile as error:
            progress.clear()
            print(f"{NAME}: {name!r}: {error.reason}", file=sys.stderr)
            exit_code = 2
            continue
        except InvalidFile as error:
            findings = [Finding("unusable_file", str(error))]
        progress.clear()
        if findings:
            exit_code = max(exit_code, 1)
        if options.json:
            listed = [{"code": finding.code, "message": finding.message} for finding in findings]
            also = {} if inherited is None else {"inherited": inherited}
            print_json({"file": name, "findings": listed, **also})
        elif findings:
            for finding in findings:
                print_text(_format_finding(name, finding), width)
        else:
            print(f"{name}: {emphasize('good', 'green')}{_format_inherited(inherited)}")
    return exit_code


def _describe_inherited(path: Path) -> Mapping[str, Any] | None:
    """Return the kinds and breaches that an error catalog takes from the one that it extends; None for other files."""
    if not path.is_file():
        return None
    text = yaml_file.read_text(path)
    if "extends" not in text or not _describes_errors(text, path):
        return None
    root = yaml_file.parse_yaml(text, path, aliases=True).root
    if "extends" not in root:
        return None
    kinds = [kind for kind in KINDS if kind not in root.get("kinds", {})]
    return {
        "extends": root["extends"],
        "kinds": kinds,
        "breaches": [breach for breach in VIOLATIONS if breach not in root.get("breaches", {})],
    }


def _format_inherited(inherited: Mapping[str, Any] | None) -> str:
    if inherited is None:
        return ""
    kinds, breaches = len(inherited["kinds"]), len(inherited["breaches"])
    counts = f"{kinds} of {len(KINDS)} kinds and {breaches} of {len(VIOLATIONS)} breaches"
    return f"; {counts} are those of {inherited['extends']}"


def _load_gateways_for_check(options: argparse.Namespace) -> Mapping[str, Gateway]:
    """Return the gateways that scenarios may name: those that ship, of --schema, and of the files that are checked."""
    files = list(load_settings(vars(options)).schema)
    taken = {*registry.find_gateways(files), *registry.RESERVED}
    for path in map(Path, options.file):
        if path.stem in taken or not path.is_file():
            continue
        try:
            if _describes_gateway(yaml_file.read_text(path), path):
                load_gateway(path)
                files.append(str(path))
                taken.add(path.stem)
        except InvalidFile:
            continue  # said where the file is checked
    return registry.find_gateways(files)


def _check_path(path: Path, load_gateways: Callable[[], Mapping[str, Gateway]]) -> Sequence[Finding]:
    """Return what is wrong with a file, or with the recordings in a folder."""
    if path.is_dir():
        from emulator.cli.recording import check_recording

        return [Finding("unusable_file", line) for line in check_recording(path)]
    text = yaml_file.read_text(path)  # read once: /dev/stdin is empty the second time
    return _check_text(text, path, load_gateways)


def explain_word(options: argparse.Namespace) -> int:
    """Print what a word that the emulator prints means: the code of a finding, a kind of refusal, a breach."""
    word = options.code
    text = EXPLANATIONS.get(word) or _explain_code(word, options) or _explain_reserved_value(word)
    if text is None:
        raise UsageError(_describe_unknown_code(word))
    if options.json:
        print_json({"code": word, "text": text})
    else:
        print_text(text, choose_width(options), indent="")
    return 0


def _explain_code(code: str, options: argparse.Namespace) -> str | None:
    """Return which kinds and breaches a gateway, or one of --schema, answers with `code`; None where none does."""
    reader = ErrorCatalogLoader()
    catalogs = [reader.load(path) for path in sorted((find_schemas() / "wordings").glob("*.yaml"))]
    own = registry.find_gateways(load_settings(vars(options)).schema).own
    catalogs += [gateway.error_catalog for gateway in own.values()]
    words: dict[str, None] = {}
    for catalog in catalogs:
        words |= dict.fromkeys(catalog.list_words(code))
    if not words:
        return None
    if len(words) == 1:
        (word,) = words
        return f"Code in a gateway's refusal, of `{word}`: {EXPLANATIONS[word]}"
    return f"Code in a gateway's refusal, of one of these; `{NAME} explain WORD` tells more: {', '.join(words)}"


def _describe_unknown_code(word: str) -> str:
    """Return one line that says that nothing explains `word`; there are too many codes to name all of them."""
    shown = word[:_LONGEST_CODE]
    text = f"unknown code {shown!r}"
    nearest = nearest_word(shown, EXPLANATIONS)
    if nearest is not None:
        text += f"; did you mean {nearest!r}?"
    text += f"; `{NAME} docs errors` lists the codes, `{NAME} docs WORD` looks for a word in all pages"
    return f"{text}, and --schema names the file of a gateway with codes of its own"


def _explain_reserved_value(word: str) -> str | None:
    """Return what the reserved value `word` does, and for a scenario what it is about; None for any other word."""
    value = word.lower().replace("_", "-")
    does = list_values().get(value)
    if does is None:
        return None
    if does.startswith("the scenario"):
        return f"Reserved value: {does}. {loader.load_ready_made(value).about}".rstrip()
    return f"Reserved value: the call is {does}."


def render_picture(options: argparse.Namespace) -> int:
    """Draw the picture that a server with the same seed draws for the same request."""
    chosen = load_settings(vars(options))
    choose_speed(chosen.speed)
    gateway = _find_gateway(_load_gateways(options), chosen.gateway)
    call = _validate_request(gateway, options, chosen)
    if not 0 <= options.index < call.count:
        raise UsageError(f"--index {options.index}: the request makes {call.count} picture(s), counted from 0")
    plain = recipes.build_recipe(call, gateway.name, chosen.seed, options.index)
    (recipe,) = override_recipes([plain], Draw(), chosen.picture_weight, number=1)
    try:
        Path(options.output).write_bytes(render.draw_image(recipe))
    except OSError as error:
        raise UsageError(f"--output {options.output!r}: {error.strerror}") from None
    for finding in call.findings:
        print(f"{NAME}: {finding.code}: {finding.message}", file=sys.stderr)
    size = f"{recipe.width}x{recipe.height}"
    print(f"{options.output}: {size} {recipe.format}, seed {chosen.seed}, recipe {recipe.digest}")
    return 0


def _validate_request(gateway: Gateway, options: argparse.Namespace, chosen: Settings) -> Call:
    """Return the call that the flags describe; raises UsageError where the gateway refuses it."""
    body: dict[str, Any] = {}
    for name in _REQUEST_PARAMETERS:
        value = getattr(options, name)
        if value is not None:
            body[name] = value
    operation = next(gateway.iter_generating())
    request = Request(
        method="POST", path=operation.path, query="", headers={"Content-Type": "application/json"}, body=b"",
        json=body, trouble=None, duplicates=(), origin="", received=0,
    )  # fmt: skip
    try:
        calendar = Calendar(clock.parse_clock(chosen.clock, chosen.as_of).today(), chosen.legacy)
        context = ValidationContext(operation, "sk-render", today=calendar)
        return RequestValidator(gateway).validate(request, context)
    except GatewayError as error:
        raise UsageError(f"{gateway.name} refuses that: {gateway.error_catalog.format_message(error)}") from None


def inspect_pictures(options: argparse.Namespace) -> int:
    """Print size, format and label of each picture file; the exit code is 1 if one is no picture."""
    exit_code = 0
    for name in options.file:
        try:
            found = asdict(inspect_image(read_file(Path(name))))
        except OSError as error:
            raise UsageError(f"{name}: {error.strerror}") from None
        except ValueError as error:
            exit_code = 1
            found = {"error": str(error)}
        print_json({"file": name, **found})
    return exit_code


def _check_text(text: str, path: Path, load_gateways: Callable[[], Mapping[str, Gateway]]) -> Sequence[Finding]:
    """Return the findings about a scenario, an OpenAPI file or an error catalog; raises InvalidFile."""
    if _describes_gateway(text, path):
        gateway = load_gateway(path)
        sum(RequestValidator(gateway).compile_schemas())  # compiles every schema; raises InvalidFile
        return [
            *gateway.findings,
            *missing_names.list_missing_names(gateway),
            *idle_keys.list_idle_keys(gateway),
        ]
    if _describes_errors(text, path):
        ErrorCatalogLoader().load(path)
        return list(idle_keys.list_idle_texts(yaml_file.parse_yaml(text, path, aliases=True)))
    scenario = loader.parse_scenario(text, str(path), path.parent)
    return loader.check_words(scenario, load_gateways())


def _describes_gateway(text: str, path: Path) -> bool:
    """Return whether `text` is an OpenAPI file, else a scenario; raises InvalidFile where it cannot be read."""
    if "openapi" not in text and "swagger" not in text:
        return False
    root = yaml_file.parse_yaml(text, path, aliases=True).root
    return isinstance(root, Mapping) and ("openapi" in root or "swagger" in root)


def _describes_errors(text: str, path: Path) -> bool:
    """Return whether `text` is an error catalog, which has none of a scenario's keys; raises InvalidFile."""
    if not any(key in text for key in _CATALOG_KEYS):
        return False
    root = yaml_file.parse_yaml(text, path, aliases=True).root
    return isinstance(root, Mapping) and "rules" not in root and not _CATALOG_KEYS.isdisjoint(root)


def _format_finding(name: str, finding: Finding) -> str:
    """Return `FILE: code: message`, or `FILE:LINE: code: message` where the message begins with file and line."""
    place, message = name, finding.message
    start, colon, rest = message.partition(": ")
    if colon and (start == name or start.startswith(f"{name}:")):
        place, message = start, rest
    return f"{place}: {finding.code}: {message}"


def _load_gateways(options: argparse.Namespace) -> Mapping[str, Gateway]:
    """Return the gateways that ship and those of --schema, by name."""
    return registry.find_gateways(load_settings(vars(options)).schema)


def _find_gateway(known: Mapping[str, Gateway], name: str) -> Gateway:
    if name not in known:
        raise UsageError(describe_unknown("gateway", name, known))
    return known[name]


def _shorten(cell: str) -> str:
    if len(cell) <= _CELL:
        return cell
    return cell[: _CELL - 1] + "…"


_LONGEST_CODE: Final = 100  # characters of an unknown code that a message shows
_CATALOG_KEYS: Final = frozenset({"extends", "envelopes", "kinds", "breaches"})
"""Keys of an error catalog; each has one of them."""
_CELL: Final = 72  # characters of an answer in --differences: status, code and the beginning of the message
_REQUEST_PARAMETERS: Final = (
    "prompt", "model", "n", "size", "quality", "style", "background", "output_format", "output_compression",
)  # fmt: skip
