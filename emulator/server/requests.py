"""Reads requests: what aiohttp received becomes a Request.

Reading never refuses a request: what is wrong with a body is a field of the Request, and validation decides about it.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, Literal

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from emulator.core import strict_json
from emulator.core.light_dataclass import dataclass
from emulator.core.strict_json import LARGE
from emulator.gateway.openapi import JSON
from emulator.messages import Request, Violation
from emulator.server.connection import enter_task
from emulator.validation import multipart
from emulator.validation.uploads import count_picture_characters

Trouble = Violation | Literal["too_large"]


class BodyBudget:
    """Bounds how many bytes of large bodies are in memory at a time: those that came, decompressed, and none promised.

    What comes when there is no room waits. One of those who wait may go beyond the capacity, so that whoever has begun
    can end; and a client that sends nothing while others wait for a second is cut off.
    """

    def __init__(self, capacity: int = 64 * 2**20) -> None:
        """`capacity` is enough for one of the largest pictures; a call may need its body's bytes three times over."""
        self._capacity = capacity
        self._used = 0
        self._changed = asyncio.Condition()
        self._beyond: BodyShare | None = None
        self._shares: set[BodyShare] = set()

    def is_needed(self, http: web.BaseRequest, limit: int) -> bool:
        """Whether the request may have a large body that is read; other requests take no room."""
        if limit <= LARGE or not http.body_exists:
            return False
        declared = http.content_length
        return declared is None or declared > LARGE or "Content-Encoding" in http.headers

    @asynccontextmanager
    async def open_share(self) -> AsyncIterator[BodyShare]:
        """Let one request take room; what it has taken is free again afterwards."""
        share = BodyShare(self)
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.discard(share)
            async with self._changed:
                self._used -= share.taken
                if self._beyond is share:
                    self._beyond = None
                self._changed.notify_all()

    async def take_room(self, share: BodyShare, size: int) -> None:
        """Give `share` room for `size` bytes, as soon as there is some."""
        if not self._admits(share, size):
            await enter_task()
            async with self._changed:
                while not self._admits(share, size):
                    try:
                        async with asyncio.timeout(_PATIENCE):
                            await self._changed.wait()
                    except TimeoutError:
                        self._cut_off_idle()
        self._used += size
        share.taken += size

    def _admits(self, share: BodyShare, size: int) -> bool:
        if self._used + size <= self._capacity or self._beyond is share:
            return True
        if self._beyond is None:
            self._beyond = share
        return self._beyond is share

    def _cut_off_idle(self) -> None:
        """Cut off the clients that hold room and have sent nothing for as long as others waited."""
        for share in self._shares:
            if share.taken and share.is_idle(_PATIENCE):
                share.cut_off()


@dataclass(eq=False)
class BodyShare:
    """The room that one request has taken. While its client is waited for, `deadline` ends the wait."""

    budget: BodyBudget
    taken: int = 0
    deadline: asyncio.Timeout | None = None
    waits_since: float | None = None

    async def take(self, size: int) -> None:
        """Take room for bytes that came; the time until there is some is not the client's."""
        loop = asyncio.get_running_loop()
        began, self.waits_since = loop.time(), None
        ends = None
        if self.deadline is not None:
            ends = self.deadline.when()
            self.deadline.reschedule(None)
        await self.budget.take_room(self, size)
        now = self.waits_since = loop.time()
        if self.deadline is not None and ends is not None:
            self.deadline.reschedule(ends + now - began)

    def is_idle(self, seconds: float) -> bool:
        """Whether the client has been waited for that long."""
        return self.waits_since is not None and asyncio.get_running_loop().time() - self.waits_since >= seconds

    def cut_off(self) -> None:
        """End the wait for the client, as if its time were over."""
        if self.deadline is not None:
            self.deadline.reschedule(asyncio.get_running_loop().time())
            self.waits_since = None


