"""Knows of models what no gateway's page tells: when they came and go, what they cost, and how long they take.

All of it is data, in schemas/tables/models.yaml. That file ships with the package and is read when it is first asked
for, once: nothing in here changes after that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args

from emulator.core import clock, yaml_file
from emulator.core.yaml_file import Pointer
from emulator.messages import SOURCES, Source

Stage = Literal["retired", "announced"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)


@dataclass(frozen=True)
class PicturePrice:
    """Dollars a picture: by quality, for pictures of at most so many pixels, the fewest first."""

    dollars: Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class TokenPrice:
    """Dollars for a million tokens of each kind; `table` names the published table by which they are counted."""

    table: str
    text_in: float
    image_in: float
    out: float


@dataclass(frozen=True)
class Model:
    """A model: the days (ISO, in UTC) of its release and end, its price (None: nobody knows), and its times.

    `quality` is what a call gets that asks for none that is listed; `latency` has seconds by quality, the median and
    the 95th percentile; `sources` says where each part comes from.
    """

    name: str
    quality: str
    released: str | None
    ends: str | None
    stage: Stage | None
    price: PicturePrice | TokenPrice | None
    latency: Mapping[str, tuple[float, float]]
    sources: Mapping[str, Source]

    @property
    def table(self) -> str | None:
        """The published table by which the model's tokens are counted; None where tokens do not count."""
        return self.price.table if isinstance(self.price, TokenPrice) else None

    def pace(self, quality: str) -> tuple[float, float]:
        """Seconds that a picture takes: the median, and what one in twenty takes longer than."""
        return self.latency.get(quality) or self.latency[self.quality]

    def cost(self, quality: str, pixels: tuple[int, int], count: int, usage: Mapping[str, Any]) -> float | None:
        """Dollars for `count` pictures of width and height `pixels`; None where nobody knows the price.

        `usage` is that of the whole call, and of no interest where a picture has its price.
        """
        match self.price:
            case None:
                return None
            case PicturePrice(dollars):
                steps = dollars.get(quality) or dollars[self.quality]
                drawn = pixels[0] * pixels[1]
                return count * next((price for most, price in steps if drawn <= most), steps[-1][1])
            case TokenPrice() as price:
                given = usage["input_tokens_details"]
                into = given["text_tokens"] * price.text_in + given["image_tokens"] * price.image_in
                return float(into + usage["output_tokens"] * price.out) / 1_000_000


@dataclass(frozen=True)
class Catalogue:
    """Models by all their names; `otherwise` is how long any other takes."""

    models: Mapping[str, Model]
    otherwise: tuple[float, float]


def of(model: str | None) -> Model | None:
    """What is known of `model`; None for one that nobody has heard of."""
    return None if model is None else _shipped().models.get(model)


def pace(model: str | None, quality: str, pixels: tuple[int, int]) -> tuple[float, float]:
    """Seconds that a call takes, whoever draws: the median, and what one in twenty takes longer than.

    Assumed, since nobody publishes it: the time grows with the square root of the pixels above 1024 x 1024, as the
    tokens of gpt-image-2 do; a smaller picture takes no less, and the pictures of one call are made side by side.
    """
    found = of(model)
    median, p95 = found.pace(quality) if found else _shipped().otherwise
    factor = max(1.0, math.sqrt(pixels[0] * pixels[1] / _USUAL_PIXELS))
    return median * factor, p95 * factor


@cache
def _shipped() -> Catalogue:
    """The file that ships; it stays as it is while the package runs, so what is kept here is a constant."""
    return read(yaml_file.schemas() / "tables" / "models.yaml")


def read(path: Path) -> Catalogue:
    """The catalogue in the file at `path`; raises InvalidFile."""
    file = yaml_file.read(path)
    root = file.known_keys([], file.root, ("models", "otherwise"))
    lines = _mapping(file, ["models"], root.get("models"))
    said: dict[str, Mapping[str, Any]] = {}
    found: dict[str, Model] = {}
    for name, line in lines.items():
        pointer = ["models", name]
        said[name] = _inherited(file, pointer, line, said)
        model = _model(file, pointer, said[name])
        for spelled in (name, *(f"{name}-{day}" for day in _days(file, [*pointer, "snapshots"], said[name]))):
            if spelled in found:
                raise file.fault(pointer, f"two models are named {spelled!r}")
            found[spelled] = model
    other = file.known_keys(["otherwise"], root.get("otherwise"), ("latency",))
    latency = _part(file, ["otherwise", "latency"], other.get("latency"), _INSIDE["latency"])
    return Catalogue(found, _times(file, ["otherwise", "latency", "seconds"], latency.get("seconds")))


