"""The command itself, as a process: how it starts, tells, refuses to start, loses its reader, and ends.

A bad setting is one line on stderr and exit code 2; a signal is exit code 0, with the calls under way answered.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

import emulator
from tests.process import PATIENCE, Command, refused, refused_here


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts commands in an empty folder, and leaves none running."""
    running: list[Command] = []

    def begin(*flags: str, **more: str) -> Command:
        running.append(Command(tmp_path, *flags, **more))
        running[-1].ready()
        return running[-1]

    yield begin
    for one in running:
        one.kill()


def test_the_ready_line(command: Callable[..., Command]) -> None:
    """One line of JSON, once calls are answered; then no other line, and a quiet end on SIGTERM."""
    begun = command("--ready-json")
    assert {"url": begun.url, "port": begun.port, "pid": begun.pid} == json.loads(begun.first)
    assert 200 == begun.generate({"prompt": "x"}).status_code
    assert (0, "", "") == begun.end()


def test_a_line_for_each_call(command: Callable[..., Command]) -> None:
    """The console says of each call which session, gateway, model and status it had."""
    begun = command()
    begun.generate({"prompt": "x"})
    begun.generate({"prompt": "x", "n": 99})
    code, out, err = begun.end()
    assert (0, "") == (code, err)
    lines = [line.split() for line in out.splitlines() if "key-" in line]
    assert [["ezmodel", "dall-e-2", "200", "generate"], ["ezmodel", "dall-e-2", "400", "above_maximum"]] == [
        [*line[2:3], "dall-e-2", *line[4:6]] for line in lines
    ]


def test_json_log(command: Callable[..., Command]) -> None:
    """Each line of stdout is one call, behind the ready line where both are asked for; the welcome is on stderr."""
    begun = command("--ready-json", "--json-log")
    begun.generate({"prompt": "x"})
    begun.generate({"prompt": "x", "n": 99})
    code, out, err = begun.end()
    assert (0, "") == (code, err)
    assert [200, 400] == [json.loads(line)["status"] for line in out.splitlines()]


