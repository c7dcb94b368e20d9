"""What a session may spend, by its own clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.conftest import Served

AT = "frozen:2026-01-01T00:00:45Z"


@pytest.fixture
def limited(serve: Callable[..., Served]) -> Callable[..., Served]:
    """A server on a clock that stands still a quarter of a minute before the full one, with limits for session s."""

    def begin(**limits: Any) -> Served:
        served = serve(clock=AT)
        reply = httpx.put(f"{served.url}/_emulator/sessions/s/scenario", json={"limits": limits, "rules": []})
        assert 200 == reply.status_code, reply.text
        return served

    return begin


def _ask(served: Served, n: int = 1, session: str = "s") -> httpx.Response:
    return served.generate("ezmodel", {"prompt": "x", "n": n}, **{"x-emulator-session": session})


def test_requests_a_minute(limited: Callable[..., Served]) -> None:
    """The third of two is refused with the wait that is left; when it has passed, the next is answered."""
    served = limited(requests_per_minute=2)
    replies = [_ask(served) for _ in range(3)]
    assert [200, 200, 429] == [reply.status_code for reply in replies]
    assert ("15", "15000") == (replies[2].headers["retry-after"], replies[2].headers["retry-after-ms"])
    assert "Please try again in 15s" in replies[2].json()["error"]["message"]
    assert 200 == _ask(served, session="another").status_code
    httpx.post(f"{served.url}/_emulator/clock", json={"advance": "15s", "session": "s"})
    assert 200 == _ask(served).status_code


def test_pictures_a_minute_and_in_all(limited: Callable[..., Served]) -> None:
    """Pictures count by n; a refused call spends none; in all, the quota's own words are used."""
    served = limited(images_per_minute=5, images=7)
    assert [200, 429, 200] == [_ask(served, n).status_code for n in (4, 2, 1)]
    httpx.post(f"{served.url}/_emulator/clock", json={"advance": "1m"})
    spent = _ask(served, 3)
    assert (429, "insufficient_quota") == (spent.status_code, spent.json()["error"]["code"])
    assert 200 == _ask(served, 2).status_code
    assert "limits: images 7" == served.calls("s")[-2]["refused"]["rule"]


def test_a_breach_of_the_contract_spends_nothing(limited: Callable[..., Served]) -> None:
    """What the contract refuses does not count."""
    served = limited(requests_per_minute=1)
    assert [400, 200, 429] == [_ask(served, n).status_code for n in (99, 1, 1)]


@pytest.mark.parametrize("limits", [{"images": -1}, {"images": True}, {"images": "5"}, {"pictures": 5}, []])
def test_limits_that_are_none(serve: Callable[..., Served], limits: Any) -> None:
    """They are refused when they are given, with the line and the known words."""
    reply = httpx.put(f"{serve().url}/_emulator/sessions/s/scenario", json={"limits": limits})
    assert 400 == reply.status_code
    assert "scenario:1: " in reply.json()["error"]["message"]
