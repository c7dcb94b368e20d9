"""Headers as HTTP writes them: one line each, which ends with a line break."""

from __future__ import annotations

from collections.abc import Iterable


def format_header_lines(headers: Iterable[tuple[str, str]]) -> str:
    """Return `headers` as lines; raises ValueError for one with a line break in it, which would be another header.

    >>> format_header_lines([("Server", "image-api-emulator")])
    'Server: image-api-emulator\\r\\n'
    """
    lines = ""
    for name, value in headers:
        line = f"{name}: {value}"
        if "\n" in line or "\r" in line:
            raise ValueError(f"the header {name!r} has a line break")
        lines += f"{line}\r\n"
    return lines
