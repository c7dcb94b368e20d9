"""A picture's recipe, and its spelling inside a URL.

A recipe says everything about a picture, so whoever holds it can draw it again: nothing is stored. Keep it small
(it travels in URLs) and free of anything about the call, so that the same request gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from enum import STRICT, IntFlag
from functools import cached_property
from itertools import combinations, islice
from typing import Any, Final, NamedTuple

from emulator.core import strict_json

LARGEST_SIDE: Final = 4096  # px; a 4096 x 4096 palette picture is 16 MiB while it is drawn
CAPTION_LENGTH: Final = 160  # characters; more would not fit on the picture, and a URL should stay short
TOKEN_LENGTH: Final = 2048  # characters; a caption of 160 emoji with long names needs about 1,300
_UNPACKED_LENGTH: Final = 8192  # bytes; far above any recipe, far below a decompression bomb
_LAST: Final = 32_535_216_000  # Unix seconds: the year 3001, which no clock of ours reaches
_MAC_LENGTH: Final = 12  # bytes; 96 bits, as in IPsec's truncated HMACs
FORMATS: Final = {"png": "png", "jpeg": "jpg", "webp": "webp"}  # format -> ending of a URL's path
MODES: Final = {"exif_rotated": None, "cmyk": "jpeg", "16_bit": "png"}  # odd pixels -> the one format that has them
MOST_STAGES: Final = 3  # of a picture in the making: no API sends more
DIGEST: Final = 32  # hex digits of a SHA-256; the rest of it would only make URLs longer
_FARTHEST: Final = 10**12  # bytes; no file is as long


@dataclass(frozen=True, slots=True)
class Alteration:
    """How a picture's file differs from what its recipe asks for; what is None does not.

    `width` and `height` are pixels (1 to 4096), `format` and `mode` are words of FORMATS and MODES; `file` is the
    digest of a picture of the tester's own, of `format`, that comes in place of a drawn one. `kept` is where the file
    ends too early: bytes from its start, or per cent of it where `share`.
    """

    width: int | None = None
    height: int | None = None
    format: str | None = None
    mode: str | None = None
    file: str | None = None
    kept: float | None = None
    share: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be made (ValueError); an alteration may come from a URL."""
        if (self.width, self.height) != (None, None):
            if not all(1 <= (side or 0) <= LARGEST_SIDE for side in (self.width, self.height)):
                raise ValueError(f"{self.width}x{self.height} is outside 1x1 to {LARGEST_SIDE}x{LARGEST_SIDE}")
            if self.file is not None:
                raise ValueError("a file has the size that it has")
        if self.format is not None and self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        if self.mode is not None and self.mode not in MODES:
            raise ValueError(f"mode {self.mode!r} is none of {', '.join(MODES)}")
        if self.mode is not None and self.format not in (None, usual := MODES[self.mode]) and usual is not None:
            raise ValueError(f"mode {self.mode} makes a {usual}, not a {self.format}")
        if self.file is not None and (self.format is None or self.mode is not None):
            raise ValueError("a file has a format, and the pixels that it has")
        if self.kept is not None and not 0 <= self.kept <= (100 if self.share else _FARTHEST):
            raise ValueError(f"{self.kept} is no place at which a file could end")


class Source(NamedTuple):
    """What an edited picture is made of: `act` is edit or vary, `image` and `mask` are 32 hex digits of digests.

    `palette` is a thumbnail of 4 x 3 pixels as 72 hex digits, for when the bytes are gone; `open` tells whether mask
    or picture leave something open that is to be painted.
    """

    act: str
    image: str
    mask: str | None
    palette: str
    open: bool

    @property
    def sound(self) -> bool:
        """Whether a picture can be made of it; it may come from a URL."""
        digests = (self.image, *(() if self.mask is None else (self.mask,)))
        return self.act in ("edit", "vary") and all(
            re.fullmatch(f"[0-9a-f]{{{length}}}", text) is not None
            for length, text in ((72, self.palette), *((DIGEST, digest) for digest in digests))
        )


