"""Reads and changes the bodies of lists of models, whatever their members are called.

The models are the list under `data`, else the first list in the body; a model is its name, or a mapping that has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final


def list_models(listing: Any) -> Sequence[Any]:
    """Return the models in the body of a list of models; empty where it has no list."""
    if isinstance(listing, list):
        return listing
    if isinstance(listing, Mapping):
        models = listing.get(_find_member(listing), ())
        if isinstance(models, list):
            return models
    return ()


def replace_models(listing: Any, models: Iterable[Any]) -> Any:
    """Return the body of a list of models with `models` in the place of its own."""
    if isinstance(listing, list):
        return list(models)
    return {**listing, _find_member(listing): list(models)}


def name_model(model: Any) -> str | None:
    """Return the name of one of the models of a list; None where it has none."""
    if isinstance(model, str):
        return model
    if isinstance(model, Mapping):
        for member in _NAMES:
            if isinstance(model.get(member), str):
                return str(model[member])
    return None


def copy_model(model: Any, name: str) -> Any:
    """Return another model of a list, called `name`, which is as `model` else."""
    if not isinstance(model, Mapping):
        return name
    member = next((member for member in _NAMES if isinstance(model.get(member), str)), _NAMES[0])
    return {**model, member: name}


def _find_member(listing: Mapping[str, Any]) -> str:
    """Return the member of a body under which its models are."""
    if isinstance(listing.get("data"), list):
        return "data"
    return next((name for name, value in listing.items() if isinstance(value, list)), "data")


_NAMES: Final = ("id", "name", "model")
"""The members that name a model, the usual one first."""
