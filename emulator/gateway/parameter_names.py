"""A gateway's own names for the parameters that the emulator acts on, such as `text` for what OpenAI calls `prompt`.

A file gives them by `x-emulator-parameter`, and for the model also by a discriminator. What is written about a call
(refusals, journal, scenarios) has the gateway's own names; the code that acts reads `effective`, which has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from emulator.core.phrases import shorten_text
from emulator.core.suggestions import nearest_word
from emulator.findings import Finding

if TYPE_CHECKING:
    from emulator.gateway.gateway import Gateway, Operation
    from emulator.gateway.openapi import Document, Parameter
    from emulator.gateway.rules import ModelRules, Models

OwnNames = Mapping[str, str]
"""The name that a model has for a parameter, by OpenAI's name; those that have the same name are not in it."""

KEYWORD: Final = "x-emulator-parameter"
PARAMETERS: Final = frozenset({
    "model", "prompt", "n", "size", "quality", "style", "background", "output_format", "output_compression",
    "response_format", "stream", "partial_images", "user", "safety_identifier", "input_fidelity",
})  # fmt: skip
"""The parameters that the emulator acts on, by OpenAI's names."""


def read_own_names(parameters: Mapping[str, Parameter], model_name: str) -> OwnNames:
    """Return the own names among the `parameters` of a model; `model_name` is the discriminator's, else `model`.

    Raises ValueError, in one line, where two parameters have one meaning.
    """
    found: dict[str, str] = {}
    if model_name != MODEL:
        found[MODEL] = model_name
    for name, line in parameters.items():
        if KEYWORD in line:
            meaning = line[KEYWORD].value
            other = found.get(meaning, meaning)
            if name != other and (other in parameters or meaning in found):
                message = f"{KEYWORD}: {name!r} and {other!r} are both {meaning!r}; one parameter can be it"
                raise ValueError(message)
            found[meaning] = name
    return {meaning: name for meaning, name in found.items() if meaning != name}


def join_own_names(every: Iterable[ModelRules]) -> Mapping[str, tuple[str, ...]]:
    """Return all names that models have for a parameter that some of them calls otherwise than OpenAI."""
    rules = list(every)
    meanings = dict.fromkeys(meaning for one in rules for meaning in one.own_names)
    return {meaning: tuple(dict.fromkeys(one.own_names.get(meaning, meaning) for one in rules)) for meaning in meanings}


def add_openai_names(values: Mapping[str, Any], own_names: OwnNames) -> dict[str, Any]:
    """Return parameters with those that have another name under OpenAI's name too.

    What a client sends under OpenAI's name, and the gateway does not know, is left out: it means something else there.
    """
    taken = own_names.keys() | PARAMETERS & set(own_names.values())  # `style` may be the name of what is the quality
    both = {name: value for name, value in values.items() if name not in taken}
    for meaning, name in own_names.items():
        if name in values:
            both[meaning] = values[name]
    return both


def to_openai_names(values: Mapping[str, Any], own_names: OwnNames) -> Mapping[str, Any]:
    """Return parameters in their order with OpenAI's names in the place of a gateway's own.

    What has one of OpenAI's names by chance, and means something else, is left out.
    """
    if not own_names:
        return values
    meanings = {name: meaning for meaning, name in own_names.items()}
    return {
        meanings.get(name, name): value for name, value in values.items() if name in meanings or name not in own_names
    }


def to_own_names(values: Mapping[str, Any], own_names: OwnNames) -> Mapping[str, Any]:
    """Return parameters in their order with a gateway's own names in the place of OpenAI's."""
    if not own_names:
        return values
    return {own_names.get(name, name): value for name, value in values.items()}


def find_texts(
    body: Mapping[str, Any], meaning: str, names: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each text in `body` that is the parameter `meaning` by one of its `names`."""
    for name in names.get(meaning, (meaning,)):
        value = body.get(name)
        if isinstance(value, str):
            yield name, value


def list_name_findings(gateway: Gateway) -> Iterator[Finding]:
    """Yield what a gateway's file leaves unsaid of its names: which parameter is the prompt, and where the model is."""
    for operation, models in gateway.iter_validated():
        place = f"{operation.method} {operation.path}"
        if models is operation.form:
            place += " (form)"
        yield from _list_unnamed_models(models, operation, place)
        if operation.name == "generate":
            yield from _list_missing_prompts(gateway.document, models, place)


def _list_unnamed_models(models: Models, operation: Operation, place: str) -> Iterator[Finding]:
    """Yield a finding where no model has the property that the discriminator names."""
    name, every = models.model_name, list(models.iter_rules())
    if not models.listed or operation.names_model is not None or any(name in rules.parameters for rules in every):
        return
    known = dict.fromkeys(parameter for rules in every for parameter in rules.parameters)
    note = (
        f"{place}: the discriminator names {shorten_text(repr(name), _LONGEST_NAME)}, which no schema has as a property"
    )
    nearest = nearest_word(name, known)
    if nearest is not None:
        note += f"; did you mean {nearest!r}?"
    yield Finding("no_such_property", note)


def _list_missing_prompts(document: Document, models: Models, place: str) -> Iterator[Finding]:
    """Yield a finding where a model has no parameter that is the prompt, as nothing would depend on what is sent."""
    named = {id(rules): name for name, rules in models.listed.items()}
    lacking = [
        rules
        for rules in models.iter_rules()
        if PROMPT not in rules.own_names and not _mentions_prompt(document, document.look_up(rules.ref), set())
    ]
    if not lacking:
        return
    names = [named[id(rules)] for rules in lacking if id(rules) in named]
    if names:
        place += f" with {', '.join(names[:_MOST_NAMES])}"
    if len(names) > _MOST_NAMES:
        place += ", …"
    yield Finding("no_prompt", f"{place}: no parameter is the prompt; {KEYWORD}: prompt says of one that it is")


def _mentions_prompt(document: Document, schema: Any, met: set[int]) -> bool:
    """Whether a request schema, or one that it is made of, has or requires a parameter that is called `prompt`."""
    if not isinstance(schema, Mapping) or id(schema) in met:
        return False
    met.add(id(schema))
    if PROMPT in (schema.get("properties") or ()) or PROMPT in (schema.get("required") or ()):
        return True
    parts = [part for word in ("allOf", "anyOf", "oneOf") for part in schema.get(word) or ()]
    if isinstance(schema.get("$ref"), str):
        parts.append(document.look_up(schema["$ref"]))
    return any(_mentions_prompt(document, part, met) for part in parts)


MODEL: Final = "model"
PROMPT: Final = "prompt"
_LONGEST_NAME: Final = 60  # characters of a name in a finding
_MOST_NAMES: Final = 3  # models that a finding names
