"""The page at /_emulator/, on which people look at calls: its three files, and how a browser shows the token.

The files are read when they are asked for. Nothing in them is secret, so they need no token; what they show comes from
the other paths, which do. A browser's list of events and its pictures cannot have a header of ours: there the token is
in a cookie that scripts cannot read and that other sites' pages do not send.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from emulator.admin.auth import WRONG_TOKEN, AccessDenied, format_cookie
from emulator.admin.request import PREFIX, AdminRequest, build_json_response, build_response
from emulator.messages import Response

FOLDER: Final = Path(__file__).with_name("inspector")
POLICY: Final = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
    "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "require-trusted-types-for 'script'",
    "trusted-types 'none'",
))  # fmt: skip
"""What a browser may do for the page: nothing foreign is loaded or asked, and no text becomes markup or code."""


async def get_page(request: AdminRequest) -> Response:
    """The page. Its files have addresses that are relative to the path with the slash at the end."""
    if not request.request.path.endswith("/"):
        return build_response("text/plain; charset=utf-8", b"", 308, (("Location", f"{PREFIX}/"),))
    return await _read_file("index.html", "text/html")


async def get_script(request: AdminRequest) -> Response:
    """The script of the page."""
    return await _read_file("inspector.js", "text/javascript")


async def get_style(request: AdminRequest) -> Response:
    """The style of the page."""
    return await _read_file("inspector.css", "text/css")


async def log_in(request: AdminRequest) -> Response:
    """Put the token into a cookie, so that the page's events and pictures have it; a server without one needs none."""
    auth = request.context.auth
    if auth.token is None:
        return build_json_response({"needs_token": False})
    if not auth.is_token(request.body["token"]):
        raise AccessDenied(401, WRONG_TOKEN)
    return build_json_response({"needs_token": True}, headers=(("Set-Cookie", format_cookie(auth.token, PREFIX)),))


async def _read_file(name: str, media_type: str) -> Response:
    data = await asyncio.to_thread((FOLDER / name).read_bytes)
    headers = (
        ("Content-Security-Policy", POLICY),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
    )
    return build_response(f"{media_type}; charset=utf-8", data, headers=headers)
