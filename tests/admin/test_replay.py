"""A call that is sent again, and a call as text to paste: both are the same call as the first one."""

from __future__ import annotations

import base64
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.scenario.loader import parse_scenario
from emulator.server import own_connection
from emulator.session.call_code import WRITERS
from tests.conftest import Served
from tests.node import run_script
from tests.paths import TESTS
from tests.server.test_calls_under_way import wait_for_calls

SESSION: Final = {"x-emulator-session": "case"}
FILE: Final = (TESTS / "pictures" / "first.png").read_bytes()
PICTURE: Final = f"data:image/png;base64,{base64.b64encode(FILE).decode()}"
SHELL: Final = 'it\'s "a" $HOME `id` \\ \n 雨 {x}: #!'
"""A prompt with everything that a shell, YAML or a program would take for its own."""
BODIES: Final[tuple[dict[str, Any], ...]] = (
    {"prompt": "A boat", "model": "gpt-image-2", "n": 2, "size": "1536x1024"},
    {"prompt": SHELL, "model": "gpt-image-2", "output_format": "webp", "output_compression": 80, "user": "-x @y"},
    {"prompt": "A boat", "model": "gpt-image-2", "colour": {"red": [1, 2.5, None, True]}},
)
EQUAL: Final = ("gateway", "operation", "model", "method", "given", "params", "status")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One server for the tests that do not look at its first call."""
    one = Served()
    yield one
    one.stop()


def url(served: Served, *rest: object) -> str:
    """An address below the session's calls."""
    return "/".join([f"{served.url}/_emulator/sessions/case/calls", *map(str, rest)])


def replay(served: Served, number: int, body: Any = None) -> httpx.Response:
    """Ask for a replay."""
    return httpx.post(url(served, number, "replay"), json=body or {})


def make_edit(served: Served, **headers: str) -> None:
    """An edit as a form, with two pictures and a text that comes twice."""
    files = [("image[]", ("a b.png", FILE, "image/png")), ("image[]", ('q"uote.png', FILE, "image/png"))]
    data = {"prompt": SHELL, "model": "gpt-image-2", "size": "1024x1024"}
    headers = {"authorization": "Bearer sk-test", **SESSION, **headers}
    answer = httpx.post(f"{served.base('openai')}/images/edits", data=data, files=files, headers=headers)
    assert 200 == answer.status_code, answer.text


def check_equal(calls: list[dict[str, Any]]) -> None:
    """The last of two calls is the first one, sent again."""
    first, second = calls
    assert [first[name] for name in EQUAL] == [second[name] for name in EQUAL]
    assert [one["recipe"] for one in first["pictures"]] == [one["recipe"] for one in second["pictures"]]
    assert first["uploads"] == second["uploads"]


# --- sent again


@pytest.mark.parametrize("body", BODIES, ids=["plain", "odd", "refused"])
def test_a_call_is_sent_again(serve: Callable[..., Served], body: dict[str, Any]) -> None:
    """In its session and with its key, through everything that a call goes through; it says which call it repeats."""
    served = serve()
    served.generate("openai", body, **SESSION)
    answer = replay(served, 1)
    assert (200, {"session": "case", "replay_of": 1}) == (answer.status_code, answer.json())
    calls = wait_for_calls(served, "answered", 2)
    check_equal(calls)
    summaries = httpx.get(url(served) + "?view=summary").json()["calls"]
    assert [None, 1] == [call["replay_of"] for call in summaries]
    assert "sk-test" not in str(calls)


@pytest.mark.parametrize("prefix", ["", "/s/case"])
def test_a_session_by_key_or_path(serve: Callable[..., Served], prefix: str) -> None:
    """The call stays in its session, whichever way that was named."""
    served = serve()
    headers = {"authorization": "Bearer sk-mine"}
    address = f"{served.url}{prefix}/openai/v1/images/generations"
    httpx.post(address, json={"prompt": "A boat", "model": "gpt-image-2"}, headers=headers)
    (session,) = httpx.get(f"{served.url}/_emulator/sessions").json()["sessions"]
    httpx.post(f"{served.url}/_emulator/sessions/latest/calls/1/replay", json={})
    check_equal(wait_for_calls(served, "answered", 2, session["name"]))


def test_a_form_is_sent_again(serve: Callable[..., Served]) -> None:
    """With its texts and files, whose names may be odd."""
    served = serve()
    make_edit(served)
    assert 200 == replay(served, 1).status_code
    check_equal(wait_for_calls(served, "answered", 2))


