"""A picture's recipe, and its spelling inside a URL.

A recipe says everything about a picture, so whoever holds it can draw it again: nothing is stored. Keep it small
(it travels in URLs) and free of anything about the call, so that the same request gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Any, Final

from emulator import jsontext

LARGEST_SIDE: Final = 4096  # px; a 4096 x 4096 palette picture is 16 MiB while it is drawn
CAPTION_LENGTH: Final = 160  # characters; more would not fit on the picture, and a URL should stay short
TOKEN_LENGTH: Final = 2048  # characters; a caption of 160 emoji with long names needs about 1,300
_UNPACKED_LENGTH: Final = 8192  # bytes; far above any recipe, far below a decompression bomb
_LAST: Final = 32_535_216_000  # Unix seconds: the year 3001, which no clock of ours reaches
_MAC_LENGTH: Final = 12  # bytes; 96 bits, as in IPsec's truncated HMACs
FORMATS: Final = {"png": "png", "jpeg": "jpg", "webp": "webp"}  # format -> ending of a URL's path


@dataclass(frozen=True)
class ImageRecipe:
    """What `picture.draw` needs to draw one picture, and nothing else.

    `width`, `height` are pixels (1 to 4096), `caption` is the beginning of the prompt (at most 160 characters),
    `prompt_hash` the first 16 hex digits of the whole prompt's SHA-256, `compression` 0 to 100 (None: the encoder's own
    choice), `index` counts the pictures of one call from 0, and `seed` (0 to 2**64 - 1) decides the landscape.
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

    @cached_property
    def digest(self) -> str:
        """16 hex digits that name this recipe: in the file's label, in the journal, in an ETag."""
        return hashlib.blake2b(_plain(astuple(self)), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class PictureLink:
    """What a picture's URL says: the recipe, whose clock decides, and until when (Unix seconds, to the year 3000)."""

    recipe: ImageRecipe
    session: str
    expires: int


class BadToken(ValueError):
    """A token that is damaged, forged or oversized; one answer for all three, as at a storage service."""


def seed_of(*parts: str | int) -> int:
    """A number from 0 to 2**64 - 1 that depends on every part and on their order."""
    return int.from_bytes(hashlib.blake2b(_plain(parts), digest_size=8).digest(), "big")


def spell(link: PictureLink, secret: bytes) -> str:
    """The URL-safe token of `link`, signed with `secret`."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -12, 4, zlib.Z_DEFAULT_STRATEGY, _USUAL)
    recipe = link.recipe
    fields = _plain((
        link.session, link.expires, recipe.gateway, recipe.model, recipe.caption, recipe.prompt_hash, recipe.width,
        recipe.height, recipe.quality, recipe.background, recipe.format, recipe.compression, recipe.index, recipe.seed,
    ))  # fmt: skip
    packed = packer.compress(fields) + packer.flush()
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
        for value, kind in zip(fields, _KINDS, strict=True):
            if value.__class__ not in kind:  # the default seed is no secret: anybody can sign nonsense with it
                raise BadToken(f"{value!r} is no field of a link")
        session, expires, *recipe = fields
        if not 0 <= expires <= _LAST:
            raise BadToken(f"{expires} is no time at which a link could end")
        return PictureLink(ImageRecipe(*recipe), session, expires)
    except (ValueError, TypeError, RecursionError, zlib.error) as error:
        raise BadToken(str(error)) from error


def _armoured(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _plain(values: tuple[Any, ...]) -> bytes:
    return jsontext.compact(values).encode("utf-8", "surrogatepass")


def _mac(packed: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_MAC_LENGTH, key=secret).digest()


_NUMBER: Final = (int,)
_TEXT: Final = (str,)
_KINDS: Final = (
    _TEXT, _NUMBER, _TEXT, _TEXT, _TEXT, _TEXT, _NUMBER, _NUMBER, _TEXT, _TEXT, _TEXT, (int, type(None)), _NUMBER,
    _NUMBER,
)  # fmt: skip
"""Of a link's fields, in their order in a token."""

# What most recipes contain, so that a token stays short: the last words are the cheapest to refer to.
_USUAL: Final = (
    b'"transparent","webp"768x1344,1536,1792,512,256"cogview-4""gpt-image-1","dall-e-2","low","medium","high",'
    b'"opaque","jpeg",null,"dall-e-3",1024,1024,"standard","opaque","png",null,0,'
)
