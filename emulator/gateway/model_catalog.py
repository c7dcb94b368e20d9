"""Facts about models that no gateway's page has: the days on which they come and go, their prices, and their pace.

All of them are data in `schemas/tables/models.yaml`, which ships with the package and is read once, when a call first
needs it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from emulator.core import json_schema
from emulator.core.data_folders import find_schemas, is_shipped_schema
from emulator.core.light_dataclass import dataclass
from emulator.core.parse_cache import load_yaml_once
from emulator.core.yaml_file import Pointer, YamlFile
from emulator.findings import Finding
from emulator.gateway.model_listing import list_models, name_model, replace_models
from emulator.messages import GatewayError, Source

Stage = Literal["retired", "announced"]


@dataclass(frozen=True)
class PicturePrice:
    """Dollars a picture, by quality: pairs of a number of pixels and the price up to it, the fewest pixels first."""

    dollars: Mapping[str, Sequence[tuple[int, float]]]


@dataclass(frozen=True)
class TokenPrice:
    """Dollars for a million tokens of each kind; `table` names the published table that counts the tokens."""

    table: str
    text_in: float
    image_in: float
    out: float


@dataclass(frozen=True)
class Model:
    """A model. `released` and `ends` are days (ISO, in UTC); `price` is None where nobody has published one.

    `quality` is what a call gets that asks for none that is listed. `latency` has seconds by quality: the median and
    the 95th percentile. `sources` says where each part comes from.
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
        """The published table that counts the model's tokens; None where tokens do not count."""
        if isinstance(self.price, TokenPrice):
            return self.price.table
        return None

    def find_seconds(self, quality: str) -> tuple[float, float]:
        """Return the seconds that a picture takes: the median and the 95th percentile."""
        return self.latency.get(quality) or self.latency[self.quality]

    def price_pictures(
        self, quality: str, pixels: tuple[int, int], count: int, usage: Mapping[str, Any]
    ) -> float | None:
        """Return the dollars for `count` pictures of width and height `pixels`; None where no price is published.

        `usage` is that of the whole call; it does not matter where a picture has its price.
        """
        match self.price:
            case None:
                return None
            case PicturePrice(dollars):
                steps = dollars.get(quality) or dollars[self.quality]
                drawn = pixels[0] * pixels[1]
                _, largest_price = steps[-1]
                return count * next((price for most, price in steps if drawn <= most), largest_price)
            case TokenPrice() as price:
                details = usage["input_tokens_details"]
                tokens_in = details["text_tokens"] * price.text_in + details["image_tokens"] * price.image_in
                return float(tokens_in + usage["output_tokens"] * price.out) / 1_000_000


@dataclass(frozen=True)
class ModelCatalog:
    """Models by all of their names; `otherwise` is the seconds of any other model: median and 95th percentile."""

    models: Mapping[str, Model]
    otherwise: tuple[float, float]


def find_model(name: str | None) -> Model | None:
    """Return the facts about the model `name`; None where the catalog does not have it."""
    if name is None:
        return None
    return load_shipped().models.get(name)


def estimate_seconds(name: str | None, quality: str, pixels: tuple[int, int]) -> tuple[float, float]:
    """Return the seconds that a call takes: the median and the 95th percentile.

    Assumed, since nobody publishes it: the time grows with the square root of the pixels above 1024 x 1024, as the
    tokens of gpt-image-2 do; a smaller picture takes no less, and the pictures of one call are made side by side.
    """
    median, p95 = load_shipped().otherwise
    model = find_model(name)
    if model is not None:
        median, p95 = model.find_seconds(quality)
    factor = max(1.0, math.sqrt(pixels[0] * pixels[1] / _USUAL_PIXELS))
    return median * factor, p95 * factor


@dataclass(frozen=True, slots=True)
class Calendar:
    """The models that exist on `day` (ISO, in UTC); with `legacy` those that have ended are kept.

    Only gateways whose file says `calendar: true` go by it.
    """

    day: str
    legacy: bool = False

    def is_past(self, end: str) -> bool:
        """Return whether what ends on the day `end` has ended."""
        return self.day >= end and not self.legacy

    def find_absence(self, name: str) -> GatewayError | None:
        """Return the error of a call for the model `name` before its release or after its end; None where it exists."""
        model = find_model(name)
        if model is None:
            return None
        if model.released is not None and self.day < model.released:
            rule = f"calendar: released on {model.released}, and it is {self.day}"
            return _refuse_model("unknown_model", name, rule, model.sources["released"])
        if model.ends is not None and self.is_past(model.ends):
            rule = f"calendar: ended on {model.ends}, and it is {self.day}"
            return _refuse_model("retired_model", name, rule, model.sources["ends"])
        return None

    def find_ending(self, name: str, listed: bool = True) -> Finding | None:
        """Return a finding about the end of the model `name`, which exists; None where no end is known.

        `listed` is False for a model that the gateway's page does not list, at a gateway that takes any name.
        """
        end = _find_end(name)
        if end is None:
            return None
        verb = "ends" if self.day < end else "ended"
        message = f"{name!r} {verb} on {end}"
        if not listed:
            message += " at its maker, and the gateway's page does not list it"
        elif self.day >= end:
            message += ": only --legacy keeps it"
        return Finding("model_ending", message, "model")

    def date_listing(self, listing: Any) -> Any:
        """Return a gateway's list of the models that exist today, with the day on which each ends."""
        models, dated = list_models(listing), []
        if not models:
            return listing
        for model in models:
            name = name_model(model)
            if name is None or not isinstance(model, Mapping):
                dated.append(model)
            elif self.find_absence(name) is None:
                dated.append({**model, "shutdown_date": _find_end(name)})
        return replace_models(listing, dated)