@dataclass(frozen=True)
class RequestReader:
    """Reads the requests of one server.

    A client has `timeout` seconds to send a body. `public_url` is where links lead; None: to the host that the client
    wrote.
    """

    timeout: float
    public_url: str | None

    async def read_request(self, http: web.BaseRequest, path: str, *, query: str, limit: int, now: float) -> Request:
        """Return the request to `path`, received at `now` (Unix seconds); a body above `limit` bytes is not kept."""
        return await self.read_body(http, self.read_head(http, path, query=query, now=now), limit)

    async def read_unparsed(self, http: web.BaseRequest, path: str, *, query: str, limit: int, now: float) -> Request:
        """Return the same request with the bytes of its body, whatever they are: they may be many, and no picture."""
        head = self.read_head(http, path, query=query, now=now)
        if not http.body_exists:
            return head
        body, trouble = await _read_body(http, limit, self.timeout, None)
        return head._replace(body=body, trouble=trouble)

    def read_head(self, http: web.BaseRequest, path: str, *, query: str, now: float) -> Request:
        """Return the request to `path`, received at `now` (Unix seconds), without its body."""
        return Request(
            method=http.method,
            path=path,
            query=query,
            headers=http.headers,
            body=b"",
            json=None,
            trouble=None,
            duplicates=(),
            origin=self._find_origin(http),
            received=now,
        )

    def read_at_once(self, http: web.BaseRequest, path: str, *, query: str, limit: int, now: float) -> Request | None:
        """Return the request to `path` with its body, where a short JSON has come together with the head; else None.

        Most calls are such: nothing has to be waited for, decompressed, or bounded.
        """
        headers, content, method = http.headers, http.content, http.method
        content_type = headers.get("Content-Type", "")
        is_json = content_type == JSON or "json" in content_type.lower()
        is_short = content.total_bytes <= min(limit, _PARSED_AT_ONCE)
        if not content.is_eof() or content.exception() is not None or not is_short or "Content-Encoding" in headers:
            return None
        if content_type and not is_json:
            return None
        body = content.read_nowait()
        value, duplicates, trouble, why = None, _NO_NAMES, None, ""
        if is_json and (body or method not in ("GET", "HEAD")):
            try:
                value, duplicates = strict_json.parse_json(body)
            except strict_json.BadJson as error:
                trouble, why = _BAD_JSON, str(error)
        return Request(
            method=method,
            path=path,
            query=query,
            headers=headers,
            body=body,
            json=value,
            trouble=trouble,
            duplicates=duplicates,
            origin=self._find_origin(http),
            received=now,
            why=why,
        )

    def _find_origin(self, http: web.BaseRequest) -> str:
        """Return scheme, host and port for links: `public_url`, or what the client wrote."""
        if self.public_url is not None:
            return self.public_url
        headers = http.headers
        if "X-Forwarded-Host" in headers or "X-Forwarded-Proto" in headers:
            return _find_forwarded_origin(http)
        return _format_origin(http.scheme, headers.get("Host", "")) or f"{http.scheme}://{_find_own_host(http)}"

    async def read_body(
        self, http: web.BaseRequest, head: Request, limit: int, share: BodyShare | None = None, *, keep: bool = False
    ) -> Request:
        """Return the request with its body, if that has at most `limit` bytes, which take room in `share`.

        The bytes of a large body that was parsed are not kept, unless `keep` says so.
        """
        body, trouble = b"", None
        if http.body_exists:
            body, trouble = await _read_body(http, limit, self.timeout, share)
        expected = bool(body) or http.method not in ("GET", "HEAD")
        if trouble is not None or not expected or "json" not in head.headers.get("Content-Type", "").lower():
            return head._replace(body=body, trouble=trouble)
        owned = [body]
        if len(body) > _PARSED_AT_ONCE:
            if len(body) > LARGE and not keep:
                body = b""  # the one reference is in `owned`
            parsed = await asyncio.to_thread(_parse_json, owned)
        else:
            parsed = _parse_json(owned)
        return head._replace(
            body=body or parsed.beginning,
            json=parsed.value,
            trouble=parsed.trouble,
            duplicates=parsed.duplicates,
            why=parsed.why,
        )

    async def read_call(
        self, http: web.BaseRequest, head: Request, limit: int, share: BodyShare | None = None, *, keep: bool = False
    ) -> Request:
        """Return a request to a gateway: as `read_body`, and with the texts and files of a form.

        With `keep` the request has the bytes of its body too, whatever was parsed of them.
        """
        request = await self.read_body(http, head, limit, share, keep=keep)
        content_type = request.headers.get("Content-Type", "")
        if request.trouble is not None or not multipart.is_form(content_type):
            return request
        if len(request.body) > LARGE:
            parsed = await asyncio.to_thread(_parse_form, request, content_type)
        else:
            parsed = _parse_form(request, content_type)
        if keep and parsed.trouble is None:
            return parsed._replace(body=request.body)
        return parsed


