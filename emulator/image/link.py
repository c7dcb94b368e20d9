"""A picture's link: its recipe, sealed in a token of the URL. Nothing is stored for a link.

A token is URL-safe Base64 of: one byte for the version of this layout, a JSON list, and a MAC of 12 bytes over both.
The bytes of the JSON are inverted, so that nobody who searches a log for a key finds one of a prompt there.
The first member of the list is the recipe, as a list of its values; behind it are the values of the link. The recipe's
part is filled with blanks to a multiple of three bytes, so that its Base64 is the same in each link, and is made once:
then a link takes a microsecond or two. A usual token has some 200 characters. Compressed it had 140, and took 68
microseconds.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from enum import STRICT, IntFlag
from functools import lru_cache
from types import NoneType
from typing import Any, Final

from emulator.core.light_dataclass import dataclass
from emulator.core.strict_json import format_json
from emulator.image.recipe import ImageRecipe
from emulator.image.recipe_json import FieldTypes, check_fields, recipe_from_json, recipe_to_json

LONGEST_TOKEN: Final = 2048  # characters; a caption of 160 emoji with long names needs about 1,900
_LATEST: Final = 32_535_216_000  # Unix seconds: the year 3001, which no clock of ours reaches
_MAC_LENGTH: Final = 12  # bytes; 96 bits, as in IPsec's truncated HMACs
_VERSION: Final = b"\x02"  # of the layout; a token of any other version is damaged


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


class SealedRecipe:
    """The part of a token that all links of one recipe share; `format_token` makes the token of one of them."""

    __slots__ = ("_beginning", "_mac")

    def __init__(self, text: str, secret: bytes) -> None:
        """`text` is the beginning of the token's JSON, before the bracket that ends the list of the recipe's values."""
        data = text.encode("utf-8", "surrogatepass")
        beginning = _VERSION + (data + _FILLINGS[len(data) % 3]).translate(_INVERTED)
        self._beginning = _encode_base64(beginning)
        self._mac = _begin_mac(secret).copy()
        self._mac.update(beginning)

    def format_token(
        self, session: str, expires: int, *, host: HostBehavior | None = None, signed: bool = False
    ) -> str:
        """Return the token of a link of this recipe; the parameters are fields of PictureLink."""
        rest = _write_link_values(session, expires, host, signed)
        mac = self._mac.copy()
        mac.update(rest)
        return self._beginning + _encode_base64(rest + mac.digest())


@lru_cache(maxsize=64)  # many links of one session are made in the same second
def _write_link_values(session: str, expires: int, host: HostBehavior | None, signed: bool) -> bytes:
    """Return the end of a token's JSON: the values of a link beside its recipe."""
    text = f",{_write_text(session)},{expires}]"
    if signed or host is not None:
        text = f",{_write_text(session)},{expires},{_write_number(host)},{_SWITCH[signed]}]"
    return text.encode("utf-8", "surrogatepass").translate(_INVERTED)


def seal_recipe(recipe: ImageRecipe, secret: bytes, common: str | None = None) -> SealedRecipe:
    """Return `recipe` sealed for its links. `common` is what `write_common_values` returns of it, where it is known."""
    if common is None:
        common = write_common_values(recipe)
    caption = _write_text(recipe.caption)
    text = f"{common}{caption},{_write_text(recipe.prompt_hash)},{recipe.index},{recipe.seed}"
    if recipe.altered is not None or recipe.source is not None or recipe.weight is not None:
        text += f",{_write_rest(recipe)}"
    return SealedRecipe(text, secret)


def write_common_values(recipe: ImageRecipe) -> str:
    """Return the beginning of a token's JSON: the values that are the same whatever the prompt is."""
    texts = [_write_text(one) for one in (recipe.gateway, recipe.model, recipe.quality)]
    gateway, model, quality = texts
    return (
        f"[[{gateway},{model},{recipe.width},{recipe.height},{quality},{_write_text(recipe.background)},"
        f"{_write_text(recipe.format)},{_write_number(recipe.compression)},"
    )


def format_token(link: PictureLink, secret: bytes) -> str:
    """Return the token of `link`, signed with `secret`. A partial image has no link."""
    sealed = seal_recipe(link.recipe, secret)
    return sealed.format_token(link.session, link.expires, host=link.host, signed=link.signed)


def parse_token(token: str, secret: bytes) -> PictureLink:
    """Return the link in `token`. Raises BadToken.

    The default secret is public, so anybody can sign a token: each field is checked, whatever the MAC is.
    """
    values = _open_token(token, secret)
    try:
        return _make_link(values)
    except ValueError as error:
        raise BadToken(str(error)) from error


