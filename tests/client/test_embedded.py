"""An emulator in this process: it starts and ends in every style of test, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
import unittest
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI

from emulator import Emulator, EmulatorError, ImageApi, RecordedCall
from tests.docs_gateways import write_example

BODY: Final = {"prompt": "A cute cat", "size": "256x256"}


def ask(image_api: ImageApi, **body: Any) -> httpx.Response:
    """A call for pictures at the gateway `ezmodel`."""
    headers = {"authorization": f"Bearer {image_api.key}"}
    return httpx.post(f"{image_api.url('ezmodel')}/images/generations", json={**BODY, **body}, headers=headers)


def statuses(image_api: ImageApi) -> list[int | None]:
    """The statuses of a session's calls."""
    return [call.status for call in image_api.calls]


def descriptors() -> int:
    """How many files and sockets this process has open."""
    gc.collect()  # what an earlier test left to the collector is not this one's
    return len(os.listdir("/proc/self/fd"))


def test_with_and_a_synchronous_client() -> None:
    """In the block a synchronous client is answered; after it no client is, and the objects say why."""
    with Emulator(gateway="ezmodel") as image_api:
        with OpenAI(base_url=image_api.url(), api_key=image_api.key) as sdk:
            link = sdk.images.generate(prompt="A cute cat", size="256x256").data[0].url  # type: ignore[index]
        assert link is not None
        assert (b"\x89PNG", [200]) == (httpx.get(link).content[:4], statuses(image_api))
        account, server = image_api.session("alice"), image_api.server
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server}/_emulator/health")
    with pytest.raises(EmulatorError, match="does not run: use `with Emulator"):
        image_api.url()
    with pytest.raises(EmulatorError, match="does not run"):
        image_api.picture(1)
    with pytest.raises(EmulatorError, match="no emulator answers at"):
        list(account.calls)


async def test_async_with_and_an_asynchronous_client() -> None:
    """The server answers an asynchronous client although the client's loop waits."""
    async with (
        Emulator(gateway="ezmodel") as image_api,
        AsyncOpenAI(base_url=image_api.url(), api_key=image_api.key) as sdk,
    ):
        prompts = [f"Cat {number}" for number in range(8)]
        await asyncio.gather(*(sdk.images.generate(prompt=prompt, size="256x256") for prompt in prompts))
        assert sorted(prompts) == sorted(call.given["prompt"] for call in image_api.calls)


async def test_a_loop_that_runs_already() -> None:
    """As in a notebook: the plain `with` works where a loop runs."""
    with Emulator() as image_api:
        async with httpx.AsyncClient() as http:
            url, headers = f"{image_api.url('ezmodel')}/images/generations", {"authorization": "Bearer sk-any"}
            assert 200 == (await http.post(url, json=BODY, headers=headers)).status_code


def test_async_with_where_another_library_runs_the_loop() -> None:
    """Without asyncio's loop, as under trio, the block works all the same."""

    async def use() -> list[int | None]:
        async with Emulator() as image_api:
            ask(image_api)
            return statuses(image_api)

    with pytest.raises(StopIteration) as ended:
        use().send(None)
    assert [200] == ended.value.value


def test_start_and_stop_as_often_as_one_likes() -> None:
    """`start` and `stop` work without a block, and several times; each run begins with an empty journal."""
    emulator = Emulator()
    emulator.stop()
    for _ in range(2):
        assert emulator is emulator.start()
        ask(emulator)
        assert [200] == statuses(emulator)
        with pytest.raises(EmulatorError, match="runs already"):
            emulator.start()
        assert [200] == statuses(emulator)
        emulator.stop()
        emulator.stop()


def test_two_at_once() -> None:
    """Two emulators in one process share nothing."""
    with Emulator(seed=1) as one, Emulator(seed=2) as other:
        ask(one)
        assert ([200], []) == (statuses(one), statuses(other))
        assert (1, 2) == (one.server_settings["seed"], other.server_settings["seed"])
        assert one.calls[0].pictures[0].recipe
        assert ask(one).json()["data"] != ask(other).json()["data"]


