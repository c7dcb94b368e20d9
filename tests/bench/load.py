"""Loads one server from a process of its own, so that it does not share the server's interpreter lock.

Reads a Job as JSON from stdin, writes a Result as JSON to stdout. Each connection sends its next request as soon as it
has its answer. Only the standard library, and as little Python for each call as possible: what is slow here would make
a fast server look slow.
"""

from __future__ import annotations

import base64
import json
import re
import selectors
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True)
class Job:
    """What to send: `request` goes to `port` from `connections` at once, until `seconds` or `calls` are over.

    NUMBER in `request` becomes a number of as many digits, counted up from `first` with each request. `rest` is what
    follows it, in Base64.
    """

    port: int
    connections: int
    request: str
    seconds: float = 60.0
    calls: int = 10**9
    first: int = 0
    rest: str = ""


@dataclass(frozen=True)
class Result:
    """What came back: how many calls in how many seconds, how often each status, and how long calls took.

    `middle` and `slowest` are the 50th and 99th percentile in seconds, `first` the 50th until the first event of a
    stream had come (0 without one), `size` the last answer's bytes, `busy` the share of one core that this process
    used: near 1, it and not the server was the limit.
    """

    calls: int
    seconds: float
    statuses: dict[str, int]
    middle: float
    slowest: float
    size: int
    busy: float
    first: float = 0.0


class Lane:
    """One connection, and the answer that is coming in on it."""

    __slots__ = ("began", "first", "head", "missing", "size", "socket", "status", "tail")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.head = b""
        self.missing = 0
        self.size = 0
        self.status = ""
        self.began = self.first = 0.0
        self.tail: bytes | None = None  # the last bytes so far of an answer in chunks

    def send(self, request: bytes) -> None:
        """Send `request`; one that is longer than the kernel takes at once keeps the others waiting."""
        self.began = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Take what has come in; whether that completes the answer."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the server closed a connection that should be kept alive")
        if self.missing:
            self.missing -= len(data)
            return self.missing == 0
        if self.tail is not None:
            return self._streamed(data)
        data = self.head + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self.head = data
            return False
        length = _LENGTH.search(data, 0, end + 2)
        self.head = b""
        self.status = data[9:12].decode()
        if length is None:
            self.tail, self.size, self.first = b"", end + 4, 0.0
            return self._streamed(data[end + 4 :])
        self.size = end + 4 + int(length[1])
        self.missing = self.size - len(data)
        return self.missing == 0

    def _streamed(self, data: bytes) -> bool:
        """Take a part of an answer in chunks; whether it is the last."""
        self.size += len(data)
        tail = (self.tail or b"")[-_END_LENGTH:] + data
        if not self.first and _EVENT_END in tail:
            self.first = time.perf_counter() - self.began
        self.tail = None if tail.endswith(_END) else tail[-_END_LENGTH:]
        return self.tail is None


def run(job: Job) -> Result:
    """Carry out `job`; answers under way at its end are waited for and counted, so that the server is left at rest."""
    before, *after = (part.encode() for part in job.request.split(NUMBER))
    last = base64.b64decode(job.rest)
    before, after = (before, [after[0] + last]) if after else (before + last, [])
    lanes = [Lane(job.port) for _ in range(job.connections)]
    waiting = selectors.DefaultSelector()
    for lane in lanes:
        waiting.register(lane.socket, selectors.EVENT_READ, lane)
    statuses: dict[str, int] = {}
    durations: list[float] = []
    firsts: list[float] = []
    began, used = time.perf_counter(), time.process_time()
    end, sent = began + job.seconds, 0
    for lane in lanes[: job.calls]:
        lane.send(_numbered(before, after, job.first + sent))
        sent += 1
    while len(durations) < sent:
        ready = waiting.select(_PATIENCE)
        if not ready:
            raise TimeoutError(f"no answer for {_PATIENCE} s")
        for key, _ in ready:
            lane = key.data
            if lane.receive():
                now = time.perf_counter()
                durations.append(now - lane.began)
                firsts.append(lane.first)
                statuses[lane.status] = statuses.get(lane.status, 0) + 1
                if now < end and sent < job.calls:
                    lane.send(_numbered(before, after, job.first + sent))
                    sent += 1
    seconds, used = time.perf_counter() - began, time.process_time() - used
    size = lanes[0].size
    for lane in lanes:
        lane.socket.close()
    durations.sort()
    firsts.sort()
    middle, slowest = durations[len(durations) // 2], durations[len(durations) * 99 // 100]
    first = firsts[len(firsts) // 2]
    return Result(len(durations), seconds, statuses, middle, slowest, size, used / seconds, first)


def _numbered(before: bytes, after: list[bytes], number: int) -> bytes:
    return before + b"%0*d" % (len(NUMBER), number) + after[0] if after else before


NUMBER: Final = "##########"
_CHUNK: Final = 2**18  # bytes; a whole 1024 x 1024 picture in Base64 fits
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_END: Final = b"\r\n0\r\n\r\n"
_EVENT_END: Final = b"\n\n"  # in neither a chunk's head nor Base64
_END_LENGTH: Final = len(_END)
_PATIENCE: Final = 20  # seconds

if __name__ == "__main__":
    try:
        print(json.dumps(asdict(run(Job(**json.load(sys.stdin))))))
    except (OSError, TimeoutError) as error:
        sys.exit(f"load: {error}")
