"""A picture's recipe: everything that is needed to draw it again.

A recipe knows nothing of the call, so that the same request gives the same bytes, and it is small, because links carry
it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import astuple
from functools import cached_property
from typing import Any, Final, NamedTuple

from emulator.core.light_dataclass import dataclass
from emulator.core.strict_json import format_json

LARGEST_SIDE: Final = 4096  # px
MOST_PIXELS: Final = LARGEST_SIDE * LARGEST_SIDE  # a picture is drawn in a palette, and is 16 MiB meanwhile
LONGEST_SIDE: Final = 16_383  # px of one side where the other is short: WebP has no more
CAPTION_LENGTH: Final = 160  # characters; more would not fit on the picture, and a URL should stay short
FORMATS: Final = {"png": "png", "jpeg": "jpg", "webp": "webp"}  # format -> ending of a URL's path
MODES: Final = {"exif_rotated": None, "cmyk": "jpeg", "16_bit": "png"}  # odd pixels -> the one format that has them
MOST_PARTIAL_IMAGES: Final = 3  # before a finished picture: no API sends more
LARGEST_WEIGHT: Final = 20 * 2**20  # bytes; as for a tester's own picture, and more than any real one has
DIGEST: Final = 32  # hex digits of a SHA-256; the rest of it would only make URLs longer
_PALETTE_DIGITS: Final = 72  # hex digits of 4 x 3 pixels of three bytes
_FARTHEST: Final = 10**12  # bytes; no file is as long


def can_draw(width: int, height: int) -> bool:
    """Return whether a picture of so many pixels is drawn: as many as 4096 x 4096 has, and no side above 16383."""
    return min(width, height) >= 1 and max(width, height) <= LONGEST_SIDE and width * height <= MOST_PIXELS


@dataclass(frozen=True, slots=True)
class Alteration:
    """How a picture's file differs from what its recipe asks for. A field that is None makes no difference.

    `width` and `height` are pixels (1 to 4096); `format` and `mode` are keys of FORMATS and MODES. `file` is the digest
    of a tester's own picture, of `format`, that takes the place of a drawn one. `kept` is where the file ends too
    early: bytes from its start, or per cent of it with `share`.
    """

    width: int | None = None
    height: int | None = None
    format: str | None = None
    mode: str | None = None
    file: str | None = None
    kept: float | None = None
    share: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be made (ValueError), because an alteration may come from a URL."""
        self._check_size()
        if self.format is not None and self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        if self.mode is not None:
            self._check_mode(self.mode)
        if self.file is not None and (self.format is None or self.mode is not None):
            raise ValueError("a file has a format, and the pixels that it has")
        farthest = 100 if self.share else _FARTHEST
        if self.kept is not None and not 0 <= self.kept <= farthest:
            raise ValueError(f"{self.kept} is no place at which a file could end")

    def _check_size(self) -> None:
        if self.width is None and self.height is None:
            return
        for side in (self.width, self.height):
            if side is None or not 1 <= side <= LARGEST_SIDE:
                raise ValueError(f"{self.width}x{self.height} is outside 1x1 to {LARGEST_SIDE}x{LARGEST_SIDE}")
        if self.file is not None:
            raise ValueError("a file has the size that it has")

    def _check_mode(self, mode: str) -> None:
        if mode not in MODES:
            raise ValueError(f"mode {mode!r} is none of {', '.join(MODES)}")
        only_format = MODES[mode]
        if only_format is not None and self.format not in (None, only_format):
            raise ValueError(f"mode {mode} makes a {only_format}, not a {self.format}")


class EditSource(NamedTuple):
    """The pictures that an edited picture is made of: `act` is edit or vary.

    `image` and `mask` are the first 32 hex digits of digests. `palette` is a thumbnail of 4 x 3 pixels as 72 hex
    digits; it is used when the bytes are gone. `open` is true where the mask or the picture leaves a part open that is
    to be painted.
    """

    act: str
    image: str
    mask: str | None
    palette: str
    open: bool

    def is_valid(self) -> bool:
        """Return whether a picture can be made of it; it may come from a URL."""
        if self.act not in ("edit", "vary"):
            return False
        if self.mask is not None and not _is_hex(self.mask, DIGEST):
            return False
        return _is_hex(self.image, DIGEST) and _is_hex(self.palette, _PALETTE_DIGITS)


