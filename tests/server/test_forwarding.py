"""Calls that are passed on: what goes upstream, what comes back, and what an upstream can do wrong.

The upstream is the emulator itself on another port, or a socket that does what no server should.
"""

from __future__ import annotations

import base64
import json
import socket
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from emulator.core.yaml_file import InvalidFile
from tests.conftest import Served
from tests.paths import TESTS
from tests.process import Command
from tests.uploads import draw_file
from tests.upstreams import RawUpstream, raw_upstream, unused_port

ODD = TESTS / "data" / "odd-gateway.yaml"
FORWARD = "rules: [{answers: forward}]\n"
BODY = {"model": "gpt-image-2", "prompt": "A boat"}


@pytest.fixture
def forward(tmp_path: Path, serve: Callable[..., Served]) -> Callable[..., Served]:
    """Starts a server whose calls go to an upstream."""
    scenario = tmp_path / "forward.yaml"
    scenario.write_text(FORWARD)

    def begin(url: str, **settings: Any) -> Served:
        return serve(scenario=str(scenario), upstream=(f"openai={url}",), as_of="2026-11-20", **settings)

    return begin


@pytest.fixture
def upstream(serve: Callable[..., Served]) -> Served:
    """The real gateway, for these tests."""
    return serve(as_of="2026-11-20", clock="frozen:2026-11-20T00:00:00Z")


def test_an_answer_comes_back_as_the_upstream_gave_it(upstream: Served, forward: Callable[..., Served]) -> None:
    """Body, status, headers and pictures are the upstream's, and the journal has the picture."""
    front = forward(upstream.base("openai"))
    direct = upstream.generate("openai", BODY, "sk-direct")
    passed = front.generate("openai", BODY, "sk-direct")
    assert (200, direct.json()["data"]) == (passed.status_code, passed.json()["data"])
    assert "*" == passed.headers["access-control-allow-origin"]
    their_id = upstream.calls("latest")[-1]["request_id"]
    assert their_id == passed.headers["x-request-id"]
    call = front.calls()[0]
    picture = httpx.get(f"{front.url}/_emulator/sessions/latest/calls/1/pictures/0").content
    assert base64.b64decode(passed.json()["data"][0]["b64_json"]) == picture
    assert (1, "1024x1024") == (len(call["pictures"]), call["response"]["body"]["data"][0]["b64_json"]["size"])


def test_what_the_contract_refuses_is_passed_on(upstream: Served, forward: Callable[..., Served]) -> None:
    """The upstream judges; the journal says what the gateway's rules say. A bad key is judged here."""
    front = forward(upstream.base("openai"))
    answer = front.generate("openai", {**BODY, "n": 99})
    assert (400, "integer_above_max_value") == (answer.status_code, answer.json()["error"]["code"])
    assert 1 == len(upstream.calls())
    finding = front.calls()[0]["findings"][0]
    assert ("would_be_refused", "n") == (finding["code"], finding["param"])
    assert front.calls()[0]["refused"] is None
    assert 401 == front.generate("openai", BODY, "sk-invalid").status_code
    broken = httpx.post(
        f"{front.base('openai')}/images/generations",
        content=b"{",
        headers={"authorization": "Bearer sk-test", "content-type": "application/json"},
    )
    assert (400, 1) == (broken.status_code, len(upstream.calls()))
    unknown = front.generate("openai", {"model": "no-such", "prompt": "x"}, "sk-unknown")
    assert upstream.generate("openai", {"model": "no-such", "prompt": "x"}).json() == unknown.json()


