"""The command `verify`: asks a running emulator whether a session's calls are as expected."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from emulator.cli.output import print_json
from emulator.client.connection import Connection, EmulatorError, session_path
from emulator.core.yaml_file import InvalidFile, parse_yaml
from emulator.settings import UsageError, load_settings

_WORDS: Final = ("times", "once", "never", "at_least", "at_most", "between", "no_findings", "no_unused_answers",
                 "max_cost", "unknown_cost", "live")  # fmt: skip
"""The words of a verification that are flags here."""


def verify_calls(options: argparse.Namespace) -> int:
    """Print the verdict on a session; return 0 where its calls are as expected, and 1 where they are not."""
    verification = _make_verification(options)
    token = load_settings({"admin_token": options.admin_token}).admin_token
    try:
        path = f"{session_path(options.session or 'latest')}/verify"
        verdict = Connection(options.url, token).ask("POST", path, verification)
    except EmulatorError as error:
        raise UsageError(str(error)) from None
    if options.json:
        print_json(verdict)
    else:
        outcome = "as expected" if verdict["ok"] else "not as expected"
        print(f"session {verdict['session']}: {outcome}\n{verdict['message']}")
    if verdict["ok"]:
        return 0
    return 1


def _make_verification(options: argparse.Namespace) -> dict[str, Any]:
    """Return the body of POST …/verify; raises UsageError for what is no condition."""
    verification: dict[str, Any] = {}
    for word in _WORDS:
        value = getattr(options, word)
        if value is not None and value is not False:
            verification[word] = value
    steps = [_parse_condition(text) for text in options.condition]
    if options.in_order:
        return {**verification, "in_order": steps}
    if steps:
        verification["when"] = _join_conditions(steps)
    return verification


def _join_conditions(conditions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return all conditions as one; raises UsageError where two are about the same field."""
    joined: dict[str, Any] = {}
    for condition in conditions:
        for field, expected in condition.items():
            if field in joined:
                raise UsageError(f"{field} is given twice; several values of one field are a list: '{field}=[A, B]'")
            joined[field] = expected
    return joined


def _parse_condition(text: str) -> Mapping[str, Any]:
    """Return the fields of `FIELD=VALUE`, or of a mapping of fields in YAML."""
    if text.startswith("{"):
        fields = _parse_flow(text)
        if isinstance(fields, Mapping):
            return fields
    field, equals, value = text.partition("=")
    if not equals or not field:
        raise UsageError(f"{text!r} is no condition; expected FIELD=VALUE, such as status=200")
    return {field: _parse_value(value)}


def _parse_value(text: str) -> Any:
    """Return a list or a mapping in YAML, a value of JSON such as 200, true or null, or else the text itself."""
    if text.startswith(("{", "[")):
        return _parse_flow(text)
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, float) and not math.isfinite(value):
        return text
    return value


def _parse_flow(text: str) -> Any:
    try:
        return parse_yaml(text, Path("condition")).root
    except InvalidFile as error:
        raise UsageError(str(error)) from None
