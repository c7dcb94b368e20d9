"""Sending responses: what the journal hears of one that its client did not take."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from emulator.messages import Response
from emulator.server import responses


@pytest.mark.parametrize(
    ("method", "error", "sent_bytes"),
    [("POST", None, 3), ("HEAD", None, 0), ("POST", ConnectionResetError(), 0)],
    ids=["written before the client left", "no body", "not written"],
)
async def test_bytes_of_a_small_answer_whose_client_left(
    monkeypatch: pytest.MonkeyPatch, method: str, error: Exception | None, sent_bytes: int
) -> None:
    """Those that were written before count, as they do for a large answer."""

    class Outgoing:
        def __init__(self, **_: Any) -> None: ...

        async def prepare(self, http: Any) -> None: ...

        async def write_eof(self) -> None:
            if error is not None:
                raise error

    monkeypatch.setattr(web, "Response", Outgoing)
    http: Any = SimpleNamespace(method=method, transport=None)
    _, count, complete = await responses._send_body(http, Response(200, (), (b"abc",)), {}, False)
    assert (sent_bytes, False) == (count, complete)
