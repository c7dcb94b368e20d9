"""The validation's steps about the body: read it as JSON or as a form, and convert a form's texts to JSON's types.

What cannot be read at all raises a GatewayError here. Everything else is for the schema to check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from emulator.core import strict_json
from emulator.core.phrases import join_quoted, name_go_kind, name_kind, quote
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway, Operation
from emulator.gateway.openapi import FORM, JSON, Keyword, Parameter
from emulator.gateway.refusals import refuse_length
from emulator.gateway.rules import ModelRules, Models
from emulator.image.upload import FilePlaceholder, PictureRule, Upload
from emulator.messages import GatewayError, Request
from emulator.validation import go_json, multipart
from emulator.validation.draft import Draft, copy_draft
from emulator.validation.parameters import MOST_FINDINGS, build_error
from emulator.validation.schema import SchemaViolation


def read_body(draft: Draft) -> Draft:
    """Read the body's parameters (a form's as texts) and find the models for bodies of its kind.

    Raises GatewayError where the body is too large, of another content type, unreadable, or no object.
    """
    given, models = _read_parameters(draft)
    if not draft.request.duplicates or models is draft.context.operation.form:
        return copy_draft(draft, given=given, body=given, models=models)
    notes = _note_duplicates(draft.request.duplicates)
    return copy_draft(draft, given=given, body=given, models=models, findings=draft.findings + notes)


def convert_form(draft: Draft) -> Draft:
    """Convert a form's texts to the types of their parameters, and put placeholders where its files are.

    A text that cannot become what it should be is a violation, because a schema would not see the text. So is a field
    that comes twice, where its gateway refuses that; elsewhere a text that comes twice is a finding.
    """
    if draft.models is not draft.context.operation.form:
        return draft
    rules = draft.rules
    violations, findings = _judge_duplicates(draft)
    converted: dict[str, Any] = {}
    for name, text in draft.given.items():
        violations += _convert_field(converted, name, text, rules)
    placeholders, misplaced = _place_files(draft.request.uploads, rules)
    body = {**converted, **placeholders}
    return copy_draft(
        draft, body=body, form_violations=(*violations, *misplaced), findings=(*draft.findings, *findings)
    )


def is_form_request(request: Request, operation: Operation) -> bool:
    """Return whether a call of `operation` is a form."""
    return operation.form is not None and multipart.is_form(request.headers.get("Content-Type", ""))


def list_placeholders(uploads: Iterable[Upload], rules: ModelRules) -> Mapping[str, Any]:
    """Return a placeholder for each parameter of a form that is a file."""
    return _place_files(uploads, rules)[0]


def drop_placeholders(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters in `body` that are no files."""
    if not any(_is_placeholder(value) for value in body.values()):
        return body
    return {name: value for name, value in body.items() if not _is_placeholder(value)}


def merge_violations(
    form_violations: Iterable[SchemaViolation], schema_violations: Iterable[SchemaViolation], rules: ModelRules
) -> tuple[SchemaViolation, ...]:
    """Merge what a form breaks with what a schema finds: repeated fields, unknown parameters, then each parameter.

    A parameter that the form breaks is not reported again by the schema.
    """
    broken = {violation.param for violation in form_violations}
    others = (violation for violation in schema_violations if violation.param not in broken)
    order = {name: index for index, name in enumerate(rules.parameters)}

    def rank(violation: SchemaViolation) -> tuple[int, int]:
        return _RANKS.get(violation.violation, len(_RANKS)), order.get(violation.param, 0)

    return tuple(sorted([*form_violations, *others], key=rank))


def _read_parameters(draft: Draft) -> tuple[Mapping[str, Any], Models]:
    request, operation, gateway = draft.request, draft.context.operation, draft.gateway
    if request.trouble == "too_large":
        raise refuse_length(request, operation.limit, "assumed")
    content_type = request.headers.get("Content-Type", "")
    if is_form_request(request, operation):
        assert operation.form is not None
        if request.trouble is not None:
            raise _unreadable(request, gateway, "requestBody: a readable form")
        return request.json, operation.form
    models = operation.models
    if models is None or (content_type != JSON and not _is_json(content_type)):
        if gateway.any_type and models is not None:
            return {}, models
        raise _refuse_content_type(content_type, operation)
    if request.trouble is not None:
        raise _unreadable(request, gateway, "requestBody: readable JSON")
    if request.json is None and gateway.any_type:  # a decoder leaves its structure empty at a null
        return {}, models
    if not isinstance(request.json, Mapping):
        facts = {"actual": name_kind(request.json), "decoded": name_go_kind(request.json)[0]}
        raise build_error("not_an_object", facts, rule="requestBody: an object")
    return request.json, models


