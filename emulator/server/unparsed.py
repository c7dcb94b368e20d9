"""Answers what is no HTTP: in the envelope of the gateway that its path means, or else in one plain line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from emulator.admin.request import PREFIX, build_error_response
from emulator.core.light_dataclass import dataclass
from emulator.messages import GatewayError, Response
from emulator.server.heads import OwnHeaders
from emulator.server.rare_warnings import warn_rarely
from emulator.session import sessions

if TYPE_CHECKING:
    from emulator.core.clock import Clock
    from emulator.validation.registry import GatewayRegistry


@dataclass(frozen=True)
class UnparsedAnswers:
    """Answers for one server; `seed` decides the request ids."""

    registry: GatewayRegistry
    clock: Clock
    seed: int

    def answer(self, data: bytes, reason: str) -> web.Response:
        """Return the answer to `data`, the first bytes of what is no HTTP for the `reason` that the parser gives."""
        if data.startswith(_TLS_HELLO):
            warn_rarely("a client speaks TLS on the plain port: its base URL has to begin with http://, not https://")
            return self._send(
                Response(400, _PLAIN, (b"This port speaks plain HTTP: use http:// in place of https://.\n",))
            )
        message = f"The request is no valid HTTP: {_shorten(reason)}"
        line = _REQUEST_LINE.match(data)
        if line is None:
            return self._send(Response(400, _PLAIN, (f"{message}\n".encode(),)))
        _, path = sessions.split_path(line[1].decode("latin-1"))
        if path == PREFIX or path.startswith(PREFIX + "/"):
            return self._send(build_error_response(400, message))
        gateway = self.registry.find_route("", path).gateway
        error = GatewayError("invalid_request", words={"status": 400, "message": message})
        now = self.clock.now()
        request_id = gateway.response_headers.ids.make_id(f"{self.seed}\nunparsed\n0", now)
        own = gateway.response_headers.make_headers(request_id, 0.0, False)
        response = gateway.render(error, request_id=request_id)
        headers = (("Access-Control-Allow-Origin", "*"), *own.items(), *response.headers)
        return self._send(Response(response.status, headers, response.body))

    def _send(self, response: Response) -> web.Response:
        headers = OwnHeaders().make_headers(self.clock.now())
        headers.update(response.headers)
        answer = web.Response(status=response.status, headers=headers, body=b"".join(response.body))
        answer.force_close()
        return answer


def _shorten(reason: str) -> str:
    """Return the parser's reason without the bytes that it quotes: they may be a key."""
    text = re.split(r"\n|:|'|\"| when reading ", reason.strip())[0].strip()
    return text[:_LONGEST] or "it cannot be parsed"


_TLS_HELLO: Final = b"\x16\x03"  # a handshake record, of any version that is called 3.x: all since SSL 3
_REQUEST_LINE: Final = re.compile(rb"[A-Za-z][A-Za-z_-]{0,19} +(/[^\s?#]{0,4000})")
_PLAIN: Final = (("Content-Type", "text/plain; charset=utf-8"),)
_LONGEST: Final = 100  # characters of a reason
