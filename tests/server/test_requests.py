"""How bodies are read: only bytes that came take room, and what is in them is counted before it is built."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import httpx
import pytest

from emulator.core import strict_json
from emulator.server import requests
from emulator.server.connection import _resume_work
from emulator.server.requests import BodyBudget
from tests.conftest import Served
from tests.uploads import data_url, draw_file, name_file

MEGA: Final = 2**20
KEY: Final = {"authorization": "Bearer sk-requests"}


async def _take(budget: BodyBudget, order: list[str], name: str, size: int, leave: asyncio.Event | None = None) -> None:
    """Take room for some bytes, and keep it until `leave` is set."""
    async with budget.open_share() as share:
        await share.take(size)
        order.append(name)
        if leave is not None:
            await leave.wait()


async def _let_others_run() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_bytes_that_came_take_room() -> None:
    """What fits goes on, the first that does not fit may go beyond, and the others wait until there is room."""
    budget, order, leave = BodyBudget(10 * MEGA), list[str](), asyncio.Event()
    tasks = []
    for name, size in (("first", 6), ("beyond", 7), ("waits", 6), ("waits too", 100), ("small", 0)):
        tasks.append(asyncio.create_task(_take(budget, order, name, size * MEGA, leave)))
        await _let_others_run()
    assert ["first", "beyond"] == order
    leave.set()
    await asyncio.gather(*tasks)
    assert {"first", "beyond", "waits", "waits too", "small"} == set(order)
    await _take(budget, order, "last", 10 * MEGA)  # all room is free again


async def test_waiting_for_room_is_not_the_clients_time() -> None:
    """The deadline of a client stands still while its bytes wait for room."""
    budget, leave = BodyBudget(MEGA), asyncio.Event()
    holders = [asyncio.create_task(_take(budget, [], "x", MEGA, leave)) for _ in range(2)]
    await _let_others_run()

    async def take_late() -> float | None:
        async with budget.open_share() as share, asyncio.timeout(100) as share.deadline:
            assert share.deadline is not None
            ends = share.deadline.when()
            waiting = asyncio.create_task(share.take(MEGA))
            await _let_others_run()
            assert share.deadline.when() is None
            leave.set()
            await waiting
            later = share.deadline.when()
            assert ends is not None
            return later and later - ends

    assert (await take_late() or -1) > 0
    await asyncio.gather(*holders)


async def _await_work(work: Any, waited: Any) -> None:
    await _resume_work(work, waited)


async def test_a_request_that_is_being_received_waits_in_a_task() -> None:
    """It begins outside of any task, where no time limit can be set."""
    budget, leave, waited = BodyBudget(MEGA), asyncio.Event(), list[Any]()
    holders = [asyncio.create_task(_take(budget, [], "x", MEGA, leave)) for _ in range(2)]
    await _let_others_run()
    async with budget.open_share() as share:
        work: Any = share.take(MEGA)
        asyncio.get_running_loop().call_soon(lambda: waited.append(work.send(None)))
        await _let_others_run()
        waiting = asyncio.create_task(_await_work(work, *waited))
        await _let_others_run()
        leave.set()
        await asyncio.gather(waiting, *holders)


async def test_who_waits_can_leave() -> None:
    """A request that ends while it waits takes nothing with it."""
    budget, order, leave = BodyBudget(MEGA), list[str](), asyncio.Event()
    holders = [asyncio.create_task(_take(budget, order, "x", MEGA, leave)) for _ in range(2)]
    await _let_others_run()
    waiting = asyncio.create_task(_take(budget, order, "gone", MEGA))
    await _let_others_run()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    leave.set()
    await asyncio.gather(*holders)
    await asyncio.wait_for(_take(budget, order, "last", MEGA), 5)
    assert ["x", "x", "last"] == order


async def test_compressed_bodies_count_unpacked() -> None:
    """A body of gzip takes the room of what is in it, and comes out as it went in."""
    plain = bytes(range(256)) * 8192
    async with BodyBudget().open_share() as share:
        body = requests._CollectedBody(4 * MEGA, 31, share)
        packed = gzip.compress(plain)
        for place in range(0, len(packed), 1000):
            await body.add(packed[place : place + 1000])
        assert (plain, None) == body.finish()
        assert len(plain) == share.taken


@pytest.mark.parametrize(
    ("make", "trouble"),
    [
        (lambda: gzip.compress(bytes(MEGA)), None),
        (lambda: gzip.compress(b""), None),
        (lambda: gzip.compress(bytes(MEGA + 1)), "too_large"),
        (lambda: gzip.compress(bytes(100 * MEGA)), "too_large"),
        (lambda: gzip.compress(b"x")[:-1], "cut_body"),
        (lambda: gzip.compress(b"x") + b"x", "cut_body"),
        (lambda: b"", "cut_body"),
    ],
    ids=["at the limit", "nothing", "above it", "a bomb", "cut", "more behind it", "no gzip"],
)
async def test_compressed_bodies_stop_at_the_limit(make: Callable[[], bytes], trouble: str | None) -> None:
    """What is too large when it is unpacked, cut, or followed by more is told as that."""
    body = requests._CollectedBody(MEGA, 31, None)
    await body.add(make())
    assert trouble == body.finish()[1]


def _send_head(served: Served, length: int, body: bytes) -> socket.socket:
    """Promise a body of `length` bytes to OpenAI's edits, and send the beginning of it."""
    sock = socket.create_connection(("127.0.0.1", served.port), timeout=20)
    head = (
        f"POST /openai/v1/images/edits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n"
        f"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {length}\r\n\r\n"
    )
    sock.sendall(head.encode() + body)
    return sock


