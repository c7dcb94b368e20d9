"""Upstreams that do what the emulator itself never does: they answer given bytes, and keep what came."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class RawUpstream:
    """Answers each connection with `answer` and closes it; with `hangs` it closes nothing until the end.

    With `drips` it sends one blank after the other behind the answer, until the client leaves. `requests` are what
    came, head and body.
    """

    def __init__(self, answer: bytes, *, hangs: bool = False, drips: bool = False) -> None:
        self._answer = answer
        self._hangs = hangs
        self._drips = drips
        self._pause = threading.Event()
        self.requests: list[bytes] = []
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._serve, name="upstream", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for one in self._open:
            one.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.requests.append(_read_request(connection))
            try:
                connection.sendall(self._answer)
                while self._drips:
                    connection.sendall(b" ")
                    self._pause.wait(0.01)
            except OSError:
                connection.close()
                continue
            if self._hangs:
                self._open.append(connection)
            else:
                connection.close()


def _read_request(connection: socket.socket) -> bytes:
    """What a client sends: the head, and as much of a body as its Content-Length says."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(2**16)
        if not piece:
            return data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        piece = connection.recv(2**16)
        if not piece:
            break
        body += piece
    return head + b"\r\n\r\n" + body


@contextmanager
def raw_upstream(answer: bytes, *, hangs: bool = False, drips: bool = False) -> Iterator[RawUpstream]:
    """A RawUpstream for the time of a block."""
    upstream = RawUpstream(answer, hangs=hangs, drips=drips)
    try:
        yield upstream
    finally:
        upstream.close()


def unused_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
