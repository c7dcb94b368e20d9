"""The query of a picture's link, where the storage behind a gateway signs its links by one.

Azure's storage compares the values, not their spelling: the order does not matter, an unknown parameter is ignored, and
`%3A` is the same as `:`. A query that was cut, escaped for HTML, or decoded or encoded once too often is refused.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Mapping
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
        start = find_start(link)
        key_start = start - start % LIFETIME
        values = {
            "{start}": format_iso(start),
            "{expiry}": format_iso(link.expires),
            "{key_start}": format_iso(key_start),
            "{key_expiry}": format_iso(key_start + _DAY),
            "{type}": f"image/{link.recipe.served_as}",
            "{signature}": _sign_token(token, secret),
        }
        return {name: values.get(value, value) for name, value in self.parameters}

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
    """Return the Unix seconds from which `link` is good: a signed one an hour before it is made, as at OpenAI."""
    if link.signed:
        return link.expires - 2 * LIFETIME
    return link.expires - LIFETIME


LinkQueries = Mapping[str, LinkQuery]
"""The queries of signed links, by gateway."""


def find_link_flaw(queries: LinkQueries, link: PictureLink, query: str, *, token: str, secret: bytes) -> str | None:
    """Return what is wrong with the query with which `link` is asked for; None: nothing, or it needs no query."""
    expected = queries.get(link.recipe.gateway)
    if not link.signed or expected is None:
        return None
    return expected.find_flaw(query, link=link, token=token, secret=secret)


@functools.lru_cache(maxsize=1024)  # as tokens: equal calls of one second have one link
def format_query(query: LinkQuery, link: PictureLink, token: str, secret: bytes) -> str:
    """Return the query of `link` as it stands in its URL: `st=2024-01-01T00%3A00%3A00Z&se=…&sig=…%3D`."""
    values = query.list_values(link, token, secret)
    signature = _sign_token(token, secret)
    return "&".join(f"{name}={quote(value, safe='' if value == signature else '/')}" for name, value in values.items())


def _sign_token(token: str, secret: bytes) -> str:
    """Return 32 bytes in Base64 that nobody can know without `secret`.

    A `+` is always among them: it is what breaks, at Azure too, when a client decodes `%2B` once too often.
    """
    signature, turn = "", 0
    while "+" not in signature:
        digest = hashlib.blake2b(b"%d %s" % (turn, token.encode()), digest_size=32, key=secret).digest()
        signature, turn = base64.b64encode(digest).decode(), turn + 1
    return signature


_DAY: Final = 86400  # seconds for which a key signs, as in links of OpenAI
_MOST_PARAMETERS: Final = 100  # in a query; a link has thirteen
_MALFORMED: Final = "Signature fields not well formed."
