"""What a session remembers, out and in again: it goes on as if nothing had been between, and shows no key."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator import Emulator, EmulatorError
from emulator.server.app import App
from emulator.server.listener import start
from emulator.session.store import StoreLimits
from emulator.settings import Settings
from tests.conftest import Served
from tests.process import Command, refused_here
from tests.session.serialising_store import SerialisingStore
from tests.uploads import draw_file

FROZEN: Final = "frozen:2026-01-01T00:00:00Z"
LIMITS: Final = StoreLimits(calls=100, bytes=10**8, sessions=100, age=10**6)
KEY: Final = "sk-canary0123456789canary"
SCENARIO: Final = {
    "scenario": "mine",
    "rules": [
        {"name": "bumpy", "when": {"prompt": {"contains": "cat"}},
         "answers": [{"refuse": "overloaded"}, {"draw": {}}, {"refuse": "rate_limit"}, {"draw": {}}]},
    ],
    "limits": {"images": 5},
}  # fmt: skip
CAT: Final = {"prompt": "A cat", "size": "256x256"}


@pytest.fixture(scope="module", params=["in memory", "serialised", "redis"])
def two(request: pytest.FixtureRequest) -> Iterator[tuple[Served, Served]]:
    """Two servers that know nothing of each other; their clocks stand still."""
    if request.param == "redis":
        url = request.getfixturevalue("redis_server").url
        servers = tuple(Served(clock=FROZEN, store_url=f"{url}?prefix=state-{one}") for one in (1, 2))
    elif request.param == "serialised":
        servers = tuple(Served(store=SerialisingStore(LIMITS), clock=FROZEN) for _ in range(2))
    else:
        servers = tuple(Served(clock=FROZEN) for _ in range(2))
    yield servers  # type: ignore[misc]
    for server in servers:
        server.stop()


def admin(served: Served, method: str, path: str, body: Any = None) -> Any:
    """The JSON of an answer of the admin API about a session."""
    response = httpx.request(method, f"{served.url}/_emulator/sessions/{path}", json=body, timeout=30)
    assert response.status_code in (200, 406), response.text
    return response.json()


def generate(served: Served, session: str, prompt: str = "A cat", **more: Any) -> httpx.Response:
    body = {"prompt": prompt, "size": "256x256", **more}
    return served.generate("ezmodel", body, key=KEY, **{"x-emulator-session": session})


def edit(served: Served, session: str, image: bytes) -> httpx.Response:
    headers = {"authorization": f"Bearer {KEY}", "x-emulator-session": session}
    files = {"image": ("a.png", image, "image/png")}
    data = {"prompt": "A dog", "model": "dall-e-2", "size": "256x256"}
    return httpx.post(f"{served.base('ezmodel')}/images/edits", headers=headers, files=files, data=data)


def test_a_session_goes_on_on_another_server(two: tuple[Served, Served]) -> None:
    """Numbers, sequences, limits, time, settings, journal, verdicts and uploads are those of the first server."""
    first, second = two
    admin(first, "PUT", "case/scenario", SCENARIO)
    admin(first, "PUT", "case/settings", {"report_only": True})
    assert [503, 200] == [generate(first, "case").status_code for _ in range(2)]
    upload = draw_file(size=(64, 64))
    assert 200 == edit(first, "case", upload).status_code
    httpx.post(f"{first.url}/_emulator/clock", json={"advance": "1h", "session": "case"})
    state = admin(first, "GET", "case/state")
    assert KEY not in json.dumps(state)
    assert {"session": "case", "calls": 3, "kept": 3} == admin(second, "PUT", "case/state", state)
    question = {"at_least": 1, "when": {"prompt": {"contains": "cat"}, "status": 200}}
    for path in ("case/calls", "case/settings", "case/scenario", "case"):
        assert admin(first, "GET", path) == admin(second, "GET", path)
    for words in (question, {"times": 3}, {"no_unused_answers": True}, {"no_findings": True}, {"max_cost": 0.001}):
        assert admin(first, "POST", "case/verify", words) == admin(second, "POST", "case/verify", words)
    digest = admin(second, "GET", "case/calls/3")["uploads"][0]["sha256"]
    assert upload == httpx.get(f"{second.url}/_emulator/sessions/case/uploads/{digest}").content
    for number in (2, 3):
        pictures = [httpx.get(f"{one.url}/_emulator/sessions/case/calls/{number}/pictures/0").content for one in two]
        assert pictures[0] == pictures[1]
    answers = [[generate(one, "case").status_code for _ in range(3)] for one in two]
    assert [429, 200, 429] == answers[0] == answers[1]
    calls = [admin(one, "GET", "case/calls")["calls"] for one in two]
    assert [1, 2, 3, 4, 5, 6] == [call["number"] for call in calls[1]]
    shown = [json.dumps(found[3:]).replace(str(one.port), "PORT") for one, found in zip(two, calls, strict=True)]
    assert shown[0] == shown[1]
    assert "2026-01-01T01:00:00Z" == calls[1][3]["time"]


def test_tasks_go_on(two: tuple[Served, Served]) -> None:
    """A task that has begun on one server is asked for on the other."""
    first, second = two
    admin(first, "PUT", "tasks/settings", {"behavior": "observed"})
    headers = {"authorization": f"Bearer {KEY}", "x-emulator-session": "tasks"}
    body = {"model": "cogview-4", "prompt": "A cat", "async": True}
    begun = httpx.post(f"{first.base('geekai')}/images/generations", json=body, headers=headers).json()
    admin(second, "PUT", "tasks/state", admin(first, "GET", "tasks/state"))
    answers = []
    for served in two:
        path = f"{served.base('geekai')}/images/{begun['task_id']}"
        shown = [httpx.get(path, headers=headers).json() for _ in range(3)]
        answers.append(json.loads(json.dumps(shown).replace(served.url, "")))
    assert answers[0] == answers[1]
    assert "succeed" in json.dumps(answers[0][-1])


def test_a_state_under_another_name(two: tuple[Served, Served]) -> None:
    """A state may be put where something was, or under another name; what was there goes."""
    first, _ = two
    assert 200 == generate(first, "one").status_code
    generate(first, "two")
    generate(first, "two")
    admin(first, "PUT", "two/state", admin(first, "GET", "one/state"))
    (call,) = admin(first, "GET", "two/calls")["calls"]
    assert "two" == call["session"]
    assert 200 == generate(first, "two").status_code
    assert 2 == admin(first, "GET", "two")["calls"]


def test_no_state_of_no_session(two: tuple[Served, Served]) -> None:
    assert 404 == httpx.get(f"{two[0].url}/_emulator/sessions/never-begun/state").status_code


def _change(state: dict[str, Any], *path: Any, value: Any) -> dict[str, Any]:
    """A copy of the state with another value at `path`; the value ... removes it."""
    changed: dict[str, Any] = json.loads(json.dumps(state))
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return changed


ENTRY: Final = ("sessions", 0, "journal", 0)
BAD: Final = [
    (("state",), 2, "state is 2; this version reads 1"),
    (("state",), ..., "it is no state of an emulator"),
    (("more",), 1, "it has other fields than"),
    (("sessions",), [], "the state has 0 sessions; expected one"),
    (("clock",), 1e300, "clock is 1e+300, which is no time"),
    (("sessions", 0, "calls"), 0, "the numbers in journal are not those of 0 calls"),
    (("sessions", 0, "calls"), "1", "calls is '1'"),
    (("sessions", 0, "counts"), {"turn": "x"}, "count is 'x'"),
    (("sessions", 0, "scenario"), {"source": "rules: 1", "file": "x", "version": 0}, "scenario: x:1: rules"),
    (("sessions", 0, "scenario"), {"source": "rules: [{answers: {draw: {picture: {file: /etc/passwd}}}}]", "file": "x",
                                   "version": 0}, "scenario: "),
    (("sessions", 0, "scenario"), {"source": "{}", "file": "x", "version": 0, "folder": "/"}, "it has other fields"),
    (("sessions", 0, "settings"), {"behavior": "odd"}, "behavior is 'odd'; expected one of"),
    (("sessions", 0, "tasks"), {"a": {}}, "tasks: 'a' is no task"),
    ((*ENTRY, "number"), 7, "the numbers in journal are not those of 1 calls"),
    ((*ENTRY, "state"), "under_way", "state is 'under_way'"),
    ((*ENTRY, "key"), KEY, "key is '"),
    ((*ENTRY, "pictures", 0, "width"), 10**9, "it is no entry of a journal"),
    ((*ENTRY, "response", "headers"), 3, "it is no entry of a journal"),
    ((*ENTRY, "headers"), ..., "headers is None"),
    (("files", "upload"), {"0" * 32: "AAAA"}, "has other bytes than its digest says"),
    (("files", "picture"), {"0" * 16: "?"}, "is not in Base64"),
]  # fmt: skip


@pytest.fixture(scope="module")
def good(two: tuple[Served, Served]) -> dict[str, Any]:
    generate(two[0], "good")
    state: dict[str, Any] = admin(two[0], "GET", "good/state")
    return state


@pytest.mark.parametrize(("path", "value", "said"), BAD, ids=[said for *_, said in BAD])
def test_a_bad_state_is_refused_as_a_whole(
    two: tuple[Served, Served], good: dict[str, Any], path: Any, value: Any, said: str
) -> None:
    """In one line, and what the session was before stays."""
    url = f"{two[1].url}/_emulator/sessions/kept/state"
    assert 200 == httpx.put(url, json=good).status_code
    before = httpx.get(url).json()
    answer = httpx.put(url, json=_change(good, *path, value=value))
    assert 400 == answer.status_code, answer.text
    message = answer.json()["error"]["message"]
    assert said in message
    assert "\n" not in message
    assert len(message) < 700
    assert before == httpx.get(url).json()


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"{", "application/json", "the body is no JSON"),
        (b"[]", "application/json", "it is no state"),
        (b"{}", "text/plain", "expected application/json"),
        (b'{"state": 1, "state": 1}', "application/json", "'state' is given twice"),
        (b"[" * 100_000, "application/json", "the body is no JSON"),
    ],
)
def test_bodies_that_are_no_state(two: tuple[Served, Served], content: bytes, kind: str, said: str) -> None:
    url = f"{two[1].url}/_emulator/sessions/none/state"
    answer = httpx.put(url, content=content, headers={"content-type": kind})
    assert (400, True) == (answer.status_code, said in answer.json()["error"]["message"]), answer.text
    assert 404 == httpx.get(url).status_code


def test_values_of_wrong_shapes_harm_nobody(two: tuple[Served, Served], good: dict[str, Any]) -> None:
    """Whatever is changed in a state: it is refused, or everything that shows the session still answers."""
    chance = random.Random(15)
    served = two[1]
    url = f"{served.url}/_emulator/sessions/shaken"
    values: list[Any] = [None, True, -1, 10**30, 1.5, "", "x" * 3000, [], {}, [[]], {"$type": "Draw"}, "\ud800"]
    taken = 0
    with httpx.Client(timeout=30) as client:
        for _ in range(150):
            place: Any = json.loads(json.dumps(good))
            changed = place
            while isinstance(place, dict | list) and place:
                keys = list(place) if isinstance(place, dict) else list(range(len(place)))
                step = chance.choice(keys)
                if chance.random() < 0.25 or not place[step] or not isinstance(place[step], dict | list):
                    place[step] = chance.choice(values)
                    break
                place = place[step]
            body = json.dumps(changed).encode()
            status = client.put(f"{url}/state", content=body, headers={"content-type": "application/json"}).status_code
            assert status in (200, 400)
            taken += status == 200
            for path in ("", "/calls", "/calls?view=summary", "/scenario", "/settings", "/state", "/calls/1/code/curl",
                         "/calls/1/pictures/0"):  # fmt: skip
                assert client.get(url + path).status_code in (200, 400, 404), (path, changed)
            for words in ({"times": 1}, {"max_cost": 1}, {"no_findings": True}):
                assert client.post(f"{url}/verify", json=words).status_code in (200, 400, 404, 406), changed
    assert taken > 5


def test_uploads_can_be_left_out(two: tuple[Served, Served]) -> None:
    first, _ = two
    edit(first, "big", draw_file(size=(80, 80)))
    with_files = admin(first, "GET", "big/state")["files"]
    assert [draw_file(size=(80, 80))] == [base64.b64decode(text) for text in with_files["upload"].values()]
    assert {"upload": {}, "picture": {}} == admin(first, "GET", "big/state?files=false")["files"]


def test_no_key_is_in_a_state(two: tuple[Served, Served]) -> None:
    """Not the key of a call, wherever the call repeats it, nor one in a body that is no JSON."""
    first, second = two
    generate(first, "keys", prompt=f"A cat {KEY}", user=KEY)
    generate(first, "keys", prompt="A cat", size=KEY)
    headers = {"authorization": f"Bearer {KEY}", "x-emulator-session": "keys", "content-type": "application/json"}
    httpx.post(f"{first.base('ezmodel')}/images/generations?key={KEY}", content=f"{{{KEY}", headers=headers)
    state = admin(first, "GET", "keys/state")
    assert 3 == len(state["sessions"][0]["journal"])
    assert KEY not in json.dumps(state)
    admin(second, "PUT", "keys/state", state)
    calls = [admin(one, "GET", "keys/calls")["calls"] for one in two]
    for call in (*calls[0], *calls[1]):
        call["pictures"] = len(call["pictures"])  # the caption of a picture whose prompt has a key is another one
    assert calls[0] == calls[1]


# --- files


def test_a_server_goes_on_where_another_ended(tmp_path: Path) -> None:
    """All sessions are written at the end, for the user alone, and are there after the next start."""
    path = tmp_path / "state.json"
    first = Command(tmp_path, "--ready-json", "--export-on-exit", str(path), "--scenario", "rate-limited-then-ok")
    try:
        first.ready()
        statuses = [first.generate({"prompt": "x"}, key=f"sk-files-{number}").status_code for number in (1, 2, 1)]
        assert (0, "", "") == first.end()
    finally:
        first.kill()
    assert 0o600 == path.stat().st_mode & 0o777
    assert ["state.json"] == [one.name for one in tmp_path.iterdir()]
    second = Command(tmp_path, "--ready-json", "--import", str(path), "--scenario", "rate-limited-then-ok")
    try:
        second.ready()
        sessions = httpx.get(f"{second.url}/_emulator/sessions").json()["sessions"]
        assert [1, 2] == sorted(session["calls"] for session in sessions)
        statuses.append(second.generate({"prompt": "x"}, key="sk-files-2").status_code)
        assert (0, "", "") == second.end()
    finally:
        second.kill()
    assert [429, 429] == statuses[:2]
    assert statuses[2] == statuses[3]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, ["--import 'state.json': No such file or directory"]),
        ("nothing", ["--import 'state.json': it is no JSON"]),
        ("{}", ["--import 'state.json': the state cannot be used: it is no state of an emulator"]),
        ('{"state": 9}', ["state is 9; this version reads 1"]),
    ],
)
def test_a_bad_file_stops_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    said: list[str],
) -> None:
    if content is not None:
        (tmp_path / "state.json").write_text(content)
    refused_here(monkeypatch, capsys, tmp_path, ["--port", "0", "--import", "state.json"], said)


def test_a_file_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    """It is known before the first call, and not after the last one."""
    with pytest.raises(EmulatorError, match=r"export_on_exit 'none/state.json': .* is no folder"):
        Emulator(export_on_exit="none/state.json").start()


def test_a_folder_is_no_file_to_write_to(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match=r"it is a folder; expected a file"):
        Emulator(export_on_exit=tmp_path).start()


def test_an_export_that_fails_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The folder has gone meanwhile; the command's exit code is 1 then."""
    folder = tmp_path / "gone"
    folder.mkdir()

    async def run() -> bool:
        running = await start(App(Settings(port=0, export_on_exit=str(folder / "state.json"))))
        folder.rmdir()
        await running.stop()
        return running.is_exported

    assert not asyncio.run(run())
    assert "cannot be written: No such file or directory" in caplog.text