def test_pictures_in_json_are_sent_again(serve: Callable[..., Served]) -> None:
    """The journal has them apart from the body; they are put back where they were."""
    served = serve()
    picture = "data:image/png;base64," + base64.b64encode(FILE).decode()
    body = {"prompt": "At night", "model": "gpt-image-2", "images": [{"image_url": picture}]}
    headers = {"authorization": "Bearer sk-test", **SESSION}
    httpx.post(f"{served.base('openai')}/images/edits", json=body, headers=headers)
    assert 200 == replay(served, 1).status_code
    check_equal(wait_for_calls(served, "answered", 2))


def test_what_is_compressed_or_unreadable_is_sent_again(serve: Callable[..., Served]) -> None:
    """A short body that is no JSON is sent as it was; of a long one only the beginning is kept, so that is refused."""
    served = serve()
    address = f"{served.base('openai')}/images/generations"
    headers = {"authorization": "Bearer sk-test", "content-type": "application/json", **SESSION}
    packed = gzip.compress(json.dumps({"prompt": "A boat", "model": "gpt-image-2"}).encode())
    httpx.post(address, content=packed, headers={**headers, "content-encoding": "gzip"})
    httpx.post(address, content=b'{"prompt": "A boat', headers=headers)
    httpx.post(address, content=b"{" + b"x" * 9000, headers=headers)
    httpx.get(f"{served.base('openai')}/models", headers=headers)
    assert [200, 200, 409, 200] == [replay(served, number).status_code for number in (1, 2, 3, 4)]
    calls = {call["number"]: call for call in wait_for_calls(served, "answered", 7)}
    again = {call["headers"].get("X-Emulator-Replay"): call for call in calls.values()}
    for number in (1, 2, 4):
        check_equal([calls[number], again[str(number)]])
    assert "is not kept" in replay(served, 3).json()["error"]["message"]


def test_a_call_is_sent_to_another_gateway(serve: Callable[..., Served]) -> None:
    """Where it has the same operation; the key goes where that gateway wants it."""
    served = serve()
    served.generate("openai", {"prompt": "A boat", "model": "dall-e-3", "size": "1024x1024"}, **SESSION)
    make_edit(served)
    assert 200 == replay(served, 1, {"gateway": "ezmodel"}).status_code
    call = wait_for_calls(served, "answered", 3)[-1]
    assert ("ezmodel", 200, "/ezmodel/v1/images/generations") == (call["gateway"], call["status"], call["path"])
    refused = replay(served, 2, {"gateway": "geekai"})
    if refused.status_code == 409:
        assert "has no operation 'edit'" in refused.json()["error"]["message"]
    wrong = replay(served, 1, {"gateway": "ezmodle"})
    assert (400, True) == (wrong.status_code, "ezmodel" in wrong.json()["error"]["message"])


def test_files_that_are_gone(serve: Callable[..., Served]) -> None:
    """A call whose files are not kept any more cannot be sent again."""
    served = serve(upload_bytes=1)
    make_edit(served)
    answer = replay(served, 1)
    assert (409, True) == (answer.status_code, "is not kept any more" in answer.json()["error"]["message"])


