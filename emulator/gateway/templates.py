"""Templates in a gateway's file: bodies in which a text that is one {name} stands for a value, of any type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from emulator.messages import BodyPlaces, Steps


def fill_template(template: Any, values: Mapping[str, Any]) -> Any:
    """Return `template` with the value of each text that is one {name}, and without those that have no value.

    A value that is None becomes null.
    """
    if isinstance(template, Mapping):
        filled = {key: fill_template(part, values) for key, part in template.items()}
        return {key: part for key, part in filled.items() if part is not _NOTHING}
    if isinstance(template, list | tuple):
        return [part for part in (fill_template(part, values) for part in template) if part is not _NOTHING]
    if isinstance(template, str) and template[:1] == "{" and template[-1:] == "}":
        return values.get(template[1:-1], _NOTHING)
    return template


def drop_absent(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `values` that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def find_places(body: Any) -> BodyPlaces:
    """Return where the template of a body has its pictures and its usage."""
    return BodyPlaces(pictures=find_place(body, "{data}"), usage=find_place(body, "{usage}"))


def find_place(template: Any, name: str) -> Steps | None:
    """Return the way to the first text `name`, such as "{data}", in a template; None where it has none."""
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(template, Mapping):
        parts = template.items()
    elif isinstance(template, list | tuple):
        parts = enumerate(template)
    for step, part in parts:
        if part == name:
            return (str(step),)
        inner = find_place(part, name)
        if inner is not None:
            return (str(step), *inner)
    return None


def iter_texts(template: Any) -> Iterator[str]:
    """Yield the texts in a template that are no names of members."""
    for _, text in iter_members(template):
        yield text


def iter_members(template: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text in a template with the name of the member that has it, perhaps in a list; "" where none has."""
    if isinstance(template, str):
        yield name, template
    elif isinstance(template, Mapping):
        for member, part in template.items():
            yield from iter_members(part, member)
    elif isinstance(template, list | tuple):
        for part in template:
            yield from iter_members(part, name)


ECHO: Final = "{parameter."
"""How a text of a template begins that takes the value of a parameter."""
_NOTHING: Final = object()
"""Stands for what has no value."""
