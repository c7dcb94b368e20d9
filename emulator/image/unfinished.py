"""A finished landscape becomes one in the making, as a model shows it while it still works: the coarser, the earlier.

Shares the PIL door with *picture*. A palette picture stays one, so a stage is drawn and encoded as fast as the whole.
"""

from __future__ import annotations

from typing import Final

from PIL import Image

from emulator.image.recipe import Stage


def coarsen(image: Image.Image, floor: int, stage: Stage) -> None:
    """Turn the upper `floor` pixels of `image` into blocks, half as wide with each stage."""
    width = image.width
    if floor < 1:
        return
    block = max(_SMALLEST, width // (_BLOCKS << (stage.number - 1)))
    part = image.crop((0, 0, width, floor))
    # Nearest, not the mean: a palette has no colours in between, and the same pixels come out on every machine.
    small = part.resize((-(-width // block), -(-floor // block)), Image.Resampling.NEAREST)
    image.paste(small.resize((width, floor), Image.Resampling.NEAREST), (0, 0))


def tell(image: Image.Image, stage: Stage, colour: int, top: int, thick: int) -> None:
    """Draw a bar at the height `top`, `thick` pixels high, as long as the picture is finished."""
    image.paste(colour, (0, top, image.width * stage.number // (stage.of + 1), top + thick))


_BLOCKS: Final = 12  # across the first stage: sky, land and light can be told, and nothing else
_SMALLEST: Final = 2  # px; one would be the finished picture
