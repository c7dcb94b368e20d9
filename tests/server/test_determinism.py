"""The same seed and clock give the same bytes, headers included; another seed gives others."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx

from tests.conftest import Served

NOON = "frozen:2026-01-01T12:00:00Z"
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("ezmodel", {"prompt": "A cat", "model": "dall-e-3"}),
    ("ezmodel", {"prompt": "A cat", "model": "dall-e-3"}),
    ("aiai", {"prompt": "猫", "background": "transparent", "n": 2}),
    ("geekai", {"prompt": "A cat", "model": "cogview-4", "size": "768x1344", "surprise": 1}),
    ("geeknow", {"prompt": "A cat", "model": "dall-e-2", "size": "1x1"}),
]


def _run(served: Served) -> list[bytes]:
    """All that comes over the wire for BODIES and for the pictures they link to, as bytes."""
    heard: list[bytes] = []
    for gateway, body in BODIES:
        answer = served.generate(gateway, body, host="images.test")
        heard.append(_bytes(answer))
        urls = re.findall(r'"url":"([^"]+)"', answer.text)
        heard += [_bytes(httpx.get(url.replace("http://images.test", served.url))) for url in urls]
    return heard


def _bytes(answer: httpx.Response) -> bytes:
    head = b"".join(name + b": " + value + b"\n" for name, value in answer.headers.raw)
    return f"{answer.status_code}\n".encode() + head + answer.content


def test_two_runs_are_equal_to_the_byte(serve: Callable[..., Served]) -> None:
    """A frozen run of the same calls repeats, headers and pictures included."""
    assert _run(serve(clock=NOON)) == _run(serve(clock=NOON))


def test_another_seed_draws_and_words_differently(serve: Callable[..., Served]) -> None:
    """The seed decides: ids, links and pictures of another seed are others."""
    first, second = _run(serve(clock=NOON, seed=1)), _run(serve(clock=NOON, seed=2))
    assert len(first) == len(second)
    assert first[0] != second[0]
    assert first[1][-2000:] != second[1][-2000:]


def test_the_same_call_twice_differs_only_in_its_id(serve: Callable[..., Served]) -> None:
    """Two calls of one run have different request ids and are the same in everything else."""
    served = serve(clock=NOON)
    one, two = (_bytes(served.generate("ezmodel", {"prompt": "A cat"})) for _ in range(2))
    assert one != two
    assert re.sub(rb"req_[0-9a-f]{32}", b"ID", one) == re.sub(rb"req_[0-9a-f]{32}", b"ID", two)


def test_another_process_redraws_a_link(serve: Callable[..., Served]) -> None:
    """A link outlives its server: any server with the same seed answers it, one with another seed does not."""
    url = serve(seed=7).generate("ezmodel", {"prompt": "A cat"}).json()["data"][0]["url"]
    path = httpx.URL(url).path
    assert httpx.get(url).content == httpx.get(serve(seed=7).url + path).content
    assert 404 == httpx.get(serve(seed=8).url + path).status_code