def test_so_many_at_a_time(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that wait for their answers are bounded, and a server that stops does not wait for them."""
    monkeypatch.setattr(own_connection, "MOST_AT_A_TIME", 2)
    served = serve()
    served.generate("openai", BODIES[0], **SESSION)
    slow = {"rules": [{"name": "slow", "answers": {"draw": {}, "latency": "1h"}}]}
    httpx.put(f"{served.url}/_emulator/sessions/case/scenario", json=slow)
    assert [200, 200, 503] == [replay(served, 1).status_code for _ in range(3)]
    wait_for_calls(served, "under_way", 2)


# --- as text


def read_code(served: Served, number: object, kind: str) -> str:
    """A call as text."""
    answer = httpx.get(url(served, number, "code", kind))
    assert (200, "text/plain; charset=utf-8") == (answer.status_code, answer.headers["content-type"])
    return answer.text


def repeat(served: Served, body: dict[str, Any], run: Callable[[str], None], kind: str) -> None:
    """Make a call, let its text `run`, and check that the same call came again."""
    httpx.post(f"{served.url}/_emulator/sessions/case/reset")
    served.generate("openai", body, **SESSION)
    run(read_code(served, "latest", kind))
    check_equal(served.calls("case"))


@pytest.mark.parametrize("body", BODIES, ids=["plain", "odd", "refused"])
def test_curl_makes_the_same_call(served: Served, body: dict[str, Any], tmp_path: Path) -> None:
    """Whatever is in the prompt, the shell passes it on, and nothing else happens."""
    if shutil.which("curl") is None:
        assert not os.environ.get("CI"), "CI needs curl"
        pytest.skip("needs curl")

    def run(text: str) -> None:
        environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "NO_PROXY": "*"}
        done = subprocess.run(["sh", "-c", text], cwd=tmp_path, env=environment, capture_output=True, timeout=60)
        assert 0 == done.returncode, done.stderr

    repeat(served, body, run, "curl")


def test_curl_sends_the_files(served: Served, tmp_path: Path) -> None:
    """A form's files are fetched back first."""
    if shutil.which("curl") is None:
        assert not os.environ.get("CI"), "CI needs curl"
        pytest.skip("needs curl")
    httpx.post(f"{served.url}/_emulator/sessions/case/reset")
    make_edit(served)
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "NO_PROXY": "*"}
    text = read_code(served, 1, "curl")
    subprocess.run(["sh", "-c", text], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
    first, second = served.calls("case")
    assert (first["given"], 200) == (second["given"], second["status"])
    assert [one["sha256"] for one in first["uploads"]] == [one["sha256"] for one in second["uploads"]]


@pytest.mark.parametrize(
    ("gateway", "path", "body"),
    [
        ("openai", "/images/edits", {"model": "gpt-image-2", "images": [{"image_url": PICTURE}] * 2}),
        ("openrouter", "/images", {
            "model": "openai/gpt-image-2", "size": "64x64", "user": "@picture 0@ it's",
            "input_references": [{"type": "image_url", "image_url": {"url": PICTURE}}],
        }),
    ],
)  # fmt: skip
def test_curl_sends_pictures_in_json(
    served: Served, gateway: str, path: str, body: dict[str, Any], tmp_path: Path
) -> None:
    """They are fetched back first, and stand in the body where they stood."""
    if shutil.which("curl") is None:
        assert not os.environ.get("CI"), "CI needs curl"
        pytest.skip("needs curl")
    httpx.post(f"{served.url}/_emulator/sessions/case/reset")
    headers = {"authorization": "Bearer sk-test", "x-emulator-session": "case"}
    assert httpx.post(served.base(gateway) + path, json={"prompt": "x", **body}, headers=headers).is_success
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "NO_PROXY": "*"}
    text = read_code(served, 1, "curl")
    subprocess.run(["sh", "-c", text], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
    first, second = served.calls("case")
    assert (first["given"], 200) == (second["given"], second["status"])
    assert [one["sha256"] for one in first["uploads"]] == [one["sha256"] for one in second["uploads"]]


@pytest.mark.parametrize("body", BODIES[:2], ids=["plain", "odd"])
def test_the_python_client_makes_the_same_call(served: Served, body: dict[str, Any]) -> None:
    """The text is a whole program for the package openai."""

    def run(text: str) -> None:
        environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "NO_PROXY": "*"}
        done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, timeout=60)
        assert 0 == done.returncode, done.stderr

    repeat(served, body, run, "python")


@pytest.mark.parametrize("body", BODIES[:2], ids=["plain", "odd"])
def test_the_npm_client_makes_the_same_call(served: Served, body: dict[str, Any]) -> None:
    """The text is a whole program for the package openai of npm."""

    def run(text: str) -> None:
        text = text.replace("process.env.OPENAI_API_KEY", '"sk-test"')
        run_script(text.replace("console.log(answer)", "console.log(JSON.stringify(answer.data.length))"))

    repeat(served, body, run, "node")


def call_deployment(served: Served, body: dict[str, Any]) -> None:
    """A call whose path names the model, and whose query has what the gateway needs, and a credential."""
    httpx.post(f"{served.url}/_emulator/sessions/case/reset")
    path = "/azure/openai/deployments/dall-e-3/images/generations?api-version=2025-04-01-preview&api_key=sk-mine"
    answer = httpx.post(served.url + path, json=body, headers={"api-key": "sk-test", **SESSION})
    assert 200 == answer.status_code, answer.text


