"""The openai client from npm, unmodified, once for each gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

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


def test_the_npm_client(server: Served) -> None:
    """Links, Base64, models and errors arrive as the npm client's own types."""
    if not (ROOM / "node_modules" / "openai").is_dir() or shutil.which("node") is None:
        missing = f"needs node, and: npm install --prefix {ROOM.parent.name}/npm openai@7"
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    script = ROOM / "client.mjs"
    script.write_text(SCRIPT)
    gateways = {name: {"baseURL": server.base(name), "model": model} for name, model in MODELS.items()}
    done = subprocess.run(
        ["node", str(script), json.dumps(gateways)], capture_output=True, text=True, timeout=60, cwd=ROOM
    )
    assert 0 == done.returncode, done.stderr
    expected = {
        "same": True, "listed": True, "created": True, "raised": "BadRequestError", "status": 400,
        "code": "integer_above_max_value", "param": "n", "id": "req_",
    }  # fmt: skip
    assert dict.fromkeys(MODELS, expected) == json.loads(done.stdout)