def _refuse_model(
    kind: Literal["unknown_model", "retired_model"], name: str, rule: str, source: Source
) -> GatewayError:
    return GatewayError(kind, param="model", facts={"model": name}, rule=rule, source=source, value=name)


def _find_end(name: str) -> str | None:
    model = find_model(name)
    if model is None:
        return None
    return model.ends


@cache
def load_shipped() -> ModelCatalog:
    """Return the catalog that ships; it stays as it is while the package runs, so what is kept here is a constant."""
    return load_catalog(find_schemas() / "tables" / "models.yaml")


def load_catalog(path: Path) -> ModelCatalog:
    """Return the catalog in the file at `path`; raises InvalidFile."""
    file = load_yaml_once(path)
    if not is_shipped_schema(path):  # the file that ships is checked by the tests
        json_schema.load_schema(SCHEMA).validate(file)
    lines: dict[str, Mapping[str, Any]] = {}
    models: dict[str, Model] = {}
    for name, line in file.root["models"].items():
        pointer = ["models", name]
        lines[name] = _inherit_parts(file, pointer, line, lines)
        model = _read_model(file, pointer, lines[name])
        for spelling in _list_names(name, lines[name]):
            if spelling in models:
                raise file.error_at(pointer, f"two models are named {spelling!r}")
            models[spelling] = model
    seconds = file.root["otherwise"]["latency"]["seconds"]
    return ModelCatalog(models, _read_seconds(file, ["otherwise", "latency", "seconds"], seconds))


def _list_names(name: str, line: Mapping[str, Any]) -> Iterator[str]:
    """Yield the name of a model, and the names of its snapshots."""
    yield name
    for day in line.get("snapshots", []):
        yield f"{name}-{day}"


def _inherit_parts(
    file: YamlFile, pointer: Pointer, line: Mapping[str, Any], above: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Any]:
    """Return a model's line, with the parts of the model above that it is like; snapshots are never shared."""
    like = line.get("like")
    if like is None:
        return line
    if like not in above:
        raise file.error_at([*pointer, "like"], f"like is {like!r}; expected a model above: {', '.join(above)}")
    shared = {part: value for part, value in above[like].items() if part != "snapshots"}
    return {**shared, **line}


def _read_model(file: YamlFile, pointer: Pointer, line: Mapping[str, Any]) -> Model:
    parts = {part: line[part] for part in _PARTS if isinstance(line.get(part), Mapping)}
    released, ends = parts.get("released", {}), parts.get("ends", {})
    latency = {}
    for quality, seconds in line["latency"]["seconds"].items():
        latency[quality] = _read_seconds(file, [*pointer, "latency", "seconds", quality], seconds)
    if line["quality"] not in latency:
        message = f"quality is {line['quality']!r}; expected one of {', '.join(latency)}"
        raise file.error_at([*pointer, "quality"], message)
    return Model(
        name=str(pointer[-1]),
        quality=line["quality"],
        released=released.get("day"),
        ends=ends.get("day"),
        stage=ends.get("stage"),
        price=_read_price(file, [*pointer, "price"], line["price"], line["quality"]),
        latency=latency,
        sources={part: value["source"] for part, value in parts.items()},
    )


def _read_price(file: YamlFile, pointer: Pointer, price: Any, quality: str) -> PicturePrice | TokenPrice | None:
    """Return a price; None for the word `unknown`. Raises InvalidFile where the model's own quality has none."""
    if price == "unknown":
        return None
    if ("pictures" in price) == ("tokens" in price) or ("table" in price) != ("tokens" in price):
        raise file.error_at(pointer, "price has other parts than expected: pictures alone, or tokens and their table")
    if "tokens" in price:
        return TokenPrice(table=price["table"], **{name: float(price["tokens"][name]) for name in _TOKENS})
    dollars = {}
    for name, sizes in price["pictures"].items():
        dollars[name] = tuple(sorted((_count_pixels(size), float(price)) for size, price in sizes.items()))
    if quality not in dollars:
        message = f"pictures has no price for the model's own quality, {quality}"
        raise file.error_at([*pointer, "pictures"], message)
    return PicturePrice(dollars)


def _read_seconds(file: YamlFile, pointer: Pointer, seconds: Sequence[float]) -> tuple[float, float]:
    median, p95 = seconds
    if median >= p95:
        message = f"{pointer[-1]} is {list(seconds)}; expected [median, 95th percentile] in seconds"
        raise file.error_at(pointer, message)
    return float(median), float(p95)


def _count_pixels(size: str) -> int:
    width, _, height = size.partition("x")
    return int(width) * int(height)


SCHEMA: Final = "models.schema.json"
"""The JSON Schema of the catalog's file."""
_USUAL_PIXELS: Final = 1024 * 1024
_PARTS: Final = ("released", "ends", "price", "latency")
"""The parts of a model that say where they come from."""
_TOKENS: Final = ("text_in", "image_in", "out")
