"""Between aiohttp and the other rooms: a request becomes a Request, a Reply becomes bytes.

Reading never refuses: what is wrong with a body is said in the Request, and the contract judges it.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from emulator.core import strict_json
from emulator.messages import Request, Response, Violation
from emulator.validation import multipart

Trouble = Violation | Literal["too_large"]
PATIENCE: Final = 30.0  # seconds


@dataclass(frozen=True)
class Bounds:
    """What a client may send: `seconds` to send a body, and where links lead (None: as the client wrote the host)."""

    seconds: float
    public_url: str | None


class Freight:
    """How many bytes of large bodies may be in the house at a time; a call that brings more waits for room."""

    def __init__(self, capacity: int = 128 * 2**20) -> None:
        """`capacity` is enough for one of the largest calls; each may hold its body three times while it is read."""
        self._capacity = self._free = capacity
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def room(self, request: web.BaseRequest, limit: int) -> AsyncIterator[None]:
        """Room for the body of `request`, of which at most `limit` bytes are read."""
        declared = request.content_length
        wanted = min(limit if declared is None else declared, self._capacity)
        if wanted <= _SMALL or not request.body_exists or (declared or 0) > limit:  # that is refused unread
            yield
            return
        async with self._changed:
            await self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            async with self._changed:
                self._free += wanted
                self._changed.notify_all()


async def read(request: web.BaseRequest, path: str, limit: int, bounds: Bounds, now: float) -> Request:
    """`request` as a Request; a body of more than `limit` bytes is not kept."""
    headers = request.headers
    body, trouble = await _body(request, limit, bounds.seconds) if request.body_exists else (b"", None)
    value: Any = None
    duplicates: tuple[str, ...] = ()
    expected = bool(body) or request.method not in ("GET", "HEAD")
    if trouble is None and expected and "json" in headers.get("Content-Type", "").lower():
        try:
            value, duplicates = strict_json.parse_json(body)
        except strict_json.BadJson:
            trouble = "bad_json"
    return Request(
        method=request.method,
        path=path,
        query=_query(request),
        headers=headers,
        body=body,
        json=value,
        trouble=trouble,
        duplicates=duplicates,
        origin=bounds.public_url or _origin(request),
        received=now,
    )


async def unfolded(raw: Request) -> Request:
    """`raw` with the texts and files of its body, if that calls itself a form."""
    kind = raw.headers.get("Content-Type", "")
    if raw.trouble is not None or not multipart.is_form(kind):
        return raw
    return await asyncio.to_thread(_unfolded, raw, kind) if len(raw.body) > _SMALL else _unfolded(raw, kind)


def _unfolded(raw: Request, kind: str) -> Request:
    """The body is let go of, but for the beginning of one that is no form."""
    try:
        form = multipart.parse(raw.body, kind)
    except multipart.BadForm as error:
        return replace(raw, body=raw.body[:_SHOWN], trouble="bad_form", why=str(error))
    return replace(raw, body=b"", json=dict(form.texts), duplicates=form.twice, uploads=form.uploads)


async def send(
    request: web.BaseRequest, reply: Response, headers: Mapping[str, str], close: bool
) -> tuple[web.StreamResponse, bool]:
    """Send `reply` with `headers` beside its own; the response, and whether the client took all of it."""
    body = reply.body[0] if len(reply.body) == 1 else b"".join(reply.body)
    response = web.Response(status=reply.status, headers={**headers, **dict(reply.headers)}, body=body)
    if close:
        response.force_close()
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:
        return response, False
    return response, True


async def stream(
    request: web.BaseRequest, headers: Mapping[str, str], pieces: AsyncGenerator[bytes]
) -> web.StreamResponse:
    """Send `pieces` as they come, until they end or the client leaves; an empty one only looks whether it has.

    A client that takes nothing for PATIENCE seconds has left, as far as we are concerned.
    """
    response = web.StreamResponse(headers=headers)
    async with aclosing(pieces):
        try:
            piece: bytes | None = await anext(pieces, None)
            await response.prepare(request)
            while piece is not None and request.transport is not None:
                if piece:
                    async with asyncio.timeout(PATIENCE):
                        await response.write(piece)
                piece = await anext(pieces, None)
            await response.write_eof()
        except (ConnectionError, TimeoutError):
            response.force_close()
            if request.transport is not None:
                request.transport.abort()
    return response


def path_of(request: web.BaseRequest) -> str:
    """The path as the client spelled it, without the query."""
    target = request.raw_path
    if target[:1] != "/":  # a proxy's absolute form, or the * of OPTIONS
        target = "/" + target.partition("://")[2].partition("/")[2]
    return target.partition("?")[0]


def _query(request: web.BaseRequest) -> str:
    return request.raw_path.partition("?")[2]


def _origin(request: web.BaseRequest) -> str:
    """Scheme, host and port as the client wrote them, a proxy's word for them included."""
    headers = request.headers
    host = _first(headers.get("X-Forwarded-Host")) or headers.get("Host") or ""
    if not _HOST.fullmatch(host):
        name = request.transport.get_extra_info("sockname") if request.transport else None
        host = f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) == 2 else "localhost"
    scheme = _first(headers.get("X-Forwarded-Proto"))
    return f"{scheme if scheme in ('http', 'https') else request.scheme}://{host}"


def _first(chain: str | None) -> str:
    """What the first of several proxies wrote."""
    return (chain or "").partition(",")[0].strip()


async def _body(request: web.BaseRequest, limit: int, seconds: float) -> tuple[bytes, Trouble | None]:
    """The body, decompressed, and what is wrong with it."""
    declared = request.content_length
    if declared is not None and declared > limit:
        return b"", "too_large"
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in _WINDOWS:
        return b"", "content_encoding"
    content = request.content
    try:
        if content.is_eof():  # it came together with the head
            body, whole = content.read_nowait(), True
        else:
            _let_go_on(request)
            async with asyncio.timeout(seconds):
                body, whole = await _collected(content, limit)
    except TimeoutError:
        return b"", "slow_body"
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError, ValueError):
        return b"", "cut_body"
    if not whole or len(body) > limit:
        return b"", "too_large"
    window = _WINDOWS[encoding]
    return (body, None) if window is None else _inflated(body, window, limit)


def _let_go_on(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body; other expectations are met by the answer itself."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _collected(content: Any, limit: int) -> tuple[bytes, bool]:
    """What `content` yields, and whether that is all; it stops as soon as there is more than `limit` bytes."""
    pieces, size = [], 0
    async for piece in content.iter_any():
        size += len(piece)
        if size > limit:
            return b"", False
        pieces.append(piece)
    return b"".join(pieces), True


def _inflated(body: bytes, window: int, limit: int) -> tuple[bytes, Trouble | None]:
    """A compressed body, inflated by us so that a bomb stops at `limit`."""
    inflater = zlib.decompressobj(window)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        return b"", "cut_body"
    if len(plain) > limit:
        return b"", "too_large"
    return (plain, None) if inflater.eof and not inflater.unused_data else (b"", "cut_body")


_SMALL: Final = 2**20  # bytes; a body that large comes in one piece of work
_SHOWN: Final = 4096  # bytes of a body that cannot be read
_WINDOWS: Final[Mapping[str, int | None]] = {"identity": None, "gzip": 31, "x-gzip": 31, "deflate": 15}
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
