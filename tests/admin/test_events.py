"""Calls as they end: each is told once to each listener, keys blanked, and no listener holds anything up."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from emulator.session import events
from emulator.session.events import Events, TooManyListeners, Wish
from emulator.session.journal import JournalEntry
from tests.conftest import Served
from tests.process import PATIENCE, Command

BODY = {"prompt": "A cat"}


@dataclass
class Ended:
    """What a listener needs of a call that has ended."""

    number: int
    session: str = "s"
    weight: int = 1

    def to_json(self) -> dict[str, Any]:
        return {"number": self.number}


def ended(number: int, session: str = "s", weight: int = 1) -> JournalEntry:
    """A call that has ended."""
    return cast(JournalEntry, Ended(number, session, weight))


def event(number: int, session: str = "s") -> bytes:
    """How that call is told."""
    return b'event: call\nid: %b/%d\ndata: {"number":%d}\n\n' % (session.encode(), number, number)


async def begun(told: Events, session: str | None = None) -> AsyncGenerator[bytes]:
    """A listener that has had the first comment."""
    pieces = told.listen(Wish(session))
    assert b": each call as it ends\n\n" == await anext(pieces)
    return pieces


async def test_each_hears_each_call_once() -> None:
    """Two listeners hear all that ends after they began, one that wants a session only its calls."""
    told = Events()
    told.publish(ended(1))
    first, second, only = await begun(told), await begun(told), await begun(told, "other")
    told.publish(ended(2))
    told.publish(ended(1, "other"))
    for pieces in (first, second):
        assert [event(2), event(1, "other")] == [await anext(pieces), await anext(pieces)]
    assert event(1, "other") == await anext(only)


async def test_who_is_slow_is_told_what_was_dropped() -> None:
    """The queue is bounded in calls and in bytes; what does not fit is counted, and new calls are told again."""
    told = Events()
    slow = await begun(told)
    for number in range(1, events.MOST_WAITING + 4):
        told.publish(ended(number))
    assert b'event: dropped\ndata: {"dropped":3}\n\n' == await anext(slow)
    assert [event(number) for number in range(1, events.MOST_WAITING + 1)] == [
        await anext(slow) for _ in range(events.MOST_WAITING)
    ]
    half = events.MOST_WAITING_BYTES // 2 + 1
    for number in (1, 2, 3):
        told.publish(ended(number, weight=half))
    assert [b'event: dropped\ndata: {"dropped":2}\n\n', event(1)] == [await anext(slow), await anext(slow)]
    told.publish(ended(4, weight=2 * events.MOST_WAITING_BYTES))
    assert event(4) == await anext(slow)


async def test_silence_is_broken() -> None:
    """Between calls there is a comment after long silence."""
    quiet = await begun(Events(keepalive=0.003))
    assert [b": keepalive\n\n"] * 2 == [await anext(quiet) for _ in range(2)]


async def test_so_many_and_no_more() -> None:
    """The number of listeners is bounded; one that ends makes room."""
    told = Events()
    listening = [await begun(told) for _ in range(events.MOST_LISTENERS)]
    with pytest.raises(TooManyListeners):
        told.listen(Wish())
    await listening[0].aclose()
    await begun(told)


async def test_the_end_is_told_to_all() -> None:
    """Who listens gets what was waiting, then the stream ends; who comes later gets only the end."""
    told = Events()
    pieces = await begun(told)
    told.publish(ended(1))
    told.close()
    assert [event(1)] == [piece async for piece in pieces]
    assert [] == [piece async for piece in await begun(told)]


# --- through a server ---


def heard(response: httpx.Response) -> Iterator[tuple[str, str, Any]]:
    """Event, id and data of each event in a stream."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line and fields:
            yield fields["event"], fields.get("id", ""), json.loads(fields["data"])
            fields = {}


