"""Answers for the storage service behind a gateway: GET and HEAD of a picture's URL, whole or in part, for an hour.

Nothing is stored: the URL's token is the recipe. Whoever holds a good token gets the picture, with or without a key;
only a script makes the host difficult, and the token says how.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from emulator.core import clock
from emulator.core.clock import Clock
from emulator.image import recipe
from emulator.image.recipe import FORMATS, BadToken, HostBehavior, PictureLink
from emulator.image.store import ImageStore
from emulator.messages import Response
from emulator.response.builder import LIFETIME

PREFIX: Final = "/pictures/"


class ImageHost:
    """The pictures' side of one server; `secret` is what the URLs are signed with."""

    def __init__(self, image_store: ImageStore, clock: Clock, secret: bytes) -> None:
        self._image_store = image_store
        self._clock = clock
        self.secret = secret

    async def answer(self, method: str, path: str, headers: Mapping[str, str], request_id: str) -> Response:
        """The reply to a request for `path`, which starts with PREFIX; one that no page may read is bare."""
        link = self._link(path)
        if link is not None:
            await self._clock.refresh(link.session)
        response = await self._answer(link, method, headers, request_id)
        return replace(response, bare=True) if _has(link, HostBehavior.NO_CORS) else response

    def is_closed(self, path: str) -> bool:
        """Whether pages of other origins may not read what is at `path`, even if they ask before."""
        return path.startswith(PREFIX) and _has(self._link(path), HostBehavior.NO_CORS)

    def _link(self, path: str) -> PictureLink | None:
        """What the token in `path` says, if that is whole and can be drawn."""
        token, dot, ending = path[len(PREFIX) :].rpartition(".")
        try:
            link = recipe.read(token if dot else "", self.secret)
        except BadToken:
            return None
        return link if ending == FORMATS[link.recipe.served_as] and self._image_store.can_draw(link.recipe) else None

    async def _answer(
        self, link: PictureLink | None, method: str, headers: Mapping[str, str], request_id: str
    ) -> Response:
        if method not in ("GET", "HEAD"):
            words = "The resource doesn't support the specified HTTP verb."
            return self._failure(405, "UnsupportedHttpVerb", words, request_id)
        if link is None:
            return self._failure(404, "ResourceNotFound", "The specified resource does not exist.", request_id)
        if _has(link, HostBehavior.BROWSERS_ONLY) and not headers.get("User-Agent", "").startswith(_BROWSERS):
            return Response(403, (("Content-Type", "text/html"),), (_FORBIDDEN,))
        now = self._clock.now(link.session)
        if now >= link.expires:
            return self._expired(link.expires, now, request_id)
        tag = f'"{link.recipe.digest}"'
        usual = (
            ("Content-Type", f"image/{link.recipe.served_as}"),
            ("ETag", tag),
            ("Last-Modified", clock.format_http_date(link.expires - LIFETIME)),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", f"private, max-age={int(link.expires - now)}"),
        )
        if _names(headers.get("If-None-Match", ""), tag):
            return Response(304, usual[1:], (b"",))
        data = (await self._image_store.draw(link.recipe)).data
        if method == "HEAD":  # a range is for GET alone
            return Response(200, usual, (data,))
        return _partial(data, usual, headers, tag)

    def _expired(self, expires: int, now: float, request_id: str) -> Response:
        span = (
            f"Signature not valid in the specified time frame: Start [{clock.format_http_date(expires - LIFETIME)}] - "
            f"Expiry [{clock.format_http_date(expires)}] - Current [{clock.format_http_date(now)}]"
        )
        words = (
            "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
            "correctly including the signature."
        )
        return self._failure(403, "AuthenticationFailed", words, request_id, span)

    def _failure(self, status: int, code: str, words: str, request_id: str, detail: str | None = None) -> Response:
        """A refusal as Azure's storage writes it."""
        extra = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>" if detail else ""
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{words}\n'
            f"RequestId:{request_id}\nTime:{clock.format_iso(self._clock.now())}</Message>{extra}</Error>"
        )
        allow = (("Allow", "GET, HEAD, OPTIONS"),) if status == 405 else ()
        return Response(
            status, (("Content-Type", "application/xml"), ("x-ms-error-code", code), *allow), (text.encode(),)
        )


def _partial(data: bytes, usual: tuple[tuple[str, str], ...], headers: Mapping[str, str], tag: str) -> Response:
    """The whole of `data`, or the one range that is asked for."""
    wanted = _RANGE.fullmatch(headers.get("Range", "").strip())
    if wanted is None or headers.get("If-Range", tag) != tag:
        return Response(200, usual, (data,))
    first, last = wanted.groups()
    size = len(data)
    if first:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
    else:
        start, end = max(0, size - int(last)), size - 1
    if start > end or start >= size:
        return Response(416, (*usual[1:], ("Content-Range", f"bytes */{size}")), (b"",))
    return Response(206, (*usual, ("Content-Range", f"bytes {start}-{end}/{size}")), (data[start : end + 1],))


def _has(link: PictureLink | None, manner: HostBehavior) -> bool:
    """Whether a script wants the host of `link` to be difficult in this way."""
    return link is not None and link.host is not None and manner in link.host


def _names(tags: str, tag: str) -> bool:
    """Whether an If-None-Match names `tag`."""
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in tags.split(","))


_RANGE: Final = re.compile(r"bytes=(?=[0-9]|-[0-9])([0-9]{0,18})-([0-9]{0,18})")
_BROWSERS: Final = "Mozilla/"  # so begins the User-Agent of every browser, and of no library
_FORBIDDEN: Final = (
    b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
