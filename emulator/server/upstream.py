"""Passes calls on to real gateways, by aiohttp's client, which is loaded with the first of them.

An upstream is trusted in nothing: what it answers is bounded in bytes, it cannot send a call elsewhere, and whatever
goes wrong becomes one of the gateway's own refusals, with a finding that says what happened.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import urllib.request
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from emulator.core.names import RESERVED_HEADER, RESERVED_KEY
from emulator.core.suggestions import describe_known, describe_unknown
from emulator.core.yaml_file import InvalidFile
from emulator.findings import Finding
from emulator.gateway.gateway import Gateway
from emulator.messages import GatewayError, Kind, Request
from emulator.session.redaction import names_a_key
from emulator.settings import UPSTREAM_KEY

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver

Headers = tuple[tuple[str, str], ...]


class UpstreamAnswer(NamedTuple):
    """What an upstream answers: status, headers that may be passed back, and the body.

    `body` is complete, or where `events` is set, empty: then the events of the stream come one by one, each with the
    blank line that ends it. Whoever takes `events` closes them.
    """

    status: int
    headers: Headers
    body: bytes
    events: AsyncGenerator[bytes] | None = None

    @property
    def content_type(self) -> str:
        """The Content-Type; empty where there is none."""
        return next((value for name, value in self.headers if name.lower() == "content-type"), "")


class UpstreamFailure(Exception):
    """Why an upstream gave no answer that can be passed back; the text says it in a few words, without any key."""

    def __init__(self, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.kind = kind

    def make_finding(self) -> Finding:
        """Return what the journal says."""
        return Finding("upstream_failed", str(self))


class UpstreamClient:
    """The client of one server. `timeout` is the seconds without a byte after which an upstream is given up.

    `bases` are the base URLs by the gateways' names, and `keys` the keys that go there in the place of the callers'.
    """

    def __init__(self, bases: Mapping[str, str], keys: Mapping[str, str], timeout: float) -> None:
        self._bases = bases
        self._keys = keys
        self._timeout = timeout
        self._session: ClientSession | None = None
        self._held = 0

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self, request: Request, headers: Mapping[str, str], body: bytes, gateway: Gateway, path: str
    ) -> UpstreamAnswer:
        """Send a call to the upstream of `gateway`, and return its answer; raises UpstreamFailure where there is none.

        `headers` are those that `choose_headers` has chosen, `body` is what came, as bytes, and `path` is the
        gateway's own.
        """
        url = self._make_url(gateway, path, request.query)
        if self._session is None:
            self._session = self._make_session()
        response = await self._open(self._session, request.method, url, headers, body)
        try:
            if 300 <= response.status < 400 and response.status != 304:
                host = _find_host(response.headers.get("Location", "")) or "another address"
                raise UpstreamFailure("upstream_error", f"it redirects to {host[:80]}, and redirects are not followed")
            passed_back = _choose_answer_headers(response)
            if response.status == 200 and response.content_type == "text/event-stream":
                return UpstreamAnswer(response.status, passed_back, b"", self._relay_events(response))
            async with asyncio.timeout(self._timeout):
                collected = await self._collect(response, LARGEST_ANSWER)
        except TimeoutError:
            response.close()
            why = f"{response.url.host} did not end its answer within {self._timeout:g} s"
            raise UpstreamFailure("upstream_timeout", why) from None
        except BaseException:
            response.close()
            raise
        return UpstreamAnswer(response.status, passed_back, collected)

    async def fetch(self, url: str, limit: int, gateway: Gateway) -> bytes:
        """Return what is behind the link to a picture, at most `limit` bytes; raises UpstreamFailure.

        The upstream of `gateway` has chosen the link: it leads to no address of a kind that the upstream has not, but
        for public ones, and no further. No key goes there.
        """
        url = quote(url, safe=_URL_LETTERS + "?#[]")
        if not url.startswith(("http://", "https://")) or not _find_host(url):
            raise UpstreamFailure("upstream_error", "a link that is no http link")
        try:
            async with asyncio.timeout(self._timeout):
                return await self._fetch(url, limit, gateway)
        except TimeoutError:
            why = f"what is behind a link did not come within {self._timeout:g} s"
            raise UpstreamFailure("upstream_timeout", why) from None

    async def _fetch(self, url: str, limit: int, gateway: Gateway) -> bytes:
        from emulator.server import link_addresses

        host = _find_host(url)
        own_host = _find_host(self._find_base(gateway))
        kinds = await link_addresses.find_kinds(own_host) | {link_addresses.PUBLIC}
        resolver: AbstractResolver | None = link_addresses.LinkResolver(kinds)
        found: frozenset[str] = frozenset()
        if link_addresses.is_address(host):
            found = frozenset({link_addresses.find_kind(host)})
        elif _find_proxy(url) is not None:  # the proxy resolves the host; this machine may not know it
            found = await link_addresses.find_kinds(host)
            resolver = None
        for kind in found - kinds:
            raise UpstreamFailure("upstream_error", f"{host[:80]} is {link_addresses.describe_refusal(kind)}")
        async with self._make_session(resolver) as session:
            response = await self._open(session, "GET", url, {"Accept": "image/*"}, b"")
            try:
                if response.status != 200:
                    raise UpstreamFailure("upstream_error", f"a link that answers {response.status}")
                return await self._collect(response, limit)
            finally:
                response.close()

    def _find_base(self, gateway: Gateway) -> str:
        """Return the base URL of the upstream of `gateway`; empty where none is known."""
        return self._bases.get(gateway.name) or next(iter(gateway.document.servers), "")

    def _make_url(self, gateway: Gateway, path: str, query: str) -> str:
        base = self._find_base(gateway)
        if not base.startswith(("http://", "https://")):
            line = f"no upstream is known: start the server with --upstream {gateway.name}=URL"
            raise UpstreamFailure("upstream_error", line)
        if not {".", ".."}.isdisjoint(re.split(r"[/\\]", unquote(unquote(path)))):
            raise UpstreamFailure("not_found", "a path that leads elsewhere, by . or .., is not passed on")
        # Some paths of a gateway may be outside of its base, so that both are told from the document's.
        root = base.rstrip("/").removesuffix(gateway.base.removeprefix(gateway.document.base))
        url = root + quote(path.removeprefix(gateway.document.base), safe=_URL_LETTERS)
        kept = [pair for pair in query.split("&") if pair and self._may_leave(pair, gateway)]
        if kept:
            url += "?" + quote("&".join(kept), safe=_URL_LETTERS + "?")
        return url

    def _may_leave(self, pair: str, gateway: Gateway) -> bool:
        """Return whether `name=value` of a query goes upstream: no reserved key does, nor one that is replaced."""
        if RESERVED_KEY in unquote(pair):
            return False
        name = unquote(pair.partition("=")[0])
        return gateway.name not in self._keys or not (names_a_key(name) or name.lower() == "key")

    def find_key(self, gateway: Gateway) -> str | None:
        """Return the key that goes to the upstream of `gateway` in the place of its callers'; None: theirs go."""
        return self._keys.get(gateway.name)

    def choose_headers(self, request: Request, gateway: Gateway, key: str | None) -> dict[str, str]:
        """Return the headers that go upstream: those of the call, but for what is between two hosts, or ours.

        `key` is the caller's. Raises GatewayError where no key can go there.
        """
        own_key = self._keys.get(gateway.name)
        if own_key is None and key is not None and key.startswith(RESERVED_KEY):
            variable = UPSTREAM_KEY + spell_variable(gateway.name)
            raise GatewayError("invalid_request", violation="upstream_key_missing", facts={"expected": variable})
        between_hosts = _list_between_hosts(request.headers.get("Connection", ""))
        kept: dict[str, str] = {}
        spelled: dict[str, str] = {}
        for name, value in request.headers.items():
            lower = name.lower()
            if lower in between_hosts or lower.startswith(_OUR_PREFIXES) or RESERVED_KEY in value:
                continue
            if lower == "content-encoding":  # the body has been decompressed
                continue
            if own_key is not None and (lower in gateway.credential_headers or names_a_key(name)):
                continue
            name = spelled.setdefault(lower, name)
            kept[name] = f"{kept[name]}, {value}" if name in kept else value
        if own_key is not None:
            credential = next(iter(gateway.credentials), None)
            name, scheme = "Authorization", "Bearer"
            if credential is not None:
                name, scheme = credential.header.title(), (credential.scheme or "").title()
            kept[name] = f"{scheme} {own_key}".lstrip()
        kept["Accept-Encoding"] = "identity"  # what is compressed could not be looked at, nor bounded as it comes
        return kept

    async def _open(
        self, session: ClientSession, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> ClientResponse:
        """Send a request and return the response when its head has come; raises UpstreamFailure."""
        import aiohttp
        from yarl import URL

        data: bytes | None = body
        if not body and method in ("GET", "HEAD"):
            data = None
        host = _find_host(url) or "the upstream"
        try:
            host = urlsplit(url).netloc.rpartition("@")[2]
            return await session.request(
                method,
                URL(url, encoded=True),
                data=data,
                headers=headers,
                skip_auto_headers=_NOT_ADDED,
                allow_redirects=False,
                proxy=_find_proxy(url),
            )
        except TimeoutError:
            raise UpstreamFailure("upstream_timeout", f"{host} did not answer within {self._timeout:g} s") from None
        except aiohttp.ClientConnectorError as error:
            why = f"{host} was not reached: {_describe_cause(error)}"
            raise UpstreamFailure("upstream_error", why) from None
        except aiohttp.ServerDisconnectedError:
            raise UpstreamFailure("upstream_error", f"{host} closed the connection without an answer") from None
        except aiohttp.ClientResponseError:
            raise UpstreamFailure("upstream_error", f"{host} answered with something that is no HTTP") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            why = f"the connection to {host} failed: {_describe_cause(error)}"
            raise UpstreamFailure("upstream_error", why) from None

    def _make_session(self, resolver: AbstractResolver | None = None) -> ClientSession:
        import aiohttp

        return aiohttp.ClientSession(
            auto_decompress=False,  # what is decompressed is bounded here
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeout, sock_read=self._timeout),
            connector=aiohttp.TCPConnector(limit=_MOST_CONNECTIONS, resolver=resolver),
            trust_env=False,  # it would also send what stands in ~/.netrc
        )

    async def _collect(self, response: ClientResponse, limit: int) -> bytes:
        """Return the whole body of a response, decompressed; raises UpstreamFailure where it is too large or cut."""
        host = response.url.host
        if (response.content_length or 0) > limit:
            raise _refuse_size(host, response.content_length, limit)
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        decompress = _make_decompressor(encoding)
        pieces: list[bytes] = []
        size = 0
        try:
            async for piece in self._read_pieces(response):
                for plain in decompress(piece):
                    size += len(plain)
                    self._held += len(plain)
                    if size > limit:
                        raise _refuse_size(host, None, limit)
                    if self._held > _MOST_HELD:
                        why = f"more than {_MOST_HELD >> 20} MiB of upstreams' answers came at a time"
                        raise UpstreamFailure("overloaded", why)
                    pieces.append(plain)
        except zlib.error:
            raise UpstreamFailure("upstream_error", f"{host} sent a body that cannot be decompressed") from None
        finally:
            self._held -= size
        return b"".join(pieces)

    async def _read_pieces(self, response: ClientResponse) -> AsyncIterator[bytes]:
        """Yield the bytes of a body as they come; raises UpstreamFailure where they end too early."""
        import aiohttp

        host = response.url.host
        try:
            async for piece in response.content.iter_any():
                yield piece
        except TimeoutError:
            why = f"{host} sent nothing for {self._timeout:g} s, in the middle of its answer"
            raise UpstreamFailure("upstream_timeout", why) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise UpstreamFailure("upstream_error", f"{host} broke off in the middle of its answer") from None

    async def _relay_events(self, response: ClientResponse) -> AsyncGenerator[bytes]:
        """Yield the events of a stream, each as soon as it has come; raises UpstreamFailure."""
        pending, total = b"", 0
        decompress = _make_decompressor(response.headers.get("Content-Encoding", "identity").strip().lower())
        try:
            async for piece in self._read_pieces(response):
                for plain in decompress(piece):
                    total += len(plain)
                    if total > LARGEST_ANSWER:
                        raise _refuse_size(response.url.host, None, LARGEST_ANSWER)
                    pending += plain
                    end = _EVENT_END.search(pending)
                    while end is not None:
                        yield pending[: end.end()]
                        pending = pending[end.end() :]
                        end = _EVENT_END.search(pending)
            if pending:
                yield pending
        except zlib.error:
            why = f"{response.url.host} sent a stream that cannot be decompressed"
            raise UpstreamFailure("upstream_error", why) from None
        finally:
            response.close()


