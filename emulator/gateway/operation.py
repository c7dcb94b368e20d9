"""One operation of a gateway, from its OpenAPI file: which path, which kinds of body, and by which rules.

An operation is data, as its gateway is; what would leave a call unchecked stops the start (InvalidFile).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from emulator.core import yaml_file
from emulator.gateway import rules
from emulator.gateway.openapi import Document, FoundOperation
from emulator.gateway.rules import FORM, JSON, Models
from emulator.messages import OperationName, Request, Response

EDIT_LIMIT: Final = 100 * 2**20  # bytes of body; a picture may have 50 MB at OpenAI, and nobody names a sum
GENERATE_LIMIT: Final = 2**20  # bytes of body; the longest prompt is 32,000 characters, so 1 MiB is ample


@dataclass(frozen=True)
class Operation:
    """An operation under its full path; `models` is None where no JSON is taken, `example` a canned body, or None.

    `form` are the models by a form, where forms are taken. `limit` are bytes of body. `redirect` is the status of one
    that only sends clients to the same address without its last slash; `pattern` is what the variable in the path has
    to match, if anything. From the day `ended` on the path is unknown, as `source` says. `task` is the parameter that
    asks for a task when it is true, or `always`.
    """

    name: OperationName
    method: str
    path: str
    models: Models | None
    example: Any
    limit: int = GENERATE_LIMIT
    redirect: int | None = None
    pattern: str | None = None
    form: Models | None = None
    ended: str | None = None
    source: str | None = None
    task: str | None = None

    def defers(self, effective: Mapping[str, Any]) -> bool:
        """Whether a call with these parameters gets a task in the place of its pictures."""
        return self.task is not None and (self.task == ALWAYS or effective.get(self.task) is True)

    def elsewhere(self, request: Request) -> Response:
        """Where a call to an operation that redirects is sent: as a router does it, before anybody else is asked."""
        assert self.redirect is not None
        target = request.path.removesuffix("/") + (f"?{request.query}" if request.query else "")
        return Response(self.redirect, (("Location", target),), (b"",), bare=True)

    @property
    def takes_pictures(self) -> bool:
        """Whether its calls bring pictures, in a form or as texts in JSON."""
        return self.name in _EDITING and bool(self.bodies)

    @property
    def bodies(self) -> tuple[Models, ...]:
        """The rules for each kind of body that is judged; none where a body is not so much as looked at."""
        if self.name not in WITH_BODIES and self.form is None:
            return ()
        return tuple(found for found in (self.models, self.form) if found is not None)


def read(document: Document, found: FoundOperation, shared: dict[int, Models]) -> Operation:
    """One operation; two paths with the same request schema share their models, so that these compile once."""
    if (redirect := found.node.get("x-emulator-redirect")) is not None:
        if redirect not in _REDIRECTS:
            pointer, known = [*found.pointer, "x-emulator-redirect"], ", ".join(map(str, _REDIRECTS))
            raise document.source.fault(pointer, f"redirect is {yaml_file.describe(redirect)}; expected one of {known}")
        return Operation(found.name, found.method, found.path, None, None, redirect=redirect)
    if found.name in _EDITING and document.request_schema(found.node, FORM) is not None:
        return _editing(document, found, shared)
    if found.name not in WITH_BODIES and not (found.name in _ROUTED and "requestBody" in found.node):
        pattern = _variable_pattern(document, found)
        return Operation(found.name, found.method, found.path, None, _example(document, found), pattern=pattern)
    schema = id(document.resolve(document.request_schema(found.node, JSON) or found.node))
    if schema not in shared:
        shared[schema] = rules.read(document, found)
    limit = EDIT_LIMIT if found.name in _EDITING else GENERATE_LIMIT
    return Operation(found.name, found.method, found.path, shared[schema], None, limit, task=_task(document, found))


def _task(document: Document, found: FoundOperation) -> str | None:
    """Which parameter asks for a task, or `always`; None where nothing does."""
    said = found.node.get("x-emulator-task")
    if said is not None and (not isinstance(said, str) or "x-emulator-tasks" not in document.root):
        expected = "always or a parameter's name, and x-emulator-tasks at the root"
        raise document.source.fault(
            [*found.pointer, "x-emulator-task"], f"{yaml_file.describe(said)}; expected {expected}"
        )
    return said


def _editing(document: Document, found: FoundOperation, shared: dict[int, Models]) -> Operation:
    """An operation that takes a form, and maybe JSON too."""
    schemas = {kind: document.request_schema(found.node, kind) for kind in (JSON, FORM)}
    for kind, schema in schemas.items():
        if schema is not None and id(schema) not in shared:
            shared[id(schema)] = rules.read(document, found, kind)
    written, form = (shared.get(id(schema)) if schema is not None else None for schema in schemas.values())
    ended, source = found.node.get("x-emulator-ended"), found.node.get("x-emulator-source")
    if ended is not None and not re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", str(ended)):
        pointer = [*found.pointer, "x-emulator-ended"]
        raise document.source.fault(
            pointer, f"ended is {yaml_file.describe(ended)}; expected a day such as '2026-01-31'"
        )
    return Operation(
        found.name, found.method, found.path, written, None, EDIT_LIMIT, form=form, ended=ended, source=source
    )


def _variable_pattern(document: Document, found: FoundOperation) -> str | None:
    """What the first variable in an operation's path has to match."""
    parameters = (document.resolve(one) for one in found.node.get("parameters") or ())
    schemas = (document.resolve(one.get("schema") or {}) for one in parameters if one.get("in") == "path")
    return next((one["pattern"] for one in schemas if "pattern" in one), None)


def _example(document: Document, found: FoundOperation) -> Any:
    answer = document.resolve((found.node.get("responses") or {}).get("200") or {})
    media = (answer.get("content") or {}).get("application/json") or {}
    return media.get("example")


ALWAYS: Final = "always"
"""What stands in the place of a parameter's name where every call gets a task."""

WITH_BODIES: Final = ("generate", "edit")
"""The operations whose request has a body."""

_ROUTED: Final = ("vary",)
"""Operations of whose body only the model is looked at, where their file describes one, but no form."""

_EDITING: Final = ("edit", "vary")
"""Operations that take pictures, as a form; an edit may take them as JSON alone."""

_REDIRECTS: Final = (301, 302, 303, 307, 308)