def _unreadable(request: Request, gateway: Gateway, rule: str) -> GatewayError:
    assert request.trouble is not None
    assert request.trouble != "too_large"
    facts = {"value": quote(request.headers.get("Content-Encoding", "")), "supported": "'gzip', 'deflate'"}
    if request.trouble == "bad_json" and gateway.error_catalog.quotes_decoder:
        facts["unreadable"] = go_json.describe_flaw(request.body)
    if request.why:
        rule = f"{rule}: {request.why}"
    return build_error(request.trouble, facts, rule=rule)


def _refuse_content_type(content_type: str, operation: Operation) -> GatewayError:
    """Return the refusal of a content type; its parameters are shown where they are what is wrong."""
    types = [name for name, taken in ((FORM, operation.form), (JSON, operation.models)) if taken is not None]
    if not content_type.lower().startswith(tuple(types)):
        content_type = content_type.partition(";")[0].strip()
    facts = {"content_type": content_type[:100], "supported": join_quoted(types, "or")}
    return build_error("content_type", facts, rule=f"requestBody: {' or '.join(types)} in UTF-8")


def _is_json(content_type: str) -> bool:
    """Whether a Content-Type means JSON in UTF-8."""
    name, *options = (part.strip().lower() for part in content_type.split(";"))
    charsets = [option.partition("=")[2].strip(' "') for option in options if option.startswith("charset")]
    return name == JSON and all(charset in ("utf-8", "utf8") for charset in charsets)


def _judge_duplicates(draft: Draft) -> tuple[list[SchemaViolation], tuple[Finding, ...]]:
    """Return the violations of fields that come twice, or the findings where a gateway takes the last of them."""
    duplicates, once = draft.request.duplicates, draft.rules.once
    if once is not None:
        return [_repeated_field(name, once) for name in duplicates], ()
    return [], _note_duplicates([name for name in duplicates if name in draft.given])


def _convert_field(converted: dict[str, Any], name: str, text: Any, rules: ModelRules) -> Iterator[SchemaViolation]:
    """Put a field's text (of `name[]` the list of its texts) into `converted`, and yield what is wrong with it."""
    base, steps = name, _NO_STEPS
    if name not in rules.parameters:
        base, steps = _split_nested_name(name)
    if base not in rules.parameters:
        converted[name] = text
    elif base in rules.pictures:
        converted[base] = FilePlaceholder()
        yield _not_a_file(name, base, text, rules.pictures[base])
    elif steps:
        _put_nested(converted, (base, *steps), text)
    elif isinstance(text, list):  # `prompt[]`: an array, which the schema refuses where a text belongs
        converted[base] = text
    elif base != name:  # `prompt[]x`
        converted[base] = [text]
    else:
        value, wanted_type = convert_text(text, rules.parameters[name])
        if wanted_type:
            yield _unconvertible(name, text, wanted_type, rules)
        else:
            converted[name] = value