def read_upstreams(texts: Sequence[str], gateways: Mapping[str, Gateway]) -> dict[str, str]:
    """Return the base URLs of `--upstream` by gateway; raises InvalidFile for a gateway that nobody knows."""
    bases = {}
    for text in texts:
        name, _, url = text.partition("=")
        if name not in gateways:
            raise InvalidFile(f"--upstream {text!r}: no gateway {name!r}; {describe_known(name, gateways)}")
        bases[name] = url
    return bases


def read_upstream_keys(environ: Mapping[str, str], gateways: Mapping[str, Gateway]) -> dict[str, str]:
    """Return the keys for real gateways that the environment has, by gateway.

    Raises InvalidFile where a variable stands for two gateways: the key of one would go to the other.
    """
    keys: dict[str, str] = {}
    named: dict[str, str] = {}
    for name in gateways:
        variable = UPSTREAM_KEY + spell_variable(name)
        key = environ.get(variable, "").strip()
        if not key:
            continue
        other = named.setdefault(variable, name)
        if other != name:
            raise InvalidFile(f"{variable} stands for two gateways, {other} and {name}: rename one of them")
        keys[name] = key
    return keys


def list_unknown_keys(environ: Mapping[str, str], gateways: Iterable[str]) -> list[str]:
    """Return a line for each variable with the key of a real gateway that is none of `gateways`, with the nearest."""
    known = [UPSTREAM_KEY + spell_variable(name) for name in gateways]
    unknown = sorted(name for name in environ if name.startswith(UPSTREAM_KEY) and name not in known)
    return [describe_unknown("variable", name, known) for name in unknown]