def test_unittest() -> None:
    """The emulator works with the set-up methods of unittest."""

    class Pictures(unittest.TestCase):
        image_api: Emulator

        @classmethod
        def setUpClass(cls) -> None:
            cls.image_api = cls.enterClassContext(Emulator())

        def setUp(self) -> None:
            self.image_api.reset()

        def test_one(self) -> None:
            ask(self.image_api)
            self.image_api.verify(once=True)

        def test_none(self) -> None:
            self.image_api.verify(never=True)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Pictures).run(result)
    assert (2, [], []) == (result.testsRun, result.errors, result.failures)


def test_exceptions_pass_through() -> None:
    """An exception leaves the block unchanged, and the server ends."""
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), Emulator():
        _ = 1 / 0
    assert before == threading.active_count()


async def test_exceptions_pass_through_async() -> None:
    """The same in an asynchronous block."""
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        async with Emulator():
            _ = 1 / 0
    assert before == threading.active_count()


def test_nothing_is_left_in_this_process() -> None:
    """No thread, socket or file stays open, whatever was drawn, kept alive or under way."""
    with Emulator() as image_api:  # once for what libraries keep for themselves
        ask(image_api, response_format="b64_json")
    before = (set(threading.enumerate()), descriptors())
    with Emulator() as image_api, httpx.Client() as http:
        headers = {"authorization": f"Bearer {image_api.key}"}
        for _ in range(3):
            url = f"{image_api.url('ezmodel')}/images/generations"
            http.post(url, json={**BODY, "response_format": "b64_json"}, headers=headers).raise_for_status()
        image_api.portability()
        kept = socket.create_connection(("127.0.0.1", int(image_api.server.rpartition(":")[2])))
    kept.close()
    assert before == (set(threading.enumerate()), descriptors())


LEFT: Final = """
import asyncio, gc, logging, threading
from emulator import Emulator
logging.getLogger("asyncio").setLevel("ERROR")  # not how long a task took on a busy machine
with Emulator() as image_api:
    image_api.play("happy")
    len(image_api.calls)
async def main():
    async with Emulator() as image_api:
        image_api.url()
asyncio.run(main())
forgotten = Emulator().start()
forgotten.url()
gc.collect()
print([thread.name for thread in threading.enumerate() if not thread.daemon])
"""


def test_no_warning_is_left() -> None:
    """Python's development mode prints no warning, not even for an emulator that was not stopped."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", LEFT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ("['MainThread']\n", "", 0) == (done.stdout, done.stderr, done.returncode)


def test_a_call_under_way_does_not_keep_it() -> None:
    """A block that ends while a scenario waits for an hour ends at once, and the client gets an error."""
    heard: list[Exception] = []

    def call(image_api: ImageApi) -> None:
        try:
            ask(image_api)
        except httpx.HTTPError as error:
            heard.append(error)

    with Emulator(scenario={"rules": [{"answers": {"latency": "1h"}}]}) as image_api:
        thread = threading.Thread(target=call, args=(image_api,))
        thread.start()
        _wait_for_a_call(image_api)
    thread.join(10)
    assert (False, 1) == (thread.is_alive(), len(heard))


async def test_a_call_of_the_same_loop_does_not_keep_it() -> None:
    """The same for a call from the loop that leaves the block."""
    async with httpx.AsyncClient() as http:
        async with Emulator(scenario={"rules": [{"answers": {"latency": "1h"}}]}) as image_api:
            url, headers = f"{image_api.url('ezmodel')}/images/generations", {"authorization": "Bearer sk-any"}
            call = asyncio.create_task(http.post(url, json=BODY, headers=headers, timeout=30))
            await asyncio.to_thread(_wait_for_a_call, image_api)
        with pytest.raises(httpx.HTTPError):
            await call


def _wait_for_a_call(image_api: ImageApi) -> None:
    """Ask the server until it has a call under way."""
    url = f"{image_api.server}/_emulator/sessions"
    with httpx.Client() as http:
        while not any(one["calls"] for one in http.get(url).json()["sessions"]):
            pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_uses_the_parents_server() -> None:
    """A child process calls the parent's server, reads its journal, and leaves it running when it ends."""
    with Emulator() as image_api:
        if not (child := os.fork()):
            try:
                fine = 200 == ask(image_api).status_code and 1 == len(image_api.calls) and {} == image_api.findings
                image_api.stop()
                os._exit(0 if fine else 1)
            finally:
                os._exit(2)
        assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert [200] == statuses(image_api)


