"""Finds what a client needs, and the templates in a gateway's file do not name: pictures, and the ids of tasks.

A server starts with such a file, so the command `check` tells of it. Nothing here is needed to answer a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.gateway.rules import ModelRules
from emulator.gateway.templates import iter_texts


def list_missing_names(gateway: Gateway) -> Iterator[Finding]:
    """Yield a finding for each template without a name that its readers need."""
    told = dict.fromkeys(
        why for _, models in gateway.iter_validated() for rules in models.iter_rules() for why in _check_reply(rules)
    )
    for why in (*told, *_check_tasks(gateway.document.root.get("x-emulator-tasks", {}))):
        yield Finding("name_missing", why)


def _check_reply(rules: ModelRules) -> Iterator[str]:
    """Yield what the reply of a model lacks."""
    shape = rules.response
    if shape.files is None and shape.places.pictures is None:
        yield f"{rules.ref}: the body has no {{data}}, so no reply has a picture"
    if shape.item is None:
        return
    named = set(iter_texts(shape.item))
    format_name = rules.own_names.get("response_format", "response_format")
    may_choose = shape.delivery is None and format_name in rules.parameters
    if shape.delivery != "b64_json" and "{url}" not in named:
        yield f"{rules.ref}: the item has no {{url}}, so a picture that comes as a link is not in the reply"
    if (shape.delivery == "b64_json" or may_choose) and "{b64_json}" not in named:
        yield f"{rules.ref}: the item has no {{b64_json}}, so a picture that comes as Base64 is not in the reply"


def _check_tasks(tasks: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the bodies about tasks lack."""
    if not tasks:
        return
    if "{" not in tasks["id"]:
        yield f"x-emulator-tasks: the id is {tasks['id']!r} for every task; known are {_ID_NAMES}"
    if not any("{id}" in text for text in iter_texts(tasks["submitted"])):
        yield "x-emulator-tasks: the body of submitted has no {id}, so nobody can ask for the task"
    if "{data}" not in set(iter_texts(tasks["done"])):
        yield "x-emulator-tasks: the body of done has no {data}, so no task has a picture"


_ID_NAMES: Final = "{date}, {nanos}, {letters}, {hex}, {uuid}"
