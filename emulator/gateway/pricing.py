"""The price of a call: tokens by the published tables, and dollars.

Text tokens are an approximation (no tokenizer is bundled): one for each CJK character, else UTF-8 bytes / 4, and a
constant. Picture tokens are OpenAI's own, by its printed table for gpt-image-1 and its formula for gpt-image-2.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from emulator.gateway import model_catalog

if TYPE_CHECKING:
    from emulator.messages import Call

# A pattern as text: `re` compiles it when it is first needed, which is after the start.
_CJK: Final = "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"


def count_usage(
    table: str, prompt: str, quality: str, pixels: tuple[int, int], count: int, inputs: tuple[int, int] = (0, 0)
) -> Mapping[str, Any]:
    """Return the `usage` of `count` pictures: input_tokens, output_tokens, the details of both, total_tokens.

    `table` names one of TABLES; a quality or shape that it lacks counts as its dearest quality or its square. `inputs`
    are the image tokens of the pictures that the call brings, and the text tokens that these add.
    """
    count_output, tokens_beside_prompt = TABLES[table]
    image_tokens, added_tokens = inputs
    output = count_output(quality, pixels) * count
    text = (count_text_tokens(prompt, tokens_beside_prompt) + added_tokens) * count
    images = image_tokens * count
    return {
        "input_tokens": text + images,
        "input_tokens_details": {"text_tokens": text, "image_tokens": images},
        "output_tokens": output,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": output},
        "total_tokens": text + images + output,
    }


def count_input_tokens(call: Call, table: str) -> tuple[int, int]:
    """Return the image tokens of the pictures in `call`, and the text tokens that they add; a mask has none."""
    examinations = [upload.examination for upload in call.uploads if upload.role == "image"]
    sizes = [(one.width or 1, one.height or 1) for one in examinations if one is not None]
    if not sizes:
        return 0, 0
    count_input, text_tokens = _INPUT_TABLES[table]
    has_high_fidelity = call.effective.get("input_fidelity") == "high"
    return sum(count_input(size, has_high_fidelity) for size in sizes), text_tokens * len(sizes)


def add_partials(usage: Mapping[str, Any], partials: int) -> dict[str, Any]:
    """Return `usage` with the tokens of `partials` unfinished pictures."""
    more = PARTIAL_TOKENS * partials
    return {name: part + more if name in ("output_tokens", "total_tokens") else part for name, part in usage.items()}


def price_call(call: Call, count: int) -> float | None:
    """Return the dollars for `count` pictures that `call` asks for; None where its model has no published price.

    An approximation, as the tokens of a prompt are, and at prices that nobody promises.
    """
    model = model_catalog.find_model(call.model)
    if model is None:
        return None
    quality = str(call.effective.get("quality"))
    usage: Mapping[str, Any] = {}
    if model.table:
        prompt = str(call.effective.get("prompt") or "")
        inputs = count_input_tokens(call, model.table)
        usage = count_usage(model.table, prompt, quality, call.pixels, count=count, inputs=inputs)
        partials = call.effective.get("partial_images")
        if call.streams and isinstance(partials, int):
            usage = add_partials(usage, count * partials)
    return model.price_pictures(quality, call.pixels, count=count, usage=usage)


def price_answer(
    call: Call, *, status: int, headers: Mapping[str, str], body: Any, events: Sequence[Any] = ()
) -> float | None:
    """Return the dollars that a real gateway takes for its answer to `call`; None where nobody can know.

    What the answer says itself counts first, then its tokens at published prices, then the pictures at theirs. The
    names of `headers` are in lower case; `body` is its JSON, or None, and `events` are those of a stream.
    """
    if events:
        told = [event["usage"] for event in events if isinstance(event, Mapping) and "usage" in event]
        usages = [usage for usage in told if isinstance(usage, Mapping)]
        costs = [_price_usage(call, headers, usage, 1) for usage in usages]
        if not costs or None in costs:
            return price_call(call, call.count)
        return sum(cost for cost in costs if cost is not None)
    usage: Mapping[str, Any] = {}
    pictures = call.count
    if isinstance(body, Mapping):
        if isinstance(body.get("usage"), Mapping):
            usage = body["usage"]
        if isinstance(body.get("data"), list):
            pictures = sum(1 for item in body["data"] if not (isinstance(item, Mapping) and item.get("error")))
    cost = _find_told_cost(headers, usage)
    if cost is not None:
        return cost
    if status >= 400 or call.operation not in PAID:
        return 0.0
    return _price_usage(call, headers, usage, pictures)


def _price_usage(call: Call, headers: Mapping[str, str], usage: Mapping[str, Any], pictures: int) -> float | None:
    told = _find_told_cost(headers, usage)
    if told is not None:
        return told
    told_pictures = usage.get("generated_images")  # a gateway that sells pictures says how many came
    if isinstance(told_pictures, int) and not isinstance(told_pictures, bool) and told_pictures >= 0:
        pictures = told_pictures
    model = model_catalog.find_model(call.model)
    details = usage.get("input_tokens_details")
    if model is None or not model.table or not isinstance(details, Mapping):
        return price_call(call, pictures)
    counts = (details.get("text_tokens"), details.get("image_tokens"), usage.get("output_tokens"))
    if not all(isinstance(count, int) for count in counts):
        return price_call(call, pictures)
    return model.price_pictures(str(call.effective.get("quality")), call.pixels, count=pictures, usage=usage)


def _find_told_cost(headers: Mapping[str, str], usage: Mapping[str, Any]) -> float | None:
    """Return the dollars that an answer names itself, as some gateways do."""
    ticks, cost = usage.get("cost_in_usd_ticks"), usage.get("cost")
    if isinstance(ticks, int) and not isinstance(ticks, bool):
        return ticks * TICK
    if isinstance(cost, int | float) and not isinstance(cost, bool):
        return float(cost)
    try:
        return float(headers.get("x-litellm-response-cost", ""))
    except ValueError:
        return None


def count_text_tokens(prompt: str, tokens_beside_prompt: int = 6) -> int:
    """Return about how many tokens a generation's prompt makes; "a siamese cat" makes 10, with the 6 of gpt-image-1."""
    if prompt.isascii():
        return math.ceil(len(prompt) / 4) + tokens_beside_prompt
    cjk = len(re.findall(_CJK, prompt))
    rest = len(re.sub(_CJK, "", prompt).encode("utf-8", "replace"))
    return cjk + math.ceil(rest / 4) + tokens_beside_prompt