def check_deployment_called_twice(served: Served) -> None:
    """The call that came again went to the same deployment, with its version, and not with the other's credential."""
    first, second = served.calls("case")
    names = ("gateway", "operation", "model", "path", "params", "status")
    assert [first[name] for name in names] == [second[name] for name in names]
    assert "api-version=2025-04-01-preview" == second["query"]


@pytest.mark.parametrize("body", [{"prompt": "A boat"}, {"prompt": "A boat", "model": "gpt-image-1"}])
def test_the_python_client_calls_a_deployment(served: Served, body: dict[str, Any]) -> None:
    """What the path and the query give the call is in the program."""
    call_deployment(served, body)
    text = read_code(served, 1, "python")
    assert 'default_query={"api-version": "2025-04-01-preview"}' in text
    assert f'model="{body.get("model", "dall-e-3")}"' in text
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "NO_PROXY": "*"}
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, timeout=60)
    assert 0 == done.returncode, done.stderr
    check_deployment_called_twice(served)


def test_the_npm_client_calls_a_deployment(served: Served) -> None:
    """What the path and the query give the call is in the program."""
    call_deployment(served, {"prompt": "A boat"})
    text = read_code(served, 1, "node").replace("process.env.OPENAI_API_KEY", '"sk-test"')
    assert '"model": "dall-e-3"' in text
    run_script(text.replace("console.log(answer)", "console.log(JSON.stringify(answer.data.length))"))
    check_deployment_called_twice(served)


