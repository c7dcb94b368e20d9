"""Applies what a scenario and a session want of the pictures of a reply: to their recipes, before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from emulator.core.chance import make_seed
from emulator.findings import Finding
from emulator.image.files import NO_FILES, Files
from emulator.image.realistic_weight import choose_realistic_weight
from emulator.image.recipe import ImageRecipe
from emulator.image.store import Picture
from emulator.messages import Delivery, Draw, PictureOverride, PictureWeight
from emulator.response.recipes import EXACT

Altered = Mapping[str, Any] | list[Mapping[str, Any] | None]
"""What a scenario changes about all pictures of a reply, or about each of them, in the scenario's words."""


def override_recipes(
    recipes: Sequence[ImageRecipe], draw: Draw, weight: PictureWeight, number: int
) -> tuple[ImageRecipe, ...]:
    """Return the recipes as a scenario wants them.

    `weight` counts where the scenario does not say another one; `number` is the call's number in its session.
    """
    if draw.picture is None and weight == "small":
        return tuple(recipes)
    return tuple(_override_recipe(recipe, draw.find_override(recipe.index), weight, number) for recipe in recipes)


def _override_recipe(
    recipe: ImageRecipe, override: PictureOverride | None, weight: PictureWeight, number: int
) -> ImageRecipe:
    wanted: PictureWeight | int = weight
    if override is not None:
        if override.vary:
            recipe = replace(recipe, seed=make_seed(recipe.seed, "vary", number) & EXACT)
        if override.alteration is not None:
            recipe = replace(recipe, altered=override.alteration)
        if override.weight is not None:
            wanted = override.weight
    if recipe.altered is not None and recipe.altered.file is not None:
        return recipe  # a tester's own picture comes as it is
    if wanted == "realistic":
        wanted = choose_realistic_weight(recipe)
    if wanted == "small":
        return recipe
    return replace(recipe, weight=wanted)


def list_overrides(draw: Draw) -> Iterator[PictureOverride]:
    """Yield what a scenario changes about pictures, once for each mapping that it writes."""
    overrides = draw.picture
    if isinstance(overrides, PictureOverride):
        overrides = (overrides,)
    for override in overrides or ():
        if override is not None:
            yield override


def list_own_pictures(draw: Draw) -> Files:
    """Return the tester's own pictures by their digests, those whose bytes are here."""
    if draw.picture is None:
        return NO_FILES
    files = {}
    for override in list_overrides(draw):
        alteration = override.alteration
        if alteration is not None and alteration.file is not None and override.own is not None:
            files[alteration.file] = override.own
    return files


def measure_largest(draw: Draw) -> int:
    """Return the bytes of the largest picture that a scenario asks for by its bytes, or by a file; 0: it does not."""
    sizes = [0]
    for override in list_overrides(draw):
        if override.own is not None:
            sizes.append(len(override.own))
        if isinstance(override.weight, int):
            sizes.append(override.weight)
    return max(sizes)


def list_visible_overrides(draw: Draw, deliveries: Sequence[Delivery], *, can_fail: bool) -> Altered | None:
    """Return the part of a scenario's changes that has an effect: for all pictures, or picture by picture.

    `can_fail` tells that the gateway has errors of single pictures.
    """
    if draw.picture is None or not deliveries:
        return None
    if isinstance(draw.picture, PictureOverride):
        return _list_visible(draw.picture, deliveries[0], can_fail)
    return [_list_visible(draw.find_override(index), delivery, can_fail) for index, delivery in enumerate(deliveries)]


def find_unmet_overrides(
    draw: Draw, pictures: Sequence[Picture | None], *, can_fail: bool = False
) -> tuple[Finding, ...]:
    """Return the findings about what a scenario wants of pictures and does not get.

    It lists more pictures than the reply has, or one has more bytes than it asks for without any grain, or one should
    fail where the gateway has no errors of single pictures. A picture that is not drawn yet is None.
    """
    messages = []
    listed = draw.picture
    if isinstance(listed, tuple) and len(listed) > len(pictures):
        messages.append(f"`picture` lists {len(listed)} pictures, and the reply has {len(pictures)}")
    for index, picture in enumerate(pictures):
        override = draw.find_override(index)
        if override is not None and override.error is not None and not can_fail:
            messages.append(f"`error` lets picture {index} fail, and this gateway has no errors of single pictures")
        if picture is None or override is None or not isinstance(override.weight, int):
            continue
        if len(picture.data) > override.weight:
            messages.append(f"`bytes` asks for {override.weight}, and picture {index} has {len(picture.data)} at least")
    return tuple(Finding("override_met_nothing", message, "picture") for message in messages)


def _list_visible(override: PictureOverride | None, delivery: Delivery, can_fail: bool) -> Mapping[str, Any] | None:
    """Return the words of `override`; how Base64 is spelled shows only where there is Base64."""
    if override is None or (override.error is not None and not can_fail):
        return None
    if delivery == "b64_json" or override.base64 == "null":
        return override.words or None
    return {word: value for word, value in override.words.items() if word != "base64"} or None
