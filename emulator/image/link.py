"""A picture's link: its recipe, sealed in a token of the URL. Nothing is stored for a link.

A token is URL-safe Base64 of: one byte for the version of this layout, a MAC of 12 bytes, and a JSON object with named
fields, compressed. Measured against itsdangerous 2.2 (URLSafeSerializer, SHA-256, compact JSON): a usual link has 142
characters here and 329 there, spelling takes 68 and 101 microseconds, reading 45 and 82; and there a change of the last
character can go unnoticed, because the unused bits of Base64 are not checked.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import zlib
from enum import STRICT, IntFlag
from types import NoneType
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.core.strict_json import format_json
from emulator.image.recipe import ImageRecipe
from emulator.image.recipe_json import FieldTypes, check_fields, recipe_from_json, recipe_to_json

LONGEST_TOKEN: Final = 2048  # characters; a caption of 160 emoji with long names needs about 1,300
_LONGEST_JSON: Final = 8192  # bytes; far above any recipe, far below a decompression bomb
_LATEST: Final = 32_535_216_000  # Unix seconds: the year 3001, which no clock of ours reaches
_MAC_LENGTH: Final = 12  # bytes; 96 bits, as in IPsec's truncated HMACs
_VERSION: Final = b"\x01"  # of the layout; a token of any other version is damaged


class HostBehavior(IntFlag, boundary=STRICT):
    """What the host of a picture refuses: clients that are no browser, and pages of other origins."""

    BROWSERS_ONLY = 1
    NO_CORS = 2


@dataclass(frozen=True, slots=True)
class PictureLink:
    """The content of a picture's link: the recipe, the session whose clock counts, and when the link expires.

    `expires` is in Unix seconds, at most in the year 3000. `host` is set where a scenario makes the host difficult. A
    `signed` link is good only together with its query (see link_query).
    """

    recipe: ImageRecipe
    session: str
    expires: int
    host: HostBehavior | None = None
    signed: bool = False


class BadToken(ValueError):
    """A token that is damaged, forged or oversized; a storage service answers all three in the same way."""


@functools.lru_cache(maxsize=1024)  # equal calls of one second have one link; a token has some 200 characters
def format_token(link: PictureLink, secret: bytes) -> str:
    """Return the token of `link`, signed with `secret`. A partial image has no link."""
    fields: dict[str, Any] = {"session": link.session, "expires": link.expires}
    if link.host is not None:
        fields["host"] = int(link.host)
    if link.signed:
        fields["signed"] = True
    fields.update(recipe_to_json(link.recipe))
    return seal_fields(fields, secret)


def parse_token(token: str, secret: bytes) -> PictureLink:
    """Return the link in `token`. Raises BadToken.

    The default secret is public, so anybody can sign a token: each field is checked, whatever the MAC is.
    """
    fields = _open_token(token, secret)
    try:
        return _make_link(fields)
    except ValueError as error:
        raise BadToken(str(error)) from error


def seal_fields(fields: Any, secret: bytes) -> str:
    """Return the token that holds `fields`, which may be any JSON value."""
    return _seal(format_json(fields).encode("utf-8", "surrogatepass"), secret)


def _seal(text: bytes, secret: bytes) -> str:
    packer = zlib.compressobj(level=6, wbits=-12, memLevel=4, zdict=_USUAL_JSON)
    packed = packer.compress(text) + packer.flush()
    return _encode_base64(_VERSION + _sign(packed, secret) + packed)


def _open_token(token: str, secret: bytes) -> Any:
    """Return the JSON value in `token`, if it is signed with `secret`. Raises BadToken."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise BadToken("oversized or not ASCII")
    try:
        sealed = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        if _encode_base64(sealed) != token:
            raise BadToken("the last character has other unused bits")
        version, mac, packed = sealed[:1], sealed[1 : 1 + _MAC_LENGTH], sealed[1 + _MAC_LENGTH :]
        if version != _VERSION or not hmac.compare_digest(mac, _sign(packed, secret)):
            raise BadToken("of another version, or forged")
        return json.loads(zlib.decompressobj(-12, zdict=_USUAL_JSON).decompress(packed, _LONGEST_JSON))
    except (ValueError, RecursionError, zlib.error) as error:
        raise BadToken(str(error)) from error


def _make_link(fields: Any) -> PictureLink:
    """Return the link that the token's fields describe. Raises ValueError."""
    if not isinstance(fields, dict):
        raise BadToken("it holds no fields")
    recipe_fields = dict(fields)
    own = {name: recipe_fields.pop(name) for name in _LINK_FIELDS if name in fields}
    values = check_fields(own, _LINK_FIELDS)
    expires, host = values["expires"], values["host"]
    if not 0 <= expires <= _LATEST:
        raise BadToken(f"{expires} is no time at which a link could end")
    behavior = None
    if host is not None:
        if host < 0:  # a negative flag would be read as all the others
            raise BadToken(f"host is {host}")
        behavior = HostBehavior(host)
    recipe = recipe_from_json(recipe_fields)
    return PictureLink(recipe, values["session"], expires, host=behavior, signed=values["signed"] is True)


def _encode_base64(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _sign(packed: bytes, secret: bytes) -> bytes:
    return hashlib.blake2b(_VERSION + packed, digest_size=_MAC_LENGTH, key=secret).digest()


_LINK_FIELDS: Final[FieldTypes] = {
    "session": (str,),
    "expires": (int,),
    "host": (int, NoneType),
    "signed": (bool, NoneType),
}

# What most tokens contain, so that a token stays short: the last words are the cheapest to refer to.
_USUAL_JSON: Final = (
    b'"altered":{"width":null,"height":null,"format":null,"mode":null,"file":null,"kept":null,"share":false}'
    b'"source":{"act":"edit","image":"","mask":null,"palette":"","open":true}"host":1"signed":true'
    b'"transparent","webp"768x1344,1536,1792,512,256"cogview-4""gpt-image-1","dall-e-2","low","medium","high","jpeg"'
    b'{"session":"key-","expires":1,"gateway":"openai","model":"dall-e-3","caption":"","prompt_hash":"","width":1024,'
    b'"height":1024,"quality":"standard","background":"opaque","format":"png","compression":null,"index":0,"seed":'
)
