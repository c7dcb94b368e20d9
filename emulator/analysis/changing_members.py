"""Finds the members of a gateway's own layouts whose values are others in each call: ids and times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from emulator.gateway.gateway import Gateway
from emulator.gateway.templates import iter_members


class ChangingMembers(NamedTuple):
    """The names of members that are others in each call: `ids` are those of tasks and replies, `all` has times too."""

    ids: frozenset[str]
    all: frozenset[str]


def list_changing_members(gateway: Gateway) -> ChangingMembers:
    """Return the members that the templates of `gateway` fill with an id or a time."""
    named = [member for template in _iter_templates(gateway) for member in iter_members(template)]
    ids = frozenset(name for name, text in named if _ID in text)
    return ChangingMembers(ids, ids | {name for name, text in named if text in _TIMES})


def _iter_templates(gateway: Gateway) -> Iterator[Any]:
    """Yield the templates of replies, of events, and of what is said of tasks."""
    for _, models in gateway.iter_validated():
        for rules in models.iter_rules():
            shape = rules.response
            yield shape.body
            yield shape.item
            if shape.stream is not None:
                events = (shape.stream.partial, shape.stream.finished, shape.stream.failed, shape.stream.last)
                yield from (event.data for event in events if event is not None)
    if gateway.tasks is not None:
        yield gateway.tasks.submitted
        yield gateway.tasks.beside
        yield from gateway.tasks.states.values()


_ID: Final = "{id}"
_TIMES: Final = ("{created}", "{submitted}", "{progress}")
