"""Turns a recipe into values that JSON can hold, and back: for a link's token, and for the journal."""

from __future__ import annotations

from collections.abc import Mapping
from types import NoneType
from typing import Any, Final, get_args, get_type_hints

from emulator.image.recipe import Alteration, EditSource, ImageRecipe

FieldTypes = Mapping[str, tuple[type, ...]]
"""The types that JSON may have for each field."""


def recipe_to_json(recipe: ImageRecipe) -> dict[str, Any]:
    """Return the fields of a recipe by their names; written out, because every picture of every call comes by here.

    `altered`, `source` and `weight` are there only where they are set. A partial image has no JSON.
    """
    fields: dict[str, Any] = {
        "gateway": recipe.gateway,
        "model": recipe.model,
        "caption": recipe.caption,
        "prompt_hash": recipe.prompt_hash,
        "width": recipe.width,
        "height": recipe.height,
        "quality": recipe.quality,
        "background": recipe.background,
        "format": recipe.format,
        "compression": recipe.compression,
        "index": recipe.index,
        "seed": recipe.seed,
    }
    if recipe.altered is not None:
        fields["altered"] = {name: getattr(recipe.altered, name) for name in _ALTERATION_FIELDS}
    if recipe.source is not None:
        fields["source"] = recipe.source._asdict()
    if recipe.weight is not None:
        fields["weight"] = recipe.weight
    return fields


def recipe_from_json(fields: Mapping[str, Any]) -> ImageRecipe:
    """Return the recipe that `recipe_to_json` made these fields of; ValueError where no recipe has such fields."""
    values = check_fields(fields, _RECIPE_FIELDS)
    if values["altered"] is not None:
        values["altered"] = Alteration(**check_fields(values["altered"], _ALTERATION_FIELDS))
    if values["source"] is not None:
        values["source"] = EditSource(**check_fields(values["source"], _SOURCE_FIELDS))
    return ImageRecipe(**values)


def check_fields(fields: Any, known: FieldTypes) -> dict[str, Any]:
    """Return the values of all `known` fields, None where one is absent; ValueError for other fields or types."""
    if not isinstance(fields, Mapping) or not fields.keys() <= known.keys():
        raise ValueError(f"it has other fields than {', '.join(known)}")
    values = {}
    for name, types in known.items():
        value = fields.get(name)
        is_misplaced = isinstance(value, bool) and bool not in types  # for Python, true is a number
        if is_misplaced or not isinstance(value, types):
            raise ValueError(f"{name} is {value!r}")
        values[name] = value
    return values


def _list_fields(described: type) -> FieldTypes:
    """Return the types that JSON may have for each field of a class."""
    fields = {}
    for name, hint in get_type_hints(described).items():
        types = get_args(hint) or (hint,)
        if float in types:
            types = (*types, int)
        fields[name] = types
    return fields


_ALTERATION_FIELDS: Final = _list_fields(Alteration)
_SOURCE_FIELDS: Final = _list_fields(EditSource)
_RECIPE_FIELDS: Final[FieldTypes] = {
    **{name: types for name, types in _list_fields(ImageRecipe).items() if name != "partial"},
    "altered": (dict, NoneType),
    "source": (dict, NoneType),
}