OWN = """
openapi: 3.1.0
info: {title: Own, version: "1"}
servers: [{url: https://own.test/v3}]
security: SECURITY
paths:
  /PATH:
    post:
      x-emulator-operation: generate
      requestBody:
        content:
          application/json:
            schema: {type: object, properties: {prompt: {type: string, maxLength: 500}}}
      responses: {"200": {description: The pictures}}
components:
  securitySchemes: {key: {type: apiKey, in: header, name: X-Own-Key}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """A server with a gateway `own`, which draws at a path below its own and takes a key in a header of its own."""
    served: list[Served] = []

    def start(path: str, security: str = "[{key: []}]") -> Served:
        file = tmp_path / "own.yaml"
        file.write_text(OWN.replace("/PATH", path).replace("SECURITY", security), "utf-8")
        served.append(Served(schema=(str(file),)))
        body, headers = {"prompt": "A boat"}, {"x-own-key": "sk-test", **SESSION}
        assert 200 == httpx.post(f"{served[0].url}/own/v3{path}", json=body, headers=headers).status_code
        return served[0]

    yield start
    for one in served:
        one.stop()


def test_a_key_goes_into_the_header_of_its_gateway(own: Callable[..., Served], tmp_path: Path) -> None:
    """Of curl, and of the programs, where they can make the call."""
    served = own("/images/generations")
    assert "-H 'x-own-key: '\"$OPENAI_API_KEY\"" in read_code(served, 1, "curl")
    assert '"x-own-key": process.env.OPENAI_API_KEY' in read_code(served, 1, "node")
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "NO_PROXY": "*"}
    text = read_code(served, 1, "python")
    done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, timeout=60)
    assert 0 == done.returncode, done.stderr
    if shutil.which("curl") is not None:
        text = read_code(served, 1, "curl")
        subprocess.run(["sh", "-c", text], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
    assert {(200, True)} == {(call["status"], call["given"]["prompt"] == "A boat") for call in served.calls("case")}


def test_a_path_that_no_client_has_is_no_program(own: Callable[..., Served]) -> None:
    """The answer says which paths the clients have; curl has it."""
    served = own("/draw")
    for kind in ("python", "node"):
        answer = httpx.get(url(served, 1, "code", kind))
        assert 409 == answer.status_code
        message = answer.json()["error"]["message"]
        assert "cannot make this call, which is POST /own/v3/draw: it has POST …/images/generations, POST …/" in message
    assert "/own/v3/draw" in read_code(served, 1, "curl")


def test_a_gateway_without_keys_gets_none(own: Callable[..., Served]) -> None:
    """The command of curl has no key then."""
    served = own("/images/generations", security="[]")
    assert "OPENAI_API_KEY" not in read_code(served, 1, "curl")
    assert "x-own-key" not in read_code(served, 1, "python")


@pytest.mark.parametrize("body", [{"prompt": "A boat"}, {"prompt": "A boat", "model": "gpt-image-1"}])
def test_a_rule_knows_a_deployment(served: Served, body: dict[str, Any]) -> None:
    """It answers calls to the deployment alone, and a verification counts them alone."""
    call_deployment(served, body)
    assert 'model: "dall-e-3"' in read_code(served, 1, "rule")
    assert 'model="dall-e-3"' in read_code(served, 1, "verify")
    when = {"operation": "generate", "model": "dall-e-3", "status": 200}
    answer = httpx.post(f"{served.url}/_emulator/sessions/case/verify", json={"when": when, "at_least": 1})
    assert [1] == answer.json()["matched"]


@pytest.mark.parametrize("body", BODIES, ids=["plain", "odd", "refused"])
def test_a_rule_answers_such_calls_alike(serve: Callable[..., Served], body: dict[str, Any]) -> None:
    """The text is a scenario without a mistake; its rule knows the call again and gives the same kind of answer."""
    served = serve()
    served.generate("openai", body, **SESSION)
    text = read_code(served, 1, "rule")
    assert 1 == len(parse_scenario(text, "copied").rules)
    played = httpx.put(
        f"{served.url}/_emulator/sessions/case/scenario",
        content=text.encode(),
        headers={"content-type": "application/yaml"},
    )
    assert 200 == played.status_code, played.text
    served.generate("openai", body, **SESSION)
    first, second = served.calls("case")
    assert first["status"] == second["status"]
    assert ("call-1" if first["status"] == 200 else None) == second["rule"]


def test_a_rule_repeats_a_canned_answer(serve: Callable[..., Served]) -> None:
    """Also one of a refusal that a scenario wrote, and of text that is no JSON."""
    served = serve()
    canned = {"status": 504, "content_type": "text/html", "text": "<h1>'504'</h1>: {x}\n"}
    script = {"rules": [{"when": {"n": 2}, "answers": {"refuse": "moderation"}}, {"answers": {"canned": canned}}]}
    httpx.put(f"{served.url}/_emulator/sessions/case/scenario", json=script)
    for number in (1, 2):
        served.generate("openai", {**BODIES[0], "n": number}, **SESSION)
    for number, wanted in ((1, "504 Gateway"), (2, "moderation")):
        text = read_code(served, number, "rule")
        headers = {"content-type": "application/yaml"}
        httpx.put(f"{served.url}/_emulator/sessions/other/scenario", content=text.encode(), headers=headers)
        again = served.generate("openai", {**BODIES[0], "n": number}, **{"x-emulator-session": "other"})
        first = served.calls("case")[number - 1]
        assert first["status"] == again.status_code, (wanted, text)
        if number == 1:
            assert canned["text"] == again.text


@pytest.mark.parametrize("body", BODIES, ids=["plain", "odd", "refused"])
def test_a_verification_holds(serve: Callable[..., Served], body: dict[str, Any]) -> None:
    """The text is Python for the client of this package, and what it expects has come."""
    served = serve()
    served.generate("openai", body, **SESSION)
    expected: list[dict[str, Any]] = []

    class Recorder:
        def verify(self, **words: Any) -> None:
            expected.append(words)

    exec(read_code(served, 1, "verify"), {"image_api": Recorder()})
    (words,) = expected
    at_least = words.pop("at_least")
    answer = httpx.post(f"{served.url}/_emulator/sessions/case/verify", json={"when": words, "at_least": at_least})
    assert (200, [1]) == (answer.status_code, answer.json()["matched"]), answer.text


def test_no_text_has_a_key(served: Served) -> None:
    """Whatever the key is in: a header, a parameter, the prompt, the query."""
    httpx.post(f"{served.url}/_emulator/sessions/case/reset")
    key = "sk-canary-0123456789abcdef"
    body = {"prompt": f"with {key}", "model": "gpt-image-2", "api_key": key}
    address = f"{served.base('openai')}/images/generations?api_key={key}"
    httpx.post(address, json=body, headers={"authorization": f"Bearer {key}", **SESSION})
    for kind in WRITERS:
        assert key not in read_code(served, 1, kind)


def test_a_kind_that_is_not_there(served: Served) -> None:
    """It is told with those that are."""
    httpx.post(f"{served.url}/_emulator/sessions/case/reset")
    served.generate("openai", BODIES[0], **SESSION)
    answer = httpx.get(url(served, 1, "code", "crul"))
    assert (404, True) == (answer.status_code, "curl, python, node, rule, verify" in answer.json()["error"]["message"])
