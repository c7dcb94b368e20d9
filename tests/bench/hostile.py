"""Measures how long another client waits while many do their worst: those that never read, and those that never wait.

The other client sends the usual call, one after the other; its longest wait counts, and beside it stands its longest
wait on the idle server just before.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from tests.bench.load import NUMBER
from tests.bench.requests import PATH, UNIQUE
from tests.bench.servers import HEADERS, Failed, Server, Shot, play

_SESSION: Final = "deaf"
_HEAVY: Final = "rules: [{answers: {draw: {picture: {bytes: 1.8MB}}}}]"
_DEAF: Final = Shot(
    "POST",
    f"/s/{_SESSION}/geeknow{PATH}",
    {"model": "m", "prompt": NUMBER, "n": 10, "size": "1024x1024", "response_format": "b64_json"},
)
"""A call whose answer has 24 MB."""
_MODELS: Final = Shot("GET", "/v1/models")


@contextmanager
def deaf_clients(server: Server) -> Iterator[None]:
    """Sixteen clients that ask for 24 MB each and read nothing."""
    play(server, _SESSION, _HEAVY)
    lines = []
    for number in range(16):
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", server.port))
        line.sendall(_DEAF.text(server.port).replace(NUMBER, f"{number:0{len(NUMBER)}d}").encode())
        lines.append(line)
    yield
    for line in lines:
        line.close()


@contextmanager
def pipelining_client(server: Server) -> Iterator[None]:
    """One client that sends ten thousand calls at once, and reads their answers."""
    line = socket.create_connection(("127.0.0.1", server.port))
    requests = _MODELS.text(server.port).encode() * 10_000

    def read() -> None:
        try:
            while line.recv(2**20):
                pass
        except OSError:
            return

    reader = threading.Thread(target=read, daemon=True)
    writer = threading.Thread(target=_send_quietly, args=(line, requests), daemon=True)
    reader.start()
    writer.start()
    yield
    line.shutdown(socket.SHUT_RDWR)
    reader.join()
    writer.join()
    line.close()


def _send_quietly(line: socket.socket, data: bytes) -> None:
    try:
        line.sendall(data)
    except OSError:
        return


def longest_wait(server: Server, seconds: float) -> float:
    """The longest wait, in seconds, of a client that sends one call after the other for so many seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
    headers = {**HEADERS, "Content-Type": "application/json"}
    longest, end, number = 0.0, time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        body = json.dumps(UNIQUE.body).replace(NUMBER, f"{number:0{len(NUMBER)}d}")
        began = time.perf_counter()
        connection.request(UNIQUE.method, UNIQUE.path, body, headers)
        answer = connection.getresponse()
        answer.read()
        longest = max(longest, time.perf_counter() - began)
        number += 1
        if answer.status != UNIQUE.status:
            raise Failed(f"{server.who}: the other client was answered with {answer.status}")
    connection.close()
    return longest


CROWDS: Final[Mapping[str, Callable[[Server], AbstractContextManager[None]]]] = {
    "16 clients that never read": deaf_clients,
    "10,000 pipelined calls": pipelining_client,
}
"""What the other client is beside, by its title."""
_PATIENCE: Final = 20  # seconds
