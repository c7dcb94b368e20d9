"""Who may use the emulator's own paths where a token is needed, and that the token is shown nowhere else."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.admin.auth import AdminAuth
from emulator.admin.routes import ROUTES
from emulator.settings import Settings
from tests.conftest import Served
from tests.described import Described
from tests.process import Command

TOKEN: Final = "canary-token-4711"
BODY: Final = {"prompt": "A cat"}
PUBLIC: Final = ("/health", "/", "/inspector.js", "/inspector.css")
CLIENT: Final = httpx.Client(verify=False)


@pytest.fixture(scope="module")
def guarded() -> Iterator[Served]:
    """A server that asks for a token."""
    served = Served(admin_token=TOKEN)
    yield served
    served.stop()


@pytest.mark.parametrize(
    "headers",
    [
        {}, {"authorization": "Bearer"}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": TOKEN},
        {"authorization": f"Basic {TOKEN}"}, {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN.upper()}"}, {"x-emulator-token": "nonsense"}, {"x-emulator-token": ""},
        {"authorization": "Bearer sk-key", "x-emulator-token": "nonsense"}, {"x-emulator-token": f"Bearer {TOKEN}"},
        {"cookie": f"token={TOKEN}"}, {"x-emulator-token": b"\xff\xfe\x00".hex()},
    ],
    ids=str,
)  # fmt: skip
def test_without_the_token_nothing_is_told(guarded: Served, headers: dict[str, str]) -> None:
    """401 in our envelope for every path that tells of calls, whether the token is missing or wrong, and for others."""
    for route in ROUTES:
        response = CLIENT.request(route.method, f"{guarded.url}/_emulator{route.path}", headers=headers)
        if route.path in PUBLIC and route.method == "GET":
            assert (200, False) == (response.status_code, "canary" in response.text + str(response.headers))
            continue
        if route.path == "/login":  # the token comes in the body
            assert 400 == response.status_code
            continue
        assert (route, 401, 'Bearer realm="emulator"') == (
            route,
            response.status_code,
            response.headers["www-authenticate"],
        )
        error = response.json()["error"]
        assert ("emulator_error", False) == (error["type"], "canary" in response.text)
        assert not [name for name in response.headers if name.startswith("access-control")]
    for method, path in (("GET", "/nothing"), ("PATCH", "/clock"), ("OPTIONS", "/clock"), ("GET", "/s/a/_emulator")):
        assert 401 == CLIENT.request(method, f"{guarded.url}/_emulator{path}", headers=headers).status_code
    assert 401 == CLIENT.get(f"{guarded.url}/s/x/_emulator/sessions", headers=headers).status_code


def test_odd_tokens_are_wrong_tokens(guarded: Served) -> None:
    """Bytes that are no ASCII, however they are sent, compare like any other."""
    for value in (b"\xff\xfe", "ä".encode(), b"Bearer \xf0\x9f\x98\x80", b"a" * 7000):
        for name in (b"Authorization", b"X-Emulator-Token"):
            response = CLIENT.get(f"{guarded.url}/_emulator/sessions", headers=[(name, value)])
            assert (value, 401) == (value, response.status_code)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {TOKEN}"}, {"authorization": f"bearer  {TOKEN}"}, {"x-emulator-token": TOKEN},
        {"authorization": "Bearer sk-a-gateways-key", "x-emulator-token": TOKEN},
        {"authorization": f"Bearer {TOKEN}", "x-emulator-token": "nonsense"},
    ],
    ids=str,
)  # fmt: skip
def test_with_the_token_all_is_told(guarded: Served, headers: dict[str, str]) -> None:
    """Either header will do, also beside a gateway's key; the description then says that a token is needed."""
    ask = Described(guarded, **headers)
    assert 200 == ask("GET", "/sessions").status_code
    assert [{"bearer": []}, {"header": []}] == ask.get("/openapi.json")["security"]
    assert 403 == ask("GET", "/sessions", headers={"origin": "https://evil.test"}).status_code
    assert 403 == ask("GET", "/sessions", headers={"host": "evil.test"}).status_code


def test_a_browser_has_the_token_in_a_cookie(guarded: Served) -> None:
    """The right token gives a cookie that scripts cannot read, and with it all is told; a wrong one gives none."""
    url = f"{guarded.url}/_emulator"
    wrong = CLIENT.post(f"{url}/login", json={"token": TOKEN + "x"})
    assert (401, False) == (wrong.status_code, "set-cookie" in wrong.headers)
    right = CLIENT.post(f"{url}/login", json={"token": TOKEN})
    assert (200, {"needs_token": True}) == (right.status_code, right.json())
    cookie, *attributes = right.headers["set-cookie"].split("; ")
    assert ["Path=/_emulator", "HttpOnly", "SameSite=Strict"] == attributes
    CLIENT.cookies.clear()
    assert 200 == httpx.get(f"{url}/sessions", headers={"cookie": f"a=b; {cookie}"}).status_code
    foreign = {"cookie": cookie, "origin": "https://elsewhere.test"}
    assert [403, 403] == [httpx.get(f"{url}/{path}", headers=foreign).status_code for path in ("sessions", "events")]
    assert 401 == httpx.get(f"{url}/sessions", headers={"cookie": cookie + "x"}).status_code