class PartialImage(NamedTuple):
    """Which unfinished picture of a stream it is: `number` (from 1) of the `of` (at most 3) before the finished one."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


@dataclass(frozen=True)
class ImageRecipe:
    """Everything that is needed to draw one picture.

    `width` and `height` are pixels, as `can_draw` allows them. `caption` is the beginning of the prompt (at most 160
    characters), `prompt_hash` the first 16 hex digits of the whole prompt's SHA-256. `compression` is 0 to 100, or None
    for the encoder's default. `index` counts the pictures of one call from 0. `seed` (0 to 2**64 - 1) decides the
    landscape.

    `altered` says how a scenario wants the file to differ from all of this; it is nearly always None. `source` is set
    where an input picture is edited. `partial` is set for an unfinished picture of a stream: it is drawn without the
    alteration, which only the finished picture has. `weight` is how many bytes the file is to have (at most 20 MiB);
    None: as few as it comes to.
    """

    gateway: str
    model: str
    caption: str
    prompt_hash: str
    width: int
    height: int
    quality: str
    background: str
    format: str
    compression: int | None
    index: int
    seed: int
    altered: Alteration | None = None
    source: EditSource | None = None
    partial: PartialImage | None = None
    weight: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn (ValueError), because a recipe may come from a URL."""
        if not can_draw(self.width, self.height):
            raise ValueError(f"{self.width}x{self.height} cannot be drawn")
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        if self.background not in ("opaque", "transparent"):
            raise ValueError(f"background {self.background!r} is neither opaque nor transparent")
        if self.compression is not None and not 0 <= self.compression <= 100:
            raise ValueError(f"compression {self.compression} is outside 0 to 100")
        if not (0 <= self.index < 1000 and 0 <= self.seed < 2**64):
            raise ValueError(f"index {self.index} or seed {self.seed} is outside what can be drawn")
        if self.partial is not None and not 1 <= self.partial.number <= self.partial.of <= MOST_PARTIAL_IMAGES:
            raise ValueError(f"partial image {self.partial} is none of {MOST_PARTIAL_IMAGES}")
        if self.weight is not None and not 1 <= self.weight <= LARGEST_WEIGHT:
            raise ValueError(f"{self.weight} bytes are outside 1 to {LARGEST_WEIGHT}")
        if self.source is not None and not self.source.is_valid():
            raise ValueError(f"{self.source} cannot be edited")

    def __hash__(self) -> int:
        """Return the hash of the fields that tell nearly all recipes apart; that of all takes six times as long."""
        return hash((self.seed, self.index, self.width, self.format, self.partial, self.weight))

    @classmethod
    def make_unchecked(
        cls, common: Mapping[str, Any], *, caption: str, prompt_hash: str, index: int, seed: int
    ) -> ImageRecipe:
        """Return the recipe with these fields, and those of `common`, of a call that its gateway has accepted.

        Nothing is checked, and no field is set by itself: it takes 0.7 microseconds, and the constructor 5.
        """
        recipe = object.__new__(cls)
        recipe.__dict__.update(common, caption=caption, prompt_hash=prompt_hash, index=index, seed=seed)
        return recipe

    def make_partial(self, partial: PartialImage) -> ImageRecipe:
        """Return the recipe of an unfinished picture before this one; as quick as `make_unchecked`."""
        recipe = object.__new__(ImageRecipe)
        recipe.__dict__.update(self.__dict__, partial=partial)
        return recipe

    @cached_property
    def digest(self) -> str:
        """16 hex digits that name this recipe in the file's label, in the journal and in an ETag.

        A partial image has the digest of the finished one. The list below is part of every picture's label: a change
        of it changes the bytes of all pictures.
        """
        fields: list[Any] = [
            self.gateway, self.model, self.caption, self.prompt_hash, self.width, self.height, self.quality,
            self.background, self.format, self.compression, self.index, self.seed,
            self.altered and astuple(self.altered),
        ]  # fmt: skip
        if self.source is not None:
            fields.append(self.source)
        if self.weight is not None:
            fields.append(self.weight)
        return hashlib.blake2b(format_json(fields).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

    @property
    def served_as(self) -> str:
        """The format in a link's ending and in the Content-Type: the one asked for, or that of a tester's own file."""
        if self.altered is None or self.altered.file is None:
            return self.format
        return self.altered.format or self.format


def _is_hex(text: str, length: int) -> bool:
    return re.fullmatch(f"[0-9a-f]{{{length}}}", text) is not None
