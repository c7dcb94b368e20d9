"""HTTPS: with real clients of several languages, at the gateways' real hosts, and with clients that mean no good.

Names are led to loopback in each client, as /etc/hosts or a container's alias does it for all.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from emulator.server import rare_warnings, tls_site
from tests.conftest import CA, Served
from tests.node import run_script
from tests.process import Command

UNWANTED: Final = re.compile("proxy|CA_BUNDLE|CA_CERTS|SSL_CERT", re.IGNORECASE)
"""Names of variables that decide in a client where calls go, or whom it trusts."""
PATIENCE: Final = 10.0  # seconds; whatever takes longer hangs
Serve = Callable[..., Served]
SDK: Final = """
import json, os, socket, sys
import openai, urllib.request
port, find = int(sys.argv[1]), socket.getaddrinfo
def resolve(host, service, *rest, **more):  # what /etc/hosts does, and the port, since 443 is not ours
    return find("127.0.0.1", port, *rest, **more)
socket.getaddrinfo = resolve
client = openai.OpenAI(max_retries=0)
made = client.images.generate(model=sys.argv[2], prompt="A cat", **json.loads(sys.argv[3]))
picture = made.data[0]
data = urllib.request.urlopen(picture.url).read() if picture.url else picture.b64_json.encode()
print(json.dumps([str(client.base_url), picture.url, len(data)]))
"""
HOSTS: Final = """
const tls = require("tls"), connect = tls.connect;
tls.connect = (options, ...rest) =>
  connect.call(tls, {...options, host: "127.0.0.1", port: Number(process.env.EMULATOR_TEST_PORT)}, ...rest);
"""
NPM: Final = """
import OpenAI from "openai";
const heard = [];
for (const [baseURL, model] of [[undefined, "dall-e-2"], ["https://api.ezmodel.cloud/v1", "dall-e-3"]]) {
  const client = new OpenAI({baseURL, maxRetries: 0});
  const made = await client.images.generate({model, prompt: "A cat", size: "1024x1024"});
  const picture = Buffer.from(await (await fetch(made.data[0].url)).arrayBuffer());
  heard.push([client.baseURL, new URL(made.data[0].url).origin, picture.subarray(1, 4).toString()]);
}
console.log(JSON.stringify(heard));
"""


@pytest.fixture(scope="module")
def tls() -> Iterator[Served]:
    """One server that answers HTTPS at its port."""
    served = Served(tls=True, as_of="2025-06-01")  # when OpenAI had models that answer with links
    yield served
    served.stop()


@pytest.fixture(autouse=True)
def unharmed(tls: Served, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test does, nothing is logged as an error, and the next caller is served as ever."""
    rare_warnings._last.clear()
    with caplog.at_level(logging.WARNING):
        yield
    assert [] == [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]
    assert "ok" == httpx.get(f"{tls.url}/_emulator/health", verify=trust()).json()["status"]


def trust() -> ssl.SSLContext:
    """A client's context that trusts the authority and nobody else."""
    return ssl.create_default_context(cafile=CA)


def run(*command: str, send: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not UNWANTED.search(name)}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**kept, **environ}, input=send, check=False
    )


def curl(served: Served, host: str, path: str, *flags: str, port: int | None = None) -> Any:
    """What curl gets from `host`, which is led to loopback, trusting the authority."""
    port = port or served.port
    resolve = ("--resolve", f"{host}:{port}:127.0.0.1")
    done = run("curl", "-sS", "--fail-with-body", "-m", "20", *resolve, *flags, f"https://{host}:{port}{path}",
               SSL_CERT_FILE=CA)  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


# --- clients


@pytest.mark.parametrize(
    ("host", "gateway"),
    [("api.openai.com", "openai"), ("api.ezmodel.cloud", "ezmodel"), ("ezmodel.cloud", "ezmodel")],
)
def test_curl_at_a_gateways_real_host(tls: Served, host: str, gateway: str) -> None:
    """The host picks the gateway, no name of it stands in the path; the picture's link has host and scheme."""
    key = f"sk-curl-at-{host}"
    body = json.dumps({"model": "dall-e-3", "prompt": "A cat", "response_format": "url"})
    flags = ("-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json", "-d", body)
    link = httpx.URL(curl(tls, host, "/v1/images/generations", *flags)["data"][0]["url"])
    assert ("https", host, tls.port) == (link.scheme, link.host, link.port)
    loopback = link.copy_with(host="127.0.0.1")
    assert b"PNG" == httpx.get(loopback, verify=trust()).content[1:4]
    (call,) = [one for one in journal(tls) if one["headers"]["Host"].startswith(host)]
    assert gateway == call["gateway"]


def journal(served: Served) -> list[dict[str, Any]]:
    """The calls of the session that was used last."""
    address = f"{served.url}/_emulator/sessions/latest/calls?limit=1000"
    calls: list[dict[str, Any]] = httpx.get(address, verify=trust()).json()["calls"]
    return calls