@dataclass(frozen=True)
class _ParsedJson:
    """The JSON of a body, or what is wrong with it and why; of a large one that is broken, the beginning is kept."""

    value: Any = None
    duplicates: tuple[str, ...] = ()
    trouble: Violation | None = None
    why: str = ""
    beginning: bytes = b""


def _parse_json(owned: list[bytes]) -> _ParsedJson:
    """Parse the one body in `owned`, which is taken out of it."""
    beginning = owned[0][:_JSON_BEGINNING]
    is_large = len(owned[0]) > LARGE
    try:
        value, duplicates = strict_json.take_json(owned)
    except strict_json.BadJson as error:
        return _ParsedJson(trouble=_BAD_JSON, why=str(error), beginning=beginning)
    if is_large and _count_characters(value) > multipart.LONGEST_TEXT:
        why = f"more than {multipart.LONGEST_TEXT} characters that are no picture"
        return _ParsedJson(trouble=_BAD_JSON, why=why, beginning=beginning)
    return _ParsedJson(value=value, duplicates=duplicates)


def _count_characters(value: Any) -> int:
    """Return how many characters the texts in a body have, but for those that stand for pictures."""
    left, count = [value], 0
    while left:
        part = left.pop()
        if isinstance(part, str):
            count += len(part)
        elif isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            left += part
            left += part.values()
    if isinstance(value, Mapping):
        count -= count_picture_characters(value)
    return count


def _parse_form(request: Request, content_type: str) -> Request:
    """Return the request with its form parsed; of a body that is no form only the beginning is kept."""
    try:
        form = multipart.parse_form(request.body, content_type)
    except multipart.BadForm as error:
        return request._replace(body=request.body[:_BEGINNING], trouble="bad_form", why=str(error))
    return request._replace(body=b"", json=dict(form.texts), duplicates=form.duplicates, uploads=form.uploads)


def _find_forwarded_origin(http: web.BaseRequest) -> str:
    """Return scheme, host and port as proxies say that the client wrote them."""
    headers = http.headers
    host = _first_of_chain(headers.get("X-Forwarded-Host", "")) or headers.get("Host", "")
    scheme = http.scheme
    forwarded = _first_of_chain(headers.get("X-Forwarded-Proto", ""))
    if forwarded in ("http", "https"):
        scheme = forwarded
    return _format_origin(scheme, host) or f"{scheme}://{_find_own_host(http)}"


@lru_cache(maxsize=256)  # clients name few hosts, again and again
def _format_origin(scheme: str, host: str) -> str:
    """Return `scheme` and `host` as the beginning of a URL; empty where that is no host."""
    if not _HOST.fullmatch(host):
        return ""
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


