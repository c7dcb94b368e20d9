"""Recognizes the head of a request that differs from an earlier one on its connection in the body's length alone.

Clients send the same head again and again. To parse it takes a sixth of a call's time, and what parses it, hands the
request over, and waits for the next one takes as much again.
"""

from __future__ import annotations

from typing import Final

from aiohttp.http import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy


class KnownHead:
    """A head that aiohttp has parsed as `message`: its bytes before and behind the digits of its Content-Length."""

    __slots__ = ("_before", "_behind", "_digits", "_length", "_message")

    def __init__(self, before: bytes, digits: bytes, behind: bytes, message: RawRequestMessage) -> None:
        self._before = before
        self._behind = behind
        self._digits = digits
        self._length = int(digits)
        self._message = message

    def match(self, data: bytes) -> tuple[RawRequestMessage, bytes] | None:
        """Return the parsed head and the body, if `data` is one whole request with this head; else None."""
        before, behind = self._before, self._behind
        if not data.startswith(before):
            return None
        begin = len(before)
        end = data.find(b"\r\n", begin)
        if not data.startswith(behind, end):
            return None
        digits = data[begin:end]
        body = data[end + len(behind) :]
        if digits != self._digits and not self._change_length(digits):
            return None
        if len(body) != self._length:
            return None
        return self._message, body

    def _change_length(self, digits: bytes) -> bool:
        """Let the head have another Content-Length, if `digits` is one."""
        if not digits.isdigit() or digits.startswith(b"0") or len(digits) > _MOST_DIGITS:
            return False
        headers = CIMultiDict(self._message.headers)
        headers["Content-Length"] = digits.decode()
        raw_headers = tuple(
            (name, digits if name.lower() == b"content-length" else value) for name, value in self._message.raw_headers
        )
        self._message = self._message._replace(headers=CIMultiDictProxy(headers), raw_headers=raw_headers)
        self._digits, self._length = digits, int(digits)
        return True


def learn_head(data: bytes, message: RawRequestMessage) -> KnownHead | None:
    """Return the head of the whole request `data`, which was parsed as `message`; None where it is not recognized.

    Such are heads that are long, that have no Content-Length or two of them, or whose request does not simply end
    where its body does.
    """
    length = data.find(b"\r\n\r\n") + 4
    if message.should_close or message.chunked or message.upgrade or message.compression or length > _LONGEST:
        return None
    lengths = message.headers.getall("Content-Length", ())
    if message.method != "POST" or "Expect" in message.headers or len(lengths) != 1:
        return None
    head = data[:length]
    name = head.lower().find(b"\r\ncontent-length:")
    begin = name + len(b"\r\ncontent-length:")
    if head.startswith(b" ", begin):
        begin += 1
    end = head.find(b"\r\n", begin)
    digits = head[begin:end]
    if name < 0 or not digits.isdigit() or digits.startswith(b"0") or len(digits) > _MOST_DIGITS:
        return None
    return KnownHead(head[:begin], digits, head[end:], message)


class WholeBody:
    """A body that has come with its head, as aiohttp's handler of connections and our reader of requests ask for it."""

    __slots__ = ("_data", "total_bytes")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.total_bytes = len(data)

    def is_eof(self) -> bool:
        """Whether all has come."""
        return True

    def exception(self) -> None:
        """Return what went wrong: nothing."""

    def set_exception(self, exc: type[BaseException] | BaseException, exc_cause: BaseException | None = None) -> None:
        """Do nothing: the body can be read after the answer too; aiohttp calls this."""

    def read_nowait(self, size: int = -1) -> bytes:
        """Return all that is left."""
        data, self._data = self._data, b""
        return data


_LONGEST: Final = 4096  # bytes of a head; the openai clients' have some 600
_MOST_DIGITS: Final = 6  # of a Content-Length: larger bodies take longer to validate than their heads to parse
