"""Recording from a real gateway, which is the emulator itself on another port, and replaying without it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest
from openai import OpenAI
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from emulator.core.yaml_file import InvalidFile
from emulator.scenario import loader
from emulator.server.upstream import UpstreamClient, UpstreamFailure
from emulator.session.recording import Recording
from emulator.session.recording_entry import AskedCall, GivenAnswer
from emulator.session.store import InMemoryStore, StoreLimits
from emulator.validation.registry import load_gateways
from tests.conftest import Served
from tests.process import Command, refused_here
from tests.uploads import draw_file
from tests.upstreams import raw_upstream

DAY: Final = "2026-11-20"
BODY: Final = {"model": "gpt-image-2", "prompt": "A boat"}
KEY: Final = "sk-real-Zx81kQm3Wq0Ra7Lt9Vb2"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of these tests leaves this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the recording is."""
    return tmp_path / "first-run"


@pytest.fixture
def record(folder: Path, serve: Callable[..., Served]) -> Callable[..., Served]:
    """Starts a server that records from `upstream`; by default what is not there yet."""

    def begin(upstream: str, mode: str = "new_episodes", **settings: Any) -> Served:
        bases = (f"openai={upstream}/openai/v1", f"ezmodel={upstream}/ezmodel/v1", f"geekai={upstream}/geekai/api/v1")
        return serve(**{"record": str(folder), "record_mode": mode, "upstream": bases, "as_of": DAY, **settings})

    return begin


@pytest.fixture
def upstream(serve: Callable[..., Served]) -> Served:
    """The real gateway, for these tests."""
    return serve(as_of=DAY)


def verdicts(served: Served, session: str = "latest") -> list[str]:
    """Who has answered the calls of a session."""
    return [call["verdict"] for call in served.calls(session)]


def run_client(served: Served) -> list[Any]:
    """What a client gets: Base64, a link, an edit with a mask, a stream, a refusal, a list."""
    got: list[Any] = []
    with OpenAI(base_url=served.base("openai"), api_key=KEY, max_retries=0) as sdk:
        got.append(sdk.images.generate(model="gpt-image-2", prompt="A boat", n=2).model_dump())
        picture = ("a.png", draw_file(mode="RGBA"), "image/png")
        got.append(sdk.images.edit(model="gpt-image-2", prompt="Night", image=picture, mask=picture).model_dump())
        stream = sdk.images.generate(model="gpt-image-2", prompt="A boat", stream=True, partial_images=3)
        got.append([event.model_dump() for event in stream])
        got.append([model.id for model in sdk.models.list()])
    with OpenAI(base_url=served.base("ezmodel"), api_key=KEY, max_retries=0) as sdk:
        reply = sdk.images.generate(model="dall-e-3", prompt="A link")
        assert reply.data is not None
        assert reply.data[0].url is not None
        got.append(httpx.get(reply.data[0].url).content)
        refused = httpx.post(
            f"{served.base('ezmodel')}/images/generations",
            json={"model": "dall-e-3", "prompt": "x", "n": 9},
            headers={"authorization": f"Bearer {KEY}"},
        )
        got.append((refused.status_code, refused.json()))
    return got


def test_a_recording_is_replayed_without_its_gateway(
    record: Callable[..., Served], upstream: Served, serve: Callable[..., Served], folder: Path
) -> None:
    """The same client gets the same, pictures to the byte, and nothing is live; the folder has no key."""
    front = record(upstream.url, "once")
    first = run_client(front)
    assert ["recorded"] * 6 == verdicts(front)
    front.stop = lambda: None  # type: ignore[method-assign]
    replaying = serve(record=str(folder), upstream=("openai=http://127.0.0.1:9/v1",), clock="scale:0")
    second = run_client(replaying)
    assert first == second
    assert ["replayed"] * 6 == verdicts(replaying)
    answer = httpx.post(f"{replaying.url}/_emulator/sessions/latest/verify", json={"live": 0, "times": 6})
    assert (200, True) == (answer.status_code, answer.json()["ok"])
    for path in folder.rglob("*.*"):
        assert KEY.encode() not in path.read_bytes()
    text = (folder / "recording.yaml").read_text()
    assert len(text) <= 6 * 2000
    assert loader.load_scenario(folder / "recording.yaml").is_recording
    assert 0 == httpx.get(f"{replaying.url}/_emulator/sessions/latest/scenario").json()["unused"].__len__()