async def _read_body(
    http: web.BaseRequest, limit: int, seconds: float, share: BodyShare | None
) -> tuple[bytes, Trouble | None]:
    """Return the body, decompressed, and what is wrong with it."""
    declared = http.content_length
    if declared is not None and declared > limit:
        return b"", "too_large"
    encoding = http.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in _WINDOWS:
        return b"", "content_encoding"
    content = http.content
    collected = _CollectedBody(limit, _WINDOWS[encoding], share)
    try:
        if content.is_eof():  # it came together with the head
            await collected.add(content.read_nowait())
        elif http.transport is None:  # the client has left before we began to read
            return b"", "cut_body"
        else:
            _send_continue(http)
            async with asyncio.timeout(seconds) as deadline:
                if share is not None:
                    share.deadline, share.waits_since = deadline, asyncio.get_running_loop().time()
                await collected.add_all(content)
    except TimeoutError:
        return b"", "slow_body"
    except (web.RequestPayloadError, HttpProcessingError, ConnectionError, ValueError, zlib.error):
        return b"", "cut_body"
    finally:
        if share is not None:
            share.deadline = share.waits_since = None
    return collected.finish()


def _send_continue(http: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body; other expectations are met by the response itself."""
    if http.headers.get("Expect", "").lower() == "100-continue" and http.transport is not None:
        http.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class _CollectedBody:
    """Collects the bytes of a body as they come, decompressed; it stops as soon as there are more than `limit`.

    They are decompressed here, and not by aiohttp, so that a bomb stops at the limit.
    """

    def __init__(self, limit: int, window: int | None, share: BodyShare | None) -> None:
        self._limit = limit
        self._share = share
        self._decompressor = None if window is None else zlib.decompressobj(window)
        self._pieces: list[bytes] = []
        self._size = self._received = 0

    @property
    def is_too_large(self) -> bool:
        """Whether there are more bytes than the limit, as they came or decompressed."""
        return max(self._size, self._received) > self._limit

    async def add_all(self, content: Any) -> None:
        """Add all bytes of a stream, or so many of them that there are too many."""
        async for piece in content.iter_any():
            await self.add(piece)
            if self.is_too_large:
                return

    async def add(self, piece: bytes) -> None:
        """Add bytes as they came; raises zlib.error."""
        self._received += len(piece)
        if self._decompressor is None:
            await self._keep(piece)
            return
        is_done = False
        while not is_done and not self.is_too_large:
            plain = self._decompressor.decompress(piece, _STEP)
            piece = self._decompressor.unconsumed_tail
            is_done = not piece and len(plain) < _STEP
            await self._keep(plain)
            if not is_done:
                await asyncio.sleep(0)  # others have their turn between the steps

    async def _keep(self, plain: bytes) -> None:
        if self._share is not None and plain:
            await self._share.take(len(plain))
        self._size += len(plain)
        self._pieces.append(plain)

    def finish(self) -> tuple[bytes, Trouble | None]:
        """Return the body and what is wrong with it."""
        if self.is_too_large:
            return b"", "too_large"
        decompressor = self._decompressor
        if decompressor is not None and (not decompressor.eof or decompressor.unused_data):
            return b"", "cut_body"
        if len(self._pieces) == 1:
            return self._pieces[0], None
        return b"".join(self._pieces), None


_NO_NAMES: Final[tuple[str, ...]] = ()
_BAD_JSON: Final[Violation] = "bad_json"
_PARSED_AT_ONCE: Final = 2**16  # bytes of JSON; up to here they are parsed on the event loop
_STEP: Final = 2**18  # bytes that are decompressed at a time, in about a millisecond
_PATIENCE: Final = 1.0  # seconds that others wait before a client that sends nothing is cut off
_BEGINNING: Final = 4096  # bytes of a body that cannot be read
_JSON_BEGINNING: Final = 2**14  # bytes; as many as the scan in the words of Go's decoder looks at
_WINDOWS: Final[Mapping[str, int | None]] = {"identity": None, "gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's `wbits` for each Content-Encoding; None: not compressed."""
_HOST: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