def test_what_is_unusual_is_told_at_the_start(command: Callable[..., Command]) -> None:
    """The seed that was drawn, report-only, and variables that are no settings, with the nearest one."""
    begun = command("--ready-json", "--seed", "random", "--report-only", EMULATOR_PROT="4011", EMULATOR_XYZZY="1")
    seed = json.loads(begun.first)["seed"]
    code, out, err = begun.end()
    assert (0, "") == (code, out)
    assert f"image-api-emulator: seed {seed}\n" in err
    assert "Report only: " in err
    assert "variable EMULATOR_PROT is no setting; did you mean EMULATOR_PORT?\n" in err
    assert "variable EMULATOR_XYZZY is no setting\n" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_well(command: Callable[..., Command], number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C: exit code 0 and not a word."""
    assert (0, "", "") == command("--ready-json").end(number)


def test_an_idle_connection_does_not_hold_it(command: Callable[..., Command]) -> None:
    """Connections that wait for a next call, or never sent a whole head, are closed."""
    begun = command("--ready-json")
    with (
        httpx.Client() as kept,
        socket.create_connection(("127.0.0.1", begun.port)) as silent,
        socket.create_connection(("127.0.0.1", begun.port)) as half,
    ):
        assert 200 == kept.get(f"{begun.url}/_emulator/health").status_code
        half.sendall(b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\n")
        assert (0, "", "") == begun.end()
        assert b"" == silent.recv(1)


def test_a_body_under_way_does_not_hold_it_for_long(command: Callable[..., Command]) -> None:
    """A client that stops in mid-body is given up within the time for shutdown."""
    begun = command("--ready-json")
    with socket.create_connection(("127.0.0.1", begun.port), PATIENCE) as half:
        half.sendall(
            b"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k1\r\n"
            b"Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
        )
        assert half.recv(100).startswith(b"HTTP/1.1 100")
        half.sendall(b'{"prompt"')
        assert (0, "", "stopped before 1 call under way was answered\n") == begun.end()


def test_slow_pictures_under_way_are_finished(command: Callable[..., Command]) -> None:
    """Calls that were accepted before the signal are answered whole, then the process ends."""
    begun = command("--ready-json")
    answers: list[httpx.Response] = []
    body = {"model": "any", "size": "4096x4096", "response_format": "b64_json"}

    def ask(number: int) -> None:
        answers.append(begun.generate({**body, "prompt": f"a slow picture {number}"}, "geeknow"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while len(httpx.get(f"{begun.url}/_emulator/sessions").json()["sessions"]) == 0 or (
        httpx.get(f"{begun.url}/_emulator/sessions").json()["sessions"][0]["calls"] < len(threads)
    ):
        assert not answers, "too fast to be under way"
    assert (0, "", "") == begun.end()
    for thread in threads:
        thread.join(PATIENCE)
    assert [200] * 4 == [answer.status_code for answer in answers]
    for answer in answers:
        assert emulator.inspect(base64.b64decode(answer.json()["data"][0]["b64_json"])).whole


def test_a_client_that_does_not_read_does_not_hold_it(command: Callable[..., Command]) -> None:
    """An answer of megabytes that nobody takes is given up within the time for shutdown."""
    begun = command("--ready-json")
    body = json.dumps(
        {"model": "m", "prompt": "x", "n": 10, "size": "4096x512", "response_format": "b64_json"}
    ).encode()
    whole = (
        b"POST /geeknow/v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k1\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", begun.port))
        deaf.sendall(whole * 20)
        deaf.recv(1)
        code, out, err = begun.end()
    assert (0, "") == (code, out)
    assert re.fullmatch(r"(stopped before .+ answered\n)?", err)  # one of the calls behind the first may have begun


# --- refusing to start ---


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--port", "abc"], ["--port", "abc"]),
        (["--port", "65536"], ["--port", "65536"]),
        (["--port", "-1"], ["--port", "-1"]),
        (["--port", "1.5"], ["--port", "1.5"]),
        (["--port", ""], ["--port"]),
        (["--port"], ["--port"]),
        (["--host", "256.0.0.1"], ["--host", "256.0.0.1"]),
        (["--host", "no.such.host.invalid"], ["--host", "no.such.host.invalid"]),
        (["--host", "192.0.2.1"], ["--host", "192.0.2.1"]),
        (["--host", "a\nb"], ["--host"]),
        (["--host", "x" * 300], ["--host"]),
        (["--host", ""], ["--host"]),
        (["--clock", "abc"], ["--clock", "abc"]),
        (["--clock", "frozen:"], ["--clock", "frozen:"]),
        (["--clock", "frozen:yesterday"], ["--clock", "yesterday"]),
        (["--clock", "frozen:2026-13-01T00:00:00Z"], ["--clock", "2026-13-01"]),
        (["--clock", "frozen:0001-01-01T00:00:00+14:00"], ["--clock"]),
        (["--clock", "frozen:9999-12-31T23:59:59-14:00"], ["--clock"]),
        (["--seed", "abc"], ["--seed", "abc"]),
        (["--seed", "1.5"], ["--seed", "1.5"]),
        (["--seed", "9" * 5000], ["--seed"]),
        (["--gateway", "nowhere"], ["--gateway", "nowhere", "ezmodel"]),
        (["--gateway", "ezmodle"], ["--gateway", "ezmodle", "did you mean 'ezmodel'?"]),
        (["--gateway", ""], ["--gateway"]),
        (["--schema", "missing.yaml"], ["missing.yaml"]),
        (["--schema", "."], ["."]),
        (["--schema", "binary.yaml"], ["binary.yaml"]),
        (["--schema", "empty.yaml"], ["empty.yaml"]),
        (["--schema", "bad name.yaml"], ["bad name.yaml"]),
        (["--keys", "missing.txt"], ["--keys", "missing.txt"]),
        (["--keys", "."], ["--keys"]),
        (["--keys", "binary.yaml"], ["--keys", "binary.yaml"]),
        (["--public-url", "nonsense"], ["--public-url", "nonsense"]),
        (["--public-url", "http://a b"], ["--public-url"]),
        (["--body-timeout", "0"], ["--body-timeout", "0"]),
        (["--journal-entries", "none"], ["--journal-entries", "none"]),
        (["--nonsense"], ["--nonsense"]),
        (["--por", "0"], ["--por"]),
        (["more"], ["more"]),
    ],
    ids=lambda value: " ".join(value)[:40] if value and isinstance(value, list) else None,
)
def test_bad_flags(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: list[str],
    said: list[str],
) -> None:
    """One line on stderr that quotes the flag and the value, exit code 2, nothing on stdout."""
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "empty.yaml").write_bytes(b"")
    (tmp_path / "bad name.yaml").write_bytes(b"{}")
    first = [] if "--port" in flags else ["--port", "0"]
    refused_here(monkeypatch, capsys, tmp_path, [*first, *flags], said)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--nonsense"], ["--nonsense"]),
        (["--port", "65536"], ["--port", "65536"]),
        (["--host", "192.0.2.1", "--port", "0"], ["--host", "192.0.2.1"]),
        (["--schema", "missing.yaml", "--port", "0"], ["missing.yaml"]),
    ],
    ids=["unknown", "no value of it", "when it listens", "when it reads a file"],
)
def test_bad_flags_end_the_process(tmp_path: Path, flags: list[str], said: list[str]) -> None:
    """The same as a process, for one of the flags that are refused at each step of a start."""
    refused(tmp_path, flags, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense: 1", ["emulator.yaml", "nonsense", "port"]),
        ("- port", ["emulator.yaml", "mapping"]),
        ("[]", ["emulator.yaml", "mapping"]),
        ("just a text", ["emulator.yaml", "mapping"]),
        ("port: [", ["emulator.yaml"]),
        ("port: abc", ["port", "abc"]),
        ("port: [1, 2]", ["port"]),
        ("port: 1.5", ["port", "1.5"]),
        ("port:", ["port"]),
        ("port: 1\nport: 2", ["emulator.yaml", "port", "twice"]),
        ("clock: 2026-01-01", ["clock", "2026-01-01"]),
        ("quiet: perhaps", ["quiet", "perhaps"]),
        ("schema: {a: b}", ["schema"]),
        ("a: &a [*a]", ["emulator.yaml"]),
        ("? [a]\n: b", ["emulator.yaml"]),
        ("!!python/object/apply:os.system [echo]", ["emulator.yaml"]),
        ("[" * 5000, ["emulator.yaml"]),
        ("\t", ["emulator.yaml"]),
        ("port: \x00", ["emulator.yaml"]),
        ("---\nport: 0\n---\nport: 0", ["emulator.yaml"]),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, str) else None,
)
def test_bad_settings_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, said: list[str]
) -> None:
    """The same for emulator.yaml: the line names the file or the key, whatever is wrong."""
    (tmp_path / "emulator.yaml").write_text(text)
    refused_here(monkeypatch, capsys, tmp_path, [] if "port" in text else ["--port", "0"], said)


def test_other_bad_settings(tmp_path: Path) -> None:
    """The environment's, pyproject.toml's, and a file that is no text."""
    refused(tmp_path, [], ["EMULATOR_PORT", "abc"], EMULATOR_PORT="abc")
    refused(tmp_path, ["--port", "0"], ["EMULATOR_QUIET", "perhaps"], EMULATOR_QUIET="perhaps")
    (tmp_path / "pyproject.toml").write_text("[tool.image-api-emulator]\nnonsense = 1")
    refused(tmp_path, ["--port", "0"], ["pyproject.toml", "nonsense"])
    (tmp_path / "pyproject.toml").write_text("[tool")
    refused(tmp_path, ["--port", "0"], ["pyproject.toml"])
    (tmp_path / "emulator.yaml").write_bytes(b"\xff\xfe")
    refused(tmp_path, ["--port", "0"], ["emulator.yaml", "UTF-8"])


def test_a_port_in_use(tmp_path: Path) -> None:
    """The line says which."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(tmp_path, ["--port", port], ["--port", port, "in use"])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_is_forbidden(tmp_path: Path) -> None:
    """A privileged port, and files that may not be read."""
    refused(tmp_path, ["--port", "1"], ["--port", "1", "ermission"])
    (tmp_path / "keys.txt").write_text("sk-a")
    (tmp_path / "keys.txt").chmod(0)
    refused(tmp_path, ["--port", "0", "--keys", "keys.txt"], ["keys.txt", "ermission"])


def test_flag_beats_environment_beats_file(command: Callable[..., Command], tmp_path: Path) -> None:
    """The same setting in all three places: each counts where the ones before it are silent."""
    (tmp_path / "emulator.yaml").write_text("gateway: aiai\nclock: frozen:2001-01-01T00:00:00Z\nbody-timeout: 7\n")
    environ = {"EMULATOR_CLOCK": "frozen:2002-01-01T00:00:00Z", "EMULATOR_GATEWAY": "geeknow"}

    def owner_and_year(begun: Command) -> tuple[str, str]:
        health = httpx.get(f"{begun.url}/_emulator/health")
        models = httpx.get(f"{begun.url}/v1/models", headers={"authorization": "Bearer k1"}).json()["data"]
        return models[0]["id"], health.headers["date"].split()[3]

    assert ("dall-e-2", "2001") == owner_and_year(command("--ready-json"))
    assert ("gpt-image-1", "2002") == owner_and_year(command("--ready-json", **environ))
    assert ("gpt-image-1", "2003") == owner_and_year(
        command("--ready-json", "--clock", "frozen:2003-01-01T00:00:00Z", **environ)
    )


# --- the console ---


def test_a_reader_that_leaves_stops_nothing(command: Callable[..., Command]) -> None:
    """`serve | head -1`: calls are answered on, and the end is as quiet as ever."""
    begun = command()
    begun.out.close()
    for _ in range(5):
        assert 200 == begun.generate({"prompt": "x"}).status_code
    assert (0, "", "") == begun.end()


def test_a_reader_that_sleeps_stops_nothing(command: Callable[..., Command]) -> None:
    """A parent that keeps the pipe and never reads it: calls are answered on when the pipe is full."""
    begun = command()
    with httpx.Client(headers={"authorization": "Bearer k1"}, timeout=3) as client:
        for _ in range(1200):
            assert 200 == client.post(f"{begun.url}/ezmodel/v1/images/generations", json={"prompt": "x"}).status_code


def test_a_console_of_few_letters_goes_on(command: Callable[..., Command]) -> None:
    """A name that the console's encoding lacks costs a letter, not the lines to come."""
    begun = command(PYTHONIOENCODING="ascii")
    begun.generate({"prompt": "x", "model": "画"}, "geeknow")
    begun.generate({"prompt": "x", "model": "after"}, "geeknow")
    code, out, err = begun.end()
    assert (0, "", True) == (code, err, " after 200 " in out)


def test_no_key_on_the_console(command: Callable[..., Command]) -> None:
    """Wherever a key stands, good, wrong, misplaced, or in a head that does not parse: no output shows it."""
    canary = "sk-canary" + "0123456789" * 3
    begun = command()
    for key in (canary, "canary1234", f"sk-invalid-{canary}"):
        for gateway in ("ezmodel", "geeknow", "aiai"):
            for body in (
                {"prompt": key},
                {"prompt": "x", "model": key},
                {"prompt": "x", key: key},
                {"prompt": "x", "n": key},
            ):
                begun.generate(body, gateway, key)
    odd = [
        f"GET /v1/models?api_key={canary} HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: {canary}\r\n\r\n",
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {canary}{'x' * 9000}\r\n\r\n",
        f"GET /v1/models HTTP/1.1\nHost: x\nAuthorization: Bearer {canary}\n\n",
        f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {canary}\0\r\n\r\n",
        f"GET /{canary}\0 HTTP/1.1\r\nHost: x\r\n\r\n",
        f"GET /s/{canary}/v1/models HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    for request in odd:
        with socket.create_connection(("127.0.0.1", begun.port), PATIENCE) as line:
            line.sendall(request.encode())
            assert line.recv(100).startswith(b"HTTP/1.")
    code, out, err = begun.end()
    assert 0 == code
    assert "" == err
    assert [] == [line for line in out.splitlines() if "canary" in line and "/s/" not in line]