def _inherited(
    file: yaml_file.Source, pointer: Pointer, line: Any, above: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """A model's line, with what it has in common with the one that it is like."""
    own = dict(file.known_keys(pointer, line, _PARTS))
    if "like" not in own:
        return own
    if own["like"] not in tuple(above):
        message = f"like is {yaml_file.describe(own['like'])}; expected a model above: {', '.join(above)}"
        raise file.fault([*pointer, "like"], message)
    shared = {part: value for part, value in above[own["like"]].items() if part != "snapshots"}
    return {**shared, **own}


def _model(file: yaml_file.Source, pointer: Pointer, line: Mapping[str, Any]) -> Model:
    parts = {
        part: _part(file, [*pointer, part], line[part], known)
        for part, known in _INSIDE.items()
        if part in line and line[part] != "unknown"
    }
    released, ends = parts.get("released"), parts.get("ends")
    if ends and ends.get("stage") not in STAGES:
        message = f"stage is {yaml_file.describe(ends.get('stage'))}; expected {', '.join(STAGES)}"
        raise file.fault([*pointer, "ends", "stage"], message)
    seconds = _mapping(file, [*pointer, "latency", "seconds"], parts.get("latency", {}).get("seconds"))
    if line.get("quality") not in tuple(seconds):
        message = f"quality is {yaml_file.describe(line.get('quality'))}; expected one of {', '.join(seconds)}"
        raise file.fault([*pointer, "quality"], message)
    return Model(
        name=str(pointer[-1]),
        quality=line["quality"],
        released=_day(file, [*pointer, "released", "day"], released.get("day")) if released else None,
        ends=_day(file, [*pointer, "ends", "day"], ends.get("day")) if ends else None,
        stage=ends["stage"] if ends else None,
        price=_price(file, [*pointer, "price"], line.get("price"), line["quality"]),
        latency={one: _times(file, [*pointer, "latency", "seconds", one], pair) for one, pair in seconds.items()},
        sources={part: value["source"] for part, value in parts.items()},
    )


def _price(file: yaml_file.Source, pointer: Pointer, value: Any, quality: str) -> PicturePrice | TokenPrice | None:
    if value == "unknown":
        return None
    value = file.known_keys(pointer, value, _INSIDE["price"])
    if ("pictures" in value) == ("tokens" in value) or ("table" in value) != ("tokens" in value):
        raise file.fault(pointer, "price has other parts than expected: pictures alone, or tokens and their table")
    if "tokens" in value:
        each = file.known_keys([*pointer, "tokens"], value["tokens"], _TOKENS)
        dollars = {name: _dollars(file, [*pointer, "tokens", name], each.get(name)) for name in _TOKENS}
        return TokenPrice(str(value["table"]), **dollars)
    steps: dict[str, Sequence[tuple[int, float]]] = {}
    for name, sizes in _mapping(file, [*pointer, "pictures"], value["pictures"]).items():
        place = [*pointer, "pictures", name]
        found = [
            (_pixels(file, [*place, size], size), _dollars(file, [*place, size], price))
            for size, price in _mapping(file, place, sizes).items()
        ]
        steps[name] = tuple(sorted(found))
    if quality not in steps:
        raise file.fault([*pointer, "pictures"], f"pictures has no price for the model's own quality, {quality}")
    return PicturePrice(steps)


def _part(file: yaml_file.Source, pointer: Pointer, value: Any, known: Sequence[str]) -> Mapping[str, Any]:
    """A part of a model; it says where it comes from."""
    found = file.known_keys(pointer, value, known)
    if found.get("source") not in SOURCES:
        message = f"source is {yaml_file.describe(found.get('source'))}; expected {', '.join(SOURCES)}"
        raise file.fault([*pointer, "source"], message)
    return found


def _mapping(file: yaml_file.Source, pointer: Pointer, value: Any) -> Mapping[str, Any]:
    """A mapping of whatever names, of which there is at least one."""
    if not isinstance(value, Mapping) or not value:
        raise file.fault(
            pointer, f"{pointer[-1]} is {yaml_file.describe(value)}; expected a mapping with something in it"
        )
    return value


def _days(file: yaml_file.Source, pointer: Pointer, line: Mapping[str, Any]) -> list[str]:
    days = line.get("snapshots", [])
    if not isinstance(days, list):
        raise file.fault(pointer, f"snapshots is {yaml_file.describe(days)}; expected a list of days")
    return [_day(file, pointer, day) for day in days]


def _day(file: yaml_file.Source, pointer: Pointer, value: Any) -> str:
    try:
        clock.parse_day(value)
    except ValueError as error:
        raise file.fault(pointer, str(error)) from None
    return str(value)


def _times(file: yaml_file.Source, pointer: Pointer, value: Any) -> tuple[float, float]:
    """The median and the 95th percentile, in seconds."""
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_number, value)) or not 0 < value[0] < value[1]:
        message = f"{pointer[-1]} is {value!r}; expected [median, 95th percentile] in seconds"
        raise file.fault(pointer, message)
    return float(value[0]), float(value[1])


def _dollars(file: yaml_file.Source, pointer: Pointer, value: Any) -> float:
    if not _is_number(value) or not 0 <= value < math.inf:
        raise file.fault(pointer, f"{pointer[-1]} is {yaml_file.describe(value)}; expected dollars, from 0")
    return float(value)


def _pixels(file: yaml_file.Source, pointer: Pointer, size: Any) -> int:
    width, _, height = str(size).partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise file.fault(pointer, f"'{size}' is no size such as 1024x1024")
    return int(width) * int(height)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_USUAL_PIXELS: Final = 1024 * 1024
_INSIDE: Final[Mapping[str, Sequence[str]]] = {
    "released": ("day", "source"),
    "ends": ("day", "stage", "source"),
    "price": ("pictures", "tokens", "table", "source"),
    "latency": ("seconds", "source"),
}
"""The parts that say where they come from, and what they consist of."""
_PARTS: Final = ("like", "quality", "snapshots", *_INSIDE)
_TOKENS: Final = ("text_in", "image_in", "out")