def test_a_stream_of_calls(serve: Callable[..., Served]) -> None:
    """The data of an event is the call as the journal has it; the head closes it to other origins and caches."""
    served = serve()
    url = f"{served.url}/_emulator/events"
    with httpx.stream("GET", url) as all_of_them, httpx.stream("GET", f"{url}?session=mine") as mine:
        assert ("text/event-stream; charset=utf-8", "no-store") == (
            all_of_them.headers["content-type"], all_of_them.headers["cache-control"],
        )  # fmt: skip
        assert not [name for name in all_of_them.headers if name.startswith("access-control")]
        served.generate("ezmodel", BODY, key="sk-a-canary-0123456789", **{"x-emulator-session": "other"})
        served.generate("ezmodel", {"prompt": ""}, **{"x-emulator-session": "mine"})
        events_of_all, events_of_mine = heard(all_of_them), heard(mine)
        began, first, second = (next(events_of_all) for _ in range(3))
        only = next(events_of_mine)
        assert [("began", ""), ("call", "other/1"), ("call", "mine/1")] == [one[:2] for one in (began, first, second)]
        assert second == only
        assert [served.calls("other")[0], served.calls("mine")[0]] == [first[2], second[2]]
        assert "canary" not in str((began, first))


def test_latest_is_the_one_used_last(serve: Callable[..., Served]) -> None:
    """`session=latest` is resolved when the listening begins; without any session it is not there."""
    served = serve()
    url = f"{served.url}/_emulator/events?session=latest"
    assert 404 == httpx.get(url).status_code
    served.generate("ezmodel", BODY, **{"x-emulator-session": "mine"})
    with httpx.stream("GET", url) as response:
        for name in ("other", "mine"):
            served.generate("ezmodel", BODY, **{"x-emulator-session": name})
        assert "mine/2" == next(event_id for name, event_id, _ in heard(response) if name == "call")


def test_a_head_is_no_stream(server: Served) -> None:
    """HEAD is answered at once."""
    response = httpx.head(f"{server.url}/_emulator/events")
    assert (200, "text/event-stream; charset=utf-8") == (response.status_code, response.headers["content-type"])