def test_an_entry_that_could_not_be_written_out_again_is_refused(tmp_path: Path) -> None:
    """Else a session with it would keep all others from being exported."""
    path = tmp_path / "state.json"
    with Emulator(export_on_exit=path) as own:
        headers = {"authorization": f"Bearer {own.key}"}
        files = {"image": ("a.png", draw_file(mode="RGBA"), "image/png")}
        httpx.post(f"{own.url('aiai')}/images/edits", data={"prompt": "x"}, files=files, headers=headers)
    text = path.read_text()
    assert '"sha256":"' in text
    path.write_text(re.sub('"sha256":"[0-9a-f]*"', '"sha256":5', text))
    with pytest.raises(EmulatorError, match=r"journal\[0\]: it is no entry of a journal \(TypeError\)"):
        Emulator(import_=path).start()


def test_an_emulator_goes_on(tmp_path: Path) -> None:
    """`Emulator` takes both files as keywords; time of all sessions goes on too."""
    path = tmp_path / "state.json"
    with Emulator(export_on_exit=path, clock=FROZEN) as own:
        own.clock.advance("2h")
        headers = {"authorization": f"Bearer {own.key}"}
        assert 200 == httpx.post(f"{own.url('ezmodel')}/images/generations", json=CAT, headers=headers).status_code
        expected = own.calls.latest.time
    with Emulator(import_=path, clock=FROZEN) as own:
        assert (1, expected) == (own.calls.latest.number, own.calls.latest.time)
        own.verify(once=True, status=200)
    with pytest.raises(EmulatorError, match=r"import '.*': No such file"):
        Emulator(import_=tmp_path / "none").start()
