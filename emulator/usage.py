"""What a call costs in tokens, by the published tables.

Text tokens are an approximation (no tokenizer is bundled): one for each CJK character, else UTF-8 bytes / 4, and a
constant. Picture tokens are OpenAI's own table for gpt-image-1, as its guide printed it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

# A pattern as text: `re` compiles it when it is first needed, which is after the start.
_CJK: Final = "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"


def tokens(table: str, prompt: str, quality: str, pixels: tuple[int, int], count: int) -> Mapping[str, Any]:
    """The `usage` of `count` pictures: input_tokens, input_tokens_details, output_tokens, total_tokens.

    `table` names one of TABLES; a quality or shape that it lacks counts as its dearest quality or its square.
    """
    by_quality = TABLES[table]
    shapes = by_quality.get(quality) or by_quality["high"]
    picture = shapes[(pixels[0] > pixels[1]) - (pixels[0] < pixels[1])]
    text = text_tokens(prompt) * count
    return {
        "input_tokens": text,
        "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
        "output_tokens": picture * count,
        "total_tokens": text + picture * count,
    }


def text_tokens(prompt: str) -> int:
    """About how many tokens a generation's prompt makes; "a siamese cat" makes 10."""
    cjk = len(re.findall(_CJK, prompt))
    rest = len(re.sub(_CJK, "", prompt).encode("utf-8", "replace"))
    return cjk + -(-rest // 4) + _BESIDE_THE_PROMPT


_BESIDE_THE_PROMPT: Final = 6  # fits six recorded generations

TABLES: Final[Mapping[str, Mapping[str, Mapping[int, int]]]] = {
    # table: quality: tokens of a portrait (-1), a square (0), a landscape (1)
    "gpt-image-1": {
        "low": {-1: 408, 0: 272, 1: 400},
        "medium": {-1: 1584, 0: 1056, 1: 1568},
        "high": {-1: 6240, 0: 4160, 1: 6208},
    },
}
