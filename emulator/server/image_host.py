"""Answers for the storage behind a gateway: GET and HEAD of a picture, whole or in part, until its link expires.

Nothing is stored: the URL's token holds the recipe. Anybody who has a good link gets the picture, with or without an
API key. Only a scenario makes the host difficult, and then the token says so. Answers look like those of Azure's blob
storage, where OpenAI's links lead.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from emulator.core import clock
from emulator.core.clock import Clock
from emulator.core.light_dataclass import dataclass
from emulator.image.encoder import find_isal
from emulator.image.files import MissingFile
from emulator.image.link import BadToken, HostBehavior, PictureLink, parse_token
from emulator.image.link_query import LIFETIME, FindLinkQuery, find_link_flaw, find_start
from emulator.image.recipe import FORMATS, ImageRecipe
from emulator.image.store import ImageStore
from emulator.messages import Response

if TYPE_CHECKING:
    from emulator.analysis.coverage import LinkOutcome

LinkObserver = Callable[[str, str, "LinkOutcome"], None]
"""Is called with the session of a link, the gateway that gave it, and what became of a request for it."""

PREFIX: Final = "/pictures/"
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _StorageRequest:
    """A request for a picture: its link's path and query, and the id under which the storage answers it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    id: str


class ImageHost:
    """The host of one server's pictures.

    `secret` is what the tokens are signed with; `find_link_query` returns the query of a gateway's signed links.
    """

    def __init__(self, image_store: ImageStore, clock: Clock, secret: bytes, find_link_query: FindLinkQuery) -> None:
        self._image_store = image_store
        self._clock = clock
        self.secret = secret
        self._find_link_query = find_link_query
        self.note_link: LinkObserver | None = None
        """Is told which links are followed, and which have expired; None: nobody asks."""

    async def answer(self, method: str, target: str, headers: Mapping[str, str]) -> Response:
        """Return the response to a request for `target`, a path that starts with PREFIX and perhaps a query.

        The response is bare, so that it goes out without CORS headers, where pages of other origins may not read it.
        """
        path, _, query = target.partition("?")
        link = self._parse_link(path)
        if link is not None and not await self._image_store.can_draw(link.recipe):
            link = None
        if link is not None:
            await self._clock.refresh(link.session)
        request = _StorageRequest(method, path, query, headers, _make_id(target, self._clock.now()))
        response = await self._answer(link, request)
        if _refuses(link, HostBehavior.NO_CORS):
            return replace(response, bare=True)
        return response

    def is_closed(self, path: str) -> bool:
        """Return whether pages of other origins may not read `path`; a preflight request is refused then too."""
        return path.startswith(PREFIX) and _refuses(self._parse_link(path), HostBehavior.NO_CORS)

    def _parse_link(self, path: str) -> PictureLink | None:
        """Return the link in `path`; None where its token or its ending is wrong."""
        ending = path.rpartition(".")[2]
        try:
            link = parse_token(_read_token(path), self.secret)
        except BadToken:
            return None
        if ending != FORMATS[link.recipe.served_as]:
            return None
        return link

    async def _answer(self, link: PictureLink | None, request: _StorageRequest) -> Response:
        headers = request.headers
        if request.method not in ("GET", "HEAD"):
            message = "The resource doesn't support the specified HTTP verb."
            return self._refuse(405, "UnsupportedHttpVerb", message, request.id)
        if link is None:
            return self._refuse_missing(request.id)
        if _refuses(link, HostBehavior.BROWSERS_ONLY) and not headers.get("User-Agent", "").startswith(_BROWSERS):
            return Response(403, (("Content-Type", "text/html"),), (_FORBIDDEN,))
        token = _read_token(request.path)
        flaw = find_link_flaw(self._find_link_query, link, request.query, token=token, secret=self.secret)
        if flaw is not None:
            return self._refuse(403, "AuthenticationFailed", _BAD_SIGNATURE, request.id, detail=flaw)
        now = self._clock.now(link.session)
        if now >= link.expires:
            self._note(link, "expired_link")
            return self._refuse_expired(link, now, request.id)
        tag = _make_tag(link.recipe)
        picture_headers = (
            *_storage_headers(request.id),
            ("x-ms-blob-type", "BlockBlob"),
            ("Content-Type", f"image/{link.recipe.served_as}"),
            ("ETag", tag),
            ("Last-Modified", clock.format_http_date(link.expires - LIFETIME)),
            ("Accept-Ranges", "bytes"),
            ("Cache-Control", f"private, max-age={int(link.expires - now)}"),
        )
        if _matches_tag(headers.get("If-None-Match", ""), tag):
            return Response(304, _without_type(picture_headers), (b"",))
        try:
            data = (await self._image_store.draw(link.recipe)).data
        except MissingFile:  # it was dropped just now
            return self._refuse_missing(request.id)
        if request.method == "HEAD":  # a range is for GET alone
            return Response(200, picture_headers, (data,))
        self._note(link, "link_followed")
        return _answer_range(data, picture_headers, headers, tag)

    def _note(self, link: PictureLink, outcome: LinkOutcome) -> None:
        if self.note_link is not None:
            self.note_link(link.session, link.recipe.gateway, outcome)

    def _refuse_missing(self, request_id: str) -> Response:
        return self._refuse(404, "ResourceNotFound", "The specified resource does not exist.", request_id)

    def _refuse_expired(self, link: PictureLink, now: float, request_id: str) -> Response:
        start, end, current = map(clock.format_http_date, (find_start(link), link.expires, now))
        frame = f"Start [{start}] - Expiry [{end}] - Current [{current}]"
        detail = f"Signature not valid in the specified time frame: {frame}"
        return self._refuse(403, "AuthenticationFailed", _BAD_SIGNATURE, request_id, detail=detail)

    def _refuse(self, status: int, code: str, message: str, request_id: str, detail: str | None = None) -> Response:
        """Return a refusal as Azure's storage service writes it."""
        extra = ""
        if detail is not None:
            extra = f"<AuthenticationErrorDetail>{detail}</AuthenticationErrorDetail>"
        text = (
            f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}\n'
            f"RequestId:{request_id}\nTime:{clock.format_iso(self._clock.now())}</Message>{extra}</Error>"
        )
        headers: Headers = (
            *_storage_headers(request_id),
            ("Content-Type", "application/xml"),
            ("x-ms-error-code", code),
        )
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
        return Response(416, (*_without_type(picture_headers), ("Content-Range", f"bytes */{size}")), (b"",))
    content_range = ("Content-Range", f"bytes {start}-{end}/{size}")
    return Response(206, (*picture_headers, content_range), (data[start : end + 1],))


