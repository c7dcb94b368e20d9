"""Answers for the storage behind a gateway: GET and HEAD of a picture, whole or in part, until its link expires.

Nothing is stored: the URL's token holds the recipe. Anybody who has a good token gets the picture, with or without an
API key. Only a scenario makes the host difficult, and then the token says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from emulator.core import clock
from emulator.core.clock import Clock
from emulator.image.files import MissingFile
from emulator.image.link import BadToken, HostBehavior, PictureLink, parse_token
from emulator.image.recipe import FORMATS
from emulator.image.store import ImageStore
from emulator.messages import Response
from emulator.response.builder import LIFETIME

PREFIX: Final = "/pictures/"
Headers = tuple[tuple[str, str], ...]


class ImageHost:
    """The host of one server's pictures; `secret` is what the tokens are signed with."""

    def __init__(self, image_store: ImageStore, clock: Clock, secret: bytes) -> None:
        self._image_store = image_store
        self._clock = clock
        self.secret = secret

    async def answer(self, method: str, path: str, headers: Mapping[str, str], request_id: str) -> Response:
        """Return the response to a request for `path`, which starts with PREFIX.

        The response is bare, so that it goes out without CORS headers, where pages of other origins may not read it.
        """
        link = self._parse_link(path)
        if link is not None and not await self._image_store.can_draw(link.recipe):
            link = None
        if link is not None:
            await self._clock.refresh(link.session)
        response = await self._answer(link, method, headers, request_id)
        if _refuses(link, HostBehavior.NO_CORS):
            return replace(response, bare=True)
        return response

    def is_closed(self, path: str) -> bool:
        """Return whether pages of other origins may not read `path`; a preflight request is refused then too."""
        return path.startswith(PREFIX) and _refuses(self._parse_link(path), HostBehavior.NO_CORS)

    def _parse_link(self, path: str) -> PictureLink | None:
        """Return the link in `path`; None where its token or its ending is wrong."""
        token, _, ending = path[len(PREFIX) :].rpartition(".")
        try:
            link = parse_token(token, self.secret)
        except BadToken:
            return None
        if ending != FORMATS[link.recipe.served_as]:
            return None
        return link

    async def _answer(
        self, link: PictureLink | None, method: str, headers: Mapping[str, str], request_id: str
    ) -> Response:
        if method not in ("GET", "HEAD"):
            message = "The resource doesn't support the specified HTTP verb."
            return self._refuse(405, "UnsupportedHttpVerb", message, request_id)
        if link is None:
            return self._refuse_missing(request_id)
        if _refuses(link, HostBehavior.BROWSERS_ONLY) and not headers.get("User-Agent", "").startswith(_BROWSERS):
            return Response(403, (("Content-Type", "text/html"),), (_FORBIDDEN,))
        now = self._clock.now(link.session)
        if now >= link.expires:
            return self._refuse_expired(link.expires, now, request_id)
        tag = f'"{link.recipe.digest}"'
        picture_headers = (
            ("Content-Type", f"image/{link.recipe.served_as}"),
            ("ETag", tag),
            ("Last-Modified", clock.format_http_date(link.expires - LIFETIME)),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", f"private, max-age={int(link.expires - now)}"),
        )
        if _matches_tag(headers.get("If-None-Match", ""), tag):
            return Response(304, picture_headers[1:], (b"",))
        try:
            data = (await self._image_store.draw(link.recipe)).data
        except MissingFile:  # it was dropped just now
            return self._refuse_missing(request_id)
        if method == "HEAD":  # a range is for GET alone
            return Response(200, picture_headers, (data,))
        return _answer_range(data, picture_headers, headers, tag)

    def _refuse_missing(self, request_id: str) -> Response:
        return self._refuse(404, "ResourceNotFound", "The specified resource does not exist.", request_id)

    def _refuse_expired(self, expires: int, now: float, request_id: str) -> Response:
        detail = (
            f"Signature not valid in the specified time frame: Start [{clock.format_http_date(expires - LIFETIME)}] - "
            f"Expiry [{clock.format_http_date(expires)}] - Current [{clock.format_http_date(now)}]"
        )
        message = (
            "Server failed to authenticate the request. Make sure the value of Authorization header is formed "
            "correctly including the signature."
        )
        return self._refuse(403, "AuthenticationFailed", message, request_id, detail=detail)

    def _refuse(self, status: int, code: str, message: str, request_id: str, detail: str | None = None) -> Response:
        """Return a refusal as Azure's storage service writes it."""
        extra = ""
        if detail is not None:
            extra = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>"
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}\n'
            f"RequestId:{request_id}\nTime:{clock.format_iso(self._clock.now())}</Message>{extra}</Error>"
        )
        headers: Headers = (("Content-Type", "application/xml"), ("x-ms-error-code", code))
        if status == 405:
            headers += (("Allow", "GET, HEAD, OPTIONS"),)
        return Response(status, headers, (text.encode(),))


def _answer_range(data: bytes, picture_headers: Headers, headers: Mapping[str, str], tag: str) -> Response:
    """Return all of `data`, or the one range that the request asks for."""
    wanted = _RANGE.fullmatch(headers.get("Range", "").strip())
    if wanted is None or headers.get("If-Range", tag) != tag:
        return Response(200, picture_headers, (data,))
    first, last = wanted.groups()
    size = len(data)
    start, end = 0, size - 1
    if first:
        start = int(first)
        if last:
            end = min(int(last), end)
    else:  # the last bytes
        start = max(0, size - int(last))
    if start > end or start >= size:
        return Response(416, (*picture_headers[1:], ("Content-Range", f"bytes */{size}")), (b"",))
    content_range = ("Content-Range", f"bytes {start}-{end}/{size}")
    return Response(206, (*picture_headers, content_range), (data[start : end + 1],))


def _refuses(link: PictureLink | None, behavior: HostBehavior) -> bool:
    """Return whether the host of `link` is difficult in this way."""
    return link is not None and link.host is not None and behavior in link.host


def _matches_tag(tags: str, tag: str) -> bool:
    """Return whether the tags of an If-None-Match header include `tag`."""
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in tags.split(","))


_RANGE: Final = re.compile(r"bytes=(?=[0-9]|-[0-9])([0-9]{0,18})-([0-9]{0,18})")
_BROWSERS: Final = "Mozilla/"  # the User-Agent of every browser begins with it, and that of no library does
_FORBIDDEN: Final = (
    b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
