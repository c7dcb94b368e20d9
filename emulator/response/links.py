"""Writes the links to the pictures of a reply."""

from __future__ import annotations

from emulator.image.link import HostBehavior, SealedRecipe
from emulator.image.link_query import LinkQuery, compute_start
from emulator.image.recipe import FORMATS


def write_link(
    sealed: SealedRecipe,
    image_format: str,
    *,
    origin: str,
    session: str,
    expires: int,
    query: LinkQuery | None,
    secret: bytes,
    host: HostBehavior | None = None,
) -> str:
    """Return the URL at `origin` of a picture that is served as `image_format`; with a `query` it is signed by that.

    `secret` signs, `expires` is in Unix seconds, and `host` is set where a scenario makes the pictures' host difficult.
    """
    token = sealed.format_token(session, expires, host=host, signed=query is not None)
    url = f"{origin}/pictures/{token}.{FORMATS[image_format]}"
    if query is None:
        return url
    start = compute_start(expires, signed=True)
    return f"{url}?{query.write(token, secret, start=start, expires=expires, image_format=image_format)}"
