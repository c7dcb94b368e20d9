"""What a landscape is painted with: random numbers from a seed, palettes of 32 colours, shapes, and small figures.

Fractions are only added, subtracted, multiplied and divided (no sines), so that every machine gets the same pixels.
Nothing is done pixel by pixel.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeVar

from PIL import Image, ImageDraw

from emulator.core.light_dataclass import dataclass

SKIES: Final = 9
LANDS: Final = 6

T = TypeVar("T")
Point = tuple[float, float]
Rgb = tuple[int, int, int]
Figure = tuple[tuple[int, tuple[Point, ...]], ...]  # colours, and the corners to fill with them


class Palette:
    """The indexes of the colours in a palette."""

    CLEAR = 0  # the only one that can be transparent
    SKY = 1  # nine, from the zenith to the horizon
    QUIET = 10  # the caption's first line
    GLOW = 11  # two, the outer and the inner ring around the light
    LIGHT = 13
    CLOUD = 14  # two, the sunny and the shady
    LAND = 16  # six, from far to near
    SNOW = 22  # two, lit and shaded
    WATER = 24  # three, from far to near
    SPARK = 27  # two, for what should catch the eye
    DARK = 29
    BAND = 30  # behind the caption
    INK = 31


@dataclass(frozen=True, slots=True)
class Theme:
    """An hour or a season: its colours (`#rrggbb`), the lands that fit it, and what is in the air.

    `lands` are names of kinds of land; `air` is snow, stars, aurora, or empty.
    """

    sky: tuple[str, str, str]
    light: str
    far: str
    near: str
    lands: tuple[str, ...]
    air: str = ""
    spark: tuple[str, str] = ("#ffedc2", "#e4603a")

    @property
    def is_dark(self) -> bool:
        """Whether it is night."""
        return self.air in ("stars", "aurora")


class RandomNumbers:
    """Random numbers from a seed. They are one sequence, so the order of the calls is part of the picture."""

    def __init__(self, seed: int) -> None:
        self._next = _generate_numbers(seed).__next__

    def between(self, low: float, high: float) -> float:
        """Return a fraction from `low` to `high`."""
        return low + (high - low) * self._next() / 65536

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of the choices; each is as likely."""
        return choices[self._next() * len(choices) // 65536]

    def chance(self, share: float) -> bool:
        """Return True in `share` of the cases."""
        return self._next() < share * 65536


def _generate_numbers(seed: int) -> Iterator[int]:
    block = 0
    while True:
        yield from struct.unpack("<512H", hashlib.shake_128(b"%d %d" % (seed, block)).digest(1024))
        block += 1


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture while it is painted. Positions and sizes are in pixels; sizes are multiples of `unit`.

    `detail` is 0, 1 or 2: how many layers and small things. `clear` leaves the sky unpainted. `light` is the place of
    the sun or the moon.
    """

    image: Image.Image
    pen: ImageDraw.ImageDraw
    width: int
    height: int
    unit: float
    numbers: RandomNumbers
    theme: Theme
    detail: int
    clear: bool
    light: Point

    def make_crest(self, base: float, height: float, length: float, pace: float = 0) -> list[Point]:
        """Return a rolling line around `base`: `height` units up and down, in waves of `length` units.

        Its points are `pace` pixels apart; with 0, there are STEPS points between two turns.
        """
        numbers, wave = self.numbers, max(self.unit * length / 2, 1.0)
        slope = _EASE
        if pace:
            slope = tuple(ease(i * pace / wave) for i in range(max(1, int(wave / pace))))
        x, low, points = -wave * numbers.between(0, 1), numbers.between(-1, 1), list[Point]()
        while x < self.width:
            high = numbers.between(-1, 1)
            start, rise, step = base + low * height * self.unit, (high - low) * height * self.unit, wave / len(slope)
            points += [(x + i * step, start + rise * part) for i, part in enumerate(slope)]
            x, low = x + wave, high
        points.append((x, base + low * height * self.unit))
        return points

    def fill_below(self, crest: list[Point], colour: int) -> None:
        """Fill the picture below a crest.

        Only the part between the crest's highest and lowest point is a polygon, which costs rows times points.
        """
        foot = max(round(y) for _, y in crest)
        self.draw_polygon([*crest, (crest[-1][0], foot), (crest[0][0], foot)], colour)
        if foot < self.height:
            self.pen.rectangle((0, foot, self.width, self.height), colour)

    def draw_figure(self, x: float, y: float, size: float, shapes: Figure) -> None:
        """Draw shapes; their corners are distances from (x, y) in multiples of `size` pixels."""
        for colour, corners in shapes:
            self.draw_polygon([(x + right * size, y + down * size) for right, down in corners], colour)

    def draw_polygon(self, points: Sequence[Point], colour: int) -> None:
        """Draw a filled polygon."""
        self.pen.polygon(round_points(points), colour)

    def draw_box(self, left: float, top: float, right: float, bottom: float, colour: int) -> None:
        """Draw a filled rectangle."""
        self.pen.rectangle((round(left), round(top), round(right), round(bottom)), colour)

    def draw_disc(self, x: float, y: float, radius: float, colour: int) -> None:
        """Draw a filled circle."""
        self.pen.ellipse((round(x - radius), round(y - radius), round(x + radius), round(y + radius)), colour)


def round_points(points: Sequence[Point]) -> list[tuple[int, int]]:
    """Return the nearest pixels of the points."""
    return [(round(x), round(y)) for x, y in points]


def ease(part: float) -> float:
    """Map 0 to 1 onto 0 to 1, slowly at both ends."""
    return part * part * (3 - 2 * part)


def land_colour(near: float) -> int:
    """Return the palette index of land that is far (0) to near (1)."""
    return Palette.LAND + round(near * (LANDS - 1))


@lru_cache(maxsize=256)
def make_palette(name: str, tint: int) -> bytes:
    """Return the 32 colours of a theme, three bytes each; `tint` (0 to 6) moves them a little to another hue."""
    theme, lean = THEMES[name], _rgb(_TINTS[tint])
    top, middle, low = (_mix(_rgb(stop), lean, 0.09) for stop in theme.sky)
    light, far, near = _rgb(theme.light), _mix(_rgb(theme.far), lean, 0.1), _mix(_rgb(theme.near), lean, 0.05)
    white, black = (255, 255, 255), (6, 8, 16)
    shallow, sea = _mix(low, middle, 0.5), _mix(top, black, 0.3)
    quiet, clouds, glows = 0.4, (0.62, 0.4), (0.22, 0.48)  # shares of white, of white, and of the light
    if theme.is_dark:
        quiet, clouds, glows = 0.68, (0.12, 0.06), (0.1, 0.24)
    colours = [
        black,
        *(_mix(top, middle, i / 4) for i in range(4)),
        *(_mix(middle, low, i / 4) for i in range(SKIES - 4)),
        _mix(low, white, quiet),
        *(_mix(middle, light, share) for share in glows),
        light,
        *(_mix(low, white, share) for share in clouds),
        *(_mix(far, near, i / (LANDS - 1)) for i in range(LANDS)),
        _mix(low, white, 0.8),
        _mix(_mix(low, far, 0.5), white, 0.3),
        *(_mix(shallow, sea, share) for share in (0.25, 0.55, 0.9)),
        *map(_rgb, theme.spark),
        _mix(near, black, 0.5),
        _mix(near, black, 0.74),
        (250, 248, 242),
    ]
    return bytes(part for colour in colours for part in colour)


def _rgb(text: str) -> Rgb:
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _mix(one: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


STEPS: Final = 8  # points between two turns of a crest
PARTS: Final = tuple(step / STEPS for step in range(STEPS + 1))
_EASE: Final = tuple(map(ease, PARTS[:-1]))
_TINTS: Final = ("#ffffff", "#ffc478", "#ff8296", "#9678ff", "#5aaaff", "#50d2be", "#000000")
BOAT: Final = (
    (Palette.DARK, ((-0.55, 0), (0.55, 0), (0.35, 0.22), (-0.4, 0.22))),
    (Palette.SPARK, ((0, -1.5), (0, -0.1), (0.6, -0.1))),
    (Palette.SNOW, ((-0.07, -1.3), (-0.07, -0.1), (-0.45, -0.1))),
)
HOUSE: Final = (
    (Palette.DARK, ((-1, -0.8), (1, -0.8), (1, 0.8), (-1, 0.8))),
    (Palette.SPARK + 1, ((-1.35, -0.7), (1.35, -0.7), (0, -1.9))),
    (Palette.LIGHT, ((-0.55, -0.35), (-0.1, -0.35), (-0.1, 0.15), (-0.55, 0.15))),
    (Palette.SPARK, ((0.3, -0.35), (0.65, -0.35), (0.65, 0.8), (0.3, 0.8))),
)
BALLOON: Final = (
    (Palette.SPARK + 1, ((-0.9, 0.4), (0.9, 0.4), (0, 2))),
    (Palette.SPARK, ((-0.42, 0.4), (0.42, 0.4), (0, 2))),
    (Palette.DARK, ((-0.22, 1.75), (0.22, 1.75), (0.22, 2.1), (-0.22, 2.1))),
)
_LAKES: Final = ("peaks", "lake", "forest", "hills")
_GREEN: Final = ("#58e6a8", "#2a8f86")
THEMES: Final = {
    "dawn": Theme(("#5b6ea8", "#e8a0a8", "#ffd9a8"), "#fff1c9", "#b98fa8", "#3b3355", (*_LAKES, "water")),
    "noon": Theme(("#3f8fd8", "#86c3ee", "#dff1f7"), "#fffbe0", "#9cc3c9", "#2d6a4f", (*_LAKES[::3], "peaks", "water")),
    "spring": Theme(("#58a6d6", "#a9dcea", "#f4f4d9"), "#fff6c2", "#b5d6a4", "#3f7d3a", ("hills", "lake", "forest")),
    "dusk": Theme(("#2d2a5a", "#c0507a", "#ffb361"), "#ffe0a3", "#a8527c", "#241b3a", (*_LAKES, "water", "mesas")),
    "night": Theme(("#0b1030", "#1b2a5c", "#3f5590"), "#f4efd6", "#34477a", "#0a0f24", (*_LAKES, "water"), air="stars"),
    "autumn": Theme(("#7fb0c4", "#f0d9b0", "#f9e9cf"), "#fff4d6", "#d9a066", "#6b2f1f", _LAKES),
    "winter": Theme(("#8fb3d4", "#c9dcea", "#f4f2ee"), "#fffdf2", "#b4c9db", "#3a5270", _LAKES, air="snow"),
    "aurora": Theme(
        ("#081326", "#0f2a46", "#1f4f62"), "#e9f5e4", "#25506a", "#06101c", _LAKES[:3], air="aurora", spark=_GREEN
    ),
    "desert": Theme(("#4aa0c8", "#f3c98b", "#fbe6bf"), "#fff3cf", "#e8b57c", "#a4502f", ("dunes", "mesas")),
    "sea": Theme(("#2f7fb5", "#8fd0df", "#f1f3dc"), "#fffbe6", "#7fb5bf", "#1d4d66", ("water",)),
    "mist": Theme(("#6fa3a0", "#b5d3c6", "#eef0d8"), "#fffdf0", "#a6c9b8", "#234a4c", ("forest", "peaks", "lake")),
    "blossom": Theme(("#e79ab5", "#f7cfce", "#fff1e2"), "#fffaf0", "#dca6b8", "#5c3f72", ("hills", "peaks", "lake")),
}
