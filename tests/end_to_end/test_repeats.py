"""What comes again is answered from what is known of it: with the same bytes, and the same entry in the journal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest

from emulator.core.data_folders import find_schemas
from emulator.messages import Behavior
from tests.conftest import Served
from tests.exchanges import GATEWAYS, Exchange, load_exchanges
from tests.server.test_known_heads import Connection

TIMES: Final = 4
"""How often a call is sent: the second time its verdict is known, the third its reply, the fourth all of it."""
EACH: Final = 4
"""Each fourth golden request is sent, as many differ in one value alone."""
CALLS: Final = [(gateway, "documented") for gateway in GATEWAYS] + [
    (gateway, "observed") for gateway in GATEWAYS if (find_schemas() / f"observed/{gateway}.yaml").is_file()
]


@pytest.mark.parametrize(("gateway", "behavior"), CALLS)
def test_a_call_that_comes_again_is_answered_the_same(
    serve: Callable[..., Served], gateway: str, behavior: Behavior
) -> None:
    """Golden requests, sent again and again on one connection; number and request id are all that differ."""
    served = serve(clock="frozen:2026-01-01T00:00:00Z", behavior=behavior, legacy=True, journal_entries=TIMES)
    requests = list(dict.fromkeys(_build_requests(served, gateway)))[::EACH]
    assert requests
    for number, request in enumerate(requests):
        session = f"again-{number}"
        request = request.replace(b"{session}", session.encode())
        with Connection(served) as connection:
            answers = [_leave_ids_out(connection.ask(request)) for _ in range(TIMES)]
        assert answers[:1] * TIMES == answers, request
        entries = [_leave_numbers_out(entry) for entry in served.calls(session)]
        assert entries[:1] * TIMES == entries, request


def _build_requests(served: Served, gateway: str) -> Iterator[bytes]:
    """Yield the golden requests to one gateway whose bodies are JSON of a usual length."""
    for exchange in load_exchanges(gateway):
        method, content = exchange.request.get("method", "POST"), _write_body(exchange)
        if method != "POST" or content is None or len(content) > 10_000:
            continue
        path = served.base(gateway).removeprefix(served.url) + exchange.request["path"]
        headers = {
            "Host": "images.test", "Authorization": "Bearer sk-golden", "Content-Type": "application/json",
            "X-Emulator-Session": "{session}", "Content-Length": str(len(content)),
        }  # fmt: skip
        yield "\r\n".join([f"POST {path} HTTP/1.1", *map(": ".join, headers.items()), "", ""]).encode() + content


def _write_body(exchange: Exchange) -> bytes | None:
    if "body" in exchange.request:
        return json.dumps(exchange.request["body"], ensure_ascii=False).encode("utf-8", "surrogatepass")
    text: str | None = exchange.request.get("text")
    return None if text is None else text.encode()


def _leave_ids_out(answer: bytes) -> bytes:
    """Return an answer with the request's id, and a task's, blank wherever they stand."""
    for found in re.findall(_ID, answer):
        answer = answer.replace(found, b"<id>")
    return answer


def _leave_numbers_out(entry: Mapping[str, Any]) -> bytes:
    """Return an entry of the journal without what differs from call to call."""
    task = entry["task"] and {**entry["task"], "call": 0}
    return _leave_ids_out(json.dumps({**entry, "number": 0, "turn": 0, "task": task}).encode())


_ID: Final = re.compile(rb"""(?i)(?:request[-_]id|\\?"id|task_id)(?:\\?": ?\\?"|: )([A-Za-z0-9_-]{20,})""")
