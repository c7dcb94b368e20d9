"""What a call costs, in tokens by the published tables, and in dollars.

Text tokens are an approximation (no tokenizer is bundled): one for each CJK character, else UTF-8 bytes / 4, and a
constant. Picture tokens are OpenAI's own, by its printed table for gpt-image-1 and its formula for gpt-image-2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from emulator.messages import Call

# A pattern as text: `re` compiles it when it is first needed, which is after the start.
_CJK: Final = "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"


def tokens(
    table: str, prompt: str, quality: str, pixels: tuple[int, int], count: int, given: tuple[int, int] = (0, 0)
) -> Mapping[str, Any]:
    """The `usage` of `count` pictures: input_tokens, output_tokens, the details of both, total_tokens.

    `table` names one of TABLES; a quality or shape that it lacks counts as its dearest quality or its square. `given`
    are the image tokens of what is edited, and the text tokens that it adds.
    """
    picture_tokens, beside_the_prompt = TABLES[table]
    picture, seen = picture_tokens(quality, pixels) * count, given[0] * count
    text = (text_tokens(prompt, beside_the_prompt) + given[1]) * count
    return {
        "input_tokens": text + seen,
        "input_tokens_details": {"text_tokens": text, "image_tokens": seen},
        "output_tokens": picture,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": picture},
        "total_tokens": text + seen + picture,
    }


def given(call: Call, table: str) -> tuple[int, int]:
    """The image tokens of the pictures that `call` brings, and the text tokens that they add; a mask has none."""
    sizes = [(look.width or 1, look.height or 1) for one in call.uploads if one.role == "image" and (look := one.look)]
    if not sizes:
        return 0, 0
    seen, beside = _SEEN[table]
    return sum(seen(size, call.effective.get("input_fidelity") == "high") for size in sizes), beside * len(sizes)


def with_partials(spent: Mapping[str, Any], partials: int) -> dict[str, Any]:
    """The usage `spent`, and that of `partials` pictures in the making beside it."""
    more = PARTIAL_TOKENS * partials
    return {name: part + more if name in ("output_tokens", "total_tokens") else part for name, part in spent.items()}


def cost(call: Call, count: int) -> float | None:
    """Dollars for `count` pictures of those that `call` asks for; None where nobody knows what its model costs.

    An approximation, as the tokens of a prompt are, and at prices that nobody promises.
    """
    from emulator.gateway import catalog  # few ask for money

    model = catalog.of(call.model)
    if model is None:
        return None
    prompt, quality = str(call.effective.get("prompt") or ""), str(call.effective.get("quality"))
    brought = given(call, model.table) if model.table else (0, 0)
    spent = tokens(model.table, prompt, quality, call.pixels, count, brought) if model.table else {}
    if call.streams and model.table:
        asked = call.effective.get("partial_images")
        spent = with_partials(spent, count * asked if isinstance(asked, int) else 0)
    return model.cost(quality, call.pixels, count, spent)


def text_tokens(prompt: str, beside_the_prompt: int = 6) -> int:
    """About how many tokens a generation's prompt makes; "a siamese cat" makes 10, with the 6 of gpt-image-1."""
    cjk = len(re.findall(_CJK, prompt))
    rest = len(re.sub(_CJK, "", prompt).encode("utf-8", "replace"))
    return cjk + -(-rest // 4) + beside_the_prompt


def printed(quality: str, pixels: tuple[int, int]) -> int:
    """Tokens of a picture by gpt-image-1 and its kin: the table that OpenAI's guide printed."""
    width, height = pixels
    return (_PRINTED.get(quality) or _PRINTED["high"])[(width > height) - (width < height)]


def calculated(quality: str, pixels: tuple[int, int]) -> int:
    """Tokens of a picture by gpt-image-2 and later: the formula behind the calculator of OpenAI's guide.

    What is between its integer divisions was found out by users, and agrees with the calculator. The newer models have
    more qualities and factors that nobody is sure of; until somebody is, they count as gpt-image-2's, `high` the most.
    """
    factor = _FACTORS.get(quality, _FACTORS["high"])
    short, long = sorted(pixels)
    across = (2 * factor * short + long) // (2 * long)
    return -(-factor * across * (2_000_000 + short * long) // 4_000_000)


def tiled(size: tuple[int, int], fine: bool) -> int:
    """Tokens of an input picture of `size` by gpt-image-1 and its kin: 512-pixel tiles of its shorter side at 512.

    With high fidelity (`fine`) as many more as a picture of high quality and its shape would have, as OpenAI's page
    said; a measurement comes near to it.
    """
    short, long = sorted(size)
    return 65 + 129 * -(-long // short) + (0 if not fine else 4160 if short == long else 6240)


def patched(size: tuple[int, int], fine: bool = False) -> int:
    """Tokens of an input picture of `size` by gpt-image-2 and later: patches of 32 pixels, at most 1536 of them.

    A small one is enlarged, to twice its size at the most, until its longer side has 1024. This was found out by users;
    a recorded call agrees.
    """
    factor = min(2.0, max(1.0, 1024 / max(size)))
    width, height = (side * factor / 32 for side in size)
    if math.ceil(width) * math.ceil(height) > _MOST_PATCHES:
        shrunk = math.sqrt(_MOST_PATCHES / (width * height))
        whole = min(math.floor(side * shrunk) / (side * shrunk) for side in (width, height) if side * shrunk >= 1)
        width, height = (side * shrunk * whole for side in (width, height))
    return math.ceil(round(width, 6)) * math.ceil(round(height, 6))


PARTIAL_TOKENS: Final = 100  # of output for each picture in the making, as OpenAI's guide says and calls have shown
_PRINTED: Final[Mapping[str, Mapping[int, int]]] = {
    # quality: tokens of a portrait (-1), a square (0), a landscape (1)
    "low": {-1: 408, 0: 272, 1: 400},
    "medium": {-1: 1584, 0: 1056, 1: 1568},
    "high": {-1: 6240, 0: 4160, 1: 6208},
}
_FACTORS: Final = {"low": 16, "medium": 48, "high": 96}
TABLES: Final[Mapping[str, tuple[Callable[[str, tuple[int, int]], int], int]]] = {
    "gpt-image-1": (printed, 6),
    "gpt-image-2": (calculated, 7),
}
"""How each kind of model counts: the tokens of a picture, and those that a prompt has beside its text.

The constants beside the text fit six recorded generations, and one recorded edit.
"""
_SEEN: Final[Mapping[str, tuple[Callable[[tuple[int, int], bool], int], int]]] = {
    "gpt-image-1": (tiled, 16),
    "gpt-image-2": (patched, 0),
}
"""How each kind of model counts what it is given: the tokens of an input picture, and those of text beside it."""
_MOST_PATCHES: Final = 1536