def test_equal_requests_are_a_list(record: Callable[..., Served], serve: Callable[..., Served], tmp_path: Path) -> None:
    """A 429 and then a picture are replayed in that order, in each session from the beginning."""
    scenario = tmp_path / "limited.yaml"
    scenario.write_text("rules: [{answers: [{refuse: rate_limit}, draw]}]")
    gateway = serve(scenario=str(scenario), as_of=DAY)
    front = record(gateway.url, "once")
    assert [429, 200] == [front.generate("openai", BODY, "sk-one-account").status_code for _ in range(2)]
    assert ["recorded", "recorded"] == verdicts(front)
    assert [429, 200] == [front.generate("openai", BODY, "sk-another-account").status_code for _ in range(2)]
    assert ["replayed", "replayed"] == verdicts(front)
    replaying = serve(record=front.app.settings.record)
    assert [429, 200, 200] == [replaying.generate("openai", BODY, "sk-one-account").status_code for _ in range(3)]


def test_a_call_matches_whatever_its_spelling(
    record: Callable[..., Served], upstream: Served, serve: Callable[..., Served], folder: Path
) -> None:
    """Order, numbers, boundaries and file names do not matter; every parameter does."""
    front = record(upstream.url, "once")
    assert 200 == front.generate("openai", {**BODY, "n": 1}).status_code
    picture = draw_file(mode="RGBA")
    url, headers = "images/edits", {"authorization": f"Bearer {KEY}"}
    data = {"model": "gpt-image-2", "prompt": "x"}
    edit = {"data": data, "files": {"image": ("a.png", picture, "image/png")}, "headers": headers}
    assert 200 == httpx.post(f"{front.base('openai')}/{url}", **edit).status_code  # type: ignore[arg-type]
    replaying = serve(record=str(folder))
    spelled = b'{"n": 1.0, "prompt": "A bo\\u0061t", "model": "gpt-image-2"}'
    headers = {**headers, "content-type": "application/json"}
    base = replaying.base("openai")
    assert 200 == httpx.post(f"{base}/images/generations", content=spelled, headers=headers).status_code
    edit = {**edit, "files": {"image": ("b.png", picture, "application/octet-stream")}}
    assert 200 == httpx.post(f"{base}/{url}", **edit).status_code  # type: ignore[arg-type]
    for body in ({**BODY, "n": 2}, BODY, {**BODY, "n": 1, "user": "me"}, {**BODY, "n": True}):
        assert "recording_missed" == replaying.generate("openai", body).json()["error"]["code"]
    other = {**edit, "files": {"image": ("a.png", draw_file(mode="RGBA", size=(9, 9)), "image/png")}}
    missed = httpx.post(f"{base}/{url}", **other)  # type: ignore[arg-type]
    message = "The recording 'first-run' has no answer to this call; the nearest entry, 0002, differs in uploads.image."
    assert (400, "emulator_error") == (missed.status_code, missed.json()["error"]["type"])
    assert message in missed.json()["error"]["message"]
    call = replaying.calls()[-1]
    assert ("missed", "0002") == (call["verdict"], call["misses"][0]["rule"])