def _edit(served: Served, picture: bytes) -> httpx.Response:
    form = {"model": "gpt-image-2", "prompt": "x"}
    url = f"{served.base('openai')}/images/edits"
    return httpx.post(url, data=form, files={"image": name_file(picture)}, headers=KEY, timeout=20)


def _wait_until_used(served: Served, size: int) -> None:
    """Wait until bodies use `size` bytes; fail after some seconds."""
    waiting = threading.Event()
    for _ in range(1000):
        if served.app._body_budget._used >= size:
            return
        waiting.wait(0.01)
    pytest.fail("the bytes have not come")


def _large_picture() -> bytes:
    return draw_file("PNG", "RGB", (900, 900), compress_level=0)


def test_a_promise_takes_no_room(serve: Callable[..., Served]) -> None:
    """Clients that promise bodies of many megabytes and send one byte hold nobody up."""
    served = serve()
    promised = [_send_head(served, 90 * MEGA, b"-") for _ in range(4)]
    assert 200 == _edit(served, _large_picture()).status_code
    assert 200 == _edit(served, _large_picture()).status_code
    for sock in promised:
        sock.close()


def test_a_client_that_stalls_is_cut_off_when_others_wait(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the room that others need and sends nothing, so its time is over; the others are answered."""
    monkeypatch.setattr(requests, "_PATIENCE", 0.1)
    served = serve()
    served.app._body_budget = BodyBudget(MEGA)
    stalled = []
    for number in (1, 2):  # the second goes beyond the capacity
        stalled.append(_send_head(served, 90 * MEGA, b"-" * MEGA))
        _wait_until_used(served, number * MEGA)
    assert 200 == _edit(served, _large_picture()).status_code
    for sock in stalled:
        assert b"HTTP/1.1 408" == sock.recv(12)
        sock.close()


MANY: Final = b'{"prompt":"x","extra":[' + b'{"a":1},' * strict_json.MOST_VALUES + b"1]}"


@pytest.mark.parametrize("gateway", ["openai", "geekai", "ezmodel", "geeknow", "aiai"])
@pytest.mark.parametrize("path", ["generations", "edits"])
@pytest.mark.parametrize("behavior", ["documented", "observed"])
def test_too_many_values_are_refused(server: Served, gateway: str, path: str, behavior: str) -> None:
    """They are counted before the model is looked at, and refused in the envelope; the journal says why."""
    headers = {
        "authorization": "Bearer skmany", "content-type": "application/json", "content-encoding": "gzip",
        "x-emulator": f"behavior={behavior}", "x-emulator-session": f"many-{gateway}-{path}-{behavior}",
    }  # fmt: skip
    slash = "/" if gateway == "aiai" and behavior == "documented" else ""
    url = f"{server.base(gateway)}/images/{path}{slash}"
    answer = httpx.post(url, content=gzip.compress(MANY), headers=headers)
    assert 400 <= answer.status_code < 500, answer.text
    if answer.content and answer.status_code == 400:
        told = server.calls(headers["x-emulator-session"])[-1]
        if told["refused"]["breach"] == "bad_json":
            assert told["refused"]["rule"].endswith("more than 131072 values and keys")


def test_a_bomb_of_values_is_refused(serve: Callable[..., Served]) -> None:
    """A hundred kilobytes of gzip that hold 88 MiB of objects become none; the next call is answered."""
    served = serve()
    url = f"{served.base('openai')}/images/edits"
    bomb = gzip.compress(b"[" + b'{"a":1},' * (11 * MEGA) + b"1]", 6)
    headers = {**KEY, "content-type": "application/json", "content-encoding": "gzip"}
    answer = httpx.post(url, content=bomb, headers=headers, timeout=60)
    assert (400, None) == (answer.status_code, answer.json()["error"]["code"])
    told = served.calls()[-1]
    assert told["refused"]["rule"].endswith("more than 131072 values and keys")
    assert '[{"a":1},' == told["unreadable"]["beginning"][:9]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/sessions/x/scenario", {"rules": [{}] * 140_000}, "more than 131072 values and keys"),
        ("/sessions/x/verify", {"when": {"prompt": [1] * 140_000}}, "more than 131072 values and keys"),
    ],
)
def test_the_emulators_own_paths_count_too(server: Served, path: str, body: Any, reason: str) -> None:
    """A body for the admin API has a bound of its own, in one line."""
    method = "PUT" if path.endswith("scenario") else "POST"
    answer = httpx.request(method, f"{server.url}/_emulator{path}", json=body)
    assert 400 == answer.status_code
    assert reason in answer.json()["error"]["message"]


def test_punctuation_in_a_prompt_is_no_value(server: Served) -> None:
    """Commas, colons and brackets inside of texts do not count."""
    prompt = 'a, b: {c} [d] \\ " ' * 200
    assert 200 == server.generate("geeknow", {"model": "gpt-image-1", "prompt": prompt}).status_code


def test_pictures_in_json_are_bounded(server: Served) -> None:
    """Only as many are looked at as a form may have; a list that is too long is refused as that."""
    one = {"image_url": "data:image/png;base64,iVBORw0KGgo="}
    body = {"model": "gpt-image-2", "prompt": "x", "images": [one] * 1000}
    answer = httpx.post(f"{server.base('openai')}/images/edits", json=body, headers=KEY)
    assert (400, "array_above_max_length") == (answer.status_code, answer.json()["error"]["code"])
    long_head = {"image_url": "data:image/png" + ";" * 100_000 + ",x"}
    answer = httpx.post(f"{server.base('openai')}/images/edits", json={**body, "images": [long_head]}, headers=KEY)
    assert (400, "invalid_image_file") == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"images": [{"image_url": data_url(_large_picture())}], "size": "1x1"}, "invalid_value"),
        ({"images": [{"image_url": "https://images.test/" + "x" * 2 * MEGA}]}, "invalid_value"),
        ({"images": [{"image_url": "x" * 2 * MEGA + "?"}]}, "invalid_image_file"),
        ({"images": [{"url": "x" * 2 * MEGA}]}, None),
        ({"prompt": "x" * 2 * MEGA}, None),
        ({"x" * 2 * MEGA: 1}, None),
    ],
    ids=["a picture", "a link", "no picture", "no place of a picture", "a prompt", "a key"],
)
def test_a_large_body_in_json(server: Served, body: Any, code: str | None) -> None:
    """It is read beside the event loop; what is large in it has to be a picture, and the journal keeps little of it."""
    headers = {**KEY, "x-emulator-session": "large-json"}
    asked = {"model": "gpt-image-2", "prompt": "x", **body}
    answer = httpx.post(f"{server.base('openai')}/images/edits", json=asked, headers=headers)
    assert (400, code) == (answer.status_code, answer.json()["error"]["code"])
    told = server.calls("large-json")[-1]
    assert 60_000 > len(json.dumps(told))
    if code is None:
        assert told["refused"]["rule"].endswith("more than 1048576 characters that are no picture")
