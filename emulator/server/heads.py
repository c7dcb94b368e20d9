"""Makes the heads of answers: the headers of the server and of the gateway, once as a mapping and once as text.

Most answers need the text alone; what they have in common is formatted once a second.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from emulator.core import clock
from emulator.core.header_lines import format_header_lines

CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "X-Request-Id, X-Emulator-Finding, ETag, Content-Range, Retry-After, *",
}
"""The headers that let a page of another origin read an answer; `*` stands for those that gateways add."""


NAMES: Final = frozenset({
    "date", "server", "content-type", "content-length", "connection", "x-emulator-finding",
    *(name.lower() for name in CORS),
})  # fmt: skip
"""The headers that this package gives an answer, in lower case; a gateway's own of such a name takes its place."""


class OwnHeaders:
    """The headers that one server puts into every answer."""

    def __init__(self) -> None:
        self._second = -1
        self._headers: dict[str, str] = {}
        self._lines = ""

    def make_headers(self, now: float) -> dict[str, str]:
        """Return the headers by name, at `now` (Unix seconds)."""
        self._follow_clock(now)
        return dict(self._headers)

    def format_lines_with_cors(self, now: float) -> str:
        """Return the lines of the same headers and of CORS."""
        self._follow_clock(now)
        return self._lines

    def _follow_clock(self, now: float) -> None:
        second = int(now)
        if second != self._second:
            self._second = second
            self._headers = {"Date": clock.format_http_date(second), "Server": _SERVER}
            self._lines = format_header_lines((*self._headers.items(), *CORS.items()))


def format_status_line(version: tuple[int, int], status: int) -> str:
    """Return the first line of an answer."""
    major, minor = version
    return f"HTTP/{major}.{minor} {status} {find_reason(status)}\r\n"


def find_reason(status: int) -> str:
    """Return the words behind a status; none for a status that HTTP does not know."""
    return _REASONS.get(status, "")


_REASONS: Final = {
    **{status.value: status.phrase for status in HTTPStatus},
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}
"""The four are what the servers of gateways write (Go, nginx); Python has other words for them from 3.13 on."""
_SERVER: Final = "image-api-emulator"
