"""Paints the landscape of a seed: the sky and its light, then the land, from far to near.

It is made of large filled shapes, each of which takes a few microseconds. The landscape depends on the seed, the size
and the quality alone.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from PIL import Image, ImageDraw

from emulator.image import canvas
from emulator.image.canvas import Palette, Point, RandomNumbers, Scene, ease, land_colour, round_points
from emulator.image.recipe import ImageRecipe


def paint_landscape(recipe: ImageRecipe, floor: int, detail: int, clear: bool) -> Image.Image:
    """Return a palette picture of the recipe's size, with the landscape of its seed on the upper `floor` pixels.

    `detail` is 0, 1 or 2: how many layers and small things. `clear` leaves the sky at the colour CLEAR.
    """
    numbers, size = RandomNumbers(recipe.seed), (recipe.width, recipe.height)
    name = numbers.pick(sorted(canvas.THEMES))
    image = Image.new("P", size, Palette.CLEAR)
    image.putpalette(canvas.make_palette(name, int(numbers.between(0, 7))))
    unit = max(min(size[0], floor * 1.25), size[0] / 40)  # a ribbon of 4096 x 16 would have a thousand trees
    light = (size[0] * numbers.between(0.16, 0.84), floor * numbers.between(0.13, 0.38))
    pen = ImageDraw.Draw(image)
    scene = Scene(
        image=image,
        pen=pen,
        width=size[0],
        height=floor,
        unit=unit,
        numbers=numbers,
        theme=canvas.THEMES[name],
        detail=detail,
        clear=clear,
        light=light,
    )
    _paint_sky(scene)
    _paint_lights(scene)
    _LANDS[numbers.pick(scene.theme.lands)](scene)
    if scene.theme.air == "snow":
        _paint_dots(scene, 1.0, 110)
    else:
        _paint_birds(scene)
    return image


def _paint_sky(scene: Scene) -> None:
    waves = scene.numbers.between(-0.015, 0.03)  # every third sky has straight bands
    depth = scene.height * scene.numbers.between(0.66, 0.8)
    if scene.clear:
        return
    for band in range(canvas.SKIES):
        top = depth * band / canvas.SKIES
        if band == 0 or waves <= 0:
            scene.draw_box(0, top, scene.width, scene.height, Palette.SKY + band)
        else:
            scene.fill_below(scene.make_crest(top, waves, 0.9), Palette.SKY + band)


def _paint_lights(scene: Scene) -> None:
    """Paint the sun or the moon, and what is in the sky around it."""
    numbers, (x, y), theme = scene.numbers, scene.light, scene.theme
    radius = scene.unit * numbers.between(0.045, 0.08)
    if theme.is_dark:
        _paint_dots(scene, 0.6, 40)
    if not scene.clear:
        for ring, colour in ((2.6, Palette.GLOW), (1.7, Palette.GLOW + 1)):
            scene.draw_disc(x, y, radius * ring, colour)
    if theme.air == "aurora":
        _paint_aurora(scene)
    scene.draw_disc(x, y, radius, Palette.LIGHT)
    if theme.is_dark:
        _paint_moon(scene, radius)
    if theme.air != "aurora":
        for _ in range(int(numbers.between(1, 3.5)) + scene.detail - theme.is_dark):
            _paint_cloud(scene)
    if not theme.is_dark and theme.air != "snow" and numbers.chance(0.25):
        _paint_balloon(scene)


def _paint_moon(scene: Scene, radius: float) -> None:
    """Turn the light into a moon: a crescent, or a disc with craters."""
    x, y = scene.light
    if scene.theme.air == "stars" and scene.numbers.chance(0.5):
        shadow = Palette.CLEAR if scene.clear else Palette.GLOW + 1
        scene.draw_disc(x + radius * 0.42, y - radius * 0.15, radius * 0.86, shadow)
        return
    for right, down, size in ((-0.35, -0.2, 0.2), (0.25, 0.35, 0.26), (0.35, -0.35, 0.12)):
        scene.draw_disc(x + right * radius, y + down * radius, size * radius, Palette.GLOW + 1)


def _paint_dots(scene: Scene, depth: float, count: int) -> None:
    """Paint stars, or falling snow, on the upper `depth` (0 to 1) of the scene."""
    numbers, size = scene.numbers, max(1, round(scene.unit / 360))
    for _ in range(round((count + count * scene.detail // 2) * min(1, scene.unit / 300))):
        x, y, edge = numbers.between(0, scene.width), numbers.between(0, depth) * scene.height, numbers.pick((1, 1, 2))
        scene.draw_box(x, y, x + size * edge - 1, y + size * edge - 1, Palette.SNOW)


def _paint_aurora(scene: Scene) -> None:
    for turn in (0, 1):
        hem = scene.make_crest(scene.height * (0.26 + 0.12 * turn), 0.08, 0.55)
        for rise, colour in ((0.17, Palette.SKY + 8), (0.1, Palette.SPARK + 1), (0.025, Palette.SPARK)):
            lengths = [up for _, up in scene.make_crest(-scene.height * rise, rise * 0.35, 0.4)]
            veil = [(x, y + up) for (x, y), up in zip(hem, lengths, strict=False)]
            scene.draw_polygon(hem[: len(veil)] + veil[::-1], colour)


def _paint_cloud(scene: Scene) -> None:
    numbers = scene.numbers
    x, y = numbers.between(0, 1) * scene.width, numbers.between(0.08, 0.42) * scene.height
    size = scene.unit * numbers.between(0.035, 0.065)
    colour = Palette.CLOUD + numbers.chance(0.4)
    for puff, lift, share in ((-1.5, 0, 0.6), (-0.6, 0.35, 0.85), (0.5, 0.2, 1.0), (1.5, 0, 0.55)):
        radius = size * share * numbers.between(0.8, 1.1)
        middle, floor = x + puff * size, y - lift * size
        corners = round_points([(middle - radius, floor - radius), (middle + radius, floor + radius)])
        scene.pen.pieslice(corners, 180, 360, colour)
        scene.draw_box(*corners[0][:1], floor, corners[1][0], y + size * 0.12, colour)


def _paint_balloon(scene: Scene) -> None:
    numbers, size = scene.numbers, scene.unit * scene.numbers.between(0.025, 0.05)
    x, y = numbers.between(0.1, 0.9) * scene.width, numbers.between(0.15, 0.4) * scene.height
    scene.draw_disc(x, y, size, Palette.SPARK + 1)
    scene.draw_figure(x, y, size, canvas.BALLOON)
    scene.pen.ellipse(round_points([(x - size * 0.45, y - size), (x + size * 0.45, y + size)]), Palette.SPARK)


def _paint_hills(scene: Scene) -> None:
    layers = 3 + scene.detail
    house = scene.numbers.chance(0.5)
    for layer in range(layers):
        near = layer / (layers - 1)
        crest = scene.make_crest(scene.height * (0.52 + 0.36 * near), 0.09 - 0.03 * near, 0.5 + 0.5 * near)
        if near > 0.4:
            _paint_trees(scene, crest, near)
        scene.fill_below(crest, land_colour(near))
        if house and layer == layers - 2:
            x, y = scene.numbers.pick(crest[len(crest) // 4 : -len(crest) // 4] or crest)
            scene.draw_figure(x, y, scene.unit * 0.028, canvas.HOUSE)


def _paint_trees(scene: Scene, crest: list[Point], near: float) -> None:
    numbers, size = scene.numbers, scene.unit * (0.018 + 0.034 * near)
    step = 3 if near < 1 else 2
    for x, y in crest[::step]:
        if numbers.chance(0.36):
            tall = size * numbers.between(0.8, 1.4)
            scene.draw_box(x - size * 0.08, y - tall, x + size * 0.08, y + size * 0.6, Palette.DARK)
            scene.draw_disc(x, y - tall, size * numbers.between(0.45, 0.7), land_colour(min(1, near + 0.2)))


def _paint_peaks(scene: Scene) -> None:
    _paint_range(scene, scene.height * 0.8)
    for layer in range(2 + scene.detail):
        near = 0.5 + 0.5 * layer / (1 + scene.detail)
        _paint_wood(scene, scene.height * (0.48 + 0.44 * near), near)


def _paint_range(scene: Scene, foot: float) -> None:
    """Paint mountains, the highest behind, with snow above one height."""
    numbers, summits, x = scene.numbers, list[Point](), 0.0
    snow = foot * numbers.between(0.42, 0.62)
    while x < scene.width * 1.05:
        summits.append((x, foot * numbers.between(0.22, 0.62)))
        x += scene.unit * numbers.between(0.13, 0.3)
    for number, (x, top) in enumerate(sorted(summits, key=lambda summit: summit[1])):
        _paint_mountain(scene, (x, top), foot, snow, Palette.LAND + (number >= len(summits) // 2))


def _paint_mountain(scene: Scene, summit: Point, foot: float, snow: float, colour: int) -> None:
    numbers, (x, top) = scene.numbers, summit
    tall = foot - top
    wide = tall * numbers.between(0.62, 0.85)
    kinks = ((0.3, numbers.between(0.24, 0.32)), (0.62, numbers.between(0.52, 0.6)), (1.0, 1.0))
    left = [(x - wide * out, top + tall * down) for down, out in kinks]
    right = [(x + wide * out, top + tall * down) for down, out in kinks]
    spine = [(x + wide * numbers.between(-0.04, 0.16), top + tall * down) for down in (0.18, 0.36, 0.58)]
    scene.draw_polygon([summit, *left, *right[::-1]], colour)
    scene.draw_polygon([summit, *spine, (x + wide * 0.3, foot), *right[::-1]], colour + 1)
    cap = min(0.3, (snow - top) / tall)  # no lower than the first kink, so that it ends on the slopes
    if cap > 0.06:
        slope, low = kinks[0][1] / 0.3 * cap * wide, top + tall * cap
        teeth = [(x + slope * out, low + tall * cap * down) for out, down in _TEETH]
        scene.draw_polygon([summit, (x - slope, low), *teeth[:3], (x, low)], Palette.SNOW)
        scene.draw_polygon([summit, (x, low), *teeth[3:], (x + slope, low)], Palette.SNOW + 1)


def _paint_wood(scene: Scene, base: float, near: float) -> None:
    """Paint a ridge of fir trees; far trees are plain triangles, because points take time."""
    numbers, size = scene.numbers, scene.unit * (0.024 + 0.044 * near)
    half, foot = size * 0.55, size * 0.2
    twigs = _TWIGS if near > 0.45 else _NO_TWIGS
    crest: list[Point] = []
    for x, y in scene.make_crest(base, 0.06, 0.7, size):
        tall = size * numbers.between(0.9, 2.2)
        crest.append((x - half, y + foot))
        crest += [(x + out * half, y - up * tall) for out, up in twigs]
        crest.append((x + half, y + foot))
    scene.fill_below(crest, land_colour(near))


def _paint_forest(scene: Scene) -> None:
    layers = 3 + scene.detail
    for layer in range(layers):
        near = layer / (layers - 1)
        _paint_wood(scene, scene.height * (0.5 + 0.42 * near), near)


def _paint_dunes(scene: Scene) -> None:
    layers = 3 + scene.detail
    for layer in range(layers):
        near = layer / (layers - 1)
        crest = scene.make_crest(scene.height * (0.56 + 0.32 * near), 0.09, 0.6 + 0.7 * near)
        colour = Palette.LAND + min(layer, canvas.LANDS - 2)
        scene.fill_below(crest, colour)
        for start in range(0, len(crest) - canvas.STEPS, canvas.STEPS):
            (x, y), (end, low) = crest[start], crest[start + canvas.STEPS]
            if low - y > 0.03 * scene.unit:  # the side that falls away from the light
                drop = [(part * part, 2.4 * part - 1.4 * ease(part)) for part in canvas.PARTS]
                lee = [(x + (end - x) * out, y + (low - y) * down) for out, down in drop]
                scene.draw_polygon(crest[start : start + canvas.STEPS + 1] + lee[::-1], colour + 1)


def _paint_mesas(scene: Scene) -> None:
    numbers, foot, slope = scene.numbers, scene.height * 0.85, scene.unit * 0.03
    for layer in range(2):
        x = -scene.unit * numbers.between(0, 0.3)
        while x < scene.width:
            wide = scene.unit * numbers.between(0.1, 0.32)
            top = scene.height * numbers.between(0.34, 0.5) + layer * scene.height * 0.1
            end = x + wide
            side = [(end - slope, top), (end - slope, top + slope * 2), (end + slope, foot)]
            scene.draw_polygon(
                [(x - slope, foot), (x + slope, top + slope * 2), (x + slope, top), *side], Palette.LAND + layer
            )
            scene.draw_polygon([(x + wide * 0.7, top), *side, (x + wide * 0.62, foot)], Palette.LAND + layer + 1)
            x = end + scene.unit * numbers.between(0.08, 0.5)
    for layer in range(2 + scene.detail):
        near = layer / (1 + scene.detail)
        scene.fill_below(
            scene.make_crest(scene.height * (0.72 + 0.18 * near), 0.03, 0.8), Palette.LAND + 2 + min(layer, 3)
        )


def _paint_water(scene: Scene) -> None:
    numbers, unit = scene.numbers, scene.unit
    shore = scene.height * numbers.between(0.56, 0.66)
    for band, depth in enumerate((0, 0.22, 0.58)):
        scene.draw_box(0, shore + (scene.height - shore) * depth, scene.width, scene.height, Palette.WATER + band)
    y, reach = shore, unit * 0.03
    while y < scene.height:  # the light's path
        x, half = scene.light[0] + numbers.between(-0.02, 0.02) * unit, reach * numbers.between(0.4, 1)
        scene.draw_box(x - half, y, x + half, y + unit * 0.004, Palette.GLOW + 1)
        y, reach = y + max(1, unit * 0.016), reach + unit * 0.003
    for layer in range(3 + scene.detail):
        _paint_island(scene, numbers.between(0, scene.width), shore + layer * unit * 0.012, Palette.LAND + layer)
    _paint_boat(scene, shore)


def _paint_island(scene: Scene, x: float, y: float, colour: int) -> None:
    numbers, shape = scene.numbers, list[Point]()
    wide, tall = scene.unit * numbers.between(0.16, 0.5), scene.unit * numbers.between(0.04, 0.16)
    outline = [0.0, *(numbers.between(0.3, 1) * tall for _ in range(4)), 0.0]
    for turn, (low, high) in enumerate(pairwise(outline)):
        shape += [(x + wide * ((turn + part) / 5 - 0.5), low + (high - low) * ease(part)) for part in canvas.PARTS]
    scene.draw_polygon([(at, y + up * 0.45) for at, up in shape], Palette.WATER + 2)
    scene.draw_polygon([(at, y - up) for at, up in shape], colour)


def _paint_lake(scene: Scene) -> None:
    """Paint mountains and woods, and their reflection in the water."""
    numbers, image = scene.numbers, scene.image
    shore = round(scene.height * numbers.between(0.6, 0.68))
    _paint_range(scene, shore)
    _paint_wood(scene, shore - scene.unit * 0.05, 0.4)
    depth = scene.height - shore
    if depth and shore:
        above = image.crop((0, max(0, shore - depth * 2), scene.width, shore)).resize((scene.width, depth), 0)
        image.paste(above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).point(_REFLECTED), (0, shore))
    for _ in range(14 + 8 * scene.detail):  # ripples
        x, y = numbers.between(0, scene.width), shore + depth * ease(numbers.between(0, 1))
        half = scene.unit * numbers.between(0.02, 0.12)
        scene.draw_box(x - half, y, x + half, y + scene.unit * 0.003, Palette.WATER + numbers.pick((0, 1)))
    _paint_boat(scene, shore)


def _paint_boat(scene: Scene, shore: float) -> None:
    numbers, size = scene.numbers, scene.unit * scene.numbers.between(0.03, 0.06)
    y = shore + (scene.height - shore) * numbers.between(0.28, 0.65)
    scene.draw_figure(numbers.between(0.15, 0.85) * scene.width, y, size, canvas.BOAT)


def _paint_birds(scene: Scene) -> None:
    numbers, size = scene.numbers, scene.unit * 0.013
    x, y = numbers.between(0.1, 0.9) * scene.width, numbers.between(0.12, 0.4) * scene.height
    thick = max(1, round(scene.unit / 300))
    colour = Palette.SNOW if scene.theme.is_dark else Palette.DARK
    for _ in range(int(numbers.between(0, 5)) + scene.detail):
        middle, up = x + numbers.between(-6, 6) * size, y + numbers.between(-3, 3) * size
        wings = [(middle + right * size, up - rise * size) for right, rise in _WINGS]
        scene.pen.line(round_points(wings), colour, thick)


_LANDS: Final[dict[str, Callable[[Scene], None]]] = {
    "hills": _paint_hills,
    "peaks": _paint_peaks,
    "forest": _paint_forest,
    "dunes": _paint_dunes,
    "mesas": _paint_mesas,
    "water": _paint_water,
    "lake": _paint_lake,
}
_TEETH: Final = ((-0.55, -0.12), (-0.32, 0.32), (-0.12, -0.08), (0.2, 0.3), (0.42, -0.1), (0.68, 0.22))
_TWIGS: Final = ((-0.3, 0.4), (-0.55, 0.36), (0, 1), (0.55, 0.36), (0.3, 0.4))
_NO_TWIGS: Final = ((0, 1),)
_WINGS: Final = ((-1, 0.5), (-0.45, 0.55), (0, 0), (0.45, 0.55), (1, 0.5))
# How each colour is reflected in water: the sky as the far water, the land as the near one, white things glow.
_REFLECTED: Final = [Palette.WATER + (index >= Palette.LAND) + (index >= Palette.LAND + 2) for index in range(256)]
for _index in (Palette.CLOUD, Palette.CLOUD + 1, Palette.SNOW, Palette.SNOW + 1):
    _REFLECTED[_index] = Palette.GLOW
_REFLECTED[Palette.LIGHT] = Palette.GLOW + 1