BAD: Final[list[tuple[dict[str, Any], str]]] = [
    ({"gateway": "nowhere"}, "^gateway 'nowhere' is unknown; known are .*ezmodel"),
    ({"gatewy": "ezmodel"}, "^unknown setting 'gatewy'; did you mean 'gateway'"),
    ({"seed": "many"}, "^seed: 'many': expected a whole number$"),
    ({"clock": "frozen:yesterday"}, "^clock: 'frozen:yesterday': .* is no ISO 8601 time"),
    ({"behavior": "good"}, "^behavior: 'good': expected documented or observed"),
    ({"scenario": "no-such"}, "^'no-such' is neither a file nor a ready-made scenario; those are .*happy"),
    ({"scenario": Path("no/such.yaml")}, "^no/such.yaml: No such file"),
    ({"scenario": {"ruels": []}}, "ruels"),
    ({"scenario": "rules: [{answers: {refuse: nothing}}]"}, "nothing"),
    ({"schema": ["no/schema.yaml"]}, "no/schema.yaml"),
    ({"host": "256.0.0.1"}, "^cannot listen on host '256.0.0.1', port 0: "),
    ({"journal_entries": 0}, "^journal_entries: 0: expected a whole number from 1$"),
]


@pytest.mark.parametrize(("chosen", "message"), BAD, ids=str)
def test_bad_settings_are_one_exception(chosen: dict[str, Any], message: str) -> None:
    """Each bad setting is an EmulatorError of one line, and nothing is left running."""
    before = (threading.active_count(), descriptors())
    with pytest.raises(EmulatorError, match=message) as raised:
        Emulator(**chosen).start()
    assert "\n" not in str(raised.value)
    assert before == (threading.active_count(), descriptors())


async def test_bad_settings_in_an_asynchronous_block() -> None:
    """The same error comes out of `async with`."""
    several: list[dict[str, Any]] = [{"gateway": "nowhere"}, {"host": "256.0.0.1"}, {"scenario": {"ruels": []}}]
    for chosen in several:
        with pytest.raises(EmulatorError):
            async with Emulator(**chosen):
                pass


def test_a_port_in_use() -> None:
    """A port in use is reported with its number."""
    with Emulator() as image_api:
        port = int(image_api.server.rpartition(":")[2])
        with pytest.raises(EmulatorError, match=f"port {port}: .*address already in use"):
            Emulator(port=port).start()
        assert 0 == len(image_api.calls)


@pytest.mark.parametrize("form", ["name", "path", "text", "dict"])
def test_scenarios(tmp_path: Path, form: str) -> None:
    """The emulator's session and its further accounts play the scenario, each from the beginning."""
    text = "rules:\n  - answers: [{refuse: rate_limit}, draw]\n"
    (tmp_path / "script.yaml").write_text(text)
    scenario: Any = {
        "name": "rate-limited-then-ok",
        "path": tmp_path / "script.yaml",
        "text": text,
        "dict": {"rules": [{"answers": [{"refuse": "rate_limit"}, "draw"]}]},
    }[form]
    with Emulator(scenario=scenario) as image_api:
        for one in (image_api, image_api.session(), image_api.session().session("deeper")):
            ask(one)
            assert [429] == statuses(one)