def test_bytes_go_upstream_as_they_came(forward: Callable[..., Served]) -> None:
    """JSON keeps its spelling, a form its boundary; hop-by-hop headers, cookies and our own headers stay here."""
    with raw_upstream(_http(b"{}")) as raw:
        front = forward(raw.url)
        spelled = b'{ "prompt":"A b\\u006fat",  "n" : 1.0 }'
        httpx.post(
            f"{front.base('openai')}/images/generations?a=%20b",
            content=spelled,
            headers={
                "authorization": "Bearer sk-mine",
                "content-type": "application/json",
                "cookie": "a=b",
                "connection": "keep-alive, x-hop",
                "x-hop": "1",
                "x-emulator-session": "one",
                "x-forwarded-for": "10.0.0.1",
                "x-other": "2",
            },
        )
        head, _, body = raw.requests[0].partition(b"\r\n\r\n")
        names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
        assert (spelled, b"POST /v1/images/generations?a=%20b HTTP/1.1") == (body, head.split(b"\r\n")[0])
        assert {b"authorization", b"x-other", b"host"} <= names
        kept_back = {b"cookie", b"x-hop", b"x-emulator-session", b"x-forwarded-for", b"connection"}
        assert not kept_back & names
        picture = draw_file(mode="RGBA")
        files = {"image": ("a.png", picture, "image/png")}
        httpx.post(
            f"{front.base('openai')}/images/edits",
            data={"model": "gpt-image-2", "prompt": "x"},
            files=files,
            headers={"authorization": "Bearer sk-mine", "content-type": "multipart/form-data; boundary=mine"},
        )
        assert b"boundary=mine" in raw.requests[1]
        assert picture in raw.requests[1]


def test_a_large_json_body_goes_upstream(upstream: Served, forward: Callable[..., Served]) -> None:
    """A body that is not kept elsewhere is kept for the upstream."""
    front = forward(upstream.base("openai"))
    link = "data:image/png;base64," + base64.b64encode(draw_file(size=(700, 700), mode="RGB")).decode()
    body = {"model": "gpt-image-2", "prompt": "x" * 20_000, "images": [{"image_url": link}]}
    headers = {"authorization": "Bearer sk-large"}
    answer = httpx.post(f"{front.base('openai')}/images/edits", json=body, headers=headers)
    assert (200, 200) == (answer.status_code, upstream.calls()[0]["status"])
    assert upstream.calls()[0]["uploads"][0]["width"] == 700
    compressed = zlib.compressobj(wbits=31)
    packed = compressed.compress(json.dumps(BODY).encode()) + compressed.flush()
    headers = {**headers, "content-encoding": "gzip", "content-type": "application/json"}
    assert 200 == httpx.post(f"{front.base('openai')}/images/generations", content=packed, headers=headers).status_code


