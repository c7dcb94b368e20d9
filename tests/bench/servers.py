"""Starts the servers that are measured, looks at them from outside, and ends them.

Each is a process of its own, known by its pid; none outlives the `with` that started it. CPU time and memory come from
/proc; where there is none they are not a number, and the table shows a dash.

`ours` is the plain server, `fast` the same one with what the extra [speed] installs, `ref` the bare handler.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import math
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.bench import wrk
from tests.bench.load import NUMBER, Job, Result


class Failed(Exception):
    """A measurement that cannot be made; its text is one line."""


@dataclass(frozen=True)
class Server:
    """A server that answers at `port` of the loopback address."""

    who: str
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
def serving(who: str, checkout: Path | None = None) -> Iterator[Server]:
    """A server of its own for as long as the `with` lasts, with the code of `checkout` (None: this one)."""
    with run_process(_COMMANDS[who], checkout or CHECKOUT, SPEEDS.get(who, "off")) as process:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], _PATIENCE)[0]:
            raise Failed(f"{who}: not ready after {_PATIENCE} s")
        line = process.stdout.readline()
        if not line:
            raise Failed(f"{who}: ended with code {process.wait(_PATIENCE)} before it was ready")
        yield Server(who, process.pid, json.loads(line)["port"])


@contextmanager
def serving_foreign(who: str, command: Sequence[str], port: int) -> Iterator[Server]:
    """The server that `command` starts at `port`, from when it takes connections; what it prints is not shown."""
    with run_process(command, quiet=True) as process:
        end = time.perf_counter() + _PATIENCE
        while not _takes_connections(port):
            if process.poll() is not None:
                raise Failed(f"{who}: ended with code {process.returncode} before it was ready")
            if time.perf_counter() > end:
                raise Failed(f"{who}: not ready after {_PATIENCE} s")
            time.sleep(_POLL)
        yield Server(who, process.pid, port)


def _takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def find_free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
        return port


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
    """Load `server` with `shot` as the fields `how` of a Job say; the result, and its CPU microseconds a call.

    wrk sends where it is installed; our own generator where calls are counted, have an upload, or `own` asks for it.
    """
    rest = base64.b64encode(shot.rest).decode()
    own = how.pop("own", False) or shot.upload or "calls" in how or wrk.find_wrk() is None
    job = Job(server.port, how.pop("connections", CONNECTIONS), shot.text(server.port), rest=rest, **how)
    before = server.cpu()
    if own:
        result = Result(**json.loads(ask_process(("-m", "tests.bench.load"), json.dumps(asdict(job)))))
    else:
        try:
            result = wrk.run(job)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{server.who}: {error}") from None
    cpu = server.cpu() - before
    if set(result.statuses) != {str(shot.status)}:
        raise Failed(f"{server.who}: {shot.method} {shot.path} was answered with {result.statuses}, not {shot.status}")
    return result, 1e6 * cpu / result.calls


def first_answer(who: str, shot: Shot, checkout: Path | None = None) -> tuple[float, float]:
    """Seconds from the start of a process to its first good answer, and its seconds of CPU until then."""
    began = time.perf_counter()
    with serving(who, checkout) as server:
        status = send_once(server, shot)
        seconds, cpu = time.perf_counter() - began, server.cpu()
    if status != shot.status:
        raise Failed(f"{who}: {shot.method} {shot.path} was answered with {status}, not {shot.status}")
    return seconds, cpu


def send_once(server: Server, shot: Shot) -> int:
    """Send one call; the status of its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=_PATIENCE)
    try:
        headers = {**HEADERS, "Content-Type": "application/json"}
        body = shot.payload.replace(NUMBER, "0" * len(NUMBER))
        connection.request(shot.method, shot.path, body or None, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"{server.who}: {shot.method} {shot.path}: {error}") from None
    finally:
        connection.close()


def drawn(who: str, rounds: int, pictures: int) -> list[dict[str, dict[str, float]]]:
    """What `tests.bench.drawing` finds, round by round."""
    command = ("-m", "tests.bench.drawing", str(rounds), str(pictures))
    return [json.loads(line) for line in ask_process(command, speed=SPEEDS[who]).splitlines()]


def ask_process(command: tuple[str, ...], question: str = "", speed: str = "off") -> str:
    """What the interpreter's process `command` prints when asked `question`."""
    with run_process((sys.executable, *command), speed=speed) as process:
        try:
            answer, _ = process.communicate(question, timeout=_LONGEST)
        except subprocess.TimeoutExpired:
            raise Failed(f"{command[1]}: not done after {_LONGEST} s") from None
        if process.returncode:
            raise Failed(f"{command[1]}: ended with code {process.returncode}")
        return answer


def make_environ() -> dict[str, str]:
    """The environment of a process that is measured: with none of the user's settings, of our server and of pytest.

    What files say is kept in a folder of the benchmark's own, and not among what the user's servers keep.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("EMULATOR_", "PYTEST_"))}
    CACHES.parent.mkdir(parents=True, exist_ok=True)
    return {**environ, "EMULATOR_CACHE_DIR": str(CACHES)}


@contextmanager
def run_process(
    command: Sequence[str], folder: Path | None = None, speed: str = "off", quiet: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """The process `command` in `folder`, ended when the `with` is left, however it is left."""
    environ = {**make_environ(), "EMULATOR_SPEED": speed}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as an installation compiles them
    output = subprocess.DEVNULL if quiet else None
    # A session of its own: Ctrl-C reaches us alone, and we end it.
    process = subprocess.Popen(
        command, cwd=folder or CHECKOUT, env=environ, stdin=subprocess.PIPE, stdout=output or subprocess.PIPE,
        stderr=output, text=True, start_new_session=True,
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
CONNECTIONS: Final = 32
CHECKOUT: Final = Path(__file__).parents[2]
CACHES: Final = CHECKOUT / ".cache" / "bench" / "parsed"
SPEEDS: Final = {"ours": "off", "fast": "auto"}
"""The setting `speed` of our servers."""
_OURS: Final = (sys.executable, "-m", "emulator", "serve", "--port", "0", "--ready-json", "--gateway", "ezmodel")
_COMMANDS: Final = {"ours": _OURS, "fast": _OURS, "ref": (sys.executable, "-m", "tests.bench.bare")}
_PATIENCE: Final = 20  # seconds for a server to start or to end
_POLL: Final = 0.002  # seconds between two looks at a server that starts
_LONGEST: Final = 300  # seconds for one round of load, or for all pictures