class Stage(NamedTuple):
    """How far a picture in the making is: `number` (from 1) of `of` (3 at most) before it is finished."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number} of {self.of}"


@dataclass(frozen=True)
class ImageRecipe:
    """What `picture.draw` needs to draw one picture, and nothing else.

    `width`, `height` are pixels (1 to 4096), `caption` is the beginning of the prompt (at most 160 characters),
    `prompt_hash` the first 16 hex digits of the whole prompt's SHA-256, `compression` 0 to 100 (None: the encoder's own
    choice), `index` counts the pictures of one call from 0, and `seed` (0 to 2**64 - 1) decides the landscape.
    `altered` is how the file differs from all of this because a script wants it so, mostly None. `stage` is set where
    the picture is still in the making: it is drawn as asked then, and whatever is altered is so in the finished one.
    `source` is set where an input picture is edited.
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
    source: Source | None = None
    stage: Stage | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn (ValueError); a recipe may come from a URL."""
        if not (1 <= self.width <= LARGEST_SIDE and 1 <= self.height <= LARGEST_SIDE):
            raise ValueError(f"{self.width}x{self.height} is outside 1x1 to {LARGEST_SIDE}x{LARGEST_SIDE}")
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format!r} is none of {', '.join(FORMATS)}")
        if self.background not in ("opaque", "transparent"):
            raise ValueError(f"background {self.background!r} is neither opaque nor transparent")
        if self.compression is not None and not 0 <= self.compression <= 100:
            raise ValueError(f"compression {self.compression} is outside 0 to 100")
        if not (0 <= self.index < 1000 and 0 <= self.seed < 2**64):
            raise ValueError(f"index {self.index} or seed {self.seed} is outside what can be drawn")
        if self.stage is not None and not 1 <= self.stage.number <= self.stage.of <= MOST_STAGES:
            raise ValueError(f"stage {self.stage} is none of {MOST_STAGES}")
        if self.source is not None and not self.source.sound:
            raise ValueError(f"{self.source} cannot be edited")

    @cached_property
    def digest(self) -> str:
        """16 hex digits that name this recipe: in the file's label, in the journal, in an ETag.

        A picture in the making has that of the finished one.
        """
        fields = astuple(self)[:-1] if self.source is not None else astuple(self)[:-2]
        return hashlib.blake2b(_plain(fields), digest_size=8).hexdigest()

    @property
    def served_as(self) -> str:
        """The format that a link and its Content-Type name: the one asked for, or that of a tester's own file."""
        change = self.altered
        return self.format if change is None or change.file is None else change.format or self.format


class HostBehavior(IntFlag, boundary=STRICT):
    """What a host of pictures does not do: answer what is no browser, let pages of other origins read."""

    BROWSERS_ONLY = 1
    NO_CORS = 2


@dataclass(frozen=True, slots=True)
class PictureLink:
    """What a picture's URL says: the recipe, whose clock decides, and until when (Unix seconds, to the year 3000).

    `host` is set where a script wants the host of the picture to be difficult.
    """

    recipe: ImageRecipe
    session: str
    expires: int
    host: HostBehavior | None = None


class BadToken(ValueError):
    """A token that is damaged, forged or oversized; one answer for all three, as at a storage service."""


