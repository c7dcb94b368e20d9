"""What is known of models beyond any page: their days, their pace, and that a slip in the file is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from emulator.core import yaml_file
from emulator.core.data_folders import find_schemas
from emulator.gateway import model_catalog
from emulator.gateway.model_catalog import PicturePrice
from emulator.gateway.pricing import TABLES

SHIPPED: Final = model_catalog.load_catalog(find_schemas() / "tables" / "models.yaml")


@pytest.mark.parametrize(
    ("model", "released", "ends", "source"),
    [
        ("dall-e-2", "2022-11-03", "2026-05-12", "documented"), ("dall-e-3", "2023-11-06", "2026-05-12", "documented"),
        ("gpt-image-1", "2025-04-23", "2026-10-23", "documented"),
        ("gpt-image-1-mini", "2025-10-06", "2026-12-01", "assumed"),
        ("gpt-image-1.5", "2025-12-16", "2026-12-01", "assumed"),
        ("chatgpt-image-latest", "2025-12-16", "2026-12-01", "assumed"),
        ("gpt-image-2", "2026-04-21", None, None), ("gpt-image-2-2026-04-21", "2026-04-21", None, None),
        ("gpt-image-2.5-sunburst", "2026-09-08", None, None), ("gpt-image-2.5-flare", "2026-09-08", None, None),
        ("gpt-image-2.5-sunburst-2026-09-08", "2026-09-08", None, None),
        ("gpt-image-2.6-sunburst", "2026-11-04", None, None), ("gpt-image-2.6-flare", "2026-11-04", None, None),
        ("cogview-3-flash", None, None, None), ("cogview-3-plus", None, None, None), ("cogview-4", None, None, None),
    ],
)  # fmt: skip
def test_days(model: str, released: str | None, ends: str | None, source: str | None) -> None:
    """Each model came when it came, and has the end that its maker named."""
    found = model_catalog.find_model(model)
    assert found is not None
    assert (released, ends, source) == (found.released, found.ends, found.sources.get("ends"))
    assert ("retired" if source == "documented" else "announced" if ends else None) == found.stage


@pytest.mark.parametrize(
    "model", [None, "", "flux-pro", "gpt-image-2.6-flare-2026-11-04", "gpt-image-3", "GPT-IMAGE-2"]
)
def test_a_model_of_which_nothing_is_known(model: str | None) -> None:
    """It is None, and takes its time all the same."""
    assert model_catalog.find_model(model) is None
    assert (15, 30) == model_catalog.estimate_seconds(model, "high", (1024, 1024))


def test_a_snapshot_is_its_model() -> None:
    """A dated name leads to the same facts, which other models that are like it do not share by that day."""
    assert model_catalog.find_model("gpt-image-2-2026-04-21") is model_catalog.find_model("gpt-image-2")
    assert model_catalog.find_model("gpt-image-2.5-flare-2026-04-21") is None


@pytest.mark.parametrize(
    ("model", "quality", "pixels", "expected"),
    [
        ("dall-e-2", "None", (256, 256), (6, 12)), ("dall-e-3", "hd", (1024, 1024), (20, 40)),
        ("dall-e-3", "auto", (1024, 1024), (12, 25)), ("gpt-image-1", "low", (1024, 1024), (8, 15)),
        ("gpt-image-1", "auto", (1024, 1024), (45, 90)), ("gpt-image-1.5", "medium", (1024, 1024), (14, 28)),
        ("gpt-image-2-2026-04-21", "high", (2048, 2048), (70, 140)), ("gpt-image-2", "low", (512, 512), (6, 12)),
        ("cogview-4", "hd", (1024, 1024), (20, 30)), ("cogview-3-plus", "", (1024, 1024), (7, 10)),
        ("flux-pro", "", (2048, 2048), (30, 60)),
    ],
)  # fmt: skip
def test_pace(model: str, quality: str, pixels: tuple[int, int], expected: tuple[float, float]) -> None:
    """By model and quality; four times the pixels take twice as long, fewer take no less."""
    assert pytest.approx(expected) == model_catalog.estimate_seconds(model, quality, pixels)


def test_the_file_is_whole() -> None:
    """Every table of tokens is one that there is, every price knows the qualities that the times know, or fewer."""
    for model in SHIPPED.models.values():
        assert model.table in (None, *TABLES)
        assert model.quality in model.latency
        if isinstance(model.price, PicturePrice):
            assert set(model.latency) == set(model.price.dollars)
    assert 32 == len(SHIPPED.models)


GOOD: Final = """\
models:
  a:
    quality: low
    snapshots: [2026-01-01]
    released: {day: 2026-01-01, source: assumed}
    ends: {day: 2026-02-01, stage: retired, source: documented}
    price: {pictures: {low: {8x8: 0.5, 4x4: 0.25}}, source: assumed}
    latency: {seconds: {low: [1, 2]}, source: observed}
  b: {like: a, price: unknown}
