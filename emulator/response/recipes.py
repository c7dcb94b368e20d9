"""Makes the recipes of the pictures that a call asks for.

Most values of a recipe do not depend on the prompt: a RecipeOutline has them ready for any number of prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from emulator.core.chance import make_seed_of_json
from emulator.core.strict_json import format_json, format_text
from emulator.image.link import SealedRecipe, seal_recipe, write_common_values
from emulator.image.recipe import CAPTION_LENGTH, DIGEST, FORMATS, EditSource, ImageRecipe
from emulator.image.upload import Upload
from emulator.messages import Call
from emulator.response.revised_prompt import format_parameter

EXACT: Final = 2**53 - 1
"""The largest seed: a larger whole number is not exact in JavaScript, and labels are read there too."""


class RecipeValues(NamedTuple):
    """The values of a call that decide, beside its prompt and its uploads, what is on its pictures.

    Each is as a recipe takes it: a text that is missing is "", and `compression` is None where it is no percentage.
    """

    model: str
    pixels: tuple[int, int]
    quality: str
    style: str
    output_format: str
    is_transparent: bool
    compression: int | None

    @property
    def are_short(self) -> bool:
        """Whether the texts, of which a client may send any, are short enough to be kept."""
        return len(self.model) + len(self.quality) + len(self.style) + len(self.output_format) <= _LONGEST_KEPT


def read_recipe_values(call: Call) -> RecipeValues:
    """Return the values that the recipes of `call` are made of."""
    get = call.effective.get
    compression = get("output_compression")
    if not isinstance(compression, int) or isinstance(compression, bool) or not 0 <= compression <= 100:
        compression = None
    output_format = format_parameter(get("output_format"))
    if call.response.picture_format and output_format not in (*FORMATS, "jpg"):
        output_format = call.response.picture_format
    return RecipeValues(
        call.model or "",
        call.pixels,
        format_parameter(get("quality")),
        format_parameter(get("style")),
        output_format,
        get("background") == "transparent",
        compression,
    )


class RecipeOutline:
    """Makes the recipes of calls that differ in nothing but their prompts: all calls with these values.

    `seed` is that of the server; `operation` counts where the call has `uploads`.
    """

    def __init__(
        self,
        values: RecipeValues,
        *,
        gateway: str,
        seed: int,
        uploads: Sequence[Upload] = (),
        operation: str = "generate",
    ) -> None:
        width, height = values.pixels
        image_format = {"jpg": "jpeg"}.get(values.output_format, values.output_format)
        requested_background = "transparent" if values.is_transparent else "opaque"
        self._values = {
            "gateway": gateway,
            "model": values.model[:_NAME_LENGTH],
            "width": width,
            "height": height,
            "quality": values.quality[:_NAME_LENGTH],
            "background": "opaque" if image_format == "jpeg" else requested_background,
            "format": image_format if image_format in FORMATS else "png",
            "compression": None if image_format == "png" else values.compression,
            "source": _build_edit_source(uploads, operation),
        }
        behind_prompt = [f"{width}x{height}", values.quality, values.style, requested_background]
        if uploads:
            digests = [upload.examination.sha256 for upload in uploads if upload.examination is not None]
            behind_prompt += [operation, *digests]
        # The seed's parts are server, model, prompt, what is behind the prompt, and index.
        self._before_prompt = format_json([seed, values.model])[:-1]
        self._behind_prompt = format_json(behind_prompt)[1:-1]

    @cached_property
    def _common_values(self) -> str:
        """What the tokens of all links begin with; Base64 needs none."""
        return write_common_values(self.make_recipe("", 0))

    def make_recipe(self, prompt: str, index: int) -> ImageRecipe:
        """Return the recipe of the picture `index`, from 0, of a call with `prompt`."""
        caption = prompt
        if len(prompt) > CAPTION_LENGTH:
            caption = prompt[: CAPTION_LENGTH - 1] + "…"
        seed_text = f"{self._before_prompt},{format_text(prompt)},{self._behind_prompt},{index}]"
        return ImageRecipe.make_unchecked(
            self._values,
            caption=caption,
            prompt_hash=hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16],
            index=index,
            seed=make_seed_of_json(seed_text) & EXACT,
        )

    def seal_recipe(self, recipe: ImageRecipe, secret: bytes) -> SealedRecipe:
        """Return a recipe of this outline, sealed for its links."""
        return seal_recipe(recipe, secret, self._common_values)


@lru_cache(maxsize=500)  # some 2 kB each; to make one takes as long as three of its recipes
def outline_recipes(values: RecipeValues, gateway: str, seed: int) -> RecipeOutline:
    """Return the outline of the recipes of calls with these values, and without uploads."""
    return RecipeOutline(values, gateway=gateway, seed=seed)


def find_outline(call: Call, gateway: str, seed: int) -> RecipeOutline:
    """Return the outline of the recipes of `call`, as a server with `seed` draws it."""
    values = read_recipe_values(call)
    if not call.uploads and values.are_short:
        return outline_recipes(values, gateway, seed)
    return RecipeOutline(values, gateway=gateway, seed=seed, uploads=call.uploads, operation=call.operation)


def build_recipe(call: Call, gateway: str, seed: int, index: int) -> ImageRecipe:
    """Build the recipe of the picture `index` of `call`, as a server with `seed` draws it."""
    return find_outline(call, gateway, seed).make_recipe(format_parameter(call.effective.get("prompt")), index)


def _build_edit_source(uploads: Sequence[Upload], operation: str) -> EditSource | None:
    """Return what the pictures of a call are made of: its first image and its first mask, None without an image."""
    examinations = {upload.role: upload.examination for upload in reversed(uploads) if upload.examination is not None}
    image, mask = examinations.get("image"), examinations.get("mask")
    if image is None:
        return None
    act = "vary" if operation == "vary" else "edit"
    if mask is None:
        return EditSource(act, image.sha256[:DIGEST], None, image.palette, bool(image.alpha_share))
    return EditSource(act, image.sha256[:DIGEST], mask.sha256[:DIGEST], image.palette, True)


_LONGEST_KEPT: Final = 500  # characters of the texts among the values of a call
_NAME_LENGTH: Final = 48  # characters of a model's or quality's name in a recipe; a URL should stay short
