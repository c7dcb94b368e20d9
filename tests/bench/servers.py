"""Starts the servers that are measured, looks at them from outside, and ends them.

Each is a process of its own, known by its pid; none outlives the `with` that started it. CPU time and memory come from
/proc; where there is none they are not a number, and the table shows a dash.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from tests.bench.load import NUMBER, Job, Result

Who = Literal["ours", "ref"]
CONNECTIONS: Final = 32
_CHECKOUT: Final = Path(__file__).parents[2]


class Failed(Exception):
    """A measurement that cannot be made; its text is one line."""


@dataclass(frozen=True)
class Server:
    """A server that answers at `port` of the loopback address."""

    who: Who
    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of CPU that all its threads have used."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return math.nan
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """MiB of memory that it holds."""
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return math.nan
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))


@dataclass(frozen=True)
class Shot:
    """A request that is sent again and again, and the status that it is answered with.

    With an `upload`, a square picture of so many pixels a side, its body is a form.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    status: int = 200
    upload: int = 0

    @property
    def payload(self) -> str:
        """The body as JSON."""
        return json.dumps(self.body) if self.body is not None else ""

    @property
    def rest(self) -> bytes:
        """What follows the text of the request: the end of a form."""
        return noise(self.upload) + b"\r\n--form--\r\n" if self.upload else b""

    def text(self, port: int) -> str:
        """The whole request, head and body, but for the rest."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        lines += [f"{name}: {value}" for name, value in HEADERS.items()]
        if self.upload:
            head = "--form\r\nContent-Disposition: form-data; name="
            form = "".join(f'{head}"{name}"\r\n\r\n{text}\r\n' for name, text in (self.body or {}).items())
            form += f'{head}"image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
            lines += ["Content-Type: multipart/form-data; boundary=form"]
            lines += [f"Content-Length: {len(form) + len(self.rest)}"]
            return "\r\n".join(lines) + "\r\n\r\n" + form
        if self.body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.payload)}"]
        return "\r\n".join(lines) + "\r\n\r\n" + self.payload


@cache
def noise(side: int) -> bytes:
    """A PNG that does not compress, of about one byte a pixel."""
    from PIL import Image

    file = io.BytesIO()
    Image.effect_noise((side, side), 90).save(file, "PNG")
    return file.getvalue()


@contextmanager
def serving(who: Who, checkout: Path | None = None) -> Iterator[Server]:
    """A server of its own for as long as the `with` lasts, with the code of `checkout` (None: this one)."""
    with _process(_COMMANDS[who], checkout or _CHECKOUT) as process:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], _PATIENCE)[0]:
            raise Failed(f"{who}: not ready after {_PATIENCE} s")
        line = process.stdout.readline()
        if not line:
            raise Failed(f"{who}: ended with code {process.wait(_PATIENCE)} before it was ready")
        yield Server(who, process.pid, json.loads(line)["port"])


def play(server: Server, session: str, script: str) -> None:
    """Let `session` of `server` play `script`, a scenario in YAML."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
    headers = {"Content-Type": "application/yaml"}
    line.request("PUT", f"/_emulator/sessions/{session}/scenario", script.encode(), headers)
    answer = line.getresponse()
    if answer.status != 200:
        raise Failed(f"{server.who}: the script was answered with {answer.status}: {answer.read()[:200]!r}")
    line.close()


def load(server: Server, shot: Shot, **how: Any) -> tuple[Result, float]:
    """Load `server` with `shot` as the fields `how` of a Job say; the result, and its CPU microseconds a call."""
    rest = base64.b64encode(shot.rest).decode()
    job = Job(server.port, how.pop("connections", CONNECTIONS), shot.text(server.port), rest=rest, **how)
    before = server.cpu()
    answer = _answer_of(("-m", "tests.bench.load"), json.dumps(asdict(job)))
    result = Result(**json.loads(answer))
    if set(result.statuses) != {str(shot.status)}:
        raise Failed(f"{server.who}: {shot.method} {shot.path} was answered with {result.statuses}, not {shot.status}")
    return result, 1e6 * (server.cpu() - before) / result.calls


def first_answer(who: Who, shot: Shot, checkout: Path | None = None) -> tuple[float, float]:
    """Seconds from the start of a process to its first good answer, and its seconds of CPU until then."""
    began = time.perf_counter()
    with serving(who, checkout) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
        headers = {**HEADERS, "Content-Type": "application/json"}
        body = shot.payload.replace(NUMBER, "0" * len(NUMBER))
        connection.request(shot.method, shot.path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        seconds, cpu = time.perf_counter() - began, server.cpu()
        connection.close()
        if answer.status != shot.status:
            raise Failed(f"{who}: {shot.method} {shot.path} was answered with {answer.status}, not {shot.status}")
        return seconds, cpu


def drawn(rounds: int, pictures: int) -> list[dict[str, dict[str, float]]]:
    """What `tests.bench.drawing` finds, round by round."""
    lines = _answer_of(("-m", "tests.bench.drawing", str(rounds), str(pictures))).splitlines()
    return [json.loads(line) for line in lines]


def _answer_of(command: tuple[str, ...], question: str = "") -> str:
    """What the process `command` prints when asked `question`."""
    with _process(command) as process:
        try:
            answer, _ = process.communicate(question, timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            raise Failed(f"{command[1]}: not done after {_LONGEST} s") from None
        if process.returncode:
            raise Failed(f"{command[1]}: ended with code {process.returncode}")
        return answer


@contextmanager
def _process(command: tuple[str, ...], folder: Path = _CHECKOUT) -> Iterator[subprocess.Popen[str]]:
    """The process `command` of this interpreter in `folder`, ended when the `with` is left, however it is left."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("EMULATOR_")}
    # A session of its own: Ctrl-C reaches us alone, and we end it.
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


HEADERS: Final = {"Authorization": "Bearer sk-bench", "User-Agent": "bench", "Accept": "application/json"}
_COMMANDS: Final[Mapping[Who, tuple[str, ...]]] = {
    "ours": ("-m", "emulator", "serve", "--port", "0", "--ready-json", "--gateway", "ezmodel"),
    "ref": ("-m", "tests.bench.bare"),
}
_PATIENCE: Final = 20  # seconds for a server to start or to end
_LONGEST: Final = 150  # seconds for one round of load, or for all pictures
