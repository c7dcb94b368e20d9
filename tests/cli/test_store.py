"""The setting `store`: what is refused at the start, in one line, and what is told of it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator import Emulator, EmulatorError
from emulator.cli.main import main
from emulator.session.redis_address import parse_address
from tests.process import Command, refused
from tests.redis_server import RedisServer, need_redis

SECRET = "canary-4711"


@pytest.fixture(scope="module")
def evicting() -> Iterator[RedisServer]:
    """A Redis that removes keys when its memory is full."""
    need_redis()
    running = RedisServer("--maxmemory-policy", "allkeys-lru")
    yield running
    running.stop()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"redi://:{SECRET}@there",
            "unix:///PATH of a socket, or local; did you mean redis://?",
        ),
        (f"there:{SECRET}", "expected redis://HOST:PORT"),
        ("redis://", "expected a place behind redis://"),
        (f"redis://:{SECRET}@there:port", "Port could not be cast"),
        (f"redis://:{SECRET}@there?prefix=a b", "expected a place behind redis://"),
        (f"redis://:{SECRET}@there?prefix=", "the prefix '' is none; expected up to 64 of"),
        (f"redis://:{SECRET}@there?timeout=1", "the URL has the unknown option 'timeout'; those known are db, prefix"),
        ("unix://tmp/socket", "expected unix:///PATH with the whole path of the socket"),
    ],
)
def test_a_bad_url_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, said: str
) -> None:
    """The line says what is expected, and shows no password."""
    monkeypatch.chdir(tmp_path)
    assert 2 == main(["serve", "--port", "0", "--store", text])
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "--store" in line
    assert SECRET not in line


def test_addresses() -> None:
    """The prefix is ours; user and password are not shown."""
    assert ("redis://u:p@there:1/2?db=3", "team:a", "redis://there:1/2") == parse_address(
        "redis://u:p@there:1/2?db=3&prefix=team:a"
    )
    assert ("unix:///run/redis.sock", "iae", "unix:///run/redis.sock") == parse_address("unix:///run/redis.sock")


def test_a_redis_that_is_not_there(tmp_path: Path) -> None:
    """A server does not start without its store."""
    need_redis()
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://:{SECRET}@127.0.0.1:{nobody.getsockname()[1]}"
        refused(tmp_path, ["--port", "0", "--store", url], ["--store redis://127.0.0.1:", "Connect"])
    url = f"unix://{tmp_path}/none"
    refused(tmp_path, ["--port", "0", "--store", url], [f"--store {url}: ", "No such"])


def test_a_redis_that_removes_keys(tmp_path: Path, evicting: RedisServer) -> None:
    """Turns and limits would be lost without a word."""
    said = ["its maxmemory-policy is allkeys-lru, which removes keys; expected noeviction"]
    refused(tmp_path, ["--port", "0", "--store", evicting.url], said)


def test_without_the_client(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One line says what to install."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in sys.modules if name.startswith("emulator.session.redis_store")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "emulator.session.redis_connection", None)
    assert 2 == main(["serve", "--port", "0", "--store", f"redis://:{SECRET}@there"])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "--store redis://there: the client for Redis is not installed; pip install 'image-api-emulator[redis]'"
    )


def test_the_start_and_doctor_tell_of_it(
    tmp_path: Path, redis_server: RedisServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where sessions are kept, and whether that can be used."""
    command = Command(tmp_path, "--store", redis_server.url)
    try:
        lines = iter(command.out.readline, "")
        assert any(line.startswith(f"Store: {redis_server.url}; every server") for line in lines)
    finally:
        command.kill()
    monkeypatch.chdir(tmp_path)
    for url, state in ((redis_server.url, "ok"), (f"unix://{tmp_path}/none", "wrong")):
        monkeypatch.setenv("EMULATOR_STORE", url)
        main(["doctor", "--json", "--port", "0"])
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
        assert state == checks["Redis"]["state"]
        assert url in checks["Redis"]["text"]


def test_an_emulator_has_a_store_too(redis_server: RedisServer, tmp_path: Path) -> None:
    """The keyword is the setting's name; what cannot be used is an EmulatorError."""
    with Emulator(store=f"{redis_server.url}?prefix=embedded") as image_api:
        assert [] == list(image_api.calls)
    with pytest.raises(EmulatorError, match=r"^store unix://.*: .*No such file"):
        Emulator(store=f"unix://{tmp_path}/none").start()


def test_servers_whose_pictures_differ_do_not_share(tmp_path: Path, redis_server: RedisServer) -> None:
    """One with another encoder does not start while the first is there, and does once that has stopped."""
    url = f"{redis_server.url}?prefix=encoders"
    first = Command(tmp_path, "--ready-json", "--store", url)
    try:
        first.ready()
        generation = redis_server.ask("KEYS", "encoders:replica:*").splitlines()[-1].decode()
        redis_server.ask("HSET", generation, "encoder", "Pillow 1.0")
        refused(tmp_path, ["--port", "0", "--store", url], ["writes pictures by Pillow 1.0, and this one by Pillow"])
        assert 0 == first.end()[0]
    finally:
        first.kill()
    with Emulator(store=url) as image_api:
        assert [] == list(image_api.calls)
