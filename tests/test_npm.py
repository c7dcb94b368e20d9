"""The openai client from npm, unmodified, once for each gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import Served

ROOM: Final = Path(__file__).parent.parent / ".cache" / "npm"
MODELS: Final = {"geekai": "cogview-4", "ezmodel": "dall-e-2", "geeknow": "gpt-image-1", "aiai": "dall-e-3"}
SCRIPT: Final = """
import OpenAI from "openai";
const [gateways] = [JSON.parse(process.argv[2])];
const heard = {};
for (const [name, {baseURL, model}] of Object.entries(gateways)) {
  const client = new OpenAI({baseURL, apiKey: "sk-from-node", maxRetries: 0});
  const linked = await client.images.generate({model, prompt: "A cat"});
  const picture = Buffer.from(await (await fetch(linked.data[0].url)).arrayBuffer());
  const inline = await client.images.generate({model, prompt: "A cat", response_format: "b64_json"});
  const same = picture.equals(Buffer.from(inline.data[0].b64_json, "base64"));
  const models = (await client.models.list()).data.map((one) => one.id);
  const error = await client.images.generate({model, prompt: "A cat", n: 99}).catch((caught) => caught);
  heard[name] = {
    same, listed: models.includes(model), created: Number.isInteger(linked.created), raised: error.constructor.name,
    status: error.status, code: error.code, param: error.param, id: (error.requestID ?? "").slice(0, 4),
  };
}
console.log(JSON.stringify(heard));
"""


STREAM: Final = """
import OpenAI from "openai";
const client = new OpenAI({baseURL: process.argv[2], apiKey: "sk-from-node", maxRetries: 0});
const asked = {model: "gpt-image-1", quality: "low", stream: true, partial_images: 2};
const heard = [];
for await (const event of await client.images.generate({...asked, prompt: "A cat"})) {
  const size = Buffer.from(event.b64_json, "base64").readUInt32BE(16);
  heard.push([event.type, event.partial_image_index ?? null, event.usage?.output_tokens ?? null, size]);
}
for await (const event of await client.images.generate({...asked, prompt: "A cat"})) {
  heard.push(["left", event.partial_image_index]);
  break;
}
const cut = await client.images.generate({...asked, prompt: "A cat", size: "1x1"}).catch((caught) => caught);
heard.push([cut.constructor.name, cut.param]);
console.log(JSON.stringify(heard));
"""


def _run(script: str, *arguments: str) -> Any:
    """What a script prints that uses the npm client."""
    if not (ROOM / "node_modules" / "openai").is_dir() or shutil.which("node") is None:
        missing = f"needs node, and: npm install --prefix {ROOM.parent.name}/npm openai@7"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    file = ROOM / "client.mjs"
    file.write_text(script)
    done = subprocess.run(["node", str(file), *arguments], capture_output=True, text=True, timeout=60, cwd=ROOM)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_the_npm_client(server: Served) -> None:
    """Links, Base64, models and errors arrive as the npm client's own types."""
    gateways = {name: {"baseURL": server.base(name), "model": model} for name, model in MODELS.items()}
    heard = _run(SCRIPT, json.dumps(gateways))
    expected = {
        "same": True, "listed": True, "created": True, "raised": "BadRequestError", "status": 400,
        "code": "integer_above_max_value", "param": "n", "id": "req_",
    }  # fmt: skip
    assert dict.fromkeys(MODELS, expected) == heard


def test_the_npm_client_reads_a_stream(server: Served) -> None:
    """Events arrive in their order, a client may leave after the first, and a refusal is no stream."""
    assert [
        ["image_generation.partial_image", 0, None, 1024],
        ["image_generation.partial_image", 1, None, 1024],
        ["image_generation.completed", None, 472, 1024],
        ["left", 0],
        ["BadRequestError", "size"],
    ] == _run(STREAM, server.base("aiai"))
