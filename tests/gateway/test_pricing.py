"""What a call costs, in tokens and in dollars, held against the published tables."""

from __future__ import annotations

from typing import Any, Final

import pytest

from emulator.gateway import pricing
from emulator.gateway.pricing import TABLES
from emulator.messages import Call, ResponseShape

CALCULATED: Final = [
    # size, and the tokens of low, medium and high by the calculator of OpenAI's guide
    ("1024x1024", 196, 1756, 7024),
    ("1024x1536", 158, 1372, 5488),
    ("1536x1024", 158, 1372, 5488),
    ("1536x864", 120, 1078, 4312),
    ("1280x720", 106, 947, 3787),
    ("2048x2048", 397, 3568, 14272),
    ("2048x1152", 157, 1413, 5650),
    ("2560x1440", 205, 1843, 7370),
    ("3840x2160", 371, 3336, 13342),
    ("2880x2880", 659, 5930, 23719),
]


def _pixels(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    return int(width), int(height)


@pytest.mark.parametrize(("size", "low", "medium", "high"), CALCULATED)
def test_the_formula_is_the_calculator(size: str, low: int, medium: int, high: int) -> None:
    """gpt-image-2's formula reproduces every published number."""
    told = [pricing.count_output_by_formula(quality, _pixels(size)) for quality in ("low", "medium", "high")]
    assert [low, medium, high] == told


@pytest.mark.parametrize("quality", ["auto", "", "xhigh", "max", "None"])
def test_a_quality_that_is_not_listed_is_the_dearest(quality: str) -> None:
    """Nobody is charged too little for a word that the table does not know."""
    for table, (picture_tokens, _) in TABLES.items():
        assert picture_tokens("high", (1024, 1536)) == picture_tokens(quality, (1024, 1536)), table


def test_the_newer_models_count_one_more_token_beside_the_prompt() -> None:
    """Prompt and pictures together are the whole; each picture is charged with the prompt."""
    spent = pricing.count_usage("gpt-image-2", "a siamese cat", "low", (1536, 864), 2)
    expected: dict[str, Any] = {
        "input_tokens": 22,
        "input_tokens_details": {"text_tokens": 22, "image_tokens": 0},
        "output_tokens": 240,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": 240},
        "total_tokens": 262,
    }
    assert expected == spent


def _call(model: str | None, quality: Any, pixels: tuple[int, int]) -> Call:
    effective = {"prompt": "a siamese cat", "quality": quality}
    return Call("generate", model, effective, effective, effective, 2, pixels, ResponseShape(), ())


@pytest.mark.parametrize(
    ("model", "quality", "size", "dollars"),
    [
        # a picture
        ("dall-e-2", None, "256x256", 0.016), ("dall-e-2", None, "512x512", 0.018),
        ("dall-e-2", None, "1024x1024", 0.020), ("dall-e-2", "standard", "300x300", 0.018),
        ("dall-e-3", "standard", "1024x1024", 0.040), ("dall-e-3", "standard", "1024x1792", 0.080),
        ("dall-e-3", "hd", "1024x1024", 0.080), ("dall-e-3", "hd", "1792x1024", 0.120),
        ("dall-e-3", "auto", "4096x4096", 0.080), ("dall-e-3", 3, "1024x1024", 0.040),
        # tokens: 10 of text, 11 with the newer models
        ("gpt-image-1", "low", "1024x1024", (10 * 5 + 272 * 40) / 1e6),
        ("gpt-image-1", "high", "1024x1536", (10 * 5 + 6240 * 40) / 1e6),
        ("gpt-image-1-mini", "medium", "1536x1024", (10 * 2 + 1568 * 8) / 1e6),
        ("gpt-image-1.5", "medium", "1024x1024", (10 * 5 + 1056 * 32) / 1e6),
        ("chatgpt-image-latest", "medium", "1024x1024", (10 * 5 + 1056 * 32) / 1e6),
        ("gpt-image-2", "medium", "1024x1024", (11 * 5 + 1756 * 30) / 1e6),
        ("gpt-image-2-2026-04-21", "auto", "2048x2048", (11 * 5 + 14272 * 30) / 1e6),
        ("gpt-image-2.5-flare-2026-09-08", "max", "1024x1024", (11 * 5 + 7024 * 30) / 1e6),
        ("gpt-image-2.6-sunburst", "low", "1024x1024", (11 * 5 + 196 * 30) / 1e6),
        # nobody knows
        ("cogview-4", "hd", "1024x1024", None), ("flux-pro", None, "1024x1024", None), (None, None, "1x1", None),
    ],
)  # fmt: skip
def test_dollars(model: str | None, quality: Any, size: str, dollars: float | None) -> None:
    """A picture's price, or its tokens' and its prompt's; n pictures cost n times as much, and none nothing."""
    call = _call(model, quality, _pixels(size))
    assert (dollars if dollars is None else pytest.approx(dollars)) == pricing.price_call(call, 1)
    if dollars is not None:
        assert [pytest.approx(0), pytest.approx(3 * dollars)] == [
            pricing.price_call(call, 0),
            pricing.price_call(call, 3),
        ]


BROKEN_PICTURE: Final = {"error": {"code": "x", "message": "y"}}


@pytest.mark.parametrize(
    ("body", "events", "dollars"),
    [
        ({"data": [{"url": "a"}, {"url": "b"}]}, (), 0.04),
        ({"data": [{"url": "a"}, BROKEN_PICTURE, {"url": "b"}]}, (), 0.04),
        ({"data": [BROKEN_PICTURE]}, (), 0.0),
        ({"data": [{"url": "a"}], "usage": {"generated_images": 2}}, (), 0.04),
        (None, [{"url": "a"}, {"url": "b"}, {"usage": {"generated_images": 2}}], 0.04),
        (None, [BROKEN_PICTURE, {"usage": {"generated_images": 0}}], 0.0),
        ({"data": [{"url": "a"}], "usage": {"generated_images": True}}, (), 0.02),
    ],
)
def test_pictures_that_failed_are_not_paid(body: Any, events: Any, dollars: float) -> None:
    """The pictures of an answer count that came, or the number of them that its usage tells."""
    call = Call(
        operation="generate", model="dall-e-2", given={}, params={}, effective={}, count=3,
        pixels=(1024, 1024), response=ResponseShape(), findings=(),
    )  # fmt: skip
    assert dollars == pytest.approx(pricing.price_answer(call, status=200, headers={}, body=body, events=events))