def spell(link: PictureLink, secret: bytes) -> str:
    """The URL-safe token of `link`, signed with `secret`; pictures in the making have no links."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -12, 4, zlib.Z_DEFAULT_STRATEGY, _USUAL)
    recipe = link.recipe
    fields: tuple[Any, ...] = (
        link.session, link.expires, recipe.gateway, recipe.model, recipe.caption, recipe.prompt_hash, recipe.width,
        recipe.height, recipe.quality, recipe.background, recipe.format, recipe.compression, recipe.index, recipe.seed,
    )  # fmt: skip
    if recipe.altered is not None:
        fields += astuple(recipe.altered)
    if recipe.source is not None:
        fields += recipe.source
    if link.host is not None:
        fields += (int(link.host),)
    packed = packer.compress(_plain(fields)) + packer.flush()
    return _armoured(_mac(packed, secret) + packed)


def read(token: str, secret: bytes) -> PictureLink:
    """The link that `token` spells; raises BadToken."""
    if len(token) > TOKEN_LENGTH or not token.isascii():
        raise BadToken("oversized or not ASCII")
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if _armoured(sealed) != token:
            raise BadToken("not the one spelling of what it says")
        mac, packed = sealed[:_MAC_LENGTH], sealed[_MAC_LENGTH:]
        if not hmac.compare_digest(mac, _mac(packed, secret)):
            raise BadToken("forged")
        unpacker = zlib.decompressobj(-12, zdict=_USUAL)
        fields = json.loads(unpacker.decompress(packed, _UNPACKED_LENGTH))
        parts = _PARTS.get(len(fields) - len(_KINDS), ())
        kinds = _KINDS + sum((_PART_KINDS[part] for part in parts), ())
        for value, kind in zip(fields, kinds, strict=True):
            if value.__class__ not in kind:  # the default seed is no secret: anybody can sign nonsense with it
                raise BadToken(f"{value!r} is no field of a link")
        session, expires, *recipe = fields
        if not 0 <= expires <= _LAST:
            raise BadToken(f"{expires} is no time at which a link could end")
        behind = iter(recipe[_OWN:])
        found = {part: tuple(islice(behind, len(_PART_KINDS[part]))) for part in parts}
        altered = Alteration(*found["altered"]) if "altered" in found else None
        source = Source(*found["source"]) if "source" in found else None
        host = HostBehavior(*found["host"]) if "host" in found else None
        return PictureLink(ImageRecipe(*(*recipe[:_OWN], altered, source)), session, expires, host)
    except (ValueError, TypeError, RecursionError, zlib.error) as error:
        raise BadToken(str(error)) from error


def _armoured(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _plain(values: tuple[Any, ...]) -> bytes:
    return strict_json.format_json(values).encode("utf-8", "surrogatepass")


def _mac(packed: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_MAC_LENGTH, key=secret).digest()


_NUMBER: Final = (int,)
_TEXT: Final = (str,)
_KINDS: Final = (
    _TEXT, _NUMBER, _TEXT, _TEXT, _TEXT, _TEXT, _NUMBER, _NUMBER, _TEXT, _TEXT, _TEXT, (int, type(None)), _NUMBER,
    _NUMBER,
)  # fmt: skip
"""Of a link's fields, in their order in a token."""
_OWN: Final = len(_KINDS) - 2  # fields of a recipe; session and time stand before them, an alteration's behind
_NO_TEXT: Final = (str, type(None))
_PART_KINDS: Final[Mapping[str, tuple[tuple[type, ...], ...]]] = {
    "altered": (
        (int, type(None)), (int, type(None)), _NO_TEXT, _NO_TEXT, _NO_TEXT, (int, float, type(None)), (bool,),
    ),
    "source": (_TEXT, _TEXT, _NO_TEXT, _TEXT, (bool,)),
    "host": (_NUMBER,),
}  # fmt: skip
"""The same of what may stand behind them, in this order."""
_PARTS: Final = {
    sum(len(_PART_KINDS[part]) for part in parts): parts
    for many in range(1, len(_PART_KINDS) + 1)
    for parts in combinations(_PART_KINDS, many)
}
"""Which parts there are, by how many fields they have: no two choices of parts may have equally many."""

# What most recipes contain, so that a token stays short: the last words are the cheapest to refer to.
_USUAL: Final = (
    b'"transparent","webp"768x1344,1536,1792,512,256"cogview-4""gpt-image-1","dall-e-2","low","medium","high",'
    b'"opaque","jpeg",null,"dall-e-3",1024,1024,"standard","opaque","png",null,0,'
)