def _note_duplicates(names: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding for each name that a body gives twice."""
    return tuple(
        Finding("duplicate_key", f"the body gives {name!r} twice; the last one counts", name)
        for name in names[:MOST_FINDINGS]
    )


def _repeated_field(name: str, rule: Keyword) -> SchemaViolation:
    """Build the violation of a field that comes twice."""
    return SchemaViolation(
        violation="repeated_field",
        param=name,
        facts={"param": name},
        rule=f"x-emulator-judging: repeated: {rule.value}",
        source=rule.source,
        value=None,
    )


def _not_a_file(name: str, base: str, text: Any, rule: PictureRule) -> SchemaViolation:
    """Build the violation of a text where a file should be; one that `name[]` holds is the first of its list."""
    param, expected = base, "a file"
    if name != base:
        param = f"{base}[0]"
    elif rule.many:
        expected = "one of an array of files or file"
    return SchemaViolation(
        violation="not_a_file",
        param=param,
        facts={"param": param, "expected": expected, "actual": "a string"},
        rule="format: binary",
        source="observed",
        value=text,
    )


def _unconvertible(name: str, text: str, wanted_type: str, rules: ModelRules) -> SchemaViolation:
    """Build the violation of a text that cannot become a value of its parameter's type."""
    return SchemaViolation(
        violation="unconvertible",
        param=name,
        facts={"param": name, "expected": _TYPE_NAMES[wanted_type]},
        rule=f"type: {wanted_type}",
        source=rules.parameters[name]["type"].source,
        value=text,
    )


def _place_files(uploads: Iterable[Upload], rules: ModelRules) -> tuple[Mapping[str, Any], list[SchemaViolation]]:
    """Return a placeholder for each parameter that is a file, and the violations of files where a text should be."""
    files: dict[str, list[Upload]] = {}
    for upload in uploads:
        files.setdefault(upload.param, []).append(upload)
    found: dict[str, Any] = {}
    misplaced: list[SchemaViolation] = []
    for name, given in files.items():
        rule = rules.pictures.get(name)
        placeholders = [FilePlaceholder() for _ in given]
        if rule is None and "type" in rules.parameters.get(name, ()):
            misplaced.append(_misplaced_file(name, rules))
        elif rule is not None and rule.many is False and _is_array(given, rules):
            misplaced.append(_misplaced_array(name, rule))
            found[name] = placeholders[0]
        elif len(placeholders) > 1 or (rule is not None and rule.many):
            found[name] = placeholders
        else:
            found[name] = placeholders[0]
    return found, misplaced


def _is_array(uploads: Sequence[Upload], rules: ModelRules) -> bool:
    """Whether the files of one parameter are an array: several, or one called `name[]` where that makes an array."""
    return len(uploads) > 1 or (rules.lists_by_name and uploads[0].name.endswith("]"))


def _misplaced_array(name: str, rule: PictureRule) -> SchemaViolation:
    """Build the violation of an array where one file should be."""
    return SchemaViolation(
        violation="not_a_file",
        param=name,
        facts={"param": name, "expected": "a file", "actual": "an array"},
        rule="format: binary",
        source=rule.types_source or rule.source,
        value=None,
    )


def _misplaced_file(name: str, rules: ModelRules) -> SchemaViolation:
    """Build the violation of a file where a text should be."""
    wanted_type = next(iter(_list_types(rules.parameters[name])), "string")
    return SchemaViolation(
        violation="type",
        param=name,
        facts={"param": name, "expected": _TYPE_NAMES.get(wanted_type, "a string"), "actual": "a file"},
        rule=f"type: {wanted_type}",
        source=rules.parameters[name]["type"].source,
        value=None,
    )


def convert_text(text: str, parameter: Parameter) -> tuple[Any, str]:
    """Return `text` as a value of the parameter's type, and "", or the type that it should have and cannot get."""
    types = _list_types(parameter)
    if "string" in types:
        return text, ""
    for name in types:
        if name in _PATTERNS and re.fullmatch(_PATTERNS[name], text):
            return _CONVERTERS[name](text), ""
        if name in ("object", "array") and text[:1] in "{[":
            try:
                return strict_json.parse_json(text.encode())[0], ""
            except strict_json.BadJson:
                pass
    return text, next((name for name in types if name in _TYPE_NAMES), "")


def _list_types(parameter: Parameter) -> list[str]:
    """Return the types that a parameter may have, null left out; a text, where its schema gives none."""
    if "type" not in parameter:
        return ["string"]
    types = parameter["type"].value
    if isinstance(types, str):
        return [types]
    return [name for name in types if name != "null"]


def _split_nested_name(name: str) -> tuple[str, tuple[str, ...]]:
    """Split `svg[reasoning][effort]` into a parameter and the names inside it."""
    base, *steps = re.split(r"\[([^\[\]]*)\]", name)
    return base, tuple(step for step in steps[::2] if step)


def _put_nested(target: dict[str, Any], steps: tuple[str, ...], text: str) -> None:
    """Put `text` where `steps` lead inside `target`; a place inside a text stays as it is."""
    for step in steps[:-1]:
        inner = target.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        target = inner
    target[steps[-1]] = text


def _is_placeholder(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, FilePlaceholder) for one in value)
    return isinstance(value, FilePlaceholder)


_RANKS: Final = {"repeated_field": 0, "unknown_parameter": 1}  # which violations of a form come before others
_NO_STEPS: Final[tuple[str, ...]] = ()
_PATTERNS: Final = {
    "integer": "[+-]?[0-9]{1,18}",
    "number": r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?",
    "boolean": "(?i:true|false)",
}
_CONVERTERS: Final[Mapping[str, Any]] = {
    "integer": int,
    "number": float,
    "boolean": lambda text: text.lower() == "true",
}
_TYPE_NAMES: Final = {
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "object": "an object",
    "array": "an array",
}
