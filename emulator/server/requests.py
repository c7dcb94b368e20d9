"""Reads requests: what aiohttp received becomes a Request.

Reading never refuses a request: what is wrong with a body is a field of the Request, and validation decides about it.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from emulator.core import strict_json
from emulator.messages import Request, Violation
from emulator.validation import multipart

Trouble = Violation | Literal["too_large"]


class BodyBudget:
    """Limits how many bytes of large bodies are in memory at a time; a request that brings more waits."""

    def __init__(self, capacity: int = 128 * 2**20) -> None:
        """`capacity` is enough for one of the largest calls; each may need its body's bytes three times over."""
        self._capacity = self._free = capacity
        self._changed = asyncio.Condition()

    def is_needed(self, http: web.BaseRequest, limit: int) -> bool:
        """Whether the request may have a large body that is read; other requests have nothing to reserve."""
        declared = http.content_length
        if declared is None:
            return limit > _SMALL and http.body_exists
        return _SMALL < declared <= limit and http.body_exists

    @asynccontextmanager
    async def reserve(self, http: web.BaseRequest, limit: int) -> AsyncIterator[None]:
        """Reserve the bytes of the request's body, of which at most `limit` are read."""
        if not self.is_needed(http, limit):
            yield
            return
        declared = http.content_length
        wanted = limit if declared is None else declared
        wanted = min(wanted, self._capacity)
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            async with self._changed:
                self._free += wanted
                self._changed.notify_all()


@dataclass(frozen=True)
class RequestReader:
    """Reads the requests of one server.

    A client has `timeout` seconds to send a body. `public_url` is where links lead; None: to the host that the client
    wrote.
    """

    timeout: float
    public_url: str | None

    async def read_request(self, http: web.BaseRequest, path: str, limit: int, now: float) -> Request:
        """Return the request to `path`, received at `now` (Unix seconds); a body above `limit` bytes is not kept."""
        return await self.read_body(http, self.read_head(http, path, now), limit)

    def read_head(self, http: web.BaseRequest, path: str, now: float) -> Request:
        """Return the request to `path`, received at `now` (Unix seconds), without its body."""
        return Request(
            method=http.method,
            path=path,
            query=http.raw_path.partition("?")[2],
            headers=http.headers,
            body=b"",
            json=None,
            trouble=None,
            duplicates=(),
            origin=self.public_url or _find_origin(http),
            received=now,
        )

    async def read_body(self, http: web.BaseRequest, head: Request, limit: int) -> Request:
        """Return the request with its body, if that has at most `limit` bytes."""
        headers = head.headers
        body, trouble = b"", None
        if http.body_exists:
            body, trouble = await _read_body(http, limit, self.timeout)
        value: Any = None
        duplicates: tuple[str, ...] = ()
        expected = bool(body) or http.method not in ("GET", "HEAD")
        if trouble is None and expected and "json" in headers.get("Content-Type", "").lower():
            try:
                value, duplicates = strict_json.parse_json(body)
            except strict_json.BadJson:
                trouble = "bad_json"
        return replace(head, body=body, json=value, trouble=trouble, duplicates=duplicates)

    async def read_call(self, http: web.BaseRequest, head: Request, limit: int) -> Request:
        """Return a request to a gateway: as `read_body`, and with the texts and files of a form."""
        request = await self.read_body(http, head, limit)
        content_type = request.headers.get("Content-Type", "")
        if request.trouble is not None or not multipart.is_form(content_type):
            return request
        if len(request.body) > _SMALL:
            return await asyncio.to_thread(_parse_form, request, content_type)
        return _parse_form(request, content_type)


def read_path(http: web.BaseRequest) -> str:
    """Return the path as the client spelled it, without the query."""
    target = http.raw_path
    if target[:1] != "/":  # a proxy's absolute form, or the * of OPTIONS
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.partition("?")[0]


def _parse_form(request: Request, content_type: str) -> Request:
    """Return the request with its form parsed; of a body that is no form only the beginning is kept."""
    try:
        form = multipart.parse_form(request.body, content_type)
    except multipart.BadForm as error:
        return replace(request, body=request.body[:_BEGINNING], trouble="bad_form", why=str(error))
    return replace(request, body=b"", json=dict(form.texts), duplicates=form.duplicates, uploads=form.uploads)


def _find_origin(http: web.BaseRequest) -> str:
    """Return scheme, host and port as the client wrote them; what proxies say of them comes first."""
    headers = http.headers
    host = headers.get("Host", "")
    if "X-Forwarded-Host" in headers:
        host = _first_of_chain(headers["X-Forwarded-Host"]) or host
    if not _HOST.fullmatch(host):
        host = _find_own_host(http)
    scheme = http.scheme
    if "X-Forwarded-Proto" in headers:
        forwarded = _first_of_chain(headers["X-Forwarded-Proto"])
        if forwarded in ("http", "https"):
            scheme = forwarded
    return f"{scheme}://{host}"


def _find_own_host(http: web.BaseRequest) -> str:
    """Return host and port of the socket on which the request came."""
    address = None
    if http.transport is not None:
        address = http.transport.get_extra_info("sockname")
    if isinstance(address, tuple) and len(address) == 2:
        return f"{address[0]}:{address[1]}"
    return "localhost"


def _first_of_chain(chain: str) -> str:
    """Return what the first of several proxies wrote."""
    return chain.partition(",")[0].strip()


async def _read_body(http: web.BaseRequest, limit: int, seconds: float) -> tuple[bytes, Trouble | None]:
    """Return the body, decompressed, and what is wrong with it."""
    declared = http.content_length
    if declared is not None and declared > limit:
        return b"", "too_large"
    encoding = http.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in _WINDOWS:
        return b"", "content_encoding"
    content = http.content
    try:
        if content.is_eof():  # it came together with the head
            body = content.read_nowait()
        else:
            _send_continue(http)
            async with asyncio.timeout(seconds):
                body = await _collect(content, limit)
    except TimeoutError:
        return b"", "slow_body"
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError, ValueError):
        return b"", "cut_body"
    if len(body) > limit:
        return b"", "too_large"
    window = _WINDOWS[encoding]
    if window is None:
        return body, None
    return _decompress(body, window, limit)


def _send_continue(http: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body; other expectations are met by the response itself."""
    if http.headers.get("Expect", "").lower() == "100-continue" and http.transport is not None:
        http.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _collect(content: Any, limit: int) -> bytes:
    """Return the bytes of a stream; of one that is longer than `limit`, a beginning that is longer than `limit`."""
    pieces, size = [], 0
    async for piece in content.iter_any():
        size += len(piece)
        pieces.append(piece)
        if size > limit:
            break
    return b"".join(pieces)


def _decompress(body: bytes, window: int, limit: int) -> tuple[bytes, Trouble | None]:
    """Return the decompressed body; it is decompressed here, and not by aiohttp, so that a bomb stops at `limit`."""
    decompressor = zlib.decompressobj(window)
    try:
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error:
        return b"", "cut_body"
    if len(plain) > limit:
        return b"", "too_large"
    if not decompressor.eof or decompressor.unused_data:
        return b"", "cut_body"
    return plain, None


_SMALL: Final = 2**20  # bytes; up to here a body is parsed on the event loop
_BEGINNING: Final = 4096  # bytes of a body that cannot be read
_WINDOWS: Final[Mapping[str, int | None]] = {"identity": None, "gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's `wbits` for each Content-Encoding; None: not compressed."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
