"""Which parameters decide the pixels of a picture: `x-emulator-pixels`."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.gateway.pixels import read_pixel_rule

SIDES = {"width": "w", "height": "h"}
TIERS = {
    "ratio": "ratio", "tier": "tier", "tiers": {"1K": "1024x1024", "2K": "2048x2048"}, "step": 8,
    "sizes": {"2K 16:9": "2560x1440", "7:7": "700x700"}, "usual": "512x256",
}  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "effective", "pixels"),
    [
        (SIDES, {"w": 640, "h": 480}, (640, 480)),
        (SIDES, {"w": 640}, (640, 1024)),
        (SIDES, {"w": "640", "h": True}, (1024, 1024)),
        (SIDES, {}, (1024, 1024)),
        (TIERS, {}, (512, 256)),
        (TIERS, {"tier": "1K"}, (1024, 1024)),
        (TIERS, {"tier": "9K"}, (512, 256)),
        (TIERS, {"tier": "1K", "ratio": "4:1"}, (2048, 512)),
        (TIERS, {"tier": "1K", "ratio": "16:9"}, (1368, 768)),
        (TIERS, {"tier": "2K", "ratio": "16:9"}, (2560, 1440)),
        (TIERS, {"tier": "2K", "ratio": "7:7"}, (700, 700)),
        (TIERS, {"ratio": "1:1"}, (360, 360)),
        (TIERS, {"tier": "1K", "ratio": "auto"}, (1024, 1024)),
        (TIERS, {"tier": "1K", "ratio": "0:1"}, (1024, 1024)),
        (TIERS, {"tier": ["1K"], "ratio": 5}, (512, 256)),
        ({**TIERS, "tier": ["tier", "size"]}, {"tier": "9K", "size": "2K"}, (2048, 2048)),
        ({**TIERS, "tier": ["tier", "size"]}, {"tier": "1K", "size": "2K"}, (1024, 1024)),
    ],
)
def test_pixels(rule: Any, effective: Any, pixels: tuple[int, int]) -> None:
    """Sides count first, then what is listed for a word and a ratio, then arithmetic, then what is usual."""
    found = read_pixel_rule(rule)
    assert found is not None
    assert pixels == found.choose(effective)