def test_modes(record: Callable[..., Served], upstream: Served, folder: Path) -> None:
    """Each mode does with known and unknown calls what its name says."""
    with pytest.raises(InvalidFile, match=r"there is no recording\.yaml"):
        record(upstream.url, "none")
    first = record(upstream.url, "once")
    first.generate("openai", BODY)
    close(first)
    other = {**BODY, "prompt": "Another"}
    once = record(upstream.url, "once")
    assert [200, 400] == [once.generate("openai", body).status_code for body in (BODY, other)]
    assert ["replayed", "missed"] == verdicts(once)
    new = record(upstream.url, "new_episodes")
    assert [200, 200] == [new.generate("openai", body).status_code for body in (BODY, other)]
    assert ["replayed", "recorded"] == verdicts(new)
    close(new)
    assert 2 == len(loader.load_scenario(folder / "recording.yaml").rules)
    forward = record(upstream.url, "forward")
    forward.generate("openai", {**BODY, "prompt": "A third"})
    assert ["forwarded"] == verdicts(forward)
    again = record(upstream.url, "all")
    again.generate("openai", other)
    assert ["recorded"] == verdicts(again)
    assert 2 == len(loader.load_scenario(folder / "recording.yaml").rules)
    close(again)
    (rule,) = loader.load_scenario(folder / "recording.yaml").rules
    assert 1 == len(rule.answers)


def close(served: Served) -> None:
    """End the recording of a server, as its end does."""
    served.app.sessions.close_recordings()


def test_one_process_writes_at_a_time(record: Callable[..., Served], upstream: Served) -> None:
    """A second one is refused in one line, until the first has ended."""
    first = record(upstream.url)
    with pytest.raises(InvalidFile, match="another process records into it"):
        record(upstream.url)
    close(first)
    record(upstream.url)


def test_parameters_can_be_ignored(
    record: Callable[..., Served], upstream: Served, serve: Callable[..., Served], folder: Path
) -> None:
    """What `ignore` names is neither written nor compared."""
    folder.mkdir()
    (folder / "recording.yaml").write_text("recorded: {version: 1}\nignore: [user]\nrules: []\n...\n")
    front = record(upstream.url, "once")
    front.generate("openai", {**BODY, "user": "canary-user"})
    assert "given: {model: gpt-image-2, prompt: A boat}" in (folder / "recording.yaml").read_text()
    replaying = serve(record=str(folder))
    assert 200 == replaying.generate("openai", {**BODY, "user": "somebody else"}).status_code


def test_long_texts_are_files(record: Callable[..., Served], upstream: Served, serve: Callable[..., Served]) -> None:
    """An entry has two kilobytes, however long its prompt and its answer are."""
    front = record(upstream.url, "once")
    body = {"model": "dall-e-3", "prompt": "A long story. " * 200}
    first = front.generate("ezmodel", body)
    assert "recorded" == verdicts(front)[0]
    folder = Path(str(front.app.settings.record))
    assert (folder / "recording.yaml").stat().st_size < 2000
    replaying = serve(record=str(folder))
    second = replaying.generate("ezmodel", body)
    assert first.json()["data"][0]["revised_prompt"] == second.json()["data"][0]["revised_prompt"]