def spell_variable(gateway: str) -> str:
    """Return a gateway's name as it stands in the name of a variable."""
    return re.sub("[^A-Z0-9]", "_", gateway.upper())


def _refuse_size(host: str | None, size: int | None, limit: int) -> UpstreamFailure:
    amount = "more"
    if size is not None:
        amount = f"{size} bytes"
    return UpstreamFailure("upstream_error", f"{host} answers {amount}, and at most {limit} bytes are taken")


def _list_between_hosts(connection: str) -> frozenset[str]:
    """Return the headers that do not travel, in lower case; `connection` is the header that may name more of them."""
    return _BETWEEN_HOSTS.union(name.strip().lower() for name in connection.split(",") if name.strip())


def _choose_answer_headers(response: ClientResponse) -> Headers:
    """Return the headers that are passed back, each once."""
    between_hosts = _list_between_hosts(response.headers.get("Connection", ""))
    headers: dict[str, tuple[str, str]] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        if lower in between_hosts or lower in _NOT_PASSED_BACK or lower.startswith(_OUR_PREFIXES + _CORS_PREFIXES):
            continue
        if lower == "content-encoding" and value.strip().lower() in _WINDOWS:
            continue  # it is decompressed
        if lower in headers:
            value = f"{headers[lower][1]}, {value}"
        headers[lower] = (name, value)
    return tuple(headers.values())