def test_the_emulators_keys_stay_here(
    upstream: Served, forward: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reserved key goes nowhere: another one from the environment does, or the call is refused."""
    front = forward(upstream.base("openai"))
    refused = front.generate("openai", BODY, "sk-emulator.session.mine")
    assert (400, "upstream_key_missing") == (refused.status_code, refused.json()["error"]["code"])
    assert "EMULATOR_UPSTREAM_KEY_OPENAI" in refused.json()["error"]["message"]
    monkeypatch.setenv("EMULATOR_UPSTREAM_KEY_OPENAI", "sk-canary-of-the-upstream")
    with raw_upstream(_http(b"{}")) as raw:
        front = forward(raw.url)
        front.generate("openai", BODY, "sk-emulator.session.mine", **{"x-api-key": "sk-other-0123456789abcdef"})
        sent = raw.requests[0]
    assert b"Bearer sk-canary-of-the-upstream" in sent
    assert b"sk-emulator" not in sent
    assert b"sk-other" not in sent
    assert "canary" not in json.dumps(front.calls("mine"))


def test_events_are_relayed_as_they_come(upstream: Served, forward: Callable[..., Served]) -> None:
    """Each event is passed on before the next one is there, and the finished picture is in the journal."""
    front = forward(upstream.base("openai"))
    with OpenAI(base_url=front.base("openai"), api_key="sk-stream") as sdk:
        events = list(sdk.images.generate(model="gpt-image-2", prompt="A boat", stream=True, partial_images=2))
    assert ["partial_image", "partial_image", "completed"] == [event.type.rpartition(".")[2] for event in events]
    call = front.calls()[0]
    assert (1, 3) == (len(call["pictures"]), call["events"])
    picture = httpx.get(f"{front.url}/_emulator/sessions/latest/calls/1/pictures/0").content
    assert base64.b64decode(events[-1].b64_json) == picture
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    with raw_upstream(head + b"event: a\r\ndata: {}\r\n\r\n", hangs=True) as raw:
        front = forward(raw.url)
        url, headers = f"{front.base('openai')}/images/generations", {"authorization": "Bearer sk-test"}
        with httpx.stream("POST", url, json={**BODY, "stream": True}, headers=headers) as answer:
            assert b"event: a\r\ndata: {}\r\n\r\n" == next(answer.iter_raw())


def _http(body: bytes, status: str = "200 OK", *lines: str, length: int | None = None) -> bytes:
    """An answer as a server sends it."""
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", *lines]
    if length != 0:
        head.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*head, "", ""]).encode() + body


FAILURES = {
    "garbage": (b"\x00\x01garbage\r\n\r\n", 502, "no HTTP"),
    "nothing": (b"", 502, "closed the connection"),
    "cut": (_http(b"{}", length=50), 502, "broke off"),
    "redirect": (_http(b"", "307 Temporary Redirect", "Location: https://evil.test/x"), 502, "redirects to evil.test"),
    "declared": (_http(b"{}", length=200_000_000), 502, "200000000 bytes"),
    "bad_redirect": (_http(b"", "302 Found", "Location: http://[::1/x"), 502, "redirects to another address"),
    "not_gzip": (_http(b"nonsense", "200 OK", "Content-Encoding: gzip"), 502, "decompressed"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_an_upstream_that_fails_is_told_in_the_gateways_words(name: str, forward: Callable[..., Served]) -> None:
    """Whatever an upstream does, the client gets the gateway's envelope, and the journal says what happened."""
    answer, status, why = FAILURES[name]
    with raw_upstream(answer) as raw:
        front = forward(raw.url)
        passed = front.generate("openai", BODY)
    assert (status, "server_error") == (passed.status_code, passed.json()["error"]["type"])
    call = front.calls()[0]
    assert ("upstream_error", ["upstream_failed"]) == (
        call["refused"]["kind"],
        [finding["code"] for finding in call["findings"]],
    )
    assert why in call["findings"][0]["message"]


def test_a_bomb_is_not_unpacked(forward: Callable[..., Served]) -> None:
    """200 MB, in as many bytes as they need or packed into a few, end at the bound."""
    packer = zlib.compressobj(wbits=31)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    with raw_upstream(_http(packed, "200 OK", "Content-Encoding: gzip")) as raw:
        front = forward(raw.url)
        assert 502 == front.generate("openai", BODY).status_code
    assert "at most 67108864 bytes" in front.calls()[0]["findings"][0]["message"]
    with raw_upstream(_http(bytes(200_000_000), length=0)) as raw:
        front = forward(raw.url)
        assert 502 == front.generate("openai", BODY).status_code


def test_nobody_there_and_nobody_answers(forward: Callable[..., Served]) -> None:
    """A refused connection is upstream_error; a silent upstream is upstream_timeout."""
    front = forward(f"http://127.0.0.1:{unused_port()}/v1")
    assert 502 == front.generate("openai", BODY).status_code
    assert "was not reached" in front.calls()[0]["findings"][0]["message"]
    with raw_upstream(b"", hangs=True) as raw:
        front = forward(raw.url, upstream_timeout=0.05)
        assert 504 == front.generate("openai", BODY).status_code
        assert "did not answer within" in front.calls()[0]["findings"][0]["message"]


def test_an_answer_that_never_ends_is_given_up(forward: Callable[..., Served]) -> None:
    """Though a byte comes again and again."""
    with raw_upstream(_http(b"{", length=10**6), drips=True) as raw:
        front = forward(raw.url, upstream_timeout=0.3)
        assert 504 == front.generate("openai", BODY).status_code
    assert "did not end its answer within 0.3 s" in front.calls()[0]["findings"][0]["message"]


def test_a_stream_that_breaks_off_breaks_off_here(forward: Callable[..., Served]) -> None:
    """What came is relayed, then the connection ends; the journal says why."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    with raw_upstream(answer + b"c\r\ndata: {}\n\nda\r\n") as raw:
        front = forward(raw.url)
        with pytest.raises(httpx.RemoteProtocolError):
            front.generate("openai", {**BODY, "stream": True})
    call = front.calls()[0]
    assert (1, "upstream_failed") == (call["events"], call["findings"][-1]["code"])


def test_a_compressed_stream_is_relayed_as_events(forward: Callable[..., Served]) -> None:
    """An upstream that compresses a stream, though nobody has asked it to, is understood."""
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(b"event: a\ndata: {}\n\nevent: b\ndata: {}\n\n") + packer.flush()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"
    with raw_upstream(head + packed) as raw:
        front = forward(raw.url)
        answer = front.generate("openai", {**BODY, "stream": True})
    assert answer.text == "event: a\ndata: {}\n\nevent: b\ndata: {}\n\n"
    assert "content-encoding" not in answer.headers
    assert 2 == front.calls()[0]["events"]
    with raw_upstream(head + b"nonsense, and no gzip") as raw:
        front = forward(raw.url)
        assert 502 == front.generate("openai", {**BODY, "stream": True}).status_code
    assert "cannot be decompressed" in front.calls()[0]["findings"][0]["message"]


@pytest.mark.parametrize("door", ["prompt", "model", "form", "header"])
@pytest.mark.parametrize("word", ["rate-limit", "happy", "hang-up"])
def test_a_call_with_a_reserved_value_stays_here(
    door: str, word: str, upstream: Served, forward: Callable[..., Served]
) -> None:
    """It has asked for the emulator's own answer, so that no mark reaches an upstream."""
    front = forward(upstream.base("openai"))
    headers = {"authorization": "Bearer sk-mine"}
    with suppress(httpx.TransportError):
        if door == "form":
            httpx.post(
                f"{front.base('openai')}/images/edits",
                data={"model": "gpt-image-2", "prompt": f"Night [[{word}]]"},
                files={"image": ("a.png", draw_file(mode="RGBA"), "image/png")},
                headers=headers,
            )
        elif door == "prompt":
            front.generate(
                "openai", {**BODY, "prompt": f"A boat [[{word}]]"}, "sk-mine", **{"x-emulator": "report-only"}
            )
        elif door == "model":
            front.generate("openai", {**BODY, "model": f"gpt-image-2:{word}"})
        else:
            front.generate("openai", BODY, "sk-mine", **{"x-emulator": word})
    assert ["drawn"] == [call["verdict"] for call in front.calls()]
    assert [] == httpx.get(f"{upstream.url}/_emulator/sessions").json()["sessions"]


def test_a_replaced_key_leaves_by_no_query(forward: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment has the upstream's key, a caller's in the query stays here, as does any reserved key."""
    query = "a=1&key=caller-key-in-the-query&api%5Fkey=another-of-the-caller&b=sk%2Demulator.rate-limit"
    url = f"/images/generations?{query}"
    headers = {"authorization": "Bearer sk-mine"}
    with raw_upstream(_http(b"{}")) as raw:
        front = forward(raw.url)
        httpx.post(front.base("openai") + url, json=BODY, headers=headers)
        monkeypatch.setenv("EMULATOR_UPSTREAM_KEY_OPENAI", "sk-canary-of-the-upstream")
        front = forward(raw.url)
        httpx.post(front.base("openai") + url, json=BODY, headers=headers)
    targets = [one.split(b" ")[1] for one in raw.requests]
    own = b"/v1/images/generations?a=1&key=caller-key-in-the-query&api%5Fkey=another-of-the-caller"
    assert [own, b"/v1/images/generations?a=1"] == targets


@pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2F..%2Fadmin", "%252e%252e", "a%2F..%5C..%2Fb"])
def test_no_path_leads_out_of_the_base(name: str, forward: Callable[..., Served]) -> None:
    """The name of a model is part of the path, and what it says stays below the upstream's base URL."""
    with raw_upstream(_http(b"{}")) as raw:
        front = forward(raw.url)
        target = f"GET /openai/v1/models/{name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-mine\r\n"
        with socket.create_connection(("127.0.0.1", int(front.url.rpartition(":")[2]))) as connection:
            connection.sendall(f"{target}Connection: close\r\n\r\n".encode())
            answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert raw.requests == []
    assert "upstream_failed" in [finding["code"] for finding in front.calls()[0]["findings"]]


def test_only_some_calls_are_passed_on(upstream: Served, serve: Callable[..., Served], tmp_path: Path) -> None:
    """A rule passes some calls on; the others are drawn or refused here, and a refused call takes no answer."""
    scenario = tmp_path / "some.yaml"
    scenario.write_text(
        "rules:\n- {when: {prompt: {contains: boat}}, answers: forward}\n- answers: {canned: {text: here}}\n"
    )
    front = serve(scenario=str(scenario), upstream=(f"openai={upstream.base('openai')}",), as_of="2026-11-20")
    assert 200 == front.generate("openai", BODY).status_code
    assert "here" == front.generate("openai", {**BODY, "prompt": "A cat"}).text
    assert 1 == len(upstream.calls())
    refused = front.generate("openai", {**BODY, "prompt": "A cat", "n": 99})
    assert (400, "above_maximum") == (refused.status_code, front.calls()[-1]["refused"]["breach"])
    assert 400 == front.generate("openai", {**BODY, "n": 99}).status_code
    assert 2 == len(upstream.calls())


def test_a_bad_upstream_stops_the_start(serve: Callable[..., Served]) -> None:
    """The name of a gateway is one that the server has."""
    with pytest.raises(InvalidFile, match=r"--upstream 'opnai=https://x.test': no gateway 'opnai'; .*'openai'"):
        serve(upstream=("opnai=https://x.test",))


def test_a_key_of_two_gateways_stops_the_start(
    serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names differ in a dash: the key of one would go to the upstream of the other."""
    files = []
    for name in ("my-own", "my_own"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(ODD.read_text())
        files.append(str(path))
    serve(schema=tuple(files))
    monkeypatch.setenv("EMULATOR_UPSTREAM_KEY_MY_OWN", "sk-real")
    with pytest.raises(InvalidFile, match="EMULATOR_UPSTREAM_KEY_MY_OWN stands for two gateways, my-own and my_own"):
        serve(schema=tuple(files))


def test_a_key_of_no_gateway_is_told(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the caller's key would go upstream, and nobody would know why."""
    monkeypatch.setenv("EMULATOR_UPSTREAM_KEY_OPNAI", "sk-real")
    monkeypatch.setenv("EMULATOR_UPSTREAM_KEY_EZMODEL", "sk-real")
    serve()
    (line,) = (record.getMessage() for record in caplog.records if "UPSTREAM" in record.getMessage())
    assert line.startswith("unknown variable 'EMULATOR_UPSTREAM_KEY_OPNAI'; ")
    assert line.endswith("did you mean 'EMULATOR_UPSTREAM_KEY_OPENAI'?")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of these tests leaves this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_raw_upstream_keeps_what_came() -> None:
    """The tests' own upstream works."""
    with raw_upstream(_http(b"{}")) as raw:
        assert isinstance(raw, RawUpstream)
        assert {} == httpx.post(f"{raw.url}/x", content=b"abc").json()
        assert raw.requests[0].endswith(b"abc")


def test_serve_has_the_client_when_it_is_needed(upstream: Served, tmp_path: Path) -> None:
    """`serve` imports aiohttp without its client, which is there all the same when a call is passed on."""
    (tmp_path / "forward.yaml").write_text(FORWARD)
    flags = ("--ready-json", "--scenario", "forward.yaml", "--upstream", f"openai={upstream.base('openai')}")
    command = Command(tmp_path, *flags, NO_PROXY="127.0.0.1", EMULATOR_AS_OF="2026-11-20")
    command.ready()
    answer = command.generate(BODY, "openai")
    code, _, err = command.end()
    assert (200, 0, "") == (answer.status_code, code, err)
    assert 1 == len(upstream.calls())