def count_output_by_table(quality: str, pixels: tuple[int, int]) -> int:
    """Return the tokens of a picture by gpt-image-1 and its kin: the table that OpenAI's guide printed."""
    width, height = pixels
    by_shape = _PRINTED.get(quality) or _PRINTED["high"]
    return by_shape[(width > height) - (width < height)]


def count_output_by_formula(quality: str, pixels: tuple[int, int]) -> int:
    """Return the tokens of a picture by gpt-image-2 and later: the formula behind the calculator of OpenAI's guide.

    The part between its integer divisions was found by users, and agrees with the calculator. The newer models have
    more qualities, with factors that nobody is sure of: they count as gpt-image-2's, and at most as `high`.
    """
    factor = _FACTORS.get(quality, _FACTORS["high"])
    short, long = sorted(pixels)
    across = (2 * factor * short + long) // (2 * long)
    return -(-factor * across * (2_000_000 + short * long) // 4_000_000)


def count_input_by_tiles(size: tuple[int, int], has_high_fidelity: bool) -> int:
    """Return the tokens of an input picture of `size` by gpt-image-1 and its kin: tiles of its shorter side at 512.

    High fidelity adds as many as a picture of high quality and its shape has, as OpenAI's page had it; a measurement
    comes near to it.
    """
    short, long = sorted(size)
    tokens = 65 + 129 * -(-long // short)
    if has_high_fidelity:
        tokens += 4160 if short == long else 6240
    return tokens


def count_input_by_patches(size: tuple[int, int], has_high_fidelity: bool = False) -> int:
    """Return the tokens of an input picture of `size` by gpt-image-2 and later: patches of 32 pixels, at most 1536.

    A small one is enlarged, to twice its size at the most, until its longer side has 1024. This was found by users; a
    recorded call agrees. Fidelity changes nothing.
    """
    factor = min(2.0, max(1.0, 1024 / max(size)))
    width, height = (side * factor / 32 for side in size)
    if math.ceil(width) * math.ceil(height) > _MOST_PATCHES:
        shrunk = math.sqrt(_MOST_PATCHES / (width * height))
        whole = min(math.floor(side * shrunk) / (side * shrunk) for side in (width, height) if side * shrunk >= 1)
        width, height = (side * shrunk * whole for side in (width, height))
    return math.ceil(round(width, 6)) * math.ceil(round(height, 6))


PAID: Final = ("generate", "edit", "vary")
"""The operations that cost money: lists of models, and what has become of a task, do not."""
TICK: Final = 1e-10  # dollars; the unit of a usage in ticks
PARTIAL_TOKENS: Final = 100  # of output for each unfinished picture, as OpenAI's guide says and calls have shown
_PRINTED: Final[Mapping[str, Mapping[int, int]]] = {
    # quality: tokens of a portrait (-1), a square (0), a landscape (1)
    "low": {-1: 408, 0: 272, 1: 400},
    "medium": {-1: 1584, 0: 1056, 1: 1568},
    "high": {-1: 6240, 0: 4160, 1: 6208},
}
_FACTORS: Final = {"low": 16, "medium": 48, "high": 96}
TABLES: Final[Mapping[str, tuple[Callable[[str, tuple[int, int]], int], int]]] = {
    "gpt-image-1": (count_output_by_table, 6),
    "gpt-image-2": (count_output_by_formula, 7),
}
"""How each kind of model counts: the tokens of a picture, and those that a prompt has beside its text.

The constants beside the text fit six recorded generations, and one recorded edit.
"""
_INPUT_TABLES: Final[Mapping[str, tuple[Callable[[tuple[int, int], bool], int], int]]] = {
    "gpt-image-1": (count_input_by_tiles, 16),
    "gpt-image-2": (count_input_by_patches, 0),
}
"""How each kind of model counts input pictures: the tokens of one, and the text tokens that it adds."""
_MOST_PATCHES: Final = 1536