def _describe_cause(error: BaseException) -> str:
    """Return why a connection failed in a few words: the system's own, or those of TLS."""
    cause = getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or 'it failed'}"
    reason = getattr(cause, "strerror", None)
    return str(reason or type(cause).__name__)[:_LONGEST_CAUSE]


def _find_host(url: str) -> str:
    """Return the host of a URL; empty where it has none, or is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _find_proxy(url: str) -> str | None:
    """Return the proxy that the environment names for a URL."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy:
        return None
    with suppress(OSError, ValueError):
        if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            return None
    return proxy


def _make_decompressor(encoding: str) -> Callable[[bytes], Any]:
    """Return what decompresses a piece of a body, step by step, so that a bomb stops at the limit."""
    window = _WINDOWS.get(encoding)
    if window is None:
        return lambda piece: (piece,)
    decompressor = zlib.decompressobj(window)

    def decompress(piece: bytes) -> Any:
        while piece:
            plain = decompressor.decompress(piece, _STEP)
            piece = decompressor.unconsumed_tail
            if plain:
                yield plain

    return decompress


LARGEST_ANSWER: Final = 64 * 2**20  # bytes; ten pictures of 1024 x 1024 in Base64 have 20 MB
_MOST_HELD: Final = 256 * 2**20  # bytes of answers that come at a time
_MOST_CONNECTIONS: Final = 100
_STEP: Final = 2**18  # bytes that are decompressed at a time
_LONGEST_CAUSE: Final = 80  # characters
_URL_LETTERS: Final = "/:@!$&'()*+,;=-._~%"
_EVENT_END: Final = re.compile(rb"\r?\n\r?\n|\r\r")
_WINDOWS: Final[Mapping[str, int]] = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""zlib's `wbits` for each Content-Encoding."""
_BETWEEN_HOSTS: Final = frozenset({
    "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "host", "content-length", "accept-encoding", "expect", "cookie", "forwarded",
    "via", "x-real-ip",
})  # fmt: skip
"""Headers that belong to one connection, or to the way up to here."""
_OUR_PREFIXES: Final = (RESERVED_HEADER.lower(), "x-forwarded-")
_CORS_PREFIXES: Final = ("access-control-",)  # the emulator has its own, for the pages that call it
_NOT_PASSED_BACK: Final = frozenset({"date", "server", "set-cookie", "strict-transport-security", "alt-svc"})
_NOT_ADDED: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that aiohttp's client would add where the call has none."""