def seal_text(text: bytes, secret: bytes) -> str:
    """Return the token that holds `text` in the place of its JSON, signed as it should be."""
    signed = _VERSION + text.translate(_INVERTED)
    mac = _begin_mac(secret).copy()
    mac.update(signed)
    return _encode_base64(signed + mac.digest())


def _open_token(token: str, secret: bytes) -> Any:
    """Return the JSON value in `token`, if it is signed with `secret`. Raises BadToken."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        raise BadToken("oversized or not ASCII")
    try:
        sealed = binascii.a2b_base64(token.translate(_FROM_URL) + "=" * (-len(token) % 4), strict_mode=True)
        if _encode_base64(sealed) != token:
            raise BadToken("another spelling, such as one with other unused bits")
        signed, mac = sealed[:-_MAC_LENGTH], sealed[-_MAC_LENGTH:]
        expected = _begin_mac(secret).copy()
        expected.update(signed)
        if signed[:1] != _VERSION or not hmac.compare_digest(mac, expected.digest()):
            raise BadToken("of another version, or forged")
        return _DECODER.decode(signed[1:].translate(_INVERTED).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise BadToken(str(error)) from error


def _make_link(values: Any) -> PictureLink:
    """Return the link that a token's list describes. Raises ValueError."""
    own = check_fields(_name_values(values, ("recipe", *_LINK_FIELDS), needed=3), {"recipe": (list,), **_LINK_FIELDS})
    expires, host = own["expires"], own["host"]
    if not 0 <= expires <= _LATEST:
        raise BadToken(f"{expires} is no time at which a link could end")
    behavior = None
    if host is not None:
        if host < 0:  # a negative flag would be read as all the others
            raise BadToken(f"host is {host}")
        behavior = HostBehavior(host)
    fields = _name_values(own["recipe"], (*_RECIPE_VALUES, *_RARE_VALUES), needed=len(_RECIPE_VALUES))
    return PictureLink(recipe_from_json(fields), own["session"], expires, host=behavior, signed=own["signed"] is True)


def _name_values(values: Any, names: Sequence[str], needed: int) -> dict[str, Any]:
    """Return the members of a list by `names`, of which the last ones may be left out. Raises ValueError."""
    if not isinstance(values, list) or not needed <= len(values) <= len(names):
        raise ValueError(f"it is no list of {', '.join(names)}")
    return dict(zip(names, values, strict=False))


def _write_rest(recipe: ImageRecipe) -> str:
    """Return the JSON of the values that few recipes have, without the brackets around them."""
    fields = recipe_to_json(recipe)
    altered = fields.get("altered")
    if altered is not None:
        fields["altered"] = {name: value for name, value in altered.items() if value is not None}
    return format_json([fields.get(name) for name in _RARE_VALUES])[1:-1]


def _write_text(text: str) -> str:
    """Return `text` as JSON in which control characters stand for themselves: none takes more bytes than an emoji."""
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def _write_number(number: int | None) -> str:
    if number is None:
        return "null"
    return str(int(number))


def _encode_base64(sealed: bytes) -> str:
    return binascii.b2a_base64(sealed, newline=False).translate(_TO_URL, b"=").decode()


@lru_cache(maxsize=16)
def _begin_mac(secret: bytes) -> hashlib.blake2b:
    """Return the MAC of nothing yet; to copy it takes half the time of making it."""
    return hashlib.blake2b(digest_size=_MAC_LENGTH, key=secret)


_LINK_FIELDS: Final[FieldTypes] = {
    "session": (str,),
    "expires": (int,),
    "host": (int, NoneType),
    "signed": (bool, NoneType),
}
_RECIPE_VALUES: Final = (
    "gateway", "model", "width", "height", "quality", "background", "format", "compression", "caption", "prompt_hash",
    "index", "seed",
)  # fmt: skip
"""The values of a recipe in their order; those before the caption do not depend on the prompt."""
_RARE_VALUES: Final = ("altered", "source", "weight")
"""The values that few recipes have, behind the others: two mappings and a number, or null."""
_FILLINGS: Final = (b"] ", b"]", b"]  ")  # by the length of what is before it: the version is one byte more
_SWITCH: Final = ("null", "true")
_DECODER: Final = json.JSONDecoder(strict=False)
_INVERTED: Final = bytes(range(255, -1, -1))  # each byte with all of its bits turned over
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = {ord("-"): "+", ord("_"): "/", ord("+"): None, ord("/"): None}
