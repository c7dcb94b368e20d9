"""The query of a picture's link, where the storage behind a gateway signs its links by one.

Azure's storage compares the values, not their spelling: the order does not matter, an unknown parameter is ignored, and
`%3A` is the same as `:`. A query that was cut, escaped for HTML, or decoded or encoded once too often is refused.
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache
from typing import Final
from urllib.parse import parse_qs, quote

from emulator.core.clock import format_iso
from emulator.core.light_dataclass import dataclass
from emulator.image.link import PictureLink

LIFETIME: Final = 3600  # seconds for which a picture's URL is good, as at OpenAI


@dataclass(frozen=True)
class LinkQuery:
    """The parameters of the query in their order: `links` of `x-emulator-gateway`.

    A value is a text, or one of `{start}`, `{expiry}` (from when and until when the link is good), `{key_start}`,
    `{key_expiry}` (the same for the key that signs), `{type}` (the media type) and `{signature}`.
    """

    parameters: tuple[tuple[str, str], ...]

    def list_values(self, link: PictureLink, token: str, secret: bytes) -> Mapping[str, str]:
        """Return the parameters of `link`, whose path has `token`."""
        values = _describe_times(find_start(link), link.expires)
        values["{type}"] = f"image/{link.recipe.served_as}"
        values["{signature}"] = _sign_token(token, secret)
        return {name: values.get(value, value) for name, value in self.parameters}

    def write(self, token: str, secret: bytes, *, start: int, expires: int, image_format: str) -> str:
        """Return the query of a link as it stands in its URL: `st=2024-01-01T00%3A00%3A00Z&se=…&sig=…%3D`.

        The link is good from `start` until `expires`, in Unix seconds. All but the signature is the same in the links
        of one second, and is kept.
        """
        key = (start, expires, image_format)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            kept = self._kept[key] = self._write_around_signature(*key)
        signature = _sign_token(token, secret)
        return signature.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D").join(kept)

    def _write_around_signature(self, start: int, expires: int, image_format: str) -> list[str]:
        """Return the texts before, between and behind the signatures of a query."""
        values = _describe_times(start, expires)
        values["{type}"] = f"image/{image_format}"
        pieces = [""]
        for number, (name, value) in enumerate(self.parameters):
            pieces[-1] += f"{'&' if number else ''}{name}="
            if value == "{signature}":
                pieces.append("")
            else:
                pieces[-1] += quote(values.get(value, value))
        return pieces

    @cached_property
    def _kept(self) -> dict[tuple[int, int, str], list[str]]:
        """The texts around the signatures in the newest links, by when and for what these are good."""
        return {}

    def find_flaw(self, query: str, *, link: PictureLink, token: str, secret: bytes) -> str | None:
        """Return what is wrong with the query with which `link` is asked for, in the storage's words; None: nothing."""
        try:
            found = parse_qs(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
        except ValueError:
            return _MALFORMED
        expected = self.list_values(link, token, secret)
        if not found.keys() >= expected.keys():
            return _MALFORMED
        if any(found[name] != [value] for name, value in expected.items()):
            return "Signature did not match."
        return None


def find_start(link: PictureLink) -> int:
    """Return the Unix seconds from which `link` is good."""
    return compute_start(link.expires, link.signed)


def compute_start(expires: int, signed: bool) -> int:
    """Return from when a link until `expires` is good: a signed one an hour before it is made, as at OpenAI."""
    if signed:
        return expires - 2 * LIFETIME
    return expires - LIFETIME


FindLinkQuery = Callable[[str], LinkQuery | None]
"""Returns the query of a gateway's signed links; None where its links have none."""


def find_link_flaw(
    find_query: FindLinkQuery, link: PictureLink, query: str, *, token: str, secret: bytes
) -> str | None:
    """Return what is wrong with the query with which `link` is asked for; None: nothing, or it needs no query."""
    expected = find_query(link.recipe.gateway) if link.signed else None
    if expected is None:
        return None
    return expected.find_flaw(query, link=link, token=token, secret=secret)


def format_query(query: LinkQuery, link: PictureLink, token: str, secret: bytes) -> str:
    """Return the query of `link`, whose path has `token`."""
    start, image_format = find_start(link), link.recipe.served_as
    return query.write(token, secret, start=start, expires=link.expires, image_format=image_format)


def _describe_times(start: int, expires: int) -> dict[str, str]:
    """Return the times of a link and of the key that signs it, by the words that stand for them."""
    key_start = start - start % LIFETIME
    return {
        "{start}": format_iso(start),
        "{expiry}": format_iso(expires),
        "{key_start}": format_iso(key_start),
        "{key_expiry}": format_iso(key_start + _DAY),
    }


def _sign_token(token: str, secret: bytes) -> str:
    """Return 32 bytes in Base64 that nobody can know without `secret`.

    A `+` is always among them: it is what breaks, at Azure too, when a client decodes `%2B` once too often.
    """
    mac = _begin_signature(secret).copy()
    mac.update(token.encode())
    digest = mac.digest()
    signature = binascii.b2a_base64(digest, newline=False).decode()
    if "+" in signature:
        return signature
    place = digest[0] % _WHOLE_LETTERS
    return f"{signature[:place]}+{signature[place + 1 :]}"


@lru_cache(maxsize=16)
def _begin_signature(secret: bytes) -> hashlib.blake2b:
    """Return the signature of nothing yet; to copy it takes half the time of making it."""
    return hashlib.blake2b(digest_size=32, key=secret)


_DAY: Final = 86400  # seconds for which a key signs, as in links of OpenAI
_WHOLE_LETTERS: Final = 42  # of Base64 for 32 bytes, before the last one, which has four bits alone
_MOST_KEPT: Final = 16  # queries of one second, of which calls are answered at the same time
_MOST_PARAMETERS: Final = 100  # in a query; a link has thirteen
_MALFORMED: Final = "Signature fields not well formed."
