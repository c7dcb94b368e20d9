"""Pictures: the same recipe is the same picture, files are what they say, labels come back, damage is survived."""

import dataclasses
import io
import json
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from emulator.image import canvas, render
from emulator.image.inspect import Inspection, inspect_image
from emulator.image.recipe import EditSource, ImageRecipe, PartialImage
from tests.paths import TESTS

HERE = TESTS
PNGS = sorted((HERE / "data" / "pngsuite").glob("*.png"))
CAT = "A cute cat walking in space, realistic style"
FIRST = ImageRecipe(
    gateway="ezmodel", model="dall-e-3", caption=CAT, prompt_hash="3020d5c77adade54", width=1024, height=1024,
    quality="standard", background="opaque", format="png", compression=None, index=0, seed=2726895781304948,
)  # fmt: skip
SMALL = dataclasses.replace(FIRST, width=256, height=256)
REFERENCES = {
    "first": FIRST,
    "chinese": dataclasses.replace(SMALL, caption="一只可爱的猫咪在太空中行走，写实风格", width=384, seed=202, index=1),
    "transparent": dataclasses.replace(
        SMALL, caption="قطة لطيفة 😀", height=320, background="transparent", quality="hd", seed=229
    ),
}  # fmt: skip


def decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def look(data: bytes) -> Inspection | str:
    """What `inspect` says: its answer, or its refusal; any other exception is a failure."""
    try:
        return inspect_image(data)
    except ValueError as refused:
        return str(refused)


def pixels(recipe: ImageRecipe) -> bytes:
    return decode(render.draw_image(recipe)).convert("RGBA").tobytes()


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_the_same_recipe_gives_the_same_bytes(kind: str) -> None:
    """Nothing but the recipe goes into a file: no time, no call, no earlier picture."""
    recipe = dataclasses.replace(SMALL, format=kind)
    expected = render.draw_image(recipe)
    render.draw_image(dataclasses.replace(recipe, seed=99, caption="something else"))
    assert expected == render.draw_image(dataclasses.replace(recipe))


def test_threads_draw_the_same_as_one() -> None:
    """Drawing shares nothing that changes, so it may run in a pool."""
    recipes = [dataclasses.replace(SMALL, seed=seed, caption=CAT[seed:] + "猫😀") for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(render.draw_image, recipes))
    assert [render.draw_image(recipe) for recipe in recipes] == drawn


@pytest.mark.parametrize("name", REFERENCES)
def test_pictures_stay_as_they_are(name: str) -> None:
    """A recipe's pixels are a promise to every URL that is out: they equal those in tests/pictures."""
    reference = decode((HERE / "pictures" / f"{name}.png").read_bytes()).convert("RGBA")
    assert reference.tobytes() == pixels(REFERENCES[name])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 251},
        {"caption": "A dog"},
        {"gateway": "openai"},
        {"model": "dall-e-2"},
        {"index": 1},
        {"quality": "hd"},
        {"background": "transparent"},
        {"width": 520},
        {"height": 520},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_asked_for_shows(change: dict[str, str | int]) -> None:
    """Each field that a person can see changes the pixels."""
    recipe = dataclasses.replace(FIRST, width=512, height=512)
    changed = dataclasses.replace(recipe, **change)  # type: ignore[arg-type]
    assert pixels(recipe) != pixels(changed)


def test_different_seeds_are_different_pictures() -> None:
    """Fifty seeds give fifty landscapes, in every theme, even where no caption fits."""
    drawn = {pixels(dataclasses.replace(SMALL, width=48, height=48, seed=seed)) for seed in range(50)}
    assert len(drawn) == 50
    names = {canvas.RandomNumbers(seed).pick(sorted(canvas.THEMES)) for seed in range(200)}
    assert set(canvas.THEMES) == names


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize(
    ("width", "height"),
    [(1, 1), (1, 64), (16, 16), (64, 64), (256, 256), (1792, 1024), (300, 900), (4096, 16), (16, 4096)],
)
def test_files_are_what_was_asked_for(width: int, height: int, kind: str) -> None:
    """Format and size are measured by decoding."""
    image = decode(render.draw_image(dataclasses.replace(SMALL, width=width, height=height, format=kind)))
    assert (kind.upper(), (width, height)) == (image.format, image.size)