def test_who_leaves_makes_room(serve: Callable[..., Served]) -> None:
    """A listener that has left is noticed though nothing is told; one too many is refused until then."""
    served = serve()
    served.app.events._keepalive = 1e9  # no comment's failure may give it away
    url = f"{served.url}/_emulator/events"
    lines = []
    for _ in range(events.MOST_LISTENERS):
        lines.append(socket.create_connection(("127.0.0.1", served.port), PATIENCE))
        lines[-1].sendall(b"GET /_emulator/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert lines[-1].recv(1)
    response = httpx.get(url)
    assert (503, "emulator_error") == (response.status_code, response.json()["error"]["type"])
    for line in lines:
        line.close()
    statuses = set()
    for _ in range(500):  # many times as long as a glance takes
        with httpx.stream("GET", url) as again:
            statuses.add(again.status_code)
            if again.status_code == 200:
                break
    assert 200 in statuses


# --- at the end of a process ---


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """A running `serve`, which is not left behind."""
    begun = Command(tmp_path, "--ready-json")
    begun.ready()
    yield begun
    begun.kill()


def test_listeners_do_not_hold_the_end_up(command: Command) -> None:
    """At SIGTERM a stream ends well, and the process with it."""
    with httpx.stream("GET", f"{command.url}/_emulator/events") as response:
        lines = response.iter_lines()
        assert ": each call as it ends" == next(lines)
        command.generate(BODY)
        assert (0, "", "") == command.end(signal.SIGTERM)
        assert "event: call" in list(lines)


def test_a_deaf_listener_holds_up_neither_calls_nor_the_end(command: Command) -> None:
    """One that takes nothing misses events; calls go on, and the process ends in time."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", command.port))
        deaf.sendall(b"GET /_emulator/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert deaf.recv(15) == b"HTTP/1.1 200 OK"
        headers = {"authorization": "Bearer k"}
        body = {"model": "m", "prompt": "x", "user": "y" * 100_000}
        with httpx.Client(headers=headers, timeout=PATIENCE, verify=False) as client:
            url = f"{command.url}/geeknow/v1/images/generations"
            assert {200} == {client.post(url, json=body).status_code for _ in range(100)}
        assert (0, "", "") == command.end(signal.SIGTERM)


# --- calls before the listening began ---


def test_a_listener_can_have_the_calls_before_it(serve: Callable[..., Served]) -> None:
    """With `recent`, the last calls come first, of all sessions or of one, as summaries where they are wanted."""
    served = serve()
    for session in ("one", "two", "one"):
        served.generate("ezmodel", {**BODY, "size": "1024x1024"}, **{"x-emulator-session": session})
    url = f"{served.url}/_emulator/events"
    with httpx.stream("GET", f"{url}?recent=2&view=summary") as response:
        told = heard(response)
        first, second = next(told), next(told)
        assert ["two/1", "one/2"] == [first[1], second[1]]
        assert ("live", "", {}) == next(told)
        served.generate("ezmodel", BODY, **{"x-emulator-session": "three"})
        assert [("began", ""), ("call", "three/1")] == [next(told)[:2] for _ in range(2)]
    summary = first[2]
    assert ("A cat", "1024x1024", 200, 1) == (
        summary["prompt"], summary["params"]["size"], summary["status"], len(summary["pictures"]),
    )  # fmt: skip
    assert not {"headers", "given", "response"} & set(summary)
    with httpx.stream("GET", f"{url}?recent=10&session=one") as response:
        told = heard(response)
        assert served.calls("one") == [next(told)[2], next(told)[2]]


def test_a_broken_connection_goes_on(serve: Callable[..., Served]) -> None:
    """Behind Last-Event-ID comes each call once; where that is unknown, or calls are gone, this is told first."""
    served = serve(journal_entries=4)

    def generate(number: int) -> None:
        for _ in range(number):
            served.generate("ezmodel", BODY, **{"x-emulator-session": "mine"})

    def listen(last: str, number: int, query: str = "") -> list[tuple[str, str, Any]]:
        with httpx.stream("GET", f"{served.url}/_emulator/events{query}", headers={"last-event-id": last}) as response:
            told = heard(response)
            return [next(told) for _ in range(number)]

    generate(4)
    assert ["mine/3", "mine/4"] == [event_id for _, event_id, _ in listen("mine/2", 2)]
    assert ["dropped", {"dropped": None}] == [listen("other/7", 1)[0][place] for place in (0, 2)]
    assert ["", "mine/4"] == [event_id for _, event_id, _ in listen("nonsense/9", 2, "?recent=1")]
    generate(4)  # the journal of a server has room for four calls
    *kept, dropped = listen("mine/1", 5)
    assert (["mine/5", "mine/6", "mine/7", "mine/8"], {"dropped": 3}) == ([one[1] for one in kept], dropped[2])


def test_a_reset_is_told(serve: Callable[..., Served]) -> None:
    """A session that is reset or forgotten is told to who listens, and its calls are not told any more."""
    served = serve()
    for session in ("one", "two"):
        served.generate("ezmodel", BODY, **{"x-emulator-session": session})
    url = f"{served.url}/_emulator"
    with httpx.stream("GET", f"{url}/events?recent=2") as response:
        told = heard(response)
        assert ["one/1", "two/1", ""] == [next(told)[1] for _ in range(3)]
        httpx.post(f"{url}/sessions/one/reset")
        httpx.delete(f"{url}/sessions/two")
        assert [("reset", "", {"session": "one"}), ("reset", "", {"session": "two"})] == [next(told) for _ in range(2)]
        served.generate("ezmodel", BODY, **{"x-emulator-session": "one"})
        next(told)
    with httpx.stream("GET", f"{url}/events?recent=9") as response:
        assert "one/1" == next(heard(response))[1]