otherwise: {latency: {seconds: [3, 4], source: assumed}}
"""


def test_what_is_read(tmp_path: Path) -> None:
    """What a model is like is said once; prices go from the smallest size up."""
    path = tmp_path / "models.yaml"
    path.write_text(GOOD, "utf-8")
    read = model_catalog.load_catalog(path)
    assert {"a", "a-2026-01-01", "b"} == set(read.models)
    a, b = read.models["a"], read.models["b"]
    assert PicturePrice({"low": ((16, 0.25), (64, 0.5))}) == a.price
    assert ("a", "b", None, a.ends, a.latency) == (a.name, b.name, b.price, b.ends, b.latency)
    assert {"released": "assumed", "ends": "documented", "latency": "observed"} == b.sources
    assert (3, 4) == read.otherwise


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("models:", "modells:", 1, "unknown key 'modells' in the file; known are models, otherwise"),
        ("    quality: low\n", "    qualitty: low\n", 3, "unknown key 'qualitty' in models.a; known are like, quality"),
        ("quality: low", "quality: high", 3, "quality is 'high'; expected one of low"),
        ("snapshots: [2026-01-01]", "snapshots: 2026-01-01", 4, "snapshots is '2026-01-01'; expected a list of days"),
        (
            "snapshots: [2026-01-01]",
            "snapshots: [spring]",
            4,
            "models.a.snapshots.0 is 'spring'; expected a day, as in 2026-01-31",
        ),
        (
            "released: {day: 2026-01-01",
            "released: {day: 2026-13-01",
            5,
            "day is '2026-13-01'; expected a day, as in 2026-01-31",
        ),
        ("released: {day", "released: {date", 5, "unknown key 'date' in models.a.released; known are day, source"),
        (
            "2026-01-01, source: assumed",
            "2026-01-01, source: heard",
            5,
            "source is 'heard'; expected one of documented, observed, assumed",
        ),
        (
            "2026-01-01, source: assumed",
            "2026-01-01",
            5,
            "models.a.released has no 'source'; expected source: one of documented",
        ),
        ("stage: retired", "stage: gone", 6, "stage is 'gone'; expected one of retired, announced"),
        (
            "pictures: {low: {8x8",
            "pictures: {low: {8",
            7,
            "8 in models.a.price.pictures.low; expected a size such as 1024x1024",
        ),
        ("8x8: 0.5", "8x8: -1", 7, "8x8 is -1; expected dollars, from 0"),
        ("pictures: {low", "pictures: {high", 7, "pictures has no price for the model's own quality, low"),
        (
            "price: {pictures",
            "price: {table: gpt-image-1, pictures",
            7,
            "expected: pictures alone, or tokens and their table",
        ),
        (
            "{pictures: {low: {8x8: 0.5, 4x4: 0.25}}",
            "{table: gpt-image-1, tokens: {out: 1}",
            7,
            "tokens has no 'text_in'; expected text_in: dollars",
        ),
        (
            "    price: {pictures: {low: {8x8: 0.5, 4x4: 0.25}}, source: assumed}\n",
            "",
            2,
            "models.a has no 'price'; expected price",
        ),
        ("[1, 2]", "[2, 1]", 8, "low is [2, 1]; expected [median, 95th percentile] in seconds"),
        ("[1, 2]", "1", 8, "low is 1; expected [median"),
        (
            "seconds: {low: [1, 2]}",
            "seconds: {}",
            8,
            "seconds is an empty mapping; expected a mapping with something in it",
        ),
        ("like: a", "like: c", 9, "like is 'c'; expected a model above: a"),
        ("  b: {like: a", "  a-2026-01-01: {like: a", 9, "two models are named 'a-2026-01-01'"),
        ("otherwise: {latency", "otherwise: {pace", 10, "unknown key 'pace' in otherwise; known are latency"),
        ("[3, 4]", "[0, 4]", 10, "seconds.0 is 0; expected a number above 0"),
    ],
)
def test_a_slip_in_the_file_is_told(tmp_path: Path, old: str, new: str, line: int, complaint: str) -> None:
    """In one line, with the place, what was read, and what was expected."""
    assert old in GOOD
    path = tmp_path / "models.yaml"
    path.write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(yaml_file.InvalidFile) as caught:
        model_catalog.load_catalog(path)
    told = str(caught.value).removeprefix(f"{path}:")
    assert (str(line), complaint) == (told.split(":")[0], complaint if complaint in told else told)


def test_a_server_starts_without_it() -> None:
    """The table of models, which few calls need, is not read at the start."""
    script = """
from emulator.gateway import model_catalog
from emulator.server.app import App
from emulator.settings import load_settings

App(load_settings({}, {}))
print(model_catalog.load_shipped.cache_info().currsize)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert ("0\n", "") == (done.stdout, done.stderr)