def test_settings_come_from_keywords_then_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A keyword beats a variable, which beats the file; the port is always a free one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "emulator.yaml").write_text("seed: 1\ngateway: geekai\nport: 1\n")
    monkeypatch.setenv("EMULATOR_SEED", "2")
    monkeypatch.setenv("EMULATOR_PORT", "1")
    with Emulator() as image_api:
        assert 2 == image_api.server_settings["seed"]
        headers = {"authorization": "Bearer sk-any"}
        url = f"{image_api.url()}/images/generations"
        httpx.post(url, json={"model": "cogview-4", "prompt": "A cat"}, headers=headers).raise_for_status()
        assert "geekai" == image_api.calls.latest.gateway
    with Emulator(seed=3, gateway="aiai") as image_api:
        assert (3, True) == (image_api.server_settings["seed"], image_api.url().endswith("/aiai/v1"))


def test_further_settings_are_keywords(tmp_path: Path) -> None:
    """Any setting of `serve` is a keyword; files may be paths, and several a list."""
    (tmp_path / "keys.txt").write_text("sk-listed\n")
    schema = write_example("my-gateway.yaml", tmp_path)
    chosen: dict[str, Any] = {"schema": [schema], "keys": tmp_path / "keys.txt"}
    with Emulator(gateway="my-gateway", report_only=True, clock="frozen:2026-01-01", **chosen) as image_api:
        assert image_api.url().endswith("/my-gateway/v1")
        assert (True, "2026-01-01T00:00:00Z") == (image_api.settings()["report_only"], image_api.clock.now)
        url = f"{image_api.url()}/images/generations"
        found = [
            httpx.post(url, json={"model": "any", "prompt": "A cat"}, headers={"authorization": f"Bearer {key}"})
            for key in (image_api.key, "sk-listed", "sk-unlisted")
        ]
        assert [200, 200, 401] == [one.status_code for one in found]


def test_a_server_for_others_asks_them_for_a_token() -> None:
    """A server that other machines can reach shows its journal only to this process."""
    with Emulator(host="0.0.0.0") as image_api:
        assert 200 == ask(image_api).status_code
        assert [200] == statuses(image_api)
        assert 401 == httpx.get(f"{image_api.server}/_emulator/sessions").status_code


def test_a_token_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in the environment is asked for, and the emulator's own client sends it."""
    monkeypatch.setenv("EMULATOR_ADMIN_TOKEN", "a-long-token")
    with Emulator() as image_api:
        assert (0, 0) == (len(image_api.calls), len(image_api.session().calls))
        assert 401 == httpx.get(f"{image_api.server}/_emulator/sessions").status_code


def test_every_call_is_told_of() -> None:
    """`tell` gets each call of any session, as the journal has it."""
    told: list[RecordedCall] = []
    with Emulator(tell=told.append) as image_api:
        ask(image_api, model="dall-e-2", style="vivid")
        ask(image_api.session("alice"))
        image_api.verify(once=True)
        assert [image_api.calls[0], image_api.session("alice").calls[0]] == told
    assert [("embedded", ("parameter_ignored",)), ("embedded.alice", ())] == [(one.session, one.codes) for one in told]


def test_pictures_are_drawn_once_more() -> None:
    """`picture` returns the picture of a call without its link."""
    with Emulator() as image_api:
        links = ask(image_api, n=2).json()["data"]
        assert httpx.get(links[1]["url"]).content == image_api.picture(1, 1)
        for number, index in ((1, 2), (1, -1), (2, 0)):
            with pytest.raises(EmulatorError, match=f"call {number} of session embedded has no picture {index}"):
                image_api.picture(number, index)


def test_a_frozen_run_repeats_to_the_byte() -> None:
    """Two runs of the same calls have the same ids, times, chance and links."""
    runs = []
    for _ in range(2):
        with Emulator(clock="frozen:2026-01-01T00:00:00Z", scenario="flaky", seed=7) as image_api:
            replies = [ask(image_api) for _ in range(12)]
            port = image_api.server.rpartition(":")[2]
            runs.append([(one.status_code, one.headers["x-request-id"], one.text.replace(port, "")) for one in replies])
    assert runs[0] == runs[1]
    assert 1 < len({status for status, _, _ in runs[0]})
