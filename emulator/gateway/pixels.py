"""How the parameters of a call decide the pixels of its pictures, where that is more than a size: `x-emulator-pixels`.

The rule is made when a model's schema is read; a call looks up words and does a little arithmetic.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from emulator.core.light_dataclass import dataclass

Pixels = tuple[int, int]
"""Width and height."""


@dataclass(frozen=True)
class PixelRule:
    """Which parameters decide the pixels of a model's pictures.

    `width` and `height` name the parameters that are the sides. `ratio` names the one that is a ratio such as 16:9, and
    `tier` those whose words are numbers of pixels: `tiers` has for each word a square, or another picture, of that
    many. `sizes` has what is no arithmetic: a picture for a ratio, or for a word and a ratio with a blank between. The
    sides that are worked out are multiples of `step`. `usual` counts where no parameter says anything.
    """

    width: str | None = None
    height: str | None = None
    ratio: str | None = None
    tier: tuple[str, ...] = ()
    tiers: Mapping[str, Pixels] | None = None
    sizes: Mapping[str, Pixels] | None = None
    step: int = 1
    usual: Pixels = (1024, 1024)

    @property
    def parameters(self) -> Iterator[str]:
        """The names of the parameters."""
        for name in (self.width, self.height, self.ratio, *self.tier):
            if name is not None:
                yield name

    def choose(self, effective: Mapping[str, Any]) -> Pixels:
        """Return the pixels of a call with these effective parameters, of which none is a size in pixels."""
        width, height = self._find_side(self.width, effective), self._find_side(self.height, effective)
        if width is not None or height is not None:
            return width or self.usual[0], height or self.usual[1]
        sizes, tiers = self.sizes or {}, self.tiers or {}
        ratio = self._find_word(self.ratio, effective)
        words = [self._find_word(name, effective) for name in self.tier]
        word = next((word for word in words if word in tiers), "")
        for name in (f"{word} {ratio}", ratio):
            if name in sizes:
                return sizes[name]
        pixels = tiers.get(word, self.usual)
        match = re.fullmatch(_RATIO, ratio)
        if match is None or not float(match[1]) or not float(match[2]):
            return pixels
        return self._shape(pixels[0] * pixels[1], float(match[1]) / float(match[2]))

    def _shape(self, area: int, ratio: float) -> Pixels:
        """Return sides with about `area` pixels, of which the first is `ratio` times the second."""
        width, height = math.sqrt(area * ratio), math.sqrt(area / ratio)
        step = self.step
        return max(step, round(width / step) * step), max(step, round(height / step) * step)

    @staticmethod
    def _find_side(name: str | None, effective: Mapping[str, Any]) -> int | None:
        value = effective.get(name) if name is not None else None
        if value.__class__ is not int:
            return None
        return int(value)

    @staticmethod
    def _find_word(name: str | None, effective: Mapping[str, Any]) -> str:
        value = effective.get(name) if name is not None else None
        return value if isinstance(value, str) else ""


def read_pixel_rule(keys: Mapping[str, Any] | None) -> PixelRule | None:
    """Return the rule under `x-emulator-pixels`; None where a schema has none."""
    if keys is None:
        return None
    parts = dict(keys)
    parts.pop("source", None)
    tier = parts.pop("tier", [])
    parts["tier"] = (tier,) if isinstance(tier, str) else tuple(tier)
    for name in ("tiers", "sizes"):
        if name in parts:
            parts[name] = {str(word): _read_size(size) for word, size in parts[name].items()}
    if "usual" in parts:
        parts["usual"] = _read_size(parts["usual"])
    return PixelRule(**parts)


def _read_size(size: str) -> Pixels:
    width, _, height = size.partition("x")
    return int(width), int(height)


# A pattern as text: `re` compiles it when it is first needed.
_RATIO: Final = r"([0-9]{1,4}(?:\.[0-9]{1,4})?):([0-9]{1,4}(?:\.[0-9]{1,4})?)"