def test_openssl(tls: Served) -> None:
    """The chain is good for each name, in TLS 1.3 and 1.2, with HTTP/1.1 by ALPN; older versions are refused."""
    at = ("openssl", "s_client", "-connect", f"127.0.0.1:{tls.port}", "-CAfile", CA, "-verify_return_error")
    for name in ("localhost", "api.openai.com", "www.geeknow.top", "geekai.co"):
        done = run(*at, "-servername", name, "-verify_hostname", name, "-alpn", "h2,http/1.1", "-x509_strict")
        assert "Verify return code: 0 (ok)" in done.stdout, done.stderr
        assert "ALPN protocol: http/1.1" in done.stdout
        assert "TLSv1.3" in done.stdout
    assert "Verify return code: 0 (ok)" in run(*at, "-verify_ip", "127.0.0.1", "-tls1_2").stdout
    assert "Verify return code: 0 (ok)" not in run(*at, "-verify_hostname", "elsewhere.test").stdout
    old = run(*at, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")
    assert (True, "(NONE)" in old.stdout) == (old.returncode != 0, True)


def test_openai_python_at_the_real_hosts(tls: Served) -> None:
    """No setting is changed but trust and the names; pictures are fetched from the links."""
    environ = {"OPENAI_API_KEY": "sk-real-host", "SSL_CERT_FILE": CA}
    heard = []
    bases = {"": "dall-e-2", "https://api.ezmodel.cloud/v1": "dall-e-3"}
    for base, model in bases.items():
        more = {"OPENAI_BASE_URL": base} if base else {}
        done = run(sys.executable, "-c", SDK, str(tls.port), model, "{}", **environ, **more)
        assert 0 == done.returncode, done.stderr
        url, link, size = json.loads(done.stdout)
        assert size > 1000
        heard.append((url, httpx.URL(link).host))
    assert [
        ("https://api.openai.com/v1/", "api.openai.com"),
        ("https://api.ezmodel.cloud/v1/", "api.ezmodel.cloud"),
    ] == heard


def test_npm_openai_at_the_real_hosts(tls: Served, tmp_path: Path) -> None:
    """The same with Node, whose one setting is NODE_EXTRA_CA_CERTS."""
    hosts = tmp_path / "hosts.cjs"
    hosts.write_text(HOSTS)
    heard = run_script(
        NPM, OPENAI_API_KEY="sk-from-node", NODE_EXTRA_CA_CERTS=CA, NODE_OPTIONS=f"--require {hosts}",
        EMULATOR_TEST_PORT=str(tls.port),
    )  # fmt: skip
    assert [
        ["https://api.openai.com/v1", "https://api.openai.com", "PNG"],
        ["https://api.ezmodel.cloud/v1", "https://api.ezmodel.cloud", "PNG"],
    ] == heard


def test_a_client_that_does_not_trust_is_named(tls: Served, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what the client needs, once for many."""
    for _ in range(3):
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            httpx.get(tls.url, verify=ssl.create_default_context())
    told = wait_for_log(caplog, "does not trust the certificate")
    assert 1 == len(told)
    assert "SSL_CERT_FILE" in told[0]


def wait_for_log(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    """The messages with these words; the server may log after its client has heard."""
    for _ in range(2000):
        found = [record.getMessage() for record in caplog.records if words in record.getMessage()]
        if found:
            return found
        run_briefly()
    return []


def run_briefly() -> None:
    """Let other threads go on."""
    with socket.socketpair()[0] as line:
        line.settimeout(0.005)
        with pytest.raises((TimeoutError, OSError)):
            line.recv(1)


# --- both protocols, links, and what the server tells


def test_both_protocols_at_once(serve: Serve) -> None:
    """One port speaks HTTP and the other HTTPS; a link has the scheme and the port that its client used."""
    served = serve(tls_port=0)
    assert served.tls_url is not None
    for url in (served.url, served.tls_url):
        with httpx.Client(verify=trust(), headers={"authorization": "Bearer sk-both"}) as client:
            link = client.post(f"{url}/ezmodel/v1/images/generations", json={"prompt": "x"}).json()["data"][0]["url"]
            assert link.startswith(f"{url}/pictures/")
            assert 200 == client.get(link).status_code
    assert [1, 2] == [call["number"] for call in served.calls()]


def test_the_ready_line_and_the_welcome(tmp_path: Path) -> None:
    """A program learns the authority's file and both addresses; a person what a client has to set."""
    begun = Command(tmp_path, "--ready-json", "--tls-port", "0")
    try:
        begun.ready()
        ready = json.loads(begun.first)
        assert ({"url", "port", "pid", "tls_url", "ca"}, "http:") == (set(ready), ready["url"][:5])
        assert "ok" == httpx.get(f"{ready['tls_url']}/_emulator/health", verify=trust()).json()["status"]
        assert CA == ready["ca"]
        assert (0, "", "") == begun.end()
    finally:
        begun.kill()
    begun = Command(tmp_path, "--tls")
    try:
        begun.ready()
        lines = [begun.out.readline()]
        while not lines[-1].startswith("Calls and their pictures"):
            lines.append(begun.out.readline())
        code, _, err = begun.end()
    finally:
        begun.kill()
    assert (0, "") == (code, err)
    wanted = (f"SSL_CERT_FILE={CA}", f"NODE_EXTRA_CA_CERTS={CA}", "pictures: https://")
    assert [] == [word for word in wanted if word not in "".join(lines)]


def test_a_connection_is_reused_and_streams_and_faults_are_the_same(tls: Served) -> None:
    """Heads that are known, events, a body that is cut and a reset: over TLS as in the plain."""
    with httpx.Client(verify=trust(), headers={"authorization": "Bearer sk-reused"}) as client:
        url = f"{tls.url}/openai/v1/images/generations"
        bodies = [{"model": "gpt-image-1", "prompt": f"A cat {number % 2}", "size": "1024x1024"} for number in range(6)]
        answers = [client.post(url, json=body) for body in bodies]
        assert {200} == {answer.status_code for answer in answers}
        assert answers[0].json()["data"] == answers[2].json()["data"] == answers[4].json()["data"]
        streamed = client.post(url, json={**bodies[0], "stream": True, "partial_images": 2})
        assert 3 == streamed.text.count("event: ")
        large = {"model": "gpt-image-1", "prompt": "A cat [[truncate]]"}
        with pytest.raises(httpx.RemoteProtocolError):
            client.post(url, json=large)
        with pytest.raises(httpx.HTTPError):
            client.post(url, json={**large, "prompt": "A cat [[hang-up]]"})
        assert 200 == client.post(url, json=bodies[0]).status_code


def test_a_call_that_is_sent_again_has_links_that_lead_here(tls: Served) -> None:
    """The server sends it to itself in memory, where there is no TLS, and answers as over TLS."""
    path = f"{tls.url}/_emulator/sessions/again"
    with httpx.Client(verify=trust(), headers={"authorization": "Bearer sk-a"}) as client:
        client.post(f"{tls.url}/s/again/ezmodel/v1/images/generations", json={"prompt": "A cat"})
        assert 200 == client.post(f"{path}/calls/1/replay", json={}).status_code
        states: list[str] = []
        for _ in range(2000):
            calls = client.get(f"{path}/calls").json()["calls"]
            states = [call["state"] for call in calls]
            if states[1:] not in ([], ["under_way"]):
                break
        links = [call["response"]["body"]["data"][0]["url"] for call in calls]
    assert [True, True] == [link.startswith(f"{tls.url}/pictures/") for link in links]


@pytest.mark.parametrize("after", [0, 100, 900_000])
def test_a_reset_comes_behind_what_was_to_be_sent(tls: Served, after: int) -> None:
    """The fault hang_up sends as much as it is told, and then ends the connection without TLS's last word."""
    path = f"{tls.url}/_emulator/sessions/reset-{after}"
    answer = {"draw": {}, "faults": [{"hang_up": {"after": after}}]}
    assert 200 == httpx.put(f"{path}/scenario", json={"rules": [{"answers": answer}]}, verify=trust()).status_code
    assert 200 == httpx.put(f"{path}/settings", json={"picture_weight": "realistic"}, verify=trust()).status_code
    body = b'{"model": "dall-e-2", "prompt": "A cat", "response_format": "b64_json", "size": "1024x1024"}'
    lines = (
        b"POST /s/reset-%d/openai/v1/images/generations HTTP/1.1" % after, b"Host: localhost",
        b"Authorization: Bearer sk-a", b"Content-Type: application/json", b"Content-Length: %d" % len(body), b"", body,
    )  # fmt: skip
    for _ in range(3):
        received = bytearray()
        with trust().wrap_socket(connect(tls), server_hostname="localhost", suppress_ragged_eofs=False) as line:
            line.sendall(b"\r\n".join(lines))
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                receive_all(line, received)
        assert after == len(received.partition(b"\r\n\r\n")[2])


def receive_all(line: socket.socket, received: bytearray) -> None:
    """Add to `received` what comes until the connection ends; raises what its end raises."""
    while data := line.recv(65_536):
        received += data


def test_a_client_that_leaves_is_journalled(tls: Served) -> None:
    """Its answer is not waited for: the call has the state that it has in the plain."""
    scenario = {"rules": [{"answers": {"draw": {}, "latency": "60s"}}]}
    path = f"{tls.url}/_emulator/sessions/leaving"
    assert 200 == httpx.put(f"{path}/scenario", json=scenario, verify=trust()).status_code
    line = trust().wrap_socket(connect(tls), server_hostname="localhost")
    body = b'{"model": "gpt-image-1", "prompt": "A cat"}'
    line.sendall(
        b"POST /s/leaving/openai/v1/images/generations HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sk-a\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    states: list[str] = []
    for _ in range(2000):
        calls = httpx.get(f"{path}/calls", verify=trust()).json().get("calls", [])
        states = [call["state"] for call in calls]
        if states == ["under_way"]:
            line.close()
        if states == ["client_gone"]:
            break
    assert ["client_gone"] == states


# --- the wrong protocol


@pytest.mark.parametrize("size", [0, 200_000])
def test_plain_http_on_the_tls_port(tls: Served, caplog: pytest.LogCaptureFixture, size: int) -> None:
    """The client is told, whatever it sends, and the log says it once for many."""
    for _ in range(3):
        answer = httpx.post(f"http://127.0.0.1:{tls.port}/v1/images/generations", content=b"x" * size)
        assert (400, "close") == (answer.status_code, answer.headers["connection"])
        assert "use https:// in place of http://" in answer.text
    (line,) = [record.getMessage() for record in caplog.records]
    assert "a client speaks plain HTTP on the TLS port" in line


# --- clients that mean no good

HELLO_HEAD: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # of a ClientHello of 512 bytes, none of which come


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x16", id="one byte"),
        pytest.param(HELLO_HEAD, id="half a ClientHello"),
        pytest.param(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + b"\0" * 20_000, id="a ClientHello of 64 kB"),
        pytest.param(b"\x16\x03\x01\x3f\xff\x01\xff\xff\xff" + b"\0" * 200_000, id="a ClientHello of 16 MB"),
        pytest.param(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x03" * 40, id="SSL 2"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", id="an alert"),
        pytest.param(b"\x00\xff" * 5000, id="garbage"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"\x01" * 70_000, id="a record that is too long"),
    ],
)
def test_what_is_no_handshake_ends(
    tls: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    """The connection is closed, at once or when the time for a handshake is over, and nothing is logged."""
    monkeypatch.setattr(tls_site, "HANDSHAKE_TIMEOUT", 0.2)
    with connect(tls) as line:
        with contextlib.suppress(ConnectionError):
            line.sendall(sent)
        assert_closed(line)
    assert [] == caplog.records


def connect(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), PATIENCE)


def assert_closed(line: socket.socket) -> None:
    """Fail unless the server ends the connection, with an alert or without."""
    with contextlib.suppress(ConnectionResetError):
        while line.recv(4096):
            pass


def test_a_client_that_leaves_before_its_handshake(tls: Served) -> None:
    """Nothing is left of it."""
    for data in (b"", b"\x16", HELLO_HEAD, b"GET"):
        for _ in range(20):
            with connect(tls) as line:
                line.sendall(data)
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def test_unknown_names_get_the_certificate(tls: Served) -> None:
    """A name that nobody knows is served as no name is; the client itself finds that it does not fit."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(CA)
    for name in ("elsewhere.test", "x" * 63 + ".test", None):
        with context.wrap_socket(connect(tls), server_hostname=name) as secure:
            secure.sendall(b"GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert secure.recv(100).startswith(b"HTTP/1.1 200")
    with connect(tls) as line, pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        trust().wrap_socket(line, server_hostname="elsewhere.test")


def test_renegotiation_is_refused(tls: Served) -> None:
    """A client of TLS 1.2 that wants another handshake gets none."""
    at = ("openssl", "s_client", "-connect", f"127.0.0.1:{tls.port}", "-CAfile", CA, "-tls1_2")
    done = run(*at, send="R\n")
    assert "RENEGOTIATING" in done.stdout + done.stderr
    assert "no renegotiation" in done.stderr


def test_garbage_behind_the_handshake_ends_the_connection(tls: Served) -> None:
    """Bytes that are no record of TLS are the end, without a word in the log."""
    with trust().wrap_socket(connect(tls), server_hostname="localhost") as secure:
        secure.sendall(b"GET /_emulator/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert secure.recv(65_536).startswith(b"HTTP/1.1 200")
        with socket.socket(fileno=os.dup(secure.fileno())) as raw:
            raw.settimeout(PATIENCE)
            raw.sendall(b"\xff" * 100)
            assert_closed(raw)


def test_a_server_that_stops_waits_for_no_handshake() -> None:
    """Clients that have said nothing, or half a word, do not hold it."""
    served = Served(tls=True)
    lines = [connect(served) for _ in range(4)]
    lines[1].sendall(HELLO_HEAD)
    assert "ok" == httpx.get(f"{served.url}/_emulator/health", verify=trust()).json()["status"]
    served.stop()
    for line in lines:
        with line:
            assert_closed(line)