def test_gateways_need_no_token(guarded: Served) -> None:
    """Calls, pictures and their CORS are as ever."""
    answer = guarded.generate("ezmodel", BODY)
    assert (200, "*") == (answer.status_code, answer.headers["access-control-allow-origin"])
    assert 200 == CLIENT.get(answer.json()["data"][0]["url"]).status_code


def test_the_token_stays_in(guarded: Served, caplog: pytest.LogCaptureFixture) -> None:
    """A client that sends it to a gateway, where it does not belong, finds it in no journal, event, metric or log."""
    ask = Described(guarded, **{"x-emulator-token": TOKEN})
    with CLIENT.stream("GET", f"{guarded.url}/_emulator/events", headers={"x-emulator-token": TOKEN}) as stream:
        lines = stream.iter_lines()
        next(lines)
        for headers in ({"x-emulator-token": TOKEN}, {"authorization": f"Bearer {TOKEN}"}):
            guarded.generate("ezmodel", {"prompt": f"say {TOKEN}"}, **{"x-emulator-session": "stays", **headers})
        heard = [next(lines) for _ in range(8)]
    told = [str(ask("GET", path).text) for path in (
        "/health", "/sessions", "/sessions/stays", "/sessions/stays/calls", "/metrics", "/openapi.json", "/gateways",
    )]  # fmt: skip
    wrong = CLIENT.get(f"{guarded.url}/_emulator/sessions", headers={"x-emulator-token": f"{TOKEN}-not"}).text
    everything = "\n".join([*told, *heard, wrong, caplog.text, repr(guarded.app.settings)])
    assert "stays" in everything
    assert "canary" not in everything


def test_who_can_be_reached_has_a_token() -> None:
    """Loopback needs none; any other address makes one up, another each time, unless one was chosen."""
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3", "LOCALHOST"):
        assert (None, False) == (AdminAuth(Settings(host=host)).token, AdminAuth(Settings(host=host)).generated)
    for host in ("0.0.0.0", "::", "192.168.1.5", "my-machine", "127.0.0.1.evil.test", "127.evil.test", "10.0.0.1"):
        one, other = AdminAuth(Settings(host=host)), AdminAuth(Settings(host=host))
        assert (True, 32) == (one.generated, len(one.token or ""))
        assert one.token != other.token
    chosen = AdminAuth(Settings(host="0.0.0.0", admin_token=TOKEN))
    assert (TOKEN, False) == (chosen.token, chosen.generated)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts commands, and leaves none running."""
    running: list[Command] = []

    def begin(*flags: str, **more: str) -> Command:
        running.append(Command(tmp_path, *flags, **more))
        running[-1].ready()
        return running[-1]

    yield begin
    for one in running:
        one.kill()


def test_a_token_that_was_generated_is_told_once(command: Callable[..., Command]) -> None:
    """To a program in the ready line, to a person in the welcome; never again, and it opens the paths."""
    begun = command("--ready-json", "--host", "0.0.0.0")
    ready: dict[str, Any] = json.loads(begun.first)
    assert ["url", "port", "pid", "admin_token"] == list(ready)
    token = ready["admin_token"]
    statuses = [
        CLIENT.get(f"{begun.url}/_emulator/sessions", headers=headers).status_code
        for headers in ({}, {"authorization": f"Bearer {token}"})
    ]
    assert [401, 200] == statuses
    begun.generate(BODY, key=token)
    code, out, err = begun.end()
    assert (0, False, False) == (code, token in out, token in err)


def test_a_person_is_told_how(command: Callable[..., Command]) -> None:
    """The welcome shows the whole header; a token that was chosen is not shown."""
    begun = command("--host", "0.0.0.0")
    asked, how = begun.out.readline(), begun.out.readline()
    token = re.search("Authorization: Bearer ([0-9a-f]{32})$", how)
    assert token
    assert f"Calls and their pictures: {begun.url}/_emulator/#token={token[1]}\n" == asked
    assert 200 == CLIENT.get(f"{begun.url}/_emulator/clock", headers={"x-emulator-token": token[1]}).status_code
    begun = command("--host", "0.0.0.0", EMULATOR_ADMIN_TOKEN=TOKEN)
    assert 200 == CLIENT.get(f"{begun.url}/_emulator/sessions", headers={"x-emulator-token": TOKEN}).status_code
    code, out, err = begun.end()
    assert (0, False) == (code, "canary" in out + err)


def test_a_bad_token_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The line that refuses it names the setting, and not the value."""
    from emulator.cli.main import main

    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMULATOR_ADMIN_TOKEN", "canary with a space")
    assert 2 == main(["serve"])
    said = capsys.readouterr().err
    assert "EMULATOR_ADMIN_TOKEN: (not shown): expected 8 to 200 visible ASCII characters without a space" in said
    assert "canary" not in said