def _make_tag(recipe: ImageRecipe) -> str:
    """Return the ETag of a picture: its recipe's digest, and the encoder where the file has other bytes with it."""
    if find_isal(recipe) is not None:
        return f'"{recipe.digest}-isal"'
    return f'"{recipe.digest}"'


def _read_token(path: str) -> str:
    """Return the token in the path of a picture."""
    return path[len(PREFIX) :].rpartition(".")[0]


def _storage_headers(request_id: str) -> Headers:
    """Return the headers of every answer of the storage."""
    return (("Server", _SERVER), ("x-ms-request-id", request_id), ("x-ms-version", _SERVICE_VERSION))


def _without_type(headers: Headers) -> Headers:
    return tuple(header for header in headers if header[0] != "Content-Type")


def _make_id(target: str, now: float) -> str:
    """Return the id of a request for `target` at `now`, spelled as a GUID. It depends on these alone."""
    digits = hashlib.blake2b(f"{now} {target}".encode("utf-8", "replace"), digest_size=16).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _refuses(link: PictureLink | None, behavior: HostBehavior) -> bool:
    """Return whether the host of `link` is difficult in this way."""
    return link is not None and link.host is not None and behavior in link.host


def _matches_tag(tags: str, tag: str) -> bool:
    """Return whether the tags of an If-None-Match header include `tag`."""
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in tags.split(","))


_SERVER: Final = "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"
_SERVICE_VERSION: Final = "2021-08-06"  # of the storage's API: the `sv` of OpenAI's links
_BAD_SIGNATURE: Final = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature."
)
_RANGE: Final = re.compile(r"bytes=(?=[0-9]|-[0-9])([0-9]{0,18})-([0-9]{0,18})")
_BROWSERS: Final = "Mozilla/"  # the User-Agent of every browser begins with it, and that of no library does
_FORBIDDEN: Final = (
    b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>\r\n<center><h1>403 Forbidden</h1></center>\r\n"
    b"<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