def test_the_largest_picture() -> None:
    """4096 x 4096 is drawn, and flat colours stay small."""
    data = render.draw_image(dataclasses.replace(FIRST, width=4096, height=4096))
    assert (decode(data).mode, decode(data).size) == ("RGB", (4096, 4096))
    assert len(data) < 600_000


@pytest.mark.parametrize("partial", [None, PartialImage(1, 3)])
@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("background", ["opaque", "transparent"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_pixels_are_those_of_real_apis(
    kind: str, background: str, *, edited: bool, partial: PartialImage | None
) -> None:
    """Eight bits a channel, RGB, or RGBA where the background is transparent: never a palette, which breaks clients."""
    source = EditSource("edit", "0" * 32, None, "20" * 36, open=False) if edited else None
    recipe = dataclasses.replace(SMALL, format=kind, background=background, source=source, partial=partial)
    data = render.draw_image(recipe)
    is_clear = background == "transparent" and kind != "jpeg"
    assert decode(data).mode == ("RGBA" if is_clear else "RGB")
    if kind == "png":
        assert (data[24], data[25]) == (8, 6 if is_clear else 2)


@pytest.mark.parametrize("background", ["opaque", "transparent"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 64), (65, 65), (640, 129)])
def test_a_flat_picture_is_written_as_it_was_painted(width: int, height: int, background: str) -> None:
    """The PNG that we write by hand decodes to the painted pixels, whatever the number of rows."""
    recipe = dataclasses.replace(SMALL, width=width, height=height, background=background)
    image = decode(render.draw_image(recipe))
    painted = render.paint_image(recipe)
    if background == "transparent":
        painted.info["transparency"] = canvas.Palette.CLEAR
    assert image.tobytes() == painted.convert(image.mode).tobytes()


def test_a_picture_can_be_saved_as_jpeg() -> None:
    """What clients do with a picture of a real API: `Image.open(…).save("x.jpg")`, which fails on a palette."""
    file = io.BytesIO()
    decode(render.draw_image(SMALL)).save(file, "JPEG")
    assert file.getvalue().startswith(b"\xff\xd8")


@pytest.mark.parametrize(("kind", "clear"), [("png", True), ("webp", True), ("jpeg", False)])
@pytest.mark.parametrize("seed", range(6))
def test_transparency_is_real(kind: str, clear: bool, seed: int) -> None:
    """With a transparent background the sky is see-through and the land is not; JPEG, which cannot, stays opaque."""
    recipe = dataclasses.replace(SMALL, format=kind, seed=seed, background="transparent")
    seen = inspect_image(render.draw_image(recipe))
    assert clear == (seen.alpha_share is not None and 0.1 < seen.alpha_share < 0.9)
    opaque = inspect_image(render.draw_image(dataclasses.replace(recipe, background="opaque")))
    assert opaque.alpha_share is None


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_compression_is_the_encoders_quality(kind: str) -> None:
    """A lower `compression` gives a smaller file."""
    sizes = [len(render.draw_image(dataclasses.replace(SMALL, format=kind, compression=c))) for c in (5, 50, 100)]
    assert sorted(sizes) == sizes
    assert len(set(sizes)) == len(sizes)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_labels_come_back(kind: str) -> None:
    """What we drew says so: gateway, model, prompt hash, seed, index and the recipe's digest."""
    recipe = dataclasses.replace(SMALL, format=kind, model='<&"\u732b\ud800', seed=2**64 - 1, index=3)
    expected = {
        "gateway": "ezmodel",
        "model": '<&"\u732b\ud800',
        "prompt_hash": recipe.prompt_hash,
        "seed": 2**64 - 1,
        "index": 3,
        "recipe": recipe.digest,
    }
    seen = inspect_image(render.draw_image(recipe))
    assert (kind, 256, 256, True, expected) == (seen.format, seen.width, seen.height, seen.whole, seen.label)


def test_a_strangers_picture_has_no_label() -> None:
    """Somebody else's picture is inspected, too, and a text that only looks like ours is none."""
    file = io.BytesIO()
    Image.new("RGBA", (4, 2), (0, 0, 0, 0)).save(file, "PNG")
    expected = Inspection("png", 4, 2, "RGBA", 1.0, True, None)
    assert expected == inspect_image(file.getvalue())
    forged = render.draw_image(SMALL).replace(b'"index":0', b'"index":[')
    assert inspect_image(_mend(forged)).label is None


@pytest.mark.parametrize("path", PNGS, ids=lambda path: path.stem)
def test_any_png_is_survived(path: Path) -> None:
    """Of PngSuite's pictures the sound ones are whole; a corrupt one is refused, or seen to be damaged, or decodes."""
    data = path.read_bytes()
    if not path.name.startswith("x"):
        seen = inspect_image(data)
        assert (struct.unpack(">II", data[16:24]), True) == ((seen.width, seen.height), seen.whole)
        return
    seen_or_refusal = look(data)
    if isinstance(seen_or_refusal, Inspection):
        assert seen_or_refusal.whole == (path.stem in DECODES_ALL_THE_SAME)
    else:
        assert seen_or_refusal == "not a PNG, JPEG or WebP picture"


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_a_picture_cut_short_is_not_whole(kind: str) -> None:
    """Wherever a file ends, inspect answers or raises ValueError; half a file is never whole."""
    data = render.draw_image(dataclasses.replace(SMALL, format=kind))
    for end in range(0, len(data) - len(data) // 10, max(1, len(data) // 60)):
        seen = look(data[:end])
        assert "\n" not in seen if isinstance(seen, str) else not seen.whole


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_damaged_bytes_are_survived(kind: str) -> None:
    """One wrong byte anywhere in the first kilobyte raises nothing but ValueError."""
    data = render.draw_image(dataclasses.replace(SMALL, width=64, height=64, format=kind))
    for at in range(0, min(len(data), 1024), 5):
        seen = look(data[:at] + bytes([data[at] ^ 0xA5]) + data[at + 1 :])
        assert isinstance(seen, Inspection) or "\n" not in seen


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b"{}" * 99]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    """Anything but a PNG, JPEG or WebP is a ValueError of one line."""
    with pytest.raises(ValueError, match=r"\Anot a PNG, JPEG or WebP picture\Z"):
        inspect_image(data)


def test_a_text_is_no_file() -> None:
    """Who hands over Base64 in the place of bytes is told so."""
    text: Any = "iVBORw0KGgo="
    with pytest.raises(TypeError, match="decode Base64 before"):
        inspect_image(text)


@pytest.mark.parametrize("side", [4097, 10_000, 40_000])
def test_too_many_pixels_are_refused_unseen(side: int) -> None:
    """A file of a hundred bytes cannot make us unpack gigabytes."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(bytes(99)))
        + _chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match="more than 4096x4096"):
        inspect_image(bomb)


def test_naughty_captions_are_drawn() -> None:
    """Hostile strings are a caption like any other, and do not break the label either."""
    strings = json.loads((HERE / "data" / "blns.json").read_text("utf-8"))
    for caption in strings[::6]:
        recipe = dataclasses.replace(SMALL, height=64, caption=caption[:160], model=caption[:40])
        seen = inspect_image(render.draw_image(recipe))
        assert seen.whole
        assert recipe.digest == (seen.label or {})["recipe"]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _mend(png: bytes) -> bytes:
    """The same PNG with right checksums."""
    mended, at = png[:8], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        mended += _chunk(png[at + 4 : at + 8], png[at + 8 : at + 8 + length])
        at += 12 + length
    return mended


# Pillow reads past a wrong checksum of the pixels, and so do browsers.
DECODES_ALL_THE_SAME = {"xcsn0g01"}
