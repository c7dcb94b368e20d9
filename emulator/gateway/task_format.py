"""What a gateway tells of a task: the id that it hands out, and what it shows while the task waits, runs and has ended.

Bodies are templates from the gateway's file, as envelopes of refusals are: nothing here knows a field by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from emulator.core import yaml_file
from emulator.core.yaml_file import Pointer
from emulator.gateway import response_headers
from emulator.gateway.response_headers import ResponseHeaders

State = Literal["waiting", "running", "done", "failed"]
STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True)
class TaskShape:
    """How a gateway does tasks: `x-emulator-tasks` of its file.

    `ids` makes their ids. A call that gets a task is answered with `status` and the template `submitted`; who asks
    for the task is shown the template of its state. `beside` are members of the reply to a call that waits for its
    pictures, which is a task then that has ended; None: such a call gets none. `source` says where it comes from.
    """

    ids: ResponseHeaders
    status: int
    submitted: Mapping[str, Any]
    shown: Mapping[State, Mapping[str, Any]]
    beside: Mapping[str, Any] | None
    source: str | None


def read(source: yaml_file.Source, said: Any) -> TaskShape | None:
    """The tasks that a gateway's file describes, None where it has none; raises InvalidFile."""
    if said is None:
        return None
    said = source.known_keys([_KEY], said, ("id", "status", "submitted", "beside", "source", *STATES))
    for name in ("id", "submitted", *STATES):
        if name not in said:
            raise source.fault([_KEY], f"{_KEY} has no {name!r}; expected id, submitted, {', '.join(STATES)}")
    for name in ("submitted", "beside", *STATES):
        if name in said:
            _fillable(source, [_KEY, name], said[name], NAMES[name])
    status = said.get("status", 200)
    if status.__class__ is not int or not 200 <= status <= 299:
        raise source.fault([_KEY, "status"], f"status is {yaml_file.describe(status)}; expected 200 to 299")
    return TaskShape(
        response_headers.read(source, {"pattern": said["id"]}, [_KEY, "id"]),
        status,
        said["submitted"],
        {state: said[state] for state in STATES},
        said.get("beside"),
        said.get("source"),
    )


def _fillable(source: yaml_file.Source, pointer: Pointer, template: Any, known: tuple[str, ...]) -> None:
    """Refuse a template that is no mapping, or that names what is not known in this state."""
    if not isinstance(template, Mapping):
        raise source.fault(pointer, f"{pointer[-1]} is {yaml_file.describe(template)}; expected a mapping of members")
    for name in _named(template):
        if name not in known:
            raise source.fault(pointer, f"{pointer[-1]} names {{{name}}}; known are {', '.join(known)}")


def _named(template: Any) -> Iterator[str]:
    """The names in braces that stand in `template`, each as a whole text."""
    if isinstance(template, Mapping):
        for part in template.values():
            yield from _named(part)
    elif isinstance(template, str) and template[:1] == "{" and template[-1:] == "}":
        yield template[1:-1]


_KEY: Final = "x-emulator-tasks"
_ALWAYS: Final = ("id", "model", "submitted", "progress")
NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "submitted": _ALWAYS,
    "waiting": _ALWAYS,
    "running": _ALWAYS,
    "beside": _ALWAYS,
    "done": (*_ALWAYS, "created", "data"),
    "failed": (*_ALWAYS, "code", "message", "type", "param"),
}
"""What a template may name: `submitted` is the moment in Unix seconds, `progress` the percentage that is done."""