PLACES: Final[dict[str, Callable[[Served, str], httpx.Response]]] = {
    "header": lambda front, secret: front.generate("openai", BODY, KEY, **{"x-tenant-token": secret}),
    "query": lambda front, secret: httpx.post(
        f"{front.base('openai')}/images/generations?code={secret}",
        json=BODY,
        headers={"authorization": f"Bearer {KEY}"},
    ),
    "form": lambda front, secret: httpx.post(
        f"{front.base('openai')}/images/edits",
        data={"model": "gpt-image-2", "prompt": f"see {secret} there"},
        files={"image": ("a.png", draw_file(mode="RGBA"), "image/png")},
        headers={"authorization": f"Bearer {KEY}"},
    ),
    "body": lambda front, secret: front.generate("openai", {**BODY, "user": secret}, KEY),
    "name": lambda front, secret: front.generate("openai", {**BODY, secret: 1}, KEY),
}
SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": lambda text: text,
    "url": lambda text: quote(text, safe="").replace("-", "%2D"),
    "twice": lambda text: quote(quote(text, safe="").replace("-", "%2D"), safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "json": lambda text: json.dumps(json.dumps(text)),
    "hex": lambda text: text.encode().hex(),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("place", PLACES)
def test_no_key_is_written(
    place: str, spelling: str, record: Callable[..., Served], upstream: Served, folder: Path
) -> None:
    """A canary in each part of a call is nowhere in the folder: it is left out, or nothing of the call is written."""
    canary = "sk-canary-Qm3Wq0Ra7Lt9Vb2Zx81k"
    front = record(upstream.url, "once")
    PLACES[place](front, SPELLINGS[spelling](canary))
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for spelled in SPELLINGS.values():
        assert spelled(canary).encode() not in written
    call = front.calls()[0]
    if place in ("header", "query"):
        assert ("recorded", True) == (call["verdict"], b"0001" in written)
        return
    assert ("forwarded", "not_recorded") == (call["verdict"], call["findings"][-1]["code"])
    assert canary not in json.dumps(call["findings"])
    assert "recording.yaml" in call["findings"][-1]["message"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("where", ["header", "left_out", "body", "link"])
def test_no_key_of_an_answer_is_written(where: str, spelling: str, folder: Path, serve: Callable[..., Served]) -> None:
    """The same for what comes back: a canary in a header, in the body, and in a link."""
    canary = SPELLINGS[spelling]("sk-canary-Qm3Wq0Ra7Lt9Vb2Zx81k")
    headers, body = "", {"created": 1, "data": []}
    if where == "header":
        headers = f"x-request-id: {canary}\r\n"
    elif where == "left_out":
        headers = f"set-cookie: a={canary}\r\nopenai-organization: {canary}\r\n"
    elif where == "body":
        body = {"created": 1, "data": [], "note": canary}
    else:
        body = {"created": 1, "data": [{"other": f"https://x.test/a?b={canary}"}]}
    data = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
    with raw_upstream(head.encode() + data) as raw:
        front = serve(record=str(folder), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
        assert 200 == front.generate("openai", BODY, KEY).status_code
    verdict = "recorded" if where == "left_out" else "forwarded"
    assert [verdict] == verdicts(front)
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert canary.encode() not in written
    assert KEY.encode() not in written


def test_a_dead_link_is_not_recorded(folder: Path, serve: Callable[..., Served]) -> None:
    """A picture behind a link is fetched when it is recorded; where it cannot be, a finding says so."""
    data = b'{"created": 1, "data": [{"url": "http://127.0.0.1:9/a.png?sig=abcdefgh"}]}'
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    with raw_upstream(head.encode() + data) as raw:
        front = serve(record=str(folder), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
        assert 200 == front.generate("openai", BODY).status_code
    assert "behind a link cannot be had" in front.calls()[0]["findings"][-1]["message"]


def answer_json(body: bytes, *lines: str) -> bytes:
    """An answer as a gateway sends it."""
    head = ["HTTP/1.1 200 OK", "Content-Type: application/json", *lines, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


@pytest.mark.parametrize("link", ["http://[x/a.png", "http://127.0.0.1:99999/a.png", "http:///a.png"])
def test_a_bad_link_costs_no_answer(link: str, folder: Path, serve: Callable[..., Served]) -> None:
    """The client gets the answer as it is; a finding says why it is not written."""
    data = json.dumps({"data": [{"url": link}]}).encode()
    with raw_upstream(answer_json(data)) as raw:
        front = serve(record=str(folder), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
        assert data == front.generate("openai", BODY).content
    assert "behind a link cannot be had" in front.calls()[0]["findings"][-1]["message"]


@pytest.mark.parametrize("host", ["169.254.169.254", "10.0.0.1", "[fe80::1]", "[::ffff:10.0.0.1]"])
def test_a_link_leads_to_nobody_elses_network(host: str, folder: Path, serve: Callable[..., Served]) -> None:
    """The upstream chooses the link; an address that is not public is asked only where the upstream has one like it."""
    data = json.dumps({"data": [{"url": f"http://{host}/latest/meta-data"}]}).encode()
    with raw_upstream(answer_json(data)) as raw:
        front = serve(record=str(folder), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
        assert 200 == front.generate("openai", BODY).status_code
    assert "address, and the upstream has none" in front.calls()[0]["findings"][-1]["message"]
    assert not (folder / "recording.yaml").exists()


def test_a_link_of_a_public_upstream_does_not_lead_here() -> None:
    """The name of a host counts by the addresses that it has when it is connected to."""
    gateway = next(one for one in load_gateways([]) if one.name == "openai")

    async def fetch(base: str, url: str) -> str:
        client = UpstreamClient({"openai": base}, {}, 5)
        try:
            await client.fetch(url, 100, gateway)
        except UpstreamFailure as failure:
            return str(failure)
        finally:
            await client.close()
        return "fetched"

    with raw_upstream(answer_json(b"{}")) as raw:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"):
            why = asyncio.run(fetch("http://93.184.216.34/v1", f"http://{host}:{raw.port}/a.png"))
            assert "a loopback address, and the upstream has none" in why
        assert raw.requests == []
        assert "fetched" == asyncio.run(fetch("http://localhost/v1", f"http://127.0.0.1:{raw.port}/a.png"))
        assert b"authorization" not in raw.requests[0].lower()


def test_what_is_behind_a_link_is_bounded(folder: Path, serve: Callable[..., Served]) -> None:
    """A redirect is not followed, and whoever hangs is given up."""
    for answer, hangs, why in (
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", False, "answers 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n", False, "50000000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", True, " s"),
    ):
        with raw_upstream(answer, hangs=hangs) as host:
            data = json.dumps({"data": [{"url": f"http://127.0.0.1:{host.port}/a.png"}]}).encode()
            with raw_upstream(answer_json(data)) as raw:
                front = serve(
                    record=str(folder),
                    record_mode="new_episodes",
                    upstream=(f"openai={raw.url}",),
                    upstream_timeout=0.5,
                    as_of=DAY,
                )
                assert 200 == front.generate("openai", BODY).status_code
                close(front)
        finding = front.calls()[0]["findings"][-1]
        assert ("not_recorded", True) == (finding["code"], why in finding["message"])


def test_what_cannot_be_looked_into_is_not_written(folder: Path, serve: Callable[..., Served]) -> None:
    """An answer in Brotli is passed on, and not recorded: a key in it would not be seen, and it could not be read."""
    with raw_upstream(answer_json(b"\x0b\x02\x80sk-abc\x03", "Content-Encoding: br")) as raw:
        front = serve(record=str(folder), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
        front.generate("openai", BODY)
    assert ["forwarded"] == verdicts(front)
    assert "compressed" in front.calls()[0]["findings"][-1]["message"]


def pack_texts(secret: str) -> dict[str, bytes]:
    """Pictures with a text in each place that a picture has for one."""
    made = {}
    for place, text, packed in (("text", secret, False), ("packed", secret, True), ("base64", "", False)):
        info = PngInfo()
        info.add_itxt("Comment", text or base64.b64encode(secret.encode()).decode(), zip=packed)
        file = io.BytesIO()
        Image.new("RGBA", (64, 64)).save(file, "PNG", pnginfo=info)
        made[place] = file.getvalue()
    info = PngInfo()
    info.add_text("Comment", secret, zip=True)
    file = io.BytesIO()
    Image.new("RGBA", (64, 64)).save(file, "PNG", pnginfo=info)
    made["packed_latin"] = file.getvalue()
    for place, encoding in (("exif", "utf-16-le"), ("exif_big", "utf-16-be")):
        exif = Image.Exif()
        exif[0x9C9C] = secret.encode(encoding)
        file = io.BytesIO()
        Image.new("RGB", (64, 64)).save(file, "JPEG", exif=exif)
        made[place] = file.getvalue()
    return made


@pytest.mark.parametrize("place", ["text", "packed", "packed_latin", "base64", "exif", "exif_big"])
def test_no_key_is_written_with_a_picture(place: str, folder: Path, serve: Callable[..., Served]) -> None:
    """A key in the metadata of a picture is found, compressed or in letters of two bytes as well."""
    picture = base64.b64encode(pack_texts(KEY)[place]).decode()
    with raw_upstream(answer_json(json.dumps({"data": [{"b64_json": picture}]}).encode())) as raw:
        front = serve(record=str(folder), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
        front.generate("openai", BODY, KEY)
    assert ["forwarded"] == verdicts(front)
    assert "answer" in front.calls()[0]["findings"][-1]["message"] or "pictures" in str(front.calls()[0]["findings"])
    assert [] == [path for path in folder.rglob("*.*") if path.is_file() and path.suffix != ".lock"]


def test_no_key_is_written_by_a_name_or_a_url(tmp_path: Path, serve: Callable[..., Served]) -> None:
    """A password before a host, and the name of the folder, which is written into the recording."""
    body = b'{"note": "https://bob:hunter2@x.test/a"}'
    for name, answer in (("plain", body), (KEY, b"{}")):
        with raw_upstream(answer_json(answer)) as raw:
            front = serve(record=str(tmp_path / name), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
            front.generate("openai", BODY, "sk-other-0123456789abcdef")
        assert ["forwarded"] == verdicts(front)
        assert KEY not in json.dumps(front.calls())
        assert not (tmp_path / name / "recording.yaml").exists()


@pytest.mark.parametrize(
    "body",
    [
        {"api_key": "hunter2-abcdefgh", "data": [{"line": f"{number} of many"} for number in range(200)]},
        {"password": "hunter2 " * 40},
        {"data": [{"api_keys": ["hunter2-abcdefgh"], "access_token": ["hunter2-abcdefgh"]}]},
    ],
)
def test_what_its_name_calls_a_key_is_in_no_file(
    body: dict[str, Any], folder: Path, serve: Callable[..., Served]
) -> None:
    """However long the answer or the parameter is, so that it would be in a file of its own."""
    with raw_upstream(answer_json(json.dumps(body).encode())) as raw:
        front = serve(record=str(folder), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY)
        front.generate("openai", BODY, KEY)
    with raw_upstream(answer_json(b"{}")) as raw:
        second = serve(
            record=str(folder.with_name("asked")), record_mode="once", upstream=(f"openai={raw.url}",), as_of=DAY
        )
        second.generate("openai", {**BODY, **body}, KEY)
    for served in (front, second):
        assert ["forwarded"] == verdicts(served)
        assert "has a credential, as its name says" in served.calls()[0]["findings"][-1]["message"]


def test_a_folder_that_leads_away_is_not_written_through(
    folder: Path, tmp_path: Path, record: Callable[..., Served], upstream: Served
) -> None:
    """A link in the place of pictures/ gets no file outside."""
    (tmp_path / "outside").mkdir()
    folder.mkdir()
    (folder / "pictures").symlink_to(tmp_path / "outside")
    front = record(upstream.url, "once")
    assert 200 == front.generate("openai", BODY).status_code
    assert "leads out of the folder" in front.calls()[0]["findings"][-1]["message"]
    assert [] == list((tmp_path / "outside").iterdir())


async def test_a_client_that_leaves_loses_no_entry(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its entry is written to the end, before that of the next client begins."""
    recording = Recording(folder, "new_episodes")
    loop, began, may_go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    write = recording._write

    def write_slowly(rules: Any) -> None:
        loop.call_soon_threadsafe(began.set)
        may_go_on.wait(10)
        write(rules)

    monkeypatch.setattr(recording, "_write", write_slowly)
    counter = InMemoryStore(StoreLimits(calls=1, bytes=1000, sessions=1, age=1))

    def add(prompt: str) -> asyncio.Task[Any]:
        asked = AskedCall("generate", "openai", {"prompt": prompt})
        given = GivenAnswer(200, (("content-type", "application/json"),), b"{}")
        return asyncio.create_task(recording.add(asked, given, session="one", counter=counter, keys=()))

    first = add("A boat")
    await began.wait()
    first.cancel()
    second = add("A cat")
    await asyncio.sleep(0)
    may_go_on.set()
    assert await second is None
    assert first.cancelled()
    recording.close()
    rules = loader.load_scenario(folder / "recording.yaml").rules
    assert ["0001", "0002"] == [rule.name for rule in rules]
    assert 2 == len(recording.scenario.rules)


def test_a_timeout_is_recorded(folder: Path, record: Callable[..., Served], serve: Callable[..., Served]) -> None:
    """It is replayed in the gateway's own words."""
    with raw_upstream(b"", hangs=True) as raw:
        front = record(raw.url.removesuffix("/v1"), "once", upstream_timeout=0.05)
        assert 504 == front.generate("openai", BODY).status_code
    assert ["recorded"] == verdicts(front)
    replaying = serve(record=str(folder))
    assert 504 == replaying.generate("openai", BODY).status_code
    assert ["replayed"] == verdicts(replaying)


def test_the_bound_on_money_is_kept(record: Callable[..., Served], upstream: Served) -> None:
    """A call that would pass it does not leave; one without a price does not either."""
    front = record(upstream.url, "once", max_spend=0.3)
    assert 200 == front.generate("openai", BODY).status_code
    refused = front.generate("openai", {**BODY, "prompt": "Another"})
    assert (400, "max_spend") == (refused.status_code, refused.json()["error"]["code"])
    assert "$0.2108 are spent, and this call costs about $0.2108" in refused.json()["error"]["message"]
    assert 200 == front.generate("ezmodel", {"model": "dall-e-3", "prompt": "x"}).status_code
    unknown = front.generate("geekai", {"model": "cogview-4", "prompt": "x"})
    assert "no price is known" in unknown.json()["error"]["message"] or 200 == unknown.status_code
    assert 0.21 < front.calls()[0]["cost"] < 0.22


def test_only_a_latency_is_waited_for(recorded: Path, serve: Callable[..., Served]) -> None:
    """What an answer took is a note; an answer with a `latency` of its own is waited for, by the server's clock."""
    path = recorded / "recording.yaml"
    path.write_text(path.read_text().replace("        recorded: {at", "        latency: 40s\n        recorded: {at", 1))
    replaying = serve(record=str(recorded), clock="scale:0")
    replaying.generate("openai", BODY, KEY)
    httpx.get(f"{replaying.base('openai')}/models", headers={"authorization": f"Bearer {KEY}"})
    assert ["replayed", "replayed"] == verdicts(replaying)
    assert [40.0, None] == [call["latency"] for call in replaying.calls()]


def test_an_old_recording_is_a_finding(
    record: Callable[..., Served], upstream: Served, serve: Callable[..., Served], folder: Path
) -> None:
    """It is replayed all the same."""
    front = record(upstream.url, "once")
    front.generate("openai", BODY)
    text = (folder / "recording.yaml").read_text()
    (folder / "recording.yaml").write_text(text.replace('at: "20', 'at: "19', 1).replace("1926", "1999"))
    replaying = serve(record=str(folder), stale_after="90d")
    assert 200 == replaying.generate("openai", BODY).status_code
    assert "recording_stale" in [finding["code"] for finding in replaying.calls()[0]["findings"]]


@pytest.fixture
def recorded(record: Callable[..., Served], upstream: Served, folder: Path) -> Path:
    """A folder with a recording of a picture, and of a list that has a file of its own."""
    front = record(upstream.url, "once")
    front.generate("openai", BODY, KEY)
    httpx.get(f"{front.base('openai')}/models", headers={"authorization": f"Bearer {KEY}"})
    close(front)
    return folder


def spoil_link(folder: Path) -> None:
    picture = next((folder / "pictures").iterdir())
    outside = folder.parent / "outside.png"
    picture.rename(outside)
    picture.symlink_to(outside)


def move_pictures(folder: Path) -> None:
    shutil.move(folder / "pictures", folder.parent / "moved")
    (folder / "pictures").symlink_to(folder.parent / "moved")


def put_folder(folder: Path) -> None:
    (folder / "recording.yaml").unlink()
    (folder / "recording.yaml").mkdir()


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "recording.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def cut(folder: Path, lines: int) -> None:
    path = folder / "recording.yaml"
    path.write_text("\n".join(path.read_text().splitlines()[:-lines]) + "\n")


HOSTILE: Final[dict[str, tuple[Callable[[Path], Any], str]]] = {
    "bomb": (lambda path: edit(path, "rules:", "a: &a [x, x]\nb: [*a, *a]\nrules:"), "alias"),
    "deep": (lambda path: edit(path, "rules:", f"about: {'[' * 3000}\nrules:"), ""),
    "outward": (lambda path: edit(path, "stored: pictures/", "stored: ../pictures/"), "stored is '../pictures/"),
    "absolute": (lambda path: edit(path, "stored: pictures/", "stored: /etc/"), "stored is '/etc/"),
    "symlink": (spoil_link, "leads out of the recording's folder"),
    "folder link": (move_pictures, "leads out of the recording's folder"),
    "missing": (lambda path: shutil.rmtree(path / "pictures"), "there is no such file"),
    "changed": (lambda path: next((path / "pictures").iterdir()).write_bytes(b"x"), "which has changed"),
    "changed body": (lambda path: next((path / "bodies").iterdir()).write_bytes(b"{}"), "which has changed"),
    "cut": (lambda path: cut(path, 1), "the recording is cut"),
    "cut in a rule": (lambda path: cut(path, 4), ""),
    "version": (lambda path: edit(path, "version: 1", "version: 2"), "recorded.version is 2; expected 1"),
    "unknown key": (lambda path: edit(path, "rules:", "rulez: []\nrules:"), "did you mean 'rules'"),
    "a scenario": (lambda path: edit(path, "recorded: {version: 1}\n", ""), ""),
    "no YAML": (lambda path: (path / "recording.yaml").write_bytes(b"\xff\xfe\x00"), "not UTF-8"),
    "a folder": (put_folder, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_recording_is_one_line(
    name: str, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it is loaded: the command ends with code 2 and one line that names the file."""
    spoil, expected = HOSTILE[name]
    spoil(recorded)
    flags = ["--port", "0", "--ready-json", "--record", str(recorded)]
    refused_here(monkeypatch, capsys, tmp_path, flags, ["recording.yaml", expected])


def test_a_killed_process_leaves_a_folder_that_loads(upstream: Served, folder: Path, tmp_path: Path) -> None:
    """Whenever it ends: what is in the folder loads, and another process can go on."""
    flags = ["--ready-json", "--record", str(folder), "--record-mode", "new_episodes", "--as-of", DAY]
    flags += ["--upstream", f"openai={upstream.base('openai')}"]
    for run in range(2):
        command = Command(tmp_path, *flags, NO_PROXY="127.0.0.1")
        command.ready()
        for number in range(3):
            assert 200 == command.generate({**BODY, "prompt": f"{run} {number}"}, "openai").status_code
        os.kill(command.pid, signal.SIGKILL)
        command.ended()
        assert 3 * (run + 1) == len(loader.load_scenario(folder / "recording.yaml").rules)


def test_settings_that_contradict_each_other(serve: Callable[..., Served], folder: Path) -> None:
    """Each is refused in one line at the start."""
    with pytest.raises(InvalidFile, match="a recording is a scenario; give one of the two"):
        serve(record=str(folder), scenario="happy")
    with pytest.raises(InvalidFile, match="--record-mode once needs --record DIR"):
        serve(record_mode="once")
