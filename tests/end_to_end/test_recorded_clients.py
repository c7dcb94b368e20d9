"""Clients in other languages get from a recording what the gateway has said: the client from npm, and curl."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from emulator.analysis.comparison import parse_events
from tests.conftest import Served
from tests.node import run_script
from tests.uploads import draw_file

DAY: Final = "2026-11-20"
LIMITED: Final = """\
rules:
  - when: {prompt: limited}
    answers:
      - refuse: rate_limit
        headers: {retry-after-ms: "1"}
      - draw: {}
"""
SCRIPT: Final = """
import OpenAI, { toFile } from "openai";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
const [openai, ezmodel, file] = process.argv.slice(2);
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
const shorten = (name, value) => (name === "b64_json" && value ? hash(Buffer.from(value, "base64")) : value);
const heard = [];
const client = new OpenAI({baseURL: openai, apiKey: "sk-from-node", maxRetries: 1});
const model = "gpt-image-2";
heard.push(await client.images.generate({model, prompt: "A boat", n: 2}));
const image = await toFile(readFileSync(file), "a.png", {type: "image/png"});
heard.push(await client.images.edit({model, image, mask: image, prompt: "Night"}));
for await (const event of await client.images.generate({model, prompt: "A boat", stream: true, partial_images: 3}))
  heard.push(event);
heard.push(await client.images.generate({model, prompt: "limited"}));
const refused = await client.images.generate({model, prompt: "x", size: "1x1"}).catch((caught) => caught);
heard.push([refused.status, refused.code, refused.param, refused.message]);
const other = new OpenAI({baseURL: ezmodel, apiKey: "sk-from-node", maxRetries: 0});
const linked = await other.images.generate({model: "dall-e-3", prompt: "A link"});
heard.push([linked.created, hash(Buffer.from(await (await fetch(linked.data[0].url)).arrayBuffer()))]);
console.log(JSON.stringify(heard, shorten));
"""


@pytest.fixture
def both(serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a client twice, with a recording server and with one that has nothing but the recording."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "limited.yaml").write_text(LIMITED)

    def run(client: Callable[[Served], Any]) -> tuple[Any, Any, Served]:
        upstream = serve(as_of=DAY, clock="scale:0", scenario=str(tmp_path / "limited.yaml"))
        bases = tuple(f"{name}={upstream.base(name)}" for name in ("openai", "ezmodel"))
        recording = serve(record=str(tmp_path / "it"), record_mode="new_episodes", upstream=bases, as_of=DAY)
        first = client(recording)
        nowhere = ("openai=http://127.0.0.1:9/v1", "ezmodel=http://127.0.0.1:9/v1")
        replaying = serve(record=str(tmp_path / "it"), upstream=nowhere, clock="scale:0")
        return first, client(replaying), replaying

    return run


def test_the_client_from_npm(both: Callable[..., Any], tmp_path: Path) -> None:
    """Base64, an edit with a mask, a stream with three partial images, 429 and then a picture, a refusal, a link."""
    (tmp_path / "a.png").write_bytes(draw_file(mode="RGBA"))
    first, second, replaying = both(
        lambda served: run_script(SCRIPT, served.base("openai"), served.base("ezmodel"), str(tmp_path / "a.png"))
    )
    assert first == second
    events = [one["type"] for one in first if isinstance(one, dict) and "type" in one]
    assert ["image_generation.partial_image"] * 3 + ["image_generation.completed"] == events
    assert ["replayed"] * 7 == [call["verdict"] for call in replaying.calls()]


def test_curl(both: Callable[..., Any], tmp_path: Path) -> None:
    """The same with curl, which shows what is on the wire: statuses, JSON, events, files."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (tmp_path / "a.png").write_bytes(draw_file(mode="RGBA"))
    first, second, replaying = both(lambda served: list(ask_with_curl(served, tmp_path / "a.png")))
    assert first == second
    assert [200, 200, 200, 429, 200, 400, 200] == [status for status, _ in first]
    assert ["replayed"] * 7 == [call["verdict"] for call in replaying.calls()]


def ask_with_curl(served: Served, file: Path) -> Any:
    """Yield status and body of each answer, a link with the digest of the file behind it."""
    model, openai, ezmodel = "gpt-image-2", served.base("openai"), served.base("ezmodel")
    yield post(f"{openai}/images/generations", model=model, prompt="A boat", n=2)
    form = ["-F", "model=gpt-image-2", "-F", "prompt=Night", "-F", f"image=@{file}", "-F", f"mask=@{file}"]
    yield curl(f"{openai}/images/edits", *form)
    yield post(f"{openai}/images/generations", model=model, prompt="A boat", stream=True, partial_images=3)
    yield post(f"{openai}/images/generations", model=model, prompt="limited")
    yield post(f"{openai}/images/generations", model=model, prompt="limited")
    yield post(f"{openai}/images/generations", model=model, prompt="x", size="1x1")
    status, body = post(f"{ezmodel}/images/generations", model="dall-e-3", prompt="A link")
    link = body["data"][0].pop("url")
    picture = subprocess.run(["curl", "-s", "--noproxy", "*", link], capture_output=True, timeout=60, check=True).stdout
    yield status, [body, hashlib.sha256(picture).hexdigest()]


def post(url: str, **body: Any) -> tuple[int, Any]:
    """What curl gets for a JSON body."""
    return curl(url, "-H", "Content-Type: application/json", "-d", json.dumps(body))


def curl(url: str, *arguments: str) -> tuple[int, Any]:
    """Status and body of an answer: JSON as a value, a stream as its events."""
    command = ["curl", "-s", "-N", "--noproxy", "*", "-H", "Authorization: Bearer sk-from-curl", "-w", "\n%{http_code}"]
    done = subprocess.run([*command, *arguments, url], capture_output=True, text=True, timeout=60, check=True)
    text, _, status = done.stdout.rpartition("\n")
    try:
        return int(status), json.loads(text)
    except ValueError:
        return int(status), [(event.name, event.value) for event in parse_events(text.encode())]
